//! One bad apple: AWS rejects a whole call for one bad item without saying which. Halving finds it.

/// Finds the items that AWS accepts, with few attempts: one when all are good, about
/// `2 · log₂ n` more for each bad one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Isolation<T> {
    accepted: Vec<T>,
    rejected: Vec<T>,
    /// The groups still to be tried, the next one last.
    groups: Vec<Vec<T>>,
}

impl<T: Clone> Isolation<T> {
    /// Starts with all items as one group.
    pub fn new(items: Vec<T>) -> Self {
        let groups = if items.is_empty() { Vec::new() } else { vec![items] };
        Self { accepted: Vec::new(), rejected: Vec::new(), groups }
    }

    /// The group to try next, on top of what was accepted; `None` when every item has its verdict.
    pub fn next_group(&self) -> Option<&[T]> {
        self.groups.last().map(Vec::as_slice)
    }

    /// The items that were accepted so far.
    pub fn accepted(&self) -> &[T] {
        &self.accepted
    }

    /// Takes the verdict on the group that [`Self::next_group`] gave.
    pub fn answer(&mut self, is_accepted: bool) {
        let Some(mut group) = self.groups.pop() else { return };
        if is_accepted {
            self.accepted.append(&mut group);
        } else if group.len() == 1 {
            self.rejected.append(&mut group);
        } else {
            let second = group.split_off(group.len() / 2);
            self.groups.push(second);
            self.groups.push(group);
        }
    }

    /// Rejects all items of the group that [`Self::next_group`] gave, without trying them one by one.
    pub fn reject_group(&mut self) {
        if let Some(mut group) = self.groups.pop() {
            self.rejected.append(&mut group);
        }
    }

    /// What was accepted and what was rejected, each in the order it was found.
    pub fn finish(self) -> (Vec<T>, Vec<T>) {
        (self.accepted, self.rejected)
    }
}

//! The search for the principals that KMS rejects. KMS rejects a whole policy for one principal that does not exist, and
//! does not say which; only other puts show it.
//!
//! It first puts the policy as it stands: if KMS accepts it, only new principals are suspects. If not, the principals of
//! ami-share that stand may have ceased to exist, too; as soon as one of them is found, the policy is put without any, and
//! if KMS rejects even that, a foreign statement is at fault and the search ends.

use std::collections::BTreeSet;

use crate::isolation::Isolation;
use crate::targets::target::KeyPrincipal;

/// The most puts of one search, the first, rejected one included. They are enough to find five to ten bad principals among
/// the some hundreds that fit into a policy, and all among fifty.
pub const MAXIMUM_PUTS: usize = 100;

/// A search. The caller puts what [`Self::next_put`] says, and answers whether KMS accepted it.
#[derive(Debug, Clone)]
pub struct PrincipalSearch {
    staying: Vec<KeyPrincipal>,
    added: Vec<KeyPrincipal>,
    /// What stands for certain while the suspects are tried.
    sure: Vec<KeyPrincipal>,
    isolation: Isolation<KeyPrincipal>,
    stage: Stage,
    /// Whether a policy without any principal of ami-share may have to be put, and was not yet.
    is_foreign_part_in_doubt: bool,
    has_rejected: bool,
    puts: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The policy as it stands, without new principals.
    Unchanged,
    /// A group of suspects.
    Halving,
    /// The foreign statements alone.
    Alone,
    Over,
    /// KMS rejects the foreign statements.
    Broken,
}

/// The result of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SearchResult {
    /// KMS rejects the foreign statements, whatever ami-share adds; the policy that stood is in force.
    Broken,
    /// These are in force.
    Found {
        /// What KMS accepted.
        accepted: BTreeSet<KeyPrincipal>,
        /// What KMS rejected.
        rejected: Vec<KeyPrincipal>,
        /// What was not tried any more, because the search had reached [`MAXIMUM_PUTS`].
        untried: Vec<KeyPrincipal>,
    },
}

impl PrincipalSearch {
    /// Starts after KMS has rejected the policy that allows `staying` and, newly, `added`.
    pub fn new(staying: &BTreeSet<KeyPrincipal>, added: &[KeyPrincipal]) -> Self {
        let mut search = Self {
            staying: staying.iter().cloned().collect(),
            added: added.to_vec(),
            sure: Vec::new(),
            isolation: Isolation::new(Vec::new()),
            stage: Stage::Unchanged,
            is_foreign_part_in_doubt: false,
            has_rejected: false,
            puts: 1,
        };
        if added.is_empty() {
            // The policy that was rejected is the one that stands.
            search.answer_unchanged(false);
        }
        search
    }

    /// The principals of ami-share in the policy to put next; `None` when the search is over.
    pub fn next_put(&self) -> Option<BTreeSet<KeyPrincipal>> {
        match self.stage {
            Stage::Unchanged => Some(self.staying.iter().cloned().collect()),
            Stage::Alone => Some(BTreeSet::new()),
            Stage::Halving => {
                let group = self.isolation.next_group()?;
                Some(self.sure.iter().chain(self.isolation.accepted()).chain(group).cloned().collect())
            }
            Stage::Over | Stage::Broken => None,
        }
    }

    /// Takes KMS's answer to the policy that [`Self::next_put`] said.
    pub fn answer(&mut self, is_accepted: bool) {
        self.puts += 1;
        match self.stage {
            Stage::Unchanged => self.answer_unchanged(is_accepted),
            Stage::Alone if is_accepted => {
                self.is_foreign_part_in_doubt = false;
                self.go_on();
            }
            Stage::Alone => self.stage = Stage::Broken,
            Stage::Halving => {
                let is_single = self.isolation.next_group().is_some_and(|group| group.len() == 1);
                self.isolation.answer(is_accepted);
                self.has_rejected |= is_single && !is_accepted;
                // A policy was accepted, so its foreign part was.
                self.is_foreign_part_in_doubt &= !is_accepted;
                self.go_on();
            }
            Stage::Over | Stage::Broken => {}
        }
    }

    /// What came of it.
    pub fn finish(self) -> SearchResult {
        if self.stage == Stage::Broken {
            return SearchResult::Broken;
        }
        let mut rest = self.isolation.clone();
        let accepted = rest.accepted().len();
        let rejected = self.rejected_so_far();
        while rest.next_group().is_some() {
            rest.answer(true);
        }
        let (all, _) = rest.finish();
        let (accepted, untried) = all.split_at(accepted);
        SearchResult::Found {
            accepted: self.sure.iter().chain(accepted).cloned().collect(),
            rejected,
            untried: untried.to_vec(),
        }
    }

    fn rejected_so_far(&self) -> Vec<KeyPrincipal> {
        let mut rest = self.isolation.clone();
        while rest.next_group().is_some() {
            rest.answer(true);
        }
        rest.finish().1
    }

    fn answer_unchanged(&mut self, is_accepted: bool) {
        self.stage = Stage::Halving;
        let suspects = if is_accepted {
            self.sure.clone_from(&self.staying);
            self.added.clone()
        } else if self.staying.is_empty() {
            // It was the foreign statements alone.
            self.stage = Stage::Broken;
            return;
        } else {
            self.is_foreign_part_in_doubt = true;
            [self.staying.as_slice(), &self.added].concat()
        };
        self.has_rejected = suspects.len() == 1;
        self.isolation = Isolation::new(suspects);
        // All of them at once have been rejected.
        self.isolation.answer(false);
        self.go_on();
    }

    fn go_on(&mut self) {
        let is_over = self.isolation.next_group().is_none() || self.puts >= MAXIMUM_PUTS;
        self.stage = match (self.is_foreign_part_in_doubt, self.has_rejected, is_over) {
            (true, true, _) => Stage::Alone,
            (_, _, true) => Stage::Over,
            _ => Stage::Halving,
        };
    }
}

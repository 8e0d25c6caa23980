//! The points where a reconciliation is interrupted: calls of its functions, as an uninterrupted one made them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ami_share_tests::world::interruptions::{Interruption, Invocation, Then, When};
use anyhow::{Result, ensure};

/// How often to try a point that a reconciliation did not reach: a function makes one call more on a cold start than in
/// later invocations.
const TRIES: usize = 4;

/// At which of its calls a reconciliation is interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Density {
    /// At every other call of each function, and at its last: before a call that reads, after a call that writes.
    EveryOtherCall {
        /// 1 for the first, the third and so on; 0 for the second and so on.
        from: usize,
    },
    /// After some of the calls that write.
    Writes {
        /// 1 for all of them, 2 for every second one, and so on.
        every: usize,
    },
    /// At every call of some functions, and after some of the calls of the others that write.
    CallsOf {
        /// The functions that are interrupted at every call.
        functions: &'static [&'static str],
        /// As in [`Density::Writes`].
        every: usize,
    },
    /// Nowhere.
    Nowhere,
}

/// The points of one direction, which hands out those that are left one by one.
pub struct Points {
    all: Vec<Interruption>,
    left: Mutex<Vec<(Interruption, usize)>>,
}

impl Points {
    /// The points of a reconciliation that invoked these functions.
    pub fn of(invoked: &[Invocation], density: Density) -> Self {
        let calls = longest(invoked).into_iter().flat_map(at_every_call);
        let all: Vec<Interruption> = match density {
            Density::EveryOtherCall { from } => calls
                .filter(|(point, left)| point.call % 2 == from || *left == 0)
                .map(|(point, _)| point)
                .collect(),
            Density::Writes { every } => writes(calls, every).collect(),
            Density::CallsOf { functions, every } => {
                let (all, others): (Vec<_>, Vec<_>) =
                    calls.partition(|(point, _)| functions.contains(&point.function.as_str()));
                let all = all.into_iter().map(|(point, _)| point);
                all.chain(writes(others.into_iter(), every)).collect()
            }
            Density::Nowhere => Vec::new(),
        };
        let left = all.iter().cloned().map(|point| (point, TRIES)).rev().collect();
        Self { all, left: Mutex::new(left) }
    }

    /// All points, whether they are left or not.
    pub fn all(&self) -> Vec<Interruption> {
        self.all.clone()
    }

    /// Takes the next point that is left, and how often it may still be tried.
    pub fn next(&self) -> Option<(Interruption, usize)> {
        self.left().pop()
    }

    /// Returns a point that was not reached, to be tried again.
    pub fn missed(&self, point: Interruption, tries: usize) -> Result<()> {
        ensure!(tries > 1, "no reconciliation reached {point:?}");
        self.left().push((point, tries - 1));
        Ok(())
    }

    /// Whether no point is left.
    pub fn are_done(&self) -> bool {
        self.left().is_empty()
    }

    fn left(&self) -> MutexGuard<'_, Vec<(Interruption, usize)>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every `every`th point after a call that writes.
fn writes(
    calls: impl Iterator<Item = (Interruption, usize)>,
    every: usize,
) -> impl Iterator<Item = Interruption> {
    calls.map(|(point, _)| point).filter(|point| point.when == When::After).step_by(every)
}

/// The invocation of each function that made the most calls.
fn longest(invoked: &[Invocation]) -> Vec<&Invocation> {
    let mut longest: BTreeMap<(&str, Option<&str>), &Invocation> = BTreeMap::new();
    for invocation in invoked {
        let most = longest.entry((&invocation.function, invocation.action.as_deref())).or_insert(invocation);
        if invocation.calls.len() > most.calls.len() {
            *most = invocation;
        }
    }
    longest.into_values().collect()
}

/// A point before each call that reads and after each call that writes, each with the number of calls after it.
fn at_every_call(invocation: &Invocation) -> impl Iterator<Item = (Interruption, usize)> {
    let point = |(at, call): (usize, &String)| {
        let interruption = Interruption {
            function: invocation.function.clone(),
            action: invocation.action.clone(),
            call: at + 1,
            when: if is_write(call) { When::After } else { When::Before },
            then: Then::Stop,
        };
        (interruption, invocation.calls.len() - at - 1)
    };
    invocation.calls.iter().enumerate().map(point)
}

/// Judges a call by its name.
fn is_write(call: &str) -> bool {
    let operation = call.split_once(':').map_or(call, |(_, operation)| operation);
    !["Get", "GET", "Describe", "List", "Query"].iter().any(|verb| operation.starts_with(verb))
}

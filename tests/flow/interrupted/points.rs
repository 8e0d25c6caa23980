//! Where a look is stopped: which calls of which functions, by what they were when nobody was killed.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ami_share_tests::world::interruptions::{Interruption, Invocation, Then, When};
use anyhow::{Result, ensure};

/// How often a point is tried that the look did not come to: where a function is new, it makes a call more than where
/// it is warm, and so a call less in the next look.
const TRIES: usize = 4;

/// At how many of the calls a look is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Density {
    /// At every other call of each function, and at its last: before it when it reads, after it when it writes.
    EveryOtherCall {
        /// 1 for the first, the third and so on; 0 for the second and so on.
        from: usize,
    },
    /// After every so many calls that write.
    Writes {
        /// 1 for all of them.
        every: usize,
    },
    /// At every call of some functions, and after every so many calls of the others that write.
    CallsOf {
        /// Those.
        functions: &'static [&'static str],
        /// 1 for all.
        every: usize,
    },
    /// Nowhere.
    Nowhere,
}

/// The points of one way; those that are left are handed out one by one.
pub struct Points {
    all: Vec<Interruption>,
    left: Mutex<Vec<(Interruption, usize)>>,
}

impl Points {
    /// The points of a look that invoked these functions.
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

    /// All of them.
    pub fn all(&self) -> Vec<Interruption> {
        self.all.clone()
    }

    /// The next one that is left.
    pub fn next(&self) -> Option<(Interruption, usize)> {
        self.left().pop()
    }

    /// Gives one back that was not reached.
    pub fn missed(&self, point: Interruption, tries: usize) -> Result<()> {
        ensure!(tries > 1, "no look came to {point:?}");
        self.left().push((point, tries - 1));
        Ok(())
    }

    /// Whether none is left.
    pub fn are_done(&self) -> bool {
        self.left().is_empty()
    }

    fn left(&self) -> MutexGuard<'_, Vec<(Interruption, usize)>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every so many of the points after calls that write.
fn writes(
    calls: impl Iterator<Item = (Interruption, usize)>,
    every: usize,
) -> impl Iterator<Item = Interruption> {
    calls.map(|(point, _)| point).filter(|point| point.when == When::After).step_by(every)
}

/// Of the invocations of each function, the one that made most calls.
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

/// Before each call that reads and after each that writes; with how many calls the function makes after that one.
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

/// By its name.
fn is_write(call: &str) -> bool {
    let operation = call.split_once(':').map_or(call, |(_, operation)| operation);
    !["Get", "GET", "Describe", "List", "Query"].iter().any(|verb| operation.starts_with(verb))
}

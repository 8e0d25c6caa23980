//! What must change in a key policy so that it admits the targets of every live share; data, no effects.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::key_policy::{KeyPolicy, SIZE_LIMIT};
use crate::key_statements::{KeyPrincipal, read_statements, statements_for};

/// The difference between what a key policy admits and what it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPlan {
    /// Whom the new policy admits that the old one does not.
    pub added: Vec<KeyPrincipal>,
    /// Whom the old policy admits and the new one does not.
    pub removed: Vec<KeyPrincipal>,
    /// Whom it should admit, had it room: the newest comers, so that nobody loses what they have.
    pub no_room: Vec<KeyPrincipal>,
    /// The policy to put; `None` when the live one is right already, or cannot be mended within the limit.
    pub document: Option<String>,
    /// The size of the policy that results, in bytes.
    pub bytes: usize,
}

/// Plans the policy that admits `wanted` besides everybody whom our statements admit already.
///
/// Extending never takes anybody out: taking is another step, after the image and its snapshots are closed.
pub fn extend(policy: &KeyPolicy, wanted: &BTreeSet<KeyPrincipal>, partition: &str) -> KeyPlan {
    let live = read_statements(policy.ours(), partition);
    let missing: Vec<KeyPrincipal> = wanted.difference(&live.principals).cloned().collect();
    let fitting = fitting(policy, &live.principals, &missing, partition);
    let (added, no_room) = missing.split_at(fitting);
    let is_right = added.is_empty() && live.is_exact;
    // Mending our own statements may take more room than there is; then they stay as they are.
    let document = Some(policy.with(&statements(&live.principals, added, partition)))
        .filter(|document| !is_right && document.len() <= SIZE_LIMIT);
    KeyPlan {
        bytes: document.as_ref().map_or_else(|| policy.bytes(), String::len),
        added: added.to_vec(),
        removed: Vec::new(),
        no_room: no_room.to_vec(),
        document,
    }
}

/// Plans the policy that admits nobody of `leaving` any more, and everybody else as before.
pub fn retract(policy: &KeyPolicy, leaving: &BTreeSet<KeyPrincipal>, partition: &str) -> KeyPlan {
    let live = read_statements(policy.ours(), partition).principals;
    let staying: BTreeSet<KeyPrincipal> = live.difference(leaving).cloned().collect();
    let removed: Vec<KeyPrincipal> = live.intersection(leaving).cloned().collect();
    let document = Some(policy.with(&statements_for(&staying, partition)))
        .filter(|document| !removed.is_empty() && document.len() <= SIZE_LIMIT);
    KeyPlan {
        bytes: document.as_ref().map_or_else(|| policy.bytes(), String::len),
        added: Vec::new(),
        removed,
        no_room: Vec::new(),
        document,
    }
}

/// The policy that admits exactly `principals` by our statements.
pub fn admitting(policy: &KeyPolicy, principals: &[KeyPrincipal], partition: &str) -> String {
    policy.with(&statements(&BTreeSet::new(), principals, partition))
}

/// Whom our statements in `policy` admit now.
pub fn admitted(policy: &KeyPolicy, partition: &str) -> BTreeSet<KeyPrincipal> {
    read_statements(policy.ours(), partition).principals
}

fn statements(live: &BTreeSet<KeyPrincipal>, added: &[KeyPrincipal], partition: &str) -> Vec<Value> {
    let all: BTreeSet<KeyPrincipal> = live.iter().chain(added).cloned().collect();
    statements_for(&all, partition)
}

/// How many of `missing` the policy has room for. Each one makes the policy larger, so a binary search finds it.
fn fitting(
    policy: &KeyPolicy,
    live: &BTreeSet<KeyPrincipal>,
    missing: &[KeyPrincipal],
    partition: &str,
) -> usize {
    let fits = |count: &usize| {
        let added = missing.get(..*count).unwrap_or(missing);
        policy.with(&statements(live, added, partition)).len() <= SIZE_LIMIT
    };
    let counts: Vec<usize> = (1..=missing.len()).collect();
    counts.partition_point(fits)
}

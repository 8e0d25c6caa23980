//! What must change in a key policy so that it admits the targets of every live share; data, no effects.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::key::policy::{KeyPolicy, SIZE_LIMIT};
use crate::key::statements::{read_statements, statements_for};
use crate::targets::target::KeyPrincipal;

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

/// Plans the policy that admits `desired` besides everybody whom our statements admit already.
///
/// Extending never takes anybody out: taking is another step, after the image and its snapshots are closed.
pub fn grant(policy: &KeyPolicy, desired: &BTreeSet<KeyPrincipal>, partition: &str) -> KeyPlan {
    let actual = read_statements(policy.managed(), partition);
    let missing: Vec<KeyPrincipal> = desired.difference(&actual.principals).cloned().collect();
    let fitting = fitting(policy, &actual.principals, &missing, partition);
    let (added, no_room) = missing.split_at(fitting);
    let is_right = added.is_empty() && actual.is_exact;
    // Mending our own statements may take more room than there is; then they stay as they are.
    let document = Some(policy.with(&statements(&actual.principals, added, partition)))
        .filter(|document| !is_right && document.len() <= SIZE_LIMIT);
    KeyPlan {
        bytes: document.as_ref().map_or_else(|| policy.bytes(), String::len),
        added: added.to_vec(),
        removed: Vec::new(),
        no_room: no_room.to_vec(),
        document,
    }
}

/// Plans the policy that admits nobody of `pending_revocation` any more, and everybody else as before.
pub fn revoke(policy: &KeyPolicy, pending_revocation: &BTreeSet<KeyPrincipal>, partition: &str) -> KeyPlan {
    let actual = read_statements(policy.managed(), partition).principals;
    let staying: BTreeSet<KeyPrincipal> = actual.difference(pending_revocation).cloned().collect();
    let removed: Vec<KeyPrincipal> = actual.intersection(pending_revocation).cloned().collect();
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
pub fn granting(policy: &KeyPolicy, principals: &[KeyPrincipal], partition: &str) -> String {
    policy.with(&statements(&BTreeSet::new(), principals, partition))
}

/// Whom our statements in `policy` admit now.
pub fn granted(policy: &KeyPolicy, partition: &str) -> BTreeSet<KeyPrincipal> {
    read_statements(policy.managed(), partition).principals
}

fn statements(actual: &BTreeSet<KeyPrincipal>, added: &[KeyPrincipal], partition: &str) -> Vec<Value> {
    let all: BTreeSet<KeyPrincipal> = actual.iter().chain(added).cloned().collect();
    statements_for(&all, partition)
}

/// How many of `missing` the policy has room for. Each one makes the policy larger, so a binary search finds it.
fn fitting(
    policy: &KeyPolicy,
    actual: &BTreeSet<KeyPrincipal>,
    missing: &[KeyPrincipal],
    partition: &str,
) -> usize {
    let fits = |count: &usize| {
        let added = missing.get(..*count).unwrap_or(missing);
        policy.with(&statements(actual, added, partition)).len() <= SIZE_LIMIT
    };
    let counts: Vec<usize> = (1..=missing.len()).collect();
    counts.partition_point(fits)
}

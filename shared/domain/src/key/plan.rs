//! What must change in a key policy so that it allows the targets of every share; data, no effects.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::key::policy::{KeyPolicy, SIZE_LIMIT};
use crate::key::statements::{read_statements, statements_for};
use crate::targets::target::KeyPrincipal;

/// The difference between what a key policy allows and what it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPlan {
    /// The principals that only the new policy allows.
    pub added: Vec<KeyPrincipal>,
    /// The principals that only the old policy allows.
    pub removed: Vec<KeyPrincipal>,
    /// The principals that the policy has no room for: always new ones, so that no target loses its access.
    pub no_room: Vec<KeyPrincipal>,
    /// The policy to put; `None` when the actual one is right, or cannot be repaired within the limit.
    pub document: Option<String>,
    /// The size of the policy that results, in bytes.
    pub bytes: usize,
}

/// Plans the policy that allows `desired` besides all principals that the statements of ami-share allow already.
///
/// A grant never removes a principal: revoking is another step, after the image and its snapshots are revoked.
pub fn grant(policy: &KeyPolicy, desired: &BTreeSet<KeyPrincipal>, partition: &str) -> KeyPlan {
    let actual = read_statements(policy.managed(), partition);
    let missing: Vec<KeyPrincipal> = desired.difference(&actual.principals).cloned().collect();
    let fitting = fitting(policy, &actual.principals, &missing, partition);
    let (added, no_room) = missing.split_at(fitting);
    let is_right = added.is_empty() && actual.is_exact;
    // To repair the statements of ami-share may take more room than there is; then they stay as they are.
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

/// Plans the policy that no longer allows `pending_revocation`, and all other principals as before.
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

/// The policy whose statements of ami-share allow exactly `principals`.
pub fn granting(policy: &KeyPolicy, principals: &[KeyPrincipal], partition: &str) -> String {
    policy.with(&statements(&BTreeSet::new(), principals, partition))
}

/// The principals that the statements of ami-share in `policy` allow now.
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

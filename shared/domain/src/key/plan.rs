//! What must change in a key policy so that it allows the targets of every share; data, no effects.

use std::collections::BTreeSet;

use crate::key::policy::{KeyPolicy, SIZE_LIMIT};
use crate::key::statements::Granted;
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
    /// What the statements of ami-share in the new policy grant.
    pub granted: Granted,
    /// The policy to put; `None` when the actual one is right, or cannot be repaired within the limit.
    pub document: Option<String>,
    /// The size of the policy that results, in bytes.
    pub bytes: usize,
}

/// Plans the policy that allows `desired` besides all principals that the statements of ami-share allow already.
///
/// A grant never removes a principal: revoking is another step, after the image and its snapshots are revoked. A
/// principal that is in one kind of statement only stays as it is, unless it is desired: access that was added out of
/// band is never widened.
pub fn grant(policy: &KeyPolicy, desired: &BTreeSet<KeyPrincipal>, partition: &str) -> KeyPlan {
    let actual = policy.granted();
    let missing: Vec<KeyPrincipal> = desired.difference(&actual.complete()).cloned().collect();
    let fitting = fitting(policy, &actual, &missing, partition);
    let (added, no_room) = missing.split_at(fitting);
    let is_right = added.is_empty() && policy.is_exact(partition);
    let granted = actual.with(&added.iter().cloned().collect());
    // To repair the statements of ami-share may take more room than there is; then they stay as they are.
    let document = Some(policy.granting(&granted, partition))
        .filter(|document| !is_right && document.len() <= SIZE_LIMIT);
    KeyPlan {
        bytes: document.as_ref().map_or_else(|| policy.bytes(), String::len),
        added: added.to_vec(),
        removed: Vec::new(),
        no_room: no_room.to_vec(),
        granted,
        document,
    }
}

/// Plans the policy that no longer allows `pending_revocation`, and all other principals as before.
pub fn revoke(policy: &KeyPolicy, pending_revocation: &BTreeSet<KeyPrincipal>, partition: &str) -> KeyPlan {
    let actual = policy.granted();
    let removed: Vec<KeyPrincipal> = actual.named().intersection(pending_revocation).cloned().collect();
    let granted = actual.without(pending_revocation);
    let document = Some(policy.granting(&granted, partition))
        .filter(|document| !removed.is_empty() && document.len() <= SIZE_LIMIT);
    KeyPlan {
        bytes: document.as_ref().map_or_else(|| policy.bytes(), String::len),
        added: Vec::new(),
        removed,
        no_room: Vec::new(),
        granted,
        document,
    }
}

/// How many of `missing` the policy has room for. Each one makes the policy larger, so a binary search finds it.
fn fitting(policy: &KeyPolicy, actual: &Granted, missing: &[KeyPrincipal], partition: &str) -> usize {
    let fits = |count: &usize| {
        let added = missing.get(..*count).unwrap_or(missing).iter().cloned().collect();
        policy.granting(&actual.with(&added), partition).len() <= SIZE_LIMIT
    };
    let counts: Vec<usize> = (1..=missing.len()).collect();
    counts.partition_point(fits)
}

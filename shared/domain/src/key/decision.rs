//! The decision on one key: the principals that its policy must allow, those that it may still allow without need, and
//! the plan to grant or to revoke. Of a key that cannot be read, only the ledger is known.

use std::collections::BTreeSet;

use crate::key;
use crate::key::access::{Access, KeyAccess};
use crate::key::ledger::KeyLedger;
use crate::key::plan::KeyPlan;
use crate::key::policy::{KeyPolicy, StatementName};
use crate::key::request::{Excluded, KeyAction, KeyOutcome, KeyRequest};
use crate::key::statements::Granted;
use crate::refusal::RefusalReason;
use crate::targets::target::KeyPrincipal;
use crate::targets::target::Target;

/// What a reconciliation decides on one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyDecision {
    /// What the statements of ami-share grant now.
    pub actual: Granted,
    /// The principals that the policy must allow.
    pub desired: BTreeSet<KeyPrincipal>,
    /// The principals that the image no longer needs, and that the ledger does not yet show as released.
    pub released: BTreeSet<KeyPrincipal>,
    /// The principals that the policy may still allow although no share needs them. Only these are ever revoked: of a
    /// principal that the ledger does not know, it cannot know that no share needs it.
    pub pending_revocation: BTreeSet<KeyPrincipal>,
    /// The principals that were added to one kind of statement out of band: the ledger does not know them. They stay
    /// where they are, and get nothing more.
    pub unmanaged_in_part: BTreeSet<KeyPrincipal>,
    /// The foreign statements with a Sid of ami-share that may still allow principals to revoke, which ami-share does not
    /// change.
    pub still_named: Vec<(StatementName, BTreeSet<KeyPrincipal>)>,
    /// The target accounts of the image that a statement of the policy denies access, with what they are refused for. They get
    /// nothing new.
    pub denied: Vec<Excluded>,
    /// The policy to put.
    pub plan: KeyPlan,
}

impl KeyDecision {
    /// Decides by the ledger and the actual policy.
    pub fn of(request: &KeyRequest, ledger: &KeyLedger, policy: &KeyPolicy) -> Self {
        let own = request.desired();
        let mut desired = ledger.required_by(&request.image_id, &own);
        if request.dry_run {
            // A dry run has recorded no intent in the ledger.
            desired.extend(request.targets.iter().map(Target::key_principal));
        }
        let denied = denied(request, policy);
        desired.retain(|principal| !denied.iter().any(|denied| denied.subject == *principal));
        let Departing { released, pending_revocation } = Departing::of(request, ledger);
        let partition = request.key.partition();
        let plan = match request.action {
            KeyAction::Grant => key::plan::grant(policy, &desired, partition),
            KeyAction::Revoke => key::plan::revoke(policy, &pending_revocation, partition),
        };
        let actual = policy.granted();
        let known = &(&desired | &ledger.pending_revocation()) | &released;
        let to_revoke = &pending_revocation | &released;
        let changed = policy.changed_out_of_band().into_iter();
        let still_named = changed.map(|(name, principals)| (name, &principals & &to_revoke));
        Self {
            unmanaged_in_part: &actual.in_part() - &known,
            still_named: still_named.filter(|(_, principals)| !principals.is_empty()).collect(),
            actual,
            desired,
            released,
            pending_revocation,
            denied,
            plan,
        }
    }

    /// What a revocation is about: the principals to remove, and those that only this image releases.
    pub fn to_revoke(&self) -> BTreeSet<KeyPrincipal> {
        &self.pending_revocation | &self.released
    }

    /// The principals that the policy names before and after the plan, apart from those that the plan adds.
    pub fn staying(&self) -> BTreeSet<KeyPrincipal> {
        let changed = self.plan.removed.iter().chain(&self.plan.added).cloned().collect();
        self.actual.without(&changed).named()
    }

    /// The principals whose access is revoked, and that a statement changed out of band may still allow.
    pub fn not_revoked(&self) -> BTreeSet<KeyPrincipal> {
        self.still_named.iter().flat_map(|(_, principals)| principals.clone()).collect()
    }
}

/// The target accounts of a grant that the policy denies access, whatever ami-share writes. Of OUs and organizations, and of a
/// Deny that cannot be evaluated, that is not known.
fn denied(request: &KeyRequest, policy: &KeyPolicy) -> Vec<Excluded> {
    if request.action == KeyAction::Revoke {
        return Vec::new();
    }
    let access = KeyAccess::of(&request.key, policy);
    let denied = request.targets.iter().filter_map(|target| match target {
        Target::Account { id, .. } => match access.decide(id) {
            Access::Denied { by, action } => Some(Excluded {
                subject: target.key_principal(),
                reason: RefusalReason::DeniedByPolicy {
                    key: request.key.clone(),
                    statement: by.to_string(),
                    action: action.to_owned(),
                },
            }),
            _ => None,
        },
        Target::Ou { .. } | Target::Organization { .. } => None,
    });
    denied.collect()
}

/// The principals that a key may lose, by the ledger alone.
struct Departing {
    released: BTreeSet<KeyPrincipal>,
    pending_revocation: BTreeSet<KeyPrincipal>,
}

impl Departing {
    fn of(request: &KeyRequest, ledger: &KeyLedger) -> Self {
        let released = ledger.released_by(&request.image_id, &request.desired());
        let pending_revocation = match request.action {
            // The image's release is on record before the lease of the key is taken. Under the lease it must not count
            // again: a later intent may have needed the principal since, and found it granted.
            KeyAction::Revoke if !request.dry_run => ledger.pending_revocation(),
            _ => &ledger.pending_revocation() | &(&released - &ledger.required_by_others(&request.image_id)),
        };
        Self { released, pending_revocation }
    }
}

/// The outcome of a key that cannot be read, as `refusal` says. It grants nothing, and holds up no revocation: access to
/// the image is revoked all the same, and the ledger keeps the pending revocation until the key can be read again.
pub fn unread(request: &KeyRequest, ledger: &KeyLedger, refusal: RefusalReason) -> KeyOutcome {
    let Departing { released, pending_revocation } = Departing::of(request, ledger);
    let refused = match request.action {
        KeyAction::Grant => Some(refusal),
        KeyAction::Revoke if pending_revocation.is_empty() => None,
        KeyAction::Revoke => Some(RefusalReason::MayStillGrant {
            key: request.key.clone(),
            principals: pending_revocation.iter().map(ToString::to_string).collect(),
            because: Box::new(refusal),
        }),
    };
    KeyOutcome {
        pending_revocation: pending_revocation.union(&released).cloned().collect(),
        refused,
        ..KeyOutcome::unchanged(&request.key)
    }
}

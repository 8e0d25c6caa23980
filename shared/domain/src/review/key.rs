//! A key as a review sees it: what its policy allows, which images need it, and whether a reconciliation could change it.

use std::collections::BTreeSet;

use crate::ids::{AccountId, ImageId, KeyArn};
use crate::key;
use crate::key::ledger::{KeyLedger, Need};
use crate::key::observed::ObservedKey;
use crate::key::plan::KeyPlan;
use crate::key::policy::{KeyPolicy, SIZE_LIMIT};
use crate::key::rejection::refuse_deleted_principals;
use crate::key::statements::Granted;
use crate::refusal::RefusalReason;
use crate::review::report::ReviewedKey;
use crate::targets::target::KeyPrincipal;

/// A key as it is, and what the ledger says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReviewedKeyState {
    /// Its ARN.
    pub arn: KeyArn,
    /// Its policy; `None` when the key does not exist any more, or its policy cannot be read.
    pub policy: Option<KeyPolicy>,
    /// Whether it does not exist any more.
    pub is_gone: bool,
    /// Which images need it.
    pub ledger: KeyLedger,
    /// Why a reconciliation could not change its policy; `None` when it could.
    pub problem: Option<RefusalReason>,
}

/// Why a reconciliation in the account `hub` could not change the policy of a key; `None` when it could.
pub fn problem(key: &ObservedKey, policy: &KeyPolicy, hub: &AccountId) -> Option<RefusalReason> {
    key.refuse_grant(hub).or_else(|| refuse_deleted_principals(&key.arn, policy))
}

impl ReviewedKeyState {
    /// A key that does not exist any more.
    pub fn gone(arn: KeyArn, ledger: KeyLedger) -> Self {
        let problem = Some(RefusalReason::MissingKey { key: arn.clone() });
        Self { arn, policy: None, is_gone: true, ledger, problem }
    }

    /// A key whose policy is not known, as `problem` says.
    pub fn unreadable(arn: KeyArn, ledger: KeyLedger, problem: RefusalReason) -> Self {
        Self { arn, policy: None, is_gone: false, ledger, problem: Some(problem) }
    }

    /// The principals that have all that ami-share grants.
    pub fn actual(&self) -> BTreeSet<KeyPrincipal> {
        self.granted().complete()
    }

    fn granted(&self) -> Granted {
        self.policy.as_ref().map(KeyPolicy::granted).unwrap_or_default()
    }

    /// The plan of a reconciliation that lets the policy allow `desired`; `None` without a policy.
    pub(crate) fn plan(&self, desired: &BTreeSet<KeyPrincipal>) -> Option<KeyPlan> {
        Some(key::plan::grant(self.policy.as_ref()?, desired, self.arn.partition()))
    }

    /// What the ledger says that `image` needs.
    pub(crate) fn need(&self, image: &ImageId) -> Need {
        self.ledger.needed_by.get(image).cloned().unwrap_or_default()
    }

    /// The image that lost most by out-of-band changes of the policy: its reconciliation restores them, and reports most of
    /// the targets. `None` when no image needs the key. A reconciliation of any image on the key restores what all need.
    pub fn worst_hit(&self) -> Option<&ImageId> {
        let actual = self.actual();
        let is_lost = |need: &Need, principal: &KeyPrincipal| {
            !actual.contains(principal) && !need.excluded.contains(principal)
        };
        let lost = |need: &Need| need.principals.iter().filter(|principal| is_lost(need, principal)).count();
        let needing = self.ledger.needed_by.iter().filter(|(_, need)| !need.principals.is_empty());
        needing.max_by_key(|(_, need)| lost(need)).map(|(image, _)| image)
    }

    /// The key as the access review shows it.
    pub fn reviewed(&self) -> ReviewedKey {
        let actual = self.granted().named();
        let needed: BTreeSet<&KeyPrincipal> =
            self.ledger.needed_by.values().flat_map(|need| &need.principals).collect();
        let unneeded = actual.iter().filter(|principal| !needed.contains(principal));
        let bytes = self.policy.as_ref().map_or(0, KeyPolicy::bytes);
        ReviewedKey {
            arn: self.arn.clone(),
            bytes,
            limit: SIZE_LIMIT,
            unneeded: unneeded.map(ToString::to_string).collect(),
            granted: actual.iter().map(ToString::to_string).collect(),
            images: self.ledger.needed_by.values().filter(|need| !need.principals.is_empty()).count(),
            problem: self.problem.clone(),
        }
    }
}

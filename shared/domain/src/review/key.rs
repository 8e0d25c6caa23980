//! A key as a review sees it: whom its policy admits, who needs it, and whether a look could change it.

use std::collections::BTreeSet;

use crate::ids::{ImageId, KeyArn};
use crate::key;
use crate::key::ledger::{KeyLedger, Need};
use crate::key::lockout::{
    Caller, ObservedKey, dangling_principals, missing, refuse_broken, refuse_key, refuse_lock_out,
};
use crate::key::plan::KeyPlan;
use crate::key::policy::{KeyPolicy, SIZE_LIMIT};
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
    /// Who needs it.
    pub ledger: KeyLedger,
    /// Why a look could not change its policy; `None` when it could.
    pub problem: Option<String>,
}

/// Why a look, acting as `caller`, could not change the policy of a key; `None` when it could.
pub fn problem(key: &ObservedKey, policy: &KeyPolicy, caller: &Caller) -> Option<String> {
    let is_broken = !dangling_principals(policy).is_empty();
    let refusal = refuse_key(key, &caller.account)
        .or_else(|| is_broken.then(|| refuse_broken(&key.arn, policy, "")))
        .or_else(|| refuse_lock_out(&key.arn, policy, caller));
    refusal.map(|refusal| refusal.reason)
}

impl ReviewedKeyState {
    /// A key that does not exist any more.
    pub fn gone(arn: KeyArn, ledger: KeyLedger) -> Self {
        let problem = Some(missing(&arn).reason);
        Self { arn, policy: None, is_gone: true, ledger, problem }
    }

    /// A key whose policy cannot be read, as `reason` says.
    pub fn unreadable(arn: KeyArn, ledger: KeyLedger, reason: String) -> Self {
        Self { arn, policy: None, is_gone: false, ledger, problem: Some(reason) }
    }

    /// Whom our statements admit.
    pub fn actual(&self) -> BTreeSet<KeyPrincipal> {
        let policy = self.policy.as_ref();
        policy.map(|policy| key::plan::granted(policy, self.arn.partition())).unwrap_or_default()
    }

    /// What a look would make of the policy so that it admits `desired`; `None` without a policy.
    pub(crate) fn plan(&self, desired: &BTreeSet<KeyPrincipal>) -> Option<KeyPlan> {
        Some(key::plan::grant(self.policy.as_ref()?, desired, self.arn.partition()))
    }

    /// What the ledger says that `image` needs.
    pub(crate) fn need(&self, image: &ImageId) -> Need {
        self.ledger.needed_by.get(image).cloned().unwrap_or_default()
    }

    /// The image whose look mends most of what somebody took out of the policy, and can say whose access that
    /// was; `None` when no image needs the key. Any look at an image on the key restores what all of them need.
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
        let actual = self.actual();
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

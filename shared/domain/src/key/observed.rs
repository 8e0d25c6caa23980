//! A key as AWS describes it, and why ami-share must not change its policy.

use crate::ids::{AccountId, KeyArn};
use crate::refusal::RefusalReason;

/// A key as AWS describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedKey {
    /// Its ARN.
    pub arn: KeyArn,
    /// Whether AWS manages it (`aws/ebs`), so that its policy cannot be changed.
    pub is_aws_managed: bool,
    /// Whether it can be used: neither disabled nor pending deletion.
    pub is_enabled: bool,
    /// Whether it carries `ami-share:managed = true`.
    pub is_managed: bool,
}

impl ObservedKey {
    /// Why an image on this key cannot be shared by the account `hub`; `None` when it can.
    pub fn refuse_grant(&self, hub: &AccountId) -> Option<RefusalReason> {
        let key = || self.arn.clone();
        if self.is_aws_managed {
            Some(RefusalReason::AwsManagedKey)
        } else if self.arn.account().as_ref() != Some(hub) {
            Some(RefusalReason::ForeignKey { key: key() })
        } else if !self.is_enabled {
            Some(RefusalReason::DisabledKey { key: key() })
        } else if !self.is_managed {
            Some(RefusalReason::UntaggedKey { key: key() })
        } else {
            None
        }
    }

    /// Why no principal can be removed from this key's policy; `None` when it can. KMS accepts a new policy of a key
    /// that is disabled or pending deletion, too, and such a key may be enabled again. Source:
    /// <https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html#key-state-table>
    pub fn refuse_revocation(&self, hub: &AccountId) -> Option<RefusalReason> {
        Self { is_enabled: true, ..self.clone() }.refuse_grant(hub)
    }
}

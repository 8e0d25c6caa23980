//! Puts a policy; when KMS rejects it, finds the principals that it does not take and puts the rest.

use std::collections::BTreeSet;

use ami_share_aws::keys::{KeyWriter, Put};
use ami_share_aws::turns::Turn;
use ami_share_domain::ids::KeyArn;
use ami_share_domain::isolation::Isolation;
use ami_share_domain::key_guard::{dangling_principals, refuse_broken};
use ami_share_domain::key_plan;
use ami_share_domain::key_policy::KeyPolicy;
use ami_share_domain::key_statements::KeyPrincipal;
use ami_share_domain::refusal::{Refusal, RefusalCode};
use ami_share_domain::share::LeftOut;
use ami_share_lambda::Failure;

/// What came of putting.
pub(crate) enum PutResult {
    /// The policy admits `admitted`; KMS did not take `rejected`.
    Accepted { admitted: BTreeSet<KeyPrincipal>, rejected: Vec<LeftOut> },
    /// KMS takes no change of this policy at all; the old one stands.
    Broken(Refusal),
}

/// One key whose turn we have.
pub(crate) struct Putting<'a> {
    pub(crate) key: &'a KeyArn,
    pub(crate) policy: &'a KeyPolicy,
    pub(crate) writer: KeyWriter,
    pub(crate) turn: &'a Turn,
}

impl Putting<'_> {
    /// Puts `document`, which admits `added` besides those admitted already.
    pub(crate) async fn put(&self, document: &str, added: &[KeyPrincipal]) -> Result<PutResult, Failure> {
        let live = key_plan::admitted(self.policy, self.key.partition());
        let Put::Rejected(message) = self.put_once(document).await? else {
            let admitted = live.into_iter().chain(added.iter().cloned()).collect();
            return Ok(PutResult::Accepted { admitted, rejected: Vec::new() });
        };
        if !dangling_principals(self.policy).is_empty() {
            return Ok(PutResult::Broken(refuse_broken(self.key, self.policy, &message)));
        }
        // Is it a newcomer that KMS does not take, or does the policy not even go back as it was?
        let live: Vec<KeyPrincipal> = live.into_iter().collect();
        match self.put_once(&self.document(&live)).await? {
            Put::Accepted => self.isolate(live, added.to_vec(), None).await,
            // Then one of ours may have gone since (a closed account): all of them are suspects. While the
            // halves are tried, good ones among them are shut out for a second or two; the alternative is
            // a policy that can never be changed again.
            Put::Rejected(message) => {
                let suspects = live.into_iter().chain(added.iter().cloned()).collect();
                self.isolate(Vec::new(), suspects, Some(message)).await
            }
        }
    }

    /// Finds who of `suspects` is rejected. All of them at once have been tried already. `doubt` is what KMS
    /// said of the policy without newcomers, when it took that no more than the rest.
    async fn isolate(
        &self,
        sure: Vec<KeyPrincipal>,
        suspects: Vec<KeyPrincipal>,
        doubt: Option<String>,
    ) -> Result<PutResult, Failure> {
        let mut isolation = Isolation::new(suspects);
        isolation.answer(false);
        while let Some(group) = isolation.next_group() {
            let principals = [&sure, isolation.accepted(), group].concat();
            let put = self.put_once(&self.document(&principals)).await?;
            isolation.answer(put == Put::Accepted);
        }
        let (accepted, rejected) = isolation.finish();
        match doubt {
            Some(message) if accepted.is_empty() => {
                Ok(PutResult::Broken(refuse_broken(self.key, self.policy, &message)))
            }
            _ => Ok(PutResult::Accepted {
                admitted: sure.into_iter().chain(accepted).collect(),
                rejected: rejected.iter().map(|principal| left_out(self.key, principal)).collect(),
            }),
        }
    }

    fn document(&self, principals: &[KeyPrincipal]) -> String {
        key_plan::admitting(self.policy, principals, self.key.partition())
    }

    async fn put_once(&self, document: &str) -> Result<Put, Failure> {
        self.turn.renew().await?;
        Ok(self.writer.put(self.key, document).await?)
    }
}

fn left_out(key: &KeyArn, principal: &KeyPrincipal) -> LeftOut {
    LeftOut {
        principal: principal.clone(),
        code: RefusalCode::RejectedByAws,
        reason: format!(
            "KMS does not take {principal} in the policy of {}: no such account, or it is closed; remove it from the tag",
            key.short()
        ),
    }
}

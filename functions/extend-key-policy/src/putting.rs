//! Puts a policy; when KMS rejects it, finds the principals that KMS rejects and puts the rest.

use std::collections::BTreeSet;

use ami_share_aws::error::Fault;
use ami_share_aws::keys::{KeyWriter, Put};
use ami_share_aws::ledger::leases::Lease;
use ami_share_domain::ids::KeyArn;
use ami_share_domain::isolation::Isolation;
use ami_share_domain::key;
use ami_share_domain::key::policy::KeyPolicy;
use ami_share_domain::key::rejection::{refuse_broken, refuse_deleted_principals};
use ami_share_domain::key::request::Excluded;
use ami_share_domain::refusal::{Refusal, RefusalReason};
use ami_share_domain::targets::target::KeyPrincipal;
use ami_share_lambda::Failure;

/// What came of putting.
pub(crate) enum PutResult {
    /// The policy was changed.
    Accepted(Accepted),
    /// KMS rejects every change of this policy; the old one is in force.
    Broken(RefusalReason),
}

/// A policy that was put.
pub(crate) struct Accepted {
    /// What it allows.
    pub(crate) granted: BTreeSet<KeyPrincipal>,
    /// What KMS rejected.
    pub(crate) rejected: Vec<Excluded>,
    /// Its size.
    pub(crate) bytes: usize,
    /// AWS's id of the last put.
    pub(crate) request_id: Option<String>,
}

/// One key whose lease this function holds.
pub(crate) struct Putting<'a> {
    pub(crate) key: &'a KeyArn,
    pub(crate) policy: &'a KeyPolicy,
    pub(crate) writer: KeyWriter,
    pub(crate) lease: &'a Lease,
}

impl Putting<'_> {
    /// Puts `document`, which allows `staying` and, newly, `added`.
    pub(crate) async fn put(
        &self,
        document: &str,
        staying: &BTreeSet<KeyPrincipal>,
        added: &[KeyPrincipal],
    ) -> Result<PutResult, Failure> {
        let message = match self.put_once(document).await? {
            Put::Accepted { request_id } => {
                let granted = staying.iter().chain(added).cloned().collect();
                let bytes = document.len();
                return Ok(PutResult::Accepted(Accepted {
                    granted,
                    rejected: Vec::new(),
                    bytes,
                    request_id,
                }));
            }
            Put::Rejected(message) => message,
        };
        if let Some(reason) = refuse_deleted_principals(self.key, self.policy) {
            return Ok(PutResult::Broken(reason));
        }
        let staying: Vec<KeyPrincipal> = staying.iter().cloned().collect();
        // Does KMS reject a new principal, or even the policy as it was?
        let doubt = match added {
            [] => Some(message),
            _ => match self.put_once(&self.document(&staying)).await? {
                Put::Accepted { .. } => None,
                Put::Rejected(message) => Some(message),
            },
        };
        match doubt {
            None => self.isolate(staying, added.to_vec(), None).await,
            // Then a managed principal may not exist any more (a closed account): all of them are suspects. While the
            // halves are tried, good ones among them lose access for a second or two; the alternative is a policy that
            // can never be changed again.
            Some(message) => self.isolate(Vec::new(), [&staying, added].concat(), Some(message)).await,
        }
    }

    /// Finds which of `suspects` KMS rejects. All of them at once have been tried already. `doubt` is what KMS said of the
    /// policy without new principals, if it rejected that, too.
    async fn isolate(
        &self,
        sure: Vec<KeyPrincipal>,
        suspects: Vec<KeyPrincipal>,
        doubt: Option<String>,
    ) -> Result<PutResult, Failure> {
        let mut isolation = Isolation::new(suspects);
        let mut last_request = None;
        isolation.answer(false);
        while let Some(group) = isolation.next_group() {
            let principals = [&sure, isolation.accepted(), group].concat();
            let put = self.put_once(&self.document(&principals)).await?;
            isolation.answer(matches!(put, Put::Accepted { .. }));
            if let Put::Accepted { request_id } = put {
                last_request = request_id;
            }
        }
        let (accepted, rejected) = isolation.finish();
        match doubt {
            Some(message) if accepted.is_empty() => {
                Ok(PutResult::Broken(refuse_broken(self.key, self.policy, &message)))
            }
            _ => {
                let granted = [sure, accepted].concat();
                Ok(PutResult::Accepted(Accepted {
                    bytes: self.document(&granted).len(),
                    granted: granted.into_iter().collect(),
                    rejected: rejected.iter().map(|principal| excluded(self.key, principal)).collect(),
                    request_id: last_request,
                }))
            }
        }
    }

    fn document(&self, principals: &[KeyPrincipal]) -> String {
        key::plan::granting(self.policy, principals, self.key.partition())
    }

    async fn put_once(&self, document: &str) -> Result<Put, Failure> {
        self.lease.renew().await?;
        match self.writer.put(self.key, document).await {
            // The key carries the tag by now, but to IAM it may take up to five minutes to count. Source:
            // <https://docs.aws.amazon.com/kms/latest/developerguide/abac.html>
            Err(error) if error.fault() == Fault::Denied => Err(Failure::NotReady(format!(
                "{error}; ami-share has tried for more than the five minutes that a new tag of a key may take to count"
            ))),
            put => Ok(put?),
        }
    }
}

fn excluded(key: &KeyArn, principal: &KeyPrincipal) -> Excluded {
    Refusal { subject: principal.clone(), reason: RefusalReason::KmsRejected { key: key.clone() } }
}

//! Puts a policy; when KMS rejects it, finds the principals that KMS rejects and puts the rest.
//!
//! KMS has no conditional write. So the policy is read once more right before each put: if another principal has changed it,
//! nothing is put, and the caller decides anew.

use std::collections::BTreeSet;

use ami_share_aws::error::Fault;
use ami_share_aws::keys::{KeyReader, KeyWriter, Put};
use ami_share_aws::ledger::leases::Lease;
use ami_share_domain::ids::KeyArn;
use ami_share_domain::key::plan::KeyPlan;
use ami_share_domain::key::policy::KeyPolicy;
use ami_share_domain::key::rejection::{RejectionCause, refuse_broken, refuse_deleted_principals};
use ami_share_domain::key::request::Excluded;
use ami_share_domain::key::search::{MAXIMUM_PUTS, PrincipalSearch, SearchResult};
use ami_share_domain::key::statements::Granted;
use ami_share_domain::refusal::{Refusal, RefusalReason};
use ami_share_domain::targets::target::KeyPrincipal;
use ami_share_lambda::Failure;

/// What came of putting.
pub(crate) enum PutResult {
    /// The policy was changed.
    Accepted(Accepted),
    /// KMS rejects every change of this policy; the old one is in force.
    Broken(RefusalReason),
    /// Another principal has changed the policy since the decision was made.
    Overtaken,
}

/// A policy that was put.
pub(crate) struct Accepted {
    /// What it grants.
    pub(crate) granted: Granted,
    /// The document.
    pub(crate) document: String,
    /// What KMS rejected, and what was not tried any more.
    pub(crate) excluded: Vec<Excluded>,
    /// AWS's id of the last put.
    pub(crate) request_id: Option<String>,
}

/// What came of one put.
enum Attempt {
    Accepted { request_id: Option<String> },
    Rejected(String),
    Overtaken,
}

/// One key whose lease this function holds, and the plan for its policy.
pub(crate) struct Putting<'a> {
    pub(crate) key: &'a KeyArn,
    /// The policy on which the plan was made.
    pub(crate) policy: &'a KeyPolicy,
    pub(crate) plan: &'a KeyPlan,
    /// The principals that the policy names before and after the plan, apart from those that the plan adds.
    pub(crate) staying: &'a BTreeSet<KeyPrincipal>,
    pub(crate) reader: &'a KeyReader,
    pub(crate) writer: KeyWriter,
    pub(crate) lease: &'a Lease,
}

/// The puts of one plan. KMS is eventually consistent, so a read may show any of the policies that are known: the one that
/// the plan was made on, and those that were put since.
struct Puts<'a> {
    putting: &'a Putting<'a>,
    known: Vec<KeyPolicy>,
}

impl Putting<'_> {
    /// Puts the `document` of the plan.
    pub(crate) async fn put(&self, document: &str) -> Result<PutResult, Failure> {
        let mut puts = Puts { putting: self, known: vec![self.policy.clone()] };
        let message = match puts.put(document).await? {
            Attempt::Overtaken => return Ok(PutResult::Overtaken),
            Attempt::Accepted { request_id } => {
                return Ok(PutResult::Accepted(Accepted {
                    granted: self.plan.granted.clone(),
                    document: document.to_owned(),
                    excluded: Vec::new(),
                    request_id,
                }));
            }
            Attempt::Rejected(message) => message,
        };
        if let Some(reason) = refuse_deleted_principals(self.key, self.policy) {
            return Ok(PutResult::Broken(reason));
        }
        match RejectionCause::of(&message) {
            RejectionCause::LockOut => Ok(self.broken(&message)),
            // Nothing was added, so no principal of ami-share is new, and the message blames none.
            RejectionCause::Document if self.plan.added.is_empty() => Ok(self.broken(&message)),
            RejectionCause::Document | RejectionCause::Principal => self.search(puts, message).await,
        }
    }

    /// Finds the principals that KMS rejects. While the halves are tried, good ones among those that stand may lose access
    /// for a second or two; the alternative is a policy that can never be changed again.
    async fn search(&self, mut puts: Puts<'_>, mut message: String) -> Result<PutResult, Failure> {
        let mut search = PrincipalSearch::new(self.staying, &self.plan.added);
        let mut last = None;
        while let Some(principals) = search.next_put() {
            let document = self.document(&principals);
            let is_accepted = match puts.put(&document).await? {
                Attempt::Overtaken => return Ok(PutResult::Overtaken),
                Attempt::Accepted { request_id } => {
                    last = Some((document, request_id));
                    true
                }
                Attempt::Rejected(said) => {
                    message = said;
                    false
                }
            };
            if !is_accepted && last.is_none() && RejectionCause::of(&message) != RejectionCause::Principal {
                return Ok(self.broken(&message));
            }
            search.answer(is_accepted);
        }
        let (SearchResult::Found { accepted, rejected, untried }, Some((document, request_id))) =
            (search.finish(), last)
        else {
            return Ok(self.broken(&message));
        };
        let key = self.key;
        let excluded = |principals: Vec<KeyPrincipal>, reason: RefusalReason| {
            let excluded = move |subject| Refusal { subject, reason: reason.clone() };
            principals.into_iter().map(excluded)
        };
        let rejected = excluded(rejected, RefusalReason::KmsRejected { key: key.clone() });
        let ended = RefusalReason::SearchEnded { key: key.clone(), puts: MAXIMUM_PUTS };
        Ok(PutResult::Accepted(Accepted {
            granted: self.plan.granted.only(&accepted),
            document,
            excluded: rejected.chain(excluded(untried, ended)).collect(),
            request_id,
        }))
    }

    fn document(&self, principals: &BTreeSet<KeyPrincipal>) -> String {
        self.policy.granting(&self.plan.granted.only(principals), self.key.partition())
    }

    fn broken(&self, message: &str) -> PutResult {
        PutResult::Broken(refuse_broken(self.key, self.policy, message))
    }
}

impl Puts<'_> {
    async fn put(&mut self, document: &str) -> Result<Attempt, Failure> {
        let Putting { key, reader, writer, lease, .. } = self.putting;
        lease.renew().await?;
        let is_known = |actual: &KeyPolicy| self.known.iter().any(|known| known.is_same(actual));
        if !KeyPolicy::parse(&reader.policy(key).await?).as_ref().is_ok_and(is_known) {
            return Ok(Attempt::Overtaken);
        }
        match writer.put(key, document).await {
            Ok(Put::Accepted { request_id }) => {
                self.known.extend(KeyPolicy::parse(document));
                Ok(Attempt::Accepted { request_id })
            }
            Ok(Put::Rejected(message)) => Ok(Attempt::Rejected(message)),
            // The key carries the tag by now, but to IAM it may take up to five minutes to count. Source:
            // <https://docs.aws.amazon.com/kms/latest/developerguide/abac.html>
            Err(error) if error.fault() == Fault::Denied => Err(Failure::NotReady(format!(
                "{error}; ami-share has tried for more than the five minutes that a new tag of a key may take to count"
            ))),
            Err(error) => Err(error.into()),
        }
    }
}

//! `extend-key-policy`: lets the policy of one KMS key allow the targets of every share, and revokes what no share needs any
//! more.
//!
//! Observe, plan, take the lease, observe again, check, read once more, put, read back. It changes no statement but those of ami-share,
//! and no key without the tag `ami-share:managed = true`.

mod outcome;
mod putting;

use std::collections::BTreeSet;

use ami_share_aws::error::{AwsError, Fault};
use ami_share_aws::keys::KeyReader;
use ami_share_aws::ledger::leases::{Lease, Leases};
use ami_share_aws::ledger::reader::LedgerReader;
use ami_share_aws::ledger::writer::LedgerWriter;
use ami_share_aws::retry;
use ami_share_domain::audit_log::{AuditAction, AuditRow};
use ami_share_domain::ids::{AccountId, KeyArn};
use ami_share_domain::key::decision::{KeyDecision, unread};
use ami_share_domain::key::ledger::KeyLedger;
use ami_share_domain::key::policy::{KeyPolicy, SIZE_LIMIT};
use ami_share_domain::key::request::{Excluded, KeyAction, KeyOutcome, KeyRequest};
use ami_share_domain::key::statements::Granted;
use ami_share_domain::metrics;
use ami_share_domain::refusal::RefusalReason;
use ami_share_domain::targets::target::KeyPrincipal;
use ami_share_lambda::{About, Clients, Environment, Failure, Function, Invocation};

use crate::outcome::{granted, refused, report_drift, revoked};
use crate::putting::{Accepted, PutResult, Putting};

/// How often a policy that others change at the same moment is decided on anew, before the workflow tries again.
const DECISIONS: usize = 3;

/// The function.
pub struct ExtendKeyPolicy {
    keys: KeyReader,
    ledger: LedgerReader,
    leases: Leases,
    clients: Clients,
    table: String,
    hub: AccountId,
}

/// A key as it is, and the decision on it.
struct Observed {
    ledger: KeyLedger,
    policy: KeyPolicy,
    decision: KeyDecision,
}

/// What could be read of a key.
enum Seen {
    Key(Box<Observed>),
    /// The key does not exist any more; this is what the ledger says of it.
    Gone(KeyLedger),
    /// AWS denies reading its policy, or the policy cannot be parsed; this is what the ledger says of it.
    Unreadable(KeyLedger, RefusalReason),
}

/// What KMS answers when it is asked for a key's policy.
enum Answer {
    Policy(KeyPolicy),
    Gone,
    Unreadable(RefusalReason),
}

impl Function for ExtendKeyPolicy {
    type Request = KeyRequest;
    type Response = KeyOutcome;

    async fn start(environment: &Environment, clients: &Clients) -> Result<Self, Failure> {
        let table = environment.text("LEDGER_TABLE")?;
        Ok(Self {
            keys: clients.key_reader(),
            ledger: clients.ledger_reader(&table),
            leases: clients.leases(&table),
            clients: clients.clone(),
            table,
            hub: environment.parsed("HUB_ACCOUNT_ID", str::parse)?,
        })
    }

    fn about(request: &KeyRequest) -> About {
        About::image(&request.image_id)
    }

    async fn handle(&self, request: KeyRequest, invocation: &Invocation) -> Result<KeyOutcome, Failure> {
        let id = invocation.id();
        let seen = self.observe(&request).await?;
        if let Seen::Key(observed) = &seen {
            report_drift(&request.key, observed);
        }
        let outcome = match (request.action, seen) {
            (_, Seen::Gone(ledger)) => self.gone(&request, ledger).await,
            (_, Seen::Unreadable(ledger, refusal)) => self.unreadable(&request, ledger, refusal).await,
            (KeyAction::Grant, Seen::Key(observed)) => self.extend(&request, *observed, id).await,
            (KeyAction::Revoke, Seen::Key(observed)) => self.revoke(&request, *observed, id).await,
        }?;
        if !request.dry_run {
            invocation.measure(&metrics::of_key(&outcome));
        }
        Ok(outcome)
    }
}

impl ExtendKeyPolicy {
    /// The ledger is read before the policy: a writer that has released its lease by then has put what is read here.
    async fn observe(&self, request: &KeyRequest) -> Result<Seen, Failure> {
        let ledger = self.ledger.key(&request.key).await?;
        let policy = match self.policy(&request.key).await? {
            Answer::Policy(policy) => policy,
            Answer::Gone => return Ok(Seen::Gone(ledger)),
            Answer::Unreadable(refusal) => return Ok(Seen::Unreadable(ledger, refusal)),
        };
        let decision = KeyDecision::of(request, &ledger, &policy);
        Ok(Seen::Key(Box::new(Observed { ledger, policy, decision })))
    }

    async fn policy(&self, key: &KeyArn) -> Result<Answer, Failure> {
        let text = match self.keys.policy(key).await {
            Err(error) if error.fault() == Fault::Missing => return Ok(Answer::Gone),
            Err(error) if error.fault() == Fault::Denied => {
                return Ok(Answer::Unreadable(unreadable(key, &error)));
            }
            text => text?,
        };
        Ok(match KeyPolicy::parse(&text) {
            Ok(policy) => Answer::Policy(policy),
            Err(bad) => Answer::Unreadable(RefusalReason::MalformedPolicy {
                key: key.clone(),
                problem: bad.to_string(),
            }),
        })
    }

    /// A key that was deleted allows nothing, so there is nothing to revoke in its policy.
    async fn gone(&self, request: &KeyRequest, ledger: KeyLedger) -> Result<KeyOutcome, Failure> {
        if request.action == KeyAction::Revoke && !request.dry_run {
            let Some(ledger) = self.after_release(request, ledger).await? else {
                return Ok(KeyOutcome::unchanged(&request.key));
            };
            self.writer().forget_revoked(&request.key, &ledger, &ledger.pending_revocation()).await?;
            return Ok(KeyOutcome::unchanged(&request.key));
        }
        let mut pending_revocation = ledger.pending_revocation();
        pending_revocation.extend(ledger.released_by(&request.image_id, &request.desired()));
        Ok(KeyOutcome {
            pending_revocation: pending_revocation.into_iter().collect(),
            refused: Some(RefusalReason::MissingKey { key: request.key.clone() }),
            ..KeyOutcome::unchanged(&request.key)
        })
    }

    /// A key that cannot be read is not written either. What it may still allow stays pending in the ledger, so that a
    /// reconciliation that can read it again revokes it.
    async fn unreadable(
        &self,
        request: &KeyRequest,
        ledger: KeyLedger,
        refusal: RefusalReason,
    ) -> Result<KeyOutcome, Failure> {
        tracing::warn!(key = %request.key, reason = %refusal, "cannot be read");
        if request.action == KeyAction::Grant || request.dry_run {
            return Ok(unread(request, &ledger, refusal));
        }
        let ledger = self.after_release(request, ledger).await?;
        Ok(ledger
            .map_or_else(|| KeyOutcome::unchanged(&request.key), |ledger| unread(request, &ledger, refusal)))
    }

    /// The ledger once the image has released what it no longer needs; `None` when a later intent has taken over.
    async fn after_release(
        &self,
        request: &KeyRequest,
        ledger: KeyLedger,
    ) -> Result<Option<KeyLedger>, Failure> {
        let released = ledger.released_by(&request.image_id, &request.desired());
        if released.is_empty() {
            return Ok(Some(ledger));
        }
        let is_on_record = self.release_principals(request, &released).await?;
        Ok(if is_on_record { Some(self.ledger.key(&request.key).await?) } else { None })
    }

    async fn extend(
        &self,
        request: &KeyRequest,
        observed: Observed,
        invocation: &str,
    ) -> Result<KeyOutcome, Failure> {
        let plan = &observed.decision.plan;
        let denied = observed.decision.denied.iter().map(|denied| denied.subject.clone()).collect();
        let is_on_record = observed.ledger.excluded_changes(&BTreeSet::new(), &denied).is_empty();
        let is_right = plan.document.is_none() && plan.no_room.is_empty() && is_on_record;
        let is_settled = is_right && !observed.ledger.is_leased;
        if is_settled || request.dry_run {
            return Ok(granted(request, &observed, &[], plan.bytes));
        }
        self.with_lease(request, invocation).await
    }

    /// Revokes what no share needs any more. The image releases it first, on record, so that the next reconciliation
    /// finishes an interrupted one; a later intent keeps what it needs.
    async fn revoke(
        &self,
        request: &KeyRequest,
        observed: Observed,
        invocation: &str,
    ) -> Result<KeyOutcome, Failure> {
        let released = &observed.decision.released;
        if request.dry_run || observed.decision.to_revoke().is_empty() {
            return Ok(revoked(request, &observed, observed.decision.plan.bytes));
        }
        if !released.is_empty() && !self.release_principals(request, released).await? {
            tracing::info!(key = %request.key, "a later intent has taken over");
            return Ok(KeyOutcome::unchanged(&request.key));
        }
        self.with_lease(request, invocation).await
    }

    async fn release_principals(
        &self,
        request: &KeyRequest,
        released: &BTreeSet<KeyPrincipal>,
    ) -> Result<bool, Failure> {
        Ok(self
            .writer()
            .release_principals(&request.key, &request.image_id, request.intent, released)
            .await?)
    }

    /// The part that needs the key's lease: what was read before may be out of date by now.
    async fn with_lease(&self, request: &KeyRequest, invocation: &str) -> Result<KeyOutcome, Failure> {
        let lease = self.leases.of_key(&request.key, invocation).await?;
        let outcome = self.leased(request, &lease, invocation).await;
        lease.release().await;
        outcome
    }

    async fn leased(
        &self,
        request: &KeyRequest,
        lease: &Lease,
        invocation: &str,
    ) -> Result<KeyOutcome, Failure> {
        for _ in 0..DECISIONS {
            let outcome = match self.observe(request).await? {
                Seen::Key(observed) => self.put(request, *observed, lease, invocation).await?,
                Seen::Gone(ledger) => Some(self.gone(request, ledger).await?),
                Seen::Unreadable(ledger, refusal) => Some(self.unreadable(request, ledger, refusal).await?),
            };
            if let Some(outcome) = outcome {
                return Ok(outcome);
            }
            tracing::warn!(key = %request.key, "another principal has changed the policy; decides anew");
        }
        Err(Failure::NotSettled(format!(
            "other principals change the policy of {} at the same moment; the workflow tries again",
            request.key.short()
        )))
    }

    /// Puts the policy of the plan; `None` when another principal has changed the policy since it was read.
    async fn put(
        &self,
        request: &KeyRequest,
        observed: Observed,
        lease: &Lease,
        invocation: &str,
    ) -> Result<Option<KeyOutcome>, Failure> {
        let key = &request.key;
        let Some(document) = &observed.decision.plan.document else {
            if !observed.decision.plan.removed.is_empty() {
                let reason = RefusalReason::NoRoomToRewrite { key: key.clone(), limit: SIZE_LIMIT };
                return Ok(Some(refused(request, &observed, reason)));
            }
            let bytes = observed.policy.bytes();
            return self.conclude(request, observed, &[], bytes, invocation).await.map(Some);
        };
        if let Some(refusal) = self.check(request).await? {
            return Ok(Some(refused(request, &observed, refusal)));
        }
        let putting = Putting {
            key,
            policy: &observed.policy,
            plan: &observed.decision.plan,
            staying: &observed.decision.staying(),
            reader: &self.keys,
            writer: self.clients.key_writer(),
            lease,
        };
        match putting.put(document).await? {
            PutResult::Overtaken => Ok(None),
            PutResult::Broken(refusal) => Ok(Some(refused(request, &observed, refusal))),
            PutResult::Accepted(Accepted { granted, document, excluded, request_id }) => {
                self.append(request, &observed.decision.actual, &granted, request_id, invocation).await?;
                self.read_back(key, &document).await?;
                self.conclude(request, observed, &excluded, document.len(), invocation).await.map(Some)
            }
        }
    }

    /// What must be true before anything is put.
    async fn check(&self, request: &KeyRequest) -> Result<Option<RefusalReason>, Failure> {
        let key = match self.keys.observe(&request.key, &self.hub).await {
            Err(error) if error.fault() == Fault::Denied => {
                return Ok(Some(unreadable(&request.key, &error)));
            }
            key => key?,
        };
        Ok(match request.action {
            KeyAction::Grant => key.refuse_grant(&self.hub),
            KeyAction::Revoke => key.refuse_revocation(&self.hub),
        })
    }

    /// Appends to the audit log what was granted and what was revoked, even if only because KMS rejects it now.
    async fn append(
        &self,
        request: &KeyRequest,
        before: &Granted,
        after: &Granted,
        request_id: Option<String>,
        invocation: &str,
    ) -> Result<(), Failure> {
        let granted = &after.complete() - &before.complete();
        let revoked = &before.named() - &after.named();
        let rows = [(AuditAction::KeyGranted, granted), (AuditAction::KeyRevoked, revoked)];
        let rows = rows.into_iter().filter_map(|(action, principals)| {
            self.audit_row(request, action, &principals, request_id.clone())
        });
        let rows: Vec<AuditRow> = rows.collect();
        Ok(self.writer().append(&request.image_id, &rows, invocation).await?)
    }

    /// Appends to the audit log what is pending and not in the policy any more: a run put it and could not record it.
    async fn append_found_revoked(
        &self,
        request: &KeyRequest,
        observed: &Observed,
        revoked: &BTreeSet<KeyPrincipal>,
        invocation: &str,
    ) -> Result<(), Failure> {
        let found = revoked - &observed.decision.actual.named();
        let Some(row) = self.audit_row(request, AuditAction::Recovered, &found, None) else { return Ok(()) };
        let row = row.because("found revoked already");
        Ok(self.writer().append(&request.image_id, &[row], &format!("{invocation}-found")).await?)
    }

    /// One row on all `principals`; none without any, or without a trigger.
    fn audit_row(
        &self,
        request: &KeyRequest,
        action: AuditAction,
        principals: &BTreeSet<KeyPrincipal>,
        request_id: Option<String>,
    ) -> Option<AuditRow> {
        let triggered_by = request.triggered_by.as_ref().filter(|_| !principals.is_empty())?;
        let principals = principals.iter().map(ToString::to_string).collect();
        let row = AuditRow::new(action, &request.key, principals, triggered_by, request.intent);
        Some(row.done(self.clients.clock().now(), request_id))
    }

    /// Reads the policy until KMS, which is eventually consistent, shows what was put.
    async fn read_back(&self, key: &KeyArn, document: &str) -> Result<(), Failure> {
        let is_not_settled = |failure: &Failure| matches!(failure, Failure::NotSettled(_));
        retry::READ_BACK
            .retry(&self.clients.clock(), || self.read_back_once(key, document), is_not_settled)
            .await
    }

    async fn read_back_once(&self, key: &KeyArn, document: &str) -> Result<(), Failure> {
        let is_settled = match self.policy(key).await? {
            Answer::Policy(policy) => KeyPolicy::parse(document).is_ok_and(|put| put.is_same(&policy)),
            Answer::Gone => true,
            // Another principal has put another policy since; the step is retried and reads that.
            Answer::Unreadable(_) => false,
        };
        if is_settled {
            return Ok(());
        }
        Err(Failure::NotSettled(format!(
            "KMS does not show the policy that was put on {}: not yet, or another principal has changed it since; the workflow tries again",
            key.short()
        )))
    }

    /// Records what was excluded, and what was revoked.
    async fn conclude(
        &self,
        request: &KeyRequest,
        observed: Observed,
        rejected: &[Excluded],
        bytes: usize,
        invocation: &str,
    ) -> Result<KeyOutcome, Failure> {
        let outcome = match request.action {
            KeyAction::Grant => granted(request, &observed, rejected, bytes),
            KeyAction::Revoke => {
                // What a statement that is not managed may still allow stays pending.
                let revoked_now = &observed.decision.pending_revocation - &observed.decision.not_revoked();
                self.append_found_revoked(request, &observed, &revoked_now, invocation).await?;
                self.writer().forget_revoked(&request.key, &observed.ledger, &revoked_now).await?;
                revoked(request, &observed, bytes)
            }
        };
        let tried = match request.action {
            KeyAction::Grant => &observed.decision.desired,
            KeyAction::Revoke => &BTreeSet::new(),
        };
        let excluded = outcome.excluded.iter().map(|excluded| excluded.subject.clone()).collect();
        for change in observed.ledger.excluded_changes(tried, &excluded) {
            self.writer().change_excluded(&request.key, &change).await?;
        }
        tracing::info!(key = %request.key, added = outcome.added.len(), removed = outcome.removed.len(), excluded = excluded.len(), bytes = outcome.bytes, "put");
        Ok(outcome)
    }

    fn writer(&self) -> LedgerWriter {
        self.clients.ledger_writer(&self.table)
    }
}

fn unreadable(key: &KeyArn, error: &AwsError) -> RefusalReason {
    RefusalReason::UnreadableKey { key: key.clone(), message: error.to_string() }
}

//! `extend-key-policy`: admits the targets of every live share to one KMS key, and takes out whom no live
//! share needs any more.
//!
//! Observe, plan, take the turn, observe again, check, put, read back. It touches no statement but our own,
//! and no key that lacks the tag `ami-share:managed = true`.

mod outcome;
mod putting;

use std::collections::BTreeSet;
use std::time::Duration;

use ami_share_aws::error::{Fault, unreadable_policy};
use ami_share_aws::identity::IdentityReader;
use ami_share_aws::keys::KeyReader;
use ami_share_aws::ledger::{LedgerReader, LedgerWriter};
use ami_share_aws::turns::{Turn, Turns};
use ami_share_domain::audit::{AuditRow, Deed};
use ami_share_domain::ids::{AccountId, KeyArn};
use ami_share_domain::key_decision::KeyDecision;
use ami_share_domain::key_guard::{missing, no_room_to_mend, refuse_key, refuse_lock_out, refuse_retraction};
use ami_share_domain::key_plan::{self, KeyPlan};
use ami_share_domain::key_policy::KeyPolicy;
use ami_share_domain::key_statements::KeyPrincipal;
use ami_share_domain::ledger::KeyLedger;
use ami_share_domain::refusal::Refusal;
use ami_share_domain::share::{KeyAction, KeyOutcome, KeyRequest, LeftOut};
use ami_share_lambda::{Clients, Environment, Failure, Function};
use jiff::Timestamp;

use crate::outcome::{extended, refused, retracted};
use crate::putting::{PutResult, Putting};

/// KMS is eventually consistent: how often, and how far apart, the policy is read back.
const READ_BACKS: u32 = 8;
const READ_BACK_PAUSE: Duration = Duration::from_millis(250);

/// The function.
pub struct ExtendKeyPolicy {
    keys: KeyReader,
    identity: IdentityReader,
    ledger: LedgerReader,
    turns: Turns,
    clients: Clients,
    table: String,
    hub: AccountId,
}

/// A key as it is, and what a look makes of it.
struct Observed {
    ledger: KeyLedger,
    policy: KeyPolicy,
    decision: KeyDecision,
}

impl Function for ExtendKeyPolicy {
    type Request = KeyRequest;
    type Response = KeyOutcome;

    async fn start(environment: &Environment, clients: &Clients) -> Result<Self, Failure> {
        let table = environment.text("LEDGER_TABLE")?;
        Ok(Self {
            keys: clients.key_reader(),
            identity: clients.identity_reader(),
            ledger: clients.ledger_reader(&table),
            turns: clients.turns(&table),
            clients: clients.clone(),
            table,
            hub: environment.parsed("HUB_ACCOUNT_ID", str::parse)?,
        })
    }

    async fn handle(&self, request: KeyRequest, invocation: &str) -> Result<KeyOutcome, Failure> {
        match (request.action, self.observe(&request).await?) {
            (_, None) => self.gone(&request).await,
            (KeyAction::Extend, Some(observed)) => self.extend(&request, observed, invocation).await,
            (KeyAction::Retract, Some(observed)) => self.retract(&request, observed, invocation).await,
        }
    }
}

impl ExtendKeyPolicy {
    /// The ledger is read before the policy: a writer that has let go by then has put what it read here.
    /// `None` when the key does not exist any more.
    async fn observe(&self, request: &KeyRequest) -> Result<Option<Observed>, Failure> {
        let ledger = self.ledger.key(&request.key).await?;
        let Some(policy) = self.policy(&request.key).await? else { return Ok(None) };
        let decision = KeyDecision::of(request, &ledger, &policy);
        Ok(Some(Observed { ledger, policy, decision }))
    }

    async fn policy(&self, key: &KeyArn) -> Result<Option<KeyPolicy>, Failure> {
        let text = match self.keys.policy(key).await {
            Err(error) if error.fault() == Fault::Missing => return Ok(None),
            text => text?,
        };
        Ok(Some(KeyPolicy::parse(&text).map_err(|bad| unreadable_policy(key, &bad))?))
    }

    /// A key that is gone admits nobody, and nobody has to be taken out of it.
    async fn gone(&self, request: &KeyRequest) -> Result<KeyOutcome, Failure> {
        if request.action == KeyAction::Retract && !request.dry_run {
            let ledger = self.ledger.key(&request.key).await?;
            let given_up = ledger.given_up_by(&request.image_id, &request.wanted());
            if given_up.is_empty() || self.give_up(request, &given_up).await? {
                let ledger = self.ledger.key(&request.key).await?;
                self.writer().forget_left(&request.key, &ledger, &ledger.leaving()).await?;
            }
            return Ok(KeyOutcome::unchanged(&request.key));
        }
        let ledger = self.ledger.key(&request.key).await?;
        let mut leaving = ledger.leaving();
        leaving.extend(ledger.given_up_by(&request.image_id, &request.wanted()));
        Ok(KeyOutcome {
            leaving: leaving.into_iter().collect(),
            refused: Some(missing(&request.key)),
            ..KeyOutcome::unchanged(&request.key)
        })
    }

    async fn extend(
        &self,
        request: &KeyRequest,
        observed: Observed,
        invocation: &str,
    ) -> Result<KeyOutcome, Failure> {
        let plan = &observed.decision.plan;
        let is_settled = plan.document.is_none() && plan.no_room.is_empty() && !observed.ledger.is_taken;
        if is_settled || request.dry_run {
            return Ok(extended(request, &observed, Vec::new()));
        }
        self.in_turn(request, invocation).await
    }

    /// Takes out whom no live share needs any more. The image gives them up first, on record, so that a look
    /// that dies here is finished by the next; a later intent keeps whom it needs.
    async fn retract(
        &self,
        request: &KeyRequest,
        observed: Observed,
        invocation: &str,
    ) -> Result<KeyOutcome, Failure> {
        let given_up = &observed.decision.given_up;
        if request.dry_run || observed.decision.to_retract().is_empty() {
            return Ok(retracted(request, &observed));
        }
        if !given_up.is_empty() && !self.give_up(request, given_up).await? {
            tracing::info!(image = %request.image_id, key = %request.key, "a later intent has taken over");
            return Ok(KeyOutcome::unchanged(&request.key));
        }
        self.in_turn(request, invocation).await
    }

    async fn give_up(
        &self,
        request: &KeyRequest,
        given_up: &BTreeSet<KeyPrincipal>,
    ) -> Result<bool, Failure> {
        Ok(self.writer().give_up(&request.key, &request.image_id, request.intent, given_up).await?)
    }

    /// The part that needs the key's turn: what was seen before may be out of date by now.
    async fn in_turn(&self, request: &KeyRequest, invocation: &str) -> Result<KeyOutcome, Failure> {
        let turn = self.turns.of_key(&request.key, invocation).await?;
        let outcome = match self.observe(request).await {
            Ok(Some(observed)) => self.put(request, observed, &turn, invocation).await,
            Ok(None) => self.gone(request).await,
            Err(failure) => Err(failure),
        };
        turn.release().await;
        outcome
    }

    async fn put(
        &self,
        request: &KeyRequest,
        observed: Observed,
        turn: &Turn,
        invocation: &str,
    ) -> Result<KeyOutcome, Failure> {
        let key = &request.key;
        let Some(document) = &observed.decision.plan.document else {
            if !observed.decision.plan.removed.is_empty() {
                return Ok(refused(request, &observed, no_room_to_mend(key)));
            }
            return self.conclude(request, observed, Vec::new()).await;
        };
        if let Some(refusal) = self.check(request, &observed).await? {
            return Ok(refused(request, &observed, refusal));
        }
        let putting = Putting { key, policy: &observed.policy, writer: self.clients.key_writer(), turn };
        match putting.put(document, &observed.decision.staying(), &observed.decision.plan.added).await? {
            PutResult::Accepted { admitted, rejected, request_id } => {
                self.append(request, &observed.decision.plan, &rejected, request_id, invocation).await?;
                self.read_back(key, &admitted).await?;
                self.conclude(request, observed, rejected).await
            }
            PutResult::Broken(refusal) => Ok(refused(request, &observed, refusal)),
        }
    }

    /// What must be true before anything is put.
    async fn check(&self, request: &KeyRequest, observed: &Observed) -> Result<Option<Refusal>, Failure> {
        let key = self.keys.observe(&request.key, &self.hub).await?;
        let refusal = match request.action {
            KeyAction::Extend => refuse_key(&key, &self.hub),
            KeyAction::Retract => refuse_retraction(&key, &self.hub),
        };
        if refusal.is_some() {
            return Ok(refusal);
        }
        let caller = self.identity.caller().await?;
        Ok(refuse_lock_out(&request.key, &observed.policy, caller))
    }

    /// Writes down for good who was admitted and who was taken out.
    async fn append(
        &self,
        request: &KeyRequest,
        plan: &KeyPlan,
        rejected: &[LeftOut],
        request_id: Option<String>,
        invocation: &str,
    ) -> Result<(), Failure> {
        let Some(asked) = &request.asked else { return Ok(()) };
        let is_taken =
            |principal: &&KeyPrincipal| !rejected.iter().any(|left_out| left_out.principal == **principal);
        let row = |deed, whom: Vec<String>| {
            let row = AuditRow::new(deed, &request.key, whom, asked, request.intent);
            row.done(Timestamp::now(), request_id.clone())
        };
        let opened: Vec<String> = plan.added.iter().filter(is_taken).map(ToString::to_string).collect();
        let closed: Vec<String> = plan.removed.iter().map(ToString::to_string).collect();
        let rows = [(Deed::KeyOpened, opened), (Deed::KeyClosed, closed)];
        let rows: Vec<AuditRow> = rows
            .into_iter()
            .filter(|(_, whom)| !whom.is_empty())
            .map(|(deed, whom)| row(deed, whom))
            .collect();
        Ok(self.writer().append(&request.image_id, &rows, invocation).await?)
    }

    async fn read_back(&self, key: &KeyArn, admitted: &BTreeSet<KeyPrincipal>) -> Result<(), Failure> {
        for _ in 0..READ_BACKS {
            let policy = self.policy(key).await?;
            if policy.is_none_or(|policy| key_plan::admitted(&policy, key.partition()) == *admitted) {
                return Ok(());
            }
            tokio::time::sleep(READ_BACK_PAUSE).await;
        }
        Err(Failure::NotSettled(format!("the policy of {} is not yet what was put", key.short())))
    }

    /// Writes down who was left out, and who has left.
    async fn conclude(
        &self,
        request: &KeyRequest,
        observed: Observed,
        rejected: Vec<LeftOut>,
    ) -> Result<KeyOutcome, Failure> {
        let outcome = match request.action {
            KeyAction::Extend => extended(request, &observed, rejected),
            KeyAction::Retract => {
                self.writer().forget_left(&request.key, &observed.ledger, &observed.decision.leaving).await?;
                retracted(request, &observed)
            }
        };
        let tried = match request.action {
            KeyAction::Extend => &observed.decision.wanted,
            KeyAction::Retract => &BTreeSet::new(),
        };
        let left_out = outcome.left_out.iter().map(|left_out| left_out.principal.clone()).collect();
        for change in observed.ledger.left_out_changes(tried, &left_out) {
            self.writer().change_left_out(&request.key, &change).await?;
        }
        tracing::info!(key = %request.key, added = outcome.added.len(), removed = outcome.removed.len(), left_out = left_out.len(), bytes = outcome.bytes, "put");
        Ok(outcome)
    }

    fn writer(&self) -> LedgerWriter {
        self.clients.ledger_writer(&self.table)
    }
}

//! `extend-key-policy`: admits the targets of every live share to one KMS key.
//!
//! Observe, plan, take the turn, observe again, check, put, read back. It touches no statement but our own,
//! and no key that lacks the tag `ami-share:managed = true`.

mod putting;

use std::collections::BTreeSet;
use std::time::Duration;

use ami_share_aws::error::unreadable_policy;
use ami_share_aws::identity::IdentityReader;
use ami_share_aws::keys::KeyReader;
use ami_share_aws::ledger::LedgerReader;
use ami_share_aws::turns::{Turn, Turns};
use ami_share_domain::ids::KeyArn;
use ami_share_domain::key_guard::{refuse_lock_out, untagged};
use ami_share_domain::key_plan::{self, KeyPlan};
use ami_share_domain::key_policy::{KeyPolicy, SIZE_LIMIT};
use ami_share_domain::key_statements::KeyPrincipal;
use ami_share_domain::ledger::KeyLedger;
use ami_share_domain::refusal::{Refusal, RefusalCode};
use ami_share_domain::share::{KeyOutcome, KeyRequest, LeftOut, Target};
use ami_share_lambda::{Clients, Environment, Failure, Function};

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
}

/// A key as it is, and as it should be.
struct Observed {
    ledger: KeyLedger,
    policy: KeyPolicy,
    wanted: BTreeSet<KeyPrincipal>,
    plan: KeyPlan,
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
        })
    }

    async fn handle(&self, request: KeyRequest, invocation: &str) -> Result<KeyOutcome, Failure> {
        let observed = self.observe(&request).await?;
        let is_settled =
            observed.plan.document.is_none() && observed.plan.no_room.is_empty() && !observed.ledger.is_taken;
        if is_settled || request.dry_run {
            return Ok(outcome(&request, &observed, Vec::new()));
        }
        let turn = self.turns.of_key(&request.key, invocation).await?;
        let extended = self.extend(&request, &turn).await;
        turn.release().await;
        extended
    }
}

impl ExtendKeyPolicy {
    /// The ledger is read before the policy: a writer that has let go by then has put what it read here.
    async fn observe(&self, request: &KeyRequest) -> Result<Observed, Failure> {
        let ledger = self.ledger.key(&request.key).await?;
        let policy = self.policy(&request.key).await?;
        let mut wanted = ledger.wanted_by(&request.image_id);
        if request.dry_run {
            // A dry run has recorded no intent for the ledger to tell of.
            wanted.extend(request.targets.iter().map(Target::key_principal));
        }
        let plan = key_plan::extend(&policy, &wanted, request.key.partition());
        Ok(Observed { ledger, policy, wanted, plan })
    }

    async fn policy(&self, key: &KeyArn) -> Result<KeyPolicy, Failure> {
        let text = self.keys.policy(key).await?;
        Ok(KeyPolicy::parse(&text).map_err(|bad| unreadable_policy(key, &bad))?)
    }

    /// The part that needs the turn: what was seen before may be out of date by now.
    async fn extend(&self, request: &KeyRequest, turn: &Turn) -> Result<KeyOutcome, Failure> {
        let observed = self.observe(request).await?;
        if let Some(refusal) = self.check(&request.key, &observed).await? {
            return Ok(refused(&request.key, &observed, refusal));
        }
        let Some(document) = &observed.plan.document else {
            return self.conclude(request, observed, Vec::new()).await;
        };
        let putting =
            Putting { key: &request.key, policy: &observed.policy, writer: self.clients.key_writer(), turn };
        match putting.put(document, &observed.plan.added).await? {
            PutResult::Accepted { admitted, rejected } => {
                self.read_back(&request.key, &admitted).await?;
                self.conclude(request, observed, rejected).await
            }
            PutResult::Broken(refusal) => Ok(refused(&request.key, &observed, refusal)),
        }
    }

    /// What must be true before anything is put.
    async fn check(&self, key: &KeyArn, observed: &Observed) -> Result<Option<Refusal>, Failure> {
        if observed.plan.document.is_none() {
            return Ok(None);
        }
        if !self.keys.is_managed(key).await? {
            return Ok(Some(untagged(key)));
        }
        let caller = self.identity.caller().await?;
        Ok(refuse_lock_out(key, &observed.policy, caller))
    }

    async fn read_back(&self, key: &KeyArn, admitted: &BTreeSet<KeyPrincipal>) -> Result<(), Failure> {
        for _ in 0..READ_BACKS {
            if key_plan::admitted(&self.policy(key).await?, key.partition()) == *admitted {
                return Ok(());
            }
            tokio::time::sleep(READ_BACK_PAUSE).await;
        }
        Err(Failure::NotSettled(format!("the policy of {} is not yet what was put", key.short())))
    }

    async fn conclude(
        &self,
        request: &KeyRequest,
        observed: Observed,
        rejected: Vec<LeftOut>,
    ) -> Result<KeyOutcome, Failure> {
        let outcome = outcome(request, &observed, rejected);
        let left_out = outcome.left_out.iter().map(|left_out| left_out.principal.clone()).collect();
        let ledger = self.clients.ledger_writer(&self.table);
        for change in observed.ledger.left_out_changes(&observed.wanted, &left_out) {
            ledger.change_left_out(&request.key, &change).await?;
        }
        tracing::info!(key = %request.key, added = outcome.added.len(), left_out = left_out.len(), bytes = outcome.bytes, "extended");
        Ok(outcome)
    }
}

fn outcome(request: &KeyRequest, observed: &Observed, rejected: Vec<LeftOut>) -> KeyOutcome {
    let name = request.key.short();
    let no_room = observed.plan.no_room.iter().map(|principal| LeftOut {
        principal: principal.clone(),
        code: RefusalCode::PolicyTooLarge,
        reason: format!("the policy of {name} has no room for {principal} ({SIZE_LIMIT} bytes); share with an OU or `org` instead of accounts, or use another key"),
    });
    let is_rejected =
        |principal: &&KeyPrincipal| rejected.iter().any(|left_out| left_out.principal == **principal);
    KeyOutcome {
        key: request.key.clone(),
        added: observed.plan.added.iter().filter(|principal| !is_rejected(principal)).cloned().collect(),
        bytes: observed.plan.bytes,
        refused: None,
        left_out: no_room.chain(rejected.iter().cloned()).collect(),
    }
}

fn refused(key: &KeyArn, observed: &Observed, refusal: Refusal) -> KeyOutcome {
    tracing::warn!(%key, reason = refusal.reason, "refused");
    KeyOutcome {
        key: key.clone(),
        added: Vec::new(),
        left_out: Vec::new(),
        refused: Some(refusal),
        bytes: observed.plan.bytes,
    }
}

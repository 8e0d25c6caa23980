//! `resolve-share`: from a bare AWS event to what is wanted of one image.
//!
//! Finds out what is wanted, and records it as the intent that later steps serve. It writes nothing but the ledger.

use ami_share_aws::ec2::images::FoundImage;
use ami_share_aws::error::AwsError;
use ami_share_aws::ledger::reader::LedgerReader;
use ami_share_domain::image::desired::{Resolved, Share};
use ami_share_domain::image::ledger::Intent;
use ami_share_domain::image::schedule::Schedules;
use ami_share_domain::tags::share_tags::STATUS;
use ami_share_domain::trigger::Trigger;
use ami_share_lambda::{About, Clients, Environment, Failure, Function, Invocation};
use ami_share_resolve::{Resolution, Resolver, digest};
use jiff::Timestamp;
use serde_json::Value;

/// How often a look starts again because another look was recorded meanwhile.
const RECONCILIATIONS: u32 = 5;

/// The function.
pub struct ResolveShare {
    resolver: Resolver,
    ledger: LedgerReader,
    clients: Clients,
    table: String,
}

impl Function for ResolveShare {
    type Request = Value;
    type Response = Resolved;

    async fn start(environment: &Environment, clients: &Clients) -> Result<Self, Failure> {
        let table = environment.text("LEDGER_TABLE")?;
        Ok(Self {
            resolver: Resolver::start(environment, clients).await?,
            ledger: clients.ledger_reader(&table),
            clients: clients.clone(),
            table,
        })
    }

    fn about(event: &Value) -> About {
        let trigger = Trigger::from_event(event, Timestamp::UNIX_EPOCH);
        trigger.map(|trigger| About::image(&trigger.image)).unwrap_or_default()
    }

    async fn handle(&self, event: Value, _invocation: &Invocation) -> Result<Resolved, Failure> {
        let trigger = Trigger::from_event(&event, Timestamp::now())
            .map_err(|error| Failure::BadRequest(error.to_string()))?;
        for _ in 0..RECONCILIATIONS {
            // The last intent is read before the tags: if it is still the last one when the new one is
            // recorded, nobody has seen later tags than this look.
            let last = self.ledger.intent(&trigger.image).await?;
            let found = self.resolver.image(&trigger.image).await?;
            let keys = self.resolver.key_observer();
            let mut share =
                match self.resolver.desired_state(&trigger, found.as_ref(), last.as_ref(), &keys).await? {
                    Resolution::Share(share) => *share,
                    Resolution::Nothing(reason) => return Ok(nothing(reason)),
                    Resolution::NotYet(reason) => {
                        self.remember_requester(&trigger, last.as_ref()).await?;
                        return Ok(nothing(reason));
                    }
                };
            share.must_schedule = self.must_schedule(&share, last.as_ref()).await?;
            let is_first = last.as_ref().is_none_or(|last| last.number == 0);
            if self.record(&mut share, last.as_ref()).await? {
                if is_first && !trigger.dry_run && self.has_changed(found.as_ref(), &trigger).await? {
                    continue;
                }
                tracing::info!(
                    intent = share.intent,
                    targets = share.targets.len(),
                    refused = share.refused.len(),
                    revocation_reason = share.revocation_reason.as_ref().map(ToString::to_string),
                    "resolved"
                );
                return Ok(Resolved::Share { share: Box::new(share) });
            }
        }
        Err(AwsError::Busy(format!("other triggers changed the intent of {} meanwhile", trigger.image))
            .into())
    }
}

impl ResolveShare {
    /// A look that wanted no end any more may have died before it cancelled the appointments of the one before.
    async fn must_schedule(&self, share: &Share, last: Option<&Intent>) -> Result<bool, Failure> {
        if share.must_schedule || last.is_none() {
            return Ok(share.must_schedule);
        }
        Ok(self.ledger.schedules(&share.image.id).await? != Schedules::default())
    }

    /// Whether the image is another by now. A look that came while there was no intent yet, and saw no tags any more,
    /// had nothing to end and left no intent to be seen by: whoever records the first one looks twice.
    async fn has_changed(&self, seen: Option<&FoundImage>, trigger: &Trigger) -> Result<bool, Failure> {
        let desired_states = |found: &FoundImage| {
            let mut tags = found.tags.clone();
            tags.remove(STATUS);
            (found.state.clone(), tags)
        };
        let now = self.resolver.image(&trigger.image).await?;
        Ok(now.as_ref().map(desired_states) != seen.map(desired_states))
    }

    /// Records the intent, unless the ledger has this very one; `false` when another look came first.
    async fn record(&self, share: &mut Share, last: Option<&Intent>) -> Result<bool, Failure> {
        let next = Intent::following(last, share, digest(share));
        share.intent = next.number;
        share.triggered_by = next.triggered_by();
        // What it needs on its keys is recorded with it, and is written again in case it was lost.
        let needs_keys = !share.targets.is_empty() && !share.keys.is_empty();
        if share.dry_run || (last == Some(&next) && !needs_keys) {
            return Ok(true);
        }
        Ok(self.clients.ledger_writer(&self.table).record_intent(share, last, &next).await?)
    }

    /// While an image is pending, CloudTrail says who made it; the event that shares it later does not.
    async fn remember_requester(&self, trigger: &Trigger, last: Option<&Intent>) -> Result<(), Failure> {
        if last.is_none() && trigger.triggered_by.principal.is_some() && !trigger.dry_run {
            let requested = Intent::requested(&trigger.triggered_by, String::new());
            self.clients.ledger_writer(&self.table).record_requester(&trigger.image, &requested).await?;
        }
        Ok(())
    }
}

fn nothing(reason: String) -> Resolved {
    tracing::info!(reason, "nothing to share");
    Resolved::Nothing { reason }
}

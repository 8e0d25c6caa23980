//! `resolve-share`: from a bare AWS event to what is wanted of one image.
//!
//! Finds out what is wanted, and records it as the intent that later steps serve. It writes nothing but the ledger.

use ami_share_aws::error::AwsError;
use ami_share_aws::images::FoundImage;
use ami_share_aws::ledger_reader::LedgerReader;
use ami_share_domain::appointments::Appointments;
use ami_share_domain::ledger::Intent;
use ami_share_domain::look::Look;
use ami_share_domain::share::{Resolved, Share};
use ami_share_domain::share_tags::STATUS;
use ami_share_lambda::{About, Clients, Environment, Failure, Function, Invocation};
use ami_share_resolve::{Resolver, Wish, digest};
use jiff::Timestamp;
use serde_json::Value;

/// How often a look starts again because another look was recorded meanwhile.
const LOOKS: u32 = 5;

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
        let look = Look::from_event(event, Timestamp::UNIX_EPOCH);
        look.map(|look| About::image(&look.image)).unwrap_or_default()
    }

    async fn handle(&self, event: Value, _invocation: &Invocation) -> Result<Resolved, Failure> {
        let look = Look::from_event(&event, Timestamp::now())
            .map_err(|error| Failure::BadRequest(error.to_string()))?;
        for _ in 0..LOOKS {
            // The last intent is read before the tags: if it is still the last one when the new one is
            // recorded, nobody has seen later tags than this look.
            let last = self.ledger.intent(&look.image).await?;
            let found = self.resolver.image(&look.image).await?;
            let keys = self.resolver.key_observer();
            let mut share = match self.resolver.wish(&look, found.as_ref(), last.as_ref(), &keys).await? {
                Wish::Share(share) => *share,
                Wish::Nothing(reason) => return Ok(nothing(reason)),
                Wish::NotYet(reason) => {
                    self.remember_who_asked(&look, last.as_ref()).await?;
                    return Ok(nothing(reason));
                }
            };
            share.must_schedule = self.must_schedule(&share, last.as_ref()).await?;
            let is_first = last.as_ref().is_none_or(|last| last.number == 0);
            if self.record(&mut share, last.as_ref()).await? {
                if is_first && !look.dry_run && self.has_changed(found.as_ref(), &look).await? {
                    continue;
                }
                tracing::info!(
                    intent = share.intent,
                    targets = share.targets.len(),
                    refused = share.refused.len(),
                    ending = share.ending.as_ref().map(ToString::to_string),
                    "resolved"
                );
                return Ok(Resolved::Share { share: Box::new(share) });
            }
        }
        Err(AwsError::Busy(look.image.to_string()).into())
    }
}

impl ResolveShare {
    /// A look that wanted no end any more may have died before it cancelled the appointments of the one before.
    async fn must_schedule(&self, share: &Share, last: Option<&Intent>) -> Result<bool, Failure> {
        if share.must_schedule || last.is_none() {
            return Ok(share.must_schedule);
        }
        Ok(self.ledger.appointments(&share.image.id).await? != Appointments::default())
    }

    /// Whether the image is another by now. A look that came while there was no intent yet, and saw no tags any more,
    /// had nothing to end and left no intent to be seen by: whoever records the first one looks twice.
    async fn has_changed(&self, seen: Option<&FoundImage>, look: &Look) -> Result<bool, Failure> {
        let wishes = |found: &FoundImage| {
            let mut tags = found.tags.clone();
            tags.remove(STATUS);
            (found.state.clone(), tags)
        };
        let now = self.resolver.image(&look.image).await?;
        Ok(now.as_ref().map(wishes) != seen.map(wishes))
    }

    /// Records the intent, unless the ledger has this very one; `false` when another look came first.
    async fn record(&self, share: &mut Share, last: Option<&Intent>) -> Result<bool, Failure> {
        let next = Intent::following(last, share, digest(share));
        share.intent = next.number;
        share.asked = next.asked();
        // What it needs on its keys is recorded with it, and is written again in case it was lost.
        let needs_keys = !share.targets.is_empty() && !share.keys.is_empty();
        if share.dry_run || (last == Some(&next) && !needs_keys) {
            return Ok(true);
        }
        Ok(self.clients.ledger_writer(&self.table).record_intent(share, last, &next).await?)
    }

    /// While an image is pending, CloudTrail says who made it; the event that shares it later does not.
    async fn remember_who_asked(&self, look: &Look, last: Option<&Intent>) -> Result<(), Failure> {
        if last.is_none() && look.asked.by.is_some() && !look.dry_run {
            let asking = Intent::asking(&look.asked, String::new());
            self.clients.ledger_writer(&self.table).record_asking(&look.image, &asking).await?;
        }
        Ok(())
    }
}

fn nothing(reason: String) -> Resolved {
    tracing::info!(reason, "nothing to share");
    Resolved::Nothing { reason }
}

//! `resolve-share`: finds out the desired state of one image, and records it as the intent that the later steps serve.
//!
//! It writes nothing but the ledger.

use ami_share_aws::ec2::images::FoundImage;
use ami_share_aws::error::AwsError;
use ami_share_aws::ledger::reader::LedgerReader;
use ami_share_aws::retry;
use ami_share_domain::image::desired::{Resolved, Share};
use ami_share_domain::image::ledger::Intent;
use ami_share_domain::image::schedule::Schedules;
use ami_share_domain::tags::share_tags::STATUS;
use ami_share_domain::trigger::{Described, Trigger};
use ami_share_lambda::events::TriggerEvent;
use ami_share_lambda::{About, Clients, Environment, Failure, Function, Invocation};
use ami_share_resolve::{Resolution, Resolver};

/// How often the function starts again because another reconciliation of the image recorded its intent meanwhile.
const ATTEMPTS: u32 = 5;

/// The function.
pub struct ResolveShare {
    resolver: Resolver,
    ledger: LedgerReader,
    clients: Clients,
    table: String,
}

/// What the decision rests on.
struct Observed {
    /// The last intent.
    last: Option<Intent>,
    /// The image; `None` when it does not exist.
    image: Option<FoundImage>,
}

impl Function for ResolveShare {
    type Request = TriggerEvent;
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

    fn about(TriggerEvent(trigger): &TriggerEvent) -> About {
        About::image(&trigger.image)
    }

    async fn handle(
        &self,
        TriggerEvent(trigger): TriggerEvent,
        _invocation: &Invocation,
    ) -> Result<Resolved, Failure> {
        for _ in 0..ATTEMPTS {
            if let Some(resolved) = self.resolve(&trigger).await? {
                return Ok(resolved);
            }
        }
        Err(AwsError::Busy(format!("other triggers changed the intent of {} meanwhile", trigger.image))
            .into())
    }
}

impl ResolveShare {
    /// One attempt; `None` when what was observed is out of date.
    async fn resolve(&self, trigger: &Trigger) -> Result<Option<Resolved>, Failure> {
        let observed = self.observe(trigger).await?;
        let keys = self.resolver.key_observer();
        let (image, last) = (observed.image.as_ref(), observed.last.as_ref());
        match self.resolver.desired_state(trigger, image, last, &keys).await? {
            Resolution::Share(share) => self.record_share(*share, &observed, trigger).await,
            Resolution::Nothing(reason) => Ok(Some(nothing(reason))),
            Resolution::NotYet(reason) => {
                self.remember_principal(trigger, last).await?;
                Ok(Some(nothing(reason)))
            }
        }
    }

    /// Reads the last intent before the tags: if it is still the last one when the new one is recorded, no other
    /// reconciliation has seen later tags.
    async fn observe(&self, trigger: &Trigger) -> Result<Observed, Failure> {
        let last = self.ledger.intent(&trigger.image).await?;
        let version = last.as_ref().and_then(|last| last.tags_version);
        let read = || self.settled(trigger, version);
        let is_stale = |failure: &Failure| matches!(failure, Failure::NotSettled(_));
        let image = retry::READ_BACK.retry(&self.clients.clock(), read, is_stale).await?;
        Ok(Observed { last, image })
    }

    /// The image, unless the read is older than what the trigger says: then it is read again, a bounded number of times,
    /// and the workflow tries again after that. Nothing is decided by an old read: it would lose a change, leave an image
    /// without its share, or share one that is gone.
    async fn settled(&self, trigger: &Trigger, version: Option<u64>) -> Result<Option<FoundImage>, Failure> {
        let image = self.resolver.image(&trigger.image).await?;
        let tags = image.as_ref().map(|image| image.tags.clone()).unwrap_or_default();
        let state = image.as_ref().map(|image| image.state.as_str());
        let described = Described { state, tags: &tags, known_version: version };
        match trigger.contradiction(described, self.clients.clock().now()) {
            Some(contradiction) => {
                Err(Failure::NotSettled(format!("{contradiction}; the workflow tries again")))
            }
            None => Ok(image),
        }
    }

    async fn record_share(
        &self,
        mut share: Share,
        observed: &Observed,
        trigger: &Trigger,
    ) -> Result<Option<Resolved>, Failure> {
        let last = observed.last.as_ref();
        share.run.must_schedule = self.must_schedule(&share, last).await?;
        let is_first = last.is_none_or(|last| last.number == 0);
        if !self.record_intent(&mut share, last).await? {
            return Ok(None);
        }
        if is_first && !share.run.dry_run && self.has_changed(observed.image.as_ref(), trigger).await? {
            return Ok(None);
        }
        tracing::info!(
            intent = share.run.intent,
            targets = share.desired.targets.len(),
            refused = share.desired.refused.len(),
            revocation_reason = share.desired.revocation_reason.as_ref().map(ToString::to_string),
            "resolved"
        );
        Ok(Some(Resolved::Share { share: Box::new(share) }))
    }

    /// Whether `schedule-expiry` has work to do: also when the reconciliation that removed the end was interrupted
    /// before it cancelled the schedules.
    async fn must_schedule(&self, share: &Share, last: Option<&Intent>) -> Result<bool, Failure> {
        if share.run.must_schedule || last.is_none() {
            return Ok(share.run.must_schedule);
        }
        Ok(self.ledger.schedules(&share.desired.image.id).await? != Schedules::default())
    }

    /// Whether the image has changed since it was `seen`. A reconciliation that found no tags while there was no
    /// intent had nothing to revoke, and recorded nothing that would show it: so the first intent is checked again.
    async fn has_changed(&self, seen: Option<&FoundImage>, trigger: &Trigger) -> Result<bool, Failure> {
        let relevant = |found: &FoundImage| {
            let mut tags = found.tags.clone();
            tags.remove(STATUS);
            (found.state.clone(), tags)
        };
        let now = self.resolver.image(&trigger.image).await?;
        Ok(now.as_ref().map(relevant) != seen.map(relevant))
    }

    /// Records the intent, unless the ledger has this very one; `false` when another reconciliation came first.
    async fn record_intent(&self, share: &mut Share, last: Option<&Intent>) -> Result<bool, Failure> {
        let next = Intent::following(last, share);
        share.run.intent = next.number;
        share.run.triggered_by = next.triggered_by();
        // The needs on its keys are part of the same transaction, and are written again in case they were lost.
        let needs_keys = !share.desired.targets.is_empty() && !share.desired.keys.is_empty();
        if share.run.dry_run || (last == Some(&next) && !needs_keys) {
            return Ok(true);
        }
        Ok(self.clients.ledger_writer(&self.table).record_intent(share, last, &next).await?)
    }

    /// CloudTrail names the principal while the image is pending; the event that shares it later does not.
    async fn remember_principal(&self, trigger: &Trigger, last: Option<&Intent>) -> Result<(), Failure> {
        if last.is_none() && trigger.triggered_by.principal.is_some() && !trigger.dry_run {
            let triggered = Intent::triggered(&trigger.triggered_by, String::new());
            self.clients.ledger_writer(&self.table).record_requester(&trigger.image, &triggered).await?;
        }
        Ok(())
    }
}

fn nothing(reason: String) -> Resolved {
    tracing::info!(reason, "nothing to share");
    Resolved::Nothing { reason }
}

//! `resolve-share`: from a bare AWS event to what is wanted of one image.
//!
//! Reads the image, its tags, its keys and the organization; decides; records the intent.
//! It must not write anything but the ledger.

use std::collections::BTreeSet;
use std::time::Duration;

use ami_share_aws::error::AwsError;
use ami_share_aws::images::{FoundImage, ImageReader};
use ami_share_aws::keys::KeyReader;
use ami_share_aws::ledger::LedgerReader;
use ami_share_aws::organization::OrganizationReader;
use ami_share_domain::guards::{Guards, parse_accounts, parse_organizations};
use ami_share_domain::ids::{AccountId, KeyArn};
use ami_share_domain::key_guard::refuse_key;
use ami_share_domain::ledger::Intent;
use ami_share_domain::look::Look;
use ami_share_domain::organization::{Organization, Scope};
use ami_share_domain::refusal::{Refusal, RefusalCode};
use ami_share_domain::share::{Resolved, Share, Target};
use ami_share_domain::share_tags::{ShareTags, Until, is_tagged};
use ami_share_domain::targets::{Context, Targets, resolve};
use ami_share_lambda::{Clients, Environment, Failure, Function};
use futures::future::try_join_all;
use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// How often a look starts again because another look was recorded meanwhile.
const LOOKS: u32 = 5;

/// The function.
pub struct ResolveShare {
    images: ImageReader,
    keys: KeyReader,
    organization: OrganizationReader,
    ledger: LedgerReader,
    clients: Clients,
    table: String,
    guards: Guards,
    hub: AccountId,
}

impl Function for ResolveShare {
    type Request = Value;
    type Response = Resolved;

    async fn start(environment: &Environment, clients: &Clients) -> Result<Self, Failure> {
        let table = environment.text("LEDGER_TABLE")?;
        let keep_at_most =
            environment.parsed("ORGANIZATION_CACHE_SECONDS", |text| text.parse().map(Duration::from_secs))?;
        let role = environment.text_or_empty("ORGANIZATION_ROLE_ARN");
        let organization_clients = clients.acting_as(role).await.unwrap_or_else(|| clients.clone());
        Ok(Self {
            images: clients.image_reader(),
            keys: clients.key_reader(),
            organization: organization_clients.organization_reader(keep_at_most),
            ledger: clients.ledger_reader(&table),
            clients: clients.clone(),
            table,
            guards: guards(environment)?,
            hub: environment.parsed("HUB_ACCOUNT_ID", str::parse)?,
        })
    }

    async fn handle(&self, event: Value, _invocation: &str) -> Result<Resolved, Failure> {
        let look = Look::from_event(&event, Timestamp::now())
            .map_err(|error| Failure::BadRequest(error.to_string()))?;
        for _ in 0..LOOKS {
            // The last intent is read before the tags: if it is still the last one when the new one is
            // recorded, nobody has seen later tags than this look.
            let last = self.ledger.intent(&look.image).await?;
            let mut share = match self.wanted(&look, last.as_ref()).await? {
                Ok(share) => share,
                Err(reason) => return Ok(nothing(&look, reason)),
            };
            let next = Intent::following(last.as_ref(), &share.asked, digest(&share));
            share.intent = next.number;
            share.asked = next.asked();
            if look.dry_run
                || self.clients.ledger_writer(&self.table).record_intent(&share, last.as_ref(), &next).await?
            {
                tracing::info!(image = %look.image, intent = next.number, targets = share.targets.len(), refused = share.refused.len(), "resolved");
                return Ok(Resolved::Share { share: Box::new(share) });
            }
        }
        Err(AwsError::Busy(look.image.to_string()).into())
    }
}

impl ResolveShare {
    /// What the image's tags come to, or why there is nothing to do.
    async fn wanted(&self, look: &Look, last: Option<&Intent>) -> Result<Result<Share, String>, Failure> {
        let Some(found) = self.images.image(&look.image).await? else {
            return Ok(Err("the image does not exist".to_owned()));
        };
        let tags = ShareTags::read(&found.tags);
        if !is_tagged(&found.tags) && last.is_none_or(|last| last.number == 0) {
            return Ok(Err("the image has no ami-share: tags".to_owned()));
        }
        if !found.is_available {
            self.remember_who_asked(look, last).await?;
            return Ok(Err(format!("the image is {}; its event `available` brings it back", found.state)));
        }
        let Targets { mut targets, mut refused } = self.targets(&tags).await?;
        let mut keys = Vec::new();
        if !targets.is_empty() {
            match self.usable_keys(&found).await? {
                Ok(usable) => keys = usable,
                Err(reasons) => {
                    refused.extend(refuse_all(&targets, &reasons));
                    targets.clear();
                }
            }
        }
        let may_copy = tags.copy && !targets.is_empty();
        Ok(Ok(Share {
            image: found.image,
            intent: 0,
            targets,
            refused,
            keys,
            snapshots: if may_copy { found.snapshots } else { Vec::new() },
            until: if let Until::At(end) = tags.until { Some(end) } else { None },
            asked: look.asked.clone(),
            dry_run: look.dry_run,
        }))
    }

    /// While an image is pending, CloudTrail says who made it; the event that shares it later does not.
    async fn remember_who_asked(&self, look: &Look, last: Option<&Intent>) -> Result<(), Failure> {
        if last.is_none() && look.asked.by.is_some() && !look.dry_run {
            let asking = Intent::asking(&look.asked, String::new());
            self.clients.ledger_writer(&self.table).record_asking(&look.image, &asking).await?;
        }
        Ok(())
    }

    /// Who gets the image. What a kept organization does not know is looked up again before it is refused.
    async fn targets(&self, tags: &ShareTags) -> Result<Targets, Failure> {
        let scope = Scope::needed_by(&tags.selectors);
        if tags.selectors.is_empty() {
            return Ok(self.decide(tags, None));
        }
        let reading = self.organization.read(scope).await?;
        let targets = self.decide(tags, reading.organization.as_deref());
        if targets.refused.len() == tags.refused.len() || !reading.is_kept {
            return Ok(targets);
        }
        let reading = self.organization.read_again(scope).await?;
        Ok(self.decide(tags, reading.organization.as_deref()))
    }

    fn decide(&self, tags: &ShareTags, organization: Option<&Organization>) -> Targets {
        let context = Context { organization, guards: &self.guards, hub: &self.hub, now: Timestamp::now() };
        resolve(tags, &context)
    }

    /// The keys of the image, or why it cannot be shared. Nothing is written before all of them are known to be usable.
    async fn usable_keys(&self, found: &FoundImage) -> Result<Result<Vec<KeyArn>, Vec<Refusal>>, Failure> {
        if found.image.owner != self.hub {
            let owner = &found.image.owner;
            let reason = format!(
                "the image belongs to account {owner}, and only its owner can share it; copy it and tag the copy"
            );
            return Ok(Err(vec![Refusal::new(owner.as_str(), RefusalCode::NotOwner, reason)]));
        }
        let keys = self.images.keys(&found.image.id, &found.snapshots).await?;
        let observed = try_join_all(keys.iter().map(|key| self.keys.observe(key, &self.hub))).await?;
        let refused: Vec<Refusal> = observed.iter().filter_map(|key| refuse_key(key, &self.hub)).collect();
        Ok(if refused.is_empty() { Ok(keys.into_iter().collect()) } else { Err(refused) })
    }
}

/// Every target is refused for reasons that lie in the image.
fn refuse_all(targets: &[Target], reasons: &[Refusal]) -> Vec<Refusal> {
    let sentences: BTreeSet<&str> = reasons.iter().map(|refusal| refusal.reason.as_str()).collect();
    let sentence = sentences.into_iter().collect::<Vec<_>>().join("; ");
    let code = reasons.first().map_or(RefusalCode::PolicyUnsafe, |refusal| refusal.code);
    targets.iter().map(|target| Refusal::new(target.name(), code, sentence.clone())).collect()
}

fn nothing(look: &Look, reason: String) -> Resolved {
    tracing::info!(image = %look.image, reason, "nothing to share");
    Resolved::Nothing { reason }
}

fn digest(share: &Share) -> String {
    let digest = Sha256::digest(share.wish().as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn guards(environment: &Environment) -> Result<Guards, Failure> {
    Ok(Guards {
        external_accounts: environment.parsed_or_empty("ALLOWED_EXTERNAL_ACCOUNTS", parse_accounts)?,
        external_organizations: environment
            .parsed_or_empty("ALLOWED_EXTERNAL_ORGANIZATIONS", parse_organizations)?,
        external_needs_until: environment.parsed("EXTERNAL_SHARES_NEED_UNTIL", str::parse)?,
        target_limit: environment.parsed("MAX_TARGETS_PER_IMAGE", str::parse)?,
    })
}

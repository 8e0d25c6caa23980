//! What is wanted of one image: reads all that the decision rests on, and lets the domain decide.
//!
//! `resolve-share` records what comes out, `review-shares` compares it with what is. Nothing is written here.

use std::collections::BTreeSet;
use std::time::Duration;

use ami_share_aws::ec2::images::{FoundImage, ImageReader};
use ami_share_aws::error::Fault;
use ami_share_aws::keys::{KeyObserver, KeyReader};
use ami_share_aws::organization::OrganizationReader;
use ami_share_domain::ids::{AccountId, ImageId, KeyArn};
use ami_share_domain::image::desired::{DesiredState, Image, Observation, Run, Share};
use ami_share_domain::image::ledger::Intent;
use ami_share_domain::image::schedule::warn_at;
use ami_share_domain::key::lockout::{refuse_key, unreadable};
use ami_share_domain::refusal::{Refusal, RefusalCode};
use ami_share_domain::tags::share_tags::{ShareTags, is_tagged};
use ami_share_domain::targets::limits::{Limits, parse_accounts, parse_organizations};
use ami_share_domain::targets::organization::{Organization, Scope};
use ami_share_domain::targets::resolve::{Context, Previous, Targets, needs_organization, resolve};
use ami_share_domain::targets::revocation_reason::RevocationReason;
use ami_share_domain::targets::target::Target;
use ami_share_domain::trigger::Trigger;
use ami_share_lambda::{Clients, Environment, Failure};
use futures::future::{join, try_join_all};
use jiff::Timestamp;

/// States from which an image may still become `available`. Source:
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Image.html>
const NOT_YET: [&str; 2] = ["pending", "transient"];

/// Finds out what is wanted.
pub struct Resolver {
    images: ImageReader,
    keys: KeyReader,
    organization: OrganizationReader,
    limits: Limits,
    hub: AccountId,
    region: String,
    warning_days: u32,
}

/// What an image comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// This is wanted, be it nothing any more.
    Share(Box<Share>),
    /// There is nothing to do yet: the image is still being made.
    NotYet(String),
    /// There is nothing to do: nothing was ever wanted of the image.
    Nothing(String),
}

impl Resolver {
    /// Reads the guards from the environment that `template.yaml` sets.
    ///
    /// # Errors
    /// When a variable is missing or cannot be read.
    pub async fn start(environment: &Environment, clients: &Clients) -> Result<Self, Failure> {
        let cache_at_most =
            environment.parsed("ORGANIZATION_CACHE_SECONDS", |text| text.parse().map(Duration::from_secs))?;
        let role = environment.text_or_empty("ORGANIZATION_ROLE_ARN");
        let organization_clients = clients.acting_as(role).await.unwrap_or_else(|| clients.clone());
        Ok(Self {
            images: clients.image_reader(),
            keys: clients.key_reader(),
            organization: organization_clients.organization_reader(cache_at_most),
            limits: limits(environment)?,
            hub: environment.parsed("HUB_ACCOUNT_ID", str::parse)?,
            region: clients.region(),
            warning_days: environment.parsed("EXPIRY_WARNING_DAYS", str::parse)?,
        })
    }

    /// Observes the keys of one look, or of looks that are one: each key is asked about once.
    pub fn key_observer(&self) -> KeyObserver {
        KeyObserver::new(self.keys.clone(), self.hub.clone())
    }

    /// What `trigger` comes to for the image as it was found (`None`: it does not exist), after the `last` intent.
    ///
    /// # Errors
    /// When AWS does not answer.
    pub async fn desired_state(
        &self,
        trigger: &Trigger,
        found: Option<&FoundImage>,
        last: Option<&Intent>,
        keys: &KeyObserver,
    ) -> Result<Resolution, Failure> {
        // What was only asked for while the image was pending has given nothing.
        let last = last.filter(|last| last.number > 0);
        let (found, revocation_reason) = match (found, last) {
            (None, None) => return Ok(Resolution::Nothing("the image does not exist".to_owned())),
            (None, Some(last)) => {
                return Ok(share(self.all_ends(trigger, None, last, RevocationReason::ImageGone)));
            }
            (Some(found), None) if !is_tagged(&found.tags) => {
                return Ok(Resolution::Nothing("the image has no ami-share: tags".to_owned()));
            }
            (Some(found), Some(_)) if !is_tagged(&found.tags) => (found, Some(RevocationReason::Untagged)),
            (Some(found), _) => (found, None),
        };
        if NOT_YET.contains(&found.state.as_str()) {
            return Ok(Resolution::NotYet(format!(
                "the image is {}; its event `available` brings it back",
                found.state
            )));
        }
        let unusable =
            (!found.is_available).then(|| RevocationReason::ImageUnusable { state: found.state.clone() });
        match (unusable.or(revocation_reason), last) {
            (Some(revocation_reason), Some(last)) => {
                Ok(share(self.all_ends(trigger, Some(found), last, revocation_reason)))
            }
            (Some(revocation_reason), None) => Ok(Resolution::Nothing(revocation_reason.to_string())),
            (None, last) => Ok(share(self.desired(trigger, found, last, keys).await?)),
        }
    }

    /// The share that revokes everything.
    fn all_ends(
        &self,
        trigger: &Trigger,
        found: Option<&FoundImage>,
        last: &Intent,
        revocation_reason: RevocationReason,
    ) -> Share {
        let gone = || Image {
            id: trigger.image.clone(),
            name: last.image_name.clone(),
            region: self.region.clone(),
            owner: self.hub.clone(),
        };
        let unseen = || Observation { at: Timestamp::now(), status: None };
        let before = Before::from(last);
        let run = run(trigger, found.map_or_else(unseen, |found| found.observed.clone()), before.until);
        let image = found.map_or_else(gone, |found| found.image.clone());
        let desired =
            DesiredState { revocation_reason: Some(revocation_reason), ..without_targets(image, before) };
        Share { desired, run }
    }

    /// What the tags come to.
    async fn desired(
        &self,
        trigger: &Trigger,
        found: &FoundImage,
        last: Option<&Intent>,
        observer: &KeyObserver,
    ) -> Result<Share, Failure> {
        let tags = ShareTags::read(&found.tags);
        let before = last.map(Before::from).unwrap_or_default();
        let previous = Previous { targets: &before.targets, until: before.until };
        let now = trigger.now(Timestamp::now());
        let context = Context { organization: None, limits: &self.limits, hub: &self.hub, previous, now };
        // Neither waits for the other. Where nobody can be wanted, neither is asked about.
        let (targets, usable) = match needs_organization(&tags, &context) {
            true => join(self.targets(trigger, &tags, &context), self.usable_keys(found, observer)).await,
            false => (Ok(resolve(&tags, &context)), Ok(Ok(Vec::new()))),
        };
        let Targets { mut targets, mut retained, mut refused, until, revocation_reason } = targets?;
        let mut keys = before.keys.clone();
        // Whoever is taken out of the tag is withdrawn also when the keys cannot be read.
        if !targets.is_empty() {
            match usable? {
                Ok(usable) => keys.extend(usable),
                Err(reasons) => {
                    refused.extend(refuse_all(&targets, &reasons));
                    retained.append(&mut targets);
                }
            }
        }
        let may_copy = tags.copy && !(targets.is_empty() && retained.is_empty());
        let run = run(trigger, found.observed.clone(), until.or(before.until));
        let desired = DesiredState {
            targets,
            retained,
            refused,
            keys: keys.into_iter().collect(),
            snapshots: if may_copy { found.snapshots.clone() } else { Vec::new() },
            until,
            warn_at: warn_at(until, self.warning_days),
            revocation_reason,
            ..without_targets(found.image.clone(), before)
        };
        Ok(Share { desired, run })
    }

    /// Who gets the image. What a kept organization does not know is looked up again before it is refused.
    async fn targets(
        &self,
        trigger: &Trigger,
        tags: &ShareTags,
        context: &Context<'_>,
    ) -> Result<Targets, Failure> {
        let scope = Scope::needed_by(&tags.selectors);
        let decide =
            |organization: Option<&Organization>| resolve(tags, &Context { organization, ..*context });
        let reading = match trigger.organization_changed_at {
            Some(moment) => self.organization.read_since(moment, scope).await?,
            None => self.organization.read(scope).await?,
        };
        let targets = decide(reading.organization.as_deref());
        if targets.refused.len() == tags.refused.len() || !reading.cached {
            return Ok(targets);
        }
        Ok(decide(self.organization.read_again(scope).await?.organization.as_deref()))
    }

    /// The keys of the image, or why it cannot be shared. Nothing is written before all of them are known to be usable.
    async fn usable_keys(
        &self,
        found: &FoundImage,
        observer: &KeyObserver,
    ) -> Result<Result<Vec<KeyArn>, Vec<Refusal>>, Failure> {
        if found.image.owner != self.hub {
            let owner = &found.image.owner;
            let reason = format!(
                "the image belongs to account {owner}, and only its owner can share it; copy it and tag the copy"
            );
            return Ok(Err(vec![Refusal::new(owner.as_str(), RefusalCode::NotOwner, reason)]));
        }
        let keys = self.images.keys(&found.image.id, &found.snapshots).await?;
        let refused = try_join_all(keys.iter().map(|key| self.refuse(key, observer))).await?;
        let refused: Vec<Refusal> = refused.into_iter().flatten().collect();
        Ok(if refused.is_empty() { Ok(keys.into_iter().collect()) } else { Err(refused) })
    }

    /// Why an image on this key cannot be shared. What AWS says differs from role to role, and is left out of the
    /// reason: a review has to find the same wanted as a look.
    async fn refuse(&self, key: &KeyArn, observer: &KeyObserver) -> Result<Option<Refusal>, Failure> {
        match observer.observe(key).await {
            Err(error) if error.fault() == Fault::Denied => {
                tracing::warn!(%key, %error, "cannot be read");
                Ok(Some(unreadable(key, "AWS denies kms:DescribeKey or kms:ListResourceTags")))
            }
            observed => Ok(refuse_key(&observed?, &self.hub)),
        }
    }

    /// The image as EC2 describes it; `None` when it does not exist.
    ///
    /// # Errors
    /// When AWS does not answer.
    pub async fn image(&self, image: &ImageId) -> Result<Option<FoundImage>, Failure> {
        Ok(self.images.image(image).await?)
    }
}

/// What was wanted before.
#[derive(Debug, Clone, Default)]
struct Before {
    targets: Vec<String>,
    until: Option<Timestamp>,
    keys: BTreeSet<KeyArn>,
}

impl From<&Intent> for Before {
    fn from(last: &Intent) -> Self {
        let keys = last.keys.iter().cloned().collect();
        Self { targets: last.targets.clone(), until: last.until, keys }
    }
}

/// The desired state of an image that no target gets.
fn without_targets(image: Image, before: Before) -> DesiredState {
    DesiredState {
        image,
        targets: Vec::new(),
        retained: Vec::new(),
        refused: Vec::new(),
        keys: before.keys.into_iter().collect(),
        snapshots: Vec::new(),
        until: None,
        warn_at: None,
        revocation_reason: None,
    }
}

/// The run that `trigger` starts; its intent has no number yet. `until` is the end of the shares, or of those before.
fn run(trigger: &Trigger, observed: Observation, until: Option<Timestamp>) -> Run {
    Run {
        intent: 0,
        observed,
        must_schedule: until.is_some(),
        triggered_by: trigger.triggered_by.clone(),
        event_time: Some(trigger.triggered_by.at),
        changed_by: trigger.changed_by.clone(),
        adopt: trigger.adopt,
        dry_run: trigger.dry_run,
    }
}

fn share(share: Share) -> Resolution {
    Resolution::Share(Box::new(share))
}

/// Every target is refused for reasons that lie in the image.
fn refuse_all(targets: &[Target], reasons: &[Refusal]) -> Vec<Refusal> {
    let sentences: BTreeSet<&str> = reasons.iter().map(|refusal| refusal.reason.as_str()).collect();
    let sentence = sentences.into_iter().collect::<Vec<_>>().join("; ");
    let code = reasons.first().map_or(RefusalCode::PolicyUnsafe, |refusal| refusal.code);
    targets.iter().map(|target| Refusal::new(target.name(), code, sentence.clone())).collect()
}

fn limits(environment: &Environment) -> Result<Limits, Failure> {
    Ok(Limits {
        sharing: environment.parsed("SHARING", str::parse)?,
        external_accounts: environment.parsed_or_empty("ALLOWED_EXTERNAL_ACCOUNTS", parse_accounts)?,
        external_organizations: environment
            .parsed_or_empty("ALLOWED_EXTERNAL_ORGANIZATIONS", parse_organizations)?,
        external_needs_until: environment.parsed("EXTERNAL_SHARES_NEED_UNTIL", str::parse)?,
        target_limit: environment.parsed("MAX_TARGETS_PER_IMAGE", str::parse)?,
    })
}

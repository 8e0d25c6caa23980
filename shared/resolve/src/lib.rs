//! The desired state of one image: reads everything that the decision depends on, and lets the domain decide.
//!
//! `resolve-share` records the result, `review-shares` compares it with the actual state. Nothing is written here.

use std::collections::BTreeSet;
use std::time::Duration;

use ami_share_aws::clock::Clock;
use ami_share_aws::ec2::images::{FoundImage, ImageReader};
use ami_share_aws::error::Fault;
use ami_share_aws::keys::{KeyObserver, KeyReader};
use ami_share_aws::organization::OrganizationReader;
use ami_share_domain::ids::{AccountId, ImageId, KeyArn};
use ami_share_domain::image::desired::{DesiredState, Image, Observation, Run, Share};
use ami_share_domain::image::ledger::Intent;
use ami_share_domain::image::schedule::warn_at;
use ami_share_domain::refusal::{Refusal, RefusalReason};
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

/// Finds the desired state.
pub struct Resolver {
    images: ImageReader,
    keys: KeyReader,
    organization: OrganizationReader,
    limits: Limits,
    hub: AccountId,
    region: String,
    warning_days: u32,
    clock: Clock,
}

/// The result for one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// The desired state, which may be that all shares end.
    Share(Box<Share>),
    /// There is nothing to do yet: the image is still being created.
    NotYet(String),
    /// There is nothing to do: the image was never shared.
    Nothing(String),
}

impl Resolver {
    /// Reads the limits from the environment that `template.yaml` sets.
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
            clock: clients.clock(),
            warning_days: environment.parsed("EXPIRY_WARNING_DAYS", str::parse)?,
        })
    }

    /// Observes the keys of one reconciliation, or of one page of the review: each key is read once.
    pub fn key_observer(&self) -> KeyObserver {
        KeyObserver::new(self.keys.clone(), self.hub.clone())
    }

    /// The desired state after `trigger`, for the image as it was found (`None`: it does not exist) and the `last` intent.
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
        // An intent without a number was recorded while the image was pending, and has granted nothing.
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
                "the image is {}; its event `available` starts the next reconciliation",
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
        let unseen = || Observation { at: self.clock.now(), status: None };
        let before = Before::from(last);
        let run = run(trigger, found.map_or_else(unseen, |found| found.observed.clone()), before.until);
        let image = found.map_or_else(gone, |found| found.image.clone());
        let desired =
            DesiredState { revocation_reason: Some(revocation_reason), ..without_targets(image, before) };
        Share { desired, run }
    }

    /// The share that the tags ask for.
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
        let now = trigger.now(self.clock.now());
        let context = Context { organization: None, limits: &self.limits, hub: &self.hub, previous, now };
        // Both are read at once. Where no target can be desired, neither is read.
        let (targets, usable) = match needs_organization(&tags, &context) {
            true => join(self.targets(trigger, &tags, &context), self.usable_keys(found, observer)).await,
            false => (Ok(resolve(&tags, &context)), Ok(Ok(Vec::new()))),
        };
        let Targets { mut targets, mut retained, mut refused, until, revocation_reason } = targets?;
        let mut keys = before.keys.clone();
        // A target that the tag no longer names is revoked even if the keys cannot be read.
        if !targets.is_empty() {
            match usable? {
                Ok(usable) => keys.extend(usable),
                Err(reason) => {
                    let refusal = |target: &Target| Refusal::new(target.name(), reason.clone());
                    refused.extend(targets.iter().map(refusal));
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

    /// The targets. What a cached organization does not know is read again before it is refused.
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

    /// The keys of the image, or why it cannot be shared. Nothing is written unless all of them are usable.
    async fn usable_keys(
        &self,
        found: &FoundImage,
        observer: &KeyObserver,
    ) -> Result<Result<Vec<KeyArn>, RefusalReason>, Failure> {
        if found.image.owner != self.hub {
            return Ok(Err(RefusalReason::NotOwner { owner: found.image.owner.clone() }));
        }
        let keys = self.images.keys(&found.image.id, &found.snapshots).await?;
        let refused = try_join_all(keys.iter().map(|key| self.refuse(key, observer))).await?;
        let refused: Vec<RefusalReason> = refused.into_iter().flatten().collect();
        Ok(if refused.is_empty() { Ok(keys.into_iter().collect()) } else { Err(RefusalReason::all(refused)) })
    }

    /// Why an image on this key cannot be shared. The message names the denied actions instead of what AWS says, which
    /// names the role and would make the status differ.
    async fn refuse(&self, key: &KeyArn, observer: &KeyObserver) -> Result<Option<RefusalReason>, Failure> {
        match observer.observe(key).await {
            Err(error) if error.fault() == Fault::Denied => {
                tracing::warn!(%key, %error, "cannot be read");
                Ok(Some(RefusalReason::UnreadableKey {
                    key: key.clone(),
                    message: "AWS denies kms:DescribeKey or kms:ListResourceTags".to_owned(),
                }))
            }
            observed => Ok(observed?.refuse_grant(&self.hub)),
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

/// The last intent.
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

/// The desired state of an image without targets.
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

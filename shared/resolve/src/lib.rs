//! The desired state of one image: reads everything that the decision depends on, and lets the domain decide.
//!
//! `resolve-share` records the result, `review-shares` compares it with the actual state. Nothing is written here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ami_share_aws::clock::Clock;
use ami_share_aws::ec2::images::{FoundImage, ImageReader};
use ami_share_aws::error::{AwsError, Fault};
use ami_share_aws::keys::{KeyObserver, KeyReader};
use ami_share_aws::organization::OrganizationReader;
use ami_share_domain::ids::{AccountId, ImageId, KeyArn, SnapshotId};
use ami_share_domain::image::desired::{DesiredState, Image, Observation, Run, Share};
use ami_share_domain::image::ledger::Intent;
use ami_share_domain::image::schedule::warn_at;
use ami_share_domain::refusal::{Refusal, RefusalReason};
use ami_share_domain::tags::share_tags::{Copying, ShareTags, is_tagged};
use ami_share_domain::targets::limits::{Limits, parse_accounts, parse_organizations};
use ami_share_domain::targets::organization::{Organization, Scope};
use ami_share_domain::targets::resolve::{Context, Previous, Targets, needs_organization, resolve};
use ami_share_domain::targets::revocation_reason::RevocationReason;
use ami_share_domain::targets::target::Target;
use ami_share_domain::targets::unread::retain;
use ami_share_domain::trigger::{NOT_YET, Trigger};
use ami_share_lambda::{Clients, Environment, Failure};
use futures::future::{join, try_join_all};
use jiff::Timestamp;

/// States from which an image never becomes `available`. Its status says so, also where it was never shared.
const NEVER: [&str; 3] = ["failed", "invalid", "error"];

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
                return Ok(share(self.all_ends(trigger, None, Some(last), RevocationReason::ImageGone)));
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
            (Some(revocation_reason), last) if last.is_some() || NEVER.contains(&found.state.as_str()) => {
                Ok(share(self.all_ends(trigger, Some(found), last, revocation_reason)))
            }
            (Some(revocation_reason), _) => Ok(Resolution::Nothing(revocation_reason.to_string())),
            (None, last) => Ok(share(self.desired(trigger, found, last, keys).await?)),
        }
    }

    /// The share that revokes everything.
    fn all_ends(
        &self,
        trigger: &Trigger,
        found: Option<&FoundImage>,
        last: Option<&Intent>,
        revocation_reason: RevocationReason,
    ) -> Share {
        let gone = || Image {
            id: trigger.image.clone(),
            name: last.map(|last| last.image_name.clone()).unwrap_or_default(),
            region: self.region.clone(),
            owner: self.hub.clone(),
        };
        let unseen = || Observation { at: self.clock.now(), status: None };
        let before = last.map(Before::from).unwrap_or_default();
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
        let previous = Previous { targets: &before.targets, groups: &before.groups, until: before.until };
        let now = trigger.now(self.clock.now());
        let context = Context { organization: None, limits: &self.limits, hub: &self.hub, previous, now };
        // Both are read at once. Where no target can be desired, neither is read.
        let (targets, usable) = match needs_organization(&tags, &context) {
            true => join(self.targets(trigger, &tags, &context), self.usable(found, observer)).await,
            false => (Ok(resolve(&tags, &context)), Ok(Usable::default())),
        };
        let Targets {
            mut targets,
            mut retained,
            mut refused,
            has_unknown_accounts,
            until,
            revocation_reason,
        } = targets?;
        let mut keys = before.keys.clone();
        // A target that the tag no longer names is revoked even if snapshots and keys cannot be read.
        let is_desired = |name: &String| targets.iter().chain(&retained).any(|target| target.name() == name);
        let usable = match usable {
            Err(_) if targets.is_empty() => Usable::default(),
            // Where a retry may read them and nobody is to be revoked, the step is retried.
            Err(error) if !before.targets.iter().all(is_desired) => {
                tracing::warn!(%error, "snapshots or keys cannot be read");
                Usable::refused(RefusalReason::StepFailed { message: error.to_string() })
            }
            usable => usable?,
        };
        match usable.keys {
            Ok(usable) => keys.extend(usable),
            Err(reason) => {
                let refusal = |target: &Target| Refusal::new(target.name(), reason.clone());
                refused.extend(targets.iter().map(refusal));
                retained.append(&mut targets);
            }
        }
        let has_targets = !(targets.is_empty() && retained.is_empty());
        let own = found.snapshots.iter().filter(|snapshot| !usable.foreign.contains_key(*snapshot)).cloned();
        let (snapshots, retained_snapshots) = match tags.copy {
            Copying::Allowed if has_targets => (own.collect(), Vec::new()),
            Copying::Unreadable if has_targets && before.may_copy => (Vec::new(), own.collect()),
            Copying::No | Copying::Allowed | Copying::Unreadable => (Vec::new(), Vec::new()),
        };
        if !snapshots.is_empty() || (tags.copy == Copying::Allowed && has_targets) {
            refused.extend(usable.foreign.into_iter().map(|(snapshot, owner)| {
                Refusal::new(snapshot.to_string(), RefusalReason::ForeignSnapshot { snapshot, owner })
            }));
        }
        let run = run(trigger, found.observed.clone(), until.or(before.until));
        let desired = DesiredState {
            targets,
            retained,
            refused,
            keys: keys.into_iter().collect(),
            snapshots,
            retained_snapshots,
            has_unknown_accounts,
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
            Some(moment) => self.organization.read_since(moment, scope).await,
            None => self.organization.read(scope).await,
        };
        let reading = match reading {
            Ok(reading) => reading,
            Err(error) => return without_organization(tags, context, error),
        };
        let targets = decide(reading.organization.as_deref());
        if targets.refused.len() == tags.refused.len() || !reading.cached {
            return Ok(targets);
        }
        match self.organization.read_again(scope).await {
            Ok(reading) => Ok(decide(reading.organization.as_deref())),
            Err(error) => without_organization(tags, context, error),
        }
    }

    /// The keys of the image, or why it cannot be shared, and its snapshots that belong to other accounts. Nothing is
    /// granted unless all snapshots exist and all keys are usable.
    async fn usable(&self, found: &FoundImage, observer: &KeyObserver) -> Result<Usable, Failure> {
        if found.image.owner != self.hub {
            return Ok(Usable::refused(RefusalReason::NotOwner { owner: found.image.owner.clone() }));
        }
        let snapshots = match self.images.snapshots(&found.image.id, &found.snapshots).await {
            Err(error) if !error.fault().is_retryable() => {
                tracing::warn!(%error, "the snapshots cannot be read");
                return Ok(Usable::refused(RefusalReason::UnreadableSnapshots {
                    message: error.to_string(),
                }));
            }
            snapshots => snapshots?,
        };
        let missing = found.snapshots.iter().filter(|snapshot| !snapshots.contains_key(*snapshot)).cloned();
        let mut refused: Vec<RefusalReason> =
            missing.map(|snapshot| RefusalReason::MissingSnapshot { snapshot }).collect();
        let keys: BTreeSet<KeyArn> = snapshots.values().filter_map(|snapshot| snapshot.key.clone()).collect();
        let refused_keys = try_join_all(keys.iter().map(|key| self.refuse(key, observer))).await?;
        refused.extend(refused_keys.into_iter().flatten());
        let foreign = snapshots.into_iter().filter(|(_, snapshot)| snapshot.owner != self.hub);
        Ok(Usable {
            keys: if refused.is_empty() { Ok(keys) } else { Err(RefusalReason::all(refused)) },
            foreign: foreign.map(|(id, snapshot)| (id, snapshot.owner)).collect(),
        })
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

/// The targets while the organization cannot be read. Where it may be readable a moment later, and nothing is to be
/// revoked, the step is retried instead.
fn without_organization(
    tags: &ShareTags,
    context: &Context<'_>,
    error: AwsError,
) -> Result<Targets, Failure> {
    let Some(targets) = retain(tags, context, &error.to_string()) else { return Err(error.into()) };
    let revokes = targets.retained.len() < context.previous.targets.len();
    if error.fault().is_retryable() && !revokes {
        return Err(error.into());
    }
    tracing::warn!(%error, retained = targets.retained.len(), "the organization cannot be read");
    Ok(targets)
}

/// What the snapshots of an image allow.
#[derive(Debug, Clone)]
struct Usable {
    /// Their keys, or why the image cannot be shared.
    keys: Result<BTreeSet<KeyArn>, RefusalReason>,
    /// Those that belong to other accounts: only their owners can grant them.
    foreign: BTreeMap<SnapshotId, AccountId>,
}

impl Usable {
    fn refused(reason: RefusalReason) -> Self {
        Self { keys: Err(reason), ..Self::default() }
    }
}

impl Default for Usable {
    fn default() -> Self {
        Self { keys: Ok(BTreeSet::new()), foreign: BTreeMap::new() }
    }
}

/// The last intent.
#[derive(Debug, Clone, Default)]
struct Before {
    targets: Vec<String>,
    groups: Vec<Target>,
    may_copy: bool,
    until: Option<Timestamp>,
    keys: BTreeSet<KeyArn>,
}

impl From<&Intent> for Before {
    fn from(last: &Intent) -> Self {
        let keys = last.keys.iter().cloned().collect();
        Self {
            targets: last.targets.clone(),
            groups: last.groups.clone(),
            may_copy: last.may_copy,
            until: last.until,
            keys,
        }
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
        retained_snapshots: Vec::new(),
        has_unknown_accounts: false,
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
        tags_version: trigger.tags_version(),
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

//! Reads what the comparison of an image with its tags needs.

use std::collections::{BTreeMap, BTreeSet};

use ami_share_aws::clock::Clock;
use ami_share_aws::ec2::images::{FoundImage, ImageReader};
use ami_share_aws::ec2::permissions::PermissionReader;
use ami_share_aws::error::{AwsError, Fault};
use ami_share_aws::keys::{KeyObserver, KeyReader};
use ami_share_aws::ledger::reader::LedgerReader;
use ami_share_domain::ids::{AccountId, ImageId, KeyArn, SnapshotId};
use ami_share_domain::image::desired::{Image, Observation, Share};
use ami_share_domain::image::ledger::ImageLedger;
use ami_share_domain::image::plan::ObservedImage;
use ami_share_domain::key::ledger::KeyLedger;
use ami_share_domain::key::observed::ObservedKey;
use ami_share_domain::key::policy::KeyPolicy;
use ami_share_domain::refusal::RefusalReason;
use ami_share_domain::review;
use ami_share_domain::review::key::{ReviewedKeyState, problem};
use ami_share_domain::review::report::ReviewedImage;
use ami_share_domain::review::seen::Seen;
use ami_share_domain::trigger::{Cause, Trigger, TriggeredBy};
use ami_share_lambda::Failure;
use ami_share_resolve::{Resolution, Resolver};
use jiff::Timestamp;

/// Reads images, keys, permissions and the ledger.
pub(crate) struct Reader {
    pub(crate) images: ImageReader,
    pub(crate) keys: KeyReader,
    pub(crate) permissions: PermissionReader,
    pub(crate) ledger: LedgerReader,
    pub(crate) target_limit: usize,
    pub(crate) makes_private: bool,
    pub(crate) clock: Clock,
    /// The account that owns the images and keys.
    pub(crate) hub: AccountId,
}

/// All that was read of an image.
pub(crate) struct Facts {
    ledger: ImageLedger,
    observed: ObservedImage,
    state: String,
    resolved: ResolvedImage,
}

/// What the tags of an image come to.
enum ResolvedImage {
    Share {
        share: Box<Share>,
        desired_state: String,
    },
    /// Nothing is shared, and nothing has been.
    Nothing(Box<FoundImage>),
    /// AWS did not let us read it, for a reason that a retry does not remove.
    Unreadable {
        image: Image,
        described: Observation,
        reason: String,
    },
}

impl Facts {
    /// The keys that the comparison needs.
    pub(crate) fn keys(&self) -> &[KeyArn] {
        match &self.resolved {
            ResolvedImage::Share { share, .. } => &share.desired.keys,
            ResolvedImage::Nothing(_) | ResolvedImage::Unreadable { .. } => &[],
        }
    }

    /// Whether the tags ask for something, and the ledger has no share at all: not even a refused or revoked one.
    pub(crate) fn has_no_share(&self) -> bool {
        matches!(self.resolved, ResolvedImage::Share { .. }) && self.ledger.shares.is_empty()
    }

    /// Whether the image no longer exists.
    pub(crate) fn is_gone(&self) -> bool {
        self.observed.is_gone
    }
}

impl Reader {
    /// The desired and the actual state of an image; `None` when it is gone and was never shared. An image that cannot
    /// be read does not stop the review.
    pub(crate) async fn facts(
        &self,
        resolver: &Resolver,
        found: Option<FoundImage>,
        trigger: &Trigger,
        keys: &KeyObserver,
    ) -> Result<Option<Facts>, Failure> {
        let image = &trigger.image;
        let (name, state) = match &found {
            Some(found) => (found.image.name.clone(), found.state.clone()),
            None => (String::new(), "unknown".to_owned()),
        };
        match self.try_facts(resolver, found, trigger, keys).await {
            Err(Failure::Aws(error)) if !error.fault().is_retryable() => {
                tracing::warn!(%error, "the image cannot be compared");
                let image = Image { id: image.clone(), name, region: String::new(), owner: self.hub.clone() };
                let described = Observation { at: self.clock.now(), status: None };
                let resolved = ResolvedImage::Unreadable { image, described, reason: error.to_string() };
                let observed = ObservedImage::default();
                Ok(Some(Facts { ledger: ImageLedger::default(), observed, state, resolved }))
            }
            facts => facts,
        }
    }

    async fn try_facts(
        &self,
        resolver: &Resolver,
        found: Option<FoundImage>,
        trigger: &Trigger,
        keys: &KeyObserver,
    ) -> Result<Option<Facts>, Failure> {
        let image = &trigger.image;
        let found = match found {
            // An image of another account may carry our tags, too; it is not in the list of the hub's own images.
            None => resolver.image(image).await?,
            found => found,
        };
        let ledger = self.ledger.image(image).await?;
        let resolution =
            resolver.desired_state(trigger, found.as_ref(), ledger.intent.as_ref(), keys).await?;
        let resolved = match (resolution, &found) {
            (Resolution::Share(share), _) => {
                ResolvedImage::Share { desired_state: share.desired.digest(), share }
            }
            (Resolution::Nothing(_) | Resolution::NotYet(_), Some(found)) => {
                ResolvedImage::Nothing(Box::new(found.clone()))
            }
            (Resolution::Nothing(_) | Resolution::NotYet(_), None) => return Ok(None),
        };
        let observed = self.observe(image, found.as_ref(), &resolved, &ledger).await?;
        let state = found.map_or_else(|| "gone".to_owned(), |found| found.state);
        Ok(Some(Facts { ledger, observed, state, resolved }))
    }

    /// The permissions of an image and of the snapshots that its share has or had. Only the owner of an image can read
    /// or change its permissions, so nothing of a foreign one is managed.
    async fn observe(
        &self,
        image: &ImageId,
        found: Option<&FoundImage>,
        resolved: &ResolvedImage,
        ledger: &ImageLedger,
    ) -> Result<ObservedImage, Failure> {
        if found.is_some_and(|found| found.image.owner != self.hub) {
            return Ok(ObservedImage::default());
        }
        let snapshots: BTreeSet<SnapshotId> = match resolved {
            ResolvedImage::Share { share, .. } => {
                share.desired.snapshots.iter().chain(ledger.snapshots.keys()).cloned().collect()
            }
            ResolvedImage::Nothing(_) | ResolvedImage::Unreadable { .. } => BTreeSet::new(),
        };
        Ok(self.permissions.observe(image, &snapshots).await?)
    }

    /// The image as the access review shows it, with all differences. `reported` are the keys whose own differences
    /// are reported with it.
    pub(crate) fn compare(
        &self,
        facts: &Facts,
        keys: &BTreeMap<KeyArn, ReviewedKeyState>,
        reported: &BTreeSet<KeyArn>,
    ) -> ReviewedImage {
        match &facts.resolved {
            ResolvedImage::Nothing(found) => {
                review::compare::idle(&found.image, &found.observed, &facts.state, &facts.observed)
            }
            ResolvedImage::Unreadable { image, described, reason } => {
                review::compare::unreadable(image, described, &facts.state, reason)
            }
            ResolvedImage::Share { share, desired_state } => review::compare::compare(&Seen {
                share,
                desired_state,
                state: &facts.state,
                ledger: &facts.ledger,
                observed: &facts.observed,
                keys,
                speaks_for: reported,
                limit: self.target_limit,
                makes_private: self.makes_private,
                now: self.clock.now(),
            }),
        }
    }

    /// A key with its policy and its rows of the ledger. The ledger is read first, as a reconciliation does.
    pub(crate) async fn key(
        &self,
        key: &KeyArn,
        observer: &KeyObserver,
    ) -> Result<ReviewedKeyState, Failure> {
        let ledger = self.ledger.key(key).await?;
        let observed = match observer.observe(key).await {
            Err(error) if error.fault() == Fault::Missing => {
                return Ok(ReviewedKeyState::gone(key.clone(), ledger));
            }
            Err(error) if error.fault() == Fault::Denied => {
                return Ok(ReviewedKeyState::unreadable(key.clone(), ledger, unreadable(key, &error)));
            }
            observed => observed?,
        };
        if key.account().as_ref() != Some(&self.hub) {
            let reason = observed.refuse_grant(&self.hub);
            let reason = reason.unwrap_or_else(|| RefusalReason::ForeignKey { key: key.clone() });
            return Ok(ReviewedKeyState::unreadable(key.clone(), ledger, reason));
        }
        self.with_policy(observed, ledger).await
    }

    async fn with_policy(
        &self,
        observed: ObservedKey,
        ledger: KeyLedger,
    ) -> Result<ReviewedKeyState, Failure> {
        let key = observed.arn.clone();
        let policy = match self.keys.policy(&key).await {
            Ok(text) => KeyPolicy::parse(&text)
                .map_err(|bad| RefusalReason::MalformedPolicy { key: key.clone(), problem: bad.to_string() }),
            Err(error) if error.fault() == Fault::Missing => return Ok(ReviewedKeyState::gone(key, ledger)),
            // A policy that does not leave access to IAM: the report says so, and the others go on.
            Err(error) if error.fault() == Fault::Denied => Err(unreadable(&key, &error)),
            Err(error) => return Err(error.into()),
        };
        Ok(match policy {
            Err(reason) => ReviewedKeyState::unreadable(key, ledger, reason),
            Ok(policy) => ReviewedKeyState {
                arn: key,
                problem: problem(&observed, &policy, &self.hub),
                policy: Some(policy),
                is_gone: false,
                ledger,
            },
        })
    }
}

fn unreadable(key: &KeyArn, error: &AwsError) -> RefusalReason {
    RefusalReason::UnreadableKey { key: key.clone(), message: error.to_string() }
}

/// The trigger of a dry run, for the review `review`, one of whose pages began at `moment`: all images of a page are
/// compared with the same organization.
pub(crate) fn review_trigger(image: &ImageId, review: &str, moment: Timestamp) -> Trigger {
    Trigger {
        image: image.clone(),
        cause: Cause::Request,
        triggered_by: TriggeredBy { principal: None, event: review.to_owned(), at: moment },
        dry_run: true,
        not_before: None,
        changed_by: None,
        adopt: false,
        organization_changed_at: Some(moment),
    }
}

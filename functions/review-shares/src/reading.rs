//! Reads all that the comparison of an image rests on.

use std::collections::{BTreeMap, BTreeSet};

use ami_share_aws::error::{AwsError, Fault};
use ami_share_aws::images::{FoundImage, ImageReader};
use ami_share_aws::keys::{KeyObserver, KeyReader};
use ami_share_aws::ledger_reader::LedgerReader;
use ami_share_aws::permissions::PermissionReader;
use ami_share_domain::ids::{ImageId, KeyArn, SnapshotId};
use ami_share_domain::image::desired::{Image, Share};
use ami_share_domain::image::ledger::ImageLedger;
use ami_share_domain::image::plan::ObservedImage;
use ami_share_domain::key::evaluate::Caller;
use ami_share_domain::key::ledger::KeyLedger;
use ami_share_domain::key::observed::ObservedKey;
use ami_share_domain::key::policy::KeyPolicy;
use ami_share_domain::refusal::RefusalReason;
use ami_share_domain::review;
use ami_share_domain::review::compare::Seen;
use ami_share_domain::review::key::{ReviewedKeyState, problem};
use ami_share_domain::review::report::ReviewedImage;
use ami_share_domain::trigger::{Trigger, TriggeredBy};
use ami_share_lambda::Failure;
use ami_share_resolve::{Resolution, Resolver, digest};
use jiff::Timestamp;

/// Reads images, keys, permissions and the ledger.
pub(crate) struct Reader {
    pub(crate) images: ImageReader,
    pub(crate) keys: KeyReader,
    pub(crate) permissions: PermissionReader,
    pub(crate) ledger: LedgerReader,
    pub(crate) target_limit: usize,
    pub(crate) makes_private: bool,
    /// Whom `extend-key-policy` acts as.
    pub(crate) key_writer: Caller,
}

/// An image, and all that was read of it.
pub(crate) struct Facts {
    ledger: ImageLedger,
    observed: ObservedImage,
    state: String,
    desired: Desired,
}

enum Desired {
    Share {
        share: Box<Share>,
        desired_state: String,
    },
    Nothing(Box<FoundImage>),
    /// Nobody knows; the reason is one that trying again does not mend.
    Unknown {
        image: Image,
        reason: String,
    },
}

impl Facts {
    /// The keys that the comparison needs.
    pub(crate) fn keys(&self) -> &[KeyArn] {
        match &self.desired {
            Desired::Share { share, .. } => &share.keys,
            Desired::Nothing(_) | Desired::Unknown { .. } => &[],
        }
    }

    /// Whether something is wanted of the image, and the ledger has no share of it, be it refused or withdrawn.
    pub(crate) fn has_no_share(&self) -> bool {
        matches!(self.desired, Desired::Share { .. }) && self.ledger.shares.is_empty()
    }

    /// Whether nothing of the image is left to speak of.
    pub(crate) fn is_gone(&self) -> bool {
        self.observed.is_gone
    }
}

impl Reader {
    /// What is wanted of an image and what is; `None` when it is gone and nothing was ever wanted of it. One
    /// image of which AWS does not let us know stops no review.
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
            Err(Failure::Aws(error)) if !error.fault().may_be_tried_again() => {
                tracing::warn!(%error, "cannot be compared");
                let image = Image {
                    id: image.clone(),
                    name,
                    region: String::new(),
                    owner: self.key_writer.account.clone(),
                    seen_at: Timestamp::now(),
                    status: None,
                };
                let desired = Desired::Unknown { image, reason: error.to_string() };
                let observed = ObservedImage::default();
                Ok(Some(Facts { ledger: ImageLedger::default(), observed, state, desired }))
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
            // An image of another account, which people may tag all the same, is not on our own list.
            None => resolver.image(image).await?,
            found => found,
        };
        let ledger = self.ledger.image(image).await?;
        let desired = match (
            resolver.desired_state(trigger, found.as_ref(), ledger.intent.as_ref(), keys).await?,
            &found,
        ) {
            (Resolution::Share(share), _) => Desired::Share { desired_state: digest(&share), share },
            (Resolution::Nothing(_) | Resolution::NotYet(_), Some(found)) => {
                Desired::Nothing(Box::new(found.clone()))
            }
            (Resolution::Nothing(_) | Resolution::NotYet(_), None) => return Ok(None),
        };
        let snapshots: BTreeSet<SnapshotId> = match &desired {
            Desired::Share { share, .. } => {
                share.snapshots.iter().chain(ledger.snapshots.keys()).cloned().collect()
            }
            Desired::Nothing(_) | Desired::Unknown { .. } => BTreeSet::new(),
        };
        // The permissions of an image of another account can be neither read nor set: nothing of it is ours.
        let is_foreign = found.as_ref().is_some_and(|found| found.image.owner != self.key_writer.account);
        let observed = match is_foreign {
            true => ObservedImage::default(),
            false => self.permissions.observe(image, &snapshots).await?,
        };
        let state = found.map_or_else(|| "gone".to_owned(), |found| found.state);
        Ok(Some(Facts { ledger, observed, state, desired }))
    }

    /// The image as the review shows it, with all differences.
    pub(crate) fn compare(
        &self,
        facts: &Facts,
        keys: &BTreeMap<KeyArn, ReviewedKeyState>,
        speaks_for: &BTreeSet<KeyArn>,
    ) -> ReviewedImage {
        match &facts.desired {
            Desired::Nothing(found) => review::compare::idle(&found.image, &facts.state, &facts.observed),
            Desired::Unknown { image, reason } => review::compare::unreadable(image, &facts.state, reason),
            Desired::Share { share, desired_state } => review::compare::compare(&Seen {
                share,
                desired_state,
                state: &facts.state,
                ledger: &facts.ledger,
                observed: &facts.observed,
                keys,
                speaks_for,
                limit: self.target_limit,
                makes_private: self.makes_private,
                now: Timestamp::now(),
            }),
        }
    }

    /// A key with its policy, and with what the ledger says of it. The ledger is read first, as a look does.
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
        if key.account().as_ref() != Some(&self.key_writer.account) {
            let reason = observed.refuse_grant(&self.key_writer.account);
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
                problem: problem(&observed, &policy, &self.key_writer),
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

/// A look that only looks, for the review `review`, one of whose pages began at `moment`: all images of a page are
/// compared with the same organization.
pub(crate) fn review_trigger(image: &ImageId, review: &str, moment: Timestamp) -> Trigger {
    Trigger {
        image: image.clone(),
        triggered_by: TriggeredBy { principal: None, event: review.to_owned(), at: moment },
        dry_run: true,
        not_before: None,
        changed_by: None,
        adopt: false,
        organization_changed_at: Some(moment),
    }
}

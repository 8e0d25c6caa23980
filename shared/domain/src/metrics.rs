//! What is counted: the metrics, their units, and what of a look, a key or a review counts as what.
//!
//! A metric has no dimensions: each combination of them would be a metric of its own, and cost as much. Which
//! image, key or execution a value is about is said beside it; see `shared/lambda/src/metrics.rs`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use strum::{EnumIter, IntoStaticStr};

use crate::image::desired::Share;
use crate::image::ledger::{ShareOutcome, ShareRow};
use crate::key::policy::SIZE_LIMIT;
use crate::key::request::KeyOutcome;
use crate::notify::notification::{HubNotification, NotificationKind};
use crate::refusal::RefusalCode;
use crate::review::report::AccessReview;

/// The namespace of all metrics in CloudWatch.
pub const NAMESPACE: &str = "ami-share";

/// What is counted or measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, EnumIter, IntoStaticStr)]
pub enum Metric {
    /// Targets that got access.
    SharesGranted,
    /// Words and targets that were refused.
    SharesRefused,
    /// Those of them that are outside the organization and not allowed.
    ExternalTargetsRefused,
    /// Targets that lost access.
    SharesRevoked,
    /// From the event to the image being open to those who are new.
    SecondsToShare,
    /// Managed images and snapshots that somebody made public.
    MadePublic,
    /// Executions that failed, timed out or were aborted; of a refusal, not.
    ExecutionsFailed,
    /// How much room the policy of a key has left.
    KeyPolicyBytesLeft,
    /// Calls of AWS, each try of them.
    ApiCalls,
    /// Those of them that AWS answered with *later*.
    Throttles,
    /// Images in an access review.
    ImagesReviewed,
    /// Those of them that were not what their tags say.
    ImagesDiffering,
    /// Access in an access review that ami-share did not give.
    UnmanagedGrants,
    /// Keys in an access review with a nearly full policy.
    NearlyFullKeys,
}

/// What a metric is measured in. Source of the names:
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDatum.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, IntoStaticStr)]
pub enum Unit {
    /// So many; what is counted twice adds up.
    Count,
    /// Seconds; of two values the larger counts.
    Seconds,
    /// Bytes of room; of two values the smaller counts.
    Bytes,
}

impl Metric {
    /// Its name in CloudWatch.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// What it counts, for docs/observability.md.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::SharesGranted => "targets that gained access",
            Self::SharesRefused => "selectors and targets that were refused",
            Self::ExternalTargetsRefused => {
                "of `SharesRefused`: those outside the organization that are not allowed (`external-not-allowed`)"
            }
            Self::SharesRevoked => "targets that lost access",
            Self::SecondsToShare => {
                "time from the event to the moment at which EC2 had granted the image to new targets"
            }
            Self::MadePublic => "managed images and snapshots of them that were made public out of band",
            Self::ExecutionsFailed => {
                "executions that failed, timed out or were aborted; a refusal does not count"
            }
            Self::KeyPolicyBytesLeft => {
                "room left in the policy of a key; of several keys the smallest value counts"
            }
            Self::ApiCalls => "calls of AWS; each retry counts",
            Self::Throttles => "of `ApiCalls`: those that AWS throttled",
            Self::ImagesReviewed => "images in an access review",
            Self::ImagesDiffering => "of `ImagesReviewed`: those that differed from their tags",
            Self::UnmanagedGrants => "access in an access review that ami-share did not grant",
            Self::NearlyFullKeys => "keys in an access review whose policy has 80 % of its limit or more",
        }
    }

    /// What it is measured in.
    pub fn unit(self) -> Unit {
        match self {
            Self::SecondsToShare => Unit::Seconds,
            Self::KeyPolicyBytesLeft => Unit::Bytes,
            Self::SharesGranted
            | Self::SharesRefused
            | Self::ExternalTargetsRefused
            | Self::SharesRevoked
            | Self::MadePublic
            | Self::ExecutionsFailed
            | Self::ApiCalls
            | Self::Throttles
            | Self::ImagesReviewed
            | Self::ImagesDiffering
            | Self::UnmanagedGrants
            | Self::NearlyFullKeys => Unit::Count,
        }
    }
}

impl Unit {
    /// Its name in CloudWatch.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// What one invocation has counted so far: one value for each metric, and none for what was not counted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Measurements(BTreeMap<Metric, f64>);

impl Measurements {
    /// Adds a value. A count of nothing is no value, so that a quiet hour costs nothing.
    #[must_use]
    pub fn with(mut self, metric: Metric, value: f64) -> Self {
        self.add(metric, value);
        self
    }

    /// Adds so many.
    #[must_use]
    pub fn counting(self, metric: Metric, count: usize) -> Self {
        self.with(metric, u32::try_from(count).unwrap_or(u32::MAX).into())
    }

    /// Adds all values of `others`.
    pub fn extend(&mut self, others: &Self) {
        for (metric, value) in others.values() {
            self.add(metric, value);
        }
    }

    /// The values, in the order of the metrics.
    pub fn values(&self) -> impl Iterator<Item = (Metric, f64)> + '_ {
        self.0.iter().map(|(metric, value)| (*metric, *value))
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn add(&mut self, metric: Metric, value: f64) {
        match metric.unit() {
            Unit::Count if value <= 0.0 => {}
            Unit::Count => *self.0.entry(metric).or_default() += value,
            Unit::Seconds => self.keep(metric, value, f64::max),
            Unit::Bytes => self.keep(metric, value, f64::min),
        }
    }

    fn keep(&mut self, metric: Metric, value: f64, of_two: fn(f64, f64) -> f64) {
        let last = self.0.entry(metric).or_insert(value);
        *last = of_two(*last, value);
    }
}

/// What the hub's news count as. They are told once, so they are counted once.
pub fn of_notifications(hub_notifications: &[HubNotification]) -> Measurements {
    let count = |desired: fn(&HubNotification) -> bool| {
        hub_notifications.iter().filter(|hub_notifications| desired(hub_notifications)).count()
    };
    let is_external = |hub_notifications: &HubNotification| {
        hub_notifications.notification.kind == NotificationKind::Refused
            && hub_notifications.notification.detail.code == Some(RefusalCode::ExternalNotAllowed)
    };
    Measurements::default()
        .counting(
            Metric::SharesGranted,
            count(|hub_notifications| hub_notifications.notification.kind == NotificationKind::Shared),
        )
        .counting(
            Metric::SharesRefused,
            count(|hub_notifications| hub_notifications.notification.kind == NotificationKind::Refused),
        )
        .counting(Metric::ExternalTargetsRefused, count(is_external))
        .counting(
            Metric::SharesRevoked,
            count(|hub_notifications| hub_notifications.notification.kind == NotificationKind::Unshared),
        )
        .counting(
            Metric::MadePublic,
            count(|hub_notifications| hub_notifications.notification.kind == NotificationKind::Public),
        )
}

/// How long it took to open an image to those who are new at `opened`, as the rows that were written then say.
/// What was open before, by whoever's hand, took no time.
pub fn of_granting(share: &Share, rows: &[ShareRow], opened: Timestamp) -> Measurements {
    let is_new =
        |row: &ShareRow| row.outcome == ShareOutcome::Shared && row.is_managed && row.since == opened;
    let nothing = Measurements::default();
    match share.event_time {
        Some(event_time) if rows.iter().any(is_new) => {
            let seconds = opened.duration_since(event_time).as_secs_f64();
            nothing.with(Metric::SecondsToShare, seconds.max(0.0))
        }
        _ => nothing,
    }
}

/// How much room the policy of a key has left; nothing where it was not read.
pub fn of_key(outcome: &KeyOutcome) -> Measurements {
    match outcome.bytes {
        0 => Measurements::default(),
        bytes => Measurements::default().with(Metric::KeyPolicyBytesLeft, bytes_left(bytes, SIZE_LIMIT)),
    }
}

/// What an access review counts as.
pub fn of_review(review: &AccessReview) -> Measurements {
    let differing = review.images.iter().filter(|image| !image.differences.is_empty());
    let nearly_full = review.keys.iter().filter(|key| key.is_nearly_full());
    let counted = Measurements::default()
        .counting(Metric::ImagesReviewed, review.images.len())
        .counting(Metric::ImagesDiffering, differing.count())
        .counting(Metric::UnmanagedGrants, review.images.iter().map(|image| image.unmanaged.len()).sum())
        .counting(Metric::NearlyFullKeys, nearly_full.count());
    let known = review.keys.iter().filter(|key| key.bytes > 0);
    known.fold(counted, |counted, key| {
        counted.with(Metric::KeyPolicyBytesLeft, bytes_left(key.bytes, key.limit))
    })
}

fn bytes_left(bytes: usize, limit: usize) -> f64 {
    u32::try_from(limit.saturating_sub(bytes)).unwrap_or(u32::MAX).into()
}

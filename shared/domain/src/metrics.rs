//! The metrics, their units, and how a reconciliation, a key and a review are measured.
//!
//! A metric has no dimensions: each combination of them would be a metric of its own, and cost as much. The image, key
//! or execution of a value is written beside it; see `shared/lambda/src/metrics.rs`.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::image::desired::Run;
use crate::image::ledger::{ShareOutcome, ShareRow};
use crate::key::policy::SIZE_LIMIT;
use crate::key::request::KeyOutcome;
use crate::notify::notification::{HubNotification, Notification, NotificationKind};
use crate::refusal::RefusalCode;
use crate::review::report::AccessReview;

/// The namespace of all metrics in CloudWatch.
pub const NAMESPACE: &str = "ami-share";

/// What is counted or measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// Targets that got access.
    SharesGranted,
    /// Selectors and targets that were refused.
    SharesRefused,
    /// Those of them that are outside the organization and not allowed.
    ExternalTargetsRefused,
    /// Targets that lost access.
    SharesRevoked,
    /// From the event to the moment at which new targets have access.
    SecondsToShare,
    /// Managed images and their snapshots that were made public out of band.
    MadePublic,
    /// Executions that failed, timed out or were aborted; a refusal is no failure.
    ExecutionsFailed,
    /// Room left in the policy of a key.
    KeyPolicyBytesLeft,
    /// Calls of AWS; each retry counts.
    ApiCalls,
    /// Those of them that AWS throttled.
    Throttles,
    /// Images in an access review.
    ImagesReviewed,
    /// Those of them that differed from their tags.
    ImagesDiffering,
    /// Access in an access review that ami-share did not grant.
    UnmanagedGrants,
    /// Keys in an access review with a nearly full policy.
    NearlyFullKeys,
}

/// What a metric is measured in. Source of the names:
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDatum.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A number; two values are added.
    Count,
    /// Seconds; of two values the larger one counts.
    Seconds,
    /// Bytes of room; of two values the smaller one counts.
    Bytes,
}

impl Metric {
    /// Its name in CloudWatch.
    pub fn name(self) -> &'static str {
        match self {
            Self::SharesGranted => "SharesGranted",
            Self::SharesRefused => "SharesRefused",
            Self::ExternalTargetsRefused => "ExternalTargetsRefused",
            Self::SharesRevoked => "SharesRevoked",
            Self::SecondsToShare => "SecondsToShare",
            Self::MadePublic => "MadePublic",
            Self::ExecutionsFailed => "ExecutionsFailed",
            Self::KeyPolicyBytesLeft => "KeyPolicyBytesLeft",
            Self::ApiCalls => "ApiCalls",
            Self::Throttles => "Throttles",
            Self::ImagesReviewed => "ImagesReviewed",
            Self::ImagesDiffering => "ImagesDiffering",
            Self::UnmanagedGrants => "UnmanagedGrants",
            Self::NearlyFullKeys => "NearlyFullKeys",
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
        match self {
            Self::Count => "Count",
            Self::Seconds => "Seconds",
            Self::Bytes => "Bytes",
        }
    }
}

/// What one invocation has measured so far: at most one value for each metric.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Measurements(BTreeMap<Metric, f64>);

impl Measurements {
    /// Adds a value. A count of nothing is no value, so that a quiet hour costs nothing.
    #[must_use]
    pub fn with(mut self, metric: Metric, value: f64) -> Self {
        self.add(metric, value);
        self
    }

    /// Adds a count.
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

    /// Whether nothing was measured.
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

/// The measurements of what the hub is notified of. Each notification is sent once, so it is counted once.
pub fn of_notifications(notifications: &[HubNotification]) -> Measurements {
    let count = |is_counted: &dyn Fn(&Notification) -> bool| {
        notifications.iter().filter(|sent| is_counted(&sent.notification)).count()
    };
    let of_kind = |kind: NotificationKind| count(&|notification| notification.kind == kind);
    let external = count(&|notification| {
        notification.kind == NotificationKind::Refused
            && notification.detail.code == Some(RefusalCode::ExternalNotAllowed)
    });
    Measurements::default()
        .counting(Metric::SharesGranted, of_kind(NotificationKind::Shared))
        .counting(Metric::SharesRefused, of_kind(NotificationKind::Refused))
        .counting(Metric::ExternalTargetsRefused, external)
        .counting(Metric::SharesRevoked, of_kind(NotificationKind::Unshared))
        .counting(Metric::MadePublic, of_kind(NotificationKind::Public))
}

/// How long it took until the targets that are new at `granted_at` had access, as the rows that were written then say.
/// Access that was granted before, or out of band, is not measured.
pub fn of_grants(run: &Run, rows: &[ShareRow], granted_at: Timestamp) -> Measurements {
    let is_new =
        |row: &ShareRow| row.outcome == ShareOutcome::Shared && row.is_managed && row.since == granted_at;
    let nothing = Measurements::default();
    match run.event_time {
        Some(event_time) if rows.iter().any(is_new) => {
            let seconds = granted_at.duration_since(event_time).as_secs_f64();
            nothing.with(Metric::SecondsToShare, seconds.max(0.0))
        }
        _ => nothing,
    }
}

/// The room left in the policy of a key; nothing where the policy was not read.
pub fn of_key(outcome: &KeyOutcome) -> Measurements {
    match outcome.bytes {
        0 => Measurements::default(),
        bytes => Measurements::default().with(Metric::KeyPolicyBytesLeft, bytes_left(bytes, SIZE_LIMIT)),
    }
}

/// The measurements of an access review.
pub fn of_review(review: &AccessReview) -> Measurements {
    let differing = review.images.iter().filter(|image| !image.differences.is_empty());
    let nearly_full = review.keys.iter().filter(|key| key.is_nearly_full());
    let counts = Measurements::default()
        .counting(Metric::ImagesReviewed, review.images.len())
        .counting(Metric::ImagesDiffering, differing.count())
        .counting(Metric::UnmanagedGrants, review.images.iter().map(|image| image.unmanaged.len()).sum())
        .counting(Metric::NearlyFullKeys, nearly_full.count());
    let known = review.keys.iter().filter(|key| key.bytes > 0);
    known.fold(counts, |all, key| all.with(Metric::KeyPolicyBytesLeft, bytes_left(key.bytes, key.limit)))
}

fn bytes_left(bytes: usize, limit: usize) -> f64 {
    u32::try_from(limit.saturating_sub(bytes)).unwrap_or(u32::MAX).into()
}

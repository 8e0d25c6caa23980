//! Events that concern the organization, a key, a snapshot or a review, and so more than one image.

use ami_share_domain::ids::{ImageId, KeyArn, SnapshotId};
use aws_lambda_events::event::eventbridge::EventBridgeEvent;
use jiff::Timestamp;
use serde_json::Value;

use super::details::{ApiCall, ExecutionStatusChange};
use super::trigger::ReconcileRequest;
use super::{API_CALL, EXECUTION_STATUS_CHANGE, SERVICE_EVENT, UnexpectedEvent, Unreadable};
use super::{detail_type, envelope, time};

const EXPECTED: &str = "the request is neither a step of a review nor an event that concerns one: expected an action, an event of AWS Organizations, CloudTrail's PutKeyPolicy, ModifySnapshotAttribute or ResetSnapshotAttribute, or `Step Functions Execution Status Change` of a review";

/// An event that `review-shares` serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReviewEvent {
    /// An account joined, left, moved or was closed, or tags of the organization changed.
    OrganizationChanged,
    /// A key policy was put out of band.
    KeyPolicyChanged {
        /// The key.
        key: KeyArn,
        /// The call.
        change: OutOfBandChange,
    },
    /// The permissions of a snapshot were changed out of band.
    SnapshotPermissionsChanged {
        /// The snapshot.
        snapshot: SnapshotId,
        /// The call.
        change: OutOfBandChange,
    },
    /// A review failed, timed out or was aborted.
    ReviewFailed {
        /// The ARN of its execution.
        execution: String,
        /// Why it failed.
        cause: String,
    },
}

/// A call that changed access, and that ami-share did not make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutOfBandChange {
    /// The id of the event; empty when it has none.
    pub event: String,
    /// When it happened.
    pub at: Option<Timestamp>,
    /// The ARN of the principal that made it.
    pub by: Option<String>,
}

impl ReviewEvent {
    /// Reads an event that a rule matches.
    ///
    /// # Errors
    /// When it is another event, or names no key, snapshot or execution.
    pub fn read(event: &Value) -> Result<Self, UnexpectedEvent> {
        let read = match detail_type(event) {
            API_CALL | SERVICE_EVENT => Self::of_call(event),
            EXECUTION_STATUS_CHANGE => Self::of_execution(event),
            _ => Err("it is of another kind".into()),
        };
        read.map_err(|reason| UnexpectedEvent::new(EXPECTED, event, reason))
    }

    /// The shapes of their requests: <https://docs.aws.amazon.com/organizations/latest/userguide/orgs_cloudtrail-integration.html>,
    /// <https://docs.aws.amazon.com/kms/latest/developerguide/ct-put-key-policy.html>,
    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifySnapshotAttribute.html>
    fn of_call(event: &Value) -> Result<Self, Unreadable> {
        let envelope = envelope::<ApiCall>(event)?;
        let (call, change) = (&envelope.detail, OutOfBandChange::of(&envelope));
        match (envelope.source.as_str(), call.event_name.as_deref()) {
            ("aws.organizations", Some(_)) => Ok(Self::OrganizationChanged),
            (_, Some("PutKeyPolicy")) => {
                let key = call.keys().find_map(|arn| arn.parse().ok()).ok_or("it has no ARN of a key")?;
                Ok(Self::KeyPolicyChanged { key, change })
            }
            (_, Some("ModifySnapshotAttribute" | "ResetSnapshotAttribute")) => {
                let snapshot = call.snapshot().ok_or("its request names no snapshot")?.parse()?;
                Ok(Self::SnapshotPermissionsChanged { snapshot, change })
            }
            (_, name) => Err(format!("the call is `{}`", name.unwrap_or_default()).into()),
        }
    }

    fn of_execution(event: &Value) -> Result<Self, Unreadable> {
        let detail = envelope::<ExecutionStatusChange>(event)?.detail;
        let cause = detail.failure();
        let execution = detail.execution_arn.ok_or("it names no execution")?;
        Ok(Self::ReviewFailed { execution, cause })
    }
}

impl OutOfBandChange {
    fn of(envelope: &EventBridgeEvent<ApiCall>) -> Self {
        Self {
            event: envelope.id.clone().unwrap_or_default(),
            at: time(envelope),
            by: envelope.detail.caller().map(str::to_owned),
        }
    }

    /// The request that reconciles `image` after this change.
    pub fn request(&self, image: ImageId) -> ReconcileRequest {
        let Self { event, at, by } = self.clone();
        ReconcileRequest { id: event, time: at, changed_by: by, ..ReconcileRequest::new(image) }
    }
}

//! Events that concern more than one image, or a key or snapshot: what must be looked at on account of them.
//!
//! Somebody else's change of an image itself goes straight to the share workflow, by a rule of its own.

use std::collections::BTreeSet;

use ami_share_domain::ids::{ImageId, KeyArn, SnapshotId};
use ami_share_domain::metrics::{Measurements, Metric};
use ami_share_lambda::{About, Failure, Invocation};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::ReviewShares;
use crate::request::{Spent, Started, State};

/// Many accounts are often moved, tagged or made at once. Of all events within so many seconds, the first
/// starts a review, which begins when they are over and so sees what all of them did.
const WINDOW_SECONDS: i64 = 10;

/// Characters in the name of an execution. Source:
/// <https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html>
const NAME_LIMIT: usize = 80;

impl ReviewShares {
    /// Starts what an event asks for.
    pub(crate) async fn receive(&self, event: &Value, invocation: &Invocation) -> Result<Started, Failure> {
        match Received::read(event)? {
            Received::Organization => self.review_organization().await,
            Received::Key(key) => self.reconcile_for_key(event, &key).await,
            Received::Snapshot(snapshot) => self.reconcile_for_snapshot(event, &snapshot).await,
            Received::Failure { execution, cause } => {
                self.notify_failure(&execution, &cause, invocation).await
            }
        }
    }

    async fn review_organization(&self) -> Result<Started, Failure> {
        let (name, not_before) = window(Timestamp::now());
        let input = json!({ "not_before": not_before, "organization_changed_at": not_before });
        let is_new = self.starter.start(&self.review_workflow, Some(&name), &input).await?;
        tracing::info!(name, is_new, "the organization has changed");
        Ok(Started { started: if is_new { vec![name] } else { Vec::new() } })
    }

    async fn notify_failure(
        &self,
        execution: &str,
        cause: &str,
        invocation: &Invocation,
    ) -> Result<Started, Failure> {
        let text =
            format!("The review {execution} did not end: {cause}\n\nRedrive it, or wait for the next one.\n");
        self.topic.notify("AMI access review failed", &text).await?;
        invocation.measure(&Measurements::default().counting(Metric::ExecutionsFailed, 1));
        tracing::warn!(cause, "a review failed");
        Ok(Started::default())
    }

    /// One look restores what all images need on a key.
    async fn reconcile_for_key(&self, event: &Value, key: &KeyArn) -> Result<Started, Failure> {
        let key = self.reader.key(key, &self.resolver.key_observer()).await?;
        self.reconcile(event, key.worst_hit().into_iter().cloned()).await
    }

    async fn reconcile_for_snapshot(&self, event: &Value, snapshot: &SnapshotId) -> Result<Started, Failure> {
        let images = self.reader.images.of_snapshot(snapshot).await?;
        let managed: BTreeSet<ImageId> = self.ledger.managed_among(&images).await?;
        self.reconcile(event, managed).await
    }

    /// Starts the share workflow for each image. Its name keeps an event that comes twice from doing so twice.
    async fn reconcile(
        &self,
        event: &Value,
        images: impl IntoIterator<Item = ImageId>,
    ) -> Result<Started, Failure> {
        let id = text(event, "/id").unwrap_or_default();
        let mut started = Vec::new();
        for image in images {
            let name = execution_name(&format!("{image}-{id}"));
            let input = trigger_input(&image, id, event);
            if self.starter.start(&self.share_workflow, Some(&name), &input).await? {
                started.push(name);
            }
        }
        tracing::info!(event = id, reconciliations = started.len(), "somebody else changed something");
        Ok(Started { started })
    }

    /// Goes on with a review in an execution of its own, which has an empty history. Its name has the number of its
    /// first page and the moment when the review began, so no other review ever has it; that it is there already
    /// means that this step was taken twice.
    pub(crate) async fn go_on(&self, state: State) -> Result<Started, Failure> {
        let page = state.cursor.as_ref().map_or(0, |cursor| cursor.page);
        let name = execution_name(&format!("page-{page}-of-{}", state.review_id));
        let state = State { spent: Spent::default(), differing: Vec::new(), ..state };
        let input = serde_json::to_value(&state).map_err(|error| Failure::BadRequest(error.to_string()))?;
        self.starter.start(&self.review_workflow, Some(&name), &input).await?;
        tracing::info!(name, "goes on in another execution");
        Ok(Started { started: vec![name] })
    }
}

/// What an event is about: the execution that it tells of. Which images it concerns is found out later.
pub(crate) fn about(event: &Value) -> About {
    let execution = text(event, "/detail/executionArn").map(str::to_owned);
    About { execution, ..About::default() }
}

/// What the share workflow is started with: the image, and who changed something, when and by which event.
fn trigger_input(image: &ImageId, id: &str, event: &Value) -> Value {
    let known = [("time", text(event, "/time")), ("changed_by", text(event, "/detail/userIdentity/arn"))];
    let known = known.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value?))));
    let always = [("image_id".to_owned(), json!(image)), ("id".to_owned(), json!(id))];
    Value::Object(always.into_iter().chain(known).collect())
}

/// What an event is about.
#[derive(Debug, PartialEq, Eq)]
enum Received {
    /// An account came, went or moved, or tags of the organization changed.
    Organization,
    /// Somebody put a key's policy.
    Key(KeyArn),
    /// Somebody changed who may copy a snapshot.
    Snapshot(SnapshotId),
    /// A review failed, timed out or was aborted.
    Failure {
        /// Its ARN.
        execution: String,
        /// What it died of.
        cause: String,
    },
}

impl Received {
    /// Shapes of the events:
    /// <https://docs.aws.amazon.com/organizations/latest/userguide/orgs_cloudtrail-integration.html>,
    /// <https://docs.aws.amazon.com/kms/latest/developerguide/ct-put-key-policy.html>. That of
    /// `ModifySnapshotAttribute` is the request's, as for all of EC2:
    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifySnapshotAttribute.html>. Of executions:
    /// <https://docs.aws.amazon.com/step-functions/latest/dg/cw-events.html>
    fn read(event: &Value) -> Result<Self, Failure> {
        let about = match (text(event, "/source"), text(event, "/detail/eventName")) {
            (Some("aws.organizations"), Some(_)) => Some(Self::Organization),
            (_, Some("PutKeyPolicy")) => key(event).map(Self::Key),
            (_, Some("ModifySnapshotAttribute" | "ResetSnapshotAttribute")) => {
                let snapshot = text(event, "/detail/requestParameters/snapshotId");
                snapshot.and_then(|id| id.parse().ok()).map(Self::Snapshot)
            }
            (Some("aws.states"), None) => {
                text(event, "/detail/executionArn").map(|execution| Self::Failure {
                    execution: execution.to_owned(),
                    cause: ["/detail/cause", "/detail/error", "/detail/status"]
                        .into_iter()
                        .find_map(|pointer| text(event, pointer))
                        .unwrap_or_default()
                        .to_owned(),
                })
            }
            _ => None,
        };
        about.ok_or_else(|| {
            let detail_type = text(event, "/detail-type").unwrap_or_default();
            Failure::BadRequest(format!("expected an action, an event of AWS Organizations, or CloudTrail's PutKeyPolicy, ModifySnapshotAttribute or ResetSnapshotAttribute, got detail-type `{detail_type}`"))
        })
    }
}

/// The key of a call to KMS: the request may name it by its id alone, the resources have its ARN.
fn key(event: &Value) -> Option<KeyArn> {
    let resources = event.pointer("/detail/resources").and_then(Value::as_array);
    let arns = resources.into_iter().flatten().filter_map(|resource| text(resource, "/ARN"));
    arns.chain(text(event, "/detail/requestParameters/keyId")).find_map(|arn| arn.parse().ok())
}

/// The name of the review for an event that is heard now, and the moment from which it may begin.
fn window(now: Timestamp) -> (String, Timestamp) {
    let window = now.as_second().div_euclid(WINDOW_SECONDS);
    let end = Timestamp::from_second((window + 1) * WINDOW_SECONDS).unwrap_or(now);
    (format!("organization-{window}"), end)
}

/// Names take letters, digits, `-` and `_` without harm.
fn execution_name(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' };
    text.chars().map(plain).take(NAME_LIMIT).collect()
}

fn text<'event>(event: &'event Value, pointer: &str) -> Option<&'event str> {
    event.pointer(pointer).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(name: &str) -> Value {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events").join(name);
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    #[test]
    fn all_events_of_one_window_start_one_review_after_the_window() {
        let at = |text: &str| window(text.parse().unwrap());
        let (first, end) = at("2026-06-01T12:00:00Z");
        assert_eq!(at("2026-06-01T12:00:09.999Z"), (first.clone(), end));
        assert_eq!(end, "2026-06-01T12:00:10Z".parse().unwrap());
        assert_ne!(at("2026-06-01T12:00:10Z").0, first);
    }

    #[test]
    fn each_kind_of_event_is_understood() {
        let received = |name| Received::read(&example(name)).unwrap();
        assert_eq!(received("cloudtrail-move-account.json"), Received::Organization);
        assert_eq!(received("cloudtrail-account-joined.json"), Received::Organization);
        let key = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
        assert_eq!(received("cloudtrail-put-key-policy.json"), Received::Key(key.parse().unwrap()));
        let snapshot = "snap-0abcdef1234567890".parse().unwrap();
        assert_eq!(received("cloudtrail-modify-snapshot-attribute.json"), Received::Snapshot(snapshot));
        let failed = Received::read(&example("step-functions-review-failed.json")).unwrap();
        assert!(matches!(failed, Received::Failure { cause, .. } if cause.contains("ec2:DescribeImages")));
        assert!(Received::read(&example("tag-change-image.json")).is_err());
    }

    #[test]
    fn a_trigger_names_the_principal_that_changed_the_resource() {
        let event = example("cloudtrail-put-key-policy.json");
        let image = "ami-0abcdef1234567890".parse().unwrap();
        let input = trigger_input(&image, "event", &event);
        let trigger = ami_share_domain::trigger::Trigger::from_event(&input, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(
            (trigger.image, trigger.triggered_by.event.as_str(), trigger.triggered_by.principal),
            (image, "event", None)
        );
        assert_eq!(trigger.changed_by.as_deref(), text(&event, "/detail/userIdentity/arn"));
        assert_eq!(trigger.triggered_by.at, "2026-11-22T13:41:18Z".parse().unwrap());
    }

    #[test]
    fn the_name_of_an_execution_has_no_more_than_eighty_plain_characters() {
        let name = execution_name(&format!("ami-1:{}", "x".repeat(100)));
        assert!(name.starts_with("ami-1-x") && name.len() == 80);
    }
}

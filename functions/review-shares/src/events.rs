//! Events that concern more than one image: starts a review, or the reconciliations that they make necessary.
//!
//! An out-of-band change of an image itself starts the share workflow, by a rule of its own.

use std::collections::BTreeSet;

use ami_share_domain::ids::{ImageId, KeyArn, SnapshotId};
use ami_share_domain::metrics::{Measurements, Metric};
use ami_share_lambda::events::{OutOfBandChange, ReviewEvent};
use ami_share_lambda::{About, Failure, Invocation};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::ReviewShares;
use crate::request::Started;
use crate::state::{Spent, State};

/// Many accounts are often moved, tagged or created at once. The first event of such a window starts a review, which
/// begins when the window is over and so sees all of their changes.
const WINDOW_SECONDS: i64 = 10;

/// Characters in the name of an execution. Source:
/// <https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html>
const NAME_LIMIT: usize = 80;

impl ReviewShares {
    /// Starts what an event makes necessary.
    pub(crate) async fn handle_event(
        &self,
        event: ReviewEvent,
        invocation: &Invocation,
    ) -> Result<Started, Failure> {
        match event {
            ReviewEvent::OrganizationChanged => self.review_organization().await,
            ReviewEvent::KeyPolicyChanged { key, change } => self.reconcile_for_key(&key, &change).await,
            ReviewEvent::SnapshotPermissionsChanged { snapshot, change } => {
                self.reconcile_for_snapshot(&snapshot, &change).await
            }
            ReviewEvent::ReviewFailed { execution, cause } => {
                self.notify_failure(&execution, &cause, invocation).await
            }
        }
    }

    async fn review_organization(&self) -> Result<Started, Failure> {
        let (name, not_before) = window(self.reader.clock.now());
        let input = json!({ "not_before": not_before, "organization_changed_at": not_before });
        let is_new = self.starter.start(&self.review_workflow, Some(&name), &input).await?;
        tracing::info!(name, is_new, "the organization changed");
        Ok(Started { started: if is_new { vec![name] } else { Vec::new() } })
    }

    async fn notify_failure(
        &self,
        execution: &str,
        cause: &str,
        invocation: &Invocation,
    ) -> Result<Started, Failure> {
        let text = failure_message(execution, cause, &self.review_workflow);
        self.topic.notify("AMI access review failed", &text).await?;
        invocation.measure(&Measurements::default().counting(Metric::ExecutionsFailed, 1));
        tracing::warn!(cause, "a review failed");
        Ok(Started::default())
    }

    /// The reconciliation of one image restores what all images need on the key.
    async fn reconcile_for_key(&self, key: &KeyArn, change: &OutOfBandChange) -> Result<Started, Failure> {
        let key = self.reader.key(key, &self.resolver.key_observer()).await?;
        self.start_reconciliations(change, key.worst_hit().into_iter().cloned()).await
    }

    async fn reconcile_for_snapshot(
        &self,
        snapshot: &SnapshotId,
        change: &OutOfBandChange,
    ) -> Result<Started, Failure> {
        let images = self.reader.images.of_snapshot(snapshot).await?;
        let managed: BTreeSet<ImageId> = self.ledger.managed_among(&images).await?;
        self.start_reconciliations(change, managed).await
    }

    /// Starts the share workflow for each image. The execution's name keeps an event that is delivered twice from
    /// starting it twice.
    async fn start_reconciliations(
        &self,
        change: &OutOfBandChange,
        images: impl IntoIterator<Item = ImageId>,
    ) -> Result<Started, Failure> {
        let mut started = Vec::new();
        for image in images {
            let name = execution_name(&format!("{image}-{}", change.event));
            let input = as_input(&change.request(image))?;
            if self.starter.start(&self.share_workflow, Some(&name), &input).await? {
                started.push(name);
            }
        }
        tracing::info!(
            event = change.event,
            by = change.by,
            reconciliations = started.len(),
            "a key or snapshot was changed out of band"
        );
        Ok(Started { started })
    }

    /// Continues a review in a new execution, whose history is empty. Its name has the number of its first page and
    /// the moment when the review started, so no other review ever has it: an execution of that name means that
    /// this step ran twice.
    pub(crate) async fn continue_in_new_execution(&self, state: State) -> Result<Started, Failure> {
        let page = state.cursor.as_ref().map_or(0, |cursor| cursor.page);
        let name = execution_name(&format!("page-{page}-of-{}", state.review_id));
        let state = State { spent: Spent::default(), differing: Vec::new(), ..state };
        self.starter.start(&self.review_workflow, Some(&name), &as_input(&state)?).await?;
        tracing::info!(name, "the review continues in a new execution");
        Ok(Started { started: vec![name] })
    }
}

/// What a request is about: the failed execution. Which images an event concerns is found out later.
pub(crate) fn about(event: &ReviewEvent) -> About {
    let execution = match event {
        ReviewEvent::ReviewFailed { execution, cause: _ } => Some(execution.clone()),
        _ => None,
    };
    About { execution, ..About::default() }
}

fn failure_message(execution: &str, cause: &str, review_workflow: &str) -> String {
    format!(
        "The access review {execution} failed: {cause}\n\n\
         Fix the cause, then start a review:\n\
         aws stepfunctions start-execution --state-machine-arn {review_workflow}\n\n\
         Until a review succeeds, changes that no event reported are neither found nor repaired.\n"
    )
}

fn as_input(document: &impl serde::Serialize) -> Result<Value, Failure> {
    serde_json::to_value(document).map_err(|error| Failure::BadRequest(error.to_string()))
}

/// The name of the review for an event that arrives now, and the moment at which that review may begin.
fn window(now: Timestamp) -> (String, Timestamp) {
    let window = now.as_second().div_euclid(WINDOW_SECONDS);
    let end = Timestamp::from_second((window + 1) * WINDOW_SECONDS).unwrap_or(now);
    (format!("organization-{window}"), end)
}

/// Names of executions may safely have letters, digits, `-` and `_`.
fn execution_name(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' };
    text.chars().map(plain).take(NAME_LIMIT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_events_of_one_window_start_one_review_after_the_window() {
        let at = |text: &str| window(text.parse().unwrap());
        let (first, end) = at("2026-06-01T12:00:00Z");
        assert_eq!(at("2026-06-01T12:00:09.999Z"), (first.clone(), end));
        assert_eq!(end, "2026-06-01T12:00:10Z".parse().unwrap());
        assert_ne!(at("2026-06-01T12:00:10Z").0, first);
    }

    #[test]
    fn a_failed_review_is_reported_with_its_cause_and_the_command_that_starts_another() {
        let message =
            failure_message("arn:…:execution:r:nightly", "denied (AwsFailed)", "arn:…:stateMachine:r");
        assert!(
            message.starts_with("The access review arn:…:execution:r:nightly failed: denied (AwsFailed)")
        );
        assert!(message.contains("start-execution --state-machine-arn arn:…:stateMachine:r"));
    }

    #[test]
    fn the_name_of_an_execution_has_no_more_than_eighty_plain_characters() {
        let name = execution_name(&format!("ami-1:{}", "x".repeat(100)));
        assert!(name.starts_with("ami-1-x") && name.len() == 80);
    }
}

//! What the function is invoked with, and what it returns.

use ami_share_lambda::events::ReviewEvent;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::state::{Execution, State};

/// What the function is invoked with.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Value")]
pub enum ReviewRequest {
    /// A step of the review workflow.
    Task(Task),
    /// An event of EventBridge.
    Event(ReviewEvent),
}

impl TryFrom<Value> for ReviewRequest {
    type Error = String;

    /// Only a step has an action.
    fn try_from(request: Value) -> Result<Self, String> {
        match request.get("action") {
            Some(_) => Task::deserialize(request).map(Self::Task).map_err(|error| error.to_string()),
            None => ReviewEvent::read(&request).map(Self::Event).map_err(|error| error.to_string()),
        }
    }
}

/// A step of the review workflow.
#[derive(Debug, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Task {
    /// Compares the next page of images.
    Page {
        /// The execution of the workflow.
        review: Execution,
        /// The progress of the review; at first the input of the execution.
        state: State,
    },
    /// Continues in a new execution.
    Continue {
        /// The execution of the workflow.
        review: Execution,
        /// The progress of the review.
        state: State,
    },
    /// Writes the access review.
    Report {
        /// The execution of the workflow.
        review: Execution,
        /// The progress of the review.
        state: State,
    },
}

/// What the function returns.
#[derive(Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// The images of a page that differ, and the progress of the review.
    Page(Box<State>),
    /// The executions that were started.
    Started(Started),
    /// The access review that was written.
    Reported(Reported),
}

/// The executions that were started.
#[derive(Debug, Default, Serialize)]
pub struct Started {
    /// Their names; empty when there was nothing to do, or when all of it had been started before.
    pub started: Vec<String>,
}

/// The access review in numbers, and where it is.
#[derive(Debug, Serialize)]
pub struct Reported {
    /// The `s3://` URI of the page.
    pub report: String,
    /// Images.
    pub images: usize,
    /// Shares in force.
    pub shares: usize,
    /// Permissions that ami-share did not grant.
    pub unmanaged: usize,
    /// Selectors that were refused.
    pub refused: usize,
    /// Keys with a policy near its size limit.
    pub nearly_full_keys: usize,
    /// Images that differed from their tags.
    pub differing: usize,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn example(name: &str) -> Value {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events").join(name);
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    #[test]
    fn the_examples_are_steps_whose_state_reads_back_as_it_was_written() {
        for name in ["review-shares-page.json", "review-shares-report.json"] {
            let document = example(name);
            let request = ReviewRequest::deserialize(&document).unwrap();
            let ReviewRequest::Task(Task::Page { state, .. } | Task::Report { state, .. }) = request else {
                panic!("{name} is no step of a review")
            };
            assert_eq!(serde_json::to_value(&state).unwrap(), document["state"], "{name}");
        }
        assert!(matches!(
            ReviewRequest::deserialize(&example("cloudtrail-move-account.json")).unwrap(),
            ReviewRequest::Event(ReviewEvent::OrganizationChanged)
        ));
    }

    #[test]
    fn an_unreadable_step_and_a_foreign_event_say_what_is_wrong() {
        let error = |request: &Value| ReviewRequest::deserialize(request).unwrap_err().to_string();
        let mut step = example("review-shares-page.json");
        step["review"]["started_at"] = json!("today");
        assert!(error(&step).contains("failed to parse"), "{}", error(&step));
        assert!(error(&json!({ "action": "paint" })).starts_with("unknown variant `paint`"));
        let foreign = error(&example("tag-change-image.json"));
        assert!(foreign.contains("expected an action, an event of AWS Organizations"), "{foreign}");
        assert!(foreign.contains("got detail-type `Tag Change on Resource`"), "{foreign}");
    }
}

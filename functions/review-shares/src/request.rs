//! What the function is asked and answers, and the state that a review hands from page to page.

use ami_share_domain::ids::ImageId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What it is invoked with.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum ReviewRequest {
    /// A step of the review workflow.
    Task(Task),
    /// A bare event of EventBridge, or something that we do not understand.
    Event(Value),
}

/// A step of the review workflow.
#[derive(Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Task {
    /// Compares the next page of images.
    Page {
        /// The execution.
        review: Execution,
        /// How far it is; at first the execution's input.
        state: State,
    },
    /// Goes on in another execution.
    Continue {
        /// The execution.
        review: Execution,
        /// How far it is.
        state: State,
    },
    /// Writes the access review.
    Report {
        /// The execution.
        review: Execution,
        /// How far it is.
        state: State,
    },
}

/// The execution of the review workflow that asks.
#[derive(Debug, Clone, Deserialize)]
pub struct Execution {
    /// Its name.
    pub name: String,
    /// When it started.
    pub started_at: Timestamp,
}

/// A review from one page to the next. Of the input of an execution, only what is named here counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// What the review is called: part of every key in the bucket, and the event of the looks that it starts.
    #[serde(default)]
    pub review_id: String,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub started_at: Option<Timestamp>,
    /// When the organization changed, where that is why; then looks are all that is wanted.
    #[serde(default)]
    pub organization_changed_at: Option<Timestamp>,
    /// Whether looks at images without a share on record take what is open and wanted for ours.
    #[serde(default)]
    pub adopt: bool,
    /// Where the next page begins; none before the first and after the last.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cursor: Option<Cursor>,
    /// The images of this page to look at.
    #[serde(default)]
    pub differing: Vec<Differing>,
    /// The pages and looks of this execution so far.
    #[serde(default)]
    pub spent: Spent,
    /// What comes when the images of this page have been looked at.
    #[serde(default)]
    pub next: Next,
}

/// Where a page begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The number of the page.
    pub page: u32,
    /// Where its images come from.
    pub from: Source,
}

/// Where the images of a page come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The index of managed images, after this one.
    Ledger(Option<ImageId>),
    /// The tagged images that the index lacks, by the token of EC2.
    Tags(Option<String>),
}

impl Cursor {
    /// The first page.
    pub fn first() -> Self {
        Self { page: 1, from: Source::Ledger(None) }
    }
}

/// What the share workflow is started with for an image that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Differing {
    /// The image.
    pub image_id: ImageId,
    /// The review, as the event that asks.
    pub id: String,
    /// When the organization changed, where that is why.
    pub organization_changed_at: Option<Timestamp>,
    /// Whether what is open and wanted is taken for ours.
    pub adopt: bool,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Next {
    /// Another page.
    #[default]
    Page,
    /// Another page, in another execution: the history of this one is nearly full.
    Continue,
    /// The report.
    Report,
    /// Nothing.
    End,
}

/// What an execution has done; its history holds 25,000 events at the most. Source:
/// <https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Spent {
    /// Pages.
    pub pages: usize,
    /// Looks.
    pub reconciliations: usize,
}

impl Spent {
    /// Events of one page: its task and its map, the choices around them, and some tries again.
    const OF_PAGE: usize = 25;
    /// Events of one look: an iteration with its task, and some tries again.
    const OF_RECONCILIATION: usize = 20;
    /// Events after which a review goes on elsewhere; one more page and its looks always fit.
    const ENOUGH: usize = 15_000;

    /// Whether the next page belongs into another execution.
    pub fn is_enough(self) -> bool {
        self.pages * Self::OF_PAGE + self.reconciliations * Self::OF_RECONCILIATION > Self::ENOUGH
    }
}

impl State {
    /// The state at the execution's first step: the review is called after the execution that began it.
    pub fn started_by(self, review: &Execution) -> Self {
        if !self.review_id.is_empty() {
            return self;
        }
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' };
        let name: String = review.name.chars().map(plain).collect();
        let review_id = format!("{}-{name}", review.started_at.strftime("%Y-%m-%dT%H-%M-%SZ"));
        Self { review_id, started_at: Some(review.started_at), ..self }
    }

    /// Whether the review ends with a report: not when only the organization has changed, which may be often.
    pub fn reports(&self) -> bool {
        self.organization_changed_at.is_none()
    }
}

/// What it answers.
#[derive(Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// The images of a page that differ, and how far the review is.
    Page(Box<State>),
    /// What was started.
    Started(Started),
    /// What was written.
    Reported(Reported),
}

/// The executions that were started.
#[derive(Debug, Default, Serialize)]
pub struct Started {
    /// By name; empty when there was nothing to do, or all of it was started before.
    pub started: Vec<String>,
}

/// The access review in numbers, and where it is.
#[derive(Debug, Serialize)]
pub struct Reported {
    /// The page, as `s3://` URI.
    pub report: String,
    /// Images.
    pub images: usize,
    /// Shares that stand.
    pub shares: usize,
    /// Access that ami-share did not give.
    pub unmanaged: usize,
    /// Words that get nothing.
    pub refused: usize,
    /// Keys with a policy near its size limit.
    pub nearly_full_keys: usize,
    /// Images that were not what their tags say.
    pub differing: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn execution() -> Execution {
        Execution { name: "nightly_7f3a".to_owned(), started_at: "2026-06-01T12:00:00.5Z".parse().unwrap() }
    }

    #[test]
    fn a_review_is_named_after_its_first_execution_and_keeps_the_name_in_the_next() {
        let started = State::default().started_by(&execution());
        assert_eq!(started.review_id, "2026-06-01T12-00-00Z-nightly-7f3a");
        let later = Execution { name: "another".to_owned(), ..execution() };
        assert_eq!(started.clone().started_by(&later), started);
    }

    fn example(name: &str) -> serde_json::Value {
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
            ReviewRequest::Event(_)
        ));
    }

    #[test]
    fn whatever_an_execution_is_started_with_is_a_state() {
        let scheduled = r#"{"version":"0","detail-type":"Scheduled Event","id":"1","detail":{}}"#;
        let state: State = serde_json::from_str(scheduled).unwrap();
        assert!(state == State::default() && state.reports());
        let changed =
            r#"{"not_before":"2026-06-01T12:00:10Z","organization_changed_at":"2026-06-01T12:00:10Z"}"#;
        let state: State = serde_json::from_str(changed).unwrap();
        assert!(state.organization_changed_at.is_some() && !state.reports());
    }

    #[test]
    fn a_review_continues_in_a_new_execution_before_the_execution_history_is_full() {
        let most = Spent { pages: 1, reconciliations: 100 };
        let nearly = Spent { pages: 0, reconciliations: Spent::ENOUGH / Spent::OF_RECONCILIATION };
        assert!(!nearly.is_enough());
        let events =
            |spent: Spent| spent.pages * Spent::OF_PAGE + spent.reconciliations * Spent::OF_RECONCILIATION;
        assert!(events(nearly) + events(most) < 25_000);
    }
}

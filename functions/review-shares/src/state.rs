//! The progress of a review, which each page hands to the next.

use ami_share_domain::ids::ImageId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The execution of the review workflow whose step this is.
#[derive(Debug, Clone, Deserialize)]
pub struct Execution {
    /// Its name.
    pub name: String,
    /// When it started.
    pub started_at: Timestamp,
}

/// The progress of a review. Other fields of an execution's input are ignored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The name of the review: part of every key in the bucket, and the event of the reconciliations that it starts.
    #[serde(default)]
    pub review_id: String,
    /// When the review started.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub started_at: Option<Timestamp>,
    /// When the organization changed, where that is the cause: such a review only starts reconciliations.
    #[serde(default)]
    pub organization_changed_at: Option<Timestamp>,
    /// Whether reconciliations of images without a share in the ledger adopt access that the tags ask for.
    #[serde(default)]
    pub adopt: bool,
    /// Where the next page begins; none before the first page and after the last.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cursor: Option<Cursor>,
    /// The images of this page that differ: the workflow reconciles each.
    #[serde(default)]
    pub differing: Vec<Differing>,
    /// The pages and reconciliations of this execution so far.
    #[serde(default)]
    pub spent: Spent,
    /// What follows when the images of this page are reconciled.
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
    /// The tagged images that the index lacks, by EC2's token.
    Tags(Option<String>),
}

impl Cursor {
    /// The first page.
    pub fn first() -> Self {
        Self { page: 1, from: Source::Ledger(None) }
    }
}

/// What the share workflow is started with for an image that differs. `workflows/review.asl.json` passes on every
/// field, so all of them are always written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Differing {
    /// The image.
    pub image_id: ImageId,
    /// The review, as the event that triggers the reconciliation.
    pub id: String,
    /// When the organization changed, where that is the cause.
    pub organization_changed_at: Option<Timestamp>,
    /// Whether the reconciliation adopts access that the tags ask for.
    pub adopt: bool,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Next {
    /// Another page.
    #[default]
    Page,
    /// Another page, in a new execution: the history of this one is nearly full.
    Continue,
    /// The report.
    Report,
    /// Nothing.
    End,
}

/// What an execution has done; its history holds at most 25,000 events. Source:
/// <https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Spent {
    /// Pages.
    pub pages: usize,
    /// Reconciliations.
    pub reconciliations: usize,
}

impl Spent {
    /// Events of one page: its task and its map, the choices around them, and some retries.
    const OF_PAGE: usize = 25;
    /// Events of one reconciliation: an iteration with its task, and some retries.
    const OF_RECONCILIATION: usize = 20;
    /// Events after which a review continues in a new execution; one more page and its reconciliations always fit.
    const ENOUGH: usize = 15_000;

    /// Whether the next page belongs in a new execution.
    pub fn is_enough(self) -> bool {
        self.pages * Self::OF_PAGE + self.reconciliations * Self::OF_RECONCILIATION > Self::ENOUGH
    }
}

impl State {
    /// The state at the first step of an execution: a review is named after the execution that started it.
    pub fn started_by(self, review: &Execution) -> Self {
        if !self.review_id.is_empty() {
            return self;
        }
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' };
        let name: String = review.name.chars().map(plain).collect();
        let review_id = format!("{}-{name}", review.started_at.strftime("%Y-%m-%dT%H-%M-%SZ"));
        Self { review_id, started_at: Some(review.started_at), ..self }
    }

    /// The state after page `page`, where these images differ; `next` is where the next page's images come from.
    pub fn after_page(self, page: u32, differing: Vec<Differing>, next: Option<Source>) -> Self {
        let spent = Spent {
            pages: self.spent.pages + 1,
            reconciliations: self.spent.reconciliations + differing.len(),
        };
        let cursor = next.map(|from| Cursor { page: page + 1, from });
        let next = match &cursor {
            Some(_) if spent.is_enough() => Next::Continue,
            Some(_) => Next::Page,
            None if self.reports() => Next::Report,
            None => Next::End,
        };
        Self { cursor, differing, spent, next, ..self }
    }

    /// Whether the review ends with a report: not when an organization change is its cause, which may be often.
    pub fn reports(&self) -> bool {
        self.organization_changed_at.is_none()
    }
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

    #[test]
    fn after_its_last_page_a_review_reports_unless_the_organization_changed() {
        let more = State::default().after_page(1, Vec::new(), Some(Source::Tags(None)));
        assert_eq!(
            (more.next, more.cursor.map(|cursor| cursor.page), more.spent.pages),
            (Next::Page, Some(2), 1)
        );
        let full = State { spent: Spent { pages: 0, reconciliations: Spent::ENOUGH }, ..State::default() };
        assert_eq!(full.after_page(1, Vec::new(), Some(Source::Tags(None))).next, Next::Continue);
        assert_eq!(State::default().after_page(2, Vec::new(), None).next, Next::Report);
        let changed = State { organization_changed_at: Some(Timestamp::UNIX_EPOCH), ..State::default() };
        assert_eq!(changed.after_page(2, Vec::new(), None).next, Next::End);
    }
}

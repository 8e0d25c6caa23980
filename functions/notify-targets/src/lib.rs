//! `notify-targets`: tells everybody who should know what came of a share or of its end, once.
//!
//! The bus of each target account, the hub's bus and topic, and the status tag. It also takes the event of
//! an execution that failed, which could not tell of itself.

mod failed_execution;

use std::collections::BTreeMap;

use ami_share_aws::ledger_reader::LedgerReader;
use ami_share_aws::ledger_writer::LedgerWriter;
use ami_share_aws::notices::{Addresses, NoticeSender};
use ami_share_aws::turns::{Turn, Turns};
use ami_share_domain::ending::Ending;
use ami_share_domain::ids::ImageId;
use ami_share_domain::image_request::{Given, Outcome, Told};
use ami_share_domain::ledger::{ImageLedger, ShareRow};
use ami_share_domain::metrics::{self, Measurements, Metric};
use ami_share_domain::notice::{self, Conclusion, HubNews, Notice, TellPlan};
use ami_share_domain::share::Target;
use ami_share_domain::status::Summary;
use ami_share_lambda::{About, Clients, Environment, Failure, Function, Invocation};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::failed_execution::FailedExecution;

/// Notices that are sent before it is written down that they were: so many are sent again at the most when the
/// function is killed half-way.
const NOTICES_AT_ONCE: usize = 100;

/// The function.
pub struct NotifyTargets {
    ledger: LedgerReader,
    turns: Turns,
    sender: NoticeSender,
    clients: Clients,
    table: String,
}

/// What it is invoked with.
#[derive(Debug, Deserialize)]
#[serde(from = "Value")]
pub enum TellRequest {
    /// The output of `share-image`.
    Given(Box<Given>),
    /// The output of `share-image`, or so it seems; but it cannot be read.
    Garbled {
        /// The image, where that can be read.
        image: Option<ImageId>,
        /// What is wrong.
        reason: String,
    },
    /// EventBridge's `Step Functions Execution Status Change`, or something that we do not understand.
    Event(Value),
}

/// Whatever has a share is no event: of what is wrong with it, an untagged enum would say nothing.
impl From<Value> for TellRequest {
    fn from(request: Value) -> Self {
        let Some(share) = request.get("share") else { return Self::Event(request) };
        match Given::deserialize(&request) {
            Ok(given) => Self::Given(Box::new(given)),
            Err(error) => {
                let image = share.pointer("/image/id").and_then(Value::as_str);
                Self::Garbled { image: image.and_then(|id| id.parse().ok()), reason: error.to_string() }
            }
        }
    }
}

impl Function for NotifyTargets {
    type Request = TellRequest;
    type Response = Told;

    async fn start(environment: &Environment, clients: &Clients) -> Result<Self, Failure> {
        let table = environment.text("LEDGER_TABLE")?;
        let topic = environment.text("NOTICE_TOPIC_ARN")?;
        let addresses = Addresses {
            hub_bus: environment.text("HUB_BUS_NAME")?,
            member_bus: environment.text("MEMBER_BUS_NAME")?,
            region: clients.region(),
            partition: topic.split(':').nth(1).unwrap_or("aws").to_owned(),
            topic,
        };
        Ok(Self {
            ledger: clients.ledger_reader(&table),
            turns: clients.turns(&table),
            sender: clients.notice_sender(addresses),
            clients: clients.clone(),
            table,
        })
    }

    fn about(request: &TellRequest) -> About {
        match request {
            TellRequest::Given(given) => About::image(&given.share.image.id),
            TellRequest::Garbled { image, reason: _ } => About { image: image.clone(), ..About::default() },
            TellRequest::Event(event) => {
                let failed = FailedExecution::read(event, "");
                let about = |failed: FailedExecution| About {
                    execution: Some(failed.execution),
                    ..About::image(&failed.image)
                };
                failed.map(about).unwrap_or_default()
            }
        }
    }

    async fn handle(&self, request: TellRequest, invocation: &Invocation) -> Result<Told, Failure> {
        match request {
            TellRequest::Given(given) if given.superseded => Ok(told(&given, String::new(), 0)),
            TellRequest::Given(given) if given.share.dry_run => self.describe(&given).await,
            TellRequest::Given(given) => {
                let turn = self.turns.of_image(&given.share.image.id, invocation.id()).await?;
                let told = self.tell(&given, &turn, invocation).await;
                turn.release().await;
                told
            }
            TellRequest::Garbled { image: _, reason } => {
                Err(Failure::BadRequest(format!("in the output of share-image, {reason}")))
            }
            TellRequest::Event(event) => {
                let failed =
                    FailedExecution::read(&event, &self.clients.region()).map_err(Failure::BadRequest)?;
                if failed.dry_run {
                    return Ok(not_told(failed.status()));
                }
                let turn = self.turns.of_image(&failed.image, invocation.id()).await?;
                let told = self.tell_failure(&failed, &turn, invocation).await;
                turn.release().await;
                told
            }
        }
    }
}

impl NotifyTargets {
    /// A dry run: what would be told.
    async fn describe(&self, given: &Given) -> Result<Told, Failure> {
        let ledger = self.ledger.image(&given.share.image.id).await?;
        let plan = notice::plan(given, &ledger, Timestamp::now());
        Ok(Told { plan: lines(&plan), ..told(given, status(given, &ledger), 0) })
    }

    async fn tell(&self, given: &Given, turn: &Turn, invocation: &Invocation) -> Result<Told, Failure> {
        let image = &given.share.image;
        let ledger = self.ledger.image(&image.id).await?;
        if ledger.supersedes(&given.share) {
            return Ok(told(given, String::new(), 0));
        }
        let plan = notice::plan(given, &ledger, Timestamp::now());
        let status = status(given, &ledger);
        self.tell_members(given, &plan, turn).await?;
        self.tell_hub(&image.id, &plan.hub, turn, invocation).await?;
        self.conclude(given, &ledger, &plan, &status, turn).await?;
        if is_over(given, &ledger) {
            self.writer(turn).await?.unmanage(&image.id, given.share.intent).await?;
        }
        tracing::info!(
            members = plan.members.len(),
            leavers = plan.leavers.len(),
            news = plan.hub.len(),
            status,
            "told"
        );
        Ok(told(given, status, plan.members.len() + plan.leavers.len()))
    }

    /// Tells accounts of access and of its end, each time a few, and writes down that they know. Who was told is
    /// written down before a failure ends it, or the next try would tell them again.
    async fn tell_members(&self, given: &Given, plan: &TellPlan, turn: &Turn) -> Result<(), Failure> {
        let image = &given.share.image.id;
        for notices in plan.leavers.chunks(NOTICES_AT_ONCE) {
            let (deliveries, outcome) = self.sender.tell_members(notices, turn).await;
            self.writer(turn).await?.forget_told(image, &deliveries.all()).await?;
            outcome?;
        }
        if !plan.forgotten.is_empty() {
            self.writer(turn).await?.forget_told(image, &plan.forgotten).await?;
        }
        for notices in plan.members.chunks(NOTICES_AT_ONCE) {
            let (deliveries, outcome) = self.sender.tell_members(notices, turn).await;
            self.writer(turn).await?.add_told(image, &deliveries.delivered, &deliveries.without_bus).await?;
            outcome?;
        }
        // Without an end nobody is warned of it.
        let Some(end) = given.share.until else { return Ok(()) };
        for notices in plan.warned.chunks(NOTICES_AT_ONCE) {
            let (deliveries, outcome) = self.sender.tell_members(notices, turn).await;
            self.writer(turn).await?.add_warned(image, &deliveries.all(), end).await?;
            outcome?;
        }
        Ok(())
    }

    async fn tell_hub(
        &self,
        image: &ImageId,
        mut news: &[HubNews],
        turn: &Turn,
        invocation: &Invocation,
    ) -> Result<(), Failure> {
        while !news.is_empty() {
            let part = notice::leading(news, NOTICES_AT_ONCE);
            let notices: Vec<Notice> = part.iter().map(|news| news.notice.clone()).collect();
            let (count, outcome) = self.sender.tell_hub(&notices, turn).await;
            let told = notice::leading(news, count);
            let rows: BTreeMap<&str, &ShareRow> = told
                .iter()
                .filter_map(|news| news.row.as_ref())
                .map(|row| (row.target.as_str(), row))
                .collect();
            let rows: Vec<ShareRow> = rows.into_values().cloned().collect();
            self.clients.ledger_writer(&self.table).write_shares(image, &rows, &[], turn).await?;
            // Each part by itself: what is on record as told is not told, and not counted, again.
            invocation.measure(&metrics::of_news(told));
            outcome?;
            news = news.get(told.len()..).unwrap_or_default();
        }
        Ok(())
    }

    /// Writes the status, and writes down what has been told of the whole image, whether the status could be written
    /// or not: that was told.
    async fn conclude(
        &self,
        given: &Given,
        ledger: &ImageLedger,
        plan: &TellPlan,
        status: &str,
        turn: &Turn,
    ) -> Result<(), Failure> {
        let image = &given.share.image;
        let can_carry_status = given.share.ending.as_ref().is_none_or(Ending::leaves_an_image);
        let needs_status = can_carry_status && ledger.told.needs_status(status, image);
        let written = match needs_status {
            true => self.write_status(&image.id, status, turn).await,
            false => Ok(()),
        };
        let status = Some(status.to_owned()).filter(|_| needs_status && written.is_ok());
        let conclusion = Conclusion { status, ..notice::conclusion(given, ledger, plan) };
        if *plan != TellPlan::default() || conclusion != Conclusion::default() {
            self.writer(turn).await?.conclude(&image.id, &conclusion, Timestamp::now()).await?;
        }
        written
    }

    /// A writer of the ledger, for one write: who lost the turn meanwhile must not write any more.
    async fn writer(&self, turn: &Turn) -> Result<LedgerWriter, Failure> {
        turn.renew().await?;
        Ok(self.clients.ledger_writer(&self.table))
    }

    async fn write_status(&self, image: &ImageId, status: &str, turn: &Turn) -> Result<(), Failure> {
        turn.renew().await?;
        Ok(self.clients.status_writer().write(image, status).await?)
    }

    /// A failure that ended before the last outcome was told is history: the status keeps the later truth. A later look
    /// that had nothing to tell left no trace, so the failure's status stands until the next look or review.
    async fn tell_failure(
        &self,
        failed: &FailedExecution,
        turn: &Turn,
        invocation: &Invocation,
    ) -> Result<Told, Failure> {
        let ledger = self.ledger.image(&failed.image).await?;
        let (_, outcome) = self.sender.tell_hub(&[failed.notice()], turn).await;
        outcome?;
        let status = failed.status();
        if !ledger.told.makes_history_of(failed.ended) {
            self.write_status(&failed.image, &status, turn).await?;
            let conclusion = Conclusion { status: Some(status.clone()), ..Conclusion::default() };
            self.writer(turn).await?.conclude(&failed.image, &conclusion, Timestamp::now()).await?;
        }
        invocation.measure(&Measurements::default().counting(Metric::ExecutionsFailed, 1));
        tracing::warn!(status, "told of a failed execution");
        Ok(not_told(status))
    }
}

fn status(given: &Given, ledger: &ImageLedger) -> String {
    let has_access = |target: &&Target| ledger.shares.get(target.name()).is_some_and(ShareRow::is_open);
    let summary = Summary {
        shared: given.shared_targets().collect(),
        kept: given.share.kept.iter().filter(has_access).collect(),
        is_public: given
            .unmanaged
            .iter()
            .any(|grant| grant.is_public() && !given.made_private.contains(&grant.resource)),
        ending: given.share.ending.as_ref(),
        refused: &given.all_refused(),
        until: given.share.until,
    };
    summary.status()
}

/// Whether the image needs no review any more: it is gone or untagged, and nothing of it is open.
fn is_over(given: &Given, ledger: &ImageLedger) -> bool {
    let has_ended = matches!(given.share.ending, Some(Ending::ImageGone | Ending::Untagged));
    has_ended && ledger.is_closed() && given.all_refused().is_empty()
}

fn told(given: &Given, status: String, told: usize) -> Told {
    let outcome = if given.all_refused().is_empty() { Outcome::Complete } else { Outcome::Incomplete };
    Told { outcome, status, told, plan: Vec::new() }
}

/// The answer when no target was told.
fn not_told(status: String) -> Told {
    Told { outcome: Outcome::Incomplete, status, told: 0, plan: Vec::new() }
}

fn lines(plan: &TellPlan) -> Vec<String> {
    let members = [&plan.leavers, &plan.members, &plan.warned].into_iter().flatten();
    let members =
        members.map(|(account, notice)| format!("{} to the bus of {account}", notice.kind.detail_type()));
    let hub = plan.hub.iter().map(|HubNews { notice, row: _ }| {
        let of = notice.detail.target.as_deref().unwrap_or("the image");
        format!("{} of {of} to the hub", notice.kind.detail_type())
    });
    members.chain(hub).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

    use serde_json::json;

    use super::*;

    const GIVEN: &str = include_str!("../../../events/notify-targets.json");
    const FAILED: &str = include_str!("../../../events/step-functions-execution-failed.json");

    fn read(request: Value) -> TellRequest {
        TellRequest::deserialize(request).unwrap()
    }

    #[test]
    fn the_output_of_a_step_and_an_event_are_told_apart() {
        assert!(matches!(read(serde_json::from_str(GIVEN).unwrap()), TellRequest::Given(_)));
        assert!(matches!(read(serde_json::from_str(FAILED).unwrap()), TellRequest::Event(_)));
        assert!(matches!(read(json!(null)), TellRequest::Event(_)));
    }

    #[test]
    fn of_an_output_that_cannot_be_read_it_is_said_what_is_wrong_and_of_which_image() {
        let mut given: Value = serde_json::from_str(GIVEN).unwrap();
        let id = given.pointer("/share/image/id").unwrap().clone();
        *given.pointer_mut("/share/intent").unwrap() = json!("three");
        let request = read(given);
        assert_eq!(NotifyTargets::about(&request).image.unwrap().as_str(), id);
        let TellRequest::Garbled { reason, .. } = request else { panic!("{request:?}") };
        assert_eq!(reason, "invalid type: string \"three\", expected u64");
        assert_eq!(NotifyTargets::about(&read(json!({ "share": 1 }))), About::default());
    }
}

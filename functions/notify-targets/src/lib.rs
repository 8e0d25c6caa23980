//! `notify-targets`: tells everybody who should know what came of a share, once.
//!
//! The bus of each target account, the hub's bus and topic, and the status tag. It also takes the event of
//! an execution that failed, which could not tell of itself.

mod failed_execution;

use ami_share_aws::ledger::LedgerReader;
use ami_share_aws::notices::{Addresses, NoticeSender};
use ami_share_aws::turns::{Turn, Turns};
use ami_share_domain::ids::{AccountId, ImageId};
use ami_share_domain::ledger::{ImageLedger, ShareRow};
use ami_share_domain::notice::{self, Notice, NoticeKind, TellPlan};
use ami_share_domain::share::{Given, Outcome, Told};
use ami_share_domain::status::Summary;
use ami_share_lambda::{Clients, Environment, Failure, Function};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::failed_execution::FailedExecution;

/// Accounts that are told before it is written down that they were: so many are told again at the most
/// when the function is killed half-way.
const MEMBERS_AT_ONCE: usize = 100;

/// The function.
pub struct NotifyTargets {
    ledger: LedgerReader,
    turns: Turns,
    sender: NoticeSender,
    clients: Clients,
    table: String,
}

/// What it is invoked with.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum TellRequest {
    /// The output of `share-image`.
    Given(Box<Given>),
    /// EventBridge's `Step Functions Execution Status Change`, or something that we do not understand.
    Event(Value),
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

    async fn handle(&self, request: TellRequest, invocation: &str) -> Result<Told, Failure> {
        match request {
            TellRequest::Given(given) if given.superseded => Ok(told(&given, String::new(), 0)),
            TellRequest::Given(given) if given.share.dry_run => self.describe(&given).await,
            TellRequest::Given(given) => {
                let turn = self.turns.of_image(&given.share.image.id, invocation).await?;
                let told = self.tell(&given, &turn).await;
                turn.release().await;
                told
            }
            TellRequest::Event(event) => {
                let failed =
                    FailedExecution::read(&event, &self.clients.region()).map_err(Failure::BadRequest)?;
                if failed.dry_run {
                    return Ok(not_told(failed.status()));
                }
                let turn = self.turns.of_image(&failed.image, invocation).await?;
                let told = self.tell_failure(&failed).await;
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
        let plan = notice::plan(given, &ledger);
        Ok(Told { plan: lines(&plan), ..told(given, status(given, &ledger), 0) })
    }

    async fn tell(&self, given: &Given, turn: &Turn) -> Result<Told, Failure> {
        let image = &given.share.image;
        let ledger = self.ledger.image(&image.id).await?;
        if ledger.supersedes(&given.share) {
            return Ok(told(given, String::new(), 0));
        }
        let plan = notice::plan(given, &ledger);
        let status = status(given, &ledger);
        self.tell_members(&image.id, &plan.members, turn).await?;
        self.tell_hub(&image.id, &plan.hub, turn).await?;
        if ledger.told.needs_status(&status, image) {
            self.write_status(&image.id, &status).await?;
        }
        let count = |kind| plan.hub.iter().filter(|(notice, _, _)| notice.kind == kind).count();
        // template.yaml makes metrics of `given` and `refused`.
        tracing::info!(image = %image.id, members = plan.members.len(), given = count(NoticeKind::Shared), refused = count(NoticeKind::Refused), status, "told");
        Ok(told(given, status, plan.members.len()))
    }

    async fn tell_members(
        &self,
        image: &ImageId,
        members: &[(AccountId, Notice)],
        turn: &Turn,
    ) -> Result<(), Failure> {
        for notices in members.chunks(MEMBERS_AT_ONCE) {
            turn.renew().await?;
            let deliveries = self.sender.tell_members(notices).await?;
            self.clients
                .ledger_writer(&self.table)
                .add_told(image, &deliveries.delivered, &deliveries.without_bus)
                .await?;
        }
        Ok(())
    }

    async fn tell_hub(
        &self,
        image: &ImageId,
        news: &[(Notice, ShareRow, String)],
        turn: &Turn,
    ) -> Result<(), Failure> {
        for news in news.chunks(MEMBERS_AT_ONCE) {
            turn.renew().await?;
            let notices: Vec<Notice> = news.iter().map(|(notice, _, _)| notice.clone()).collect();
            self.sender.tell_hub(&notices).await?;
            let rows: Vec<ShareRow> = news
                .iter()
                .map(|(_, row, news)| ShareRow { told: Some(news.clone()), ..row.clone() })
                .collect();
            self.clients.ledger_writer(&self.table).write_shares(image, &rows, &[]).await?;
        }
        Ok(())
    }

    async fn write_status(&self, image: &ImageId, status: &str) -> Result<(), Failure> {
        self.clients.status_writer().write(image, status).await?;
        Ok(self.clients.ledger_writer(&self.table).set_status(image, status, Timestamp::now()).await?)
    }

    /// A failure that ended before the last outcome was told is history: the status keeps the later truth.
    async fn tell_failure(&self, failed: &FailedExecution) -> Result<Told, Failure> {
        let ledger = self.ledger.image(&failed.image).await?;
        self.sender.tell_hub(&[failed.notice()]).await?;
        let status = failed.status();
        if ledger.told.at.is_none_or(|last| last < failed.ended) {
            self.write_status(&failed.image, &status).await?;
        }
        tracing::warn!(image = %failed.image, execution = failed.execution, status, "told of a failed execution");
        Ok(not_told(status))
    }
}

fn status(given: &Given, ledger: &ImageLedger) -> String {
    let summary = Summary {
        shared: given.shared_targets().collect(),
        left_over: ledger.left_over(&given.share),
        refused: &given.refused,
        until: given.share.until,
    };
    summary.status()
}

fn told(given: &Given, status: String, told: usize) -> Told {
    let outcome = if given.refused.is_empty() { Outcome::Complete } else { Outcome::Incomplete };
    Told { outcome, status, told, plan: Vec::new() }
}

/// The answer when no target was told.
fn not_told(status: String) -> Told {
    Told { outcome: Outcome::Incomplete, status, told: 0, plan: Vec::new() }
}

fn lines(plan: &TellPlan) -> Vec<String> {
    let members = plan
        .members
        .iter()
        .map(|(account, notice)| format!("{} to the bus of {account}", notice.kind.detail_type()));
    let hub = plan
        .hub
        .iter()
        .map(|(notice, row, _)| format!("{} of {} to the hub", notice.kind.detail_type(), row.target));
    members.chain(hub).collect()
}

//! `notify-targets`: tells everybody who should know what came of a share or of its end, once.
//!
//! The bus of each target account, the hub's bus and topic, and the status tag. It also takes the event of
//! an execution that failed, which could not tell of itself.

mod failed_execution;

use std::collections::{BTreeMap, BTreeSet};

use ami_share_aws::ledger::{LedgerReader, LedgerWriter};
use ami_share_aws::notices::{Addresses, NoticeSender};
use ami_share_aws::turns::{Turn, Turns};
use ami_share_domain::access_review::UnmanagedGrant;
use ami_share_domain::ending::Ending;
use ami_share_domain::ids::{AccountId, ImageId};
use ami_share_domain::ledger::{ImageLedger, ShareRow};
use ami_share_domain::notice::{self, HubNews, Notice, NoticeKind, TellPlan};
use ami_share_domain::share::{Given, Outcome, Target, Told};
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
        let plan = notice::plan(given, &ledger, Timestamp::now());
        Ok(Told { plan: lines(&plan), ..told(given, status(given, &ledger), 0) })
    }

    async fn tell(&self, given: &Given, turn: &Turn) -> Result<Told, Failure> {
        let image = &given.share.image;
        let ledger = self.ledger.image(&image.id).await?;
        if ledger.supersedes(&given.share) {
            return Ok(told(given, String::new(), 0));
        }
        let plan = notice::plan(given, &ledger, Timestamp::now());
        let status = status(given, &ledger);
        self.tell_members(&image.id, &plan, turn).await?;
        self.tell_hub(&image.id, &plan.hub, turn).await?;
        self.remember(given, &ledger, &plan).await?;
        let can_carry_status = given.share.ending.as_ref().is_none_or(Ending::leaves_an_image);
        if can_carry_status && ledger.told.needs_status(&status, image) {
            self.write_status(&image.id, &status).await?;
        }
        if is_over(given, &ledger) {
            self.writer().unmanage(&image.id, given.share.intent).await?;
        }
        let count = |kind| plan.hub.iter().filter(|news| news.notice.kind == kind).count();
        // template.yaml makes metrics of the counts.
        tracing::info!(image = %image.id, members = plan.members.len(), leavers = plan.leavers.len(), given = count(NoticeKind::Shared), withdrawn = count(NoticeKind::Unshared), refused = count(NoticeKind::Refused), restored = count(NoticeKind::Restored), public = count(NoticeKind::Public), status, "told");
        Ok(told(given, status, plan.members.len() + plan.leavers.len()))
    }

    /// Tells accounts of access and of its end, each time a few, and writes down that they know.
    async fn tell_members(&self, image: &ImageId, plan: &TellPlan, turn: &Turn) -> Result<(), Failure> {
        for notices in plan.leavers.chunks(MEMBERS_AT_ONCE) {
            turn.renew().await?;
            self.sender.tell_members(notices).await?;
            let accounts: Vec<AccountId> = notices.iter().map(|(account, _)| account.clone()).collect();
            self.writer().forget_told(image, &accounts).await?;
        }
        self.writer().forget_told(image, &plan.forgotten).await?;
        for notices in plan.members.chunks(MEMBERS_AT_ONCE) {
            turn.renew().await?;
            let deliveries = self.sender.tell_members(notices).await?;
            self.writer().add_told(image, &deliveries.delivered, &deliveries.without_bus).await?;
        }
        for notices in plan.warned.chunks(MEMBERS_AT_ONCE) {
            turn.renew().await?;
            self.sender.tell_members(notices).await?;
        }
        Ok(())
    }

    async fn tell_hub(&self, image: &ImageId, news: &[HubNews], turn: &Turn) -> Result<(), Failure> {
        for news in news.chunks(MEMBERS_AT_ONCE) {
            turn.renew().await?;
            let notices: Vec<Notice> = news.iter().map(|news| news.notice.clone()).collect();
            self.sender.tell_hub(&notices).await?;
            let rows: BTreeMap<&str, &ShareRow> = news
                .iter()
                .filter_map(|news| news.row.as_ref())
                .map(|row| (row.target.as_str(), row))
                .collect();
            let rows: Vec<ShareRow> = rows.into_values().cloned().collect();
            self.writer().write_shares(image, &rows, &[]).await?;
        }
        Ok(())
    }

    /// Writes down what has been told of the whole image, so that it is not told again.
    async fn remember(&self, given: &Given, ledger: &ImageLedger, plan: &TellPlan) -> Result<(), Failure> {
        let warned = given.share.until.filter(|_| plan.is_warning);
        // What was made private is over: when somebody makes it public again, that is news.
        let is_over =
            |grant: &&UnmanagedGrant| grant.is_public() && given.made_private.contains(&grant.resource);
        let unmanaged = given.unmanaged.iter().filter(|grant| !is_over(grant));
        let unmanaged: BTreeSet<String> = unmanaged.map(ToString::to_string).collect();
        let told = &ledger.told;
        let (mut reported, mut no_longer) = (BTreeSet::new(), BTreeSet::new());
        if !told.has_seen_later_than(&given.share.image) {
            reported.extend(unmanaged.difference(&told.unmanaged).cloned());
            no_longer.extend(told.unmanaged.difference(&unmanaged).cloned());
        }
        let image = &given.share.image;
        Ok(self.writer().change_told(image, warned, &reported, &no_longer).await?)
    }

    fn writer(&self) -> LedgerWriter {
        self.clients.ledger_writer(&self.table)
    }

    async fn write_status(&self, image: &ImageId, status: &str) -> Result<(), Failure> {
        self.clients.status_writer().write(image, status).await?;
        Ok(self.writer().set_status(image, status, Timestamp::now()).await?)
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

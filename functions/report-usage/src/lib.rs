//! `report-usage`: adds to what is told of a withdrawal whether those who lost access still use the image.
//!
//! `share-image` asked AWS for the report before it took access away; AWS makes it in its own time. While it is
//! not ready this function fails with the error type `NotReady`, and the workflow comes again.

use ami_share_aws::usage_reports::UsageReportReader;
use ami_share_domain::audit::{AuditRow, Deed};
use ami_share_domain::image_request::Given;
use ami_share_domain::usage::{Usage, UsageQuestion, in_words};
use ami_share_lambda::{About, Clients, Environment, Failure, Function, Invocation};
use jiff::Timestamp;

/// The function.
pub struct ReportUsage {
    reports: UsageReportReader,
    clients: Clients,
    table: String,
}

impl Function for ReportUsage {
    type Request = Given;
    type Response = Given;

    async fn start(environment: &Environment, clients: &Clients) -> Result<Self, Failure> {
        Ok(Self {
            reports: clients.usage_report_reader(),
            clients: clients.clone(),
            table: environment.text("LEDGER_TABLE")?,
        })
    }

    fn about(given: &Given) -> About {
        About::image(&given.share.image.id)
    }

    async fn handle(&self, given: Given, invocation: &Invocation) -> Result<Given, Failure> {
        let image = &given.share.image.id;
        let Some(question) = &given.usage_report else { return Ok(given) };
        let Some(usage) = self.reports.read(image, &question.report_id).await? else {
            return Err(Failure::NotReady(format!("the usage report {} is not ready", question.report_id)));
        };
        let usage: Vec<Usage> =
            usage.into_iter().filter(|usage| question.accounts.contains(&usage.account)).collect();
        let row = history(&given, question, &usage);
        self.clients.ledger_writer(&self.table).append(image, &[row], invocation.id()).await?;
        tracing::info!(accounts = question.accounts.len(), still_used = !usage.is_empty(), "usage reported");
        Ok(Given { usage: Some(usage), ..given })
    }
}

fn history(given: &Given, question: &UsageQuestion, usage: &[Usage]) -> AuditRow {
    let share = &given.share;
    let accounts = question.accounts.iter().map(ToString::to_string).collect();
    let row = AuditRow::new(Deed::UsageReported, &share.image.id, accounts, &share.asked, share.intent);
    row.done(Timestamp::now(), None).because(in_words(usage))
}

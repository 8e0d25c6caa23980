//! `report-usage`: adds to what is told of a withdrawal whether those who lost access still use the image.
//!
//! `share-image` asked AWS for the report before it took access away; AWS makes it in its own time. While it is
//! not ready this function fails with the error type `NotReady`, and the workflow comes again.

use ami_share_aws::usage_reports::UsageReportReader;
use ami_share_domain::audit_log::{AuditAction, AuditRow};
use ami_share_domain::image::request::ShareResult;
use ami_share_domain::image::usage::{Usage, UsageQuestion, sentence};
use ami_share_lambda::{About, Clients, Environment, Failure, Function, Invocation};
use jiff::Timestamp;

/// The function.
pub struct ReportUsage {
    reports: UsageReportReader,
    clients: Clients,
    table: String,
}

impl Function for ReportUsage {
    type Request = ShareResult;
    type Response = ShareResult;

    async fn start(environment: &Environment, clients: &Clients) -> Result<Self, Failure> {
        Ok(Self {
            reports: clients.usage_report_reader(),
            clients: clients.clone(),
            table: environment.text("LEDGER_TABLE")?,
        })
    }

    fn about(result: &ShareResult) -> About {
        About::image(&result.share.image.id)
    }

    async fn handle(&self, result: ShareResult, invocation: &Invocation) -> Result<ShareResult, Failure> {
        let image = &result.share.image.id;
        let Some(question) = &result.usage_report else { return Ok(result) };
        let Some(usage) = self.reports.read(image, &question.report_id).await? else {
            return Err(Failure::NotReady(format!("the usage report {} is not ready", question.report_id)));
        };
        let usage: Vec<Usage> =
            usage.into_iter().filter(|usage| question.accounts.contains(&usage.account)).collect();
        let row = audit_log(&result, question, &usage);
        self.clients.ledger_writer(&self.table).append(image, &[row], invocation.id()).await?;
        tracing::info!(accounts = question.accounts.len(), still_used = !usage.is_empty(), "usage reported");
        Ok(ShareResult { usage: Some(usage), ..result })
    }
}

fn audit_log(result: &ShareResult, question: &UsageQuestion, usage: &[Usage]) -> AuditRow {
    let share = &result.share;
    let accounts = question.accounts.iter().map(ToString::to_string).collect();
    let row = AuditRow::new(
        AuditAction::UsageReported,
        &share.image.id,
        accounts,
        &share.triggered_by,
        share.intent,
    );
    row.done(Timestamp::now(), None).because(sentence(usage))
}

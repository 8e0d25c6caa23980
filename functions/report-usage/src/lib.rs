//! `report-usage`: adds to the notification of a revocation whether the accounts that lost access still use the image.
//!
//! `share-image` requested the usage report from AWS before it revoked access, and AWS makes it in its own time. While
//! the report is not ready, this function fails with the error type `NotReady`, and the workflow retries it.

use ami_share_aws::ec2::usage_reports::UsageReportReader;
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
        About::image(&result.share.desired.image.id)
    }

    async fn handle(&self, result: ShareResult, invocation: &Invocation) -> Result<ShareResult, Failure> {
        let Some(question) = &result.usage_report else { return Ok(result) };
        let usage = self.observe(&result, question).await?;
        let row = audit_row(&result, question, &usage, self.clients.clock().now());
        let image = &result.share.desired.image.id;
        self.clients.ledger_writer(&self.table).append(image, &[row], invocation.id()).await?;
        tracing::info!(accounts = question.accounts.len(), still_used = !usage.is_empty(), "usage reported");
        Ok(ShareResult { usage: Some(usage), ..result })
    }
}

impl ReportUsage {
    /// The usage by the accounts that lost access.
    async fn observe(&self, result: &ShareResult, question: &UsageQuestion) -> Result<Vec<Usage>, Failure> {
        let usage = self.reports.read(&result.share.desired.image.id, &question.report_id).await?;
        let Some(mut usage) = usage else {
            return Err(Failure::NotReady(format!("the usage report {} is not ready", question.report_id)));
        };
        usage.retain(|usage| question.accounts.contains(&usage.account));
        Ok(usage)
    }
}

fn audit_row(result: &ShareResult, question: &UsageQuestion, usage: &[Usage], now: Timestamp) -> AuditRow {
    let share = &result.share;
    let accounts = question.accounts.iter().map(ToString::to_string).collect();
    let row = AuditRow::new(
        AuditAction::UsageReported,
        &share.desired.image.id,
        accounts,
        &share.run.triggered_by,
        share.run.intent,
    );
    row.done(now, None).because(sentence(usage))
}

//! Image usage reports: which other accounts use an image.
//!
//! EC2 takes minutes to make a report (from memory), keeps it for 30 days, and covers the 20 latest versions of a launch
//! template. Instances of the last 24 hours and launch templates of the last few days may be missing.
//! Source: <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/your-ec2-ami-usage.html>

use ami_share_domain::ids::{AccountId, ImageId};
use ami_share_domain::image::usage::Usage;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{ImageUsageReport, ImageUsageReportEntry, ImageUsageResourceTypeRequest};

use crate::error::{AwsError, Explain, Fault, unusable_answer};

/// The resource types that a report covers.
const RESOURCE_TYPES: [&str; 2] = ["ec2:Instance", "ec2:LaunchTemplate"];

/// The most accounts that a report can name.
/// Source: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateImageUsageReport.html>
const ACCOUNT_LIMIT: usize = 200;

/// Requests reports.
#[derive(Debug, Clone)]
pub struct UsageReportWriter {
    client: Client,
}

impl UsageReportWriter {
    /// A writer.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Requests a report on how `accounts` use the image, and returns its id; `None` when the image is gone. Without
    /// accounts, and with more than 200, the report covers all accounts, and its reader selects from them.
    ///
    /// # Errors
    /// When `ec2:CreateImageUsageReport` fails, or answers without an id.
    pub async fn ask(&self, image: &ImageId, accounts: &[AccountId]) -> Result<Option<String>, AwsError> {
        const CALL: &str = "ec2:CreateImageUsageReport";
        let types = RESOURCE_TYPES.map(|name| ImageUsageResourceTypeRequest::builder().resource_type(name));
        let request = self
            .client
            .create_image_usage_report()
            .image_id(image.as_str())
            .set_resource_types(Some(types.map(|builder| builder.build()).to_vec()))
            .set_account_ids(named(accounts));
        let answer = match request.send().await.explain(CALL, image) {
            Err(error) if matches!(error.fault(), Fault::Missing | Fault::Unavailable) => return Ok(None),
            answer => answer?,
        };
        answer.report_id.map(Some).ok_or_else(|| unusable_answer(CALL, image, "no report id"))
    }
}

fn named(accounts: &[AccountId]) -> Option<Vec<String>> {
    (1..=ACCOUNT_LIMIT).contains(&accounts.len()).then(|| accounts.iter().map(ToString::to_string).collect())
}

/// Reads reports.
#[derive(Debug, Clone)]
pub struct UsageReportReader {
    client: Client,
}

impl UsageReportReader {
    /// A reader.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// The usages in the report; `None` while it is not ready. EC2 is eventually consistent, so a report that it does
    /// not know counts as not ready: the caller limits how long it waits.
    ///
    /// # Errors
    /// When `ec2:DescribeImageUsageReports` or `ec2:DescribeImageUsageReportEntries` fails, or when EC2
    /// could not make the report.
    pub async fn read(&self, image: &ImageId, report_id: &str) -> Result<Option<Vec<Usage>>, AwsError> {
        const CALL: &str = "ec2:DescribeImageUsageReports";
        let Some(report) = self.report(image, report_id).await? else { return Ok(None) };
        match report.state() {
            Some("available") => Ok(Some(self.entries(image, report_id).await?)),
            Some("error") => {
                let reason = report.state_reason().unwrap_or("EC2 gives no reason");
                Err(unusable_answer(CALL, image, format!("a failed report: {reason}")))
            }
            Some(_) | None => Ok(None),
        }
    }

    async fn report(&self, image: &ImageId, report_id: &str) -> Result<Option<ImageUsageReport>, AwsError> {
        let answer = self.client.describe_image_usage_reports().report_ids(report_id).send().await;
        match answer.explain("ec2:DescribeImageUsageReports", image) {
            Err(error) if matches!(error.fault(), Fault::Missing | Fault::Unavailable) => Ok(None),
            answer => Ok(answer?.image_usage_reports.unwrap_or_default().into_iter().next()),
        }
    }

    async fn entries(&self, image: &ImageId, report_id: &str) -> Result<Vec<Usage>, AwsError> {
        const CALL: &str = "ec2:DescribeImageUsageReportEntries";
        let request = self.client.describe_image_usage_report_entries().report_ids(report_id);
        let mut entries = request.into_paginator().items().send();
        let mut usages = Vec::new();
        while let Some(entry) = entries.next().await {
            let usage = from_ec2(&entry.explain(CALL, image)?);
            usages
                .push(usage.ok_or_else(|| {
                    unusable_answer(CALL, image, "an entry without account, type or count")
                })?);
        }
        usages.sort();
        Ok(usages)
    }
}

fn from_ec2(entry: &ImageUsageReportEntry) -> Option<Usage> {
    Some(Usage {
        account: entry.account_id()?.parse().ok()?,
        resource_type: entry.resource_type()?.to_owned(),
        count: entry.usage_count()?.try_into().ok()?,
    })
}

//! Asks EC2 which other accounts use an image, and reads its answer.
//!
//! A report takes minutes (recalled), is kept for 30 days, and looks at the 20 latest versions of a launch
//! template. It may lack the instances of the last 24 hours and the launch templates of the last few days.
//! Source: <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/your-ec2-ami-usage.html>

use ami_share_domain::ids::{AccountId, ImageId};
use ami_share_domain::image::usage::Usage;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{ImageUsageReport, ImageUsageReportEntry, ImageUsageResourceTypeRequest};

use crate::error::{AwsError, Explain, Fault, lacks};

/// What a report looks for.
const RESOURCE_TYPES: [&str; 2] = ["ec2:Instance", "ec2:LaunchTemplate"];

/// Accounts that a report can name.
/// Source: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateImageUsageReport.html>
const ACCOUNT_LIMIT: usize = 200;

/// Asks for reports.
#[derive(Debug, Clone)]
pub struct UsageReportWriter {
    client: Client,
}

impl UsageReportWriter {
    /// A writer.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Asks how `accounts` use the image, and gives the id of the report; `None` when the image is gone.
    /// For no account, and for more than 200, the report is about all accounts: its reader picks the ones that
    /// it cares for.
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
            Err(error) if error.fault() == Fault::Missing => return Ok(None),
            answer => answer?,
        };
        answer.report_id.map(Some).ok_or_else(|| lacks(CALL, image, "no report id"))
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

    /// What the report says; `None` while there is nothing to read yet. EC2 is eventually consistent, so a
    /// report that it does not know counts as one that is not ready: the caller stops asking some time.
    ///
    /// # Errors
    /// When `ec2:DescribeImageUsageReports` or `ec2:DescribeImageUsageReportEntries` fails, or when EC2 could
    /// not make the report; that one never comes.
    pub async fn read(&self, image: &ImageId, report_id: &str) -> Result<Option<Vec<Usage>>, AwsError> {
        const CALL: &str = "ec2:DescribeImageUsageReports";
        let Some(report) = self.report(image, report_id).await? else { return Ok(None) };
        match report.state() {
            Some("available") => Ok(Some(self.entries(image, report_id).await?)),
            Some("error") => {
                let reason = report.state_reason().unwrap_or("and no reason");
                Err(lacks(CALL, image, format!("that there is no report: {reason}")))
            }
            Some(_) | None => Ok(None),
        }
    }

    async fn report(&self, image: &ImageId, report_id: &str) -> Result<Option<ImageUsageReport>, AwsError> {
        let answer = self.client.describe_image_usage_reports().report_ids(report_id).send().await;
        match answer.explain("ec2:DescribeImageUsageReports", image) {
            Err(error) if error.fault() == Fault::Missing => Ok(None),
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
            usages.push(usage.ok_or_else(|| lacks(CALL, image, "an entry without account, type or count"))?);
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

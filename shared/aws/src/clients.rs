//! Makes the readers and writers.

mod configuration;
mod endpoint;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_sdk_dynamodb::config::SharedCredentialsProvider;

use crate::calls::Calls;
use crate::clock::Clock;
use crate::ec2::images::ImageReader;
use crate::ec2::permissions::{PermissionReader, PermissionWriter};
use crate::ec2::status_tag::StatusWriter;
use crate::ec2::usage_reports::{UsageReportReader, UsageReportWriter};
use crate::executions::ExecutionStarter;
use crate::keys::{KeyReader, KeyWriter};
use crate::ledger::leases::Leases;
use crate::ledger::reader::LedgerReader;
use crate::ledger::writer::LedgerWriter;
use crate::notifications::topic::Topic;
use crate::notifications::{Addresses, NotificationSender};
use crate::organization::OrganizationReader;
use crate::review_store::ReviewStore;
use crate::schedules::{ScheduleSettings, ScheduleWriter};

/// Makes readers and writers. Those of one service share one SDK client and its connections: to open a connection over
/// TLS takes longer than most calls.
#[derive(Debug, Clone)]
pub struct Clients {
    config: SdkConfig,
    calls: Calls,
    services: Arc<ServiceClients>,
}

/// The SDK client of each service, made when it is first needed.
#[derive(Debug, Default)]
struct ServiceClients {
    dynamodb: OnceLock<aws_sdk_dynamodb::Client>,
    ec2: OnceLock<aws_sdk_ec2::Client>,
    eventbridge: OnceLock<aws_sdk_eventbridge::Client>,
    kms: OnceLock<aws_sdk_kms::Client>,
    scheduler: OnceLock<aws_sdk_scheduler::Client>,
    sfn: OnceLock<aws_sdk_sfn::Client>,
    sns: OnceLock<aws_sdk_sns::Client>,
}

/// The configuration of one service's client, with the interceptor that counts its calls. Each crate of the SDK has a
/// type of its own for it.
macro_rules! counting {
    ($clients:expr, $sdk:ident) => {
        $sdk::config::Builder::from(&$clients.config).interceptor($clients.calls.clone())
    };
}

/// The client of one service. Copies of a client share its connections.
macro_rules! client {
    ($clients:expr, $service:ident, $sdk:ident) => {
        $clients
            .services
            .$service
            .get_or_init(|| $sdk::Client::from_conf(counting!($clients, $sdk).build()))
            .clone()
    };
}

impl Clients {
    /// Reads Region and credentials from the environment. An empty `endpoint` means AWS itself, or the endpoint in
    /// `AWS_ENDPOINT_URL`.
    pub async fn load(endpoint: &str) -> Self {
        Self::of(configuration::load(endpoint).await)
    }

    /// Clients of any configuration, with which tests reach a server of their own.
    pub fn of(config: SdkConfig) -> Self {
        Self::counted_by(Calls::default(), config)
    }

    fn counted_by(calls: Calls, config: SdkConfig) -> Self {
        Self { config, calls, services: Arc::default() }
    }

    /// The calls of these clients, and of all clients made from them.
    pub fn calls(&self) -> &Calls {
        &self.calls
    }

    /// The Region that the function runs in; empty when it is not configured.
    pub fn region(&self) -> String {
        self.config.region().map(ToString::to_string).unwrap_or_default()
    }

    /// The clock of these clients.
    pub fn clock(&self) -> Clock {
        Clock::of(&self.config)
    }

    /// The same, acting as another role; `None` for an empty ARN.
    pub async fn acting_as(&self, role_arn: &str) -> Option<Self> {
        if role_arn.is_empty() {
            return None;
        }
        let role = AssumeRoleProvider::builder(role_arn)
            .session_name("ami-share")
            .configure(&self.config)
            .build()
            .await;
        let credentials = SharedCredentialsProvider::new(role);
        let config = self.config.to_builder().credentials_provider(credentials).build();
        Some(Self::counted_by(self.calls.clone(), config))
    }

    /// The same in the SDK's adaptive retry mode: once a service throttles, the SDK slows down all calls of this
    /// process to it, and finds the rate that the service allows. For functions that read much and may take long.
    /// Source: <https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html>
    pub fn adaptive(&self) -> Self {
        Self::counted_by(self.calls.clone(), configuration::adaptive(&self.config))
    }

    /// Reads images.
    pub fn image_reader(&self) -> ImageReader {
        ImageReader::new(self.ec2(), self.region(), self.clock())
    }

    /// Writes the status tag.
    pub fn status_writer(&self) -> StatusWriter {
        StatusWriter::new(self.ec2())
    }

    /// Reads launch and snapshot permissions.
    pub fn permission_reader(&self) -> PermissionReader {
        PermissionReader::new(self.ec2(), self.clock())
    }

    /// Adds and removes launch and snapshot permissions.
    pub fn permission_writer(&self) -> PermissionWriter {
        PermissionWriter::new(self.ec2())
    }

    /// Reads keys and their policies.
    pub fn key_reader(&self) -> KeyReader {
        KeyReader::new(self.kms())
    }

    /// Puts key policies.
    pub fn key_writer(&self) -> KeyWriter {
        KeyWriter::new(self.kms())
    }

    /// Reads the organization, and caches it for a while. AWS Organizations allows so few calls a second that the SDK
    /// has to find the rate ([`Clients::adaptive`]).
    pub fn organization_reader(&self, cache_at_most: Duration) -> OrganizationReader {
        let config = counting!(self.adaptive(), aws_sdk_organizations).build();
        OrganizationReader::new(aws_sdk_organizations::Client::from_conf(config), cache_at_most, self.clock())
    }

    /// Reads the ledger in `table`.
    pub fn ledger_reader(&self, table: &str) -> LedgerReader {
        LedgerReader::new(self.dynamodb(), table.to_owned(), self.clock())
    }

    /// Writes the ledger in `table`.
    pub fn ledger_writer(&self, table: &str) -> LedgerWriter {
        LedgerWriter::new(self.dynamodb(), table.to_owned(), self.clock())
    }

    /// Acquires leases in the ledger's `table`.
    pub fn leases(&self, table: &str) -> Leases {
        Leases::new(self.dynamodb(), table.to_owned(), self.clock())
    }

    /// Sends notifications.
    pub fn notification_sender(&self, addresses: Addresses) -> NotificationSender {
        NotificationSender::new(
            client!(self, eventbridge, aws_sdk_eventbridge),
            client!(self, sns, aws_sdk_sns),
            addresses,
            self.clock(),
        )
    }

    /// Notifies the subscribers of the topic with this ARN.
    pub fn topic(&self, arn: &str) -> Topic {
        Topic::new(client!(self, sns, aws_sdk_sns), arn.to_owned())
    }

    /// Creates, updates and deletes schedules.
    pub fn schedule_writer(&self, settings: ScheduleSettings) -> ScheduleWriter {
        ScheduleWriter::new(client!(self, scheduler, aws_sdk_scheduler), settings, self.clock())
    }

    /// Starts executions of workflows.
    pub fn execution_starter(&self) -> ExecutionStarter {
        ExecutionStarter::new(client!(self, sfn, aws_sdk_sfn))
    }

    /// Reads image usage reports.
    pub fn usage_report_reader(&self) -> UsageReportReader {
        UsageReportReader::new(self.ec2())
    }

    /// Requests image usage reports.
    pub fn usage_report_writer(&self) -> UsageReportWriter {
        UsageReportWriter::new(self.ec2())
    }

    /// Stores the documents of reviews in `bucket`.
    pub fn review_store(&self, bucket: &str) -> ReviewStore {
        let config = counting!(self, aws_sdk_s3).force_path_style(self.has_custom_endpoint()).build();
        ReviewStore::new(aws_sdk_s3::Client::from_conf(config), bucket.to_owned())
    }

    /// Whether the endpoint is a host outside AWS. Such a host has no name for each bucket, so the bucket goes into the
    /// path. An `AWS_ENDPOINT_URL_S3` cannot be seen here.
    /// Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html>
    fn has_custom_endpoint(&self) -> bool {
        self.config.endpoint_url().is_some_and(|url| !endpoint::is_of_aws(url))
    }

    fn ec2(&self) -> aws_sdk_ec2::Client {
        client!(self, ec2, aws_sdk_ec2)
    }

    fn kms(&self) -> aws_sdk_kms::Client {
        client!(self, kms, aws_sdk_kms)
    }

    fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        client!(self, dynamodb, aws_sdk_dynamodb)
    }
}

//! Makes the readers and writers, all with the same retries and time-outs.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_dynamodb::config::SharedCredentialsProvider;

use crate::calls::Calls;
use crate::executions::ExecutionStarter;
use crate::identity::IdentityReader;
use crate::images::{ImageReader, StatusWriter};
use crate::keys::{KeyReader, KeyWriter};
use crate::leases::Leases;
use crate::ledger_reader::LedgerReader;
use crate::ledger_writer::LedgerWriter;
use crate::notifications::{Addresses, NotificationSender};
use crate::organization::OrganizationReader;
use crate::permissions::{PermissionReader, PermissionWriter};
use crate::review_store::ReviewStore;
use crate::schedules::{ScheduleSettings, ScheduleWriter};
use crate::topic::Topic;
use crate::usage_reports::{UsageReportReader, UsageReportWriter};

/// Tries for one call, the first included. Longer waits are the workflow's.
const ATTEMPTS: u32 = 6;
/// The same for calls that AWS takes only a few of each second.
const PACED_ATTEMPTS: u32 = 10;
/// One call with all its tries; shorter than a turn lasts.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// The same for calls that the SDK holds back; nobody has a turn while they wait.
const PACED_CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// Makes what reads and writes. Those of one service share its client, and with that its connections: a connection over
/// TLS takes longer to make than most calls.
#[derive(Debug, Clone)]
pub struct Clients {
    config: SdkConfig,
    calls: Calls,
    made: Arc<Made>,
}

/// One client for each service, once somebody has asked for it.
#[derive(Debug, Default)]
struct Made {
    dynamodb: OnceLock<aws_sdk_dynamodb::Client>,
    ec2: OnceLock<aws_sdk_ec2::Client>,
    eventbridge: OnceLock<aws_sdk_eventbridge::Client>,
    kms: OnceLock<aws_sdk_kms::Client>,
    scheduler: OnceLock<aws_sdk_scheduler::Client>,
    sfn: OnceLock<aws_sdk_sfn::Client>,
    sns: OnceLock<aws_sdk_sns::Client>,
    sts: OnceLock<aws_sdk_sts::Client>,
}

/// The configuration of one service's client, with what counts its calls. Each crate of the SDK has a type of
/// its own for it.
macro_rules! counting {
    ($clients:expr, $sdk:ident) => {
        $sdk::config::Builder::from(&$clients.config).interceptor($clients.calls.clone())
    };
}

/// The client of one service. Each client that is made has connections of its own; copies of it share them.
macro_rules! client {
    ($clients:expr, $service:ident, $sdk:ident) => {
        $clients
            .made
            .$service
            .get_or_init(|| $sdk::Client::from_conf(counting!($clients, $sdk).build()))
            .clone()
    };
}

impl Clients {
    /// Reads Region and credentials from the environment. An empty `endpoint` means AWS itself, or what
    /// `AWS_ENDPOINT_URL` says.
    pub async fn load(endpoint: &str) -> Self {
        let timeouts = TimeoutConfig::builder().operation_timeout(CALL_TIMEOUT).build();
        let retries = RetryConfig::standard().with_max_attempts(ATTEMPTS);
        let mut loader =
            aws_config::defaults(BehaviorVersion::latest()).retry_config(retries).timeout_config(timeouts);
        if !endpoint.is_empty() {
            loader = loader.endpoint_url(endpoint);
        }
        Self::of(loader.load().await)
    }

    /// Clients of any configuration; how tests reach a server of their own.
    pub fn of(config: SdkConfig) -> Self {
        Self::counted_by(Calls::default(), config)
    }

    fn counted_by(calls: Calls, config: SdkConfig) -> Self {
        Self { config, calls, made: Arc::default() }
    }

    /// The calls that these clients, and all that were made from them, have made.
    pub fn calls(&self) -> &Calls {
        &self.calls
    }

    /// The Region that the function runs in; empty when nobody says so.
    pub fn region(&self) -> String {
        self.config.region().map(ToString::to_string).unwrap_or_default()
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

    /// The same, at the pace that AWS allows: once a service throttles, the SDK slows down all calls of this
    /// process to it, and finds by itself how fast it may go. For whoever reads very much, and has time.
    /// Source: <https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html>
    pub fn paced(&self) -> Self {
        let timeouts = self.config.timeout_config().map(TimeoutConfig::to_builder).unwrap_or_default();
        let timeouts = timeouts.operation_timeout(PACED_CALL_TIMEOUT).build();
        // One try stays one try.
        let tries = self.config.retry_config().map_or(1, RetryConfig::max_attempts);
        let retries = RetryConfig::adaptive().with_max_attempts(if tries > 1 { PACED_ATTEMPTS } else { 1 });
        let config = self.config.to_builder().retry_config(retries).timeout_config(timeouts).build();
        Self::counted_by(self.calls.clone(), config)
    }

    /// Reads images.
    pub fn image_reader(&self) -> ImageReader {
        ImageReader::new(self.ec2(), self.region())
    }

    /// Writes the status tag.
    pub fn status_writer(&self) -> StatusWriter {
        StatusWriter::new(self.ec2())
    }

    /// Reads launch and snapshot permissions.
    pub fn permission_reader(&self) -> PermissionReader {
        PermissionReader::new(self.ec2())
    }

    /// Adds launch and snapshot permissions.
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

    /// Reads the organization, and keeps it for a while. AWS Organizations takes so few calls a second that
    /// the SDK must find the pace by itself ([`Clients::paced`]).
    pub fn organization_reader(&self, cache_at_most: Duration) -> OrganizationReader {
        let config = counting!(self.paced(), aws_sdk_organizations).build();
        OrganizationReader::new(aws_sdk_organizations::Client::from_conf(config), cache_at_most)
    }

    /// Asks who this function runs as.
    pub fn identity_reader(&self) -> IdentityReader {
        IdentityReader::new(client!(self, sts, aws_sdk_sts))
    }

    /// Reads the ledger in `table`.
    pub fn ledger_reader(&self, table: &str) -> LedgerReader {
        LedgerReader::new(self.dynamodb(), table.to_owned())
    }

    /// Writes the ledger in `table`.
    pub fn ledger_writer(&self, table: &str) -> LedgerWriter {
        LedgerWriter::new(self.dynamodb(), table.to_owned())
    }

    /// Takes turns by the ledger in `table`.
    pub fn leases(&self, table: &str) -> Leases {
        Leases::new(self.dynamodb(), table.to_owned())
    }

    /// Sends notices.
    pub fn notification_sender(&self, addresses: Addresses) -> NotificationSender {
        NotificationSender::new(
            client!(self, eventbridge, aws_sdk_eventbridge),
            client!(self, sns, aws_sdk_sns),
            addresses,
        )
    }

    /// Tells the subscribers of the topic with this ARN.
    pub fn topic(&self, arn: &str) -> Topic {
        Topic::new(client!(self, sns, aws_sdk_sns), arn.to_owned())
    }

    /// Makes, moves and deletes `schedules`.
    pub fn schedule_writer(&self, settings: ScheduleSettings) -> ScheduleWriter {
        ScheduleWriter::new(client!(self, scheduler, aws_sdk_scheduler), settings)
    }

    /// Starts executions of workflows.
    pub fn execution_starter(&self) -> ExecutionStarter {
        ExecutionStarter::new(client!(self, sfn, aws_sdk_sfn))
    }

    /// Reads image usage reports.
    pub fn usage_report_reader(&self) -> UsageReportReader {
        UsageReportReader::new(self.ec2())
    }

    /// Asks for image usage reports.
    pub fn usage_report_writer(&self) -> UsageReportWriter {
        UsageReportWriter::new(self.ec2())
    }

    /// Keeps the documents of reviews in `bucket`.
    pub fn review_store(&self, bucket: &str) -> ReviewStore {
        let config = counting!(self, aws_sdk_s3).force_path_style(self.is_elsewhere()).build();
        ReviewStore::new(aws_sdk_s3::Client::from_conf(config), bucket.to_owned())
    }

    /// Whether AWS is reached at a host that is none of its own (`AWS_ENDPOINT_URL`; an `AWS_ENDPOINT_URL_S3`
    /// cannot be seen from here). Such a host has no name for each bucket: the bucket goes into the path.
    /// Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html>
    fn is_elsewhere(&self) -> bool {
        self.config.endpoint_url().is_some_and(|url| !is_of_aws(url))
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

/// Whether the host of `url` is one of AWS's, a VPC endpoint included.
fn is_of_aws(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', ':', '?']).next().unwrap_or_default().to_ascii_lowercase();
    [".amazonaws.com", ".amazonaws.com.cn"].iter().any(|suffix| host.ends_with(suffix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_of_aws_by_its_own_name_only() {
        for url in [
            "https://s3.eu-west-1.amazonaws.com",
            "https://s3.cn-north-1.amazonaws.com.cn/",
            "https://bucket.vpce-0a1b2c3d.s3.us-east-1.vpce.amazonaws.com:443",
        ] {
            assert!(is_of_aws(url), "{url}");
        }
        for url in [
            "http://127.0.0.1:5000",
            "http://localhost:5000/s3.amazonaws.com",
            "http://notamazonaws.com",
            "https://s3.amazonaws.com.example.org",
        ] {
            assert!(!is_of_aws(url), "{url}");
        }
    }

    #[test]
    fn paced_clients_retry_more_often_unless_retries_are_disabled() {
        let of = |retries| Clients::of(SdkConfig::builder().retry_config(retries).build()).paced();
        let tries = |clients: Clients| clients.config.retry_config().map(RetryConfig::max_attempts);
        assert_eq!(tries(of(RetryConfig::standard())), Some(PACED_ATTEMPTS));
        assert_eq!(tries(of(RetryConfig::disabled())), Some(1));
    }

    /// The SDK may hold a throttled call back for ten seconds before it tries again: a retry costs five tokens, of which
    /// there is one every two seconds at the slowest pace.
    #[test]
    fn paced_calls_have_more_time() {
        let timeouts = TimeoutConfig::builder().operation_timeout(CALL_TIMEOUT).build();
        let clients = Clients::of(SdkConfig::builder().timeout_config(timeouts).build());
        let time = |clients: &Clients| clients.config.timeout_config()?.operation_timeout();
        assert_eq!(time(&clients), Some(CALL_TIMEOUT));
        assert_eq!(time(&clients.paced()), Some(PACED_CALL_TIMEOUT));
    }
}

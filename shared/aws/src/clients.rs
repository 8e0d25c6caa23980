//! Makes the readers and writers, all with the same retries and time-outs.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_dynamodb::config::SharedCredentialsProvider;

use crate::identity::IdentityReader;
use crate::images::{ImageReader, StatusWriter};
use crate::keys::{KeyReader, KeyWriter};
use crate::ledger::{LedgerReader, LedgerWriter};
use crate::notices::{Addresses, NoticeSender};
use crate::organization::OrganizationReader;
use crate::permissions::{PermissionReader, PermissionWriter};
use crate::turns::Turns;

/// Tries for one call, the first included. Longer waits are the workflow's.
const ATTEMPTS: u32 = 6;
/// The same for calls that AWS takes only a few of each second.
const PACED_ATTEMPTS: u32 = 10;
/// One call with all its tries; shorter than a turn lasts.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// Makes clients; a client costs next to nothing, the configuration behind it is shared.
#[derive(Debug, Clone)]
pub struct Clients {
    config: SdkConfig,
}

impl Clients {
    /// Reads Region, credentials and endpoint from the environment.
    pub async fn load() -> Self {
        let timeouts = TimeoutConfig::builder().operation_timeout(CALL_TIMEOUT).build();
        let retries = RetryConfig::standard().with_max_attempts(ATTEMPTS);
        let config = aws_config::defaults(BehaviorVersion::latest())
            .retry_config(retries)
            .timeout_config(timeouts)
            .load()
            .await;
        Self { config }
    }

    /// Clients of any configuration; how tests reach a server of their own.
    pub fn of(config: SdkConfig) -> Self {
        Self { config }
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
        Some(Self { config: self.config.to_builder().credentials_provider(credentials).build() })
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
    /// the SDK must find the pace by itself.
    pub fn organization_reader(&self, keep_at_most: Duration) -> OrganizationReader {
        let tries = self.config.retry_config().map_or(1, |retries| retries.max_attempts());
        let paced = RetryConfig::adaptive().with_max_attempts(if tries > 1 { PACED_ATTEMPTS } else { 1 });
        let config = aws_sdk_organizations::config::Builder::from(&self.config).retry_config(paced).build();
        OrganizationReader::new(aws_sdk_organizations::Client::from_conf(config), keep_at_most)
    }

    /// Asks who this function runs as.
    pub fn identity_reader(&self) -> IdentityReader {
        IdentityReader::new(aws_sdk_sts::Client::new(&self.config))
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
    pub fn turns(&self, table: &str) -> Turns {
        Turns::new(self.dynamodb(), table.to_owned())
    }

    /// Sends notices.
    pub fn notice_sender(&self, addresses: Addresses) -> NoticeSender {
        NoticeSender::new(
            aws_sdk_eventbridge::Client::new(&self.config),
            aws_sdk_sns::Client::new(&self.config),
            addresses,
        )
    }

    fn ec2(&self) -> aws_sdk_ec2::Client {
        aws_sdk_ec2::Client::new(&self.config)
    }

    fn kms(&self) -> aws_sdk_kms::Client {
        aws_sdk_kms::Client::new(&self.config)
    }

    fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&self.config)
    }
}

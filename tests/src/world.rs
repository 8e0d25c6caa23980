//! Calls the simulated AWS as its users would: the hub's platform team, and users of other accounts.

mod dead_letters;
mod drift;
pub mod faults;
mod images;
pub mod interruptions;
mod keys;
mod membership;
pub mod meter;
mod notifications;
mod organization;
mod out_of_band;
pub mod review;
mod schedules;
mod stack;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ec2::config::Credentials;
use tokio::sync::Mutex;

/// The hub account of the simulated AWS.
pub const HUB: &str = "111122223333";
/// The Region that the stack is deployed in.
pub const REGION: &str = "us-east-1";
/// The name of the target accounts' buses, by default of template.yaml.
pub const TARGET_BUS: &str = "ami-share";
/// The stack's name, with which the names of its resources begin.
pub const STACK: &str = "ami-share";
/// How long a test waits for what should happen within seconds, because the machine may be busy. Only a failing test
/// waits that long.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// One account, with a client for each service.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its id.
    pub id: String,
    /// EC2 in it.
    pub ec2: aws_sdk_ec2::Client,
    /// KMS in it.
    pub kms: aws_sdk_kms::Client,
    /// AWS Organizations, seen from it.
    pub organizations: aws_sdk_organizations::Client,
    /// EventBridge in it.
    pub events: aws_sdk_eventbridge::Client,
    /// SQS in it.
    pub sqs: aws_sdk_sqs::Client,
    /// SNS in it.
    pub sns: aws_sdk_sns::Client,
    /// DynamoDB in it.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// Step Functions in it.
    pub sfn: aws_sdk_sfn::Client,
    /// EventBridge Scheduler in it.
    pub scheduler: aws_sdk_scheduler::Client,
    /// S3 in it.
    pub s3: aws_sdk_s3::Client,
    config: SdkConfig,
    inputs: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Account {
    /// The hub, with its own credentials.
    pub async fn hub(endpoint: &str) -> Self {
        Self::with(HUB, endpoint, Credentials::new("testing", "testing", None, None, "hub")).await
    }

    /// Another account, by `sts:AssumeRole`.
    pub async fn assume(&self, id: &str) -> Result<Self> {
        let sts = aws_sdk_sts::Client::new(&self.config);
        let role = format!("arn:aws:iam::{id}:role/test");
        let answer = sts
            .assume_role()
            .role_arn(role)
            .role_session_name("test")
            .send()
            .await
            .context("sts:AssumeRole")?;
        let result = answer.credentials().context("sts:AssumeRole returned no credentials")?;
        let token = Some(result.session_token().to_owned());
        let credentials =
            Credentials::new(result.access_key_id(), result.secret_access_key(), token, None, "role");
        let endpoint = self.config.endpoint_url().context("the hub has no endpoint")?;
        Ok(Self::with(id, endpoint, credentials).await)
    }

    async fn with(id: &str, endpoint: &str, credentials: Credentials) -> Self {
        let config = aws_config::defaults(BehaviorVersion::latest())
            .endpoint_url(endpoint)
            .region(Region::new(REGION))
            .credentials_provider(credentials)
            .load()
            .await;
        Self {
            id: id.to_owned(),
            ec2: aws_sdk_ec2::Client::new(&config),
            kms: aws_sdk_kms::Client::new(&config),
            organizations: aws_sdk_organizations::Client::new(&config),
            events: aws_sdk_eventbridge::Client::new(&config),
            sqs: aws_sdk_sqs::Client::new(&config),
            sns: aws_sdk_sns::Client::new(&config),
            dynamodb: aws_sdk_dynamodb::Client::new(&config),
            sfn: aws_sdk_sfn::Client::new(&config),
            scheduler: aws_sdk_scheduler::Client::new(&config),
            // The simulated AWS has no domain of its own for each bucket.
            s3: aws_sdk_s3::Client::from_conf(
                aws_sdk_s3::config::Builder::from(&config).force_path_style(true).build(),
            ),
            config,
            inputs: Arc::default(),
        }
    }

    /// Waits until `check` returns a value, and returns it. The error after [`PATIENCE`] names `what` was awaited.
    pub async fn until<T>(&self, what: &str, mut check: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
        let started = Instant::now();
        let mut pause = Duration::from_millis(50);
        loop {
            if let Some(found) = check().await? {
                return Ok(found);
            }
            if started.elapsed() > PATIENCE {
                bail!("waited {} s, but not yet: {what}", PATIENCE.as_secs());
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 3 / 2).min(Duration::from_millis(500));
        }
    }
}

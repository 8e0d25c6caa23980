//! Launches an image: the proof that an account has access, or has none.

use anyhow::{Context, Result};
use aws_sdk_ec2::error::ProvideErrorMetadata;

use crate::world::Account;

/// The result of a launch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Launch {
    /// The instance runs; its id.
    Started(String),
    /// EC2 refused, or the instance ended at once; the reason.
    Failed(String),
}

/// The codes with which EC2 says that the caller sees no such image, or that no account can launch it now. Source:
/// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
const REFUSALS: [&str; 2] = ["InvalidAMIID.NotFound", "InvalidAMIID.Unavailable"];

/// Launches `image` as `account`. An EC2 error that says nothing about its access is an error here too.
pub async fn launch(account: &Account, image: &str) -> Result<Launch> {
    let request = account
        .ec2
        .run_instances()
        .image_id(image)
        .instance_type("t3.micro".into())
        .min_count(1)
        .max_count(1);
    let answer = match request.send().await {
        Err(error) if error.code().is_some_and(|code| REFUSALS.contains(&code)) => {
            return Ok(Launch::Failed(format!(
                "{}: {}",
                error.code().unwrap_or_default(),
                error.message().unwrap_or_default()
            )));
        }
        answer => answer.context("RunInstances")?,
    };
    let instance = answer
        .instances()
        .first()
        .and_then(|instance| instance.instance_id())
        .context("no instance")?
        .to_owned();
    // EC2 accepts an instance whose key it cannot use, and ends it with Client.InternalError. Source:
    // https://docs.aws.amazon.com/autoscaling/ec2/userguide/ts-as-instancelaunchfailure.html
    let described =
        account.ec2.describe_instances().instance_ids(&instance).send().await.context("DescribeInstances")?;
    let found = described
        .reservations()
        .first()
        .and_then(|reservation| reservation.instances().first())
        .context("no instance")?;
    match found.state_reason().and_then(|reason| reason.code()) {
        Some(code) if code.starts_with("Client.") && code != "Client.UserInitiatedShutdown" => {
            Ok(Launch::Failed(code.to_owned()))
        }
        _ => Ok(Launch::Started(instance)),
    }
}

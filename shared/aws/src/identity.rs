//! Who we are, for the check that a key policy keeps us in.

use ami_share_domain::key::evaluate::Caller;
use aws_sdk_sts::Client;
use tokio::sync::OnceCell;

use crate::error::{AwsError, Explain, lacks};

/// Asks AWS once who is calling.
#[derive(Debug)]
pub struct IdentityReader {
    client: Client,
    caller: OnceCell<Caller>,
}

impl IdentityReader {
    /// A reader that has not asked yet.
    pub fn new(client: Client) -> Self {
        Self { client, caller: OnceCell::new() }
    }

    /// The account and role that this function runs as.
    ///
    /// # Errors
    /// When `sts:GetCallerIdentity` fails.
    pub async fn caller(&self) -> Result<&Caller, AwsError> {
        const CALL: &str = "sts:GetCallerIdentity";
        self.caller
            .get_or_try_init(|| async {
                let answer = self.client.get_caller_identity().send().await.explain(CALL, "this function")?;
                let account = answer.account().and_then(|account| account.parse().ok());
                match (account, answer.arn()) {
                    (Some(account), Some(arn)) => Ok(Caller::from_arn(account, arn)),
                    _ => Err(lacks(CALL, "this function", "no account or ARN")),
                }
            })
            .await
    }
}

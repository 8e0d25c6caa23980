//! Which account and role this function runs as: a key policy must not lock them out.

use ami_share_domain::key::lockout::Caller;
use aws_sdk_sts::Client;
use tokio::sync::OnceCell;

use crate::error::{AwsError, Explain, unusable_answer};

/// Asks STS once, and keeps the answer.
#[derive(Debug)]
pub struct IdentityReader {
    client: Client,
    caller: OnceCell<Caller>,
}

impl IdentityReader {
    /// A reader that has not called STS yet.
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
                    _ => Err(unusable_answer(CALL, "this function", "an identity without account or ARN")),
                }
            })
            .await
    }
}

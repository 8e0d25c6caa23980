//! Named users of the hub, who make out-of-band changes, and lost rows of the ledger.

use anyhow::{Context, Result};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_ec2::config::Credentials;

use super::{Account, HUB, STACK};

impl Account {
    /// A user of the hub with an own role session; also returns the ARN by which CloudTrail names the session.
    pub async fn person(&self, name: &str) -> Result<(Self, String)> {
        let sts = aws_sdk_sts::Client::new(&self.config);
        let request = sts.assume_role().role_arn(format!("arn:aws:iam::{HUB}:role/platform-engineer"));
        let answer = request.role_session_name(name).send().await.context("sts:AssumeRole")?;
        let result = answer.credentials().context("sts:AssumeRole returned no credentials")?;
        let token = Some(result.session_token().to_owned());
        let credentials =
            Credentials::new(result.access_key_id(), result.secret_access_key(), token, None, "person");
        let endpoint = self.config.endpoint_url().context("the hub has no endpoint")?;
        let arn = format!("arn:aws:sts::{HUB}:assumed-role/platform-engineer/{name}");
        Ok((Self::with(HUB, endpoint, credentials).await, arn))
    }

    /// Deletes every row of a partition of the ledger (`IMAGE#ami-…`, `KEY#arn…`), as if they were lost.
    pub async fn delete_rows(&self, partition: &str) -> Result<()> {
        for sort_key in self.ledger(partition).await?.into_keys() {
            let request = self.dynamodb.delete_item().table_name(format!("{STACK}-ledger"));
            let request = request.key("pk", AttributeValue::S(partition.to_owned()));
            request.key("sk", AttributeValue::S(sort_key)).send().await.context("DeleteItem")?;
        }
        Ok(())
    }
}

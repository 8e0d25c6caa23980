//! KMS keys, and foreign changes of their policies.

use anyhow::{Context, Result};
use aws_sdk_kms::error::ProvideErrorMetadata;

use super::Account;

/// The tag that a key needs before ami-share writes its policy.
const MANAGED: &str = "ami-share:managed";

impl Account {
    /// Makes a key with the tag that lets ami-share write its policy; returns its ARN.
    pub async fn create_key(&self) -> Result<String> {
        let key = self.create_untagged_key().await?;
        self.tag_key_managed(&key).await?;
        Ok(key)
    }

    /// Adds the tag that lets ami-share write the key's policy.
    pub async fn tag_key_managed(&self, key: &str) -> Result<()> {
        let tag = aws_sdk_kms::types::Tag::builder().tag_key(MANAGED).tag_value("true").build()?;
        self.kms.tag_resource().key_id(key).tags(tag).send().await.context("kms:TagResource")?;
        Ok(())
    }

    /// Removes that tag from a key.
    pub async fn untag_key_managed(&self, key: &str) -> Result<()> {
        let request = self.kms.untag_resource().key_id(key).tag_keys(MANAGED);
        request.send().await.context("kms:UntagResource")?;
        Ok(())
    }

    /// Makes a key without the tag; returns its ARN.
    pub async fn create_untagged_key(&self) -> Result<String> {
        let answer = self.kms.create_key().description("golden images").send().await.context("CreateKey")?;
        Ok(answer.key_metadata().and_then(|key| key.arn()).context("no key ARN")?.to_owned())
    }

    /// The text of a key's policy.
    pub async fn key_policy(&self, key: &str) -> Result<String> {
        let answer = self
            .kms
            .get_key_policy()
            .key_id(key)
            .policy_name("default")
            .send()
            .await
            .context("GetKeyPolicy")?;
        Ok(answer.policy().context("no policy")?.to_owned())
    }

    /// Whether this account may use a key of any account.
    pub async fn may_use_key(&self, key: &str) -> Result<bool> {
        match self.kms.describe_key().key_id(key).send().await {
            Err(error) if error.code() == Some("AccessDeniedException") => Ok(false),
            answer => answer.context("DescribeKey").map(|_| true),
        }
    }

    /// Puts a key's policy out of band.
    pub async fn put_key_policy(&self, key: &str, policy: &str) -> Result<()> {
        let request = self.kms.put_key_policy().key_id(key).policy_name("default").policy(policy);
        request.send().await.context("PutKeyPolicy")?;
        Ok(())
    }

    /// Puts a key's policy that denies this account the right to put the next one.
    pub async fn lock_out_by_key_policy(&self, key: &str, policy: &str) -> Result<()> {
        let request = self.kms.put_key_policy().key_id(key).policy_name("default").policy(policy);
        request.bypass_policy_lockout_safety_check(true).send().await.context("PutKeyPolicy")?;
        Ok(())
    }
}

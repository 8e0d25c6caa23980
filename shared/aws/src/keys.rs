//! Reads KMS keys, and puts the policies of managed ones.

use std::collections::BTreeMap;
use std::sync::Arc;

use ami_share_domain::ids::{AccountId, KeyArn};
use ami_share_domain::key::lockout::ObservedKey;
use ami_share_domain::tags::share_tags::MANAGED;
use aws_sdk_kms::Client;
use aws_sdk_kms::operation::RequestId;
use aws_sdk_kms::types::{KeyManagerType, KeyState};
use futures::future::join;
use tokio::sync::{Mutex, OnceCell};

use crate::error::{AwsError, Explain, Fault, unusable_answer};

/// The one policy that a key has. Source: <https://docs.aws.amazon.com/kms/latest/APIReference/API_PutKeyPolicy.html>
const POLICY_NAME: &str = "default";

/// Reads keys and their policies.
#[derive(Debug, Clone)]
pub struct KeyReader {
    client: Client,
}

impl KeyReader {
    /// A reader.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// What decides whether an image on this key can be shared. A key of another account than `hub` is not read: its
    /// ARN alone is reason enough to refuse it.
    ///
    /// # Errors
    /// When `kms:DescribeKey` or `kms:ListResourceTags` fails.
    pub async fn observe(&self, key: &KeyArn, hub: &AccountId) -> Result<ObservedKey, AwsError> {
        const CALL: &str = "kms:DescribeKey";
        let mut observed =
            ObservedKey { arn: key.clone(), is_aws_managed: false, is_enabled: true, is_managed: false };
        if key.account().as_ref() != Some(hub) {
            return Ok(observed);
        }
        let (answer, is_managed) =
            join(self.client.describe_key().key_id(key.as_str()).send(), self.is_managed(key)).await;
        let answer = match answer.explain(CALL, key) {
            // A deleted key is as unusable as a disabled one.
            Err(error) if error.fault() == Fault::Missing => {
                return Ok(ObservedKey { is_enabled: false, ..observed });
            }
            answer => answer?,
        };
        let metadata =
            answer.key_metadata().ok_or_else(|| unusable_answer(CALL, key, "a key without metadata"))?;
        observed.is_aws_managed = metadata.key_manager() == Some(&KeyManagerType::Aws);
        observed.is_enabled = metadata.key_state() == Some(&KeyState::Enabled);
        if !observed.is_aws_managed {
            observed.is_managed = is_managed?;
        }
        Ok(observed)
    }

    /// Whether the key carries `ami-share:managed = true`: only then may its policy be put.
    ///
    /// # Errors
    /// When `kms:ListResourceTags` fails.
    pub async fn is_managed(&self, key: &KeyArn) -> Result<bool, AwsError> {
        let mut pages = self.client.list_resource_tags().key_id(key.as_str()).into_paginator().items().send();
        while let Some(tag) = pages.next().await {
            let tag = tag.explain("kms:ListResourceTags", key)?;
            if tag.tag_key() == MANAGED {
                return Ok(tag.tag_value() == "true");
            }
        }
        Ok(false)
    }

    /// The key's policy, as it was written.
    ///
    /// # Errors
    /// When `kms:GetKeyPolicy` fails.
    pub async fn policy(&self, key: &KeyArn) -> Result<String, AwsError> {
        const CALL: &str = "kms:GetKeyPolicy";
        let answer = self
            .client
            .get_key_policy()
            .key_id(key.as_str())
            .policy_name(POLICY_NAME)
            .send()
            .await
            .explain(CALL, key)?;
        answer.policy().map(str::to_owned).ok_or_else(|| unusable_answer(CALL, key, "a key without a policy"))
    }
}

/// Observes each key once: for one reconciliation, or for one page of a review, whose images share keys.
#[derive(Debug)]
pub struct KeyObserver {
    reader: KeyReader,
    hub: AccountId,
    observed: Mutex<BTreeMap<KeyArn, Arc<OnceCell<ObservedKey>>>>,
}

impl KeyObserver {
    /// An observer that has read nothing yet. `hub` is the account whose keys are read.
    pub fn new(reader: KeyReader, hub: AccountId) -> Self {
        Self { reader, hub, observed: Mutex::default() }
    }

    /// The result of [`KeyReader::observe`] when this key was first read. Concurrent callers wait for one reading; a
    /// reading that failed is repeated.
    ///
    /// # Errors
    /// When `kms:DescribeKey` or `kms:ListResourceTags` fails.
    pub async fn observe(&self, key: &KeyArn) -> Result<ObservedKey, AwsError> {
        let observed = Arc::clone(self.observed.lock().await.entry(key.clone()).or_default());
        observed.get_or_try_init(|| self.reader.observe(key, &self.hub)).await.cloned()
    }
}

/// What KMS answered to a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Put {
    /// It is the key's policy now.
    Accepted {
        /// AWS's id of the request.
        request_id: Option<String>,
    },
    /// It names a principal that does not exist, or it is malformed. The old policy stays.
    Rejected(String),
}

/// Puts key policies. It never asks KMS to skip its lock-out check.
#[derive(Debug, Clone)]
pub struct KeyWriter {
    client: Client,
}

impl KeyWriter {
    /// A writer.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Puts `document` as the key's policy.
    ///
    /// # Errors
    /// When `kms:PutKeyPolicy` fails for another reason than the document.
    pub async fn put(&self, key: &KeyArn, document: &str) -> Result<Put, AwsError> {
        let request =
            self.client.put_key_policy().key_id(key.as_str()).policy_name(POLICY_NAME).policy(document);
        match request.send().await.explain("kms:PutKeyPolicy", key) {
            Ok(answer) => Ok(Put::Accepted { request_id: answer.request_id().map(str::to_owned) }),
            Err(error) if error.fault() == Fault::Rejected => Ok(Put::Rejected(error.to_string())),
            Err(error) => Err(error),
        }
    }
}

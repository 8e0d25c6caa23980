//! Scripts that share an image call by call, as platform teams write them without ami-share.
//!
//! They are better than most: they include every snapshot, and keep the foreign statements of the key policy. But they
//! keep no record, notify no account, repair nothing and revoke nothing, and two of them at once undo each other's key
//! policies.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::world::Account;

/// How many accounts a script handles with each call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// One account after the other, as the loops of most tutorials do.
    AccountByAccount,
    /// Up to a hundred accounts with each call.
    Batched,
}

impl Style {
    fn accounts_at_once(self) -> usize {
        match self {
            Self::AccountByAccount => 1,
            Self::Batched => 100,
        }
    }
}

/// Shares an image of one volume with accounts, which may also copy it, and grants them its key. Returns the number of
/// calls.
pub async fn share(
    hub: &Account,
    image: &str,
    key: &str,
    accounts: &[String],
    style: Style,
) -> Result<usize> {
    let snapshots = hub.snapshots_of(image).await?;
    let mut calls = 1;
    for accounts in accounts.chunks(style.accounts_at_once()) {
        calls += grant(hub, key, accounts).await?;
        for snapshot in &snapshots {
            hub.grant_snapshot_accounts_out_of_band(snapshot, accounts).await?;
            calls += 1;
        }
        hub.grant_accounts_out_of_band(image, accounts).await?;
        calls += 1;
    }
    Ok(calls)
}

/// Adds one statement for the accounts that the key policy does not name yet.
async fn grant(hub: &Account, key: &str, accounts: &[String]) -> Result<usize> {
    let text = hub.key_policy(key).await?;
    let missing: Vec<String> =
        accounts.iter().filter(|id| !text.contains(id.as_str())).map(root_of).collect();
    if missing.is_empty() {
        return Ok(1);
    }
    let mut policy: Value = serde_json::from_str(&text).context("the key policy is not JSON")?;
    let statements = policy.get_mut("Statement").and_then(Value::as_array_mut).context("no statements")?;
    statements.push(json!({
        "Effect": "Allow",
        "Principal": { "AWS": missing },
        "Action": ["kms:Decrypt", "kms:DescribeKey", "kms:CreateGrant", "kms:ReEncryptFrom"],
        "Resource": "*",
    }));
    hub.put_key_policy(key, &policy.to_string()).await?;
    Ok(2)
}

fn root_of(account: &String) -> String {
    format!("arn:aws:iam::{account}:root")
}

//! Home-made scripts: what people run who have no ami-share, call after call.
//!
//! They are better than most: they forget no snapshot, and leave what stands in the key policy. But they keep no record,
//! tell nobody, mend nothing and take nothing back, and two of them at once undo each other's key policies.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::world::Account;

/// How a script goes about it.
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

/// Shares an image of one volume with accounts, which may copy it, and admits them to its key; answers how many calls
/// that took.
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

/// Gives those whom a key policy does not name yet a statement of their own.
async fn grant(hub: &Account, key: &str, accounts: &[String]) -> Result<usize> {
    let text = hub.key_policy(key).await?;
    let new: Vec<String> = accounts.iter().filter(|id| !text.contains(id.as_str())).map(root_of).collect();
    if new.is_empty() {
        return Ok(1);
    }
    let mut policy: Value = serde_json::from_str(&text).context("a key policy that is no JSON")?;
    let statements = policy.get_mut("Statement").and_then(Value::as_array_mut).context("no statements")?;
    statements.push(json!({
        "Effect": "Allow",
        "Principal": { "AWS": new },
        "Action": ["kms:Decrypt", "kms:DescribeKey", "kms:CreateGrant", "kms:ReEncryptFrom"],
        "Resource": "*",
    }));
    hub.put_key_policy(key, &policy.to_string()).await?;
    Ok(2)
}

fn root_of(account: &String) -> String {
    format!("arn:aws:iam::{account}:root")
}

//! The second half of the story: without the tag, ami-share revokes the access.

use std::time::Instant;

use anyhow::Result;
use serde_json::Value;

use super::picture::{print_audit_log, print_policy_diff};
use super::proof::Proofs;
use super::story::{Accounts, Golden};
use crate::launch::{Launch, launch};
use crate::world::Account;

/// Removes the tag, and checks that no access remains.
pub(super) async fn revoke_all(
    hub: &Account,
    accounts: &Accounts,
    golden: &Golden,
    proofs: &mut Proofs,
) -> Result<()> {
    println!("\n9. Remove the tag: ami-share revokes the access");
    println!("   aws ec2 delete-tags --resources {} --tags Key=ami-share:with", golden.image);
    let policy_shared = hub.key_policy(&golden.key).await?;
    let started = Instant::now();
    hub.untag(&golden.image, "ami-share:with").await?;
    let status = hub.status(&golden.image, |status| status.starts_with("not shared")).await?;
    println!("   ami-share:status = \"{status}\" after {:.1} s", started.elapsed().as_secs_f32());
    for (who, account) in [("B", &accounts.b), ("W (through its OU)", &accounts.in_ou)] {
        let outcome = launch(account, &golden.image).await?;
        proofs.claim(
            format!("{who} can no longer launch it: {outcome:?}"),
            matches!(outcome, Launch::Failed(_)),
        );
    }
    let policy_after = hub.key_policy(&golden.key).await?;
    print_policy_diff(&policy_shared, &policy_after)?;
    let parsed = |policy: &str| serde_json::from_str::<Value>(policy);
    proofs.claim(
        "the key policy is what it was before ami-share",
        parsed(&policy_after)? == parsed(&golden.policy_before)?,
    );
    println!("   The audit log, whose rows never change:");
    let audit_log = hub.ledger(&format!("AUDIT#{}", golden.image)).await?;
    print_audit_log(&audit_log);
    let has =
        |action: &str| audit_log.values().any(|row| row.get("action").is_some_and(|found| found == action));
    proofs.claim(
        "the audit log records how image and key were granted and revoked",
        ["key-granted", "image-granted", "image-revoked", "key-revoked"].into_iter().all(has),
    );
    let notification = receive(&accounts.b, &accounts.b_notifications).await?;
    let field = |pointer: &str| notification.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (kind, reason) = (field("/detail-type"), field("/detail/reason"));
    proofs.claim(format!("B received `{kind}`: {reason}"), kind == "AMI Unshared" && !reason.is_empty());
    Ok(())
}

/// The next notification that an account receives.
async fn receive(account: &Account, queue: &str) -> Result<Value> {
    account
        .until("the next notification arrives", async || Ok(account.take(queue).await?.into_iter().next()))
        .await
}

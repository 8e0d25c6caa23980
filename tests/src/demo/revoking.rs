//! The other half of the story: the tag goes, and access goes with it.

use std::time::Instant;

use anyhow::Result;
use serde_json::Value;

use super::picture::{print_history, print_policy_diff};
use super::proof::Proofs;
use super::story::{Accounts, Golden};
use crate::launch::{Launch, launch};
use crate::world::Account;

/// Takes the tag away, and checks that nothing is left over.
pub(super) async fn revoke_all(
    hub: &Account,
    accounts: &Accounts,
    golden: &Golden,
    proofs: &mut Proofs,
) -> Result<()> {
    println!("\n9. Taking it back");
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
        "the key policy says what it said before ami-share",
        parsed(&policy_after)? == parsed(&golden.policy_before)?,
    );
    println!("   The history, which is never changed:");
    let audit_log = hub.ledger(&format!("AUDIT#{}", golden.image)).await?;
    print_history(&audit_log);
    let did =
        |action: &str| audit_log.values().any(|row| row.get("action").is_some_and(|done| done == action));
    proofs.claim(
        "the history has the giving and the taking of image and key",
        ["key-granted", "image-granted", "image-revoked", "key-revoked"].into_iter().all(did),
    );
    let notification = receive(&accounts.b, &accounts.b_notifications).await?;
    let said = |pointer: &str| notification.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (what, why) = (said("/detail-type"), said("/detail/reason"));
    proofs.claim(format!("B was told `{what}`: {why}"), what == "AMI Unshared" && !why.is_empty());
    Ok(())
}

/// The next notice that an account receives.
async fn receive(account: &Account, queue: &str) -> Result<Value> {
    account.until("the next notice", async || Ok(account.take(queue).await?.into_iter().next())).await
}

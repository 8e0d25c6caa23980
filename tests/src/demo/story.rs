//! Tags an encrypted image in an organization, proves which accounts can launch it, and removes the tag.

use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::Value;

use super::picture::{print_policy_diff, print_rows, print_steps};
use super::proof::Proofs;
use super::revoking::revoke_all;
use crate::launch::{Launch, launch};
use crate::world::Account;

/// The accounts of the story, and the OU `workloads`.
pub(super) struct Accounts {
    workloads: String,
    pub(super) b: Account,
    pub(super) b_notifications: String,
    pub(super) in_ou: Account,
    c: Account,
}

/// A golden image, and the key that encrypts it.
pub(super) struct Golden {
    pub(super) image: String,
    pub(super) key: String,
    pub(super) policy_before: String,
}

/// Runs the story in the account `hub`, and checks every claim.
pub async fn run(hub: &Account, proofs: &mut Proofs) -> Result<()> {
    let accounts = make_organization(hub).await?;
    let golden = make_image(hub).await?;
    tag(hub, &accounts, &golden, proofs).await?;
    prove_access(&accounts, &golden, proofs).await?;
    prove_key_policy(hub, &accounts, &golden, proofs).await?;
    show_ledger(hub, &accounts, &golden, proofs).await?;
    prove_notification(&accounts, &golden, proofs).await?;
    revoke_all(hub, &accounts, &golden, proofs).await
}

async fn make_organization(hub: &Account) -> Result<Accounts> {
    println!("\n2. An organization with two OUs and three accounts");
    let organization = hub.create_organization().await?;
    let root = hub.root().await?;
    let workloads = hub.create_ou(&root, "workloads").await?;
    let sandbox = hub.create_ou(&root, "sandbox").await?;
    let b = hub.create_account("team-b", &sandbox).await?;
    let in_ou = hub.create_account("team-w", &workloads).await?;
    let c = hub.create_account("team-c", &sandbox).await?;
    println!("   {organization}");
    println!("   ├─ workloads {workloads}: account W {in_ou}");
    println!("   └─ sandbox   {sandbox}: accounts B {b} and C {c}");
    let b = hub.assume(&b).await?;
    let b_notifications = b.listen().await.context("making a bus for notifications in B")?;
    println!("   B has an event bus `ami-share` for notifications; the others have none.");
    Ok(Accounts { workloads, b, b_notifications, in_ou: hub.assume(&in_ou).await?, c: hub.assume(&c).await? })
}

async fn make_image(hub: &Account) -> Result<Golden> {
    println!("\n3. A golden image, encrypted with a customer managed key");
    let key = hub.create_key().await?;
    let policy_before = hub.key_policy(&key).await?;
    let image = hub.image("golden-al2023-2026-11", &[&key]).await?;
    println!("   image {image}");
    println!("   key   {key} (tagged ami-share:managed = true)");
    Ok(Golden { image, key, policy_before })
}

async fn tag(hub: &Account, accounts: &Accounts, golden: &Golden, proofs: &mut Proofs) -> Result<()> {
    println!("\n4. The tag");
    let selectors = format!("{} {}", accounts.b.id, accounts.workloads);
    println!(
        "   aws ec2 create-tags --resources {} --tags 'Key=ami-share:with,Value={selectors}'",
        golden.image
    );
    let before = hub.executions().await?;
    let started = Instant::now();
    hub.tag(&golden.image, &[("ami-share:with", &selectors)]).await?;
    let status = hub.status(&golden.image, |_| true).await?;
    println!(
        "   ami-share:status = \"{status}\" after {:.1} s. The steps of the workflow:",
        started.elapsed().as_secs_f32()
    );
    let execution = hub
        .until("the workflow has ended", async || {
            let executions = hub.executions().await?;
            Ok(executions.into_iter().find(|(arn, status)| !before.contains_key(arn) && status != "RUNNING"))
        })
        .await?;
    print_steps(hub, &execution.0).await?;
    proofs.claim("the workflow succeeded", execution.1 == "SUCCEEDED");
    proofs.claim(
        "the status tag says with how many targets the image is shared",
        status == "shared with 1 account, 1 OU",
    );
    Ok(())
}

async fn prove_access(accounts: &Accounts, golden: &Golden, proofs: &mut Proofs) -> Result<()> {
    println!("\n5. Who can launch it");
    for (who, account) in [("B", &accounts.b), ("W (through its OU)", &accounts.in_ou)] {
        proofs.claim(format!("{who} sees the image"), account.sees(&golden.image).await?);
        let outcome = launch(account, &golden.image).await?;
        proofs.claim(format!("{who} launches it: {outcome:?}"), matches!(outcome, Launch::Started(_)));
    }
    proofs.claim("C does not see the image", !accounts.c.sees(&golden.image).await?);
    let outcome = launch(&accounts.c, &golden.image).await?;
    proofs.claim(format!("C cannot launch it: {outcome:?}"), matches!(outcome, Launch::Failed(_)));
    Ok(())
}

async fn prove_key_policy(
    hub: &Account,
    accounts: &Accounts,
    golden: &Golden,
    proofs: &mut Proofs,
) -> Result<()> {
    println!("\n6. The key policy, before and after");
    let after = hub.key_policy(&golden.key).await?;
    print_policy_diff(&golden.policy_before, &after)?;
    let foreign = |policy: &str| -> Result<Vec<Value>> {
        let policy: Value = serde_json::from_str(policy).context("the key policy is not JSON")?;
        let statements = policy.get("Statement").and_then(Value::as_array).cloned().unwrap_or_default();
        let is_managed = |statement: &Value| {
            statement.get("Sid").and_then(Value::as_str).is_some_and(|sid| sid.starts_with("AmiShare"))
        };
        Ok(statements.into_iter().filter(|statement| !is_managed(statement)).collect())
    };
    proofs.claim("the foreign statements are unchanged", foreign(&golden.policy_before)? == foreign(&after)?);
    proofs.claim("the policy names account B and the path of the OU, and not C", {
        after.contains(&format!("{}:root", accounts.b.id))
            && after.contains(&format!("{}/*", accounts.workloads))
            && !after.contains(&accounts.c.id)
    });
    Ok(())
}

async fn show_ledger(hub: &Account, accounts: &Accounts, golden: &Golden, proofs: &mut Proofs) -> Result<()> {
    println!("\n7. The ledger");
    let image_rows = hub.ledger(&format!("IMAGE#{}", golden.image)).await?;
    let key_rows = hub.ledger(&format!("KEY#{}", golden.key)).await?;
    print_rows(&image_rows);
    print_rows(&key_rows);
    let is_shared = |target: &str| {
        image_rows
            .get(&format!("SHARE#{target}"))
            .is_some_and(|row| row.get("outcome").is_some_and(|outcome| outcome == "shared"))
    };
    proofs.claim(
        "it has one share for B and one for the OU",
        is_shared(&accounts.b.id) && is_shared(&accounts.workloads),
    );
    Ok(())
}

async fn prove_notification(accounts: &Accounts, golden: &Golden, proofs: &mut Proofs) -> Result<()> {
    println!("\n8. The notification that B received");
    let mut notifications = Vec::new();
    accounts
        .b
        .until("B has its notification", async || {
            notifications.extend(accounts.b.take(&accounts.b_notifications).await?);
            Ok((!notifications.is_empty()).then_some(()))
        })
        .await?;
    for notification in &notifications {
        println!("{}", indented(&format!("{:#}", notification.get("detail").unwrap_or(&Value::Null))));
    }
    let is_right = |notification: &Value| {
        notification.pointer("/detail-type").and_then(Value::as_str) == Some("AMI Shared")
            && notification.pointer("/detail/image_id").and_then(Value::as_str) == Some(&golden.image)
    };
    proofs.claim(
        "it is one `AMI Shared` for this image",
        matches!(notifications.as_slice(), [only] if is_right(only)),
    );
    Ok(())
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("     {line}")).collect::<Vec<_>>().join("\n")
}

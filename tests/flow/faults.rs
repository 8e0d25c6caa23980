//! ami-share ends right when AWS refuses a call, does not answer it, lags, or is changed by others in between.
//!
//! Each test shows one kind of fault with the real functions; the in-memory AWS of the other tests tries each fault at
//! each call.

use ami_share_tests::world::faults::{Calls, When};
use anyhow::Result;
use serde_json::{Value, json};

use crate::fixture::{Fixture, Golden, flow};
use crate::policy::{for_accounts, foreign, managed};

/// More attempts than a function's SDK makes for one call: then the workflow repeats the step.
const MORE_THAN_THE_SDK_TRIES: usize = 7;

#[test]
fn an_account_is_revoked_although_ec2_does_not_show_its_launch_permission_yet() -> Result<()> {
    flow(async |fixture| {
        let (b, c) = (fixture.target_account("b").await?, fixture.target_account("c").await?);
        let golden = fixture.golden("lagging").await?;
        fixture.await_reconciliations(&golden.image, 0).await?;
        let before = fixture.hub.moment("ec2", &golden.image).await?;
        fixture.share_until_status(&golden.image, &b.id, "shared with 1 account").await?;
        fixture.await_reconciliations(&golden.image, 1).await?;

        let reads = Calls::of("ec2", "DescribeImageAttribute").with("ImageId", &golden.image);
        let lag = fixture.hub.lag(&reads.by("share-image").always(), &before).await?;
        fixture.hub.tag(&golden.image, &[("ami-share:with", &c.id)]).await?;
        let only_c = async || {
            let permissions = fixture.hub.launch_permissions(&golden.image).await?;
            Ok((permissions == [c.id.as_str()]).then_some(()))
        };
        fixture.hub.until("EC2 has revoked b and granted c", only_c).await?;
        assert!(fixture.hub.end_fault(lag).await? > 0);
        fixture.hub.status(&golden.image, |status| status == "shared with 1 account").await?;
        fixture.hub.settled(&golden.image).await?;
        fixture.hub.reconcile(&golden.image).await?;
        assert_only(fixture, &golden, &[&c.id]).await
    })
}

#[test]
fn an_account_that_left_the_tag_is_revoked_in_the_same_run_although_ec2_refuses_every_grant() -> Result<()> {
    flow(async |fixture| {
        let (b, c) = (fixture.target_account("b").await?, fixture.target_account("c").await?);
        let golden = fixture.golden("no-grants").await?;
        fixture.share(&golden.image, &b.id).await?;
        fixture.await_reconciliations(&golden.image, 1).await?;
        let additions = Calls::of("ec2", "ModifyImageAttribute").with("ImageId", &golden.image);
        let additions = additions.with("LaunchPermission.Add.*", "*").always();
        let refusal = fixture.hub.refuse(&additions, "UnauthorizedOperation", 403).await?;

        fixture.hub.tag(&golden.image, &[("ami-share:with", &c.id)]).await?;
        fixture.await_reconciliations(&golden.image, 2).await?;
        assert!(fixture.hub.struck(&refusal).await? > 0);
        assert_eq!(fixture.hub.launch_permissions(&golden.image).await?, [""; 0]);
        let statements = managed(&fixture.hub.key_policy(&golden.key).await?)?;
        assert!(!statements.iter().any(|statement| statement.to_string().contains(&b.id)), "{statements:?}");
        let status = fixture.hub.status(&golden.image, |status| status != "shared with 1 account").await?;
        assert!(status.contains("UnauthorizedOperation"), "{status}");

        fixture.hub.end_fault(refusal).await?;
        fixture.hub.reconcile(&golden.image).await?;
        fixture.hub.status(&golden.image, |status| status == "shared with 1 account").await?;
        assert_only(fixture, &golden, &[&c.id]).await
    })
}

#[test]
fn a_change_that_took_effect_without_an_answer_is_made_and_revoked() -> Result<()> {
    flow(async |fixture| {
        for (service, operation, parameter) in UNANSWERED {
            // The SDK repeats the call, or the workflow repeats the step.
            for times in [1, MORE_THAN_THE_SDK_TRIES] {
                granted_and_revoked_without_an_answer(fixture, service, operation, parameter, times).await?;
            }
        }
        Ok(())
    })
}

/// The calls of EC2 and KMS that grant and revoke, each with the parameter that names its subject.
const UNANSWERED: [(&str, &str, &str); 2] =
    [("kms", "PutKeyPolicy", "KeyId"), ("ec2", "ModifyImageAttribute", "ImageId")];

/// Shares an image with one account and revokes that. Each time the first calls of one operation get no answer.
async fn granted_and_revoked_without_an_answer(
    fixture: &Fixture,
    service: &str,
    operation: &str,
    parameter: &str,
    times: usize,
) -> Result<()> {
    let b = fixture.target_account("b").await?;
    let golden = fixture.golden("unanswered").await?;
    let before = fixture.hub.key_policy(&golden.key).await?;
    let subject = if service == "kms" { &golden.key } else { &golden.image };
    let calls = Calls::of(service, operation).with(parameter, subject).times(times);
    let granting = fixture.hub.leave_unanswered(&calls).await?;
    fixture.share_until_status(&golden.image, &b.id, "shared with 1 account").await?;
    assert!(fixture.hub.end_fault(granting).await? > 0);
    assert_only(fixture, &golden, &[&b.id]).await?;
    fixture.await_reconciliations(&golden.image, 1).await?;

    let revoking = fixture.hub.leave_unanswered(&calls).await?;
    fixture.hub.untag(&golden.image, "ami-share:with").await?;
    fixture.hub.status(&golden.image, |status| status.starts_with("not shared")).await?;
    assert!(fixture.hub.end_fault(revoking).await? > 0);
    assert_only(fixture, &golden, &[]).await?;
    assert_eq!(foreign(&fixture.hub.key_policy(&golden.key).await?)?, foreign(&before)?);
    fixture.await_reconciliations(&golden.image, 2).await
}

#[test]
fn a_statement_that_an_administrator_adds_after_ami_share_read_the_policy_stays() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let golden = fixture.golden("edited").await?;
        fixture.await_reconciliations(&golden.image, 0).await?;
        let reads = Calls::of("kms", "GetKeyPolicy").with("KeyId", &golden.key).by("extend-key-policy");
        let reading = fixture.hub.hold_calls(&reads, When::After).await?;
        fixture.hub.tag(&golden.image, &[("ami-share:with", &b.id)]).await?;
        fixture.hub.until_struck(&reading).await?;
        let edited = with_statement(&fixture.hub.key_policy(&golden.key).await?, "AddedInBetween")?;
        fixture.hub.put_key_policy(&golden.key, &edited).await?;
        fixture.hub.end_fault(reading).await?;

        fixture.hub.status(&golden.image, |status| status == "shared with 1 account").await?;
        let after = fixture.hub.key_policy(&golden.key).await?;
        assert_eq!(foreign(&after)?, foreign(&edited)?);
        assert_eq!(managed(&after)?, for_accounts(&[&b.id]));
        Ok(())
    })
}

/// Whether these accounts, and no others, have the image and its key.
async fn assert_only(fixture: &Fixture, golden: &Golden, accounts: &[&str]) -> Result<()> {
    let mut sorted = accounts.to_vec();
    sorted.sort_unstable();
    assert_eq!(fixture.hub.launch_permissions(&golden.image).await?, sorted);
    let statements = managed(&fixture.hub.key_policy(&golden.key).await?)?;
    if accounts.is_empty() {
        assert_eq!(statements, [""; 0]);
    } else {
        assert_eq!(statements, for_accounts(accounts));
    }
    Ok(())
}

fn with_statement(policy: &str, sid: &str) -> Result<String> {
    let mut policy: Value = serde_json::from_str(policy)?;
    let statement = json!({ "Sid": sid, "Effect": "Allow", "Principal": { "AWS": "arn:aws:iam::111122223333:root" },
        "Action": "kms:ListGrants", "Resource": "*" });
    if let Some(statements) = policy.get_mut("Statement").and_then(Value::as_array_mut) {
        statements.push(statement);
    }
    Ok(policy.to_string())
}

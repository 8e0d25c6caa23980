//! Shares survive an update of the stack, end when sharing is disabled, and stay when the stack is deleted.
//!
//! The tests change the stack as `sam deploy` and `sam delete` do.

use std::sync::OnceLock;

use ami_share_tests::world::interruptions::{Interruption, Then, When};
use ami_share_tests::world::{Account, STACK};
use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::access::launches;
use crate::fixture::{Fixture, Golden, Shared, flow_by_itself};
use crate::membership::{notified_until, until_granted_to};
use crate::notifications::{kinds, received_by_now};
use crate::policy::{for_accounts, managed, without_whitespace};
use crate::revocation::{assert_has_all, assert_has_nothing, shared_with_copy};
use crate::snapshots::granted_to;

/// An account outside the organization that the stack's parameters allow at first.
const PARTNER: &str = "333333333333";
const REVOKED: &str = "not shared: sharing is disabled (parameter Sharing of the stack)";

#[test]
fn disabling_sharing_revokes_and_notifies_all_and_deleting_the_stack_leaves_only_records() -> Result<()> {
    static STACK: Shared = OnceLock::new();
    flow_by_itself(&STACK, async |fixture| {
        let (b, out_of_band) =
            (fixture.target_account("b").await?, fixture.target_account("out-of-band").await?);
        let queue = b.listen().await?;
        let golden = image_on_unusual_policy(fixture).await?;
        let before = fixture.hub.key_policy(&golden.key).await?;
        fixture.hub.grant_out_of_band(&golden.image, &out_of_band.id).await?;
        let tags =
            [("ami-share:with", &*b.id), ("ami-share:copy", "allowed"), ("ami-share:until", "2099-12-31")];
        fixture.hub.tag(&golden.image, &tags).await?;
        fixture.hub.status(&golden.image, |status| status.starts_with("shared with 1 account")).await?;
        let second = fixture.image_on("second", &golden.key).await?;
        let in_ou = fixture.ou("team", &fixture.root).await?;
        fixture.share(&second, &in_ou).await?;
        let refused = fixture.image("refused").await?;
        assert!(fixture.share(&refused, "999999999999").await?.starts_with("refused: 999999999999"));
        let unnoticed = fixture.image("unnoticed").await?;
        fixture.await_reconciliations(&unnoticed, 0).await?;
        fixture.hub.disable_rules().await?;
        fixture.hub.tag(&unnoticed, &[("ami-share:with", &b.id)]).await?;
        assert_eq!(fixture.hub.schedules().await?, 2);

        assert_eq!(fixture.redeploy(&["Sharing=disabled"])?, "UPDATE_COMPLETE");
        // No event reports a changed parameter: the first review revokes all, and the second finds nothing left.
        let first = fixture.hub.review().await?;
        assert_eq!(first.count("differing"), Some(4), "{first:?}");
        let last = fixture.hub.review().await?;
        let counts = ["shares", "differing", "refused"].map(|name| last.count(name));
        assert_eq!(counts, [Some(0); 3], "{last:?}");
        for image in [&golden.image, &second, &refused, &unnoticed] {
            assert_eq!(fixture.hub.tags(image).await?["ami-share:status"], REVOKED);
        }
        assert_has_nothing(fixture, &b, &golden).await?;
        assert!(launch_permissions(fixture, &second).await?.is_empty());
        assert_eq!(launch_permissions(fixture, &golden.image).await?, [out_of_band.id.as_str()]);
        assert_eq!(granted_to(fixture, &golden).await?, [""; 0]);
        let after = fixture.hub.key_policy(&golden.key).await?;
        assert_eq!(without_whitespace(&after), without_whitespace(&before));
        assert!(fixture.hub.ledger(&format!("KEY#{}", golden.key)).await?.is_empty());
        assert_eq!(fixture.hub.schedules().await?, 0);
        assert_revocations_recorded(fixture, [&golden.image, &second], &b).await?;
        let notified = notified_until(&b, &queue, &golden.image, "AMI Unshared").await?;
        assert_eq!(kinds(&notified), ["AMI Shared", "AMI Unshared"]);
        let reason = notified[1]["detail"]["reason"].as_str().context("no reason")?;
        assert_eq!(format!("not shared: {reason}"), REVOKED);

        // No later event grants anything either.
        fixture.hub.enable_rules().await?;
        fixture.share_until_status(&refused, &b.id, REVOKED).await?;
        fixture.hub.settled(&refused).await?;
        assert!(launch_permissions(fixture, &refused).await?.is_empty());

        assert_eq!(fixture.delete()?, "DELETE_COMPLETE");
        assert_stack_is_gone(fixture).await?;
        let audit_log = fixture.hub.ledger(&format!("AUDIT#{}", golden.image)).await?;
        assert!(!audit_log.is_empty());
        assert!(!fixture.hub.object(last.page()?).await?.is_empty());
        Ok(())
    })
}

#[test]
fn a_deleted_stack_leaves_access_unchanged_and_the_next_stack_takes_over_or_adopts() -> Result<()> {
    static STACK: Shared = OnceLock::new();
    flow_by_itself(&STACK, async |fixture| {
        let (b, c) = (fixture.target_account("b").await?, fixture.target_account("c").await?);
        let golden = shared_with_copy(fixture, "stack-deleted", &format!("{} {}", b.id, c.id)).await?;
        let shared = fixture.hub.key_policy(&golden.key).await?;
        assert_eq!(fixture.delete()?, "DELETE_COMPLETE");
        assert_stack_is_gone(fixture).await?;
        fixture.hub.tag(&golden.image, &[("ami-share:with", &b.id)]).await?;
        for account in [&b, &c] {
            assert_has_all(fixture, account, &golden).await?;
        }
        assert_eq!(fixture.hub.key_policy(&golden.key).await?, shared);

        // The table of the deleted stack still has its name, so a new stack cannot start with an empty table by
        // mistake.
        let failed = fixture.redeploy(&[])?;
        assert!(failed.contains("ami-share-ledger") && failed.ends_with("ROLLBACK_COMPLETE"), "{failed}");
        assert_eq!(fixture.delete()?, "DELETE_COMPLETE");
        assert_eq!(fixture.redeploy(&["Ledger=existing"])?, "CREATE_COMPLETE");
        fixture.hub.review().await?;
        assert_has_nothing(fixture, &c, &golden).await?;
        assert_has_all(fixture, &b, &golden).await?;
        assert_eq!(managed(&fixture.hub.key_policy(&golden.key).await?)?, for_accounts(&[&b.id]));

        // Without the table, a review adopts the access that the tags ask for; then it can be revoked.
        assert_eq!(fixture.delete()?, "DELETE_COMPLETE");
        fixture.hub.delete_ledger().await?;
        assert_eq!(fixture.redeploy(&["Ledger=new"])?, "CREATE_COMPLETE");
        let adoption = fixture.hub.start_review(None, &json!({ "adopt": true })).await?;
        fixture.hub.reviewed(&adoption).await?;
        assert_has_all(fixture, &b, &golden).await?;
        assert_eq!(fixture.redeploy(&["Sharing=disabled"])?, "UPDATE_COMPLETE");
        fixture.hub.review().await?;
        assert_has_nothing(fixture, &b, &golden).await?;
        assert_eq!(managed(&fixture.hub.key_policy(&golden.key).await?)?, [json!(null); 0]);
        Ok(())
    })
}

#[test]
fn an_update_touches_no_share_ends_what_runs_right_and_obeys_the_new_parameters() -> Result<()> {
    static STACK: Shared = OnceLock::new();
    flow_by_itself(&STACK, async |fixture| {
        let (b, partner) = (fixture.target_account("b").await?, fixture.hub.assume(PARTNER).await?);
        let queue = b.listen().await?;
        let golden = shared_with_copy(fixture, "stays", &b.id).await?;
        let external = fixture.golden("external").await?;
        let tags = [("ami-share:with", PARTNER), ("ami-share:until", "2099-12-31")];
        fixture.hub.tag(&external.image, &tags).await?;
        fixture.hub.status(&external.image, |status| status.starts_with("shared with 1 account")).await?;
        let rows = records(fixture, &golden).await?;

        // The update replaces every function while one of them is granting access.
        let updating = fixture.golden("updating").await?;
        fixture.await_reconciliations(&updating.image, 0).await?;
        let point = Interruption {
            function: "share-image".to_owned(),
            action: None,
            call: 4,
            when: When::After,
            then: Then::Hold,
        };
        fixture.hub.interrupt(&updating.image, &point).await?;
        fixture.hub.tag(&updating.image, &[("ami-share:with", &b.id)]).await?;
        until_held(fixture, &updating.image).await?;
        assert_eq!(fixture.redeploy(&["LogLevel=debug"])?, "UPDATE_COMPLETE");
        // The held call may have timed out by now and be retried; the update came during the grant either way.
        fixture.hub.release(&updating.image).await?;
        fixture.hub.status(&updating.image, |status| status == "shared with 1 account").await?;
        assert!(launches(&b, &updating.image).await?);
        fixture.hub.settled(&updating.image).await?;
        assert_eq!(fixture.hub.review().await?.count("differing"), Some(0));
        assert_eq!(records(fixture, &golden).await?, rows);
        assert_has_all(fixture, &b, &golden).await?;

        // The next review revokes what the new parameters do not allow.
        assert_eq!(fixture.redeploy(&["AllowedExternalAccounts="])?, "UPDATE_COMPLETE");
        fixture.hub.review().await?;
        assert_has_nothing(fixture, &partner, &external).await?;
        let status = fixture.hub.tags(&external.image).await?["ami-share:status"].clone();
        assert!(status.starts_with("refused: 333333333333: not in this organization"), "{status}");

        // Disabled and enabled again: one review each revokes and grants.
        let policy = fixture.hub.key_policy(&golden.key).await?;
        assert_eq!(fixture.redeploy(&["Sharing=disabled"])?, "UPDATE_COMPLETE");
        fixture.hub.review().await?;
        assert_has_nothing(fixture, &b, &golden).await?;
        assert_eq!(fixture.redeploy(&["Sharing=enabled"])?, "UPDATE_COMPLETE");
        fixture.hub.review().await?;
        until_granted_to(fixture, &golden, &[&b]).await?;
        assert_has_all(fixture, &b, &golden).await?;
        assert_eq!(fixture.hub.key_policy(&golden.key).await?, policy);
        let received = received_by_now(fixture, &b, &queue, &b.id, &golden.image).await?;
        assert_eq!(kinds(&received), ["AMI Shared", "AMI Unshared", "AMI Shared"]);
        Ok(())
    })
}

/// An image on a key whose policy no program would format like this.
async fn image_on_unusual_policy(fixture: &Fixture) -> Result<Golden> {
    let golden = fixture.golden("revoked").await?;
    let policy = r#"{ "Version" : "2012-10-17", "Id": "d\u00e9j\u00E0",
        "Statement": [
            {"Resource": "*", "Effect": "Allow", "Action": ["kms:*"],
             "Principal": {"AWS": ["arn:aws:iam::111122223333:root"]}, "Sid": "Enable  IAM User Permissions"},
            {"Sid": "", "Effect": "Deny", "Principal": "*", "Action": "kms:Encrypt", "Resource": "*",
             "Condition": {"NumericLessThan": {"aws:MultiFactorAuthAge": 3.600e3}}} ] }"#;
    fixture.hub.put_key_policy(&golden.key, policy).await?;
    Ok(golden)
}

async fn launch_permissions(fixture: &Fixture, image: &str) -> Result<Vec<String>> {
    fixture.hub.launch_permissions(image).await
}

/// Checks that the audit logs record a revocation for each grant. When images on one key are revoked at once, any of
/// their reconciliations may revoke the account from the key, and records that in the audit log of its own image.
async fn assert_revocations_recorded(fixture: &Fixture, images: [&str; 2], account: &Account) -> Result<()> {
    let mut audit_log = Vec::new();
    for image in images {
        audit_log.extend(fixture.hub.ledger(&format!("AUDIT#{image}")).await?.into_values());
    }
    for (granted, revoked) in [
        ("image-granted", "image-revoked"),
        ("snapshot-granted", "snapshot-revoked"),
        ("key-granted", "key-revoked"),
    ] {
        // The last reconciliation also revokes the principals that the other image has released.
        let names = |principals: &str| principals.split(' ').any(|principal| principal == account.id);
        let count = |action: &str| {
            audit_log.iter().filter(|row| row["action"] == action && names(&row["principals"])).count()
        };
        ensure!((count(granted), count(revoked)) == (1, 1), "{granted} and {revoked} in {audit_log:#?}");
    }
    Ok(())
}

/// Checks that the stack has left its table and no workflow, rule, bus, topic or schedule group.
async fn assert_stack_is_gone(fixture: &Fixture) -> Result<()> {
    let hub = &fixture.hub;
    let machines = hub.sfn.list_state_machines().send().await?;
    let rules = hub.events.list_rules().name_prefix(format!("{STACK}-")).send().await?;
    let buses = hub.events.list_event_buses().name_prefix(STACK).send().await?;
    let topics = hub.sns.list_topics().send().await?;
    let groups = hub.scheduler.list_schedule_groups().name_prefix(STACK).send().await?;
    let left = [
        machines.state_machines().len(),
        rules.rules().len(),
        buses.event_buses().len(),
        topics.topics().len(),
        groups.schedule_groups().len(),
    ];
    ensure!(left == [0; 5], "left: {left:?}");
    let tables = hub.dynamodb.list_tables().send().await?;
    ensure!(tables.table_names() == [format!("{STACK}-ledger")], "{tables:?}");
    Ok(())
}

type Rows = std::collections::BTreeMap<String, std::collections::BTreeMap<String, String>>;

/// All rows of an image and its key in the ledger.
async fn records(fixture: &Fixture, golden: &Golden) -> Result<[Rows; 3]> {
    let Golden { image, key } = golden;
    fixture.hub.settled(image).await?;
    Ok([
        fixture.hub.ledger(&format!("IMAGE#{image}")).await?,
        fixture.hub.ledger(&format!("KEY#{key}")).await?,
        fixture.hub.ledger(&format!("AUDIT#{image}")).await?,
    ])
}

/// Waits until a function that works for an image is held.
async fn until_held(fixture: &Fixture, image: &str) -> Result<()> {
    let held = async || {
        let all = fixture.hub.invocations(image).await?;
        Ok(all.iter().any(|invocation| invocation.state == "held").then_some(()))
    };
    fixture.hub.until("a function is held", held).await
}

//! Updating, withdrawing from, deleting and making anew the stack: what becomes of the shares, and what stays.
//!
//! The stack is changed as `sam deploy` and `sam delete` would change it.

use std::sync::OnceLock;

use ami_share_tests::world::interruptions::{Interruption, Then, When};
use ami_share_tests::world::{Account, STACK};
use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::access::launches;
use crate::membership::{opens_to, told_until};
use crate::notices::{heard_by_now, kinds};
use crate::policy::{for_accounts, ours, without_whitespace};
use crate::scene::{Golden, Scene, Shared, flow_by_itself};
use crate::snapshots::open_to;
use crate::withdrawal::{assert_has_all, assert_has_nothing, shared_with_copy};

/// An account outside the organization that the stack's parameters allow at first.
const PARTNER: &str = "333333333333";
const WITHDRAWN: &str = "not shared: the hub withdraws all its shares (parameter Sharing of the stack)";

#[test]
fn everything_is_withdrawn_and_told_and_of_the_deleted_stack_only_its_records_stay() -> Result<()> {
    static STACK: Shared = OnceLock::new();
    flow_by_itself(&STACK, async |scene| {
        let (b, by_hand) = (scene.member("b").await?, scene.member("by-hand").await?);
        let queue = b.listen().await?;
        let golden = foreign_key_and_image(scene).await?;
        let before = scene.hub.key_policy(&golden.key).await?;
        scene.hub.permit_by_hand(&golden.image, &by_hand.id).await?;
        let tags =
            [("ami-share:with", &*b.id), ("ami-share:copy", "allowed"), ("ami-share:until", "2099-12-31")];
        scene.hub.tag(&golden.image, &tags).await?;
        scene.hub.status(&golden.image, |status| status.starts_with("shared with 1 account")).await?;
        let second = scene.image_on("second", &golden.key).await?;
        let in_ou = scene.ou("team", &scene.root).await?;
        scene.share(&second, &in_ou).await?;
        let refused = scene.image("refused").await?;
        assert!(scene.share(&refused, "999999999999").await?.starts_with("refused: 999999999999"));
        let unseen = scene.image("unseen").await?;
        scene.looks_end(&unseen, 0).await?;
        scene.hub.disable_rules().await?;
        scene.hub.tag(&unseen, &[("ami-share:with", &b.id)]).await?;
        assert_eq!(scene.hub.appointments().await?, 2);

        assert_eq!(scene.redeploy(&["Sharing=withdrawn"])?, "UPDATE_COMPLETE");
        // No event says so: the review alone finds what is to be taken back, the second one that nothing is left.
        let first = scene.hub.review().await?;
        assert_eq!(first.count("differing"), Some(4), "{first:?}");
        let last = scene.hub.review().await?;
        let counts = ["shares", "differing", "refused"].map(|name| last.count(name));
        assert_eq!(counts, [Some(0); 3], "{last:?}");
        for image in [&golden.image, &second, &refused, &unseen] {
            assert_eq!(scene.hub.tags(image).await?["ami-share:status"], WITHDRAWN);
        }
        assert_has_nothing(scene, &b, &golden).await?;
        assert!(launch_permissions(scene, &second).await?.is_empty());
        assert_eq!(launch_permissions(scene, &golden.image).await?, [by_hand.id.as_str()]);
        assert_eq!(open_to(scene, &golden).await?, [""; 0]);
        let after = scene.hub.key_policy(&golden.key).await?;
        assert_eq!(without_whitespace(&after), without_whitespace(&before));
        assert!(scene.hub.ledger(&format!("KEY#{}", golden.key)).await?.is_empty());
        assert_eq!(scene.hub.appointments().await?, 0);
        closed_on_record(scene, [&golden.image, &second], &b).await?;
        let told = told_until(&b, &queue, &golden.image, "AMI Unshared").await?;
        assert_eq!(kinds(&told), ["AMI Shared", "AMI Unshared"]);
        let reason = told[1]["detail"]["reason"].as_str().context("no reason")?;
        assert_eq!(format!("not shared: {reason}"), WITHDRAWN);

        // Whatever happens from here on gives nothing either.
        scene.hub.enable_rules().await?;
        scene.share_until_status(&refused, &b.id, WITHDRAWN).await?;
        scene.hub.settled(&refused).await?;
        assert!(launch_permissions(scene, &refused).await?.is_empty());

        assert_eq!(scene.delete()?, "DELETE_COMPLETE");
        nothing_acts_any_more(scene).await?;
        let history = scene.hub.ledger(&format!("AUDIT#{}", golden.image)).await?;
        assert!(!history.is_empty());
        assert!(!scene.hub.object(last.page()?).await?.is_empty());
        Ok(())
    })
}

#[test]
fn a_stack_that_is_deleted_leaves_access_as_it_is_and_the_next_one_takes_over_or_adopts() -> Result<()> {
    static STACK: Shared = OnceLock::new();
    flow_by_itself(&STACK, async |scene| {
        let (b, c) = (scene.member("b").await?, scene.member("c").await?);
        let golden = shared_with_copy(scene, "left-behind", &format!("{} {}", b.id, c.id)).await?;
        let shared = scene.hub.key_policy(&golden.key).await?;
        assert_eq!(scene.delete()?, "DELETE_COMPLETE");
        nothing_acts_any_more(scene).await?;
        scene.hub.tag(&golden.image, &[("ami-share:with", &b.id)]).await?;
        for account in [&b, &c] {
            assert_has_all(scene, account, &golden).await?;
        }
        assert_eq!(scene.hub.key_policy(&golden.key).await?, shared);

        // The name of the table is taken, so nobody begins with an empty one by mistake.
        let failed = scene.redeploy(&[])?;
        assert!(failed.contains("ami-share-ledger") && failed.ends_with("ROLLBACK_COMPLETE"), "{failed}");
        assert_eq!(scene.delete()?, "DELETE_COMPLETE");
        assert_eq!(scene.redeploy(&["Ledger=existing"])?, "CREATE_COMPLETE");
        scene.hub.review().await?;
        assert_has_nothing(scene, &c, &golden).await?;
        assert_has_all(scene, &b, &golden).await?;
        assert_eq!(ours(&scene.hub.key_policy(&golden.key).await?)?, for_accounts(&[&b.id]));

        // Without the table, what the tags ask for is adopted; then it can be withdrawn.
        assert_eq!(scene.delete()?, "DELETE_COMPLETE");
        scene.hub.delete_ledger().await?;
        assert_eq!(scene.redeploy(&["Ledger=new"])?, "CREATE_COMPLETE");
        let adoption = scene.hub.start_review(None, &json!({ "adopt": true })).await?;
        scene.hub.reviewed(&adoption).await?;
        assert_has_all(scene, &b, &golden).await?;
        assert_eq!(scene.redeploy(&["Sharing=withdrawn"])?, "UPDATE_COMPLETE");
        scene.hub.review().await?;
        assert_has_nothing(scene, &b, &golden).await?;
        assert_eq!(ours(&scene.hub.key_policy(&golden.key).await?)?, [json!(null); 0]);
        Ok(())
    })
}

#[test]
fn an_update_touches_no_share_ends_what_runs_right_and_obeys_the_new_parameters() -> Result<()> {
    static STACK: Shared = OnceLock::new();
    flow_by_itself(&STACK, async |scene| {
        let (b, partner) = (scene.member("b").await?, scene.hub.assume(PARTNER).await?);
        let queue = b.listen().await?;
        let golden = shared_with_copy(scene, "stays", &b.id).await?;
        let external = scene.golden("external").await?;
        let tags = [("ami-share:with", PARTNER), ("ami-share:until", "2099-12-31")];
        scene.hub.tag(&external.image, &tags).await?;
        scene.hub.status(&external.image, |status| status.starts_with("shared with 1 account")).await?;
        let rows = records(scene, &golden).await?;

        // Every function is replaced while one of them is in the midst of giving access.
        let midst = scene.golden("midst").await?;
        scene.looks_end(&midst.image, 0).await?;
        let point = Interruption {
            function: "share-image".to_owned(),
            action: None,
            call: 4,
            when: When::After,
            then: Then::Hold,
        };
        scene.hub.interrupt(&midst.image, &point).await?;
        scene.hub.tag(&midst.image, &[("ami-share:with", &b.id)]).await?;
        is_held(scene, &midst.image).await?;
        assert_eq!(scene.redeploy(&["LogLevel=debug"])?, "UPDATE_COMPLETE");
        // It may have given up its call by now, and be tried again: the update came in the midst of it all the same.
        scene.hub.release(&midst.image).await?;
        scene.hub.status(&midst.image, |status| status == "shared with 1 account").await?;
        assert!(launches(&b, &midst.image).await?);
        scene.hub.settled(&midst.image).await?;
        assert_eq!(scene.hub.review().await?.count("differing"), Some(0));
        assert_eq!(records(scene, &golden).await?, rows);
        assert_has_all(scene, &b, &golden).await?;

        // What the stack does not allow any more goes with the next review.
        assert_eq!(scene.redeploy(&["AllowedExternalAccounts="])?, "UPDATE_COMPLETE");
        scene.hub.review().await?;
        assert_has_nothing(scene, &partner, &external).await?;
        let status = scene.hub.tags(&external.image).await?["ami-share:status"].clone();
        assert!(status.starts_with("refused: 333333333333 is not in this organization"), "{status}");

        // Withdrawn and enabled again, each by one review.
        let policy = scene.hub.key_policy(&golden.key).await?;
        assert_eq!(scene.redeploy(&["Sharing=withdrawn"])?, "UPDATE_COMPLETE");
        scene.hub.review().await?;
        assert_has_nothing(scene, &b, &golden).await?;
        assert_eq!(scene.redeploy(&["Sharing=enabled"])?, "UPDATE_COMPLETE");
        scene.hub.review().await?;
        opens_to(scene, &golden, &[&b]).await?;
        assert_has_all(scene, &b, &golden).await?;
        assert_eq!(scene.hub.key_policy(&golden.key).await?, policy);
        let heard = heard_by_now(scene, &b, &queue, &b.id, &golden.image).await?;
        assert_eq!(kinds(&heard), ["AMI Shared", "AMI Unshared", "AMI Shared"]);
        Ok(())
    })
}

/// An image on a key whose policy nobody would write who reads it by machine.
async fn foreign_key_and_image(scene: &Scene) -> Result<Golden> {
    let golden = scene.golden("withdrawn").await?;
    let policy = r#"{ "Version" : "2012-10-17", "Id": "d\u00e9j\u00E0",
        "Statement": [
            {"Resource": "*", "Effect": "Allow", "Action": ["kms:*"],
             "Principal": {"AWS": ["arn:aws:iam::111122223333:root"]}, "Sid": "Enable  IAM User Permissions"},
            {"Sid": "", "Effect": "Deny", "Principal": "*", "Action": "kms:Encrypt", "Resource": "*",
             "Condition": {"NumericLessThan": {"aws:MultiFactorAuthAge": 3.600e3}}} ] }"#;
    scene.hub.put_key_policy(&golden.key, policy).await?;
    Ok(golden)
}

async fn launch_permissions(scene: &Scene, image: &str) -> Result<Vec<String>> {
    scene.hub.launch_permissions(image).await
}

/// The history has an end for each beginning. Of images on one key that let go at once, the look of any of them takes
/// the account out, and has it in its own image's history.
async fn closed_on_record(scene: &Scene, images: [&str; 2], account: &Account) -> Result<()> {
    let mut history = Vec::new();
    for image in images {
        history.extend(scene.hub.ledger(&format!("AUDIT#{image}")).await?.into_values());
    }
    for (opened, closed) in [
        ("image-opened", "image-closed"),
        ("snapshot-opened", "snapshot-closed"),
        ("key-opened", "key-closed"),
    ] {
        // Whichever image closes the key last closes it for whom the other one has let go as well.
        let names = |whom: &str| whom.split(' ').any(|whom| whom == account.id);
        let of = |deed: &str| history.iter().filter(|row| row["deed"] == deed && names(&row["whom"])).count();
        ensure!((of(opened), of(closed)) == (1, 1), "{opened} and {closed} in {history:#?}");
    }
    Ok(())
}

/// No workflow, rule, bus, topic or group of appointments is left of the stack, and the table is.
async fn nothing_acts_any_more(scene: &Scene) -> Result<()> {
    let hub = &scene.hub;
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

/// All that the ledger has of an image and its key.
async fn records(scene: &Scene, golden: &Golden) -> Result<[Rows; 3]> {
    let Golden { image, key } = golden;
    scene.hub.settled(image).await?;
    Ok([
        scene.hub.ledger(&format!("IMAGE#{image}")).await?,
        scene.hub.ledger(&format!("KEY#{key}")).await?,
        scene.hub.ledger(&format!("AUDIT#{image}")).await?,
    ])
}

/// Waits until a function that works for an image is held up.
async fn is_held(scene: &Scene, image: &str) -> Result<()> {
    let held = async || {
        let all = scene.hub.invocations(image).await?;
        Ok(all.iter().any(|invocation| invocation.state == "held").then_some(()))
    };
    scene.hub.until("a function is held up", held).await
}

//! Taking access back: exactly what ami-share gave goes, the image first, then its snapshots, then the key.

use std::sync::atomic::{AtomicBool, Ordering};

use ami_share_tests::launch::{Launch, launch};
use ami_share_tests::world::Account;
use anyhow::Result;
use serde_json::{Value, json};

use crate::access::launches;
use crate::notices::{about, heard_until, kinds, on_the_bus};
use crate::policy::{for_accounts, ours, without_whitespace};
use crate::scene::{Golden, Scene, flow};
use crate::snapshots::{copies, open_to};

/// What the status says once no tag of ours is left.
pub const UNTAGGED: &str = "not shared: the image has no ami-share: tags any more";

#[test]
fn an_account_taken_out_of_the_tag_can_neither_see_nor_launch_nor_copy_and_the_other_still_can() -> Result<()>
{
    flow(async |scene| {
        let (b, c) = (scene.member("b").await?, scene.member("c").await?);
        let golden = scene.golden("one-of-two").await?;
        let tags = [("ami-share:with", &*format!("{} {}", b.id, c.id)), ("ami-share:copy", "allowed")];
        scene.hub.tag(&golden.image, &tags).await?;
        scene.hub.status(&golden.image, |status| status == "shared with 2 accounts").await?;
        for account in [&b, &c] {
            assert_has_all(scene, account, &golden).await?;
        }

        scene.share_until_status(&golden.image, &c.id, "shared with 1 account").await?;
        assert_has_nothing(scene, &b, &golden).await?;
        assert_has_all(scene, &c, &golden).await?;
        assert_eq!(scene.hub.launch_permissions(&golden.image).await?, [c.id.as_str()]);
        assert_eq!(open_to(scene, &golden).await?, [c.id.as_str()]);
        assert_eq!(ours(&scene.hub.key_policy(&golden.key).await?)?, for_accounts(&[&c.id]));
        Ok(())
    })
}

#[test]
fn without_its_tag_an_image_is_shared_with_nobody_and_the_key_policy_is_what_it_was_before() -> Result<()> {
    flow(async |scene| {
        let (b, c) = (scene.member("b").await?, scene.member("c").await?);
        let golden = scene.golden("tag-deleted").await?;
        // Written as nobody would who reads it by machine: all of it has to come back as it was.
        let policy = r#"{ "Version" : "2012-10-17", "Id": "d\u00e9j\u00E0 \"vu\" {}",
            "Statement": [
                {"Resource": "*", "Effect": "Allow", "Action": ["kms:*"],
                 "Principal": {"AWS": ["arn:aws:iam::111122223333:root"]}, "Sid": "Enable  IAM User Permissions"},
                {"Sid": "", "Effect": "Deny", "Principal": "*", "Action": "kms:Encrypt", "Resource": "*",
                 "Condition": {"NumericLessThan": {"aws:MultiFactorAuthAge": 3.600e3}, "Bool": {"aws:SecureTransport": "false"}}} ] }"#;
        scene.hub.put_key_policy(&golden.key, policy).await?;
        let before = scene.hub.key_policy(&golden.key).await?;
        scene.share(&golden.image, &format!("{} {}", b.id, c.id)).await?;
        assert!(launches(&b, &golden.image).await?);
        assert_ne!(
            without_whitespace(&scene.hub.key_policy(&golden.key).await?),
            without_whitespace(&before)
        );

        scene.hub.untag(&golden.image, "ami-share:with").await?;
        scene.hub.status(&golden.image, |status| status == UNTAGGED).await?;
        for account in [&b, &c] {
            assert_has_nothing(scene, account, &golden).await?;
        }
        assert!(scene.hub.launch_permissions(&golden.image).await?.is_empty());
        let after = scene.hub.key_policy(&golden.key).await?;
        assert_eq!(without_whitespace(&after), without_whitespace(&before));
        assert!(scene.hub.ledger(&format!("KEY#{}", golden.key)).await?.is_empty());
        Ok(())
    })
}

#[test]
fn without_the_copy_tag_the_snapshots_are_closed_and_nothing_else() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let golden = shared_with_copy(scene, "copy-removed", &b.id).await?;
        let policy = scene.hub.key_policy(&golden.key).await?;
        scene.hub.untag(&golden.image, "ami-share:copy").await?;
        snapshots_close(scene, &golden).await?;
        scene.hub.settled(&golden.image).await?;
        assert!(copies(&b, scene, &golden).await.is_err());
        assert!(launches(&b, &golden.image).await?);
        assert_eq!(scene.hub.key_policy(&golden.key).await?, policy);
        scene.hub.status(&golden.image, |status| status == "shared with 1 account").await?;
        Ok(())
    })
}

#[test]
fn a_disabled_image_is_taken_back_and_once_enabled_it_is_shared_and_told_of_again() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let queue = b.listen().await?;
        let golden = shared_with_copy(scene, "disabled", &b.id).await?;
        scene.hub.disable(&golden.image).await?;
        scene.hub.status(&golden.image, |status| status == "not shared: the image is disabled").await?;
        assert_has_nothing(scene, &b, &golden).await?;
        assert_eq!(open_to(scene, &golden).await?, [""; 0]);
        assert_eq!(ours(&scene.hub.key_policy(&golden.key).await?)?, [json!(null); 0]);

        scene.hub.enable(&golden.image).await?;
        scene.hub.status(&golden.image, |status| status == "shared with 1 account").await?;
        assert_has_all(scene, &b, &golden).await?;
        let heard = crate::notices::heard_by_now(scene, &b, &queue, &b.id, &golden.image).await?;
        assert_eq!(kinds(&heard), ["AMI Shared", "AMI Unshared", "AMI Shared"]);
        Ok(())
    })
}

#[test]
fn a_deregistered_image_leaves_neither_snapshots_nor_key_open() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let key = scene.hub.create_key().await?;
        let before = scene.hub.key_policy(&key).await?;
        let image = scene.image_on("deregistered", &key).await?;
        let bus = on_the_bus(scene).await?;
        scene.hub.tag(&image, &[("ami-share:with", &b.id), ("ami-share:copy", "allowed")]).await?;
        scene.hub.status(&image, |status| status == "shared with 1 account").await?;
        let snapshot = scene.hub.snapshots_of(&image).await?.remove(0);
        assert!(sees_snapshot(&b, &snapshot).await && b.may_use_key(&key).await?);
        let heard = heard_until(&scene.hub, &bus, &image).await?;
        assert_eq!(about(&heard, &image)[0]["detail-type"], "AMI Shared");
        scene.hub.deregister(&image).await?;

        let heard = heard_until(&scene.hub, &bus, &image).await?;
        let told = about(&heard, &image);
        assert_eq!(told[0]["detail-type"], "AMI Unshared");
        assert_eq!(told[0]["detail"]["reason"], "the image was deregistered");
        assert!(!sees_snapshot(&b, &snapshot).await && !b.may_use_key(&key).await?);
        assert_eq!(scene.hub.snapshot_permissions(&snapshot).await?, [""; 0]);
        assert_eq!(without_whitespace(&scene.hub.key_policy(&key).await?), without_whitespace(&before));
        // Nothing is left that a review would have to look at.
        scene.hub.settled(&image).await?;
        assert_eq!(scene.hub.ledger(&format!("IMAGE#{image}")).await?["INTENT"].get("managed"), None);
        Ok(())
    })
}

#[test]
fn what_a_person_granted_by_hand_stays_whether_it_came_before_or_after() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let (before, both, after) =
            (scene.member("before").await?, scene.member("both").await?, scene.member("after").await?);
        let image = scene.image("by-hand").await?;
        let snapshot = scene.hub.snapshots_of(&image).await?.remove(0);
        for account in [&before, &both] {
            scene.hub.permit_by_hand(&image, &account.id).await?;
            scene.hub.permit_snapshot_by_hand(&snapshot, &account.id).await?;
        }
        let words = format!("{} {}", b.id, both.id);
        scene.hub.tag(&image, &[("ami-share:with", &words), ("ami-share:copy", "allowed")]).await?;
        scene.hub.status(&image, |status| status == "shared with 2 accounts").await?;
        scene.hub.permit_by_hand(&image, &after.id).await?;
        scene.hub.permit_snapshot_by_hand(&snapshot, &after.id).await?;

        for tag in ["ami-share:with", "ami-share:copy"] {
            scene.hub.untag(&image, tag).await?;
        }
        scene.hub.status(&image, |status| status == UNTAGGED).await?;
        let mut by_hand = [before.id.clone(), both.id.clone(), after.id.clone()];
        by_hand.sort();
        assert_eq!(scene.hub.launch_permissions(&image).await?, by_hand);
        assert_eq!(scene.hub.snapshot_permissions(&snapshot).await?, by_hand);
        assert!(!b.sees(&image).await? && launches(&before, &image).await? && launches(&both, &image).await?);
        Ok(())
    })
}

#[test]
fn an_account_that_was_granted_by_hand_and_leaves_the_tag_loses_the_key_and_keeps_its_permission()
-> Result<()> {
    flow(async |scene| {
        let (b, by_hand) = (scene.member("b").await?, scene.member("by-hand").await?);
        let golden = scene.golden("half-by-hand").await?;
        scene.hub.permit_by_hand(&golden.image, &by_hand.id).await?;
        scene.share(&golden.image, &format!("{} {}", b.id, by_hand.id)).await?;
        assert!(launches(&by_hand, &golden.image).await?);

        scene.share_until_status(&golden.image, &b.id, "shared with 1 account").await?;
        assert!(by_hand.sees(&golden.image).await?);
        assert_eq!(launch(&by_hand, &golden.image).await?, Launch::Failed("Client.InternalError".to_owned()));
        assert_eq!(ours(&scene.hub.key_policy(&golden.key).await?)?, for_accounts(&[&b.id]));
        Ok(())
    })
}

#[test]
fn a_key_stays_open_while_another_image_needs_it_and_closes_with_the_last_one() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let golden = scene.golden("first-of-key").await?;
        let before = scene.hub.key_policy(&golden.key).await?;
        let second = scene.image_on("second-of-key", &golden.key).await?;
        for image in [&golden.image, &second] {
            scene.share(image, &b.id).await?;
        }
        scene.hub.untag(&golden.image, "ami-share:with").await?;
        scene.hub.status(&golden.image, |status| status == UNTAGGED).await?;
        assert!(!b.sees(&golden.image).await?);
        assert!(launches(&b, &second).await?);

        scene.hub.untag(&second, "ami-share:with").await?;
        scene.hub.status(&second, |status| status == UNTAGGED).await?;
        assert!(!b.sees(&second).await? && !b.may_use_key(&golden.key).await?);
        let after = scene.hub.key_policy(&golden.key).await?;
        assert_eq!(without_whitespace(&after), without_whitespace(&before));
        Ok(())
    })
}

#[test]
fn two_images_that_lose_the_same_account_at_once_leave_the_key_closed() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let golden = scene.golden("first-at-once").await?;
        let second = scene.image_on("second-at-once", &golden.key).await?;
        for image in [&golden.image, &second] {
            scene.share(image, &b.id).await?;
        }
        tokio::try_join!(
            scene.hub.untag(&golden.image, "ami-share:with"),
            scene.hub.untag(&second, "ami-share:with")
        )?;
        for image in [&golden.image, &second] {
            scene.hub.status(image, |status| status == UNTAGGED).await?;
        }
        assert_has_nothing(scene, &b, &golden).await?;
        Ok(())
    })
}

#[test]
fn an_ou_and_an_organization_lose_what_they_were_given() -> Result<()> {
    flow(async |scene| {
        let ou = scene.ou("losing", &scene.root).await?;
        let nested = scene.ou("nested", &ou).await?;
        let (inside, outside) =
            (scene.member_in("inside", &nested).await?, scene.member_in("outside", &scene.root).await?);
        for (words, status, losing) in
            [(ou.as_str(), "shared with 1 OU", &inside), ("org", "shared with 1 organization", &outside)]
        {
            let golden = scene.golden("wide").await?;
            let before = scene.hub.key_policy(&golden.key).await?;
            let tags = [("ami-share:with", words), ("ami-share:copy", "allowed")];
            scene.hub.tag(&golden.image, &tags).await?;
            assert_eq!(scene.hub.status(&golden.image, |_| true).await?, status);
            assert_has_all(scene, losing, &golden).await?;
            for tag in ["ami-share:with", "ami-share:copy"] {
                scene.hub.untag(&golden.image, tag).await?;
            }
            scene.hub.status(&golden.image, |status| status == UNTAGGED).await?;
            assert_has_nothing(scene, losing, &golden).await?;
            assert!(scene.hub.launch_permissions(&golden.image).await?.is_empty());
            assert_eq!(open_to(scene, &golden).await?, [""; 0]);
            let after = scene.hub.key_policy(&golden.key).await?;
            assert_eq!(without_whitespace(&after), without_whitespace(&before));
        }
        Ok(())
    })
}

#[test]
fn an_account_whose_share_becomes_its_ous_is_never_without_access() -> Result<()> {
    flow(async |scene| {
        let ou = scene.ou("changing", &scene.root).await?;
        let b = scene.member_in("b", &ou).await?;
        let queue = b.listen().await?;
        let golden = shared_with_copy(scene, "changing", &b.id).await?;
        let is_over = AtomicBool::new(false);
        let change = async {
            scene.share_until_status(&golden.image, &ou, "shared with 1 OU").await?;
            scene.share_until_status(&golden.image, &b.id, "shared with 1 account").await?;
            is_over.store(true, Ordering::Relaxed);
            anyhow::Ok(())
        };
        let go_on_using = async {
            while !is_over.load(Ordering::Relaxed) {
                assert_has_all(scene, &b, &golden).await?;
            }
            Ok(())
        };
        tokio::try_join!(change, go_on_using)?;
        assert_eq!(scene.hub.launch_permissions(&golden.image).await?, [b.id.as_str()]);
        assert_eq!(ours(&scene.hub.key_policy(&golden.key).await?)?, for_accounts(&[&b.id]));
        // It has access as before, so there is nothing to tell it.
        let heard = crate::notices::heard_by_now(scene, &b, &queue, &b.id, &golden.image).await?;
        assert_eq!(kinds(&heard), ["AMI Shared"]);
        Ok(())
    })
}

#[test]
fn the_image_is_closed_first_then_its_snapshots_then_the_key_and_only_then_is_it_told() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let key = scene.hub.create_key().await?;
        let image = scene.hub.image(&scene.name("in-order"), &[&key, &key]).await?;
        let snapshots = scene.hub.snapshots_of(&image).await?;
        let name = scene.name("order");
        let pattern = json!({ "detail": { "requestParameters": { "$or": [
            { "imageId": [image] }, { "snapshotId": snapshots }, { "keyId": [key] } ] } } });
        let queue = scene.hub.watch("default", &name, &pattern).await?;
        scene.hub.watch("ami-share", &name, &json!({ "detail": { "image_id": [image] } })).await?;
        scene.hub.tag(&image, &[("ami-share:with", &b.id), ("ami-share:copy", "allowed")]).await?;
        scene.hub.status(&image, |status| status == "shared with 1 account").await?;
        // Events come in their order: with this notice, all that was done to share the image has been told.
        heard_until(&scene.hub, &queue, &image).await?;
        scene.hub.untag(&image, "ami-share:with").await?;

        let heard = heard_until(&scene.hub, &queue, &image).await?;
        let named = |event: &Value| {
            let call = event.pointer("/detail/eventName").or(event.get("detail-type"));
            call.and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let order: Vec<String> = heard.iter().map(named).collect();
        let snapshots = ["ModifySnapshotAttribute"; 2];
        assert_eq!(
            order,
            [&["ModifyImageAttribute"], &snapshots[..], &["PutKeyPolicy", "AMI Unshared"]].concat()
        );
        Ok(())
    })
}

#[test]
fn a_key_whose_tag_is_gone_is_not_written_which_is_said_until_the_tag_is_back() -> Result<()> {
    flow(async |scene| {
        let (b, c) = (scene.member("b").await?, scene.member("c").await?);
        let golden = scene.golden("unmanaged-key").await?;
        let before = scene.hub.key_policy(&golden.key).await?;
        scene.share(&golden.image, &format!("{} {}", b.id, c.id)).await?;
        scene.hub.forbid_key_to_be_managed(&golden.key).await?;
        let policy = scene.hub.key_policy(&golden.key).await?;
        scene.hub.untag(&golden.image, "ami-share:with").await?;

        let status = scene.hub.status(&golden.image, |status| status.starts_with("not shared")).await?;
        assert!(status.starts_with(&format!("{UNTAGGED}; refused: ")), "{status}");
        let mut names = [b.id.as_str(), c.id.as_str()];
        names.sort_unstable();
        assert!(status.contains(&format!("still admits {}: ", names.join(", "))), "{status}");
        let (state, cause) = scene.hub.look(&golden.image).await?;
        assert_eq!(state, "FAILED");
        assert!(cause.contains("still admits"), "{cause}");
        assert_eq!(scene.hub.key_policy(&golden.key).await?, policy);
        assert!(!b.sees(&golden.image).await?);

        scene.hub.let_key_be_managed(&golden.key).await?;
        assert_eq!(scene.hub.look(&golden.image).await?.0, "SUCCEEDED");
        scene.hub.status(&golden.image, |status| status == UNTAGGED).await?;
        let after = scene.hub.key_policy(&golden.key).await?;
        assert_eq!(without_whitespace(&after), without_whitespace(&before));
        Ok(())
    })
}

#[test]
fn a_disabled_key_is_closed_all_the_same() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let golden = scene.golden("disabled-key").await?;
        scene.share(&golden.image, &b.id).await?;
        scene.hub.kms.disable_key().key_id(&golden.key).send().await?;
        scene.hub.untag(&golden.image, "ami-share:with").await?;
        scene.hub.status(&golden.image, |status| status == UNTAGGED).await?;
        assert_eq!(ours(&scene.hub.key_policy(&golden.key).await?)?, [json!(null); 0]);
        scene.hub.kms.enable_key().key_id(&golden.key).send().await?;
        assert!(!b.may_use_key(&golden.key).await?);
        Ok(())
    })
}

#[test]
fn a_key_that_is_gone_holds_up_no_withdrawal() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let golden = scene.golden("lost-key").await?;
        scene.share(&golden.image, &b.id).await?;
        let gone = format!("{}00000000-0000-0000-0000-000000000000", &golden.key[..golden.key.len() - 36]);
        scene.hub.remember_key(&golden.image, &gone, &b.id).await?;
        scene.hub.untag(&golden.image, "ami-share:with").await?;
        scene.hub.status(&golden.image, |status| status == UNTAGGED).await?;
        assert_has_nothing(scene, &b, &golden).await?;
        assert_eq!(scene.hub.look(&golden.image).await?.0, "SUCCEEDED");
        assert!(scene.hub.ledger(&format!("KEY#{gone}")).await?.is_empty());
        Ok(())
    })
}

#[test]
fn an_allowed_outsider_loses_what_it_was_given() -> Result<()> {
    flow(async |scene| {
        let partner = scene.hub.assume("333333333333").await?;
        let golden = scene.golden("outsider-leaves").await?;
        let tags = [("ami-share:with", partner.id.as_str()), ("ami-share:until", "2099-12-31")];
        scene.hub.tag(&golden.image, &tags).await?;
        scene.hub.status(&golden.image, |status| status.starts_with("shared with 1 account")).await?;
        assert!(launches(&partner, &golden.image).await?);
        for tag in ["ami-share:with", "ami-share:until"] {
            scene.hub.untag(&golden.image, tag).await?;
        }
        scene.hub.status(&golden.image, |status| status == UNTAGGED).await?;
        assert_has_nothing(scene, &partner, &golden).await?;
        Ok(())
    })
}

#[test]
fn an_account_that_was_closed_since_is_withdrawn_and_refused() -> Result<()> {
    flow(async |scene| {
        let (b, closed) = (scene.member("b").await?, scene.member("closed").await?);
        let bus = on_the_bus(scene).await?;
        let golden = scene.golden("closed-since").await?;
        scene.share(&golden.image, &format!("{} {}", b.id, closed.id)).await?;
        heard_until(&scene.hub, &bus, &golden.image).await?;
        scene.hub.close_account(&closed.id).await?;
        scene.hub.look(&golden.image).await?;

        let reason = format!("account {} is closed or suspended; remove it from the tag", closed.id);
        let expected = format!("shared with 1 account; refused: {reason}");
        scene.hub.status(&golden.image, |status| status == expected).await?;
        assert_eq!(scene.hub.launch_permissions(&golden.image).await?, [b.id.as_str()]);
        assert_eq!(ours(&scene.hub.key_policy(&golden.key).await?)?, for_accounts(&[&b.id]));
        scene.hub.look(&golden.image).await?;
        let heard = crate::notices::heard_by_now(scene, &scene.hub, &bus, &b.id, &golden.image).await?;
        let of_closed: Vec<Value> =
            heard.into_iter().filter(|notice| notice["detail"]["target"] == closed.id.as_str()).collect();
        let after_sharing: Vec<&str> =
            kinds(&of_closed).into_iter().filter(|kind| *kind != "AMI Shared").collect();
        assert_eq!(after_sharing, ["AMI Unshared", "AMI Share Refused"]);
        assert!(of_closed.iter().rev().take(2).all(|notice| notice["detail"]["reason"] == reason.as_str()));
        Ok(())
    })
}

/// An image whose targets may copy it.
pub async fn shared_with_copy(scene: &Scene, what: &str, words: &str) -> Result<Golden> {
    let golden = scene.golden(what).await?;
    scene.hub.tag(&golden.image, &[("ami-share:with", words), ("ami-share:copy", "allowed")]).await?;
    scene.hub.status(&golden.image, |_| true).await?;
    Ok(golden)
}

async fn snapshots_close(scene: &Scene, golden: &Golden) -> Result<()> {
    let closed = async || Ok(open_to(scene, golden).await?.is_empty().then_some(()));
    scene.hub.until("the snapshots are closed", closed).await
}

async fn sees_snapshot(account: &Account, snapshot: &str) -> bool {
    account.ec2.describe_snapshots().snapshot_ids(snapshot).send().await.is_ok()
}

/// An account may launch and copy an image that is shared with copying allowed.
pub async fn assert_has_all(scene: &Scene, account: &Account, golden: &Golden) -> Result<()> {
    assert!(launches(account, &golden.image).await?);
    copies(account, scene, golden).await?;
    Ok(())
}

/// An account neither sees nor launches nor copies an image, and may not use its key.
pub async fn assert_has_nothing(scene: &Scene, account: &Account, golden: &Golden) -> Result<()> {
    assert!(!account.sees(&golden.image).await?);
    assert!(!launches(account, &golden.image).await?);
    assert!(copies(account, scene, golden).await.is_err());
    assert!(!account.may_use_key(&golden.key).await?);
    Ok(())
}

//! ami-share revokes exactly the managed access: on the image first, then on its snapshots, then on the key.

use std::sync::atomic::{AtomicBool, Ordering};

use ami_share_tests::launch::{Launch, launch};
use ami_share_tests::world::Account;
use anyhow::Result;
use serde_json::{Value, json};

use crate::access::launches;
use crate::fixture::{Fixture, Golden, flow};
use crate::notifications::{about, kinds, on_the_bus, received_until};
use crate::policy::{for_accounts, managed, without_whitespace};
use crate::snapshots::{copies, granted_to};

/// The status of an image whose ami-share: tags were removed.
pub const UNTAGGED: &str = "not shared: the image has no ami-share: tags any more";

#[test]
fn an_account_removed_from_the_tag_cannot_see_launch_or_copy_and_the_other_still_can() -> Result<()> {
    flow(async |fixture| {
        let (b, c) = (fixture.target_account("b").await?, fixture.target_account("c").await?);
        let golden = fixture.golden("one-of-two").await?;
        let tags = [("ami-share:with", &*format!("{} {}", b.id, c.id)), ("ami-share:copy", "allowed")];
        fixture.hub.tag(&golden.image, &tags).await?;
        fixture.hub.status(&golden.image, |status| status == "shared with 2 accounts").await?;
        for account in [&b, &c] {
            assert_has_all(fixture, account, &golden).await?;
        }

        fixture.share_until_status(&golden.image, &c.id, "shared with 1 account").await?;
        assert_has_nothing(fixture, &b, &golden).await?;
        assert_has_all(fixture, &c, &golden).await?;
        assert_eq!(fixture.hub.launch_permissions(&golden.image).await?, [c.id.as_str()]);
        assert_eq!(granted_to(fixture, &golden).await?, [c.id.as_str()]);
        assert_eq!(managed(&fixture.hub.key_policy(&golden.key).await?)?, for_accounts(&[&c.id]));
        Ok(())
    })
}

#[test]
fn removing_the_tag_revokes_all_access_and_restores_the_key_policy() -> Result<()> {
    flow(async |fixture| {
        let (b, c) = (fixture.target_account("b").await?, fixture.target_account("c").await?);
        let golden = fixture.golden("untagged").await?;
        // No program would format a policy like this, and all of it must be restored.
        let policy = r#"{ "Version" : "2012-10-17", "Id": "d\u00e9j\u00E0 \"vu\" {}",
            "Statement": [
                {"Resource": "*", "Effect": "Allow", "Action": ["kms:*"],
                 "Principal": {"AWS": ["arn:aws:iam::111122223333:root"]}, "Sid": "Enable  IAM User Permissions"},
                {"Sid": "", "Effect": "Deny", "Principal": "*", "Action": "kms:Encrypt", "Resource": "*",
                 "Condition": {"NumericLessThan": {"aws:MultiFactorAuthAge": 3.600e3}, "Bool": {"aws:SecureTransport": "false"}}} ] }"#;
        fixture.hub.put_key_policy(&golden.key, policy).await?;
        let before = fixture.hub.key_policy(&golden.key).await?;
        fixture.share(&golden.image, &format!("{} {}", b.id, c.id)).await?;
        assert!(launches(&b, &golden.image).await?);
        assert_ne!(
            without_whitespace(&fixture.hub.key_policy(&golden.key).await?),
            without_whitespace(&before)
        );

        fixture.hub.untag(&golden.image, "ami-share:with").await?;
        fixture.hub.status(&golden.image, |status| status == UNTAGGED).await?;
        for account in [&b, &c] {
            assert_has_nothing(fixture, account, &golden).await?;
        }
        assert!(fixture.hub.launch_permissions(&golden.image).await?.is_empty());
        let after = fixture.hub.key_policy(&golden.key).await?;
        assert_eq!(without_whitespace(&after), without_whitespace(&before));
        assert!(fixture.hub.ledger(&format!("KEY#{}", golden.key)).await?.is_empty());
        Ok(())
    })
}

#[test]
fn removing_the_copy_tag_revokes_only_the_snapshots() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let golden = shared_with_copy(fixture, "copy-removed", &b.id).await?;
        let policy = fixture.hub.key_policy(&golden.key).await?;
        fixture.hub.untag(&golden.image, "ami-share:copy").await?;
        until_snapshots_are_revoked(fixture, &golden).await?;
        fixture.hub.settled(&golden.image).await?;
        assert!(copies(&b, fixture, &golden).await.is_err());
        assert!(launches(&b, &golden.image).await?);
        assert_eq!(fixture.hub.key_policy(&golden.key).await?, policy);
        fixture.hub.status(&golden.image, |status| status == "shared with 1 account").await?;
        Ok(())
    })
}

#[test]
fn disabling_an_image_revokes_access_and_enabling_it_shares_and_notifies_again() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let queue = b.listen().await?;
        let golden = shared_with_copy(fixture, "disabled", &b.id).await?;
        fixture.hub.disable(&golden.image).await?;
        fixture.hub.status(&golden.image, |status| status == "not shared: the image is disabled").await?;
        assert_has_nothing(fixture, &b, &golden).await?;
        assert_eq!(granted_to(fixture, &golden).await?, [""; 0]);
        assert_eq!(managed(&fixture.hub.key_policy(&golden.key).await?)?, [json!(null); 0]);

        fixture.hub.enable(&golden.image).await?;
        fixture.hub.status(&golden.image, |status| status == "shared with 1 account").await?;
        assert_has_all(fixture, &b, &golden).await?;
        let received =
            crate::notifications::received_by_now(fixture, &b, &queue, &b.id, &golden.image).await?;
        assert_eq!(kinds(&received), ["AMI Shared", "AMI Unshared", "AMI Shared"]);
        Ok(())
    })
}

#[test]
fn deregistering_an_image_revokes_access_to_its_snapshots_and_key() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let key = fixture.hub.create_key().await?;
        let before = fixture.hub.key_policy(&key).await?;
        let image = fixture.image_on("deregistered", &key).await?;
        let bus = on_the_bus(fixture).await?;
        fixture.hub.tag(&image, &[("ami-share:with", &b.id), ("ami-share:copy", "allowed")]).await?;
        fixture.hub.status(&image, |status| status == "shared with 1 account").await?;
        let snapshot = fixture.hub.snapshots_of(&image).await?.remove(0);
        assert!(sees_snapshot(&b, &snapshot).await && b.may_use_key(&key).await?);
        let received = received_until(&fixture.hub, &bus, &image).await?;
        assert_eq!(about(&received, &image)[0]["detail-type"], "AMI Shared");
        fixture.hub.deregister(&image).await?;

        let received = received_until(&fixture.hub, &bus, &image).await?;
        let notified = about(&received, &image);
        assert_eq!(notified[0]["detail-type"], "AMI Unshared");
        assert_eq!(notified[0]["detail"]["reason"], "the image was deregistered");
        assert!(!sees_snapshot(&b, &snapshot).await && !b.may_use_key(&key).await?);
        assert_eq!(fixture.hub.snapshot_permissions(&snapshot).await?, [""; 0]);
        assert_eq!(without_whitespace(&fixture.hub.key_policy(&key).await?), without_whitespace(&before));
        // The image is no longer on the list of managed images, so no review compares it.
        fixture.hub.settled(&image).await?;
        assert_eq!(fixture.hub.ledger(&format!("IMAGE#{image}")).await?["INTENT"].get("managed"), None);
        Ok(())
    })
}

#[test]
fn unmanaged_access_granted_before_or_after_sharing_stays() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let (before, both, after) = (
            fixture.target_account("before").await?,
            fixture.target_account("both").await?,
            fixture.target_account("after").await?,
        );
        let image = fixture.image("out-of-band").await?;
        let snapshot = fixture.hub.snapshots_of(&image).await?.remove(0);
        for account in [&before, &both] {
            fixture.hub.grant_out_of_band(&image, &account.id).await?;
            fixture.hub.grant_snapshot_out_of_band(&snapshot, &account.id).await?;
        }
        let selectors = format!("{} {}", b.id, both.id);
        fixture.hub.tag(&image, &[("ami-share:with", &selectors), ("ami-share:copy", "allowed")]).await?;
        fixture.hub.status(&image, |status| status == "shared with 2 accounts").await?;
        fixture.hub.grant_out_of_band(&image, &after.id).await?;
        fixture.hub.grant_snapshot_out_of_band(&snapshot, &after.id).await?;

        for tag in ["ami-share:with", "ami-share:copy"] {
            fixture.hub.untag(&image, tag).await?;
        }
        fixture.hub.status(&image, |status| status == UNTAGGED).await?;
        let mut out_of_band = [before.id.clone(), both.id.clone(), after.id.clone()];
        out_of_band.sort();
        assert_eq!(fixture.hub.launch_permissions(&image).await?, out_of_band);
        assert_eq!(fixture.hub.snapshot_permissions(&snapshot).await?, out_of_band);
        assert!(!b.sees(&image).await? && launches(&before, &image).await? && launches(&both, &image).await?);
        Ok(())
    })
}

#[test]
fn an_unmanaged_account_removed_from_the_tag_loses_the_key_and_keeps_its_launch_permission() -> Result<()> {
    flow(async |fixture| {
        let (b, out_of_band) =
            (fixture.target_account("b").await?, fixture.target_account("out-of-band").await?);
        let golden = fixture.golden("partly-unmanaged").await?;
        fixture.hub.grant_out_of_band(&golden.image, &out_of_band.id).await?;
        fixture.share(&golden.image, &format!("{} {}", b.id, out_of_band.id)).await?;
        assert!(launches(&out_of_band, &golden.image).await?);

        fixture.share_until_status(&golden.image, &b.id, "shared with 1 account").await?;
        assert!(out_of_band.sees(&golden.image).await?);
        assert_eq!(
            launch(&out_of_band, &golden.image).await?,
            Launch::Failed("Client.InternalError".to_owned())
        );
        assert_eq!(managed(&fixture.hub.key_policy(&golden.key).await?)?, for_accounts(&[&b.id]));
        Ok(())
    })
}

#[test]
fn a_key_keeps_its_grant_until_the_last_image_that_needs_it_is_revoked() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let golden = fixture.golden("first-of-key").await?;
        let before = fixture.hub.key_policy(&golden.key).await?;
        let second = fixture.image_on("second-of-key", &golden.key).await?;
        for image in [&golden.image, &second] {
            fixture.share(image, &b.id).await?;
        }
        fixture.hub.untag(&golden.image, "ami-share:with").await?;
        fixture.hub.status(&golden.image, |status| status == UNTAGGED).await?;
        assert!(!b.sees(&golden.image).await?);
        assert!(launches(&b, &second).await?);

        fixture.hub.untag(&second, "ami-share:with").await?;
        fixture.hub.status(&second, |status| status == UNTAGGED).await?;
        assert!(!b.sees(&second).await? && !b.may_use_key(&golden.key).await?);
        let after = fixture.hub.key_policy(&golden.key).await?;
        assert_eq!(without_whitespace(&after), without_whitespace(&before));
        Ok(())
    })
}

#[test]
fn two_images_that_lose_the_same_account_at_once_revoke_it_from_the_key() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let golden = fixture.golden("first-at-once").await?;
        let second = fixture.image_on("second-at-once", &golden.key).await?;
        for image in [&golden.image, &second] {
            fixture.share(image, &b.id).await?;
        }
        tokio::try_join!(
            fixture.hub.untag(&golden.image, "ami-share:with"),
            fixture.hub.untag(&second, "ami-share:with")
        )?;
        for image in [&golden.image, &second] {
            fixture.hub.status(image, |status| status == UNTAGGED).await?;
        }
        assert_has_nothing(fixture, &b, &golden).await?;
        Ok(())
    })
}

#[test]
fn an_ou_and_an_organization_lose_their_access_on_revocation() -> Result<()> {
    flow(async |fixture| {
        let ou = fixture.ou("losing", &fixture.root).await?;
        let nested = fixture.ou("nested", &ou).await?;
        let (inside, outside) = (
            fixture.account_in("inside", &nested).await?,
            fixture.account_in("outside", &fixture.root).await?,
        );
        for (selectors, status, losing) in
            [(ou.as_str(), "shared with 1 OU", &inside), ("org", "shared with 1 organization", &outside)]
        {
            let golden = fixture.golden("wide").await?;
            let before = fixture.hub.key_policy(&golden.key).await?;
            let tags = [("ami-share:with", selectors), ("ami-share:copy", "allowed")];
            fixture.hub.tag(&golden.image, &tags).await?;
            assert_eq!(fixture.hub.status(&golden.image, |_| true).await?, status);
            assert_has_all(fixture, losing, &golden).await?;
            for tag in ["ami-share:with", "ami-share:copy"] {
                fixture.hub.untag(&golden.image, tag).await?;
            }
            fixture.hub.status(&golden.image, |status| status == UNTAGGED).await?;
            assert_has_nothing(fixture, losing, &golden).await?;
            assert!(fixture.hub.launch_permissions(&golden.image).await?.is_empty());
            assert_eq!(granted_to(fixture, &golden).await?, [""; 0]);
            let after = fixture.hub.key_policy(&golden.key).await?;
            assert_eq!(without_whitespace(&after), without_whitespace(&before));
        }
        Ok(())
    })
}

#[test]
fn an_account_whose_share_becomes_its_ous_is_never_without_access() -> Result<()> {
    flow(async |fixture| {
        let ou = fixture.ou("changing", &fixture.root).await?;
        let b = fixture.account_in("b", &ou).await?;
        let queue = b.listen().await?;
        let golden = shared_with_copy(fixture, "changing", &b.id).await?;
        let is_over = AtomicBool::new(false);
        let change = async {
            fixture.share_until_status(&golden.image, &ou, "shared with 1 OU").await?;
            fixture.share_until_status(&golden.image, &b.id, "shared with 1 account").await?;
            is_over.store(true, Ordering::Relaxed);
            anyhow::Ok(())
        };
        let keep_using = async {
            while !is_over.load(Ordering::Relaxed) {
                assert_has_all(fixture, &b, &golden).await?;
            }
            Ok(())
        };
        tokio::try_join!(change, keep_using)?;
        assert_eq!(fixture.hub.launch_permissions(&golden.image).await?, [b.id.as_str()]);
        assert_eq!(managed(&fixture.hub.key_policy(&golden.key).await?)?, for_accounts(&[&b.id]));
        // The account is not notified: its access is as before.
        let received =
            crate::notifications::received_by_now(fixture, &b, &queue, &b.id, &golden.image).await?;
        assert_eq!(kinds(&received), ["AMI Shared"]);
        Ok(())
    })
}

#[test]
fn a_revocation_goes_image_snapshots_key_and_then_the_notification() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let key = fixture.hub.create_key().await?;
        let image = fixture.hub.image(&fixture.name("in-order"), &[&key, &key]).await?;
        let snapshots = fixture.hub.snapshots_of(&image).await?;
        let name = fixture.name("order");
        let pattern = json!({ "detail": { "requestParameters": { "$or": [
            { "imageId": [image] }, { "snapshotId": snapshots }, { "keyId": [key] } ] } } });
        let queue = fixture.hub.watch("default", &name, &pattern).await?;
        fixture.hub.watch("ami-share", &name, &json!({ "detail": { "image_id": [image] } })).await?;
        fixture.hub.tag(&image, &[("ami-share:with", &b.id), ("ami-share:copy", "allowed")]).await?;
        fixture.hub.status(&image, |status| status == "shared with 1 account").await?;
        // Events arrive in their order, so the events of all calls that shared the image are in the queue before this
        // one.
        received_until(&fixture.hub, &queue, &image).await?;
        fixture.hub.untag(&image, "ami-share:with").await?;

        let received = received_until(&fixture.hub, &queue, &image).await?;
        let name_of = |event: &Value| {
            let call = event.pointer("/detail/eventName").or(event.get("detail-type"));
            call.and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let order: Vec<String> = received.iter().map(name_of).collect();
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
    flow(async |fixture| {
        let (b, c) = (fixture.target_account("b").await?, fixture.target_account("c").await?);
        let golden = fixture.golden("unmanaged-key").await?;
        let before = fixture.hub.key_policy(&golden.key).await?;
        fixture.share(&golden.image, &format!("{} {}", b.id, c.id)).await?;
        fixture.hub.untag_key_managed(&golden.key).await?;
        let policy = fixture.hub.key_policy(&golden.key).await?;
        fixture.hub.untag(&golden.image, "ami-share:with").await?;

        let status = fixture.hub.status(&golden.image, |status| status.starts_with("not shared")).await?;
        assert!(status.starts_with(&format!("{UNTAGGED}; refused: ")), "{status}");
        let mut names = [b.id.as_str(), c.id.as_str()];
        names.sort_unstable();
        assert!(
            status.contains(&format!("still allows {}, whose access was revoked: ", names.join(", "))),
            "{status}"
        );
        let (state, cause) = fixture.hub.reconcile(&golden.image).await?;
        assert_eq!(state, "FAILED");
        assert!(cause.contains("still allows"), "{cause}");
        assert_eq!(fixture.hub.key_policy(&golden.key).await?, policy);
        assert!(!b.sees(&golden.image).await?);

        fixture.hub.tag_key_managed(&golden.key).await?;
        assert_eq!(fixture.hub.reconcile(&golden.image).await?.0, "SUCCEEDED");
        fixture.hub.status(&golden.image, |status| status == UNTAGGED).await?;
        let after = fixture.hub.key_policy(&golden.key).await?;
        assert_eq!(without_whitespace(&after), without_whitespace(&before));
        Ok(())
    })
}

#[test]
fn access_to_a_disabled_key_is_revoked_all_the_same() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let golden = fixture.golden("disabled-key").await?;
        fixture.share(&golden.image, &b.id).await?;
        fixture.hub.kms.disable_key().key_id(&golden.key).send().await?;
        fixture.hub.untag(&golden.image, "ami-share:with").await?;
        fixture.hub.status(&golden.image, |status| status == UNTAGGED).await?;
        assert_eq!(managed(&fixture.hub.key_policy(&golden.key).await?)?, [json!(null); 0]);
        fixture.hub.kms.enable_key().key_id(&golden.key).send().await?;
        assert!(!b.may_use_key(&golden.key).await?);
        Ok(())
    })
}

#[test]
fn a_deleted_key_does_not_block_a_revocation() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let golden = fixture.golden("lost-key").await?;
        fixture.share(&golden.image, &b.id).await?;
        let gone = format!("{}00000000-0000-0000-0000-000000000000", &golden.key[..golden.key.len() - 36]);
        fixture.hub.record_key_need(&golden.image, &gone, &b.id).await?;
        fixture.hub.untag(&golden.image, "ami-share:with").await?;
        fixture.hub.status(&golden.image, |status| status == UNTAGGED).await?;
        assert_has_nothing(fixture, &b, &golden).await?;
        assert_eq!(fixture.hub.reconcile(&golden.image).await?.0, "SUCCEEDED");
        assert!(fixture.hub.ledger(&format!("KEY#{gone}")).await?.is_empty());
        Ok(())
    })
}

#[test]
fn an_allowed_external_account_loses_its_access_on_revocation() -> Result<()> {
    flow(async |fixture| {
        let partner = fixture.hub.assume("333333333333").await?;
        let golden = fixture.golden("external").await?;
        let tags = [("ami-share:with", partner.id.as_str()), ("ami-share:until", "2099-12-31")];
        fixture.hub.tag(&golden.image, &tags).await?;
        fixture.hub.status(&golden.image, |status| status.starts_with("shared with 1 account")).await?;
        assert!(launches(&partner, &golden.image).await?);
        for tag in ["ami-share:with", "ami-share:until"] {
            fixture.hub.untag(&golden.image, tag).await?;
        }
        fixture.hub.status(&golden.image, |status| status == UNTAGGED).await?;
        assert_has_nothing(fixture, &partner, &golden).await?;
        Ok(())
    })
}

#[test]
fn an_account_closed_after_sharing_is_revoked_and_refused() -> Result<()> {
    flow(async |fixture| {
        let (b, closed) = (fixture.target_account("b").await?, fixture.target_account("closed").await?);
        let bus = on_the_bus(fixture).await?;
        let golden = fixture.golden("closed-since").await?;
        fixture.share(&golden.image, &format!("{} {}", b.id, closed.id)).await?;
        received_until(&fixture.hub, &bus, &golden.image).await?;
        fixture.hub.close_account(&closed.id).await?;
        fixture.hub.reconcile(&golden.image).await?;

        let reason = format!("{}: the account is closed or suspended; remove it from the tag", closed.id);
        let expected = format!("shared with 1 account; refused: {reason}");
        fixture.hub.status(&golden.image, |status| status == expected).await?;
        assert_eq!(fixture.hub.launch_permissions(&golden.image).await?, [b.id.as_str()]);
        assert_eq!(managed(&fixture.hub.key_policy(&golden.key).await?)?, for_accounts(&[&b.id]));
        fixture.hub.reconcile(&golden.image).await?;
        let received =
            crate::notifications::received_by_now(fixture, &fixture.hub, &bus, &b.id, &golden.image).await?;
        let of_revoked: Vec<Value> = received
            .into_iter()
            .filter(|notification| notification["detail"]["target"] == closed.id.as_str())
            .collect();
        let after_sharing: Vec<&str> =
            kinds(&of_revoked).into_iter().filter(|kind| *kind != "AMI Shared").collect();
        assert_eq!(after_sharing, ["AMI Unshared", "AMI Share Refused"]);
        assert!(
            of_revoked
                .iter()
                .rev()
                .take(2)
                .all(|notification| notification["detail"]["reason"] == reason.as_str())
        );
        Ok(())
    })
}

/// A new encrypted image that is shared, with copying allowed.
pub async fn shared_with_copy(fixture: &Fixture, what: &str, selectors: &str) -> Result<Golden> {
    let golden = fixture.golden(what).await?;
    fixture.hub.tag(&golden.image, &[("ami-share:with", selectors), ("ami-share:copy", "allowed")]).await?;
    fixture.hub.status(&golden.image, |_| true).await?;
    Ok(golden)
}

async fn until_snapshots_are_revoked(fixture: &Fixture, golden: &Golden) -> Result<()> {
    let are_revoked = async || Ok(granted_to(fixture, golden).await?.is_empty().then_some(()));
    fixture.hub.until("the snapshots are revoked", are_revoked).await
}

async fn sees_snapshot(account: &Account, snapshot: &str) -> bool {
    account.ec2.describe_snapshots().snapshot_ids(snapshot).send().await.is_ok()
}

/// Checks that an account launches and copies an image.
pub async fn assert_has_all(fixture: &Fixture, account: &Account, golden: &Golden) -> Result<()> {
    assert!(launches(account, &golden.image).await?);
    copies(account, fixture, golden).await?;
    Ok(())
}

/// Checks that an account neither sees nor launches nor copies an image, and may not use its key.
pub async fn assert_has_nothing(fixture: &Fixture, account: &Account, golden: &Golden) -> Result<()> {
    assert!(!account.sees(&golden.image).await?);
    assert!(!launches(account, &golden.image).await?);
    assert!(copies(account, fixture, golden).await.is_err());
    assert!(!account.may_use_key(&golden.key).await?);
    Ok(())
}

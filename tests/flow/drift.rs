//! Out-of-band changes: managed access that was removed is restored, unmanaged access stays, and each is reported once
//! with the principal that made the change.
//!
//! Only the reconciliation that the event of the change started knows that principal. So these tests use a stack on
//! which no other test starts a review, or run alone.

use ami_share_tests::world::Account;
use anyhow::Result;
use serde_json::{Value, json};

use crate::access::launches;
use crate::fixture::{Fixture, flow, flow_alone};
use crate::membership::{copyable, notified_until};
use crate::notifications::{kinds, on_the_bus, received_by_now};
use crate::policy::{for_accounts, foreign, managed};
use crate::snapshots::{copies, granted_to};

#[test]
fn a_launch_permission_removed_out_of_band_is_restored_and_reported_with_the_principal() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let (queue, bus) = (b.listen().await?, on_the_bus(fixture).await?);
        let (person, arn) = fixture.hub.person("jane").await?;
        let golden = fixture.golden("drifted").await?;
        fixture.share(&golden.image, &b.id).await?;
        fixture.await_reconciliations(&golden.image, 1).await?;

        person.revoke_out_of_band(&golden.image, &b.id).await?;
        let notified = notified_until(&fixture.hub, &bus, &golden.image, "AMI Share Restored").await?;
        assert_eq!(kinds(&notified), ["AMI Shared", "AMI Share Restored"]);
        assert_eq!(notified[1]["detail"]["target"], b.id);
        assert_eq!(notified[1]["detail"]["changed_by"], arn);
        assert!(launches(&b, &golden.image).await?);
        // The account is not notified: its access is as before.
        let notified = received_by_now(fixture, &b, &queue, &b.id, &golden.image).await?;
        assert_eq!(kinds(&notified), ["AMI Shared"]);
        fixture.hub.status(&golden.image, |status| status == "shared with 1 account").await?;
        Ok(())
    })
}

#[test]
fn a_snapshot_permission_removed_out_of_band_is_restored_and_reported_with_the_principal() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let bus = on_the_bus(fixture).await?;
        let (person, arn) = fixture.hub.person("john").await?;
        let golden = copyable(fixture, "drifted-snapshot", &b.id).await?;
        fixture.await_reconciliations(&golden.image, 1).await?;
        let snapshot = fixture.hub.snapshots_of(&golden.image).await?.remove(0);

        person.revoke_snapshot_out_of_band(&snapshot, &b.id).await?;
        let notified = notified_until(&fixture.hub, &bus, &golden.image, "AMI Share Restored").await?;
        let restored = notified.last().cloned().unwrap_or_default();
        assert_eq!(restored["detail"]["target"], b.id);
        assert_eq!(restored["detail"]["changed_by"], arn);
        copies(&b, fixture, &golden).await?;
        Ok(())
    })
}

#[test]
fn one_reconciliation_restores_a_key_policy_for_all_images_and_keeps_foreign_edits() -> Result<()> {
    flow_alone(async |fixture| {
        let (b, c) = (fixture.target_account("b").await?, fixture.target_account("c").await?);
        let bus = on_the_bus(fixture).await?;
        let (person, arn) = fixture.hub.person("jane").await?;
        let golden = fixture.golden("first-of-key").await?;
        let second = fixture.image_on("second-of-key", &golden.key).await?;
        fixture.share(&golden.image, &format!("{} {}", b.id, c.id)).await?;
        fixture.share(&second, &b.id).await?;
        fixture.hub.wait_until_idle().await?;
        let reconciliations = fixture.hub.executions().await?.len();

        let edited = r#"{ "Version":"2012-10-17",  "Statement":[
            {"Sid":"Mine","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"kms:*","Resource":"*"},
            {"Sid":"Théirs","Effect":"Deny","Principal":"*","Action":["kms:Sign"] ,"Resource":"*"} ]}"#;
        person.put_key_policy(&golden.key, edited).await?;
        let notified = notified_until(&fixture.hub, &bus, &golden.image, "AMI Share Restored").await?;
        let restored: Vec<&Value> = notified
            .iter()
            .filter(|notification| notification["detail-type"] == "AMI Share Restored")
            .collect();
        assert!(
            restored.iter().all(|notification| notification["detail"]["changed_by"] == arn.as_str()),
            "{restored:?}"
        );
        let policy = fixture.hub.key_policy(&golden.key).await?;
        assert_eq!(foreign(&policy)?, foreign(edited)?);
        assert_eq!(managed(&policy)?, for_accounts(&[&b.id, &c.id]));
        for image in [&golden.image, &second] {
            assert!(launches(&b, image).await?);
        }
        fixture.hub.wait_until_idle().await?;
        assert_eq!(fixture.hub.executions().await?.len() - reconciliations, 1);
        Ok(())
    })
}

#[test]
fn access_granted_out_of_band_is_left_and_reported_once_with_the_principal() -> Result<()> {
    flow(async |fixture| {
        let (b, c, d) = (
            fixture.target_account("b").await?,
            fixture.target_account("c").await?,
            fixture.target_account("d").await?,
        );
        let bus = on_the_bus(fixture).await?;
        let (person, arn) = fixture.hub.person("jane").await?;
        let golden = copyable(fixture, "unmanaged", &b.id).await?;
        // A reconciliation that another event started would report the access without its principal.
        fixture.await_reconciliations(&golden.image, 1).await?;
        let snapshot = fixture.hub.snapshots_of(&golden.image).await?.remove(0);

        person.grant_out_of_band(&golden.image, &c.id).await?;
        until_unmanaged(fixture, &golden.image, 1).await?;
        person.grant_snapshot_out_of_band(&snapshot, &c.id).await?;
        until_unmanaged(fixture, &golden.image, 2).await?;
        person.grant_out_of_band(&golden.image, &d.id).await?;
        until_unmanaged(fixture, &golden.image, 3).await?;
        fixture.hub.reconcile(&golden.image).await?;

        let received = received_by_now(fixture, &fixture.hub, &bus, &b.id, &golden.image).await?;
        let unmanaged: Vec<&Value> = received
            .iter()
            .filter(|notification| notification["detail-type"] == "AMI Access Unmanaged")
            .collect();
        let targets: Vec<&Value> =
            unmanaged.iter().map(|notification| &notification["detail"]["target"]).collect();
        assert_eq!(targets, [&json!(c.id), &json!(c.id), &json!(d.id)]);
        assert!(
            unmanaged.iter().all(|notification| notification["detail"]["changed_by"] == arn.as_str()),
            "{unmanaged:?}"
        );
        assert!(unmanaged[1]["detail"]["reason"].as_str().is_some_and(|why| why.starts_with(&snapshot)));
        let all = sorted([&b, &c, &d]);
        assert_eq!(fixture.hub.launch_permissions(&golden.image).await?, all);
        assert_eq!(granted_to(fixture, &golden).await?, sorted([&b, &c]));
        // The key still grants no unmanaged account: only a selector would do that.
        assert_eq!(managed(&fixture.hub.key_policy(&golden.key).await?)?, for_accounts(&[&b.id]));
        Ok(())
    })
}

#[test]
fn unmanaged_access_that_is_removed_and_granted_again_is_reported_again() -> Result<()> {
    flow(async |fixture| {
        let (b, c) = (fixture.target_account("b").await?, fixture.target_account("c").await?);
        let bus = on_the_bus(fixture).await?;
        let image = fixture.image("granted-twice").await?;
        fixture.share(&image, &b.id).await?;
        fixture.await_reconciliations(&image, 1).await?;
        for _ in 0..2 {
            fixture.hub.grant_out_of_band(&image, &c.id).await?;
            until_unmanaged(fixture, &image, 1).await?;
            fixture.hub.revoke_out_of_band(&image, &c.id).await?;
            until_unmanaged(fixture, &image, 0).await?;
        }
        let received = received_by_now(fixture, &fixture.hub, &bus, &b.id, &image).await?;
        assert_eq!(kinds(&received), ["AMI Shared", "AMI Access Unmanaged", "AMI Access Unmanaged"]);
        Ok(())
    })
}

#[test]
fn changes_by_ami_share_itself_start_no_reconciliation() -> Result<()> {
    flow_alone(async |fixture| {
        // The event of the new account would start a review, which this test does not count.
        fixture.hub.ignore_organization().await?;
        let b = fixture.target_account("b").await?;
        fixture.hub.wait_until_idle().await?;
        let reviews = fixture.hub.reviews().await?.len();
        let golden = copyable(fixture, "own-changes", &b.id).await?;
        for tag in ["ami-share:copy", "ami-share:with"] {
            fixture.hub.untag(&golden.image, tag).await?;
        }
        fixture.hub.status(&golden.image, |status| status.starts_with("not shared")).await?;
        assert_eq!(granted_to(fixture, &golden).await?, [""; 0]);
        // Two events report the new image, one its tags, two the removed tags: five reconciliations. The six changes of
        // permissions and key policy by ami-share itself start none.
        fixture.await_reconciliations(&golden.image, 3).await?;
        let fence = fixture.image("fence").await?;
        fixture.share(&fence, &b.id).await?;
        fixture.hub.wait_until_idle().await?;
        assert_eq!(fixture.hub.executions_of(&golden.image).await?.len(), 5);
        assert_eq!(fixture.hub.reviews().await?.len(), reviews);
        Ok(())
    })
}

#[test]
fn a_change_of_an_unmanaged_image_costs_at_most_one_short_reconciliation() -> Result<()> {
    flow_alone(async |fixture| {
        fixture.hub.ignore_organization().await?;
        let c = fixture.target_account("c").await?;
        let (person, _) = fixture.hub.person("jane").await?;
        let golden = fixture.golden("unmanaged-image").await?;
        let snapshot = fixture.hub.snapshots_of(&golden.image).await?.remove(0);
        fixture.await_reconciliations(&golden.image, 0).await?;
        fixture.hub.wait_until_idle().await?;
        let (reconciliations, reviews) = (fixture.hub.executions().await?, fixture.hub.reviews().await?);

        person.grant_snapshot_out_of_band(&snapshot, &c.id).await?;
        person.put_key_policy(&golden.key, &fixture.hub.key_policy(&golden.key).await?).await?;
        person.grant_out_of_band(&golden.image, &c.id).await?;
        fixture.await_reconciliations(&golden.image, 1).await?;
        fixture.hub.wait_until_idle().await?;
        let mut new = fixture.hub.executions().await?;
        new.retain(|execution, _| !reconciliations.contains_key(execution));
        assert_eq!(new.len(), 1, "{new:?}");
        for execution in new.into_keys() {
            let (status, output) = fixture.hub.outcome(&execution).await?;
            assert_eq!(status, "SUCCEEDED");
            assert!(output.contains("the image has no ami-share: tags"), "{output}");
        }
        assert_eq!(fixture.hub.reviews().await?, reviews);
        assert!(fixture.hub.ledger(&format!("IMAGE#{}", golden.image)).await?.is_empty());
        assert_eq!(fixture.hub.tags(&golden.image).await?.get("ami-share:status"), None);
        Ok(())
    })
}

#[test]
fn permissions_reset_out_of_band_are_restored_and_reported_with_the_principal() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let bus = on_the_bus(fixture).await?;
        let (person, arn) = fixture.hub.person("jane").await?;
        let golden = copyable(fixture, "reset", &b.id).await?;
        fixture.await_reconciliations(&golden.image, 1).await?;
        let snapshot = fixture.hub.snapshots_of(&golden.image).await?.remove(0);
        let image = person.ec2.reset_image_attribute().image_id(&golden.image);
        image.attribute("launchPermission".into()).send().await?;
        notified_until(&fixture.hub, &bus, &golden.image, "AMI Share Restored").await?;
        assert!(launches(&b, &golden.image).await?);
        let reset = person.ec2.reset_snapshot_attribute().snapshot_id(&snapshot);
        reset.attribute("createVolumePermission".into()).send().await?;
        let notified = notified_until(&fixture.hub, &bus, &golden.image, "AMI Share Restored").await?;
        let restored = notified.last().cloned().unwrap_or_default();
        assert_eq!(restored["detail"]["changed_by"], arn);
        copies(&b, fixture, &golden).await?;
        Ok(())
    })
}

/// Waits until the ledger has recorded so many unmanaged grants of an image as reported.
pub async fn until_unmanaged(fixture: &Fixture, image: &str, count: usize) -> Result<()> {
    fixture
        .hub
        .until("the ledger has recorded the unmanaged grants", async || {
            let rows = fixture.hub.ledger(&format!("IMAGE#{image}")).await?;
            let unmanaged = rows.get("NOTIFIED").and_then(|notified| notified.get("unmanaged"));
            // A grant is written as `<resource> to <grantee>`.
            let found = unmanaged.map_or(0, |grants| grants.matches(" to ").count());
            Ok((found == count).then_some(()))
        })
        .await
}

fn sorted<const N: usize>(accounts: [&Account; N]) -> Vec<String> {
    let mut ids = accounts.map(|account| account.id.clone());
    ids.sort();
    ids.into()
}

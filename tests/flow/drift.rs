//! Somebody changes by hand what ami-share looks after: what it gave is given again, and said who had taken it; what
//! they gave is left, and reported once.
//!
//! Who did it is known only to the look that the very event started. So these tests run where no other test has all
//! images reviewed in the meantime, or while no other test runs.

use ami_share_tests::world::Account;
use anyhow::Result;
use serde_json::{Value, json};

use crate::access::launches;
use crate::membership::{copyable, told_until};
use crate::notices::{heard_by_now, kinds, on_the_bus};
use crate::policy::{for_accounts, foreign, ours};
use crate::scene::{Scene, flow, flow_alone};
use crate::snapshots::{copies, open_to};

#[test]
fn a_launch_permission_that_somebody_took_is_given_again_and_said_who_had_taken_it() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let (queue, bus) = (b.listen().await?, on_the_bus(scene).await?);
        let (person, arn) = scene.hub.person("jane").await?;
        let golden = scene.golden("taken").await?;
        scene.share(&golden.image, &b.id).await?;
        scene.looks_end(&golden.image, 1).await?;

        person.forbid_by_hand(&golden.image, &b.id).await?;
        let told = told_until(&scene.hub, &bus, &golden.image, "AMI Share Restored").await?;
        assert_eq!(kinds(&told), ["AMI Shared", "AMI Share Restored"]);
        assert_eq!(told[1]["detail"]["target"], b.id);
        assert_eq!(told[1]["detail"]["changed_by"], arn);
        assert!(launches(&b, &golden.image).await?);
        // To the account, nothing has happened.
        let told = heard_by_now(scene, &b, &queue, &b.id, &golden.image).await?;
        assert_eq!(kinds(&told), ["AMI Shared"]);
        scene.hub.status(&golden.image, |status| status == "shared with 1 account").await?;
        Ok(())
    })
}

#[test]
fn a_snapshot_that_somebody_closed_is_opened_again_and_said_who_had_closed_it() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let bus = on_the_bus(scene).await?;
        let (person, arn) = scene.hub.person("john").await?;
        let golden = copyable(scene, "closed", &b.id).await?;
        scene.looks_end(&golden.image, 1).await?;
        let snapshot = scene.hub.snapshots_of(&golden.image).await?.remove(0);

        person.forbid_snapshot_by_hand(&snapshot, &b.id).await?;
        let told = told_until(&scene.hub, &bus, &golden.image, "AMI Share Restored").await?;
        let restored = told.last().cloned().unwrap_or_default();
        assert_eq!(restored["detail"]["target"], b.id);
        assert_eq!(restored["detail"]["changed_by"], arn);
        copies(&b, scene, &golden).await?;
        Ok(())
    })
}

#[test]
fn what_somebody_took_out_of_a_key_policy_comes_back_for_all_images_by_one_look_and_their_edits_stay()
-> Result<()> {
    flow_alone(async |scene| {
        let (b, c) = (scene.member("b").await?, scene.member("c").await?);
        let bus = on_the_bus(scene).await?;
        let (person, arn) = scene.hub.person("jane").await?;
        let golden = scene.golden("first-of-key").await?;
        let second = scene.image_on("second-of-key", &golden.key).await?;
        scene.share(&golden.image, &format!("{} {}", b.id, c.id)).await?;
        scene.share(&second, &b.id).await?;
        scene.hub.still().await?;
        let looks = scene.hub.executions().await?.len();

        let edited = r#"{ "Version":"2012-10-17",  "Statement":[
            {"Sid":"Mine","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"kms:*","Resource":"*"},
            {"Sid":"Théirs","Effect":"Deny","Principal":"*","Action":["kms:Sign"] ,"Resource":"*"} ]}"#;
        person.put_key_policy(&golden.key, edited).await?;
        let told = told_until(&scene.hub, &bus, &golden.image, "AMI Share Restored").await?;
        let restored: Vec<&Value> =
            told.iter().filter(|notice| notice["detail-type"] == "AMI Share Restored").collect();
        assert!(restored.iter().all(|notice| notice["detail"]["changed_by"] == arn.as_str()), "{restored:?}");
        let policy = scene.hub.key_policy(&golden.key).await?;
        assert_eq!(foreign(&policy)?, foreign(edited)?);
        assert_eq!(ours(&policy)?, for_accounts(&[&b.id, &c.id]));
        for image in [&golden.image, &second] {
            assert!(launches(&b, image).await?);
        }
        scene.hub.still().await?;
        assert_eq!(scene.hub.executions().await?.len() - looks, 1);
        Ok(())
    })
}

#[test]
fn what_somebody_granted_is_left_and_reported_once() -> Result<()> {
    flow(async |scene| {
        let (b, c, d) = (scene.member("b").await?, scene.member("c").await?, scene.member("d").await?);
        let bus = on_the_bus(scene).await?;
        let (person, arn) = scene.hub.person("jane").await?;
        let golden = copyable(scene, "granted", &b.id).await?;
        // A look of another event would report what it finds without knowing whose doing it is.
        scene.looks_end(&golden.image, 1).await?;
        let snapshot = scene.hub.snapshots_of(&golden.image).await?.remove(0);

        person.permit_by_hand(&golden.image, &c.id).await?;
        until_unmanaged(scene, &golden.image, 1).await?;
        person.permit_snapshot_by_hand(&snapshot, &c.id).await?;
        until_unmanaged(scene, &golden.image, 2).await?;
        person.permit_by_hand(&golden.image, &d.id).await?;
        until_unmanaged(scene, &golden.image, 3).await?;
        scene.hub.look(&golden.image).await?;

        let heard = heard_by_now(scene, &scene.hub, &bus, &b.id, &golden.image).await?;
        let unmanaged: Vec<&Value> =
            heard.iter().filter(|notice| notice["detail-type"] == "AMI Access Unmanaged").collect();
        let targets: Vec<&Value> = unmanaged.iter().map(|notice| &notice["detail"]["target"]).collect();
        assert_eq!(targets, [&json!(c.id), &json!(c.id), &json!(d.id)]);
        assert!(
            unmanaged.iter().all(|notice| notice["detail"]["changed_by"] == arn.as_str()),
            "{unmanaged:?}"
        );
        assert!(unmanaged[1]["detail"]["reason"].as_str().is_some_and(|why| why.starts_with(&snapshot)));
        let all = sorted([&b, &c, &d]);
        assert_eq!(scene.hub.launch_permissions(&golden.image).await?, all);
        assert_eq!(open_to(scene, &golden).await?, sorted([&b, &c]));
        // The key is ours to give, and nobody asked for it.
        assert_eq!(ours(&scene.hub.key_policy(&golden.key).await?)?, for_accounts(&[&b.id]));
        Ok(())
    })
}

#[test]
fn what_somebody_granted_and_took_away_himself_and_granted_anew_is_reported_anew() -> Result<()> {
    flow(async |scene| {
        let (b, c) = (scene.member("b").await?, scene.member("c").await?);
        let bus = on_the_bus(scene).await?;
        let image = scene.image("granted-twice").await?;
        scene.share(&image, &b.id).await?;
        scene.looks_end(&image, 1).await?;
        for _ in 0..2 {
            scene.hub.permit_by_hand(&image, &c.id).await?;
            until_unmanaged(scene, &image, 1).await?;
            scene.hub.forbid_by_hand(&image, &c.id).await?;
            until_unmanaged(scene, &image, 0).await?;
        }
        let heard = heard_by_now(scene, &scene.hub, &bus, &b.id, &image).await?;
        assert_eq!(kinds(&heard), ["AMI Shared", "AMI Access Unmanaged", "AMI Access Unmanaged"]);
        Ok(())
    })
}

#[test]
fn what_ami_share_itself_changes_starts_no_look() -> Result<()> {
    flow_alone(async |scene| {
        // The account that is made has nothing to do with the image, and would start a review.
        scene.hub.ignore_organization().await?;
        let b = scene.member("b").await?;
        scene.hub.still().await?;
        let reviews = scene.hub.reviews().await?.len();
        let golden = copyable(scene, "own-doing", &b.id).await?;
        for tag in ["ami-share:copy", "ami-share:with"] {
            scene.hub.untag(&golden.image, tag).await?;
        }
        scene.hub.status(&golden.image, |status| status.starts_with("not shared")).await?;
        assert_eq!(open_to(scene, &golden).await?, [""; 0]);
        // It was made, told of twice, tagged once, and lost two tags; its permissions and its key changed six times.
        scene.looks_end(&golden.image, 3).await?;
        let fence = scene.image("fence").await?;
        scene.share(&fence, &b.id).await?;
        scene.hub.still().await?;
        assert_eq!(scene.hub.executions_of(&golden.image).await?.len(), 5);
        assert_eq!(scene.hub.reviews().await?.len(), reviews);
        Ok(())
    })
}

#[test]
fn what_somebody_does_to_an_image_that_is_not_ours_costs_one_short_look_at_the_most() -> Result<()> {
    flow_alone(async |scene| {
        scene.hub.ignore_organization().await?;
        let c = scene.member("c").await?;
        let (person, _) = scene.hub.person("jane").await?;
        let golden = scene.golden("not-ours").await?;
        let snapshot = scene.hub.snapshots_of(&golden.image).await?.remove(0);
        scene.looks_end(&golden.image, 0).await?;
        scene.hub.still().await?;
        let (looks, reviews) = (scene.hub.executions().await?, scene.hub.reviews().await?);

        person.permit_snapshot_by_hand(&snapshot, &c.id).await?;
        person.put_key_policy(&golden.key, &scene.hub.key_policy(&golden.key).await?).await?;
        person.permit_by_hand(&golden.image, &c.id).await?;
        scene.looks_end(&golden.image, 1).await?;
        scene.hub.still().await?;
        let mut new = scene.hub.executions().await?;
        new.retain(|execution, _| !looks.contains_key(execution));
        assert_eq!(new.len(), 1, "{new:?}");
        for execution in new.into_keys() {
            let (status, said) = scene.hub.outcome(&execution).await?;
            assert_eq!(status, "SUCCEEDED");
            assert!(said.contains("the image has no ami-share: tags"), "{said}");
        }
        assert_eq!(scene.hub.reviews().await?, reviews);
        assert!(scene.hub.ledger(&format!("IMAGE#{}", golden.image)).await?.is_empty());
        assert_eq!(scene.hub.tags(&golden.image).await?.get("ami-share:status"), None);
        Ok(())
    })
}

#[test]
fn an_image_and_a_snapshot_that_somebody_resets_are_opened_again_and_said_who_had_reset_them() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let bus = on_the_bus(scene).await?;
        let (person, arn) = scene.hub.person("jane").await?;
        let golden = copyable(scene, "reset", &b.id).await?;
        scene.looks_end(&golden.image, 1).await?;
        let snapshot = scene.hub.snapshots_of(&golden.image).await?.remove(0);
        let image = person.ec2.reset_image_attribute().image_id(&golden.image);
        image.attribute("launchPermission".into()).send().await?;
        told_until(&scene.hub, &bus, &golden.image, "AMI Share Restored").await?;
        assert!(launches(&b, &golden.image).await?);
        let reset = person.ec2.reset_snapshot_attribute().snapshot_id(&snapshot);
        reset.attribute("createVolumePermission".into()).send().await?;
        let told = told_until(&scene.hub, &bus, &golden.image, "AMI Share Restored").await?;
        let restored = told.last().cloned().unwrap_or_default();
        assert_eq!(restored["detail"]["changed_by"], arn);
        copies(&b, scene, &golden).await?;
        Ok(())
    })
}

/// Waits until the ledger knows of so many grants of other people on an image.
pub async fn until_unmanaged(scene: &Scene, image: &str, count: usize) -> Result<()> {
    scene
        .hub
        .until("the ledger knows what somebody granted", async || {
            let rows = scene.hub.ledger(&format!("IMAGE#{image}")).await?;
            let unmanaged = rows.get("TOLD").and_then(|told| told.get("unmanaged"));
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

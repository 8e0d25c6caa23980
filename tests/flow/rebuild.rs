//! The table is lost: what the tags ask for and is open is taken for ours again, and nobody loses anything by it.

use anyhow::Result;
use serde_json::json;

use crate::access::launches;
use crate::membership::{copyable, opens_to};
use crate::policy::{for_accounts, ours};
use crate::scene::{Golden, Scene, flow_alone};
use crate::snapshots::{copies, open_to};

#[test]
fn a_review_that_adopts_makes_what_the_tags_ask_for_ours_again_and_it_can_be_withdrawn() -> Result<()> {
    flow_alone(async |scene| {
        let (b, by_hand) = (scene.member("b").await?, scene.member("by-hand").await?);
        let golden = copyable(scene, "adopted", &b.id).await?;
        let snapshot = scene.hub.snapshots_of(&golden.image).await?.remove(0);
        scene.hub.permit_by_hand(&golden.image, &by_hand.id).await?;
        scene.hub.permit_snapshot_by_hand(&snapshot, &by_hand.id).await?;
        lose_all(scene, &golden).await?;

        let review = scene.hub.start_review(None, &json!({ "adopt": true })).await?;
        scene.hub.reviewed(&review).await?;
        let rows = scene.hub.ledger(&format!("IMAGE#{}", golden.image)).await?;
        assert_eq!(rows[&format!("SHARE#{}", b.id)]["is_ours"], "true");
        assert_eq!(rows[&format!("SNAPSHOT#{snapshot}")]["accounts"], b.id);
        assert!(!rows.contains_key(&format!("SHARE#{}", by_hand.id)));
        let key_rows = scene.hub.ledger(&format!("KEY#{}", golden.key)).await?;
        assert_eq!(key_rows[&format!("IMAGE#{}", golden.image)]["principals"], b.id);
        let history = scene.hub.ledger(&format!("AUDIT#{}", golden.image)).await?;
        let adopted: Vec<_> = history.values().filter(|row| row["deed"] == "adopted").collect();
        assert_eq!(adopted.len(), 2, "{history:#?}");
        for row in adopted {
            assert_eq!(row["whom"], b.id);
            assert!(row["reason"].contains("since when and by whom is not known"), "{row:?}");
        }
        assert!(launches(&b, &golden.image).await?);
        copies(&b, scene, &golden).await?;

        for tag in ["ami-share:with", "ami-share:copy"] {
            scene.hub.untag(&golden.image, tag).await?;
        }
        opens_to(scene, &golden, &[&by_hand]).await?;
        scene.hub.still().await?;
        assert!(!b.sees(&golden.image).await? && !b.may_use_key(&golden.key).await?);
        assert_eq!(scene.hub.launch_permissions(&golden.image).await?, [by_hand.id.as_str()]);
        assert_eq!(ours(&scene.hub.key_policy(&golden.key).await?)?, [json!(null); 0]);
        Ok(())
    })
}

#[test]
fn one_key_of_two_images_is_whole_after_both_have_been_adopted() -> Result<()> {
    flow_alone(async |scene| {
        let (b, c) = (scene.member("b").await?, scene.member("c").await?);
        let golden = scene.golden("adopted-first").await?;
        let second =
            Golden { image: scene.image_on("adopted-second", &golden.key).await?, key: golden.key.clone() };
        scene.share(&golden.image, &b.id).await?;
        scene.share(&second.image, &c.id).await?;
        lose_all(scene, &golden).await?;
        lose_all(scene, &second).await?;
        let review = scene.hub.start_review(None, &json!({ "adopt": true })).await?;
        scene.hub.reviewed(&review).await?;
        assert_eq!(ours(&scene.hub.key_policy(&golden.key).await?)?, for_accounts(&[&b.id, &c.id]));
        assert!(launches(&b, &golden.image).await? && launches(&c, &second.image).await?);

        scene.hub.untag(&golden.image, "ami-share:with").await?;
        scene.hub.status(&golden.image, |status| status.starts_with("not shared")).await?;
        assert!(!b.sees(&golden.image).await? && !b.may_use_key(&golden.key).await?);
        assert!(launches(&c, &second.image).await?);
        Ok(())
    })
}

#[test]
fn without_adopting_nobody_loses_anything_and_what_is_open_is_not_called_ours() -> Result<()> {
    flow_alone(async |scene| {
        let b = scene.member("b").await?;
        let golden = copyable(scene, "not-adopted", &b.id).await?;
        let policy = scene.hub.key_policy(&golden.key).await?;
        lose_all(scene, &golden).await?;

        scene.hub.review().await?;
        let rows = scene.hub.ledger(&format!("IMAGE#{}", golden.image)).await?;
        assert_eq!(rows[&format!("SHARE#{}", b.id)]["is_ours"], "false");
        assert_eq!(scene.hub.key_policy(&golden.key).await?, policy);
        assert!(launches(&b, &golden.image).await?);
        copies(&b, scene, &golden).await?;

        // What is not known to be ours is never taken.
        scene.hub.untag(&golden.image, "ami-share:with").await?;
        scene.hub.status(&golden.image, |status| status.starts_with("not shared")).await?;
        assert!(b.sees(&golden.image).await?);
        assert_eq!(open_to(scene, &golden).await?, [b.id.as_str()]);
        Ok(())
    })
}

#[test]
fn what_is_on_record_stays_as_it_is_whatever_a_review_adopts() -> Result<()> {
    flow_alone(async |scene| {
        let (b, by_hand) = (scene.member("b").await?, scene.member("by-hand").await?);
        let image = scene.image("on-record").await?;
        scene.hub.permit_by_hand(&image, &by_hand.id).await?;
        scene.share(&image, &format!("{} {}", b.id, by_hand.id)).await?;
        scene.hub.still().await?;
        scene.hub.disable_rules().await?;
        // Something is to be mended, or nobody would look.
        scene.hub.forbid_by_hand(&image, &b.id).await?;
        let review = scene.hub.start_review(None, &json!({ "adopt": true })).await?;
        scene.hub.reviewed(&review).await?;
        let rows = scene.hub.ledger(&format!("IMAGE#{image}")).await?;
        assert_eq!(rows[&format!("SHARE#{}", b.id)]["is_ours"], "true");
        assert_eq!(rows[&format!("SHARE#{}", by_hand.id)]["is_ours"], "false");
        Ok(())
    })
}

/// Loses all that the ledger knows of an image and its key, when nothing writes it any more.
async fn lose_all(scene: &Scene, golden: &Golden) -> Result<()> {
    scene.hub.still().await?;
    for partition in ["IMAGE", "AUDIT"] {
        scene.hub.lose(&format!("{partition}#{}", golden.image)).await?;
    }
    scene.hub.lose(&format!("KEY#{}", golden.key)).await
}

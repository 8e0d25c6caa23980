//! When the table is lost, a review can adopt the access that the tags ask for; no account loses access by that.

use anyhow::Result;
use serde_json::json;

use crate::access::launches;
use crate::fixture::{Fixture, Golden, flow_alone};
use crate::membership::{copyable, until_granted_to};
use crate::policy::{for_accounts, managed};
use crate::snapshots::{copies, granted_to};

#[test]
fn an_adopting_review_makes_the_desired_access_managed_again_so_that_it_can_be_revoked() -> Result<()> {
    flow_alone(async |fixture| {
        let (b, out_of_band) =
            (fixture.target_account("b").await?, fixture.target_account("out-of-band").await?);
        let golden = copyable(fixture, "adopted", &b.id).await?;
        let snapshot = fixture.hub.snapshots_of(&golden.image).await?.remove(0);
        fixture.hub.grant_out_of_band(&golden.image, &out_of_band.id).await?;
        fixture.hub.grant_snapshot_out_of_band(&snapshot, &out_of_band.id).await?;
        lose_rows(fixture, &golden).await?;

        let review = fixture.hub.start_review(None, &json!({ "adopt": true })).await?;
        fixture.hub.reviewed(&review).await?;
        let rows = fixture.hub.ledger(&format!("IMAGE#{}", golden.image)).await?;
        assert_eq!(rows[&format!("SHARE#{}", b.id)]["is_managed"], "true");
        assert_eq!(rows[&format!("SNAPSHOT#{snapshot}")]["accounts"], b.id);
        assert!(!rows.contains_key(&format!("SHARE#{}", out_of_band.id)));
        let key_rows = fixture.hub.ledger(&format!("KEY#{}", golden.key)).await?;
        assert_eq!(key_rows[&format!("IMAGE#{}", golden.image)]["principals"], b.id);
        let audit_log = fixture.hub.ledger(&format!("AUDIT#{}", golden.image)).await?;
        let adopted: Vec<_> = audit_log.values().filter(|row| row["action"] == "adopted").collect();
        assert_eq!(adopted.len(), 2, "{audit_log:#?}");
        for row in adopted {
            assert_eq!(row["principals"], b.id);
            assert!(row["reason"].contains("who granted it, and when, is not known"), "{row:?}");
        }
        assert!(launches(&b, &golden.image).await?);
        copies(&b, fixture, &golden).await?;

        for tag in ["ami-share:with", "ami-share:copy"] {
            fixture.hub.untag(&golden.image, tag).await?;
        }
        until_granted_to(fixture, &golden, &[&out_of_band]).await?;
        fixture.hub.still().await?;
        assert!(!b.sees(&golden.image).await? && !b.may_use_key(&golden.key).await?);
        assert_eq!(fixture.hub.launch_permissions(&golden.image).await?, [out_of_band.id.as_str()]);
        assert_eq!(managed(&fixture.hub.key_policy(&golden.key).await?)?, [json!(null); 0]);
        Ok(())
    })
}

#[test]
fn one_key_of_two_images_is_whole_after_both_have_been_adopted() -> Result<()> {
    flow_alone(async |fixture| {
        let (b, c) = (fixture.target_account("b").await?, fixture.target_account("c").await?);
        let golden = fixture.golden("adopted-first").await?;
        let second =
            Golden { image: fixture.image_on("adopted-second", &golden.key).await?, key: golden.key.clone() };
        fixture.share(&golden.image, &b.id).await?;
        fixture.share(&second.image, &c.id).await?;
        lose_rows(fixture, &golden).await?;
        lose_rows(fixture, &second).await?;
        let review = fixture.hub.start_review(None, &json!({ "adopt": true })).await?;
        fixture.hub.reviewed(&review).await?;
        assert_eq!(managed(&fixture.hub.key_policy(&golden.key).await?)?, for_accounts(&[&b.id, &c.id]));
        assert!(launches(&b, &golden.image).await? && launches(&c, &second.image).await?);

        fixture.hub.untag(&golden.image, "ami-share:with").await?;
        fixture.hub.status(&golden.image, |status| status.starts_with("not shared")).await?;
        assert!(!b.sees(&golden.image).await? && !b.may_use_key(&golden.key).await?);
        assert!(launches(&c, &second.image).await?);
        Ok(())
    })
}

#[test]
fn without_adoption_no_account_loses_access_and_existing_access_stays_unmanaged() -> Result<()> {
    flow_alone(async |fixture| {
        let b = fixture.target_account("b").await?;
        let golden = copyable(fixture, "not-adopted", &b.id).await?;
        let policy = fixture.hub.key_policy(&golden.key).await?;
        lose_rows(fixture, &golden).await?;

        fixture.hub.review().await?;
        let rows = fixture.hub.ledger(&format!("IMAGE#{}", golden.image)).await?;
        assert_eq!(rows[&format!("SHARE#{}", b.id)]["is_managed"], "false");
        assert_eq!(fixture.hub.key_policy(&golden.key).await?, policy);
        assert!(launches(&b, &golden.image).await?);
        copies(&b, fixture, &golden).await?;

        // ami-share never revokes access that the ledger does not record as managed.
        fixture.hub.untag(&golden.image, "ami-share:with").await?;
        fixture.hub.status(&golden.image, |status| status.starts_with("not shared")).await?;
        assert!(b.sees(&golden.image).await?);
        assert_eq!(granted_to(fixture, &golden).await?, [b.id.as_str()]);
        Ok(())
    })
}

#[test]
fn what_is_on_record_stays_as_it_is_whatever_a_review_adopts() -> Result<()> {
    flow_alone(async |fixture| {
        let (b, out_of_band) =
            (fixture.target_account("b").await?, fixture.target_account("out-of-band").await?);
        let image = fixture.image("recorded").await?;
        fixture.hub.grant_out_of_band(&image, &out_of_band.id).await?;
        fixture.share(&image, &format!("{} {}", b.id, out_of_band.id)).await?;
        fixture.hub.still().await?;
        fixture.hub.disable_rules().await?;
        // Without a difference the review would start no reconciliation.
        fixture.hub.revoke_out_of_band(&image, &b.id).await?;
        let review = fixture.hub.start_review(None, &json!({ "adopt": true })).await?;
        fixture.hub.reviewed(&review).await?;
        let rows = fixture.hub.ledger(&format!("IMAGE#{image}")).await?;
        assert_eq!(rows[&format!("SHARE#{}", b.id)]["is_managed"], "true");
        assert_eq!(rows[&format!("SHARE#{}", out_of_band.id)]["is_managed"], "false");
        Ok(())
    })
}

/// Deletes all rows of an image and its key, once no execution runs that could write them.
async fn lose_rows(fixture: &Fixture, golden: &Golden) -> Result<()> {
    fixture.hub.still().await?;
    for partition in ["IMAGE", "AUDIT"] {
        fixture.hub.lose(&format!("{partition}#{}", golden.image)).await?;
    }
    fixture.hub.lose(&format!("KEY#{}", golden.key)).await
}

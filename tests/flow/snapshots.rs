//! Targets may copy an image only if `ami-share:copy` allows it: only then are its snapshots granted.

use ami_share_tests::world::Account;
use anyhow::Result;

use crate::fixture::{Fixture, Golden, flow};

#[test]
fn without_the_copy_tag_no_snapshot_is_granted_and_no_target_can_copy() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let golden = fixture.golden("launch-only").await?;
        fixture.share(&golden.image, &b.id).await?;
        assert_eq!(granted_to(fixture, &golden).await?, [""; 0]);
        let refused = copies(&b, fixture, &golden).await.unwrap_err();
        assert!(
            format!("{refused:?}").contains("You do not have permission to access the storage of this ami")
        );
        Ok(())
    })
}

#[test]
fn with_the_copy_tag_targets_copy_the_image_and_others_do_not() -> Result<()> {
    flow(async |fixture| {
        let ou = fixture.ou("copying", &fixture.root).await?;
        let nested = fixture.ou("nested", &ou).await?;
        let (b, inside) = (fixture.target_account("b").await?, fixture.account_in("inside", &nested).await?);
        let c = fixture.target_account("c").await?;
        let golden = fixture.golden("copied").await?;
        let selectors = format!("{} {ou}", b.id);
        fixture
            .hub
            .tag(&golden.image, &[("ami-share:with", &selectors), ("ami-share:copy", "allowed")])
            .await?;
        let status = fixture.hub.status(&golden.image, |_| true).await?;
        assert_eq!(status, "shared with 1 account, 1 OU");
        let mut expected = [b.id.clone(), inside.id.clone()];
        expected.sort();
        assert_eq!(granted_to(fixture, &golden).await?, expected);
        for account in [&b, &inside] {
            copies(account, fixture, &golden).await?;
        }
        assert!(copies(&c, fixture, &golden).await.is_err());
        let rows = fixture.hub.ledger(&format!("IMAGE#{}", golden.image)).await?;
        let snapshot = &fixture.hub.snapshots_of(&golden.image).await?[0];
        let mut accounts: Vec<&str> = rows[&format!("SNAPSHOT#{snapshot}")]["accounts"].split(' ').collect();
        accounts.sort_unstable();
        assert_eq!(accounts, expected);
        Ok(())
    })
}

#[test]
fn the_copy_tag_may_be_added_later_and_is_in_the_notification() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let first = fixture.golden("copy-later").await?;
        fixture.share(&first.image, &b.id).await?;
        fixture.hub.tag(&first.image, &[("ami-share:copy", "allowed")]).await?;
        fixture
            .hub
            .until("the snapshot is granted", async || {
                Ok((granted_to(fixture, &first).await? == [b.id.as_str()]).then_some(()))
            })
            .await?;

        let queue = b.listen().await?;
        let second = fixture.golden("copy-at-once").await?;
        fixture.hub.tag(&second.image, &[("ami-share:with", &b.id), ("ami-share:copy", "allowed")]).await?;
        let received = crate::notifications::received_until(&b, &queue, &second.image).await?;
        let notified = crate::notifications::about(&received, &second.image);
        assert_eq!(notified[0]["detail"]["permits"], serde_json::json!(["launch", "copy"]));
        Ok(())
    })
}

/// The accounts that may copy the snapshots of an image.
pub async fn granted_to(fixture: &Fixture, golden: &Golden) -> Result<Vec<String>> {
    let mut accounts = Vec::new();
    for snapshot in fixture.hub.snapshots_of(&golden.image).await? {
        accounts.extend(fixture.hub.snapshot_permissions(&snapshot).await?);
    }
    Ok(accounts)
}

/// Copies an image as an account. Returns the id of the copy.
pub async fn copies(account: &Account, fixture: &Fixture, golden: &Golden) -> Result<String> {
    account.copy_image(&fixture.name("copy"), &golden.image, &[]).await
}

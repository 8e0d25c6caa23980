//! Copying is another right than launching: snapshots are opened only where `ami-share:copy` says so.

use ami_share_tests::world::Account;
use anyhow::Result;

use crate::scene::{Golden, Scene, flow};

#[test]
fn without_the_copy_tag_no_snapshot_is_opened_and_nobody_copies() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let golden = scene.golden("launch-only").await?;
        scene.share(&golden.image, &b.id).await?;
        assert_eq!(open_to(scene, &golden).await?, [""; 0]);
        let refused = copies(&b, scene, &golden).await.unwrap_err();
        assert!(
            format!("{refused:?}").contains("You do not have permission to access the storage of this ami")
        );
        Ok(())
    })
}

#[test]
fn with_the_copy_tag_targets_copy_the_image_and_others_do_not() -> Result<()> {
    flow(async |scene| {
        let ou = scene.ou("copying", &scene.root).await?;
        let nested = scene.ou("nested", &ou).await?;
        let (b, inside) = (scene.member("b").await?, scene.member_in("inside", &nested).await?);
        let c = scene.member("c").await?;
        let golden = scene.golden("copied").await?;
        let words = format!("{} {ou}", b.id);
        scene.hub.tag(&golden.image, &[("ami-share:with", &words), ("ami-share:copy", "allowed")]).await?;
        let status = scene.hub.status(&golden.image, |_| true).await?;
        assert_eq!(status, "shared with 1 account, 1 OU");
        let mut expected = [b.id.clone(), inside.id.clone()];
        expected.sort();
        assert_eq!(open_to(scene, &golden).await?, expected);
        for account in [&b, &inside] {
            copies(account, scene, &golden).await?;
        }
        assert!(copies(&c, scene, &golden).await.is_err());
        let rows = scene.hub.ledger(&format!("IMAGE#{}", golden.image)).await?;
        let snapshot = &scene.hub.snapshots_of(&golden.image).await?[0];
        let mut accounts: Vec<&str> = rows[&format!("SNAPSHOT#{snapshot}")]["accounts"].split(' ').collect();
        accounts.sort_unstable();
        assert_eq!(accounts, expected);
        Ok(())
    })
}

#[test]
fn the_copy_tag_may_come_later_and_is_in_the_notice() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let first = scene.golden("copy-later").await?;
        scene.share(&first.image, &b.id).await?;
        scene.hub.tag(&first.image, &[("ami-share:copy", "allowed")]).await?;
        scene
            .hub
            .until("the snapshot is open", async || {
                Ok((open_to(scene, &first).await? == [b.id.as_str()]).then_some(()))
            })
            .await?;

        let queue = b.listen().await?;
        let second = scene.golden("copy-at-once").await?;
        scene.hub.tag(&second.image, &[("ami-share:with", &b.id), ("ami-share:copy", "allowed")]).await?;
        let heard = crate::notices::heard_until(&b, &queue, &second.image).await?;
        let told = crate::notices::about(&heard, &second.image);
        assert_eq!(told[0]["detail"]["permits"], serde_json::json!(["launch", "copy"]));
        Ok(())
    })
}

/// The accounts that may copy the snapshots of an image.
pub async fn open_to(scene: &Scene, golden: &Golden) -> Result<Vec<String>> {
    let mut open = Vec::new();
    for snapshot in scene.hub.snapshots_of(&golden.image).await? {
        open.extend(scene.hub.snapshot_permissions(&snapshot).await?);
    }
    Ok(open)
}

/// Copies an image as an account; answers the copy's id.
pub async fn copies(account: &Account, scene: &Scene, golden: &Golden) -> Result<String> {
    account.copy_image(&scene.name("copy"), &golden.image, &[]).await
}

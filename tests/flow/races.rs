//! Many at once: writers of one key take turns, and of two wishes for one image the later one wins.

use std::collections::BTreeSet;

use anyhow::Result;
use futures::future::try_join_all;

use crate::policy::{for_accounts, foreign, ours};
use crate::scene::flow;

#[test]
fn twelve_images_on_one_key_tagged_at_once_end_with_all_twelve_accounts_admitted() -> Result<()> {
    flow(async |scene| {
        let key = scene.hub.create_key().await?;
        let before = scene.hub.key_policy(&key).await?;
        let pairs = try_join_all((0..12).map(async |_| {
            anyhow::Ok((scene.image_on("twelve", &key).await?, scene.member("twelve").await?))
        }))
        .await?;
        try_join_all(
            pairs
                .iter()
                .map(async |(image, account)| scene.hub.tag(image, &[("ami-share:with", &account.id)]).await),
        )
        .await?;
        for (image, account) in &pairs {
            scene.hub.status(image, |status| status == "shared with 1 account").await?;
            assert_eq!(scene.hub.launch_permissions(image).await?, [account.id.as_str()]);
        }
        let after = scene.hub.key_policy(&key).await?;
        let accounts: Vec<&str> = pairs.iter().map(|(_, account)| account.id.as_str()).collect();
        assert_eq!(ours(&after)?, for_accounts(&accounts));
        assert_eq!(foreign(&after)?, foreign(&before)?);
        Ok(())
    })
}

#[test]
fn an_image_retagged_quickly_ends_as_its_last_tag_says() -> Result<()> {
    flow(async |scene| {
        let accounts = try_join_all((0..5).map(|_| scene.member("retagged"))).await?;
        let golden = scene.golden("retagged").await?;
        for account in &accounts {
            scene.hub.tag(&golden.image, &[("ami-share:with", &account.id)]).await?;
        }
        let last = &accounts[4].id;
        scene.looks_end(&golden.image, accounts.len()).await?;
        let rows = scene.hub.ledger(&format!("IMAGE#{}", golden.image)).await?;
        assert_eq!(&rows["INTENT"]["targets"], last);
        assert_eq!(rows[&format!("SHARE#{last}")]["outcome"], "shared");

        let open: BTreeSet<String> = scene.hub.launch_permissions(&golden.image).await?.into_iter().collect();
        assert!(open.contains(last));
        // Access that an earlier wish got in time is still open, and the status says so.
        let left: Vec<String> = open.into_iter().filter(|account| account != last).collect();
        let status = scene.hub.status(&golden.image, |_| true).await?;
        let expected = match left.as_slice() {
            [] => "shared with 1 account".to_owned(),
            left => {
                format!("shared with 1 account; still open from before: {}", left.join(", "))
            }
        };
        assert_eq!(status, expected);
        Ok(())
    })
}

#[test]
fn two_images_on_two_keys_in_opposite_order_do_not_block_each_other() -> Result<()> {
    flow(async |scene| {
        let (b, c) = (scene.member("b").await?, scene.member("c").await?);
        let (one, other) = (scene.hub.create_key().await?, scene.hub.create_key().await?);
        let first = scene.hub.image(&scene.name("crossed"), &[&one, &other]).await?;
        let second = scene.hub.image(&scene.name("crossed"), &[&other, &one]).await?;
        let (for_b, for_c) = ([("ami-share:with", b.id.as_str())], [("ami-share:with", c.id.as_str())]);
        tokio::try_join!(scene.hub.tag(&first, &for_b), scene.hub.tag(&second, &for_c))?;
        for image in [&first, &second] {
            scene.hub.status(image, |status| status == "shared with 1 account").await?;
        }
        for key in [&one, &other] {
            assert_eq!(ours(&scene.hub.key_policy(key).await?)?, for_accounts(&[&b.id, &c.id]));
        }
        Ok(())
    })
}

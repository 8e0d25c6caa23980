//! Many at once: writers of one key take turns, and of two wishes for one image the later one wins, in whatever order
//! their executions run.

use ami_share_tests::world::Account;
use anyhow::{Result, ensure};
use futures::future::try_join_all;
use serde_json::Value;

use crate::policy::{for_accounts, foreign, ours};
use crate::scene::{Scene, flow};

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

        // Whatever an earlier wish had got in time is taken back.
        assert_eq!(&scene.hub.launch_permissions(&golden.image).await?, std::slice::from_ref(last));
        assert_eq!(ours(&scene.hub.key_policy(&golden.key).await?)?, for_accounts(&[last]));
        scene.hub.status(&golden.image, |status| status == "shared with 1 account").await?;
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

#[test]
fn a_share_and_its_withdrawal_in_the_same_second_leave_no_access_over() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let key = scene.hub.create_key().await?;
        let neighbours = Neighbours::on(scene, &key).await?;
        let images = try_join_all((0..10).map(|_| scene.image_on("brief", &key))).await?;
        let brief = try_join_all(images.iter().map(async |image| {
            scene.hub.tag(image, &[("ami-share:with", &b.id), ("ami-share:copy", "allowed")]).await?;
            scene.hub.untag(image, "ami-share:with").await?;
            scene.looks_end(image, 2).await
        }));
        tokio::try_join!(brief, neighbours.are_looked_at(scene))?;
        for image in &images {
            nothing_is_open(scene, image, &key).await?;
        }
        neighbours.have_the_key_to_themselves(scene).await
    })
}

#[test]
fn a_withdrawal_and_a_share_in_the_same_second_end_with_access() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let key = scene.hub.create_key().await?;
        let neighbours = Neighbours::on(scene, &key).await?;
        let images = try_join_all((0..5).map(async |_| {
            let image = scene.image_on("back-again", &key).await?;
            scene.share(&image, &b.id).await?;
            anyhow::Ok(image)
        }))
        .await?;
        let back_again = try_join_all(images.iter().map(async |image| {
            scene.hub.untag(image, "ami-share:with").await?;
            scene.hub.tag(image, &[("ami-share:with", &b.id)]).await?;
            scene.looks_end(image, 3).await
        }));
        tokio::try_join!(back_again, neighbours.are_looked_at(scene))?;
        for image in &images {
            assert_eq!(scene.hub.launch_permissions(image).await?, [b.id.as_str()]);
            scene.hub.status(image, |status| status == "shared with 1 account").await?;
        }
        let all: Vec<&str> = neighbours.accounts().chain([b.id.as_str()]).collect();
        assert_eq!(ours(&scene.hub.key_policy(&key).await?)?, for_accounts(&all));
        Ok(())
    })
}

#[test]
fn old_events_that_come_again_in_any_order_change_nothing() -> Result<()> {
    flow(async |scene| {
        let (b, c) = (scene.member("b").await?, scene.member("c").await?);
        let golden = scene.golden("again").await?;
        for account in [&b, &c] {
            scene.hub.tag(&golden.image, &[("ami-share:with", &account.id)]).await?;
        }
        scene.hub.untag(&golden.image, "ami-share:with").await?;
        scene.looks_end(&golden.image, 3).await?;
        nothing_is_open(scene, &golden.image, &golden.key).await?;

        come_again(scene, &golden.image).await?;
        nothing_is_open(scene, &golden.image, &golden.key).await?;

        scene.share_until_status(&golden.image, &c.id, "shared with 1 account").await?;
        come_again(scene, &golden.image).await?;
        assert_eq!(scene.hub.launch_permissions(&golden.image).await?, [c.id.as_str()]);
        assert_eq!(ours(&scene.hub.key_policy(&golden.key).await?)?, for_accounts(&[&c.id]));
        Ok(())
    })
}

/// Starts an execution with every input of the image's executions so far, the latest first, all at once.
async fn come_again(scene: &Scene, image: &str) -> Result<()> {
    let inputs = scene.hub.executions_of(image).await?.into_values();
    let mut inputs: Vec<Value> = inputs.collect();
    inputs.sort_by_key(|input| input.get("time").map(ToString::to_string));
    let again = inputs.iter().rev().map(async |input| {
        let execution = scene.hub.start_execution(input).await?;
        let (state, cause) = scene.hub.outcome(&execution).await?;
        ensure!(state == "SUCCEEDED", "{input} came again and is {state}: {cause}");
        Ok(())
    });
    try_join_all(again).await?;
    Ok(())
}

/// Checks that an image, its snapshots, its key and the ledger know of no access to it.
pub async fn nothing_is_open(scene: &Scene, image: &str, key: &str) -> Result<()> {
    assert_eq!(scene.hub.launch_permissions(image).await?, [""; 0]);
    for snapshot in scene.hub.snapshots_of(image).await? {
        assert_eq!(scene.hub.snapshot_permissions(&snapshot).await?, [""; 0]);
    }
    for (name, row) in scene.hub.ledger(&format!("IMAGE#{image}")).await? {
        let is_open = row.get("is_ours").is_some_and(|ours| ours == "true");
        let has_accounts = name.starts_with("SNAPSHOT#") && row.contains_key("accounts");
        ensure!(!is_open && !has_accounts, "{image} is not closed: {row:?}");
    }
    let mut needs = scene.hub.ledger(&format!("KEY#{key}")).await?;
    let own = needs.remove(&format!("IMAGE#{image}")).unwrap_or_default();
    ensure!(!own.contains_key("principals"), "{image} still needs the key: {own:?}");
    // Whom it has given up is on record as long as somebody else needs them, and the key admits them.
    let others: Vec<&str> =
        needs.values().filter_map(|need| need.get("principals")).flat_map(|all| all.split(' ')).collect();
    let leaving: Vec<&str> = own.get("leaving").map(|all| all.split(' ').collect()).unwrap_or_default();
    ensure!(leaving.iter().all(|left| others.contains(left)), "nobody needs {leaving:?} any more");
    Ok(())
}

/// Images that are shared on the same key all the while.
struct Neighbours {
    key: String,
    images: Vec<(String, Account)>,
}

impl Neighbours {
    async fn on(scene: &Scene, key: &str) -> Result<Self> {
        let images = try_join_all((0..2).map(async |_| {
            let (image, account) =
                (scene.image_on("neighbour", key).await?, scene.member("neighbour").await?);
            scene.share(&image, &account.id).await?;
            anyhow::Ok((image, account))
        }));
        Ok(Self { key: key.to_owned(), images: images.await? })
    }

    fn accounts(&self) -> impl Iterator<Item = &str> {
        self.images.iter().map(|(_, account)| account.id.as_str())
    }

    /// Looks at each a few times.
    async fn are_looked_at(&self, scene: &Scene) -> Result<()> {
        for _ in 0..3 {
            try_join_all(self.images.iter().map(|(image, _)| scene.hub.look(image))).await?;
        }
        Ok(())
    }

    async fn have_the_key_to_themselves(&self, scene: &Scene) -> Result<()> {
        let accounts: Vec<&str> = self.accounts().collect();
        assert_eq!(ours(&scene.hub.key_policy(&self.key).await?)?, for_accounts(&accounts));
        for (image, account) in &self.images {
            assert_eq!(scene.hub.launch_permissions(image).await?, [account.id.as_str()]);
        }
        Ok(())
    }
}

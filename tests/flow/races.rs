//! Concurrent changes lose nothing: writers of one key wait for its lease, and the later of two intents for one image
//! wins in whatever order their executions run.

use ami_share_tests::world::Account;
use anyhow::{Result, ensure};
use futures::future::try_join_all;
use serde_json::Value;

use crate::fixture::{Fixture, flow};
use crate::policy::{for_accounts, foreign, managed};

#[test]
fn twelve_images_on_one_key_tagged_at_once_end_with_all_twelve_accounts_granted() -> Result<()> {
    flow(async |fixture| {
        let key = fixture.hub.create_key().await?;
        let before = fixture.hub.key_policy(&key).await?;
        let pairs = try_join_all((0..12).map(async |_| {
            anyhow::Ok((fixture.image_on("twelve", &key).await?, fixture.target_account("twelve").await?))
        }))
        .await?;
        try_join_all(
            pairs.iter().map(async |(image, account)| {
                fixture.hub.tag(image, &[("ami-share:with", &account.id)]).await
            }),
        )
        .await?;
        for (image, account) in &pairs {
            fixture.hub.status(image, |status| status == "shared with 1 account").await?;
            assert_eq!(fixture.hub.launch_permissions(image).await?, [account.id.as_str()]);
        }
        let after = fixture.hub.key_policy(&key).await?;
        let accounts: Vec<&str> = pairs.iter().map(|(_, account)| account.id.as_str()).collect();
        assert_eq!(managed(&after)?, for_accounts(&accounts));
        assert_eq!(foreign(&after)?, foreign(&before)?);
        Ok(())
    })
}

#[test]
fn an_image_retagged_quickly_ends_as_its_last_tag_says() -> Result<()> {
    flow(async |fixture| {
        let accounts = try_join_all((0..5).map(|_| fixture.target_account("retagged"))).await?;
        let golden = fixture.golden("retagged").await?;
        for account in &accounts {
            fixture.hub.tag(&golden.image, &[("ami-share:with", &account.id)]).await?;
        }
        let last = &accounts[4].id;
        fixture.await_reconciliations(&golden.image, accounts.len()).await?;
        let rows = fixture.hub.ledger(&format!("IMAGE#{}", golden.image)).await?;
        assert_eq!(&rows["INTENT"]["targets"], last);
        assert_eq!(rows[&format!("SHARE#{last}")]["outcome"], "shared");

        // What an earlier intent had granted by then is revoked.
        assert_eq!(&fixture.hub.launch_permissions(&golden.image).await?, std::slice::from_ref(last));
        assert_eq!(managed(&fixture.hub.key_policy(&golden.key).await?)?, for_accounts(&[last]));
        fixture.hub.status(&golden.image, |status| status == "shared with 1 account").await?;
        Ok(())
    })
}

#[test]
fn two_images_on_two_keys_in_opposite_order_do_not_block_each_other() -> Result<()> {
    flow(async |fixture| {
        let (b, c) = (fixture.target_account("b").await?, fixture.target_account("c").await?);
        let (one, other) = (fixture.hub.create_key().await?, fixture.hub.create_key().await?);
        let first = fixture.hub.image(&fixture.name("crossed"), &[&one, &other]).await?;
        let second = fixture.hub.image(&fixture.name("crossed"), &[&other, &one]).await?;
        let (for_b, for_c) = ([("ami-share:with", b.id.as_str())], [("ami-share:with", c.id.as_str())]);
        tokio::try_join!(fixture.hub.tag(&first, &for_b), fixture.hub.tag(&second, &for_c))?;
        for image in [&first, &second] {
            fixture.hub.status(image, |status| status == "shared with 1 account").await?;
        }
        for key in [&one, &other] {
            assert_eq!(managed(&fixture.hub.key_policy(key).await?)?, for_accounts(&[&b.id, &c.id]));
        }
        Ok(())
    })
}

#[test]
fn a_share_and_its_revocation_in_the_same_second_leave_no_access() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let key = fixture.hub.create_key().await?;
        let neighbours = Neighbours::on(fixture, &key).await?;
        let images = try_join_all((0..10).map(|_| fixture.image_on("brief", &key))).await?;
        let brief = try_join_all(images.iter().map(async |image| {
            fixture.hub.tag(image, &[("ami-share:with", &b.id), ("ami-share:copy", "allowed")]).await?;
            fixture.hub.untag(image, "ami-share:with").await?;
            fixture.await_reconciliations(image, 2).await
        }));
        tokio::try_join!(brief, neighbours.reconcile(fixture))?;
        for image in &images {
            assert_nothing_is_granted(fixture, image, &key).await?;
        }
        neighbours.assert_only_granted(fixture).await
    })
}

#[test]
fn a_revocation_and_a_share_in_the_same_second_end_with_access() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let key = fixture.hub.create_key().await?;
        let neighbours = Neighbours::on(fixture, &key).await?;
        let images = try_join_all((0..5).map(async |_| {
            let image = fixture.image_on("back-again", &key).await?;
            fixture.share(&image, &b.id).await?;
            anyhow::Ok(image)
        }))
        .await?;
        let back_again = try_join_all(images.iter().map(async |image| {
            fixture.hub.untag(image, "ami-share:with").await?;
            fixture.hub.tag(image, &[("ami-share:with", &b.id)]).await?;
            fixture.await_reconciliations(image, 3).await
        }));
        tokio::try_join!(back_again, neighbours.reconcile(fixture))?;
        for image in &images {
            assert_eq!(fixture.hub.launch_permissions(image).await?, [b.id.as_str()]);
            fixture.hub.status(image, |status| status == "shared with 1 account").await?;
        }
        let all: Vec<&str> = neighbours.accounts().chain([b.id.as_str()]).collect();
        assert_eq!(managed(&fixture.hub.key_policy(&key).await?)?, for_accounts(&all));
        Ok(())
    })
}

#[test]
fn old_events_that_come_again_in_any_order_change_nothing() -> Result<()> {
    flow(async |fixture| {
        let (b, c) = (fixture.target_account("b").await?, fixture.target_account("c").await?);
        let golden = fixture.golden("again").await?;
        for account in [&b, &c] {
            fixture.hub.tag(&golden.image, &[("ami-share:with", &account.id)]).await?;
        }
        fixture.hub.untag(&golden.image, "ami-share:with").await?;
        fixture.await_reconciliations(&golden.image, 3).await?;
        assert_nothing_is_granted(fixture, &golden.image, &golden.key).await?;

        repeat_events(fixture, &golden.image).await?;
        assert_nothing_is_granted(fixture, &golden.image, &golden.key).await?;

        fixture.share_until_status(&golden.image, &c.id, "shared with 1 account").await?;
        repeat_events(fixture, &golden.image).await?;
        assert_eq!(fixture.hub.launch_permissions(&golden.image).await?, [c.id.as_str()]);
        assert_eq!(managed(&fixture.hub.key_policy(&golden.key).await?)?, for_accounts(&[&c.id]));
        Ok(())
    })
}

/// Starts an execution for every event of the image so far again, all at once, the latest event first.
async fn repeat_events(fixture: &Fixture, image: &str) -> Result<()> {
    let inputs = fixture.hub.executions_of(image).await?.into_values();
    let mut inputs: Vec<Value> = inputs.collect();
    inputs.sort_by_key(|input| input.get("time").map(ToString::to_string));
    let repeated = inputs.iter().rev().map(async |input| {
        let execution = fixture.hub.start_execution(input).await?;
        let (state, cause) = fixture.hub.outcome(&execution).await?;
        ensure!(state == "SUCCEEDED", "the repeated {input} is {state}: {cause}");
        Ok(())
    });
    try_join_all(repeated).await?;
    Ok(())
}

/// Checks that neither an image, its snapshots nor its rows in the ledger grant access, and that it needs no
/// principal on its key.
pub async fn assert_nothing_is_granted(fixture: &Fixture, image: &str, key: &str) -> Result<()> {
    assert_eq!(fixture.hub.launch_permissions(image).await?, [""; 0]);
    for snapshot in fixture.hub.snapshots_of(image).await? {
        assert_eq!(fixture.hub.snapshot_permissions(&snapshot).await?, [""; 0]);
    }
    for (name, row) in fixture.hub.ledger(&format!("IMAGE#{image}")).await? {
        let has_access = row.get("is_managed").is_some_and(|managed| managed == "true");
        let has_accounts = name.starts_with("SNAPSHOT#") && row.contains_key("accounts");
        ensure!(!has_access && !has_accounts, "{image} still has managed access: {row:?}");
    }
    let mut needs = fixture.hub.ledger(&format!("KEY#{key}")).await?;
    let own = needs.remove(&format!("IMAGE#{image}")).unwrap_or_default();
    ensure!(!own.contains_key("principals"), "{image} still needs the key: {own:?}");
    // A principal that the image has released stays recorded while another image needs it on the key.
    let others: Vec<&str> =
        needs.values().filter_map(|need| need.get("principals")).flat_map(|all| all.split(' ')).collect();
    let pending_revocation: Vec<&str> =
        own.get("pending_revocation").map(|all| all.split(' ').collect()).unwrap_or_default();
    ensure!(
        pending_revocation.iter().all(|principal| others.contains(principal)),
        "no image needs {pending_revocation:?} any more"
    );
    Ok(())
}

/// Images that stay shared on the same key.
struct Neighbours {
    key: String,
    images: Vec<(String, Account)>,
}

impl Neighbours {
    async fn on(fixture: &Fixture, key: &str) -> Result<Self> {
        let images = try_join_all((0..2).map(async |_| {
            let (image, account) =
                (fixture.image_on("neighbour", key).await?, fixture.target_account("neighbour").await?);
            fixture.share(&image, &account.id).await?;
            anyhow::Ok((image, account))
        }));
        Ok(Self { key: key.to_owned(), images: images.await? })
    }

    fn accounts(&self) -> impl Iterator<Item = &str> {
        self.images.iter().map(|(_, account)| account.id.as_str())
    }

    /// Reconciles each a few times.
    async fn reconcile(&self, fixture: &Fixture) -> Result<()> {
        for _ in 0..3 {
            try_join_all(self.images.iter().map(|(image, _)| fixture.hub.reconcile(image))).await?;
        }
        Ok(())
    }

    /// Checks that the key grants only their accounts.
    async fn assert_only_granted(&self, fixture: &Fixture) -> Result<()> {
        let accounts: Vec<&str> = self.accounts().collect();
        assert_eq!(managed(&fixture.hub.key_policy(&self.key).await?)?, for_accounts(&accounts));
        for (image, account) in &self.images {
            assert_eq!(fixture.hub.launch_permissions(image).await?, [account.id.as_str()]);
        }
        Ok(())
    }
}

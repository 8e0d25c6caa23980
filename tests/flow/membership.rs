//! Accounts come, go and move: whoever is no longer meant loses what came through the organization, and whoever is
//! meant now gains it. What AWS Organizations tells starts one review for many changes.
//!
//! Accounts come to an OU once an image is shared with it, and not before: a look at the tag may remember the
//! organization as it was some seconds ago.

use std::time::Instant;

use ami_share_tests::world::Account;
use ami_share_tests::world::review::now;
use anyhow::Result;
use futures::future::try_join_all;
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::{Value, json};

use crate::access::launches;
use crate::notices::{about, heard_by_now, kinds};
use crate::policy::{for_accounts, ours};
use crate::scene::{Golden, Scene, flow_alone, flow_reviewed};
use crate::snapshots::{copies, open_to};

#[test]
fn an_account_that_moves_out_of_an_ou_can_copy_no_more_and_is_told_and_the_others_notice_nothing()
-> Result<()> {
    flow_reviewed(async |scene| {
        let ou = scene.ou("left", &scene.root).await?;
        let golden = copyable(scene, "left", &ou).await?;
        let (leaver, stayer) = (scene.member("leaver").await?, scene.member("stayer").await?);
        let (leavers, stayers) = (leaver.listen().await?, stayer.listen().await?);
        for account in [&leaver, &stayer] {
            scene.hub.move_account(&account.id, &scene.root, &ou).await?;
        }
        opens_to(scene, &golden, &[&leaver, &stayer]).await?;
        for account in [&leaver, &stayer] {
            copies(account, scene, &golden).await?;
        }

        scene.hub.move_account(&leaver.id, &ou, &scene.root).await?;
        opens_to(scene, &golden, &[&stayer]).await?;
        assert!(copies(&leaver, scene, &golden).await.is_err());
        assert!(!launches(&leaver, &golden.image).await?);
        copies(&stayer, scene, &golden).await?;
        let told = told_until(&leaver, &leavers, &golden.image, "AMI Unshared").await?;
        assert_eq!(kinds(&told), ["AMI Shared", "AMI Unshared"]);
        let reason = format!("{} is no longer among those whom ami-share:with names", leaver.id);
        assert_eq!(told[1]["detail"]["reason"], reason);
        let told = heard_by_now(scene, &stayer, &stayers, &ou, &golden.image).await?;
        assert_eq!(kinds(&told), ["AMI Shared"]);
        Ok(())
    })
}

#[test]
fn an_account_that_moves_into_an_ou_can_copy_and_is_told() -> Result<()> {
    flow_reviewed(async |scene| {
        let ou = scene.ou("joined", &scene.root).await?;
        let nested = scene.ou("nested", &ou).await?;
        let (member, joiner) = (scene.member_in("member", &ou).await?, scene.member("joiner").await?);
        let queue = joiner.listen().await?;
        let golden = copyable(scene, "joined", &ou).await?;
        assert!(copies(&joiner, scene, &golden).await.is_err());

        scene.hub.move_account(&joiner.id, &scene.root, &nested).await?;
        opens_to(scene, &golden, &[&member, &joiner]).await?;
        copies(&joiner, scene, &golden).await?;
        assert!(launches(&joiner, &golden.image).await?);
        let told = told_until(&joiner, &queue, &golden.image, "AMI Shared").await?;
        assert_eq!(told[0]["detail"]["target"], ou);
        assert_eq!(told[0]["detail"]["permits"], json!(["launch", "copy"]));
        Ok(())
    })
}

#[test]
fn a_tag_of_the_organization_gives_the_account_that_gets_it_and_takes_it_from_the_one_that_loses_it()
-> Result<()> {
    flow_reviewed(async |scene| {
        let team = scene.name("team");
        let (first, second) = (scene.member("first").await?, scene.member("second").await?);
        let queue = first.listen().await?;
        scene.hub.tag_in_organization(&first.id, "Team", &team).await?;
        let golden = scene.golden("tagged").await?;
        scene.share(&golden.image, &format!("tag:Team={team}")).await?;
        assert!(launches(&first, &golden.image).await?);

        scene.hub.tag_in_organization(&second.id, "Team", &team).await?;
        scene.hub.status(&golden.image, |status| status == "shared with 2 accounts").await?;
        assert!(launches(&second, &golden.image).await?);

        scene.hub.untag_in_organization(&first.id, "Team").await?;
        scene.hub.status(&golden.image, |status| status == "shared with 1 account").await?;
        assert!(!first.sees(&golden.image).await? && !first.may_use_key(&golden.key).await?);
        assert!(launches(&second, &golden.image).await?);
        assert_eq!(ours(&scene.hub.key_policy(&golden.key).await?)?, for_accounts(&[&second.id]));
        let told = told_until(&first, &queue, &golden.image, "AMI Unshared").await?;
        assert_eq!(kinds(&told), ["AMI Shared", "AMI Unshared"]);
        Ok(())
    })
}

#[test]
fn a_tag_of_an_ou_gives_and_takes_all_of_it_and_nobody_is_left_when_the_last_one_loses_it() -> Result<()> {
    flow_reviewed(async |scene| {
        let team = scene.name("team");
        let ou = scene.ou("tagged", &scene.root).await?;
        let inside = scene.member_in("inside", &ou).await?;
        let golden = scene.golden("tagged-ou").await?;
        let word = format!("tag:Team={team}");
        let nobody = format!("refused: `{word}` matches no account");
        assert!(scene.share(&golden.image, &word).await?.starts_with(&nobody));

        scene.hub.tag_in_organization(&ou, "Team", &team).await?;
        scene.hub.status(&golden.image, |status| status == "shared with 1 OU").await?;
        assert!(launches(&inside, &golden.image).await?);

        scene.hub.untag_in_organization(&ou, "Team").await?;
        scene.hub.status(&golden.image, |status| status.starts_with(&nobody)).await?;
        assert!(!inside.sees(&golden.image).await? && !inside.may_use_key(&golden.key).await?);
        assert!(scene.hub.launch_permissions(&golden.image).await?.is_empty());
        Ok(())
    })
}

#[test]
fn a_closed_account_loses_what_came_to_it_by_name_and_through_its_ou() -> Result<()> {
    flow_reviewed(async |scene| {
        let ou = scene.ou("closing", &scene.root).await?;
        let (by_name, by_ou) = (scene.golden("by-name").await?, copyable(scene, "by-ou", &ou).await?);
        let (closing, stays) = (scene.member_in("closing", &ou).await?, scene.member_in("stays", &ou).await?);
        scene.share(&by_name.image, &format!("{} {}", closing.id, stays.id)).await?;
        opens_to(scene, &by_ou, &[&closing, &stays]).await?;

        scene.hub.close_account(&closing.id).await?;
        let reason = format!("account {} is closed or suspended; remove it from the tag", closing.id);
        let expected = format!("shared with 1 account; refused: {reason}");
        scene.hub.status(&by_name.image, |status| status == expected).await?;
        assert_eq!(scene.hub.launch_permissions(&by_name.image).await?, [stays.id.as_str()]);
        assert_eq!(ours(&scene.hub.key_policy(&by_name.key).await?)?, for_accounts(&[&stays.id]));
        opens_to(scene, &by_ou, &[&stays]).await
    })
}

#[test]
fn a_new_account_gets_the_snapshots_of_what_the_whole_organization_has() -> Result<()> {
    flow_reviewed(async |scene| {
        let golden = copyable(scene, "for-all", "org").await?;
        let new = scene.member("new").await?;
        scene
            .hub
            .until("the snapshot is open to the new account", async || {
                Ok(open_to(scene, &golden).await?.contains(&new.id).then_some(()))
            })
            .await?;
        copies(&new, scene, &golden).await?;
        // Every other account that is made would be its affair as well.
        for tag in ["ami-share:with", "ami-share:copy"] {
            scene.hub.untag(&golden.image, tag).await?;
        }
        opens_to(scene, &golden, &[]).await
    })
}

#[test]
fn an_account_that_leaves_the_organization_loses_what_it_had_by_its_id_whoever_ends_its_membership()
-> Result<()> {
    flow_reviewed(async |scene| {
        let (removed, gone, stays) =
            (scene.member("removed").await?, scene.member("gone").await?, scene.member("stays").await?);
        let queue = removed.listen().await?;
        let golden = copyable(scene, "leaving", &format!("{} {} {}", removed.id, gone.id, stays.id)).await?;
        for account in [&removed, &gone, &stays] {
            assert!(launches(account, &golden.image).await?);
        }

        scene.hub.remove_account(&removed.id).await?;
        gone.leave_organization().await?;
        opens_to(scene, &golden, &[&stays]).await?;
        scene
            .hub
            .status(&golden.image, |status| status.starts_with("shared with 1 account; refused: "))
            .await?;
        for account in [&removed, &gone] {
            assert!(!account.sees(&golden.image).await? && !account.may_use_key(&golden.key).await?);
        }
        assert!(launches(&stays, &golden.image).await?);
        let told = told_until(&removed, &queue, &golden.image, "AMI Unshared").await?;
        assert!(
            told[1]["detail"]["reason"]
                .as_str()
                .is_some_and(|why| why.contains("is not in this organization"))
        );
        Ok(())
    })
}

#[test]
fn many_moves_at_once_are_one_review_or_two_and_each_image_is_looked_at_once_for_each() -> Result<()> {
    flow_alone(async |scene| {
        let (from, to) = (scene.ou("from", &scene.root).await?, scene.ou("to", &scene.root).await?);
        let movers = try_join_all((0..10).map(|_| scene.member_in("mover", &from))).await?;
        let (losing, gaining) =
            (copyable(scene, "losing", &from).await?, copyable(scene, "gaining", &to).await?);
        let untouched = copyable(scene, "untouched", &movers[0].id).await?;
        scene.hub.still().await?;
        let reviews = scene.hub.reviews().await?.len();
        let looks = looks_at(scene, [&losing, &gaining, &untouched]).await?;

        let began = Instant::now();
        try_join_all(movers.iter().map(|mover| scene.hub.move_account(&mover.id, &from, &to))).await?;
        scene.hub.has_heard_all().await?;
        // A busy machine hears of them one after the other, and each window of ten seconds has its review. They may lie
        // across the end of one.
        let windows = 2 + usize::try_from(began.elapsed().as_secs())? / 10;
        opens_to(scene, &gaining, &movers.iter().collect::<Vec<_>>()).await?;
        opens_to(scene, &losing, &[]).await?;
        scene.hub.still().await?;
        let reviews = scene.hub.reviews().await?.len() - reviews;
        assert!((1..=windows).contains(&reviews) && reviews < movers.len(), "{reviews} reviews");
        let after = looks_at(scene, [&losing, &gaining, &untouched]).await?;
        assert!((1..=reviews).contains(&(after[0] - looks[0])), "{looks:?} {after:?}");
        assert!((1..=reviews).contains(&(after[1] - looks[1])), "{looks:?} {after:?}");
        assert_eq!(after[2], looks[2]);
        for mover in &movers {
            copies(mover, scene, &gaining).await?;
        }
        Ok(())
    })
}

#[test]
fn what_is_remembered_of_the_organization_keeps_nobody_in_once_a_change_is_told() -> Result<()> {
    flow_alone(async |scene| {
        scene.hub.disable_rules().await?;
        let ou = scene.ou("remembered", &scene.root).await?;
        let (leaver, stayer) = (scene.member_in("leaver", &ou).await?, scene.member_in("stayer", &ou).await?);
        let golden = scene.golden("remembered").await?;
        scene.hub.tag(&golden.image, &[("ami-share:with", &ou), ("ami-share:copy", "allowed")]).await?;
        let others = wide_organization(scene).await?;

        let mut is_remembered = false;
        for _ in 0..PATIENCE {
            scene.hub.look(&golden.image).await?;
            assert_eq!(open_to(scene, &golden).await?.len(), 2);
            scene.hub.move_account(&leaver.id, &ou, &scene.root).await?;
            scene.hub.look(&golden.image).await?;
            is_remembered = open_to(scene, &golden).await?.contains(&leaver.id);
            if is_remembered {
                break;
            }
            scene.hub.move_account(&leaver.id, &scene.root, &ou).await?;
        }
        assert!(is_remembered, "nothing is remembered even for a moment, so this shows nothing");
        let review = scene.hub.start_review(None, &json!({ "organization_changed_at": now()? })).await?;
        scene.hub.reviewed(&review).await?;
        assert_eq!(open_to(scene, &golden).await?, [stayer.id.as_str()]);
        for ou in others {
            scene.hub.organizations.delete_organizational_unit().organizational_unit_id(ou).send().await?;
        }
        Ok(())
    })
}

/// OUs that make reading an organization take so long that it is worth remembering.
const WIDE: usize = 250;
/// How often a test tries to be quicker than what is remembered is forgotten.
const PATIENCE: usize = 5;

/// Makes the organization wide; answers the new OUs.
async fn wide_organization(scene: &Scene) -> Result<Vec<String>> {
    let made = (0..WIDE).map(|_| scene.ou("wide", &scene.root));
    stream::iter(made).buffer_unordered(8).try_collect().await
}

/// An encrypted image that is shared with copying allowed.
pub async fn copyable(scene: &Scene, what: &str, words: &str) -> Result<Golden> {
    let golden = scene.golden(what).await?;
    scene.hub.tag(&golden.image, &[("ami-share:with", words), ("ami-share:copy", "allowed")]).await?;
    scene.hub.status(&golden.image, |_| true).await?;
    Ok(golden)
}

/// Waits until exactly these accounts may copy the snapshot of an image.
pub async fn opens_to(scene: &Scene, golden: &Golden, accounts: &[&Account]) -> Result<()> {
    let mut expected: Vec<&str> = accounts.iter().map(|account| account.id.as_str()).collect();
    expected.sort_unstable();
    let open = async || Ok((open_to(scene, golden).await? == expected).then_some(()));
    scene.hub.until("the snapshot is open to whom it should be", open).await
}

/// The notices of an image that an account has got until, and with, the first of a kind.
pub async fn told_until(account: &Account, queue: &str, image: &str, kind: &str) -> Result<Vec<Value>> {
    let mut heard = Vec::new();
    account
        .until("the notice has come", async || {
            heard.extend(account.take(queue).await?);
            let told: Vec<Value> = about(&heard, image).into_iter().cloned().collect();
            Ok(kinds(&told).contains(&kind).then_some(told))
        })
        .await
}

/// How often each image has been looked at.
async fn looks_at(scene: &Scene, images: [&Golden; 3]) -> Result<Vec<usize>> {
    let looks = images.map(async |golden| anyhow::Ok(scene.hub.executions_of(&golden.image).await?.len()));
    try_join_all(looks).await
}

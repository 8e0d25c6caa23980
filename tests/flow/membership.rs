//! Accounts that join, leave or move gain and lose the access that they have through the organization. The events of
//! AWS Organizations start one review for many changes.
//!
//! The tests move accounts into an OU only after an image is shared with it: an earlier reconciliation may use the
//! cached organization of some seconds ago.

use std::time::Instant;

use ami_share_tests::world::Account;
use ami_share_tests::world::review::now;
use anyhow::Result;
use futures::future::try_join_all;
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::{Value, json};

use crate::access::launches;
use crate::fixture::{Fixture, Golden, flow_alone, flow_reviewed};
use crate::notifications::{about, kinds, received_by_now};
use crate::policy::{for_accounts, managed};
use crate::snapshots::{copies, granted_to};

#[test]
fn an_account_that_leaves_an_ou_cannot_copy_and_is_notified_and_the_others_are_unaffected() -> Result<()> {
    flow_reviewed(async |fixture| {
        let ou = fixture.ou("left", &fixture.root).await?;
        let golden = copyable(fixture, "left", &ou).await?;
        let (former_account, stayer) =
            (fixture.target_account("former").await?, fixture.target_account("stayer").await?);
        let (former_queue, stayer_queue) = (former_account.listen().await?, stayer.listen().await?);
        for account in [&former_account, &stayer] {
            fixture.hub.move_account(&account.id, &fixture.root, &ou).await?;
        }
        until_granted_to(fixture, &golden, &[&former_account, &stayer]).await?;
        for account in [&former_account, &stayer] {
            copies(account, fixture, &golden).await?;
        }

        fixture.hub.move_account(&former_account.id, &ou, &fixture.root).await?;
        until_granted_to(fixture, &golden, &[&stayer]).await?;
        assert!(copies(&former_account, fixture, &golden).await.is_err());
        assert!(!launches(&former_account, &golden.image).await?);
        copies(&stayer, fixture, &golden).await?;
        let notified = notified_until(&former_account, &former_queue, &golden.image, "AMI Unshared").await?;
        assert_eq!(kinds(&notified), ["AMI Shared", "AMI Unshared"]);
        let reason = format!("ami-share:with no longer names {}", former_account.id);
        assert_eq!(notified[1]["detail"]["reason"], reason);
        let notified = received_by_now(fixture, &stayer, &stayer_queue, &ou, &golden.image).await?;
        assert_eq!(kinds(&notified), ["AMI Shared"]);
        Ok(())
    })
}

#[test]
fn an_account_that_moves_into_an_ou_can_copy_and_is_notified() -> Result<()> {
    flow_reviewed(async |fixture| {
        let ou = fixture.ou("joined", &fixture.root).await?;
        let nested = fixture.ou("nested", &ou).await?;
        let (present, joiner) =
            (fixture.account_in("present", &ou).await?, fixture.target_account("joiner").await?);
        let queue = joiner.listen().await?;
        let golden = copyable(fixture, "joined", &ou).await?;
        assert!(copies(&joiner, fixture, &golden).await.is_err());

        fixture.hub.move_account(&joiner.id, &fixture.root, &nested).await?;
        until_granted_to(fixture, &golden, &[&present, &joiner]).await?;
        copies(&joiner, fixture, &golden).await?;
        assert!(launches(&joiner, &golden.image).await?);
        let notified = notified_until(&joiner, &queue, &golden.image, "AMI Shared").await?;
        assert_eq!(notified[0]["detail"]["target"], ou);
        assert_eq!(notified[0]["detail"]["permits"], json!(["launch", "copy"]));
        Ok(())
    })
}

#[test]
fn an_organizations_tag_grants_the_account_that_gets_it_and_revokes_the_one_that_loses_it() -> Result<()> {
    flow_reviewed(async |fixture| {
        let team = fixture.name("team");
        let (first, second) =
            (fixture.target_account("first").await?, fixture.target_account("second").await?);
        let queue = first.listen().await?;
        fixture.hub.tag_in_organization(&first.id, "Team", &team).await?;
        let golden = fixture.golden("tagged").await?;
        fixture.share(&golden.image, &format!("tag:Team={team}")).await?;
        assert!(launches(&first, &golden.image).await?);

        fixture.hub.tag_in_organization(&second.id, "Team", &team).await?;
        fixture.hub.status(&golden.image, |status| status == "shared with 2 accounts").await?;
        assert!(launches(&second, &golden.image).await?);

        fixture.hub.untag_in_organization(&first.id, "Team").await?;
        fixture.hub.status(&golden.image, |status| status == "shared with 1 account").await?;
        assert!(!first.sees(&golden.image).await? && !first.may_use_key(&golden.key).await?);
        assert!(launches(&second, &golden.image).await?);
        assert_eq!(managed(&fixture.hub.key_policy(&golden.key).await?)?, for_accounts(&[&second.id]));
        let notified = notified_until(&first, &queue, &golden.image, "AMI Unshared").await?;
        assert_eq!(kinds(&notified), ["AMI Shared", "AMI Unshared"]);
        Ok(())
    })
}

#[test]
fn tagging_an_ou_grants_access_to_all_of_it_and_untagging_it_revokes_all() -> Result<()> {
    flow_reviewed(async |fixture| {
        let team = fixture.name("team");
        let ou = fixture.ou("tagged", &fixture.root).await?;
        let inside = fixture.account_in("inside", &ou).await?;
        let golden = fixture.golden("tagged-ou").await?;
        let selector = format!("tag:Team={team}");
        let no_match = format!("refused: {selector}: no account");
        assert!(fixture.share(&golden.image, &selector).await?.starts_with(&no_match));

        fixture.hub.tag_in_organization(&ou, "Team", &team).await?;
        fixture.hub.status(&golden.image, |status| status == "shared with 1 OU").await?;
        assert!(launches(&inside, &golden.image).await?);

        fixture.hub.untag_in_organization(&ou, "Team").await?;
        fixture.hub.status(&golden.image, |status| status.starts_with(&no_match)).await?;
        assert!(!inside.sees(&golden.image).await? && !inside.may_use_key(&golden.key).await?);
        assert!(fixture.hub.launch_permissions(&golden.image).await?.is_empty());
        Ok(())
    })
}

#[test]
fn a_closed_account_loses_access_granted_by_account_id_and_through_its_ou() -> Result<()> {
    flow_reviewed(async |fixture| {
        let ou = fixture.ou("closing", &fixture.root).await?;
        let (by_name, by_ou) = (fixture.golden("by-name").await?, copyable(fixture, "by-ou", &ou).await?);
        let (closing, stays) =
            (fixture.account_in("closing", &ou).await?, fixture.account_in("stays", &ou).await?);
        fixture.share(&by_name.image, &format!("{} {}", closing.id, stays.id)).await?;
        until_granted_to(fixture, &by_ou, &[&closing, &stays]).await?;

        fixture.hub.close_account(&closing.id).await?;
        let reason = format!("{}: the account is closed or suspended; remove it from the tag", closing.id);
        let expected = format!("shared with 1 account; refused: {reason}");
        fixture.hub.status(&by_name.image, |status| status == expected).await?;
        assert_eq!(fixture.hub.launch_permissions(&by_name.image).await?, [stays.id.as_str()]);
        assert_eq!(managed(&fixture.hub.key_policy(&by_name.key).await?)?, for_accounts(&[&stays.id]));
        until_granted_to(fixture, &by_ou, &[&stays]).await
    })
}

#[test]
fn a_new_account_gets_the_snapshots_of_what_the_whole_organization_has() -> Result<()> {
    flow_reviewed(async |fixture| {
        let golden = copyable(fixture, "for-all", "org").await?;
        let new = fixture.target_account("new").await?;
        fixture
            .hub
            .until("the snapshot is granted to the new account", async || {
                Ok(granted_to(fixture, &golden).await?.contains(&new.id).then_some(()))
            })
            .await?;
        copies(&new, fixture, &golden).await?;
        // Otherwise this image would be granted to the accounts that other tests create.
        for tag in ["ami-share:with", "ami-share:copy"] {
            fixture.hub.untag(&golden.image, tag).await?;
        }
        until_granted_to(fixture, &golden, &[]).await
    })
}

#[test]
fn an_account_that_leaves_or_is_removed_from_the_organization_loses_access_granted_by_its_id() -> Result<()> {
    flow_reviewed(async |fixture| {
        let (removed, departed, stays) = (
            fixture.target_account("removed").await?,
            fixture.target_account("departed").await?,
            fixture.target_account("stays").await?,
        );
        let queue = removed.listen().await?;
        let golden =
            copyable(fixture, "departing", &format!("{} {} {}", removed.id, departed.id, stays.id)).await?;
        for account in [&removed, &departed, &stays] {
            assert!(launches(account, &golden.image).await?);
        }

        fixture.hub.remove_account(&removed.id).await?;
        departed.leave_organization().await?;
        until_granted_to(fixture, &golden, &[&stays]).await?;
        fixture
            .hub
            .status(&golden.image, |status| status.starts_with("shared with 1 account; refused: "))
            .await?;
        for account in [&removed, &departed] {
            assert!(!account.sees(&golden.image).await? && !account.may_use_key(&golden.key).await?);
        }
        assert!(launches(&stays, &golden.image).await?);
        let notified = notified_until(&removed, &queue, &golden.image, "AMI Unshared").await?;
        assert!(
            notified[1]["detail"]["reason"]
                .as_str()
                .is_some_and(|why| why.contains("not in this organization"))
        );
        Ok(())
    })
}

#[test]
fn many_account_moves_at_once_start_few_reviews_and_each_reconciles_an_image_once() -> Result<()> {
    flow_alone(async |fixture| {
        let (from, to) = (fixture.ou("from", &fixture.root).await?, fixture.ou("to", &fixture.root).await?);
        let movers = try_join_all((0..10).map(|_| fixture.account_in("mover", &from))).await?;
        let (losing, gaining) =
            (copyable(fixture, "losing", &from).await?, copyable(fixture, "gaining", &to).await?);
        let untouched = copyable(fixture, "untouched", &movers[0].id).await?;
        fixture.hub.wait_until_idle().await?;
        let reviews = fixture.hub.reviews().await?.len();
        let reconciliations = reconciliations_of(fixture, [&losing, &gaining, &untouched]).await?;

        let began = Instant::now();
        try_join_all(movers.iter().map(|mover| fixture.hub.move_account(&mover.id, &from, &to))).await?;
        fixture.hub.events_delivered().await?;
        // On a busy machine the events arrive one after the other. Each window of ten seconds starts one review, and
        // the events may lie in two more windows than their duration fills.
        let windows = 2 + usize::try_from(began.elapsed().as_secs())? / 10;
        until_granted_to(fixture, &gaining, &movers.iter().collect::<Vec<_>>()).await?;
        until_granted_to(fixture, &losing, &[]).await?;
        fixture.hub.wait_until_idle().await?;
        let reviews = fixture.hub.reviews().await?.len() - reviews;
        assert!((1..=windows).contains(&reviews) && reviews < movers.len(), "{reviews} reviews");
        let after = reconciliations_of(fixture, [&losing, &gaining, &untouched]).await?;
        assert!((1..=reviews).contains(&(after[0] - reconciliations[0])), "{reconciliations:?} {after:?}");
        assert!((1..=reviews).contains(&(after[1] - reconciliations[1])), "{reconciliations:?} {after:?}");
        assert_eq!(after[2], reconciliations[2]);
        for mover in &movers {
            copies(mover, fixture, &gaining).await?;
        }
        Ok(())
    })
}

#[test]
fn a_cached_organization_preserves_no_access_after_a_reported_organization_change() -> Result<()> {
    flow_alone(async |fixture| {
        fixture.hub.disable_rules().await?;
        let ou = fixture.ou("cached", &fixture.root).await?;
        let (former_account, stayer) =
            (fixture.account_in("former", &ou).await?, fixture.account_in("stayer", &ou).await?);
        let golden = fixture.golden("cached").await?;
        fixture.hub.tag(&golden.image, &[("ami-share:with", &ou), ("ami-share:copy", "allowed")]).await?;
        let many_ous = many_ous(fixture).await?;

        let mut is_cached = false;
        for _ in 0..TRIES {
            fixture.hub.reconcile(&golden.image).await?;
            assert_eq!(granted_to(fixture, &golden).await?.len(), 2);
            fixture.hub.move_account(&former_account.id, &ou, &fixture.root).await?;
            fixture.hub.reconcile(&golden.image).await?;
            is_cached = granted_to(fixture, &golden).await?.contains(&former_account.id);
            if is_cached {
                break;
            }
            fixture.hub.move_account(&former_account.id, &fixture.root, &ou).await?;
        }
        assert!(is_cached, "no cached organization was used, so this test shows nothing");
        let review = fixture.hub.start_review(None, &json!({ "organization_changed_at": now()? })).await?;
        fixture.hub.reviewed(&review).await?;
        assert_eq!(granted_to(fixture, &golden).await?, [stayer.id.as_str()]);
        for ou in many_ous {
            fixture.hub.organizations.delete_organizational_unit().organizational_unit_id(ou).send().await?;
        }
        Ok(())
    })
}

/// How many OUs make reading an organization so slow that ami-share caches it.
const MANY_OUS: usize = 250;
/// How often a test tries to be quicker than the cache expires.
const TRIES: usize = 5;

/// Creates many OUs. Returns their ids.
async fn many_ous(fixture: &Fixture) -> Result<Vec<String>> {
    let created = (0..MANY_OUS).map(|_| fixture.ou("many", &fixture.root));
    stream::iter(created).buffer_unordered(8).try_collect().await
}

/// A new encrypted image that is shared, with copying allowed.
pub async fn copyable(fixture: &Fixture, what: &str, selectors: &str) -> Result<Golden> {
    let golden = fixture.golden(what).await?;
    fixture.hub.tag(&golden.image, &[("ami-share:with", selectors), ("ami-share:copy", "allowed")]).await?;
    fixture.hub.status(&golden.image, |_| true).await?;
    Ok(golden)
}

/// Waits until exactly these accounts may copy the snapshot of an image.
pub async fn until_granted_to(fixture: &Fixture, golden: &Golden, accounts: &[&Account]) -> Result<()> {
    let mut expected: Vec<&str> = accounts.iter().map(|account| account.id.as_str()).collect();
    expected.sort_unstable();
    let is_granted = async || Ok((granted_to(fixture, golden).await? == expected).then_some(()));
    fixture.hub.until("the snapshot is granted to exactly these accounts", is_granted).await
}

/// The notifications of an image that an account receives, up to the first of a kind.
pub async fn notified_until(account: &Account, queue: &str, image: &str, kind: &str) -> Result<Vec<Value>> {
    let mut received = Vec::new();
    account
        .until("the notification has arrived", async || {
            received.extend(account.take(queue).await?);
            let notified: Vec<Value> = about(&received, image).into_iter().cloned().collect();
            Ok(kinds(&notified).contains(&kind).then_some(notified))
        })
        .await
}

/// How often each image has been reconciled.
async fn reconciliations_of(fixture: &Fixture, images: [&Golden; 3]) -> Result<Vec<usize>> {
    let reconciliations =
        images.map(async |golden| anyhow::Ok(fixture.hub.executions_of(&golden.image).await?.len()));
    try_join_all(reconciliations).await
}

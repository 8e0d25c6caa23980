//! A delayed function does no harm: it grants nothing that is no longer desired, and revokes nothing that is needed.

use std::collections::VecDeque;
use std::time::Duration;

use ami_share_tests::world::interruptions::{Interruption, Invocation, Then, When};
use anyhow::{Context, Result, bail, ensure};
use futures::future::try_join_all;
use tokio::sync::Mutex;

use crate::failures::just_failed;
use crate::fixture::{Fixture, flow};
use crate::notifications::{kinds, on_the_bus, received_by_now};
use crate::policy::{for_accounts, managed};
use crate::races::assert_nothing_is_granted;

/// How long a function is held: long enough that it must renew its lease before its next write.
const LONG: Duration = Duration::from_secs(12);
/// A held call times out after twenty seconds. A busy machine may take longer to revoke, so the test tries this often.
const TRIES: usize = 4;
/// How long the other reconciliations run while one is held: long enough for all that needs no lease.
const MEANWHILE: Duration = Duration::from_millis(1_500);

#[test]
fn a_delayed_share_that_lost_its_lease_grants_nothing_after_the_revocation() -> Result<()> {
    flow(async |fixture| {
        // Each call is the last one before the function's first write to AWS.
        let delayed = [("share-image", None, 4), ("extend-key-policy", Some("grant"), 7)];
        try_join_all(delayed.map(async |(function, action, call)| {
            for _ in 0..TRIES {
                if lose_the_lease(fixture, function, action, call).await? {
                    return Ok(());
                }
            }
            bail!("the call of {function} timed out before the revocation ended, each time")
        }))
        .await?;
        Ok(())
    })
}

/// Holds a share after a call, lets a revocation overtake it, and releases it. Returns `false` if that took so long
/// that the call timed out: then a retry has completed the share, which shows nothing.
async fn lose_the_lease(
    fixture: &Fixture,
    function: &str,
    action: Option<&str>,
    call: usize,
) -> Result<bool> {
    let b = fixture.target_account("b").await?;
    let golden = fixture.golden("overtaken").await?;
    fixture.await_reconciliations(&golden.image, 0).await?;
    let point = hold(function, action, call, When::After);
    fixture.hub.interrupt(&golden.image, &point).await?;
    let before = fixture.hub.invocations(&golden.image).await?.len();
    fixture.hub.tag(&golden.image, &[("ami-share:with", &b.id), ("ami-share:copy", "allowed")]).await?;
    let held = until_held(fixture, &golden.image, before).await?.context("nothing was held")?;
    let since = tokio::time::Instant::now();
    for partition in [format!("IMAGE#{}", golden.image), format!("KEY#{}", golden.key)] {
        fixture.hub.expire_lease(&partition, &held.request_id).await?;
    }
    fixture.hub.untag(&golden.image, "ami-share:with").await?;
    fixture.hub.status(&golden.image, |status| status.starts_with("not shared")).await?;
    tokio::time::sleep_until(since + LONG).await;
    let has_waited = fixture.hub.release(&golden.image).await?;
    fixture.await_reconciliations(&golden.image, 2).await?;
    assert_eq!(managed(&fixture.hub.key_policy(&golden.key).await?)?, [""; 0]);
    assert_nothing_is_granted(fixture, &golden.image, &golden.key).await?;
    Ok(has_waited)
}

#[test]
fn a_failure_notification_that_loses_its_lease_leaves_the_later_status() -> Result<()> {
    flow(async |fixture| {
        let (b, c) = (fixture.target_account("b").await?, fixture.target_account("c").await?);
        let bus = on_the_bus(fixture).await?;
        let image = fixture.image("failed").await?;
        fixture.share(&image, &b.id).await?;
        fixture.await_reconciliations(&image, 1).await?;
        // By then the function has read what was notified, and has written nothing.
        fixture.hub.interrupt(&image, &hold("notify-targets", None, 2, When::After)).await?;
        let before = fixture.hub.invocations(&image).await?.len();
        fixture.hub.deliver_event("notify-targets", &just_failed(&image)?).await?;
        let held = until_held(fixture, &image, before).await?.context("nothing was held")?;
        let since = tokio::time::Instant::now();
        fixture.hub.expire_lease(&format!("IMAGE#{image}"), &held.request_id).await?;
        fixture.share_until_status(&image, &format!("{} {}", b.id, c.id), "shared with 2 accounts").await?;
        fixture.await_reconciliations(&image, 2).await?;
        tokio::time::sleep_until(since + LONG).await;
        fixture.hub.release(&image).await?;
        let is_over = async || {
            let invocations = fixture.hub.invocations(&image).await?;
            let is_notifying = |one: &&Invocation| one.function == "notify-targets" && one.event.is_some();
            let notifying: Vec<&str> =
                invocations.iter().filter(is_notifying).map(|one| one.state.as_str()).collect();
            Ok(matches!(notifying.as_slice(), ["failed", .., "ended"]).then_some(()))
        };
        fixture.hub.until("a later attempt has notified the failure", is_over).await?;
        let received = received_by_now(fixture, &fixture.hub, &bus, &b.id, &image).await?;
        assert_eq!(
            kinds(&received).iter().filter(|kind| **kind == "AMI Share Failed").count(),
            1,
            "{received:?}"
        );
        assert_eq!(fixture.hub.status(&image, |_| true).await?, "shared with 2 accounts");
        Ok(())
    })
}

/// The reconciliation that the removed tag starts finds no intent to revoke, so the first share itself must see that
/// the tag is gone.
#[test]
fn a_first_share_grants_nothing_when_its_tag_is_removed_while_it_is_delayed() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let golden = fixture.golden("gone-again").await?;
        fixture.await_reconciliations(&golden.image, 0).await?;
        let after_reading_the_tags = hold("resolve-share", None, 2, When::After);
        fixture.hub.interrupt(&golden.image, &after_reading_the_tags).await?;
        let before = fixture.hub.invocations(&golden.image).await?.len();
        fixture.hub.tag(&golden.image, &[("ami-share:with", &b.id)]).await?;
        until_held(fixture, &golden.image, before).await?.context("nothing was held")?;
        fixture.hub.untag(&golden.image, "ami-share:with").await?;
        tokio::time::sleep(MEANWHILE).await;
        fixture.hub.release(&golden.image).await?;
        fixture.await_reconciliations(&golden.image, 2).await?;
        assert_eq!(managed(&fixture.hub.key_policy(&golden.key).await?)?, [""; 0]);
        assert_nothing_is_granted(fixture, &golden.image, &golden.key).await
    })
}

/// One image releases an account on a key while another image starts to need it there. Whichever of the two is held, at
/// whichever call, in the end the key grants the account.
#[test]
fn a_key_released_by_one_image_still_grants_what_another_image_comes_to_need() -> Result<()> {
    flow(async |fixture| {
        let revoking = (1..=14).map(|call| hold("extend-key-policy", Some("revoke"), call, When::After));
        let granting = (1..=11).map(|call| hold("extend-key-policy", Some("grant"), call, When::After));
        let granting = granting.map(|point| (false, point));
        let points: VecDeque<(bool, Interruption)> =
            revoking.map(|point| (true, point)).chain(granting).collect();
        let (all, points) = (points.len(), Mutex::new(points));
        let held = try_join_all((0..4).map(|_| swap_shares(fixture, &points))).await?;
        let held: usize = held.into_iter().sum();
        // A function that finds the key in its desired state makes fewer calls.
        ensure!(held * 2 > all, "only {held} of {all} points were reached");
        eprintln!("held at {held} of {all} calls");
        Ok(())
    })
}

/// Shares two images on one key alternately, and holds one of them at each point. Returns how many points were reached.
async fn swap_shares(fixture: &Fixture, points: &Mutex<VecDeque<(bool, Interruption)>>) -> Result<usize> {
    let b = fixture.target_account("b").await?;
    let key = fixture.hub.create_key().await?;
    let mut releasing = fixture.image_on("swapped", &key).await?;
    let mut requesting = fixture.image_on("swapped", &key).await?;
    fixture.share_until_status(&releasing, &b.id, "shared with 1 account").await?;
    for image in [&releasing, &requesting] {
        fixture.hub.settled(image).await?;
    }
    let mut held = 0;
    while let Some((is_revocation_held, point)) = points.lock().await.pop_front() {
        let first = if is_revocation_held { &releasing } else { &requesting };
        fixture.hub.interrupt(first, &point).await?;
        let change = async |image: &str| match image == releasing {
            true => fixture.hub.untag(image, "ami-share:with").await,
            false => fixture.hub.tag(image, &[("ami-share:with", &b.id)]).await,
        };
        let before = fixture.hub.invocations(first).await?.len();
        change(first).await?;
        let was_held = until_held(fixture, first, before).await?.is_some();
        change(if is_revocation_held { &requesting } else { &releasing }).await?;
        if was_held {
            held += 1;
            tokio::time::sleep(MEANWHILE).await;
            fixture.hub.release(first).await?;
        }
        fixture.hub.status(&releasing, |status| status.starts_with("not shared")).await?;
        fixture.hub.status(&requesting, |status| status == "shared with 1 account").await?;
        for image in [&releasing, &requesting] {
            fixture.hub.settled(image).await?;
        }
        assert_nothing_is_granted(fixture, &releasing, &key)
            .await
            .with_context(|| format!("held at {point:?}"))?;
        let granted = managed(&fixture.hub.key_policy(&key).await?)?;
        ensure!(granted == for_accounts(&[&b.id]), "held at {point:?}, the key grants {granted:?}");
        assert_eq!(fixture.hub.launch_permissions(&requesting).await?, [b.id.as_str()]);
        std::mem::swap(&mut releasing, &mut requesting);
    }
    Ok(held)
}

fn hold(function: &str, action: Option<&str>, call: usize, when: When) -> Interruption {
    Interruption {
        function: function.to_owned(),
        action: action.map(str::to_owned),
        call,
        when,
        then: Then::Hold,
    }
}

/// Waits until a reconciliation of an image is held, counting invocations after the first `before`. Returns `None` if
/// one has notified without being held.
async fn until_held(fixture: &Fixture, image: &str, before: usize) -> Result<Option<Invocation>> {
    let held = async || {
        let all = fixture.hub.invocations(image).await?;
        let since = all.iter().skip(before);
        let held = since.clone().find(|invocation| invocation.state == "held").cloned();
        let has_notified =
            |invocation: &Invocation| invocation.function == "notify-targets" && invocation.state == "ended";
        Ok((held.is_some() || since.clone().any(has_notified)).then_some(held))
    };
    fixture.hub.until("a function is held", held).await
}

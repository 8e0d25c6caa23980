//! A function that is held up while others go on: it never finishes what is not wanted any more, and nobody who still
//! needs a key is taken out of it.

use std::collections::VecDeque;
use std::time::Duration;

use ami_share_tests::world::interruptions::{Interruption, Invocation, Then, When};
use anyhow::{Context, Result, bail, ensure};
use futures::future::try_join_all;
use tokio::sync::Mutex;

use crate::failures::failed_by_now;
use crate::fixture::{Fixture, flow};
use crate::notifications::{kinds, on_the_bus, received_by_now};
use crate::policy::{for_accounts, managed};
use crate::races::nothing_is_granted;

/// So long is a function held up that its turn must be renewed before its next write.
const LONG: Duration = Duration::from_secs(12);
/// A function gives up a call after twenty seconds. So often may a busy machine take longer for a withdrawal.
const TRIES: usize = 4;
/// So long others may go on while one is held up: enough for all that they can do without its turn.
const MEANWHILE: Duration = Duration::from_millis(1_500);

#[test]
fn a_delayed_share_that_lost_its_lease_grants_nothing_after_the_revocation() -> Result<()> {
    flow(async |fixture| {
        // Each has read all that it goes by, and has written nothing to AWS yet.
        let delayed = [("share-image", None, 4), ("extend-key-policy", Some("grant"), 7)];
        try_join_all(delayed.map(async |(function, action, call)| {
            for _ in 0..TRIES {
                if lose_the_lease(fixture, function, action, call).await? {
                    return Ok(());
                }
            }
            bail!("{function} gave up its call before the withdrawal was over, each time")
        }))
        .await?;
        Ok(())
    })
}

/// Holds up a share after a call, lets a withdrawal overtake it, and lets it go on. `false` when that took so long that
/// the share had given up the call: then another one has made the end of it, which shows nothing.
async fn lose_the_lease(
    fixture: &Fixture,
    function: &str,
    action: Option<&str>,
    call: usize,
) -> Result<bool> {
    let b = fixture.target_account("b").await?;
    let golden = fixture.golden("overtaken").await?;
    fixture.reconciliations_end(&golden.image, 0).await?;
    let point = hold(function, action, call, When::After);
    fixture.hub.interrupt(&golden.image, &point).await?;
    let before = fixture.hub.invocations(&golden.image).await?.len();
    fixture.hub.tag(&golden.image, &[("ami-share:with", &b.id), ("ami-share:copy", "allowed")]).await?;
    let held = until_delayed(fixture, &golden.image, before).await?.context("nothing was held up")?;
    let since = tokio::time::Instant::now();
    for partition in [format!("IMAGE#{}", golden.image), format!("KEY#{}", golden.key)] {
        fixture.hub.lease_expires(&partition, &held.request_id).await?;
    }
    fixture.hub.untag(&golden.image, "ami-share:with").await?;
    fixture.hub.status(&golden.image, |status| status.starts_with("not shared")).await?;
    tokio::time::sleep_until(since + LONG).await;
    let has_waited = fixture.hub.release(&golden.image).await?;
    fixture.reconciliations_end(&golden.image, 2).await?;
    assert_eq!(managed(&fixture.hub.key_policy(&golden.key).await?)?, [""; 0]);
    nothing_is_granted(fixture, &golden.image, &golden.key).await?;
    Ok(has_waited)
}

#[test]
fn a_failure_notification_that_loses_its_lease_leaves_the_later_status() -> Result<()> {
    flow(async |fixture| {
        let (b, c) = (fixture.target_account("b").await?, fixture.target_account("c").await?);
        let bus = on_the_bus(fixture).await?;
        let image = fixture.image("failed").await?;
        fixture.share(&image, &b.id).await?;
        fixture.reconciliations_end(&image, 1).await?;
        // It has read what was told so far, and has written nothing yet.
        fixture.hub.interrupt(&image, &hold("notify-targets", None, 2, When::After)).await?;
        let before = fixture.hub.invocations(&image).await?.len();
        fixture.hub.deliver_event("notify-targets", &failed_by_now(&image)?).await?;
        let held = until_delayed(fixture, &image, before).await?.context("nothing was held up")?;
        let since = tokio::time::Instant::now();
        fixture.hub.lease_expires(&format!("IMAGE#{image}"), &held.request_id).await?;
        fixture.share_until_status(&image, &format!("{} {}", b.id, c.id), "shared with 2 accounts").await?;
        fixture.reconciliations_end(&image, 2).await?;
        tokio::time::sleep_until(since + LONG).await;
        fixture.hub.release(&image).await?;
        let is_over = async || {
            let invocations = fixture.hub.invocations(&image).await?;
            let is_notifying = |one: &&Invocation| one.function == "notify-targets" && one.event.is_some();
            let notifying: Vec<&str> =
                invocations.iter().filter(is_notifying).map(|one| one.state.as_str()).collect();
            Ok(matches!(notifying.as_slice(), ["failed", .., "ended"]).then_some(()))
        };
        fixture.hub.until("the failure is told at a later attempt", is_over).await?;
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

/// The look that the tag's end starts finds no intent to end; the first share must see for itself that the tag went.
#[test]
fn a_first_share_grants_nothing_when_its_tag_is_removed_while_it_is_delayed() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let golden = fixture.golden("gone-again").await?;
        fixture.reconciliations_end(&golden.image, 0).await?;
        let has_read_the_tags = hold("resolve-share", None, 2, When::After);
        fixture.hub.interrupt(&golden.image, &has_read_the_tags).await?;
        let before = fixture.hub.invocations(&golden.image).await?.len();
        fixture.hub.tag(&golden.image, &[("ami-share:with", &b.id)]).await?;
        until_delayed(fixture, &golden.image, before).await?.context("nothing was held up")?;
        fixture.hub.untag(&golden.image, "ami-share:with").await?;
        tokio::time::sleep(MEANWHILE).await;
        fixture.hub.release(&golden.image).await?;
        fixture.reconciliations_end(&golden.image, 2).await?;
        assert_eq!(managed(&fixture.hub.key_policy(&golden.key).await?)?, [""; 0]);
        nothing_is_granted(fixture, &golden.image, &golden.key).await
    })
}

/// One image lets go of a key for an account, another comes to need it for the same one. Whoever is held up, at
/// whichever of its calls: in the end the key admits the account, for the one that needs it.
#[test]
fn a_key_released_by_one_image_still_grants_what_another_image_comes_to_need() -> Result<()> {
    flow(async |fixture| {
        let pending_revocation =
            (1..=14).map(|call| hold("extend-key-policy", Some("revoke"), call, When::After));
        let coming = (1..=11).map(|call| hold("extend-key-policy", Some("grant"), call, When::After));
        let coming = coming.map(|point| (false, point));
        let points: VecDeque<(bool, Interruption)> =
            pending_revocation.map(|point| (true, point)).chain(coming).collect();
        let (all, points) = (points.len(), Mutex::new(points));
        let held = try_join_all((0..4).map(|_| change_places(fixture, &points))).await?;
        let held: usize = held.into_iter().sum();
        // Who finds the key as it should be makes fewer calls.
        ensure!(held * 2 > all, "only {held} of {all} were held up");
        eprintln!("held up at {held} of {all} calls");
        Ok(())
    })
}

/// Two images on one key take turns in being shared; answers how often one was held up.
async fn change_places(fixture: &Fixture, points: &Mutex<VecDeque<(bool, Interruption)>>) -> Result<usize> {
    let b = fixture.target_account("b").await?;
    let key = fixture.hub.create_key().await?;
    let mut leaves = fixture.image_on("places", &key).await?;
    let mut comes = fixture.image_on("places", &key).await?;
    fixture.share_until_status(&leaves, &b.id, "shared with 1 account").await?;
    for image in [&leaves, &comes] {
        fixture.hub.settled(image).await?;
    }
    let mut held = 0;
    while let Some((is_revocation_held, point)) = points.lock().await.pop_front() {
        let first = if is_revocation_held { &leaves } else { &comes };
        fixture.hub.interrupt(first, &point).await?;
        let go = async |image: &str| match image == leaves {
            true => fixture.hub.untag(image, "ami-share:with").await,
            false => fixture.hub.tag(image, &[("ami-share:with", &b.id)]).await,
        };
        let before = fixture.hub.invocations(first).await?.len();
        go(first).await?;
        let was_delayed = until_delayed(fixture, first, before).await?.is_some();
        go(if is_revocation_held { &comes } else { &leaves }).await?;
        if was_delayed {
            held += 1;
            tokio::time::sleep(MEANWHILE).await;
            fixture.hub.release(first).await?;
        }
        fixture.hub.status(&leaves, |status| status.starts_with("not shared")).await?;
        fixture.hub.status(&comes, |status| status == "shared with 1 account").await?;
        for image in [&leaves, &comes] {
            fixture.hub.settled(image).await?;
        }
        nothing_is_granted(fixture, &leaves, &key).await.with_context(|| format!("held up at {point:?}"))?;
        let granted = managed(&fixture.hub.key_policy(&key).await?)?;
        ensure!(granted == for_accounts(&[&b.id]), "held up at {point:?}, the key has {granted:?}");
        assert_eq!(fixture.hub.launch_permissions(&comes).await?, [b.id.as_str()]);
        std::mem::swap(&mut leaves, &mut comes);
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

/// Waits until a look at an image is held up; `None` when one has told of its end since the invocation `before`.
async fn until_delayed(fixture: &Fixture, image: &str, before: usize) -> Result<Option<Invocation>> {
    let held = async || {
        let all = fixture.hub.invocations(image).await?;
        let since = all.iter().skip(before);
        let held = since.clone().find(|invocation| invocation.state == "held").cloned();
        let has_notified =
            |invocation: &Invocation| invocation.function == "notify-targets" && invocation.state == "ended";
        Ok((held.is_some() || since.clone().any(has_notified)).then_some(held))
    };
    fixture.hub.until("a function is held up", held).await
}

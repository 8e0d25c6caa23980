//! A function that is held up while others go on: it never finishes what is not wanted any more, and nobody who still
//! needs a key is taken out of it.

use std::collections::VecDeque;
use std::time::Duration;

use ami_share_tests::world::interruptions::{Interruption, Invocation, Then, When};
use anyhow::{Context, Result, bail, ensure};
use futures::future::try_join_all;
use tokio::sync::Mutex;

use crate::failures::failed_by_now;
use crate::notices::{heard_by_now, kinds, on_the_bus};
use crate::policy::{for_accounts, ours};
use crate::races::nothing_is_open;
use crate::scene::{Scene, flow};

/// So long is a function held up that its turn must be renewed before its next write.
const LONG: Duration = Duration::from_secs(12);
/// A function gives up a call after twenty seconds. So often may a busy machine take longer for a withdrawal.
const TRIES: usize = 4;
/// So long others may go on while one is held up: enough for all that they can do without its turn.
const MEANWHILE: Duration = Duration::from_millis(1_500);

#[test]
fn a_share_that_was_held_up_until_it_lost_its_turn_gives_nothing_after_the_withdrawal() -> Result<()> {
    flow(async |scene| {
        // Each has read all that it goes by, and has written nothing to AWS yet.
        let held_up = [("share-image", None, 4), ("extend-key-policy", Some("extend"), 7)];
        try_join_all(held_up.map(async |(function, action, call)| {
            for _ in 0..TRIES {
                if lose_the_turn(scene, function, action, call).await? {
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
async fn lose_the_turn(scene: &Scene, function: &str, action: Option<&str>, call: usize) -> Result<bool> {
    let b = scene.member("b").await?;
    let golden = scene.golden("overtaken").await?;
    scene.looks_end(&golden.image, 0).await?;
    let point = hold(function, action, call, When::After);
    scene.hub.interrupt(&golden.image, &point).await?;
    let before = scene.hub.invocations(&golden.image).await?.len();
    scene.hub.tag(&golden.image, &[("ami-share:with", &b.id), ("ami-share:copy", "allowed")]).await?;
    let held = until_held(scene, &golden.image, before).await?.context("nothing was held up")?;
    let since = tokio::time::Instant::now();
    for partition in [format!("IMAGE#{}", golden.image), format!("KEY#{}", golden.key)] {
        scene.hub.turn_runs_out(&partition, &held.request_id).await?;
    }
    scene.hub.untag(&golden.image, "ami-share:with").await?;
    scene.hub.status(&golden.image, |status| status.starts_with("not shared")).await?;
    tokio::time::sleep_until(since + LONG).await;
    let has_waited = scene.hub.release(&golden.image).await?;
    scene.looks_end(&golden.image, 2).await?;
    assert_eq!(ours(&scene.hub.key_policy(&golden.key).await?)?, [""; 0]);
    nothing_is_open(scene, &golden.image, &golden.key).await?;
    Ok(has_waited)
}

#[test]
fn a_failure_whose_telling_was_held_up_until_it_lost_its_turn_leaves_the_later_status() -> Result<()> {
    flow(async |scene| {
        let (b, c) = (scene.member("b").await?, scene.member("c").await?);
        let bus = on_the_bus(scene).await?;
        let image = scene.image("failed").await?;
        scene.share(&image, &b.id).await?;
        scene.looks_end(&image, 1).await?;
        // It has read what was told so far, and has written nothing yet.
        scene.hub.interrupt(&image, &hold("notify-targets", None, 2, When::After)).await?;
        let before = scene.hub.invocations(&image).await?.len();
        scene.hub.hand_event("notify-targets", &failed_by_now(&image)?).await?;
        let held = until_held(scene, &image, before).await?.context("nothing was held up")?;
        let since = tokio::time::Instant::now();
        scene.hub.turn_runs_out(&format!("IMAGE#{image}"), &held.request_id).await?;
        scene.share_until_status(&image, &format!("{} {}", b.id, c.id), "shared with 2 accounts").await?;
        scene.looks_end(&image, 2).await?;
        tokio::time::sleep_until(since + LONG).await;
        scene.hub.release(&image).await?;
        let is_over = async || {
            let invocations = scene.hub.invocations(&image).await?;
            let is_telling = |one: &&Invocation| one.function == "notify-targets" && one.event.is_some();
            let telling: Vec<&str> =
                invocations.iter().filter(is_telling).map(|one| one.state.as_str()).collect();
            Ok(matches!(telling.as_slice(), ["failed", .., "ended"]).then_some(()))
        };
        scene.hub.until("the failure is told at a later attempt", is_over).await?;
        let heard = heard_by_now(scene, &scene.hub, &bus, &b.id, &image).await?;
        assert_eq!(kinds(&heard).iter().filter(|kind| **kind == "AMI Share Failed").count(), 1, "{heard:?}");
        assert_eq!(scene.hub.status(&image, |_| true).await?, "shared with 2 accounts");
        Ok(())
    })
}

/// The look that the tag's end starts finds no intent to end; the first share must see for itself that the tag went.
#[test]
fn a_first_share_that_was_held_up_while_its_tag_went_gives_nothing() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let golden = scene.golden("gone-again").await?;
        scene.looks_end(&golden.image, 0).await?;
        let has_read_the_tags = hold("resolve-share", None, 2, When::After);
        scene.hub.interrupt(&golden.image, &has_read_the_tags).await?;
        let before = scene.hub.invocations(&golden.image).await?.len();
        scene.hub.tag(&golden.image, &[("ami-share:with", &b.id)]).await?;
        until_held(scene, &golden.image, before).await?.context("nothing was held up")?;
        scene.hub.untag(&golden.image, "ami-share:with").await?;
        tokio::time::sleep(MEANWHILE).await;
        scene.hub.release(&golden.image).await?;
        scene.looks_end(&golden.image, 2).await?;
        assert_eq!(ours(&scene.hub.key_policy(&golden.key).await?)?, [""; 0]);
        nothing_is_open(scene, &golden.image, &golden.key).await
    })
}

/// One image lets go of a key for an account, another comes to need it for the same one. Whoever is held up, at
/// whichever of its calls: in the end the key admits the account, for the one that needs it.
#[test]
fn a_key_that_one_image_leaves_while_another_comes_admits_whom_the_other_needs() -> Result<()> {
    flow(async |scene| {
        let leaving = (1..=14).map(|call| hold("extend-key-policy", Some("retract"), call, When::After));
        let coming = (1..=11).map(|call| hold("extend-key-policy", Some("extend"), call, When::After));
        let coming = coming.map(|point| (false, point));
        let points: VecDeque<(bool, Interruption)> =
            leaving.map(|point| (true, point)).chain(coming).collect();
        let (all, points) = (points.len(), Mutex::new(points));
        let held = try_join_all((0..4).map(|_| change_places(scene, &points))).await?;
        let held: usize = held.into_iter().sum();
        // Who finds the key as it should be makes fewer calls.
        ensure!(held * 2 > all, "only {held} of {all} were held up");
        eprintln!("held up at {held} of {all} calls");
        Ok(())
    })
}

/// Two images on one key take turns in being shared; answers how often one was held up.
async fn change_places(scene: &Scene, points: &Mutex<VecDeque<(bool, Interruption)>>) -> Result<usize> {
    let b = scene.member("b").await?;
    let key = scene.hub.create_key().await?;
    let mut leaves = scene.image_on("places", &key).await?;
    let mut comes = scene.image_on("places", &key).await?;
    scene.share_until_status(&leaves, &b.id, "shared with 1 account").await?;
    for image in [&leaves, &comes] {
        scene.hub.settled(image).await?;
    }
    let mut held = 0;
    while let Some((is_leaving_held, point)) = points.lock().await.pop_front() {
        let first = if is_leaving_held { &leaves } else { &comes };
        scene.hub.interrupt(first, &point).await?;
        let go = async |image: &str| match image == leaves {
            true => scene.hub.untag(image, "ami-share:with").await,
            false => scene.hub.tag(image, &[("ami-share:with", &b.id)]).await,
        };
        let before = scene.hub.invocations(first).await?.len();
        go(first).await?;
        let was_held = until_held(scene, first, before).await?.is_some();
        go(if is_leaving_held { &comes } else { &leaves }).await?;
        if was_held {
            held += 1;
            tokio::time::sleep(MEANWHILE).await;
            scene.hub.release(first).await?;
        }
        scene.hub.status(&leaves, |status| status.starts_with("not shared")).await?;
        scene.hub.status(&comes, |status| status == "shared with 1 account").await?;
        for image in [&leaves, &comes] {
            scene.hub.settled(image).await?;
        }
        nothing_is_open(scene, &leaves, &key).await.with_context(|| format!("held up at {point:?}"))?;
        let admitted = ours(&scene.hub.key_policy(&key).await?)?;
        ensure!(admitted == for_accounts(&[&b.id]), "held up at {point:?}, the key has {admitted:?}");
        assert_eq!(scene.hub.launch_permissions(&comes).await?, [b.id.as_str()]);
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
async fn until_held(scene: &Scene, image: &str, before: usize) -> Result<Option<Invocation>> {
    let held = async || {
        let all = scene.hub.invocations(image).await?;
        let since = all.iter().skip(before);
        let held = since.clone().find(|invocation| invocation.state == "held").cloned();
        let has_told =
            |invocation: &Invocation| invocation.function == "notify-targets" && invocation.state == "ended";
        Ok((held.is_some() || since.clone().any(has_told)).then_some(held))
    };
    scene.hub.until("a function is held up", held).await
}

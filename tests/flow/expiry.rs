//! The agreed end of a share: kept by EventBridge Scheduler, told before and at it, and final.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::clock::{DAY, at_its_minute, comes, far_enough, in_status, now, written};
use crate::notices::{heard_by_now, kinds};
use crate::scene::{Golden, Scene, flow};
use crate::triggers::state_of;
use crate::withdrawal::{assert_has_all, assert_has_nothing};

const MINUTE: i64 = 60;

#[test]
fn a_share_ends_at_its_moment_and_its_target_is_told_before_and_then() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let queue = b.listen().await?;
        let golden = scene.golden("short").await?;
        let end = far_enough(scene).await? + now()?;
        share_until(scene, &golden, &b.id, end).await?;
        assert_has_all(scene, &b, &golden).await?;

        ended(scene, &golden.image, end).await?;
        assert_has_nothing(scene, &b, &golden).await?;
        let execution = execution_at(scene, &golden.image, end).await?;
        assert_eq!(scene.hub.outcome(&execution).await?.0, "SUCCEEDED");
        let heard = heard_by_now(scene, &b, &queue, &b.id, &golden.image).await?;
        assert_eq!(kinds(&heard), ["AMI Shared", "AMI Share Ending", "AMI Unshared"]);
        let end = written(end)?;
        assert_eq!(heard[1]["detail"]["until"], end.as_str());
        assert_eq!(
            heard[1]["detail"]["reason"],
            format!("access ends at {end}; ask for a later ami-share:until to keep it")
        );
        assert_eq!(
            heard[2]["detail"]["reason"],
            format!("ami-share:until was {end}; set a later date to share again")
        );
        assert!(heard[2]["time"].as_str() >= Some(&end), "{heard:#?}");
        Ok(())
    })
}

#[test]
fn scheduler_starts_the_look_that_ends_a_share_and_keeps_nothing_of_it() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let golden = scene.golden("by-scheduler").await?;
        // Scheduler is asked only for a minute that begins in more than a quarter of a minute.
        let ahead = far_enough(scene).await?;
        let end = ((now()? + ahead) / MINUTE + 1) * MINUTE + 3;
        share_until(scene, &golden, &b.id, end).await?;
        let appointment = scene.hub.appointment(&golden.image, "end").await?.context("no appointment")?;
        assert_eq!(appointment.expression, at_its_minute(end)?);
        // Half of what is far enough for all that comes before an end is enough to use the image once more.
        comes(end - ahead / 2).await?;
        assert_has_all(scene, &b, &golden).await?;

        ended(scene, &golden.image, end).await?;
        assert_has_nothing(scene, &b, &golden).await?;
        // What is too near for Scheduler is started with a name of our own; this was not.
        let execution = execution_at(scene, &golden.image, end).await?;
        assert!(!execution.contains(&golden.image), "{execution}");
        assert_eq!(scene.hub.appointment(&golden.image, "end").await?, None);
        Ok(())
    })
}

#[test]
fn the_appointments_are_exact_move_with_the_tag_and_go_with_it() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let end = now()? / DAY * DAY + 30 * DAY + 12 * 3_600 + 34 * MINUTE + 56;
        let golden = shared_until(scene, "appointed", &b.id, end).await?;
        let image = &golden.image;
        assert_appointments(scene, image, Some(end), Some(end - 7 * DAY)).await?;
        let appointment = scene.hub.appointment(image, "end").await?.context("no appointment")?;
        assert_eq!(appointment.zone, "UTC");
        assert_eq!((appointment.after_completion.as_str(), appointment.window.as_str()), ("DELETE", "OFF"));
        assert!(appointment.starts.ends_with(":stateMachine:ami-share-share"), "{appointment:?}");

        // Put off; then so near that the warning is due at once.
        for (end, warning) in [(end + 12 * DAY + 61, true), (now()? + 3 * DAY, false)] {
            scene.hub.tag(image, &[("ami-share:until", &written(end)?)]).await?;
            let expected = format!("shared with 1 account until {}", in_status(end)?);
            scene.hub.status(image, |status| status == expected).await?;
            assert_appointments(scene, image, Some(end), warning.then_some(end - 7 * DAY)).await?;
        }
        scene.hub.untag(image, "ami-share:until").await?;
        scene.hub.status(image, |status| status == "shared with 1 account").await?;
        assert_appointments(scene, image, None, None).await?;
        Ok(())
    })
}

#[test]
fn an_image_that_is_withdrawn_keeps_no_appointment() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let end = now()? + 30 * DAY;
        let (untagged, gone) = (
            shared_until(scene, "untagged", &b.id, end).await?,
            shared_until(scene, "gone", &b.id, end).await?,
        );
        scene.hub.untag(&untagged.image, "ami-share:with").await?;
        scene.hub.deregister(&gone.image).await?;
        for golden in [&untagged, &gone] {
            let cancelled =
                async || Ok(scene.hub.appointment(&golden.image, "end").await?.is_none().then_some(()));
            scene.hub.until("the appointment is cancelled", cancelled).await?;
            scene.hub.settled(&golden.image).await?;
            assert_appointments(scene, &golden.image, None, None).await?;
            assert_has_nothing(scene, &b, golden).await?;
        }
        Ok(())
    })
}

#[test]
fn an_end_that_is_put_off_takes_nothing_away_at_the_old_moment() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let golden = scene.golden("put-off").await?;
        let old = far_enough(scene).await? + now()?;
        let new = old + 2 * DAY;
        share_until(scene, &golden, &b.id, old).await?;
        // Whether Scheduler has started the look at the old end before it is put off, is a matter of luck.
        let look = json!({ "image_id": golden.image, "not_before": written(old)? });
        scene.hub.start_execution(&look).await?;
        scene.hub.tag(&golden.image, &[("ami-share:until", &written(new)?)]).await?;
        let expected = format!("shared with 1 account until {}", in_status(new)?);
        scene.hub.status(&golden.image, |status| status == expected).await?;
        comes(old).await?;
        for execution in executions_at(scene, &golden.image, old).await? {
            assert_eq!(scene.hub.outcome(&execution).await?.0, "SUCCEEDED");
        }
        assert_has_all(scene, &b, &golden).await?;
        scene.hub.status(&golden.image, |status| status == expected).await?;
        Ok(())
    })
}

#[test]
fn a_date_that_is_past_withdraws_what_stands_and_a_later_one_shares_it_again() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let queue = b.listen().await?;
        let golden = shared_until(scene, "past", &b.id, now()? + 30 * DAY).await?;
        scene.hub.tag(&golden.image, &[("ami-share:until", "2020-01-01")]).await?;
        let past =
            "ami-share:until was 2020-01-01T23:59:59Z, which is in the past; set a later date to share again";
        let expected = format!("refused: {past}");
        scene.hub.status(&golden.image, |status| status == expected).await?;
        assert_has_nothing(scene, &b, &golden).await?;
        assert_appointments(scene, &golden.image, None, None).await?;
        let (state, cause) = scene.hub.look(&golden.image).await?;
        assert_eq!((state.as_str(), cause.as_str()), ("FAILED", expected.as_str()));

        let later = now()? + 40 * DAY;
        scene.hub.tag(&golden.image, &[("ami-share:until", &written(later)?)]).await?;
        let expected = format!("shared with 1 account until {}", in_status(later)?);
        scene.hub.status(&golden.image, |status| status == expected).await?;
        assert_has_all(scene, &b, &golden).await?;
        let heard = heard_by_now(scene, &b, &queue, &b.id, &golden.image).await?;
        assert_eq!(kinds(&heard), ["AMI Shared", "AMI Unshared", "AMI Shared"]);
        assert_eq!(heard[1]["detail"]["reason"], past);
        Ok(())
    })
}

#[test]
fn a_look_after_the_end_changes_nothing_and_tells_nobody() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let queue = b.listen().await?;
        let golden = scene.golden("over").await?;
        let end = far_enough(scene).await? + now()?;
        share_until(scene, &golden, &b.id, end).await?;
        ended(scene, &golden.image, end).await?;
        scene.hub.settled(&golden.image).await?;
        let history = scene.hub.ledger(&format!("AUDIT#{}", golden.image)).await?;
        // The first look forgets the row of a withdrawal that has been told; then there is nothing to do.
        assert_eq!(scene.hub.look(&golden.image).await?.0, "SUCCEEDED");
        let before = state_of(scene, &golden.image, &golden.key).await?;
        assert_eq!(scene.hub.look(&golden.image).await?.0, "SUCCEEDED");
        assert_eq!(state_of(scene, &golden.image, &golden.key).await?, before);
        assert_eq!(scene.hub.ledger(&format!("AUDIT#{}", golden.image)).await?, history);
        let heard = heard_by_now(scene, &b, &queue, &b.id, &golden.image).await?;
        assert_eq!(kinds(&heard), ["AMI Shared", "AMI Share Ending", "AMI Unshared"]);
        Ok(())
    })
}

#[test]
fn targets_are_warned_once_of_each_end_that_is_near() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let queue = b.listen().await?;
        let (near, next, far) = (now()? + 3 * DAY, now()? + 4 * DAY, now()? + 30 * DAY);
        let golden = shared_until(scene, "warned", &b.id, near).await?;
        scene.hub.look(&golden.image).await?;
        for end in [next, far] {
            scene.hub.tag(&golden.image, &[("ami-share:until", &written(end)?)]).await?;
            let expected = format!("shared with 1 account until {}", in_status(end)?);
            scene.hub.status(&golden.image, |status| status == expected).await?;
            scene.hub.look(&golden.image).await?;
        }
        let heard = heard_by_now(scene, &b, &queue, &b.id, &golden.image).await?;
        assert_eq!(kinds(&heard), ["AMI Shared", "AMI Share Ending", "AMI Share Ending"]);
        let ends: Vec<&Value> = heard.iter().map(|notice| &notice["detail"]["until"]).collect();
        assert_eq!(ends, [&json!(written(near)?), &json!(written(near)?), &json!(written(next)?)]);
        Ok(())
    })
}

/// A shared image that may be copied, until a moment.
pub async fn shared_until(scene: &Scene, what: &str, words: &str, end: i64) -> Result<Golden> {
    let golden = scene.golden(what).await?;
    share_until(scene, &golden, words, end).await?;
    Ok(golden)
}

/// Shares an image, which may be copied, until a moment.
pub async fn share_until(scene: &Scene, golden: &Golden, words: &str, end: i64) -> Result<()> {
    let tags =
        [("ami-share:with", words), ("ami-share:copy", "allowed"), ("ami-share:until", &*written(end)?)];
    scene.hub.tag(&golden.image, &tags).await?;
    let status = scene.hub.status(&golden.image, |_| true).await?;
    assert_eq!(status, format!("shared with 1 account until {}", in_status(end)?));
    Ok(())
}

/// Waits until an image is no longer shared because its end has come.
async fn ended(scene: &Scene, image: &str, end: i64) -> Result<()> {
    comes(end).await?;
    let expected =
        format!("not shared: ami-share:until was {}; set a later date to share again", written(end)?);
    scene.hub.status(image, |status| status == expected).await?;
    Ok(())
}

/// The one execution that was started for a moment: it was there within the minute in which the moment lies, which is
/// all that Scheduler promises. How long its functions take then is the machine's affair.
async fn execution_at(scene: &Scene, image: &str, moment: i64) -> Result<String> {
    let mut executions = executions_at(scene, image, moment).await?;
    assert_eq!(executions.len(), 1, "{executions:#?}");
    let execution = executions.pop().context("no execution")?;
    let started = scene.hub.started_at(&execution).await?;
    assert!(started < (moment / MINUTE + 1) * MINUTE, "{started} for {moment}");
    Ok(execution)
}

/// The executions that were started for a moment.
async fn executions_at(scene: &Scene, image: &str, moment: i64) -> Result<Vec<String>> {
    let not_before = written(moment)?;
    let mut executions = scene.hub.executions_of(image).await?;
    executions.retain(|_, input| input.get("not_before").is_some_and(|at| *at == not_before));
    Ok(executions.into_keys().collect())
}

/// The image has these two appointments and no others.
async fn assert_appointments(
    scene: &Scene,
    image: &str,
    end: Option<i64>,
    warning: Option<i64>,
) -> Result<()> {
    for (occasion, moment) in [("end", end), ("warning", warning)] {
        let found = scene.hub.appointment(image, occasion).await?;
        let found = found.map(|appointment| (appointment.expression, appointment.input));
        let expected = moment.map(|moment| {
            anyhow::Ok((at_its_minute(moment)?, json!({ "image_id": image, "not_before": written(moment)? })))
        });
        assert_eq!(found, expected.transpose()?, "{occasion}");
    }
    Ok(())
}

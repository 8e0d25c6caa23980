//! A share with `ami-share:until` expires on time, and its targets are notified before and at that moment.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::clock::{DAY, at_its_minute, far_enough, in_status, now, sleep_until, written};
use crate::fixture::{Fixture, Golden, flow};
use crate::notifications::{kinds, received_by_now};
use crate::revocation::{assert_has_all, assert_has_nothing};
use crate::triggers::state_of;

const MINUTE: i64 = 60;

#[test]
fn a_share_expires_on_time_and_its_target_is_notified_before_and_at_expiry() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let queue = b.listen().await?;
        let golden = fixture.golden("short").await?;
        let end = far_enough(fixture).await? + now()?;
        share_until(fixture, &golden, &b.id, end).await?;
        assert_has_all(fixture, &b, &golden).await?;

        until_expired(fixture, &golden.image, end).await?;
        assert_has_nothing(fixture, &b, &golden).await?;
        let execution = execution_at(fixture, &golden.image, end).await?;
        assert_eq!(fixture.hub.outcome(&execution).await?.0, "SUCCEEDED");
        let received = received_by_now(fixture, &b, &queue, &b.id, &golden.image).await?;
        assert_eq!(kinds(&received), ["AMI Shared", "AMI Share Ending", "AMI Unshared"]);
        let end = written(end)?;
        assert_eq!(received[1]["detail"]["until"], end.as_str());
        assert_eq!(
            received[1]["detail"]["reason"],
            format!(
                "access ends at {end}; ask the owner of the image for a later ami-share:until to keep it"
            )
        );
        assert_eq!(
            received[2]["detail"]["reason"],
            format!("ami-share:until was {end}; set a later date to share again")
        );
        assert!(received[2]["time"].as_str() >= Some(&end), "{received:#?}");
        Ok(())
    })
}

#[test]
fn scheduler_starts_the_reconciliation_that_ends_a_share_and_deletes_the_schedule() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let golden = fixture.golden("by-scheduler").await?;
        // The function creates a schedule only for a minute that starts in more than fifteen seconds.
        let ahead = far_enough(fixture).await?;
        let end = ((now()? + ahead) / MINUTE + 1) * MINUTE + 3;
        share_until(fixture, &golden, &b.id, end).await?;
        let schedule = fixture.hub.schedule(&golden.image, "end").await?.context("no schedule")?;
        assert_eq!(schedule.expression, at_its_minute(end)?);
        // The remaining half of the time is enough to use the image once more.
        sleep_until(end - ahead / 2).await?;
        assert_has_all(fixture, &b, &golden).await?;

        until_expired(fixture, &golden.image, end).await?;
        assert_has_nothing(fixture, &b, &golden).await?;
        // The function names the executions that it starts itself after the image; Scheduler does not.
        let execution = execution_at(fixture, &golden.image, end).await?;
        assert!(!execution.contains(&golden.image), "{execution}");
        assert_eq!(fixture.hub.schedule(&golden.image, "end").await?, None);
        Ok(())
    })
}

#[test]
fn the_schedules_are_exact_and_follow_the_until_tag_when_it_changes_or_goes() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let end = now()? / DAY * DAY + 30 * DAY + 12 * 3_600 + 34 * MINUTE + 56;
        let golden = shared_until(fixture, "scheduled", &b.id, end).await?;
        let image = &golden.image;
        assert_schedules(fixture, image, Some(end), Some(end - 7 * DAY)).await?;
        let schedule = fixture.hub.schedule(image, "end").await?.context("no schedule")?;
        assert_eq!(schedule.zone, "UTC");
        assert_eq!((schedule.after_completion.as_str(), schedule.window.as_str()), ("DELETE", "OFF"));
        assert!(schedule.starts.ends_with(":stateMachine:ami-share-share"), "{schedule:?}");

        // Postponed; then so near that the warning is due at once.
        for (end, warning) in [(end + 12 * DAY + 61, true), (now()? + 3 * DAY, false)] {
            fixture.hub.tag(image, &[("ami-share:until", &written(end)?)]).await?;
            let expected = format!("shared with 1 account until {}", in_status(end)?);
            fixture.hub.status(image, |status| status == expected).await?;
            assert_schedules(fixture, image, Some(end), warning.then_some(end - 7 * DAY)).await?;
        }
        fixture.hub.untag(image, "ami-share:until").await?;
        fixture.hub.status(image, |status| status == "shared with 1 account").await?;
        assert_schedules(fixture, image, None, None).await?;
        Ok(())
    })
}

#[test]
fn a_revoked_image_keeps_no_schedule() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let end = now()? + 30 * DAY;
        let (untagged, gone) = (
            shared_until(fixture, "untagged", &b.id, end).await?,
            shared_until(fixture, "gone", &b.id, end).await?,
        );
        fixture.hub.untag(&untagged.image, "ami-share:with").await?;
        fixture.hub.deregister(&gone.image).await?;
        for golden in [&untagged, &gone] {
            let is_deleted =
                async || Ok(fixture.hub.schedule(&golden.image, "end").await?.is_none().then_some(()));
            fixture.hub.until("the schedule is deleted", is_deleted).await?;
            fixture.hub.settled(&golden.image).await?;
            assert_schedules(fixture, &golden.image, None, None).await?;
            assert_has_nothing(fixture, &b, golden).await?;
        }
        Ok(())
    })
}

#[test]
fn a_postponed_expiry_revokes_nothing_at_the_old_time() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let golden = fixture.golden("postponed").await?;
        let old = far_enough(fixture).await? + now()?;
        let new = old + 2 * DAY;
        share_until(fixture, &golden, &b.id, old).await?;
        // Scheduler may or may not start the reconciliation at the old time before the change of the tag.
        let trigger = json!({ "image_id": golden.image, "not_before": written(old)? });
        fixture.hub.start_execution(&trigger).await?;
        fixture.hub.tag(&golden.image, &[("ami-share:until", &written(new)?)]).await?;
        let expected = format!("shared with 1 account until {}", in_status(new)?);
        fixture.hub.status(&golden.image, |status| status == expected).await?;
        sleep_until(old).await?;
        for execution in executions_at(fixture, &golden.image, old).await? {
            assert_eq!(fixture.hub.outcome(&execution).await?.0, "SUCCEEDED");
        }
        assert_has_all(fixture, &b, &golden).await?;
        fixture.hub.status(&golden.image, |status| status == expected).await?;
        Ok(())
    })
}

#[test]
fn a_past_date_revokes_access_and_a_later_date_shares_the_image_again() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let queue = b.listen().await?;
        let golden = shared_until(fixture, "past", &b.id, now()? + 30 * DAY).await?;
        fixture.hub.tag(&golden.image, &[("ami-share:until", "2020-01-01")]).await?;
        let past =
            "ami-share:until is 2020-01-01T23:59:59Z, which is in the past; set a later date to share again";
        let expected = format!("refused: {past}");
        fixture.hub.status(&golden.image, |status| status == expected).await?;
        assert_has_nothing(fixture, &b, &golden).await?;
        assert_schedules(fixture, &golden.image, None, None).await?;
        let (state, cause) = fixture.hub.reconcile(&golden.image).await?;
        assert_eq!((state.as_str(), cause.as_str()), ("FAILED", expected.as_str()));

        let later = now()? + 40 * DAY;
        fixture.hub.tag(&golden.image, &[("ami-share:until", &written(later)?)]).await?;
        let expected = format!("shared with 1 account until {}", in_status(later)?);
        fixture.hub.status(&golden.image, |status| status == expected).await?;
        assert_has_all(fixture, &b, &golden).await?;
        let received = received_by_now(fixture, &b, &queue, &b.id, &golden.image).await?;
        assert_eq!(kinds(&received), ["AMI Shared", "AMI Unshared", "AMI Shared"]);
        assert_eq!(received[1]["detail"]["reason"], past);
        Ok(())
    })
}

#[test]
fn a_reconciliation_after_expiry_changes_nothing_and_sends_no_notification() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let queue = b.listen().await?;
        let golden = fixture.golden("expired").await?;
        let end = far_enough(fixture).await? + now()?;
        share_until(fixture, &golden, &b.id, end).await?;
        until_expired(fixture, &golden.image, end).await?;
        fixture.hub.settled(&golden.image).await?;
        let audit_log = fixture.hub.ledger(&format!("AUDIT#{}", golden.image)).await?;
        // The next reconciliation deletes the row of a revocation that was notified; after that nothing changes.
        assert_eq!(fixture.hub.reconcile(&golden.image).await?.0, "SUCCEEDED");
        let before = state_of(fixture, &golden.image, &golden.key).await?;
        assert_eq!(fixture.hub.reconcile(&golden.image).await?.0, "SUCCEEDED");
        assert_eq!(state_of(fixture, &golden.image, &golden.key).await?, before);
        assert_eq!(fixture.hub.ledger(&format!("AUDIT#{}", golden.image)).await?, audit_log);
        let received = received_by_now(fixture, &b, &queue, &b.id, &golden.image).await?;
        assert_eq!(kinds(&received), ["AMI Shared", "AMI Share Ending", "AMI Unshared"]);
        Ok(())
    })
}

#[test]
fn targets_are_warned_once_of_each_end_that_is_near() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let queue = b.listen().await?;
        let (near, next, far) = (now()? + 3 * DAY, now()? + 4 * DAY, now()? + 30 * DAY);
        let golden = shared_until(fixture, "warned", &b.id, near).await?;
        fixture.hub.reconcile(&golden.image).await?;
        for end in [next, far] {
            fixture.hub.tag(&golden.image, &[("ami-share:until", &written(end)?)]).await?;
            let expected = format!("shared with 1 account until {}", in_status(end)?);
            fixture.hub.status(&golden.image, |status| status == expected).await?;
            fixture.hub.reconcile(&golden.image).await?;
        }
        let received = received_by_now(fixture, &b, &queue, &b.id, &golden.image).await?;
        assert_eq!(kinds(&received), ["AMI Shared", "AMI Share Ending", "AMI Share Ending"]);
        let ends: Vec<&Value> =
            received.iter().map(|notification| &notification["detail"]["until"]).collect();
        assert_eq!(ends, [&json!(written(near)?), &json!(written(near)?), &json!(written(next)?)]);
        Ok(())
    })
}

/// A new image that is shared, with copying allowed, until a moment.
pub async fn shared_until(fixture: &Fixture, what: &str, selectors: &str, end: i64) -> Result<Golden> {
    let golden = fixture.golden(what).await?;
    share_until(fixture, &golden, selectors, end).await?;
    Ok(golden)
}

/// Shares an image, with copying allowed, until a moment.
pub async fn share_until(fixture: &Fixture, golden: &Golden, selectors: &str, end: i64) -> Result<()> {
    let tags =
        [("ami-share:with", selectors), ("ami-share:copy", "allowed"), ("ami-share:until", &*written(end)?)];
    fixture.hub.tag(&golden.image, &tags).await?;
    let status = fixture.hub.status(&golden.image, |_| true).await?;
    assert_eq!(status, format!("shared with 1 account until {}", in_status(end)?));
    Ok(())
}

/// Waits until the share of an image has expired.
async fn until_expired(fixture: &Fixture, image: &str, end: i64) -> Result<()> {
    sleep_until(end).await?;
    let expected =
        format!("not shared: ami-share:until was {}; set a later date to share again", written(end)?);
    fixture.hub.status(image, |status| status == expected).await?;
    Ok(())
}

/// The one execution that was started for a moment. It started before the end of that moment's minute, which is what
/// Scheduler promises; how long its functions take then depends on the machine.
async fn execution_at(fixture: &Fixture, image: &str, moment: i64) -> Result<String> {
    let mut executions = executions_at(fixture, image, moment).await?;
    assert_eq!(executions.len(), 1, "{executions:#?}");
    let execution = executions.pop().context("no execution")?;
    let started = fixture.hub.started_at(&execution).await?;
    assert!(started < (moment / MINUTE + 1) * MINUTE, "{started} for {moment}");
    Ok(execution)
}

/// The executions that were started for a moment.
async fn executions_at(fixture: &Fixture, image: &str, moment: i64) -> Result<Vec<String>> {
    let not_before = written(moment)?;
    let mut executions = fixture.hub.executions_of(image).await?;
    executions.retain(|_, input| input.get("not_before").is_some_and(|at| *at == not_before));
    Ok(executions.into_keys().collect())
}

/// Checks that an image has these schedules and no others.
async fn assert_schedules(
    fixture: &Fixture,
    image: &str,
    end: Option<i64>,
    warning: Option<i64>,
) -> Result<()> {
    for (schedule_kind, moment) in [("end", end), ("warning", warning)] {
        let found = fixture.hub.schedule(image, schedule_kind).await?;
        let found = found.map(|schedule| (schedule.expression, schedule.input));
        let expected = moment.map(|moment| {
            anyhow::Ok((at_its_minute(moment)?, json!({ "image_id": image, "not_before": written(moment)? })))
        });
        assert_eq!(found, expected.transpose()?, "{schedule_kind}");
    }
    Ok(())
}

//! A failed or aborted execution is reported, the status stays true, and a later reconciliation completes its work.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use serde_json::{Value, json};

use crate::fixture::{Fixture, flow};
use crate::notifications::{about, kinds, on_the_bus, received_by_now, received_until};

#[test]
fn an_aborted_execution_is_notified_and_a_later_reconciliation_completes_it() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let bus = on_the_bus(fixture).await?;
        let golden = fixture.golden("aborted").await?;
        fixture.await_reconciliations(&golden.image, 0).await?;
        fixture.hub.hold_key_lease(&golden.key).await?;
        fixture.hub.tag(&golden.image, &[("ami-share:with", &b.id)]).await?;
        let execution = running(fixture, &golden.image).await?;
        fixture.hub.sfn.stop_execution().execution_arn(&execution).send().await?;

        let status = fixture.hub.status(&golden.image, |_| true).await?;
        assert_eq!(status, "failed: the execution is aborted");
        let received = received_until(&fixture.hub, &bus, &golden.image).await?;
        let notified = about(&received, &golden.image);
        assert_eq!(notified.len(), 1, "{notified:?}");
        assert_eq!(notified[0]["detail-type"], "AMI Share Failed");
        assert_eq!(notified[0]["detail"]["execution"], execution);
        assert!(!b.sees(&golden.image).await?);
        let counted = fixture.hub.until("the failure is counted", async || {
            let lines = fixture.log_lines("notify-targets", &golden.image)?;
            Ok(lines.into_iter().find(|line| line.get("ExecutionsFailed").is_some()))
        });
        let counted = counted.await?;
        assert_eq!((&counted["ExecutionsFailed"], &counted["execution"]), (&json!(1), &json!(execution)));

        fixture.hub.release_key_lease(&golden.key).await?;
        assert_eq!(fixture.hub.reconcile(&golden.image).await?.0, "SUCCEEDED");
        assert_eq!(fixture.hub.status(&golden.image, |_| true).await?, "shared with 1 account");
        Ok(())
    })
}

#[test]
fn an_event_that_names_no_image_fails_and_touches_nothing() -> Result<()> {
    flow(async |fixture| {
        let execution = fixture.hub.start_execution(&json!({ "detail-type": "Something Else" })).await?;
        let (state, cause) = fixture.hub.outcome(&execution).await?;
        assert_eq!(state, "FAILED");
        assert!(cause.contains("the event names no image"), "{cause}");
        Ok(())
    })
}

#[test]
fn a_late_failure_notification_leaves_the_status_of_a_later_outcome_even_if_it_is_the_same() -> Result<()> {
    flow(async |fixture| {
        let (b, c) = (fixture.target_account("b").await?, fixture.target_account("c").await?);
        let bus = on_the_bus(fixture).await?;
        let image = fixture.image("late-failure").await?;
        assert_eq!(fixture.share(&image, &b.id).await?, "shared with 1 account");
        fixture.await_reconciliations(&image, 1).await?;
        let late = just_failed(&image)?;
        fixture.hub.tag(&image, &[("ami-share:with", &c.id)]).await?;
        fixture.await_reconciliations(&image, 2).await?;
        fixture.hub.deliver_event("notify-targets", &late).await?;
        let is_notified = async || {
            let lines = fixture.log_lines("notify-targets", &image)?;
            Ok(lines.iter().any(|line| line.get("ExecutionsFailed").is_some()).then_some(()))
        };
        fixture.hub.until("the failure is notified", is_notified).await?;
        assert_eq!(fixture.hub.status(&image, |_| true).await?, "shared with 1 account");
        let received = received_by_now(fixture, &fixture.hub, &bus, &b.id, &image).await?;
        assert_eq!(kinds(&received).last(), Some(&"AMI Share Failed"), "{received:?}");
        // A failure after the last outcome changes the status.
        fixture.hub.deliver_event("notify-targets", &just_failed(&image)?).await?;
        assert_eq!(
            fixture.hub.status(&image, |status| status.starts_with("failed")).await?,
            "failed: a test (Lost)"
        );
        Ok(())
    })
}

/// The event of an execution for `image` that has just failed.
pub fn just_failed(image: &str) -> Result<Value> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    let input = json!({ "image_id": image }).to_string();
    let detail = json!({ "executionArn": "arn:aws:states:us-east-1:111122223333:execution:ami-share-share:lost",
        "status": "FAILED", "stopDate": u64::try_from(now)?, "input": input, "error": "Lost", "cause": "a test" });
    Ok(
        json!({ "detail-type": "Step Functions Execution Status Change", "source": "aws.states", "detail": detail }),
    )
}

/// The execution that waits for an image's key.
pub async fn running(fixture: &Fixture, image: &str) -> Result<String> {
    fixture
        .hub
        .until("an execution waits for the key", async || {
            for execution in fixture.hub.executions_of(image).await?.into_keys() {
                let answer = fixture.hub.sfn.describe_execution().execution_arn(&execution).send().await?;
                if answer.status().as_str() == "RUNNING" {
                    return Ok(Some(execution));
                }
            }
            Ok(None)
        })
        .await
}

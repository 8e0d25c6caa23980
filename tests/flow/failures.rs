//! Executions that fail or are aborted: everybody is told, the status is true, and a later look makes good.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use serde_json::{Value, json};

use crate::notices::{about, heard_by_now, heard_until, kinds, on_the_bus};
use crate::scene::{Scene, flow};

#[test]
fn an_aborted_execution_is_told_and_a_later_look_makes_good() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let bus = on_the_bus(scene).await?;
        let golden = scene.golden("aborted").await?;
        scene.looks_end(&golden.image, 0).await?;
        scene.hub.hold_key(&golden.key).await?;
        scene.hub.tag(&golden.image, &[("ami-share:with", &b.id)]).await?;
        let execution = running(scene, &golden.image).await?;
        scene.hub.sfn.stop_execution().execution_arn(&execution).send().await?;

        let status = scene.hub.status(&golden.image, |_| true).await?;
        assert_eq!(status, "failed: the execution is aborted");
        let heard = heard_until(&scene.hub, &bus, &golden.image).await?;
        let told = about(&heard, &golden.image);
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0]["detail-type"], "AMI Share Failed");
        assert_eq!(told[0]["detail"]["execution"], execution);
        assert!(!b.sees(&golden.image).await?);
        let counted = scene.hub.until("the failure is counted", async || {
            let lines = scene.log_lines("notify-targets", &golden.image)?;
            Ok(lines.into_iter().find(|line| line.get("ExecutionsFailed").is_some()))
        });
        let counted = counted.await?;
        assert_eq!((&counted["ExecutionsFailed"], &counted["execution"]), (&json!(1), &json!(execution)));

        scene.hub.release_key(&golden.key).await?;
        assert_eq!(scene.hub.look(&golden.image).await?.0, "SUCCEEDED");
        assert_eq!(scene.hub.status(&golden.image, |_| true).await?, "shared with 1 account");
        Ok(())
    })
}

#[test]
fn an_event_that_names_no_image_fails_and_touches_nothing() -> Result<()> {
    flow(async |scene| {
        let execution = scene.hub.start_execution(&json!({ "detail-type": "Something Else" })).await?;
        let (state, cause) = scene.hub.outcome(&execution).await?;
        assert_eq!(state, "FAILED");
        assert!(cause.contains("the event names no image"), "{cause}");
        Ok(())
    })
}

#[test]
fn a_failure_that_is_told_late_leaves_the_status_of_a_later_outcome_though_that_says_the_same() -> Result<()>
{
    flow(async |scene| {
        let (b, c) = (scene.member("b").await?, scene.member("c").await?);
        let bus = on_the_bus(scene).await?;
        let image = scene.image("late-failure").await?;
        assert_eq!(scene.share(&image, &b.id).await?, "shared with 1 account");
        scene.looks_end(&image, 1).await?;
        let late = failed_by_now(&image)?;
        scene.hub.tag(&image, &[("ami-share:with", &c.id)]).await?;
        scene.looks_end(&image, 2).await?;
        scene.hub.hand_event("notify-targets", &late).await?;
        let is_told = async || {
            let lines = scene.log_lines("notify-targets", &image)?;
            Ok(lines.iter().any(|line| line.get("ExecutionsFailed").is_some()).then_some(()))
        };
        scene.hub.until("the failure is told", is_told).await?;
        assert_eq!(scene.hub.status(&image, |_| true).await?, "shared with 1 account");
        let heard = heard_by_now(scene, &scene.hub, &bus, &b.id, &image).await?;
        assert_eq!(kinds(&heard).last(), Some(&"AMI Share Failed"), "{heard:?}");
        // One that failed after that is the last word.
        scene.hub.hand_event("notify-targets", &failed_by_now(&image)?).await?;
        assert_eq!(
            scene.hub.status(&image, |status| status.starts_with("failed")).await?,
            "failed: a test (Lost)"
        );
        Ok(())
    })
}

/// What EventBridge tells of an execution for `image` that failed by now.
pub fn failed_by_now(image: &str) -> Result<Value> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    let input = json!({ "image_id": image }).to_string();
    let detail = json!({ "executionArn": "arn:aws:states:us-east-1:111122223333:execution:ami-share-share:lost",
        "status": "FAILED", "stopDate": u64::try_from(now)?, "input": input, "error": "Lost", "cause": "a test" });
    Ok(
        json!({ "detail-type": "Step Functions Execution Status Change", "source": "aws.states", "detail": detail }),
    )
}

/// The execution that waits for an image's key.
pub async fn running(scene: &Scene, image: &str) -> Result<String> {
    scene
        .hub
        .until("an execution waits for the key", async || {
            for execution in scene.hub.executions_of(image).await?.into_keys() {
                let answer = scene.hub.sfn.describe_execution().execution_arn(&execution).send().await?;
                if answer.status().as_str() == "RUNNING" {
                    return Ok(Some(execution));
                }
            }
            Ok(None)
        })
        .await
}

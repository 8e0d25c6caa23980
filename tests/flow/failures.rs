//! Executions that fail or are aborted: everybody is told, the status is true, and a later look makes good.

use anyhow::Result;
use serde_json::json;

use crate::notices::{about, heard_until, on_the_bus};
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
        assert!(!b.sees(&golden.image).await);

        scene.hub.release_key(&golden.key).await?;
        assert_eq!(scene.hub.look(&golden.image).await?.0, "SUCCEEDED");
        assert_eq!(scene.hub.status(&golden.image, |_| true).await?, "shared with 1 account");
        Ok(())
    })
}

#[test]
fn a_key_policy_that_may_not_be_read_fails_the_execution_and_the_status_says_so() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let bus = on_the_bus(scene).await?;
        let golden = scene.golden("unreadable").await?;
        scene.hub.assume(&scene.hub.id).await?;
        let policy = json!({ "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Principal": { "AWS": "arn:aws:iam::111122223333:root" },
              "Action": ["kms:Describe*", "kms:List*"], "Resource": "*" },
            { "Effect": "Allow", "Principal": { "AWS": "arn:aws:iam::111122223333:role/test" },
              "Action": "kms:*", "Resource": "*" },
        ] });
        scene.hub.lock_out_by_key_policy(&golden.key, &policy.to_string()).await?;
        let status = scene.share(&golden.image, &b.id).await?;
        assert!(status.starts_with("failed: kms:GetKeyPolicy of "), "{status}");
        assert!(status.contains("not authorized"), "{status}");
        let heard = heard_until(&scene.hub, &bus, &golden.image).await?;
        let told = about(&heard, &golden.image);
        assert_eq!(told[0]["detail-type"], "AMI Share Failed");
        assert!(!b.sees(&golden.image).await);

        let (state, cause) = scene.hub.look(&golden.image).await?;
        assert_eq!(state, "FAILED");
        assert!(cause.contains("kms:GetKeyPolicy"), "{cause}");
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

/// The execution that waits for an image's key.
async fn running(scene: &Scene, image: &str) -> Result<String> {
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

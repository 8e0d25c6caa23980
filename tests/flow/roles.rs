//! What only some stacks or some mishaps make a role do: a hub that may not list its organization, events that no
//! function can serve, a review that is stopped.

use anyhow::Result;
use serde_json::json;

use crate::access::launches;
use crate::failures::running;
use crate::review::taken_unheard;
use crate::scene::{Scene, flow, flow_alone, flow_on_schedule};

#[test]
fn a_hub_that_is_a_member_reads_the_organization_by_the_role_that_it_is_given() -> Result<()> {
    flow_on_schedule(async |scene| {
        assert!(
            scene.hub.organizations.list_accounts().send().await.is_err(),
            "the hub may list it by itself"
        );
        let ou = scene.ou("reached", &scene.root).await?;
        let (b, c) = (scene.member_in("b", &ou).await?, scene.member("c").await?);
        scene.manager.tag_in_organization(&c.id, "team", "data").await?;
        let golden = scene.golden("reached").await?;
        assert_eq!(
            scene.share(&golden.image, &format!("{ou} tag:team=data")).await?,
            "shared with 1 account, 1 OU"
        );
        assert!(launches(&b, &golden.image).await? && launches(&c, &golden.image).await?);
        assert!(scene.hub.launch_permissions(&golden.image).await?.contains(&c.id));
        Ok(())
    })
}

#[test]
fn an_event_that_a_function_cannot_serve_is_kept_in_the_dead_letter_queue() -> Result<()> {
    flow(async |scene| {
        for function in ["notify-targets", "review-shares"] {
            let event = scene.name(&format!("nonsense-for-{function}"));
            scene.hub.hand_event(function, &json!({ "nonsense": event })).await?;
            kept(scene, &event).await?;
        }
        Ok(())
    })
}

#[test]
fn an_event_that_a_rule_cannot_deliver_is_kept_in_the_dead_letter_queue() -> Result<()> {
    flow(async |scene| {
        let event = scene.name("undeliverable");
        scene.hub.send_in_vain(&event).await?;
        kept(scene, &event).await
    })
}

#[test]
fn an_appointment_that_could_not_be_kept_is_in_the_dead_letter_queue() -> Result<()> {
    flow_on_schedule(async |scene| {
        let b = scene.member("b").await?;
        let image = scene.image("kept").await?;
        scene
            .hub
            .tag(&image, &[("ami-share:with", b.id.as_str()), ("ami-share:until", "2999-12-31")])
            .await?;
        scene.hub.status(&image, |_| true).await?;
        let name = scene.name("in-vain");
        scene.hub.schedule_in_vain(&image, &name, &format!("no JSON for {name}")).await?;
        let kept = kept(scene, &name).await;
        scene.hub.delete_schedule(&name).await?;
        kept
    })
}

#[test]
fn a_review_that_is_stopped_stops_the_looks_that_it_waits_for() -> Result<()> {
    flow_alone(async |scene| {
        let (b, golden) = taken_unheard(scene, "stopped-look").await?;
        scene.hub.hold_key(&golden.key).await?;
        let review = scene.hub.start_review(None, &json!({})).await?;
        let look = running(scene, &golden.image).await?;
        scene.hub.sfn.stop_execution().execution_arn(&review).send().await?;
        for execution in [&review, &look] {
            assert_eq!(scene.hub.outcome(execution).await?.0, "ABORTED");
        }
        scene.hub.release_key(&golden.key).await?;
        assert_eq!(scene.hub.look(&golden.image).await?.0, "SUCCEEDED");
        assert!(launches(&b, &golden.image).await?);
        Ok(())
    })
}

/// Waits until a message in which `text` stands is in the dead-letter queue.
async fn kept(scene: &Scene, text: &str) -> Result<()> {
    let look = async || Ok(scene.hub.is_dead_letter(text).await?.then_some(()));
    scene.hub.until("it is in the dead-letter queue", look).await
}

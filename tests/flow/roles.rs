//! The roles allow what only some stacks and failures need: reading the organization through another role, the
//! dead-letter queue, and stopping a review.

use anyhow::Result;
use serde_json::json;

use crate::access::launches;
use crate::failures::running;
use crate::fixture::{Fixture, flow, flow_alone, flow_on_schedule};
use crate::review::revoked_unnoticed;

#[test]
fn a_hub_in_a_member_account_reads_the_organization_through_its_configured_role() -> Result<()> {
    flow_on_schedule(async |fixture| {
        assert!(
            fixture.hub.organizations.list_accounts().send().await.is_err(),
            "the hub can list the organization without the role"
        );
        let ou = fixture.ou("organization-role", &fixture.root).await?;
        let (b, c) = (fixture.account_in("b", &ou).await?, fixture.target_account("c").await?);
        fixture.manager.tag_in_organization(&c.id, "team", "data").await?;
        let golden = fixture.golden("organization-role").await?;
        assert_eq!(
            fixture.share(&golden.image, &format!("{ou} tag:team=data")).await?,
            "shared with 1 account, 1 OU"
        );
        assert!(launches(&b, &golden.image).await? && launches(&c, &golden.image).await?);
        assert!(fixture.hub.launch_permissions(&golden.image).await?.contains(&c.id));
        Ok(())
    })
}

#[test]
fn an_event_that_a_function_cannot_process_is_in_the_dead_letter_queue() -> Result<()> {
    flow(async |fixture| {
        for function in ["notify-targets", "review-shares"] {
            let event = fixture.name(&format!("unreadable-for-{function}"));
            fixture.hub.deliver_event(function, &json!({ "unreadable": event })).await?;
            until_dead_letter(fixture, &event).await?;
        }
        Ok(())
    })
}

#[test]
fn an_event_that_a_rule_cannot_deliver_is_in_the_dead_letter_queue() -> Result<()> {
    flow(async |fixture| {
        let event = fixture.name("undeliverable");
        fixture.hub.send_undeliverable_event(&event).await?;
        until_dead_letter(fixture, &event).await
    })
}

#[test]
fn a_schedule_that_fails_to_start_its_target_is_in_the_dead_letter_queue() -> Result<()> {
    flow_on_schedule(async |fixture| {
        let b = fixture.target_account("b").await?;
        let image = fixture.image("dead-letter").await?;
        fixture
            .hub
            .tag(&image, &[("ami-share:with", b.id.as_str()), ("ami-share:until", "2999-12-31")])
            .await?;
        fixture.hub.status(&image, |_| true).await?;
        let name = fixture.name("failing-schedule");
        fixture.hub.create_undeliverable_schedule(&image, &name, &format!("not JSON, for {name}")).await?;
        let outcome = until_dead_letter(fixture, &name).await;
        fixture.hub.delete_schedule(&name).await?;
        outcome
    })
}

#[test]
fn stopping_a_review_stops_the_reconciliations_that_it_waits_for() -> Result<()> {
    flow_alone(async |fixture| {
        let (b, golden) = revoked_unnoticed(fixture, "stopped-review").await?;
        fixture.hub.hold_key_lease(&golden.key).await?;
        let review = fixture.hub.start_review(None, &json!({})).await?;
        let reconciliation = running(fixture, &golden.image).await?;
        fixture.hub.sfn.stop_execution().execution_arn(&review).send().await?;
        for execution in [&review, &reconciliation] {
            assert_eq!(fixture.hub.outcome(execution).await?.0, "ABORTED");
        }
        fixture.hub.release_key_lease(&golden.key).await?;
        assert_eq!(fixture.hub.reconcile(&golden.image).await?.0, "SUCCEEDED");
        assert!(launches(&b, &golden.image).await?);
        Ok(())
    })
}

/// Waits until a message that contains `text` is in the dead-letter queue.
async fn until_dead_letter(fixture: &Fixture, text: &str) -> Result<()> {
    let has_arrived = async || Ok(fixture.hub.is_dead_letter(text).await?.then_some(()));
    fixture.hub.until("the message is in the dead-letter queue", has_arrived).await
}

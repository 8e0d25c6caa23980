//! The events that start a reconciliation of an image, and those that start none.

use std::fs;

use ami_share_tests::launch::{Launch, launch};
use ami_share_tests::workspace;
use anyhow::{Result, bail};
use futures::future::try_join_all;
use serde_json::{Value, json};

use crate::fixture::{Fixture, flow};

#[test]
fn an_image_registered_with_its_tags_is_shared() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let name = fixture.name("registered");
        let image = fixture.hub.register_image(&name, &[], &[("ami-share:with", &b.id)]).await?;
        fixture.hub.status(&image, |status| status == "shared with 1 account").await?;
        assert!(b.sees(&image).await?);
        Ok(())
    })
}

#[test]
fn an_image_created_with_tags_waits_while_pending_and_is_shared_once_available() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let instance = instance(fixture).await?;
        let name = fixture.name("created");
        let image = fixture.hub.create_image(&name, &instance, &[("ami-share:with", &b.id)]).await?;
        assert_ignored_while_pending(fixture, &image).await?;
        fixture.hub.status(&image, |status| status == "shared with 1 account").await?;
        assert_eq!(fixture.hub.image_state(&image).await?, "available");
        assert!(b.sees(&image).await?);
        Ok(())
    })
}

#[test]
fn a_copy_made_with_its_tags_is_shared_once_it_is_available() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let source = fixture.image("source").await?;
        let name = fixture.name("copied");
        let image = fixture.hub.copy_image(&name, &source, &[("ami-share:with", &b.id)]).await?;
        assert_ignored_while_pending(fixture, &image).await?;
        fixture.hub.status(&image, |status| status == "shared with 1 account").await?;
        assert!(b.sees(&image).await?);
        assert!(!b.sees(&source).await?);
        Ok(())
    })
}

#[test]
fn an_image_tagged_while_it_is_pending_is_shared_once_it_is_available() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let image =
            fixture.hub.create_image(&fixture.name("pending"), &instance(fixture).await?, &[]).await?;
        assert_eq!(fixture.share(&image, &b.id).await?, "shared with 1 account");
        assert_eq!(fixture.hub.image_state(&image).await?, "available");
        assert!(b.sees(&image).await?);
        Ok(())
    })
}

#[test]
fn an_image_that_was_disabled_is_shared_again_once_it_is_enabled() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let image = fixture.image("disabled").await?;
        assert_eq!(fixture.share(&image, &b.id).await?, "shared with 1 account");
        fixture.hub.ec2.disable_image().image_id(&image).send().await?;
        assert!(!b.sees(&image).await?);
        fixture.hub.ec2.enable_image().image_id(&image).send().await?;
        fixture
            .hub
            .until("the image is shared again", async || Ok(b.sees(&image).await?.then_some(())))
            .await?;
        Ok(())
    })
}

#[test]
fn a_tag_change_of_foreign_keys_or_of_the_status_alone_starts_nothing() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let image = fixture.image("quiet").await?;
        fixture.hub.tag(&image, &[("Name", "golden"), ("ami-shared", "a foreign tag")]).await?;
        fixture.hub.tag(&image, &[("ami-share:status", "written out of band")]).await?;
        fixture.hub.untag(&image, "Name").await?;
        fixture.hub.tag(&image, &[("ami-share:with", &b.id), ("Team", "platform")]).await?;
        fixture.hub.status(&image, |status| status == "shared with 1 account").await?;
        // Events arrive in their order, so the events of the earlier tags have started what they start.
        fixture.hub.tag(&image, &[("ami-share:until", "2099-12-31")]).await?;
        fixture.hub.status(&image, |status| status.ends_with("until 2099-12-31 23:59 UTC")).await?;

        let inputs = fixture.hub.executions_of(&image).await?;
        // A review of another test may have started more; only events of the image count here.
        let by_event = inputs.values().filter(|input| input.get("detail-type").is_some());
        let mut reasons: Vec<String> = by_event.map(reason_of).collect();
        reasons.sort();
        let registered = ["AWS API Call via CloudTrail", "EC2 AMI State Change"];
        let tagged = [r#"["Team","ami-share:with"]"#, r#"["ami-share:until"]"#];
        assert_eq!(reasons, [registered, tagged].concat());
        Ok(())
    })
}

#[test]
fn an_image_without_ami_share_tags_is_left_alone() -> Result<()> {
    flow(async |fixture| {
        let image = fixture.image("untagged").await?;
        let (status, output) = fixture.hub.reconcile(&image).await?;
        assert_eq!(status, "SUCCEEDED");
        assert!(output.contains("the image has no ami-share: tags"), "{output}");
        assert!(fixture.hub.ledger(&format!("IMAGE#{image}")).await?.is_empty());
        assert_eq!(fixture.hub.tags(&image).await?.get("ami-share:status"), None);
        Ok(())
    })
}

#[test]
fn an_image_that_is_gone_and_was_never_shared_is_left_alone() -> Result<()> {
    flow(async |fixture| {
        let gone = fixture.image("gone").await?;
        fixture.hub.deregister(&gone).await?;
        for gone in [gone.as_str(), "ami-0123456789abcdef0"] {
            let (status, output) = fixture.hub.reconcile(gone).await?;
            assert_eq!(status, "SUCCEEDED");
            assert!(output.contains("the image does not exist"), "{output}");
            assert!(fixture.hub.ledger(&format!("IMAGE#{gone}")).await?.is_empty());
        }
        Ok(())
    })
}

#[test]
fn events_that_come_twice_or_late_change_nothing() -> Result<()> {
    flow(async |fixture| {
        let (b, c) = (fixture.target_account("b").await?, fixture.target_account("c").await?);
        let notifications = b.listen().await?;
        let golden = fixture.golden("repeated").await?;
        assert_eq!(fixture.share(&golden.image, &b.id).await?, "shared with 1 account");
        fixture.await_reconciliations(&golden.image, 1).await?;
        let before = state_of(fixture, &golden.image, &golden.key).await?;

        // ami-share ignores the tags in an old event and reads the present tags of the image.
        let mut out_of_date = event("tag-change-image.json", &golden.image)?;
        out_of_date["detail"]["tags"]["ami-share:with"] = json!(c.id);
        let events = [
            out_of_date.clone(),
            out_of_date,
            event("ami-state-change-available.json", &golden.image)?,
            event("ami-state-change-available.json", &golden.image)?,
            event("cloudtrail-register-image.json", &golden.image)?,
            event("cloudtrail-copy-image.json", &golden.image)?,
            event("reconcile-image.json", &golden.image)?,
        ];
        let outcomes = try_join_all(events.iter().map(async |event| {
            let execution = fixture.hub.start_execution(event).await?;
            fixture.hub.outcome(&execution).await
        }));
        for (status, output) in outcomes.await? {
            assert_eq!(status, "SUCCEEDED", "{output}");
        }
        assert_eq!(state_of(fixture, &golden.image, &golden.key).await?, before);
        assert!(!c.sees(&golden.image).await?);

        let fence = fixture.image("fence").await?;
        fixture.share(&fence, &b.id).await?;
        let received = crate::notifications::received_until(&b, &notifications, &fence).await?;
        assert_eq!(crate::notifications::about(&received, &golden.image).len(), 1);
        Ok(())
    })
}

/// A running instance of the hub, to create images from.
async fn instance(fixture: &Fixture) -> Result<String> {
    match launch(&fixture.hub, &fixture.image("base").await?).await? {
        Launch::Started(instance) => Ok(instance),
        Launch::Failed(why) => bail!("the hub cannot launch its own image: {why}"),
    }
}

/// Starts a reconciliation. If the image is still pending after it, the reconciliation must have ignored the image.
async fn assert_ignored_while_pending(fixture: &Fixture, image: &str) -> Result<()> {
    let (status, output) = fixture.hub.reconcile(image).await?;
    if fixture.hub.image_state(image).await? == "pending" {
        assert_eq!(status, "SUCCEEDED");
        assert!(
            output.contains("the image is pending; its event `available` starts the next reconciliation"),
            "{output}"
        );
        assert_eq!(fixture.hub.launch_permissions(image).await?, [""; 0]);
    }
    Ok(())
}

fn reason_of(input: &Value) -> String {
    let changed = input.pointer("/detail/changed-tag-keys");
    changed.map_or_else(
        || input.get("detail-type").and_then(Value::as_str).unwrap_or_default().to_owned(),
        Value::to_string,
    )
}

/// Everything that a repeated event could change by mistake.
pub async fn state_of(fixture: &Fixture, image: &str, key: &str) -> Result<String> {
    let (image_rows, key_rows) = (
        fixture.hub.ledger(&format!("IMAGE#{image}")).await?,
        fixture.hub.ledger(&format!("KEY#{key}")).await?,
    );
    let (policy, tags) = (fixture.hub.key_policy(key).await?, fixture.hub.tags(image).await?);
    let granted_to = fixture.hub.launch_permissions(image).await?;
    let audit_log = fixture.hub.ledger(&format!("AUDIT#{image}")).await?;
    Ok(format!("{image_rows:#?}\n{key_rows:#?}\n{policy}\n{tags:#?}\n{granted_to:?}\n{audit_log:#?}"))
}

/// One of the events in `events/`, with `image` in place of its image.
fn event(file: &str, image: &str) -> Result<Value> {
    let mut event = fs::read_to_string(workspace::file(&format!("events/{file}")))?;
    for of_file in ["ami-0abcdef1234567890", "ami-0fedcba9876543210", "ami-00aa11bb22cc33dd4"] {
        event = event.replace(of_file, image);
    }
    Ok(serde_json::from_str(&event)?)
}

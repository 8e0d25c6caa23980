//! What makes ami-share look at an image, and what does not.

use std::fs;

use ami_share_tests::launch::{Launch, launch};
use ami_share_tests::workspace;
use anyhow::{Result, bail};
use futures::future::try_join_all;
use serde_json::{Value, json};

use crate::scene::{Scene, flow};

#[test]
fn an_image_registered_with_its_tags_is_shared() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let name = scene.name("registered");
        let image = scene.hub.register_image(&name, &[], &[("ami-share:with", &b.id)]).await?;
        scene.hub.status(&image, |status| status == "shared with 1 account").await?;
        assert!(b.sees(&image).await?);
        Ok(())
    })
}

#[test]
fn an_image_created_with_its_tags_is_left_while_it_is_pending_and_shared_once_it_is_available() -> Result<()>
{
    flow(async |scene| {
        let b = scene.member("b").await?;
        let instance = instance(scene).await?;
        let name = scene.name("created");
        let image = scene.hub.create_image(&name, &instance, &[("ami-share:with", &b.id)]).await?;
        assert_left_while_pending(scene, &image).await?;
        scene.hub.status(&image, |status| status == "shared with 1 account").await?;
        assert_eq!(scene.hub.image_state(&image).await?, "available");
        assert!(b.sees(&image).await?);
        Ok(())
    })
}

#[test]
fn a_copy_made_with_its_tags_is_shared_once_it_is_available() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let source = scene.image("source").await?;
        let name = scene.name("copied");
        let image = scene.hub.copy_image(&name, &source, &[("ami-share:with", &b.id)]).await?;
        assert_left_while_pending(scene, &image).await?;
        scene.hub.status(&image, |status| status == "shared with 1 account").await?;
        assert!(b.sees(&image).await?);
        assert!(!b.sees(&source).await?);
        Ok(())
    })
}

#[test]
fn an_image_tagged_while_it_is_pending_is_shared_once_it_is_available() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let image = scene.hub.create_image(&scene.name("pending"), &instance(scene).await?, &[]).await?;
        assert_eq!(scene.share(&image, &b.id).await?, "shared with 1 account");
        assert_eq!(scene.hub.image_state(&image).await?, "available");
        assert!(b.sees(&image).await?);
        Ok(())
    })
}

#[test]
fn an_image_that_was_disabled_is_shared_again_once_it_is_enabled() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let image = scene.image("disabled").await?;
        assert_eq!(scene.share(&image, &b.id).await?, "shared with 1 account");
        scene.hub.ec2.disable_image().image_id(&image).send().await?;
        assert!(!b.sees(&image).await?);
        scene.hub.ec2.enable_image().image_id(&image).send().await?;
        scene
            .hub
            .until("the image is shared again", async || Ok(b.sees(&image).await?.then_some(())))
            .await?;
        Ok(())
    })
}

#[test]
fn a_tag_change_without_our_keys_or_of_the_status_alone_starts_nothing() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let image = scene.image("quiet").await?;
        scene.hub.tag(&image, &[("Name", "golden"), ("ami-shared", "no tag of ours")]).await?;
        scene.hub.tag(&image, &[("ami-share:status", "written by hand")]).await?;
        scene.hub.untag(&image, "Name").await?;
        scene.hub.tag(&image, &[("ami-share:with", &b.id), ("Team", "platform")]).await?;
        scene.hub.status(&image, |status| status == "shared with 1 account").await?;
        // Events are delivered in their order, so whatever the status tag set off has been seen by now.
        scene.hub.tag(&image, &[("ami-share:until", "2099-12-31")]).await?;
        scene.hub.status(&image, |status| status.ends_with("until 2099-12-31 23:59 UTC")).await?;

        let inputs = scene.hub.executions_of(&image).await?;
        // A review that comes by looks at what it finds half-way; no event of the image has started that.
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
fn an_image_without_our_tags_is_left_alone() -> Result<()> {
    flow(async |scene| {
        let image = scene.image("untagged").await?;
        let (status, output) = scene.hub.look(&image).await?;
        assert_eq!(status, "SUCCEEDED");
        assert!(output.contains("the image has no ami-share: tags"), "{output}");
        assert!(scene.hub.ledger(&format!("IMAGE#{image}")).await?.is_empty());
        assert_eq!(scene.hub.tags(&image).await?.get("ami-share:status"), None);
        Ok(())
    })
}

#[test]
fn an_image_that_is_gone_and_was_never_shared_is_left_alone() -> Result<()> {
    flow(async |scene| {
        let gone = scene.image("gone").await?;
        scene.hub.deregister(&gone).await?;
        for gone in [gone.as_str(), "ami-0123456789abcdef0"] {
            let (status, output) = scene.hub.look(gone).await?;
            assert_eq!(status, "SUCCEEDED");
            assert!(output.contains("the image does not exist"), "{output}");
            assert!(scene.hub.ledger(&format!("IMAGE#{gone}")).await?.is_empty());
        }
        Ok(())
    })
}

#[test]
fn events_that_come_twice_or_late_change_nothing() -> Result<()> {
    flow(async |scene| {
        let (b, c) = (scene.member("b").await?, scene.member("c").await?);
        let notices = b.listen().await?;
        let golden = scene.golden("repeated").await?;
        assert_eq!(scene.share(&golden.image, &b.id).await?, "shared with 1 account");
        scene.looks_end(&golden.image, 1).await?;
        let before = state_of(scene, &golden.image, &golden.key).await?;

        // Whom that old tag change names is of no interest: the tags that the image has now count.
        let mut out_of_date = event("tag-change-image.json", &golden.image)?;
        out_of_date["detail"]["tags"]["ami-share:with"] = json!(c.id);
        let events = [
            out_of_date.clone(),
            out_of_date,
            event("ami-state-change-available.json", &golden.image)?,
            event("ami-state-change-available.json", &golden.image)?,
            event("cloudtrail-register-image.json", &golden.image)?,
            event("cloudtrail-copy-image.json", &golden.image)?,
            event("look-at-image.json", &golden.image)?,
        ];
        let outcomes = try_join_all(events.iter().map(async |event| {
            let execution = scene.hub.start_execution(event).await?;
            scene.hub.outcome(&execution).await
        }));
        for (status, output) in outcomes.await? {
            assert_eq!(status, "SUCCEEDED", "{output}");
        }
        assert_eq!(state_of(scene, &golden.image, &golden.key).await?, before);
        assert!(!c.sees(&golden.image).await?);

        let fence = scene.image("fence").await?;
        scene.share(&fence, &b.id).await?;
        let heard = crate::notices::heard_until(&b, &notices, &fence).await?;
        assert_eq!(crate::notices::about(&heard, &golden.image).len(), 1);
        Ok(())
    })
}

/// A running instance of the hub, to make images of.
async fn instance(scene: &Scene) -> Result<String> {
    match launch(&scene.hub, &scene.image("base").await?).await? {
        Launch::Started(instance) => Ok(instance),
        Launch::Failed(why) => bail!("the hub cannot launch its own image: {why}"),
    }
}

/// Looks by hand; if the image was still pending after that look, the look must have left it alone.
async fn assert_left_while_pending(scene: &Scene, image: &str) -> Result<()> {
    let (status, output) = scene.hub.look(image).await?;
    if scene.hub.image_state(image).await? == "pending" {
        assert_eq!(status, "SUCCEEDED");
        assert!(output.contains("the image is pending; its event `available` brings it back"), "{output}");
        assert_eq!(scene.hub.launch_permissions(image).await?, [""; 0]);
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

/// All that a repeated event could spoil.
pub async fn state_of(scene: &Scene, image: &str, key: &str) -> Result<String> {
    let (image_rows, key_rows) =
        (scene.hub.ledger(&format!("IMAGE#{image}")).await?, scene.hub.ledger(&format!("KEY#{key}")).await?);
    let (policy, tags) = (scene.hub.key_policy(key).await?, scene.hub.tags(image).await?);
    let open_to = scene.hub.launch_permissions(image).await?;
    let history = scene.hub.ledger(&format!("AUDIT#{image}")).await?;
    Ok(format!("{image_rows:#?}\n{key_rows:#?}\n{policy}\n{tags:#?}\n{open_to:?}\n{history:#?}"))
}

/// One of the events in `events/`, as if it spoke of `image`.
fn event(file: &str, image: &str) -> Result<Value> {
    let mut event = fs::read_to_string(workspace::file(&format!("events/{file}")))?;
    for of_file in ["ami-0abcdef1234567890", "ami-0fedcba9876543210", "ami-00aa11bb22cc33dd4"] {
        event = event.replace(of_file, image);
    }
    Ok(serde_json::from_str(&event)?)
}

//! Who is told of a share: each target account, the hub's bus and its topic; once.

use ami_share_tests::world::{Account, HUB, REGION};
use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::scene::{Scene, flow};

#[test]
fn an_account_is_told_once_with_all_that_it_needs() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let queue = b.listen().await?;
        let golden = scene.golden("told").await?;
        scene.hub.tag(&golden.image, &[("ami-share:with", &b.id), ("ami-share:until", "2099-12-31")]).await?;
        scene.hub.status(&golden.image, |_| true).await?;
        // Neither the same words again nor a look by hand is news.
        scene.hub.tag(&golden.image, &[("ami-share:with", &format!(" {} ", b.id))]).await?;
        scene.hub.look(&golden.image).await?;
        scene.hub.settled(&golden.image).await?;

        let fence = scene.image("fence").await?;
        scene.share(&fence, &b.id).await?;
        let heard = heard_until(&b, &queue, &fence).await?;
        let told = about(&heard, &golden.image);
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0]["detail-type"], "AMI Shared");
        assert_eq!(told[0]["account"], HUB);
        let name = scene.hub.ec2.describe_images().image_ids(&golden.image).send().await?;
        let expected = json!({
            "image_id": golden.image, "image_name": name.images()[0].name(), "region": REGION, "owner": HUB,
            "target": b.id, "account": b.id, "keys": [golden.key], "until": "2099-12-31T23:59:59Z",
            "permits": ["launch"],
            "how_to_launch": format!("aws ec2 run-instances --region {REGION} --image-id {} --instance-type t3.micro", golden.image),
        });
        assert_eq!(told[0]["detail"], expected);
        Ok(())
    })
}

#[test]
fn every_account_of_an_ou_is_told_and_one_without_a_bus_is_written_down() -> Result<()> {
    flow(async |scene| {
        let ou = scene.ou("told", &scene.root).await?;
        let nested = scene.ou("nested", &ou).await?;
        let (b, c) = (scene.member_in("b", &ou).await?, scene.member_in("c", &nested).await?);
        let deaf = scene.member_in("deaf", &ou).await?;
        let (b_queue, c_queue) = (b.listen().await?, c.listen().await?);
        let image = scene.image("for-ou").await?;
        assert_eq!(scene.share(&image, &ou).await?, "shared with 1 OU");
        for (account, queue) in [(&b, &b_queue), (&c, &c_queue)] {
            let heard = heard_until(account, queue, &image).await?;
            let told = about(&heard, &image);
            assert_eq!(told.len(), 1);
            assert_eq!(told[0]["detail"]["target"], ou);
            assert_eq!(told[0]["detail"]["account"], account.id);
        }
        let rows = scene.hub.ledger(&format!("IMAGE#{image}")).await?;
        assert_eq!(rows["TOLD"]["without_bus"], deaf.id);
        let mut delivered: Vec<&str> = rows["TOLD"]["delivered"].split(' ').collect();
        delivered.sort_unstable();
        let mut told = [b.id.as_str(), c.id.as_str()];
        told.sort_unstable();
        assert_eq!(delivered, told);
        Ok(())
    })
}

#[test]
fn a_bus_that_does_not_let_the_hub_in_is_no_error() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        b.events.create_event_bus().name("ami-share").send().await?;
        let image = scene.image("closed-bus").await?;
        assert_eq!(scene.share(&image, &b.id).await?, "shared with 1 account");
        let rows = scene.hub.ledger(&format!("IMAGE#{image}")).await?;
        assert_eq!(rows["TOLD"]["without_bus"], b.id);
        Ok(())
    })
}

#[test]
fn the_hubs_bus_and_topic_hear_of_every_share_and_every_refusal_once() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let (bus, topic) = (on_the_bus(scene).await?, on_the_topic(scene).await?);
        let image = scene.image("heard").await?;
        scene.share(&image, &format!("{} 999999999999", b.id)).await?;
        scene.hub.look(&image).await?;
        let fence = scene.image("fence").await?;
        scene.share(&fence, &b.id).await?;

        let heard = heard_until(&scene.hub, &bus, &fence).await?;
        assert_shared_and_refused(&about(&heard, &image), &b);
        let messages = published_until(scene, &topic, &fence).await?;
        assert_shared_and_refused(&about(&messages, &image), &b);
        Ok(())
    })
}

#[test]
fn a_target_that_is_added_is_told_and_the_others_are_not_told_again() -> Result<()> {
    flow(async |scene| {
        let (b, c) = (scene.member("b").await?, scene.member("c").await?);
        let (b_queue, c_queue) = (b.listen().await?, c.listen().await?);
        let image = scene.image("widened").await?;
        scene.share(&image, &b.id).await?;
        scene.share_until_status(&image, &format!("{} {}", b.id, c.id), "shared with 2 accounts").await?;
        heard_until(&c, &c_queue, &image).await?;
        let fence = scene.image("fence").await?;
        scene.share(&fence, &b.id).await?;
        let heard = heard_until(&b, &b_queue, &fence).await?;
        assert_eq!(about(&heard, &image).len(), 1);
        Ok(())
    })
}

fn assert_shared_and_refused(told: &[&Value], b: &Account) {
    let of_kind = |kind: &str| -> Vec<&&Value> {
        told.iter().filter(|notice| notice.get("detail-type").is_some_and(|found| found == kind)).collect()
    };
    assert_eq!(told.len(), 2, "{told:?}");
    let (shared, refused) = (of_kind("AMI Shared"), of_kind("AMI Share Refused"));
    let text = |notices: &[&&Value], place: &str| -> Option<String> {
        Some(notices.first()?.pointer(place)?.as_str()?.to_owned())
    };
    assert_eq!(text(&shared, "/detail/target"), Some(b.id.clone()));
    assert_eq!(text(&refused, "/detail/target").as_deref(), Some("999999999999"));
    assert_eq!(text(&refused, "/detail/code").as_deref(), Some("stranger"));
    assert!(
        text(&refused, "/detail/reason").is_some_and(|reason| reason.contains("AllowedExternalAccounts"))
    );
}

/// A queue of what the hub's own bus tells.
pub async fn on_the_bus(scene: &Scene) -> Result<String> {
    scene.hub.listen_on("ami-share", &scene.name("outcomes")).await
}

/// A queue of what the hub's topic tells.
pub async fn on_the_topic(scene: &Scene) -> Result<String> {
    scene.hub.subscribe("ami-share-notices", &scene.name("messages")).await
}

/// All that a queue got until, and with, the first notice about `image`.
pub async fn heard_until(account: &Account, queue: &str, image: &str) -> Result<Vec<Value>> {
    let mut heard = Vec::new();
    account
        .until("the notice has come", async || {
            heard.extend(account.take(queue).await?);
            Ok((!about(&heard, image).is_empty()).then_some(()))
        })
        .await?;
    Ok(heard)
}

/// All that a queue got from the hub's topic until, and with, the first notice about `image`.
pub async fn published_until(scene: &Scene, topic: &str, image: &str) -> Result<Vec<Value>> {
    let mut messages = Vec::new();
    scene
        .hub
        .until("the topic has told of it", async || {
            for envelope in scene.hub.take(topic).await? {
                let message = envelope.get("Message").and_then(Value::as_str).context("no message")?;
                messages.push(serde_json::from_str(message).context("a message that is no JSON")?);
            }
            Ok((!about(&messages, image).is_empty()).then_some(()))
        })
        .await?;
    Ok(messages)
}

/// The notices about `image` that a queue holds by now. It must be one of those to which the hub tells what becomes of
/// a new image: events come in their order, so all that was told before has come with what is told of that one.
pub async fn heard_by_now(
    scene: &Scene,
    account: &Account,
    queue: &str,
    named: &str,
    image: &str,
) -> Result<Vec<Value>> {
    let fence = scene.image("fence").await?;
    scene.share(&fence, named).await?;
    let heard = heard_until(account, queue, &fence).await?;
    Ok(about(&heard, image).into_iter().cloned().collect())
}

/// The names of notices, in their order.
pub fn kinds(notices: &[Value]) -> Vec<&str> {
    notices.iter().filter_map(|notice| notice.get("detail-type")?.as_str()).collect()
}

/// The notices that speak of an image.
pub fn about<'a>(notices: &'a [Value], image: &str) -> Vec<&'a Value> {
    notices
        .iter()
        .filter(|notice| notice.pointer("/detail/image_id").is_some_and(|found| found == image))
        .collect()
}

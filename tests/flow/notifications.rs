//! Each share notifies every target account, the hub's bus and its topic once.

use ami_share_tests::world::{Account, HUB, REGION};
use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::fixture::{Fixture, flow};

#[test]
fn a_target_account_is_notified_once_with_all_that_it_needs() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let queue = b.listen().await?;
        let golden = fixture.golden("notified").await?;
        fixture
            .hub
            .tag(&golden.image, &[("ami-share:with", &b.id), ("ami-share:until", "2099-12-31")])
            .await?;
        fixture.hub.status(&golden.image, |_| true).await?;
        // The same selectors again and one more reconciliation send no notification.
        fixture.hub.tag(&golden.image, &[("ami-share:with", &format!(" {} ", b.id))]).await?;
        fixture.hub.trigger(&golden.image).await?;
        fixture.hub.settled(&golden.image).await?;

        let fence = fixture.image("fence").await?;
        fixture.share(&fence, &b.id).await?;
        let received = received_until(&b, &queue, &fence).await?;
        let notified = about(&received, &golden.image);
        assert_eq!(notified.len(), 1, "{notified:?}");
        assert_eq!(notified[0]["detail-type"], "AMI Shared");
        assert_eq!(notified[0]["account"], HUB);
        let name = fixture.hub.ec2.describe_images().image_ids(&golden.image).send().await?;
        let expected = json!({
            "image_id": golden.image, "image_name": name.images()[0].name(), "region": REGION, "owner": HUB,
            "target": b.id, "account": b.id, "keys": [golden.key], "until": "2099-12-31T23:59:59Z",
            "permits": ["launch"],
            "how_to_launch": format!("aws ec2 run-instances --region {REGION} --image-id {} --instance-type t3.micro", golden.image),
        });
        assert_eq!(notified[0]["detail"], expected);
        Ok(())
    })
}

#[test]
fn every_account_of_an_ou_is_notified_and_one_without_a_bus_is_recorded() -> Result<()> {
    flow(async |fixture| {
        let ou = fixture.ou("notified", &fixture.root).await?;
        let nested = fixture.ou("nested", &ou).await?;
        let (b, c) = (fixture.account_in("b", &ou).await?, fixture.account_in("c", &nested).await?);
        let without_bus = fixture.account_in("without-bus", &ou).await?;
        let (b_queue, c_queue) = (b.listen().await?, c.listen().await?);
        let image = fixture.image("for-ou").await?;
        assert_eq!(fixture.share(&image, &ou).await?, "shared with 1 OU");
        for (account, queue) in [(&b, &b_queue), (&c, &c_queue)] {
            let received = received_until(account, queue, &image).await?;
            let notified = about(&received, &image);
            assert_eq!(notified.len(), 1);
            assert_eq!(notified[0]["detail"]["target"], ou);
            assert_eq!(notified[0]["detail"]["account"], account.id);
        }
        let rows = fixture.hub.ledger(&format!("IMAGE#{image}")).await?;
        assert_eq!(rows["NOTIFIED"]["without_bus"], without_bus.id);
        let mut delivered: Vec<&str> = rows["NOTIFIED"]["delivered"].split(' ').collect();
        delivered.sort_unstable();
        let mut notified = [b.id.as_str(), c.id.as_str()];
        notified.sort_unstable();
        assert_eq!(delivered, notified);
        Ok(())
    })
}

#[test]
fn a_bus_that_denies_the_hub_is_not_an_error() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        b.events.create_event_bus().name("ami-share").send().await?;
        let image = fixture.image("denying-bus").await?;
        assert_eq!(fixture.share(&image, &b.id).await?, "shared with 1 account");
        let rows = fixture.hub.ledger(&format!("IMAGE#{image}")).await?;
        assert_eq!(rows["NOTIFIED"]["without_bus"], b.id);
        Ok(())
    })
}

#[test]
fn the_bus_and_topic_of_the_hub_get_every_share_and_every_refusal_once() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let (bus, topic) = (on_the_bus(fixture).await?, on_the_topic(fixture).await?);
        let image = fixture.image("hub-notified").await?;
        fixture.share(&image, &format!("{} 999999999999", b.id)).await?;
        fixture.hub.trigger(&image).await?;
        let fence = fixture.image("fence").await?;
        fixture.share(&fence, &b.id).await?;

        let received = received_until(&fixture.hub, &bus, &fence).await?;
        assert_shared_and_refused(&about(&received, &image), &b);
        let messages = published_until(fixture, &topic, &fence).await?;
        assert_shared_and_refused(&about(&messages, &image), &b);
        Ok(())
    })
}

#[test]
fn an_added_target_is_notified_and_the_others_are_not_notified_again() -> Result<()> {
    flow(async |fixture| {
        let (b, c) = (fixture.target_account("b").await?, fixture.target_account("c").await?);
        let (b_queue, c_queue) = (b.listen().await?, c.listen().await?);
        let image = fixture.image("widened").await?;
        fixture.share(&image, &b.id).await?;
        fixture.share_until_status(&image, &format!("{} {}", b.id, c.id), "shared with 2 accounts").await?;
        received_until(&c, &c_queue, &image).await?;
        let fence = fixture.image("fence").await?;
        fixture.share(&fence, &b.id).await?;
        let received = received_until(&b, &b_queue, &fence).await?;
        assert_eq!(about(&received, &image).len(), 1);
        Ok(())
    })
}

fn assert_shared_and_refused(notified: &[&Value], b: &Account) {
    let of_kind = |kind: &str| -> Vec<&&Value> {
        notified
            .iter()
            .filter(|notification| notification.get("detail-type").is_some_and(|found| found == kind))
            .collect()
    };
    assert_eq!(notified.len(), 2, "{notified:?}");
    let (shared, refused) = (of_kind("AMI Shared"), of_kind("AMI Share Refused"));
    let text = |notifications: &[&&Value], place: &str| -> Option<String> {
        Some(notifications.first()?.pointer(place)?.as_str()?.to_owned())
    };
    assert_eq!(text(&shared, "/detail/target"), Some(b.id.clone()));
    assert_eq!(text(&refused, "/detail/target").as_deref(), Some("999999999999"));
    assert_eq!(text(&refused, "/detail/code").as_deref(), Some("external-not-allowed"));
    assert!(
        text(&refused, "/detail/reason").is_some_and(|reason| reason.contains("AllowedExternalAccounts"))
    );
}

/// A queue that receives the events of the hub's bus.
pub async fn on_the_bus(fixture: &Fixture) -> Result<String> {
    fixture.hub.listen_on("ami-share", &fixture.name("outcomes")).await
}

/// A queue that receives the messages of the hub's topic.
pub async fn on_the_topic(fixture: &Fixture) -> Result<String> {
    fixture.hub.subscribe("ami-share-notifications", &fixture.name("messages")).await
}

/// All that a queue receives, up to the first notification about `image`.
pub async fn received_until(account: &Account, queue: &str, image: &str) -> Result<Vec<Value>> {
    let mut received = Vec::new();
    account
        .until("the notification has arrived", async || {
            received.extend(account.take(queue).await?);
            Ok((!about(&received, image).is_empty()).then_some(()))
        })
        .await?;
    Ok(received)
}

/// All that a queue receives from the hub's topic, up to the first notification about `image`.
pub async fn published_until(fixture: &Fixture, topic: &str, image: &str) -> Result<Vec<Value>> {
    let mut messages = Vec::new();
    fixture
        .hub
        .until("the message of the topic has arrived", async || {
            for envelope in fixture.hub.take(topic).await? {
                let message = envelope.get("Message").and_then(Value::as_str).context("no message")?;
                messages.push(serde_json::from_str(message).context("a message that is not JSON")?);
            }
            Ok((!about(&messages, image).is_empty()).then_some(()))
        })
        .await?;
    Ok(messages)
}

/// The notifications about `image` that a queue has received so far. To be sure that none is still on its way, this
/// shares a new image with `target`, and waits for its notification: notifications arrive in their order. So `target`
/// must be one whose notifications the queue receives.
pub async fn received_by_now(
    fixture: &Fixture,
    account: &Account,
    queue: &str,
    target: &str,
    image: &str,
) -> Result<Vec<Value>> {
    let fence = fixture.image("fence").await?;
    fixture.share(&fence, target).await?;
    let received = received_until(account, queue, &fence).await?;
    Ok(about(&received, image).into_iter().cloned().collect())
}

/// The kinds of notifications, in their order.
pub fn kinds(notifications: &[Value]) -> Vec<&str> {
    notifications.iter().filter_map(|notification| notification.get("detail-type")?.as_str()).collect()
}

/// The notifications about an image.
pub fn about<'a>(notifications: &'a [Value], image: &str) -> Vec<&'a Value> {
    notifications
        .iter()
        .filter(|notification| notification.pointer("/detail/image_id").is_some_and(|found| found == image))
        .collect()
}

//! `AMI Unshared`: whoever had access is told that it is gone, and why; once.

use ami_share_tests::launch::{Launch, launch};
use ami_share_tests::world::{Account, HUB, REGION};
use anyhow::Result;
use serde_json::{Value, json};

use crate::clock::{far_enough, now, written};
use crate::notices::{about, heard_by_now, heard_until, kinds, on_the_bus, on_the_topic, published_until};
use crate::scene::{flow, flow_on_guard};
use crate::withdrawal::UNTAGGED;

#[test]
fn the_target_and_the_hubs_bus_and_topic_hear_once_what_is_gone_and_why() -> Result<()> {
    flow(async |scene| {
        let (b, c) = (scene.member("b").await?, scene.member("c").await?);
        let queue = b.listen().await?;
        let (bus, topic) = (on_the_bus(scene).await?, on_the_topic(scene).await?);
        let image = scene.image("taken-back").await?;
        let name = scene.hub.ec2.describe_images().image_ids(&image).send().await?;
        scene.share(&image, &format!("{} {}", b.id, c.id)).await?;
        scene.share_until_status(&image, &c.id, "shared with 1 account").await?;
        for _ in 0..2 {
            scene.hub.look(&image).await?;
        }

        let fence = scene.image("fence").await?;
        scene.share(&fence, &b.id).await?;
        let on_bus = heard_until(&scene.hub, &bus, &fence).await?;
        let on_topic = published_until(scene, &topic, &fence).await?;
        let detail = json!({
            "image_id": image, "image_name": name.images()[0].name(), "region": REGION, "owner": HUB, "target": b.id,
            "reason": format!("{} is no longer among those whom ami-share:with names", b.id),
        });
        for heard in [about(&on_bus, &image), about(&on_topic, &image)] {
            let heard: Vec<Value> = heard.into_iter().cloned().collect();
            assert_eq!(kinds(&heard), ["AMI Shared", "AMI Shared", "AMI Unshared"]);
            assert_eq!(heard[2]["detail"], detail);
        }
        let mut of_account = detail;
        of_account["account"] = json!(b.id);
        let heard = heard_until(&b, &queue, &fence).await?;
        let heard: Vec<Value> = about(&heard, &image).into_iter().cloned().collect();
        assert_eq!(kinds(&heard), ["AMI Shared", "AMI Unshared"]);
        assert_eq!(heard[1]["detail"], of_account);
        Ok(())
    })
}

#[test]
fn every_way_to_lose_access_is_told_with_its_own_reason() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let queue = b.listen().await?;
        let [untagged, disabled, gone, refused] = {
            let made = ["untagged", "disabled", "gone", "refused"].map(|what| scene.image(what));
            let made = futures::future::try_join_all(made).await?;
            let made: [String; 4] = made.try_into().map_err(|_| anyhow::anyhow!("not four images"))?;
            made
        };
        for image in [&untagged, &disabled, &gone, &refused] {
            scene.share(image, &b.id).await?;
        }
        scene.hub.untag(&untagged, "ami-share:with").await?;
        scene.hub.disable(&disabled).await?;
        scene.hub.deregister(&gone).await?;
        scene.hub.tag(&refused, &[("ami-share:until", "2020-01-01")]).await?;
        let reasons = [
            (&untagged, "the image has no ami-share: tags any more"),
            (&disabled, "the image is disabled"),
            (&gone, "the image was deregistered"),
            (
                &refused,
                "ami-share:until was 2020-01-01T23:59:59Z, which is in the past; set a later date to share again",
            ),
        ];
        let mut heard = Vec::new();
        for (image, reason) in reasons {
            let told = unshared(&b, &queue, &mut heard, image).await?;
            assert_eq!(told["detail"]["reason"], reason);
            assert_eq!(told["detail"]["account"], b.id);
        }
        Ok(())
    })
}

#[test]
fn the_end_of_a_share_is_told_to_the_hub_too() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let (bus, topic) = (on_the_bus(scene).await?, on_the_topic(scene).await?);
        let image = scene.image("ends").await?;
        let end = written(far_enough(scene).await? + now()?)?;
        scene.hub.tag(&image, &[("ami-share:with", &b.id), ("ami-share:until", &end)]).await?;
        scene.hub.status(&image, |status| status.starts_with("not shared")).await?;
        let fence = scene.image("fence").await?;
        scene.share(&fence, &b.id).await?;
        let on_bus = heard_until(&scene.hub, &bus, &fence).await?;
        let on_topic = published_until(scene, &topic, &fence).await?;
        for heard in [about(&on_bus, &image), about(&on_topic, &image)] {
            let heard: Vec<Value> = heard.into_iter().cloned().collect();
            assert_eq!(kinds(&heard), ["AMI Shared", "AMI Share Ending", "AMI Unshared"]);
            let reason = format!("ami-share:until was {end}; set a later date to share again");
            assert_eq!(heard[2]["detail"]["reason"], reason);
        }
        Ok(())
    })
}

#[test]
fn who_is_given_access_again_is_told_again_of_it_and_of_its_end() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let queue = b.listen().await?;
        let image = scene.image("to-and-fro").await?;
        for _ in 0..2 {
            scene.share_until_status(&image, &b.id, "shared with 1 account").await?;
            scene.hub.untag(&image, "ami-share:with").await?;
            scene.hub.status(&image, |status| status == UNTAGGED).await?;
        }
        let heard = heard_by_now(scene, &b, &queue, &b.id, &image).await?;
        assert_eq!(kinds(&heard), ["AMI Shared", "AMI Unshared", "AMI Shared", "AMI Unshared"]);
        Ok(())
    })
}

#[test]
fn every_account_behind_an_ou_is_told_and_one_without_a_bus_is_forgotten() -> Result<()> {
    flow(async |scene| {
        let ou = scene.ou("losing", &scene.root).await?;
        let nested = scene.ou("nested", &ou).await?;
        let (b, c) = (scene.member_in("b", &ou).await?, scene.member_in("c", &nested).await?);
        let _deaf = scene.member_in("deaf", &ou).await?;
        let queues = [(&b, b.listen().await?), (&c, c.listen().await?)];
        let image = scene.image("for-ou").await?;
        scene.share(&image, &ou).await?;
        scene.hub.untag(&image, "ami-share:with").await?;
        scene.hub.status(&image, |status| status == UNTAGGED).await?;
        for (account, queue) in queues {
            let heard = heard_by_now(scene, account, &queue, &account.id, &image).await?;
            assert_eq!(kinds(&heard), ["AMI Shared", "AMI Unshared"]);
            assert_eq!(heard[1]["detail"]["account"], account.id);
            assert_eq!(heard[1]["detail"]["reason"], "the image has no ami-share: tags any more");
        }
        let told = scene.hub.ledger(&format!("IMAGE#{image}")).await?.remove("TOLD").unwrap_or_default();
        assert_eq!((told.get("delivered"), told.get("without_bus")), (None, None));
        Ok(())
    })
}

#[test]
fn who_still_uses_the_image_is_said_in_the_notice_and_in_the_history() -> Result<()> {
    flow_on_guard(async |scene| {
        let (b, c) = (scene.member("b").await?, scene.member("c").await?);
        let queue = b.listen().await?;
        let (used, unused) = (scene.image("used").await?, scene.image("unused").await?);
        for image in [&used, &unused] {
            scene.share(image, &format!("{} {}", b.id, c.id)).await?;
        }
        assert!(matches!(launch(&b, &used).await?, Launch::Started(_)));
        // C keeps its access, so whether it uses the image is of no interest.
        assert!(matches!(launch(&c, &used).await?, Launch::Started(_)));
        for image in [&used, &unused] {
            scene.hub.tag(image, &[("ami-share:with", &c.id)]).await?;
        }
        let still_used = format!("still used by {} (1 instance)", b.id);
        let mut heard = Vec::new();
        for (image, usage) in [(&used, still_used.as_str()), (&unused, "not used by them any more")] {
            let told = unshared(&b, &queue, &mut heard, image).await?;
            assert_eq!(told["detail"]["usage"], usage);
            let history: Vec<_> = scene.hub.ledger(&format!("AUDIT#{image}")).await?.into_values().collect();
            let row = |deed: &str| history.iter().find(|row| row["deed"] == deed);
            let (closed, reported) = (row("image-closed"), row("usage-reported"));
            assert_eq!(
                reported.map(|row| (row["whom"].as_str(), row["reason"].as_str())),
                Some((b.id.as_str(), usage))
            );
            // The withdrawal waits for no report.
            assert!(closed.map(|row| &row["at"]) < reported.map(|row| &row["at"]), "{history:#?}");
        }
        Ok(())
    })
}

/// The first `AMI Unshared` about an image that an account hears; `heard` is what it has heard before.
async fn unshared(account: &Account, queue: &str, heard: &mut Vec<Value>, image: &str) -> Result<Value> {
    account
        .until("the withdrawal is told", async || {
            heard.extend(account.take(queue).await?);
            let told = about(heard, image).into_iter().find(|notice| notice["detail-type"] == "AMI Unshared");
            Ok(told.cloned())
        })
        .await
}

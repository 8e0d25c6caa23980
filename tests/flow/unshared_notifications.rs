//! `AMI Unshared` notifies each target that loses access, and the hub, once and with the reason.

use ami_share_tests::launch::{Launch, launch};
use ami_share_tests::world::{Account, HUB, REGION};
use anyhow::Result;
use serde_json::{Value, json};

use crate::clock::{far_enough, now, written};
use crate::fixture::{flow, flow_within_limits};
use crate::notifications::{
    about, kinds, on_the_bus, on_the_topic, published_until, received_by_now, received_until,
};
use crate::revocation::UNTAGGED;

#[test]
fn the_target_the_hub_bus_and_the_topic_get_one_notification_of_what_is_revoked_and_why() -> Result<()> {
    flow(async |fixture| {
        let (b, c) = (fixture.target_account("b").await?, fixture.target_account("c").await?);
        let queue = b.listen().await?;
        let (bus, topic) = (on_the_bus(fixture).await?, on_the_topic(fixture).await?);
        let image = fixture.image("revoked").await?;
        let name = fixture.hub.ec2.describe_images().image_ids(&image).send().await?;
        fixture.share(&image, &format!("{} {}", b.id, c.id)).await?;
        fixture.share_until_status(&image, &c.id, "shared with 1 account").await?;
        for _ in 0..2 {
            fixture.hub.reconcile(&image).await?;
        }

        let fence = fixture.image("fence").await?;
        fixture.share(&fence, &b.id).await?;
        let on_bus = received_until(&fixture.hub, &bus, &fence).await?;
        let on_topic = published_until(fixture, &topic, &fence).await?;
        let detail = json!({
            "image_id": image, "image_name": name.images()[0].name(), "region": REGION, "owner": HUB, "target": b.id,
            "reason": format!("ami-share:with no longer names {}", b.id),
        });
        for received in [about(&on_bus, &image), about(&on_topic, &image)] {
            let received: Vec<Value> = received.into_iter().cloned().collect();
            assert_eq!(kinds(&received), ["AMI Shared", "AMI Shared", "AMI Unshared"]);
            assert_eq!(received[2]["detail"], detail);
        }
        let mut of_account = detail;
        of_account["account"] = json!(b.id);
        let received = received_until(&b, &queue, &fence).await?;
        let received: Vec<Value> = about(&received, &image).into_iter().cloned().collect();
        assert_eq!(kinds(&received), ["AMI Shared", "AMI Unshared"]);
        assert_eq!(received[1]["detail"], of_account);
        Ok(())
    })
}

#[test]
fn every_way_to_lose_access_is_notified_with_its_own_reason() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let queue = b.listen().await?;
        let [untagged, disabled, gone, refused] = {
            let created = ["untagged", "disabled", "gone", "refused"].map(|what| fixture.image(what));
            let created = futures::future::try_join_all(created).await?;
            let created: [String; 4] = created.try_into().map_err(|_| anyhow::anyhow!("not four images"))?;
            created
        };
        for image in [&untagged, &disabled, &gone, &refused] {
            fixture.share(image, &b.id).await?;
        }
        fixture.hub.untag(&untagged, "ami-share:with").await?;
        fixture.hub.disable(&disabled).await?;
        fixture.hub.deregister(&gone).await?;
        fixture.hub.tag(&refused, &[("ami-share:until", "2020-01-01")]).await?;
        let reasons = [
            (&untagged, "the image has no ami-share: tags any more"),
            (&disabled, "the image is disabled"),
            (&gone, "the image was deregistered"),
            (
                &refused,
                "ami-share:until is 2020-01-01T23:59:59Z, which is in the past; set a later date to share again",
            ),
        ];
        let mut received = Vec::new();
        for (image, reason) in reasons {
            let notified = unshared(&b, &queue, &mut received, image).await?;
            assert_eq!(notified["detail"]["reason"], reason);
            assert_eq!(notified["detail"]["account"], b.id);
        }
        Ok(())
    })
}

#[test]
fn the_hub_is_also_notified_of_the_end_of_a_share() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let (bus, topic) = (on_the_bus(fixture).await?, on_the_topic(fixture).await?);
        let image = fixture.image("expiring").await?;
        let end = written(far_enough(fixture).await? + now()?)?;
        fixture.hub.tag(&image, &[("ami-share:with", &b.id), ("ami-share:until", &end)]).await?;
        fixture.hub.status(&image, |status| status.starts_with("not shared")).await?;
        let fence = fixture.image("fence").await?;
        fixture.share(&fence, &b.id).await?;
        let on_bus = received_until(&fixture.hub, &bus, &fence).await?;
        let on_topic = published_until(fixture, &topic, &fence).await?;
        for received in [about(&on_bus, &image), about(&on_topic, &image)] {
            let received: Vec<Value> = received.into_iter().cloned().collect();
            assert_eq!(kinds(&received), ["AMI Shared", "AMI Share Ending", "AMI Unshared"]);
            let reason = format!("ami-share:until was {end}; set a later date to share again");
            assert_eq!(received[2]["detail"]["reason"], reason);
        }
        Ok(())
    })
}

#[test]
fn an_account_that_is_granted_access_again_is_notified_again_of_grant_and_revocation() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let queue = b.listen().await?;
        let image = fixture.image("shared-twice").await?;
        for _ in 0..2 {
            fixture.share_until_status(&image, &b.id, "shared with 1 account").await?;
            fixture.hub.untag(&image, "ami-share:with").await?;
            fixture.hub.status(&image, |status| status == UNTAGGED).await?;
        }
        let received = received_by_now(fixture, &b, &queue, &b.id, &image).await?;
        assert_eq!(kinds(&received), ["AMI Shared", "AMI Unshared", "AMI Shared", "AMI Unshared"]);
        Ok(())
    })
}

#[test]
fn every_revoked_account_of_an_ou_is_notified_and_one_without_a_bus_is_forgotten() -> Result<()> {
    flow(async |fixture| {
        let ou = fixture.ou("losing", &fixture.root).await?;
        let nested = fixture.ou("nested", &ou).await?;
        let (b, c) = (fixture.account_in("b", &ou).await?, fixture.account_in("c", &nested).await?);
        let _without_bus = fixture.account_in("without-bus", &ou).await?;
        let queues = [(&b, b.listen().await?), (&c, c.listen().await?)];
        let image = fixture.image("for-ou").await?;
        fixture.share(&image, &ou).await?;
        fixture.hub.untag(&image, "ami-share:with").await?;
        fixture.hub.status(&image, |status| status == UNTAGGED).await?;
        for (account, queue) in queues {
            let received = received_by_now(fixture, account, &queue, &account.id, &image).await?;
            assert_eq!(kinds(&received), ["AMI Shared", "AMI Unshared"]);
            assert_eq!(received[1]["detail"]["account"], account.id);
            assert_eq!(received[1]["detail"]["reason"], "the image has no ami-share: tags any more");
        }
        let notified =
            fixture.hub.ledger(&format!("IMAGE#{image}")).await?.remove("NOTIFIED").unwrap_or_default();
        assert_eq!((notified.get("delivered"), notified.get("without_bus")), (None, None));
        Ok(())
    })
}

#[test]
fn the_notification_and_the_audit_log_name_the_accounts_that_still_use_the_image() -> Result<()> {
    flow_within_limits(async |fixture| {
        let (b, c) = (fixture.target_account("b").await?, fixture.target_account("c").await?);
        let queue = b.listen().await?;
        let (used, unused) = (fixture.image("used").await?, fixture.image("unused").await?);
        for image in [&used, &unused] {
            fixture.share(image, &format!("{} {}", b.id, c.id)).await?;
        }
        assert!(matches!(launch(&b, &used).await?, Launch::Started(_)));
        // C keeps its access, so its use of the image is not reported.
        assert!(matches!(launch(&c, &used).await?, Launch::Started(_)));
        for image in [&used, &unused] {
            fixture.hub.tag(image, &[("ami-share:with", &c.id)]).await?;
        }
        let still_used = format!("still used by {} (1 instance)", b.id);
        let mut received = Vec::new();
        for (image, usage) in [(&used, still_used.as_str()), (&unused, "no longer used")] {
            let notified = unshared(&b, &queue, &mut received, image).await?;
            assert_eq!(notified["detail"]["usage"], usage);
            let audit_log: Vec<_> =
                fixture.hub.ledger(&format!("AUDIT#{image}")).await?.into_values().collect();
            let row = |action: &str| audit_log.iter().find(|row| row["action"] == action);
            let (revoked, reported) = (row("image-revoked"), row("usage-reported"));
            assert_eq!(
                reported.map(|row| (row["principals"].as_str(), row["reason"].as_str())),
                Some((b.id.as_str(), usage))
            );
            // The revocation waits for no usage report.
            assert!(revoked.map(|row| &row["at"]) < reported.map(|row| &row["at"]), "{audit_log:#?}");
        }
        Ok(())
    })
}

/// The first `AMI Unshared` about an image that an account receives. `received` keeps all that it receives.
async fn unshared(account: &Account, queue: &str, received: &mut Vec<Value>, image: &str) -> Result<Value> {
    account
        .until("the revocation is notified", async || {
            received.extend(account.take(queue).await?);
            let notified = about(received, image)
                .into_iter()
                .find(|notification| notification["detail-type"] == "AMI Unshared");
            Ok(notified.cloned())
        })
        .await
}

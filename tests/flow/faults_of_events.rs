//! An event that is lost, repeated, late or out of order, and a read that is older than its event, lose no change of a
//! tag and grant nothing that is no longer desired.

use ami_share_tests::world::faults::{Astray, Calls};
use anyhow::Result;

use crate::fixture::{Fixture, Golden, flow, flow_alone};
use crate::notifications::{kinds, received_by_now};
use crate::policy::{for_accounts, managed};
use crate::races::assert_nothing_is_granted;

const TAG_CHANGE: &str = "Tag Change on Resource";

#[test]
fn a_lost_tag_event_is_repaired_by_the_review() -> Result<()> {
    flow_alone(async |fixture| {
        let (b, c) = (fixture.target_account("b").await?, fixture.target_account("c").await?);
        let (never_seen, changed) = (fixture.golden("never-seen").await?, fixture.golden("changed").await?);
        fixture.share(&changed.image, &b.id).await?;
        fixture.hub.wait_until_idle().await?;
        for golden in [&never_seen, &changed] {
            let lost = fixture.hub.send_astray(TAG_CHANGE, &golden.image, Astray::Lost, 1).await?;
            fixture.hub.tag(&golden.image, &[("ami-share:with", &c.id)]).await?;
            fixture.hub.wait_until_idle().await?;
            assert_eq!(fixture.hub.end_fault(lost).await?, 1);
            assert!(!c.sees(&golden.image).await?);
        }

        fixture.hub.review().await?;
        fixture.hub.wait_until_idle().await?;
        for golden in [&never_seen, &changed] {
            assert_shared_with(fixture, golden, &c.id).await?;
        }
        assert!(!b.sees(&changed.image).await?);
        Ok(())
    })
}

#[test]
fn a_tag_event_that_comes_twice_shares_and_notifies_once() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let queue = b.listen().await?;
        let golden = fixture.golden("twice").await?;
        fixture.await_reconciliations(&golden.image, 0).await?;
        let twice = fixture.hub.send_astray(TAG_CHANGE, &golden.image, Astray::Repeated(0), 1).await?;
        fixture.hub.tag(&golden.image, &[("ami-share:with", &b.id)]).await?;
        fixture.await_reconciliations(&golden.image, 2).await?;
        assert_eq!(fixture.hub.end_fault(twice).await?, 1);
        assert_shared_with(fixture, &golden, &b.id).await?;
        let received = received_by_now(fixture, &b, &queue, &b.id, &golden.image).await?;
        assert_eq!(kinds(&received), ["AMI Shared"]);
        Ok(())
    })
}

#[test]
fn a_tag_event_that_comes_again_after_the_revocation_grants_nothing() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let golden = fixture.golden("again").await?;
        fixture.await_reconciliations(&golden.image, 0).await?;
        let again = fixture.hub.send_astray(TAG_CHANGE, &golden.image, Astray::Repeated(20), 1).await?;
        fixture.share_until_status(&golden.image, &b.id, "shared with 1 account").await?;
        fixture.hub.untag(&golden.image, "ami-share:with").await?;
        fixture.hub.status(&golden.image, |status| status.starts_with("not shared")).await?;
        fixture.await_reconciliations(&golden.image, 3).await?;
        assert_eq!(fixture.hub.end_fault(again).await?, 1);
        assert_nothing_is_granted(fixture, &golden.image, &golden.key).await
    })
}

#[test]
fn tag_events_out_of_order_end_as_the_last_tag_says() -> Result<()> {
    flow(async |fixture| {
        let (b, c) = (fixture.target_account("b").await?, fixture.target_account("c").await?);
        for astray in [Astray::Swapped, Astray::Delayed(5)] {
            let golden = fixture.golden("reordered").await?;
            fixture.await_reconciliations(&golden.image, 0).await?;
            let reordered = fixture.hub.send_astray(TAG_CHANGE, &golden.image, astray, 1).await?;
            fixture.hub.tag(&golden.image, &[("ami-share:with", &b.id)]).await?;
            fixture.hub.tag(&golden.image, &[("ami-share:with", &c.id)]).await?;
            fixture.await_reconciliations(&golden.image, 2).await?;
            assert_eq!(fixture.hub.end_fault(reordered).await?, 1);
            assert_shared_with(fixture, &golden, &c.id).await?;
            assert!(!b.sees(&golden.image).await?);
        }
        Ok(())
    })
}

#[test]
fn a_tag_that_ec2_does_not_show_yet_when_its_event_comes_is_not_lost() -> Result<()> {
    flow(async |fixture| {
        let (b, c) = (fixture.target_account("b").await?, fixture.target_account("c").await?);
        let golden = fixture.golden("not-shown").await?;
        fixture.share(&golden.image, &b.id).await?;
        fixture.await_reconciliations(&golden.image, 1).await?;
        let before = fixture.hub.moment("ec2", &golden.image).await?;
        let reads = Calls::of("ec2", "DescribeImages").with("ImageId.1", &golden.image).by("resolve-share");
        let lag = fixture.hub.lag(&reads.times(2), &before).await?;
        fixture.hub.tag(&golden.image, &[("ami-share:with", &c.id)]).await?;
        fixture.await_reconciliations(&golden.image, 2).await?;
        assert!(fixture.hub.end_fault(lag).await? > 0);
        assert_shared_with(fixture, &golden, &c.id).await?;
        assert!(!b.sees(&golden.image).await?);
        Ok(())
    })
}

#[test]
fn an_image_that_ec2_still_shows_as_pending_when_its_event_comes_is_shared() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let source = fixture.image("source").await?;
        let name = fixture.name("still-pending");
        let image = fixture.hub.copy_image(&name, &source, &[("ami-share:with", &b.id)]).await?;
        let before = fixture.hub.moment("ec2", &image).await?;
        assert_eq!(fixture.hub.image_state(&image).await?, "pending");
        let reads = Calls::of("ec2", "DescribeImages").with("ImageId.1", &image).by("resolve-share");
        let lag = fixture.hub.lag(&reads.times(2), &before).await?;
        fixture.hub.status(&image, |status| status == "shared with 1 account").await?;
        assert!(fixture.hub.end_fault(lag).await? > 0);
        Ok(())
    })
}

async fn assert_shared_with(fixture: &Fixture, golden: &Golden, account: &str) -> Result<()> {
    assert_eq!(fixture.hub.launch_permissions(&golden.image).await?, [account]);
    assert_eq!(managed(&fixture.hub.key_policy(&golden.key).await?)?, for_accounts(&[account]));
    Ok(())
}

//! Unmanaged access is reported once and left in place; public access is removed if the stack's parameter says so.

use anyhow::Result;

use crate::fixture::{Fixture, flow, flow_within_limits};
use crate::notifications::{kinds, on_the_bus, received_by_now};

/// The principal of the out-of-band changes in the hub.
const ROOT: &str = "arn:aws:iam::111122223333:root";

#[test]
fn an_image_made_public_out_of_band_is_reported_once_and_stays_public() -> Result<()> {
    flow(async |fixture| {
        let (b, c) = (fixture.target_account("b").await?, fixture.target_account("c").await?);
        let bus = on_the_bus(fixture).await?;
        let image = fixture.image("public").await?;
        fixture.share(&image, &b.id).await?;
        fixture.await_reconciliations(&image, 1).await?;
        fixture.hub.make_public(&image).await?;
        let expected = "public (not by ami-share); shared with 1 account";
        fixture.hub.status(&image, |status| status == expected).await?;
        for _ in 0..2 {
            assert_eq!(fixture.hub.reconcile(&image).await?.0, "SUCCEEDED");
        }
        assert_eq!(fixture.hub.launch_permissions(&image).await?, [b.id.as_str(), "all"]);
        assert!(c.sees(&image).await?);

        let received = received_by_now(fixture, &fixture.hub, &bus, &b.id, &image).await?;
        assert_eq!(kinds(&received), ["AMI Shared", "AMI Public"]);
        let detail = &received[1]["detail"];
        assert_eq!((&detail["target"], &detail["changed_by"]), (&"all".into(), &ROOT.into()));
        let reason = format!(
            "{image} is public, not by ami-share; remove the group `all` from its permissions, or set MakePublicImagesPrivate (parameter of the stack)"
        );
        assert_eq!(detail["reason"], reason);
        assert_eq!(publications(fixture, &image)?, 1);

        fixture.hub.make_private(&image).await?;
        fixture.hub.status(&image, |status| status == "shared with 1 account").await?;
        fixture.hub.make_public(&image).await?;
        // The function writes the log line after the status.
        let is_logged = async || Ok((publications(fixture, &image)? == 2).then_some(()));
        fixture.hub.until("the image is public again and a log line says so", is_logged).await?;
        Ok(())
    })
}

#[test]
fn a_snapshot_made_public_out_of_band_is_reported_once_and_stays_public() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let bus = on_the_bus(fixture).await?;
        let image = shared(fixture, "public-snapshot", &b.id).await?;
        let snapshot = fixture.hub.snapshots_of(&image).await?.remove(0);
        fixture.hub.make_snapshot_public(&snapshot).await?;
        for _ in 0..2 {
            assert_eq!(fixture.hub.reconcile(&image).await?.0, "SUCCEEDED");
        }
        let expected = "public (not by ami-share); shared with 1 account";
        fixture.hub.status(&image, |status| status == expected).await?;
        assert_eq!(fixture.hub.snapshot_permissions(&snapshot).await?, [b.id.as_str(), "all"]);
        let received = received_by_now(fixture, &fixture.hub, &bus, &b.id, &image).await?;
        assert_eq!(kinds(&received), ["AMI Shared", "AMI Public"]);
        assert!(received[1]["detail"]["reason"].as_str().unwrap_or_default().starts_with(&snapshot));
        assert_eq!(publications(fixture, &image)?, 1);
        Ok(())
    })
}

#[test]
fn with_make_public_images_private_a_public_image_is_made_private_and_reported() -> Result<()> {
    flow_within_limits(async |fixture| {
        let (b, c) = (fixture.target_account("b").await?, fixture.target_account("c").await?);
        let bus = on_the_bus(fixture).await?;
        let image = &shared(fixture, "made-private", &b.id).await?;
        let snapshot = fixture.hub.snapshots_of(image).await?.remove(0);
        fixture.hub.make_public(image).await?;
        let only_b = [b.id.clone()];
        let private = async || Ok((fixture.hub.launch_permissions(image).await? == only_b).then_some(()));
        fixture.hub.until("the image is private again", private).await?;
        fixture.hub.settled(image).await?;
        fixture.hub.make_snapshot_public(&snapshot).await?;
        fixture.hub.reconcile(image).await?;
        assert_eq!(fixture.hub.snapshot_permissions(&snapshot).await?, only_b);
        assert!(b.sees(image).await? && !c.sees(image).await?);
        fixture.hub.status(image, |status| status == "shared with 1 account").await?;

        let received = received_by_now(fixture, &fixture.hub, &bus, &b.id, image).await?;
        assert_eq!(kinds(&received), ["AMI Shared", "AMI Public", "AMI Public"]);
        for (notification, resource) in received[1..].iter().zip([image, &snapshot]) {
            let reason = format!("{resource} was public, and ami-share made it private");
            assert_eq!(notification["detail"]["reason"], reason);
        }
        assert_eq!(received[1]["detail"]["changed_by"], ROOT);
        assert_eq!(publications(fixture, image)?, 2);
        let audit_log = fixture.hub.ledger(&format!("AUDIT#{image}")).await?;
        let private: Vec<&str> = audit_log
            .values()
            .filter(|row| row["action"] == "made-private")
            .map(|row| row["resource"].as_str())
            .collect();
        assert_eq!(private, [image.as_str(), &snapshot]);
        Ok(())
    })
}

#[test]
fn unmanaged_access_is_reported_once_and_left_in_place() -> Result<()> {
    flow(async |fixture| {
        let (b, c) = (fixture.target_account("b").await?, fixture.target_account("c").await?);
        let bus = on_the_bus(fixture).await?;
        let image = &shared(fixture, "unmanaged", &b.id).await?;
        let snapshot = fixture.hub.snapshots_of(image).await?.remove(0);
        fixture.hub.grant_snapshot_out_of_band(&snapshot, &c.id).await?;
        fixture.hub.grant_out_of_band(image, &c.id).await?;
        let reported = async || {
            let notified =
                fixture.hub.ledger(&format!("IMAGE#{image}")).await?.remove("NOTIFIED").unwrap_or_default();
            Ok(notified
                .get("unmanaged")
                .is_some_and(|grants| grants.contains(&snapshot) && grants.contains(image))
                .then_some(()))
        };
        fixture.hub.until("the ledger has recorded both grants as reported", reported).await?;
        fixture.hub.settled(image).await?;
        for _ in 0..2 {
            assert_eq!(fixture.hub.reconcile(image).await?.0, "SUCCEEDED");
        }
        assert!(c.sees(image).await?);
        let mut both = [b.id.clone(), c.id.clone()];
        both.sort();
        assert_eq!(fixture.hub.snapshot_permissions(&snapshot).await?, both);

        let received = received_by_now(fixture, &fixture.hub, &bus, &b.id, image).await?;
        assert_eq!(kinds(&received), ["AMI Shared", "AMI Access Unmanaged", "AMI Access Unmanaged"]);
        let mut reasons: Vec<&str> = received[1..]
            .iter()
            .filter_map(|notification| notification["detail"]["reason"].as_str())
            .collect();
        reasons.sort_unstable();
        let reason = |resource: &str| {
            format!(
                "{resource} is granted to {}, not by ami-share, which leaves it as it is; remove the permission if it is not intended",
                c.id
            )
        };
        assert_eq!(reasons, [reason(image), reason(&snapshot)]);
        assert!(received[1..].iter().all(|notification| notification["detail"]["target"] == c.id.as_str()));
        assert_eq!(publications(fixture, image)?, 0);
        Ok(())
    })
}

/// An image that is shared, with copying allowed, and whose reconciliations have ended.
async fn shared(fixture: &Fixture, what: &str, selectors: &str) -> Result<String> {
    // It is not encrypted, because EC2 makes no encrypted snapshot public.
    let image = fixture.image(what).await?;
    fixture.hub.tag(&image, &[("ami-share:with", selectors), ("ami-share:copy", "allowed")]).await?;
    fixture.hub.status(&image, |_| true).await?;
    fixture.await_reconciliations(&image, 1).await?;
    Ok(image)
}

/// The sum of the metric `MadePublic` for an image.
fn publications(fixture: &Fixture, image: &str) -> Result<u64> {
    let lines = fixture.log_lines("notify-targets", image)?;
    Ok(lines.iter().filter_map(|line| line.get("MadePublic")?.as_u64()).sum())
}

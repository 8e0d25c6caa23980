//! What other people's hands open: public access is told and, where the stack says so, taken; other grants are told.

use anyhow::Result;

use crate::notices::{heard_by_now, kinds, on_the_bus};
use crate::scene::{Scene, flow, flow_on_guard};

/// Who acts in the hub by hand.
const ROOT: &str = "arn:aws:iam::111122223333:root";

#[test]
fn an_image_that_somebody_makes_public_is_reported_once_and_stays_so() -> Result<()> {
    flow(async |scene| {
        let (b, c) = (scene.member("b").await?, scene.member("c").await?);
        let bus = on_the_bus(scene).await?;
        let image = scene.image("public").await?;
        scene.share(&image, &b.id).await?;
        scene.looks_end(&image, 1).await?;
        scene.hub.make_public(&image).await?;
        let expected = "public by somebody else's hand; shared with 1 account";
        scene.hub.status(&image, |status| status == expected).await?;
        for _ in 0..2 {
            assert_eq!(scene.hub.look(&image).await?.0, "SUCCEEDED");
        }
        assert_eq!(scene.hub.launch_permissions(&image).await?, [b.id.as_str(), "all"]);
        assert!(c.sees(&image).await?);

        let heard = heard_by_now(scene, &scene.hub, &bus, &b.id, &image).await?;
        assert_eq!(kinds(&heard), ["AMI Shared", "AMI Public"]);
        let detail = &heard[1]["detail"];
        assert_eq!((&detail["target"], &detail["changed_by"]), (&"all".into(), &ROOT.into()));
        let reason = format!(
            "{image} is public, which ami-share never does; remove the group `all` from its permissions, or set MakePublicImagesPrivate"
        );
        assert_eq!(detail["reason"], reason);
        assert_eq!(publications(scene, &image)?, 1);

        scene.hub.make_private(&image).await?;
        scene.hub.status(&image, |status| status == "shared with 1 account").await?;
        scene.hub.make_public(&image).await?;
        // The line is written after the status.
        let is_logged = async || Ok((publications(scene, &image)? == 2).then_some(()));
        scene.hub.until("it is public once more, and logged", is_logged).await?;
        Ok(())
    })
}

#[test]
fn a_snapshot_that_somebody_makes_public_is_reported_once_and_stays_so() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let bus = on_the_bus(scene).await?;
        let image = shared(scene, "public-snapshot", &b.id).await?;
        let snapshot = scene.hub.snapshots_of(&image).await?.remove(0);
        scene.hub.make_snapshot_public(&snapshot).await?;
        for _ in 0..2 {
            assert_eq!(scene.hub.look(&image).await?.0, "SUCCEEDED");
        }
        let expected = "public by somebody else's hand; shared with 1 account";
        scene.hub.status(&image, |status| status == expected).await?;
        assert_eq!(scene.hub.snapshot_permissions(&snapshot).await?, [b.id.as_str(), "all"]);
        let heard = heard_by_now(scene, &scene.hub, &bus, &b.id, &image).await?;
        assert_eq!(kinds(&heard), ["AMI Shared", "AMI Public"]);
        assert!(heard[1]["detail"]["reason"].as_str().unwrap_or_default().starts_with(&snapshot));
        assert_eq!(publications(scene, &image)?, 1);
        Ok(())
    })
}

#[test]
fn where_the_stack_says_so_what_somebody_makes_public_is_private_again_and_reported() -> Result<()> {
    flow_on_guard(async |scene| {
        let (b, c) = (scene.member("b").await?, scene.member("c").await?);
        let bus = on_the_bus(scene).await?;
        let image = &shared(scene, "made-private", &b.id).await?;
        let snapshot = scene.hub.snapshots_of(image).await?.remove(0);
        scene.hub.make_public(image).await?;
        let only_b = [b.id.clone()];
        let private = async || Ok((scene.hub.launch_permissions(image).await? == only_b).then_some(()));
        scene.hub.until("the image is private again", private).await?;
        scene.hub.settled(image).await?;
        scene.hub.make_snapshot_public(&snapshot).await?;
        scene.hub.look(image).await?;
        assert_eq!(scene.hub.snapshot_permissions(&snapshot).await?, only_b);
        assert!(b.sees(image).await? && !c.sees(image).await?);
        scene.hub.status(image, |status| status == "shared with 1 account").await?;

        let heard = heard_by_now(scene, &scene.hub, &bus, &b.id, image).await?;
        assert_eq!(kinds(&heard), ["AMI Shared", "AMI Public", "AMI Public"]);
        for (notice, resource) in heard[1..].iter().zip([image, &snapshot]) {
            let reason = format!("{resource} had been made public, and is private again");
            assert_eq!(notice["detail"]["reason"], reason);
        }
        assert_eq!(heard[1]["detail"]["changed_by"], ROOT);
        assert_eq!(publications(scene, image)?, 2);
        let history = scene.hub.ledger(&format!("AUDIT#{image}")).await?;
        let private: Vec<&str> = history
            .values()
            .filter(|row| row["deed"] == "made-private")
            .map(|row| row["resource"].as_str())
            .collect();
        assert_eq!(private, [image.as_str(), &snapshot]);
        Ok(())
    })
}

#[test]
fn access_that_somebody_else_gives_is_reported_once_and_left() -> Result<()> {
    flow(async |scene| {
        let (b, c) = (scene.member("b").await?, scene.member("c").await?);
        let bus = on_the_bus(scene).await?;
        let image = &shared(scene, "unmanaged", &b.id).await?;
        let snapshot = scene.hub.snapshots_of(image).await?.remove(0);
        scene.hub.permit_snapshot_by_hand(&snapshot, &c.id).await?;
        scene.hub.permit_by_hand(image, &c.id).await?;
        let reported = async || {
            let told = scene.hub.ledger(&format!("IMAGE#{image}")).await?.remove("TOLD").unwrap_or_default();
            Ok(told
                .get("unmanaged")
                .is_some_and(|grants| grants.contains(&snapshot) && grants.contains(image))
                .then_some(()))
        };
        scene.hub.until("it is written down as reported", reported).await?;
        scene.hub.settled(image).await?;
        for _ in 0..2 {
            assert_eq!(scene.hub.look(image).await?.0, "SUCCEEDED");
        }
        assert!(c.sees(image).await?);
        let mut both = [b.id.clone(), c.id.clone()];
        both.sort();
        assert_eq!(scene.hub.snapshot_permissions(&snapshot).await?, both);

        let heard = heard_by_now(scene, &scene.hub, &bus, &b.id, image).await?;
        assert_eq!(kinds(&heard), ["AMI Shared", "AMI Access Unmanaged", "AMI Access Unmanaged"]);
        let mut reasons: Vec<&str> =
            heard[1..].iter().filter_map(|notice| notice["detail"]["reason"].as_str()).collect();
        reasons.sort_unstable();
        let reason = |resource: &str| {
            format!("{resource} is open to {}, which ami-share did not do and leaves as it is", c.id)
        };
        assert_eq!(reasons, [reason(image), reason(&snapshot)]);
        assert!(heard[1..].iter().all(|notice| notice["detail"]["target"] == c.id.as_str()));
        assert_eq!(publications(scene, image)?, 0);
        Ok(())
    })
}

/// An image that is shared and may be copied, which nobody looks at any more.
async fn shared(scene: &Scene, what: &str, words: &str) -> Result<String> {
    // EC2 makes no encrypted snapshot public.
    let image = scene.image(what).await?;
    scene.hub.tag(&image, &[("ami-share:with", words), ("ami-share:copy", "allowed")]).await?;
    scene.hub.status(&image, |_| true).await?;
    scene.looks_end(&image, 1).await?;
    Ok(image)
}

/// How often the metric `MadePublic` counted for an image.
fn publications(scene: &Scene, image: &str) -> Result<u64> {
    let lines = scene.log_lines("notify-targets", image)?;
    Ok(lines.iter().filter_map(|line| line.get("MadePublic")?.as_u64()).sum())
}

//! Shares that leave the organization: only where the stack's parameters say so, and only until a date.

use ami_share_tests::launch::{Launch, launch};
use anyhow::Result;

use crate::notices::{heard_by_now, kinds, on_the_bus};
use crate::policy::{for_accounts, for_organization, ours};
use crate::scene::{flow, flow_on_guard};

/// An account outside the organization that the stack's parameters allow.
const PARTNER: &str = "333333333333";
/// Another one, which does not exist.
const NOBODY: &str = "777777777777";
/// An organization that the stack's parameters allow.
const OTHERS: &str = "o-a1b2c3d4e5";
const UNTIL: (&str, &str) = ("ami-share:until", "2099-12-31");

#[test]
fn an_allowed_outsider_needs_an_end_and_has_access_with_one() -> Result<()> {
    flow(async |scene| {
        let partner = scene.hub.assume(PARTNER).await?;
        let golden = scene.golden("outsider").await?;
        assert_eq!(
            scene.share(&golden.image, PARTNER).await?,
            "refused: 333333333333 is outside this organization, so the share must end; add the tag ami-share:until"
        );
        assert!(!partner.sees(&golden.image).await?);
        scene.hub.tag(&golden.image, &[UNTIL]).await?;
        let status = scene.hub.status(&golden.image, |status| status.starts_with("shared")).await?;
        assert_eq!(status, "shared with 1 account until 2099-12-31 23:59 UTC");
        assert!(matches!(launch(&partner, &golden.image).await?, Launch::Started(_)));
        let rows = scene.hub.ledger(&format!("IMAGE#{}", golden.image)).await?;
        assert_eq!(rows[&format!("SHARE#{PARTNER}")]["until"], "2099-12-31T23:59:59Z");
        Ok(())
    })
}

#[test]
fn an_outsider_that_the_parameters_do_not_name_is_refused_even_with_an_end() -> Result<()> {
    flow(async |scene| {
        let stranger = scene.hub.assume("444455556666").await?;
        let image = scene.image("stranger").await?;
        scene.hub.tag(&image, &[("ami-share:with", "444455556666 o-zzzzzzzzzz"), UNTIL]).await?;
        let status = scene.hub.status(&image, |_| true).await?;
        assert!(status.contains("444455556666 is not in this organization and not allowed"), "{status}");
        assert!(status.contains("o-zzzzzzzzzz is not this organization and not allowed"), "{status}");
        assert!(!stranger.sees(&image).await?);
        assert!(scene.hub.launch_permissions(&image).await?.is_empty());
        Ok(())
    })
}

#[test]
fn an_allowed_organization_is_opened_by_its_arn_and_admitted_by_condition() -> Result<()> {
    flow(async |scene| {
        let golden = scene.golden("other-organization").await?;
        scene.hub.tag(&golden.image, &[("ami-share:with", OTHERS), UNTIL]).await?;
        let status = scene.hub.status(&golden.image, |_| true).await?;
        assert_eq!(status, "shared with 1 organization until 2099-12-31 23:59 UTC");
        let arn = format!("arn:aws:organizations::444455556666:organization/{OTHERS}");
        assert_eq!(scene.hub.launch_permissions(&golden.image).await?, [arn]);
        let policy = scene.hub.key_policy(&golden.key).await?;
        assert_eq!(ours(&policy)?, for_organization(OTHERS));
        Ok(())
    })
}

#[test]
fn a_principal_that_kms_rejects_is_named_and_the_rest_have_access() -> Result<()> {
    flow(async |scene| {
        scene.hub.assume(PARTNER).await?;
        let (b, c) = (scene.member("b").await?, scene.member("c").await?);
        let golden = scene.golden("rejected").await?;
        let words = format!("{NOBODY} {} {PARTNER} {}", b.id, c.id);
        scene.hub.tag(&golden.image, &[("ami-share:with", &words), UNTIL]).await?;
        let status = scene.hub.status(&golden.image, |_| true).await?;
        assert!(
            status.starts_with("shared with 3 accounts until 2099-12-31 23:59 UTC; refused: KMS does not take 777777777777 in the policy of"),
            "{status}"
        );
        let policy = scene.hub.key_policy(&golden.key).await?;
        assert_eq!(ours(&policy)?, for_accounts(&[PARTNER, &b.id, &c.id]));
        assert!(!scene.hub.launch_permissions(&golden.image).await?.contains(&NOBODY.to_owned()));
        let rows = scene.hub.ledger(&format!("IMAGE#{}", golden.image)).await?;
        assert_eq!(rows[&format!("SHARE#{NOBODY}")]["code"], "rejected-by-aws");

        // Nor does it hold up the next image on that key.
        let second = scene.image_on("after-rejected", &golden.key).await?;
        let d = scene.member("d").await?;
        assert_eq!(scene.share(&second, &d.id).await?, "shared with 1 account");
        Ok(())
    })
}

#[test]
fn an_account_that_ec2_rejects_is_named_and_the_rest_have_access() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let bus = on_the_bus(scene).await?;
        let image = scene.image("rejected").await?;
        let words = format!("{} {NOBODY}", b.id);
        let tags = [("ami-share:with", words.as_str()), ("ami-share:copy", "allowed"), UNTIL];
        scene.hub.tag(&image, &tags).await?;
        let status = scene.hub.status(&image, |_| true).await?;
        assert!(
            status.starts_with(
                "shared with 1 account until 2099-12-31 23:59 UTC; refused: EC2 does not take 777777777777"
            ),
            "{status}"
        );
        assert_eq!(scene.hub.launch_permissions(&image).await?, [b.id.as_str()]);
        let snapshot = &scene.hub.snapshots_of(&image).await?[0];
        assert_eq!(scene.hub.snapshot_permissions(snapshot).await?, [b.id.as_str()]);

        // It has no access that could be lost: nobody hears at the next look that it was given again.
        scene.hub.settled(&image).await?;
        let rows = scene.hub.ledger(&format!("IMAGE#{image}")).await?;
        assert_eq!(rows[&format!("SNAPSHOT#{snapshot}")]["accounts"], b.id);
        scene.hub.look(&image).await?;
        let told = heard_by_now(scene, &scene.hub, &bus, &b.id, &image).await?;
        let mut told = kinds(&told);
        told.sort_unstable();
        assert_eq!(told, ["AMI Share Refused", "AMI Shared"]);
        Ok(())
    })
}

#[test]
fn an_account_made_or_closed_a_moment_ago_is_known_though_the_organization_is_kept() -> Result<()> {
    flow_on_guard(async |scene| {
        let closed = scene.member("closed").await?;
        assert_eq!(scene.share(&scene.image("keep").await?, &closed.id).await?, "shared with 1 account");
        scene.hub.close_account(&closed.id).await?;
        let new = scene.member("new").await?;
        let golden = scene.golden("after-closing").await?;
        let status = scene.share(&golden.image, &format!("{} {}", closed.id, new.id)).await?;
        assert!(status.starts_with("shared with 1 account; refused: "), "{status}");
        assert!(status.contains(&closed.id) && status.contains("closed"), "{status}");
        let policy = scene.hub.key_policy(&golden.key).await?;
        assert_eq!(ours(&policy)?, for_accounts(&[&new.id]));
        Ok(())
    })
}

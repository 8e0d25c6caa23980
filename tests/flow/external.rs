//! External targets get access only if the stack's parameters allow them, and only until a date.

use ami_share_tests::launch::{Launch, launch};
use anyhow::Result;

use crate::fixture::{flow, flow_within_limits};
use crate::notifications::{kinds, on_the_bus, received_by_now};
use crate::policy::{for_accounts, for_organization, managed};

/// An external account that the stack's parameters allow.
const PARTNER: &str = "333333333333";
/// An external account that the stack's parameters allow and that does not exist.
const MISSING: &str = "777777777777";
/// An external organization that the stack's parameters allow.
const OTHER_ORGANIZATION: &str = "o-a1b2c3d4e5";
const UNTIL: (&str, &str) = ("ami-share:until", "2099-12-31");

#[test]
fn an_allowed_outsider_needs_an_end_and_has_access_with_one() -> Result<()> {
    flow(async |fixture| {
        let partner = fixture.hub.assume(PARTNER).await?;
        let golden = fixture.golden("external").await?;
        assert_eq!(
            fixture.share(&golden.image, PARTNER).await?,
            "refused: 333333333333: outside this organization, so the share needs an end; add the tag ami-share:until"
        );
        assert!(!partner.sees(&golden.image).await?);
        fixture.hub.tag(&golden.image, &[UNTIL]).await?;
        let status = fixture.hub.status(&golden.image, |status| status.starts_with("shared")).await?;
        assert_eq!(status, "shared with 1 account until 2099-12-31 23:59 UTC");
        assert!(matches!(launch(&partner, &golden.image).await?, Launch::Started(_)));
        let rows = fixture.hub.ledger(&format!("IMAGE#{}", golden.image)).await?;
        assert_eq!(rows[&format!("SHARE#{PARTNER}")]["until"], "2099-12-31T23:59:59Z");
        Ok(())
    })
}

#[test]
fn an_outsider_that_the_parameters_do_not_name_is_refused_even_with_an_end() -> Result<()> {
    flow(async |fixture| {
        let external = fixture.hub.assume("444455556666").await?;
        let image = fixture.image("external").await?;
        fixture.hub.tag(&image, &[("ami-share:with", "444455556666 o-zzzzzzzzzz"), UNTIL]).await?;
        let status = fixture.hub.status(&image, |_| true).await?;
        assert!(status.contains("444455556666: not in this organization and not allowed"), "{status}");
        assert!(status.contains("o-zzzzzzzzzz: not this organization and not allowed"), "{status}");
        assert!(!external.sees(&image).await?);
        assert!(fixture.hub.launch_permissions(&image).await?.is_empty());
        Ok(())
    })
}

#[test]
fn an_allowed_organization_is_granted_by_arn_on_the_image_and_by_condition_on_the_key() -> Result<()> {
    flow(async |fixture| {
        let golden = fixture.golden("other-organization").await?;
        fixture.hub.tag(&golden.image, &[("ami-share:with", OTHER_ORGANIZATION), UNTIL]).await?;
        let status = fixture.hub.status(&golden.image, |_| true).await?;
        assert_eq!(status, "shared with 1 organization until 2099-12-31 23:59 UTC");
        let arn = format!("arn:aws:organizations::444455556666:organization/{OTHER_ORGANIZATION}");
        assert_eq!(fixture.hub.launch_permissions(&golden.image).await?, [arn]);
        let policy = fixture.hub.key_policy(&golden.key).await?;
        assert_eq!(managed(&policy)?, for_organization(OTHER_ORGANIZATION));
        Ok(())
    })
}

#[test]
fn a_principal_that_kms_rejects_is_named_and_the_rest_have_access() -> Result<()> {
    flow(async |fixture| {
        fixture.hub.assume(PARTNER).await?;
        let (b, c) = (fixture.target_account("b").await?, fixture.target_account("c").await?);
        let golden = fixture.golden("rejected").await?;
        let selectors = format!("{MISSING} {} {PARTNER} {}", b.id, c.id);
        fixture.hub.tag(&golden.image, &[("ami-share:with", &selectors), UNTIL]).await?;
        let status = fixture.hub.status(&golden.image, |_| true).await?;
        assert!(
            status.starts_with("shared with 3 accounts until 2099-12-31 23:59 UTC; refused: 777777777777: KMS rejects this principal in the policy of"),
            "{status}"
        );
        let policy = fixture.hub.key_policy(&golden.key).await?;
        assert_eq!(managed(&policy)?, for_accounts(&[PARTNER, &b.id, &c.id]));
        assert!(!fixture.hub.launch_permissions(&golden.image).await?.contains(&MISSING.to_owned()));
        let rows = fixture.hub.ledger(&format!("IMAGE#{}", golden.image)).await?;
        assert_eq!(rows[&format!("SHARE#{MISSING}")]["code"], "rejected-by-aws");

        // The rejected principal does not block the next image on that key either.
        let second = fixture.image_on("after-rejected", &golden.key).await?;
        let d = fixture.target_account("d").await?;
        assert_eq!(fixture.share(&second, &d.id).await?, "shared with 1 account");
        Ok(())
    })
}

#[test]
fn an_account_that_ec2_rejects_is_named_and_the_rest_have_access() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let bus = on_the_bus(fixture).await?;
        let image = fixture.image("rejected").await?;
        let selectors = format!("{} {MISSING}", b.id);
        let tags = [("ami-share:with", selectors.as_str()), ("ami-share:copy", "allowed"), UNTIL];
        fixture.hub.tag(&image, &tags).await?;
        let status = fixture.hub.status(&image, |_| true).await?;
        assert!(
            status.starts_with(
                "shared with 1 account until 2099-12-31 23:59 UTC; refused: 777777777777: EC2 rejects this target"
            ),
            "{status}"
        );
        assert_eq!(fixture.hub.launch_permissions(&image).await?, [b.id.as_str()]);
        let snapshot = &fixture.hub.snapshots_of(&image).await?[0];
        assert_eq!(fixture.hub.snapshot_permissions(snapshot).await?, [b.id.as_str()]);

        // The rejected account has no access to lose, so the next reconciliation reports nothing as restored.
        fixture.hub.settled(&image).await?;
        let rows = fixture.hub.ledger(&format!("IMAGE#{image}")).await?;
        assert_eq!(rows[&format!("SNAPSHOT#{snapshot}")]["accounts"], b.id);
        fixture.hub.reconcile(&image).await?;
        let notified = received_by_now(fixture, &fixture.hub, &bus, &b.id, &image).await?;
        let mut notified = kinds(&notified);
        notified.sort_unstable();
        assert_eq!(notified, ["AMI Share Refused", "AMI Shared"]);
        Ok(())
    })
}

#[test]
fn an_account_just_created_or_closed_is_known_although_the_organization_is_cached() -> Result<()> {
    flow_within_limits(async |fixture| {
        let closed = fixture.target_account("closed").await?;
        assert_eq!(fixture.share(&fixture.image("keep").await?, &closed.id).await?, "shared with 1 account");
        fixture.hub.close_account(&closed.id).await?;
        let new = fixture.target_account("new").await?;
        let golden = fixture.golden("after-closing").await?;
        let status = fixture.share(&golden.image, &format!("{} {}", closed.id, new.id)).await?;
        assert!(status.starts_with("shared with 1 account; refused: "), "{status}");
        assert!(status.contains(&closed.id) && status.contains("closed"), "{status}");
        let policy = fixture.hub.key_policy(&golden.key).await?;
        assert_eq!(managed(&policy)?, for_accounts(&[&new.id]));
        Ok(())
    })
}

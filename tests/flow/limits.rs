//! A refusal names its subject and the next step, and the other targets get access.

use anyhow::Result;
use futures::future::try_join_all;

use crate::cloudtrail::{calls, watch};
use crate::fixture::flow;

#[test]
fn a_refused_selector_is_named_and_the_others_go_ahead() -> Result<()> {
    flow(async |fixture| {
        let refusals = [
            (
                "999999999999",
                "999999999999: not in this organization and not allowed; add it to AllowedExternalAccounts (parameter of the stack), or remove it from the tag",
            ),
            (
                "all",
                "all: would make the image public, which ami-share never does; name accounts, OUs or `org` instead",
            ),
            (
                "*",
                "*: would make the image public, which ami-share never does; name accounts, OUs or `org` instead",
            ),
            (
                "22222",
                "22222: not a selector; write an account id (12 digits), an OU (ou-…), a root (r-…), org, an organization (o-…) or tag:Key=Value",
            ),
            ("ou-abcd-abcdefgh", "ou-abcd-abcdefgh: this organization has no such OU; name one that it has"),
            ("r-zzzz", "r-zzzz: this organization has no such root; name its own, or `org`"),
            (
                "tag:=x",
                "tag:=x: not a selector; write an account id (12 digits), an OU (ou-…), a root (r-…), org, an organization (o-…) or tag:Key=Value",
            ),
        ];
        try_join_all(refusals.map(async |(selector, reason)| {
            let b = fixture.target_account("b").await?;
            let golden = fixture.golden("refused-selector").await?;
            let status = fixture.share(&golden.image, &format!("{selector} {}", b.id)).await?;
            assert_eq!(status, format!("shared with 1 account; refused: {reason}"));
            assert_eq!(fixture.hub.launch_permissions(&golden.image).await?, [b.id.as_str()]);
            let rows = fixture.hub.ledger(&format!("IMAGE#{}", golden.image)).await?;
            assert_eq!(rows[&format!("SHARE#{selector}")]["outcome"], "refused");
            assert_eq!(rows[&format!("SHARE#{}", b.id)]["outcome"], "shared");
            anyhow::Ok(())
        }))
        .await?;
        Ok(())
    })
}

#[test]
fn a_refusal_fails_the_execution_so_that_it_is_found() -> Result<()> {
    flow(async |fixture| {
        let image = fixture.image("failing").await?;
        fixture.share(&image, "999999999999").await?;
        let (status, cause) = fixture.hub.reconcile(&image).await?;
        assert_eq!(status, "FAILED");
        assert!(cause.contains("999999999999: not in this organization"), "{cause}");
        Ok(())
    })
}

#[test]
fn a_closed_account_is_refused_by_name() -> Result<()> {
    flow(async |fixture| {
        let (b, closed) = (fixture.target_account("b").await?, fixture.target_account("closed").await?);
        fixture.hub.close_account(&closed.id).await?;
        let golden = fixture.golden("closed").await?;
        let status = fixture.share(&golden.image, &format!("{} {}", closed.id, b.id)).await?;
        assert_eq!(
            status,
            format!(
                "shared with 1 account; refused: {}: the account is closed or suspended; remove it from the tag",
                closed.id
            )
        );
        assert_eq!(fixture.hub.launch_permissions(&golden.image).await?, [b.id.as_str()]);
        assert!(!fixture.hub.key_policy(&golden.key).await?.contains(&closed.id));
        Ok(())
    })
}

#[test]
fn an_image_on_the_aws_managed_key_is_refused_with_the_remedy() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let image = fixture.image_on("managed", "alias/aws/ebs").await?;
        let queue = watch(fixture, &image, "none").await?;
        assert_eq!(
            fixture.share(&image, &b.id).await?,
            format!(
                "refused: {}: the image is encrypted with the AWS managed key aws/ebs, which cannot be shared; copy the image with a customer managed key and tag the copy",
                b.id
            )
        );
        assert_eq!(calls(fixture, &queue).await?, [""; 0]);
        Ok(())
    })
}

#[test]
fn an_image_on_a_disabled_key_or_one_pending_deletion_is_refused_with_the_remedy() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        for is_pending_deletion in [false, true] {
            let golden = fixture.golden("unusable").await?;
            if is_pending_deletion {
                fixture.hub.kms.schedule_key_deletion().key_id(&golden.key).send().await?;
            } else {
                fixture.hub.kms.disable_key().key_id(&golden.key).send().await?;
            }
            let status = fixture.share(&golden.image, &b.id).await?;
            assert!(status.starts_with("refused: "), "{status}");
            assert!(
                status.ends_with(
                    "is disabled or pending deletion; enable it, then start a reconciliation, or copy the image with another key"
                ),
                "{status}"
            );
            assert!(!b.sees(&golden.image).await?);
        }
        Ok(())
    })
}

#[test]
fn an_unreadable_or_past_end_shares_nothing() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let ends = [
            (
                "soon",
                "refused: `soon` in ami-share:until is not a date (2026-12-31) and not an RFC 3339 time (2026-12-31T18:00:00Z), so nothing new is shared; correct it",
            ),
            (
                "2020-01-01",
                "refused: ami-share:until is 2020-01-01T23:59:59Z, which is in the past; set a later date to share again",
            ),
        ];
        for (until, expected) in ends {
            let image = fixture.image("until").await?;
            fixture.hub.tag(&image, &[("ami-share:with", &b.id), ("ami-share:until", until)]).await?;
            assert_eq!(fixture.hub.status(&image, |_| true).await?, expected);
            assert!(fixture.hub.launch_permissions(&image).await?.is_empty());
        }
        Ok(())
    })
}

#[test]
fn invalid_ami_share_tags_are_reported() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let tags = [
            (
                "ami-share:copy",
                "yes",
                "`yes` is not a value of ami-share:copy; write `allowed` or remove the tag",
            ),
            (
                "ami-share:withh",
                "org",
                "ami-share:withh: not a tag of ami-share; use ami-share:with, with:2 to with:9, until or copy, or remove the tag",
            ),
        ];
        for (tag, value, reason) in tags {
            let image = fixture.image("misspelt").await?;
            fixture.hub.tag(&image, &[("ami-share:with", &b.id), (tag, value)]).await?;
            let status = fixture.hub.status(&image, |_| true).await?;
            assert_eq!(status, format!("shared with 1 account; refused: {reason}"));
            assert_eq!(fixture.hub.launch_permissions(&image).await?, [b.id.as_str()]);
        }
        Ok(())
    })
}

#[test]
fn an_image_of_another_account_is_refused_with_the_remedy() -> Result<()> {
    flow(async |fixture| {
        let (b, c) = (fixture.target_account("b").await?, fixture.target_account("c").await?);
        let image = b.image(&fixture.name("foreign"), &[]).await?;
        b.grant_out_of_band(&image, &fixture.hub.id).await?;
        let status = fixture.share(&image, &c.id).await?;
        let owner = &b.id;
        let reason = format!(
            "{}: the image belongs to account {owner}, and only its owner can share it; copy the image and tag the copy",
            c.id
        );
        assert_eq!(status, format!("refused: {reason}"));
        Ok(())
    })
}

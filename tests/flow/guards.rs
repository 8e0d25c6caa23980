//! Whom and what ami-share refuses: by name, with the remedy, and without stopping the others.

use anyhow::Result;
use futures::future::try_join_all;

use crate::outcomes::{calls, watch};
use crate::scene::flow;

#[test]
fn a_refused_word_is_named_and_the_others_go_ahead() -> Result<()> {
    flow(async |scene| {
        let refusals = [
            (
                "999999999999",
                "999999999999 is not in this organization and not allowed; add it to AllowedExternalAccounts or remove it",
            ),
            ("all", "`all` would make the image public, which is never done; name accounts, OUs or `org`"),
            ("*", "`*` would make the image public, which is never done; name accounts, OUs or `org`"),
            (
                "22222",
                "`22222` is no account id (12 digits), OU (ou-…), root (r-…), org, organization (o-…) or tag:Key=Value",
            ),
            ("ou-abcd-abcdefgh", "ou-abcd-abcdefgh is no OU of this organization; name one of its own"),
            ("r-zzzz", "r-zzzz is no root of this organization; name one of its own"),
            (
                "tag:=x",
                "`tag:=x` is no account id (12 digits), OU (ou-…), root (r-…), org, organization (o-…) or tag:Key=Value",
            ),
        ];
        try_join_all(refusals.map(async |(word, reason)| {
            let b = scene.member("b").await?;
            let golden = scene.golden("refusing").await?;
            let status = scene.share(&golden.image, &format!("{word} {}", b.id)).await?;
            assert_eq!(status, format!("shared with 1 account; refused: {reason}"));
            assert_eq!(scene.hub.launch_permissions(&golden.image).await?, [b.id.as_str()]);
            let rows = scene.hub.ledger(&format!("IMAGE#{}", golden.image)).await?;
            assert_eq!(rows[&format!("SHARE#{word}")]["outcome"], "refused");
            assert_eq!(rows[&format!("SHARE#{}", b.id)]["outcome"], "shared");
            anyhow::Ok(())
        }))
        .await?;
        Ok(())
    })
}

#[test]
fn a_refusal_fails_the_execution_so_that_it_is_found() -> Result<()> {
    flow(async |scene| {
        let image = scene.image("failing").await?;
        scene.share(&image, "999999999999").await?;
        let (status, cause) = scene.hub.look(&image).await?;
        assert_eq!(status, "FAILED");
        assert!(cause.contains("999999999999 is not in this organization"), "{cause}");
        Ok(())
    })
}

#[test]
fn a_closed_account_is_refused_by_name() -> Result<()> {
    flow(async |scene| {
        let (b, closed) = (scene.member("b").await?, scene.member("closed").await?);
        scene.hub.close_account(&closed.id).await?;
        let golden = scene.golden("closed").await?;
        let status = scene.share(&golden.image, &format!("{} {}", closed.id, b.id)).await?;
        assert_eq!(
            status,
            format!(
                "shared with 1 account; refused: account {} is closed or suspended; remove it from the tag",
                closed.id
            )
        );
        assert_eq!(scene.hub.launch_permissions(&golden.image).await?, [b.id.as_str()]);
        assert!(!scene.hub.key_policy(&golden.key).await?.contains(&closed.id));
        Ok(())
    })
}

#[test]
fn an_image_on_the_aws_managed_key_is_refused_with_the_remedy() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let image = scene.image_on("managed", "alias/aws/ebs").await?;
        let queue = watch(scene, &image, "none").await?;
        assert_eq!(
            scene.share(&image, &b.id).await?,
            "refused: the image is encrypted with the AWS managed key aws/ebs, which cannot be shared; copy the image with a key of your own and tag the copy"
        );
        assert_eq!(calls(scene, &queue).await?, [""; 0]);
        Ok(())
    })
}

#[test]
fn an_image_on_a_disabled_or_dying_key_is_refused_with_the_remedy() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        for dying in [false, true] {
            let golden = scene.golden("unusable").await?;
            if dying {
                scene.hub.kms.schedule_key_deletion().key_id(&golden.key).send().await?;
            } else {
                scene.hub.kms.disable_key().key_id(&golden.key).send().await?;
            }
            let status = scene.share(&golden.image, &b.id).await?;
            assert!(status.starts_with("refused: "), "{status}");
            assert!(
                status.ends_with(
                    "is disabled or about to be deleted; enable it, or copy the image with another key"
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
    flow(async |scene| {
        let b = scene.member("b").await?;
        let ends = [
            (
                "soon",
                "refused: `soon` in ami-share:until is no date (2026-12-31) and no RFC 3339 time (2026-12-31T18:00:00Z); nothing new is shared until it is",
            ),
            (
                "2020-01-01",
                "refused: ami-share:until was 2020-01-01T23:59:59Z, which is in the past; set a later date to share again",
            ),
        ];
        for (until, expected) in ends {
            let image = scene.image("until").await?;
            scene.hub.tag(&image, &[("ami-share:with", &b.id), ("ami-share:until", until)]).await?;
            assert_eq!(scene.hub.status(&image, |_| true).await?, expected);
            assert!(scene.hub.launch_permissions(&image).await?.is_empty());
        }
        Ok(())
    })
}

#[test]
fn tags_that_nobody_can_mean_are_reported() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let tags = [
            (
                "ami-share:copy",
                "yes",
                "`yes` in ami-share:copy is not understood; write `allowed` or remove the tag",
            ),
            (
                "ami-share:withh",
                "org",
                "`ami-share:withh` is no tag of ami-share; there are with, with:2 to with:9, until, copy and regions",
            ),
        ];
        for (tag, value, reason) in tags {
            let image = scene.image("misspelt").await?;
            scene.hub.tag(&image, &[("ami-share:with", &b.id), (tag, value)]).await?;
            let status = scene.hub.status(&image, |_| true).await?;
            assert_eq!(status, format!("shared with 1 account; refused: {reason}"));
            assert_eq!(scene.hub.launch_permissions(&image).await?, [b.id.as_str()]);
        }
        Ok(())
    })
}

#[test]
fn an_image_of_another_account_is_refused_with_the_remedy() -> Result<()> {
    flow(async |scene| {
        let (b, c) = (scene.member("b").await?, scene.member("c").await?);
        let image = b.image(&scene.name("theirs"), &[]).await?;
        b.permit_by_hand(&image, &scene.hub.id).await?;
        let status = scene.share(&image, &c.id).await?;
        let owner = &b.id;
        let reason = format!(
            "the image belongs to account {owner}, and only its owner can share it; copy it and tag the copy"
        );
        assert_eq!(status, format!("refused: {reason}"));
        Ok(())
    })
}

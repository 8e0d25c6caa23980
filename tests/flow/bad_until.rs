//! An `ami-share:until` that cannot be read: nothing new is shared, and nothing becomes open-ended.

use anyhow::Result;

use crate::clock::{DAY, comes, far_enough, in_status, now, written};
use crate::expiry::share_until;
use crate::scene::flow;
use crate::withdrawal::{assert_has_all, assert_has_nothing, shared_with_copy};

const REFUSED: &str = "refused: `soon` in ami-share:until is no date (2026-12-31) and no RFC 3339 time (2026-12-31T18:00:00Z); nothing new is shared until it is";

#[test]
fn where_nothing_stands_nothing_is_shared_until_the_date_can_be_read() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let golden = scene.golden("unread").await?;
        let tags =
            [("ami-share:with", b.id.as_str()), ("ami-share:copy", "allowed"), ("ami-share:until", "soon")];
        scene.hub.tag(&golden.image, &tags).await?;
        assert_eq!(scene.hub.status(&golden.image, |_| true).await?, REFUSED);
        assert_has_nothing(scene, &b, &golden).await?;
        let (state, cause) = scene.hub.look(&golden.image).await?;
        assert_eq!((state.as_str(), cause.as_str()), ("FAILED", REFUSED));

        let end = now()? + 30 * DAY;
        scene.hub.tag(&golden.image, &[("ami-share:until", &written(end)?)]).await?;
        let expected = format!("shared with 1 account until {}", in_status(end)?);
        scene.hub.status(&golden.image, |status| status == expected).await?;
        assert_has_all(scene, &b, &golden).await?;
        Ok(())
    })
}

#[test]
fn what_stands_is_kept_what_is_new_waits_and_what_is_taken_out_goes() -> Result<()> {
    flow(async |scene| {
        let (b, c, d) = (scene.member("b").await?, scene.member("c").await?, scene.member("d").await?);
        let golden = shared_with_copy(scene, "standing", &format!("{} {}", b.id, c.id)).await?;
        let words = format!("{} {}", b.id, d.id);
        scene.hub.tag(&golden.image, &[("ami-share:with", &words), ("ami-share:until", "soon")]).await?;
        let expected = format!("kept as it is: {}; {REFUSED}", b.id);
        scene.hub.status(&golden.image, |status| status == expected).await?;
        assert_has_all(scene, &b, &golden).await?;
        assert_has_nothing(scene, &c, &golden).await?;
        assert_has_nothing(scene, &d, &golden).await?;

        let end = now()? + 30 * DAY;
        scene.hub.tag(&golden.image, &[("ami-share:until", &written(end)?)]).await?;
        let expected = format!("shared with 2 accounts until {}", in_status(end)?);
        scene.hub.status(&golden.image, |status| status == expected).await?;
        for account in [&b, &d] {
            assert_has_all(scene, account, &golden).await?;
        }
        Ok(())
    })
}

#[test]
fn the_end_that_could_be_read_last_still_holds() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let golden = scene.golden("still-ends").await?;
        let end = far_enough(scene).await? + now()?;
        share_until(scene, &golden, &b.id, end).await?;
        scene.hub.tag(&golden.image, &[("ami-share:until", "soon")]).await?;
        let expected = format!("kept as it is until {}: {}; {REFUSED}", in_status(end)?, b.id);
        scene.hub.status(&golden.image, |status| status == expected).await?;
        assert_has_all(scene, &b, &golden).await?;

        comes(end).await?;
        let expected = format!(
            "not shared: ami-share:until was {}; set a later date to share again; {REFUSED}",
            written(end)?
        );
        let expected: String = expected.chars().take(255).collect();
        scene.hub.status(&golden.image, |status| status.starts_with(&expected)).await?;
        assert_has_nothing(scene, &b, &golden).await?;
        Ok(())
    })
}

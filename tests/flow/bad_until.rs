//! An unreadable `ami-share:until` shares nothing new, and no share loses its end because of it.

use anyhow::Result;

use crate::clock::{DAY, far_enough, in_status, now, sleep_until, written};
use crate::expiry::share_until;
use crate::fixture::flow;
use crate::revocation::{assert_has_all, assert_has_nothing, shared_with_copy};

const REFUSED: &str = "refused: `soon` in ami-share:until is not a date (2026-12-31) and not an RFC 3339 time (2026-12-31T18:00:00Z), so nothing new is shared; correct it";

#[test]
fn an_unshared_image_with_an_unreadable_date_is_shared_only_once_the_date_is_readable() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let golden = fixture.golden("unreadable-date").await?;
        let tags =
            [("ami-share:with", b.id.as_str()), ("ami-share:copy", "allowed"), ("ami-share:until", "soon")];
        fixture.hub.tag(&golden.image, &tags).await?;
        assert_eq!(fixture.hub.status(&golden.image, |_| true).await?, REFUSED);
        assert_has_nothing(fixture, &b, &golden).await?;
        let (state, cause) = fixture.hub.reconcile(&golden.image).await?;
        assert_eq!((state.as_str(), cause.as_str()), ("FAILED", REFUSED));

        let end = now()? + 30 * DAY;
        fixture.hub.tag(&golden.image, &[("ami-share:until", &written(end)?)]).await?;
        let expected = format!("shared with 1 account until {}", in_status(end)?);
        fixture.hub.status(&golden.image, |status| status == expected).await?;
        assert_has_all(fixture, &b, &golden).await?;
        Ok(())
    })
}

#[test]
fn an_unreadable_date_retains_access_grants_nothing_new_and_revokes_removed_targets() -> Result<()> {
    flow(async |fixture| {
        let (b, c, d) = (
            fixture.target_account("b").await?,
            fixture.target_account("c").await?,
            fixture.target_account("d").await?,
        );
        let golden = shared_with_copy(fixture, "retained", &format!("{} {}", b.id, c.id)).await?;
        let selectors = format!("{} {}", b.id, d.id);
        fixture
            .hub
            .tag(&golden.image, &[("ami-share:with", &selectors), ("ami-share:until", "soon")])
            .await?;
        let expected = format!("retained: {}; {REFUSED}", b.id);
        fixture.hub.status(&golden.image, |status| status == expected).await?;
        assert_has_all(fixture, &b, &golden).await?;
        assert_has_nothing(fixture, &c, &golden).await?;
        assert_has_nothing(fixture, &d, &golden).await?;

        let end = now()? + 30 * DAY;
        fixture.hub.tag(&golden.image, &[("ami-share:until", &written(end)?)]).await?;
        let expected = format!("shared with 2 accounts until {}", in_status(end)?);
        fixture.hub.status(&golden.image, |status| status == expected).await?;
        for account in [&b, &d] {
            assert_has_all(fixture, account, &golden).await?;
        }
        Ok(())
    })
}

#[test]
fn the_end_that_could_be_read_last_still_holds() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let golden = fixture.golden("still-ends").await?;
        let end = far_enough(fixture).await? + now()?;
        share_until(fixture, &golden, &b.id, end).await?;
        fixture.hub.tag(&golden.image, &[("ami-share:until", "soon")]).await?;
        let expected = format!("retained until {}: {}; {REFUSED}", in_status(end)?, b.id);
        fixture.hub.status(&golden.image, |status| status == expected).await?;
        assert_has_all(fixture, &b, &golden).await?;

        sleep_until(end).await?;
        let expected = format!(
            "not shared: ami-share:until was {}; set a later date to share again; {REFUSED}",
            written(end)?
        );
        let expected: String = expected.chars().take(255).collect();
        fixture.hub.status(&golden.image, |status| status.starts_with(&expected)).await?;
        assert_has_nothing(fixture, &b, &golden).await?;
        Ok(())
    })
}

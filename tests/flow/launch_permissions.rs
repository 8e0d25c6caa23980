//! ami-share sets launch permissions in as few calls as AWS allows, and leaves unmanaged ones as they are.

use anyhow::Result;

use crate::cloudtrail::{calls, watch};
use crate::fixture::flow;

#[test]
fn the_image_and_its_key_are_granted_in_one_call_each() -> Result<()> {
    flow(async |fixture| {
        let ou = fixture.ou("unit", &fixture.root).await?;
        let (b, c) = (fixture.target_account("b").await?, fixture.target_account("c").await?);
        let golden = fixture.golden("few-calls").await?;
        let queue = watch(fixture, &golden.image, &golden.key).await?;
        let status = fixture.share(&golden.image, &format!("{} {} {ou}", b.id, c.id)).await?;
        assert_eq!(status, "shared with 2 accounts, 1 OU");
        assert_eq!(calls(fixture, &queue).await?, ["PutKeyPolicy", "ModifyImageAttribute"]);

        // Nothing is left to grant: another reconciliation writes nothing.
        fixture.hub.reconcile(&golden.image).await?;
        fixture.hub.tag(&golden.image, &[("ami-share:until", "2099-12-31")]).await?;
        fixture.hub.status(&golden.image, |status| status.contains("until")).await?;
        assert_eq!(calls(fixture, &queue).await?, [""; 0]);
        Ok(())
    })
}

#[test]
fn unmanaged_permissions_stay_and_are_not_recorded_as_managed() -> Result<()> {
    flow(async |fixture| {
        let (b, out_of_band, both) = (
            fixture.target_account("b").await?,
            fixture.target_account("out-of-band").await?,
            fixture.target_account("both").await?,
        );
        let image = fixture.image("out-of-band").await?;
        for account in [&out_of_band, &both] {
            fixture.hub.grant_out_of_band(&image, &account.id).await?;
        }
        let status = fixture.share(&image, &format!("{} {}", b.id, both.id)).await?;
        assert_eq!(status, "shared with 2 accounts");
        let mut all = [b.id.clone(), out_of_band.id.clone(), both.id.clone()];
        all.sort();
        assert_eq!(fixture.hub.launch_permissions(&image).await?, all);
        let rows = fixture.hub.ledger(&format!("IMAGE#{image}")).await?;
        assert_eq!(rows[&format!("SHARE#{}", b.id)]["is_managed"], "true");
        assert_eq!(rows[&format!("SHARE#{}", both.id)]["is_managed"], "false");
        assert!(!rows.contains_key(&format!("SHARE#{}", out_of_band.id)));
        Ok(())
    })
}

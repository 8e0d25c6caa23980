//! How launch permissions are set: in as few calls as AWS allows, and beside those of other people.

use anyhow::Result;

use crate::outcomes::{calls, watch};
use crate::scene::flow;

#[test]
fn accounts_ous_and_keys_are_opened_in_one_call_each() -> Result<()> {
    flow(async |scene| {
        let ou = scene.ou("unit", &scene.root).await?;
        let (b, c) = (scene.member("b").await?, scene.member("c").await?);
        let golden = scene.golden("few-calls").await?;
        let queue = watch(scene, &golden.image, &golden.key).await?;
        let status = scene.share(&golden.image, &format!("{} {} {ou}", b.id, c.id)).await?;
        assert_eq!(status, "shared with 2 accounts, 1 OU");
        assert_eq!(calls(scene, &queue).await?, ["PutKeyPolicy", "ModifyImageAttribute"]);

        // Everything is there already: a repeat writes nothing.
        scene.hub.look(&golden.image).await?;
        scene.hub.tag(&golden.image, &[("ami-share:until", "2099-12-31")]).await?;
        scene.hub.status(&golden.image, |status| status.contains("until")).await?;
        assert_eq!(calls(scene, &queue).await?, [""; 0]);
        Ok(())
    })
}

#[test]
fn permissions_that_other_people_gave_stay_and_are_not_called_ours() -> Result<()> {
    flow(async |scene| {
        let (b, by_hand, both) =
            (scene.member("b").await?, scene.member("by-hand").await?, scene.member("both").await?);
        let image = scene.image("by-hand").await?;
        for account in [&by_hand, &both] {
            scene.hub.permit_by_hand(&image, &account.id).await?;
        }
        let status = scene.share(&image, &format!("{} {}", b.id, both.id)).await?;
        assert_eq!(status, "shared with 2 accounts");
        let mut all = [b.id.clone(), by_hand.id.clone(), both.id.clone()];
        all.sort();
        assert_eq!(scene.hub.launch_permissions(&image).await?, all);
        let rows = scene.hub.ledger(&format!("IMAGE#{image}")).await?;
        assert_eq!(rows[&format!("SHARE#{}", b.id)]["is_ours"], "true");
        assert_eq!(rows[&format!("SHARE#{}", both.id)]["is_ours"], "false");
        assert!(!rows.contains_key(&format!("SHARE#{}", by_hand.id)));
        Ok(())
    })
}

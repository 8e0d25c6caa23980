//! The status tag describes the last outcome for a person, in at most 256 characters.

use anyhow::Result;

use crate::fixture::flow;

#[test]
fn a_status_with_many_refused_selectors_is_cut_to_the_length_of_a_tag() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let image = fixture.image("long-status").await?;
        let externals: Vec<String> = (0..19).map(|n| format!("8888888888{n:02}")).collect();
        fixture
            .hub
            .tag(
                &image,
                &[("ami-share:with", &externals.join(" ")), ("ami-share:with:2", &format!("22222 {}", b.id))],
            )
            .await?;
        let status = fixture.hub.status(&image, |_| true).await?;
        assert!(status.chars().count() <= 256, "{}", status.chars().count());
        assert!(
            status.contains("888888888800, 888888888801, 888888888802 and 16 more: not in this organization")
                || status.starts_with("shared with 1 account; refused: 22222: "),
            "{status}"
        );
        assert!(status.ends_with('…'), "{status}");
        // What the tag has no room for is in the ledger.
        let rows = fixture.hub.ledger(&format!("IMAGE#{image}")).await?;
        assert!(externals.iter().all(|external| rows.contains_key(&format!("SHARE#{external}"))));
        Ok(())
    })
}

#[test]
fn a_selector_of_256_four_byte_characters_is_refused_and_blocks_no_other() -> Result<()> {
    flow(async |fixture| {
        let (b, c) = (fixture.target_account("b").await?, fixture.target_account("c").await?);
        let image = fixture.image("long-selector").await?;
        let long = "𐐷".repeat(256);
        fixture.hub.tag(&image, &[("ami-share:with", &long), ("ami-share:with:2", &b.id)]).await?;
        let status = fixture.hub.status(&image, |_| true).await?;
        assert!(status.starts_with("shared with 1 account; refused: 𐐷"), "{status}");
        let targets = async || -> Result<Vec<String>> {
            let rows = fixture.hub.ledger(&format!("IMAGE#{image}")).await?;
            Ok(rows.into_values().filter_map(|mut row| row.remove("target")).collect())
        };
        assert_eq!(targets().await?, [b.id.clone(), long]);
        fixture.hub.tag(&image, &[("ami-share:with", &c.id)]).await?;
        fixture.hub.status(&image, |status| status == "shared with 2 accounts").await?;
        let mut remaining = targets().await?;
        remaining.sort();
        let mut expected = [b.id.clone(), c.id.clone()];
        expected.sort();
        assert_eq!(remaining, expected, "a removed selector has no row any more");
        Ok(())
    })
}

#[test]
fn the_status_follows_the_tag_down_to_no_target_and_up_again() -> Result<()> {
    flow(async |fixture| {
        let (b, c) = (fixture.target_account("b").await?, fixture.target_account("c").await?);
        let image = fixture.image("followed").await?;
        let both = format!("{} {}", b.id, c.id);
        assert_eq!(fixture.share(&image, &both).await?, "shared with 2 accounts");
        fixture.share_until_status(&image, &b.id, "shared with 1 account").await?;
        fixture.share_until_status(&image, " ", "not shared: ami-share:with names no target").await?;
        fixture.hub.untag(&image, "ami-share:with").await?;
        let untagged = "not shared: the image has no ami-share: tags any more";
        fixture.hub.status(&image, |status| status == untagged).await?;
        fixture.share_until_status(&image, &both, "shared with 2 accounts").await?;
        Ok(())
    })
}

#[test]
fn the_next_reconciliation_rewrites_an_overwritten_status() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let image = fixture.image("overwritten").await?;
        fixture.share(&image, &b.id).await?;
        fixture.hub.tag(&image, &[("ami-share:status", "shared with the whole world")]).await?;
        fixture.hub.reconcile(&image).await?;
        fixture.hub.status(&image, |status| status == "shared with 1 account").await?;
        Ok(())
    })
}

#[test]
fn a_tag_without_a_selector_shares_with_no_target() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let image = fixture.image("empty").await?;
        fixture.hub.tag(&image, &[("ami-share:with", " , ")]).await?;
        fixture.hub.status(&image, |status| status == "not shared: ami-share:with names no target").await?;
        assert!(fixture.hub.launch_permissions(&image).await?.is_empty());
        fixture.share_until_status(&image, &b.id, "shared with 1 account").await?;
        assert_eq!(fixture.hub.launch_permissions(&image).await?, [b.id.as_str()]);
        Ok(())
    })
}

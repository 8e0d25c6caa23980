//! The status tag: the truth about the last outcome, in words for a person, within 256 characters.

use anyhow::Result;

use crate::scene::flow;

#[test]
fn many_refused_words_are_cut_to_what_a_tag_holds() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let image = scene.image("long-status").await?;
        let strangers: Vec<String> = (0..19).map(|n| format!("8888888888{n:02}")).collect();
        scene
            .hub
            .tag(&image, &[("ami-share:with", &strangers.join(" ")), ("ami-share:with:2", &b.id)])
            .await?;
        let status = scene.hub.status(&image, |_| true).await?;
        assert!(status.chars().count() <= 256, "{}", status.chars().count());
        assert!(
            status.starts_with("shared with 1 account; refused: 888888888800 is not in this organization"),
            "{status}"
        );
        assert!(status.ends_with('…'), "{status}");
        // What the tag has no room for is in the ledger.
        let rows = scene.hub.ledger(&format!("IMAGE#{image}")).await?;
        assert!(strangers.iter().all(|stranger| rows.contains_key(&format!("SHARE#{stranger}"))));
        Ok(())
    })
}

#[test]
fn a_word_as_long_as_a_tag_in_letters_of_four_bytes_is_refused_and_holds_up_nobody() -> Result<()> {
    flow(async |scene| {
        let (b, c) = (scene.member("b").await?, scene.member("c").await?);
        let image = scene.image("long-word").await?;
        let long = "𐐷".repeat(256);
        scene.hub.tag(&image, &[("ami-share:with", &long), ("ami-share:with:2", &b.id)]).await?;
        let status = scene.hub.status(&image, |_| true).await?;
        assert!(status.starts_with("shared with 1 account; refused: `𐐷"), "{status}");
        let words = async || -> Result<Vec<String>> {
            let rows = scene.hub.ledger(&format!("IMAGE#{image}")).await?;
            Ok(rows.into_values().filter_map(|mut row| row.remove("target")).collect())
        };
        assert_eq!(words().await?, [b.id.clone(), long]);
        scene.hub.tag(&image, &[("ami-share:with", &c.id)]).await?;
        scene.hub.status(&image, |status| status == "shared with 2 accounts").await?;
        let mut left = words().await?;
        left.sort();
        let mut members = [b.id.clone(), c.id.clone()];
        members.sort();
        assert_eq!(left, members, "a word that is gone has no row any more");
        Ok(())
    })
}

#[test]
fn it_follows_the_tag_down_to_nobody_and_up_again() -> Result<()> {
    flow(async |scene| {
        let (b, c) = (scene.member("b").await?, scene.member("c").await?);
        let image = scene.image("followed").await?;
        let both = format!("{} {}", b.id, c.id);
        assert_eq!(scene.share(&image, &both).await?, "shared with 2 accounts");
        scene.share_until_status(&image, &b.id, "shared with 1 account").await?;
        scene.share_until_status(&image, " ", "not shared: ami-share:with names nobody").await?;
        scene.hub.untag(&image, "ami-share:with").await?;
        let untagged = "not shared: the image has no ami-share: tags any more";
        scene.hub.status(&image, |status| status == untagged).await?;
        scene.share_until_status(&image, &both, "shared with 2 accounts").await?;
        Ok(())
    })
}

#[test]
fn a_status_that_someone_overwrote_is_told_again_at_the_next_look() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let image = scene.image("overwritten").await?;
        scene.share(&image, &b.id).await?;
        scene.hub.tag(&image, &[("ami-share:status", "shared with the whole world")]).await?;
        scene.hub.look(&image).await?;
        scene.hub.status(&image, |status| status == "shared with 1 account").await?;
        Ok(())
    })
}

#[test]
fn a_tag_with_no_word_in_it_shares_with_nobody() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let image = scene.image("empty").await?;
        scene.hub.tag(&image, &[("ami-share:with", " , ")]).await?;
        scene.hub.status(&image, |status| status == "not shared: ami-share:with names nobody").await?;
        assert!(scene.hub.launch_permissions(&image).await?.is_empty());
        scene.share_until_status(&image, &b.id, "shared with 1 account").await?;
        assert_eq!(scene.hub.launch_permissions(&image).await?, [b.id.as_str()]);
        Ok(())
    })
}

//! Which accounts, OUs and organizations each word picks.

use anyhow::Result;
use futures::future::try_join_all;

use crate::scene::{Scene, flow};

#[test]
fn every_kind_of_word_opens_the_image_to_what_it_names() -> Result<()> {
    flow(async |scene| {
        let ou = scene.ou("platform", &scene.root).await?;
        let nested = scene.ou("nested", &ou).await?;
        let b = scene.member_in("b", &nested).await?;
        let organization = scene.organization_arn();
        let words = [
            (b.id.clone(), b.id.clone(), "shared with 1 account"),
            (ou.clone(), scene.ou_arn(&ou), "shared with 1 OU"),
            (nested.clone(), scene.ou_arn(&nested), "shared with 1 OU"),
            (scene.root.clone(), organization.clone(), "shared with 1 organization"),
            ("org".to_owned(), organization.clone(), "shared with 1 organization"),
            (scene.organization.clone(), organization, "shared with 1 organization"),
        ];
        try_join_all(words.iter().map(async |(word, permission, status)| {
            let image = scene.image("word").await?;
            assert_eq!(scene.share(&image, word).await?, *status, "{word}");
            assert_eq!(scene.hub.launch_permissions(&image).await?, [permission.as_str()], "{word}");
            assert!(b.sees(&image).await?, "{word}");
            anyhow::Ok(())
        }))
        .await?;
        Ok(())
    })
}

#[test]
fn another_organization_is_refused() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let image = scene.image("foreign").await?;
        let status = scene.share(&image, &format!("o-zzzzzzzzzz {}", b.id)).await?;
        assert_eq!(
            status,
            "shared with 1 account; refused: o-zzzzzzzzzz is not this organization and not allowed; add its ARN to AllowedExternalOrganizations or remove it"
        );
        assert_eq!(scene.hub.launch_permissions(&image).await?, [b.id.as_str()]);
        Ok(())
    })
}

#[test]
fn a_tag_in_the_organization_picks_the_accounts_and_ous_that_carry_it() -> Result<()> {
    flow(async |scene| {
        let team = scene.name("team");
        let ou = scene.ou("tagged", &scene.root).await?;
        let inside = scene.member_in("inside", &ou).await?;
        let (alone, other) = (scene.member("alone").await?, scene.member("other").await?);
        for id in [&ou, &alone.id] {
            scene.hub.tag_in_organization(id, "Team", &team).await?;
        }
        scene.hub.tag_in_organization(&other.id, "Team", "another").await?;
        let image = scene.image("tag-selector").await?;
        let word = format!("tag:Team={team}");
        assert_eq!(scene.share(&image, &word).await?, "shared with 1 account, 1 OU");
        assert_eq!(scene.hub.launch_permissions(&image).await?, [alone.id.clone(), scene.ou_arn(&ou)]);
        assert!(inside.sees(&image).await? && alone.sees(&image).await? && !other.sees(&image).await?);
        let rows = scene.hub.ledger(&format!("IMAGE#{image}")).await?;
        for target in [&alone.id, &ou] {
            assert_eq!(rows[&format!("SHARE#{target}")]["through"], word);
        }
        Ok(())
    })
}

#[test]
fn a_tag_that_nobody_carries_is_refused_by_name() -> Result<()> {
    flow(async |scene| {
        let image = scene.image("no-match").await?;
        assert_eq!(
            scene.share(&image, "tag:Team=nobody").await?,
            "refused: `tag:Team=nobody` matches no account and no OU of this organization; tag them in AWS Organizations or remove it"
        );
        assert!(scene.hub.launch_permissions(&image).await?.is_empty());
        Ok(())
    })
}

#[test]
fn words_are_separated_by_spaces_or_commas_and_continue_over_nine_tags() -> Result<()> {
    flow(async |scene| {
        let ids = accounts(scene, 12).await?;
        let image = scene.image("many-words").await?;
        let mut tags = vec![("ami-share:with".to_owned(), format!("{},{} ,\t{}", ids[0], ids[1], ids[2]))];
        tags.extend((2..=9).map(|n| (format!("ami-share:with:{n}"), format!("  {}  ", ids[n + 1]))));
        tags.push(("ami-share:with:10".to_owned(), ids[11].clone()));
        let tags: Vec<(&str, &str)> =
            tags.iter().map(|(tag, value)| (tag.as_str(), value.as_str())).collect();
        scene.hub.tag(&image, &tags).await?;
        let status = scene.hub.status(&image, |_| true).await?;
        assert_eq!(
            status,
            "shared with 11 accounts; refused: `ami-share:with:10` is no tag of ami-share; there are with, with:2 to with:9, until, copy and regions"
        );
        assert_eq!(scene.hub.launch_permissions(&image).await?, ids[..11]);
        Ok(())
    })
}

#[test]
fn what_a_larger_target_covers_gets_no_entry_of_its_own() -> Result<()> {
    flow(async |scene| {
        let ou = scene.ou("outer", &scene.root).await?;
        let nested = scene.ou("inner", &ou).await?;
        let (inside, outside) = (scene.member_in("inside", &nested).await?, scene.member("outside").await?);
        let golden = scene.golden("folded").await?;
        let words = format!("{0} {1} {2} {0} {3},{3} {2}", inside.id, nested, ou, outside.id);
        assert_eq!(scene.share(&golden.image, &words).await?, "shared with 1 account, 1 OU");
        assert_eq!(
            scene.hub.launch_permissions(&golden.image).await?,
            [outside.id.clone(), scene.ou_arn(&ou)]
        );
        let policy = scene.hub.key_policy(&golden.key).await?;
        assert!(!policy.contains(&inside.id) && !policy.contains(&nested), "{policy}");

        let whole = scene.image("folded-whole").await?;
        let words = format!("{words} org {}", scene.root);
        assert_eq!(scene.share(&whole, &words).await?, "shared with 1 organization");
        assert_eq!(scene.hub.launch_permissions(&whole).await?, [scene.organization_arn()]);
        Ok(())
    })
}

#[test]
fn the_hub_needs_no_share_of_its_own_image() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let image = scene.image("own").await?;
        let words = format!("{} {}", scene.hub.id, b.id);
        assert_eq!(scene.share(&image, &words).await?, "shared with 1 account");
        assert_eq!(scene.hub.launch_permissions(&image).await?, [b.id.as_str()]);
        Ok(())
    })
}

/// New accounts, in the order of their ids.
async fn accounts(scene: &Scene, count: usize) -> Result<Vec<String>> {
    let names: Vec<String> = (0..count).map(|_| scene.name("many")).collect();
    let made = names.iter().map(|name| scene.hub.create_account(name, &scene.root));
    let mut ids = try_join_all(made).await?;
    ids.sort();
    Ok(ids)
}

//! Each selector picks the accounts, OUs and organizations that it names.

use anyhow::Result;
use futures::future::try_join_all;

use crate::fixture::{Fixture, flow};

#[test]
fn every_kind_of_selector_grants_the_image_to_what_it_names() -> Result<()> {
    flow(async |fixture| {
        let ou = fixture.ou("platform", &fixture.root).await?;
        let nested = fixture.ou("nested", &ou).await?;
        let b = fixture.account_in("b", &nested).await?;
        let organization = fixture.organization_arn();
        let selectors = [
            (b.id.clone(), b.id.clone(), "shared with 1 account"),
            (ou.clone(), fixture.ou_arn(&ou), "shared with 1 OU"),
            (nested.clone(), fixture.ou_arn(&nested), "shared with 1 OU"),
            (fixture.root.clone(), organization.clone(), "shared with 1 organization"),
            ("org".to_owned(), organization.clone(), "shared with 1 organization"),
            (fixture.organization.clone(), organization, "shared with 1 organization"),
        ];
        try_join_all(selectors.iter().map(async |(selector, permission, status)| {
            let image = fixture.image("selector").await?;
            assert_eq!(fixture.share(&image, selector).await?, *status, "{selector}");
            assert_eq!(fixture.hub.launch_permissions(&image).await?, [permission.as_str()], "{selector}");
            assert!(b.sees(&image).await?, "{selector}");
            anyhow::Ok(())
        }))
        .await?;
        Ok(())
    })
}

#[test]
fn another_organization_is_refused() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let image = fixture.image("foreign").await?;
        let status = fixture.share(&image, &format!("o-zzzzzzzzzz {}", b.id)).await?;
        assert_eq!(
            status,
            "shared with 1 account; refused: o-zzzzzzzzzz: not this organization and not allowed; add its ARN to AllowedExternalOrganizations (parameter of the stack), or remove it from the tag"
        );
        assert_eq!(fixture.hub.launch_permissions(&image).await?, [b.id.as_str()]);
        Ok(())
    })
}

#[test]
fn a_tag_in_the_organization_picks_the_accounts_and_ous_that_carry_it() -> Result<()> {
    flow(async |fixture| {
        let team = fixture.name("team");
        let ou = fixture.ou("tagged", &fixture.root).await?;
        let inside = fixture.account_in("inside", &ou).await?;
        let (alone, other) = (fixture.target_account("alone").await?, fixture.target_account("other").await?);
        for id in [&ou, &alone.id] {
            fixture.hub.tag_in_organization(id, "Team", &team).await?;
        }
        fixture.hub.tag_in_organization(&other.id, "Team", "another").await?;
        let image = fixture.image("tag-selector").await?;
        let selector = format!("tag:Team={team}");
        assert_eq!(fixture.share(&image, &selector).await?, "shared with 1 account, 1 OU");
        assert_eq!(fixture.hub.launch_permissions(&image).await?, [alone.id.clone(), fixture.ou_arn(&ou)]);
        assert!(inside.sees(&image).await? && alone.sees(&image).await? && !other.sees(&image).await?);
        let rows = fixture.hub.ledger(&format!("IMAGE#{image}")).await?;
        for target in [&alone.id, &ou] {
            assert_eq!(rows[&format!("SHARE#{target}")]["through"], selector);
        }
        Ok(())
    })
}

#[test]
fn a_tag_selector_that_matches_no_account_is_refused_by_name() -> Result<()> {
    flow(async |fixture| {
        let image = fixture.image("no-match").await?;
        assert_eq!(
            fixture.share(&image, "tag:Team=nobody").await?,
            "refused: tag:Team=nobody: no account and no OU of this organization has this tag; tag them in AWS Organizations, or remove the selector"
        );
        assert!(fixture.hub.launch_permissions(&image).await?.is_empty());
        Ok(())
    })
}

#[test]
fn selectors_are_separated_by_spaces_or_commas_and_continue_over_nine_tags() -> Result<()> {
    flow(async |fixture| {
        let ids = accounts(fixture, 12).await?;
        let image = fixture.image("many-selectors").await?;
        let mut tags = vec![("ami-share:with".to_owned(), format!("{},{} ,\t{}", ids[0], ids[1], ids[2]))];
        tags.extend((2..=9).map(|n| (format!("ami-share:with:{n}"), format!("  {}  ", ids[n + 1]))));
        tags.push(("ami-share:with:10".to_owned(), ids[11].clone()));
        let tags: Vec<(&str, &str)> =
            tags.iter().map(|(tag, value)| (tag.as_str(), value.as_str())).collect();
        fixture.hub.tag(&image, &tags).await?;
        let status = fixture.hub.status(&image, |_| true).await?;
        assert_eq!(
            status,
            "shared with 11 accounts; refused: ami-share:with:10: not a tag of ami-share; use ami-share:with, with:2 to with:9, until or copy, or remove the tag"
        );
        assert_eq!(fixture.hub.launch_permissions(&image).await?, ids[..11]);
        Ok(())
    })
}

#[test]
fn what_a_larger_target_covers_gets_no_entry_of_its_own() -> Result<()> {
    flow(async |fixture| {
        let ou = fixture.ou("outer", &fixture.root).await?;
        let nested = fixture.ou("inner", &ou).await?;
        let (inside, outside) =
            (fixture.account_in("inside", &nested).await?, fixture.target_account("outside").await?);
        let golden = fixture.golden("folded").await?;
        let selectors = format!("{0} {1} {2} {0} {3},{3} {2}", inside.id, nested, ou, outside.id);
        assert_eq!(fixture.share(&golden.image, &selectors).await?, "shared with 1 account, 1 OU");
        assert_eq!(
            fixture.hub.launch_permissions(&golden.image).await?,
            [outside.id.clone(), fixture.ou_arn(&ou)]
        );
        let policy = fixture.hub.key_policy(&golden.key).await?;
        assert!(!policy.contains(&inside.id) && !policy.contains(&nested), "{policy}");

        let whole = fixture.image("folded-whole").await?;
        let selectors = format!("{selectors} org {}", fixture.root);
        assert_eq!(fixture.share(&whole, &selectors).await?, "shared with 1 organization");
        assert_eq!(fixture.hub.launch_permissions(&whole).await?, [fixture.organization_arn()]);
        Ok(())
    })
}

#[test]
fn the_hub_needs_no_share_of_its_own_image() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let image = fixture.image("own").await?;
        let selectors = format!("{} {}", fixture.hub.id, b.id);
        assert_eq!(fixture.share(&image, &selectors).await?, "shared with 1 account");
        assert_eq!(fixture.hub.launch_permissions(&image).await?, [b.id.as_str()]);
        Ok(())
    })
}

/// New accounts, in the order of their ids.
async fn accounts(fixture: &Fixture, count: usize) -> Result<Vec<String>> {
    let names: Vec<String> = (0..count).map(|_| fixture.name("many")).collect();
    let created = names.iter().map(|name| fixture.hub.create_account(name, &fixture.root));
    let mut ids = try_join_all(created).await?;
    ids.sort();
    Ok(ids)
}

//! Access is real: the accounts that an image is shared with launch it, and no other account does.

use ami_share_tests::launch::{Launch, launch};
use ami_share_tests::world::Account;
use anyhow::Result;

use crate::fixture::flow;

#[test]
fn an_account_named_in_the_tag_launches_the_image_and_another_does_not() -> Result<()> {
    flow(async |fixture| {
        let (b, c) = (fixture.target_account("b").await?, fixture.target_account("c").await?);
        let plain = fixture.image("plain").await?;
        let golden = fixture.golden("encrypted").await?;
        for image in [&plain, &golden.image] {
            assert!(!b.sees(image).await?);
            assert_eq!(fixture.share(image, &b.id).await?, "shared with 1 account");
            assert!(launches(&b, image).await?);
            assert!(b.sees(image).await? && !c.sees(image).await?);
            let refused = launch(&c, image).await?;
            assert!(
                matches!(&refused, Launch::Failed(why) if why.starts_with("InvalidAMIID.NotFound")),
                "{refused:?}"
            );
        }
        Ok(())
    })
}

#[test]
fn an_account_in_a_nested_ou_launches_what_is_shared_with_the_outer_one() -> Result<()> {
    flow(async |fixture| {
        let outer = fixture.ou("outer", &fixture.root).await?;
        let inner = fixture.ou("inner", &outer).await?;
        let inside = fixture.account_in("inside", &inner).await?;
        let sibling = fixture.account_in("sibling", &fixture.ou("sibling", &fixture.root).await?).await?;
        let golden = fixture.golden("for-ou").await?;
        assert_eq!(fixture.share(&golden.image, &outer).await?, "shared with 1 OU");
        assert!(launches(&inside, &golden.image).await?);
        assert!(!launches(&sibling, &golden.image).await?);

        // An account that joins the OU later needs no other share.
        let late = fixture.account_in("late", &outer).await?;
        assert!(launches(&late, &golden.image).await?);
        Ok(())
    })
}

#[test]
fn every_account_of_the_organization_launches_what_is_shared_with_it() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let golden = fixture.golden("for-all").await?;
        assert_eq!(fixture.share(&golden.image, "org").await?, "shared with 1 organization");
        assert!(launches(&b, &golden.image).await?);
        let external = fixture.hub.assume("555555555555").await?;
        assert!(!launches(&external, &golden.image).await?);
        Ok(())
    })
}

#[test]
fn a_launch_permission_without_the_key_is_no_access() -> Result<()> {
    flow(async |fixture| {
        let c = fixture.target_account("c").await?;
        let golden = fixture.golden("key-missing").await?;
        fixture.hub.grant_out_of_band(&golden.image, &c.id).await?;
        assert_eq!(launch(&c, &golden.image).await?, Launch::Failed("Client.InternalError".to_owned()));
        assert_eq!(fixture.share(&golden.image, &c.id).await?, "shared with 1 account");
        assert!(launches(&c, &golden.image).await?);
        Ok(())
    })
}

/// Whether an account can launch an image. Prints the reason if it cannot, for a test that fails because of it.
pub async fn launches(account: &Account, image: &str) -> Result<bool> {
    match launch(account, image).await? {
        Launch::Started(_) => Ok(true),
        Launch::Failed(why) => {
            eprintln!("{} cannot launch {image}: {why}", account.id);
            Ok(false)
        }
    }
}

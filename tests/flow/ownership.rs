//! ami-share refuses images and keys of other accounts, and says what to do instead.

use anyhow::Result;
use serde_json::json;

use crate::cloudtrail::{calls, watch};
use crate::fixture::flow;

#[test]
fn an_image_of_another_account_is_refused_with_the_remedy() -> Result<()> {
    flow(async |fixture| {
        let (b, owner) = (fixture.target_account("b").await?, fixture.target_account("owner").await?);
        let image = owner.image(&fixture.name("foreign"), &[]).await?;
        owner.grant_out_of_band(&image, &fixture.hub.id).await?;
        assert_eq!(
            fixture.share(&image, &b.id).await?,
            format!(
                "refused: {}: the image belongs to account {}, and only its owner can share it; copy the image and tag the copy",
                b.id, owner.id
            )
        );
        assert!(!b.sees(&image).await?);
        Ok(())
    })
}

#[test]
fn an_image_on_a_key_of_another_account_is_refused_with_the_remedy() -> Result<()> {
    flow(async |fixture| {
        let (b, owner) = (fixture.target_account("b").await?, fixture.target_account("owner").await?);
        let key = owner.create_key().await?;
        let all_rights = |account: &str| {
            json!({ "Effect": "Allow", "Action": "kms:*", "Resource": "*",
                "Principal": { "AWS": format!("arn:aws:iam::{account}:root") } })
        };
        let statements = [all_rights(&owner.id), all_rights(&fixture.hub.id)];
        let policy = json!({ "Version": "2012-10-17", "Statement": statements }).to_string();
        owner.put_key_policy(&key, &policy).await?;
        let image = fixture.image_on("foreign-key", &key).await?;
        let queue = watch(fixture, &image, &key).await?;
        let status = fixture.share(&image, &b.id).await?;
        assert!(status.starts_with("refused: "), "{status}");
        assert!(
            status.ends_with("belongs to another account, so ami-share cannot change its policy; copy the image with a key of this account"),
            "{status}"
        );
        assert_eq!(calls(fixture, &queue).await?, [""; 0]);
        assert_eq!(owner.key_policy(&key).await?, policy);
        Ok(())
    })
}

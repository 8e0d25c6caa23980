//! Keys whose policies are full, locked, untagged or broken: nothing is sent that must not be, and the status says why.

use anyhow::Result;
use serde_json::json;

use crate::outcomes::{calls, watch};
use crate::policy::{admits, for_accounts, foreign, ours};
use crate::scene::{Golden, Scene, flow};

const SIZE_LIMIT: usize = 32_768;

#[test]
fn a_key_without_the_tag_is_not_written_and_the_status_tells_the_remedy() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let key = scene.hub.create_untagged_key().await?;
        let image = scene.image_on("untagged-key", &key).await?;
        let queue = watch(scene, &image, &key).await?;
        let before = scene.hub.key_policy(&key).await?;
        let status = scene.share(&image, &b.id).await?;
        let named = key.rsplit('/').next().unwrap();
        assert!(status.starts_with("refused: ") && status.contains(named), "{status}");
        assert!(
            status.contains("lacks the tag ami-share:managed = true, so its policy is not touched; add that tag to the key and look again, or wait for the review"),
            "{status}"
        );
        assert_eq!(calls(scene, &queue).await?, [""; 0]);
        assert_eq!(scene.hub.key_policy(&key).await?, before);
        assert!(!b.sees(&image).await);

        // The remedy works.
        let tag =
            aws_sdk_kms::types::Tag::builder().tag_key("ami-share:managed").tag_value("true").build()?;
        scene.hub.kms.tag_resource().key_id(&key).tags(tag).send().await?;
        scene.hub.look(&image).await?;
        scene.hub.status(&image, |status| status == "shared with 1 account").await?;
        Ok(())
    })
}

#[test]
fn one_untagged_key_keeps_every_key_of_the_image_untouched() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let (tagged, untagged) = (scene.hub.create_key().await?, scene.hub.create_untagged_key().await?);
        let before = scene.hub.key_policy(&tagged).await?;
        let image = scene.hub.image(&scene.name("mixed-keys"), &[&tagged, &untagged]).await?;
        assert!(scene.share(&image, &b.id).await?.contains("lacks the tag ami-share:managed"));
        assert_eq!(scene.hub.key_policy(&tagged).await?, before);
        assert!(scene.hub.launch_permissions(&image).await?.is_empty());
        Ok(())
    })
}

#[test]
fn in_a_nearly_full_policy_those_who_fit_are_admitted_and_the_rest_refused() -> Result<()> {
    flow(async |scene| {
        let mut accounts = Vec::new();
        for _ in 0..10 {
            accounts.push(scene.member("crowded").await?.id);
        }
        let golden = nearly_full(scene, 850).await?;
        let before = scene.hub.key_policy(&golden.key).await?;
        let status = scene.share(&golden.image, &accounts.join(" ")).await?;

        let after = scene.hub.key_policy(&golden.key).await?;
        assert!(after.len() <= SIZE_LIMIT, "{}", after.len());
        assert_eq!(foreign(&after)?, foreign(&before)?);
        let mut admitted = Vec::new();
        for account in &accounts {
            if admits(&after, account)? {
                admitted.push(account.clone());
            }
        }
        assert!(!admitted.is_empty() && admitted.len() < accounts.len(), "{admitted:?}");
        admitted.sort();
        assert_eq!(scene.hub.launch_permissions(&golden.image).await?, admitted);
        let plural = if admitted.len() == 1 { "" } else { "s" };
        assert!(status.starts_with(&format!("shared with {} account{plural}; refused: ", admitted.len())));
        assert!(status.contains("has no room for"), "{status}");
        let rows = scene.hub.ledger(&format!("IMAGE#{}", golden.image)).await?;
        for refused in accounts.iter().filter(|account| !admitted.contains(account)) {
            let row = &rows[&format!("SHARE#{refused}")];
            assert_eq!(row["code"], "policy-too-large");
            assert!(
                row["reason"].ends_with("share with an OU or `org` instead of accounts, or use another key")
            );
        }
        Ok(())
    })
}

#[test]
fn a_full_policy_is_not_written_at_all() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let golden = nearly_full(scene, 100).await?;
        let queue = watch(scene, &golden.image, &golden.key).await?;
        let status = scene.share(&golden.image, &b.id).await?;
        assert!(status.starts_with("refused: ") && status.contains("has no room for"), "{status}");
        assert_eq!(calls(scene, &queue).await?, [""; 0]);
        Ok(())
    })
}

#[test]
fn a_policy_that_only_a_role_may_put_is_refused_before_anything_is_sent() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let golden = scene.golden("locked").await?;
        // The role exists because someone has a session of it.
        scene.hub.assume(&scene.hub.id).await?;
        let policy = json!({ "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Principal": { "AWS": "arn:aws:iam::111122223333:root" },
              "Action": ["kms:Get*", "kms:Describe*", "kms:List*"], "Resource": "*" },
            { "Effect": "Allow", "Principal": { "AWS": "arn:aws:iam::111122223333:role/test" },
              "Action": "kms:*", "Resource": "*" },
        ] });
        scene.hub.lock_out_by_key_policy(&golden.key, &policy.to_string()).await?;
        let before = scene.hub.key_policy(&golden.key).await?;
        let queue = watch(scene, &golden.image, &golden.key).await?;
        let status = scene.share(&golden.image, &b.id).await?;
        assert!(status.contains("which would lock everybody out"), "{status}");
        assert_eq!(calls(scene, &queue).await?, [""; 0]);
        assert_eq!(scene.hub.key_policy(&golden.key).await?, before);
        assert!(!b.sees(&golden.image).await);
        Ok(())
    })
}

#[test]
fn an_account_closed_since_it_was_admitted_is_taken_out_and_holds_nobody_up() -> Result<()> {
    flow(async |scene| {
        let (b, closed, c) =
            (scene.member("b").await?, scene.member("closed").await?, scene.member("c").await?);
        let golden = scene.golden("closed-since").await?;
        scene.share(&golden.image, &format!("{} {}", b.id, closed.id)).await?;
        scene.hub.close_account(&closed.id).await?;
        let second = scene.image_on("closed-since", &golden.key).await?;
        assert_eq!(scene.share(&second, &c.id).await?, "shared with 1 account");
        let policy = scene.hub.key_policy(&golden.key).await?;
        assert_eq!(ours(&policy)?, for_accounts(&[&b.id, &c.id]));
        Ok(())
    })
}

/// An image on a key whose policy has room for so many bytes more.
async fn nearly_full(scene: &Scene, room: usize) -> Result<Golden> {
    let golden = scene.golden("full").await?;
    let root =
        r#"{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"kms:*","Resource":"*","Sid":""#;
    let (start, end) = (format!(r#"{{"Version":"2012-10-17","Statement":[{root}"#), r#""}]}"#);
    let padding = "x".repeat(SIZE_LIMIT - room - start.len() - end.len());
    scene.hub.put_key_policy(&golden.key, &format!("{start}{padding}{end}")).await?;
    Ok(golden)
}

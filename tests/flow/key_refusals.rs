//! Keys whose policies are full, locked, untagged or broken: nothing is sent that must not be, and the status says why.

use ami_share_tests::world::Account;
use anyhow::Result;
use serde_json::json;

use crate::outcomes::{calls, watch};
use crate::policy::{admits, for_accounts, foreign, ours};
use crate::scene::{Golden, Scene, flow};
use crate::withdrawal::UNTAGGED;

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
        assert!(!b.sees(&image).await?);

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
        shut_out(scene, &golden.key, &["kms:Get*", "kms:Describe*", "kms:List*"]).await?;
        let before = scene.hub.key_policy(&golden.key).await?;
        let queue = watch(scene, &golden.image, &golden.key).await?;
        let status = scene.share(&golden.image, &b.id).await?;
        assert!(status.contains("which would lock everybody out"), "{status}");
        assert_eq!(calls(scene, &queue).await?, [""; 0]);
        assert_eq!(scene.hub.key_policy(&golden.key).await?, before);
        assert!(is_measured(scene, &golden.image, &before)?);
        assert!(!b.sees(&golden.image).await?);
        Ok(())
    })
}

#[test]
fn a_key_that_nobody_may_read_is_refused_and_the_status_tells_the_remedy() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let golden = scene.golden("unreadable").await?;
        let admin = shut_out(scene, &golden.key, &["kms:Describe*", "kms:List*"]).await?;
        let status = scene.share(&golden.image, &b.id).await?;
        let remedy = "let this account read it by its policy (statement `Enable IAM User Permissions`)";
        assert!(
            status.starts_with(&format!(
                "refused: {} cannot be read; {remedy}, then look again: ",
                short(&golden.key)
            )),
            "{status}"
        );
        let rows = scene.hub.ledger(&format!("IMAGE#{}", golden.image)).await?;
        let row = &rows[&format!("SHARE#{}", b.id)];
        assert_eq!((row["outcome"].as_str(), row["code"].as_str()), ("refused", "policy-unsafe"));
        let said = "kms:GetKeyPolicy on resource";
        assert!(row["reason"].contains(said), "{row:#?}");
        assert!(!b.sees(&golden.image).await?);

        // The remedy works.
        admin.put_key_policy(&golden.key, &default_policy()).await?;
        assert_eq!(scene.hub.look(&golden.image).await?.0, "SUCCEEDED");
        scene.hub.status(&golden.image, |status| status == "shared with 1 account").await?;
        Ok(())
    })
}

#[test]
fn a_key_that_nobody_may_read_holds_up_no_withdrawal_and_is_closed_once_it_can_be_read() -> Result<()> {
    flow(async |scene| {
        let mut members = Vec::new();
        for name in ["b", "c", "d", "newcomer"] {
            members.push(scene.member(name).await?);
        }
        let [b, c, d, newcomer] = members.as_slice() else { unreachable!("four were made") };
        let golden = scene.golden("shut").await?;
        scene.share(&golden.image, &format!("{} {} {}", b.id, c.id, d.id)).await?;
        let open = scene.hub.key_policy(&golden.key).await?;

        // Who is wanted keeps what it has, who is not loses it, and nobody new gets anything.
        shut_out(scene, &golden.key, &["kms:Describe*", "kms:List*"]).await?;
        let wanted = format!("{} {} {}", c.id, d.id, newcomer.id);
        scene.hub.tag(&golden.image, &[("ami-share:with", &wanted)]).await?;
        scene.hub.status(&golden.image, |status| status.contains("cannot be read")).await?;
        scene.hub.settled(&golden.image).await?;
        let mut still = [c.id.as_str(), d.id.as_str()];
        still.sort_unstable();
        assert_eq!(scene.hub.launch_permissions(&golden.image).await?, still);

        // Nor does it matter which call is denied: here, the key is not even described.
        let admin = shut_out(scene, &golden.key, &["kms:CreateGrant"]).await?;
        scene.hub.tag(&golden.image, &[("ami-share:with", &format!("{} {}", d.id, newcomer.id))]).await?;
        let kept = format!("kept as it is: {}; refused: ", d.id);
        scene.hub.status(&golden.image, |status| status.starts_with(&kept)).await?;
        scene.hub.settled(&golden.image).await?;
        assert_eq!(scene.hub.launch_permissions(&golden.image).await?, [d.id.as_str()]);

        scene.hub.untag(&golden.image, "ami-share:with").await?;
        let status = scene.hub.status(&golden.image, |status| status.starts_with(UNTAGGED)).await?;
        let mut names: Vec<&str> = members.iter().map(|member| member.id.as_str()).collect();
        names.sort_unstable();
        let perhaps = format!("; refused: {} may still admit {}: ", short(&golden.key), names.join(", "));
        assert!(status.contains(&perhaps), "{status}");
        assert!(scene.hub.launch_permissions(&golden.image).await?.is_empty());

        admin.put_key_policy(&golden.key, &open).await?;
        assert!(c.may_use_key(&golden.key).await?);
        assert_eq!(scene.hub.look(&golden.image).await?.0, "SUCCEEDED");
        scene.hub.status(&golden.image, |status| status == UNTAGGED).await?;
        assert_eq!(ours(&scene.hub.key_policy(&golden.key).await?)?, [json!(null); 0]);
        assert!(!c.may_use_key(&golden.key).await?);
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
        assert!(is_measured(scene, &second, &policy)?);
        let history = scene.hub.ledger(&format!("AUDIT#{second}")).await?;
        let of_key = history.values().filter(|row| row["resource"] == golden.key);
        let of_key: Vec<(&str, &str)> =
            of_key.map(|row| (row["deed"].as_str(), row["whom"].as_str())).collect();
        assert_eq!(of_key, [("key-opened", c.id.as_str()), ("key-closed", closed.id.as_str())]);
        Ok(())
    })
}

/// Leaves the hub no more rights on a key than `actions`; answers the role that may put them back.
async fn shut_out(scene: &Scene, key: &str, actions: &[&str]) -> Result<Account> {
    // The role exists because someone has a session of it.
    let admin = scene.hub.assume(&scene.hub.id).await?;
    let policy = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Principal": { "AWS": "arn:aws:iam::111122223333:root" },
          "Action": actions, "Resource": "*" },
        { "Effect": "Allow", "Principal": { "AWS": "arn:aws:iam::111122223333:role/test" },
          "Action": "kms:*", "Resource": "*" },
    ] });
    admin.lock_out_by_key_policy(key, &policy.to_string()).await?;
    Ok(admin)
}

/// A key as refusals name it.
fn short(key: &str) -> &str {
    key.rsplit(':').next().unwrap_or(key)
}

/// The policy of a new key.
fn default_policy() -> String {
    let root = json!({ "Sid": "Enable IAM User Permissions", "Effect": "Allow",
        "Principal": { "AWS": "arn:aws:iam::111122223333:root" }, "Action": "kms:*", "Resource": "*" });
    json!({ "Version": "2012-10-17", "Statement": [root] }).to_string()
}

/// Whether the last metric of an image's key says how much room this policy leaves.
fn is_measured(scene: &Scene, image: &str, policy: &str) -> Result<bool> {
    let lines = scene.log_lines("extend-key-policy", image)?;
    let last = lines.iter().rev().find_map(|line| line["KeyPolicyBytesLeft"].as_f64());
    Ok(last == Some(u32::try_from(SIZE_LIMIT - policy.len())?.into()))
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

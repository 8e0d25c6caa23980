//! Keys whose policies are full, untagged or unreadable: ami-share puts no policy, and the status says why.

use ami_share_tests::world::Account;
use anyhow::Result;
use serde_json::json;

use crate::cloudtrail::{calls, watch};
use crate::fixture::{Fixture, Golden, flow};
use crate::policy::{for_accounts, foreign, grants, managed};
use crate::revocation::UNTAGGED;

const SIZE_LIMIT: usize = 32_768;

#[test]
fn a_key_without_the_tag_is_not_written_and_the_status_gives_the_remedy() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let key = fixture.hub.create_untagged_key().await?;
        let image = fixture.image_on("untagged-key", &key).await?;
        let queue = watch(fixture, &image, &key).await?;
        let before = fixture.hub.key_policy(&key).await?;
        let status = fixture.share(&image, &b.id).await?;
        let key_id = key.rsplit('/').next().unwrap();
        assert!(status.starts_with("refused: ") && status.contains(key_id), "{status}");
        assert!(
            status.contains("does not have the tag ami-share:managed = true, so ami-share does not change its policy; add the tag to the key, then start a reconciliation"),
            "{status}"
        );
        assert_eq!(calls(fixture, &queue).await?, [""; 0]);
        assert_eq!(fixture.hub.key_policy(&key).await?, before);
        assert!(!b.sees(&image).await?);

        // The next step that the status names works.
        let tag =
            aws_sdk_kms::types::Tag::builder().tag_key("ami-share:managed").tag_value("true").build()?;
        fixture.hub.kms.tag_resource().key_id(&key).tags(tag).send().await?;
        fixture.hub.reconcile(&image).await?;
        fixture.hub.status(&image, |status| status == "shared with 1 account").await?;
        Ok(())
    })
}

#[test]
fn one_untagged_key_leaves_every_key_of_the_image_unchanged() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let (tagged, untagged) = (fixture.hub.create_key().await?, fixture.hub.create_untagged_key().await?);
        let before = fixture.hub.key_policy(&tagged).await?;
        let image = fixture.hub.image(&fixture.name("mixed-keys"), &[&tagged, &untagged]).await?;
        assert!(fixture.share(&image, &b.id).await?.contains("does not have the tag ami-share:managed"));
        assert_eq!(fixture.hub.key_policy(&tagged).await?, before);
        assert!(fixture.hub.launch_permissions(&image).await?.is_empty());
        Ok(())
    })
}

#[test]
fn a_nearly_full_policy_grants_the_accounts_that_fit_and_the_rest_are_refused() -> Result<()> {
    flow(async |fixture| {
        let mut accounts = Vec::new();
        for _ in 0..10 {
            accounts.push(fixture.target_account("crowded").await?.id);
        }
        let golden = nearly_full(fixture, 850).await?;
        let before = fixture.hub.key_policy(&golden.key).await?;
        let status = fixture.share(&golden.image, &accounts.join(" ")).await?;

        let after = fixture.hub.key_policy(&golden.key).await?;
        assert!(after.len() <= SIZE_LIMIT, "{}", after.len());
        assert_eq!(foreign(&after)?, foreign(&before)?);
        let mut granted = Vec::new();
        for account in &accounts {
            if grants(&after, account)? {
                granted.push(account.clone());
            }
        }
        assert!(!granted.is_empty() && granted.len() < accounts.len(), "{granted:?}");
        granted.sort();
        assert_eq!(fixture.hub.launch_permissions(&golden.image).await?, granted);
        let plural = if granted.len() == 1 { "" } else { "s" };
        assert!(status.starts_with(&format!("shared with {} account{plural}; refused: ", granted.len())));
        assert!(status.contains("has no room for more principals"), "{status}");
        let rows = fixture.hub.ledger(&format!("IMAGE#{}", golden.image)).await?;
        for refused in accounts.iter().filter(|account| !granted.contains(account)) {
            let row = &rows[&format!("SHARE#{refused}")];
            assert_eq!(row["code"], "policy-too-large");
            assert!(row["reason"].contains("32768"), "{row:#?}");
        }
        Ok(())
    })
}

#[test]
fn a_full_policy_is_not_written_at_all() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let golden = nearly_full(fixture, 100).await?;
        let queue = watch(fixture, &golden.image, &golden.key).await?;
        let status = fixture.share(&golden.image, &b.id).await?;
        assert!(
            status.starts_with("refused: ") && status.contains("has no room for more principals"),
            "{status}"
        );
        assert_eq!(calls(fixture, &queue).await?, [""; 0]);
        Ok(())
    })
}

#[test]
fn a_policy_that_gives_the_right_to_put_it_by_a_condition_is_extended() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let golden = fixture.golden("conditional").await?;
        let policy = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Principal": "*",
            "NotAction": "kms:ScheduleKeyDeletion", "Resource": "*",
            "Condition": { "StringEquals": { "aws:PrincipalAccount": "111122223333" } } }] });
        fixture.hub.put_key_policy(&golden.key, &policy.to_string()).await?;
        assert_eq!(fixture.share(&golden.image, &b.id).await?, "shared with 1 account");
        let after = fixture.hub.key_policy(&golden.key).await?;
        assert_eq!(json!(foreign(&after)?), policy["Statement"]);
        assert!(is_measured(fixture, &golden.image, &after)?);
        assert!(b.may_use_key(&golden.key).await?);
        Ok(())
    })
}

#[test]
fn a_target_that_a_statement_denies_is_refused_and_the_status_names_the_statement() -> Result<()> {
    flow(async |fixture| {
        let (b, c) = (fixture.target_account("b").await?, fixture.target_account("c").await?);
        let golden = fixture.golden("denied-by-policy").await?;
        let mut policy: serde_json::Value = serde_json::from_str(&default_policy())?;
        let denial = json!({ "Sid": "NotForThisAccount", "Effect": "Deny", "Principal": "*", "Action": "kms:Decrypt",
            "Resource": "*", "Condition": { "StringEquals": { "kms:CallerAccount": c.id } } });
        policy["Statement"].as_array_mut().unwrap().push(denial);
        fixture.hub.put_key_policy(&golden.key, &policy.to_string()).await?;
        let status = fixture.share(&golden.image, &format!("{} {}", b.id, c.id)).await?;
        assert!(status.starts_with("shared with 1 account; refused: "), "{status}");
        assert!(status.contains("statement `NotForThisAccount` in the policy of"), "{status}");
        assert_eq!(managed(&fixture.hub.key_policy(&golden.key).await?)?, for_accounts(&[&b.id]));
        assert_eq!(fixture.hub.launch_permissions(&golden.image).await?, [b.id.as_str()]);
        Ok(())
    })
}

#[test]
fn an_unreadable_key_is_refused_and_the_status_gives_the_remedy() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let golden = fixture.golden("unreadable").await?;
        let admin = restrict(fixture, &golden.key, &["kms:Describe*", "kms:List*"]).await?;
        let status = fixture.share(&golden.image, &b.id).await?;
        let remedy = "restore the statement `Enable IAM User Permissions` in its policy";
        assert!(
            status.starts_with(&format!(
                "refused: {}: AWS does not let ami-share read {}; {remedy}, then start a reconciliation: ",
                b.id,
                short(&golden.key)
            )),
            "{status}"
        );
        let rows = fixture.hub.ledger(&format!("IMAGE#{}", golden.image)).await?;
        let row = &rows[&format!("SHARE#{}", b.id)];
        assert_eq!((row["outcome"].as_str(), row["code"].as_str()), ("refused", "policy-unsafe"));
        let denied = "kms:GetKeyPolicy on resource";
        assert!(row["reason"].contains(denied), "{row:#?}");
        assert!(!b.sees(&golden.image).await?);

        // The next step that the status names works.
        admin.put_key_policy(&golden.key, &default_policy()).await?;
        assert_eq!(fixture.hub.reconcile(&golden.image).await?.0, "SUCCEEDED");
        fixture.hub.status(&golden.image, |status| status == "shared with 1 account").await?;
        Ok(())
    })
}

#[test]
fn an_unreadable_key_blocks_no_revocation_and_is_revoked_once_it_is_readable() -> Result<()> {
    flow(async |fixture| {
        let mut target_accounts = Vec::new();
        for name in ["b", "c", "d", "new"] {
            target_accounts.push(fixture.target_account(name).await?);
        }
        let [b, c, d, new_account] = target_accounts.as_slice() else { unreachable!("four were made") };
        let golden = fixture.golden("unreadable-later").await?;
        fixture.share(&golden.image, &format!("{} {} {}", b.id, c.id, d.id)).await?;
        let readable = fixture.hub.key_policy(&golden.key).await?;

        // Desired targets keep their access, removed targets lose it, and new targets get none.
        restrict(fixture, &golden.key, &["kms:Describe*", "kms:List*"]).await?;
        let desired = format!("{} {} {}", c.id, d.id, new_account.id);
        fixture.hub.tag(&golden.image, &[("ami-share:with", &desired)]).await?;
        fixture
            .hub
            .status(&golden.image, |status| status.contains("AWS does not let ami-share read"))
            .await?;
        fixture.hub.settled(&golden.image).await?;
        let mut retained = [c.id.as_str(), d.id.as_str()];
        retained.sort_unstable();
        assert_eq!(fixture.hub.launch_permissions(&golden.image).await?, retained);

        // It does not matter which call is denied: here, DescribeKey is denied, too.
        let admin = restrict(fixture, &golden.key, &["kms:CreateGrant"]).await?;
        fixture
            .hub
            .tag(&golden.image, &[("ami-share:with", &format!("{} {}", d.id, new_account.id))])
            .await?;
        let retained = format!("retained: {}; refused: ", d.id);
        fixture.hub.status(&golden.image, |status| status.starts_with(&retained)).await?;
        fixture.hub.settled(&golden.image).await?;
        assert_eq!(fixture.hub.launch_permissions(&golden.image).await?, [d.id.as_str()]);

        fixture.hub.untag(&golden.image, "ami-share:with").await?;
        let status = fixture.hub.status(&golden.image, |status| status.starts_with(UNTAGGED)).await?;
        let mut names: Vec<&str> =
            target_accounts.iter().map(|target_account| target_account.id.as_str()).collect();
        names.sort_unstable();
        let remaining =
            format!("; refused: {} may still allow {}, whose", short(&golden.key), names.join(", "));
        assert!(status.contains(&remaining), "{status}");
        assert!(fixture.hub.launch_permissions(&golden.image).await?.is_empty());

        admin.put_key_policy(&golden.key, &readable).await?;
        assert!(c.may_use_key(&golden.key).await?);
        assert_eq!(fixture.hub.reconcile(&golden.image).await?.0, "SUCCEEDED");
        fixture.hub.status(&golden.image, |status| status == UNTAGGED).await?;
        assert_eq!(managed(&fixture.hub.key_policy(&golden.key).await?)?, [json!(null); 0]);
        assert!(!c.may_use_key(&golden.key).await?);
        Ok(())
    })
}

#[test]
fn an_account_closed_after_its_grant_is_removed_from_the_key_and_blocks_no_other() -> Result<()> {
    flow(async |fixture| {
        let (b, closed, c) = (
            fixture.target_account("b").await?,
            fixture.target_account("closed").await?,
            fixture.target_account("c").await?,
        );
        let golden = fixture.golden("closed-since").await?;
        fixture.share(&golden.image, &format!("{} {}", b.id, closed.id)).await?;
        fixture.hub.close_account(&closed.id).await?;
        let second = fixture.image_on("closed-since", &golden.key).await?;
        assert_eq!(fixture.share(&second, &c.id).await?, "shared with 1 account");
        let policy = fixture.hub.key_policy(&golden.key).await?;
        assert_eq!(managed(&policy)?, for_accounts(&[&b.id, &c.id]));
        assert!(is_measured(fixture, &second, &policy)?);
        let audit_log = fixture.hub.ledger(&format!("AUDIT#{second}")).await?;
        let of_key = audit_log.values().filter(|row| row["resource"] == golden.key);
        let of_key: Vec<(&str, &str)> =
            of_key.map(|row| (row["action"].as_str(), row["principals"].as_str())).collect();
        assert_eq!(of_key, [("key-granted", c.id.as_str()), ("key-revoked", closed.id.as_str())]);
        Ok(())
    })
}

/// Leaves the hub only the rights `actions` on a key. Returns the role that may put another policy.
async fn restrict(fixture: &Fixture, key: &str, actions: &[&str]) -> Result<Account> {
    // Assuming the role creates it.
    let admin = fixture.hub.assume(&fixture.hub.id).await?;
    let policy = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Principal": { "AWS": "arn:aws:iam::111122223333:root" },
          "Action": actions, "Resource": "*" },
        { "Effect": "Allow", "Principal": { "AWS": "arn:aws:iam::111122223333:role/test" },
          "Action": "kms:*", "Resource": "*" },
    ] });
    admin.lock_out_by_key_policy(key, &policy.to_string()).await?;
    Ok(admin)
}

/// A key ARN as refusals shorten it.
fn short(key: &str) -> &str {
    key.rsplit(':').next().unwrap_or(key)
}

/// The policy of a new key.
fn default_policy() -> String {
    let root = json!({ "Sid": "Enable IAM User Permissions", "Effect": "Allow",
        "Principal": { "AWS": "arn:aws:iam::111122223333:root" }, "Action": "kms:*", "Resource": "*" });
    json!({ "Version": "2012-10-17", "Statement": [root] }).to_string()
}

/// Whether the last metric of an image's key gives the bytes that this policy leaves.
fn is_measured(fixture: &Fixture, image: &str, policy: &str) -> Result<bool> {
    let lines = fixture.log_lines("extend-key-policy", image)?;
    let last = lines.iter().rev().find_map(|line| line["KeyPolicyBytesLeft"].as_f64());
    Ok(last == Some(u32::try_from(SIZE_LIMIT - policy.len())?.into()))
}

/// An image on a key whose policy has room for this many bytes.
async fn nearly_full(fixture: &Fixture, room: usize) -> Result<Golden> {
    let golden = fixture.golden("full").await?;
    let root =
        r#"{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"kms:*","Resource":"*","Sid":""#;
    let (start, end) = (format!(r#"{{"Version":"2012-10-17","Statement":[{root}"#), r#""}]}"#);
    let padding = "x".repeat(SIZE_LIMIT - room - start.len() - end.len());
    fixture.hub.put_key_policy(&golden.key, &format!("{start}{padding}{end}")).await?;
    Ok(golden)
}

//! In a key policy ami-share writes only its own statements, which grant the least access.

use std::collections::BTreeSet;

use anyhow::Result;
use serde_json::{Value, json};

use crate::fixture::flow;
use crate::policy::{for_accounts, for_organization, for_paths, foreign, grants, managed};
use crate::revocation::UNTAGGED;

#[test]
fn at_most_six_statements_grant_access_to_accounts_ous_and_organizations() -> Result<()> {
    flow(async |fixture| {
        let outer = fixture.ou("outer", &fixture.root).await?;
        let inner = fixture.ou("inner", &outer).await?;
        let (b, c) = (fixture.target_account("b").await?, fixture.target_account("c").await?);
        let golden = fixture.golden("six-statements").await?;
        let before = fixture.hub.key_policy(&golden.key).await?;
        fixture.share(&golden.image, &format!("{} {} {inner}", c.id, b.id)).await?;
        let second = fixture.image_on("six-statements", &golden.key).await?;
        assert_eq!(fixture.share(&second, "org").await?, "shared with 1 organization");

        let after = fixture.hub.key_policy(&golden.key).await?;
        let path = format!("{}/{}/{outer}/{inner}/*", fixture.organization, fixture.root);
        let expected =
            [for_accounts(&[&b.id, &c.id]), for_organization(&fixture.organization), for_paths(&[&path])];
        assert_eq!(managed(&after)?, expected.concat());
        assert_eq!(foreign(&after)?, foreign(&before)?);
        Ok(())
    })
}

#[test]
fn every_key_of_an_image_grants_access_to_its_targets() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let (root, data) = (fixture.hub.create_key().await?, fixture.hub.create_key().await?);
        let image = fixture.hub.image(&fixture.name("volumes"), &[&root, &data, &root]).await?;
        assert_eq!(fixture.share(&image, &b.id).await?, "shared with 1 account");
        for key in [&root, &data] {
            assert_eq!(managed(&fixture.hub.key_policy(key).await?)?, for_accounts(&[&b.id]));
        }
        let rows = fixture.hub.ledger(&format!("IMAGE#{image}")).await?;
        let keys: BTreeSet<&str> = rows[&format!("SHARE#{}", b.id)]["keys"].split(' ').collect();
        assert_eq!(keys, BTreeSet::from([root.as_str(), data.as_str()]));
        Ok(())
    })
}

#[test]
fn foreign_statements_stay_unchanged_to_the_letter() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let golden = fixture.golden("foreign-statements").await?;
        let statements = [
            r#"{"Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Resource":"*","Action":"kms:*","Effect":"Allow"}"#,
            r#"{"Sid":"","Effect":"Deny","NotPrincipal":{"AWS":["arn:aws:iam::111122223333:root","111122223333"]},"NotAction":["kms:Decrypt","kms:*"],"Resource":["*","*"],"Condition":{"NumericLessThan":{"kms:x":1.50,"kms:y":1e3}}}"#,
            r#"{"Sid":"caf\u00e9 \"q\" \/ ünïcode","Effect":"Allow","Principal":"*","Action":["kms:List*","kms:List*"],"Resource":"*","Condition":{"StringEquals":{"kms:CallerAccount":["111122223333"]},"Bool":{"aws:SecureTransport":true}},"FieldOfTomorrow":{"b":[],"a":null,"b2":[[0]]}}"#,
            r#"{"Sid":"amishare in small letters is foreign","Effect":"Allow","Principal":{"Service":"delivery.logs.amazonaws.com"},"Action":"kms:Decrypt","Resource":"*"}"#,
        ];
        let written = format!(
            r#"{{"Id":"written years ago","Version":"2008-10-17","Statement":[{}],"Extra":{{"z":1,"a":2}}}}"#,
            statements.join(",")
        );
        fixture.hub.put_key_policy(&golden.key, &written).await?;
        assert_eq!(fixture.share(&golden.image, &b.id).await?, "shared with 1 account");

        let after = fixture.hub.key_policy(&golden.key).await?;
        let (start, end) = written.split_once(r#"],"Extra""#).unwrap();
        assert!(after.starts_with(&format!("{start},{{\"Sid\":\"AmiShareUseByAccounts\"")), "{after}");
        assert!(after.ends_with(&format!("],\"Extra\"{end}")), "{after}");
        assert_eq!(managed(&after)?, for_accounts(&[&b.id]));
        Ok(())
    })
}

#[test]
fn a_single_statement_without_a_list_and_with_spaces_is_preserved() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let golden = fixture.golden("single-statement").await?;
        let statement = "{ \"Effect\" : \"Allow\",\n\t\"Principal\": { \"AWS\": \"111122223333\" }, \"Action\": \"kms:*\", \"Resource\": \"*\", \"Sid\": \"two  spaces\" }";
        fixture.hub.put_key_policy(&golden.key, &format!("{{ \"Statement\": {statement} }}")).await?;
        assert_eq!(fixture.share(&golden.image, &b.id).await?, "shared with 1 account");
        let after = fixture.hub.key_policy(&golden.key).await?;
        let compact = r#"{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"kms:*","Resource":"*","Sid":"two  spaces"}"#;
        assert!(after.starts_with(&format!("{{\"Statement\":[{compact},")), "{after}");
        Ok(())
    })
}

#[test]
fn a_key_that_two_images_use_grants_access_to_the_targets_of_both() -> Result<()> {
    flow(async |fixture| {
        let (b, c) = (fixture.target_account("b").await?, fixture.target_account("c").await?);
        let golden = fixture.golden("shared-key").await?;
        let second = fixture.image_on("shared-key", &golden.key).await?;
        fixture.share(&golden.image, &b.id).await?;
        fixture.share(&second, &c.id).await?;
        let policy = fixture.hub.key_policy(&golden.key).await?;
        assert!(grants(&policy, &b.id)? && grants(&policy, &c.id)?);
        assert_eq!(fixture.hub.launch_permissions(&golden.image).await?, [b.id.as_str()]);
        assert_eq!(fixture.hub.launch_permissions(&second).await?, [c.id.as_str()]);
        Ok(())
    })
}

#[test]
fn the_next_reconciliation_repairs_overwritten_managed_statements() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let golden = fixture.golden("overwritten").await?;
        let before = fixture.hub.key_policy(&golden.key).await?;
        fixture.share(&golden.image, &b.id).await?;
        fixture.hub.put_key_policy(&golden.key, &before).await?;
        let (status, output) = fixture.hub.reconcile(&golden.image).await?;
        assert_eq!(status, "SUCCEEDED", "{output}");
        assert_eq!(managed(&fixture.hub.key_policy(&golden.key).await?)?, for_accounts(&[&b.id]));
        Ok(())
    })
}

#[test]
fn a_statement_with_a_similar_sid_stays_whatever_is_granted_and_revoked() -> Result<()> {
    flow(async |fixture| {
        let (b, c) = (fixture.target_account("b").await?, fixture.target_account("c").await?);
        let golden = fixture.golden("similar-sid").await?;
        let mut policy: Value = serde_json::from_str(&fixture.hub.key_policy(&golden.key).await?)?;
        let team = json!({ "Sid": "AmiShareForOurTeam", "Effect": "Allow", "Action": "kms:DescribeKey", "Resource": "*",
            "Principal": { "AWS": format!("arn:aws:iam::{}:root", c.id) } });
        policy["Statement"].as_array_mut().unwrap().push(team);
        fixture.hub.put_key_policy(&golden.key, &policy.to_string()).await?;
        fixture.share(&golden.image, &b.id).await?;
        let after = fixture.hub.key_policy(&golden.key).await?;
        assert_eq!(json!(foreign(&after)?), policy["Statement"]);
        assert_eq!(managed(&after)?, for_accounts(&[&b.id]));
        fixture.hub.untag(&golden.image, "ami-share:with").await?;
        fixture.hub.status(&golden.image, |status| status.starts_with(UNTAGGED)).await?;
        fixture.hub.settled(&golden.image).await?;
        let after: Value = serde_json::from_str(&fixture.hub.key_policy(&golden.key).await?)?;
        assert_eq!(after, policy);
        assert!(c.may_use_key(&golden.key).await?);
        Ok(())
    })
}

#[test]
fn a_managed_statement_that_was_changed_out_of_band_stays_beside_the_desired_access() -> Result<()> {
    flow(async |fixture| {
        let b = fixture.target_account("b").await?;
        let golden = fixture.golden("changed-statement").await?;
        fixture.share(&golden.image, &b.id).await?;
        let changed = fixture.hub.key_policy(&golden.key).await?.replace("kms:DescribeKey", "kms:*");
        fixture.hub.put_key_policy(&golden.key, &changed).await?;
        let (status, output) = fixture.hub.reconcile(&golden.image).await?;
        assert_eq!(status, "SUCCEEDED", "{output}");
        let [mut to_use, to_grant] = for_accounts(&[&b.id]);
        to_use["Sid"] = json!("AmiShareUseByAccounts2");
        let after = managed(&fixture.hub.key_policy(&golden.key).await?)?;
        assert_eq!(after.len(), 3);
        assert_eq!(after[1..], [to_use, to_grant]);

        // The changed statement still allows the account, so its revocation is not recorded as done.
        fixture.hub.untag(&golden.image, "ami-share:with").await?;
        let status = fixture.hub.status(&golden.image, |status| status.contains("still allows")).await?;
        assert!(status.contains("statement `AmiShareUseByAccounts`"), "{status}");
        fixture.hub.settled(&golden.image).await?;
        assert_eq!(managed(&fixture.hub.key_policy(&golden.key).await?)?, after[..1]);
        Ok(())
    })
}

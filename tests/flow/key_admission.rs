//! What ami-share writes into key policies: its own statements, with the least access, and nothing else.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::policy::{admits, for_accounts, for_organization, for_paths, foreign, ours};
use crate::scene::flow;

#[test]
fn accounts_ous_and_organizations_are_admitted_by_six_statements_at_the_most() -> Result<()> {
    flow(async |scene| {
        let outer = scene.ou("outer", &scene.root).await?;
        let inner = scene.ou("inner", &outer).await?;
        let (b, c) = (scene.member("b").await?, scene.member("c").await?);
        let golden = scene.golden("six-statements").await?;
        let before = scene.hub.key_policy(&golden.key).await?;
        scene.share(&golden.image, &format!("{} {} {inner}", c.id, b.id)).await?;
        let second = scene.image_on("six-statements", &golden.key).await?;
        assert_eq!(scene.share(&second, "org").await?, "shared with 1 organization");

        let after = scene.hub.key_policy(&golden.key).await?;
        let path = format!("{}/{}/{outer}/{inner}/*", scene.organization, scene.root);
        let expected =
            [for_accounts(&[&b.id, &c.id]), for_organization(&scene.organization), for_paths(&[&path])];
        assert_eq!(ours(&after)?, expected.concat());
        assert_eq!(foreign(&after)?, foreign(&before)?);
        Ok(())
    })
}

#[test]
fn every_key_of_an_image_admits_its_targets() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let (root, data) = (scene.hub.create_key().await?, scene.hub.create_key().await?);
        let image = scene.hub.image(&scene.name("volumes"), &[&root, &data, &root]).await?;
        assert_eq!(scene.share(&image, &b.id).await?, "shared with 1 account");
        for key in [&root, &data] {
            assert_eq!(ours(&scene.hub.key_policy(key).await?)?, for_accounts(&[&b.id]));
        }
        let rows = scene.hub.ledger(&format!("IMAGE#{image}")).await?;
        let keys: BTreeSet<&str> = rows[&format!("SHARE#{}", b.id)]["keys"].split(' ').collect();
        assert_eq!(keys, BTreeSet::from([root.as_str(), data.as_str()]));
        Ok(())
    })
}

#[test]
fn statements_that_other_people_wrote_stay_as_they_are_to_the_letter() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let golden = scene.golden("foreign-statements").await?;
        let statements = [
            r#"{"Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Resource":"*","Action":"kms:*","Effect":"Allow"}"#,
            r#"{"Sid":"","Effect":"Deny","NotPrincipal":{"AWS":["arn:aws:iam::111122223333:root","111122223333"]},"NotAction":["kms:Decrypt","kms:*"],"Resource":["*","*"],"Condition":{"NumericLessThan":{"kms:x":1.50,"kms:y":1e3}}}"#,
            r#"{"Sid":"caf\u00e9 \"q\" \/ ünïcode","Effect":"Allow","Principal":"*","Action":["kms:List*","kms:List*"],"Resource":"*","Condition":{"StringEquals":{"kms:CallerAccount":["111122223333"]},"Bool":{"aws:SecureTransport":true}},"FieldOfTomorrow":{"b":[],"a":null,"b2":[[0]]}}"#,
            r#"{"Sid":"amishare in small letters is not ours","Effect":"Allow","Principal":{"Service":"delivery.logs.amazonaws.com"},"Action":"kms:Decrypt","Resource":"*"}"#,
        ];
        let written = format!(
            r#"{{"Id":"ours for years","Version":"2008-10-17","Statement":[{}],"Extra":{{"z":1,"a":2}}}}"#,
            statements.join(",")
        );
        scene.hub.put_key_policy(&golden.key, &written).await?;
        assert_eq!(scene.share(&golden.image, &b.id).await?, "shared with 1 account");

        let after = scene.hub.key_policy(&golden.key).await?;
        let (start, end) = written.split_once(r#"],"Extra""#).unwrap();
        assert!(after.starts_with(&format!("{start},{{\"Sid\":\"AmiShareUseByAccounts\"")), "{after}");
        assert!(after.ends_with(&format!("],\"Extra\"{end}")), "{after}");
        assert_eq!(ours(&after)?, for_accounts(&[&b.id]));
        Ok(())
    })
}

#[test]
fn a_single_statement_without_its_list_and_with_spaces_is_kept() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let golden = scene.golden("single-statement").await?;
        let statement = "{ \"Effect\" : \"Allow\",\n\t\"Principal\": { \"AWS\": \"111122223333\" }, \"Action\": \"kms:*\", \"Resource\": \"*\", \"Sid\": \"two  spaces\" }";
        scene.hub.put_key_policy(&golden.key, &format!("{{ \"Statement\": {statement} }}")).await?;
        assert_eq!(scene.share(&golden.image, &b.id).await?, "shared with 1 account");
        let after = scene.hub.key_policy(&golden.key).await?;
        let compact = r#"{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"kms:*","Resource":"*","Sid":"two  spaces"}"#;
        assert!(after.starts_with(&format!("{{\"Statement\":[{compact},")), "{after}");
        Ok(())
    })
}

#[test]
fn a_key_that_another_image_needs_too_keeps_both_images_targets() -> Result<()> {
    flow(async |scene| {
        let (b, c) = (scene.member("b").await?, scene.member("c").await?);
        let golden = scene.golden("shared-key").await?;
        let second = scene.image_on("shared-key", &golden.key).await?;
        scene.share(&golden.image, &b.id).await?;
        scene.share(&second, &c.id).await?;
        let policy = scene.hub.key_policy(&golden.key).await?;
        assert!(admits(&policy, &b.id)? && admits(&policy, &c.id)?);
        assert_eq!(scene.hub.launch_permissions(&golden.image).await?, [b.id.as_str()]);
        assert_eq!(scene.hub.launch_permissions(&second).await?, [c.id.as_str()]);
        Ok(())
    })
}

#[test]
fn what_someone_put_over_our_statements_is_mended_at_the_next_look() -> Result<()> {
    flow(async |scene| {
        let b = scene.member("b").await?;
        let golden = scene.golden("overwritten").await?;
        let before = scene.hub.key_policy(&golden.key).await?;
        scene.share(&golden.image, &b.id).await?;
        let after = scene.hub.key_policy(&golden.key).await?;
        for spoilt in [before, after.replace("kms:DescribeKey", "kms:*")] {
            scene.hub.put_key_policy(&golden.key, &spoilt).await?;
            let (status, output) = scene.hub.look(&golden.image).await?;
            assert_eq!(status, "SUCCEEDED", "{output}");
            assert_eq!(ours(&scene.hub.key_policy(&golden.key).await?)?, for_accounts(&[&b.id]));
        }
        Ok(())
    })
}

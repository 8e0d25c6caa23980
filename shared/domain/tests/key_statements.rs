//! The managed statements in readable form, for one account, one OU and one organization.

use std::collections::BTreeSet;

use ami_share_domain::key::statements::statements_for;
use ami_share_domain::targets::target::KeyPrincipal;
use ami_share_testkit::ids::{id, ou, own_organization, top_path};
use serde_json::Value;

/// Statements with one line for each field.
fn readable(statements: &[Value]) -> String {
    let statements = statements.iter().map(|statement| {
        let fields = statement.as_object().into_iter().flatten();
        fields.map(|(name, value)| format!("{name:9} {value}")).collect::<Vec<_>>().join("\n")
    });
    statements.collect::<Vec<_>>().join("\n\n")
}

#[test]
fn six_statements_grant_access_to_one_account_one_ou_and_one_organization() {
    let principals = BTreeSet::from([
        KeyPrincipal::Account(id("222222222222")),
        KeyPrincipal::Path(top_path(&ou(7))),
        KeyPrincipal::Organization(own_organization()),
    ]);
    insta::assert_snapshot!(readable(&statements_for(&principals, "aws")), @r#"
    Sid       "AmiShareUseByAccounts"
    Effect    "Allow"
    Principal {"AWS":["arn:aws:iam::222222222222:root"]}
    Action    ["kms:Decrypt","kms:DescribeKey","kms:GenerateDataKeyWithoutPlaintext","kms:ReEncrypt*"]
    Resource  "*"

    Sid       "AmiShareGrantByAccounts"
    Effect    "Allow"
    Principal {"AWS":["arn:aws:iam::222222222222:root"]}
    Action    ["kms:CreateGrant"]
    Resource  "*"
    Condition {"Bool":{"kms:GrantIsForAWSResource":"true"}}

    Sid       "AmiShareUseByOrganizations"
    Effect    "Allow"
    Principal {"AWS":"*"}
    Action    ["kms:Decrypt","kms:DescribeKey","kms:GenerateDataKeyWithoutPlaintext","kms:ReEncrypt*"]
    Resource  "*"
    Condition {"StringEquals":{"aws:PrincipalOrgID":["o-a1b2c3d4e5"]}}

    Sid       "AmiShareGrantByOrganizations"
    Effect    "Allow"
    Principal {"AWS":"*"}
    Action    ["kms:CreateGrant"]
    Resource  "*"
    Condition {"StringEquals":{"aws:PrincipalOrgID":["o-a1b2c3d4e5"]},"Bool":{"kms:GrantIsForAWSResource":"true"}}

    Sid       "AmiShareUseByUnits"
    Effect    "Allow"
    Principal {"AWS":"*"}
    Action    ["kms:Decrypt","kms:DescribeKey","kms:GenerateDataKeyWithoutPlaintext","kms:ReEncrypt*"]
    Resource  "*"
    Condition {"ForAnyValue:StringLike":{"aws:PrincipalOrgPaths":["o-a1b2c3d4e5/r-ab12/ou-ab12-00000007/*"]}}

    Sid       "AmiShareGrantByUnits"
    Effect    "Allow"
    Principal {"AWS":"*"}
    Action    ["kms:CreateGrant"]
    Resource  "*"
    Condition {"ForAnyValue:StringLike":{"aws:PrincipalOrgPaths":["o-a1b2c3d4e5/r-ab12/ou-ab12-00000007/*"]},"Bool":{"kms:GrantIsForAWSResource":"true"}}
    "#);
}

#[test]
fn an_empty_set_of_principals_needs_no_statement() {
    assert!(statements_for(&BTreeSet::new(), "aws").is_empty());
}

#[test]
fn the_arn_of_an_account_lies_in_the_keys_partition() {
    let principals = BTreeSet::from([KeyPrincipal::Account(id("222222222222"))]);
    let statements = statements_for(&principals, "aws-us-gov");
    assert_eq!(statements[0]["Principal"]["AWS"][0], "arn:aws-us-gov:iam::222222222222:root");
}

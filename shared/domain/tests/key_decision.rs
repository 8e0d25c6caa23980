//! The decision on a key reports what was changed out of band in its policy, and records no revocation of what a changed
//! statement may still allow.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use std::collections::BTreeSet;

use ami_share_domain::key::access::{Access, KeyAccess};
use ami_share_domain::key::decision::KeyDecision;
use ami_share_domain::key::ledger::{KeyLedger, Need};
use ami_share_domain::key::policy::KeyPolicy;
use ami_share_domain::key::request::{KeyAction, KeyRequest};
use ami_share_domain::key::statements::{Granted, statements_for};
use ami_share_domain::targets::target::KeyPrincipal;
use ami_share_testkit::ids::{account, image_id, key};
use ami_share_testkit::policies::default_policy;
use serde_json::{Value, json};

fn principals(numbers: &[usize]) -> BTreeSet<KeyPrincipal> {
    numbers.iter().map(|number| KeyPrincipal::Account(account(*number))).collect()
}

fn decide(action: KeyAction, need: Need, policy: &KeyPolicy) -> KeyDecision {
    let targets: Vec<_> =
        need.principals.iter().map(|principal| json!({ "kind": "account", "id": principal })).collect();
    let request = json!({ "key": key(1), "image_id": image_id(1), "action": action, "targets": targets });
    let request: KeyRequest = serde_json::from_value(request).unwrap();
    let ledger = KeyLedger { needed_by: [(image_id(1), need)].into(), is_leased: false };
    KeyDecision::of(&request, &ledger, policy)
}

fn policy(granted: &Granted) -> KeyPolicy {
    let foreign = KeyPolicy::parse(&default_policy().written(&[])).unwrap();
    KeyPolicy::parse(&foreign.granting(granted, "aws")).unwrap()
}

#[test]
fn a_principal_that_only_one_statement_names_is_restored_if_needed_and_reported_if_unknown() {
    // 1 lost its right to create KMS grants out of band; 2 got the right to use the key, and 3 that to create grants.
    let policy = policy(&Granted { using: principals(&[1, 2]), granting: principals(&[3]) });
    let need = Need { principals: principals(&[1]), ..Need::default() };
    let decision = decide(KeyAction::Grant, need, &policy);
    assert_eq!(decision.unmanaged_in_part, principals(&[2, 3]));
    assert_eq!(decision.plan.added, principals(&[1]).into_iter().collect::<Vec<_>>());
    let expected = Granted { using: principals(&[1, 2]), granting: principals(&[1, 3]) };
    assert_eq!(decision.plan.granted, expected);
    assert_eq!(decision.staying(), principals(&[2, 3]));
}

#[test]
fn a_revocation_removes_a_principal_from_each_statement_and_leaves_unknown_ones() {
    let policy = policy(&Granted { using: principals(&[1, 2]), granting: principals(&[3]) });
    let need = Need { pending_revocation: principals(&[1]), ..Need::default() };
    let decision = decide(KeyAction::Revoke, need, &policy);
    assert_eq!(decision.plan.granted, Granted { using: principals(&[2]), granting: principals(&[3]) });
    assert_eq!(decision.not_revoked(), BTreeSet::new());
}

#[test]
fn a_changed_statement_that_still_names_a_revoked_principal_keeps_its_revocation_pending() {
    let own = statements_for(&principals(&[1, 2]), "aws");
    let changed = own[0].to_string().replace("kms:DescribeKey", "kms:*");
    let policy =
        json!({ "Statement": [serde_json::from_str::<serde_json::Value>(&changed).unwrap(), own[1]] });
    let policy = KeyPolicy::parse(&policy.to_string()).unwrap();
    let need =
        Need { principals: principals(&[2]), pending_revocation: principals(&[1, 3]), ..Need::default() };
    let decision = decide(KeyAction::Revoke, need, &policy);
    assert_eq!(decision.not_revoked(), principals(&[1]));
    assert_eq!(decision.plan.removed, principals(&[1]).into_iter().collect::<Vec<_>>());
}

/// The policy of a new key with one more statement.
fn policy_with(statement: &Value) -> KeyPolicy {
    let mut foreign = default_policy();
    foreign.statements.push(ami_share_testkit::json::Json::token(statement.to_string()));
    KeyPolicy::parse(&foreign.written(&[])).unwrap()
}

fn denial(condition: &Value) -> Value {
    json!({ "Sid": "OnlyOurAccounts", "Effect": "Deny", "Principal": "*", "Action": "kms:*", "Resource": "*",
        "Condition": condition })
}

#[test]
fn an_account_that_the_policy_denies_is_refused_before_anything_is_put_and_the_statement_is_named() {
    let policy = policy_with(&denial(&json!({ "StringNotEquals": { "kms:CallerAccount": account(1) } })));
    let need = Need { principals: principals(&[1, 2]), ..Need::default() };
    let decision = decide(KeyAction::Grant, need, &policy);
    assert_eq!(decision.plan.added, principals(&[1]).into_iter().collect::<Vec<_>>());
    let refused: Vec<(String, String)> = decision
        .denied
        .iter()
        .map(|denied| (denied.subject.to_string(), denied.reason.to_string()))
        .collect();
    let expected = "statement `OnlyOurAccounts` in the policy of key/00000001 denies this target kms:Decrypt, so it could not use the image; change the statement, then start a reconciliation, or remove the target from the tag";
    assert_eq!(refused, [("000000000002".to_owned(), expected.to_owned())]);
}

#[test]
fn a_denial_that_cannot_be_evaluated_or_does_not_concern_a_launch_refuses_no_account() {
    for condition in [
        json!({ "StringNotEquals": { "aws:PrincipalOrgID": "o-a1b2c3d4e5" } }),
        json!({ "Bool": { "aws:SecureTransport": "false" } }),
        json!({ "StringNotEquals": { "kms:ViaService": "ec2.eu-west-1.amazonaws.com" } }),
        json!({ "BoolIfExists": { "kms:GrantIsForAWSResource": "perhaps" } }),
    ] {
        let need = Need { principals: principals(&[1]), ..Need::default() };
        let decision = decide(KeyAction::Grant, need, &policy_with(&denial(&condition)));
        assert_eq!((decision.denied.len(), decision.plan.added.len()), (0, 1), "{condition}");
    }
}

#[test]
fn an_account_that_a_foreign_statement_allows_everything_needed_is_known() {
    let decide = |statement: &Value| KeyAccess::of(&key(1), &policy_with(statement)).decide(&account(1));
    let statement = |condition: Value| {
        json!({ "Sid": "OurAccounts", "Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*",
            "Condition": condition })
    };
    let Access::Allowed { by } =
        decide(&statement(json!({ "StringEquals": { "aws:PrincipalAccount": account(1) } })))
    else {
        panic!("allowed by the account")
    };
    assert_eq!(by.iter().map(ToString::to_string).collect::<Vec<_>>(), ["statement `OurAccounts`"]);
    let through_ec2 = json!({ "StringEquals": { "aws:PrincipalAccount": account(2) } });
    assert_eq!(decide(&statement(through_ec2)), Access::NotAllowed);
    let organization = json!({ "StringEquals": { "aws:PrincipalOrgID": "o-a1b2c3d4e5" } });
    assert_eq!(decide(&statement(organization)), Access::NotAllowed, "its organization is not known");
    let mut some_calls = statement(json!({}));
    some_calls["Action"] = json!(["kms:Decrypt", "kms:DescribeKey"]);
    assert_eq!(decide(&some_calls), Access::NotAllowed);
}

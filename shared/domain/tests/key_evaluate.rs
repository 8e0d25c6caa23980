//! The evaluator of key policies: it decides as the simulated AWS does, and shows that an edit of ami-share changes no
//! decision but those that were asked for.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use std::collections::{BTreeMap, BTreeSet};

use ami_share_domain::key::evaluate::{
    Context, ContextValue, Decision, Effect, Request, Requester, evaluate,
};
use ami_share_domain::key::policy::KeyPolicy;
use ami_share_domain::targets::target::KeyPrincipal;
use ami_share_testkit::calls::{self, Call};
use ami_share_testkit::fewer_cases;
use ami_share_testkit::ids::{account, id, key, key_principals};
use ami_share_testkit::policies::{foreign, meaningful};
use ami_share_testkit::world::Key;
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

/// The cases that `tests/simulated_aws_rules/kms/test_policy_evaluation.py` gives to the simulated AWS.
const CASES: &str = include_str!("../../../tests/policies/evaluation.json");

#[derive(Deserialize)]
struct Case {
    name: String,
    statements: Vec<Value>,
    requester: String,
    action: String,
    context: BTreeMap<String, Vec<String>>,
    decision: String,
    by: Option<String>,
}

fn policy(statements: &[Value]) -> KeyPolicy {
    KeyPolicy::parse(&json!({ "Version": "2012-10-17", "Statement": statements }).to_string()).unwrap()
}

fn role() -> Requester {
    Requester::Account {
        account: id("222222222222"),
        arn: Some("arn:aws:iam::222222222222:role/builder".to_owned()),
        session: Some("arn:aws:sts::222222222222:assumed-role/builder/session".to_owned()),
    }
}

fn kind(decision: &Decision) -> &'static str {
    match decision {
        Decision::Allowed { .. } => "allowed",
        Decision::Denied { .. } => "denied",
        Decision::NotAllowed => "not-allowed",
        Decision::Unknown { effect: Effect::Allow, .. } => "perhaps allowed",
        Decision::Unknown { effect: Effect::Deny, .. } => "perhaps denied",
    }
}

fn name(decision: &Decision) -> Option<String> {
    match decision {
        Decision::Allowed { by } | Decision::Denied { by } | Decision::Unknown { by, .. } => {
            Some(by.to_string())
        }
        Decision::NotAllowed => None,
    }
}

#[test]
fn it_decides_the_cases_of_the_simulated_aws() {
    let cases: Vec<Case> = serde_json::from_str(CASES).unwrap();
    assert!(cases.len() > 50);
    for case in cases {
        let requester = match case.requester.as_str() {
            "service" => Requester::Service("ec2.amazonaws.com".to_owned()),
            _ => role(),
        };
        let context = case.context.iter().fold(Context::empty(), |context, (key, values)| {
            context.with(key, ContextValue::Known(values.clone()))
        });
        let request = Request { key: key(1), requester, action: case.action, context };
        let decision = evaluate(&policy(&case.statements), &request);
        assert_eq!(kind(&decision), case.decision, "{}", case.name);
        if let Some(by) = case.by {
            assert_eq!(name(&decision), Some(format!("statement `{by}`")), "{}", case.name);
        }
    }
}

/// The decision on `kms:Decrypt` by an unspecified principal of account 222222222222, of whose call only the account is known.
fn decide(statements: &[Value]) -> Decision {
    let account = id("222222222222");
    let context = Context::unknown().with_one("aws:PrincipalAccount", &account);
    let requester = Requester::any_of(&account);
    evaluate(
        &policy(statements),
        &Request { key: key(1), requester, action: "kms:Decrypt".to_owned(), context },
    )
}

fn allow(field: &str, value: Value) -> Value {
    let mut statement = json!({ "Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*" });
    statement[field] = value;
    statement
}

#[test]
fn what_cannot_be_evaluated_is_unknown_and_not_no() {
    let account = "222222222222";
    for unknown in [
        allow("Principal", json!({ "AWS": format!("arn:aws:iam::{account}:role/builder") })),
        allow("Principal", json!({ "AWS": format!("arn:aws:sts::{account}:assumed-role/builder/x") })),
        allow("Principal", json!({ "Federated": "cognito-identity.amazonaws.com" })),
        allow("Principal", json!({ "AWS": "a text that is no ARN" })),
        allow("Principal", json!(7)),
        allow("NotAction", json!("kms:Put*")),
        allow("Action", json!([])),
        allow("Action", json!({ "kms:Decrypt": true })),
        allow("Resource", json!("arn:aws:kms:eu-west-1:111122223333:key/another")),
        allow("Condition", json!("none")),
        allow("Condition", json!({ "StringEquals": "none" })),
        allow("Condition", json!({ "StringEquals": { "aws:PrincipalOrgID": "o-a1b2c3d4e5" } })),
        allow("Condition", json!({ "Null": { "aws:PrincipalOrgID": "false" } })),
        allow("Condition", json!({ "NumericEquals": { "aws:PrincipalAccount": "222222222222" } })),
        allow("Condition", json!({ "DateGreaterThan": { "aws:CurrentTime": "2026-01-01T00:00:00Z" } })),
        allow("Condition", json!({ "StringEquals": { "aws:PrincipalAccount": "${aws:SourceAccount}" } })),
        allow("Condition", json!({ "OperatorOfTomorrow": { "aws:PrincipalAccount": account } })),
        allow("Condition", json!({ "ForMostValues:StringEquals": { "aws:PrincipalAccount": account } })),
        allow("Condition", json!({ "StringEquals": { "aws:PrincipalAccount": [] } })),
        allow("Condition", json!({ "StringEquals": { "aws:PrincipalAccount": [{}] } })),
    ] {
        let decision = decide(std::slice::from_ref(&unknown));
        assert_eq!(kind(&decision), "perhaps allowed", "{unknown}");
        assert_eq!(name(&decision).unwrap(), "statement 1");
        let mut denial = unknown.clone();
        denial["Effect"] = json!("Deny");
        denial["Sid"] = json!("Doubt");
        // With an Allow beside it, the Deny decides; without one, nothing is allowed whatever it says.
        let decision = decide(&[allow("Sid", json!("All")), denial.clone()]);
        assert_eq!(kind(&decision), "perhaps denied", "{denial}");
        assert_eq!(name(&decision).unwrap(), "statement `Doubt`");
        assert_eq!(decide(&[denial]), Decision::NotAllowed);
        // One element that does not match decides, whatever is unknown.
        let mut other = unknown;
        if other["Action"] == json!("kms:*") && other.get("NotAction").is_none() {
            other["Action"] = json!("kms:Encrypt");
            assert_eq!(decide(&[other]), Decision::NotAllowed);
        }
    }
    // The account's root in NotPrincipal excepts no role for certain.
    let excepting =
        json!({ "Effect": "Deny", "NotPrincipal": { "AWS": account }, "Action": "*", "Resource": "*" });
    assert_eq!(kind(&decide(&[allow("Sid", json!("All")), excepting])), "perhaps denied");
}

#[test]
fn a_statement_that_decides_alone_decides_beside_unknown_ones() {
    let unknown = allow("Condition", json!({ "Bool": { "aws:ViaAWSService": "true" } }));
    assert_eq!(kind(&decide(&[unknown.clone(), allow("Sid", json!("All"))])), "allowed");
    let mut denial = allow("Sid", json!("No"));
    denial["Effect"] = json!("Deny");
    assert_eq!(kind(&decide(&[unknown, denial])), "denied");
}

/// Whether ami-share was asked for what `request` asks, when it was asked to grant the key to `principals`.
fn is_asked_for(principals: &BTreeSet<KeyPrincipal>, call: &Call) -> bool {
    let is_of = |principal: &KeyPrincipal| match principal {
        KeyPrincipal::Account(id) => *id == call.account,
        KeyPrincipal::Organization(id) => call.organization.as_ref() == Some(id),
        KeyPrincipal::Path(path) => {
            let above = path.as_str().trim_end_matches('*');
            call.path.as_ref().is_some_and(|path| path.starts_with(above))
        }
    };
    let is_granted = match call.action {
        "kms:CreateGrant" => call.is_for_aws_resource == Some(true),
        action => call.uses_key() && action != "kms:CreateGrant",
    };
    is_granted && principals.iter().any(is_of)
}

proptest! {
    #![proptest_config(fewer_cases())]

    #[test]
    fn an_edit_changes_no_decision_that_was_not_asked_for(
        (foreign, call, actual, desired, revoked) in (
            prop_oneof![4 => meaningful(), 1 => foreign()],
            calls::calls(),
            calls::principals(),
            calls::principals(),
            calls::principals(),
        ),
    ) {
        let mut key = Key { policy: foreign.actual(&[]) };
        let without = evaluate(&key.read(), &call.request());
        key.grant(&actual);
        for is_grant in [true, false] {
            let before = evaluate(&key.read(), &call.request());
            let changed = if is_grant {
                let added = key.grant(&desired).added;
                added.into_iter().collect()
            } else {
                key.revoke(&revoked).removed.into_iter().collect()
            };
            let after = evaluate(&key.read(), &call.request());
            if !is_asked_for(&changed, &call) {
                prop_assert_eq!(kind(&before), kind(&after), "{:?}: {}", call, key.policy);
            }
            // What was granted is allowed wherever no statement of others may deny it.
            let granted = is_asked_for(&key.granted(), &call);
            let expected = match (kind(&without), granted) {
                ("not-allowed" | "perhaps allowed" | "allowed", true) => {
                    prop_assert!(matches!(kind(&after), "allowed" | "perhaps denied"), "{:?}", after);
                    prop_assert!(kind(&without) != "allowed" || kind(&after) == "allowed", "{:?}", after);
                    continue;
                }
                (same, _) => same,
            };
            prop_assert_eq!(kind(&after), expected, "{:?}: {}", call, key.policy);
        }
    }

    #[test]
    fn any_policy_is_evaluated_without_a_panic(foreign in foreign(), call in calls::calls()) {
        evaluate(&Key { policy: foreign.actual(&[]) }.read(), &call.request());
    }

    #[test]
    fn what_is_known_more_exactly_never_reverses_a_decision(
        foreign in meaningful(), call in calls::calls(), principal in key_principals(),
    ) {
        let mut key = Key { policy: foreign.actual(&[]) };
        key.grant(&BTreeSet::from([principal, KeyPrincipal::Account(account(1))]));
        let vague = evaluate(&key.read(), &call.vaguely().request());
        let exact = evaluate(&key.read(), &call.request());
        match kind(&vague) {
            certain @ ("allowed" | "denied") => prop_assert_eq!(kind(&exact), certain, "{:?}", call),
            // Where nothing allows the call, a Deny that is unknown is not reported.
            "not-allowed" => prop_assert!(matches!(kind(&exact), "not-allowed" | "denied"), "{:?}", call),
            _ => {}
        }
    }
}

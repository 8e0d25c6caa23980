//! The foreign part of a key policy stays unchanged, whatever its shape.

use std::collections::BTreeSet;

use ami_share_domain::key::policy::KeyPolicy;
use ami_share_domain::key::statements::{read_statements, statements_for};
use ami_share_domain::targets::target::KeyPrincipal;
use ami_share_testkit::fewer_cases;
use ami_share_testkit::ids::{key_principals, matching};
use ami_share_testkit::policies::{Foreign, as_stored, foreign, tamperings};
use ami_share_testkit::world::Key;
use proptest::prelude::*;
use serde_json::{Value, json};

fn principals() -> impl Strategy<Value = BTreeSet<KeyPrincipal>> {
    prop::collection::btree_set(key_principals(), 0..5)
}

fn managed(principals: &BTreeSet<KeyPrincipal>) -> Vec<Value> {
    statements_for(principals, "aws")
}

fn key(foreign: &Foreign, managed: &[Value]) -> Key {
    Key { policy: foreign.actual(managed) }
}

fn union(one: &BTreeSet<KeyPrincipal>, other: &BTreeSet<KeyPrincipal>) -> BTreeSet<KeyPrincipal> {
    one.union(other).cloned().collect()
}

proptest! {
    #![proptest_config(fewer_cases())]

    #[test]
    fn foreign_text_keeps_its_value_and_order(
        foreign in foreign(),
        actual in principals(),
        desired in principals(),
    ) {
        let mut key = key(&foreign, &managed(&actual));
        let plan = key.grant(&desired);
        match plan.document {
            Some(document) => prop_assert_eq!(document, foreign.written(&managed(&union(&actual, &desired)))),
            None => prop_assert!(desired.is_subset(&actual)),
        }
    }

    #[test]
    fn foreign_statements_are_read_unchanged(foreign in foreign(), actual in principals()) {
        let policy = key(&foreign, &managed(&actual)).read();
        let statements: Vec<String> = foreign.statements.iter().map(|statement| statement.compact()).collect();
        prop_assert_eq!(policy.foreign(), statements);
        prop_assert_eq!(read_statements(policy.managed(), "aws"), read_statements(&managed(&actual), "aws"));
    }

    #[test]
    fn managed_statements_parse_back_to_the_principals_they_were_written_for(actual in principals()) {
        let granted = read_statements(&managed(&actual), "aws");
        prop_assert_eq!(granted.principals, actual);
        prop_assert!(granted.is_exact);
    }

    #[test]
    fn managed_statements_that_aws_rewrote_are_still_recognised(
        foreign in foreign(),
        actual in principals(),
        rotation in 0..20_usize,
    ) {
        let stored = as_stored(&managed(&actual), rotation);
        let granted = read_statements(&stored, "aws");
        prop_assert!(granted.is_exact);
        prop_assert_eq!(&granted.principals, &actual);
        prop_assert_eq!(key(&foreign, &stored).plan(&actual).document, None);
    }

    #[test]
    fn no_managed_statement_grants_public_access_without_a_condition(actual in principals()) {
        for statement in managed(&actual) {
            prop_assert!(is_least_access(&statement), "{statement}");
        }
    }

    #[test]
    fn a_managed_statement_that_was_changed_out_of_band_is_rewritten(
        foreign in foreign(),
        actual in prop::collection::btree_set(key_principals(), 1..5),
        desired in principals(),
        place in any::<prop::sample::Index>(),
        tampering in tamperings(),
    ) {
        let mut statements = managed(&actual);
        let position = place.index(statements.len());
        let changed = tampering.to(&statements[position]);
        prop_assume!(changed != statements[position]);
        statements[position] = changed;
        let mut key = key(&foreign, &statements);
        key.grant(&desired);
        let policy = key.read();
        let granted = read_statements(policy.managed(), "aws");
        prop_assert!(granted.is_exact, "{:?}", policy.managed());
        prop_assert!(policy.managed().iter().all(is_least_access));
        prop_assert!(desired.is_subset(&granted.principals));
        prop_assert!(granted.principals.is_subset(&union(&actual, &desired)), "no other principal is granted");
    }

    #[test]
    fn arbitrary_text_never_panics(text in matching("\\PC{0,60}"), json in ami_share_testkit::json::values()) {
        let _ = KeyPolicy::parse(&text);
        let _ = KeyPolicy::parse(&json.compact());
        let _ = KeyPolicy::parse(&format!("{{\"Statement\":{}}}", json.compact()));
    }
}

/// Whether a statement is no wider than it must be in its principals, actions, conditions and resource.
fn is_least_access(statement: &Value) -> bool {
    let at = |pointer: &str| statement.pointer(pointer).unwrap_or(&Value::Null);
    let is_narrowed = |pointer: &str| {
        strings(at(pointer))
            .is_some_and(|values| !values.is_empty() && values.iter().all(|value| value.starts_with("o-")))
    };
    let names_a_principal = match at("/Principal/AWS") {
        Value::String(any) => {
            any == "*"
                && (is_narrowed("/Condition/StringEquals/aws:PrincipalOrgID")
                    || is_narrowed("/Condition/ForAnyValue:StringLike/aws:PrincipalOrgPaths"))
        }
        accounts => strings(accounts).is_some_and(|accounts| {
            accounts.iter().all(|arn| arn.starts_with("arn:aws:iam::") && arn.ends_with(":root"))
        }),
    };
    let is_for_use = *at("/Action")
        == json!(["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncrypt*"]);
    let is_for_grants = *at("/Action") == json!(["kms:CreateGrant"])
        && *at("/Condition/Bool") == json!({ "kms:GrantIsForAWSResource": "true" });
    names_a_principal && (is_for_use || is_for_grants) && *at("/Effect") == "Allow" && *at("/Resource") == "*"
}

/// The strings of a list that has no other items.
fn strings(value: &Value) -> Option<Vec<&str>> {
    value.as_array()?.iter().map(Value::as_str).collect()
}

#[test]
fn a_document_without_exactly_one_statement_element_is_not_a_policy() {
    for text in ["", "[]", "{}", "null", r#"{"Statement":[],"Statement":[]}"#, r#"{"Statement":[}"#] {
        assert!(KeyPolicy::parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_policy_that_cannot_be_read_in_full_is_refused_rather_than_shortened() {
    let number = r#"{"Statement":[{"Sid":"Far","Number":1e999}]}"#;
    let surrogate = r#"{"Statement":[{"Sid":"\ud800"}]}"#;
    let deep = format!(r#"{{"Statement":[{}{}]}}"#, "[".repeat(200), "]".repeat(200));
    for text in [number, surrogate, &deep] {
        assert!(KeyPolicy::parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_managed_sid_is_recognised_however_it_is_escaped_and_another_case_is_foreign() {
    let policy = KeyPolicy::parse(r#"{"Statement":[{"Sid":"\u0041miShareX"},{"Sid":"amiShareX"}]}"#).unwrap();
    assert_eq!(policy.managed(), [json!({ "Sid": "AmiShareX" })]);
    assert_eq!(policy.foreign(), [r#"{"Sid":"amiShareX"}"#]);
}

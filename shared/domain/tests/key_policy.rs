//! A key policy that other people wrote keeps every word of theirs, whatever shape it has.

use std::collections::BTreeSet;

use ami_share_domain::key_policy::KeyPolicy;
use ami_share_domain::key_statements::{KeyPrincipal, read_statements, statements_for};
use ami_share_testkit::fewer_cases;
use ami_share_testkit::ids::{key_principals, matching};
use ami_share_testkit::policies::{Foreign, as_stored, foreign, tamperings};
use ami_share_testkit::world::Key;
use proptest::prelude::*;
use serde_json::{Value, json};

fn principals() -> impl Strategy<Value = BTreeSet<KeyPrincipal>> {
    prop::collection::btree_set(key_principals(), 0..5)
}

fn ours(principals: &BTreeSet<KeyPrincipal>) -> Vec<Value> {
    statements_for(principals, "aws")
}

fn key(foreign: &Foreign, ours: &[Value]) -> Key {
    Key { policy: foreign.live(ours) }
}

fn union(one: &BTreeSet<KeyPrincipal>, other: &BTreeSet<KeyPrincipal>) -> BTreeSet<KeyPrincipal> {
    one.union(other).cloned().collect()
}

proptest! {
    #![proptest_config(fewer_cases())]

    #[test]
    fn foreign_text_keeps_its_value_and_order(
        foreign in foreign(),
        live in principals(),
        wanted in principals(),
    ) {
        let mut key = key(&foreign, &ours(&live));
        let plan = key.extend(&wanted);
        match plan.document {
            Some(document) => prop_assert_eq!(document, foreign.written(&ours(&union(&live, &wanted)))),
            None => prop_assert!(wanted.is_subset(&live)),
        }
    }

    #[test]
    fn foreign_statements_are_read_as_they_stand(foreign in foreign(), live in principals()) {
        let policy = key(&foreign, &ours(&live)).read();
        let statements: Vec<String> = foreign.statements.iter().map(|statement| statement.compact()).collect();
        prop_assert_eq!(policy.foreign(), statements);
        prop_assert_eq!(read_statements(policy.ours(), "aws"), read_statements(&ours(&live), "aws"));
    }

    #[test]
    fn whom_our_statements_admit_reads_back_as_it_was_written(live in principals()) {
        let admitted = read_statements(&ours(&live), "aws");
        prop_assert_eq!(admitted.principals, live);
        prop_assert!(admitted.is_exact);
    }

    #[test]
    fn what_aws_makes_of_our_statements_still_counts_as_ours(
        foreign in foreign(),
        live in principals(),
        turn in 0..20_usize,
    ) {
        let stored = as_stored(&ours(&live), turn);
        let admitted = read_statements(&stored, "aws");
        prop_assert!(admitted.is_exact);
        prop_assert_eq!(&admitted.principals, &live);
        prop_assert_eq!(key(&foreign, &stored).plan(&live).document, None);
    }

    #[test]
    fn no_statement_of_ours_admits_everybody_without_a_condition(live in principals()) {
        for statement in ours(&live) {
            prop_assert!(is_least_access(&statement), "{statement}");
        }
    }

    #[test]
    fn a_statement_of_ours_that_was_changed_by_hand_is_written_anew(
        foreign in foreign(),
        live in prop::collection::btree_set(key_principals(), 1..5),
        wanted in principals(),
        place in any::<prop::sample::Index>(),
        tampering in tamperings(),
    ) {
        let mut statements = ours(&live);
        let victim = place.index(statements.len());
        let changed = tampering.to(&statements[victim]);
        prop_assume!(changed != statements[victim]);
        statements[victim] = changed;
        let mut key = key(&foreign, &statements);
        key.extend(&wanted);
        let policy = key.read();
        let admitted = read_statements(policy.ours(), "aws");
        prop_assert!(admitted.is_exact, "{:?}", policy.ours());
        prop_assert!(policy.ours().iter().all(is_least_access));
        prop_assert!(wanted.is_subset(&admitted.principals));
        prop_assert!(admitted.principals.is_subset(&union(&live, &wanted)), "nobody new came in");
    }

    #[test]
    fn arbitrary_text_never_panics(text in matching("\\PC{0,60}"), json in ami_share_testkit::json::values()) {
        let _ = KeyPolicy::parse(&text);
        let _ = KeyPolicy::parse(&json.compact());
        let _ = KeyPolicy::parse(&format!("{{\"Statement\":{}}}", json.compact()));
    }
}

/// The four ways in which a statement could be wider than it must: whom, what, when and on what.
fn is_least_access(statement: &Value) -> bool {
    let at = |pointer: &str| statement.pointer(pointer).unwrap_or(&Value::Null);
    let is_narrowed = |pointer: &str| {
        strings(at(pointer))
            .is_some_and(|values| !values.is_empty() && values.iter().all(|value| value.starts_with("o-")))
    };
    let is_for_somebody = match at("/Principal/AWS") {
        Value::String(everybody) => {
            everybody == "*"
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
    is_for_somebody && (is_for_use || is_for_grants) && *at("/Effect") == "Allow" && *at("/Resource") == "*"
}

/// A list of nothing but strings.
fn strings(value: &Value) -> Option<Vec<&str>> {
    value.as_array()?.iter().map(Value::as_str).collect()
}

#[test]
fn a_document_without_exactly_one_statement_member_is_no_policy() {
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
fn our_sid_is_ours_however_it_is_escaped_and_another_case_is_not() {
    let policy = KeyPolicy::parse(r#"{"Statement":[{"Sid":"\u0041miShareX"},{"Sid":"amiShareX"}]}"#).unwrap();
    assert_eq!(policy.ours(), [json!({ "Sid": "AmiShareX" })]);
    assert_eq!(policy.foreign(), [r#"{"Sid":"amiShareX"}"#]);
}

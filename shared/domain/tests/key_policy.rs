//! The foreign part of a key policy stays unchanged, whatever its shape.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use std::collections::BTreeSet;

use ami_share_domain::key::policy::KeyPolicy;
use ami_share_domain::key::statements::{Granted, read_statements, statements_for};
use ami_share_domain::targets::target::KeyPrincipal;
use ami_share_testkit::fewer_cases;
use ami_share_testkit::ids::{account, key_principals, matching};
use ami_share_testkit::json::Json;
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
        prop_assert_eq!(policy.granted(), Granted::both(&actual));
    }

    #[test]
    fn managed_statements_parse_back_to_the_principals_they_were_written_for(actual in principals()) {
        prop_assert_eq!(read_statements(&managed(&actual)), Granted::both(&actual));
    }

    #[test]
    fn managed_statements_that_aws_rewrote_are_still_recognised(
        foreign in foreign(),
        actual in principals(),
        rotation in 0..20_usize,
    ) {
        let stored = as_stored(&managed(&actual), rotation);
        let key = key(&foreign, &stored);
        prop_assert!(key.read().is_exact("aws"));
        prop_assert_eq!(key.read().granted(), Granted::both(&actual));
        prop_assert_eq!(key.plan(&actual).document, None);
    }

    #[test]
    fn no_managed_statement_grants_public_access_without_a_condition(actual in principals()) {
        for statement in managed(&actual) {
            prop_assert!(is_least_access(&statement), "{statement}");
        }
    }

    #[test]
    fn a_statement_that_was_changed_out_of_band_stays_and_the_desired_access_stands_beside_it(
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
        statements[position] = changed.clone();
        let mut key = key(&foreign, &statements);
        let foreign_before = key.read().foreign().to_vec();
        prop_assert!(foreign_before.contains(&changed.to_string()));
        key.grant(&desired);
        let policy = key.read();
        prop_assert_eq!(policy.foreign().to_vec(), foreign_before.clone());
        prop_assert!(policy.is_exact("aws") || desired.is_empty(), "{:?}", policy.managed());
        prop_assert!(policy.managed().iter().all(is_least_access));
        prop_assert!(desired.is_subset(&key.granted()));
        prop_assert!(policy.granted().named().is_subset(&union(&actual, &desired)), "no other principal is granted");
        prop_assert_eq!(with_repeated_own_sid(&key.policy), BTreeSet::new());
        // Revoking everything leaves what others wrote, the changed statement included.
        key.revoke(&union(&actual, &desired));
        let policy = key.read();
        prop_assert_eq!(policy.foreign().to_vec(), foreign_before);
        prop_assert!(policy.managed().is_empty(), "{:?}", policy.managed());
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
fn a_statement_is_managed_only_with_a_sid_of_ami_share_and_its_form_however_it_is_escaped() {
    let own = managed(&BTreeSet::from([KeyPrincipal::Account(account(1))])).remove(0).to_string();
    for sid in ["\\u0041miShareUseByAccounts", "AmiShareUseByAccounts2", "AmiShareUseByAccounts17"] {
        let policy = KeyPolicy::parse(&statement_with_sid(&own, sid)).unwrap();
        assert_eq!((policy.managed().len(), policy.foreign().len()), (1, 0), "{sid}");
    }
    let similar = [
        "amiShareUseByAccounts",
        "AmiShareForOurTeam",
        "AmiShare",
        "AmiShareUseByAccountsOfOurTeam",
        "AmiShareUseByAccounts1",
        "AmiShareUseByAccounts02",
        "AmiShareUseByUnits",
        "AmiShareGrantByAccounts",
    ];
    for sid in similar {
        let document = statement_with_sid(&own, sid);
        let mut key = Key { policy: document.clone() };
        key.grant(&BTreeSet::from([KeyPrincipal::Account(account(2))]));
        key.revoke(&BTreeSet::from([1, 2].map(|number| KeyPrincipal::Account(account(number)))));
        assert_eq!(key.policy, document);
    }
}

fn statement_with_sid(own: &str, sid: &str) -> String {
    format!("{{\"Statement\":[{}]}}", own.replace("AmiShareUseByAccounts", sid))
}

#[test]
fn a_statement_changed_out_of_band_that_may_still_allow_a_principal_is_known() {
    let both = BTreeSet::from([1, 2].map(|number| KeyPrincipal::Account(account(number))));
    let changed = managed(&both)[0].to_string().replace("kms:DescribeKey", "kms:*");
    let policy = KeyPolicy::parse(&format!("{{\"Statement\":[{changed}]}}")).unwrap();
    let found = policy.changed_out_of_band();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].0.to_string(), "statement `AmiShareUseByAccounts`");
    assert_eq!(found[0].1, both);
}

proptest! {
    #![proptest_config(fewer_cases())]

    /// A principal that was added to one kind of statement out of band, and that the ledger does not know, is neither carried into
    /// the other kind nor removed.
    #[test]
    fn whoever_was_added_to_one_statement_out_of_band_is_never_carried_into_the_other(
        foreign in foreign(),
        (actual, using, granting) in (principals(), principals(), principals()),
        (desired, revoked) in (principals(), principals()),
    ) {
        let both = Granted::both(&actual);
        let drifted = Granted { using: &both.using | &using, granting: &both.granting | &granting };
        let mut key = Key { policy: foreign.actual(&[]) };
        key.policy = key.read().granting(&drifted, "aws");
        key.grant(&desired);
        prop_assert_eq!(key.read().granted(), drifted.with(&desired));
        key.revoke(&revoked);
        prop_assert_eq!(key.read().granted(), drifted.with(&desired).without(&revoked));
    }
}

proptest! {
    #![proptest_config(fewer_cases())]

    #[test]
    fn what_aws_reorders_is_the_same_policy_and_any_other_edit_is_not(
        foreign in foreign(), actual in principals(), other in principals(), order in 0..20_usize,
    ) {
        let policy = key(&foreign, &managed(&actual)).read();
        prop_assert!(policy.is_same(&key(&foreign, &as_stored(&managed(&actual), order)).read()));
        prop_assert_eq!(policy.is_same(&key(&foreign, &managed(&other)).read()), actual == other);
        let mut edited = foreign.clone();
        edited.statements.push(Json::token(r#"{"Sid":"An edit"}"#));
        prop_assert!(!policy.is_same(&key(&edited, &managed(&actual)).read()));
    }
}

/// The Sids of managed statements that more than one statement of a policy has.
fn with_repeated_own_sid(policy: &str) -> BTreeSet<String> {
    let policy: Value = serde_json::from_str(policy).unwrap();
    let statements = policy["Statement"].as_array().cloned().unwrap_or_default();
    let sids = statements.iter().filter_map(|statement| statement["Sid"].as_str());
    let sids: Vec<&str> = sids.filter(|sid| sid.starts_with("AmiShare")).collect();
    let is_repeated = |sid: &&&str| sids.iter().filter(|other| other == sid).count() > 1;
    sids.iter().filter(is_repeated).map(ToString::to_string).collect()
}

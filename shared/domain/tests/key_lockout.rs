//! No lock-out: a policy is put only if a foreign statement keeps the caller's right to change it.

use ami_share_domain::key::evaluate::Caller;
use ami_share_domain::key::lockout::refuse_lock_out;
use ami_share_testkit::ids::{HUB, hub, key, matching};
use ami_share_testkit::policies::{default_policy, foreign, root_statement};
use ami_share_testkit::world::Key;
use proptest::prelude::*;
use serde_json::{Value, json};

fn caller() -> Caller {
    Caller::from_arn(hub(), &format!("arn:aws:sts::{HUB}:assumed-role/extend-key-policy/run"))
}

fn locks_out(policy: &str) -> bool {
    let key_policy = Key { policy: policy.to_owned() }.read();
    refuse_lock_out(&key(1), &key_policy, &caller()).is_some()
}

/// The policy of a new key with one field of its statement replaced.
fn with(field: &str, value: Value) -> String {
    let mut statement = root_statement();
    statement.as_object_mut().into_iter().for_each(|fields| {
        fields.insert(field.to_owned(), value.clone());
    });
    json!({ "Statement": [statement] }).to_string()
}

proptest! {
    #[test]
    fn a_statement_for_the_account_root_proves_access_whatever_other_statements_exist(mut foreign in foreign()) {
        foreign.statements.extend(default_policy().statements);
        prop_assert!(!locks_out(&foreign.actual(&[])));
    }

    #[test]
    fn a_managed_statement_never_proves_that_the_caller_keeps_access(sid in matching("AmiShare[A-Za-z]{0,8}")) {
        prop_assert!(locks_out(&with("Sid", json!(sid))));
    }

    #[test]
    fn an_action_pattern_of_any_shape_is_answered(pattern in matching("[kms:*?Puteyolic]{0,60}")) {
        locks_out(&with("Action", json!(pattern)));
    }
}

#[test]
fn statements_that_are_hard_to_read_prove_nothing() {
    assert!(!locks_out(&with("Sid", json!("Root"))));
    assert!(locks_out(&with("Effect", json!("Deny"))));
    assert!(locks_out(&with("Condition", json!({ "Bool": { "aws:MultiFactorAuthPresent": "true" } }))));
    assert!(locks_out(&with("Principal", json!({ "AWS": "arn:aws:iam::222222222222:root" }))));
    assert!(locks_out(&with(
        "Principal",
        json!({ "AWS": format!("arn:aws:iam::{HUB}:role/extend-key-policy2") })
    )));
    assert!(locks_out(&with("Action", json!(["kms:Get*", "kms:List*"]))));
}

#[test]
fn a_pattern_of_many_stars_is_answered_at_once() {
    let stars = "*".repeat(60);
    assert!(!locks_out(&with("Action", json!(format!("kms:{stars}y")))));
    assert!(locks_out(&with("Action", json!(format!("kms:{stars}x")))));
}

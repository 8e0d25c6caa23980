//! The decision on a key reports what was changed out of band in its policy, and records no revocation of what a changed
//! statement may still allow.

use std::collections::BTreeSet;

use ami_share_domain::key::decision::KeyDecision;
use ami_share_domain::key::ledger::{KeyLedger, Need};
use ami_share_domain::key::policy::KeyPolicy;
use ami_share_domain::key::request::{KeyAction, KeyRequest};
use ami_share_domain::key::statements::{Granted, statements_for};
use ami_share_domain::targets::target::KeyPrincipal;
use ami_share_testkit::ids::{account, image_id, key};
use ami_share_testkit::policies::default_policy;
use serde_json::json;

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

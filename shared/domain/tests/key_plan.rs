//! The plan of a key policy: it converges, a grant removes no principal, and no policy exceeds the size limit.

use std::collections::BTreeSet;

use ami_share_domain::key::policy::SIZE_LIMIT;
use ami_share_domain::key::statements::{Granted, statements_for};
use ami_share_domain::targets::target::KeyPrincipal;
use ami_share_testkit::fewer_cases;
use ami_share_testkit::ids::{account, key_principals};
use ami_share_testkit::policies::{Foreign, crowded_policy, default_policy, foreign};
use ami_share_testkit::world::Key;
use proptest::prelude::*;

fn principals() -> impl Strategy<Value = BTreeSet<KeyPrincipal>> {
    prop::collection::btree_set(key_principals(), 0..5)
}

fn key(foreign: &Foreign, actual: &BTreeSet<KeyPrincipal>) -> Key {
    Key { policy: foreign.actual(&statements_for(actual, "aws")) }
}

fn who(key: &Key) -> BTreeSet<KeyPrincipal> {
    key.granted()
}

fn union(one: &BTreeSet<KeyPrincipal>, other: &BTreeSet<KeyPrincipal>) -> BTreeSet<KeyPrincipal> {
    one.union(other).cloned().collect()
}

/// `count` accounts, starting with number `first`.
fn accounts(first: usize, count: usize) -> BTreeSet<KeyPrincipal> {
    (first..first + count).map(|number| KeyPrincipal::Account(account(number))).collect()
}

proptest! {
    #![proptest_config(fewer_cases())]

    #[test]
    fn a_plan_that_was_applied_makes_the_next_one_empty(
        foreign in foreign(),
        actual in principals(),
        desired in principals(),
    ) {
        let mut key = key(&foreign, &actual);
        let first = key.grant(&desired);
        let added: BTreeSet<KeyPrincipal> = first.added.into_iter().collect();
        prop_assert_eq!(added, desired.difference(&actual).cloned().collect());
        let second = key.plan(&desired);
        prop_assert_eq!(second.document, None);
        prop_assert_eq!(second.added, []);
        prop_assert_eq!(second.no_room, []);
    }

    #[test]
    fn a_key_grant_keeps_the_existing_principals_and_adds_exactly_the_desired_ones(
        foreign in foreign(),
        actual in principals(),
        desired in principals(),
    ) {
        let mut key = key(&foreign, &actual);
        key.grant(&desired);
        prop_assert_eq!(who(&key), union(&actual, &desired));
    }

    #[test]
    fn two_key_grants_give_the_same_in_either_order_and_at_once(
        foreign in foreign(),
        actual in principals(),
        one in principals(),
        other in principals(),
    ) {
        let start = key(&foreign, &actual);
        let run = |requests: &[&BTreeSet<KeyPrincipal>]| {
            let mut key = start.clone();
            for desired in requests {
                key.grant(desired);
            }
            who(&key)
        };
        let at_once = run(&[&union(&one, &other)]);
        prop_assert_eq!(run(&[&one, &other]), at_once.clone());
        prop_assert_eq!(run(&[&other, &one]), at_once);
    }

    #[test]
    fn an_interruption_before_or_after_the_put_and_a_new_plan_give_the_same_policy(
        foreign in foreign(),
        actual in principals(),
        desired in principals(),
        was_put in prop::collection::vec(any::<bool>(), 0..4),
    ) {
        let mut straight = key(&foreign, &actual);
        straight.grant(&desired);
        let mut stopped = key(&foreign, &actual);
        for was_put in was_put {
            let plan = stopped.plan(&desired);
            if was_put {
                stopped.apply(&plan);
            }
        }
        stopped.grant(&desired);
        prop_assert_eq!(stopped, straight);
    }

    #[test]
    fn a_key_grant_removes_no_principal_and_a_revocation_only_the_pending_ones(
        foreign in foreign(),
        actual in principals(),
        others in principals(),
        places in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let mut key = key(&foreign, &actual);
        let foreign_before = key.read().foreign().to_vec();
        let granted: Vec<&KeyPrincipal> = actual.iter().collect();
        let some = places.iter().filter(|_| !granted.is_empty()).map(|place| (*place.get(&granted)).clone());
        let pending_revocation: BTreeSet<KeyPrincipal> = some.chain(others.clone()).collect();
        let plan = key.revoke(&pending_revocation);
        prop_assert_eq!(who(&key), &actual - &pending_revocation);
        prop_assert_eq!(plan.removed.into_iter().collect::<BTreeSet<_>>(), &actual & &pending_revocation);
        prop_assert_eq!((plan.added, plan.no_room), (vec![], vec![]));
        prop_assert_eq!(key.revoke(&pending_revocation).document, None);
        let plan = key.grant(&others);
        prop_assert_eq!(plan.removed, []);
        prop_assert_eq!(who(&key), union(&(&actual - &pending_revocation), &others));
        let foreign_after = key.read().foreign().to_vec();
        prop_assert_eq!(foreign_after, foreign_before);
    }

    #[test]
    fn revoking_everything_granted_restores_the_policy_to_the_letter(
        foreign in foreign(), desired in principals(), is_at_once in any::<bool>(),
    ) {
        let mut key = Key { policy: foreign.written(&[]) };
        key.grant(&desired);
        if is_at_once {
            key.revoke(&desired);
        } else {
            desired.iter().for_each(|principal| _ = key.revoke(&BTreeSet::from([principal.clone()])));
        }
        prop_assert_eq!(key.policy, foreign.written(&[]));
    }

    #[test]
    fn access_can_always_be_revoked_from_a_full_policy(room in 400..2_000_usize, pending_revocation in 1..4_usize) {
        let mut key = Key { policy: crowded_policy(room).written(&[]) };
        let granted: BTreeSet<KeyPrincipal> = key.grant(&accounts(1, 60)).added.into_iter().collect();
        let pending_revocation: BTreeSet<KeyPrincipal> = granted.iter().take(pending_revocation).cloned().collect();
        key.revoke(&pending_revocation);
        prop_assert_eq!(who(&key), &granted - &pending_revocation);
    }

    #[test]
    fn a_policy_for_chosen_principals_grants_access_to_exactly_them(
        foreign in foreign(),
        actual in principals(),
        chosen in principals(),
    ) {
        let policy = key(&foreign, &actual).read().granting(&Granted::both(&chosen), "aws");
        prop_assert_eq!(&policy, &foreign.written(&statements_for(&chosen, "aws")));
        prop_assert_eq!(who(&Key { policy }), chosen);
    }
}

proptest! {
    #![proptest_config(fewer_cases())]

    #[test]
    fn no_policy_exceeds_the_size_limit_and_no_principal_loses_access(
        room in 0..4_000_usize,
        actual in prop::collection::btree_set(key_principals(), 0..4),
        desired in prop::collection::btree_set(key_principals(), 0..40),
        lost in prop::option::of(any::<prop::sample::Index>()),
    ) {
        // One managed statement may have been removed out of band; restoring it needs room, too.
        let mut statements = statements_for(&actual, "aws");
        if let (Some(lost), false) = (lost, statements.is_empty()) {
            statements.remove(lost.index(statements.len()));
        }
        let managed: usize = statements.iter().map(|statement| statement.to_string().len() + 1).sum();
        prop_assume!(managed <= room);
        let mut key = Key { policy: crowded_policy(room).actual(&statements) };
        prop_assert!(key.policy.len() <= SIZE_LIMIT);
        let before = who(&key);
        let plan = key.grant(&desired);
        prop_assert!(key.policy.len() <= SIZE_LIMIT, "{} bytes", key.policy.len());
        prop_assert!(before.is_subset(&who(&key)));
        let planned: BTreeSet<KeyPrincipal> = plan.added.iter().chain(&plan.no_room).cloned().collect();
        prop_assert_eq!(planned, desired.difference(&before).cloned().collect());
        prop_assert_eq!(who(&key), before.into_iter().chain(plan.added).collect());
        if plan.document.is_some() {
            prop_assert_eq!(plan.bytes, key.policy.len());
        }
        prop_assert_eq!(key.plan(&desired).added, []);
    }
}

#[test]
fn a_new_key_grants_as_many_of_six_hundred_accounts_as_fit_and_names_the_rest() {
    let desired = accounts(1, 600);
    let mut key = key(&default_policy(), &BTreeSet::new());
    let plan = key.grant(&desired);
    assert_eq!(plan.added.len() + plan.no_room.len(), 600);
    assert!(plan.added.len() > 300, "{} fit", plan.added.len());
    assert!(key.policy.len() <= SIZE_LIMIT);
    let one_more: BTreeSet<KeyPrincipal> = plan.added.iter().chain(plan.no_room.first()).cloned().collect();
    let too_large = key.read().granting(&Granted::both(&one_more), "aws");
    assert!(too_large.len() > SIZE_LIMIT);
}

#[test]
fn a_full_policy_still_accepts_the_principals_that_it_already_grants() {
    let mut key = key(&default_policy(), &BTreeSet::new());
    let granted: BTreeSet<KeyPrincipal> = key.grant(&accounts(1_000, 600)).added.into_iter().collect();
    let late = key.plan(&accounts(1, 1));
    assert_eq!((late.document, late.added, late.no_room.len()), (None, vec![], 1));
    let known = key.plan(&granted);
    assert_eq!((known.document, known.no_room), (None, vec![]));
}

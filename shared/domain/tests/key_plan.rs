//! Extending a key policy: it converges, never drops anybody, never outgrows the limit.

use std::collections::BTreeSet;

use ami_share_domain::key_plan::{admitted, admitting};
use ami_share_domain::key_policy::SIZE_LIMIT;
use ami_share_domain::key_statements::{KeyPrincipal, statements_for};
use ami_share_testkit::fewer_cases;
use ami_share_testkit::ids::{account, key_principals};
use ami_share_testkit::policies::{Foreign, crowded_policy, default_policy, foreign};
use ami_share_testkit::world::Key;
use proptest::prelude::*;

fn principals() -> impl Strategy<Value = BTreeSet<KeyPrincipal>> {
    prop::collection::btree_set(key_principals(), 0..5)
}

fn key(foreign: &Foreign, live: &BTreeSet<KeyPrincipal>) -> Key {
    Key { policy: foreign.live(&statements_for(live, "aws")) }
}

fn who(key: &Key) -> BTreeSet<KeyPrincipal> {
    admitted(&key.read(), "aws")
}

fn union(one: &BTreeSet<KeyPrincipal>, other: &BTreeSet<KeyPrincipal>) -> BTreeSet<KeyPrincipal> {
    one.union(other).cloned().collect()
}

/// `count` accounts from `first` on.
fn accounts(first: usize, count: usize) -> BTreeSet<KeyPrincipal> {
    (first..first + count).map(|number| KeyPrincipal::Account(account(number))).collect()
}

proptest! {
    #![proptest_config(fewer_cases())]

    #[test]
    fn a_plan_that_was_applied_makes_the_next_one_empty(
        foreign in foreign(),
        live in principals(),
        wanted in principals(),
    ) {
        let mut key = key(&foreign, &live);
        let first = key.extend(&wanted);
        let added: BTreeSet<KeyPrincipal> = first.added.into_iter().collect();
        prop_assert_eq!(added, wanted.difference(&live).cloned().collect());
        let second = key.plan(&wanted);
        prop_assert_eq!(second.document, None);
        prop_assert_eq!(second.added, []);
        prop_assert_eq!(second.no_room, []);
    }

    #[test]
    fn exactly_those_who_were_admitted_and_those_who_are_wanted_are_admitted(
        foreign in foreign(),
        live in principals(),
        wanted in principals(),
    ) {
        let mut key = key(&foreign, &live);
        key.extend(&wanted);
        prop_assert_eq!(who(&key), union(&live, &wanted));
    }

    #[test]
    fn two_extensions_give_the_same_in_either_order_as_at_once(
        foreign in foreign(),
        live in principals(),
        one in principals(),
        other in principals(),
    ) {
        let start = key(&foreign, &live);
        let run = |turns: &[&BTreeSet<KeyPrincipal>]| {
            let mut key = start.clone();
            for wanted in turns {
                key.extend(wanted);
            }
            who(&key)
        };
        let at_once = run(&[&union(&one, &other)]);
        prop_assert_eq!(run(&[&one, &other]), at_once.clone());
        prop_assert_eq!(run(&[&other, &one]), at_once);
    }

    #[test]
    fn dying_before_or_after_the_put_and_planning_again_gives_the_same(
        foreign in foreign(),
        live in principals(),
        wanted in principals(),
        was_put in prop::collection::vec(any::<bool>(), 0..4),
    ) {
        let mut straight = key(&foreign, &live);
        straight.extend(&wanted);
        let mut stopped = key(&foreign, &live);
        for was_put in was_put {
            let plan = stopped.plan(&wanted);
            if was_put {
                stopped.apply(&plan);
            }
        }
        stopped.extend(&wanted);
        prop_assert_eq!(stopped, straight);
    }

    #[test]
    fn extending_takes_nobody_out_and_retracting_nobody_whom_leaving_does_not_name(
        foreign in foreign(),
        live in principals(),
        others in principals(),
        places in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let mut key = key(&foreign, &live);
        let foreign_before = key.read().foreign().to_vec();
        let admitted: Vec<&KeyPrincipal> = live.iter().collect();
        let some = places.iter().filter(|_| !admitted.is_empty()).map(|place| (*place.get(&admitted)).clone());
        let leaving: BTreeSet<KeyPrincipal> = some.chain(others.clone()).collect();
        let plan = key.retract(&leaving);
        prop_assert_eq!(who(&key), &live - &leaving);
        prop_assert_eq!(plan.removed.into_iter().collect::<BTreeSet<_>>(), &live & &leaving);
        prop_assert_eq!((plan.added, plan.no_room), (vec![], vec![]));
        prop_assert_eq!(key.retract(&leaving).document, None);
        let plan = key.extend(&others);
        prop_assert_eq!(plan.removed, []);
        prop_assert_eq!(who(&key), union(&(&live - &leaving), &others));
        let foreign_after = key.read().foreign().to_vec();
        prop_assert_eq!(foreign_after, foreign_before);
    }

    #[test]
    fn taking_out_all_that_was_let_in_gives_back_the_policy_to_the_letter(
        foreign in foreign(), wanted in principals(), is_at_once in any::<bool>(),
    ) {
        let mut key = Key { policy: foreign.written(&[]) };
        key.extend(&wanted);
        if is_at_once {
            key.retract(&wanted);
        } else {
            wanted.iter().for_each(|principal| _ = key.retract(&BTreeSet::from([principal.clone()])));
        }
        prop_assert_eq!(key.policy, foreign.written(&[]));
    }

    #[test]
    fn a_full_policy_can_always_let_go(room in 400..2_000_usize, leaving in 1..4_usize) {
        let mut key = Key { policy: crowded_policy(room).written(&[]) };
        let admitted: BTreeSet<KeyPrincipal> = key.extend(&accounts(1, 60)).added.into_iter().collect();
        let leaving: BTreeSet<KeyPrincipal> = admitted.iter().take(leaving).cloned().collect();
        key.retract(&leaving);
        prop_assert_eq!(who(&key), &admitted - &leaving);
    }

    #[test]
    fn a_policy_for_chosen_principals_admits_them_and_nobody_else(
        foreign in foreign(),
        live in principals(),
        chosen in principals(),
    ) {
        let list: Vec<KeyPrincipal> = chosen.iter().cloned().collect();
        let policy = admitting(&key(&foreign, &live).read(), &list, "aws");
        prop_assert_eq!(&policy, &foreign.written(&statements_for(&chosen, "aws")));
        prop_assert_eq!(who(&Key { policy }), chosen);
    }
}

proptest! {
    #![proptest_config(fewer_cases())]

    #[test]
    fn no_policy_ever_outgrows_the_limit_and_nobody_loses_access(
        room in 0..4_000_usize,
        live in prop::collection::btree_set(key_principals(), 0..4),
        wanted in prop::collection::btree_set(key_principals(), 0..40),
        lost in prop::option::of(any::<prop::sample::Index>()),
    ) {
        // Somebody may have removed one of our statements; writing it again needs room, too.
        let mut statements = statements_for(&live, "aws");
        if let (Some(lost), false) = (lost, statements.is_empty()) {
            statements.remove(lost.index(statements.len()));
        }
        let ours: usize = statements.iter().map(|statement| statement.to_string().len() + 1).sum();
        prop_assume!(ours <= room);
        let mut key = Key { policy: crowded_policy(room).live(&statements) };
        prop_assert!(key.policy.len() <= SIZE_LIMIT);
        let before = who(&key);
        let plan = key.extend(&wanted);
        prop_assert!(key.policy.len() <= SIZE_LIMIT, "{} bytes", key.policy.len());
        prop_assert!(before.is_subset(&who(&key)));
        let told: BTreeSet<KeyPrincipal> = plan.added.iter().chain(&plan.no_room).cloned().collect();
        prop_assert_eq!(told, wanted.difference(&before).cloned().collect());
        prop_assert_eq!(who(&key), before.into_iter().chain(plan.added).collect());
        if plan.document.is_some() {
            prop_assert_eq!(plan.bytes, key.policy.len());
        }
        prop_assert_eq!(key.plan(&wanted).added, []);
    }
}

#[test]
fn of_six_hundred_accounts_a_new_key_admits_as_many_as_fit_and_names_the_rest() {
    let wanted = accounts(1, 600);
    let mut key = key(&default_policy(), &BTreeSet::new());
    let plan = key.extend(&wanted);
    assert_eq!(plan.added.len() + plan.no_room.len(), 600);
    assert!(plan.added.len() > 300, "{} fit", plan.added.len());
    assert!(key.policy.len() <= SIZE_LIMIT);
    let one_more: BTreeSet<KeyPrincipal> = plan.added.iter().chain(plan.no_room.first()).cloned().collect();
    let too_large = admitting(&key.read(), &one_more.into_iter().collect::<Vec<_>>(), "aws");
    assert!(too_large.len() > SIZE_LIMIT);
}

#[test]
fn a_full_policy_still_answers_those_it_admits() {
    let mut key = key(&default_policy(), &BTreeSet::new());
    let admitted: BTreeSet<KeyPrincipal> = key.extend(&accounts(1_000, 600)).added.into_iter().collect();
    let late = key.plan(&accounts(1, 1));
    assert_eq!((late.document, late.added, late.no_room.len()), (None, vec![], 1));
    let known = key.plan(&admitted);
    assert_eq!((known.document, known.no_room), (None, vec![]));
}

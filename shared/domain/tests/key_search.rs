//! The search for the principals that KMS rejects ends within a stated number of puts, and with the right policy in force.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use std::collections::BTreeSet;

use ami_share_domain::key::search::{MAXIMUM_PUTS, PrincipalSearch, SearchResult};
use ami_share_domain::targets::target::KeyPrincipal;
use ami_share_testkit::ids::account;
use proptest::prelude::*;

/// A key whose policy KMS rejects when it names a bad principal, or whatever it names.
struct Kms {
    bad: BTreeSet<KeyPrincipal>,
    is_broken: bool,
    in_force: BTreeSet<KeyPrincipal>,
    puts: usize,
}

impl Kms {
    fn put(&mut self, principals: BTreeSet<KeyPrincipal>) -> bool {
        self.puts += 1;
        let is_accepted = !self.is_broken && principals.is_disjoint(&self.bad);
        if is_accepted {
            self.in_force = principals;
        }
        is_accepted
    }
}

/// Puts `staying` and `added`, and searches if KMS rejects that; `None` when it accepts it.
fn search(
    kms: &mut Kms,
    staying: &BTreeSet<KeyPrincipal>,
    added: &BTreeSet<KeyPrincipal>,
) -> Option<SearchResult> {
    kms.in_force.clone_from(staying);
    if kms.put(staying | added) {
        return None;
    }
    let mut search = PrincipalSearch::new(staying, &added.iter().cloned().collect::<Vec<_>>());
    while let Some(principals) = search.next_put() {
        let is_accepted = kms.put(principals);
        search.answer(is_accepted);
    }
    Some(search.finish())
}

fn principals(numbers: impl IntoIterator<Item = usize>) -> BTreeSet<KeyPrincipal> {
    numbers.into_iter().map(|number| KeyPrincipal::Account(account(number))).collect()
}

fn kms(bad: BTreeSet<KeyPrincipal>) -> Kms {
    Kms { bad, is_broken: false, in_force: BTreeSet::new(), puts: 0 }
}

fn numbers(count: usize, most: usize) -> impl Strategy<Value = BTreeSet<usize>> {
    prop::collection::btree_set(0..count, 0..most)
}

proptest! {
    #[test]
    fn exactly_the_bad_principals_are_found_within_the_bound(
        (staying, added, bad) in (numbers(480, 300), numbers(480, 300), numbers(480, 12)),
    ) {
        let (staying, bad) = (principals(staying), principals(bad));
        let added = &principals(added) - &staying;
        let all = &staying | &added;
        let mut kms = kms(bad.clone());
        let result = search(&mut kms, &staying, &added);
        prop_assert!(kms.puts <= MAXIMUM_PUTS, "{} puts", kms.puts);
        match result {
            None => prop_assert!(all.is_disjoint(&bad)),
            Some(SearchResult::Broken) => prop_assert!(false, "the foreign part is not at fault"),
            Some(SearchResult::Found { accepted, rejected, untried }) => {
                let (rejected, untried): (BTreeSet<_>, BTreeSet<_>) =
                    (rejected.into_iter().collect(), untried.into_iter().collect());
                prop_assert_eq!(&kms.in_force, &accepted);
                prop_assert!(rejected.is_subset(&bad) && accepted.is_disjoint(&bad));
                prop_assert_eq!(&(&accepted | &rejected) | &untried, all);
                if kms.puts < MAXIMUM_PUTS {
                    prop_assert_eq!(untried, BTreeSet::new());
                }
            }
        }
    }

    #[test]
    fn a_broken_foreign_part_costs_few_puts_and_leaves_what_stands(
        (staying, added) in (numbers(480, 300), numbers(480, 300)),
    ) {
        let staying = principals(staying);
        let added = &principals(added) - &staying;
        let mut kms = Kms { is_broken: true, ..kms(BTreeSet::new()) };
        let result = search(&mut kms, &staying, &added);
        let is_empty = staying.is_empty() && added.is_empty();
        prop_assert!(is_empty || result == Some(SearchResult::Broken), "{result:?}");
        prop_assert_eq!(&kms.in_force, &staying);
        // The policy, the policy as it stands, the halves down to one principal, and the foreign part alone.
        let halves = (staying.len() + added.len()).next_power_of_two().ilog2() as usize;
        prop_assert!(kms.puts <= 3 + halves, "{} puts", kms.puts);
    }
}

#[test]
fn new_principals_are_searched_without_touching_those_that_stand() {
    let (staying, added) = (principals(0..100), principals(100..104));
    let mut kms = kms(principals([102]));
    let SearchResult::Found { accepted, rejected, untried } = search(&mut kms, &staying, &added).unwrap()
    else {
        panic!("the foreign part is not at fault")
    };
    assert_eq!((rejected, untried), (principals([102]).into_iter().collect(), Vec::new()));
    assert_eq!(accepted, principals((0..102).chain([103])));
    assert_eq!(kms.puts, 6);
}

#[test]
fn the_only_principal_of_ami_share_is_removed_when_it_no_longer_exists() {
    let mut kms = kms(principals([1]));
    let result = search(&mut kms, &principals([1]), &BTreeSet::new()).unwrap();
    let rejected = principals([1]).into_iter().collect();
    assert_eq!(result, SearchResult::Found { accepted: BTreeSet::new(), rejected, untried: Vec::new() });
    assert_eq!((kms.in_force, kms.puts), (BTreeSet::new(), 2));
}

#[test]
fn many_bad_principals_end_the_search_at_the_bound_and_the_rest_is_named_as_untried() {
    let bad = principals((0..480).filter(|number| number % 3 == 0));
    let mut kms = kms(bad);
    let result = search(&mut kms, &BTreeSet::new(), &principals(0..480)).unwrap();
    let SearchResult::Found { accepted, untried, .. } = result else { panic!("{result:?}") };
    assert_eq!(kms.puts, MAXIMUM_PUTS);
    assert!(!untried.is_empty() && !accepted.is_empty());
}

//! Isolation by halving finds every item that AWS rejects in few attempts.

use std::collections::BTreeSet;

use ami_share_domain::isolation::Isolation;
use proptest::prelude::*;

/// Tries groups of items with a service that rejects each call with a bad item. Returns the accepted items, the
/// rejected items and the number of attempts.
fn isolate(items: &[u16], bad: &BTreeSet<u16>) -> (Vec<u16>, Vec<u16>, usize) {
    let mut isolation = Isolation::new(items.to_vec());
    let mut attempts = 0;
    while let Some(group) = isolation.next_group() {
        attempts += 1;
        let is_accepted = !isolation.accepted().iter().chain(group).any(|item| bad.contains(item));
        isolation.answer(is_accepted);
    }
    let (accepted, rejected) = isolation.finish();
    (accepted, rejected, attempts)
}

/// The height of a tree of halves over `count` items.
fn height(count: usize) -> usize {
    count.next_power_of_two().ilog2() as usize
}

proptest! {
    #[test]
    fn exactly_the_bad_items_are_rejected_in_few_attempts(
        items in prop::collection::btree_map(any::<u16>(), prop::bool::weighted(0.1), 0..300),
    ) {
        let all: Vec<u16> = items.keys().copied().collect();
        let (bad, good): (BTreeSet<u16>, BTreeSet<u16>) = all.iter().partition(|item| items[*item]);
        let (accepted, rejected, attempts) = isolate(&all, &bad);
        prop_assert_eq!(accepted.len() + rejected.len(), all.len(), "no item has two verdicts");
        prop_assert_eq!(accepted.into_iter().collect::<BTreeSet<_>>(), good);
        prop_assert_eq!(rejected.into_iter().collect::<BTreeSet<_>>(), bad.clone());
        prop_assert!(attempts <= 1 + 2 * bad.len() * height(all.len()));
        prop_assert!(attempts <= (2 * all.len()).saturating_sub(1));
    }
}

#[test]
fn one_attempt_is_enough_when_all_are_good() {
    let items: Vec<u16> = (0..1_000).collect();
    assert_eq!(isolate(&items, &BTreeSet::new()), (items, Vec::new(), 1));
}

#[test]
fn isolating_an_empty_list_makes_no_attempt() {
    assert_eq!(isolate(&[], &BTreeSet::new()), (Vec::new(), Vec::new(), 0));
}

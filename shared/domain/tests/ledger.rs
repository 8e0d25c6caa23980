//! The memory between two looks: whatever dies where, the ledger knows what we gave and what we did not.

use std::collections::{BTreeMap, BTreeSet};

use ami_share_domain::key_statements::KeyPrincipal;
use ami_share_domain::ledger::{Intent, KeyLedger, Need, ShareOutcome, TellRow};
use ami_share_domain::refusal::{Refusal, RefusalCode};
use ami_share_domain::share::{Image, LaunchPermission, Share, Target};
use ami_share_testkit::ids::{account, id, image_id, now, snapshot};
use ami_share_testkit::shares::{account_target, given, image, ou_target, refusal, share};
use ami_share_testkit::world::{Crash, World};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

/// The targets that a tag may name here.
fn pool() -> Vec<Target> {
    let accounts = (1..=4).map(|number| account_target(account(number)));
    accounts.chain([ou_target(1, vec![account(11), account(12)]), ou_target(2, Vec::new())]).collect()
}

fn some_targets() -> impl Strategy<Value = Vec<Target>> {
    let pool = pool();
    let count = pool.len();
    prop::sample::subsequence(pool, 0..=count)
}

/// One look at the image: what its tag names by then, whom its keys refuse, and where the look dies.
#[derive(Debug, Clone)]
struct Look {
    targets: Vec<Target>,
    refused: Vec<Target>,
    crash: Crash,
}

fn looks() -> impl Strategy<Value = Vec<Look>> {
    let crash = prop_oneof![
        1 => Just(Crash::AtOnce),
        2 => (0..3_usize).prop_map(Crash::AfterSteps),
        3 => Just(Crash::Never),
    ];
    let refused = prop_oneof![2 => Just(Vec::new()), 1 => some_targets()];
    let look = (some_targets(), refused, crash).prop_map(|(targets, refused, crash)| Look {
        targets,
        refused,
        crash,
    });
    prop::collection::vec(look, 0..6)
}

fn by_hand() -> impl Strategy<Value = BTreeSet<LaunchPermission>> {
    some_targets().prop_map(|targets| targets.iter().map(Target::launch_permission).collect())
}

/// A moment that is later for every look.
fn minute(number: i64) -> Timestamp {
    now() + SignedDuration::from_mins(number)
}

/// What a look wants: a word that its keys refuse is refused by `share-image`, another one by `resolve-share`.
fn wish(look: &Look) -> (Share, Vec<Refusal>) {
    let refused = |target: &Target| refusal(target.name());
    let (here, before): (Vec<&Target>, Vec<&Target>) =
        look.refused.iter().partition(|target| look.targets.contains(target));
    let mut share = share(look.targets.clone());
    share.snapshots = vec![snapshot(1)];
    share.refused = before.into_iter().map(refused).collect();
    (share, here.into_iter().map(refused).collect())
}

fn run(world: &mut World, looks: &[Look]) {
    for (number, look) in (0..).zip(looks) {
        let (share, refused) = wish(look);
        world.give(&share, refused, minute(number), look.crash);
    }
}

proptest! {
    #[test]
    fn what_we_opened_is_ours_and_what_was_open_is_not_wherever_a_look_dies(
        by_hand in by_hand(),
        looks in looks(),
    ) {
        let mut world = World::opened_by_hand(by_hand.clone());
        for number in 0..looks.len() {
            run(&mut world, &looks[number..=number]);
            for target in pool() {
                let permission = target.launch_permission();
                let is_ours = world.ledger.shares.get(target.name()).is_some_and(|row| row.is_ours);
                let is_open = world.image.launch.contains(&permission);
                let rows = &world.ledger.shares;
                prop_assert!(!is_open || is_ours != by_hand.contains(&permission), "{:?}: {:?}", target, rows);
            }
        }
    }

    #[test]
    fn what_is_open_by_our_hand_is_shared_or_reported_as_left_over(
        by_hand in by_hand(), looks in looks(), last in looks(),
    ) {
        let mut world = World::opened_by_hand(by_hand.clone());
        run(&mut world, &looks);
        let Some(last) = last.first() else { return Ok(()) };
        let (share, refused) = wish(last);
        let given = world.give(&share, refused, minute(99), Crash::Never).unwrap();
        let left_over = world.ledger.left_over(&share);
        for target in pool() {
            let permission = target.launch_permission();
            let is_told = left_over.contains(&target.name())
                || given.shared.iter().any(|name| name == target.name());
            let is_ours = world.image.launch.contains(&permission) && !by_hand.contains(&permission);
            prop_assert!(is_told || !is_ours, "{:?}", target);
        }
    }

    #[test]
    fn a_look_that_comes_through_ends_the_same_whatever_died_before(
        targets in some_targets(),
        crashes in looks(),
    ) {
        let straight = Look { targets, refused: Vec::new(), crash: Crash::Never };
        let mut world = World::default();
        for Look { crash, .. } in crashes {
            run(&mut world, &[Look { crash, ..straight.clone() }]);
        }
        run(&mut world, std::slice::from_ref(&straight));
        let mut other = World::default();
        run(&mut other, std::slice::from_ref(&straight));
        prop_assert_eq!(&world.image, &other.image);
        for (name, row) in &world.ledger.shares {
            prop_assert_eq!(row.outcome, ShareOutcome::Shared);
            prop_assert!(row.is_ours, "{}", name);
        }
        prop_assert!(world.ledger.shares.keys().eq(other.ledger.shares.keys()));
    }

    #[test]
    fn a_repeat_changes_no_row(by_hand in by_hand(), looks in looks(), last in looks()) {
        let mut world = World::opened_by_hand(by_hand);
        run(&mut world, &looks);
        let Some(last) = last.first() else { return Ok(()) };
        let (share, refused) = wish(last);
        let given = world.give(&share, refused, minute(98), Crash::Never).unwrap();
        prop_assert_eq!(world.ledger.rows_after(&given, minute(99)), (Vec::new(), Vec::new()));
    }

    #[test]
    fn a_word_has_one_row_however_often_it_is_refused(
        targets in some_targets(),
        words in prop::collection::vec(some_targets(), 0..3),
    ) {
        let mut share = share(targets);
        for (number, word) in words.iter().flatten().enumerate() {
            share.refused.push(Refusal { reason: number.to_string(), ..refusal(word.name()) });
        }
        let mut world = World::default();
        let given = given(share, Vec::new());
        let (rows, _) = world.ledger.rows_after(&given, now());
        let names: BTreeSet<&str> = rows.iter().map(|row| row.target.as_str()).collect();
        prop_assert_eq!(names.len(), rows.len());
        world.ledger.shares = rows.into_iter().map(|row| (row.target.clone(), row)).collect();
        for name in &given.shared {
            prop_assert_eq!(world.ledger.shares[name].outcome, ShareOutcome::Shared);
        }
    }

    #[test]
    fn the_same_wish_is_the_same_intent_and_another_one_is_later(
        wishes in prop::collection::vec(some_targets(), 1..6),
    ) {
        let mut last: Option<Intent> = None;
        for targets in wishes {
            let share = share(targets);
            let next = Intent::following(last.as_ref(), &share.asked, share.wish());
            match &last {
                Some(last) if last.wish == share.wish() => prop_assert_eq!(&next, last),
                Some(last) => prop_assert_eq!(next.number, last.number + 1),
                None => prop_assert_eq!(next.number, 1),
            }
            last = Some(next);
        }
    }
}

#[test]
fn who_asked_and_what_the_status_said_make_no_other_wish() {
    let one = share(pool());
    let mut other = one.clone();
    other.asked.by = Some("arn:aws:iam::111122223333:role/builder".to_owned());
    other.asked.event = "another".to_owned();
    other.image.status = Some("shared with 4 accounts".to_owned());
    other.intent = 7;
    assert_eq!(one.wish(), other.wish());
    other.until = Some(now());
    assert_ne!(one.wish(), other.wish());
}

#[test]
fn what_aws_rejected_is_not_called_open() {
    let share = share(pool());
    let mut world = World::default();
    world.give(&share, Vec::new(), now(), Crash::AfterSteps(0));
    assert_eq!(world.ledger.shares[account(1).as_str()].outcome, ShareOutcome::Giving);
    let rejected = Refusal { code: RefusalCode::RejectedByAws, ..refusal(account(1).as_str()) };
    world.give(&share, vec![rejected], now(), Crash::Never);
    assert!(!world.ledger.shares[account(1).as_str()].is_ours);
    assert!(world.ledger.left_over(&share).is_empty());
}

fn key_accounts() -> impl Strategy<Value = KeyPrincipal> {
    (1..=5_usize).prop_map(|number| KeyPrincipal::Account(account(number)))
}

/// A ledger of a key that several images need, with some left out already.
fn key_ledgers() -> impl Strategy<Value = KeyLedger> {
    let principals = || prop::collection::btree_set(key_accounts(), 0..4);
    let need = (principals(), principals()).prop_map(|(principals, left_out)| {
        let left_out = left_out.intersection(&principals).cloned().collect();
        Need { principals, left_out }
    });
    prop::collection::btree_map((1..=4_usize).prop_map(image_id), need, 0..4)
        .prop_map(|needed_by| KeyLedger { needed_by, is_taken: false })
}

proptest! {
    #[test]
    fn a_key_must_admit_whatever_any_image_needs_but_for_the_bad_apples_of_others(ledger in key_ledgers()) {
        let image = image_id(1);
        let mut expected = BTreeSet::new();
        for (needing, Need { principals, left_out }) in &ledger.needed_by {
            let is_bad = |principal: &&KeyPrincipal| *needing != image && left_out.contains(*principal);
            expected.extend(principals.iter().filter(|principal| !is_bad(principal)).cloned());
        }
        prop_assert_eq!(ledger.wanted_by(&image), expected);
    }

    #[test]
    fn writing_down_who_was_left_out_is_needed_once(
        ledger in key_ledgers(),
        bad in prop::collection::btree_set(key_accounts(), 0..4),
    ) {
        let tried = ledger.wanted_by(&image_id(1));
        let left_out: BTreeSet<KeyPrincipal> = tried.intersection(&bad).cloned().collect();
        let mut after: BTreeMap<_, Need> = ledger.needed_by.clone();
        for change in ledger.left_out_changes(&tried, &left_out) {
            let need = after.get_mut(&change.image).unwrap();
            need.left_out.extend(change.add);
            need.left_out.retain(|principal| !change.remove.contains(principal));
        }
        let after = KeyLedger { needed_by: after, ..ledger };
        prop_assert_eq!(after.left_out_changes(&tried, &left_out), []);
        for need in after.needed_by.values() {
            prop_assert!(need.left_out.is_subset(&need.principals));
            prop_assert!(left_out.intersection(&need.principals).all(|bad| need.left_out.contains(bad)));
        }
        // Another image's writer is not held up by those that were just found bad.
        let other = after.wanted_by(&id("ami-00000000000000099"));
        prop_assert!(other.is_disjoint(&left_out));
    }
}

#[test]
fn a_status_is_written_when_it_is_new_or_was_overwritten_and_not_by_a_look_that_is_late() {
    let at = |second: i64| Timestamp::from_second(second).unwrap();
    let told = TellRow { status: Some("shared".to_owned()), at: Some(at(10)), ..TellRow::default() };
    let seen = |status: Option<&str>, second| Image {
        status: status.map(str::to_owned),
        seen_at: at(second),
        ..image()
    };
    assert!(told.needs_status("refused", &seen(Some("shared"), 20)), "it says something new");
    assert!(told.needs_status("shared", &seen(Some("by hand"), 20)), "it was overwritten");
    assert!(!told.needs_status("shared", &seen(None, 5)), "it was written since this look");
    assert!(!told.needs_status("shared", &seen(Some("shared"), 20)), "it stands");
}

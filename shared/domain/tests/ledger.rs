//! The memory between two looks: whatever dies where, the ledger knows what we gave and what we did not.

use std::collections::{BTreeMap, BTreeSet};

use ami_share_domain::audit::{AuditRow, Deed};
use ami_share_domain::image_plan::ObservedImage;
use ami_share_domain::key_decision::unread;
use ami_share_domain::key_ledger::{KeyLedger, Need};
use ami_share_domain::key_request::{KeyAction, KeyRequest};
use ami_share_domain::key_statements::KeyPrincipal;
use ami_share_domain::ledger::{ImageLedger, Intent, ShareOutcome, ShareRow, TellRow};
use ami_share_domain::notice::NoticeKind;
use ami_share_domain::refusal::{Refusal, RefusalCode};
use ami_share_domain::share::{Image, Share, Target};
use ami_share_testkit::fewer_cases;
use ami_share_testkit::ids::{account, id, image_id, key, now, snapshot};
use ami_share_testkit::shares::{account_target, given, image, ou_target, refusal, share};
use ami_share_testkit::wishes::{by_hand, pool, share_of, some_targets, wishes};
use ami_share_testkit::world::{Managed, World};
use jiff::Timestamp;
use proptest::prelude::*;

/// Looks, each killed after some steps or never.
fn looks() -> impl Strategy<Value = Vec<(Share, usize)>> {
    let steps = prop_oneof![2 => 0..20_usize, 1 => Just(99)];
    prop::collection::vec((wishes(1), steps), 0..5)
}

/// Principals of some targets, which KMS does not take.
fn rejected() -> impl Strategy<Value = BTreeSet<KeyPrincipal>> {
    let none = Just(BTreeSet::new());
    let some = some_targets().prop_map(|targets| targets.iter().map(Target::key_principal).collect());
    prop_oneof![2 => none, 1 => some]
}

fn world(by_hand: ObservedImage, rejected: BTreeSet<KeyPrincipal>) -> World {
    World::opened_by_hand(by_hand).with_rejected(rejected)
}

proptest! {
    #![proptest_config(fewer_cases())]

    #[test]
    fn what_we_opened_is_ours_and_what_was_open_is_not_wherever_a_look_dies(
        by_hand in by_hand(), rejected in rejected(), looks in looks(),
    ) {
        let mut world = world(by_hand.clone(), rejected);
        for (share, steps) in looks {
            world.look_killed_after(&share, steps);
            let Managed { observed, ledger, .. } = world.first();
            for target in pool() {
                let permission = target.launch_permission();
                let is_ours = ledger.shares.get(target.name()).is_some_and(ShareRow::is_open);
                let is_open = observed.launch.contains(&permission);
                let is_theirs = by_hand.launch.contains(&permission);
                prop_assert!(!is_open || is_ours != is_theirs, "{:?}: {:?}", target, ledger.shares);
            }
            for (snapshot, open) in &observed.snapshots {
                let theirs = by_hand.snapshots.get(snapshot).cloned().unwrap_or_default();
                let ours = ledger.snapshots.get(snapshot).cloned().unwrap_or_default();
                prop_assert!(ours.is_disjoint(&theirs), "{:?} and {:?}", ours, theirs);
                prop_assert!((open - &theirs).is_subset(&ours), "{:?} and {:?}", open, ours);
            }
        }
    }

    #[test]
    fn a_repeat_changes_nothing_and_tells_nothing(
        by_hand in by_hand(), rejected in rejected(), looks in looks(), last in wishes(1),
    ) {
        let mut world = world(by_hand, rejected);
        for (share, steps) in looks {
            world.look_killed_after(&share, steps);
        }
        world.look(&last);
        // What was withdrawn and told is forgotten by the next look.
        world.look(&last);
        let before = world.first();
        world.look(&last);
        let after = world.first();
        prop_assert_eq!(after.ledger, before.ledger);
        prop_assert_eq!((after.observed, after.sent), (before.observed, before.sent));
        prop_assert_eq!(after.history, before.history);
    }

    #[test]
    fn whoever_has_nothing_any_more_is_withdrawn_with_a_reason_and_then_forgotten(
        first in wishes(1), last in wishes(1),
    ) {
        let mut world = World::default();
        world.look(&first);
        world.look(&last);
        let rows = world.first().ledger.shares;
        for target in &first.targets {
            let is_refused = last.refused.iter().any(|refusal| refusal.word == target.name());
            match last.wants(target.name()) {
                true => prop_assert_eq!(rows[target.name()].outcome, ShareOutcome::Shared),
                false if is_refused => {
                    prop_assert_eq!(rows[target.name()].outcome, ShareOutcome::Refused);
                    prop_assert!(rows[target.name()].was_shared);
                }
                false => {
                    let row = &rows[target.name()];
                    prop_assert_eq!(row.outcome, ShareOutcome::Withdrawn);
                    prop_assert_eq!(row.reason.as_ref(), Some(&last.why_withdrawn(target.name())));
                }
            }
            prop_assert_eq!(rows[target.name()].is_open(), last.wants(target.name()));
        }
        world.look(&last);
        let rows = world.first().ledger.shares;
        prop_assert!(rows.values().all(|row| row.outcome != ShareOutcome::Withdrawn), "{:?}", rows);
    }

    #[test]
    fn the_history_names_last_what_is_true_now_wherever_a_look_dies(looks in looks(), last in wishes(1)) {
        let mut world = World::default();
        for (share, steps) in looks {
            world.look_killed_after(&share, steps);
        }
        world.look(&last);
        let Managed { observed, history, .. } = world.first();
        for target in pool() {
            let name = target.name();
            let about = |row: &&AuditRow| {
                row.resource == image_id(1).as_str() && row.whom.iter().any(|whom| whom == name)
            };
            let is_open = history.iter().rfind(about).is_some_and(|row| match row.deed {
                Deed::ImageOpened => true,
                Deed::Found => row.reason.as_ref().is_some_and(|reason| reason.contains("found open")),
                _ => false,
            });
            let open = observed.launch.contains(&target.launch_permission());
            prop_assert_eq!(is_open, open, "{}: {:?}", name, history);
        }
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
        let mut ledger = ImageLedger::default();
        let given = given(share, Vec::new());
        let (rows, _) = ledger.rows_after(&given, now());
        let names: BTreeSet<&str> = rows.iter().map(|row| row.target.as_str()).collect();
        prop_assert_eq!(names.len(), rows.len());
        ledger.shares = rows.into_iter().map(|row| (row.target.clone(), row)).collect();
        for name in &given.shared {
            prop_assert_eq!(ledger.shares[name].outcome, ShareOutcome::Shared);
        }
    }

    #[test]
    fn the_same_wish_is_the_same_intent_and_another_one_is_later(
        wishes in prop::collection::vec(some_targets(), 1..6),
    ) {
        let mut last: Option<Intent> = None;
        for targets in wishes {
            let share = share(targets);
            let next = Intent::following(last.as_ref(), &share, share.wish());
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
    let share = share(vec![account_target(account(1))]);
    let mut ledger = ImageLedger::default();
    let targets: Vec<&Target> = share.targets.iter().collect();
    for row in ledger.rows_before(&share, &targets, |_| true, now()) {
        ledger.shares.insert(row.target.clone(), row);
    }
    assert_eq!(ledger.shares[account(1).as_str()].outcome, ShareOutcome::Giving);
    assert!(ledger.shares[account(1).as_str()].is_open());
    let rejected = Refusal { code: RefusalCode::RejectedByAws, ..refusal(account(1).as_str()) };
    let (rows, _) = ledger.rows_after(&given(share, vec![rejected]), now());
    assert!(!rows[0].is_ours);
}

#[test]
fn an_account_that_left_an_ou_is_shut_out_of_its_snapshots_though_the_ou_stays() {
    let unit = |accounts: &[usize]| {
        share_of(1, vec![ou_target(1, accounts.iter().copied().map(account).collect())], true)
    };
    let mut world = World::default();
    world.look(&unit(&[11, 12]));
    world.look(&unit(&[12, 13]));
    let Managed { observed, ledger, sent, .. } = world.first();
    assert_eq!(observed.snapshots[&snapshot(10)], BTreeSet::from([account(12), account(13)]));
    assert_eq!(ledger.snapshots[&snapshot(11)], BTreeSet::from([account(12), account(13)]));
    let told: Vec<_> = sent.iter().filter_map(|(whom, notice)| Some((whom.clone()?, notice.kind))).collect();
    let (shared, unshared) = (NoticeKind::Shared, NoticeKind::Unshared);
    assert_eq!(
        told,
        [(account(11), shared), (account(12), shared), (account(13), shared), (account(11), unshared)]
    );
}

fn key_accounts() -> impl Strategy<Value = KeyPrincipal> {
    (1..=5_usize).prop_map(|number| KeyPrincipal::Account(account(number)))
}

/// Everybody of them.
fn all() -> BTreeSet<KeyPrincipal> {
    (1..=5).map(|number| KeyPrincipal::Account(account(number))).collect()
}

/// A ledger of a key that several images need, with some left out already.
fn key_ledgers() -> impl Strategy<Value = KeyLedger> {
    let principals = || prop::collection::btree_set(key_accounts(), 0..4);
    let need = (principals(), principals(), principals()).prop_map(|(principals, left_out, leaving)| {
        let left_out = left_out.intersection(&principals).cloned().collect();
        let leaving = leaving.difference(&principals).cloned().collect();
        Need { principals, left_out, leaving }
    });
    prop::collection::btree_map((1..=4_usize).prop_map(image_id), need, 0..4)
        .prop_map(|needed_by| KeyLedger { needed_by, is_taken: false })
}

proptest! {
    #[test]
    fn a_key_must_admit_whatever_any_image_needs_but_for_the_bad_apples_of_others(
        ledger in key_ledgers(), own in prop::collection::btree_set(key_accounts(), 0..4),
    ) {
        let image = image_id(1);
        let mut expected = BTreeSet::new();
        for (needing, Need { principals, left_out, .. }) in &ledger.needed_by {
            expected.extend(match *needing == image {
                true => principals & &own,
                false => principals - left_out,
            });
        }
        prop_assert_eq!(ledger.wanted_by(&image, &own), expected);
    }

    #[test]
    fn nobody_whom_an_image_needs_is_leaving_and_only_own_needs_are_given_up(
        ledger in key_ledgers(), own in prop::collection::btree_set(key_accounts(), 0..4),
    ) {
        let image = image_id(1);
        let leaving = ledger.leaving();
        for need in ledger.needed_by.values() {
            prop_assert!(leaving.is_disjoint(&need.principals));
        }
        let given_up = ledger.given_up_by(&image, &own);
        prop_assert!(given_up.is_disjoint(&own));
        let needed = ledger.needed_by.get(&image).cloned().unwrap_or_default().principals;
        prop_assert_eq!(&given_up | &(&needed & &own), needed.clone());
        // Once given up, it leaves the key exactly when no other image needs it.
        let mut after = ledger.clone();
        let need = after.needed_by.entry(image.clone()).or_default();
        need.principals = &need.principals - &given_up;
        need.leaving.extend(given_up.clone());
        prop_assert_eq!(&after.leaving() & &given_up, &given_up - &ledger.wanted_by_others(&image));
    }

    #[test]
    fn of_a_key_that_cannot_be_read_exactly_those_whom_no_image_needs_are_still_to_be_taken_out(
        ledger in key_ledgers(), own in prop::sample::subsequence((1..=5).collect::<Vec<usize>>(), 0..4),
    ) {
        let request = |action| KeyRequest {
            key: key(1),
            image_id: image_id(1),
            action,
            intent: 1,
            targets: own.iter().map(|number| account_target(account(*number))).collect(),
            kept: Vec::new(),
            asked: None,
            dry_run: false,
        };
        let unread = |action, ledger| unread(&request(action), ledger, refusal("unreadable"));
        let given_up = ledger.given_up_by(&image_id(1), &request(KeyAction::Extend).wanted());
        let extended = unread(KeyAction::Extend, &ledger);
        let leaving: BTreeSet<KeyPrincipal> = extended.leaving.into_iter().collect();
        prop_assert_eq!(leaving, &ledger.leaving() | &given_up);
        prop_assert_eq!((extended.refused, extended.added), (Some(refusal("unreadable")), vec![]));

        let retracted = unread(KeyAction::Retract, &ledger);
        let leaving = ledger.leaving();
        let said = retracted.refused.map(|refused| refused.reason).unwrap_or_default();
        prop_assert_eq!(said.is_empty(), leaving.is_empty(), "what is left to be done is said");
        let is_named = |principal: &KeyPrincipal| said.contains(&principal.to_string());
        prop_assert_eq!(all().into_iter().filter(is_named).collect::<BTreeSet<_>>(), leaving);
    }

    #[test]
    fn writing_down_who_was_left_out_is_needed_once(
        ledger in key_ledgers(),
        bad in prop::collection::btree_set(key_accounts(), 0..4),
    ) {
        let tried = ledger.wanted_by(&image_id(1), &all());
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
        let other = after.wanted_by(&id("ami-00000000000000099"), &all());
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

#[test]
fn a_failure_is_history_once_an_outcome_was_told_after_it_whether_the_status_is_another_or_not() {
    let at = |second: i64| Timestamp::from_second(second).unwrap();
    let told = |status, outcome| TellRow {
        at: Some(at(status)),
        outcome_at: Some(at(outcome)),
        ..TellRow::default()
    };
    assert!(!TellRow::default().makes_history_of(at(15)), "nothing was ever told");
    assert!(!told(10, 10).makes_history_of(at(15)));
    assert!(told(10, 20).makes_history_of(at(15)), "what was told was no other status");
    let of_an_earlier_release = TellRow { at: Some(at(20)), ..TellRow::default() };
    assert!(of_an_earlier_release.makes_history_of(at(15)));
    // Whether somebody overwrote the status is asked by when that was written, not by what was told besides.
    let row = TellRow { status: Some("shared".to_owned()), ..told(10, 30) };
    let overwritten = Image { status: Some("by hand".to_owned()), seen_at: at(20), ..image() };
    assert!(row.needs_status("shared", &overwritten));
}

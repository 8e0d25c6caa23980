//! The ledger: wherever a reconciliation is interrupted, it separates managed access from unmanaged.

use std::collections::{BTreeMap, BTreeSet};

use ami_share_domain::audit_log::{AuditAction, AuditRow};
use ami_share_domain::image::desired::{Observation, Share};
use ami_share_domain::image::ledger::{ImageLedger, Intent, NotifiedRow, ShareOutcome, ShareRow};
use ami_share_domain::image::plan::ObservedImage;
use ami_share_domain::key::decision::unread;
use ami_share_domain::key::ledger::{KeyLedger, Need};
use ami_share_domain::key::request::{KeyAction, KeyRequest};
use ami_share_domain::notify::notification::NotificationKind;
use ami_share_domain::refusal::{Refusal, RefusalReason};
use ami_share_domain::targets::target::KeyPrincipal;
use ami_share_domain::targets::target::Target;
use ami_share_testkit::desired_states::{desired_states, out_of_band, pool, share_of, some_targets};
use ami_share_testkit::fewer_cases;
use ami_share_testkit::ids::{account, id, image_id, key, now, snapshot};
use ami_share_testkit::reviews::unreadable;
use ami_share_testkit::shares::{account_target, ou_target, result, share};
use ami_share_testkit::world::{Managed, World};
use jiff::Timestamp;
use proptest::prelude::*;

/// Reconciliations, each interrupted after some steps or never.
fn reconciliations() -> impl Strategy<Value = Vec<(Share, usize)>> {
    let steps = prop_oneof![2 => 0..20_usize, 1 => Just(99)];
    prop::collection::vec((desired_states(1), steps), 0..5)
}

/// Principals of some targets, which KMS rejects.
fn rejected() -> impl Strategy<Value = BTreeSet<KeyPrincipal>> {
    let none = Just(BTreeSet::new());
    let some = some_targets().prop_map(|targets| targets.iter().map(Target::key_principal).collect());
    prop_oneof![2 => none, 1 => some]
}

fn world(out_of_band: ObservedImage, rejected: BTreeSet<KeyPrincipal>) -> World {
    World::granted_out_of_band(out_of_band).with_rejected(rejected)
}

proptest! {
    #![proptest_config(fewer_cases())]

    #[test]
    fn granted_access_is_managed_and_prior_access_is_not_wherever_a_reconciliation_stops(
        out_of_band in out_of_band(), rejected in rejected(), reconciliations in reconciliations(),
    ) {
        let mut world = world(out_of_band.clone(), rejected);
        for (share, steps) in reconciliations {
            world.reconciliation_interrupted_after(&share, steps);
            let Managed { observed, ledger, .. } = world.first();
            for target in pool() {
                let permission = target.launch_permission();
                let is_managed = ledger.shares.get(target.name()).is_some_and(ShareRow::has_access);
                let has_access = observed.launch.contains(&permission);
                let is_unmanaged = out_of_band.launch.contains(&permission);
                prop_assert!(!has_access || is_managed != is_unmanaged, "{:?}: {:?}", target, ledger.shares);
            }
            for (snapshot, granted) in &observed.snapshots {
                let unmanaged = out_of_band.snapshots.get(snapshot).cloned().unwrap_or_default();
                let managed = ledger.snapshots.get(snapshot).cloned().unwrap_or_default();
                prop_assert!(managed.is_disjoint(&unmanaged), "{:?} and {:?}", managed, unmanaged);
                prop_assert!((granted - &unmanaged).is_subset(&managed), "{:?} and {:?}", granted, managed);
            }
        }
    }

    #[test]
    fn a_repeated_reconciliation_changes_nothing_and_sends_no_notification(
        out_of_band in out_of_band(), rejected in rejected(), reconciliations in reconciliations(), last in desired_states(1),
    ) {
        let mut world = world(out_of_band, rejected);
        for (share, steps) in reconciliations {
            world.reconciliation_interrupted_after(&share, steps);
        }
        world.trigger(&last);
        // The next reconciliation forgets what was revoked and notified.
        world.trigger(&last);
        let before = world.first();
        world.trigger(&last);
        let after = world.first();
        prop_assert_eq!(after.ledger, before.ledger);
        prop_assert_eq!((after.observed, after.sent), (before.observed, before.sent));
        prop_assert_eq!(after.audit_log, before.audit_log);
    }

    #[test]
    fn a_target_without_access_is_recorded_as_revoked_with_a_reason_and_then_forgotten(
        first in desired_states(1), last in desired_states(1),
    ) {
        let mut world = World::default();
        world.trigger(&first);
        world.trigger(&last);
        let rows = world.first().ledger.shares;
        for target in &first.desired.targets {
            let is_refused = last.desired.refused.iter().any(|refusal| refusal.subject == target.name());
            match last.desired.includes(target.name()) {
                true => prop_assert_eq!(rows[target.name()].outcome, ShareOutcome::Shared),
                false if is_refused => {
                    prop_assert_eq!(rows[target.name()].outcome, ShareOutcome::Refused);
                    prop_assert!(rows[target.name()].was_shared);
                }
                false => {
                    let row = &rows[target.name()];
                    prop_assert_eq!(row.outcome, ShareOutcome::Revoked);
                    prop_assert_eq!(row.reason.as_ref(), Some(&last.desired.why_revoked(target.name())));
                }
            }
            prop_assert_eq!(rows[target.name()].has_access(), last.desired.includes(target.name()));
        }
        world.trigger(&last);
        let rows = world.first().ledger.shares;
        prop_assert!(rows.values().all(|row| row.outcome != ShareOutcome::Revoked), "{:?}", rows);
    }

    #[test]
    fn the_last_audit_row_matches_the_actual_state_wherever_a_reconciliation_is_interrupted(reconciliations in reconciliations(), last in desired_states(1)) {
        let mut world = World::default();
        for (share, steps) in reconciliations {
            world.reconciliation_interrupted_after(&share, steps);
        }
        world.trigger(&last);
        let Managed { observed, audit_log, .. } = world.first();
        for target in pool() {
            let name = target.name();
            let about = |row: &&AuditRow| {
                row.resource == image_id(1).as_str() && row.principals.iter().any(|principal| principal == name)
            };
            let is_recorded = audit_log.iter().rfind(about).is_some_and(|row| match row.action {
                AuditAction::ImageGranted => true,
                AuditAction::Recovered => row.reason.as_ref().is_some_and(|reason| reason.contains("found granted")),
                _ => false,
            });
            let is_granted = observed.launch.contains(&target.launch_permission());
            prop_assert_eq!(is_recorded, is_granted, "{}: {:?}", name, audit_log);
        }
    }

    #[test]
    fn a_subject_has_one_row_however_often_it_is_refused(
        targets in some_targets(),
        selectors in prop::collection::vec(some_targets(), 0..3),
    ) {
        let mut share = share(targets);
        for (number, selector) in selectors.iter().flatten().enumerate() {
            let reason = RefusalReason::Ec2Rejected { message: number.to_string() };
            share.desired.refused.push(Refusal::new(selector.name(), reason));
        }
        let mut ledger = ImageLedger::default();
        let result = result(share, Vec::new());
        let (rows, _) = ledger.rows_after(&result, now());
        let names: BTreeSet<&str> = rows.iter().map(|row| row.target.as_str()).collect();
        prop_assert_eq!(names.len(), rows.len());
        ledger.shares = rows.into_iter().map(|row| (row.target.clone(), row)).collect();
        for name in &result.shared {
            prop_assert_eq!(ledger.shares[name].outcome, ShareOutcome::Shared);
        }
    }

    #[test]
    fn the_same_desired_state_is_the_same_intent_and_another_one_is_later(
        desired_states in prop::collection::vec(some_targets(), 1..6),
    ) {
        let mut last: Option<Intent> = None;
        for targets in desired_states {
            let share = share(targets);
            let next = Intent::following(last.as_ref(), &share);
            match &last {
                Some(last) if last.desired_state == share.desired.digest() => prop_assert_eq!(&next, last),
                Some(last) => prop_assert_eq!(next.number, last.number + 1),
                None => prop_assert_eq!(next.number, 1),
            }
            last = Some(next);
        }
    }
}

#[test]
fn the_triggering_principal_and_the_status_do_not_change_the_desired_state() {
    let one = share(pool());
    let mut other = one.clone();
    other.run.triggered_by.principal = Some("arn:aws:iam::111122223333:role/builder".to_owned());
    other.run.triggered_by.event = "another".to_owned();
    other.run.observed.status = Some("shared with 4 accounts".to_owned());
    other.run.intent = 7;
    assert_eq!(one.desired.digest(), other.desired.digest());
    other.desired.until = Some(now());
    assert_ne!(one.desired.digest(), other.desired.digest());
}

#[test]
fn access_that_aws_rejected_is_not_recorded_as_granted() {
    let share = share(vec![account_target(account(1))]);
    let mut ledger = ImageLedger::default();
    let targets: Vec<&Target> = share.desired.targets.iter().collect();
    for row in ledger.rows_before(&share, &targets, |_| true, now()) {
        ledger.shares.insert(row.target.clone(), row);
    }
    assert_eq!(ledger.shares[account(1).as_str()].outcome, ShareOutcome::Granting);
    assert!(ledger.shares[account(1).as_str()].has_access());
    let rejected = Refusal::new(account(1).as_str(), RefusalReason::KmsRejected { key: key(1) });
    let (rows, _) = ledger.rows_after(&result(share, vec![rejected]), now());
    assert!(!rows[0].is_managed);
}

#[test]
fn an_account_that_leaves_an_ou_loses_the_snapshots_although_the_ou_keeps_access() {
    let unit = |accounts: &[usize]| {
        share_of(1, vec![ou_target(1, accounts.iter().copied().map(account).collect())], true)
    };
    let mut world = World::default();
    world.trigger(&unit(&[11, 12]));
    world.trigger(&unit(&[12, 13]));
    let Managed { observed, ledger, sent, .. } = world.first();
    assert_eq!(observed.snapshots[&snapshot(10)], BTreeSet::from([account(12), account(13)]));
    assert_eq!(ledger.snapshots[&snapshot(11)], BTreeSet::from([account(12), account(13)]));
    let notified: Vec<_> = sent
        .iter()
        .filter_map(|(principals, notification)| Some((principals.clone()?, notification.kind)))
        .collect();
    let (shared, unshared) = (NotificationKind::Shared, NotificationKind::Unshared);
    assert_eq!(
        notified,
        [(account(11), shared), (account(12), shared), (account(13), shared), (account(11), unshared)]
    );
}

fn key_accounts() -> impl Strategy<Value = KeyPrincipal> {
    (1..=5_usize).prop_map(|number| KeyPrincipal::Account(account(number)))
}

/// All of [`key_accounts`].
fn all() -> BTreeSet<KeyPrincipal> {
    (1..=5).map(|number| KeyPrincipal::Account(account(number))).collect()
}

/// The ledger of a key that several images need, with some principals already excluded.
fn key_ledgers() -> impl Strategy<Value = KeyLedger> {
    let principals = || prop::collection::btree_set(key_accounts(), 0..4);
    let need =
        (principals(), principals(), principals()).prop_map(|(principals, excluded, pending_revocation)| {
            let excluded = excluded.intersection(&principals).cloned().collect();
            let pending_revocation = pending_revocation.difference(&principals).cloned().collect();
            Need { principals, excluded, pending_revocation }
        });
    prop::collection::btree_map((1..=4_usize).prop_map(image_id), need, 0..4)
        .prop_map(|needed_by| KeyLedger { needed_by, is_leased: false })
}

proptest! {
    #[test]
    fn a_key_must_grant_what_any_image_needs_except_what_other_images_exclude(
        ledger in key_ledgers(), own in prop::collection::btree_set(key_accounts(), 0..4),
    ) {
        let image = image_id(1);
        let mut expected = BTreeSet::new();
        for (needing, Need { principals, excluded, .. }) in &ledger.needed_by {
            expected.extend(match *needing == image {
                true => principals & &own,
                false => principals - excluded,
            });
        }
        prop_assert_eq!(ledger.required_by(&image, &own), expected);
    }

    #[test]
    fn no_needed_principal_is_pending_revocation_and_an_image_releases_only_its_own_needs(
        ledger in key_ledgers(), own in prop::collection::btree_set(key_accounts(), 0..4),
    ) {
        let image = image_id(1);
        let pending_revocation = ledger.pending_revocation();
        for need in ledger.needed_by.values() {
            prop_assert!(pending_revocation.is_disjoint(&need.principals));
        }
        let released = ledger.released_by(&image, &own);
        prop_assert!(released.is_disjoint(&own));
        let needed = ledger.needed_by.get(&image).cloned().unwrap_or_default().principals;
        prop_assert_eq!(&released | &(&needed & &own), needed.clone());
        // What was released is revoked from the key exactly when no other image needs it.
        let mut after = ledger.clone();
        let need = after.needed_by.entry(image.clone()).or_default();
        need.principals = &need.principals - &released;
        need.pending_revocation.extend(released.clone());
        prop_assert_eq!(&after.pending_revocation() & &released, &released - &ledger.required_by_others(&image));
    }

    #[test]
    fn an_unreadable_key_has_exactly_the_unneeded_principals_pending_revocation(
        ledger in key_ledgers(), own in prop::sample::subsequence((1..=5).collect::<Vec<usize>>(), 0..4),
    ) {
        let request = |action| KeyRequest {
            key: key(1),
            image_id: image_id(1),
            action,
            intent: 1,
            targets: own.iter().map(|number| account_target(account(*number))).collect(),
            retained: Vec::new(),
            triggered_by: None,
            dry_run: false,
        };
        let unread = |action, ledger| unread(&request(action), ledger, unreadable(&key(1)));
        let released = ledger.released_by(&image_id(1), &request(KeyAction::Grant).desired());
        let extended = unread(KeyAction::Grant, &ledger);
        let pending_revocation: BTreeSet<KeyPrincipal> = extended.pending_revocation.into_iter().collect();
        prop_assert_eq!(pending_revocation, &ledger.pending_revocation() | &released);
        prop_assert_eq!((extended.refused, extended.added), (Some(unreadable(&key(1))), vec![]));

        let revoked_keys = unread(KeyAction::Revoke, &ledger);
        let pending_revocation = ledger.pending_revocation();
        let said = revoked_keys.refused.map(|reason| reason.to_string()).unwrap_or_default();
        prop_assert_eq!(said.is_empty(), pending_revocation.is_empty(), "what is left to be done is said");
        let is_named = |principal: &KeyPrincipal| said.contains(&principal.to_string());
        prop_assert_eq!(all().into_iter().filter(is_named).collect::<BTreeSet<_>>(), pending_revocation);
    }

    #[test]
    fn exclusions_need_to_be_recorded_only_once(
        ledger in key_ledgers(),
        bad in prop::collection::btree_set(key_accounts(), 0..4),
    ) {
        let tried = ledger.required_by(&image_id(1), &all());
        let excluded: BTreeSet<KeyPrincipal> = tried.intersection(&bad).cloned().collect();
        let mut after: BTreeMap<_, Need> = ledger.needed_by.clone();
        for change in ledger.excluded_changes(&tried, &excluded) {
            let need = after.get_mut(&change.image).unwrap();
            need.excluded.extend(change.add);
            need.excluded.retain(|principal| !change.remove.contains(principal));
        }
        let after = KeyLedger { needed_by: after, ..ledger };
        prop_assert_eq!(after.excluded_changes(&tried, &excluded), []);
        for need in after.needed_by.values() {
            prop_assert!(need.excluded.is_subset(&need.principals));
            prop_assert!(excluded.intersection(&need.principals).all(|bad| need.excluded.contains(bad)));
        }
        // The principals that were just rejected do not delay the next image on this key.
        let other = after.required_by(&id("ami-00000000000000099"), &all());
        prop_assert!(other.is_disjoint(&excluded));
    }
}

#[test]
fn a_status_is_written_when_new_or_overwritten_and_not_by_a_late_reconciliation() {
    let at = |second: i64| Timestamp::from_second(second).unwrap();
    let notified =
        NotifiedRow { status: Some("shared".to_owned()), at: Some(at(10)), ..NotifiedRow::default() };
    let seen =
        |status: Option<&str>, second| Observation { status: status.map(str::to_owned), at: at(second) };
    assert!(notified.needs_status("refused", &seen(Some("shared"), 20)), "it says something new");
    assert!(notified.needs_status("shared", &seen(Some("overwritten"), 20)), "it was overwritten");
    assert!(
        !notified.needs_status("shared", &seen(None, 5)),
        "it was written since this run observed the image"
    );
    assert!(!notified.needs_status("shared", &seen(Some("shared"), 20)), "it is the same");
}

#[test]
fn a_failure_is_outdated_once_a_later_outcome_is_notified_even_with_the_same_status() {
    let at = |second: i64| Timestamp::from_second(second).unwrap();
    let notified = |status, outcome| NotifiedRow {
        at: Some(at(status)),
        outcome_at: Some(at(outcome)),
        ..NotifiedRow::default()
    };
    assert!(!NotifiedRow::default().is_newer_than(at(15)), "nothing was ever notified");
    assert!(!notified(10, 10).is_newer_than(at(15)));
    assert!(notified(10, 20).is_newer_than(at(15)), "what was notified did not change the status");
    let of_an_older_release = NotifiedRow { at: Some(at(20)), ..NotifiedRow::default() };
    assert!(of_an_older_release.is_newer_than(at(15)));
    // Whether the status was overwritten depends on when it was written, not on other notifications.
    let row = NotifiedRow { status: Some("shared".to_owned()), ..notified(10, 30) };
    let overwritten = Observation { status: Some("overwritten".to_owned()), at: at(20) };
    assert!(row.needs_status("shared", &overwritten));
}

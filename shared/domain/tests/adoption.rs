//! What a rebuilt ledger takes for ours, and what is found to have been taken by hand or left by a look that died.

use std::collections::{BTreeMap, BTreeSet};

use ami_share_domain::audit::{AuditRow, Deed};
use ami_share_domain::ending::Ending;
use ami_share_domain::ids::AccountId;
use ami_share_domain::image_plan::ObservedImage;
use ami_share_domain::image_request::ImageRequest;
use ami_share_domain::key_request::KeyOutcome;
use ami_share_domain::key_statements::KeyPrincipal;
use ami_share_domain::ledger::{ImageLedger, ShareRow};
use ami_share_domain::share::{Share, Target};
use ami_share_testkit::fewer_cases;
use ami_share_testkit::ids::{account, image_id, key, snapshot};
use ami_share_testkit::shares::account_target;
use ami_share_testkit::wishes::{by_hand, ending, pool, share_of, some_targets, wishes};
use ami_share_testkit::world::{Managed, World};
use proptest::prelude::*;

/// A request whose key has just admitted `admitted`.
fn request(share: Share, admitted: &[Target]) -> ImageRequest {
    let added = admitted.iter().map(Target::key_principal).collect();
    ImageRequest { share, keys: vec![KeyOutcome { added, ..KeyOutcome::unchanged(&key(1)) }] }
}

/// A ledger that knows of some targets, and of some accounts of a snapshot.
fn ledgers() -> impl Strategy<Value = ImageLedger> {
    (wishes(1), 0..20_usize).prop_map(|(share, steps)| {
        let mut world = World::default();
        world.look_killed_after(&share, steps);
        world.first().ledger
    })
}

proptest! {
    #[test]
    fn only_what_is_wanted_open_and_unknown_is_adopted_and_only_where_the_look_was_asked_to(
        share in wishes(1),
        admitted in some_targets(),
        observed in by_hand(),
        ledger in ledgers(),
        adopt in any::<bool>(),
    ) {
        let request = request(Share { adopt, ..share.clone() }, &admitted);
        let targets: Vec<&Target> = share.targets.iter().collect();
        let adopted = request.adopted(&targets, &observed, &ledger);
        let is_adoptable = |target: &&Target| {
            adopt
                && observed.launch.contains(&target.launch_permission())
                && !ledger.shares.contains_key(target.name())
                && !admitted.contains(target)
        };
        let expected: BTreeSet<String> =
            share.targets.iter().filter(is_adoptable).map(|target| target.name().to_owned()).collect();
        prop_assert_eq!(&adopted.targets, &expected);
        let was_admitted = share.targets.iter().filter(|target| !admitted.contains(target));
        let wanted: BTreeSet<&AccountId> = was_admitted.flat_map(|target| target.accounts()).collect();
        let mut snapshots = BTreeMap::new();
        for snapshot in share.snapshots.iter().filter(|_| adopt) {
            let known = ledger.snapshots.get(snapshot).cloned().unwrap_or_default();
            let open = observed.snapshots.get(snapshot).into_iter().flatten();
            let unknown: Vec<AccountId> =
                open.filter(|account| wanted.contains(account) && !known.contains(*account)).cloned().collect();
            if !unknown.is_empty() {
                snapshots.insert(snapshot.clone(), unknown);
            }
        }
        prop_assert_eq!(&adopted.snapshots, &snapshots);
        // The history says of everything adopted, once, that it was.
        let rows = adopted.rows(&request.share);
        prop_assert!(rows.iter().all(|row| row.deed == Deed::Adopted && !row.whom.is_empty()));
        prop_assert_eq!(rows.len(), usize::from(!expected.is_empty()) + snapshots.len());
    }
}

proptest! {
    #![proptest_config(fewer_cases())]

    #[test]
    fn a_lost_ledger_is_rebuilt_and_then_takes_back_what_it_had_given(first in wishes(1), by_hand in by_hand()) {
        let mut world = World::default();
        world.look(&first);
        let lost = world.images.get_mut(&image_id(1)).unwrap();
        lost.ledger = ImageLedger::default();
        world.needs = Default::default();
        // What other people opened meanwhile to those whom the tags do not name is not taken for ours.
        let is_named = |account: &AccountId| first.targets.iter().any(|target| target.accounts().contains(account));
        let open = &mut world.images.get_mut(&image_id(1)).unwrap().observed;
        let strange: BTreeSet<_> =
            by_hand.launch.iter().filter(|permission| !first.wants(permission.name())).cloned().collect();
        open.launch.extend(strange.clone());
        let copiers: BTreeSet<AccountId> =
            by_hand.snapshots[&snapshot(10)].iter().filter(|account| !is_named(account)).cloned().collect();
        open.snapshots.entry(snapshot(10)).or_default().extend(copiers.clone());
        world.look(&Share { adopt: true, ..first.clone() });
        world.look(&ending(1, Ending::Untagged));
        let access = world.access();
        prop_assert_eq!(&access.launch[&image_id(1)], &strange);
        prop_assert_eq!(access.snapshots.get(&snapshot(10)).cloned().unwrap_or_default(), copiers);
        prop_assert_eq!(access.snapshots.get(&snapshot(11)), None);
        prop_assert_eq!(world.key.admitted(), BTreeSet::<KeyPrincipal>::new());
    }

    #[test]
    fn what_a_killed_look_did_is_found_by_the_next(
        first in wishes(1), second in wishes(1), steps in 0..25_usize,
    ) {
        let mut world = World::default();
        world.look(&first);
        let before = world.first();
        world.look_killed_after(&second, steps);
        let Managed { observed, ledger, history, .. } = world.first();
        let found = ledger.unrecorded(&second, &observed);
        let is_written = |deed: Deed, name: &str| {
            let new = history.iter().skip(before.history.len());
            new.filter(|row| row.deed == deed).any(|row| row.whom.iter().any(|whom| whom == name))
        };
        let is_found = |what: &str, name: &str| {
            let rows = found.iter().filter(|row| row.reason.as_ref().is_some_and(|reason| reason.contains(what)));
            rows.clone().all(|row| row.deed == Deed::Found) && rows.flat_map(|row| &row.whom).any(|whom| whom == name)
        };
        for target in pool() {
            let (name, permission) = (target.name(), target.launch_permission());
            let (was_open, is_open) =
                (before.observed.launch.contains(&permission), observed.launch.contains(&permission));
            if is_open && !was_open {
                prop_assert!(is_written(Deed::ImageOpened, name) || is_found("found open", name), "{}", name);
            }
            if was_open && !is_open {
                prop_assert!(is_written(Deed::ImageClosed, name) || is_found("found closed", name), "{}", name);
            }
            // What nobody did is not found.
            prop_assert!(!is_found("found open", name) || is_open);
            prop_assert!(!is_found("found closed", name) || !is_open);
        }
    }

    #[test]
    fn nobody_took_what_was_never_given_and_what_was_taken_is_named(
        share in wishes(1), taken in prop::sample::subsequence(pool(), 0..=3), from_key in any::<bool>(),
    ) {
        let mut world = World::default();
        prop_assert_eq!(world.look(&share).given.unwrap().restored, Vec::<String>::new());
        prop_assert_eq!(world.look(&share).given.unwrap().restored, Vec::<String>::new());
        let taken: BTreeSet<&Target> = taken.iter().filter(|target| share.targets.contains(target)).collect();
        match from_key {
            true => {
                world.key.retract(&taken.iter().map(|target| target.key_principal()).collect());
            }
            false => {
                let launch = &mut world.images.get_mut(&image_id(1)).unwrap().observed.launch;
                launch.retain(|permission| !taken.iter().any(|target| target.launch_permission() == *permission));
            }
        }
        let names: BTreeSet<String> = taken.iter().map(|target| target.name().to_owned()).collect();
        let restored = world.look(&share).given.unwrap().restored;
        prop_assert_eq!(restored.into_iter().collect::<BTreeSet<_>>(), names);
        prop_assert_eq!(world.look(&share).given.unwrap().restored, Vec::<String>::new());
    }
}

#[test]
fn each_row_of_history_says_what_was_done_to_what_for_whom_and_why() {
    let mut world = World::default();
    let share = share_of(1, vec![account_target(account(1))], true);
    world.look(&share);
    world.look(&ending(1, Ending::Untagged));
    let rows = world.first().history;
    let said: Vec<(Deed, &str, &[String], u64)> =
        rows.iter().map(|row| (row.deed, row.resource.as_str(), row.whom.as_slice(), row.intent)).collect();
    let (image, one, two) = (image_id(1).to_string(), snapshot(10).to_string(), snapshot(11).to_string());
    let whom = [account(1).to_string()];
    assert_eq!(
        said,
        [
            (Deed::SnapshotOpened, one.as_str(), &whom[..], 1),
            (Deed::SnapshotOpened, two.as_str(), &whom[..], 1),
            (Deed::ImageOpened, image.as_str(), &whom[..], 1),
            (Deed::ImageClosed, image.as_str(), &whom[..], 2),
            (Deed::SnapshotClosed, one.as_str(), &whom[..], 2),
            (Deed::SnapshotClosed, two.as_str(), &whom[..], 2),
        ]
    );
    assert!(rows.iter().all(|row| row.event == "event" && row.at > share.asked.at));
    let row = rows[0].clone().done(share.asked.at, Some("request-1".to_owned())).because("so");
    let text = serde_json::to_string(&row).unwrap();
    assert!(text.contains(r#""deed":"snapshot-opened""#), "{text}");
    assert_eq!(serde_json::from_str::<AuditRow>(&text).unwrap(), row);
}

#[test]
fn access_that_is_open_in_the_ledger_alone_is_given_again() {
    let mut world = World::default();
    let share = share_of(1, vec![account_target(account(1))], false);
    world.look(&share);
    world.images.get_mut(&image_id(1)).unwrap().observed = ObservedImage::default();
    world.look(&share);
    assert!(world.first().observed.launch.contains(&share.targets[0].launch_permission()));
    assert!(world.first().ledger.shares.values().all(ShareRow::is_open));
}

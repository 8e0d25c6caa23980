//! What adoption makes managed, what an interrupted reconciliation left unrecorded, and what was removed out of band.

use std::collections::{BTreeMap, BTreeSet};

use ami_share_domain::audit_log::{AuditAction, AuditRow};
use ami_share_domain::ids::AccountId;
use ami_share_domain::image::desired::Share;
use ami_share_domain::image::ledger::{ImageLedger, ShareRow};
use ami_share_domain::image::plan::ObservedImage;
use ami_share_domain::image::request::ImageRequest;
use ami_share_domain::key::request::KeyOutcome;
use ami_share_domain::targets::revocation_reason::RevocationReason;
use ami_share_domain::targets::target::KeyPrincipal;
use ami_share_domain::targets::target::Target;
use ami_share_testkit::desired_states::{
    desired_states, out_of_band, pool, revocation, share_of, some_targets,
};
use ami_share_testkit::fewer_cases;
use ami_share_testkit::ids::{account, image_id, key, snapshot};
use ami_share_testkit::shares::account_target;
use ami_share_testkit::world::{Managed, World};
use proptest::prelude::*;

/// A request of a run that has just granted the key to `granted`.
fn request(share: Share, granted: &[Target]) -> ImageRequest {
    let added = granted.iter().map(Target::key_principal).collect();
    ImageRequest { share, keys: vec![KeyOutcome { added, ..KeyOutcome::unchanged(&key(1)) }], failed: None }
}

/// The same share, in a run that adopts or does not.
fn adopting(share: &Share, adopt: bool) -> Share {
    let mut share = share.clone();
    share.run.adopt = adopt;
    share
}

/// A ledger that knows of some targets, and of some accounts of a snapshot.
fn ledgers() -> impl Strategy<Value = ImageLedger> {
    (desired_states(1), 0..20_usize).prop_map(|(share, steps)| {
        let mut world = World::default();
        world.reconciliation_interrupted_after(&share, steps);
        world.first().ledger
    })
}

proptest! {
    #[test]
    fn only_desired_granted_and_unrecorded_access_is_adopted_and_only_on_request(
        share in desired_states(1),
        granted in some_targets(),
        observed in out_of_band(),
        ledger in ledgers(),
        adopt in any::<bool>(),
    ) {
        let request = request(adopting(&share, adopt), &granted);
        let targets: Vec<&Target> = share.desired.targets.iter().collect();
        let adopted = request.adopted(&targets, &observed, &ledger);
        let is_adoptable = |target: &&Target| {
            adopt
                && observed.launch.contains(&target.launch_permission())
                && !ledger.shares.contains_key(target.name())
                && !granted.contains(target)
        };
        let expected: BTreeSet<String> =
            share.desired.targets.iter().filter(is_adoptable).map(|target| target.name().to_owned()).collect();
        prop_assert_eq!(&adopted.targets, &expected);
        let was_granted = share.desired.targets.iter().filter(|target| !granted.contains(target));
        let desired: BTreeSet<&AccountId> = was_granted.flat_map(|target| target.accounts()).collect();
        let mut snapshots = BTreeMap::new();
        for snapshot in share.desired.snapshots.iter().filter(|_| adopt) {
            let known = ledger.snapshots.get(snapshot).cloned().unwrap_or_default();
            let actual = observed.snapshots.get(snapshot).into_iter().flatten();
            let unknown: Vec<AccountId> =
                actual.filter(|account| desired.contains(account) && !known.contains(*account)).cloned().collect();
            if !unknown.is_empty() {
                snapshots.insert(snapshot.clone(), unknown);
            }
        }
        prop_assert_eq!(&adopted.snapshots, &snapshots);
        // The audit log has one row for everything that was adopted.
        let rows = adopted.rows(&request.share);
        prop_assert!(rows.iter().all(|row| row.action == AuditAction::Adopted && !row.principals.is_empty()));
        prop_assert_eq!(rows.len(), usize::from(!expected.is_empty()) + snapshots.len());
    }
}

proptest! {
    #![proptest_config(fewer_cases())]

    #[test]
    fn a_lost_ledger_is_rebuilt_by_adoption_and_then_revokes_what_it_had_granted(first in desired_states(1), out_of_band in out_of_band()) {
        let mut world = World::default();
        world.trigger(&first);
        let lost = world.images.get_mut(&image_id(1)).unwrap();
        lost.ledger = ImageLedger::default();
        world.needs = Default::default();
        // Access that was granted out of band meanwhile, and that the tags do not name, is not adopted.
        let is_named = |account: &AccountId| first.desired.targets.iter().any(|target| target.accounts().contains(account));
        let actual = &mut world.images.get_mut(&image_id(1)).unwrap().observed;
        let unmanaged: BTreeSet<_> =
            out_of_band.launch.iter().filter(|permission| !first.desired.includes(permission.name())).cloned().collect();
        actual.launch.extend(unmanaged.clone());
        let copiers: BTreeSet<AccountId> =
            out_of_band.snapshots[&snapshot(10)].iter().filter(|account| !is_named(account)).cloned().collect();
        actual.snapshots.entry(snapshot(10)).or_default().extend(copiers.clone());
        world.trigger(&adopting(&first, true));
        world.trigger(&revocation(1, RevocationReason::Untagged));
        let access = world.access();
        prop_assert_eq!(&access.launch[&image_id(1)], &unmanaged);
        prop_assert_eq!(access.snapshots.get(&snapshot(10)).cloned().unwrap_or_default(), copiers);
        prop_assert_eq!(access.snapshots.get(&snapshot(11)), None);
        prop_assert_eq!(world.key.granted(), BTreeSet::<KeyPrincipal>::new());
    }

    #[test]
    fn the_next_reconciliation_finds_what_a_killed_one_did(
        first in desired_states(1), second in desired_states(1), steps in 0..25_usize,
    ) {
        let mut world = World::default();
        world.trigger(&first);
        let before = world.first();
        world.reconciliation_interrupted_after(&second, steps);
        let Managed { observed, ledger, audit_log, .. } = world.first();
        let found = ledger.unrecorded(&second, &observed);
        let is_written = |action: AuditAction, name: &str| {
            let new = audit_log.iter().skip(before.audit_log.len());
            new.filter(|row| row.action == action).any(|row| row.principals.iter().any(|principal| principal == name))
        };
        let is_found = |what: &str, name: &str| {
            let rows = found.iter().filter(|row| row.reason.as_ref().is_some_and(|reason| reason.contains(what)));
            rows.clone().all(|row| row.action == AuditAction::Recovered) && rows.flat_map(|row| &row.principals).any(|principals| principals == name)
        };
        for target in pool() {
            let (name, permission) = (target.name(), target.launch_permission());
            let (was_granted_before, has_access) =
                (before.observed.launch.contains(&permission), observed.launch.contains(&permission));
            if has_access && !was_granted_before {
                prop_assert!(is_written(AuditAction::ImageGranted, name) || is_found("found granted", name), "{}", name);
            }
            if was_granted_before && !has_access {
                // It is revoked once more, by a call that the audit log records.
                let pending = ledger.permissions_pending_revocation(&second.desired, &observed);
                prop_assert!(is_written(AuditAction::ImageRevoked, name) || pending.contains(&permission), "{}", name);
            }
            // What was not done is not found.
            prop_assert!(!is_found("found granted", name) || has_access);
        }
    }

    #[test]
    fn only_access_removed_after_its_grant_is_restored_and_its_targets_are_named(
        share in desired_states(1), removed in prop::sample::subsequence(pool(), 0..=3), from_key in any::<bool>(),
    ) {
        let mut world = World::default();
        prop_assert_eq!(world.trigger(&share).result.unwrap().restored, Vec::<String>::new());
        prop_assert_eq!(world.trigger(&share).result.unwrap().restored, Vec::<String>::new());
        let removed: BTreeSet<&Target> = removed.iter().filter(|target| share.desired.targets.contains(target)).collect();
        match from_key {
            true => {
                world.key.revoke(&removed.iter().map(|target| target.key_principal()).collect());
            }
            false => {
                let launch = &mut world.images.get_mut(&image_id(1)).unwrap().observed.launch;
                launch.retain(|permission| !removed.iter().any(|target| target.launch_permission() == *permission));
            }
        }
        let names: BTreeSet<String> = removed.iter().map(|target| target.name().to_owned()).collect();
        let restored = world.trigger(&share).result.unwrap().restored;
        prop_assert_eq!(restored.into_iter().collect::<BTreeSet<_>>(), names);
        prop_assert_eq!(world.trigger(&share).result.unwrap().restored, Vec::<String>::new());
    }
}

#[test]
fn each_audit_row_names_action_resource_principals_and_reason() {
    let mut world = World::default();
    let share = share_of(1, vec![account_target(account(1))], true);
    world.trigger(&share);
    world.trigger(&revocation(1, RevocationReason::Untagged));
    let rows = world.first().audit_log;
    let found: Vec<(AuditAction, &str, &[String], u64)> = rows
        .iter()
        .map(|row| (row.action, row.resource.as_str(), row.principals.as_slice(), row.intent))
        .collect();
    let (image, one, two) = (image_id(1).to_string(), snapshot(10).to_string(), snapshot(11).to_string());
    let principals = [account(1).to_string()];
    assert_eq!(
        found,
        [
            (AuditAction::SnapshotGranted, one.as_str(), &principals[..], 1),
            (AuditAction::SnapshotGranted, two.as_str(), &principals[..], 1),
            (AuditAction::ImageGranted, image.as_str(), &principals[..], 1),
            (AuditAction::ImageRevoked, image.as_str(), &principals[..], 2),
            (AuditAction::SnapshotRevoked, one.as_str(), &principals[..], 2),
            (AuditAction::SnapshotRevoked, two.as_str(), &principals[..], 2),
        ]
    );
    assert!(rows.iter().all(|row| row.event == "event" && row.at > share.run.triggered_by.at));
    let row = rows[0].clone().done(share.run.triggered_by.at, Some("request-1".to_owned())).because("so");
    let text = serde_json::to_string(&row).unwrap();
    assert!(text.contains(r#""action":"snapshot-granted""#), "{text}");
    assert_eq!(serde_json::from_str::<AuditRow>(&text).unwrap(), row);
}

#[test]
fn access_that_only_the_ledger_shows_is_granted_again() {
    let mut world = World::default();
    let share = share_of(1, vec![account_target(account(1))], false);
    world.trigger(&share);
    world.images.get_mut(&image_id(1)).unwrap().observed = ObservedImage::default();
    world.trigger(&share);
    assert!(world.first().observed.launch.contains(&share.desired.targets[0].launch_permission()));
    assert!(world.first().ledger.shares.values().all(ShareRow::has_access));
}

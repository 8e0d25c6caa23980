//! Access to snapshots that is retained while the tags, or the organization, do not say whether it should be.

use ami_share_domain::image::ledger::Intent;
use ami_share_testkit::desired_states::{desired_states, share_of};
use ami_share_testkit::ids::{account, snapshot};
use ami_share_testkit::shares::{account_target, ou_target, with_desired};
use ami_share_testkit::world::World;
use proptest::prelude::*;

proptest! {
    #[test]
    fn an_unreadable_copy_tag_keeps_the_snapshots_of_whoever_stays_and_grants_none(
        first in desired_states(1), second in desired_states(1),
    ) {
        let mut world = World::default();
        world.trigger(&first);
        let before = world.first().ledger.snapshots;
        let unreadable = with_desired(second, |desired| {
            let snapshots = std::mem::take(&mut desired.snapshots);
            desired.retained_snapshots = if first.desired.snapshots.is_empty() { Vec::new() } else { snapshots };
        });
        world.trigger(&unreadable);
        let desired = &unreadable.desired;
        for (snapshot, accounts) in &before {
            let stays = |account: &&_| desired.grants_snapshot(snapshot) && desired.accounts().contains(account);
            let expected = accounts.iter().filter(stays).cloned().collect();
            let after = world.first().ledger.snapshots.get(snapshot).cloned().unwrap_or_default();
            prop_assert_eq!(after, expected);
        }
        prop_assert!(world.first().ledger.snapshots.keys().all(|snapshot| before.contains_key(snapshot)));
    }
}

#[test]
fn an_intent_remembers_that_targets_may_copy() {
    let may_copy = share_of(1, vec![account_target(account(1))], true);
    assert!(Intent::following(None, &may_copy).may_copy);
    let retained = with_desired(may_copy, |desired| {
        desired.retained_snapshots = std::mem::take(&mut desired.snapshots);
    });
    assert!(Intent::following(None, &retained).may_copy);
    assert_eq!(retained.desired.permits(account(1).as_str()), ["launch", "copy"]);
    assert!(!Intent::following(None, &share_of(1, Vec::new(), false)).may_copy);
}

#[test]
fn accounts_behind_an_ou_keep_its_snapshots_while_the_organization_cannot_be_read() {
    let unit = ou_target(1, vec![account(11), account(12)]);
    let mut world = World::default();
    let first = share_of(1, vec![unit.clone(), account_target(account(2))], true);
    world.trigger(&first);
    let unread = with_desired(share_of(1, Vec::new(), true), |desired| {
        desired.retained = unit.without_accounts().into_iter().collect();
        desired.has_unknown_accounts = true;
        desired.snapshots.clone_from(&first.desired.snapshots);
    });
    let notified = world.trigger(&unread).notified.unwrap();
    assert_eq!(notified.former_accounts, []);
    let accounts = &world.first().ledger.snapshots[&snapshot(10)];
    assert!(accounts.contains(&account(11)) && accounts.contains(&account(12)));
    assert!(!world.first().ledger.shares["000000000002"].has_access());
}

#[test]
fn an_intent_keeps_the_latest_version_of_the_tags_and_its_groups() {
    let unit = ou_target(1, vec![account(11)]);
    let version = |version| {
        let mut share = share_of(1, vec![unit.clone(), account_target(account(1))], false);
        share.run.tags_version = version;
        share
    };
    let first = Intent::following(None, &version(Some(7)));
    assert_eq!((first.tags_version, first.groups.len()), (Some(7), 1));
    assert!(first.groups[0].accounts().is_empty());
    assert_eq!(Intent::following(Some(&first), &version(Some(3))).tags_version, Some(7));
    assert_eq!(Intent::following(Some(&first), &version(None)).tags_version, Some(7));
    assert_eq!(Intent::following(Some(&first), &version(Some(9))).tags_version, Some(9));
}

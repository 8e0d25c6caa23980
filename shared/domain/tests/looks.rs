//! Whole looks in the model world: killed anywhere, repeated, in each other's way; what stands in the end is
//! what was wanted last, and nothing of other people's is touched.

use std::collections::{BTreeMap, BTreeSet};

use ami_share_domain::audit_log::{AuditAction, AuditRow};
use ami_share_domain::ids::{AccountId, SnapshotId};
use ami_share_domain::image::desired::Share;
use ami_share_domain::image::plan::ObservedImage;
use ami_share_domain::notify::notification::{Notification, NotificationKind};
use ami_share_domain::targets::revocation_reason::RevocationReason;
use ami_share_domain::targets::target::KeyPrincipal;
use ami_share_domain::targets::target::LaunchPermission;
use ami_share_domain::targets::target::Target;
use ami_share_testkit::desired_states::{
    desired_states, out_of_band, pool, revocation, share_of, some_targets,
};
use ami_share_testkit::fewest_cases;
use ami_share_testkit::ids::{account, image_id};
use ami_share_testkit::looks::Running;
use ami_share_testkit::policies::{Foreign, default_policy, foreign};
use ami_share_testkit::shares::account_target;
use ami_share_testkit::world::{Access, Managed, World};
use proptest::prelude::*;

/// More steps than any look takes.
const ALL_STEPS: usize = 80;

/// Looks, each killed after some steps or never.
fn killed_looks(most: usize) -> impl Strategy<Value = Vec<(Share, usize)>> {
    let steps = prop_oneof![2 => 0..30_usize, 1 => Just(ALL_STEPS)];
    prop::collection::vec((desired_states(1), steps), 0..most)
}

fn run(world: &mut World, reconciliations: &[(Share, usize)]) {
    for (share, steps) in reconciliations {
        world.reconciliation_interrupted_after(share, *steps);
    }
}

fn world(out_of_band: &ObservedImage, foreign: &Foreign) -> World {
    World::granted_out_of_band(out_of_band.clone()).with_policy(foreign.actual(&[]))
}

fn permissions(targets: &[Target]) -> BTreeSet<LaunchPermission> {
    targets.iter().map(Target::launch_permission).collect()
}

fn principals(targets: &[Target]) -> BTreeSet<KeyPrincipal> {
    targets.iter().map(Target::key_principal).collect()
}

/// Who may copy what: those whom other people let, and those behind the share's targets.
fn copiers(out_of_band: &ObservedImage, share: &Share) -> BTreeMap<SnapshotId, BTreeSet<AccountId>> {
    let mut copiers = out_of_band.snapshots.clone();
    for snapshot in &share.desired.snapshots {
        let accounts = share.desired.targets.iter().flat_map(|target| target.accounts()).cloned();
        copiers.entry(snapshot.clone()).or_default().extend(accounts);
    }
    copiers.retain(|_, accounts| !accounts.is_empty());
    copiers
}

/// Which look goes on, and for how many steps.
type Lease = (prop::sample::Index, usize);

fn schedules() -> impl Strategy<Value = Vec<Lease>> {
    prop::collection::vec((any::<prop::sample::Index>(), 1..12_usize), 0..8)
}

/// Lets looks go on in the order of `schedule`; after each step, whoever may launch can use the key.
fn interleave(
    world: &mut World,
    reconciliations: &mut [Running],
    schedule: &[Lease],
    out_of_band: &ObservedImage,
) -> Result<(), TestCaseError> {
    let mut seen = None;
    for (place, steps) in schedule {
        for _ in 0..*steps {
            place.get_mut(reconciliations).step(world);
            let launch = world.images.values().map(|image| image.observed.launch.clone());
            let now = Some((world.key.policy.clone(), launch.collect::<Vec<_>>()));
            if now != seen {
                nobody_lacks_a_key(world, out_of_band)?;
                seen = now;
            }
        }
    }
    Ok(())
}

/// Lets each look go to its end.
fn finish(world: &mut World, reconciliations: &mut [Running]) {
    while reconciliations.iter().any(|trigger| !trigger.is_over()) {
        for trigger in reconciliations.iter_mut() {
            trigger.step(world);
        }
    }
}

/// Whoever may launch an image by our hand can use its key.
fn nobody_lacks_a_key(world: &World, out_of_band: &ObservedImage) -> Result<(), TestCaseError> {
    let granted = world.key.granted();
    for target in pool() {
        let permission = target.launch_permission();
        let has_access = world.images.values().any(|image| image.observed.launch.contains(&permission));
        let is_managed = has_access && !out_of_band.launch.contains(&permission);
        prop_assert!(!is_managed || granted.contains(&target.key_principal()), "{:?}", target);
    }
    Ok(())
}

proptest! {
    #![proptest_config(fewest_cases())]

    #[test]
    fn after_a_look_exactly_the_wanted_have_access_by_our_hand_whatever_died_before(
        out_of_band in out_of_band(), foreign in foreign(), before in killed_looks(4), last in desired_states(1),
    ) {
        let mut world = world(&out_of_band, &foreign);
        let policy = world.key.read();
        run(&mut world, &before);
        world.trigger(&last);
        let access = world.access();
        let launch = out_of_band.launch.union(&permissions(&last.desired.targets)).cloned().collect();
        prop_assert_eq!(&access.launch[&image_id(1)], &launch);
        prop_assert_eq!(&access.snapshots, &copiers(&out_of_band, &last));
        prop_assert_eq!(world.key.granted(), principals(&last.desired.targets));
        prop_assert_eq!(access.policy.foreign(), policy.foreign());
        prop_assert_eq!(access.pending_revocation, BTreeSet::new());
        // The ledger says of everything open whether it is ours.
        let desired = last.desired.targets.iter().filter(|target| !out_of_band.launch.contains(&target.launch_permission()));
        let managed: BTreeSet<_> = desired.map(|target| (image_id(1), target.name().to_owned())).collect();
        prop_assert_eq!(access.managed, managed);
        let added = copiers(&ObservedImage::default(), &last).into_iter().map(|(snapshot, accounts)| {
            let unmanaged = out_of_band.snapshots.get(&snapshot).cloned().unwrap_or_default();
            (snapshot, accounts.difference(&unmanaged).cloned().collect::<BTreeSet<_>>())
        });
        let added: BTreeMap<_, _> = added.filter(|(_, accounts)| !accounts.is_empty()).collect();
        prop_assert_eq!(access.copiers, added);
    }

    #[test]
    fn a_look_that_is_killed_anywhere_leaves_no_trace_once_another_comes_through(
        out_of_band in out_of_band(), first in desired_states(1), second in desired_states(1), last in desired_states(1), steps in 0..40_usize,
    ) {
        let end = |steps: usize| -> Access {
            let mut world = world(&out_of_band, &default_policy());
            world.trigger(&first);
            world.reconciliation_interrupted_after(&second, steps);
            world.trigger(&last);
            world.access()
        };
        let interrupted = end(steps);
        prop_assert_eq!(&interrupted, &end(ALL_STEPS));
        prop_assert_eq!(&interrupted, &end(0));
    }

    #[test]
    fn of_an_image_that_is_gone_nothing_is_left_whatever_died_before(
        out_of_band in out_of_band(), foreign in foreign(), before in killed_looks(4), steps in 0..30_usize,
    ) {
        let mut world = world(&out_of_band, &foreign);
        run(&mut world, &before);
        world.deregister(&image_id(1));
        let end = revocation(1, RevocationReason::ImageGone);
        world.reconciliation_interrupted_after(&end, steps);
        world.trigger(&end);
        let access = world.access();
        prop_assert_eq!(access.snapshots, copiers(&out_of_band, &end));
        prop_assert_eq!(world.key.granted(), BTreeSet::new());
        prop_assert_eq!((access.managed, access.copiers), (BTreeSet::new(), BTreeMap::new()));
        prop_assert_eq!((access.needed, access.pending_revocation), (BTreeMap::new(), BTreeSet::new()));
        prop_assert!(world.first().ledger.is_settled());
    }

    #[test]
    fn of_looks_in_each_others_way_the_latest_intent_wins_and_nothing_is_left_over(
        out_of_band in out_of_band(),
        first in desired_states(1),
        desired in prop::collection::vec(desired_states(1), 2..4),
        schedule in schedules(),
    ) {
        let mut start = world(&out_of_band, &default_policy());
        start.trigger(&first);
        let mut world = start.clone();
        let mut reconciliations: Vec<Running> = desired.iter().map(|share| world.begin(share)).collect();
        interleave(&mut world, &mut reconciliations, &schedule, &out_of_band)?;
        finish(&mut world, &mut reconciliations);
        let latest = reconciliations.iter().max_by_key(|trigger| trigger.share.run.intent).unwrap();
        start.trigger(&latest.share);
        prop_assert_eq!(world.access(), start.access());
    }

    #[test]
    fn one_of_them_may_die_and_the_latest_intent_still_wins_at_the_next_look(
        out_of_band in out_of_band(),
        desired in prop::collection::vec(desired_states(1), 2..4),
        schedule in schedules(),
        dies in any::<prop::sample::Index>(),
        last in desired_states(1),
    ) {
        let mut world = world(&out_of_band, &default_policy());
        let mut other = world.clone();
        let mut reconciliations: Vec<Running> = desired.iter().map(|share| world.begin(share)).collect();
        interleave(&mut world, &mut reconciliations, &schedule, &out_of_band)?;
        dies.get_mut(&mut reconciliations).die(&mut world);
        finish(&mut world, &mut reconciliations);
        world.trigger(&last);
        other.trigger(&last);
        prop_assert_eq!(world.access(), other.access());
    }

    #[test]
    fn looks_in_each_others_way_never_take_each_other_for_somebody_who_takes_access(
        desired in desired_states(1), before in desired_states(1), schedule in schedules(),
    ) {
        let mut world = World::default();
        world.trigger(&before);
        let mut reconciliations: Vec<Running> = [&desired; 3].map(|share| world.begin(share)).into();
        interleave(&mut world, &mut reconciliations, &schedule, &ObservedImage::default())?;
        finish(&mut world, &mut reconciliations);
        for trigger in reconciliations {
            prop_assert_eq!(trigger.result.unwrap().restored, Vec::<String>::new());
        }
    }

    #[test]
    fn a_first_share_that_died_is_not_taken_for_somebody_who_takes_access(
        desired in desired_states(1), steps in 0..30_usize,
    ) {
        let mut world = World::default();
        world.reconciliation_interrupted_after(&desired, steps);
        prop_assert_eq!(world.trigger(&desired).result.unwrap().restored, Vec::<String>::new());
    }

    #[test]
    fn a_key_admits_whom_any_image_needs_and_nobody_lacks_it_while_looks_go_on(
        desired in prop::collection::vec(prop_oneof![desired_states(1), desired_states(2)], 1..5), schedule in schedules(),
    ) {
        let mut world = World::default();
        let mut reconciliations: Vec<Running> = desired.iter().map(|share| world.begin(share)).collect();
        interleave(&mut world, &mut reconciliations, &schedule, &ObservedImage::default())?;
        finish(&mut world, &mut reconciliations);
        let latest = |number: usize| {
            let reconciliations = reconciliations.iter().filter(|trigger| trigger.share.desired.image.id == image_id(number));
            reconciliations.max_by_key(|trigger| trigger.share.run.intent).map(|trigger| trigger.share.desired.targets.clone()).unwrap_or_default()
        };
        let needed = [latest(1), latest(2)].concat();
        prop_assert_eq!(world.key.granted(), principals(&needed));
    }

    #[test]
    fn a_key_that_cannot_be_read_holds_up_no_withdrawal_and_is_made_good_once_it_can(
        out_of_band in out_of_band(),
        foreign in foreign(),
        before in desired_states(1),
        between in killed_looks(3),
        last in desired_states(1),
    ) {
        let mut world = world(&out_of_band, &foreign);
        world.trigger(&before);
        let had = world.access();
        world.key_is_unreadable = true;
        run(&mut world, &between);
        world.trigger(&last);
        let has = world.access();
        let foreign_or = |targets: &[Target]| &out_of_band.launch | &permissions(targets);
        let launch = &has.launch[&image_id(1)];
        prop_assert!(launch.is_subset(&foreign_or(&last.desired.targets)), "whom nobody wants is out");
        prop_assert!(launch.is_subset(&had.launch[&image_id(1)]), "nobody new is in");
        if between.is_empty() {
            let stays = &foreign_or(&before.desired.targets) & &foreign_or(&last.desired.targets);
            prop_assert_eq!(launch, &stays, "who is wanted still keeps it");
        }
        prop_assert_eq!(has.policy, had.policy);

        world.key_is_unreadable = false;
        world.trigger(&last);
        let access = world.access();
        prop_assert_eq!(&access.launch[&image_id(1)], &foreign_or(&last.desired.targets));
        prop_assert_eq!(world.key.granted(), principals(&last.desired.targets));
        prop_assert_eq!(access.pending_revocation, BTreeSet::new());
    }

    #[test]
    fn when_the_last_image_lets_go_the_policy_is_what_other_people_wrote_to_the_letter(
        foreign in foreign(),
        one in some_targets(),
        other in some_targets(),
        interrupted in prop::collection::vec((prop_oneof![desired_states(1), desired_states(2)], 0..30_usize), 0..3),
    ) {
        let mut world = World::default().with_policy(foreign.written(&[]));
        world.trigger(&share_of(1, one, false));
        world.trigger(&share_of(2, other.clone(), true));
        run(&mut world, &interrupted);
        world.trigger(&share_of(2, other.clone(), true));
        world.trigger(&revocation(1, RevocationReason::Untagged));
        prop_assert_eq!(world.key.granted(), principals(&other), "the other image still needs them");
        world.trigger(&revocation(2, RevocationReason::Untagged));
        prop_assert_eq!(&world.key.policy, &foreign.written(&[]));
        prop_assert!(world.needs.needed_by.is_empty());
    }

    #[test]
    fn once_everything_is_withdrawn_only_what_other_people_gave_is_left_and_the_history_says_so(
        out_of_band in out_of_band(),
        foreign in foreign(),
        before in prop::collection::vec((prop_oneof![desired_states(1), desired_states(2), desired_states(3)], 0..60_usize), 0..5),
        interrupted in (1..=3_usize, 0..60_usize),
    ) {
        let mut world = World::granted_out_of_band(out_of_band.clone()).with_policy(foreign.written(&[]));
        run(&mut world, &before);
        world.reconciliation_interrupted_after(&revoked(interrupted.0), interrupted.1);
        (1..=3).for_each(|number| _ = world.trigger(&revoked(number)));
        let access = world.access();
        let opened: BTreeSet<_> = access.launch.values().flatten().cloned().collect();
        prop_assert_eq!(opened, out_of_band.launch.clone());
        prop_assert_eq!(access.snapshots, copiers(&out_of_band, &revoked(1)));
        prop_assert_eq!(&world.key.policy, &foreign.written(&[]), "to the letter");
        prop_assert!(world.needs.needed_by.is_empty());
        for Managed { ledger, audit_log, .. } in world.images.values() {
            prop_assert!(ledger.is_settled() && ledger.notified.delivered.is_empty(), "{:?}", ledger);
            prop_assert!(is_closed_on_record(audit_log), "{:?}", audit_log);
        }
    }

    #[test]
    fn what_was_withdrawn_is_given_again_as_if_it_had_never_been(
        out_of_band in out_of_band(), foreign in foreign(), desired in prop::collection::vec((desired_states(1), desired_states(2)), 1..3),
        steps in 0..60_usize,
    ) {
        let mut world = world(&out_of_band, &foreign);
        for (one, other) in &desired {
            world.trigger(one);
            world.trigger(other);
        }
        // Whom a key has yet to let go is settled when nobody needs them any more.
        let previous = |world: &World| Access { pending_revocation: BTreeSet::new(), ..world.access() };
        let never_withdrawn = previous(&world);
        world.reconciliation_interrupted_after(&revoked(1), steps);
        world.trigger(&revoked(2));
        let (one, other) = desired.last().unwrap();
        world.trigger(one);
        world.trigger(other);
        prop_assert_eq!(previous(&world), never_withdrawn);
    }

    #[test]
    fn every_member_hears_once_that_everything_is_withdrawn_and_of_no_word_that_it_is_refused(
        desired in (desired_states(1), desired_states(2)),
    ) {
        let mut world = World::default();
        world.trigger(&desired.0);
        world.trigger(&desired.1);
        let before: Vec<usize> = world.images.values().map(|managed| managed.sent.len()).collect();
        for _ in 0..2 {
            world.trigger(&revoked(1));
            world.trigger(&revoked(2));
        }
        for (managed, before) in world.images.values().zip(before) {
            let (received, since) = managed.sent.split_at(before);
            let target_accounts = |sent: &[(Option<AccountId>, Notification)], kind| -> Vec<AccountId> {
                let of_kind = sent.iter().filter(|(_, notification)| notification.kind == kind);
                let mut target_accounts: Vec<AccountId> = of_kind.filter_map(|(account, _)| account.clone()).collect();
                target_accounts.sort();
                target_accounts
            };
            prop_assert_eq!(target_accounts(since, NotificationKind::Unshared), target_accounts(received, NotificationKind::Shared));
            let reason = RevocationReason::SharingDisabled.to_string();
            for (_, notification) in since {
                prop_assert_eq!(notification.kind, NotificationKind::Unshared);
                prop_assert_eq!(notification.detail.reason.as_ref(), Some(&reason));
            }
        }
    }
}

/// What a look finds wanted of image `number` while the stack withdraws everything.
fn revoked(number: usize) -> Share {
    revocation(number, RevocationReason::SharingDisabled)
}

/// Whether whoever was let launch the image or copy a snapshot, by the history, was shut out after that, or found
/// to be.
fn is_closed_on_record(audit_log: &[AuditRow]) -> bool {
    let mut open = BTreeSet::new();
    for row in audit_log {
        let principals = row.principals.iter().map(|principals| (row.resource.as_str(), principals.as_str()));
        match row.action {
            AuditAction::ImageGranted | AuditAction::SnapshotGranted => open.extend(principals),
            AuditAction::ImageRevoked | AuditAction::SnapshotRevoked | AuditAction::Recovered => {
                principals.for_each(|principals| _ = open.remove(&principals))
            }
            _ => {}
        }
    }
    open.is_empty()
}

#[test]
fn what_a_look_closed_is_in_the_history_wherever_it_died() {
    let mut start = World::default();
    start.trigger(&share_of(1, vec![account_target(account(1))], true));
    for steps in 0..ALL_STEPS {
        let mut world = start.clone();
        world.reconciliation_interrupted_after(&revoked(1), steps);
        world.trigger(&revoked(1));
        let audit_log = world.first().audit_log;
        assert!(is_closed_on_record(&audit_log), "after {steps} steps: {audit_log:?}");
    }
}

/// All ways in which the withdrawal goes so far, the share so far, and then the first to its end before the other.
#[test]
fn a_withdrawal_and_a_share_that_change_places_twice_end_as_the_later_intent_says() {
    let desired = share_of(1, vec![account_target(account(1))], true);
    let mut start = World::default();
    start.trigger(&desired);
    let expected = start.access();
    for (steps, other_steps) in (1..17).flat_map(|steps| (1..17).map(move |other| (steps, other))) {
        let mut world = start.clone();
        let mut reconciliations =
            [world.begin(&revocation(1, RevocationReason::Untagged)), world.begin(&desired)];
        for (trigger, steps) in [(0, steps), (1, other_steps)] {
            (0..steps).for_each(|_| _ = reconciliations[trigger].step(&mut world));
        }
        finish(&mut world, &mut reconciliations);
        assert_eq!(world.access(), expected, "after {steps} and {other_steps} steps of {reconciliations:?}");
    }
}

//! Whole looks in the model world: killed anywhere, repeated, in each other's way; what stands in the end is
//! what was wanted last, and nothing of other people's is touched.

use std::collections::{BTreeMap, BTreeSet};

use ami_share_domain::audit::{AuditRow, Deed};
use ami_share_domain::ending::Ending;
use ami_share_domain::ids::{AccountId, SnapshotId};
use ami_share_domain::image_plan::ObservedImage;
use ami_share_domain::key_statements::KeyPrincipal;
use ami_share_domain::notice::{Notice, NoticeKind};
use ami_share_domain::share::{LaunchPermission, Share, Target};
use ami_share_testkit::fewest_cases;
use ami_share_testkit::ids::{account, image_id};
use ami_share_testkit::looks::Running;
use ami_share_testkit::policies::{Foreign, default_policy, foreign};
use ami_share_testkit::shares::account_target;
use ami_share_testkit::wishes::{by_hand, ending, pool, share_of, some_targets, wishes};
use ami_share_testkit::world::{Access, Managed, World};
use proptest::prelude::*;

/// More steps than any look takes.
const ALL_STEPS: usize = 80;

/// Looks, each killed after some steps or never.
fn killed_looks(most: usize) -> impl Strategy<Value = Vec<(Share, usize)>> {
    let steps = prop_oneof![2 => 0..30_usize, 1 => Just(ALL_STEPS)];
    prop::collection::vec((wishes(1), steps), 0..most)
}

fn run(world: &mut World, looks: &[(Share, usize)]) {
    for (share, steps) in looks {
        world.look_killed_after(share, *steps);
    }
}

fn world(by_hand: &ObservedImage, foreign: &Foreign) -> World {
    World::opened_by_hand(by_hand.clone()).with_policy(foreign.live(&[]))
}

fn permissions(targets: &[Target]) -> BTreeSet<LaunchPermission> {
    targets.iter().map(Target::launch_permission).collect()
}

fn principals(targets: &[Target]) -> BTreeSet<KeyPrincipal> {
    targets.iter().map(Target::key_principal).collect()
}

/// Who may copy what: those whom other people let, and those behind the share's targets.
fn copiers(by_hand: &ObservedImage, share: &Share) -> BTreeMap<SnapshotId, BTreeSet<AccountId>> {
    let mut copiers = by_hand.snapshots.clone();
    for snapshot in &share.snapshots {
        let accounts = share.targets.iter().flat_map(|target| target.accounts()).cloned();
        copiers.entry(snapshot.clone()).or_default().extend(accounts);
    }
    copiers.retain(|_, accounts| !accounts.is_empty());
    copiers
}

/// Which look goes on, and for how many steps.
type Turn = (prop::sample::Index, usize);

fn schedules() -> impl Strategy<Value = Vec<Turn>> {
    prop::collection::vec((any::<prop::sample::Index>(), 1..12_usize), 0..8)
}

/// Lets looks go on in the order of `schedule`; after each step, whoever may launch can use the key.
fn interleave(
    world: &mut World,
    looks: &mut [Running],
    schedule: &[Turn],
    by_hand: &ObservedImage,
) -> Result<(), TestCaseError> {
    let mut seen = None;
    for (place, steps) in schedule {
        for _ in 0..*steps {
            place.get_mut(looks).step(world);
            let launch = world.images.values().map(|image| image.observed.launch.clone());
            let now = Some((world.key.policy.clone(), launch.collect::<Vec<_>>()));
            if now != seen {
                nobody_lacks_a_key(world, by_hand)?;
                seen = now;
            }
        }
    }
    Ok(())
}

/// Lets each look go to its end.
fn finish(world: &mut World, looks: &mut [Running]) {
    while looks.iter().any(|look| !look.is_over()) {
        for look in looks.iter_mut() {
            look.step(world);
        }
    }
}

/// Whoever may launch an image by our hand can use its key.
fn nobody_lacks_a_key(world: &World, by_hand: &ObservedImage) -> Result<(), TestCaseError> {
    let admitted = world.key.admitted();
    for target in pool() {
        let permission = target.launch_permission();
        let is_open = world.images.values().any(|image| image.observed.launch.contains(&permission));
        let is_ours = is_open && !by_hand.launch.contains(&permission);
        prop_assert!(!is_ours || admitted.contains(&target.key_principal()), "{:?}", target);
    }
    Ok(())
}

proptest! {
    #![proptest_config(fewest_cases())]

    #[test]
    fn after_a_look_exactly_the_wanted_have_access_by_our_hand_whatever_died_before(
        by_hand in by_hand(), foreign in foreign(), before in killed_looks(4), last in wishes(1),
    ) {
        let mut world = world(&by_hand, &foreign);
        let policy = world.key.read();
        run(&mut world, &before);
        world.look(&last);
        let access = world.access();
        let launch = by_hand.launch.union(&permissions(&last.targets)).cloned().collect();
        prop_assert_eq!(&access.launch[&image_id(1)], &launch);
        prop_assert_eq!(&access.snapshots, &copiers(&by_hand, &last));
        prop_assert_eq!(world.key.admitted(), principals(&last.targets));
        prop_assert_eq!(access.policy.foreign(), policy.foreign());
        prop_assert_eq!(access.leaving, BTreeSet::new());
        // The ledger says of everything open whether it is ours.
        let wanted = last.targets.iter().filter(|target| !by_hand.launch.contains(&target.launch_permission()));
        let ours: BTreeSet<_> = wanted.map(|target| (image_id(1), target.name().to_owned())).collect();
        prop_assert_eq!(access.ours, ours);
        let added = copiers(&ObservedImage::default(), &last).into_iter().map(|(snapshot, accounts)| {
            let theirs = by_hand.snapshots.get(&snapshot).cloned().unwrap_or_default();
            (snapshot, accounts.difference(&theirs).cloned().collect::<BTreeSet<_>>())
        });
        let added: BTreeMap<_, _> = added.filter(|(_, accounts)| !accounts.is_empty()).collect();
        prop_assert_eq!(access.copiers, added);
    }

    #[test]
    fn a_look_that_is_killed_anywhere_leaves_no_trace_once_another_comes_through(
        by_hand in by_hand(), first in wishes(1), second in wishes(1), last in wishes(1), steps in 0..40_usize,
    ) {
        let end = |steps: usize| -> Access {
            let mut world = world(&by_hand, &default_policy());
            world.look(&first);
            world.look_killed_after(&second, steps);
            world.look(&last);
            world.access()
        };
        let killed = end(steps);
        prop_assert_eq!(&killed, &end(ALL_STEPS));
        prop_assert_eq!(&killed, &end(0));
    }

    #[test]
    fn of_an_image_that_is_gone_nothing_is_left_whatever_died_before(
        by_hand in by_hand(), foreign in foreign(), before in killed_looks(4), steps in 0..30_usize,
    ) {
        let mut world = world(&by_hand, &foreign);
        run(&mut world, &before);
        world.deregister(&image_id(1));
        let end = ending(1, Ending::ImageGone);
        world.look_killed_after(&end, steps);
        world.look(&end);
        let access = world.access();
        prop_assert_eq!(access.snapshots, copiers(&by_hand, &end));
        prop_assert_eq!(world.key.admitted(), BTreeSet::new());
        prop_assert_eq!((access.ours, access.copiers), (BTreeSet::new(), BTreeMap::new()));
        prop_assert_eq!((access.needed, access.leaving), (BTreeMap::new(), BTreeSet::new()));
        prop_assert!(world.first().ledger.is_settled());
    }

    #[test]
    fn of_looks_in_each_others_way_the_latest_intent_wins_and_nothing_is_left_over(
        by_hand in by_hand(),
        first in wishes(1),
        wanted in prop::collection::vec(wishes(1), 2..4),
        schedule in schedules(),
    ) {
        let mut start = world(&by_hand, &default_policy());
        start.look(&first);
        let mut world = start.clone();
        let mut looks: Vec<Running> = wanted.iter().map(|share| world.begin(share)).collect();
        interleave(&mut world, &mut looks, &schedule, &by_hand)?;
        finish(&mut world, &mut looks);
        let latest = looks.iter().max_by_key(|look| look.share.intent).unwrap();
        start.look(&latest.share);
        prop_assert_eq!(world.access(), start.access());
    }

    #[test]
    fn one_of_them_may_die_and_the_latest_intent_still_wins_at_the_next_look(
        by_hand in by_hand(),
        wanted in prop::collection::vec(wishes(1), 2..4),
        schedule in schedules(),
        dies in any::<prop::sample::Index>(),
        last in wishes(1),
    ) {
        let mut world = world(&by_hand, &default_policy());
        let mut other = world.clone();
        let mut looks: Vec<Running> = wanted.iter().map(|share| world.begin(share)).collect();
        interleave(&mut world, &mut looks, &schedule, &by_hand)?;
        dies.get_mut(&mut looks).die(&mut world);
        finish(&mut world, &mut looks);
        world.look(&last);
        other.look(&last);
        prop_assert_eq!(world.access(), other.access());
    }

    #[test]
    fn looks_in_each_others_way_never_take_each_other_for_somebody_who_takes_access(
        wanted in wishes(1), before in wishes(1), schedule in schedules(),
    ) {
        let mut world = World::default();
        world.look(&before);
        let mut looks: Vec<Running> = [&wanted; 3].map(|share| world.begin(share)).into();
        interleave(&mut world, &mut looks, &schedule, &ObservedImage::default())?;
        finish(&mut world, &mut looks);
        for look in looks {
            prop_assert_eq!(look.given.unwrap().restored, Vec::<String>::new());
        }
    }

    #[test]
    fn a_first_share_that_died_is_not_taken_for_somebody_who_takes_access(
        wanted in wishes(1), steps in 0..30_usize,
    ) {
        let mut world = World::default();
        world.look_killed_after(&wanted, steps);
        prop_assert_eq!(world.look(&wanted).given.unwrap().restored, Vec::<String>::new());
    }

    #[test]
    fn a_key_admits_whom_any_image_needs_and_nobody_lacks_it_while_looks_go_on(
        wanted in prop::collection::vec(prop_oneof![wishes(1), wishes(2)], 1..5), schedule in schedules(),
    ) {
        let mut world = World::default();
        let mut looks: Vec<Running> = wanted.iter().map(|share| world.begin(share)).collect();
        interleave(&mut world, &mut looks, &schedule, &ObservedImage::default())?;
        finish(&mut world, &mut looks);
        let latest = |number: usize| {
            let looks = looks.iter().filter(|look| look.share.image.id == image_id(number));
            looks.max_by_key(|look| look.share.intent).map(|look| look.share.targets.clone()).unwrap_or_default()
        };
        let needed = [latest(1), latest(2)].concat();
        prop_assert_eq!(world.key.admitted(), principals(&needed));
    }

    #[test]
    fn a_key_that_cannot_be_read_holds_up_no_withdrawal_and_is_made_good_once_it_can(
        by_hand in by_hand(),
        foreign in foreign(),
        before in wishes(1),
        between in killed_looks(3),
        last in wishes(1),
    ) {
        let mut world = world(&by_hand, &foreign);
        world.look(&before);
        let had = world.access();
        world.key_is_unreadable = true;
        run(&mut world, &between);
        world.look(&last);
        let has = world.access();
        let foreign_or = |targets: &[Target]| &by_hand.launch | &permissions(targets);
        let launch = &has.launch[&image_id(1)];
        prop_assert!(launch.is_subset(&foreign_or(&last.targets)), "whom nobody wants is out");
        prop_assert!(launch.is_subset(&had.launch[&image_id(1)]), "nobody new is in");
        if between.is_empty() {
            let stays = &foreign_or(&before.targets) & &foreign_or(&last.targets);
            prop_assert_eq!(launch, &stays, "who is wanted still keeps it");
        }
        prop_assert_eq!(has.policy, had.policy);

        world.key_is_unreadable = false;
        world.look(&last);
        let access = world.access();
        prop_assert_eq!(&access.launch[&image_id(1)], &foreign_or(&last.targets));
        prop_assert_eq!(world.key.admitted(), principals(&last.targets));
        prop_assert_eq!(access.leaving, BTreeSet::new());
    }

    #[test]
    fn when_the_last_image_lets_go_the_policy_is_what_other_people_wrote_to_the_letter(
        foreign in foreign(),
        one in some_targets(),
        other in some_targets(),
        killed in prop::collection::vec((prop_oneof![wishes(1), wishes(2)], 0..30_usize), 0..3),
    ) {
        let mut world = World::default().with_policy(foreign.written(&[]));
        world.look(&share_of(1, one, false));
        world.look(&share_of(2, other.clone(), true));
        run(&mut world, &killed);
        world.look(&share_of(2, other.clone(), true));
        world.look(&ending(1, Ending::Untagged));
        prop_assert_eq!(world.key.admitted(), principals(&other), "the other image still needs them");
        world.look(&ending(2, Ending::Untagged));
        prop_assert_eq!(&world.key.policy, &foreign.written(&[]));
        prop_assert!(world.needs.needed_by.is_empty());
    }

    #[test]
    fn once_everything_is_withdrawn_only_what_other_people_gave_is_left_and_the_history_says_so(
        by_hand in by_hand(),
        foreign in foreign(),
        before in prop::collection::vec((prop_oneof![wishes(1), wishes(2), wishes(3)], 0..60_usize), 0..5),
        killed in (1..=3_usize, 0..60_usize),
    ) {
        let mut world = World::opened_by_hand(by_hand.clone()).with_policy(foreign.written(&[]));
        run(&mut world, &before);
        world.look_killed_after(&withdrawn(killed.0), killed.1);
        (1..=3).for_each(|number| _ = world.look(&withdrawn(number)));
        let access = world.access();
        let opened: BTreeSet<_> = access.launch.values().flatten().cloned().collect();
        prop_assert_eq!(opened, by_hand.launch.clone());
        prop_assert_eq!(access.snapshots, copiers(&by_hand, &withdrawn(1)));
        prop_assert_eq!(&world.key.policy, &foreign.written(&[]), "to the letter");
        prop_assert!(world.needs.needed_by.is_empty());
        for Managed { ledger, history, .. } in world.images.values() {
            prop_assert!(ledger.is_settled() && ledger.told.delivered.is_empty(), "{:?}", ledger);
            prop_assert!(is_closed_on_record(history), "{:?}", history);
        }
    }

    #[test]
    fn what_was_withdrawn_is_given_again_as_if_it_had_never_been(
        by_hand in by_hand(), foreign in foreign(), wanted in prop::collection::vec((wishes(1), wishes(2)), 1..3),
        steps in 0..60_usize,
    ) {
        let mut world = world(&by_hand, &foreign);
        for (one, other) in &wanted {
            world.look(one);
            world.look(other);
        }
        // Whom a key has yet to let go is settled when nobody needs them any more.
        let standing = |world: &World| Access { leaving: BTreeSet::new(), ..world.access() };
        let never_withdrawn = standing(&world);
        world.look_killed_after(&withdrawn(1), steps);
        world.look(&withdrawn(2));
        let (one, other) = wanted.last().unwrap();
        world.look(one);
        world.look(other);
        prop_assert_eq!(standing(&world), never_withdrawn);
    }

    #[test]
    fn every_member_hears_once_that_everything_is_withdrawn_and_of_no_word_that_it_is_refused(
        wanted in (wishes(1), wishes(2)),
    ) {
        let mut world = World::default();
        world.look(&wanted.0);
        world.look(&wanted.1);
        let before: Vec<usize> = world.images.values().map(|managed| managed.sent.len()).collect();
        for _ in 0..2 {
            world.look(&withdrawn(1));
            world.look(&withdrawn(2));
        }
        for (managed, before) in world.images.values().zip(before) {
            let (heard, since) = managed.sent.split_at(before);
            let members = |sent: &[(Option<AccountId>, Notice)], kind| -> Vec<AccountId> {
                let of_kind = sent.iter().filter(|(_, notice)| notice.kind == kind);
                let mut members: Vec<AccountId> = of_kind.filter_map(|(account, _)| account.clone()).collect();
                members.sort();
                members
            };
            prop_assert_eq!(members(since, NoticeKind::Unshared), members(heard, NoticeKind::Shared));
            let reason = Ending::Withdrawn.to_string();
            for (_, notice) in since {
                prop_assert_eq!(notice.kind, NoticeKind::Unshared);
                prop_assert_eq!(notice.detail.reason.as_ref(), Some(&reason));
            }
        }
    }
}

/// What a look finds wanted of image `number` while the stack withdraws everything.
fn withdrawn(number: usize) -> Share {
    ending(number, Ending::Withdrawn)
}

/// Whether whoever was let launch the image or copy a snapshot, by the history, was shut out after that, or found
/// to be.
fn is_closed_on_record(history: &[AuditRow]) -> bool {
    let mut open = BTreeSet::new();
    for row in history {
        let whom = row.whom.iter().map(|whom| (row.resource.as_str(), whom.as_str()));
        match row.deed {
            Deed::ImageOpened | Deed::SnapshotOpened => open.extend(whom),
            Deed::ImageClosed | Deed::SnapshotClosed | Deed::Found => {
                whom.for_each(|whom| _ = open.remove(&whom))
            }
            _ => {}
        }
    }
    open.is_empty()
}

#[test]
fn what_a_look_closed_is_in_the_history_wherever_it_died() {
    let mut start = World::default();
    start.look(&share_of(1, vec![account_target(account(1))], true));
    for steps in 0..ALL_STEPS {
        let mut world = start.clone();
        world.look_killed_after(&withdrawn(1), steps);
        world.look(&withdrawn(1));
        let history = world.first().history;
        assert!(is_closed_on_record(&history), "after {steps} steps: {history:?}");
    }
}

/// All ways in which the withdrawal goes so far, the share so far, and then the first to its end before the other.
#[test]
fn a_withdrawal_and_a_share_that_change_places_twice_end_as_the_later_intent_says() {
    let wanted = share_of(1, vec![account_target(account(1))], true);
    let mut start = World::default();
    start.look(&wanted);
    let expected = start.access();
    for (steps, other_steps) in (1..17).flat_map(|steps| (1..17).map(move |other| (steps, other))) {
        let mut world = start.clone();
        let mut looks = [world.begin(&ending(1, Ending::Untagged)), world.begin(&wanted)];
        for (look, steps) in [(0, steps), (1, other_steps)] {
            (0..steps).for_each(|_| _ = looks[look].step(&mut world));
        }
        finish(&mut world, &mut looks);
        assert_eq!(world.access(), expected, "after {steps} and {other_steps} steps of {looks:?}");
    }
}

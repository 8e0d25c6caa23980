//! Opening an image: it converges from wherever it stopped, only ever adds, and opens the image last.

use std::collections::BTreeSet;

use ami_share_domain::ids::{AccountId, SnapshotId};
use ami_share_domain::image_plan::{ImagePlan, ImageStep, ObservedImage, SNAPSHOT_MODIFICATIONS, open};
use ami_share_domain::refusal::RefusalCode;
use ami_share_domain::share::Target;
use ami_share_testkit::ids::{account, snapshot};
use ami_share_testkit::shares::{account_target, ou_target, target_lists};
use ami_share_testkit::world::World;
use proptest::prelude::*;

const NO_LIMIT: usize = usize::MAX;

/// An image that is open already to some of the targets that the properties know.
fn observed() -> impl Strategy<Value = ObservedImage> {
    let accounts = prop::collection::btree_set((1..=40_usize).prop_map(account), 0..20);
    let snapshots = prop::collection::btree_map((1..=4_usize).prop_map(snapshot), accounts, 0..4);
    (target_lists(), snapshots).prop_map(|(targets, snapshots)| ObservedImage {
        launch: targets.iter().map(Target::launch_permission).collect(),
        snapshots,
    })
}

fn snapshots() -> impl Strategy<Value = Vec<SnapshotId>> {
    prop::collection::btree_set((1..=4_usize).prop_map(snapshot), 0..4)
        .prop_map(|snapshots| snapshots.into_iter().collect())
}

fn plan(observed: &ObservedImage, targets: &[Target], snapshots: &[SnapshotId]) -> ImagePlan {
    open(observed, &targets.iter().collect::<Vec<_>>(), snapshots, NO_LIMIT)
}

fn world(observed: &ObservedImage) -> World {
    World { image: observed.clone(), ..World::default() }
}

fn applied(observed: &ObservedImage, steps: &[ImageStep]) -> ObservedImage {
    let mut world = world(observed);
    steps.iter().for_each(|step| world.apply(step));
    world.image
}

proptest! {
    #[test]
    fn a_plan_that_was_applied_makes_the_next_one_empty(
        observed in observed(), targets in target_lists(), snapshots in snapshots(),
    ) {
        let after = applied(&observed, &plan(&observed, &targets, &snapshots).steps);
        prop_assert_eq!(plan(&after, &targets, &snapshots), ImagePlan::default());
    }

    #[test]
    fn stopping_after_any_step_and_planning_again_ends_the_same(
        observed in observed(),
        targets in target_lists(),
        snapshots in snapshots(),
        stop in any::<prop::sample::Index>(),
    ) {
        let steps = plan(&observed, &targets, &snapshots).steps;
        let straight = applied(&observed, &steps);
        let half_way = applied(&observed, &steps[..stop.index(steps.len() + 1)]);
        let resumed = applied(&half_way, &plan(&half_way, &targets, &snapshots).steps);
        prop_assert_eq!(resumed, straight);
    }

    #[test]
    fn the_order_of_targets_does_not_matter(
        observed in observed(),
        (targets, other) in target_lists()
            .prop_flat_map(|targets| (Just(targets.clone()), Just(targets).prop_shuffle())),
        snapshots in snapshots(),
    ) {
        prop_assert_eq!(plan(&observed, &targets, &snapshots), plan(&observed, &other, &snapshots));
    }

    #[test]
    fn all_that_is_wanted_is_added_nothing_else_is_and_nothing_is_taken(
        observed in observed(), targets in target_lists(), snapshots in snapshots(),
    ) {
        let after = applied(&observed, &plan(&observed, &targets, &snapshots).steps);
        let permissions = targets.iter().map(Target::launch_permission);
        prop_assert_eq!(after.launch, observed.launch.iter().cloned().chain(permissions).collect());
        let accounts: BTreeSet<AccountId> =
            targets.iter().flat_map(|target| target.accounts()).cloned().collect();
        let mut expected = observed.snapshots.clone();
        if !accounts.is_empty() {
            for snapshot in snapshots {
                expected.entry(snapshot).or_default().extend(accounts.iter().cloned());
            }
        }
        prop_assert_eq!(after.snapshots, expected);
    }

    #[test]
    fn snapshots_are_opened_before_the_image_and_no_step_is_empty(
        observed in observed(), targets in target_lists(), snapshots in snapshots(),
    ) {
        let steps = plan(&observed, &targets, &snapshots).steps;
        let image = steps.iter().position(|step| matches!(step, ImageStep::OpenImage { .. }));
        prop_assert!(image.is_none_or(|image| image + 1 == steps.len()));
        for step in &steps {
            match step {
                ImageStep::OpenSnapshot { accounts, .. } => prop_assert!(!accounts.is_empty()),
                ImageStep::OpenImage { permissions } => prop_assert!(!permissions.is_empty()),
            }
        }
    }

    #[test]
    fn more_than_the_limit_is_refused_before_anything_is_sent(
        observed in observed(), targets in target_lists(), snapshots in snapshots(), limit in 0..12_usize,
    ) {
        let plan = open(&observed, &targets.iter().collect::<Vec<_>>(), &snapshots, limit);
        let wanted: BTreeSet<_> = targets.iter().map(Target::launch_permission).collect();
        let has_all = wanted.is_subset(&observed.launch);
        let total = observed.launch.union(&wanted).count();
        match plan.refused {
            Some(refusal) => {
                prop_assert_eq!(refusal.code, RefusalCode::TooManyTargets);
                prop_assert_eq!(plan.steps, []);
                prop_assert!(total > limit && !has_all);
            }
            // An image that is over its limit already is left as it is.
            None => prop_assert!(total <= limit || has_all),
        }
    }
}

#[test]
fn no_call_opens_a_snapshot_to_more_than_five_hundred_accounts() {
    let targets = [ou_target(1, (1..=1_201).map(account).collect()), account_target(account(2_000))];
    let observed = ObservedImage::default();
    let steps = plan(&observed, &targets, &[snapshot(1), snapshot(2)]).steps;
    let sizes: Vec<usize> = steps
        .iter()
        .map(|step| match step {
            ImageStep::OpenSnapshot { accounts, .. } => accounts.len(),
            ImageStep::OpenImage { permissions } => permissions.len(),
        })
        .collect();
    assert_eq!(sizes, [SNAPSHOT_MODIFICATIONS, 500, 202, 500, 500, 202, 2]);
    assert_eq!(applied(&observed, &steps).snapshots[&snapshot(2)].len(), 1_202);
}

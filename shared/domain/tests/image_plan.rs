//! Granting and revoking access to an image: it converges from wherever it was interrupted, revokes only what it must,
//! grants the image last and revokes it first, and never interrupts the access of an account that moves between targets.

use std::collections::{BTreeMap, BTreeSet};

use ami_share_domain::ids::{AccountId, SnapshotId};
use ami_share_domain::image;
use ami_share_domain::image::desired::Share;
use ami_share_domain::image::ledger::ImageLedger;
use ami_share_domain::image::plan::{
    Desired, ImagePlan, ImageStep, ObservedImage, SNAPSHOT_MODIFICATIONS, Verdict,
};
use ami_share_domain::image::unmanaged::UnmanagedGrant;
use ami_share_domain::image::unmanaged::unmanaged;
use ami_share_domain::refusal::RefusalCode;
use ami_share_domain::targets::target::LaunchPermission;
use ami_share_domain::targets::target::Target;
use ami_share_testkit::desired_states::{desired_states, out_of_band, share_of};
use ami_share_testkit::ids::{account, image_id, snapshot};
use ami_share_testkit::shares::{account_target, ou_target, target_lists};
use ami_share_testkit::world::{World, apply};
use proptest::prelude::*;

const NO_LIMIT: usize = usize::MAX;

/// An image's actual and desired state.
#[derive(Debug, Clone)]
struct Case {
    observed: ObservedImage,
    targets: Vec<Target>,
    snapshots: Vec<SnapshotId>,
    pending_revocation: BTreeSet<LaunchPermission>,
    snapshots_pending_revocation: BTreeMap<SnapshotId, BTreeSet<AccountId>>,
    makes_private: bool,
    limit: usize,
}

impl Case {
    fn plan(&self) -> ImagePlan {
        let targets: Vec<&Target> = self.targets.iter().collect();
        let desired = Desired {
            targets: &targets,
            snapshots: &self.snapshots,
            pending_revocation: &self.pending_revocation,
            snapshots_pending_revocation: &self.snapshots_pending_revocation,
            limit: self.limit,
            makes_private: self.makes_private,
        };
        image::plan::plan(&self.observed, &desired)
    }

    fn steps(&self) -> Vec<ImageStep> {
        self.plan().steps().cloned().collect()
    }

    fn after(&self, steps: &[ImageStep]) -> Self {
        let mut after = self.clone();
        for step in steps {
            apply(&mut after.observed, step);
            // The ledger keeps no revocation pending once it is done.
            if let ImageStep::RevokeImage { permissions } = step {
                after.pending_revocation.retain(|permission| !permissions.contains(permission));
            }
            if let ImageStep::RevokeSnapshot { snapshot, accounts } = step {
                let pending_revocation =
                    after.snapshots_pending_revocation.entry(snapshot.clone()).or_default();
                pending_revocation.retain(|account| !accounts.contains(account));
            }
        }
        after
    }
}

/// An image that already grants access to some of the possible targets.
fn observed() -> impl Strategy<Value = ObservedImage> {
    let numbers = || prop::collection::btree_set((1..=4_usize).prop_map(snapshot), 0..3);
    (target_lists(), copiers(), any::<bool>(), numbers()).prop_map(
        |(targets, snapshots, is_public, public)| ObservedImage {
            launch: targets.iter().map(Target::launch_permission).collect(),
            snapshots,
            is_public,
            public_snapshots: public,
            ..ObservedImage::default()
        },
    )
}

fn copiers() -> impl Strategy<Value = BTreeMap<SnapshotId, BTreeSet<AccountId>>> {
    let accounts = prop::collection::btree_set((1..=40_usize).prop_map(account), 0..20);
    prop::collection::btree_map((1..=4_usize).prop_map(snapshot), accounts, 0..4)
}

fn snapshots() -> impl Strategy<Value = Vec<SnapshotId>> {
    prop::collection::btree_set((1..=4_usize).prop_map(snapshot), 0..4)
        .prop_map(|snapshots| snapshots.into_iter().collect())
}

/// Cases in which no target is desired and pending revocation at once: the ledger never has such a target.
fn cases() -> impl Strategy<Value = Case> {
    let permissions = target_lists()
        .prop_map(|targets| targets.iter().map(Target::launch_permission).collect::<BTreeSet<_>>());
    let what = (observed(), target_lists(), snapshots(), any::<bool>());
    (what, permissions, copiers()).prop_map(
        |(
            (observed, targets, snapshots, makes_private),
            pending_revocation,
            mut snapshots_pending_revocation,
        )| {
            let is_desired = |permission: &LaunchPermission| {
                targets.iter().any(|target| target.launch_permission() == *permission)
            };
            let pending_revocation =
                pending_revocation.into_iter().filter(|permission| !is_desired(permission)).collect();
            let desired: BTreeSet<&AccountId> = targets.iter().flat_map(|target| target.accounts()).collect();
            for snapshot in &snapshots {
                let pending_revocation: Option<&mut BTreeSet<AccountId>> =
                    snapshots_pending_revocation.get_mut(snapshot);
                pending_revocation
                    .into_iter()
                    .for_each(|accounts| accounts.retain(|account| !desired.contains(account)));
            }
            snapshots_pending_revocation.retain(|_, accounts| !accounts.is_empty());
            Case {
                observed,
                targets,
                snapshots,
                pending_revocation,
                snapshots_pending_revocation,
                makes_private,
                limit: NO_LIMIT,
            }
        },
    )
}

proptest! {
    #[test]
    fn a_plan_that_was_applied_makes_the_next_one_empty(case in cases()) {
        let mut after = case.after(&case.steps());
        after.snapshots_pending_revocation.retain(|_, accounts| !accounts.is_empty());
        prop_assert_eq!(after.plan(), ImagePlan::default());
    }

    #[test]
    fn stopping_after_any_step_and_planning_again_ends_the_same(
        case in cases(), stop in any::<prop::sample::Index>(),
    ) {
        let steps = case.steps();
        let straight = case.after(&steps);
        let half_way = case.after(&steps[..stop.index(steps.len() + 1)]);
        let resumed = half_way.after(&half_way.steps());
        prop_assert_eq!(resumed.observed, straight.observed);
    }

    #[test]
    fn the_order_of_targets_does_not_matter(
        (case, other) in cases().prop_flat_map(|case| (Just(case.clone()), Just(case.targets).prop_shuffle())),
    ) {
        prop_assert_eq!(case.plan(), Case { targets: other, ..case.clone() }.plan());
    }

    #[test]
    fn a_plan_adds_all_desired_access_removes_all_pending_revocations_and_changes_nothing_else(case in cases()) {
        let Case { observed, targets, snapshots, pending_revocation, snapshots_pending_revocation, .. } = case.clone();
        let after = case.after(&case.steps()).observed;
        let mut launch = observed.launch.clone();
        launch.retain(|permission| !pending_revocation.contains(permission));
        launch.extend(targets.iter().map(Target::launch_permission));
        prop_assert_eq!(after.launch, launch);
        let accounts: BTreeSet<AccountId> =
            targets.iter().flat_map(|target| target.accounts()).cloned().collect();
        let mut expected = observed.snapshots.clone();
        for (snapshot, accounts) in snapshots_pending_revocation {
            let copiers = expected.entry(snapshot).or_default();
            copiers.retain(|account| !accounts.contains(account));
        }
        for snapshot in snapshots {
            expected.entry(snapshot).or_default().extend(accounts.iter().cloned());
        }
        let without_empty = |mut sets: BTreeMap<SnapshotId, BTreeSet<AccountId>>| {
            sets.retain(|_, accounts| !accounts.is_empty());
            sets
        };
        prop_assert_eq!(without_empty(after.snapshots), without_empty(expected));
        prop_assert_eq!(after.is_public, observed.is_public && !case.makes_private);
        let public = if case.makes_private { BTreeSet::new() } else { observed.public_snapshots };
        prop_assert_eq!(after.public_snapshots, public);
    }

    #[test]
    fn snapshots_are_granted_before_the_image_and_revoked_after_it_and_no_step_is_empty(case in cases()) {
        let ImagePlan { grants, revocations, .. } = case.plan();
        prop_assert!(grants.is_sorted_by_key(ImageStep::is_of_image));
        prop_assert!(revocations.is_sorted_by_key(|step| !step.is_of_image()));
        for step in grants.iter().chain(&revocations) {
            prop_assert!(!step.principals().is_empty());
        }
    }

    #[test]
    fn who_changes_from_an_account_to_its_ou_or_back_is_never_without_access_where_there_is_room(
        case in cases(), limit in 0..40_usize,
    ) {
        let case = Case { limit, ..case };
        let plan = case.plan();
        let behind = |picks: &dyn Fn(&Target) -> bool, case: &Case| -> BTreeSet<AccountId> {
            let units = (1..=6).map(|number| ou_target(number, vec![account(number), account(number + 6)]));
            let known = units.chain((1..=12).map(|number| account_target(account(number))));
            let granted = known.filter(|target| case.observed.launch.contains(&target.launch_permission()));
            granted.filter(|target| picks(target)).flat_map(|target| target.accounts().to_vec()).collect()
        };
        let stays = |target: &Target| {
            case.targets.iter().any(|desired| desired.name() == target.name())
                || !case.pending_revocation.contains(&target.launch_permission())
        };
        let steps: Vec<ImageStep> = plan.steps().cloned().collect();
        let all = |_: &Target| true;
        let before = behind(&all, &case);
        let retained: BTreeSet<AccountId> = &before & &behind(&stays, &case.after(&steps));
        for count in 0..=steps.len() {
            let now = behind(&all, &case.after(&steps[..count]));
            prop_assert!(retained.is_subset(&now) || plan.revokes_first, "{:?} is without access", &retained - &now);
        }
        let adds = plan.launch_permissions().len();
        let is_crowded = case.observed.launch.len() + adds > limit;
        prop_assert!(!plan.revokes_first || is_crowded);
        // The image never exceeds its limit of launch permissions, unless it exceeded it before.
        for count in 0..=steps.len() {
            let count = case.after(&steps[..count]).observed.launch.len();
            prop_assert!(count <= limit.max(case.observed.launch.len()));
        }
    }

    #[test]
    fn more_targets_than_the_limit_are_refused_before_any_grant_and_revocations_go_ahead(
        case in cases(), limit in 0..12_usize,
    ) {
        let case = Case { limit, ..case };
        let plan = case.plan();
        let desired: BTreeSet<_> = case.targets.iter().map(Target::launch_permission).collect();
        let has_all = desired.is_subset(&case.observed.launch);
        let leaves = |permission: &LaunchPermission| case.pending_revocation.contains(permission);
        let total = case.observed.launch.union(&desired).filter(|permission| !leaves(permission)).count();
        match &plan.refused {
            Some(refusal) => {
                prop_assert_eq!(refusal.code(), RefusalCode::TooManyTargets);
                prop_assert_eq!(&plan.grants, &[]);
                prop_assert!(total > limit && !has_all);
            }
            // An image that exceeds its limit already, and grants all desired targets, is left as it is.
            None => prop_assert!(total <= limit || has_all),
        }
        let after = case.after(&case.steps()).observed;
        prop_assert!(after.launch.is_disjoint(&case.pending_revocation));
    }

    #[test]
    fn exactly_the_access_that_is_neither_desired_nor_managed_is_called_unmanaged(
        out_of_band in out_of_band(), first in desired_states(1), last in desired_states(1),
    ) {
        let mut world = World::granted_out_of_band(out_of_band.clone());
        world.trigger(&first);
        let observed = world.first().observed;
        let grants = unmanaged(&observed, &last.desired, &world.first().ledger);
        let desired: BTreeSet<&AccountId> = last.desired.accounts();
        let foreign = out_of_band.launch.iter().filter(|permission| !last.desired.includes(permission.name()));
        let mut expected: Vec<UnmanagedGrant> = foreign
            .map(|permission| UnmanagedGrant { resource: image_id(1).to_string(), grantee: permission.to_string() })
            .collect();
        for (snapshot, accounts) in &out_of_band.snapshots {
            let is_desired = |account: &AccountId| !last.desired.snapshots.is_empty() && desired.contains(account);
            let foreign = accounts.iter().filter(|account| !is_desired(account));
            expected.extend(foreign.map(|account| UnmanagedGrant {
                resource: snapshot.to_string(),
                grantee: account.to_string(),
            }));
        }
        prop_assert_eq!(grants, expected);
    }
}

fn case(targets: Vec<Target>) -> Case {
    Case {
        observed: ObservedImage::default(),
        targets,
        snapshots: Vec::new(),
        pending_revocation: BTreeSet::new(),
        snapshots_pending_revocation: BTreeMap::new(),
        makes_private: false,
        limit: NO_LIMIT,
    }
}

#[test]
fn no_call_grants_or_revokes_a_snapshot_for_more_than_five_hundred_accounts() {
    let targets = vec![ou_target(1, (1..=1_201).map(account).collect()), account_target(account(2_000))];
    let case = Case { snapshots: vec![snapshot(1), snapshot(2)], ..case(targets) };
    let steps = case.steps();
    let sizes = |steps: &[ImageStep]| steps.iter().map(|step| step.principals().len()).collect::<Vec<_>>();
    assert_eq!(sizes(&steps), [SNAPSHOT_MODIFICATIONS, 500, 202, 500, 500, 202, 2]);
    let after = case.after(&steps).observed;
    assert_eq!(after.snapshots[&snapshot(2)].len(), 1_202);
    let snapshots_pending_revocation = after.snapshots.clone();
    let closing = Case {
        observed: after,
        snapshots_pending_revocation,
        targets: Vec::new(),
        snapshots: Vec::new(),
        ..case
    };
    assert_eq!(sizes(&closing.steps()), [500, 500, 202, 500, 500, 202]);
}

#[test]
fn an_account_is_revoked_after_its_ou_is_granted_unless_there_is_no_room() {
    let (alone, unit) = (account_target(account(1)), ou_target(1, vec![account(1)]));
    let observed = ObservedImage { launch: [alone.launch_permission()].into(), ..ObservedImage::default() };
    let pending_revocation = BTreeSet::from([alone.launch_permission()]);
    let change = Case { observed, pending_revocation, ..case(vec![unit.clone()]) };
    let grant = ImageStep::GrantImage { permissions: vec![unit.launch_permission()] };
    let revoke = ImageStep::RevokeImage { permissions: vec![alone.launch_permission()] };
    assert_eq!(change.steps(), [grant.clone(), revoke.clone()]);
    assert_eq!(Case { limit: 1, ..change.clone() }.steps(), [revoke.clone(), grant]);
    let full = Case { limit: 0, ..change };
    assert_eq!((full.steps(), full.plan().refused.is_some()), (vec![revoke], true));
}

proptest! {
    #[test]
    fn whatever_is_pending_is_revoked_however_old_the_read_is(case in cases(), shown in observed()) {
        let revoked = |case: &Case| {
            let mut image: BTreeSet<LaunchPermission> = BTreeSet::new();
            let mut snapshots: BTreeMap<SnapshotId, BTreeSet<AccountId>> = BTreeMap::new();
            for step in case.steps() {
                match step {
                    ImageStep::RevokeImage { permissions } => image.extend(permissions),
                    ImageStep::RevokeSnapshot { snapshot, accounts } => {
                        snapshots.entry(snapshot).or_default().extend(accounts);
                    }
                    _ => {}
                }
            }
            (image, snapshots)
        };
        let expected = (case.pending_revocation.clone(), case.snapshots_pending_revocation.clone());
        prop_assert_eq!(revoked(&case), expected.clone());
        prop_assert_eq!(revoked(&Case { observed: shown, ..case }), expected);
    }

    #[test]
    fn what_does_not_exist_any_more_is_never_called_and_what_cannot_be_read_is_only_revoked(
        case in cases(), gone in snapshots(), unreadable in snapshots(), is_gone in any::<bool>(),
    ) {
        let gone: BTreeSet<SnapshotId> = gone.into_iter().collect();
        let unreadable: BTreeMap<SnapshotId, String> = unreadable
            .into_iter()
            .filter(|snapshot| !gone.contains(snapshot))
            .map(|snapshot| (snapshot, "EC2 denies it".to_owned()))
            .collect();
        let mut observed = case.observed.clone();
        observed.snapshots.retain(|snapshot, _| !gone.contains(snapshot) && !unreadable.contains_key(snapshot));
        observed.public_snapshots.clear();
        let is_refused = |snapshot: &SnapshotId| gone.contains(snapshot) || unreadable.contains_key(snapshot);
        let refused = case.snapshots.iter().filter(|snapshot| is_refused(snapshot)).count();
        let observed = ObservedImage {
            is_gone, gone_snapshots: gone.clone(), unreadable_snapshots: unreadable.clone(), ..observed
        };
        prop_assert_eq!(observed.refused_snapshots(&case.snapshots).len(), refused);
        let plan = Case { observed, ..case.clone() }.plan();
        for step in &plan.grants {
            prop_assert!(step.snapshot().is_none_or(|snapshot| !is_refused(snapshot)), "{step}");
        }
        let mut called: BTreeSet<SnapshotId> = BTreeSet::new();
        for step in &plan.revocations {
            prop_assert!(!(is_gone && matches!(step, ImageStep::RevokeImage { .. })), "{step}");
            prop_assert!(step.snapshot().is_none_or(|snapshot| !gone.contains(snapshot)), "{step}");
            called.extend(step.snapshot().cloned());
        }
        let pending = case.snapshots_pending_revocation.into_keys();
        prop_assert_eq!(called, pending.filter(|snapshot| !gone.contains(snapshot)).collect());
    }
}

#[test]
fn a_plan_renders_its_steps_as_text() {
    let image = |targets: Vec<Target>| targets.iter().map(Target::launch_permission).collect();
    let observed = ObservedImage {
        launch: image(vec![account_target(account(2))]),
        is_public: true,
        public_snapshots: [snapshot(10)].into(),
        ..ObservedImage::default()
    };
    let case = Case {
        observed,
        snapshots: vec![snapshot(10)],
        pending_revocation: [LaunchPermission::Account(account(2))].into(),
        snapshots_pending_revocation: [(snapshot(11), [account(2)].into())].into(),
        makes_private: true,
        ..case(vec![account_target(account(1))])
    };
    let lines: Vec<String> = case.steps().iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "grant snap-0000000000000000a to 000000000001",
            "grant the image to 000000000001",
            "make the image private",
            "revoke the image from 000000000002",
            "revoke snap-0000000000000000b from 000000000002",
            "make snap-0000000000000000a private",
        ]
    );
}

#[test]
fn public_access_is_unmanaged_whatever_the_tags_say() {
    let observed = ObservedImage {
        is_public: true,
        public_snapshots: [snapshot(10)].into(),
        ..ObservedImage::default()
    };
    let share: Share = share_of(1, vec![account_target(account(1))], true);
    let grants = unmanaged(&observed, &share.desired, &ImageLedger::default());
    let selectors: Vec<String> = grants.iter().map(ToString::to_string).collect();
    assert_eq!(selectors, ["ami-00000000000000001 to all", "snap-0000000000000000a to all"]);
    assert!(grants.iter().all(UnmanagedGrant::is_public));
}

/// A call that grants or revokes a snapshot: the verdict on each account, the accounts that had access, and whether it
/// revokes.
fn answered() -> impl Strategy<Value = (BTreeMap<AccountId, Verdict>, BTreeSet<AccountId>, bool)> {
    let verdict = prop::sample::select(vec![Verdict::Accepted, Verdict::Rejected, Verdict::Unknown]);
    let accounts = prop::collection::btree_map((1..=20_usize).prop_map(account), verdict, 1..8);
    let had_access = prop::collection::btree_set((1..=20_usize).prop_map(account), 0..8);
    (accounts, had_access, any::<bool>())
}

proptest! {
    #[test]
    fn after_a_snapshot_step_exactly_the_accounts_with_certain_or_possible_access_stay_managed(
        (verdicts, had_access, revokes) in answered(),
    ) {
        let accounts: Vec<AccountId> = verdicts.keys().cloned().collect();
        let step = match revokes {
            true => ImageStep::RevokeSnapshot { snapshot: snapshot(10), accounts },
            // The plan grants only accounts without access.
            false => {
                let accounts = accounts.into_iter().filter(|account| !had_access.contains(account)).collect();
                ImageStep::GrantSnapshot { snapshot: snapshot(10), accounts }
            }
        };
        let observed = ObservedImage { snapshots: [(snapshot(10), had_access.clone())].into(), ..ObservedImage::default() };
        // Before the step, the ledger has all its accounts: they have access or are about to get it.
        let mut managed: BTreeSet<String> = step.principals().into_iter().collect();
        for account in step.forgets(&observed, |account| verdicts[account]) {
            prop_assert!(managed.remove(account.as_str()), "{} was not managed", account);
        }
        let is_managed = |account: &&AccountId| match verdicts[*account] {
            Verdict::Accepted => !revokes,
            Verdict::Rejected => had_access.contains(*account),
            Verdict::Unknown => true,
        };
        let about = verdicts.keys().filter(|account| step.principals().contains(&account.to_string()));
        let expected: BTreeSet<String> = about.filter(is_managed).map(ToString::to_string).collect();
        prop_assert_eq!(managed, expected);
    }
}

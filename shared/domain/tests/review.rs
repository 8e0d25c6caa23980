//! A review finds a difference exactly when the next reconciliation would change something.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use std::collections::{BTreeMap, BTreeSet};

use ami_share_domain::ids::ImageId;
use ami_share_domain::image::desired::Share;
use ami_share_domain::image::ledger::{ShareOutcome, ShareRow};
use ami_share_domain::image::plan::{ImageStep, ObservedImage};
use ami_share_domain::key::ledger::{KeyLedger, Need};
use ami_share_domain::key::observed::ObservedKey;
use ami_share_domain::key::policy::{KeyPolicy, SIZE_LIMIT};
use ami_share_domain::key::statements::statements_for;
use ami_share_domain::refusal::{Refusal, RefusalReason};
use ami_share_domain::review;
use ami_share_domain::review::key::{ReviewedKeyState, problem};
use ami_share_domain::targets::revocation_reason::{NoAccessReason, RevocationReason};
use ami_share_domain::targets::target::KeyPrincipal;
use ami_share_domain::targets::target::Target;
use ami_share_testkit::desired_states::{desired_states, out_of_band, revocation, share_of};
use ami_share_testkit::fewer_cases;
use ami_share_testkit::ids::{account, hub, image_id, key, snapshot};
use ami_share_testkit::policies::{crowded_policy, default_policy};
use ami_share_testkit::reviews::{review, review_key, review_with, scheduled};
use ami_share_testkit::shares::{account_target, image, ou_target, run, with_desired};
use ami_share_testkit::world::World;
use jiff::SignedDuration;
use proptest::prelude::*;

const IS_OVER: &str = "its shares have ended, and it is still on the list of managed images";

fn differences(world: &World, share: &Share) -> Vec<String> {
    review(world, share).differences
}

/// Makes `row` that of a target that was refused, as the hub was notified.
fn refuse(row: &mut ShareRow, reason: RefusalReason) {
    let refusal = Refusal::new(row.target.as_str(), reason);
    (row.outcome, row.is_managed, row.code) = (ShareOutcome::Refused, false, Some(refusal.code()));
    row.reason = Some(NoAccessReason::Refused(refusal));
    row.notified = row.notifiable_outcome();
}

/// Image 1 shared with accounts 1 and 2, all of it as it should be.
fn settled() -> (World, Share) {
    let share = share_of(1, vec![account_target(account(1)), account_target(account(2))], true);
    let mut world = World::default();
    world.trigger(&share);
    (world, share)
}

fn first(world: &mut World) -> &mut ami_share_testkit::world::Managed {
    world.images.get_mut(&image_id(1)).unwrap()
}

proptest! {
    #![proptest_config(fewer_cases())]

    #[test]
    fn a_completed_reconciliation_leaves_no_difference(
        out_of_band in out_of_band(),
        before in prop::collection::vec((desired_states(1), 0..40_usize), 0..3),
        share in desired_states(1),
        rejected in prop::collection::btree_set((1..=3_usize).prop_map(|number| KeyPrincipal::Account(account(number))), 0..2),
        limit in prop_oneof![3 => Just(usize::MAX), 1 => 0..4_usize],
    ) {
        let mut world = World::granted_out_of_band(out_of_band);
        (world.rejected, world.limit) = (rejected, limit);
        for (share, steps) in &before {
            world.reconciliation_interrupted_after(share, *steps);
        }
        world.trigger(&share);
        let differences = differences(&world, &share);
        let is_over = share.desired.revocation_reason == Some(RevocationReason::Untagged);
        prop_assert!(differences.is_empty() || (is_over && differences == [IS_OVER]), "{differences:?}");
    }

    #[test]
    fn an_unreadable_key_is_reconciled_once_and_again_when_it_is_readable(
        before in desired_states(1), share in desired_states(1), is_readable_again in any::<bool>(),
    ) {
        let mut world = World::default();
        world.trigger(&before);
        world.key_is_unreadable = true;
        world.trigger(&share);
        let found = differences(&world, &share);
        prop_assert!(found.is_empty(), "{found:?}");
        if is_readable_again {
            world.key_is_unreadable = false;
            let lacks = !share.desired.targets.is_empty();
            let left = !world.needs.pending_revocation().is_empty();
            let is_over = share.desired.revocation_reason == Some(RevocationReason::Untagged);
            prop_assert_eq!(!differences(&world, &share).is_empty(), lacks || left || is_over);
        }
    }

    #[test]
    fn without_a_difference_a_reconciliation_changes_no_access_and_sends_no_notification(
        out_of_band in out_of_band(),
        before in prop::collection::vec((desired_states(1), 0..60_usize), 1..3),
        share in prop::option::of(desired_states(1)),
    ) {
        let mut world = World::granted_out_of_band(out_of_band);
        for (share, steps) in &before {
            world.reconciliation_interrupted_after(share, *steps);
        }
        let share = share.unwrap_or_else(|| before.last().unwrap().0.clone());
        if differences(&world, &share).is_empty() {
            let (access, sent) = (world.access(), world.first().sent);
            world.trigger(&share);
            prop_assert_eq!(world.access(), access);
            prop_assert_eq!(world.first().sent, sent);
        }
    }
}

#[test]
fn an_image_that_was_never_reconciled_is_a_difference() {
    let (_, share) = settled();
    assert_eq!(differences(&World::default(), &share)[0], "the ledger has no reconciliation of the image");
}

#[test]
fn what_the_tags_say_now_is_compared_with_what_they_said() {
    let (world, _) = settled();
    let less = share_of(1, vec![account_target(account(1))], true);
    let differences = differences(&world, &less);
    assert_eq!(differences[0], "the desired state has changed since the last reconciliation");
    assert!(
        differences.contains(&"the image is still granted to 000000000002".to_owned()),
        "{differences:?}"
    );
    assert!(
        differences.contains(&format!("{} is still granted to 000000000002", key(1).short())),
        "{differences:?}"
    );
    let copies = format!("{} is still granted to 000000000002", snapshot(10));
    assert!(differences.contains(&copies), "{differences:?}");
    let unnotified = "not notified that their access has ended: 000000000002".to_owned();
    assert!(differences.contains(&unnotified), "{differences:?}");
}

#[test]
fn the_review_finds_access_that_was_removed_out_of_band() {
    let (mut world, share) = settled();
    first(&mut world).observed.launch.pop_first();
    first(&mut world).observed.snapshots.get_mut(&snapshot(10)).unwrap().remove(&account(2));
    world.key.policy = default_policy().written(&[]);
    assert_eq!(
        differences(&world, &share),
        [
            format!("{} is not granted to 000000000001, 000000000002", key(1).short()),
            format!("{} is not granted to 000000000002", snapshot(10)),
            "the image is not granted to 000000000001".to_owned(),
        ]
    );
}

#[test]
fn unmanaged_access_is_a_difference_until_it_is_reported_and_is_never_revoked() {
    let (mut world, share) = settled();
    first(&mut world).observed.launch.insert(account_target(account(99)).launch_permission());
    first(&mut world).observed.is_public = true;
    let found = review(&world, &share);
    assert_eq!(found.unmanaged.len(), 2);
    assert_eq!(found.differences.len(), 2, "{:?}", found.differences);
    assert!(found.differences[0].starts_with("`AMI Access Unmanaged` of 000000000099 has not been sent"));
    assert!(
        found.differences[1].starts_with("`AMI Public` of all has not been sent"),
        "{:?}",
        found.differences
    );
    world.trigger(&share);
    assert_eq!(differences(&world, &share), Vec::<String>::new());
    assert_eq!(review(&world, &share).unmanaged.len(), 2, "every review reports it nevertheless");
}

#[test]
fn a_public_image_differs_where_it_must_be_made_private() {
    let (mut world, share) = settled();
    first(&mut world).observed.is_public = true;
    world.trigger(&share);
    assert_eq!(differences(&world, &share), Vec::<String>::new());
    world.makes_private = true;
    assert_eq!(differences(&world, &share), ["the image is public"]);
    world.trigger(&share);
    assert_eq!(differences(&world, &share), Vec::<String>::new());
}

#[test]
fn an_account_that_joins_or_leaves_an_ou_is_due_a_notification() {
    let inside_ou = |accounts: &[usize]| ou_target(1, accounts.iter().copied().map(account).collect());
    let mut world = World::default();
    world.trigger(&share_of(1, vec![inside_ou(&[11, 12])], false));
    let found = differences(&world, &share_of(1, vec![inside_ou(&[12, 13])], false));
    assert_eq!(
        found,
        [
            "the desired state has changed since the last reconciliation",
            "not notified of their access: 000000000013",
            "not notified that their access has ended: 000000000011",
        ]
    );
}

#[test]
fn the_review_finds_an_interrupted_reconciliation_wherever_it_stopped() {
    let (_, share) = settled();
    for steps in 0.. {
        let mut world = World::default();
        if !world.reconciliation_interrupted_after(&share, steps) {
            assert!(steps > 5);
            break;
        }
        let notified = world.first().ledger.notified;
        let is_all_done = notified.delivered.len() == 2
            && world.first().ledger.shares.values().all(|row| !row.needs_notification());
        let is_done = is_all_done && world.first().ledger.shares.len() == 2;
        assert_eq!(differences(&world, &share).is_empty(), is_done, "after {steps} steps");
    }
}

#[test]
fn a_principal_that_kms_rejects_is_not_a_difference_once_it_is_notified() {
    let (_, share) = settled();
    let mut world = World::default();
    world.rejected.insert(KeyPrincipal::Account(account(2)));
    world.trigger(&share);
    let found = review(&world, &share);
    assert_eq!(found.differences, Vec::<String>::new());
    assert_eq!(found.refused.len(), 1);
    assert_eq!(found.shares.len(), 1);
}

#[test]
fn an_account_that_an_image_had_no_room_for_is_retried_when_there_is_room() {
    let (_, share) = settled();
    let out_of_band = [90, 91].map(|number| account_target(account(number)).launch_permission());
    let observed = ObservedImage { launch: out_of_band.into(), ..ObservedImage::default() };
    let mut world = World::granted_out_of_band(observed);
    world.limit = 3;
    world.trigger(&share);
    assert_eq!(differences(&world, &share), Vec::<String>::new());
    first(&mut world).observed.launch.pop_last();
    let found = differences(&world, &share);
    assert!(found.contains(&"000000000001 was refused, and could have access now".to_owned()), "{found:?}");
}

#[test]
fn an_account_that_a_policy_had_no_room_for_is_retried_when_there_is_room() {
    let (mut world, share) = settled();
    // The state that extend-key-policy leaves if there is no room: the principal is excluded, refused and notified.
    let principal = KeyPrincipal::Account(account(2));
    let alone = BTreeSet::from([KeyPrincipal::Account(account(1))]);
    world.key.policy = default_policy().written(&[]);
    let room = world.key.plan(&alone).bytes - world.key.policy.len();
    world.key.policy = crowded_policy(room).written(&[]);
    world.key.grant(&alone);
    assert_eq!(world.key.granted(), alone);
    world.needs.needed_by.get_mut(&image_id(1)).unwrap().excluded.insert(principal);
    let managed = first(&mut world);
    managed.observed.launch.pop_last();
    let row = managed.ledger.shares.get_mut(account(2).as_str()).unwrap();
    refuse(row, RefusalReason::PolicyTooLarge { key: key(1), limit: SIZE_LIMIT });
    for open in managed.observed.snapshots.values_mut() {
        open.remove(&account(2));
    }
    let is_tried = |world: &World| {
        let found = differences(world, &share);
        found.contains(&"000000000002 was refused, and could have access now".to_owned())
    };
    assert!(!is_tried(&world), "{:?}", differences(&world, &share));
    world.key.policy = default_policy().written(&[]);
    world.key.grant(&alone);
    assert!(is_tried(&world));
}

#[test]
fn a_status_that_was_overwritten_or_reports_a_failure_is_a_difference() {
    let (mut world, mut share) = settled();
    share.run.observed.status = Some("mine".to_owned());
    assert_eq!(differences(&world, &share), ["its status was overwritten"]);
    let notified = &mut first(&mut world).ledger.notified;
    notified.status = Some("failed: kms:PutKeyPolicy".to_owned());
    assert_eq!(differences(&world, &share), ["the last reconciliation failed"]);
}

#[test]
fn schedules_that_do_not_match_the_desired_state_are_a_difference() {
    let (_, mut share) = settled();
    let mut world = World::default();
    share.desired.until = Some(world.clock + SignedDuration::from_hours(24 * 30));
    share.run.must_schedule = true;
    world.trigger(&share);
    assert_eq!(differences(&world, &share), ["the schedules of its expiry are not as they should be"]);
    assert_eq!(differences(&scheduled(world, &share), &share), Vec::<String>::new());
}

#[test]
fn the_review_finds_a_change_of_terms_that_an_interrupted_reconciliation_left() {
    let (mut world, mut share) = settled();
    share.desired.until = Some(world.clock + SignedDuration::from_hours(1));
    world.reconciliation_interrupted_after(&share, 1);
    let found = differences(&world, &share);
    assert!(
        found.contains(&"the ledger has other terms for the share with 000000000001".to_owned()),
        "{found:?}"
    );
}

#[test]
fn changed_managed_statements_are_reported_once_for_each_key() {
    let (mut world, share) = settled();
    let changed = world.key.policy.replace("\"kms:DescribeKey\",", "");
    assert_ne!(changed, world.key.policy);
    let other = share_of(2, vec![account_target(account(1))], false);
    world.trigger(&other);
    let actual = world.key.granted();
    let repeated = statements_for(&BTreeSet::from([KeyPrincipal::Account(account(1))]), "aws").remove(0);
    let repeated = repeated.to_string().replace("AmiShareUseByAccounts", "AmiShareUseByAccounts2");
    let extra = format!("{repeated},");
    world.key.policy = world.key.policy.replacen("\"Statement\":[", &format!("\"Statement\":[{extra}"), 1);
    assert_eq!(world.key.granted(), actual, "the policy keeps its other principals");
    let sentence = format!("the statements of ami-share in the policy of {} were changed", key(1).short());
    assert_eq!(differences(&world, &share), [sentence]);
}

#[test]
fn pending_revocations_of_a_key_that_cannot_be_changed_start_no_reconciliation() {
    let (mut world, share) = settled();
    let no_target = revocation(1, RevocationReason::Expired { at: world.clock });
    let need = world.needs.needed_by.get_mut(&image_id(1)).unwrap();
    need.pending_revocation = std::mem::take(&mut need.principals);
    let mut seen = review_key(&world, &key(1));
    let found = |seen: &ReviewedKeyState| {
        let keys = BTreeMap::from([(key(1), seen.clone())]);
        let found = review_with(
            &world,
            &with_desired(no_target.clone(), |desired| desired.keys = share.desired.keys.clone()),
            &keys,
        )
        .differences;
        found
            .into_iter()
            .filter(|sentence| sentence.contains(&format!("{} is still granted", key(1).short())))
            .count()
    };
    assert_eq!(found(&seen), 1);
    seen.problem = Some(RefusalReason::UntaggedKey { key: key(1) });
    assert_eq!(found(&seen), 0);
    assert_eq!(
        found(&ReviewedKeyState::gone(key(1), world.needs.clone())),
        1,
        "the pending revocation of a deleted key is only removed from the ledger"
    );
}

#[test]
fn an_image_without_remaining_access_is_removed_from_the_managed_images() {
    let (mut world, _) = settled();
    world.deregister(&image_id(1));
    let gone = revocation(1, RevocationReason::ImageGone);
    let found = differences(&world, &gone);
    assert!(found.len() > 1 && !found.contains(&IS_OVER.to_owned()), "{found:?}");
    world.trigger(&gone);
    assert_eq!(differences(&world, &gone), [IS_OVER]);
}

#[test]
fn the_review_says_who_has_what_since_when_and_why() {
    let targets = vec![
        account_target(account(1)),
        Target::Account { id: account(2), through: vec!["tag:Env=prod".to_owned()] },
    ];
    let share = share_of(1, targets, true);
    let mut world = World::default();
    let before = world.clock;
    world.trigger(&share);
    let trigger = before..world.clock;
    first(&mut world).observed.launch.retain(|permission| permission.name() != account(1).as_str());
    let found = review(&world, &share);
    let [shared] = found.shares.as_slice() else { panic!("only actual access is a share: {found:?}") };
    assert_eq!(
        (shared.target.as_str(), shared.selectors.as_slice()),
        ("000000000002", ["tag:Env=prod".to_owned()].as_slice())
    );
    assert_eq!(shared.permits, ["launch", "copy"]);
    assert!(shared.is_managed && trigger.contains(&shared.since) && shared.accounts == [account(2)]);
    assert_eq!(found.keys, share.desired.keys);
}

#[test]
fn desired_access_that_the_ledger_lacks_is_unmanaged_until_it_is_recorded() {
    let (mut world, share) = settled();
    first(&mut world).ledger = Default::default();
    let found = review(&world, &share);
    assert!(found.shares.is_empty());
    assert_eq!(found.unmanaged.len(), 2);
}

#[test]
fn the_review_reports_only_the_access_of_an_image_that_was_never_shared() {
    let observed = ObservedImage { is_public: true, ..ObservedImage::default() };
    let found = review::compare::idle(&image(), &run().observed, "disabled", &observed);
    assert_eq!((found.state.as_str(), found.unmanaged.len()), ("disabled", 1));
    assert_eq!(found.differences, Vec::<String>::new());
}

#[test]
fn an_image_that_cannot_be_compared_differs_and_says_why() {
    let found = review::compare::unreadable(&image(), &run().observed, "available", "kms:DescribeKey failed");
    assert_eq!(found.differences, ["the review cannot compare the image: kms:DescribeKey failed"]);
    assert!(found.shares.is_empty());
}

#[test]
fn the_image_that_lost_the_most_principals_on_a_key_is_reconciled() {
    let need = |numbers: &[usize]| Need {
        principals: numbers.iter().map(|number| KeyPrincipal::Account(account(*number))).collect(),
        ..Need::default()
    };
    let mut world = World::default();
    world.key.grant(&need(&[1, 2]).principals);
    let needed_by = [(1, need(&[1, 2])), (2, need(&[3, 4])), (3, need(&[3])), (4, need(&[]))];
    world.needs.needed_by = needed_by.map(|(number, need)| (image_id(number), need)).into();
    assert_eq!(review_key(&world, &key(1)).worst_hit(), Some(&image_id(2)));
    world.needs.needed_by.get_mut(&image_id(2)).unwrap().excluded = need(&[3, 4]).principals;
    assert_eq!(review_key(&world, &key(1)).worst_hit(), Some(&image_id(3)));
    assert_eq!(ReviewedKeyState::gone(key(1), KeyLedger::default()).worst_hit(), None::<&ImageId>);
}

#[test]
fn the_review_of_a_key_names_the_principals_that_it_grants_without_need() {
    let mut world = World::default();
    let granted: BTreeSet<KeyPrincipal> = [1, 2].map(|number| KeyPrincipal::Account(account(number))).into();
    world.key.grant(&granted);
    let need = Need { principals: [KeyPrincipal::Account(account(1))].into(), ..Need::default() };
    world.needs.needed_by.insert(image_id(1), need);
    let found = review_key(&world, &key(1)).reviewed();
    assert_eq!((found.unneeded.as_slice(), found.images), (["000000000002".to_owned()].as_slice(), 1));
    assert_eq!((found.granted.len(), found.bytes), (2, world.key.policy.len()));
}

#[test]
fn why_a_policy_cannot_be_changed_is_known_before_it_is_tried() {
    let observed =
        |is_managed| ObservedKey { arn: key(1), is_aws_managed: false, is_enabled: true, is_managed };
    let policy = World::default().key.read();
    assert_eq!(problem(&observed(true), &policy, &hub()), None);
    let untagged = RefusalReason::UntaggedKey { key: key(1) };
    assert_eq!(problem(&observed(false), &policy, &hub()), Some(untagged));
    assert!(problem(&observed(true), &policy, &account(5)).is_some());
    let broken = r#"{"Statement":[{"Principal":{"AWS":"AROAEXAMPLE"}}]}"#;
    let broken = KeyPolicy::parse(broken).unwrap();
    let reason = problem(&observed(true), &broken, &hub());
    assert!(matches!(reason, Some(RefusalReason::DeletedPrincipals { .. })), "{reason:?}");
}

#[test]
fn an_ou_account_that_ec2_rejects_is_not_a_difference() {
    let (_, mut share) = settled();
    share.desired.targets = vec![ou_target(1, vec![account(11), account(12)])];
    let mut world = World::default();
    world.trigger(&share);
    // The state that share-image leaves: the OU's snapshot accounts are recorded, but EC2 rejected one of them.
    let managed = first(&mut world);
    for open in managed.observed.snapshots.values_mut() {
        open.remove(&account(12));
    }
    assert_eq!(differences(&world, &share).len(), 2);
    let mut row = world.first().ledger.shares.values().next().unwrap().clone();
    row.target = account(12).to_string();
    refuse(&mut row, RefusalReason::Ec2Rejected { message: "closed".to_owned() });
    first(&mut world).ledger.shares.insert(row.target.clone(), row);
    assert_eq!(differences(&world, &share), Vec::<String>::new());
    // A rejected account does not hide that another one lacks access.
    world.apply(
        &image_id(1),
        &ImageStep::RevokeSnapshot { snapshot: snapshot(10), accounts: vec![account(11)] },
    );
    assert_eq!(differences(&world, &share), [format!("{} is not granted to 000000000011", snapshot(10))]);
}

#[test]
fn an_image_differs_while_sharing_is_disabled_until_revoked_and_again_once_it_is_enabled() {
    let (mut world, share) = settled();
    let revoked = with_desired(revocation(1, RevocationReason::SharingDisabled), |desired| {
        desired.keys = share.desired.keys.clone()
    });
    let found = differences(&world, &revoked);
    assert!(
        found.contains(&"the image is still granted to 000000000001, 000000000002".to_owned()),
        "{found:?}"
    );
    world.trigger(&revoked);
    // The image stays on the list of managed images, because it still has tags.
    assert_eq!(differences(&world, &revoked), Vec::<String>::new());
    assert_eq!(review(&world, &revoked).shares, []);
    let found = differences(&world, &share);
    assert!(
        found.contains(&"the image is not granted to 000000000001, 000000000002".to_owned()),
        "{found:?}"
    );
}

#[test]
fn an_image_tagged_while_sharing_is_disabled_differs_until_its_status_gives_the_reason() {
    let revoked = revocation(1, RevocationReason::SharingDisabled);
    let mut world = World::default();
    assert_eq!(differences(&world, &revoked)[0], "the ledger has no reconciliation of the image");
    world.trigger(&revoked);
    assert_eq!(differences(&world, &revoked), Vec::<String>::new());
}

//! Each account and the hub are notified once, and only of what concerns them.

use std::collections::{BTreeMap, BTreeSet};

use ami_share_domain::ids::AccountId;
use ami_share_domain::image::desired::Share;
use ami_share_domain::image::ledger::{ImageLedger, ShareRow};
use ami_share_domain::image::plan::ObservedImage;
use ami_share_domain::image::request::ShareResult;
use ami_share_domain::image::schedule::warn_at;
use ami_share_domain::image::unmanaged::UnmanagedGrant;
use ami_share_domain::image::usage::{Usage, UsageQuestion};
use ami_share_domain::notify::notification::{NotificationDetail, NotificationKind};
use ami_share_domain::notify::plan::{HubNotification, leading, plan, warning_of};
use ami_share_domain::refusal::{Refusal, RefusalReason};
use ami_share_domain::targets::revocation_reason::RevocationReason;
use ami_share_domain::targets::target::Target;
use ami_share_testkit::desired_states::{desired_states, revocation, share_of, some_targets};
use ami_share_testkit::fewer_cases;
use ami_share_testkit::ids::{account, now, snapshot};
use ami_share_testkit::shares::{account_target, ou_target, refusal, result, share, with_desired};
use ami_share_testkit::world::World;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

/// The accounts that were notified of access and not of its end. `None` if an account was notified of the same thing
/// twice, or of the end of access it was never notified of.
fn notified_of_access(world: &World) -> Option<BTreeSet<AccountId>> {
    let mut notified = BTreeSet::new();
    for (account, notification) in world.first().sent {
        let Some(account) = account else { continue };
        assert_eq!(notification.detail.account.as_ref(), Some(&account));
        let is_new = match notification.kind {
            NotificationKind::Shared => notified.insert(account),
            NotificationKind::Unshared => notified.remove(&account),
            // These properties send accounts nothing else.
            _ => false,
        };
        if !is_new {
            return None;
        }
    }
    Some(notified)
}

fn accounts<'a>(targets: impl Iterator<Item = &'a Target>) -> BTreeSet<AccountId> {
    targets.flat_map(Target::accounts).cloned().collect()
}

/// A reconciliation that is interrupted after so many steps, unless it has started to notify by then.
fn reconciliation_interrupted_before_notifying(world: &mut World, share: &Share, steps: usize) {
    let mut trigger = world.begin(share);
    for _ in 0..steps {
        trigger.step(world);
    }
    if trigger.notified.is_none() {
        return trigger.die(world);
    }
    while trigger.step(world) {}
}

/// The notifications to the hub in one reconciliation.
fn hub_notifications(world: &mut World, share: &Share) -> Vec<(NotificationKind, NotificationDetail)> {
    let known = world.first().sent.len();
    world.trigger(share);
    let sent = world.first().sent.into_iter().skip(known);
    sent.filter(|(account, _)| account.is_none())
        .map(|(_, notification)| (notification.kind, notification.detail))
        .collect()
}

fn kinds(sent: &[(NotificationKind, NotificationDetail)]) -> Vec<(NotificationKind, &str)> {
    sent.iter().map(|(kind, detail)| (*kind, detail.target.as_deref().unwrap_or_default())).collect()
}

proptest! {
    #![proptest_config(fewer_cases())]

    #[test]
    fn every_account_is_notified_once_of_access_and_once_of_the_end_of_access_it_knew_of(
        reconciliations in prop::collection::vec((desired_states(1), 0..40_usize), 1..6),
        rejected in some_targets(),
        without_bus in prop::sample::subsequence([1, 2, 11].map(account).to_vec(), 0..=3),
    ) {
        let rejected = rejected.iter().map(Target::key_principal).collect();
        let mut world = World::default().with_rejected(rejected);
        world.without_bus = without_bus.into_iter().collect();
        for (share, steps) in reconciliations {
            reconciliation_interrupted_before_notifying(&mut world, &share, steps);
            prop_assert!(notified_of_access(&world).is_some(), "{:?}", world.first().sent);
            let result = world.trigger(&share).result.unwrap();
            let notified = notified_of_access(&world);
            prop_assert!(notified.is_some(), "{:?}", world.first().sent);
            let notified = notified.unwrap();
            let reachable = |accounts: BTreeSet<AccountId>| &accounts - &world.without_bus;
            prop_assert!(reachable(accounts(result.shared_targets())).is_subset(&notified));
            prop_assert!(notified.is_subset(&accounts(share.desired.all_targets())));
        }
    }

    #[test]
    fn the_hub_is_notified_of_every_share_and_end_despite_interruptions_before_notifying(
        reconciliations in prop::collection::vec(desired_states(1), 1..6),
    ) {
        let mut world = World::default();
        let mut notified = BTreeSet::new();
        for share in reconciliations {
            let mut trigger = world.begin(&share);
            while trigger.notified.is_none() && !trigger.is_over() {
                trigger.step(&mut world);
            }
            trigger.die(&mut world);
            for (kind, detail) in hub_notifications(&mut world, &share) {
                let target = detail.target.unwrap();
                match kind {
                    NotificationKind::Shared => prop_assert!(notified.insert(target)),
                    NotificationKind::Unshared => {
                        prop_assert_eq!(detail.reason.unwrap(), share.desired.why_revoked(&target).to_string());
                        prop_assert!(notified.remove(&target));
                    }
                    kind => prop_assert_eq!(kind, NotificationKind::Refused),
                }
            }
            let desired: BTreeSet<String> = share.desired.all_targets().map(|target| target.name().to_owned()).collect();
            prop_assert_eq!(&notified, &desired);
        }
    }

    #[test]
    fn the_warning_comes_once_for_each_end_and_only_in_the_days_before_it(
        days in 0..4_u32,
        ends in prop::collection::vec(prop::option::weighted(0.8, 0..200_i64), 1..6),
    ) {
        let mut world = World::default();
        let mut warned: BTreeMap<Timestamp, usize> = BTreeMap::new();
        for hours in ends {
            let until = hours.map(|hours| now() + SignedDuration::from_hours(hours) + SignedDuration::from_hours(1));
            let warn_at = warn_at(until, days);
            let share = with_desired(share(vec![account_target(account(1))]), |desired| { desired.until = until; desired.warn_at = warn_at; });
            let sent = hub_notifications(&mut world, &share);
            let warnings: Vec<_> = sent.iter().filter(|(kind, _)| *kind == NotificationKind::EndingSoon).collect();
            let is_near = warn_at.is_some_and(|moment| moment <= world.clock);
            prop_assert!(warnings.len() <= 1);
            prop_assert!(warnings.is_empty() || is_near);
            if let [(_, detail)] = warnings.as_slice() {
                prop_assert_eq!(detail.until.clone(), until.map(|until| until.to_string()));
                *warned.entry(until.unwrap()).or_default() += 1;
            }
            let known = world.first().ledger.notified.warned;
            prop_assert!(!is_near || known == until, "{:?}", known);
            prop_assert!(hub_notifications(&mut world, &share).is_empty());
        }
        prop_assert!(days > 0 || warned.is_empty());
    }
}

/// Notifications of rows: one for each of the first `once` rows, two for each of the next `twice`, and `others`
/// without a row.
fn notifications_of_rows(
    notification: &HubNotification,
    once: usize,
    twice: usize,
    others: usize,
) -> Vec<HubNotification> {
    let of_row = |number: usize| {
        let row = notification.row.clone().map(|row| ShareRow { target: account(number).to_string(), ..row });
        HubNotification { row, ..notification.clone() }
    };
    let of_rows = (1..=once + twice).flat_map(|number| {
        let count = if number <= once { 1 } else { 2 };
        vec![of_row(number); count]
    });
    let of_none = HubNotification { row: None, ..notification.clone() };
    of_rows.chain(vec![of_none; others]).collect()
}

proptest! {
    #[test]
    fn a_row_is_recorded_as_notified_only_after_all_its_notifications_are_sent(
        once in 0..4_usize, twice in 0..4_usize, others in 0..4_usize, at_most in 0..20_usize,
    ) {
        let one = share(vec![account_target(account(1))]);
        let one = World::default().trigger(&one).notified.unwrap().hub.remove(0);
        let sent = notifications_of_rows(&one, once, twice, others);
        let leading = leading(&sent, at_most);
        prop_assert_eq!(leading, &sent[..leading.len()]);
        prop_assert!(leading.len() <= at_most);
        prop_assert!(leading.len() + 1 >= at_most.min(sent.len()), "only a second notification of the same row waits");
        let rest = &sent[leading.len()..];
        for row in leading.iter().filter_map(|sent| sent.row.as_ref()) {
            prop_assert!(rest.iter().all(|sent| sent.row.as_ref() != Some(row)));
        }
    }
}

#[test]
fn an_account_warned_before_an_interruption_is_not_warned_again_of_the_same_expiry() {
    let mut world = World::default();
    let near = |hours| {
        let until = Some(now() + SignedDuration::from_hours(hours));
        with_desired(share(vec![ou_target(1, vec![account(1), account(2)])]), |desired| {
            desired.until = until;
            desired.warn_at = warn_at(until, 7);
        })
    };
    let result = world.trigger(&with_desired(near(30), |desired| desired.warn_at = None)).result.unwrap();
    let mut ledger = world.first().ledger;
    ledger.notified.warning.insert(warning_of(&account(1), near(30).desired.until.unwrap()));
    let warned = |hours| -> Vec<AccountId> {
        let share = Share { run: result.share.run.clone(), ..near(hours) };
        let notified = plan(&ShareResult { share, ..result.clone() }, &ledger, now());
        assert_eq!(notified.hub.len(), 1, "the hub was not notified of it");
        notified.warned.into_iter().map(|(account, _)| account).collect()
    };
    assert_eq!(warned(30), [account(2)]);
    assert_eq!(warned(50), [account(1), account(2)], "another end is another warning");
    world.images.get_mut(&result.share.desired.image.id).unwrap().ledger = ledger;
    world.trigger(&near(30));
    assert_eq!(world.first().ledger.notified.warning, BTreeSet::new(), "all have been warned");
}

#[test]
fn an_ou_is_notified_account_by_account_and_the_hub_once() {
    let mut world = World::default();
    let share = share(vec![account_target(account(1)), ou_target(1, vec![account(2), account(3)])]);
    let plan = world.trigger(&share).notified.unwrap();
    let notified: Vec<(&str, Option<&str>)> = plan
        .target_accounts
        .iter()
        .map(|(account, notification)| (account.as_str(), notification.detail.target.as_deref()))
        .collect();
    let unit = Some("ou-ab12-00000001");
    assert_eq!(
        notified,
        [("000000000001", Some("000000000001")), ("000000000002", unit), ("000000000003", unit)]
    );
    assert_eq!(plan.hub.len(), 2);
}

#[test]
fn a_refusal_notifies_only_the_hub_and_again_when_its_reason_changes() {
    let mut world = World::default();
    let target = ou_target(1, vec![account(2)]);
    for reason in [RefusalReason::UnknownOu, RefusalReason::NoOrganization] {
        let refused = Refusal::new(target.name(), reason);
        let notified = world
            .trigger(&with_desired(share(Vec::new()), |desired| desired.refused = vec![refused.clone()]))
            .notified
            .unwrap();
        assert_eq!(notified.target_accounts, []);
        let sent: Vec<_> = notified
            .hub
            .iter()
            .map(|sent| (sent.notification.kind, sent.notification.detail.reason.as_deref()))
            .collect();
        let sentence = refused.to_string();
        assert_eq!(sent, [(NotificationKind::Refused, Some(sentence.as_str()))]);
    }
    let notified = world.trigger(&share(vec![target])).notified.unwrap();
    assert_eq!((notified.target_accounts.len(), notified.hub.len()), (1, 1));
}

#[test]
fn an_interrupted_share_sends_no_notification() {
    let mut world = World::default();
    world.reconciliation_interrupted_after(&share(vec![account_target(account(1))]), 9);
    assert!(
        !world.first().ledger.shares.is_empty(),
        "it was interrupted after it had recorded what it would grant"
    );
    let no_target = result(share(Vec::new()), Vec::new());
    let notified = plan(&no_target, &world.first().ledger, now());
    assert_eq!((notified.hub, notified.target_accounts, notified.former_accounts), (vec![], vec![], vec![]));
}

#[test]
fn a_refusal_that_revokes_access_sends_two_notifications() {
    let mut world = World::default();
    let target = account_target(account(1));
    let name = target.name().to_owned();
    world.trigger(&share(vec![target]));
    let refused = with_desired(share(Vec::new()), |desired| desired.refused = vec![refusal(&name)]);
    let sent = hub_notifications(&mut world, &refused);
    assert_eq!(
        kinds(&sent),
        [(NotificationKind::Unshared, name.as_str()), (NotificationKind::Refused, name.as_str())]
    );
    assert_eq!(hub_notifications(&mut world, &refused), []);
}

#[test]
fn a_target_that_lost_access_and_regains_it_is_notified_again() {
    let mut world = World::default();
    let shared = share(vec![ou_target(1, vec![account(11)])]);
    for _ in 0..2 {
        assert_eq!(
            kinds(&hub_notifications(&mut world, &shared)),
            [(NotificationKind::Shared, "ou-ab12-00000001")]
        );
        let end = revocation(1, RevocationReason::Untagged);
        assert_eq!(
            kinds(&hub_notifications(&mut world, &end)),
            [(NotificationKind::Unshared, "ou-ab12-00000001")]
        );
    }
    let notified: Vec<NotificationKind> = world
        .first()
        .sent
        .iter()
        .filter(|(account, _)| account.is_some())
        .map(|(_, notification)| notification.kind)
        .collect();
    let (shared, unshared) = (NotificationKind::Shared, NotificationKind::Unshared);
    assert_eq!(notified, [shared, unshared, shared, unshared]);
}

#[test]
fn a_revoked_account_without_a_bus_is_forgotten_and_not_notified() {
    let mut world = World::default();
    world.without_bus.insert(account(1));
    world.trigger(&share(vec![account_target(account(1))]));
    let end = world.trigger(&revocation(1, RevocationReason::ImageGone)).notified.unwrap();
    assert_eq!((end.former_accounts, end.forgotten), (vec![], vec![account(1)]));
    assert!(world.first().ledger.notified.without_bus.is_empty());
}

#[test]
fn why_access_ended_and_whether_it_is_still_used_is_said_to_the_hub_and_to_the_account() {
    let mut world = World::default();
    world.trigger(&share(vec![account_target(account(1))]));
    let at = now();
    let mut trigger = world.begin(&revocation(1, RevocationReason::Expired { at }));
    while trigger.notified.is_none() {
        trigger.step(&mut world);
    }
    let result = trigger.result.unwrap();
    let usage = vec![Usage { account: account(1), resource_type: "ec2:Instance".to_owned(), count: 2 }];
    let question = UsageQuestion { report_id: "report-1".to_owned(), accounts: vec![account(1)] };
    let triggered_by = ShareResult { usage_report: Some(question), ..result.clone() };
    let answered = ShareResult { usage: Some(usage), ..triggered_by.clone() };
    for (result, usage) in [
        (result, None),
        (triggered_by, Some("not known: EC2's usage report was not ready in time")),
        (answered, Some("still used by 000000000001 (2 instances)")),
    ] {
        let notified = plan(&result, &world.first().ledger, now());
        assert_eq!((notified.hub.len(), notified.former_accounts.len()), (1, 1));
        for detail in [&notified.hub[0].notification.detail, &notified.former_accounts[0].1.detail] {
            assert_eq!(
                detail.reason.as_deref(),
                Some("ami-share:until was 2026-06-01T12:00:00Z; set a later date to share again")
            );
            assert_eq!(detail.usage.as_deref(), usage);
        }
    }
}

#[test]
fn accounts_near_expiry_are_warned_on_their_bus_and_those_without_a_bus_are_not() {
    let mut world = World::default();
    world.without_bus.insert(account(12));
    let until = Some(now() + SignedDuration::from_hours(30));
    let near = with_desired(share(vec![ou_target(1, vec![account(11), account(12)])]), |desired| {
        desired.until = until;
        desired.warn_at = warn_at(until, 7);
    });
    world.trigger(&with_desired(near.clone(), |desired| desired.warn_at = None));
    let notified = world.trigger(&near).notified.unwrap();
    let warned: Vec<&AccountId> = notified.warned.iter().map(|(account, _)| account).collect();
    assert_eq!(warned, [&account(11)]);
    assert!(world.trigger(&near).notified.unwrap().warned.is_empty());
    let later = now() + SignedDuration::from_hours(50);
    let notified = world
        .trigger(&with_desired(near, |desired| {
            desired.until = Some(later);
            desired.warn_at = warn_at(Some(later), 7);
        }))
        .notified
        .unwrap();
    assert_eq!(notified.warned.len(), 1, "another end is another warning");
}

#[test]
fn no_account_is_warned_after_expiry() {
    let mut world = World::default();
    let until = Some(now());
    let late = with_desired(share(vec![account_target(account(1))]), |desired| {
        desired.until = until;
        desired.warn_at = warn_at(until, 7);
    });
    let notified = world.trigger(&late).notified.unwrap();
    assert!(notified.warned.is_empty());
    assert!(notified.hub.iter().all(|sent| sent.notification.kind == NotificationKind::Shared));
}

#[test]
fn unmanaged_access_is_notified_once_until_it_disappears() {
    let external = account_target(account(99)).launch_permission();
    let mut world = World::granted_out_of_band(ObservedImage {
        launch: [external.clone()].into(),
        snapshots: [(snapshot(10), [account(98)].into())].into(),
        is_public: true,
        ..ObservedImage::default()
    });
    let share = share_of(1, vec![account_target(account(1))], true);
    let (public, unmanaged) =
        ((NotificationKind::Public, "all"), (NotificationKind::Unmanaged, "000000000099"));
    let copier = (NotificationKind::Unmanaged, "000000000098");
    let sent = hub_notifications(&mut world, &share);
    assert_eq!(kinds(&sent)[1..], [unmanaged, public, copier]);
    assert!(sent[2].1.reason.as_ref().unwrap().contains("set MakePublicImagesPrivate"));
    assert_eq!(hub_notifications(&mut world, &share), []);
    let observed = &mut world.images.get_mut(&share.desired.image.id).unwrap().observed;
    observed.launch.remove(&external);
    observed.is_public = false;
    assert_eq!(hub_notifications(&mut world, &share), []);
    let observed = &mut world.images.get_mut(&share.desired.image.id).unwrap().observed;
    observed.launch.insert(external);
    observed.is_public = true;
    assert_eq!(kinds(&hub_notifications(&mut world, &share)), [unmanaged, public]);
}

#[test]
fn making_an_image_private_is_notified_each_time_with_the_principal_if_known() {
    let public = ObservedImage { is_public: true, ..ObservedImage::default() };
    let mut world = World::granted_out_of_band(public);
    world.makes_private = true;
    let by = Some("arn:aws:iam::111122223333:user/eve".to_owned());
    let mut share = share_of(1, Vec::new(), false);
    share.run.changed_by.clone_from(&by);
    for _ in 0..2 {
        let sent = hub_notifications(&mut world, &share);
        assert_eq!(kinds(&sent), [(NotificationKind::Public, "all")]);
        assert_eq!(sent[0].1.changed_by, by);
        assert!(sent[0].1.reason.as_ref().unwrap().ends_with("and ami-share made it private"));
        let observed = &mut world.images.get_mut(&share.desired.image.id).unwrap().observed;
        assert!(!observed.is_public);
        observed.is_public = true;
    }
}

#[test]
fn access_removed_out_of_band_is_restored_and_notified() {
    let mut world = World::default();
    let share = share_of(1, vec![account_target(account(1)), account_target(account(2))], true);
    world.trigger(&share);
    let observed = &mut world.images.get_mut(&share.desired.image.id).unwrap().observed;
    observed.launch.remove(&share.desired.targets[0].launch_permission());
    observed.snapshots.get_mut(&snapshot(10)).unwrap().remove(&account(2));
    let restored = NotificationKind::Restored;
    assert_eq!(
        kinds(&hub_notifications(&mut world, &share)),
        [(restored, "000000000001"), (restored, "000000000002")]
    );
    assert_eq!(hub_notifications(&mut world, &share), []);
    world.key.policy = World::default().key.policy;
    assert_eq!(kinds(&hub_notifications(&mut world, &share)).len(), 2, "the key grants neither account");
    assert_eq!(hub_notifications(&mut world, &share), []);
}

#[test]
fn a_superseded_reconciliation_sends_no_notification() {
    let share = share(vec![account_target(account(1))]);
    let unmanaged = vec![UnmanagedGrant { resource: "ami-1".to_owned(), grantee: "all".to_owned() }];
    let result = ShareResult { superseded: true, unmanaged, ..result(share, Vec::new()) };
    assert_eq!(plan(&result, &ImageLedger::default(), now()), Default::default());
}

//! Who is told what: once, and only those who have something to hear.

use std::collections::{BTreeMap, BTreeSet};

use ami_share_domain::access_review::UnmanagedGrant;
use ami_share_domain::appointments::warn_at;
use ami_share_domain::ending::Ending;
use ami_share_domain::ids::AccountId;
use ami_share_domain::image_plan::ObservedImage;
use ami_share_domain::image_request::Given;
use ami_share_domain::ledger::{ImageLedger, ShareRow};
use ami_share_domain::notice::{HubNews, NoticeDetail, NoticeKind, leading, plan, warning_of};
use ami_share_domain::share::{Share, Target};
use ami_share_domain::usage::{Usage, UsageQuestion};
use ami_share_testkit::fewer_cases;
use ami_share_testkit::ids::{account, now, snapshot};
use ami_share_testkit::shares::{account_target, given, ou_target, refusal, share};
use ami_share_testkit::wishes::{ending, share_of, some_targets, wishes};
use ami_share_testkit::world::World;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

/// The accounts that have heard of access and not of its end, by all that was sent so far; `None` when an account
/// heard of the same thing twice, or of the end of what it had not heard of.
fn told_of_access(world: &World) -> Option<BTreeSet<AccountId>> {
    let mut told = BTreeSet::new();
    for (account, notice) in world.first().sent {
        let Some(account) = account else { continue };
        assert_eq!(notice.detail.account.as_ref(), Some(&account));
        let is_news = match notice.kind {
            NoticeKind::Shared => told.insert(account),
            NoticeKind::Unshared => told.remove(&account),
            // Nothing else is sent to accounts in these properties.
            _ => false,
        };
        if !is_news {
            return None;
        }
    }
    Some(told)
}

fn accounts<'a>(targets: impl Iterator<Item = &'a Target>) -> BTreeSet<AccountId> {
    targets.flat_map(Target::accounts).cloned().collect()
}

/// A look that dies after so many steps, unless it has begun to tell by then.
fn look_that_may_die_untold(world: &mut World, share: &Share, steps: usize) {
    let mut look = world.begin(share);
    for _ in 0..steps {
        look.step(world);
    }
    if look.told.is_none() {
        return look.die(world);
    }
    while look.step(world) {}
}

/// What the hub hears in a look.
fn hub_news(world: &mut World, share: &Share) -> Vec<(NoticeKind, NoticeDetail)> {
    let known = world.first().sent.len();
    world.look(share);
    let sent = world.first().sent.into_iter().skip(known);
    sent.filter(|(account, _)| account.is_none()).map(|(_, notice)| (notice.kind, notice.detail)).collect()
}

fn kinds(news: &[(NoticeKind, NoticeDetail)]) -> Vec<(NoticeKind, &str)> {
    news.iter().map(|(kind, detail)| (*kind, detail.target.as_deref().unwrap_or_default())).collect()
}

proptest! {
    #![proptest_config(fewer_cases())]

    #[test]
    fn every_account_hears_once_of_its_access_and_once_of_its_end_and_of_no_end_unheard_of(
        looks in prop::collection::vec((wishes(1), 0..40_usize), 1..6),
        rejected in some_targets(),
        without_bus in prop::sample::subsequence([1, 2, 11].map(account).to_vec(), 0..=3),
    ) {
        let rejected = rejected.iter().map(Target::key_principal).collect();
        let mut world = World::default().with_rejected(rejected);
        world.without_bus = without_bus.into_iter().collect();
        for (share, steps) in looks {
            look_that_may_die_untold(&mut world, &share, steps);
            prop_assert!(told_of_access(&world).is_some(), "{:?}", world.first().sent);
            let given = world.look(&share).given.unwrap();
            let told = told_of_access(&world);
            prop_assert!(told.is_some(), "{:?}", world.first().sent);
            let told = told.unwrap();
            let reachable = |accounts: BTreeSet<AccountId>| &accounts - &world.without_bus;
            prop_assert!(reachable(accounts(given.shared_targets())).is_subset(&told));
            prop_assert!(told.is_subset(&accounts(share.wanted())));
        }
    }

    #[test]
    fn the_hub_hears_of_every_share_and_of_every_end_though_looks_die_before_they_tell(
        looks in prop::collection::vec(wishes(1), 1..6),
    ) {
        let mut world = World::default();
        let mut told = BTreeSet::new();
        for share in looks {
            let mut look = world.begin(&share);
            while look.told.is_none() && !look.is_over() {
                look.step(&mut world);
            }
            look.die(&mut world);
            for (kind, detail) in hub_news(&mut world, &share) {
                let target = detail.target.unwrap();
                match kind {
                    NoticeKind::Shared => prop_assert!(told.insert(target)),
                    NoticeKind::Unshared => {
                        prop_assert_eq!(detail.reason.unwrap(), share.why_withdrawn(&target));
                        prop_assert!(told.remove(&target));
                    }
                    kind => prop_assert_eq!(kind, NoticeKind::Refused),
                }
            }
            let wanted: BTreeSet<String> = share.wanted().map(|target| target.name().to_owned()).collect();
            prop_assert_eq!(&told, &wanted);
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
            let share = Share { until, warn_at, ..share(vec![account_target(account(1))]) };
            let news = hub_news(&mut world, &share);
            let ending: Vec<_> = news.iter().filter(|(kind, _)| *kind == NoticeKind::Ending).collect();
            let is_near = warn_at.is_some_and(|moment| moment <= world.clock);
            prop_assert!(ending.len() <= 1);
            prop_assert!(ending.is_empty() || is_near);
            if let [(_, detail)] = ending.as_slice() {
                prop_assert_eq!(detail.until.clone(), until.map(|until| until.to_string()));
                *warned.entry(until.unwrap()).or_default() += 1;
            }
            let known = world.first().ledger.told.warned;
            prop_assert!(!is_near || known == until, "{:?}", known);
            prop_assert!(hub_news(&mut world, &share).is_empty());
        }
        prop_assert!(days > 0 || warned.is_empty());
    }
}

/// News of rows: one piece of each of the first kind, two of each of the second; and some of no row.
fn news(notice: &HubNews, shared: usize, taken: usize, others: usize) -> Vec<HubNews> {
    let of_row = |number: usize| {
        let row = notice.row.clone().map(|row| ShareRow { target: account(number).to_string(), ..row });
        HubNews { row, ..notice.clone() }
    };
    let of_rows = (1..=shared + taken).flat_map(|number| {
        let count = if number <= shared { 1 } else { 2 };
        vec![of_row(number); count]
    });
    let of_none = HubNews { row: None, ..notice.clone() };
    of_rows.chain(vec![of_none; others]).collect()
}

proptest! {
    #[test]
    fn no_rows_news_are_on_record_as_told_before_all_of_them_are(
        shared in 0..4_usize, taken in 0..4_usize, others in 0..4_usize, at_most in 0..20_usize,
    ) {
        let one = share(vec![account_target(account(1))]);
        let one = World::default().look(&one).told.unwrap().hub.remove(0);
        let news = news(&one, shared, taken, others);
        let leading = leading(&news, at_most);
        prop_assert_eq!(leading, &news[..leading.len()]);
        prop_assert!(leading.len() <= at_most);
        prop_assert!(leading.len() + 1 >= at_most.min(news.len()), "at most one waits for the other");
        let rest = &news[leading.len()..];
        for row in leading.iter().filter_map(|news| news.row.as_ref()) {
            prop_assert!(rest.iter().all(|news| news.row.as_ref() != Some(row)));
        }
    }
}

#[test]
fn who_was_warned_before_a_look_died_is_not_warned_of_that_end_again() {
    let mut world = World::default();
    let near = |hours| {
        let until = Some(now() + SignedDuration::from_hours(hours));
        Share { until, warn_at: warn_at(until, 7), ..share(vec![ou_target(1, vec![account(1), account(2)])]) }
    };
    let given = world.look(&Share { warn_at: None, ..near(30) }).given.unwrap();
    let mut ledger = world.first().ledger;
    ledger.told.warning.insert(warning_of(&account(1), near(30).until.unwrap()));
    let warned = |hours| -> Vec<AccountId> {
        let share = Share { intent: given.share.intent, ..near(hours) };
        let told = plan(&Given { share, ..given.clone() }, &ledger, now());
        assert_eq!(told.hub.len(), 1, "the hub has not heard of it");
        told.warned.into_iter().map(|(account, _)| account).collect()
    };
    assert_eq!(warned(30), [account(2)]);
    assert_eq!(warned(50), [account(1), account(2)], "another end is another warning");
    world.images.get_mut(&given.share.image.id).unwrap().ledger = ledger;
    world.look(&near(30));
    assert_eq!(world.first().ledger.told.warning, BTreeSet::new(), "all have been warned");
}

#[test]
fn an_ou_is_told_account_by_account_and_the_hub_once() {
    let mut world = World::default();
    let share = share(vec![account_target(account(1)), ou_target(1, vec![account(2), account(3)])]);
    let plan = world.look(&share).told.unwrap();
    let told: Vec<(&str, Option<&str>)> = plan
        .members
        .iter()
        .map(|(account, notice)| (account.as_str(), notice.detail.target.as_deref()))
        .collect();
    let unit = Some("ou-ab12-00000001");
    assert_eq!(
        told,
        [("000000000001", Some("000000000001")), ("000000000002", unit), ("000000000003", unit)]
    );
    assert_eq!(plan.hub.len(), 2);
}

#[test]
fn a_refusal_is_told_to_the_hub_alone_and_again_when_its_reason_changes() {
    let mut world = World::default();
    let target = ou_target(1, vec![account(2)]);
    let mut refused = refusal(target.name());
    for reason in ["the OU does not exist", "the OU is not allowed"] {
        refused.reason = reason.to_owned();
        let told = world.look(&Share { refused: vec![refused.clone()], ..share(Vec::new()) }).told.unwrap();
        assert_eq!(told.members, []);
        let news: Vec<_> =
            told.hub.iter().map(|news| (news.notice.kind, news.notice.detail.reason.as_deref())).collect();
        assert_eq!(news, [(NoticeKind::Refused, Some(reason))]);
    }
    let told = world.look(&share(vec![target])).told.unwrap();
    assert_eq!((told.members.len(), told.hub.len()), (1, 1));
}

#[test]
fn nothing_is_told_of_a_share_that_died_half_way() {
    let mut world = World::default();
    world.look_killed_after(&share(vec![account_target(account(1))]), 9);
    assert!(!world.first().ledger.shares.is_empty(), "it died after the ledger was told what it would give");
    let nobody = given(share(Vec::new()), Vec::new());
    let told = plan(&nobody, &world.first().ledger, now());
    assert_eq!((told.hub, told.members, told.leavers), (vec![], vec![], vec![]));
}

#[test]
fn a_refusal_that_took_access_away_is_two_pieces_of_news() {
    let mut world = World::default();
    let target = account_target(account(1));
    let name = target.name().to_owned();
    world.look(&share(vec![target]));
    let refused = Share { refused: vec![refusal(&name)], ..share(Vec::new()) };
    let news = hub_news(&mut world, &refused);
    assert_eq!(kinds(&news), [(NoticeKind::Unshared, name.as_str()), (NoticeKind::Refused, name.as_str())]);
    assert_eq!(hub_news(&mut world, &refused), []);
}

#[test]
fn who_lost_access_and_gets_it_again_is_told_again() {
    let mut world = World::default();
    let shared = share(vec![ou_target(1, vec![account(11)])]);
    for _ in 0..2 {
        assert_eq!(kinds(&hub_news(&mut world, &shared)), [(NoticeKind::Shared, "ou-ab12-00000001")]);
        let end = ending(1, Ending::Untagged);
        assert_eq!(kinds(&hub_news(&mut world, &end)), [(NoticeKind::Unshared, "ou-ab12-00000001")]);
    }
    let told: Vec<NoticeKind> = world
        .first()
        .sent
        .iter()
        .filter(|(account, _)| account.is_some())
        .map(|(_, notice)| notice.kind)
        .collect();
    let (shared, unshared) = (NoticeKind::Shared, NoticeKind::Unshared);
    assert_eq!(told, [shared, unshared, shared, unshared]);
}

#[test]
fn an_account_without_a_bus_is_forgotten_and_not_told() {
    let mut world = World::default();
    world.without_bus.insert(account(1));
    world.look(&share(vec![account_target(account(1))]));
    let end = world.look(&ending(1, Ending::ImageGone)).told.unwrap();
    assert_eq!((end.leavers, end.forgotten), (vec![], vec![account(1)]));
    assert!(world.first().ledger.told.without_bus.is_empty());
}

#[test]
fn why_access_ended_and_whether_it_is_still_used_is_said_to_the_hub_and_to_the_account() {
    let mut world = World::default();
    world.look(&share(vec![account_target(account(1))]));
    let at = now();
    let mut look = world.begin(&ending(1, Ending::Expired { at }));
    while look.told.is_none() {
        look.step(&mut world);
    }
    let given = look.given.unwrap();
    let usage = vec![Usage { account: account(1), resource_type: "ec2:Instance".to_owned(), count: 2 }];
    let question = UsageQuestion { report_id: "report-1".to_owned(), accounts: vec![account(1)] };
    let asked = Given { usage_report: Some(question), ..given.clone() };
    let answered = Given { usage: Some(usage), ..asked.clone() };
    for (given, usage) in [
        (given, None),
        (asked, Some("AWS had not answered in time whether they still use the image")),
        (answered, Some("still used by 000000000001 (2 instances)")),
    ] {
        let told = plan(&given, &world.first().ledger, now());
        assert_eq!((told.hub.len(), told.leavers.len()), (1, 1));
        for detail in [&told.hub[0].notice.detail, &told.leavers[0].1.detail] {
            assert_eq!(
                detail.reason.as_deref(),
                Some("ami-share:until was 2026-06-01T12:00:00Z; set a later date to share again")
            );
            assert_eq!(detail.usage.as_deref(), usage);
        }
    }
}

#[test]
fn whoever_is_near_the_end_is_warned_on_the_bus_and_those_without_a_bus_are_not() {
    let mut world = World::default();
    world.without_bus.insert(account(12));
    let until = Some(now() + SignedDuration::from_hours(30));
    let near = Share {
        until,
        warn_at: warn_at(until, 7),
        ..share(vec![ou_target(1, vec![account(11), account(12)])])
    };
    world.look(&Share { warn_at: None, ..near.clone() });
    let told = world.look(&near).told.unwrap();
    let warned: Vec<&AccountId> = told.warned.iter().map(|(account, _)| account).collect();
    assert_eq!(warned, [&account(11)]);
    assert!(world.look(&near).told.unwrap().warned.is_empty());
    let later = now() + SignedDuration::from_hours(50);
    let told =
        world.look(&Share { until: Some(later), warn_at: warn_at(Some(later), 7), ..near }).told.unwrap();
    assert_eq!(told.warned.len(), 1, "another end is another warning");
}

#[test]
fn nobody_is_warned_once_the_end_has_come() {
    let mut world = World::default();
    let until = Some(now());
    let late = Share { until, warn_at: warn_at(until, 7), ..share(vec![account_target(account(1))]) };
    let told = world.look(&late).told.unwrap();
    assert!(told.warned.is_empty());
    assert!(told.hub.iter().all(|news| news.notice.kind == NoticeKind::Shared));
}

#[test]
fn access_by_other_hands_is_told_once_until_it_vanishes() {
    let stranger = account_target(account(99)).launch_permission();
    let mut world = World::opened_by_hand(ObservedImage {
        launch: [stranger.clone()].into(),
        snapshots: [(snapshot(10), [account(98)].into())].into(),
        is_public: true,
        ..ObservedImage::default()
    });
    let share = share_of(1, vec![account_target(account(1))], true);
    let (public, unmanaged) = ((NoticeKind::Public, "all"), (NoticeKind::Unmanaged, "000000000099"));
    let copier = (NoticeKind::Unmanaged, "000000000098");
    let news = hub_news(&mut world, &share);
    assert_eq!(kinds(&news)[1..], [unmanaged, public, copier]);
    assert!(news[2].1.reason.as_ref().unwrap().contains("set MakePublicImagesPrivate"));
    assert_eq!(hub_news(&mut world, &share), []);
    let observed = &mut world.images.get_mut(&share.image.id).unwrap().observed;
    observed.launch.remove(&stranger);
    observed.is_public = false;
    assert_eq!(hub_news(&mut world, &share), []);
    let observed = &mut world.images.get_mut(&share.image.id).unwrap().observed;
    observed.launch.insert(stranger);
    observed.is_public = true;
    assert_eq!(kinds(&hub_news(&mut world, &share)), [unmanaged, public]);
}

#[test]
fn what_is_made_private_is_told_each_time_and_somebody_is_named_where_that_is_known() {
    let public = ObservedImage { is_public: true, ..ObservedImage::default() };
    let mut world = World::opened_by_hand(public);
    world.makes_private = true;
    let by = Some("arn:aws:iam::111122223333:user/eve".to_owned());
    let share = Share { changed_by: by.clone(), ..share_of(1, Vec::new(), false) };
    for _ in 0..2 {
        let news = hub_news(&mut world, &share);
        assert_eq!(kinds(&news), [(NoticeKind::Public, "all")]);
        assert_eq!(news[0].1.changed_by, by);
        assert!(news[0].1.reason.as_ref().unwrap().ends_with("is private again"));
        let observed = &mut world.images.get_mut(&share.image.id).unwrap().observed;
        assert!(!observed.is_public);
        observed.is_public = true;
    }
}

#[test]
fn access_that_somebody_took_by_hand_is_given_again_and_told() {
    let mut world = World::default();
    let share = share_of(1, vec![account_target(account(1)), account_target(account(2))], true);
    world.look(&share);
    let observed = &mut world.images.get_mut(&share.image.id).unwrap().observed;
    observed.launch.remove(&share.targets[0].launch_permission());
    observed.snapshots.get_mut(&snapshot(10)).unwrap().remove(&account(2));
    let restored = NoticeKind::Restored;
    assert_eq!(
        kinds(&hub_news(&mut world, &share)),
        [(restored, "000000000001"), (restored, "000000000002")]
    );
    assert_eq!(hub_news(&mut world, &share), []);
    world.key.policy = World::default().key.policy;
    assert_eq!(kinds(&hub_news(&mut world, &share)).len(), 2, "the key shuts both out");
    assert_eq!(hub_news(&mut world, &share), []);
}

#[test]
fn of_a_look_that_was_overtaken_nothing_is_told() {
    let share = share(vec![account_target(account(1))]);
    let unmanaged = vec![UnmanagedGrant { resource: "ami-1".to_owned(), grantee: "all".to_owned() }];
    let given = Given { superseded: true, unmanaged, ..given(share, Vec::new()) };
    assert_eq!(plan(&given, &ImageLedger::default(), now()), Default::default());
}

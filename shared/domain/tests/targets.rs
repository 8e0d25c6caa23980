//! From selectors to targets, compared with a model that works in the opposite direction: the domain goes up from an
//! account to its OUs and removes covered targets, the model goes down from each selector and collects accounts.

use std::collections::{BTreeMap, BTreeSet};

use ami_share_domain::ids::{AccountId, OrganizationId, OuId};
use ami_share_domain::refusal::RefusalCode;
use ami_share_domain::tags::selector::Selector;
use ami_share_domain::tags::share_tags::Until;
use ami_share_domain::targets::limits::{Limits, Sharing};
use ami_share_domain::targets::organization::{Organization, Parent};
use ami_share_domain::targets::resolve::Targets;
use ami_share_domain::targets::revocation_reason::RevocationReason;
use ami_share_domain::targets::target::Target;
use ami_share_testkit::fixtures::{Fixture, fixtures, reached, reordered_fixtures};
use ami_share_testkit::ids::{account, hub, id, now, ou};
use ami_share_testkit::organizations::tree;
use jiff::Timestamp;
use proptest::prelude::*;

/// All OUs below a parent, found by going down.
fn units_below(own: &Organization, parent: &Parent) -> BTreeSet<OuId> {
    let children = own.units.iter().filter(|(_, unit)| unit.parent == *parent).map(|(id, _)| id.clone());
    children
        .flat_map(|child| {
            let mut below = units_below(own, &Parent::Ou(child.clone()));
            below.insert(child);
            below
        })
        .collect()
}

fn active_accounts(own: &Organization, is_desired: impl Fn(&Parent) -> bool) -> BTreeSet<AccountId> {
    let is_desired = |parent: &Option<Parent>| parent.as_ref().is_some_and(&is_desired);
    let desired = own.accounts.iter().filter(|(_, account)| account.active && is_desired(&account.parent));
    desired.map(|(id, _)| id.clone()).collect()
}

fn accounts_in(own: &Organization, unit: &OuId) -> BTreeSet<AccountId> {
    let mut units = units_below(own, &Parent::Ou(unit.clone()));
    units.insert(unit.clone());
    active_accounts(own, |parent| matches!(parent, Parent::Ou(unit) if units.contains(unit)))
}

/// What one selector reaches alone: accounts, and external organizations, whose accounts are unknown.
#[derive(Debug, Default, PartialEq, Eq)]
struct Reach {
    accounts: BTreeSet<AccountId>,
    others: BTreeSet<OrganizationId>,
}

fn reach(fixture: &Fixture, selector: &Selector) -> Reach {
    let own = fixture.organization.as_ref();
    let may_be_revoked = fixture.tags().until != Until::Open || !fixture.limits.external_needs_until;
    let all_accounts = || own.map(|own| active_accounts(own, |_| true)).unwrap_or_default();
    let accounts = match selector {
        Selector::Account(id) => match own.and_then(|own| own.accounts.get(id)) {
            Some(account) => BTreeSet::from_iter(account.active.then(|| id.clone())),
            None => BTreeSet::from_iter(
                (fixture.limits.external_accounts.contains(id) && may_be_revoked).then(|| id.clone()),
            ),
        },
        Selector::Ou(unit) => own.map(|own| accounts_in(own, unit)).unwrap_or_default(),
        Selector::Root(root) if own.is_some_and(|own| own.roots.contains(root)) => all_accounts(),
        Selector::Root(_) => BTreeSet::new(),
        Selector::OwnOrganization => all_accounts(),
        Selector::Organization(id) if own.is_some_and(|own| own.id == *id) => all_accounts(),
        Selector::Organization(id) => {
            let is_allowed = fixture.limits.external_organizations.contains_key(id) && may_be_revoked;
            let others = BTreeSet::from_iter(is_allowed.then(|| id.clone()));
            return Reach { others, ..Reach::default() };
        }
        Selector::Tagged { key, value } => own.map(|own| tagged(own, key, value)).unwrap_or_default(),
    };
    Reach { accounts: accounts.into_iter().filter(|id| *id != fixture.hub).collect(), ..Reach::default() }
}

fn tagged(own: &Organization, key: &str, value: &str) -> BTreeSet<AccountId> {
    let units = own.units.iter().filter(|(_, unit)| unit.tags.get(key).is_some_and(|has| has == value));
    let mut accounts: BTreeSet<AccountId> = units.flat_map(|(id, _)| accounts_in(own, id)).collect();
    let alone =
        own.accounts.iter().filter(|(_, account)| account.tags.get(key).is_some_and(|has| has == value));
    accounts.extend(alone.filter(|(_, account)| account.active).map(|(id, _)| id.clone()));
    accounts
}

/// Whether the date forbids sharing anything new.
fn is_over(fixture: &Fixture) -> bool {
    match fixture.tags().until {
        Until::Open => false,
        Until::Unreadable => true,
        Until::At(end) => end <= now(),
    }
}

/// The end that applies: the tag's, or the last readable one if the tag's is unreadable.
fn end(fixture: &Fixture) -> Option<Timestamp> {
    match fixture.tags().until {
        Until::Open => None,
        Until::At(end) => Some(end),
        Until::Unreadable => fixture.previous_until,
    }
}

/// The names of all targets that the selectors stand for, covered ones included.
fn selectors(fixture: &Fixture) -> BTreeSet<String> {
    let tags = fixture.tags();
    let alone = tags.selectors.iter().flat_map(|selector| {
        let fixture = Fixture {
            selectors: vec![selector.to_string()],
            until: Some("2026-12-31".to_owned()).filter(|_| tags.until != Until::Open),
            limits: Limits { target_limit: usize::MAX, ..fixture.limits.clone() },
            ..fixture.clone()
        };
        // A `tag:` selector may pick an OU and an account within it; both are names.
        let picked = match selector {
            Selector::Tagged { key, value } => {
                fixture.organization.as_ref().map(|own| tagged_names(own, key, value))
            }
            _ => None,
        };
        let targets = fixture.resolve().targets.into_iter().map(|target| target.name().to_owned());
        picked.into_iter().flatten().chain(targets).collect::<Vec<_>>()
    });
    alone.filter(|name| name != fixture.hub.as_str()).collect()
}

fn tagged_names(own: &Organization, key: &str, value: &str) -> Vec<String> {
    let has = |tags: &BTreeMap<String, String>| tags.get(key).is_some_and(|has| has == value);
    let accounts = own.accounts.iter().filter(|(_, account)| account.active && has(&account.tags));
    let units = own.units.iter().filter(|(_, unit)| has(&unit.tags));
    accounts.map(|(id, _)| id.to_string()).chain(units.map(|(id, _)| id.to_string())).collect()
}

fn is_too_many(targets: &Targets) -> bool {
    targets.refused.iter().any(|refusal| refusal.code() == RefusalCode::TooManyTargets)
}

/// Whether `outer` gives `inner` all its access.
fn covers(own: Option<&Organization>, outer: &Target, inner: &Target) -> bool {
    match (outer, inner) {
        (Target::Organization { id, .. }, Target::Organization { id: other, .. }) => id == other,
        (Target::Organization { id, .. }, Target::Ou { .. }) => own.is_some_and(|own| own.id == *id),
        (Target::Ou { id, .. }, Target::Ou { id: other, .. }) => {
            id == other || own.is_some_and(|own| units_below(own, &Parent::Ou(id.clone())).contains(other))
        }
        (outer, Target::Account { id, .. }) => outer.accounts().contains(id),
        (Target::Account { .. } | Target::Ou { .. }, _) => false,
    }
}

/// Whether a selector names something that may get access. The hub needs none, but naming it is no mistake.
fn is_good(fixture: &Fixture, selector: &Selector) -> bool {
    let own = fixture.organization.as_ref();
    let reach = reach(fixture, selector);
    match selector {
        Selector::Account(id) => reach.accounts.contains(id) || *id == fixture.hub,
        Selector::Ou(unit) => own.is_some_and(|own| own.units.contains_key(unit)),
        Selector::Root(root) => own.is_some_and(|own| own.roots.contains(root)),
        Selector::OwnOrganization => own.is_some(),
        Selector::Organization(id) => own.is_some_and(|own| own.id == *id) || reach.others.contains(id),
        Selector::Tagged { key, value } => own.is_some_and(|own| {
            let has = |tags: &BTreeMap<String, String>| tags.get(key) == Some(value);
            own.units.values().any(|unit| has(&unit.tags))
                || own.accounts.values().any(|account| account.active && has(&account.tags))
        }),
    }
}

/// Whether what a selector names is a target, or is covered by one.
fn is_shared(fixture: &Fixture, targets: &Targets, selector: &Selector) -> bool {
    let own = fixture.organization.as_ref();
    let is_target = |name: &str| targets.targets.iter().any(|target| target.name() == name);
    let is_whole = own.is_some_and(|own| is_target(own.id.as_str()));
    match selector {
        Selector::Account(_) | Selector::Tagged { .. } => {
            reach(fixture, selector).accounts.is_subset(&reached(targets))
        }
        Selector::Ou(unit) => {
            let is_below = |outer: &Target| match outer {
                Target::Ou { id, .. } => {
                    own.is_some_and(|own| units_below(own, &Parent::Ou(id.clone())).contains(unit))
                }
                Target::Account { .. } | Target::Organization { .. } => false,
            };
            is_whole || is_target(unit.as_str()) || targets.targets.iter().any(is_below)
        }
        Selector::Root(_) | Selector::OwnOrganization => is_whole,
        Selector::Organization(id) => is_target(id.as_str()),
    }
}

proptest! {
    #[test]
    fn the_order_and_repetition_of_selectors_do_not_matter((fixture, other) in reordered_fixtures()) {
        let (one, other) = (fixture.resolve(), other.resolve());
        prop_assert_eq!(one.targets, other.targets);
        prop_assert_eq!(one.refused.iter().collect::<BTreeSet<_>>(), other.refused.iter().collect());
    }

    #[test]
    fn exactly_the_accounts_that_the_selectors_name_are_reached(fixture in fixtures()) {
        let targets = fixture.resolve();
        let mut accounts = BTreeSet::new();
        let mut others = BTreeSet::new();
        if !is_over(&fixture) && !is_too_many(&targets) {
            for selector in &fixture.tags().selectors {
                let reach = reach(&fixture, selector);
                accounts.extend(reach.accounts);
                others.extend(reach.others);
            }
        }
        let own = fixture.organization.as_ref().map(|own| own.id.clone());
        let found = targets.targets.iter().filter_map(|target| match target {
            Target::Organization { id, .. } if Some(id) != own.as_ref() => Some(id.clone()),
            _ => None,
        });
        prop_assert_eq!(found.collect::<BTreeSet<_>>(), others);
        prop_assert_eq!(reached(&targets), accounts);
    }

    #[test]
    fn no_target_covers_another(fixture in fixtures()) {
        let Targets { targets, retained, .. } = fixture.resolve();
        prop_assert!(targets.is_empty() || retained.is_empty());
        let targets = [targets, retained].concat();
        for (position, inner) in targets.iter().enumerate() {
            for (other, outer) in targets.iter().enumerate() {
                let covers = covers(fixture.organization.as_ref(), outer, inner);
                prop_assert!(position == other || !covers, "{:?} covers {:?}", outer, inner);
            }
        }
    }

    #[test]
    fn neither_the_hub_nor_a_closed_account_is_ever_reached(fixture in fixtures()) {
        let closed = |id: &AccountId| {
            let account = fixture.organization.as_ref().and_then(|own| own.accounts.get(id));
            account.is_some_and(|account| !account.active)
        };
        let targets = fixture.resolve();
        prop_assert!(targets.targets.iter().all(|target| target.name() != fixture.hub.as_str()));
        prop_assert!(reached(&targets).iter().all(|id| *id != fixture.hub && !closed(id)));
    }

    #[test]
    fn no_external_target_gets_access_unless_the_limits_allow_it(fixture in fixtures()) {
        let own = fixture.organization.as_ref();
        let may_be_revoked = fixture.tags().until != Until::Open || !fixture.limits.external_needs_until;
        for target in fixture.resolve().targets {
            let (is_inside, is_allowed) = match &target {
                Target::Account { id, .. } => (
                    own.is_some_and(|own| own.accounts.contains_key(id)),
                    fixture.limits.external_accounts.contains(id),
                ),
                Target::Ou { id, .. } => (own.is_some_and(|own| own.units.contains_key(id)), false),
                Target::Organization { id, .. } => (
                    own.is_some_and(|own| own.id == *id),
                    fixture.limits.external_organizations.contains_key(id),
                ),
            };
            prop_assert!(is_inside || (is_allowed && may_be_revoked), "{target:?}");
        }
    }

    #[test]
    fn an_expired_share_or_one_with_too_many_targets_grants_nothing_and_reports_it(fixture in fixtures()) {
        let targets = fixture.resolve();
        prop_assert!(targets.targets.len() <= fixture.limits.target_limit);
        if is_over(&fixture) || is_too_many(&targets) {
            prop_assert!(targets.targets.is_empty());
            prop_assert!(!targets.refused.is_empty() || targets.revocation_reason.is_some());
        }
    }

    #[test]
    fn an_unreadable_date_or_too_many_targets_retain_exactly_the_named_targets_with_access(
        fixture in fixtures(),
    ) {
        let Targets { targets, retained, refused, until, revocation_reason, has_unknown_accounts: _ } = fixture.resolve();
        let is_unreadable = fixture.tags().until == Until::Unreadable;
        let too_many = refused.iter().any(|refusal| refusal.code() == RefusalCode::TooManyTargets);
        if revocation_reason.is_some() || !(is_unreadable || too_many) {
            prop_assert_eq!(retained, []);
            return Ok(());
        }
        prop_assert_eq!(targets, []);
        let previous = fixture.previous.iter().cloned().collect();
        let expected = &selectors(&fixture) & &previous;
        let retained_names: BTreeSet<String> = retained.iter().map(|target| target.name().to_owned()).collect();
        prop_assert!(retained_names.is_subset(&expected), "{:?} of {:?}", retained_names, expected);
        // A target that is not retained by name is covered by a retained one.
        let reached: BTreeSet<&AccountId> = retained.iter().flat_map(Target::accounts).collect();
        for name in expected.difference(&retained_names) {
            let own = fixture.organization.as_ref();
            let is_whole = own.is_some_and(|own| retained_names.contains(own.id.as_str()));
            let is_reached = name.parse().is_ok_and(|account: AccountId| reached.contains(&account));
            let lies_within = name.parse::<OuId>().is_ok_and(|unit| {
                let outer = own.into_iter().flat_map(|own| {
                    let retained = own.units.keys().filter(|outer| retained_names.contains(outer.as_str()));
                    retained.flat_map(|outer| units_below(own, &Parent::Ou(outer.clone()))).collect::<Vec<_>>()
                });
                outer.into_iter().any(|below| below == unit)
            });
            prop_assert!(is_whole || is_reached || lies_within, "{} of {:?}", name, retained_names);
        }
        prop_assert!(!is_unreadable || until == fixture.previous_until);
    }

    #[test]
    fn no_target_has_access_beyond_the_agreed_end_or_the_last_readable_one(fixture in fixtures()) {
        let targets = fixture.resolve();
        let is_active = !(targets.targets.is_empty() && targets.retained.is_empty());
        if is_active {
            prop_assert_eq!(targets.until, end(&fixture));
            prop_assert!(targets.until.is_none_or(|end| end > now()));
        }
        // A share that reaches its recorded end expires without a refusal; any other past date is refused.
        let is_past = end(&fixture).is_some_and(|end| end <= now());
        let agreed = end(&fixture).filter(|_| is_past && end(&fixture) == fixture.previous_until);
        prop_assert_eq!(&targets.revocation_reason, &agreed.map(|at| RevocationReason::Expired { at }));
        let is_expired = targets.refused.iter().any(|refusal| refusal.code() == RefusalCode::Expired);
        prop_assert_eq!(is_expired, is_past && agreed.is_none());
        prop_assert!(agreed.is_none() || targets.until == agreed);
    }

    #[test]
    fn disabled_sharing_desires_no_target_whatever_the_tags_say_and_reads_no_organization(
        fixture in fixtures(),
    ) {
        let limits = Limits { sharing: Sharing::Disabled, ..fixture.limits.clone() };
        let revoked = Fixture { limits, ..fixture.clone() };
        prop_assert!(!revoked.needs_organization());
        let unread = Fixture { organization: None, ..revoked.clone() }.resolve();
        prop_assert_eq!(&revoked.resolve(), &unread);
        prop_assert!(unread.targets.is_empty() && unread.retained.is_empty());
        // An expired share stays expired; every other one is revoked for this reason only, and no selector is refused.
        match fixture.resolve() {
            ended if ended.revocation_reason.is_some() => prop_assert_eq!(unread, ended),
            _ => {
                prop_assert_eq!(unread.revocation_reason, Some(RevocationReason::SharingDisabled));
                prop_assert_eq!((unread.refused, unread.until), (Vec::new(), None));
            }
        }
    }

    #[test]
    fn an_unneeded_organization_changes_no_result_and_is_unneeded_without_targets(
        fixture in fixtures(),
    ) {
        let unread = Fixture { organization: None, ..fixture.clone() }.resolve();
        if !fixture.needs_organization() {
            prop_assert_eq!(&fixture.resolve(), &unread);
            prop_assert!(unread.targets.is_empty() && unread.retained.is_empty());
        }
        prop_assert!(unread.revocation_reason.is_none() || !fixture.needs_organization());
    }

    #[test]
    fn every_selector_becomes_a_target_or_a_refusal(fixture in fixtures()) {
        let targets = fixture.resolve();
        if is_over(&fixture) || is_too_many(&targets) {
            return Ok(());
        }
        for name in &fixture.selectors {
            let is_refused = targets.refused.iter().any(|refusal| refusal.subject == *name);
            match name.parse::<Selector>() {
                Ok(selector) if is_good(&fixture, &selector) => {
                    prop_assert!(!is_refused, "`{}` in {:?}", name, targets);
                    prop_assert!(is_shared(&fixture, &targets, &selector), "`{}` in {:?}", name, targets);
                }
                _ => prop_assert!(is_refused, "`{}` in {:?}", name, targets),
            }
        }
    }
}

#[test]
fn an_ou_inside_a_shared_ou_needs_no_entry_of_its_own() {
    let own = tree()
        .unit(1, None)
        .unit(2, Some(1))
        .unit(3, None)
        .account(account(1), Some(2))
        .account(account(2), Some(3))
        .account(account(3), Some(3))
        .closed(&account(3))
        .build();
    let selectors = [ou(1).to_string(), ou(2).to_string(), account(1).to_string(), account(2).to_string()];
    let fixture = Fixture {
        selectors: selectors.to_vec(),
        until: None,
        organization: Some(own),
        limits: Limits::default(),
        hub: hub(),
        previous: Vec::new(),
        previous_until: None,
    };
    let targets = fixture.resolve();
    assert_eq!(targets.refused, []);
    let names: Vec<&str> = targets.targets.iter().map(Target::name).collect();
    assert_eq!(names, [ou(1).as_str(), account(2).as_str()]);
    assert_eq!(reached(&targets), BTreeSet::from([account(1), account(2)]));
}

#[test]
fn one_target_more_than_the_limit_is_refused_before_any_grant() {
    let own = (1..=1_001).fold(tree(), |tree, number| tree.account(account(number), None)).build();
    let fixture = |count: usize| Fixture {
        selectors: (1..=count).map(|number| account(number).to_string()).collect(),
        until: None,
        organization: Some(own.clone()),
        limits: Limits::default(),
        hub: hub(),
        previous: Vec::new(),
        previous_until: None,
    };
    assert_eq!(fixture(1_000).resolve().targets.len(), 1_000);
    let targets = fixture(1_001).resolve();
    assert_eq!(targets.targets, []);
    assert!(is_too_many(&targets));
}

#[test]
fn an_account_with_access_is_retained_beside_its_ou_that_gets_nothing() {
    let own = tree().unit(1, None).account(account(1), Some(1)).account(account(2), Some(1)).build();
    let fixture = Fixture {
        selectors: vec![account(1).to_string(), ou(1).to_string(), account(2).to_string()],
        until: Some("tomorrow".to_owned()),
        organization: Some(own),
        limits: Limits::default(),
        hub: hub(),
        previous: vec![account(1).to_string()],
        previous_until: None,
    };
    let retained =
        |targets: Targets| targets.retained.iter().map(|target| target.name().to_owned()).collect::<Vec<_>>();
    assert_eq!(retained(fixture.resolve()), [account(1).to_string()]);
    let no_room = Limits { target_limit: 0, ..Limits::default() };
    let crowded = Fixture { until: None, limits: no_room, ..fixture };
    assert_eq!(retained(crowded.resolve()), [account(1).to_string()]);
}

#[test]
fn an_end_that_cannot_be_read_any_more_ends_when_it_was_agreed_to() {
    let fixture = |previous_until| Fixture {
        selectors: vec![account(1).to_string()],
        until: Some("2026-13-01".to_owned()),
        organization: Some(tree().account(account(1), None).build()),
        limits: Limits::default(),
        hub: hub(),
        previous: vec![account(1).to_string()],
        previous_until: Some(previous_until),
    };
    let ahead = fixture(id("2026-06-01T12:00:01Z")).resolve();
    assert_eq!((ahead.retained.len(), ahead.revocation_reason), (1, None));
    let come = fixture(now()).resolve();
    assert_eq!((come.retained.len(), come.until), (0, Some(now())));
    assert_eq!(come.revocation_reason, Some(RevocationReason::Expired { at: now() }));
}

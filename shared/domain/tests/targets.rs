//! From words to targets, against a model that is written the other way round: the domain climbs from an
//! account to its OUs and folds, the model walks down from each word and collects accounts.

use std::collections::{BTreeMap, BTreeSet};

use ami_share_domain::guards::Guards;
use ami_share_domain::ids::{AccountId, OrganizationId, OuId};
use ami_share_domain::organization::{Organization, Parent};
use ami_share_domain::refusal::RefusalCode;
use ami_share_domain::selector::Selector;
use ami_share_domain::share::Target;
use ami_share_domain::share_tags::Until;
use ami_share_domain::targets::Targets;
use ami_share_testkit::ids::{account, hub, now, ou};
use ami_share_testkit::organizations::tree;
use ami_share_testkit::scenes::{Scene, reached, reordered_scenes, scenes};
use proptest::prelude::*;

/// Everything below a parent, found by walking down.
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

fn active_accounts(own: &Organization, is_wanted: impl Fn(&Parent) -> bool) -> BTreeSet<AccountId> {
    let is_wanted = |parent: &Option<Parent>| parent.as_ref().is_some_and(&is_wanted);
    let wanted = own.accounts.iter().filter(|(_, account)| account.active && is_wanted(&account.parent));
    wanted.map(|(id, _)| id.clone()).collect()
}

fn accounts_in(own: &Organization, unit: &OuId) -> BTreeSet<AccountId> {
    let mut units = units_below(own, &Parent::Ou(unit.clone()));
    units.insert(unit.clone());
    active_accounts(own, |parent| matches!(parent, Parent::Ou(unit) if units.contains(unit)))
}

/// What one word gives by itself: accounts, and organizations whose accounts nobody here knows.
#[derive(Debug, Default, PartialEq, Eq)]
struct Reach {
    accounts: BTreeSet<AccountId>,
    others: BTreeSet<OrganizationId>,
}

fn reach(scene: &Scene, selector: &Selector) -> Reach {
    let own = scene.organization.as_ref();
    let may_leave = scene.tags().until != Until::Open || !scene.guards.external_needs_until;
    let everybody = || own.map(|own| active_accounts(own, |_| true)).unwrap_or_default();
    let accounts = match selector {
        Selector::Account(id) => match own.and_then(|own| own.accounts.get(id)) {
            Some(account) => BTreeSet::from_iter(account.active.then(|| id.clone())),
            None => BTreeSet::from_iter(
                (scene.guards.external_accounts.contains(id) && may_leave).then(|| id.clone()),
            ),
        },
        Selector::Ou(unit) => own.map(|own| accounts_in(own, unit)).unwrap_or_default(),
        Selector::Root(root) if own.is_some_and(|own| own.roots.contains(root)) => everybody(),
        Selector::Root(_) => BTreeSet::new(),
        Selector::OwnOrganization => everybody(),
        Selector::Organization(id) if own.is_some_and(|own| own.id == *id) => everybody(),
        Selector::Organization(id) => {
            let is_allowed = scene.guards.external_organizations.contains_key(id) && may_leave;
            let others = BTreeSet::from_iter(is_allowed.then(|| id.clone()));
            return Reach { others, ..Reach::default() };
        }
        Selector::Tagged { key, value } => own.map(|own| tagged(own, key, value)).unwrap_or_default(),
    };
    Reach { accounts: accounts.into_iter().filter(|id| *id != scene.hub).collect(), ..Reach::default() }
}

fn tagged(own: &Organization, key: &str, value: &str) -> BTreeSet<AccountId> {
    let units = own.units.iter().filter(|(_, unit)| unit.tags.get(key).is_some_and(|has| has == value));
    let mut accounts: BTreeSet<AccountId> = units.flat_map(|(id, _)| accounts_in(own, id)).collect();
    let alone =
        own.accounts.iter().filter(|(_, account)| account.tags.get(key).is_some_and(|has| has == value));
    accounts.extend(alone.filter(|(_, account)| account.active).map(|(id, _)| id.clone()));
    accounts
}

fn is_over(scene: &Scene) -> bool {
    match scene.tags().until {
        Until::Open => false,
        Until::Unreadable => true,
        Until::At(end) => end <= now(),
    }
}

fn is_too_many(targets: &Targets) -> bool {
    targets.refused.iter().any(|refusal| refusal.code == RefusalCode::TooManyTargets)
}

/// Whether `outer` gives `inner` all that it gives.
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

/// Whether a word names something that may be given; the hub needs nothing, which is no mistake.
fn is_good(scene: &Scene, selector: &Selector) -> bool {
    let own = scene.organization.as_ref();
    let reach = reach(scene, selector);
    match selector {
        Selector::Account(id) => reach.accounts.contains(id) || *id == scene.hub,
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

/// Whether a word that may be given is a target, or lies within one.
fn is_shared(scene: &Scene, targets: &Targets, selector: &Selector) -> bool {
    let own = scene.organization.as_ref();
    let is_target = |name: &str| targets.targets.iter().any(|target| target.name() == name);
    let is_whole = own.is_some_and(|own| is_target(own.id.as_str()));
    match selector {
        Selector::Account(_) | Selector::Tagged { .. } => {
            reach(scene, selector).accounts.is_subset(&reached(targets))
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
    fn the_order_and_repetition_of_words_does_not_matter((scene, other) in reordered_scenes()) {
        let (one, other) = (scene.resolve(), other.resolve());
        prop_assert_eq!(one.targets, other.targets);
        prop_assert_eq!(one.refused.iter().collect::<BTreeSet<_>>(), other.refused.iter().collect());
    }

    #[test]
    fn exactly_the_accounts_that_the_words_name_are_reached(scene in scenes()) {
        let targets = scene.resolve();
        let mut accounts = BTreeSet::new();
        let mut others = BTreeSet::new();
        if !is_over(&scene) && !is_too_many(&targets) {
            for selector in &scene.tags().selectors {
                let reach = reach(&scene, selector);
                accounts.extend(reach.accounts);
                others.extend(reach.others);
            }
        }
        let own = scene.organization.as_ref().map(|own| own.id.clone());
        let found = targets.targets.iter().filter_map(|target| match target {
            Target::Organization { id, .. } if Some(id) != own.as_ref() => Some(id.clone()),
            _ => None,
        });
        prop_assert_eq!(found.collect::<BTreeSet<_>>(), others);
        prop_assert_eq!(reached(&targets), accounts);
    }

    #[test]
    fn no_target_covers_another(scene in scenes()) {
        let targets = scene.resolve().targets;
        for (position, inner) in targets.iter().enumerate() {
            for (other, outer) in targets.iter().enumerate() {
                let covers = covers(scene.organization.as_ref(), outer, inner);
                prop_assert!(position == other || !covers, "{:?} covers {:?}", outer, inner);
            }
        }
    }

    #[test]
    fn neither_the_hub_nor_a_closed_account_is_ever_reached(scene in scenes()) {
        let closed = |id: &AccountId| {
            let account = scene.organization.as_ref().and_then(|own| own.accounts.get(id));
            account.is_some_and(|account| !account.active)
        };
        let targets = scene.resolve();
        prop_assert!(targets.targets.iter().all(|target| target.name() != scene.hub.as_str()));
        prop_assert!(reached(&targets).iter().all(|id| *id != scene.hub && !closed(id)));
    }

    #[test]
    fn nobody_outside_the_organization_gets_in_past_the_guards(scene in scenes()) {
        let own = scene.organization.as_ref();
        let may_leave = scene.tags().until != Until::Open || !scene.guards.external_needs_until;
        for target in scene.resolve().targets {
            let (is_inside, is_allowed) = match &target {
                Target::Account { id, .. } => (
                    own.is_some_and(|own| own.accounts.contains_key(id)),
                    scene.guards.external_accounts.contains(id),
                ),
                Target::Ou { id, .. } => (own.is_some_and(|own| own.units.contains_key(id)), false),
                Target::Organization { id, .. } => (
                    own.is_some_and(|own| own.id == *id),
                    scene.guards.external_organizations.contains_key(id),
                ),
            };
            prop_assert!(is_inside || (is_allowed && may_leave), "{target:?}");
        }
    }

    #[test]
    fn a_share_that_is_over_or_has_too_many_targets_gives_nothing_and_says_so(scene in scenes()) {
        let targets = scene.resolve();
        prop_assert!(targets.targets.len() <= scene.guards.target_limit);
        if is_over(&scene) || is_too_many(&targets) {
            prop_assert!(targets.targets.is_empty());
            prop_assert!(!targets.refused.is_empty());
        }
    }

    #[test]
    fn every_word_becomes_a_target_or_a_refusal(scene in scenes()) {
        let targets = scene.resolve();
        if is_over(&scene) || is_too_many(&targets) {
            return Ok(());
        }
        for word in &scene.words {
            let is_refused = targets.refused.iter().any(|refusal| refusal.word == *word);
            match word.parse::<Selector>() {
                Ok(selector) if is_good(&scene, &selector) => {
                    prop_assert!(!is_refused, "`{}` in {:?}", word, targets);
                    prop_assert!(is_shared(&scene, &targets, &selector), "`{}` in {:?}", word, targets);
                }
                _ => prop_assert!(is_refused, "`{}` in {:?}", word, targets),
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
    let words = [ou(1).to_string(), ou(2).to_string(), account(1).to_string(), account(2).to_string()];
    let scene = Scene {
        words: words.to_vec(),
        until: None,
        organization: Some(own),
        guards: Guards::default(),
        hub: hub(),
    };
    let targets = scene.resolve();
    assert_eq!(targets.refused, []);
    let names: Vec<&str> = targets.targets.iter().map(Target::name).collect();
    assert_eq!(names, [ou(1).as_str(), account(2).as_str()]);
    assert_eq!(reached(&targets), BTreeSet::from([account(1), account(2)]));
}

#[test]
fn one_target_more_than_the_limit_is_reported_before_anything_is_given() {
    let own = (1..=1_001).fold(tree(), |tree, number| tree.account(account(number), None)).build();
    let scene = |count: usize| Scene {
        words: (1..=count).map(|number| account(number).to_string()).collect(),
        until: None,
        organization: Some(own.clone()),
        guards: Guards::default(),
        hub: hub(),
    };
    assert_eq!(scene(1_000).resolve().targets.len(), 1_000);
    let targets = scene(1_001).resolve();
    assert_eq!(targets.targets, []);
    assert!(is_too_many(&targets));
}

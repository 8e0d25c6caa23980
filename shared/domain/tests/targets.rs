//! From words to targets, against a model that is written the other way round: the domain climbs from an
//! account to its OUs and folds, the model walks down from each word and collects accounts.

use std::collections::{BTreeMap, BTreeSet};

use ami_share_domain::ending::Ending;
use ami_share_domain::guards::{Guards, Sharing};
use ami_share_domain::ids::{AccountId, OrganizationId, OuId};
use ami_share_domain::organization::{Organization, Parent};
use ami_share_domain::refusal::RefusalCode;
use ami_share_domain::selector::Selector;
use ami_share_domain::share::Target;
use ami_share_domain::share_tags::Until;
use ami_share_domain::targets::Targets;
use ami_share_testkit::ids::{account, hub, id, now, ou};
use ami_share_testkit::organizations::tree;
use ami_share_testkit::scenes::{Scene, reached, reordered_scenes, scenes};
use jiff::Timestamp;
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

/// Whether nothing new may be shared, for the date's sake.
fn is_over(scene: &Scene) -> bool {
    match scene.tags().until {
        Until::Open => false,
        Until::Unreadable => true,
        Until::At(end) => end <= now(),
    }
}

/// The end that holds: the tag's, or where that cannot be read the last one that could.
fn end(scene: &Scene) -> Option<Timestamp> {
    match scene.tags().until {
        Until::Open => None,
        Until::At(end) => Some(end),
        Until::Unreadable => scene.standing_until,
    }
}

/// The names that the words stand for, overlaps and all.
fn names(scene: &Scene) -> BTreeSet<String> {
    let tags = scene.tags();
    let alone = tags.selectors.iter().flat_map(|selector| {
        let scene = Scene {
            words: vec![selector.to_string()],
            until: Some("2026-12-31".to_owned()).filter(|_| tags.until != Until::Open),
            guards: Guards { target_limit: usize::MAX, ..scene.guards.clone() },
            ..scene.clone()
        };
        // A word for tags may pick an OU and what lies within it; each is a name of its own.
        let picked = match selector {
            Selector::Tagged { key, value } => {
                scene.organization.as_ref().map(|own| tagged_names(own, key, value))
            }
            _ => None,
        };
        let targets = scene.resolve().targets.into_iter().map(|target| target.name().to_owned());
        picked.into_iter().flatten().chain(targets).collect::<Vec<_>>()
    });
    alone.filter(|name| name != scene.hub.as_str()).collect()
}

fn tagged_names(own: &Organization, key: &str, value: &str) -> Vec<String> {
    let has = |tags: &BTreeMap<String, String>| tags.get(key).is_some_and(|has| has == value);
    let accounts = own.accounts.iter().filter(|(_, account)| account.active && has(&account.tags));
    let units = own.units.iter().filter(|(_, unit)| has(&unit.tags));
    accounts.map(|(id, _)| id.to_string()).chain(units.map(|(id, _)| id.to_string())).collect()
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
        let Targets { targets, kept, .. } = scene.resolve();
        prop_assert!(targets.is_empty() || kept.is_empty());
        let targets = [targets, kept].concat();
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
            prop_assert!(!targets.refused.is_empty() || targets.ending.is_some());
        }
    }

    #[test]
    fn an_unreadable_end_and_too_many_targets_keep_exactly_those_who_stand_and_are_still_named(
        scene in scenes(),
    ) {
        let Targets { targets, kept, refused, until, ending } = scene.resolve();
        let is_unreadable = scene.tags().until == Until::Unreadable;
        let too_many = refused.iter().any(|refusal| refusal.code == RefusalCode::TooManyTargets);
        if ending.is_some() || !(is_unreadable || too_many) {
            prop_assert_eq!(kept, []);
            return Ok(());
        }
        prop_assert_eq!(targets, []);
        let standing = scene.standing.iter().cloned().collect();
        let expected = &names(&scene) & &standing;
        let kept_names: BTreeSet<String> = kept.iter().map(|target| target.name().to_owned()).collect();
        prop_assert!(kept_names.is_subset(&expected), "{:?} of {:?}", kept_names, expected);
        // Who is not kept by name is kept within somebody who is.
        let reached: BTreeSet<&AccountId> = kept.iter().flat_map(Target::accounts).collect();
        for name in expected.difference(&kept_names) {
            let own = scene.organization.as_ref();
            let is_whole = own.is_some_and(|own| kept_names.contains(own.id.as_str()));
            let is_reached = name.parse().is_ok_and(|account: AccountId| reached.contains(&account));
            let lies_within = name.parse::<OuId>().is_ok_and(|unit| {
                let outer = own.into_iter().flat_map(|own| {
                    let kept = own.units.keys().filter(|outer| kept_names.contains(outer.as_str()));
                    kept.flat_map(|outer| units_below(own, &Parent::Ou(outer.clone()))).collect::<Vec<_>>()
                });
                outer.into_iter().any(|below| below == unit)
            });
            prop_assert!(is_whole || is_reached || lies_within, "{} of {:?}", name, kept_names);
        }
        prop_assert!(!is_unreadable || until == scene.standing_until);
    }

    #[test]
    fn nobody_has_access_beyond_the_end_that_was_agreed_or_the_last_that_could_be_read(scene in scenes()) {
        let targets = scene.resolve();
        let is_live = !(targets.targets.is_empty() && targets.kept.is_empty());
        if is_live {
            prop_assert_eq!(targets.until, end(&scene));
            prop_assert!(targets.until.is_none_or(|end| end > now()));
        }
        // Nothing is refused for a date that has come as it was agreed; any other past date is.
        let is_past = end(&scene).is_some_and(|end| end <= now());
        let agreed = end(&scene).filter(|_| is_past && end(&scene) == scene.standing_until);
        prop_assert_eq!(&targets.ending, &agreed.map(|at| Ending::Expired { at }));
        let is_expired = targets.refused.iter().any(|refusal| refusal.code == RefusalCode::Expired);
        prop_assert_eq!(is_expired, is_past && agreed.is_none());
        prop_assert!(agreed.is_none() || targets.until == agreed);
    }

    #[test]
    fn while_the_stack_withdraws_nobody_is_wanted_whatever_the_tags_say_and_nothing_is_read_for_it(
        scene in scenes(),
    ) {
        let guards = Guards { sharing: Sharing::Withdrawn, ..scene.guards.clone() };
        let withdrawn = Scene { guards, ..scene.clone() };
        prop_assert!(!withdrawn.needs_organization());
        let unread = Scene { organization: None, ..withdrawn.clone() }.resolve();
        prop_assert_eq!(&withdrawn.resolve(), &unread);
        prop_assert!(unread.targets.is_empty() && unread.kept.is_empty());
        // What has ended as it was agreed is not touched; all else ends for this reason alone, and refuses no word.
        match scene.resolve() {
            ended if ended.ending.is_some() => prop_assert_eq!(unread, ended),
            _ => {
                prop_assert_eq!(unread.ending, Some(Ending::Withdrawn));
                prop_assert_eq!((unread.refused, unread.until), (Vec::new(), None));
            }
        }
    }

    #[test]
    fn an_organization_that_is_not_needed_has_no_say_and_is_not_needed_where_nobody_is_wanted(
        scene in scenes(),
    ) {
        let unread = Scene { organization: None, ..scene.clone() }.resolve();
        if !scene.needs_organization() {
            prop_assert_eq!(&scene.resolve(), &unread);
            prop_assert!(unread.targets.is_empty() && unread.kept.is_empty());
        }
        prop_assert!(unread.ending.is_none() || !scene.needs_organization());
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
        standing: Vec::new(),
        standing_until: None,
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
        standing: Vec::new(),
        standing_until: None,
    };
    assert_eq!(scene(1_000).resolve().targets.len(), 1_000);
    let targets = scene(1_001).resolve();
    assert_eq!(targets.targets, []);
    assert!(is_too_many(&targets));
}

#[test]
fn an_account_that_stands_is_kept_when_its_ou_is_named_beside_it_and_gets_nothing() {
    let own = tree().unit(1, None).account(account(1), Some(1)).account(account(2), Some(1)).build();
    let scene = Scene {
        words: vec![account(1).to_string(), ou(1).to_string(), account(2).to_string()],
        until: Some("tomorrow".to_owned()),
        organization: Some(own),
        guards: Guards::default(),
        hub: hub(),
        standing: vec![account(1).to_string()],
        standing_until: None,
    };
    let names =
        |targets: Targets| targets.kept.iter().map(|target| target.name().to_owned()).collect::<Vec<_>>();
    assert_eq!(names(scene.resolve()), [account(1).to_string()]);
    let no_room = Guards { target_limit: 0, ..Guards::default() };
    let crowded = Scene { until: None, guards: no_room, ..scene };
    assert_eq!(names(crowded.resolve()), [account(1).to_string()]);
}

#[test]
fn an_end_that_cannot_be_read_any_more_ends_when_it_was_agreed_to() {
    let scene = |standing_until| Scene {
        words: vec![account(1).to_string()],
        until: Some("2026-13-01".to_owned()),
        organization: Some(tree().account(account(1), None).build()),
        guards: Guards::default(),
        hub: hub(),
        standing: vec![account(1).to_string()],
        standing_until: Some(standing_until),
    };
    let ahead = scene(id("2026-06-01T12:00:01Z")).resolve();
    assert_eq!((ahead.kept.len(), ahead.ending), (1, None));
    let come = scene(now()).resolve();
    assert_eq!((come.kept.len(), come.until), (0, Some(now())));
    assert_eq!(come.ending, Some(Ending::Expired { at: now() }));
}

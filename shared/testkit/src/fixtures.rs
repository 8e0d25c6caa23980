//! A scene: all that the decision about one image's targets rests on, from the words of the tag to the guards.

use std::collections::{BTreeMap, BTreeSet};

use ami_share_domain::ids::{AccountId, OrganizationId};
use ami_share_domain::tags::selector::Selector;
use ami_share_domain::tags::share_tags::{ShareTags, UNTIL, WITH};
use ami_share_domain::targets::limits::{Limits, Sharing};
use ami_share_domain::targets::organization::Organization;
use ami_share_domain::targets::resolve::{Context, Previous, Targets, needs_organization, resolve};
use jiff::Timestamp;
use proptest::prelude::*;

use crate::ids::{OTHER_ORGANIZATION, OWN_ORGANIZATION, account, hub, id, now, organization_arn, ou};
use crate::organizations::{TAGS, organizations};
use crate::selectors::malformed_selectors;

/// What an image's tags say, and the world in which they say it.
#[derive(Debug, Clone)]
pub struct Fixture {
    /// The words of `ami-share:with`, malformed ones among them.
    pub selectors: Vec<String>,
    /// The value of `ami-share:until`.
    pub until: Option<String>,
    /// The hub's organization.
    pub organization: Option<Organization>,
    /// The stack's parameters.
    pub limits: Limits,
    /// The account that owns the image.
    pub hub: AccountId,
    /// The names of those who were wanted before.
    pub previous: Vec<String>,
    /// The end that was agreed with them.
    pub previous_until: Option<Timestamp>,
}

impl Fixture {
    /// The image's tags as they are read.
    pub fn tags(&self) -> ShareTags {
        let until = self.until.iter().map(|until| (UNTIL.to_owned(), until.clone()));
        ShareTags::read(&until.chain([(WITH.to_owned(), self.selectors.join(" "))]).collect())
    }

    /// Who gets the image.
    pub fn resolve(&self) -> Targets {
        resolve(&self.tags(), &self.context())
    }

    /// Whether the organization has a say in that.
    pub fn needs_organization(&self) -> bool {
        needs_organization(&self.tags(), &self.context())
    }

    fn context(&self) -> Context<'_> {
        let Self { selectors: _, until: _, organization, limits, hub, previous, previous_until } = self;
        let previous = Previous { targets: previous, until: *previous_until };
        Context { organization: organization.as_ref(), limits, hub, previous, now: now() }
    }
}

/// A selector of something that may be in the scene's organization, beside it, or nowhere.
fn selectors() -> impl Strategy<Value = Selector> {
    let organization = |text| Just(Selector::Organization(id(text)));
    prop_oneof![
        5 => (1..=14_usize).prop_map(|number| Selector::Account(account(number))),
        1 => Just(Selector::Account(hub())),
        4 => (1..=9_usize).prop_map(|number| Selector::Ou(ou(number))),
        1 => prop_oneof![Just("r-ab12"), Just("r-zz99")].prop_map(|root| Selector::Root(id(root))),
        1 => Just(Selector::OwnOrganization),
        1 => organization(OWN_ORGANIZATION),
        1 => organization(OTHER_ORGANIZATION),
        3 => prop::sample::select(TAGS.to_vec())
            .prop_map(|(key, value)| Selector::Tagged { key: key.to_owned(), value: value.to_owned() }),
    ]
}

fn selector_list() -> impl Strategy<Value = Vec<String>> {
    let selector =
        prop_oneof![8 => selectors().prop_map(|selector| selector.to_string()), 1 => malformed_selectors()];
    prop::collection::vec(selector, 0..8)
}

/// Guards that allow some of the accounts `9..=14` and perhaps the other organization.
fn limits() -> impl Strategy<Value = Limits> {
    let accounts = prop::collection::btree_set((9..=14_usize).prop_map(account), 0..4);
    let limit = prop_oneof![4 => Just(1_000_usize), 1 => 0..4_usize];
    (accounts, any::<bool>(), any::<bool>(), limit).prop_map(
        |(external_accounts, allows_other, external_needs_until, target_limit)| {
            let other: OrganizationId = id(OTHER_ORGANIZATION);
            let arn = organization_arn(&other);
            let external_organizations =
                if allows_other { BTreeMap::from([(other, arn)]) } else { BTreeMap::new() };
            Limits {
                sharing: Sharing::Enabled,
                external_accounts,
                external_organizations,
                external_needs_until,
                target_limit,
            }
        },
    )
}

fn untils() -> impl Strategy<Value = Option<String>> {
    let until = |selector: &str| Just(Some(selector.to_owned()));
    prop_oneof![
        4 => Just(None),
        4 => until("2026-12-31"),
        1 => until("2026-06-01T12:00:00Z"),
        1 => until("2020-01-01"),
        1 => until("next week"),
    ]
}

/// The ends that may have been agreed: none, ahead, just come, long past.
fn previous_untils() -> impl Strategy<Value = Option<Timestamp>> {
    let ends = ["2026-12-31T23:59:59Z", "2026-06-01T12:00:00Z", "2020-01-01T23:59:59Z"];
    prop::option::weighted(0.7, prop::sample::select(ends.map(id::<Timestamp>).to_vec()))
}

/// Names that may have been wanted before, many of them by words that are there still.
fn previous() -> impl Strategy<Value = Vec<String>> {
    let names = selectors().prop_map(|selector| match selector {
        Selector::OwnOrganization | Selector::Root(_) => OWN_ORGANIZATION.to_owned(),
        selector => selector.to_string(),
    });
    prop::collection::vec(names, 0..12)
}

/// Any scene; the hub may be in no organization at all.
pub fn fixtures() -> impl Strategy<Value = Fixture> {
    let organization = prop::option::weighted(0.9, organizations());
    let before = (previous(), previous_untils());
    (selector_list(), untils(), organization, limits(), before).prop_map(
        |(selectors, until, organization, limits, (previous, previous_until))| Fixture {
            selectors,
            until,
            organization,
            limits,
            hub: hub(),
            previous,
            previous_until,
        },
    )
}

/// Any scene, with its words in another order and some of them twice.
pub fn reordered_fixtures() -> impl Strategy<Value = (Fixture, Fixture)> {
    fixtures().prop_flat_map(|fixture| {
        let twice: Vec<String> = fixture.selectors.iter().chain(fixture.selectors.first()).cloned().collect();
        (Just(fixture), Just(twice).prop_shuffle())
            .prop_map(|(fixture, selectors)| (fixture.clone(), Fixture { selectors, ..fixture }))
    })
}

/// Every account that any of the targets reaches.
pub fn reached(targets: &Targets) -> BTreeSet<AccountId> {
    targets.targets.iter().flat_map(|target| target.accounts()).cloned().collect()
}

//! Fixtures for resolving the targets of an image: its tags, the organization, the limits and the earlier targets.

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

/// Everything that decides the targets of one image.
#[derive(Debug, Clone)]
pub struct Fixture {
    /// The selectors of `ami-share:with`, some of them malformed.
    pub selectors: Vec<String>,
    /// The value of `ami-share:until`.
    pub until: Option<String>,
    /// The hub's organization, if it has one.
    pub organization: Option<Organization>,
    /// The limits that the stack's parameters set.
    pub limits: Limits,
    /// The account that owns the image.
    pub hub: AccountId,
    /// The names of the targets of the last reconciliation.
    pub previous: Vec<String>,
    /// When their access was to end.
    pub previous_until: Option<Timestamp>,
}

impl Fixture {
    /// The tags, parsed.
    pub fn tags(&self) -> ShareTags {
        let until = self.until.iter().map(|until| (UNTIL.to_owned(), until.clone()));
        ShareTags::read(&until.chain([(WITH.to_owned(), self.selectors.join(" "))]).collect())
    }

    /// The targets of the image.
    pub fn resolve(&self) -> Targets {
        resolve(&self.tags(), &self.context())
    }

    /// Whether [`Self::resolve`] needs the organization.
    pub fn needs_organization(&self) -> bool {
        needs_organization(&self.tags(), &self.context())
    }

    fn context(&self) -> Context<'_> {
        let Self { selectors: _, until: _, organization, limits, hub, previous, previous_until } = self;
        let previous = Previous { targets: previous, groups: &[], until: *previous_until };
        Context { organization: organization.as_ref(), limits, hub, previous, now: now() }
    }
}

/// A selector of something that may be in the fixture's organization, outside it, or nowhere.
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

/// Limits that allow some of the accounts `9..=14` and perhaps the other organization.
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
    let until = |text: &str| Just(Some(text.to_owned()));
    prop_oneof![
        4 => Just(None),
        4 => until("2026-12-31"),
        1 => until("2026-06-01T12:00:00Z"),
        1 => until("2020-01-01"),
        1 => until("next week"),
    ]
}

/// The earlier end of access: none, in the future, right now or long past.
fn previous_untils() -> impl Strategy<Value = Option<Timestamp>> {
    let ends = ["2026-12-31T23:59:59Z", "2026-06-01T12:00:00Z", "2020-01-01T23:59:59Z"];
    prop::option::weighted(0.7, prop::sample::select(ends.map(id::<Timestamp>).to_vec()))
}

/// Names of earlier targets, many of which the selectors still name.
fn previous() -> impl Strategy<Value = Vec<String>> {
    let names = selectors().prop_map(|selector| match selector {
        Selector::OwnOrganization | Selector::Root(_) => OWN_ORGANIZATION.to_owned(),
        selector => selector.to_string(),
    });
    prop::collection::vec(names, 0..12)
}

/// Any fixture. The hub may belong to no organization.
pub fn fixtures() -> impl Strategy<Value = Fixture> {
    let organization = prop::option::weighted(0.9, organizations());
    let previous = (previous(), previous_untils());
    (selector_list(), untils(), organization, limits(), previous).prop_map(
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

/// Any fixture, and the same one with its selectors in another order and one of them twice.
pub fn reordered_fixtures() -> impl Strategy<Value = (Fixture, Fixture)> {
    fixtures().prop_flat_map(|fixture| {
        let repeated: Vec<String> =
            fixture.selectors.iter().chain(fixture.selectors.first()).cloned().collect();
        (Just(fixture), Just(repeated).prop_shuffle())
            .prop_map(|(fixture, selectors)| (fixture.clone(), Fixture { selectors, ..fixture }))
    })
}

/// Every account of all targets.
pub fn reached(targets: &Targets) -> BTreeSet<AccountId> {
    targets.targets.iter().flat_map(|target| target.accounts()).cloned().collect()
}

//! The targets while the organization cannot be read.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;

use ami_share_domain::refusal::RefusalCode;
use ami_share_domain::tags::share_tags::{ShareTags, WITH};
use ami_share_domain::targets::limits::Limits;
use ami_share_domain::targets::resolve::{Context, Previous, Targets, resolve};
use ami_share_domain::targets::target::Target;
use ami_share_domain::targets::unread::retain;
use ami_share_testkit::fixtures::{Fixture, fixtures};
use ami_share_testkit::ids::{account, hub, now};
use ami_share_testkit::shares::{account_target, organization_target, ou_target};
use proptest::prelude::*;

fn names(targets: &[Target]) -> BTreeSet<String> {
    targets.iter().map(|target| target.name().to_owned()).collect()
}

/// What is retained of `previous` while the organization cannot be read.
fn retained(tags: &ShareTags, previous: &[Target], limits: &Limits) -> Option<Targets> {
    let targets: Vec<String> = previous.iter().map(|target| target.name().to_owned()).collect();
    let groups: Vec<Target> = previous.iter().filter_map(Target::without_accounts).collect();
    let previous = Previous { targets: &targets, groups: &groups, until: None };
    let context = Context { organization: None, limits, hub: &hub(), previous, now: now() };
    retain(tags, &context, "AccessDeniedException")
}

fn tags(with: &str) -> ShareTags {
    ShareTags::read(&[(WITH.to_owned(), with.to_owned())].into())
}

/// The names that a tag retains of two accounts, an OU and the organization.
fn of_all(with: &str) -> Vec<String> {
    let previous = [
        account_target(account(1)),
        account_target(account(2)),
        ou_target(1, vec![account(3)]),
        organization_target(vec![account(4)]),
    ];
    let targets = retained(&tags(with), &previous, &Limits::default()).unwrap();
    assert_eq!(targets.targets, []);
    assert_eq!(targets.refused.last().unwrap().code(), RefusalCode::UnreadableOrganization);
    targets.retained.iter().map(|target| target.name().to_owned()).collect()
}

#[test]
fn whatever_no_selector_can_lead_to_any_more_goes_and_the_rest_is_retained() {
    assert_eq!(of_all("000000000002"), ["000000000002"]);
    assert_eq!(of_all("000000000002 000000000009"), ["000000000002"], "nothing new is granted");
    let everything = ["000000000001", "000000000002", "ou-ab12-00000001", "o-a1b2c3d4e5"];
    for may_hold_all in ["tag:env=prod", "ou-ab12-00000007", "org", "r-ab12", "o-a1b2c3d4e5"] {
        assert_eq!(of_all(may_hold_all), everything, "{may_hold_all}");
    }
}

#[test]
fn an_ou_that_an_earlier_version_recorded_by_its_name_alone_cannot_be_retained() {
    let targets = ["ou-ab12-00000001".to_owned()];
    let previous = Previous { targets: &targets, groups: &[], until: None };
    let (limits, hub) = (Limits::default(), hub());
    let context = Context { organization: None, limits: &limits, hub: &hub, previous, now: now() };
    assert_eq!(retain(&tags("org"), &context, "denied"), None);
    assert_eq!(retain(&tags("000000000001"), &context, "denied").unwrap().retained, []);
}

proptest! {
    #[test]
    fn no_target_that_the_organization_would_confirm_loses_access_and_none_gets_it(
        fixture in fixtures(), earlier in fixtures(),
    ) {
        prop_assume!(fixture.needs_organization());
        let Fixture { organization, limits, hub, .. } = &fixture;
        // What an earlier reconciliation shared in the same organization.
        let earlier = Fixture { organization: organization.clone(), limits: limits.clone(), ..earlier }.resolve();
        let previous = earlier.targets;
        let targets: Vec<String> = previous.iter().map(|target| target.name().to_owned()).collect();
        let context = Context {
            organization: organization.as_ref(),
            limits,
            hub,
            previous: Previous { targets: &targets, groups: &[], until: None },
            now: now(),
        };
        let readable = resolve(&fixture.tags(), &context);
        let unreadable = retained(&fixture.tags(), &previous, limits).unwrap();
        let confirmed: BTreeSet<String> =
            &names(&readable.targets) & &targets.iter().cloned().collect::<BTreeSet<_>>();
        prop_assert!(confirmed.is_subset(&names(&unreadable.retained)), "{:?}", confirmed);
        prop_assert!(names(&unreadable.retained).is_subset(&targets.iter().cloned().collect()));
        prop_assert_eq!(unreadable.targets, vec![]);
        let has_groups = unreadable.retained.iter().any(|target| target.without_accounts().is_some());
        prop_assert_eq!(unreadable.has_unknown_accounts, has_groups);
    }
}

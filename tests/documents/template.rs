//! What the documents say of `template.yaml`.

use std::collections::BTreeSet;

use ami_share_tests::template::Template;

use crate::files::{functions, text};
use crate::markdown::{code, rows, section};

#[test]
fn the_template_has_every_function() {
    let template = Template::read().unwrap();
    let resources = template.resources("AWS::Serverless::Function").unwrap();
    let binary = |(_, resource): &(&str, &serde_json::Value)| {
        resource["Metadata"]["BuildProperties"]["Binary"].as_str().unwrap().to_owned()
    };
    let binaries: BTreeSet<String> = resources.iter().map(binary).collect();
    assert_eq!(binaries, functions().into_iter().collect());
}

/// The resources that CloudFormation keeps when the stack is deleted, and does not replace either.
fn retained_resources() -> BTreeSet<String> {
    let template = Template::read().unwrap();
    let resources = template.section("Resources").unwrap();
    let is_retained = |resource: &serde_json::Value, policy: &str| {
        resource[policy].as_str().is_some_and(|policy| policy.starts_with("Retain"))
    };
    let retained = resources.iter().filter(|(_, resource)| is_retained(resource, "DeletionPolicy"));
    let retained = retained.map(|(name, resource)| {
        assert_eq!(resource["DeletionPolicy"], "RetainExceptOnCreate", "{name}");
        assert_eq!(resource["UpdateReplacePolicy"], "Retain", "{name}");
        name.clone()
    });
    retained.collect()
}

#[test]
fn the_lifecycle_page_names_what_stays_when_the_stack_is_deleted() {
    let rows = rows(&text("docs/lifecycle.md"), "### What stays when the stack is deleted");
    let is_resource = |word: &String| word.starts_with(char::is_uppercase);
    let stay = rows.iter().filter(|row| row[1].starts_with("stay"));
    let named: BTreeSet<String> = stay.flat_map(|row| code(&row[0])).filter(is_resource).collect();
    assert_eq!(named, retained_resources());
}

#[test]
fn the_page_on_organization_events_names_those_that_start_a_review() {
    let template = Template::read().unwrap();
    let function = &template.section("Resources").unwrap()["ReviewSharesFunction"];
    let pattern = &function["Properties"]["Events"]["OrganizationChanged"]["Properties"]["Pattern"];
    let names = pattern["detail"]["eventName"].as_array().unwrap();
    let names: BTreeSet<String> = names.iter().map(|name| name.as_str().unwrap().to_owned()).collect();
    assert!(names.contains("MoveAccount"), "{names:?}");
    let section = section(&text("docs/organization-events.md"), "## Which changes are noticed").join("\n");
    assert_eq!(code(&section).into_iter().collect::<BTreeSet<_>>(), names);
}

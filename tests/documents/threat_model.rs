//! The threat model speaks of every role, and names tests.

use std::collections::BTreeSet;

use ami_share_tests::docs::permissions;
use ami_share_tests::template::Template;

use crate::files::text;
use crate::markdown::{code, rows};

const PAGE: &str = "docs/threat-model.md";

#[test]
fn the_threat_model_says_of_every_role_what_it_could_do_if_it_were_stolen() {
    let rows = rows(&text(PAGE), "## What a stolen role can do");
    let named: BTreeSet<String> = rows.iter().flat_map(|row| code(&row[0])).collect();
    assert_eq!(named, permissions::roles(&Template::read().unwrap()).unwrap());
}

#[test]
fn the_threat_model_names_the_test_of_each_safeguard_or_says_that_there_is_none() {
    let model = text(PAGE);
    for heading in [
        "## Who can set tags",
        "## Who can forge events",
        "## Who can start the workflows",
        "## Tampering with stored data",
        "## A malicious target account",
        "## Confused deputies",
        "## Denial of service",
        "## Supply chain",
    ] {
        for row in rows(&model, heading) {
            let guard = row.last().unwrap();
            let is_named = code(guard).iter().any(|named| named.contains("::")) || guard.contains("no test");
            assert!(is_named || guard.contains("](#"), "{heading}: nothing shows `{}`", row[0]);
        }
    }
}

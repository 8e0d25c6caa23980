//! The example events.

use std::collections::BTreeSet;

use crate::files::{names, text};
use crate::markdown::{code, rows};

#[test]
fn every_example_event_names_the_page_that_it_follows_and_is_used() {
    let readme = text("events/README.md");
    let tests = [
        "shared/domain/tests/events.rs",
        "shared/lambda/tests/events/main.rs",
        "tests/simulated_aws_rules/eventbridge/test_events_match_rules.py",
    ];
    let tests: String = tests.map(text).concat();
    let mut listed = BTreeSet::new();
    for (heading, link) in [
        ("## Events of AWS", "](https://docs.aws.amazon.com/"),
        ("## Documents of our own", "](../ARCHITECTURE.md#"),
    ] {
        for row in rows(&readme, heading) {
            assert!(row[2].contains(link), "{} follows no page", row[0]);
            listed.extend(code(&row[0]));
        }
    }
    let there: BTreeSet<String> = names("events", ".json").into_iter().collect();
    assert_eq!(listed, there);
    assert!(there.iter().all(|file| tests.contains(&format!("\"{file}\""))), "an example that no test uses");
}

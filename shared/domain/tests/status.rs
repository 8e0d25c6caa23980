//! The status tag: always something, never too long, and never silent about a refusal that fits.

use ami_share_domain::refusal::Refusal;
use ami_share_domain::share::Target;
use ami_share_domain::share_tags::VALUE_LIMIT;
use ami_share_domain::status::{Summary, failed};
use ami_share_testkit::ids::{account, id, matching};
use ami_share_testkit::shares::{account_target, refusals, target_lists};
use proptest::prelude::*;

fn is_a_tags_value(status: &str) -> bool {
    !status.is_empty() && status.chars().count() <= VALUE_LIMIT && !status.contains('\n')
}

proptest! {
    #[test]
    fn it_fits_and_mentions_a_refusal_where_there_is_room(
        targets in target_lists(),
        left_over in prop::collection::btree_set((1..=99_usize).prop_map(account), 0..30),
        refused in prop::collection::vec(refusals(), 0..4),
        has_end in any::<bool>(),
    ) {
        let left_over: Vec<String> = left_over.iter().map(ToString::to_string).collect();
        let summary = |refused| Summary {
            shared: targets.iter().collect(),
            left_over: left_over.iter().map(String::as_str).collect(),
            refused,
            until: has_end.then(|| id("2026-12-31T23:59:59Z")),
        };
        let status = summary(&refused).status();
        prop_assert!(is_a_tags_value(&status), "{}", status);
        let without = summary(&[]).status();
        let is_silent = targets.is_empty() && left_over.is_empty();
        let has_room = is_silent || without.chars().count() + "; refused: ".len() < VALUE_LIMIT;
        prop_assert!(status.contains("refused:") || !has_room || refused.is_empty(), "{}", status);
        prop_assert!(!refused.is_empty() || !status.contains("refused:"), "{}", status);
        if let ([Refusal { reason, .. }], true) = (refused.as_slice(), is_silent) {
            let one_line = reason.split_whitespace().collect::<Vec<_>>().join(" ");
            let beginning: String = one_line.chars().take(200).collect();
            prop_assert!(status.contains(beginning.trim()), "{}", status);
        }
    }

    #[test]
    fn a_failure_says_so_whatever_its_cause(cause in matching("\\PC{0,400}|[ \n\t]{0,9}")) {
        let status = failed(&cause);
        prop_assert!(is_a_tags_value(&status), "{}", status);
        prop_assert!(status.starts_with("failed:"));
    }
}

#[test]
fn it_counts_by_kind_and_says_until_when() {
    let targets: Vec<Target> = (1..=3).map(|number| account_target(account(number))).collect();
    let summary = Summary {
        shared: targets.iter().collect(),
        left_over: vec!["000000000009"],
        until: Some(id("2026-12-31T23:59:59Z")),
        ..Summary::default()
    };
    assert_eq!(
        summary.status(),
        "shared with 3 accounts until 2026-12-31 23:59 UTC; still open from before: 000000000009"
    );
    assert_eq!(Summary::default().status(), "not shared: ami-share:with names nobody");
}

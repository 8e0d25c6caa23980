//! The status tag is never empty, never too long, and mentions refusals whenever there is room.

use ami_share_domain::notify::status::{Summary, failed};
use ami_share_domain::tags::share_tags::VALUE_LIMIT;
use ami_share_domain::targets::revocation_reason::RevocationReason;
use ami_share_domain::targets::target::Target;
use ami_share_testkit::ids::{account, id, matching, now};
use ami_share_testkit::shares::{account_target, refusals, target_lists};
use proptest::prelude::*;

fn is_a_tags_value(status: &str) -> bool {
    !status.is_empty() && status.chars().count() <= VALUE_LIMIT && !status.contains('\n')
}

fn endings() -> impl Strategy<Value = Option<RevocationReason>> {
    let unusable = RevocationReason::ImageUnusable { state: "disabled".to_owned() };
    prop::sample::select(vec![
        None,
        Some(RevocationReason::Untagged),
        Some(RevocationReason::Expired { at: now() }),
        Some(unusable),
    ])
}

proptest! {
    #[test]
    fn it_fits_and_mentions_a_refusal_where_there_is_room(
        targets in target_lists(),
        retained in target_lists(),
        refused in prop::collection::vec(refusals(), 0..4),
        has_end in any::<bool>(),
        is_public in any::<bool>(),
        revocation_reason in endings(),
    ) {
        let summary = |refused| Summary {
            shared: targets.iter().collect(),
            retained: retained.iter().collect(),
            is_public,
            revocation_reason: revocation_reason.as_ref(),
            refused,
            until: has_end.then(|| id("2026-12-31T23:59:59Z")),
        };
        let status = summary(&refused).status();
        prop_assert!(is_a_tags_value(&status), "{}", status);
        let without = summary(&[]).status();
        let is_silent = targets.is_empty() && retained.is_empty() && !is_public && revocation_reason.is_none();
        let has_room = is_silent || without.chars().count() + "; refused: ".len() < VALUE_LIMIT;
        prop_assert!(status.contains("refused:") || !has_room || refused.is_empty(), "{}", status);
        prop_assert!(!refused.is_empty() || !status.contains("refused:"), "{}", status);
        if let ([refusal], true) = (refused.as_slice(), is_silent) {
            let sentence = refusal.to_string();
            let one_line = sentence.split_whitespace().collect::<Vec<_>>().join(" ");
            let beginning: String = one_line.chars().take(200).collect();
            prop_assert!(status.contains(beginning.trim()), "{}", status);
        }
    }

    #[test]
    fn the_status_gives_public_access_first_then_targets_and_then_the_revocation_reason(
        targets in target_lists(),
        retained in prop::collection::vec((1..=9_usize).prop_map(|number| account_target(account(number))), 0..6),
        is_public in any::<bool>(),
        revocation_reason in endings(),
    ) {
        let summary = Summary {
            shared: targets.iter().collect(),
            retained: retained.iter().collect(),
            is_public,
            revocation_reason: revocation_reason.as_ref(),
            ..Summary::default()
        };
        let status = summary.status();
        let why = revocation_reason.as_ref().map(ToString::to_string).unwrap_or_default();
        let why = format!("not shared: {why}");
        let parts = [
            ("public (not by ami-share)".to_owned(), is_public),
            ("shared with ".to_owned(), !targets.is_empty()),
            ("retained: ".to_owned(), !retained.is_empty()),
            (why, revocation_reason.is_some()),
        ];
        let mut rest = status.as_str();
        for (part, _) in parts.iter().filter(|(_, is_present)| *is_present) {
            let place = rest.find(part.as_str());
            prop_assert!(place.is_some(), "`{}` in {}", part, status);
            rest = &rest[place.unwrap()..];
        }
        for (part, _) in parts.iter().filter(|(_, is_present)| !is_present) {
            let is_all = part == "not shared: " && parts.iter().all(|(_, is_present)| !is_present);
            prop_assert!(is_all || !status.contains(part.as_str()), "`{}` in {}", part, status);
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
fn the_status_counts_targets_by_kind_names_retained_targets_and_gives_the_end_date() {
    let targets: Vec<Target> = (1..=3).map(|number| account_target(account(number))).collect();
    let retained: Vec<Target> = (5..=9).map(|number| account_target(account(number))).collect();
    let summary = Summary {
        shared: targets.iter().collect(),
        retained: retained.iter().collect(),
        until: Some(id("2026-12-31T23:59:59Z")),
        ..Summary::default()
    };
    assert_eq!(
        summary.status(),
        "shared with 3 accounts until 2026-12-31 23:59 UTC; retained until 2026-12-31 23:59 UTC: \
         000000000005, 000000000006, 000000000007 and 2 more"
    );
    assert_eq!(Summary::default().status(), "not shared: ami-share:with names no target");
}

#[test]
fn it_says_why_nothing_is_shared_any_more() {
    for (revocation_reason, expected) in [
        (RevocationReason::Untagged, "not shared: the image has no ami-share: tags any more"),
        (
            RevocationReason::ImageUnusable { state: "disabled".to_owned() },
            "not shared: the image is disabled",
        ),
        (
            RevocationReason::Expired { at: now() },
            "not shared: ami-share:until was 2026-06-01T12:00:00Z; set a later date to share again",
        ),
    ] {
        let summary = Summary { revocation_reason: Some(&revocation_reason), ..Summary::default() };
        assert_eq!(summary.status(), expected);
        assert!(revocation_reason.leaves_image());
    }
    assert!(!RevocationReason::ImageGone.leaves_image(), "there is no image to tag");
}

#[test]
fn a_public_image_is_called_public_first() {
    let target = account_target(account(1));
    let summary = Summary { shared: vec![&target], is_public: true, ..Summary::default() };
    assert_eq!(summary.status(), "public (not by ami-share); shared with 1 account");
}

//! How reconciliations, keys and reviews are measured.

#![allow(clippy::unwrap_used, clippy::float_cmp, reason = "a value that is not there should stop the test")]

use std::collections::BTreeMap;

use ami_share_domain::image::ledger::ImageLedger;
use ami_share_domain::key::policy::SIZE_LIMIT;
use ami_share_domain::key::request::KeyOutcome;
use ami_share_domain::metrics::{self, Measurements, Metric, Unit};
use ami_share_domain::notify::notification;
use ami_share_domain::refusal::{Refusal, RefusalCode};
use ami_share_domain::review::report::{AccessReview, NEARLY_FULL_PERCENT, ReviewedKey};
use ami_share_testkit::ids::{account, key, now};
use ami_share_testkit::shares::{account_target, result, share};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

fn values(measured: &Measurements) -> BTreeMap<&'static str, f64> {
    measured.values().map(|(metric, value)| (metric.name(), value)).collect()
}

fn of<const N: usize>(values: [(&'static str, f64); N]) -> BTreeMap<&'static str, f64> {
    BTreeMap::from(values)
}

/// The measurements of a reconciliation that grants the image to two accounts and refuses these selectors, and the
/// ledger after it.
fn first_reconciliation(refused: &[Refusal]) -> (Measurements, ImageLedger) {
    let desired = share(vec![account_target(account(2)), account_target(account(3))]);
    let result = result(desired, refused.to_vec());
    let (rows, _) = ImageLedger::default().rows_after(&result, now());
    let shares = rows.into_iter().map(|row| (row.target.clone(), row)).collect();
    let ledger = ImageLedger { shares, ..ImageLedger::default() };
    (metrics::of_notifications(&notification::plan(&result, &ledger, now()).hub), ledger)
}

#[test]
fn granted_targets_and_refused_selectors_are_counted() {
    let external = Refusal::new("999999999999", RefusalCode::ExternalNotAllowed, "who is that");
    let malformed = Refusal::new("22222", RefusalCode::MalformedSelector, "what is that");
    let (measured, _) = first_reconciliation(&[external, malformed]);
    assert_eq!(
        values(&measured),
        of([("SharesGranted", 2.0), ("SharesRefused", 2.0), ("ExternalTargetsRefused", 1.0)])
    );
    assert_eq!(values(&first_reconciliation(&[]).0), of([("SharesGranted", 2.0)]));
}

#[test]
fn a_share_that_was_notified_is_not_counted_again() {
    let (_, mut ledger) = first_reconciliation(&[]);
    for row in ledger.shares.values_mut() {
        row.notified = row.notifiable_outcome();
    }
    let again = result(share(vec![account_target(account(2)), account_target(account(3))]), Vec::new());
    assert!(metrics::of_notifications(&notification::plan(&again, &ledger, now()).hub).is_empty());
}

#[test]
fn the_time_to_share_is_measured_only_for_newly_granted_managed_targets() {
    let share = share(vec![account_target(account(2))]);
    let granted_at = share.run.event_time.unwrap() + SignedDuration::from_millis(4_250);
    let result = result(share.clone(), Vec::new());
    let rows = |ledger: &ImageLedger, at: Timestamp| ledger.rows_after(&result, at).0;
    // Granted already, and not by ami-share.
    let foreign = rows(&ImageLedger::default(), granted_at);
    assert!(metrics::of_grants(&share.run, &foreign, granted_at).is_empty());
    let targets: Vec<_> = share.desired.targets.iter().collect();
    let before = ImageLedger::default().rows_before(&share, &targets, |_| true, granted_at);
    let of_rows = |rows: Vec<_>| {
        let shares =
            rows.into_iter().map(|row: ami_share_domain::image::ledger::ShareRow| (row.target.clone(), row));
        ImageLedger { shares: shares.collect(), ..ImageLedger::default() }
    };
    let new = rows(&of_rows(before), granted_at);
    assert_eq!(values(&metrics::of_grants(&share.run, &new, granted_at)), of([("SecondsToShare", 4.25)]));
    // For the next reconciliation it was granted before.
    let later = granted_at + SignedDuration::from_hours(1);
    let previous = of_rows(new);
    assert!(metrics::of_grants(&share.run, &rows(&previous, later), later).is_empty());
}

#[test]
fn a_key_reports_the_bytes_left_in_its_policy_only_if_the_policy_was_read() {
    let unread = KeyOutcome::unchanged(&key(1));
    assert!(metrics::of_key(&unread).is_empty());
    let half = KeyOutcome { bytes: SIZE_LIMIT / 2, ..unread };
    assert_eq!(values(&metrics::of_key(&half)), of([("KeyPolicyBytesLeft", 16_384.0)]));
}

proptest! {
    #[test]
    fn the_alarm_and_the_review_call_the_same_keys_nearly_full(bytes in 1..SIZE_LIMIT) {
        let outcome = KeyOutcome { bytes, ..KeyOutcome::unchanged(&key(1)) };
        let left = values(&metrics::of_key(&outcome))["KeyPolicyBytesLeft"];
        let threshold = f64::from(u32::try_from(SIZE_LIMIT * (100 - NEARLY_FULL_PERCENT) / 100).unwrap());
        prop_assert_eq!(left <= threshold, reviewed_key(1, bytes).is_nearly_full());
    }

    #[test]
    fn counts_add_up_and_of_measures_the_worst_stays(values in prop::collection::vec(1_u32..1000, 1..9)) {
        let mut all = Measurements::default();
        for value in &values {
            let one = Measurements::default()
                .with(Metric::ApiCalls, (*value).into())
                .with(Metric::SecondsToShare, (*value).into())
                .with(Metric::KeyPolicyBytesLeft, (*value).into());
            all.extend(&one);
        }
        let sum: u32 = values.iter().sum();
        let expected = [
            (Metric::SecondsToShare, values.iter().max()),
            (Metric::KeyPolicyBytesLeft, values.iter().min()),
            (Metric::ApiCalls, Some(&sum)),
        ];
        let expected: Vec<_> = expected.map(|(metric, value)| (metric, f64::from(*value.unwrap()))).to_vec();
        prop_assert_eq!(all.values().collect::<Vec<_>>(), expected);
    }
}

#[test]
fn nothing_is_no_value() {
    assert!(Measurements::default().counting(Metric::Throttles, 0).is_empty());
    assert_eq!(Metric::Throttles.unit(), Unit::Count);
}

fn reviewed_key(number: usize, bytes: usize) -> ReviewedKey {
    ReviewedKey {
        arn: key(number),
        bytes,
        limit: SIZE_LIMIT,
        granted: Vec::new(),
        unneeded: Vec::new(),
        images: 1,
        problem: None,
    }
}

#[test]
fn review_metrics_count_the_images_and_give_the_bytes_left_in_the_fullest_key_policy() {
    let keys =
        vec![reviewed_key(1, SIZE_LIMIT / 4), reviewed_key(2, SIZE_LIMIT / 10 * 9), reviewed_key(3, 0)];
    let review = AccessReview {
        account: account(1),
        region: "eu-west-1".to_owned(),
        started_at: now(),
        finished_at: now(),
        images: Vec::new(),
        keys,
    };
    assert_eq!(
        values(&metrics::of_review(&review)),
        of([("KeyPolicyBytesLeft", 3_284.0), ("NearlyFullKeys", 1.0)])
    );
}

//! Refusals as data: what they are stored and compared by, and how the documents between the steps group them.

use ami_share_domain::image::desired::{Resolved, Share};
use ami_share_domain::image::ledger::ImageLedger;
use ami_share_domain::image::request::{ImageRequest, ShareResult};
use ami_share_domain::key::policy::SIZE_LIMIT;
use ami_share_domain::key::request::{Excluded, KeyOutcome};
use ami_share_domain::refusal::{Refusal, RefusalReason};
use ami_share_domain::targets::target::Target;
use ami_share_testkit::ids::{account, key, now};
use ami_share_testkit::shares::{refusal_reasons, refusals, result, share, with_desired};
use proptest::prelude::*;
use serde_json::{Value, json};

/// What Step Functions passes from one step to the next. Source:
/// <https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html>
const BETWEEN_STEPS: usize = 256 * 1024;
/// More bytes than the workflows add to a document.
const AROUND: usize = 1024;

/// Refusals of which some, now and then neighbours, are for one reason.
fn alike() -> impl Strategy<Value = Vec<Refusal>> {
    let reasons = prop::collection::vec(refusal_reasons(), 1..4);
    (reasons, prop::collection::vec((any::<prop::sample::Index>(), "[a-z]{0,3}"), 0..12)).prop_map(
        |(reasons, subjects)| {
            let refusal = |(reason, subject): (prop::sample::Index, String)| {
                Refusal::new(subject, reason.get(&reasons).clone())
            };
            subjects.into_iter().map(refusal).collect()
        },
    )
}

/// The same reason with another answer of AWS.
fn said_otherwise(reason: RefusalReason) -> RefusalReason {
    let message = "AWS says it in other words".to_owned();
    match reason {
        RefusalReason::Ec2Rejected { .. } => RefusalReason::Ec2Rejected { message },
        RefusalReason::UnreadableKey { key, .. } => RefusalReason::UnreadableKey { key, message },
        RefusalReason::PolicyRejected { key, suspects, .. } => {
            RefusalReason::PolicyRejected { key, suspects, message }
        }
        RefusalReason::StillGranted { key, principals, because } => {
            RefusalReason::StillGranted { key, principals, because: Box::new(said_otherwise(*because)) }
        }
        RefusalReason::MayStillGrant { key, principals, because } => {
            RefusalReason::MayStillGrant { key, principals, because: Box::new(said_otherwise(*because)) }
        }
        other => other,
    }
}

proptest! {
    #[test]
    fn a_refusal_is_read_as_it_was_written(refusal in refusals()) {
        let written = json!(refusal);
        prop_assert_eq!(&serde_json::from_value::<Refusal>(written.clone()).unwrap(), &refusal);
        let kind: &'static str = (&refusal.reason).into();
        prop_assert_eq!(&written["reason"]["kind"], kind);
    }

    #[test]
    fn no_document_of_the_steps_holds_a_sentence(refused in alike()) {
        let share = with_desired(share(Vec::new()), |desired| desired.refused = refused.clone());
        let written = json!(share).to_string();
        for refusal in refused {
            // What the tags or AWS say is a field of its own.
            let is_free_text = matches!(
                refusal.reason,
                RefusalReason::Ec2Rejected { .. } | RefusalReason::UnreadableUntil { .. }
            );
            prop_assert!(is_free_text || !written.contains(&refusal.reason.to_string()), "{}", written);
        }
    }

    #[test]
    fn grouped_refusals_are_read_in_the_order_in_which_they_were_written(refused in alike()) {
        let share = with_desired(share(Vec::new()), |desired| desired.refused = refused.clone());
        let document = json!(share);
        prop_assert_eq!(&serde_json::from_value::<Share>(document.clone()).unwrap(), &share);
        let groups = document["desired"]["refused"].as_array().unwrap();
        prop_assert!(groups.windows(2).all(|two| two[0]["reason"] != two[1]["reason"]), "{}", document);
        let subjects = groups.iter().flat_map(|group| group["subjects"].as_array().unwrap());
        prop_assert_eq!(subjects.collect::<Vec<_>>(), refused.iter().map(|refusal| &refusal.subject).collect::<Vec<_>>());
    }

    #[test]
    fn one_reason_stands_once_however_many_subjects_it_refuses(
        reason in refusal_reasons(), subjects in prop::collection::vec("[a-z]{1,9}", 1..40),
    ) {
        let refused = subjects.iter().map(|subject| Refusal::new(subject, reason.clone())).collect();
        let document = json!(with_desired(share(Vec::new()), |desired| desired.refused = refused));
        prop_assert_eq!(document["desired"]["refused"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn the_order_of_refusals_and_what_aws_said_make_no_other_desired_state(
        refused in prop::collection::vec(refusals(), 0..6),
    ) {
        let of = |refused: Vec<Refusal>| with_desired(share(Vec::new()), |desired| desired.refused = refused).desired.digest();
        let mut reversed = refused.clone();
        reversed.reverse();
        prop_assert_eq!(of(refused.clone()), of(reversed));
        let otherwise = refused.iter().cloned().map(|Refusal { subject, reason }| Refusal {
            subject,
            reason: said_otherwise(reason),
        });
        prop_assert_eq!(of(refused.clone()), of(otherwise.collect()));
    }

    #[test]
    fn a_recorded_refusal_stays_whatever_aws_says_next_and_is_notified_once(refusal in refusals()) {
        let rows = |ledger: &ImageLedger, refusal: &Refusal| {
            ledger.rows_after(&result(share(Vec::new()), vec![refusal.clone()]), now()).0
        };
        let mut ledger = ImageLedger::default();
        let mut row = rows(&ledger, &refusal).remove(0);
        prop_assert!(row.needs_notification());
        row.notified = row.notifiable_outcome();
        ledger.shares.insert(row.target.clone(), row);
        let Refusal { subject, reason } = refusal;
        let again = Refusal { subject: subject.clone(), reason: said_otherwise(reason.clone()) };
        prop_assert_eq!(rows(&ledger, &again), vec![]);
        let other = if reason == RefusalReason::Public { RefusalReason::UnknownTag } else { RefusalReason::Public };
        let changed = rows(&ledger, &Refusal { subject, reason: other });
        prop_assert!(changed.len() == 1 && changed[0].needs_notification());
    }
}

#[test]
fn every_reason_is_stored_by_its_kind() {
    let stored: Vec<Value> = RefusalReason::examples().iter().map(|reason| json!(reason)).collect();
    for (stored, reason) in stored.iter().zip(RefusalReason::examples()) {
        assert_eq!(serde_json::from_value::<RefusalReason>(stored.clone()).unwrap(), reason);
    }
    // Rows of the ledger have these names: a new name orphans them.
    let kinds: Vec<&str> = stored.iter().filter_map(|stored| stored["kind"].as_str()).collect();
    let known = "malformed-selector public unknown-tag unknown-copy-value regions-unsupported external-account external-organization unknown-ou unknown-root no-organization closed-account no-match needs-until unreadable-until expired too-many-targets too-many-permissions not-owner \
                 aws-managed-key untagged-key foreign-key disabled-key missing-key unreadable-key \
                 malformed-policy deleted-principals denied-by-policy changed-statement policy-rejected no-room-to-rewrite policy-too-large kms-rejected search-ended ec2-rejected ec2-denied missing-snapshot foreign-snapshot unreadable-snapshots unreadable-organization unreadable-snapshot step-failed no-key-outcome still-granted may-still-grant several";
    assert_eq!(kinds.join(" "), known);
}

#[test]
fn reasons_that_earlier_versions_stored_are_still_read() {
    let key = "arn:aws:kms:eu-west-1:111122223333:key/1";
    for (kind, more) in [("locked-out", json!(null)), ("deleted-principals", json!(["AROAEXAMPLE"]))] {
        let stored = json!({ "kind": kind, "key": key, "principals": more });
        let reason: RefusalReason = serde_json::from_value(stored).unwrap();
        assert!(reason.to_string().contains("KMS rejects every change of"), "{reason}");
    }
}

/// Twice as many targets as an image may have by default.
fn crowd() -> Vec<Target> {
    let through = vec!["tag:Stage=production".to_owned()];
    (1..=2000).map(|number| Target::Account { id: account(number), through: through.clone() }).collect()
}

fn untagged() -> RefusalReason {
    RefusalReason::UntaggedKey { key: key(1) }
}

fn fits(document: &Value) {
    let size = document.to_string().len() + AROUND;
    assert!(size <= BETWEEN_STEPS, "{size} bytes");
}

#[test]
fn two_thousand_targets_that_a_key_refuses_fit_between_two_steps() {
    let targets = crowd();
    // Where it is known before anything is tried: everything is retained, and refused.
    let refused = targets.iter().map(|target| Refusal::new(target.name(), untagged())).collect();
    let share_of_all = with_desired(share(Vec::new()), |desired| {
        desired.retained = targets.clone();
        desired.refused = refused;
    });
    fits(&json!(Resolved::Share { share: Box::new(share_of_all.clone()) }));
    let result = ShareResult::of(share_of_all, &[], []);
    assert_eq!((result.refused.len(), result.share.desired.refused.len()), (2000, 0));
    fits(&json!(result));
    // Where it is found when the key is to be written.
    let outcome = KeyOutcome { refused: Some(untagged()), ..KeyOutcome::unchanged(&key(1)) };
    let request = ImageRequest { share: share(targets), keys: vec![outcome], failed: None };
    fits(&json!(request));
    let (granted, refused) = request.granted();
    fits(&json!(ShareResult::of(request.share.clone(), &granted, refused)));
}

#[test]
fn a_thousand_targets_that_two_full_keys_have_no_room_for_fit_between_two_steps() {
    let targets = crowd().split_off(1000);
    let excluded = |number: usize| {
        let excluded = |target: &Target| Excluded {
            subject: target.key_principal(),
            reason: RefusalReason::PolicyTooLarge { key: key(number), limit: SIZE_LIMIT },
        };
        let excluded = targets.iter().map(excluded).collect();
        KeyOutcome { excluded, ..KeyOutcome::unchanged(&key(number)) }
    };
    let keys = vec![excluded(1), excluded(2)];
    let share = with_desired(share(targets.clone()), |desired| desired.keys = vec![key(1), key(2)]);
    let request = ImageRequest { share, keys, failed: None };
    fits(&json!(request));
    assert_eq!(serde_json::from_value::<ImageRequest>(json!(request)).unwrap(), request);
    let (granted, refused) = request.granted();
    assert_eq!((granted.len(), refused.len()), (0, 1000));
    fits(&json!(ShareResult::of(request.share.clone(), &granted, refused)));
}

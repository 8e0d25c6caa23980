//! Refusals in the documents between the steps: a reason that refuses many subjects is written once.

use ami_share_domain::image::desired::{DesiredState, Resolved};
use ami_share_domain::image::request::{ImageRequest, ShareResult};
use ami_share_domain::key::request::{Excluded, KeyOutcome};
use ami_share_domain::refusal::{Refusal, RefusalCode};
use ami_share_domain::targets::target::Target;
use ami_share_testkit::ids::{account, key};
use ami_share_testkit::shares::{refusals, share, with_desired};
use proptest::prelude::*;
use serde_json::{Value, json};

/// How many bytes Step Functions passes from one step to the next. Source:
/// <https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html>
const BETWEEN_STEPS: usize = 256 * 1024;
/// More bytes than the workflows add to a document.
const AROUND: usize = 1024;

/// Refusals of which some, sometimes in a row, have the same reason, which may happen to contain their subjects.
fn alike() -> impl Strategy<Value = Vec<Refusal>> {
    let reasons = prop::collection::vec(prop_oneof![refusals(), named()], 1..4);
    (reasons, prop::collection::vec((any::<prop::sample::Index>(), "[a-z]{0,3}"), 0..12)).prop_map(
        |(reasons, subjects)| {
            let refusal = |(reason, subject): (prop::sample::Index, String)| Refusal {
                subject,
                ..reason.get(&reasons).clone()
            };
            subjects.into_iter().map(refusal).collect()
        },
    )
}

fn named() -> impl Strategy<Value = Refusal> {
    "[a-z ]{0,20}".prop_map(|reason| Refusal::new("", RefusalCode::RejectedByAws, reason))
}

/// Reasons with several subjects each. Some reasons name their subject; no other part of a reason contains one.
fn sentences() -> impl Strategy<Value = Vec<Vec<Refusal>>> {
    let subjects = prop::collection::vec("[a-z]{1,5}", 1..6);
    prop::collection::vec(("[A-Z]{1,9}", subjects, any::<bool>()), 0..5).prop_map(|sentences| {
        let sentence = |(number, (text, subjects, names_it)): (usize, (String, Vec<String>, bool))| {
            let reason = |subject: &str| format!("{number}{text}{}", if names_it { subject } else { "" });
            subjects
                .iter()
                .map(|subject| Refusal::new(subject, RefusalCode::ExternalNotAllowed, reason(subject)))
                .collect()
        };
        sentences.into_iter().enumerate().map(sentence).collect()
    })
}

proptest! {
    #[test]
    fn they_are_read_as_they_were_written_and_so_are_those_of_a_release_that_wrote_each_alone(refused in alike()) {
        let share = DesiredState { refused: refused.clone(), ..share(Vec::new()).desired };
        let document = serde_json::to_value(&share).unwrap();
        prop_assert_eq!(&serde_json::from_value::<DesiredState>(document.clone()).unwrap(), &share);
        let mut earlier = document.clone();
        earlier["refused"] = json!(refused);
        prop_assert_eq!(serde_json::from_value::<DesiredState>(earlier).unwrap(), share);
        // A sentence that does not name its own word never stands twice in a row, and each word stands once.
        let written = document["refused"].as_array().unwrap();
        let sentence = |refusal: &Value| (refusal["code"].clone(), refusal["reason"].clone());
        let names_its_subject = |refusal: &Value| {
            refusal["reason"].as_str().unwrap().contains(refusal["subject"].as_str().unwrap())
        };
        let are_separate = |two: &[Value]| sentence(&two[0]) != sentence(&two[1]) || names_its_subject(&two[0]);
        prop_assert!(written.windows(2).all(are_separate));
        let count = |refusal: &Value| 1 + refusal.get("also").map_or(0, |also| also.as_array().unwrap().len());
        prop_assert_eq!(written.iter().map(count).sum::<usize>(), refused.len());
    }

    #[test]
    fn the_document_holds_each_refusal_reason_once_even_if_it_names_the_subject(sentences in sentences()) {
        let share = DesiredState { refused: sentences.concat(), ..share(Vec::new()).desired };
        let document = serde_json::to_value(&share).unwrap();
        prop_assert_eq!(document["refused"].as_array().unwrap().len(), sentences.len());
        prop_assert_eq!(serde_json::from_value::<DesiredState>(document).unwrap(), share);
    }
}

/// Twice as many targets as an image may have by default.
fn crowd() -> Vec<Target> {
    let through = vec!["tag:Stage=production".to_owned()];
    (1..=2000).map(|number| Target::Account { id: account(number), through: through.clone() }).collect()
}

fn untagged(subject: &str) -> Refusal {
    let reason = "key/0987dcba-09fe-87dc-65ba-ab0987654321 lacks the tag ami-share:managed = true, so its policy is \
                  left alone; whoever looks after the key adds the tag, or the image is made with another key";
    Refusal::new(subject, RefusalCode::UntaggedKey, reason)
}

fn fits(document: &Value) {
    let size = document.to_string().len() + AROUND;
    assert!(size <= BETWEEN_STEPS, "{size} bytes");
}

#[test]
fn two_thousand_targets_that_a_key_refuses_fit_between_two_steps() {
    let targets = crowd();
    // Known before any call: all targets are retained, and refused.
    let refused = targets.iter().map(|target| untagged(target.name())).collect();
    let share_of_all = with_desired(share(Vec::new()), |desired| {
        desired.retained = targets.clone();
        desired.refused = refused;
    });
    fits(&json!(Resolved::Share { share: Box::new(share_of_all.clone()) }));
    let result = ShareResult::of(share_of_all, &[], []);
    assert_eq!((result.refused.len(), result.share.desired.refused.len()), (2000, 0));
    fits(&json!(result));
    // Found when the key is to be written.
    let outcome = KeyOutcome { refused: Some(untagged("the key")), ..KeyOutcome::unchanged(&key(1)) };
    let request = ImageRequest { share: share(targets), keys: vec![outcome] };
    fits(&json!(request));
    let (granted, refused) = request.granted();
    fits(&json!(ShareResult::of(request.share.clone(), &granted, refused)));
}

#[test]
fn a_thousand_targets_that_two_full_keys_have_no_room_for_fit_between_two_steps() {
    let targets = crowd().split_off(1000);
    let excluded = |number: usize| {
        let sentence = |target: &Target| Excluded {
            principal: target.key_principal(),
            code: RefusalCode::PolicyTooLarge,
            reason: format!(
                "the policy of {} has no room for {} (32768 bytes); share with an OU or `org` instead of accounts, or use \
                 another key",
                key(number).short(),
                target.name()
            ),
        };
        let excluded = targets.iter().map(sentence).collect();
        KeyOutcome { excluded, ..KeyOutcome::unchanged(&key(number)) }
    };
    let keys = vec![excluded(1), excluded(2)];
    let share = with_desired(share(targets.clone()), |desired| desired.keys = vec![key(1), key(2)]);
    let request = ImageRequest { share, keys };
    fits(&json!(request));
    assert_eq!(serde_json::from_value::<ImageRequest>(json!(request)).unwrap(), request);
    let (granted, refused) = request.granted();
    assert_eq!((granted.len(), refused.len()), (0, 1000));
    fits(&json!(ShareResult::of(request.share.clone(), &granted, refused)));
}

//! The digest of a desired state: what makes two reconciliations serve the same intent.

use ami_share_domain::image::desired::{DesiredState, Observation, Run};
use ami_share_domain::image::ledger::Intent;
use ami_share_domain::refusal::Refusal;
use ami_share_domain::targets::revocation_reason::RevocationReason;
use ami_share_domain::trigger::TriggeredBy;
use ami_share_testkit::desired_states::{desired_states, pool};
use ami_share_testkit::ids::{account, image_id, key, now, snapshot};
use ami_share_testkit::shares::{refusal, refusals, share, with_desired};
use jiff::SignedDuration;
use proptest::prelude::*;

/// Any run of the workflow; the number of its intent, which the ledger assigns, is a leftover of an earlier one.
fn runs() -> impl Strategy<Value = Run> {
    let text = || prop::option::of("[a-z]{1,9}");
    let moment = || (0..999_i64).prop_map(|second| now() + SignedDuration::from_secs(second));
    (0..9_u64, moment(), text(), moment(), text(), text(), any::<[bool; 3]>()).prop_map(
        |(intent, seen_at, status, at, principal, changed_by, [must_schedule, adopt, dry_run])| Run {
            intent,
            observed: Observation { at: seen_at, status },
            must_schedule,
            triggered_by: TriggeredBy { principal, event: at.to_string(), at },
            event_time: Some(at),
            tags_version: None,
            changed_by,
            adopt,
            dry_run,
        },
    )
}

fn refused_and_shuffled() -> impl Strategy<Value = (Vec<Refusal>, Vec<Refusal>)> {
    let refused = prop::collection::vec(refusals(), 0..6);
    refused.prop_flat_map(|refused| (Just(refused.clone()), Just(refused).prop_shuffle()))
}

/// Changes one field of a desired state to a value that it does not have.
type Change = fn(&mut DesiredState);

/// One change or more for each field; the pattern names them all, so that a new one is not forgotten.
fn changes(desired: &DesiredState) -> Vec<(&'static str, Change)> {
    let DesiredState {
        image: _,
        targets: _,
        retained: _,
        refused: _,
        keys: _,
        snapshots: _,
        retained_snapshots: _,
        has_unknown_accounts: _,
        until: _,
        warn_at: _,
        revocation_reason: _,
    } = desired;
    vec![
        ("image.id", |desired| desired.image.id = image_id(99)),
        ("image.name", |desired| desired.image.name.push('2')),
        ("image.region", |desired| desired.image.region.push('2')),
        ("image.owner", |desired| desired.image.owner = account(99)),
        ("targets", |desired| desired.targets.extend(pool())),
        ("retained", |desired| desired.retained.extend(pool())),
        ("refused", |desired| desired.refused.push(refusal("another"))),
        ("keys", |desired| desired.keys.push(key(99))),
        ("snapshots", |desired| desired.snapshots.push(snapshot(99))),
        ("retained_snapshots", |desired| desired.retained_snapshots.push(snapshot(99))),
        ("has_unknown_accounts", |desired| desired.has_unknown_accounts = !desired.has_unknown_accounts),
        ("until", |desired| desired.until = Some(now())),
        ("warn_at", |desired| desired.warn_at = Some(now())),
        ("revocation_reason", |desired| {
            desired.revocation_reason = Some(RevocationReason::ImageUnusable { state: "failed".to_owned() });
        }),
    ]
}

proptest! {
    #[test]
    fn the_digest_ignores_the_run_and_the_order_of_refused_selectors(
        first in desired_states(1), run in runs(), (refused, shuffled) in refused_and_shuffled(),
    ) {
        let first = with_desired(first, |desired| desired.refused = refused);
        let mut second = with_desired(first.clone(), |desired| desired.refused = shuffled);
        second.run = run;
        prop_assert_eq!(first.desired.digest(), second.desired.digest());
        let intent = Intent::following(None, &first);
        let next = Intent::following(Some(&intent), &second);
        prop_assert_eq!((next.number, next.desired_state), (intent.number, intent.desired_state));
    }

    #[test]
    fn the_digest_changes_with_each_field_of_the_desired_state(first in desired_states(1)) {
        for (field, change) in changes(&first.desired) {
            let changed = with_desired(first.clone(), change);
            prop_assert_ne!(changed.desired.digest(), first.desired.digest(), "{}", field);
        }
    }
}

#[test]
fn a_digest_is_sha_256_in_hexadecimal_digits() {
    let digest = share(pool()).desired.digest();
    assert_eq!(digest.len(), 64);
    assert!(digest.bytes().all(|digit| digit.is_ascii_hexdigit() && !digit.is_ascii_uppercase()), "{digest}");
}

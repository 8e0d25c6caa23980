//! Reads that are older than the ledger: they are doubted, lose no revocation, and what does not exist any more is
//! forgotten.

use std::collections::BTreeSet;

use ami_share_domain::audit_log::AuditAction;
use ami_share_domain::image::decision::{ImageDecision, PlanSettings};
use ami_share_domain::image::desired::Share;
use ami_share_domain::image::ledger::ShareOutcome;
use ami_share_domain::image::plan::{ImageStep, ObservedImage};
use ami_share_domain::image::request::ImageRequest;
use ami_share_domain::refusal::RefusalCode;
use ami_share_domain::targets::revocation_reason::RevocationReason;
use ami_share_domain::targets::target::Target;
use ami_share_testkit::desired_states::{desired_states, pool, revocation, share_of};
use ami_share_testkit::ids::{account, image_id, snapshot};
use ami_share_testkit::shares::{account_target, ou_target};
use ami_share_testkit::world::{Managed, World};
use proptest::prelude::*;

/// An image that was shared as `share` says, without any fault.
fn shared(share: &Share) -> Managed {
    let mut world = World::default();
    world.trigger(share);
    world.first()
}

proptest! {
    #[test]
    fn a_read_that_shows_what_the_ledger_records_is_believed(
        first in desired_states(1), second in desired_states(1),
    ) {
        let mut world = World::default();
        world.trigger(&first);
        world.trigger(&second);
        let Managed { observed, ledger, .. } = world.first();
        prop_assert!(!ledger.contradicts(&second, &observed));
        prop_assert!(!ledger.contradicts(&first, &observed));
    }

    #[test]
    fn a_read_that_lacks_what_was_granted_is_doubted_unless_the_trigger_says_who_removed_it(
        share in desired_states(1), lacking in prop::sample::subsequence(pool(), 1..=3),
    ) {
        let Managed { mut observed, ledger, .. } = shared(&share);
        observed.launch.retain(|permission| !lacking.iter().any(|target| target.launch_permission() == *permission));
        let lacks = share.desired.targets.iter().any(|target| lacking.contains(target));
        prop_assert_eq!(ledger.contradicts(&share, &observed), lacks);
        let mut reported = share;
        reported.run.changed_by = Some("arn:aws:iam::111122223333:role/admin".to_owned());
        prop_assert!(!ledger.contradicts(&reported, &observed));
    }

    #[test]
    fn everything_is_revoked_from_an_image_whose_permissions_ec2_does_not_show_yet(share in desired_states(1)) {
        let Managed { observed, ledger, .. } = shared(&share);
        let request = ImageRequest { share: revocation(1, RevocationReason::Untagged), keys: Vec::new(), failed: None };
        let settings = PlanSettings { limit: 1000, makes_private: false };
        let old = ObservedImage::default();
        let decision = ImageDecision::of(&request, &old, &ledger, settings);
        let revoked: BTreeSet<_> = decision.plan.revocations.iter().flat_map(|step| match step {
            ImageStep::RevokeImage { permissions } => permissions.clone(),
            _ => Vec::new(),
        }).collect();
        prop_assert_eq!(revoked, observed.launch);
        prop_assert_eq!(ledger.unrecorded(&request.share, &old), vec![]);
    }
}

#[test]
fn a_read_that_shows_what_was_revoked_is_doubted() {
    let share = share_of(1, vec![account_target(account(1)), ou_target(1, vec![account(11)])], true);
    let mut world = World::default();
    world.trigger(&share);
    let old = world.first().observed;
    world.trigger(&share_of(1, vec![account_target(account(1))], true));
    let ledger = world.first().ledger;
    assert_eq!(ledger.shares["ou-ab12-00000001"].outcome, ShareOutcome::Revoked);
    assert!(ledger.contradicts(&share, &old));
    assert!(!ledger.contradicts(&share, &world.first().observed));
}

#[test]
fn a_read_that_lacks_an_account_of_a_snapshot_is_doubted() {
    let share = share_of(1, vec![account_target(account(1))], true);
    let Managed { mut observed, ledger, .. } = shared(&share);
    observed.snapshots.get_mut(&snapshot(10)).unwrap().clear();
    assert!(ledger.contradicts(&share, &observed));
    observed.snapshots.remove(&snapshot(10));
    assert!(!ledger.contradicts(&share, &observed), "what cannot be read contradicts nothing");
}

/// The row keeps what the revocation needs, and a row of an earlier version takes it from what EC2 shows.
#[test]
fn a_row_keeps_the_launch_permission() {
    let unit: Target = ou_target(1, vec![account(11)]);
    let share = share_of(1, vec![unit.clone(), account_target(account(1))], false);
    let Managed { observed, mut ledger, .. } = shared(&share);
    assert_eq!(ledger.shares[unit.name()].launch_permission(), Some(unit.launch_permission()));
    let gone = revocation(1, RevocationReason::Untagged).desired;
    let pending = ledger.permissions_pending_revocation(&gone, &ObservedImage::default());
    assert_eq!(pending, observed.launch);
    ledger.shares.get_mut(unit.name()).unwrap().permission = None;
    assert_eq!(ledger.permissions_pending_revocation(&gone, &observed), observed.launch);
    let pending = ledger.permissions_pending_revocation(&gone, &ObservedImage::default());
    assert_eq!(pending, [account_target(account(1)).launch_permission()].into());
}

#[test]
fn an_image_that_is_gone_with_its_snapshots_is_forgotten_without_a_call() {
    let share = share_of(1, vec![account_target(account(1)), account_target(account(2))], true);
    let ledger = shared(&share).ledger;
    let observed = ObservedImage {
        is_gone: true,
        gone_snapshots: [snapshot(10), snapshot(11)].into(),
        ..ObservedImage::default()
    };
    let request =
        ImageRequest { share: revocation(1, RevocationReason::ImageGone), keys: Vec::new(), failed: None };
    let settings = PlanSettings { limit: 1000, makes_private: true };
    let decision = ImageDecision::of(&request, &observed, &ledger, settings);
    assert_eq!(decision.plan.steps().count(), 0);
    assert_eq!(decision.forgotten, ledger.snapshots);
    assert_eq!(decision.pending_revocation.len(), 2);
    let rows = ledger.unrecorded(&request.share, &observed);
    let ended: Vec<_> =
        rows.iter().map(|row| (row.action, row.resource.as_str(), row.principals.len())).collect();
    let (image, first, second) =
        (image_id(1).to_string(), snapshot(10).to_string(), snapshot(11).to_string());
    assert_eq!(
        ended,
        [
            (AuditAction::Recovered, image.as_str(), 2),
            (AuditAction::Recovered, first.as_str(), 2),
            (AuditAction::Recovered, second.as_str(), 2),
        ]
    );
}

#[test]
fn a_snapshot_that_cannot_be_read_is_named_and_stays_on_record() {
    let share = share_of(1, vec![account_target(account(1))], true);
    let Managed { mut observed, ledger, .. } = shared(&share);
    observed.snapshots.remove(&snapshot(10));
    observed.unreadable_snapshots.insert(snapshot(10), "You do not own the snapshot".to_owned());
    let narrowed = share_of(1, vec![account_target(account(2))], true);
    let request = ImageRequest { share: narrowed, keys: Vec::new(), failed: None };
    let settings = PlanSettings { limit: 1000, makes_private: false };
    let decision = ImageDecision::of(&request, &observed, &ledger, settings);
    assert!(decision.forgotten.is_empty());
    let named = decision.refused.iter().find(|refusal| refusal.subject == snapshot(10).as_str());
    assert_eq!(named.map(|refusal| refusal.code()), Some(RefusalCode::UnusableSnapshot));
    let revoked: Vec<String> = decision.plan.revocations.iter().map(ToString::to_string).collect();
    assert_eq!(
        revoked,
        [
            "revoke the image from 000000000001",
            "revoke snap-0000000000000000a from 000000000001",
            "revoke snap-0000000000000000b from 000000000001",
        ]
    );
}

//! Desired states of an image from one reconciliation to the next: strategies for shares of few targets, some of them
//! within others, so that reconciliations often revoke what others granted.

use ami_share_domain::ids::AccountId;
use ami_share_domain::image::desired::Share;
use ami_share_domain::image::plan::ObservedImage;
use ami_share_domain::targets::revocation_reason::RevocationReason;
use ami_share_domain::targets::target::Target;
use proptest::prelude::*;

use crate::ids::{account, image_id, now, snapshot};
use crate::shares::{account_target, ou_target, refusal, share, with_desired};

/// All targets that these strategies use. Account 11 is a target and also an account of OU 1.
pub fn pool() -> Vec<Target> {
    let accounts = [1, 2, 3, 11].map(|number| account_target(account(number)));
    let units = [ou_target(1, vec![account(11), account(12)]), ou_target(2, Vec::new())];
    accounts.into_iter().chain(units).collect()
}

/// Removes the targets that another target covers, as `resolve` does.
pub fn without_covered(targets: Vec<Target>) -> Vec<Target> {
    let is_covered = |inner: &Target| {
        let may_cover = |target: &&Target| *target != inner && matches!(target, Target::Ou { .. });
        matches!(inner, Target::Account { id, .. }
            if targets.iter().filter(may_cover).any(|outer| outer.accounts().contains(id)))
    };
    targets.iter().filter(|target| !is_covered(target)).cloned().collect()
}

/// Some targets, none of which covers another.
pub fn some_targets() -> impl Strategy<Value = Vec<Target>> {
    let pool = pool();
    let count = pool.len();
    prop::sample::subsequence(pool, 0..=count).prop_map(without_covered)
}

/// A share of image `number` with these targets, which may copy its two snapshots if `copies` is set.
pub fn share_of(number: usize, targets: Vec<Target>, copies: bool) -> Share {
    let mut share = share(targets);
    share.desired.image.id = image_id(number);
    let may_copy = copies && share.desired.all_targets().next().is_some();
    share.desired.snapshots =
        if may_copy { vec![snapshot(number * 10), snapshot(number * 10 + 1)] } else { Vec::new() };
    share
}

/// Any desired state of image `number`. Nothing is retained, so that the result depends on nothing before.
pub fn desired_states(number: usize) -> impl Strategy<Value = Share> {
    let revocation_reasons = prop::sample::select(vec![
        None,
        Some(RevocationReason::Untagged),
        Some(RevocationReason::SharingDisabled),
        Some(RevocationReason::Expired { at: now() }),
    ]);
    (some_targets(), any::<bool>(), some_targets(), revocation_reasons).prop_map(
        move |(targets, copies, refused, revocation_reason)| {
            let refused = refused.iter().filter(|refused| !targets.contains(refused));
            let revocation_reason = revocation_reason.filter(|_| targets.is_empty());
            let refused = match revocation_reason {
                // Then the selectors are not resolved.
                Some(_) => Vec::new(),
                None => refused.map(|target| refusal(target.name())).collect(),
            };
            with_desired(share_of(number, targets, copies), |desired| {
                desired.refused = refused;
                desired.revocation_reason = revocation_reason;
            })
        },
    )
}

/// The share that revokes all access to image `number`.
pub fn revocation(number: usize, reason: RevocationReason) -> Share {
    with_desired(share_of(number, Vec::new(), false), |desired| desired.revocation_reason = Some(reason))
}

/// Image 1 with any access that was granted out of band.
pub fn out_of_band() -> impl Strategy<Value = ObservedImage> {
    let accounts = || prop::sample::subsequence([1, 3, 11, 12, 99].map(account).to_vec(), 0..=3);
    (some_targets(), accounts(), accounts()).prop_map(|(targets, first, second)| {
        let granted = |accounts: Vec<AccountId>| accounts.into_iter().collect();
        ObservedImage {
            launch: targets.iter().map(Target::launch_permission).collect(),
            snapshots: [(snapshot(10), granted(first)), (snapshot(11), granted(second))].into(),
            ..ObservedImage::default()
        }
    })
}

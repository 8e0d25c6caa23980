//! Whether an image is what its tags say: compares the desired state with the actual state and the ledger.
//!
//! An image differs exactly when the next reconciliation would change something.

use crate::image::desired::{Image, Observation};
use crate::image::plan::ObservedImage;
use crate::image::unmanaged::UnmanagedGrant;
use crate::review::differences::NextReconciliation;
use crate::review::report::ReviewedImage;
use crate::review::seen::Seen;

/// The report of an image that is not and never was shared.
pub fn idle(image: &Image, described: &Observation, state: &str, observed: &ObservedImage) -> ReviewedImage {
    let launch = observed.launch.iter().map(ToString::to_string);
    let public = observed.is_public.then(|| "all".to_owned());
    let unmanaged = launch.chain(public);
    ReviewedImage {
        unmanaged: unmanaged
            .map(|grantee| UnmanagedGrant { resource: image.id.to_string(), grantee })
            .collect(),
        ..reviewed(image, described, state)
    }
}

/// The report of an image that could not be compared, for a `reason` that does not pass by itself. A reconciliation meets
/// the same, and reports it.
pub fn unreadable(image: &Image, described: &Observation, state: &str, reason: &str) -> ReviewedImage {
    ReviewedImage {
        differences: vec![format!("the review cannot compare the image: {reason}")],
        ..reviewed(image, described, state)
    }
}

/// What has access to the image, and how that differs from the desired state.
pub fn compare(seen: &Seen<'_>) -> ReviewedImage {
    let next = NextReconciliation::of(seen);
    ReviewedImage {
        shares: seen.shares(),
        unmanaged: seen.all_unmanaged(),
        refused: next.result.refused.clone(),
        differences: next.differences(),
        keys: seen.share.desired.keys.clone(),
        ..reviewed(&seen.share.desired.image, &seen.share.run.observed, seen.state)
    }
}

fn reviewed(image: &Image, described: &Observation, state: &str) -> ReviewedImage {
    ReviewedImage {
        id: image.id.clone(),
        name: image.name.clone(),
        state: state.to_owned(),
        status: described.status.clone(),
        confirmed_at: described.at,
        shares: Vec::new(),
        unmanaged: Vec::new(),
        refused: Vec::new(),
        differences: Vec::new(),
        keys: Vec::new(),
    }
}

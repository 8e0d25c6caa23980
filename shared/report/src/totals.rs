//! The numbers at the top of the page.

use std::collections::BTreeSet;

use ami_share_domain::image::unmanaged::UnmanagedGrant;
use ami_share_domain::review::report::{AccessReview, ReviewedImage};

use crate::phrases::GROUP_ALL;

/// How many there are of each kind.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Images.
    pub(crate) images: usize,
    /// Shares: one image granted to one target.
    pub(crate) shares: usize,
    /// Targets, each counted once.
    pub(crate) targets: usize,
    /// Access that ami-share did not grant.
    pub(crate) unmanaged: usize,
    /// Refused selectors.
    pub(crate) refused: usize,
    /// Keys whose policy is nearly full.
    pub(crate) full_keys: usize,
    /// Keys that cannot be read or written.
    pub(crate) broken_keys: usize,
    /// Differences between desired and actual state.
    pub(crate) differences: usize,
}

impl Totals {
    /// Counts a review.
    pub(crate) fn of(review: &AccessReview) -> Self {
        let images = &review.images;
        let shares = || images.iter().flat_map(|image| &image.shares);
        Self {
            images: images.len(),
            shares: shares().count(),
            targets: shares().map(|share| &share.target).collect::<BTreeSet<_>>().len(),
            unmanaged: images.iter().map(|image| image.unmanaged.len()).sum(),
            refused: images.iter().map(|image| image.refused.len()).sum(),
            full_keys: review.keys.iter().filter(|key| key.is_nearly_full()).count(),
            broken_keys: review.keys.iter().filter(|key| key.problem.is_some()).count(),
            differences: images.iter().map(|image| image.differences.len()).sum(),
        }
    }
}

/// What is public: every AWS account can use it.
pub(crate) fn public(review: &AccessReview) -> Vec<(&ReviewedImage, &UnmanagedGrant)> {
    let grants =
        review.images.iter().flat_map(|image| image.unmanaged.iter().map(move |grant| (image, grant)));
    grants.filter(|(_, grant)| grant.grantee == GROUP_ALL).collect()
}

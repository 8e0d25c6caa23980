//! The accounts of a target. Many shares have the same target, so the page lists its accounts once, and the shares link to
//! the list.

use std::collections::HashMap;

use ami_share_domain::ids::AccountId;
use ami_share_domain::review::report::{AccessReview, ReviewedShare};

/// A target with its accounts, and how many shares it has.
#[derive(Debug)]
pub(crate) struct Reach<'a> {
    /// The target.
    pub(crate) target: &'a str,
    /// Its accounts, as far as they are known.
    pub(crate) accounts: &'a [AccountId],
    /// How many shares it has.
    pub(crate) shares: usize,
}

/// All targets of a review, in the order of the shares. A target whose accounts changed during the review is listed
/// twice.
#[derive(Debug, Default)]
pub(crate) struct Reaches<'a> {
    /// The targets.
    pub(crate) list: Vec<Reach<'a>>,
    places: HashMap<(&'a str, &'a [AccountId]), usize>,
}

impl<'a> Reaches<'a> {
    /// Gathers the targets of all shares.
    pub(crate) fn of(review: &'a AccessReview) -> Self {
        let mut reaches = Self::default();
        for share in review.images.iter().flat_map(|image| &image.shares) {
            reaches.add(share);
        }
        reaches
    }

    fn add(&mut self, share: &'a ReviewedShare) {
        let place = *self.places.entry((&share.target, &share.accounts)).or_insert(self.list.len());
        match self.list.get_mut(place) {
            Some(reach) => reach.shares += 1,
            None => self.list.push(Reach { target: &share.target, accounts: &share.accounts, shares: 1 }),
        }
    }

    /// The place of a share's target in the list.
    pub(crate) fn place(&self, share: &ReviewedShare) -> usize {
        self.places.get(&(share.target.as_str(), share.accounts.as_slice())).copied().unwrap_or_default()
    }
}

impl Reach<'_> {
    /// Whether the target is an account, and its only account is itself.
    pub(crate) fn is_itself(&self) -> bool {
        matches!(self.accounts, [account] if account.as_str() == self.target)
    }
}

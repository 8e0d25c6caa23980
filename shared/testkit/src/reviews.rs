//! A review of one image of the model [`crate::world`]: what `review-shares` would find now.

use std::collections::{BTreeMap, BTreeSet};

use ami_share_domain::ids::KeyArn;
use ami_share_domain::image::desired::Share;
use ami_share_domain::image::schedule::Schedules;
use ami_share_domain::refusal::RefusalReason;
use ami_share_domain::review::compare::compare;
use ami_share_domain::review::key::ReviewedKeyState;
use ami_share_domain::review::report::ReviewedImage;
use ami_share_domain::review::seen::Seen;
use jiff::SignedDuration;

use crate::world::World;

/// The status of every image. The model writes none, so the status is always as recorded.
const STATUS: &str = "as recorded";

/// The key of all images of the world as a review sees it.
pub fn review_key(world: &World, key: &KeyArn) -> ReviewedKeyState {
    if world.key_is_unreadable {
        let reason = unreadable(key);
        return ReviewedKeyState::unreadable(key.clone(), world.needs.clone(), reason);
    }
    ReviewedKeyState {
        arn: key.clone(),
        policy: Some(world.key.read()),
        is_gone: false,
        ledger: world.needs.clone(),
        problem: None,
    }
}

/// The problem of a key that AWS does not let the model read.
pub fn unreadable(key: &KeyArn) -> RefusalReason {
    RefusalReason::UnreadableKey { key: key.clone(), message: "denied in this test".to_owned() }
}

/// What a review finds of the image whose desired state is `share` now.
pub fn review(world: &World, share: &Share) -> ReviewedImage {
    let keys = share.desired.keys.iter().map(|key| (key.clone(), review_key(world, key))).collect();
    review_with(world, share, &keys)
}

/// The same, with the keys in the given states.
pub fn review_with(world: &World, share: &Share, keys: &BTreeMap<KeyArn, ReviewedKeyState>) -> ReviewedImage {
    let now = world.clock + SignedDuration::from_secs(1);
    let managed = world.image(&share.desired.image.id);
    let mut share = share.clone();
    share.run.observed.at = now;
    share.run.observed.status.get_or_insert_with(|| STATUS.to_owned());
    let mut ledger = managed.ledger.clone();
    if ledger.notified.status.is_none() && ledger.intent.is_some() {
        ledger.notified.status = Some(STATUS.to_owned());
        ledger.notified.at = Some(world.clock);
    }
    let speaks_for: BTreeSet<KeyArn> = share.desired.keys.iter().cloned().collect();
    compare(&Seen {
        desired_state: &share.desired.digest(),
        share: &share,
        state: if managed.observed.is_gone { "gone" } else { "available" },
        ledger: &ledger,
        observed: &managed.observed,
        keys,
        speaks_for: &speaks_for,
        limit: world.limit,
        makes_private: world.makes_private,
        now,
    })
}

/// The world in which the image of `share` has its schedules, as `schedule-expiry` leaves them.
#[must_use]
pub fn scheduled(mut world: World, share: &Share) -> World {
    let desired: Schedules = ami_share_domain::image::schedule::desired(&share.desired, world.clock);
    world.images.entry(share.desired.image.id.clone()).or_default().ledger.schedules = desired;
    world
}

//! Strategies for reviews of every kind, with texts that HTML would read as its own.

use ami_share_domain::ids::AccountId;
use ami_share_domain::image::unmanaged::UnmanagedGrant;
use ami_share_domain::review::report::{AccessReview, ReviewedImage, ReviewedKey, ReviewedShare};
use ami_share_testkit::ids::{account, hub, image_id, key, matching, ou, ou_arn, snapshot};
use ami_share_testkit::shares::{refusal_reasons, refusals};
use jiff::Timestamp;
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;

/// Any text, every third of them full of what HTML reads as its own.
fn texts() -> impl Strategy<Value = String> {
    prop_oneof![2 => matching("\\PC{0,20}"), 1 => matching("[<>&\"'/=a ]{1,12}")]
}

fn moments() -> impl Strategy<Value = Timestamp> {
    (1_700_000_000_i64..1_900_000_000, 0..1_000_000_000_i32)
        .prop_filter_map("a moment that exists", |(second, part)| Timestamp::new(second, part).ok())
}

fn targets() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => (1..40_usize).prop_map(|number| account(number).to_string()),
        2 => (1..9_usize).prop_map(|number| ou(number).to_string()),
        1 => Just("o-a1b2c3d4e5".to_owned()),
    ]
}

fn accounts() -> impl Strategy<Value = Vec<AccountId>> {
    btree_set((1..40_usize).prop_map(account), 0..8).prop_map(|accounts| accounts.into_iter().collect())
}

fn permits() -> impl Strategy<Value = Vec<String>> {
    any::<bool>().prop_map(|may_copy| {
        let copy = may_copy.then(|| "copy".to_owned());
        std::iter::once("launch".to_owned()).chain(copy).collect()
    })
}

fn shares() -> impl Strategy<Value = ReviewedShare> {
    let times = (moments(), option::of(moments()));
    let triggered_by = (option::of(texts()), texts(), vec(texts(), 0..3));
    (targets(), accounts(), permits(), any::<bool>(), times, triggered_by).prop_map(
        |(target, accounts, permits, is_managed, (since, until), (triggered_by, event, selectors))| {
            ReviewedShare {
                target,
                accounts,
                selectors,
                permits,
                is_managed,
                since,
                until,
                triggered_by,
                event,
            }
        },
    )
}

/// What is open is the image itself, or one of its snapshots.
fn unmanaged(image: usize) -> impl Strategy<Value = UnmanagedGrant> {
    let resource = prop_oneof![
        Just(image_id(image).to_string()),
        (1..4_usize).prop_map(move |number| snapshot(10 * image + number).to_string())
    ];
    let grantee = prop_oneof![
        4 => targets(),
        2 => (1..9_usize).prop_map(|number| ou_arn(&ou(number)).to_string()),
        1 => Just("all".to_owned()),
    ];
    (resource, grantee).prop_map(|(resource, grantee)| UnmanagedGrant { resource, grantee })
}

fn images(number: usize) -> impl Strategy<Value = ReviewedImage> {
    let access = (vec(shares(), 0..4), btree_set(unmanaged(number), 0..3), vec(refusals(), 0..2));
    let names = (texts(), texts(), option::of(texts()), vec(texts(), 0..2));
    (access, names, moments(), vec((1..5_usize).prop_map(key), 0..3)).prop_map(
        move |((shares, unmanaged, refused), (name, state, status, differences), confirmed_at, keys)| {
            ReviewedImage {
                id: image_id(number),
                name,
                state,
                status,
                confirmed_at,
                shares,
                unmanaged: unmanaged.into_iter().collect(),
                refused,
                differences,
                keys,
            }
        },
    )
}

fn keys(number: usize) -> impl Strategy<Value = ReviewedKey> {
    (0..40_000_usize, vec(texts(), 0..6), vec(texts(), 0..3), 0..2_000_usize, option::of(refusal_reasons()))
        .prop_map(move |(bytes, granted, unneeded, images, problem)| ReviewedKey {
            arn: key(number),
            bytes,
            limit: 32_768,
            granted,
            unneeded,
            images,
            problem,
        })
}

/// Any review, from none to many more images than the picture has room for.
pub fn reviews() -> impl Strategy<Value = AccessReview> {
    let images = (0..50_usize).prop_flat_map(|count| (0..count).map(images).collect::<Vec<_>>());
    let keys = (0..4_usize).prop_flat_map(|count| (1..=count).map(keys).collect::<Vec<_>>());
    (texts(), moments(), moments(), images, keys).prop_map(
        |(region, started_at, finished_at, images, keys)| AccessReview {
            account: hub(),
            region,
            started_at,
            finished_at,
            images,
            keys,
        },
    )
}

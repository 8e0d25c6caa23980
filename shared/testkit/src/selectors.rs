//! Strategies for the selectors of `ami-share:with`, the tags that hold them, and malformed selectors.

use ami_share_domain::tags::selector::Selector;
use ami_share_domain::tags::share_tags::{Copying, ShareTags, Until};
use jiff::Timestamp;
use proptest::prelude::*;

use crate::ids::{account_ids, matching, organization_ids, ou_ids, root_ids};

/// Any selector, with keys and values as long as AWS Organizations allows.
pub fn selectors() -> impl Strategy<Value = Selector> {
    let key = prop_oneof![9 => matching("[^\\s,=]{1,12}"), 1 => matching("[^\\s,=]{1,128}")];
    let value = prop_oneof![9 => matching("[^\\s,]{0,12}"), 1 => matching("[^\\s,]{0,256}")];
    prop_oneof![
        4 => account_ids().prop_map(Selector::Account),
        2 => ou_ids().prop_map(Selector::Ou),
        1 => root_ids().prop_map(Selector::Root),
        1 => Just(Selector::OwnOrganization),
        1 => organization_ids().prop_map(Selector::Organization),
        2 => (key, value).prop_map(|(key, value)| Selector::Tagged { key, value }),
    ]
}

/// Any end of access that a tag can express.
pub fn ends() -> impl Strategy<Value = Until> {
    let moments = (Timestamp::MIN.as_second()..=Timestamp::MAX.as_second(), 0..1_000_000_000_i32)
        .prop_filter_map("a moment that exists", |(second, nanosecond)| {
            Timestamp::new(second, nanosecond).ok()
        });
    prop_oneof![Just(Until::Open), moments.prop_map(Until::At)]
}

/// Any value of `ami-share:copy` without a mistake.
fn copying() -> impl Strategy<Value = Copying> {
    prop::sample::select(vec![Copying::No, Copying::Allowed])
}

/// Any tags without a mistake. They may need more room than nine tags have.
pub fn share_tags() -> impl Strategy<Value = ShareTags> {
    (prop::collection::btree_set(selectors(), 0..60), ends(), copying())
        .prop_map(|(selectors, until, copy)| ShareTags { selectors, until, copy, refused: Vec::new() })
}

/// Selectors that would make an image public, in upper and lower case.
pub fn public_selectors() -> impl Strategy<Value = String> {
    prop_oneof![
        matching("[aA][lL][lL]"),
        matching("\\*"),
        matching("[pP][uU][bB][lL][iI][cC]"),
        matching("[eE]veryone")
    ]
}

/// Text that is not a selector, and not the beginning of one.
pub fn malformed_selectors() -> impl Strategy<Value = String> {
    prop_oneof![
        public_selectors(),
        matching("[0-9]{1,11}"),
        matching("[0-9]{13,15}"),
        matching("ou-[a-z0-9]{1,6}"),
        matching("o-[a-z0-9]{1,9}"),
        matching("r-[a-z0-9]{1,3}"),
        matching("tag:[a-z]{0,5}"),
        matching("tag:=[a-z]{0,5}"),
        matching("arn:aws:iam::[0-9]{12}:root"),
    ]
}

//! Example ids, which tests name by numbers, and strategies for arbitrary well-formed ones.

use std::fmt::Debug;
use std::ops::RangeInclusive;
use std::str::FromStr;

use ami_share_domain::ids::{
    AccountId, ImageId, KeyArn, OrgPath, OrganizationArn, OrganizationId, OuArn, OuId, RootId, SnapshotId,
};
use ami_share_domain::targets::target::KeyPrincipal;
use jiff::Timestamp;
use proptest::prelude::*;
use proptest::string::{RegexGeneratorStrategy, string_regex};

/// The account that owns the images and runs the stack.
pub const HUB: &str = "111122223333";
/// The organization that the hub belongs to.
pub const OWN_ORGANIZATION: &str = "o-a1b2c3d4e5";
/// The root of the hub's organization.
pub const OWN_ROOT: &str = "r-ab12";
/// An organization that is not the hub's.
pub const OTHER_ORGANIZATION: &str = "o-z9y8x7w6v5";

/// Parses an example; a malformed one is a mistake in the test.
pub fn id<T: FromStr<Err: Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

/// The hub's account.
pub fn hub() -> AccountId {
    id(HUB)
}

/// The present moment in the tests.
pub fn now() -> Timestamp {
    id("2026-06-01T12:00:00Z")
}

/// The account with this number: `000000000007`.
pub fn account(number: usize) -> AccountId {
    id(&format!("{number:012}"))
}

/// The OU with this number: `ou-ab12-00000007`.
pub fn ou(number: usize) -> OuId {
    id(&format!("ou-ab12-{number:08}"))
}

/// The ARN of an OU of the hub's organization.
pub fn ou_arn(ou: &OuId) -> OuArn {
    id(&format!("arn:aws:organizations::{HUB}:ou/{OWN_ORGANIZATION}/{ou}"))
}

/// The path of an OU directly under the root of the hub's organization.
pub fn top_path(ou: &OuId) -> OrgPath {
    id(&format!("{OWN_ORGANIZATION}/{OWN_ROOT}/{ou}/*"))
}

/// The hub's organization.
pub fn own_organization() -> OrganizationId {
    id(OWN_ORGANIZATION)
}

/// The ARN of an organization.
pub fn organization_arn(organization: &OrganizationId) -> OrganizationArn {
    id(&format!("arn:aws:organizations::{HUB}:organization/{organization}"))
}

/// The image with this number.
pub fn image_id(number: usize) -> ImageId {
    id(&format!("ami-{number:017x}"))
}

/// The snapshot with this number.
pub fn snapshot(number: usize) -> SnapshotId {
    id(&format!("snap-{number:017x}"))
}

/// The hub's key with this number.
pub fn key(number: usize) -> KeyArn {
    id(&format!("arn:aws:kms:eu-west-1:{HUB}:key/{number:08}"))
}

/// Text that matches a pattern. Unlike a bare `&str`, this compiles the pattern once and not for each value.
pub fn matching(pattern: &str) -> RegexGeneratorStrategy<String> {
    string_regex(pattern).unwrap()
}

/// Digits and lower-case letters, as the ids of AWS Organizations have them.
fn lower_alphanumeric(length: RangeInclusive<usize>) -> impl Strategy<Value = String> {
    (any::<u64>(), length).prop_map(|(bits, length)| {
        let digit =
            |place| char::from(b"0123456789abcdefghijklmnopqrstuvwxyz"[(bits >> (place * 3) & 31) as usize]);
        (0..length).map(|place| digit(place % 20)).collect()
    })
}

/// Any account.
pub fn account_ids() -> impl Strategy<Value = AccountId> {
    (0..1_000_000_000_000_usize).prop_map(account)
}

/// Any OU.
pub fn ou_ids() -> impl Strategy<Value = OuId> {
    (lower_alphanumeric(4..=32), lower_alphanumeric(8..=32))
        .prop_map(|(root, unit)| id(&format!("ou-{root}-{unit}")))
}

/// Any root.
pub fn root_ids() -> impl Strategy<Value = RootId> {
    lower_alphanumeric(4..=32).prop_map(|root| id(&format!("r-{root}")))
}

/// Any organization.
pub fn organization_ids() -> impl Strategy<Value = OrganizationId> {
    lower_alphanumeric(10..=32).prop_map(|organization| id(&format!("o-{organization}")))
}

/// Any path of OUs, at most as deep as AWS lets them nest.
pub fn org_paths() -> impl Strategy<Value = OrgPath> {
    (organization_ids(), root_ids(), prop::collection::vec(ou_ids(), 1..=5)).prop_map(
        |(organization, root, units)| {
            let units: Vec<&str> = units.iter().map(OuId::as_str).collect();
            id(&format!("{organization}/{root}/{}/*", units.join("/")))
        },
    )
}

/// Any principal that a key policy may grant the key.
pub fn key_principals() -> impl Strategy<Value = KeyPrincipal> {
    prop_oneof![
        3 => account_ids().prop_map(KeyPrincipal::Account),
        1 => organization_ids().prop_map(KeyPrincipal::Organization),
        1 => org_paths().prop_map(KeyPrincipal::Path),
    ]
}

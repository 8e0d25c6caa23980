//! What the stack's parameters allow beyond the hub's own organization, and how much.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use crate::ids::{AccountId, BadId, OrganizationArn, OrganizationId};

/// Launch permissions that AWS lets one image have unless the quota was raised. Source:
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/sharingamis-explicit.html>
pub const DEFAULT_TARGET_LIMIT: usize = 1_000;

/// Whether anything is shared at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sharing {
    /// What the tags ask for.
    #[default]
    Enabled,
    /// Nothing, whatever the tags ask for: everything that was granted is revoked. An operator sets this before deleting
    /// the stack, because deleting it revokes nothing.
    Disabled,
}

/// An invalid value of the stack's parameter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither `enabled` nor `disabled`")]
pub struct BadSharing(String);

impl FromStr for Sharing {
    type Err = BadSharing;

    fn from_str(text: &str) -> Result<Self, BadSharing> {
        match text {
            "enabled" => Ok(Self::Enabled),
            "disabled" => Ok(Self::Disabled),
            other => Err(BadSharing(other.to_owned())),
        }
    }
}

/// The limits that a share must keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Whether anything is shared at all.
    pub sharing: Sharing,
    /// Accounts outside the organization that may receive images.
    pub external_accounts: BTreeSet<AccountId>,
    /// Other organizations that may receive images.
    pub external_organizations: BTreeMap<OrganizationId, OrganizationArn>,
    /// Whether a share that leaves the organization needs an end.
    pub external_needs_until: bool,
    /// Launch permissions that one image may have.
    pub target_limit: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sharing: Sharing::Enabled,
            external_accounts: BTreeSet::new(),
            external_organizations: BTreeMap::new(),
            external_needs_until: true,
            target_limit: DEFAULT_TARGET_LIMIT,
        }
    }
}

/// Reads a comma-separated list of account ids, as the stack's parameter has it.
///
/// # Errors
/// [`BadId`] naming the first item that is no account id.
pub fn parse_accounts(list: &str) -> Result<BTreeSet<AccountId>, BadId> {
    selectors(list).map(str::parse).collect()
}

/// Reads a comma-separated list of organization ARNs, as the stack's parameter has it.
///
/// # Errors
/// [`BadId`] naming the first item that is no organization ARN.
pub fn parse_organizations(list: &str) -> Result<BTreeMap<OrganizationId, OrganizationArn>, BadId> {
    selectors(list)
        .map(|selector| {
            let arn: OrganizationArn = selector.parse()?;
            let id = arn.id().ok_or(BadId {
                text: selector.to_owned(),
                expected: "an organization ARN with an id (o-…)",
            })?;
            Ok((id, arn))
        })
        .collect()
}

fn selectors(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|selector| !selector.is_empty())
}

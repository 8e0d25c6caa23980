//! A target, and what names it: in a launch permission, in a key policy.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::{AccountId, BadId, OrgPath, OrganizationArn, OrganizationId, OuArn, OuId};

/// What a launch permission names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LaunchPermission {
    /// One account.
    Account(AccountId),
    /// An OU, by ARN: AWS accepts no id here.
    Ou(OuArn),
    /// An organization, by ARN.
    Organization(OrganizationArn),
}

/// An account, OU or organization that an image is shared with, with all that later steps need of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Target {
    /// One account.
    Account {
        /// Its id.
        id: AccountId,
        /// The `tag:` selectors that led here; empty when the account was only named itself.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        through: Vec<String>,
    },
    /// An OU and everything under it.
    Ou {
        /// Its id.
        id: OuId,
        /// Its ARN.
        arn: OuArn,
        /// Its path from the organization, for key policies.
        path: OrgPath,
        /// The active accounts in it, without the hub.
        accounts: Vec<AccountId>,
        /// The `tag:` selectors that led here.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        through: Vec<String>,
    },
    /// A whole organization.
    Organization {
        /// Its id.
        id: OrganizationId,
        /// Its ARN.
        arn: OrganizationArn,
        /// Its active accounts, without the hub; empty for another organization than the hub's.
        accounts: Vec<AccountId>,
    },
}

impl LaunchPermission {
    /// The id of the account, OU or organization, as tags and the ledger name it.
    pub fn name(&self) -> &str {
        match self {
            Self::Account(id) => id.as_str(),
            Self::Ou(arn) => arn.unit(),
            Self::Organization(arn) => arn.organization(),
        }
    }
}

impl Target {
    /// The id, as tags, the ledger and notifications name the target.
    pub fn name(&self) -> &str {
        match self {
            Self::Account { id, .. } => id.as_str(),
            Self::Ou { id, .. } => id.as_str(),
            Self::Organization { id, .. } => id.as_str(),
        }
    }

    /// What the image's launch permission names.
    pub fn launch_permission(&self) -> LaunchPermission {
        match self {
            Self::Account { id, .. } => LaunchPermission::Account(id.clone()),
            Self::Ou { arn, .. } => LaunchPermission::Ou(arn.clone()),
            Self::Organization { arn, .. } => LaunchPermission::Organization(arn.clone()),
        }
    }

    /// What a key policy names.
    pub fn key_principal(&self) -> KeyPrincipal {
        match self {
            Self::Account { id, .. } => KeyPrincipal::Account(id.clone()),
            Self::Ou { path, .. } => KeyPrincipal::Path(path.clone()),
            Self::Organization { id, .. } => KeyPrincipal::Organization(id.clone()),
        }
    }

    /// The accounts behind the target, for notifications and snapshots.
    pub fn accounts(&self) -> &[AccountId] {
        match self {
            Self::Account { id, .. } => std::slice::from_ref(id),
            Self::Ou { accounts, .. } | Self::Organization { accounts, .. } => accounts,
        }
    }

    /// An OU or organization without the accounts behind it; `None` for an account.
    pub fn without_accounts(&self) -> Option<Self> {
        match self.clone() {
            Self::Account { .. } => None,
            Self::Ou { id, arn, path, accounts: _, through } => {
                Some(Self::Ou { id, arn, path, accounts: Vec::new(), through })
            }
            Self::Organization { id, arn, accounts: _ } => {
                Some(Self::Organization { id, arn, accounts: Vec::new() })
            }
        }
    }

    /// The `tag:` selectors that led here.
    pub fn through(&self) -> &[String] {
        match self {
            Self::Account { through, .. } | Self::Ou { through, .. } => through,
            Self::Organization { .. } => &[],
        }
    }
}

impl fmt::Display for LaunchPermission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(id) => id.fmt(f),
            Self::Ou(arn) => arn.fmt(f),
            Self::Organization(arn) => arn.fmt(f),
        }
    }
}

/// What a key policy names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum KeyPrincipal {
    /// Every account of an organization, by `aws:PrincipalOrgID`.
    Organization(OrganizationId),
    /// Every account in an OU, by `aws:PrincipalOrgPaths`.
    Path(OrgPath),
    /// One account.
    Account(AccountId),
}

impl fmt::Display for KeyPrincipal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Organization(id) => id.fmt(f),
            Self::Path(path) => path.fmt(f),
            Self::Account(id) => id.fmt(f),
        }
    }
}

impl FromStr for KeyPrincipal {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        if text.contains('/') {
            text.parse().map(Self::Path)
        } else if text.starts_with("o-") {
            text.parse().map(Self::Organization)
        } else {
            text.parse().map(Self::Account)
        }
    }
}

impl TryFrom<String> for KeyPrincipal {
    type Error = BadId;

    fn try_from(text: String) -> Result<Self, BadId> {
        text.parse()
    }
}

impl From<KeyPrincipal> for String {
    fn from(principal: KeyPrincipal) -> String {
        principal.to_string()
    }
}

//! One selector of `ami-share:with`: its parser, its renderer, and errors that name it.

use std::fmt;
use std::str::FromStr;

use crate::ids::{AccountId, OrganizationId, OuId, RootId};
use crate::refusal::RefusalReason;

/// What a selector picks. Renders back to the text that it was parsed from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Selector {
    /// `222222222222`: one account.
    Account(AccountId),
    /// `ou-ab12-cdef3456`: an OU and everything under it.
    Ou(OuId),
    /// `r-ab12`: a root, that is everything in its organization.
    Root(RootId),
    /// `org`: the organization that the hub belongs to.
    OwnOrganization,
    /// `o-a1b2c3d4e5`: an organization by its id.
    Organization(OrganizationId),
    /// `tag:Key=Value`: every account and OU that carries this tag in AWS Organizations.
    Tagged {
        /// The tag's key; never empty, without `=`.
        key: String,
        /// The tag's value; may be empty.
        value: String,
    },
}

/// Texts that people try for "every account".
const PUBLIC_SELECTORS: [&str; 4] = ["all", "*", "public", "everyone"];

impl FromStr for Selector {
    type Err = RefusalReason;

    fn from_str(text: &str) -> Result<Self, RefusalReason> {
        if PUBLIC_SELECTORS.contains(&text.to_ascii_lowercase().as_str()) {
            return Err(RefusalReason::Public);
        }
        if text == "org" {
            return Ok(Self::OwnOrganization);
        }
        if let Some(tag) = text.strip_prefix("tag:") {
            return tagged(tag);
        }
        let parsed = if text.starts_with("ou-") {
            text.parse().map(Self::Ou)
        } else if text.starts_with("r-") {
            text.parse().map(Self::Root)
        } else if text.starts_with("o-") {
            text.parse().map(Self::Organization)
        } else {
            text.parse().map(Self::Account)
        };
        parsed.map_err(|_| RefusalReason::MalformedSelector)
    }
}

fn tagged(tag: &str) -> Result<Selector, RefusalReason> {
    match tag.split_once('=') {
        Some((key, value)) if !key.is_empty() => {
            Ok(Selector::Tagged { key: key.to_owned(), value: value.to_owned() })
        }
        _ => Err(RefusalReason::MalformedSelector),
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(id) => id.fmt(f),
            Self::Ou(id) => id.fmt(f),
            Self::Root(id) => id.fmt(f),
            Self::OwnOrganization => f.write_str("org"),
            Self::Organization(id) => id.fmt(f),
            Self::Tagged { key, value } => write!(f, "tag:{key}={value}"),
        }
    }
}

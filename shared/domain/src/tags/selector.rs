//! One word of `ami-share:with`: its parser, its renderer, and errors that point at the word.

use std::fmt;
use std::str::FromStr;

use crate::ids::{AccountId, OrganizationId, OuId, RootId};
use crate::refusal::{Refusal, RefusalCode};

/// What a word picks. Renders back to the word that it was parsed from.
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

/// Words that people try when they mean "everybody".
const PUBLIC_SELECTORS: [&str; 4] = ["all", "*", "public", "everyone"];

impl FromStr for Selector {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        if PUBLIC_SELECTORS.contains(&text.to_ascii_lowercase().as_str()) {
            return Err(Refusal::new(
                text,
                RefusalCode::Public,
                format!(
                    "`{text}` would make the image public, which is never done; name accounts, OUs or `org`"
                ),
            ));
        }
        if text == "org" {
            return Ok(Self::OwnOrganization);
        }
        if let Some(tag) = text.strip_prefix("tag:") {
            return tagged(text, tag);
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
        parsed.map_err(|_| malformed(text))
    }
}

fn tagged(text: &str, tag: &str) -> Result<Selector, Refusal> {
    match tag.split_once('=') {
        Some((key, value)) if !key.is_empty() => {
            Ok(Selector::Tagged { key: key.to_owned(), value: value.to_owned() })
        }
        _ => Err(malformed(text)),
    }
}

fn malformed(text: &str) -> Refusal {
    Refusal::new(
        text,
        RefusalCode::MalformedSelector,
        format!(
            "`{text}` is no account id (12 digits), OU (ou-…), root (r-…), org, organization (o-…) or tag:Key=Value"
        ),
    )
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

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
const PUBLIC_WORDS: [&str; 4] = ["all", "*", "public", "everyone"];

impl FromStr for Selector {
    type Err = Refusal;

    fn from_str(word: &str) -> Result<Self, Refusal> {
        if PUBLIC_WORDS.contains(&word.to_ascii_lowercase().as_str()) {
            return Err(Refusal::new(
                word,
                RefusalCode::Public,
                format!(
                    "`{word}` would make the image public, which is never done; name accounts, OUs or `org`"
                ),
            ));
        }
        if word == "org" {
            return Ok(Self::OwnOrganization);
        }
        if let Some(tag) = word.strip_prefix("tag:") {
            return tagged(word, tag);
        }
        let parsed = if word.starts_with("ou-") {
            word.parse().map(Self::Ou)
        } else if word.starts_with("r-") {
            word.parse().map(Self::Root)
        } else if word.starts_with("o-") {
            word.parse().map(Self::Organization)
        } else {
            word.parse().map(Self::Account)
        };
        parsed.map_err(|_| malformed(word))
    }
}

fn tagged(word: &str, tag: &str) -> Result<Selector, Refusal> {
    match tag.split_once('=') {
        Some((key, value)) if !key.is_empty() => {
            Ok(Selector::Tagged { key: key.to_owned(), value: value.to_owned() })
        }
        _ => Err(malformed(word)),
    }
}

fn malformed(word: &str) -> Refusal {
    Refusal::new(
        word,
        RefusalCode::MalformedWord,
        format!(
            "`{word}` is no account id (12 digits), OU (ou-…), root (r-…), org, organization (o-…) or tag:Key=Value"
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

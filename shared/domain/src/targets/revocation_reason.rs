//! Why a target has no access: what ended all shares of an image, or what ended or refused this one.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;

/// What ended all shares of an image at once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum RevocationReason {
    /// The image does not exist any more.
    ImageGone,
    /// The image cannot be launched any more.
    ImageUnusable {
        /// Its state, as EC2 calls it: `disabled`.
        state: String,
    },
    /// The image carries no tag of ami-share any more.
    Untagged,
    /// The stack revokes all shares, whatever the tags say.
    SharingDisabled,
    /// The end that the tags named has come.
    Expired {
        /// When.
        at: Timestamp,
    },
}

impl RevocationReason {
    /// Whether the image exists, so that it can carry a status.
    pub fn leaves_image(&self) -> bool {
        *self != Self::ImageGone
    }
}

impl fmt::Display for RevocationReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ImageGone => f.write_str("the image was deregistered"),
            Self::ImageUnusable { state } => write!(f, "the image is {state}"),
            Self::Untagged => f.write_str("the image has no ami-share: tags any more"),
            Self::SharingDisabled => f.write_str("sharing is disabled (parameter Sharing of the stack)"),
            Self::Expired { at } => {
                write!(f, "ami-share:until was {at}; set a later date to share again")
            }
        }
    }
}

/// Why a target has no access.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum NoAccessReason {
    /// It was refused, or the selector that led to it.
    Refused(Refusal),
    /// The tags do not name it any more.
    NoLongerNamed {
        /// The target, or an account behind it.
        target: String,
    },
    /// All shares of the image have ended.
    Revoked(RevocationReason),
}

impl NoAccessReason {
    /// The part that makes one reason differ from another.
    pub fn identity(self) -> Self {
        match self {
            Self::Refused(refusal) => Self::Refused(refusal.identity()),
            other => other,
        }
    }
}

impl fmt::Display for NoAccessReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::NoLongerNamed { target } => write!(f, "ami-share:with no longer names {target}"),
            Self::Revoked(reason) => reason.fmt(f),
        }
    }
}

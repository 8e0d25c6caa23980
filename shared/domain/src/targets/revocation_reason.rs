//! Why nothing of an image is shared any more, in the words that people are told.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

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
    /// It carries no tag of ours any more.
    Untagged,
    /// The stack withdraws everything, whatever the tags say.
    SharingDisabled,
    /// The agreed end has come.
    Expired {
        /// When.
        at: Timestamp,
    },
}

impl RevocationReason {
    /// Whether the image is there, so that it can carry a status.
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
            Self::SharingDisabled => {
                f.write_str("the hub withdraws all its shares (parameter Sharing of the stack)")
            }
            Self::Expired { at } => {
                write!(f, "ami-share:until was {at}; set a later date to share again")
            }
        }
    }
}

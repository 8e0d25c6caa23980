//! Writes the tag `ami-share:status`.

use ami_share_domain::ids::ImageId;
use ami_share_domain::tags::share_tags::STATUS;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::Tag;

use crate::error::{AwsError, Explain, Fault};

/// Writes the status tag, and no other.
#[derive(Debug, Clone)]
pub struct StatusWriter {
    client: Client,
}

impl StatusWriter {
    /// A writer.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Sets `ami-share:status`. An image that no longer exists needs no status.
    ///
    /// # Errors
    /// When `ec2:CreateTags` fails for another reason.
    pub async fn write(&self, image: &ImageId, status: &str) -> Result<(), AwsError> {
        let tag = Tag::builder().key(STATUS).value(status).build();
        let answer = self.client.create_tags().resources(image.as_str()).tags(tag).send().await;
        match answer.explain("ec2:CreateTags", image) {
            Err(error) if matches!(error.fault(), Fault::Missing | Fault::Unavailable) => Ok(()),
            answer => answer.map(|_| ()),
        }
    }
}

//! Reads images and the keys of their snapshots; writes the status tag.

use std::collections::{BTreeMap, BTreeSet};

use ami_share_domain::ids::{ImageId, KeyArn, SnapshotId};
use ami_share_domain::share::Image;
use ami_share_domain::share_tags::STATUS;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{ImageState, Tag};
use jiff::Timestamp;

use crate::error::{AwsError, Explain, Fault, lacks};

/// An image as EC2 describes it.
#[derive(Debug, Clone)]
pub struct FoundImage {
    /// What later steps need of it.
    pub image: Image,
    /// Whether it is `available`; only then can it be shared.
    pub is_available: bool,
    /// Its state, for people.
    pub state: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// The snapshots of its volumes.
    pub snapshots: Vec<SnapshotId>,
}

/// Reads images.
#[derive(Debug, Clone)]
pub struct ImageReader {
    client: Client,
    region: String,
}

impl ImageReader {
    /// A reader for the images of `region`.
    pub fn new(client: Client, region: String) -> Self {
        Self { client, region }
    }

    /// The image, or `None` when it does not exist (any more).
    ///
    /// # Errors
    /// When `ec2:DescribeImages` fails, or answers what makes no sense.
    pub async fn image(&self, id: &ImageId) -> Result<Option<FoundImage>, AwsError> {
        const CALL: &str = "ec2:DescribeImages";
        let seen_at = Timestamp::now();
        let answer = self.client.describe_images().image_ids(id.as_str()).send().await.explain(CALL, id);
        let answer = match answer {
            Err(error) if error.fault() == Fault::Missing => return Ok(None),
            answer => answer?,
        };
        let Some(found) = answer.images().first() else { return Ok(None) };
        let tags = tag_map(found.tags());
        let owner = found
            .owner_id()
            .and_then(|owner| owner.parse().ok())
            .ok_or_else(|| lacks(CALL, id, "no owner"))?;
        let snapshots = found.block_device_mappings().iter().filter_map(|device| device.ebs()?.snapshot_id());
        let snapshots = snapshots.map(str::parse).collect::<Result<BTreeSet<SnapshotId>, _>>();
        let snapshots = snapshots.map_err(|bad| lacks(CALL, id, bad.to_string()))?;
        Ok(Some(FoundImage {
            image: Image {
                id: id.clone(),
                name: found.name().unwrap_or_default().to_owned(),
                region: self.region.clone(),
                owner,
                seen_at,
                status: tags.get(STATUS).cloned(),
            },
            is_available: found.state() == Some(&ImageState::Available),
            state: found.state().map(|state| state.as_str().to_owned()).unwrap_or_default(),
            tags,
            snapshots: snapshots.into_iter().collect(),
        }))
    }

    /// The keys that the snapshots are encrypted with, each once; none for unencrypted ones.
    ///
    /// # Errors
    /// When `ec2:DescribeSnapshots` fails, or names a key by something else than its ARN.
    pub async fn keys(
        &self,
        image: &ImageId,
        snapshots: &[SnapshotId],
    ) -> Result<BTreeSet<KeyArn>, AwsError> {
        const CALL: &str = "ec2:DescribeSnapshots";
        if snapshots.is_empty() {
            return Ok(BTreeSet::new());
        }
        let ids = snapshots.iter().map(ToString::to_string).collect();
        let answer =
            self.client.describe_snapshots().set_snapshot_ids(Some(ids)).send().await.explain(CALL, image)?;
        let keys = answer.snapshots().iter().filter_map(|snapshot| snapshot.kms_key_id());
        keys.map(|key| key.parse().map_err(|bad| lacks(CALL, image, format!("{bad}")))).collect()
    }
}

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

    /// Sets `ami-share:status`. An image that is gone needs none.
    ///
    /// # Errors
    /// When `ec2:CreateTags` fails for another reason.
    pub async fn write(&self, image: &ImageId, status: &str) -> Result<(), AwsError> {
        let tag = Tag::builder().key(STATUS).value(status).build();
        let answer = self.client.create_tags().resources(image.as_str()).tags(tag).send().await;
        match answer.explain("ec2:CreateTags", image) {
            Err(error) if error.fault() == Fault::Missing => Ok(()),
            answer => answer.map(|_| ()),
        }
    }
}

fn tag_map(tags: &[Tag]) -> BTreeMap<String, String> {
    let pairs = tags
        .iter()
        .filter_map(|tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned())));
    pairs.collect()
}

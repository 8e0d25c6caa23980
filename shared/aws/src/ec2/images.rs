//! Reads images and the keys of their snapshots.

use std::collections::{BTreeMap, BTreeSet};

use ami_share_domain::ids::{AccountId, ImageId, KeyArn, SnapshotId};
use ami_share_domain::image::desired::{Image, Observation};
use ami_share_domain::tags::share_tags::{PREFIX, STATUS};
use aws_sdk_ec2::Client;
use aws_sdk_ec2::operation::describe_images::builders::DescribeImagesFluentBuilder;
use aws_sdk_ec2::types::{Filter, Image as Ec2Image, ImageState, Tag};
use jiff::Timestamp;

use crate::clock::Clock;
use crate::error::{AwsError, Explain, Fault, unreadable_answer, unusable_answer};
use crate::retry;

const DESCRIBE_IMAGES: &str = "ec2:DescribeImages";

/// Images of one page. AWS advises against reading all at once.
/// Source: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeImages.html>
const PAGE: i32 = 100;

/// Values of a filter in one call. EC2 accepts 200 in a request (from memory).
/// Source: <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html>
const FILTER_VALUES: usize = 100;

/// An image as EC2 describes it.
#[derive(Debug, Clone)]
pub struct FoundImage {
    /// What later steps need.
    pub image: Image,
    /// When it was described, and its status tag.
    pub observed: Observation,
    /// Whether it is `available`; only then can it be shared.
    pub is_available: bool,
    /// Its state as EC2 names it.
    pub state: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// The snapshots of its volumes.
    pub snapshots: Vec<SnapshotId>,
}

/// A snapshot as EC2 describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundSnapshot {
    /// The account that owns it.
    pub owner: AccountId,
    /// The key that it is encrypted with, if it is.
    pub key: Option<KeyArn>,
}

/// Reads images.
#[derive(Debug, Clone)]
pub struct ImageReader {
    client: Client,
    region: String,
    clock: Clock,
}

impl ImageReader {
    /// A reader for the images of `region`.
    pub fn new(client: Client, region: String, clock: Clock) -> Self {
        Self { client, region, clock }
    }

    /// The image, or `None` when it does not exist. A disabled image exists. EC2 omits disabled images by default; the
    /// documentation does not say whether that includes images named by id, so the request includes them.
    /// Source: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeImages.html>
    ///
    /// # Errors
    /// When `ec2:DescribeImages` fails, or its answer cannot be used.
    pub async fn image(&self, id: &ImageId) -> Result<Option<FoundImage>, AwsError> {
        let seen_at = self.clock.now();
        let request = self.client.describe_images().image_ids(id.as_str()).include_disabled(true);
        let answer = match request.send().await.explain(DESCRIBE_IMAGES, id) {
            Err(error) if error.fault() == Fault::Missing => return Ok(None),
            // It may be pending, disabled or gone. A filter says which, and answers no error.
            Err(error) if error.fault() == Fault::Unavailable => {
                let named = filter("image-id", [id.to_string()]);
                let request = self.client.describe_images().filters(named).include_disabled(true);
                request.send().await.explain(DESCRIBE_IMAGES, id)?
            }
            answer => answer?,
        };
        answer.images().first().map(|image| self.found_image(image, seen_at)).transpose()
    }

    /// Those of `snapshots` that exist and that the hub sees, whoever owns them. The others are absent: EC2 does not say
    /// whether a snapshot of another account was deleted or is no longer shared. EC2 is eventually consistent, so a
    /// snapshot that is absent is read again, a bounded number of times.
    ///
    /// # Errors
    /// When `ec2:DescribeSnapshots` fails, or its answer cannot be used.
    pub async fn snapshots(
        &self,
        image: &ImageId,
        snapshots: &[SnapshotId],
    ) -> Result<BTreeMap<SnapshotId, FoundSnapshot>, AwsError> {
        if snapshots.is_empty() {
            return Ok(BTreeMap::new());
        }
        match self.describe_snapshots(image, snapshots).await {
            Err(error) if error.fault() == Fault::Missing => {}
            found => return found,
        }
        // One missing snapshot fails the call for all of them, so each is asked for alone.
        let mut all = BTreeMap::new();
        for snapshot in snapshots {
            let alone = std::slice::from_ref(snapshot);
            let read = || self.describe_snapshots(image, alone);
            match retry::READ_BACK.retry(&self.clock, read, |error| error.fault() == Fault::Missing).await {
                Err(error) if error.fault() == Fault::Missing => {}
                found => all.extend(found?),
            }
        }
        Ok(all)
    }

    async fn describe_snapshots(
        &self,
        image: &ImageId,
        snapshots: &[SnapshotId],
    ) -> Result<BTreeMap<SnapshotId, FoundSnapshot>, AwsError> {
        const CALL: &str = "ec2:DescribeSnapshots";
        let ids = snapshots.iter().map(ToString::to_string).collect();
        let answer =
            self.client.describe_snapshots().set_snapshot_ids(Some(ids)).send().await.explain(CALL, image)?;
        let found = answer.snapshots().iter().map(|snapshot| {
            let id = snapshot.snapshot_id().unwrap_or_default().parse();
            let id = id.map_err(|bad| unreadable_answer(CALL, image, "a bad snapshot id", bad))?;
            let owner = snapshot.owner_id().and_then(|owner| owner.parse().ok());
            let owner = owner.ok_or_else(|| unusable_answer(CALL, image, "a snapshot without an owner"))?;
            let key = snapshot.kms_key_id().map(str::parse).transpose();
            let key = key.map_err(|bad| unreadable_answer(CALL, image, "a bad key ARN", bad))?;
            Ok((id, FoundSnapshot { owner, key }))
        });
        found.collect()
    }

    /// One page of the hub's images that carry an `ami-share:` tag, disabled ones included, and the token of the next
    /// page. A page may be short, or empty, and still have a next one.
    /// Source: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Query-Requests.html#api-pagination>
    ///
    /// # Errors
    /// When `ec2:DescribeImages` fails, or its answer cannot be used.
    pub async fn managed_page(
        &self,
        token: Option<String>,
    ) -> Result<(Vec<FoundImage>, Option<String>), AwsError> {
        let seen_at = self.clock.now();
        // `*` stands for any characters in the value of a filter.
        // Source: <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html>
        let tagged = filter("tag-key", [format!("{PREFIX}*")]);
        let request = self.own_images(tagged).max_results(PAGE).set_next_token(token);
        let answer = request.send().await.explain(DESCRIBE_IMAGES, "tagged images")?;
        let images = answer.images().iter().map(|image| self.found_image(image, seen_at));
        let next = answer.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
        Ok((images.collect::<Result<_, _>>()?, next))
    }

    /// Those of `ids` that are images of the hub, disabled ones included; the others are absent.
    ///
    /// # Errors
    /// When `ec2:DescribeImages` fails, or its answer cannot be used.
    pub async fn found(&self, ids: &[ImageId]) -> Result<BTreeMap<ImageId, FoundImage>, AwsError> {
        let mut all = BTreeMap::new();
        for chunk in ids.chunks(FILTER_VALUES) {
            let seen_at = self.clock.now();
            // A filter ignores an image that does not exist; as an id, it would fail the whole call.
            let named = filter("image-id", chunk.iter().map(ToString::to_string));
            let mut images = self.own_images(named).into_paginator().page_size(PAGE).items().send();
            while let Some(image) = images.next().await {
                let image = image.explain(DESCRIBE_IMAGES, &format!("{} images", chunk.len()))?;
                let found = self.found_image(&image, seen_at)?;
                all.insert(found.image.id.clone(), found);
            }
        }
        Ok(all)
    }

    /// The hub's images that contain the snapshot, disabled ones included.
    ///
    /// # Errors
    /// When `ec2:DescribeImages` fails, or answers an image without an id.
    pub async fn of_snapshot(&self, snapshot: &SnapshotId) -> Result<Vec<ImageId>, AwsError> {
        let containing = filter("block-device-mapping.snapshot-id", [snapshot.to_string()]);
        let mut images = self.own_images(containing).into_paginator().page_size(PAGE).items().send();
        let mut ids = Vec::new();
        while let Some(image) = images.next().await {
            ids.push(image_id(&image.explain(DESCRIBE_IMAGES, snapshot)?)?);
        }
        Ok(ids)
    }

    fn own_images(&self, filter: Filter) -> DescribeImagesFluentBuilder {
        self.client.describe_images().owners("self").include_disabled(true).filters(filter)
    }

    fn found_image(&self, found: &Ec2Image, seen_at: Timestamp) -> Result<FoundImage, AwsError> {
        let id = image_id(found)?;
        let owner = found.owner_id().and_then(|owner| owner.parse().ok());
        let owner =
            owner.ok_or_else(|| unusable_answer(DESCRIBE_IMAGES, &id, "an image without an owner"))?;
        let snapshots = found.block_device_mappings().iter().filter_map(|device| device.ebs()?.snapshot_id());
        let snapshots = snapshots.map(str::parse).collect::<Result<BTreeSet<SnapshotId>, _>>();
        let snapshots =
            snapshots.map_err(|bad| unreadable_answer(DESCRIBE_IMAGES, &id, "a bad snapshot id", bad))?;
        let tags = tag_map(found.tags());
        Ok(FoundImage {
            image: Image {
                id,
                name: found.name().unwrap_or_default().to_owned(),
                region: self.region.clone(),
                owner,
            },
            observed: Observation { at: seen_at, status: tags.get(STATUS).cloned() },
            is_available: found.state() == Some(&ImageState::Available),
            state: found.state().map(|state| state.as_str().to_owned()).unwrap_or_default(),
            tags,
            snapshots: snapshots.into_iter().collect(),
        })
    }
}

fn tag_map(tags: &[Tag]) -> BTreeMap<String, String> {
    let pairs = tags
        .iter()
        .filter_map(|tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned())));
    pairs.collect()
}

fn filter(name: &str, values: impl IntoIterator<Item = String>) -> Filter {
    Filter::builder().name(name).set_values(Some(values.into_iter().collect())).build()
}

fn image_id(image: &Ec2Image) -> Result<ImageId, AwsError> {
    let id = image.image_id().unwrap_or_default();
    id.parse().map_err(|bad| unreadable_answer(DESCRIBE_IMAGES, "an image", "a bad image id", bad))
}

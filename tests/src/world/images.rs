//! Images and snapshots: makes, tags and describes them.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use aws_sdk_ec2::error::ProvideErrorMetadata;
use aws_sdk_ec2::types::{BlockDeviceMapping, EbsBlockDevice, Image, ResourceType, Tag, TagSpecification};

use super::{Account, REGION};

impl Account {
    /// Makes a snapshot of a new volume, encrypted with `key` if there is one.
    pub async fn snapshot(&self, key: Option<&str>) -> Result<String> {
        let volume = self.ec2.create_volume().availability_zone(format!("{REGION}a")).size(8);
        let volume = volume.encrypted(key.is_some()).set_kms_key_id(key.map(str::to_owned));
        let volume = volume.send().await.context("CreateVolume")?;
        let volume = volume.volume_id().context("no volume id")?;
        let snapshot = self.ec2.create_snapshot().volume_id(volume).send().await.context("CreateSnapshot")?;
        Ok(snapshot.snapshot_id().context("no snapshot id")?.to_owned())
    }

    /// Makes an available image with one volume for each of `keys`; with one unencrypted volume when `keys` is empty.
    pub async fn image(&self, name: &str, keys: &[&str]) -> Result<String> {
        self.register_image(name, keys, &[]).await
    }

    /// Makes the same image, with `tags` from the start.
    pub async fn register_image(&self, name: &str, keys: &[&str], tags: &[(&str, &str)]) -> Result<String> {
        let keys: Vec<Option<&str>> =
            if keys.is_empty() { vec![None] } else { keys.iter().copied().map(Some).collect() };
        let mut devices = Vec::new();
        for (position, key) in keys.into_iter().enumerate() {
            let device = if position == 0 {
                "/dev/xvda".to_owned()
            } else {
                format!("/dev/sd{}", char::from(b'f' + position as u8))
            };
            let ebs = EbsBlockDevice::builder().snapshot_id(self.snapshot(key).await?).build();
            devices.push(BlockDeviceMapping::builder().device_name(device).ebs(ebs).build());
        }
        let request =
            self.ec2.register_image().name(name).root_device_name("/dev/xvda").architecture("x86_64".into());
        let answer = request
            .virtualization_type("hvm")
            .set_block_device_mappings(Some(devices))
            .set_tag_specifications(at_creation(tags))
            .send()
            .await
            .context("RegisterImage")?;
        let image = answer.image_id().context("no image id")?.to_owned();
        self.wait_until_available(&image).await?;
        Ok(image)
    }

    /// Starts to make an image of an instance, with `tags` from the start; it is pending for a while.
    pub async fn create_image(&self, name: &str, instance: &str, tags: &[(&str, &str)]) -> Result<String> {
        let request = self.ec2.create_image().name(name).instance_id(instance);
        let answer = request.set_tag_specifications(at_creation(tags)).send().await.context("CreateImage")?;
        Ok(answer.image_id().context("no image id")?.to_owned())
    }

    /// Starts to copy an image within the Region, with `tags` from the start; it is pending for a while.
    pub async fn copy_image(&self, name: &str, source: &str, tags: &[(&str, &str)]) -> Result<String> {
        let request = self.ec2.copy_image().name(name).source_image_id(source).source_region(REGION);
        let answer = request.set_tag_specifications(at_creation(tags)).send().await.context("CopyImage")?;
        Ok(answer.image_id().context("no image id")?.to_owned())
    }

    /// Waits until an image is available.
    pub async fn wait_until_available(&self, image: &str) -> Result<()> {
        self.until("the image is available", async || {
            Ok((self.image_state(image).await? == "available").then_some(()))
        })
        .await
    }

    /// Deregisters an image.
    pub async fn deregister(&self, image: &str) -> Result<()> {
        self.ec2.deregister_image().image_id(image).send().await.context("DeregisterImage")?;
        Ok(())
    }

    /// Disables an image, so that no account can launch it.
    pub async fn disable(&self, image: &str) -> Result<()> {
        self.ec2.disable_image().image_id(image).send().await.context("DisableImage")?;
        Ok(())
    }

    /// Enables an image that was disabled.
    pub async fn enable(&self, image: &str) -> Result<()> {
        self.ec2.enable_image().image_id(image).send().await.context("EnableImage")?;
        Ok(())
    }

    /// The state of an image that this account sees.
    pub async fn image_state(&self, image: &str) -> Result<String> {
        let found = self.found(image).await?.context("no such image")?;
        Ok(found.state().map(|state| state.as_str().to_owned()).unwrap_or_default())
    }

    /// Whether this account sees an image.
    pub async fn sees(&self, image: &str) -> Result<bool> {
        Ok(self.found(image).await?.is_some())
    }

    /// An image that this account sees, as EC2 describes it; `None` where EC2 says that there is none.
    async fn found(&self, image: &str) -> Result<Option<Image>> {
        match self.ec2.describe_images().image_ids(image).send().await {
            Err(error) if error.code() == Some("InvalidAMIID.NotFound") => Ok(None),
            answer => Ok(answer.context("DescribeImages")?.images.unwrap_or_default().pop()),
        }
    }

    /// The snapshots of an image.
    pub async fn snapshots_of(&self, image: &str) -> Result<Vec<String>> {
        let found = self.found(image).await?.context("no such image")?;
        let devices = found.block_device_mappings();
        Ok(devices.iter().filter_map(|device| device.ebs()?.snapshot_id().map(str::to_owned)).collect())
    }

    /// Tags an image.
    pub async fn tag(&self, image: &str, tags: &[(&str, &str)]) -> Result<()> {
        self.ec2
            .create_tags()
            .resources(image)
            .set_tags(Some(ec2_tags(tags)))
            .send()
            .await
            .context("CreateTags")?;
        Ok(())
    }

    /// Removes a tag from an image.
    pub async fn untag(&self, image: &str, tag: &str) -> Result<()> {
        let tag = Tag::builder().key(tag).build();
        self.ec2.delete_tags().resources(image).tags(tag).send().await.context("DeleteTags")?;
        Ok(())
    }

    /// The tags of an image.
    pub async fn tags(&self, image: &str) -> Result<BTreeMap<String, String>> {
        self.tags_if_seen(image).await?.context("no such image")
    }

    /// The tags of an image; `None` where this account sees no such image.
    pub async fn tags_if_seen(&self, image: &str) -> Result<Option<BTreeMap<String, String>>> {
        let pair = |tag: &Tag| {
            (tag.key().unwrap_or_default().to_owned(), tag.value().unwrap_or_default().to_owned())
        };
        Ok(self.found(image).await?.map(|found| found.tags().iter().map(pair).collect()))
    }

    /// Waits until the image has an `ami-share:status` that `accept` returns `true` for, and returns it.
    pub async fn status(&self, image: &str, accept: impl Fn(&str) -> bool) -> Result<String> {
        let mut last = None;
        let found = self
            .until("the status tag has an expected value", async || {
                last = self.tags(image).await?.remove("ami-share:status");
                Ok(last.clone().filter(|status| accept(status)))
            })
            .await;
        found.with_context(|| format!("the status of {image} is {last:?}"))
    }

    /// The launch permissions of an image: account ids, groups and ARNs, sorted.
    pub async fn launch_permissions(&self, image: &str) -> Result<Vec<String>> {
        let request =
            self.ec2.describe_image_attribute().image_id(image).attribute("launchPermission".into());
        let answer = request.send().await.context("DescribeImageAttribute")?;
        let mut entries: Vec<String> = answer
            .launch_permissions()
            .iter()
            .filter_map(|entry| {
                let group = entry.group().map(|group| group.as_str());
                let grantee = entry
                    .user_id()
                    .or(entry.organizational_unit_arn())
                    .or(entry.organization_arn())
                    .or(group);
                grantee.map(str::to_owned)
            })
            .collect();
        entries.sort();
        Ok(entries)
    }

    /// The accounts that may copy a snapshot, and `all` where every account may; sorted.
    pub async fn snapshot_permissions(&self, snapshot: &str) -> Result<Vec<String>> {
        let request = self
            .ec2
            .describe_snapshot_attribute()
            .snapshot_id(snapshot)
            .attribute("createVolumePermission".into());
        let answer = request.send().await.context("DescribeSnapshotAttribute")?;
        let mut accounts: Vec<String> = answer
            .create_volume_permissions()
            .iter()
            .filter_map(|entry| entry.user_id().or(entry.group().map(|group| group.as_str())))
            .map(str::to_owned)
            .collect();
        accounts.sort();
        Ok(accounts)
    }
}

fn ec2_tags(tags: &[(&str, &str)]) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag::builder().key(*key).value(*value).build()).collect()
}

fn at_creation(tags: &[(&str, &str)]) -> Option<Vec<TagSpecification>> {
    let image = TagSpecification::builder().resource_type(ResourceType::Image);
    (!tags.is_empty()).then(|| vec![image.set_tags(Some(ec2_tags(tags))).build()])
}

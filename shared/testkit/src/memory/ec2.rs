//! Amazon EC2: images, snapshots, and who may launch and copy them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::memory::HUB;
use crate::memory::answer::{Answer, Refused};
use crate::memory::input::{not_implemented, text_or_empty, texts, unknown_operation};

/// An image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// The account that owns it.
    pub owner: String,
    /// Its state: `available`, `pending`, `failed`, `disabled` and so on.
    pub state: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// The snapshots of its volumes.
    pub snapshots: Vec<String>,
    /// The accounts, organizations and OUs that may launch it; `all` when it is public.
    pub launch: BTreeSet<String>,
}

/// A snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The account that owns it.
    pub owner: String,
    /// The ARN of the key that encrypts it.
    pub key: Option<String>,
    /// The accounts that may copy it; `all` when it is public.
    pub accounts: BTreeSet<String>,
}

/// Images and snapshots, as EC2 shows them to the hub.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ec2 {
    /// The images.
    pub images: BTreeMap<String, Image>,
    /// The snapshots, also those that other accounts share with the hub.
    pub snapshots: BTreeMap<String, Snapshot>,
    /// The accounts that exist.
    pub accounts: BTreeSet<String>,
}

impl Ec2 {
    /// Answers one call.
    pub fn call(&mut self, operation: &str, input: &Value) -> Answer {
        match operation {
            "DescribeImages" => self.describe_images(input),
            "DescribeSnapshots" => self.describe_snapshots(input),
            "DescribeImageAttribute" => {
                let id = text_or_empty(input, "ImageId");
                let image = self.images.get(id).ok_or_else(|| no_image(id))?;
                owned(&image.owner)?;
                let permissions: Vec<Value> = image.launch.iter().map(|name| permission(name)).collect();
                Ok(json!({ "imageId": id, "launchPermission": permissions }))
            }
            "DescribeSnapshotAttribute" => {
                let id = text_or_empty(input, "SnapshotId");
                let snapshot = self.snapshots.get(id).ok_or_else(|| no_snapshot(id))?;
                owned(&snapshot.owner)?;
                let permissions: Vec<Value> = snapshot.accounts.iter().map(|name| permission(name)).collect();
                Ok(json!({ "snapshotId": id, "createVolumePermission": permissions }))
            }
            "ModifyImageAttribute" => self.modify_image(input),
            "ModifySnapshotAttribute" => self.modify_snapshot(input),
            "CreateTags" => self.create_tags(input),
            other => Err(unknown_operation("EC2", other)),
        }
    }

    /// An image that does not exist fails the call; as the value of a filter it is absent. Source:
    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeImages.html>
    fn describe_images(&self, input: &Value) -> Answer {
        let ids: Vec<&str> = texts(input, "ImageId").collect();
        if let Some(missing) = ids.iter().find(|id| !self.images.contains_key(**id)) {
            return Err(no_image(missing));
        }
        let is_named = |id: &str| ids.is_empty() || ids.contains(&id);
        let is_owned =
            |image: &Image| texts(input, "Owner").all(|owner| owner == "self" && image.owner == HUB);
        let filters = filters(input, &["block-device-mapping.snapshot-id", "image-id", "tag-key"])?;
        let passes = |id: &str, image: &Image| filters.iter().all(|filter| passes(filter, id, image));
        let images =
            self.images.iter().filter(|(id, image)| is_named(id) && is_owned(image) && passes(id, image));
        let images: Vec<Value> = images.map(|(id, image)| described(id, image)).collect();
        Ok(json!({ "imagesSet": images }))
    }

    /// Only snapshots that the caller may see are described; others fail the call. Source:
    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSnapshots.html>
    fn describe_snapshots(&self, input: &Value) -> Answer {
        let mut described = Vec::new();
        let filtered = filters(input, &["snapshot-id"])?.iter().flat_map(|filter| texts(filter, "Value"));
        for id in filtered.filter(|id| self.snapshots.contains_key(*id)).chain(texts(input, "SnapshotId")) {
            let snapshot = self.snapshots.get(id).ok_or_else(|| no_snapshot(id))?;
            let mut fields = json!({
                "snapshotId": id,
                "ownerId": snapshot.owner,
                "encrypted": snapshot.key.is_some(),
                "status": "completed",
            });
            if let (Some(key), Value::Object(fields)) = (&snapshot.key, &mut fields) {
                fields.insert("kmsKeyId".to_owned(), key.as_str().into());
            }
            described.push(fields);
        }
        Ok(json!({ "snapshotSet": described }))
    }

    fn modify_image(&mut self, input: &Value) -> Answer {
        let id = text_or_empty(input, "ImageId");
        let accounts = &self.accounts;
        // The role may call it for the hub's images only, which cannot be known of an image that does not exist.
        let image = self.images.get_mut(id).filter(|image| image.owner == HUB).ok_or_else(unauthorized)?;
        if image.state != "available" && image.state != "disabled" {
            return Err(Refused::new(
                "InvalidAMIID.Unavailable",
                format!("The image ID '[{id}]' is not available"),
            ));
        }
        let changes = input.get("LaunchPermission").unwrap_or(&Value::Null);
        change(&mut image.launch, changes, accounts, |unknown| {
            let message = format!("Invalid attribute item value \"{unknown}\" for userid item type.");
            Refused::new("InvalidAMIAttributeItemValue", message)
        })
    }

    fn modify_snapshot(&mut self, input: &Value) -> Answer {
        let id = text_or_empty(input, "SnapshotId");
        let accounts = &self.accounts;
        let snapshot =
            self.snapshots.get_mut(id).filter(|snapshot| snapshot.owner == HUB).ok_or_else(unauthorized)?;
        let changes = input.get("CreateVolumePermission").unwrap_or(&Value::Null);
        change(&mut snapshot.accounts, changes, accounts, |unknown| {
            let message = format!("Value ({unknown}) for parameter userId is invalid.");
            Refused::new("InvalidParameterValue", message)
        })
    }

    fn create_tags(&mut self, input: &Value) -> Answer {
        let tags = input.get("Tag").and_then(Value::as_array).cloned().unwrap_or_default();
        for id in texts(input, "ResourceId") {
            let image = self.images.get_mut(id).ok_or_else(|| no_image(id))?;
            image.tags.extend(
                tags.iter().map(|tag| {
                    (text_or_empty(tag, "Key").to_owned(), text_or_empty(tag, "Value").to_owned())
                }),
            );
        }
        Ok(json!({ "return": true }))
    }
}

fn described(id: &str, image: &Image) -> Value {
    let tags: Vec<Value> =
        image.tags.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect();
    let device = |(number, snapshot): (usize, &String)| json!({ "deviceName": format!("/dev/sd{number}"), "ebs": { "snapshotId": snapshot } });
    let devices: Vec<Value> = image.snapshots.iter().enumerate().map(device).collect();
    json!({
        "imageId": id,
        "imageOwnerId": image.owner,
        "imageState": image.state,
        "name": "golden",
        "blockDeviceMapping": devices,
        "tagSet": tags,
    })
}

/// Adds and removes permissions; with an account that does not exist, nothing changes.
fn change(
    permissions: &mut BTreeSet<String>,
    changes: &Value,
    accounts: &BTreeSet<String>,
    refuse: impl Fn(&str) -> Refused,
) -> Answer {
    let add: Vec<String> = principals(changes, "Add").collect();
    if let Some(unknown) = add.iter().find(|id| is_unknown(accounts, id)) {
        return Err(refuse(unknown));
    }
    permissions.extend(add);
    principals(changes, "Remove").for_each(|principal| {
        permissions.remove(&principal);
    });
    Ok(json!({ "return": true }))
}

/// The filters of a request; one that is not among `known` would be ignored.
fn filters<'a>(input: &'a Value, known: &[&str]) -> Result<&'a [Value], Refused> {
    let filters = input.get("Filter").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    match filters.iter().map(|filter| text_or_empty(filter, "Name")).find(|name| !known.contains(name)) {
        Some(name) => Err(not_implemented(format!("the filter {name}"))),
        None => Ok(filters),
    }
}

/// Whether an image passes a filter; `*` stands for any characters.
fn passes(filter: &Value, id: &str, image: &Image) -> bool {
    let matches = |value: &str| {
        texts(filter, "Value").any(|pattern| match pattern.strip_suffix('*') {
            Some(prefix) => value.starts_with(prefix),
            None => value == pattern,
        })
    };
    match text_or_empty(filter, "Name") {
        "tag-key" => image.tags.keys().any(|key| matches(key)),
        "image-id" => matches(id),
        "block-device-mapping.snapshot-id" => image.snapshots.iter().any(|snapshot| matches(snapshot)),
        _ => false,
    }
}

/// The accounts, OUs, organizations and groups of one part of a change.
fn principals(changes: &Value, part: &str) -> impl Iterator<Item = String> {
    let items = changes.get(part).and_then(Value::as_array).cloned().unwrap_or_default();
    items.into_iter().filter_map(|item| {
        let names = ["UserId", "OrganizationArn", "OrganizationalUnitArn", "Group"];
        names.iter().find_map(|name| item.get(*name)?.as_str().map(str::to_owned))
    })
}

fn permission(name: &str) -> Value {
    if name == "all" {
        json!({ "group": name })
    } else if name.contains(":ou/") {
        json!({ "organizationalUnitArn": name })
    } else if name.contains(":organization/") {
        json!({ "organizationArn": name })
    } else {
        json!({ "userId": name })
    }
}

fn is_unknown(accounts: &BTreeSet<String>, principal: &str) -> bool {
    let is_account = principal.bytes().all(|byte| byte.is_ascii_digit());
    is_account && !accounts.contains(principal)
}

fn owned(owner: &str) -> Result<(), Refused> {
    if owner == HUB { Ok(()) } else { Err(Refused::new("AuthFailure", "Not authorized for this resource")) }
}

/// EC2 evaluates the role's condition on the owner, which cannot hold of what does not exist.
fn unauthorized() -> Refused {
    Refused::new("UnauthorizedOperation", "You are not authorized to perform this operation.")
        .with_status(403)
}

fn no_image(id: &str) -> Refused {
    Refused::new("InvalidAMIID.NotFound", format!("The image id '[{id}]' does not exist"))
}

fn no_snapshot(id: &str) -> Refused {
    Refused::new("InvalidSnapshot.NotFound", format!("The snapshot '{id}' does not exist."))
}

//! The hub of the flows: its images, snapshots and keys, and the accounts and OUs around it.

use std::collections::BTreeMap;

use ami_share_testkit::memory::ec2::{Image, Snapshot};
use ami_share_testkit::memory::kms::Key;
use ami_share_testkit::memory::organizations::Node;
use ami_share_testkit::memory::{HUB, InMemoryAws};
use serde_json::{Value, json};

/// Target accounts.
pub const A: &str = "222222222222";
/// Another one.
pub const B: &str = "333333333333";
/// An account in the OU [`OU`].
pub const C: &str = "444444444444";
/// An account that another principal grants access.
pub const X: &str = "555555555555";
/// An OU.
pub const OU: &str = "ou-ab12-cdef3456";
/// The image of most flows, on [`KEY`].
pub const IMAGE: &str = "ami-0abcdef1234567890";
/// Another image, with one snapshot on [`KEY`] and one on [`OTHER_KEY`].
pub const OTHER_IMAGE: &str = "ami-0fedcba9876543210";
/// The snapshot of [`IMAGE`].
pub const SNAPSHOT: &str = "snap-0aaaaaaaaaaaaaaaa";
/// The snapshots of [`OTHER_IMAGE`].
pub const OTHER_SNAPSHOTS: [&str; 2] = ["snap-0bbbbbbbbbbbbbbbb", "snap-0cccccccccccccccc"];
/// A key.
pub const KEY: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
/// Another one.
pub const OTHER_KEY: &str = "arn:aws:kms:eu-west-1:111122223333:key/0987dcba-09fe-87dc-65ba-ab0987654321";

/// The key policy as the team that owns the key wrote it.
pub fn foreign_statements() -> Value {
    json!([
        {
            "Sid": "Enable IAM policies",
            "Effect": "Allow",
            "Principal": { "AWS": format!("arn:aws:iam::{HUB}:root") },
            "Action": "kms:*",
            "Resource": "*",
        },
        {
            "Sid": "Backups",
            "Effect": "Allow",
            "Principal": { "AWS": format!("arn:aws:iam::{X}:root") },
            "Action": ["kms:Decrypt", "kms:DescribeKey"],
            "Resource": "*",
        },
    ])
}

/// The snapshots and keys of an image.
pub fn behind(image: &str) -> (&'static [&'static str], &'static [&'static str]) {
    if image == IMAGE { (&[SNAPSHOT], &[KEY]) } else { (&OTHER_SNAPSHOTS, &[KEY, OTHER_KEY]) }
}

/// An AWS in which nothing is shared yet.
pub fn aws() -> InMemoryAws {
    let start = "2026-06-01T12:00:00Z".parse().unwrap_or_default();
    let mut aws = InMemoryAws::new(start);
    let accounts = [HUB, A, B, C, X].map(str::to_owned);
    aws.edit_ec2(|ec2| {
        ec2.accounts.extend(accounts.clone());
        ec2.images.insert(IMAGE.to_owned(), image(&[SNAPSHOT], &[]));
        ec2.images.insert(OTHER_IMAGE.to_owned(), image(&OTHER_SNAPSHOTS, &[X]));
        for (snapshot, key) in [(SNAPSHOT, KEY), (OTHER_SNAPSHOTS[0], KEY), (OTHER_SNAPSHOTS[1], OTHER_KEY)] {
            let snapshot_of =
                Snapshot { owner: HUB.to_owned(), key: Some(key.to_owned()), ..Snapshot::default() };
            ec2.snapshots.insert(snapshot.to_owned(), snapshot_of);
        }
    });
    aws.edit_kms(|kms| {
        kms.accounts.extend(accounts.clone());
        for key in [KEY, OTHER_KEY] {
            kms.keys.insert(key.to_owned(), managed_key());
        }
    });
    aws.edit_organizations(|organization| {
        organization.id = "o-a1b2c3d4e5".to_owned();
        organization.root = "r-ab12".to_owned();
        let node = |parent: &str| Node { parent: parent.to_owned(), is_active: true, tags: BTreeMap::new() };
        organization.units.insert(OU.to_owned(), node("r-ab12"));
        organization.accounts.extend([HUB, A, B].map(|id| (id.to_owned(), node("r-ab12"))));
        organization.accounts.insert(C.to_owned(), node(OU));
    });
    aws.buses.add_bus(A);
    aws
}

fn image(snapshots: &[&str], launch: &[&str]) -> Image {
    Image {
        owner: HUB.to_owned(),
        state: "available".to_owned(),
        tags: BTreeMap::new(),
        snapshots: snapshots.iter().map(|id| (*id).to_owned()).collect(),
        launch: launch.iter().map(|id| (*id).to_owned()).collect(),
    }
}

fn managed_key() -> Key {
    let policy = json!({ "Version": "2012-10-17", "Statement": foreign_statements() });
    Key {
        policy: policy.to_string(),
        tags: BTreeMap::from([("ami-share:managed".to_owned(), "true".to_owned())]),
        state: "Enabled".to_owned(),
    }
}

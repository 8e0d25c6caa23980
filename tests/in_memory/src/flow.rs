//! One flow: what happens, and who has access in the end.

use std::collections::BTreeSet;

use ami_share_testkit::memory::{HUB, InMemoryAws, REGION};
use serde_json::{Value, json};

use crate::connection::SharedAws;
use crate::observed::Access;
use crate::workflow::{Ended, Runner};
use crate::world;

/// Something that happens, and the reconciliation that it triggers.
#[derive(Debug, Clone, Copy)]
pub enum Act {
    /// The image has these tags from now on.
    Tag(&'static str, &'static [(&'static str, &'static str)]),
    /// The image is deregistered; its snapshots stay.
    Deregister(&'static str),
    /// The image is deregistered with its snapshots.
    DeregisterWithSnapshots(&'static str),
    /// The image gets this state.
    State(&'static str, &'static str),
    /// Another principal changes something, and CloudTrail reports a change of the image's permissions.
    OutOfBand(&'static str, fn(&mut InMemoryAws)),
    /// Another principal changes something that triggers nothing.
    Silently(fn(&mut InMemoryAws)),
    /// Time passes until the image's expiry, and its schedule fires.
    Expire(&'static str),
    /// The review, or a person, starts a reconciliation.
    Reconcile(&'static str),
    /// A person starts a reconciliation that adopts what the tags ask for.
    Adopt(&'static str),
}

/// A flow.
#[derive(Debug, Clone, Copy)]
pub struct Flow {
    /// Its name.
    pub name: &'static str,
    /// The image that it is about.
    pub image: &'static str,
    /// What happened before, without faults.
    pub before: &'static [Act],
    /// What happens, with faults.
    pub act: Act,
    /// Who loses access to the image, whatever hinders granting it to others.
    pub departing: &'static [&'static str],
    /// Who has access in the end.
    pub after: Expected,
}

/// Who has access to an image, its snapshots and its keys.
#[derive(Debug, Clone, Copy, Default)]
pub struct Expected {
    /// Who may launch it; OUs by id.
    pub launch: &'static [&'static str],
    /// Who may copy each of its snapshots.
    pub copy: &'static [&'static str],
    /// Who may use each of its keys.
    pub key: &'static [&'static str],
}

impl Flow {
    /// How the actual state differs from what it must be in the end; `also` may launch the image besides.
    pub fn difference(&self, aws: &InMemoryAws, also: &[&str]) -> Vec<String> {
        let access = Access::of(aws);
        let (snapshots, keys) = world::behind(self.image);
        let launch = access.images.get(self.image).map(names);
        let expected_launch = self.after.launch.iter().chain(also);
        let expected_launch =
            launch.as_ref().map(|_| expected_launch.map(|name| (*name).to_owned()).collect());
        let mut compared = vec![(self.image, launch, expected_launch)];
        let expected = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        for snapshot in snapshots {
            let actual = access.snapshots.get(*snapshot).map(names);
            let expected = actual.as_ref().and_then(|_| expected(self.after.copy));
            compared.push((snapshot, actual, expected));
        }
        for key in keys {
            compared.push((key, access.keys.get(*key).map(names), expected(self.after.key)));
        }
        let different = compared.into_iter().filter(|(_, actual, expected)| actual != expected);
        different
            .map(|(what, actual, expected)| format!("{what}: {actual:?} instead of {expected:?}"))
            .collect()
    }

    /// Those who should have lost the image and have not.
    pub fn still_granted(&self, aws: &InMemoryAws) -> Vec<String> {
        let access = Access::of(aws);
        let launch = access.images.get(self.image).map(names).unwrap_or_default();
        let departing = self.departing.iter().filter(|target| launch.contains(**target));
        departing.map(|target| format!("{target} may still launch {}", self.image)).collect()
    }
}

/// Accounts by id, OUs by id, whether EC2 names them by ARN or KMS by path.
fn names(all: &BTreeSet<String>) -> BTreeSet<String> {
    let last = |name: &String| name.trim_end_matches("/*").rsplit('/').next().unwrap_or_default().to_owned();
    all.iter().map(last).collect()
}

impl Act {
    /// Makes it happen, and runs the reconciliation that it triggers.
    pub async fn happen(self, aws: &SharedAws, runner: &Runner) -> Option<Ended> {
        let input = self.trigger(&mut aws.lock())?;
        Some(runner.execute(input).await)
    }

    /// Makes it happen, and returns the input of the execution that it triggers.
    pub fn trigger(self, aws: &mut InMemoryAws) -> Option<Value> {
        match self {
            Self::Tag(image, tags) => Some(tag(aws, image, tags)),
            Self::Deregister(image) => {
                aws.edit_ec2(|ec2| ec2.images.remove(image));
                Some(state_change(aws, image, "deregistered"))
            }
            Self::DeregisterWithSnapshots(image) => {
                aws.edit_ec2(|ec2| {
                    let snapshots = ec2.images.remove(image).map(|image| image.snapshots).unwrap_or_default();
                    ec2.snapshots.retain(|id, _| !snapshots.contains(id));
                });
                Some(state_change(aws, image, "deregistered"))
            }
            Self::State(image, state) => {
                aws.edit_ec2(|ec2| {
                    if let Some(image) = ec2.images.get_mut(image) {
                        state.clone_into(&mut image.state);
                        // Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DisableImage.html
                        if state == "disabled" {
                            image.launch.clear();
                        }
                    }
                });
                Some(state_change(aws, image, state))
            }
            Self::OutOfBand(image, edit) => {
                edit(aws);
                Some(
                    json!({ "image_id": image, "changed_by": "arn:aws:iam::111122223333:user/jane", "id": event_id(aws) }),
                )
            }
            Self::Silently(edit) => {
                edit(aws);
                None
            }
            Self::Expire(image) => {
                let due = aws.scheduler.schedules().filter(|schedule| schedule.name.contains(image));
                let when = due.map(|schedule| schedule.when).max()?;
                aws.now = aws.now.max(when);
                let now = aws.now;
                let fired = aws.scheduler.fire(now);
                fired.last().and_then(|schedule| serde_json::from_str(schedule.input.as_deref()?).ok())
            }
            Self::Reconcile(image) => Some(json!({ "image_id": image, "id": event_id(aws) })),
            Self::Adopt(image) => Some(json!({ "image_id": image, "id": event_id(aws), "adopt": true })),
        }
    }
}

fn event_id(aws: &InMemoryAws) -> String {
    format!("event-{}", aws.now.as_millisecond())
}

/// Tags the image, and returns EventBridge's event of it.
fn tag(aws: &mut InMemoryAws, image: &str, tags: &[(&str, &str)]) -> Value {
    let changed = aws.edit_ec2(|ec2| {
        let Some(image) = ec2.images.get_mut(image) else { return Vec::new() };
        let before = std::mem::take(&mut image.tags);
        let status =
            before.get_key_value("ami-share:status").map(|(key, value)| (key.clone(), value.clone()));
        image.tags.extend(status);
        image.tags.extend(tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let is_changed = |key: &&String| before.get(*key) != image.tags.get(*key);
        before.keys().chain(image.tags.keys()).filter(is_changed).cloned().collect()
    });
    let all = aws.ec2().images.get(image).map(|image| image.tags.clone()).unwrap_or_default();
    let version = aws.now.as_second() - 1_700_000_000;
    let detail = json!({
        "changed-tag-keys": changed,
        "service": "ec2",
        "resource-type": "image",
        "version": version,
        "tags": all,
    });
    event(
        aws,
        "aws.tag",
        "Tag Change on Resource",
        &format!("arn:aws:ec2:{REGION}:{HUB}:image/{image}"),
        detail,
    )
}

fn state_change(aws: &InMemoryAws, image: &str, state: &str) -> Value {
    let detail = json!({ "RequestId": "r", "ImageId": image, "State": state, "ErrorMessage": "" });
    event(aws, "aws.ec2", "EC2 AMI State Change", &format!("arn:aws:ec2:{REGION}::image/{image}"), detail)
}

fn event(aws: &InMemoryAws, source: &str, detail_type: &str, resource: &str, detail: Value) -> Value {
    json!({
        "version": "0",
        "id": event_id(aws),
        "detail-type": detail_type,
        "source": source,
        "account": HUB,
        "time": aws.now.to_string(),
        "region": REGION,
        "resources": [resource],
        "detail": detail,
    })
}

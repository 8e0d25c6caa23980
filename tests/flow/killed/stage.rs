//! One image that is killed again and again: how it is set up, changed, stopped, and looked at once more.

use ami_share_tests::world::interruptions::{Interruption, Invocation};
use anyhow::{Context, Result};
use aws_sdk_ec2::types::Tag;

use super::cast::Cast;
use super::ending::{self, Ending};
use crate::scene::Scene;

/// What is done to an image; each leads to one look.
#[derive(Debug, Clone)]
pub enum Change {
    /// Tags it.
    Tag(Vec<(&'static str, String)>),
    /// Takes tags off.
    Untag(Vec<&'static str>),
    /// Disables it.
    Disable,
    /// Enables it again.
    Enable,
    /// Deregisters it.
    Deregister,
}

/// One image, with keys of its own.
pub struct Stage {
    scene: &'static Scene,
    /// Its id.
    pub image: String,
    keys: Vec<String>,
    snapshots: Vec<String>,
}

impl Stage {
    /// A new encrypted image on `keys` new keys, to which somebody gave another account access by hand. It is as
    /// `begin` leaves it.
    pub async fn set(scene: &'static Scene, cast: &Cast, keys: usize, begin: &Change) -> Result<Self> {
        let mut made = Vec::new();
        for _ in 0..keys {
            made.push(scene.hub.create_key().await?);
        }
        let named: Vec<&str> = made.iter().map(String::as_str).collect();
        let image = scene.hub.image(&scene.name("killed"), &named).await?;
        let snapshots = scene.hub.snapshots_of(&image).await?;
        let stage = Self { scene, image, keys: made, snapshots };
        scene.hub.permit_by_hand(&stage.image, &cast.foreign.id).await?;
        for snapshot in &stage.snapshots {
            scene.hub.permit_snapshot_by_hand(snapshot, &cast.foreign.id).await?;
        }
        // What was done by hand leads to looks, which would be taken for those of the changes that follow.
        scene.hub.has_heard_all().await?;
        scene.hub.settled(&stage.image).await?;
        stage.go(begin).await?;
        Ok(stage)
    }

    /// Makes a change and waits until a look has told of it; answers what that look invoked.
    pub async fn go(&self, change: &Change) -> Result<Vec<Invocation>> {
        let before = self.invocations_since(0).await?.len();
        self.make(change).await?;
        let told = async || {
            let since = self.invocations_since(before).await?;
            Ok(since.iter().any(has_told).then_some(since))
        };
        self.scene.hub.until("the look has told of what it did", told).await
    }

    /// Makes a change and stops its look for good at `point`; waits until that is told. `false` when the look did not
    /// come to that point; then it has ended by itself.
    pub async fn stop(&self, change: &Change, point: &Interruption) -> Result<bool> {
        let hub = &self.scene.hub;
        let before = self.invocations_since(0).await?.len();
        hub.interrupt(&self.image, point).await?;
        self.make(change).await?;
        let stopped = async || {
            let since = self.invocations_since(before).await?;
            let killed = since.iter().find(|invocation| invocation.state == "killed").cloned();
            Ok((killed.is_some() || since.iter().any(has_told)).then_some(killed))
        };
        let Some(killed) = hub.until("the look is stopped", stopped).await? else { return Ok(false) };
        self.turns_run_out(&killed.request_id).await?;
        let told = async || {
            let since = self.invocations_since(before).await?;
            Ok(since.iter().any(has_told_of_the_stop).then_some(()))
        };
        hub.until("it is told that the execution was stopped", told).await?;
        Ok(true)
    }

    /// Looks once more, when nobody waits for a usage report any more; answers the status of the execution.
    pub async fn look(&self) -> Result<String> {
        self.scene.hub.usage_report_is_waited_for_no_more(&self.image).await?;
        Ok(self.scene.hub.look(&self.image).await?.0)
    }

    /// A killed function keeps its turn for half a minute, which is too long to wait for a hundred times.
    async fn turns_run_out(&self, holder: &str) -> Result<()> {
        let keys = self.keys.iter().map(|key| format!("KEY#{key}"));
        for partition in keys.chain([format!("IMAGE#{}", self.image)]) {
            self.scene.hub.turn_runs_out(&partition, holder).await?;
        }
        Ok(())
    }

    async fn make(&self, change: &Change) -> Result<()> {
        let (hub, image) = (&self.scene.hub, self.image.as_str());
        match change {
            Change::Tag(tags) => {
                let tags: Vec<(&str, &str)> =
                    tags.iter().map(|(key, value)| (*key, value.as_str())).collect();
                hub.tag(image, &tags).await
            }
            Change::Untag(tags) => {
                let tags = tags.iter().map(|key| Tag::builder().key(*key).build()).collect();
                let request = hub.ec2.delete_tags().resources(image).set_tags(Some(tags));
                request.send().await.context("DeleteTags")?;
                Ok(())
            }
            Change::Disable => hub.disable(image).await,
            Change::Enable => hub.enable(image).await,
            Change::Deregister => hub.deregister(image).await,
        }
    }

    async fn invocations_since(&self, before: usize) -> Result<Vec<Invocation>> {
        let all = self.scene.hub.invocations(&self.image).await?;
        Ok(all.into_iter().skip(before).collect())
    }

    /// What there is now.
    pub async fn ending(&self) -> Result<Ending> {
        ending::read(&self.scene.hub, &self.image, &self.keys, &self.snapshots).await
    }
}

fn has_told(invocation: &Invocation) -> bool {
    invocation.function == "notify-targets" && !is_of_the_stop(invocation) && invocation.state == "ended"
}

fn has_told_of_the_stop(invocation: &Invocation) -> bool {
    invocation.function == "notify-targets" && is_of_the_stop(invocation) && invocation.state == "ended"
}

fn is_of_the_stop(invocation: &Invocation) -> bool {
    invocation.event.as_deref() == Some("Step Functions Execution Status Change")
}

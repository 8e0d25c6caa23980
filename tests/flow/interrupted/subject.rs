//! One image that is killed again and again: how it is set up, changed, stopped, and looked at once more.

use ami_share_tests::world::interruptions::{Interruption, Invocation};
use anyhow::{Context, Result};
use aws_sdk_ec2::types::Tag;

use super::accounts::Accounts;
use super::end_state::{self, EndState};
use crate::fixture::Fixture;

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
pub struct Subject {
    fixture: &'static Fixture,
    /// Its id.
    pub image: String,
    keys: Vec<String>,
    snapshots: Vec<String>,
}

impl Subject {
    /// A new encrypted image on `keys` new keys, to which somebody gave another account access by hand. It is as
    /// `begin` leaves it.
    pub async fn set(
        fixture: &'static Fixture,
        accounts: &Accounts,
        keys: usize,
        begin: &Change,
    ) -> Result<Self> {
        let mut made = Vec::new();
        for _ in 0..keys {
            made.push(fixture.hub.create_key().await?);
        }
        let named: Vec<&str> = made.iter().map(String::as_str).collect();
        let image = fixture.hub.image(&fixture.name("killed"), &named).await?;
        let snapshots = fixture.hub.snapshots_of(&image).await?;
        let subject = Self { fixture, image, keys: made, snapshots };
        fixture.hub.grant_out_of_band(&subject.image, &accounts.foreign.id).await?;
        for snapshot in &subject.snapshots {
            fixture.hub.grant_snapshot_out_of_band(snapshot, &accounts.foreign.id).await?;
        }
        // What was done by hand leads to looks, which would be taken for those of the changes that follow.
        fixture.hub.has_received_all().await?;
        fixture.hub.settled(&subject.image).await?;
        subject.go(begin).await?;
        Ok(subject)
    }

    /// Makes a change and waits until a look has told of it; answers what that look invoked.
    pub async fn go(&self, change: &Change) -> Result<Vec<Invocation>> {
        let before = self.invocations_since(0).await?.len();
        self.make(change).await?;
        let notified = async || {
            let since = self.invocations_since(before).await?;
            Ok(since.iter().any(has_notified).then_some(since))
        };
        self.fixture.hub.until("the look has told of what it did", notified).await
    }

    /// Makes a change and stops its look for good at `point`; waits until that is told. `false` when the look did not
    /// come to that point; then it has ended by itself.
    pub async fn stop(&self, change: &Change, point: &Interruption) -> Result<bool> {
        let hub = &self.fixture.hub;
        let before = self.invocations_since(0).await?.len();
        hub.interrupt(&self.image, point).await?;
        self.make(change).await?;
        let stopped = async || {
            let since = self.invocations_since(before).await?;
            let interrupted = since.iter().find(|invocation| invocation.state == "killed").cloned();
            Ok((interrupted.is_some() || since.iter().any(has_notified)).then_some(interrupted))
        };
        let Some(interrupted) = hub.until("the look is stopped", stopped).await? else { return Ok(false) };
        self.leases_expire(&interrupted.request_id).await?;
        let notified = async || {
            let since = self.invocations_since(before).await?;
            Ok(since.iter().any(has_notified_of_the_stop).then_some(()))
        };
        hub.until("it is told that the execution was stopped", notified).await?;
        Ok(true)
    }

    /// Looks once more, when nobody waits for a usage report any more; answers the status of the execution.
    pub async fn trigger(&self) -> Result<String> {
        self.fixture.hub.usage_report_is_waited_for_no_more(&self.image).await?;
        Ok(self.fixture.hub.trigger(&self.image).await?.0)
    }

    /// A killed function keeps its turn for half a minute, which is too long to wait for a hundred times.
    async fn leases_expire(&self, holder: &str) -> Result<()> {
        let keys = self.keys.iter().map(|key| format!("KEY#{key}"));
        for partition in keys.chain([format!("IMAGE#{}", self.image)]) {
            self.fixture.hub.lease_expires(&partition, holder).await?;
        }
        Ok(())
    }

    async fn make(&self, change: &Change) -> Result<()> {
        let (hub, image) = (&self.fixture.hub, self.image.as_str());
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
        let all = self.fixture.hub.invocations(&self.image).await?;
        Ok(all.into_iter().skip(before).collect())
    }

    /// What there is now.
    pub async fn end_state(&self) -> Result<EndState> {
        end_state::read(&self.fixture.hub, &self.image, &self.keys, &self.snapshots).await
    }
}

fn has_notified(invocation: &Invocation) -> bool {
    invocation.function == "notify-targets" && !is_of_the_stop(invocation) && invocation.state == "ended"
}

fn has_notified_of_the_stop(invocation: &Invocation) -> bool {
    invocation.function == "notify-targets" && is_of_the_stop(invocation) && invocation.state == "ended"
}

fn is_of_the_stop(invocation: &Invocation) -> bool {
    invocation.event.as_deref() == Some("Step Functions Execution Status Change")
}

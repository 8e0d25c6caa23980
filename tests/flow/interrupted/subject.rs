//! One image whose reconciliations are interrupted again and again: how it is set up, changed and reconciled.

use ami_share_tests::world::interruptions::{Interruption, Invocation};
use anyhow::{Context, Result};
use aws_sdk_ec2::types::Tag;

use super::accounts::Accounts;
use super::end_state::{self, EndState};
use crate::fixture::Fixture;

/// A change of an image, which starts one reconciliation.
#[derive(Debug, Clone)]
pub enum Change {
    /// Tags it.
    Tag(Vec<(&'static str, String)>),
    /// Removes tags.
    Untag(Vec<&'static str>),
    /// Disables it.
    Disable,
    /// Enables it again.
    Enable,
    /// Deregisters it.
    Deregister,
}

/// One image with its own keys.
pub struct Subject {
    fixture: &'static Fixture,
    /// The image's id.
    pub image: String,
    keys: Vec<String>,
    snapshots: Vec<String>,
}

impl Subject {
    /// A new image encrypted with `keys` new keys. One account has unmanaged access to it, and the change `begin` is
    /// applied.
    pub async fn create(
        fixture: &'static Fixture,
        accounts: &Accounts,
        keys: usize,
        begin: &Change,
    ) -> Result<Self> {
        let mut key_arns = Vec::new();
        for _ in 0..keys {
            key_arns.push(fixture.hub.create_key().await?);
        }
        let arns: Vec<&str> = key_arns.iter().map(String::as_str).collect();
        let image = fixture.hub.image(&fixture.name("interrupted"), &arns).await?;
        let snapshots = fixture.hub.snapshots_of(&image).await?;
        let subject = Self { fixture, image, keys: key_arns, snapshots };
        fixture.hub.grant_out_of_band(&subject.image, &accounts.unmanaged.id).await?;
        for snapshot in &subject.snapshots {
            fixture.hub.grant_snapshot_out_of_band(snapshot, &accounts.unmanaged.id).await?;
        }
        // The out-of-band changes start reconciliations, which must not be mistaken for those of the next changes.
        fixture.hub.events_delivered().await?;
        fixture.hub.settled(&subject.image).await?;
        subject.apply(begin).await?;
        Ok(subject)
    }

    /// Makes a change and waits until a reconciliation has notified it. Returns the invocations since the change.
    pub async fn apply(&self, change: &Change) -> Result<Vec<Invocation>> {
        let before = self.invocations_since(0).await?.len();
        self.change(change).await?;
        let notified = async || {
            let since = self.invocations_since(before).await?;
            Ok(since.iter().any(has_notified).then_some(since))
        };
        self.fixture.hub.until("the reconciliation has notified the change", notified).await
    }

    /// Makes a change, interrupts its reconciliation at `point`, and waits until the interruption is notified. Returns
    /// `false` if the reconciliation ended without reaching the point.
    pub async fn interrupt(&self, change: &Change, point: &Interruption) -> Result<bool> {
        let hub = &self.fixture.hub;
        let before = self.invocations_since(0).await?.len();
        hub.interrupt(&self.image, point).await?;
        self.change(change).await?;
        let is_interrupted = async || {
            let since = self.invocations_since(before).await?;
            let interrupted = since.iter().find(|invocation| invocation.state == "killed").cloned();
            Ok((interrupted.is_some() || since.iter().any(has_notified)).then_some(interrupted))
        };
        let Some(interrupted) = hub.until("the reconciliation is interrupted", is_interrupted).await? else {
            return Ok(false);
        };
        self.leases_expire(&interrupted.request_id).await?;
        let notified = async || {
            let since = self.invocations_since(before).await?;
            Ok(since.iter().any(has_notified_the_interruption).then_some(()))
        };
        hub.until("the interruption is notified", notified).await?;
        Ok(true)
    }

    /// Starts one more reconciliation, once no usage report is awaited. Returns the status of its execution.
    pub async fn reconcile(&self) -> Result<String> {
        self.fixture.hub.expire_usage_report_wait(&self.image).await?;
        Ok(self.fixture.hub.reconcile(&self.image).await?.0)
    }

    /// Ends the leases of a killed function, which would last half a minute: too long to wait a hundred times.
    async fn leases_expire(&self, holder: &str) -> Result<()> {
        let keys = self.keys.iter().map(|key| format!("KEY#{key}"));
        for partition in keys.chain([format!("IMAGE#{}", self.image)]) {
            self.fixture.hub.expire_lease(&partition, holder).await?;
        }
        Ok(())
    }

    async fn change(&self, change: &Change) -> Result<()> {
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

    /// The present state.
    pub async fn end_state(&self) -> Result<EndState> {
        end_state::read(&self.fixture.hub, &self.image, &self.keys, &self.snapshots).await
    }
}

fn has_notified(invocation: &Invocation) -> bool {
    invocation.function == "notify-targets"
        && !is_about_the_interruption(invocation)
        && invocation.state == "ended"
}

fn has_notified_the_interruption(invocation: &Invocation) -> bool {
    invocation.function == "notify-targets"
        && is_about_the_interruption(invocation)
        && invocation.state == "ended"
}

fn is_about_the_interruption(invocation: &Invocation) -> bool {
    invocation.event.as_deref() == Some("Step Functions Execution Status Change")
}

//! Runs the lives of images and reviews on the simulated AWS, one after the other, and measures each event.

use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use aws_sdk_ec2::primitives::{DateTime, DateTimeFormat};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::json;

use super::counting::{Moment, Used};
use super::month::{LifeEvent, Review};
use super::usage::Usage;
use crate::progress::say;
use crate::world::Account;

/// Accounts that the tag of the typical image names.
pub const ACCOUNTS: usize = 3;
/// Accounts in the OU that the tag names besides.
pub const ACCOUNTS_OF_OU: usize = 5;
/// Images that live a whole life; the usage of each event is the mean of them.
pub const LIVES: usize = 3;
/// How often each image is reconciled in a month without need: duplicate events, unchanged tags.
pub const IDLE_RECONCILIATIONS: f64 = 4.0;
/// The event that others are compared with.
pub const SHARED: &str = "tagged and shared";
/// Images of the three reviews. The last one reads one page more than the others.
pub const REVIEWED: [u32; 3] = [2, 12, 62];
/// Images that are shared at the same time, where that is not measured.
const AT_ONCE: usize = 4;
const DAY: Duration = Duration::from_secs(86_400);

/// The hub with an organization, and the selectors of the typical image's tag.
pub struct Accounts<'a> {
    hub: &'a Account,
    logs: &'a Path,
    selectors: String,
    fewer_selectors: String,
}

impl<'a> Accounts<'a> {
    /// Makes the organization. Every account has a bus for its notifications.
    pub async fn assemble(hub: &'a Account, logs: &'a Path) -> Result<Self> {
        say("making an organization with an OU, and a bus in each account");
        hub.ignore_organization().await?;
        hub.create_organization().await?;
        let root = hub.root().await?;
        let ou = hub.create_ou(&root, "production").await?;
        let mut selectors = Vec::new();
        for number in 0..ACCOUNTS + ACCOUNTS_OF_OU {
            let parent = if number < ACCOUNTS { &root } else { &ou };
            let account = hub.create_account(&format!("account-{number}"), parent).await?;
            hub.assume(&account).await?.listen().await?;
            if number < ACCOUNTS {
                selectors.push(account);
            }
        }
        selectors.push(ou);
        let fewer_selectors = selectors.get(1..).context("no selectors")?.join(" ");
        Ok(Self { hub, logs, selectors: selectors.join(" "), fewer_selectors })
    }

    /// What each event in the life of an image uses: the mean of several lives.
    pub async fn life_events(&self) -> Result<Vec<LifeEvent>> {
        let mut lives = Vec::new();
        for number in 0..LIVES {
            say(format!("life {} of {LIVES}", number + 1));
            lives.push(self.life(number).await?);
        }
        mean(&lives)
    }

    async fn life(&self, number: usize) -> Result<Vec<Lived>> {
        let hub = self.hub;
        let key = hub.create_key().await?;
        let mut image = String::new();
        let made = self.measure("made, without tags", 1.0, 2, async || {
            image = hub.image(&format!("typical-{number}"), &[&key]).await?;
            Ok(())
        });
        let made = made.await?;
        let image = image.as_str();
        let until = in_days(30)?;
        let tags = [("ami-share:with", self.selectors.as_str()), ("ami-share:until", until.as_str())];
        let shared = self.measure(SHARED, 1.0, 1, async || hub.tag(image, &tags).await);
        let shared = shared.await?;
        let again = self.measure("reconciled again, nothing to do", IDLE_RECONCILIATIONS, 1, async || {
            hub.start_execution(&json!({ "image_id": image })).await.map(drop)
        });
        let again = again.await?;
        let fewer = [("ami-share:with", self.fewer_selectors.as_str())];
        let changed =
            self.measure("tag changed, one account fewer", 1.0, 1, async || hub.tag(image, &fewer).await);
        let changed = changed.await?;
        let until = in_days(3)?;
        let near = [("ami-share:until", until.as_str())];
        let warned = self.measure("`ami-share:until` moved nearer, all warned of it", 1.0, 1, async || {
            hub.tag(image, &near).await
        });
        let warned = warned.await?;
        let ended = self
            .measure("tag removed, all revoked", 1.0, 1, async || hub.untag(image, "ami-share:with").await);
        let ended = ended.await?;
        let gone = self.measure("deregistered", 1.0, 1, async || hub.deregister(image).await);
        Ok(vec![made, shared, again, changed, warned, ended, gone.await?])
    }

    /// Causes an event, waits until everything that it triggers is over, and returns what that used.
    async fn measure(
        &self,
        name: &'static str,
        times: f64,
        reconciliations: usize,
        event: impl AsyncFnOnce() -> Result<()>,
    ) -> Result<Lived> {
        let before = Moment::now(self.hub, self.logs).await?;
        event().await?;
        let started =
            async || Ok((before.executions_since(self.hub).await? >= reconciliations).then_some(()));
        self.hub.until("the reconciliations have begun", started).await?;
        self.hub.wait_until_idle().await?;
        let used = before.since(self.hub, self.logs).await.with_context(|| format!("measuring: {name}"))?;
        Ok(Lived { name, times, used })
    }

    /// What a review uses, by three reviews of different sizes that find nothing to do.
    pub async fn review(&self) -> Result<Review> {
        let mut reviews = Vec::new();
        let mut shared_so_far = 0;
        for images in REVIEWED {
            say(format!("sharing {} images for a review of {images}", images - shared_so_far));
            self.share_for_review(shared_so_far..images).await?;
            shared_so_far = images;
            reviews.push((images, self.reviewed(images).await?));
        }
        let three: [(u32, Usage); 3] = reviews.try_into().ok().context("there are not three reviews")?;
        Ok(Review::from_three(three))
    }

    /// Without its events, so that each image is reconciled once and not three times.
    async fn share_for_review(&self, numbers: std::ops::Range<u32>) -> Result<()> {
        self.hub.disable_rules().await?;
        let shared = stream::iter(numbers).map(async |number| {
            let key = self.hub.create_key().await?;
            let tags = [("ami-share:with", self.selectors.as_str())];
            let image = self.hub.register_image(&format!("reviewed-{number}"), &[&key], &tags).await?;
            let (status, output) = self.hub.reconcile(&image).await?;
            ensure!(status == "SUCCEEDED", "the reconciliation of {image} is {status}: {output}");
            Ok(())
        });
        shared.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        self.hub.enable_rules().await?;
        self.hub.ignore_organization().await
    }

    async fn reviewed(&self, images: u32) -> Result<Usage> {
        let before = Moment::now(self.hub, self.logs).await?;
        let review = self.hub.review().await?;
        self.hub.wait_until_idle().await?;
        let counted = |name| review.count(name);
        ensure!(
            (counted("images"), counted("differing")) == (Some(images.into()), Some(0)),
            "a review of {images} images that match their tags says {}",
            review.output
        );
        let mut used = before.since(self.hub, self.logs).await?;
        used.object_bytes = self.hub.bytes_of(review.page()?).await?;
        used.billed()
    }
}

/// An event of one image.
struct Lived {
    name: &'static str,
    times: f64,
    used: Used,
}

/// What each event used in the mean of all lives.
fn mean(lives: &[Vec<Lived>]) -> Result<Vec<LifeEvent>> {
    let share = 1.0 / lives.len() as f64;
    let mut life_events: Vec<LifeEvent> = Vec::new();
    for lived in lives.iter().flatten() {
        let usage = lived.used.billed()? * share;
        let (reconciliations, calls) = (lived.used.executions * share, lived.used.calls() * share);
        match life_events.iter_mut().find(|event| event.name == lived.name) {
            Some(event) => {
                event.reconciliations += reconciliations;
                event.calls += calls;
                event.usage = event.usage.clone() + usage;
            }
            None => life_events.push(LifeEvent {
                name: lived.name,
                times: lived.times,
                reconciliations,
                calls,
                usage,
            }),
        }
    }
    Ok(life_events)
}

/// A moment so many days ahead, as `ami-share:until` has it.
fn in_days(days: u32) -> Result<String> {
    Ok(DateTime::from(SystemTime::now() + DAY * days).fmt(DateTimeFormat::DateTime)?)
}

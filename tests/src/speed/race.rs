//! Measures how long scripts and ami-share take to share images with the same accounts.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;

use super::script::{self, Style};
use crate::progress::say;
use crate::world::Account;

/// The races: the number of images, which are tagged in the same moment, and of accounts for each.
pub const RACES: [(usize, usize); 4] = [(1, 1), (1, 10), (1, 100), (10, 10)];
/// The latency of a call in seconds, the same for scripts and ami-share.
pub const LATENCY: f64 = 0.05;
/// Account ids that fit into the 256 characters of a tag.
const SELECTORS_OF_A_TAG: usize = 19;

/// How long one of them took, and how many calls it made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Run {
    /// From the start until every account has access; for ami-share, until the image's status says so.
    pub seconds: f64,
    /// Calls, including those for notifications and for the ledger.
    pub calls: f64,
}

/// The result of a race.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Race {
    /// Images that were shared.
    pub images: usize,
    /// Accounts that each of them was shared with.
    pub accounts: usize,
    /// By a script that handles one account after the other.
    pub account_by_account: Run,
    /// By a script with many accounts in each call.
    pub batched: Run,
    /// By ami-share.
    pub ami_share: Run,
}

/// Images on one key, and the accounts with which to share them.
struct Task<'a> {
    images: Vec<String>,
    key: String,
    accounts: &'a [String],
}

/// A hub with an organization of as many accounts as the largest race needs.
pub struct Track<'a> {
    hub: &'a Account,
    accounts: Vec<String>,
}

impl<'a> Track<'a> {
    /// Makes the organization.
    pub async fn new(hub: &'a Account) -> Result<Self> {
        let most = RACES.iter().map(|(_, accounts)| *accounts).max().unwrap_or_default();
        say(format!("making an organization of {most} accounts"));
        hub.ignore_organization().await?;
        hub.create_organization().await?;
        let root = hub.root().await?;
        let mut accounts = Vec::new();
        for number in 0..most {
            accounts.push(hub.create_account(&format!("account-{number}"), &root).await?);
        }
        Ok(Self { hub, accounts })
    }

    /// One image for one account, while no function has a process yet.
    pub async fn first(&self) -> Result<Run> {
        say("ami-share: the first image, cold");
        self.ami_share(self.task(1, 1).await?).await
    }

    /// All races.
    pub async fn races(&self) -> Result<Vec<Race>> {
        let mut races = Vec::new();
        for (images, accounts) in RACES {
            say(format!("images: {images}, accounts: {accounts}"));
            races.push(Race {
                images,
                accounts,
                account_by_account: self
                    .script(self.task(images, accounts).await?, Style::AccountByAccount)
                    .await?,
                batched: self.script(self.task(images, accounts).await?, Style::Batched).await?,
                ami_share: self.ami_share(self.task(images, accounts).await?).await?,
            });
        }
        Ok(races)
    }

    async fn task(&self, images: usize, accounts: usize) -> Result<Task<'_>> {
        let key = self.hub.create_key().await?;
        let of_key = key.rsplit('-').next().unwrap_or_default();
        let mut made = Vec::new();
        for number in 0..images {
            made.push(self.hub.image(&format!("racing-{of_key}-{number}"), &[&key]).await?);
        }
        // Each new image is reconciled.
        self.hub.wait_until_idle().await?;
        let accounts = self.accounts.get(..accounts).context("too few accounts")?;
        Ok(Task { images: made, key, accounts })
    }

    async fn script(&self, task: Task<'_>, style: Style) -> Result<Run> {
        let started = Instant::now();
        let mut calls = 0;
        for image in &task.images {
            calls += script::share(self.hub, image, &task.key, task.accounts, style).await?;
        }
        let run = Run { seconds: started.elapsed().as_secs_f64(), calls: calls as f64 };
        self.check(&task).await?;
        Ok(run)
    }

    async fn ami_share(&self, task: Task<'_>) -> Result<Run> {
        let before = self.calls().await?;
        let tags = tags(task.accounts);
        let tags: Vec<(&str, &str)> =
            tags.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let started = Instant::now();
        try_join_all(task.images.iter().map(async |image| {
            self.hub.tag(image, &tags).await?;
            self.hub
                .status(image, |status| status.starts_with("shared with ") && !status.contains("refused"))
                .await
        }))
        .await?;
        let seconds = started.elapsed().as_secs_f64();
        self.hub.wait_until_idle().await?;
        let calls = self.calls().await? - before;
        self.check(&task).await?;
        Ok(Run { seconds, calls })
    }

    async fn calls(&self) -> Result<f64> {
        Ok(self.hub.meter().await?.calls.values().sum())
    }

    /// Checks that every account has access. A race that ends without that is not valid.
    async fn check(&self, task: &Task<'_>) -> Result<()> {
        let mut expected = task.accounts.to_vec();
        expected.sort();
        let policy = self.hub.key_policy(&task.key).await?;
        ensure!(
            expected.iter().all(|account| policy.contains(account)),
            "the key policy does not name every account"
        );
        for image in &task.images {
            ensure!(
                self.hub.launch_permissions(image).await? == expected,
                "{image} is not shared with every account"
            );
            for snapshot in self.hub.snapshots_of(image).await? {
                ensure!(
                    self.hub.snapshot_permissions(&snapshot).await? == expected,
                    "not every account may copy {image}"
                );
            }
        }
        Ok(())
    }
}

/// The tags that share an image with accounts, which may copy it.
fn tags(accounts: &[String]) -> Vec<(String, String)> {
    let names = std::iter::once("ami-share:with".to_owned())
        .chain((2..).map(|number| format!("ami-share:with:{number}")));
    let selectors = accounts.chunks(SELECTORS_OF_A_TAG).map(|some| some.join(" "));
    names.zip(selectors).chain([("ami-share:copy".to_owned(), "allowed".to_owned())]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_accounts_fit_into_six_tags() {
        let accounts: Vec<String> = (0..100).map(|number| format!("{number:012}")).collect();
        let tags = tags(&accounts);
        let names: Vec<&str> = tags.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names.first(), Some(&"ami-share:with"));
        assert_eq!(names.last(), Some(&"ami-share:copy"));
        assert_eq!((tags.len(), names.get(5)), (7, Some(&"ami-share:with:6")));
        assert!(tags.iter().all(|(_, value)| value.len() <= 256));
    }
}

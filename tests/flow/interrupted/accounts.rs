//! The accounts of all plays on one stack, and what they are told.

use std::collections::BTreeMap;

use ami_share_tests::world::Account;
use anyhow::{Result, ensure};
use serde_json::Value;
use tokio::sync::Mutex;

use crate::fixture::Fixture;
use crate::notifications::on_the_bus;

/// Nobody else is in the organization, so that every look makes the same calls to AWS Organizations.
pub struct Accounts {
    /// May use the image all the while, by an OU of its own.
    pub stays: Account,
    /// That OU.
    pub home: String,
    /// Comes and goes by its id.
    pub named: Account,
    /// Comes and goes by its OU.
    pub inside: Account,
    /// That OU.
    pub ou: String,
    /// Was given access by hand.
    pub foreign: Account,
    /// What was heard so far of each image: on the hub's bus, and on the accounts' own.
    received: Mutex<BTreeMap<String, Received>>,
    queues: Vec<(Account, String)>,
}

/// How often each notice came, by listener, name and target.
pub type Received = BTreeMap<(String, String, String), usize>;

impl Accounts {
    /// Makes the accounts. All that come and go have a bus.
    pub async fn meet(fixture: &Fixture) -> Result<Self> {
        let ou = fixture.ou("inside", &fixture.root).await?;
        let home = fixture.ou("home", &fixture.root).await?;
        let (stays, named) =
            (fixture.account_in("stays", &home).await?, fixture.target_account("named").await?);
        let (inside, foreign) =
            (fixture.account_in("inside", &ou).await?, fixture.target_account("foreign").await?);
        let mut queues = vec![(fixture.hub.clone(), on_the_bus(fixture).await?)];
        for account in [&stays, &named, &inside] {
            queues.push((account.clone(), account.listen().await?));
        }
        Ok(Self { stays, home, named, inside, ou, foreign, received: Mutex::default(), queues })
    }

    /// Waits until each listener has heard each notice of a target so often, and checks that it was at the most
    /// `again` times more.
    pub async fn received_at_least(
        &self,
        images: &[String],
        least: &[(&str, &str, &str, usize)],
        again: usize,
    ) -> Result<()> {
        for (listener, kind, target, times) in least {
            let what = format!("{listener} has heard {kind} of `{target}` {times} times");
            let named = ((*listener).to_owned(), (*kind).to_owned(), (*target).to_owned());
            let count = async || {
                let count = self.received(images).await?.get(&named).copied().unwrap_or_default();
                Ok((count >= *times).then_some(count))
            };
            let count = self.named.until(&what, count).await?;
            ensure!(count <= times + again, "{what}, and {} times more", count - times);
        }
        Ok(())
    }

    /// What everybody has heard of these images by now.
    async fn received(&self, images: &[String]) -> Result<Received> {
        let mut received = self.received.lock().await;
        for (listener, queue) in &self.queues {
            for notification in listener.take(queue).await? {
                let text = |place: &str| {
                    notification.pointer(place).and_then(Value::as_str).unwrap_or_default().to_owned()
                };
                let named = (listener.id.clone(), text("/detail-type"), text("/detail/target"));
                *received.entry(text("/detail/image_id")).or_default().entry(named).or_default() += 1;
            }
        }
        let mut all = Received::new();
        for (named, times) in images.iter().filter_map(|image| received.get(image)).flatten() {
            *all.entry(named.clone()).or_default() += times;
        }
        Ok(all)
    }
}

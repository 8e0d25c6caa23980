//! The accounts of all scenarios on one stack, and the notifications that they receive.

use std::collections::BTreeMap;

use ami_share_tests::world::Account;
use anyhow::{Result, ensure};
use serde_json::Value;
use tokio::sync::Mutex;

use crate::fixture::Fixture;
use crate::notifications::on_the_bus;

/// The only accounts in the organization, so that every reconciliation makes the same calls to AWS Organizations.
pub struct Accounts {
    /// Always has access, through its own OU.
    pub stays: Account,
    /// The OU of `stays`.
    pub home: String,
    /// Gets and loses access by its id.
    pub named: Account,
    /// Gets and loses access through its OU.
    pub inside: Account,
    /// The OU of `inside`.
    pub ou: String,
    /// Has unmanaged access.
    pub unmanaged: Account,
    /// The notifications of each image so far, on the hub's bus and on the buses of the accounts.
    received: Mutex<BTreeMap<String, Received>>,
    queues: Vec<(Account, String)>,
}

/// How often each notification was received, by recipient, kind and target.
pub type Received = BTreeMap<(String, String, String), usize>;

impl Accounts {
    /// Creates the accounts. All that managed access concerns have a bus.
    pub async fn create(fixture: &Fixture) -> Result<Self> {
        let ou = fixture.ou("inside", &fixture.root).await?;
        let home = fixture.ou("home", &fixture.root).await?;
        let (stays, named) =
            (fixture.account_in("stays", &home).await?, fixture.target_account("named").await?);
        let (inside, unmanaged) =
            (fixture.account_in("inside", &ou).await?, fixture.target_account("unmanaged").await?);
        let mut queues = vec![(fixture.hub.clone(), on_the_bus(fixture).await?)];
        for account in [&stays, &named, &inside] {
            queues.push((account.clone(), account.listen().await?));
        }
        Ok(Self { stays, home, named, inside, ou, unmanaged, received: Mutex::default(), queues })
    }

    /// Waits until each recipient has received each notification of a target so many times, and checks that it was at
    /// most `repeats` times more.
    pub async fn received_at_least(
        &self,
        images: &[String],
        least: &[(&str, &str, &str, usize)],
        repeats: usize,
    ) -> Result<()> {
        for (recipient, kind, target, times) in least {
            let what = format!("{recipient} has received {kind} of `{target}` {times} times");
            let named = ((*recipient).to_owned(), (*kind).to_owned(), (*target).to_owned());
            let count = async || {
                let count = self.received(images).await?.get(&named).copied().unwrap_or_default();
                Ok((count >= *times).then_some(count))
            };
            let count = self.named.until(&what, count).await?;
            ensure!(count <= times + repeats, "{what}, and {} times more", count - times);
        }
        Ok(())
    }

    /// All notifications of these images so far.
    async fn received(&self, images: &[String]) -> Result<Received> {
        let mut received = self.received.lock().await;
        for (recipient, queue) in &self.queues {
            for notification in recipient.take(queue).await? {
                let text = |place: &str| {
                    notification.pointer(place).and_then(Value::as_str).unwrap_or_default().to_owned()
                };
                let named = (recipient.id.clone(), text("/detail-type"), text("/detail/target"));
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

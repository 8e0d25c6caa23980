//! Turn-taking: one writer for each key and each image, by a conditional write in the ledger's table.
//!
//! KMS and EC2 have no conditional writes of their own. A turn ends by itself after [`LEASE`], so that a
//! killed writer holds nobody up for long; who still writes renews it first.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use ami_share_domain::ids::{ImageId, KeyArn};
use aws_sdk_dynamodb::Client;
use jiff::Timestamp;

use crate::error::{AwsError, Explain, Fault};
use crate::rows::{LEASE as LEASE_ROW, RowKey, image_partition, key_partition, number, text};

/// How long a turn lasts. Longer than any one call with its retries (see the clients' time-outs).
const LEASE: Duration = Duration::from_secs(30);
/// What must be left of a turn before a write; else it is renewed. A call ends within this time.
const ENOUGH: Duration = Duration::from_secs(20);
/// How often the turn is asked for before the workflow is told to come again.
const ATTEMPTS: u32 = 12;
/// How long between two askings.
const PAUSE: Duration = Duration::from_millis(250);

/// Hands out turns.
#[derive(Debug, Clone)]
pub struct Leases {
    client: Client,
    table: String,
    lasts: Duration,
}

/// The right to write one key or one image until it is released or runs out.
#[derive(Debug)]
pub struct Lease {
    client: Client,
    table: String,
    row: RowKey,
    holder: String,
    lasts: Duration,
    /// When it runs out, in milliseconds since 1970.
    ends: AtomicI64,
}

/// When a turn may be had.
#[derive(Debug, Clone, Copy)]
enum Condition {
    /// Nobody has it, or it has run out.
    FreeOrMine,
    /// Nobody else has had it.
    StillMine,
}

impl Leases {
    /// Turns kept in the ledger's table.
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table, lasts: LEASE }
    }

    /// The same, with turns that last so long. One that is shorter than the time that must be left of it is renewed
    /// before every write.
    #[must_use]
    pub fn lasting(self, lasts: Duration) -> Self {
        Self { lasts, ..self }
    }

    /// Waits a few seconds for the turn of a key. `holder` is unique to this invocation.
    ///
    /// # Errors
    /// [`AwsError::Busy`] when another writer keeps it; the workflow tries again later.
    pub async fn of_key(&self, key: &KeyArn, holder: &str) -> Result<Lease, AwsError> {
        self.take(key_partition(key), holder).await
    }

    /// Waits a few seconds for the turn of an image. `holder` is unique to this invocation.
    ///
    /// # Errors
    /// [`AwsError::Busy`] when another writer keeps it; the workflow tries again later.
    pub async fn of_image(&self, image: &ImageId, holder: &str) -> Result<Lease, AwsError> {
        self.take(image_partition(image), holder).await
    }

    async fn take(&self, pk: String, holder: &str) -> Result<Lease, AwsError> {
        let row = RowKey { pk, sk: LEASE_ROW.to_owned() };
        let lease = Lease {
            client: self.client.clone(),
            table: self.table.clone(),
            row,
            holder: holder.to_owned(),
            lasts: self.lasts,
            ends: AtomicI64::new(0),
        };
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(PAUSE).await;
            }
            if lease.hold(Condition::FreeOrMine).await? {
                return Ok(lease);
            }
        }
        Err(AwsError::Busy(lease.row.pk))
    }
}

impl Lease {
    /// Makes sure before a write that enough of the turn is left. A turn that ran out is taken up again only if
    /// nobody has had it since: what another writer did meanwhile, this one has not seen.
    ///
    /// # Errors
    /// [`AwsError::Busy`] when another writer has it, or had it: then this one must not write any more.
    pub async fn renew(&self) -> Result<(), AwsError> {
        if self.ends.load(Ordering::Relaxed) - millis(ENOUGH) > Timestamp::now().as_millisecond() {
            return Ok(());
        }
        if self.hold(Condition::StillMine).await? { Ok(()) } else { Err(AwsError::Busy(self.row.pk.clone())) }
    }

    /// Whether the turn is ours now, and lasts anew from now on.
    async fn hold(&self, condition: Condition) -> Result<bool, AwsError> {
        let now = Timestamp::now().as_millisecond();
        let ends = now + millis(self.lasts);
        let mut item = self.row.item();
        item.insert("holder".to_owned(), text(&self.holder));
        item.insert("ends".to_owned(), number(ends));
        let request = self.client.put_item().table_name(&self.table).set_item(Some(item));
        let request = match condition {
            Condition::FreeOrMine => request
                .condition_expression("attribute_not_exists(pk) OR ends < :now OR holder = :me")
                .expression_attribute_values(":now", number(now)),
            Condition::StillMine => request.condition_expression("holder = :me"),
        };
        let request = request.expression_attribute_values(":me", text(&self.holder));
        match request.send().await.explain("dynamodb:PutItem", &self.row.pk) {
            Ok(_) => {
                self.ends.store(ends, Ordering::Relaxed);
                Ok(true)
            }
            Err(error) if error.fault() == Fault::Condition => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Gives the turn back. When that fails it runs out by itself, so nothing is lost but time.
    pub async fn release(self) {
        let request = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(self.row.item()))
            .condition_expression("holder = :me")
            .expression_attribute_values(":me", text(&self.holder));
        if let Err(error) = request.send().await.explain("dynamodb:DeleteItem", &self.row.pk)
            && error.fault() != Fault::Condition
        {
            tracing::warn!(%error, "the turn was not released; it runs out by itself");
        }
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

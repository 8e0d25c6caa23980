//! Leases: one writer for each key and each image, by a conditional write in the ledger's table.
//!
//! KMS and EC2 have no conditional writes of their own. A lease expires after [`LEASE`], so that an interrupted
//! writer does not block others for long. A writer that still needs it renews it before each write.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use ami_share_domain::ids::{ImageId, KeyArn};
use aws_sdk_dynamodb::Client;

use crate::clock::Clock;
use crate::error::{AwsError, Explain, Fault};
use crate::ledger::rows::{LEASE as LEASE_ROW, RowKey, image_partition, key_partition, number, text};
use crate::retry;

/// How long a lease lasts. Longer than any one call with its retries (see `clients::configuration`).
const LEASE: Duration = Duration::from_secs(30);
/// How much of a lease must be left before a write; otherwise it is renewed. A call ends within this time.
const LEAST_LEFT: Duration = Duration::from_secs(20);

/// Acquires leases.
#[derive(Debug, Clone)]
pub struct Leases {
    client: Client,
    table: String,
    clock: Clock,
    duration: Duration,
}

/// The exclusive right to write one key or one image until it is released or expires.
#[derive(Debug)]
pub struct Lease {
    client: Client,
    table: String,
    clock: Clock,
    row: RowKey,
    holder: String,
    duration: Duration,
    /// When it expires, in milliseconds since 1970.
    ends: AtomicI64,
}

/// When the row of a lease may be written.
#[derive(Debug, Clone, Copy)]
enum Condition {
    /// There is no lease, it has expired, or this holder has it.
    Available,
    /// No other holder has acquired it since this one did, whether it has expired or not.
    SameHolder,
}

impl Leases {
    /// Leases in the ledger's `table`.
    pub fn new(client: Client, table: String, clock: Clock) -> Self {
        Self { client, table, clock, duration: LEASE }
    }

    /// The same with leases of another duration. A lease that is shorter than the time that must be left of it is
    /// renewed before every write.
    #[must_use]
    pub fn lasting(self, duration: Duration) -> Self {
        Self { duration, ..self }
    }

    /// Acquires the lease of a key, within a few seconds. `holder` is unique to this invocation.
    ///
    /// # Errors
    /// [`AwsError::Busy`] when another invocation holds it; the workflow tries again later.
    pub async fn of_key(&self, key: &KeyArn, holder: &str) -> Result<Lease, AwsError> {
        self.acquire(key_partition(key), holder).await
    }

    /// Acquires the lease of an image, within a few seconds. `holder` is unique to this invocation.
    ///
    /// # Errors
    /// [`AwsError::Busy`] when another invocation holds it; the workflow tries again later.
    pub async fn of_image(&self, image: &ImageId, holder: &str) -> Result<Lease, AwsError> {
        self.acquire(image_partition(image), holder).await
    }

    async fn acquire(&self, pk: String, holder: &str) -> Result<Lease, AwsError> {
        let lease = Lease {
            client: self.client.clone(),
            table: self.table.clone(),
            clock: self.clock.clone(),
            row: RowKey { pk, sk: LEASE_ROW.to_owned() },
            holder: holder.to_owned(),
            duration: self.duration,
            ends: AtomicI64::new(0),
        };
        let is_leased = |error: &AwsError| matches!(error, AwsError::Busy(_));
        retry::LEASE.retry(&self.clock, || lease.write(Condition::Available), is_leased).await?;
        Ok(lease)
    }
}

impl Lease {
    /// Makes sure before a write that enough of the lease is left. An expired lease is renewed only if no other
    /// invocation has held it since: this one has not seen what another one wrote meanwhile.
    ///
    /// # Errors
    /// [`AwsError::Busy`] when another invocation holds it, or held it: then this one must not write any more.
    pub async fn renew(&self) -> Result<(), AwsError> {
        if self.ends.load(Ordering::Relaxed) - millis(LEAST_LEFT) > self.clock.now().as_millisecond() {
            return Ok(());
        }
        self.write(Condition::SameHolder).await
    }

    /// Writes the row, so that the lease lasts its full duration from now on. [`AwsError::Busy`] when the condition
    /// does not hold.
    async fn write(&self, condition: Condition) -> Result<(), AwsError> {
        let now = self.clock.now().as_millisecond();
        let ends = now + millis(self.duration);
        let mut item = self.row.item();
        item.insert("holder".to_owned(), text(&self.holder));
        item.insert("ends".to_owned(), number(ends));
        let request = self.client.put_item().table_name(&self.table).set_item(Some(item));
        let request = match condition {
            Condition::Available => request
                .condition_expression("attribute_not_exists(pk) OR ends < :now OR holder = :holder")
                .expression_attribute_values(":now", number(now)),
            Condition::SameHolder => request.condition_expression("holder = :holder"),
        };
        let request = request.expression_attribute_values(":holder", text(&self.holder));
        match request.send().await.explain("dynamodb:PutItem", self.subject()) {
            Ok(_) => {
                self.ends.store(ends, Ordering::Relaxed);
                Ok(())
            }
            Err(error) if error.fault() == Fault::Condition => Err(AwsError::leased(self.subject())),
            Err(error) => Err(error),
        }
    }

    /// The key or image, as people name it.
    fn subject(&self) -> &str {
        self.row.pk.split_once('#').map_or(&self.row.pk, |(_, id)| id)
    }

    /// Releases the lease. If that fails it expires by itself, and the next writer waits that long.
    pub async fn release(self) {
        let request = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(self.row.item()))
            .condition_expression("holder = :holder")
            .expression_attribute_values(":holder", text(&self.holder));
        if let Err(error) = request.send().await.explain("dynamodb:DeleteItem", self.subject())
            && error.fault() != Fault::Condition
        {
            tracing::warn!(%error, "the lease was not released and expires by itself");
        }
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

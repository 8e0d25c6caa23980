//! The lease of an image, and what the ledger's table answers to a writer that acquires it.

use std::time::Duration;

use ami_share_aws::clients::Clients;
use ami_share_aws::ledger::leases::Lease;

use crate::{Recorded, image, json};

/// Longer than any test takes, with enough left at its end.
pub const LONG: Duration = Duration::from_secs(3600);
/// So short that it is renewed before every write.
pub const SHORT: Duration = Duration::from_secs(1);

/// The lease is acquired, or renewed.
pub fn granted() -> Recorded {
    json(200, "{}")
}

/// Another writer holds the lease.
pub fn held_by_another() -> Recorded {
    json(400, r#"{"__type":"ConditionalCheckFailedException","message":"The conditional request failed"}"#)
}

/// Acquires the lease for `duration`.
pub async fn lease(clients: &Clients, duration: Duration) -> Lease {
    clients.leases("ledger").lasting(duration).of_image(&image(), "me").await.unwrap()
}

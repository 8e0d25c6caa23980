//! The turn of an image, and what the ledger's table answers to who takes it.

use std::time::Duration;

use ami_share_aws::clients::Clients;
use ami_share_aws::leases::Lease;

use crate::{Recorded, image, json};

/// Longer than any test takes, with enough left at its end.
pub const LONG: Duration = Duration::from_secs(3600);
/// Too short to write anything in: it is renewed before every write.
pub const SHORT: Duration = Duration::from_secs(1);

/// The turn is taken, or renewed.
pub fn mine() -> Recorded {
    json(200, "{}")
}

/// Another writer has the turn.
pub fn another_has_it() -> Recorded {
    json(400, r#"{"__type":"ConditionalCheckFailedException","message":"The conditional request failed"}"#)
}

/// Takes the turn, which lasts so long.
pub async fn lease(clients: &Clients, lasts: Duration) -> Lease {
    clients.leases("ledger").lasting(lasts).of_image(&image(), "me").await.unwrap()
}

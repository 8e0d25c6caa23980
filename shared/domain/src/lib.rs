//! What ami-share decides, as pure code: no AWS SDK, no tokio, no clock, no environment.
//!
//! Each module uses only those above it. A trigger says which image to reconcile; its [`tags`] and the
//! organization become [`targets`]; those, the [`key`]s and the [`image`] as AWS and the ledger hold them
//! become plans; what came of the plans becomes notifications, a status ([`notify`]) and [`metrics`].

pub mod audit_log;
pub mod failed_step;
pub mod ids;
pub mod image;
pub mod isolation;
pub mod key;
mod listing;
pub mod metrics;
pub mod notify;
pub mod refusal;
pub mod review;
pub mod tags;
pub mod targets;
pub mod trigger;

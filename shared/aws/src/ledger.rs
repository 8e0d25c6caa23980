//! The ledger's table in DynamoDB: its rows, by kind, and the leases. What the rows mean is in `ami_share_domain`
//! (`image::ledger`, `key::ledger`, `audit_log`).

pub mod leases;
pub mod reader;
pub mod writer;

mod audit_log;
mod change;
mod intents;
mod needs;
mod notified;
mod rows;
mod schedules;
mod shares;
mod snapshots;

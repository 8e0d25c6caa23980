//! One image and its snapshots: what is desired, what AWS holds, what the ledger records, and what must change.

pub mod adoption;
pub mod audit_repair;
pub mod decision;
pub mod desired;
pub mod doubt;
pub mod drift;
pub mod ledger;
pub mod plan;
pub mod request;
pub mod schedule;
pub mod unmanaged;
pub mod usage;

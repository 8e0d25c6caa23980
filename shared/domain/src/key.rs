//! One KMS key: its policy, the statements of ami-share in it, and what must change.

pub mod access;
pub mod decision;
pub mod evaluate;
pub mod ledger;
pub mod observed;
pub mod plan;
pub mod policy;
pub mod rejection;
pub mod request;
pub mod search;
pub mod statements;

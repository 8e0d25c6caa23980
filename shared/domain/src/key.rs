//! One KMS key: its policy, our statements in it, and what must change.

pub mod decision;
pub mod ledger;
pub mod lockout;
pub mod plan;
pub mod policy;
pub mod request;
pub mod statements;

//! The only place that calls AWS. Reading and writing are separate types, so that a dry run never builds a writer.
//!
//! Nothing is decided here: what to read comes from the caller, what to write comes from a plan of
//! `ami-share-domain`. Every call names itself and its subject in its error ([`error::AwsError`]).

pub mod calls;
pub mod clients;
pub mod error;
pub mod executions;
pub mod identity;
pub mod images;
pub mod keys;
pub mod leases;
pub mod ledger_reader;
pub mod ledger_writer;
pub mod notifications;
pub mod organization;
pub mod permissions;
pub mod review_store;
pub mod schedules;
pub mod topic;
pub mod usage_reports;

mod change;
mod rows;

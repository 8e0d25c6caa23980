//! The only crate that calls AWS. Reading and writing are separate types, so that a dry run never builds a writer.
//!
//! Nothing is decided here: the caller says what to read, and a plan of `ami-share-domain` says what to write. Every
//! error names its call and its subject ([`error::AwsError`]).
//!
//! | module | service |
//! | --- | --- |
//! | [`ec2`] | EC2: images, their permissions, usage reports |
//! | [`keys`] | KMS |
//! | [`ledger`] | DynamoDB: the ledger's rows, and the leases in the same table |
//! | [`organization`] | AWS Organizations |
//! | [`notifications`] | EventBridge and SNS |
//! | [`schedules`] | EventBridge Scheduler |
//! | [`executions`] | Step Functions |
//! | [`review_store`] | S3 |

pub mod calls;
pub mod clients;
pub mod clock;
pub mod ec2;
pub mod error;
pub mod executions;
pub mod keys;
pub mod ledger;
pub mod notifications;
pub mod organization;
pub mod retry;
pub mod review_store;
pub mod schedules;

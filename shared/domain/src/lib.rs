//! What ami-share decides, as pure code: no AWS SDK, no tokio, no clock, no environment.
//!
//! Data flows one way through these modules:
//! an AWS event becomes a [`trigger`], the image's [`share_tags`] and the [`organization`] become
//! [`targets`], those and the image's keys become a [`share`], and a share becomes plans
//! ([`key_plan`], [`image_plan`]), a [`status`], [`notification`]s and [`metrics`].
//! The [`ledger`] is the memory between two looks.

pub mod access_review;
pub mod adoption;
pub mod audit_log;
pub mod ids;
pub mod image_plan;
pub mod image_request;
pub mod isolation;
pub mod key_decision;
pub mod key_ledger;
pub mod key_lockout;
pub mod key_plan;
pub mod key_policy;
pub mod key_request;
pub mod key_statements;
pub mod ledger;
pub mod limits;
pub mod metrics;
pub mod notification;
pub mod organization;
pub mod refusal;
pub mod review;
pub mod review_key;
pub mod revocation_reason;
pub mod schedules;
pub mod selector;
pub mod share;
pub mod share_tags;
pub mod status;
pub mod targets;
pub mod trigger;
pub mod usage;

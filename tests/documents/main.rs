//! Keeps the documents in step with the code: what one of them names, the other has. By subject:
//!
//! - [`generated`]: what `cargo docs` writes is current
//! - [`links`]: links, anchors, and paths in backticks
//! - [`sizes`], [`architecture`]: the two pages that must stay short, and the code map
//! - [`interface`]: tags, events, statuses, refusals, actions of the audit log
//! - [`template`]: functions, retained resources, events of the organization
//! - [`metrics_and_alarms`]: the dashboard, the alarms and their runbook
//! - [`examples`]: the files in `events/`
//! - [`threat_model`]: a row for each role, a test for each safeguard
//! - [`cost`], [`speed`]: the numbers that are copied from `cargo cost` and `cargo speed`
//! - [`words`]: the words of the glossary, and none of those that it replaced

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a document that cannot be read should stop the test where it is read"
)]

mod architecture;
mod cost;
mod examples;
mod files;
mod generated;
mod interface;
mod links;
mod markdown;
mod metrics_and_alarms;
mod sizes;
mod speed;
mod template;
mod threat_model;
mod words;

//! The notifications to targets and the hub, and the status tag.

pub mod notification;
pub mod plan;
pub mod status;

//! What targets, the hub and the reader of the status tag learn.

pub mod notification;
pub mod status;

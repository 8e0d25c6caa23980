//! Who gets an image: from selectors and the organization to targets, within the stack's limits.

pub mod limits;
pub mod organization;
pub mod resolve;
pub mod revocation_reason;
pub mod target;
pub mod unread;

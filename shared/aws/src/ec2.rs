//! EC2: images, who may launch and copy them, and which accounts use them.

pub mod images;
pub mod permissions;
pub mod status_tag;
pub mod usage_reports;

//! The access review: images and keys compared with their tags, and the report of it.

pub mod compare;
mod differences;
pub mod key;
pub mod report;
pub mod seen;

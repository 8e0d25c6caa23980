//! The story that `cargo demo` tells.

pub mod proof;
pub mod story;

mod picture;
mod revoking;

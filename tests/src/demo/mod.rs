//! The story of `cargo demo`, step by step.

pub mod proof;
pub mod story;

mod picture;
mod revoking;

//! The functions' own code, in the order of work of `workflows/share.asl.json`, against an AWS in memory.
//!
//! Nothing of the product is written a second time here: the functions are started as Lambda starts them, they call AWS
//! through the SDK, and the workflow is read from its file. Only AWS is another ([`ami_share_testkit::memory`]).

#![allow(
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test support: a workflow that cannot be run should stop the test"
)]

pub mod connection;
pub mod flow;
pub mod flows;
pub mod functions;
pub mod observed;
pub mod trial;
pub mod workflow;
pub mod world;

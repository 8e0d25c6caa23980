//! The simulated AWS with the stack deployed in it, for `cargo local`, `cargo demo` and the whole-flow tests; and the
//! documents that are generated from the template and the code, for `cargo docs` ([`docs`]).
//!
//! [`install`] installs the Python side, [`functions`] builds the functions, [`stack`] starts and stops both, and
//! [`world`] calls its APIs as a client would. Nothing here knows what ami-share decides.

pub mod browser;
pub mod cargo_tools;
pub mod child;
pub mod cost;
pub mod demo;
pub mod docs;
pub mod functions;
pub mod install;
pub mod launch;
pub mod progress;
pub mod sbom;
pub mod speed;
pub mod stack;
pub mod table;
pub mod template;
pub mod workspace;
pub mod world;

//! What the tests of ami-share build on: examples in one line each ([`ids`], [`organizations`], [`policies`],
//! [`shares`]), strategies that generate arbitrary ones for properties ([`desired_states`], [`fixtures`], [`json`],
//! [`selectors`]), and a small [`world`] to which plans are applied step by step, so that a test can stop between any
//! two steps ([`looks`]) or compare the result with a review ([`reviews`]).
//!
//! Pure, like the domain: nothing here calls AWS, reads a clock or keeps global state.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test support: a broken example should stop the test where it is created"
)]

pub mod calls;
pub mod desired_states;
pub mod fixtures;
pub mod ids;
pub mod json;
pub mod looks;
pub mod memory;
pub mod organizations;
pub mod policies;
pub mod reviews;
pub mod selectors;
pub mod shares;
pub mod world;

use proptest::test_runner::Config;

/// A quarter of the usual cases, for properties that render whole policies. `PROPTEST_CASES` still scales their number.
pub fn fewer_cases() -> Config {
    let usual = Config::default();
    Config { cases: usual.cases.div_ceil(4), ..usual }
}

/// An eighth of the usual cases, for properties in which several reconciliations run at once.
pub fn fewest_cases() -> Config {
    let usual = Config::default();
    Config { cases: usual.cases.div_ceil(8), ..usual }
}

//! What the tests of ami-share build upon: example [`ids`], [`organizations`], [`policies`] and [`shares`]
//! in one line each, strategies that make arbitrary ones for properties, and a small [`world`] to which
//! plans are applied step by step, so that a test can stop between any two.
//!
//! Pure, like the domain that it serves: nothing here calls AWS, reads a clock or keeps state of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test support: a broken example should stop the test where it is made"
)]

pub mod desired_states;
pub mod fixtures;
pub mod ids;
pub mod json;
pub mod looks;
pub mod organizations;
pub mod policies;
pub mod reviews;
pub mod selectors;
pub mod shares;
pub mod world;

use proptest::test_runner::Config;

/// A quarter of the usual cases, for properties that render whole policies; `PROPTEST_CASES` still scales them.
pub fn fewer_cases() -> Config {
    let usual = Config::default();
    Config { cases: usual.cases.div_ceil(4), ..usual }
}

/// An eighth of the usual cases, for properties in which several reconciliations run at once.
pub fn fewest_cases() -> Config {
    let usual = Config::default();
    Config { cases: usual.cases.div_ceil(8), ..usual }
}

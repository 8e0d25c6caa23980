//! Whole flows: the real binaries, the workflow and the rules of template.yaml on the simulated AWS.
//!
//! [`scene`] starts the stacks, which all tests share; every test makes accounts, keys and images of its own,
//! so that they can run at the same time. Each module covers one promise of the README.

mod policy;
mod scene;

mod access;
mod crowd;
mod external;
mod failures;
mod guards;
mod key_admission;
mod key_refusals;
mod launch_permissions;
mod ledger;
mod notices;
mod outcomes;
mod ownership;
mod races;
mod selectors;
mod snapshots;
mod status;
mod triggers;

//! Whole flows: the real binaries, the workflow and the rules of template.yaml on the simulated AWS.
//!
//! [`scene`] starts the stacks, which all tests share; every test makes accounts, keys and images of its own,
//! so that they can run at the same time. Each module covers one promise of the README.

mod clock;
mod policy;
mod record;
mod scene;

mod access;
mod bad_until;
mod calls;
mod crowd;
mod drift;
mod expiry;
mod external;
mod failures;
mod guards;
mod history;
mod key_admission;
mod key_refusals;
mod killed;
mod launch_permissions;
mod ledger;
mod lifecycle;
mod membership;
mod notices;
mod operations;
mod outcomes;
mod overtaken;
mod ownership;
mod public;
mod races;
mod rebuild;
mod review;
mod roles;
mod selectors;
mod snapshots;
mod status;
mod triggers;
mod unshared_notices;
mod withdrawal;

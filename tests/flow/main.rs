//! Whole flows: the real binaries, the workflow and the rules of template.yaml on the simulated AWS.
//!
//! [`fixture`] starts the stacks, which all tests share; every test makes accounts, keys and images of its own,
//! so that they can run at the same time. Each module covers one promise of the README.

mod clock;
mod fixture;
mod policy;
mod record;

mod access;
mod audit_log;
mod bad_until;
mod calls;
mod crowd;
mod drift;
mod expiry;
mod external;
mod failures;
mod interrupted;
mod key_admission;
mod key_refusals;
mod launch_permissions;
mod ledger;
mod lifecycle;
mod limits;
mod membership;
mod notifications;
mod operations;
mod outcomes;
mod overtaken;
mod ownership;
mod public;
mod races;
mod rebuild;
mod review;
mod revocation;
mod roles;
mod selectors;
mod snapshots;
mod status;
mod triggers;
mod unshared_notifications;

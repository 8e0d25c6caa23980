//! Whole flows: the real binaries, the workflow and the rules of template.yaml on the simulated AWS.
//!
//! [`fixture`] starts the stacks that the tests share. Every test creates its own accounts, keys and images, so
//! tests can run at the same time. The first line of each module says which promise of the README its tests show;
//! [`clock`], [`cloudtrail`], [`policy`] and [`record`] only help them.

mod access;
mod audit_log;
mod bad_until;
mod calls;
mod clock;
mod cloudtrail;
mod crowd;
mod drift;
mod expiry;
mod external;
mod failures;
mod faults;
mod faults_of_events;
mod fixture;
mod interrupted;
mod key_grants;
mod key_refusals;
mod launch_permissions;
mod ledger;
mod lifecycle;
mod limits;
mod membership;
mod notifications;
mod operations;
mod overtaken;
mod ownership;
mod policy;
mod public;
mod races;
mod rebuild;
mod record;
mod review;
mod revocation;
mod roles;
mod selectors;
mod snapshots;
mod status;
mod triggers;
mod unshared_notifications;

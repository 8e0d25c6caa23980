//! How fast ami-share is compared with the scripts that people usually write: `cargo speed`.
//!
//! [`script`] is such a script, [`race`] runs both on the simulated AWS, [`page`] prints the ratios.

pub mod page;
pub mod race;
pub mod script;

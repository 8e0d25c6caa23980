//! How fast ami-share is compared with the scripts that people usually write: `cargo speed`.
//!
//! [`script`] is what they write, [`race`] lets both share images on the simulated AWS, [`page`] prints the ratios.

pub mod page;
pub mod race;
pub mod script;

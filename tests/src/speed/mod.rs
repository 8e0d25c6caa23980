//! How fast ami-share is beside the scripts that people write at home: `cargo speed`.
//!
//! [`script`] is what they write, [`race`] lets both share images on the simulated AWS, [`page`] prints the ratios.

pub mod page;
pub mod race;
pub mod script;

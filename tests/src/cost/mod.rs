//! What a month costs, computed from the calls that the functions make on the simulated AWS: `cargo cost`.
//!
//! [`prices`] is the only file with prices, [`usage`] and [`month`] are plain arithmetic, [`counting`] reads from the
//! simulated AWS what was used, [`life`] runs the lives of images and reviews, [`watched`] counts what AWS bills by the
//! month, [`page`] prints.

pub mod counting;
pub mod life;
pub mod month;
pub mod page;
pub mod prices;
pub mod usage;
pub mod watched;

//! What a month costs, computed from the calls that the functions make on the simulated AWS: `cargo cost`.
//!
//! [`prices`] is the only place with prices, [`usage`] and [`month`] are plain arithmetic, [`counting`] asks the
//! simulated AWS what was used, [`life`] lets an image live and reviews run,
//! [`watched`] counts what is billed by the month, [`page`] prints.

pub mod counting;
pub mod life;
pub mod month;
pub mod page;
pub mod prices;
pub mod usage;
pub mod watched;

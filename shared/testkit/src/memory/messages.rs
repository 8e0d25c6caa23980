//! What leaves a function: events, messages of the topic and executions. And who the function is.

mod events;
mod executions;
mod identity;
mod topics;

pub use crate::memory::messages::events::{Event, EventBuses};
pub use crate::memory::messages::executions::{Execution, Executions};
pub use crate::memory::messages::identity::Identity;
pub use crate::memory::messages::topics::{Message, Topics};

//! What leaves a function: events, messages of the topic and executions.

mod events;
mod executions;
mod topics;

pub use crate::memory::messages::events::{Event, EventBuses};
pub use crate::memory::messages::executions::{Execution, Executions};
pub use crate::memory::messages::topics::{Message, Topics};

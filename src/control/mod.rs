//! How llmup's commands talk to a running llmup: HTTP on a loopback port of its own, with a key of its own. Both stand
//! in the instance's private state file, so whoever can read that file may ask. It is how an instance is stopped:
//! signals do not cross Windows consoles.
//!
//! [`open`] listens and gives the [`Orders`] that come; [`ask`], [`order`] and [`reload`] are for the commands. What an
//! order means is the running instance's affair. Reading a configuration again and taking in one more model are
//! answered when they are done, because they can fail without an end to anything.

mod client;
mod server;
#[cfg(test)]
mod tests;

pub use client::{Told, Unanswered, ask, join, joining, order, reload};
pub use server::{Join, Opened, Status, open, open_for_more};

pub use crate::state::Endpoint;

/// What a running llmup can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// End in order: requests in flight may finish, then the engines, then llmup.
    Stop,
    /// End at once.
    Kill,
    /// Start the engine of this model anew, or all; the gateway stays, and requests wait.
    Restart(Option<String>),
    /// End the engine of this model; it is started again when somebody asks for it.
    Sleep(String),
}

impl Order {
    /// The path it is sent to, and the model it is about, which is the request's body.
    fn sent(&self) -> (&'static str, &str) {
        match self {
            Order::Stop => ("/stop", ""),
            Order::Kill => ("/kill", ""),
            Order::Restart(model) => ("/restart", model.as_deref().unwrap_or_default()),
            Order::Sleep(model) => ("/sleep", model),
        }
    }

    /// What was sent.
    fn received(path: &str, model: String) -> Option<Order> {
        match path {
            "/stop" => Some(Order::Stop),
            "/kill" => Some(Order::Kill),
            "/restart" => Some(Order::Restart(Some(model).filter(|model| !model.is_empty()))),
            "/sleep" => Some(Order::Sleep(model)),
            _ => None,
        }
    }
}

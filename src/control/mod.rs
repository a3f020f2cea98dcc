//! How llmup's commands talk to a running llmup: HTTP on a loopback port of its own, with a key of its own. Both stand
//! in the instance's private state file, so whoever can read that file may ask. It is how an instance is stopped:
//! signals do not cross Windows consoles.
//!
//! [`open`] listens and gives the [`Orders`] that come; [`ask`] and [`order`] are for the commands. What an order means
//! is the running instance's affair.

mod client;
mod server;
#[cfg(test)]
mod tests;

pub use client::{Unanswered, ask, order};
pub use server::{Opened, Orders, Status, open};

pub use crate::state::Endpoint;

/// What a running llmup can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// End in order: requests in flight may finish, then the engine, then llmup.
    Stop,
    /// End at once.
    Kill,
    /// Start the engine anew; the gateway stays, and requests wait.
    Restart,
    /// Read the configuration again.
    Reload,
}

impl Order {
    /// All of them.
    const ALL: [Order; 4] = [Order::Stop, Order::Kill, Order::Restart, Order::Reload];

    /// The path it is sent to.
    const fn path(self) -> &'static str {
        match self {
            Order::Stop => "/stop",
            Order::Kill => "/kill",
            Order::Restart => "/restart",
            Order::Reload => "/reload",
        }
    }
}

//! How llmup's commands talk to a running llmup: HTTP on a loopback port of its own, with a key of its own. Both stand
//! in the instance's private state file, so whoever can read that file may ask. It is how an instance is stopped:
//! signals do not cross Windows consoles.
//!
//! [`open`] listens and gives the [`Orders`] that come; [`ask`], [`order`] and [`reload`] are for the commands. What an
//! order means is the running instance's affair. Reading a configuration again is the one thing that is answered when
//! it is done, because it can fail without an end to anything.

mod client;
mod server;
#[cfg(test)]
mod tests;

pub use client::{Told, Unanswered, ask, order, reload};
pub use server::{Opened, Orders, Reload, Status, open};

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
}

impl Order {
    /// All of them.
    const ALL: [Order; 3] = [Order::Stop, Order::Kill, Order::Restart];

    /// The path it is sent to.
    const fn path(self) -> &'static str {
        match self {
            Order::Stop => "/stop",
            Order::Kill => "/kill",
            Order::Restart => "/restart",
        }
    }
}

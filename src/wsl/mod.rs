//! The Windows Subsystem for Linux, from both sides. On Windows: which distribution of it can run a Linux program
//! ([`list`]), how a command reaches it ([`command`]) and its network ([`settings`]). Inside: what a Windows path means
//! there ([`inside`]). Paths of either side become the other's in [`path`], with the mounts that [`mounts`] reads.
//!
//! Everything that decides is pure: text in, data out. Only [`list::standing`] and [`inside`] ask the
//! [`Host`](crate::host::Host). Nothing here knows engines.

pub mod command;
mod error;
pub mod inside;
pub mod list;
pub mod mounts;
pub mod path;
pub mod settings;

pub use error::PathError;
pub use list::{Standing, standing};
pub use mounts::Mounts;

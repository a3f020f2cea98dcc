//! llmup: one command from a bare machine to a coding agent working on your own model.
//!
//! The tree, by its four verbs (ARCHITECTURE.md has the long form):
//!
//! * decide: [`hardware`] × [`model`] × [`profile`] × [`engine`] → [`plan`]
//! * run: [`supervisor`] owns the engine's processes, [`state`] remembers them
//! * serve: [`protocol`] knows the wire formats, [`gateway`] moves the bytes
//! * connect: [`client`] knows the coding tools
//!
//! [`commands`] joins them, one file per subcommand; the rest is foundation.
#![cfg_attr(test, allow(clippy::expect_used))]

pub mod cli;
pub mod client;
pub mod commands;
pub mod engine;
pub mod error;
pub mod exit;
pub mod fs;
pub mod gateway;
pub mod hardware;
pub mod host;
pub mod model;
pub mod output;
pub mod paths;
pub mod plan;
pub mod profile;
pub mod progress;
pub mod protocol;
pub mod state;
pub mod supervisor;

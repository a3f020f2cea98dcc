//! llmup: one command from a bare machine to a coding agent working on your own model.
//!
//! The tree, by its four verbs (ARCHITECTURE.md has the long form):
//!
//! * decide: [`hardware`] × [`model`] × [`profile`] × [`engine`] → [`plan`]
//! * run: [`supervisor`] owns the engine's processes, [`state`] remembers them, [`control`] takes orders
//! * serve: [`protocol`] knows the wire formats, [`gateway`] moves the bytes
//! * connect: [`client`] knows the coding tools; [`config`] what the user wrote down
//!
//! [`commands`] joins them, one file per subcommand; the rest is foundation.
#![cfg_attr(test, allow(clippy::expect_used))]

mod allocator;
pub mod cli;
pub mod client;
pub mod commands;
pub mod config;
pub mod control;
pub mod engine;
pub mod error;
pub mod exit;
pub mod fetch;
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
pub mod pull;
pub mod state;
pub mod supervisor;
pub mod words;
pub mod wrapped;
pub mod wsl;

use clap::Parser;

/// Parses the command line, runs it, renders the error if there is one, and gives the exit code.
pub fn run() -> u8 {
    let mut args = std::env::args_os();
    // A child's guard is this very program, called with a word no user types; see `supervisor::guard`.
    if args.nth(1).is_some_and(|first| first == supervisor::guard::ARGUMENT) {
        return u8::try_from(supervisor::guard::main(args)).unwrap_or(exit::Exit::Bug.code());
    }
    supervisor::bear_size_limit();
    commands::columns::of_errors().into_iter().for_each(output::fill);
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            cli::next(&error).iter().for_each(|hint| output::hint(hint));
            return u8::try_from(error.exit_code()).unwrap_or(exit::Exit::Usage.code());
        }
    };
    match commands::dispatch(cli) {
        Ok(code) => code,
        Err(error) => error.ended_by_user().unwrap_or_else(|| {
            output::failure(&error);
            error.exit().code()
        }),
    }
}

//! Engines in WSL, as Windows starts them. The end of `wsl.exe` is not the end of what it started: Linux processes live
//! on without it (microsoft/WSL#2496), and a job object does not hold them. So the engine gets a guard of its own inside,
//! a short Python program beside it, which takes orders through `wsl.exe`'s standard input. That input ends with llmup,
//! however llmup ends, and with `wsl.exe`, and then the guard kills everything. What a guard leaves that was killed
//! itself, the next one ends.
// Only Windows has WSL.
#![cfg_attr(not(windows), allow(dead_code))]

use std::ffi::OsString;

use super::Spec;
use crate::wsl::command;

/// The guard's program.
const GUARD: &str = include_str!("wsl_guard.py");

/// The arguments of `wsl.exe` with the guard before the engine. `None`: this is no command for WSL.
///
/// The engine's own environment has the interpreter: `…/venv/bin/vllm` stands beside `…/venv/bin/python`.
pub(super) fn guarded(spec: &Spec) -> Option<Vec<OsString>> {
    let first: Vec<String> = spec.args.iter().take(4).map(|arg| arg.to_string_lossy().into_owned()).collect();
    command::distribution_of(&spec.program, &first)?;
    let (folder, _) = first.get(3)?.rsplit_once('/')?;
    let (prefix, engine) = spec.args.split_at(3);
    let guard = [format!("{folder}/python"), "-I".into(), "-u".into(), "-c".into(), text()];
    Some(prefix.iter().cloned().chain(guard.into_iter().map(OsString::from)).chain(engine.iter().cloned()).collect())
}

/// The guard without its comments: a command line holds 32,767 characters.
fn text() -> String {
    GUARD.lines().filter(|line| !line.trim_start().starts_with('#')).fold(String::new(), |all, line| all + line + "\n")
}

#[cfg(test)]
#[path = "inside_tests.rs"]
mod tests;

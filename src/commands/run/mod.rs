//! `llmup run CLIENT`, read top to bottom: the program, the gateway, what the client is told, and over to it.
//!
//! Nothing is written outside llmup's own folder, and nothing is left to do once the client runs: on Unix this process
//! becomes the client, so arguments, exit code, signals and terminal are its own.

mod gateway;
mod hand_over;
mod install;
mod program;

use std::path::Path;

use gateway::Gateway;

use super::gateway_choice::{self, ASSUMED_CONTEXT};
use crate::cli::RunArgs;
use crate::client::{Client, Conflict, Export, Overlay, Places, Start, Weight};
use crate::error::{Explain, Result};
use crate::exit::Exit;
use crate::host::{Host, RealHost};
use crate::paths::Paths;
use crate::{fs, output};

/// Settings that nothing llmup may do beats.
#[derive(Debug, thiserror::Error)]
#[error("{title} would not use the gateway: {}", .conflict.text)]
struct Managed {
    /// The client.
    title: &'static str,
    /// What beats llmup.
    conflict: Conflict,
}

impl Explain for Managed {
    fn exit(&self) -> Exit {
        Exit::ClientConflict
    }

    fn finding(&self) -> Option<&'static str> {
        Some("LLMUP-C005")
    }

    fn hints(&self) -> Vec<String> {
        self.conflict.cure.iter().cloned().collect()
    }
}

/// Runs the client; on Unix it returns only when that failed.
pub fn run(args: RunArgs, paths: &Paths) -> Result<u8> {
    let host = &RealHost;
    let client = gateway_choice::started(&args.client, "run")?;
    let program = program::find(client, &args, paths, host)?;
    let chosen = match gateway::choose(client, &args, paths)? {
        Gateway::Up(chosen) => chosen,
        Gateway::Ended(code) => return Ok(code),
    };
    if chosen.assumed {
        output::warning(format!("context assumed: {ASSUMED_CONTEXT} tokens; `--context N` says it"));
    }
    let url = &chosen.session.base_url;
    if args.gateway.base_url.is_some() && gateway::nobody_listens(url) {
        // It may come in a moment; the client's own words for it are rarely clear.
        output::warning(format!("nothing listens at {url} now: `llmup explain G004`"));
    }
    let places = Places {
        home: directories::BaseDirs::new().map(|dirs| dirs.home_dir().to_owned()).unwrap_or_default(),
        project: std::env::current_dir().unwrap_or_default(),
    };
    managed(client, host, &places, &chosen.session.base_url)?;
    let own = super::env::own_dir(paths, client);
    let start = Start { host, places: &places, typed: &args.arguments };
    let overlay = client
        .overlay(&chosen.session, &own, &start)
        .map_err(|conflict| Managed { title: client.title(), conflict })?;
    write(&overlay, &own)?;
    let mut exports = overlay.exports;
    exports.extend(client.machine(host));
    exports.extend(gateway_choice::direct(&chosen.session.base_url, host));
    for export in &exports {
        if let Export::Comment(words) = export {
            output::warning(words);
        }
    }
    let typed = overlay.typed.unwrap_or(args.arguments);
    let arguments = overlay.arguments.into_iter().map(Into::into).chain(typed).collect();
    Ok(hand_over::to(&program, arguments, &exports)?)
}

/// Refuses where the client would take the work to another service whatever it is told.
fn managed(client: &dyn Client, host: &dyn Host, places: &Places, base_url: &str) -> Result {
    let conflicts = client.conflicts(host, places, Some(base_url));
    match conflicts.into_iter().find(|conflict| conflict.weight == Weight::Managed) {
        Some(conflict) => Err(Managed { title: client.title(), conflict }.into()),
        None => Ok(()),
    }
}

/// Writes what the client reads at its start. Files that hold the same already stay untouched: a client that runs would
/// read them again.
fn write(overlay: &Overlay, own: &Path) -> Result {
    fs::create_dir(own)?;
    for path in overlay.files.iter().map(|file| &file.path).chain(overlay.links.iter().map(|link| &link.at)) {
        if let Some(dir) = path.parent() {
            fs::create_dir(dir)?;
        }
    }
    let unseen: Vec<String> = overlay
        .links
        .iter()
        .filter(|link| fs::link(&link.to, &link.at).is_err())
        .filter_map(|link| Some(link.to.file_name()?.to_string_lossy().into_owned()))
        .collect();
    if !unseen.is_empty() {
        // Windows gives the right to make links to administrators and in its developer mode only.
        output::warning(format!("no links could be made, so this session goes without your {}", unseen.join(", ")));
    }
    for file in &overlay.files {
        let same = std::fs::read(&file.path).is_ok_and(|old| old == file.text.as_bytes());
        if !same {
            fs::write_private(&file.path, file.text.as_bytes())?;
        }
    }
    Ok(())
}

//! `llmup connect` and `llmup disconnect`: lasting edits of a client's own settings files, shown before they are made and
//! given back on demand.

use std::path::{Path, PathBuf};

use super::gateway_choice::{self, ASSUMED_CONTEXT, Chosen};
use super::{question, running};
use crate::cli::ConnectArgs;
use crate::client::{Conflict, Places, Scope, installed};
use crate::error::{Plain, Result, paste};
use crate::exit::Exit;
use crate::host::Host;
use crate::paths::Paths;
use crate::state::Instance;
use crate::{fs, output};

mod ambient;
mod connected;
mod connection;
pub mod disconnect;
pub(super) mod open_webui;
mod show;

pub(super) use connected::connected;
pub use connected::{Connected, Stands};
pub(super) use connection::Connection;

/// `llmup connect`.
pub fn connect(args: &ConnectArgs, paths: &Paths, host: &dyn Host) -> Result<u8> {
    let typed = format!("connect {}{}", args.client, if args.project { " --project" } else { "" });
    let web = open_webui::NAMES.contains(&args.client.as_str());
    let client = if web { None } else { Some(gateway_choice::client(&args.client, "connect")?) };
    let newest = running::serving(args.gateway.model.as_deref(), paths)?;
    if let Some(loading) = newest.as_ref().filter(|i| !i.was_ready() && args.gateway.base_url.is_none()) {
        let message = format!("{} is still being started: its context is not known yet", loading.model.name);
        let hint = format!("once `llmup status` says ready: `llmup {typed}`");
        return Err(Plain::new(Exit::Missing, message, hint).into());
    }
    let named = args.gateway.model.as_deref();
    let running = newest.as_ref().filter(|i| i.was_ready()).map(|i| running::session(i, named));
    let chosen = gateway_choice::choose(&args.gateway, running, &typed)?;
    let Some(client) = client else {
        open_webui::show(&chosen.session);
        return Ok(Exit::Ok.code());
    };
    let places = Places { home: home()?, project: std::env::current_dir().unwrap_or_default() };
    let scope = if args.project { Scope::Project } else { Scope::User };
    let connection = Connection::plan(client, &chosen.session, host, &places, scope, paths)?;
    if connection.changes() == 0 {
        output::note(&format!("{} is connected to {} already", client.title(), chosen.session.base_url));
        afterwards(&connection, &chosen, newest.as_ref(), host, &places, true);
        return Ok(Exit::Ok.code());
    }
    connection.show();
    if chosen.assumed {
        output::warning(format!("context assumed: {ASSUMED_CONTEXT} tokens; --context says it"));
    }
    if args.dry_run {
        output::note("Nothing was changed (--dry-run).");
        return Ok(Exit::Ok.code());
    }
    let many = connection.changes();
    let what = if many == 1 { "this file".to_owned() } else { format!("these {many} files") };
    if !agreed(args.yes, &format!("Change {what}?"), &format!("llmup {typed} --yes"))? {
        output::note("Nothing was changed.");
        return Ok(Exit::Ok.code());
    }
    connection.make()?;
    let was = if connection.again() { "is connected anew" } else { "is connected" };
    let title = output::on_stderr(output::Style::Strong, client.title());
    output::note(&format!("{title} {was}: {} at {}", chosen.session.model, chosen.session.base_url));
    afterwards(&connection, &chosen, newest.as_ref(), host, &places, false);
    Ok(Exit::Ok.code())
}

fn home() -> Result<PathBuf> {
    // As the clients ask for it: on Windows by USERPROFILE, not by the account.
    std::env::home_dir().filter(|home| home.is_absolute()).ok_or_else(|| {
        let hint = "set HOME to your home folder, e.g. `export HOME=/home/me`";
        Plain::new(Exit::Config, "this system names no home folder", hint).into()
    })
}

/// Asks, unless that was answered on the command line. `instead` is the command that does not ask.
fn agreed(yes: bool, question: &str, instead: &str) -> Result<bool> {
    if yes {
        return Ok(true);
    }
    if !output::interactive() {
        let message = "nobody is there to be asked whether this is right";
        return Err(Plain::new(Exit::Usage, message, format!("if it is: `{instead}`")).into());
    }
    question::agreed(question)
}

/// How to start the client, what would still lead it elsewhere, how to go back.
fn afterwards(
    connection: &Connection<'_>,
    chosen: &Chosen,
    instance: Option<&Instance>,
    host: &dyn Host,
    places: &Places,
    quiet: bool,
) {
    let (client, root) = (connection.client, &chosen.session.base_url);
    for Conflict { text, cure, .. } in connection.left(host) {
        output::warning(text);
        if let Some(cure) = cure {
            output::note(&format!("      {cure}"));
        }
    }
    let default = format!("http://127.0.0.1:{}", super::start::DEFAULT_PORT);
    if instance.is_some_and(|instance| instance.url == *root) && *root != default {
        output::warning(format!("{root} is not llmup's usual address: start the next one with the same --port"));
    }
    if !gateway_choice::around_proxy(root, host).is_empty() {
        output::warning("a proxy is set: the client needs NO_PROXY=127.0.0.1,localhost in its environment");
    }
    if quiet {
        return;
    }
    let program = client.programs().first().copied().unwrap_or(client.id());
    match installed::look(host, client) {
        _ if client.only_settings() => {}
        Some(_) => {
            let here = if connection.scope == Scope::Project {
                format!(" in {}", paste::path(&places.project))
            } else {
                String::new()
            };
            output::note(&format!("  start it:  {program}{here}"));
        }
        None => output::note(&format!("  it is not installed yet: {}", installed::how_to(client))),
    }
    if let Some(then) = client.then(&chosen.session) {
        output::note(&format!("  use it:    {then}"));
    }
    output::note(&format!("  undo it:   llmup disconnect {}", client.id()));
}

/// Removes what a killed llmup left half written beside the settings files.
fn tidy(folder: Option<&Path>) {
    if let Some(folder) = folder {
        fs::sweep(folder, |pid| crate::supervisor::process::birth(pid).is_some());
    }
}

//! `llmup connect` and `llmup disconnect`: lasting edits of a client's own settings files, shown before they are made and
//! given back on demand.

use std::path::{Path, PathBuf};

use super::gateway_choice::{self, ASSUMED_CONTEXT, Chosen};
use super::{question, running};
use crate::cli::ConnectArgs;
use crate::client::journal::{Journal, JournalError, Planned};
use crate::client::{Client, Conflict, Places, Scope, installed};
use crate::error::{Plain, Result, paste};
use crate::exit::Exit;
use crate::host::Host;
use crate::paths::Paths;
use crate::state::Instance;
use crate::{fs, output};

mod ambient;
pub mod disconnect;
mod open_webui;
mod show;

/// `llmup connect`.
pub fn connect(args: &ConnectArgs, paths: &Paths, host: &dyn Host) -> Result<u8> {
    let typed = format!("connect {}", args.client);
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
    let journal = Journal::below(&paths.data);
    let planned = plan(client, &chosen, host, &places, scope, &journal)?;
    if !planned.iter().any(Planned::changes) {
        output::note(&format!("{} is connected to {} already", client.title(), chosen.session.base_url));
        afterwards(client, &chosen, newest.as_ref(), host, &places, scope, true);
        return Ok(Exit::Ok.code());
    }
    for file in planned.iter().filter(|file| file.changes()) {
        show::file(&file.path, &paths.data, file.old.as_deref(), Some(&file.new), &chosen.session.key);
    }
    if chosen.assumed {
        output::warning(format!("context assumed: {ASSUMED_CONTEXT} tokens; --context says it"));
    }
    if args.dry_run {
        output::note("Nothing was changed (--dry-run).");
        return Ok(Exit::Ok.code());
    }
    let many = planned.iter().filter(|file| file.changes()).count();
    let what = if many == 1 { "this file".to_owned() } else { format!("these {many} files") };
    if !agreed(args.yes, &format!("Change {what}?"), &format!("llmup {typed} --yes"))? {
        output::note("Nothing was changed.");
        return Ok(Exit::Ok.code());
    }
    let lock = journal.lock()?;
    write(&journal, &planned)?;
    drop(lock);
    let was = if planned.iter().any(Planned::again) { "is connected anew" } else { "is connected" };
    let title = output::on_stderr(output::Style::Strong, client.title());
    output::note(&format!("{title} {was}: {} at {}", chosen.session.model, chosen.session.base_url));
    afterwards(client, &chosen, newest.as_ref(), host, &places, scope, false);
    Ok(Exit::Ok.code())
}

fn home() -> Result<PathBuf> {
    // As the clients ask for it: on Windows by USERPROFILE, not by the account.
    std::env::home_dir().filter(|home| home.is_absolute()).ok_or_else(|| {
        let hint = "set HOME to your home folder, e.g. `export HOME=/home/me`";
        Plain::new(Exit::Config, "this system names no home folder", hint).into()
    })
}

fn plan(
    client: &dyn Client,
    chosen: &Chosen,
    host: &dyn Host,
    places: &Places,
    scope: Scope,
    journal: &Journal,
) -> Result<Vec<Planned>> {
    let files = client.settings(&chosen.session, host, places, scope);
    if files.is_empty() {
        let title = client.title();
        let (message, hint) = match scope {
            Scope::Project => (
                format!("{title} has no settings for one folder that could hold a key"),
                format!("for all you start: `llmup connect {}`", client.id()),
            ),
            Scope::User => (
                format!("{title} has no settings files that llmup could edit"),
                format!("for one shell: `llmup env {}`", client.id()),
            ),
        };
        return Err(Plain::new(Exit::Usage, message, hint).into());
    }
    let planned: Result<Vec<Planned>, JournalError> =
        files.iter().map(|file| journal.plan(client.id(), scope, file)).collect();
    Ok(planned.map_err(|error| without_key(error, client, &chosen.session.key))?)
}

/// Lines to put in by hand stand on standard error, where keys are not shown.
fn without_key(error: JournalError, client: &dyn Client, key: &str) -> JournalError {
    match error {
        JournalError::Edit { path, source, by_hand } if by_hand.contains(key) => {
            let how = format!("(KEY is the gateway's key; `llmup env {}` has it)", client.id());
            JournalError::Edit { path, source, by_hand: format!("{}\n{how}", by_hand.replace(key, "KEY").trim_end()) }
        }
        other => other,
    }
}

/// Writes all of them, or none: what was written before one that cannot be is given back.
fn write(journal: &Journal, planned: &[Planned]) -> Result {
    for (at, file) in planned.iter().enumerate() {
        if let Err(error) = journal.write(file) {
            for written in planned[..at].iter().rev().filter(|file| file.changes() && !file.again()) {
                for entry in journal.entries()?.into_iter().filter(|entry| entry.path == written.path) {
                    journal.give_back(&journal.plan_return(entry)?)?;
                }
            }
            return Err(error.into());
        }
    }
    Ok(())
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
    client: &dyn Client,
    chosen: &Chosen,
    instance: Option<&Instance>,
    host: &dyn Host,
    places: &Places,
    scope: Scope,
    quiet: bool,
) {
    let root = &chosen.session.base_url;
    for Conflict { text, cure, .. } in ambient::conflicts(client, host, places, root) {
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
        Some(_) => {
            let here =
                if scope == Scope::Project { format!(" in {}", paste::path(&places.project)) } else { String::new() };
            output::note(&format!("  start it:  {program}{here}"));
        }
        None => output::note(&format!("  it is not installed yet: {}", installed::how_to(client))),
    }
    output::note(&format!("  undo it:   llmup disconnect {}", client.id()));
}

/// Removes what a killed llmup left half written beside the settings files.
fn tidy(folder: Option<&Path>) {
    if let Some(folder) = folder {
        fs::sweep(folder, |pid| crate::supervisor::process::birth(pid).is_some());
    }
}

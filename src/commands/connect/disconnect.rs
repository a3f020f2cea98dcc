//! `llmup disconnect`: every settings file back to what it was, or without what llmup wrote where others wrote since.

use std::path::Path;

use super::{agreed, open_webui, show, tidy};
use crate::cli::DisconnectArgs;
use crate::client::journal::{Entry, Journal, JournalError, Return, Returning};
use crate::client::{Scope, find};
use crate::error::Result;
use crate::exit::Exit;
use crate::output;
use crate::paths::Paths;

/// Runs it.
pub fn run(args: &DisconnectArgs, paths: &Paths) -> Result<u8> {
    if args.client.as_deref().is_some_and(|name| open_webui::NAMES.contains(&name)) {
        output::note("llmup writes nothing for Open WebUI: remove the compose file or the variables it was given");
        return Ok(Exit::Ok.code());
    }
    let id = match &args.client {
        Some(name) => Some(crate::commands::gateway_choice::client(name, "disconnect")?.id()),
        None => None,
    };
    let journal = Journal::below(&paths.data);
    let of_it = |entry: &Entry| id.is_none_or(|id| entry.client == id);
    let returning = plan(&journal, of_it)?;
    if returning.is_empty() {
        output::note(match id {
            Some(_) => "llmup has not connected it",
            None => "llmup has connected nothing",
        });
        return Ok(Exit::Ok.code());
    }
    for file in &returning {
        tidy(file.entry.target.parent());
        tell(file, &paths.data);
    }
    if args.dry_run {
        output::note("Nothing was changed (--dry-run).");
        return Ok(Exit::Ok.code());
    }
    let typed = args.client.as_deref().unwrap_or("--all");
    let changes = returning.iter().any(|file| file.to != Return::Nothing);
    if changes && !agreed(args.yes, "Give these settings back?", &format!("llmup disconnect {typed} --yes"))? {
        output::note("Nothing was changed.");
        return Ok(Exit::Ok.code());
    }
    let _lock = journal.lock()?;
    for file in &returning {
        journal.give_back(file)?;
    }
    let mut titles: Vec<String> = returning.iter().map(|file| title(&file.entry.client)).collect();
    titles.dedup();
    let titles = titles.join(", ");
    if titles.contains(", ") {
        output::note(&format!("{titles} are not connected any more"));
    } else {
        output::note(&format!("{titles} is not connected any more"));
    }
    Ok(Exit::Ok.code())
}

/// The last that was written goes first: a file that another one names goes after that.
fn plan(journal: &Journal, of_it: impl Fn(&Entry) -> bool) -> Result<Vec<Returning>, JournalError> {
    journal.entries()?.into_iter().rev().filter(of_it).map(|entry| journal.plan_return(entry)).collect()
}

fn title(client: &str) -> String {
    find(client).map_or_else(|| client.to_owned(), |client| client.title().to_owned())
}

fn tell(file: &Returning, own: &Path) {
    let (path, entry) = (file.entry.path.display(), &file.entry);
    let whose = if entry.scope == Scope::Project { "this folder's" } else { "your" };
    match &file.to {
        Return::Nothing if file.old.is_none() => output::note(&format!("{path} is gone; it stays so")),
        Return::Nothing => output::note(&format!("{path} has nothing of llmup's any more")),
        Return::Text(text) => show::file(&entry.path, own, file.old.as_deref(), Some(text), ""),
        Return::Remove => show::file(&entry.path, own, file.old.as_deref(), None, ""),
    }
    if !file.kept.is_empty() {
        let list = file.kept.join(", ");
        output::warning(format!("changed since, and left in {whose} {path}: {list}"));
    }
}

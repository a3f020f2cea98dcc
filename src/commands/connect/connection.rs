//! One lasting connection of a client, thought through and then made: for `connect`, and for `doctor --fix`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{ambient, show};
use crate::client::journal::{Journal, JournalError, Planned};
use crate::client::{Client, Conflict, Places, Scope, Session};
use crate::error::{Plain, Result};
use crate::exit::Exit;
use crate::host::Host;
use crate::paths::Paths;

/// The edits that connect a client to a gateway, not made yet.
pub(in crate::commands) struct Connection<'a> {
    /// The client.
    pub(in crate::commands) client: &'a dyn Client,
    /// For whom.
    pub(in crate::commands) scope: Scope,
    session: &'a Session,
    places: &'a Places,
    journal: Journal,
    own: PathBuf,
    planned: Vec<Planned>,
}

impl<'a> Connection<'a> {
    /// Thinks it through; writes nothing.
    pub(in crate::commands) fn plan(
        client: &'a dyn Client,
        session: &'a Session,
        host: &dyn Host,
        places: &'a Places,
        scope: Scope,
        paths: &Paths,
    ) -> Result<Connection<'a>> {
        let journal = Journal::below(&paths.data);
        // What an earlier connection left is no reason for or against an edit: it is taken out first.
        let before = ambient::Then::with(host, journal.without(client.id(), scope)?);
        let files = client.settings(session, &before, places, scope);
        if files.is_empty() {
            return Err(no_files(client, scope).into());
        }
        let planned: Result<Vec<Planned>, JournalError> =
            files.iter().map(|file| journal.plan(client.id(), scope, file)).collect();
        let planned = planned.map_err(|error| without_key(error, client, &session.key))?;
        Ok(Connection { client, scope, session, places, journal, own: paths.data.clone(), planned })
    }

    /// How many files change.
    pub(in crate::commands) fn changes(&self) -> usize {
        self.changing().count()
    }

    /// Whether llmup had connected it before.
    pub(in crate::commands) fn again(&self) -> bool {
        self.planned.iter().any(Planned::again)
    }

    /// Shows the lines that change on standard error, without keys.
    pub(in crate::commands) fn show(&self) {
        for file in self.changing() {
            show::file(&file.path, &self.own, file.old.as_deref(), Some(&file.new), &self.session.key);
        }
    }

    /// What would lead the client elsewhere even so.
    pub(in crate::commands) fn left(&self, host: &dyn Host) -> Vec<Conflict> {
        let files: BTreeMap<PathBuf, Option<String>> =
            self.planned.iter().map(|file| (file.path.clone(), Some(file.new.clone()))).collect();
        ambient::conflicts(self.client, host, files, self.places, &self.session.base_url)
    }

    /// Writes all of its files, or none: what was written before one that cannot be is given back.
    pub(in crate::commands) fn make(&self) -> Result {
        let _lock = self.journal.lock()?;
        for (at, file) in self.planned.iter().enumerate() {
            if let Err(error) = self.journal.write(file) {
                for written in self.planned[..at].iter().rev().filter(|file| file.changes() && !file.again()) {
                    for entry in self.journal.entries()?.into_iter().filter(|entry| entry.path == written.path) {
                        self.journal.give_back(&self.journal.plan_return(entry)?)?;
                    }
                }
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// What does the same on the command line, without `llmup`.
    pub(in crate::commands) fn command(&self) -> String {
        let project = if self.scope == Scope::Project { " --project" } else { "" };
        format!("connect {}{project}", self.client.id())
    }

    pub(super) fn changing(&self) -> impl Iterator<Item = &Planned> {
        self.planned.iter().filter(|file| file.changes())
    }
}

fn no_files(client: &dyn Client, scope: Scope) -> Plain {
    let title = client.title();
    let (message, hint) = match scope {
        Scope::Project => (
            format!("{title} has no settings for one folder that could hold a key"),
            format!("for all you start: `llmup connect {}`", client.id()),
        ),
        Scope::User if client.only_settings() => (
            format!("it is not known where {title} keeps its settings here"),
            "set APPDATA, as Windows does for every program, then `llmup connect vscode`".to_owned(),
        ),
        Scope::User => (
            format!("{title} has no settings files that llmup could edit"),
            format!("for one shell: `llmup env {}`", client.id()),
        ),
    };
    Plain::new(Exit::Usage, message, hint)
}

/// Lines to put in by hand stand on standard error, where keys are not shown.
fn without_key(error: JournalError, client: &dyn Client, key: &str) -> JournalError {
    match error {
        JournalError::Edit { path, source, by_hand } if by_hand.contains(key) => {
            let of = if client.only_settings() { "opencode" } else { client.id() };
            let how = format!("(KEY is the gateway's key; `llmup env {of}` has it)");
            JournalError::Edit { path, source, by_hand: format!("{}\n{how}", by_hand.replace(key, "KEY").trim_end()) }
        }
        other => other,
    }
}

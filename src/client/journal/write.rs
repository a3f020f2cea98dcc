//! Planning and making the edits of one settings file, and giving it back.

use std::io;
use std::path::{Path, PathBuf};

use super::{Entry, Journal, JournalError, Scope, SettingsFile, State, hash, missing_folders, now, resolved, text};
use crate::client::edit;
use crate::fs;

/// An edit that was thought through and not made yet.
#[derive(Debug, Clone)]
pub struct Planned {
    pub(super) entry: Entry,
    /// The file as the client names it.
    pub path: PathBuf,
    /// Its text now; `None`: not there.
    pub old: Option<String>,
    /// Its text after the edit.
    pub new: String,
    /// llmup had written into it before.
    again: bool,
}

impl Planned {
    /// Whether there is anything to write.
    pub fn changes(&self) -> bool {
        self.old.as_deref() != Some(self.new.as_str())
    }

    /// How it is written.
    pub fn format(&self) -> edit::Format {
        self.entry.format
    }

    /// Whether llmup had written into it before.
    pub fn again(&self) -> bool {
        self.again
    }
}

/// A settings file on its way back.
#[derive(Debug, Clone)]
pub struct Returning {
    /// Its entry.
    pub entry: Entry,
    /// Its text now.
    pub old: Option<String>,
    /// What becomes of it.
    pub to: Return,
    /// Settings that somebody changed since and that stay, by name.
    pub kept: Vec<String>,
}

/// What becomes of a settings file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Return {
    /// It is as it was, or gone.
    Nothing,
    /// It gets this text.
    Text(String),
    /// It goes: we made it.
    Remove,
}

impl Journal {
    /// What an edit of that file would make of it. Writes nothing.
    pub fn plan(&self, client: &str, scope: Scope, file: &SettingsFile) -> Result<Planned, JournalError> {
        let target = resolved(&file.path)?;
        let old = text(&target)?;
        let before = self.entry(&target)?;
        // As it would be without us: what others wrote since is theirs.
        let original = match (&before, &old) {
            (Some(entry), Some(old)) => entry.without(old)?.0,
            _ => old.clone(),
        };
        // One file may serve the user's own connection and one of a folder: what the other one wrote stays.
        let shared = before.as_ref().is_some_and(|entry| entry.shared || entry.scope != scope);
        let others = before.as_ref().filter(|_| shared).map(Entry::changes).unwrap_or_default();
        let others = others.into_iter().filter(|other| file.changes.iter().all(|own| own.path != other.path));
        let changes: Vec<edit::Change> = others.chain(file.changes.iter().cloned()).collect();
        let edited = edit::apply(original.as_deref().unwrap_or_default(), file.format, &changes).map_err(|source| {
            let by_hand = edit::by_hand(file.format, &file.changes);
            JournalError::Edit { path: file.path.clone(), source, by_hand }
        })?;
        let state = State { original, sha256: hash(edited.text.as_bytes()), undo: edited.undo };
        let (mut states, mut folders) = before.map(|entry| (entry.states, entry.folders)).unwrap_or_default();
        let again = !states.is_empty();
        states.push(state);
        for folder in missing_folders(&target) {
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
        folders.sort_by_key(|folder| std::cmp::Reverse(folder.components().count()));
        let entry = Entry {
            client: client.to_owned(),
            scope,
            path: file.path.clone(),
            target,
            format: file.format,
            folders,
            shared,
            at: now(),
            states,
        };
        Ok(Planned { entry, path: file.path.clone(), old, new: edited.text, again })
    }

    /// Makes the edit. The caller holds the lock.
    pub fn write(&self, planned: &Planned) -> Result<(), JournalError> {
        let Planned { entry, old, new, .. } = planned;
        let mut entry = entry.clone();
        self.unchanged(&entry, old.as_deref())?;
        if !planned.changes() {
            // Nothing of it is ours, or it was written already.
            return Ok(());
        }
        self.keep(&entry)?;
        let made = entry.target.parent().map_or(Ok(()), std::fs::create_dir_all);
        let written = made.and_then(|()| fs::replace(&entry.target, new.as_bytes()));
        if let Err(source) = written {
            self.withdraw(&mut entry)?;
            return Err(unwritable(&entry.path, source));
        }
        // What was written earlier is history now.
        entry.states.drain(..entry.states.len() - 1);
        self.keep(&entry)
    }

    /// The file was not written: its entry says so.
    fn withdraw(&self, entry: &mut Entry) -> Result<(), JournalError> {
        remove_folders(&entry.folders);
        entry.states.pop();
        if entry.states.is_empty() { self.forget(entry) } else { self.keep(entry) }
    }

    /// What giving that file back would make of it. Writes nothing.
    pub fn plan_return(&self, entry: Entry) -> Result<Returning, JournalError> {
        let old = text(&entry.target)?;
        let (to, kept) = match &old {
            None => (Return::Nothing, Vec::new()),
            Some(now) => match entry.without(now)? {
                (Some(text), kept) if text == *now => (Return::Nothing, kept),
                (Some(text), kept) => (Return::Text(text), kept),
                (None, kept) => (Return::Remove, kept),
            },
        };
        Ok(Returning { entry, old, to, kept })
    }

    /// Gives it back. The caller holds the lock.
    pub fn give_back(&self, returning: &Returning) -> Result<(), JournalError> {
        let Returning { entry, old, to, .. } = returning;
        self.unchanged(entry, old.as_deref())?;
        let done = match to {
            Return::Nothing => Ok(()),
            Return::Text(text) => fs::replace(&entry.target, text.as_bytes()),
            Return::Remove => std::fs::remove_file(&entry.target),
        };
        done.map_err(|source| unwritable(&entry.path, source))?;
        if let Some(folder) = entry.target.parent() {
            fs::sync_dir(folder);
        }
        if entry.states.iter().any(|state| state.original.is_none()) {
            remove_folders(&entry.folders);
        }
        self.forget(entry)
    }

    /// Nobody wrote since it was read.
    fn unchanged(&self, entry: &Entry, old: Option<&str>) -> Result<(), JournalError> {
        if text(&entry.target)?.as_deref() != old {
            return Err(JournalError::Changed { path: entry.path.clone() });
        }
        Ok(())
    }
}

fn unwritable(path: &Path, error: io::Error) -> JournalError {
    JournalError::Settings(fs::FileError::new("write", path, error))
}

/// Folders that were made and have nothing in them; the others stay.
fn remove_folders(folders: &[PathBuf]) {
    for folder in folders {
        if !is_empty(folder) || std::fs::remove_dir(folder).is_err() {
            break;
        }
    }
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

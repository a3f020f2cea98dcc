//! What `connect` wrote into which file, and what stood there before, so that `disconnect` gives it back: an entry per
//! settings file below llmup's data folder, readable by the user only.
//!
//! The entry is on the disk before the settings file is replaced, in one step. Whoever is ended in between leaves the old
//! or the new file, and an entry that knows both.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::edit::{self, Change, Format, Undo};
use super::{Scope, SettingsFile};
use crate::fs;

mod error;
mod write;

#[cfg(test)]
mod tests;

pub use error::JournalError;
pub use write::{Planned, Return, Returning};

/// Longest wait for another llmup that writes.
const PATIENCE: Duration = Duration::from_secs(2);

/// One settings file that was connected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Whose settings they are.
    pub client: String,
    /// For whom.
    pub scope: Scope,
    /// The file as the client names it.
    pub path: PathBuf,
    /// The file that is replaced: another one where `path` is a link.
    pub target: PathBuf,
    /// How it is written.
    pub format: Format,
    /// Folders that were made for it, the deepest first.
    pub folders: Vec<PathBuf>,
    /// Both the user's own connection and one of a folder have written into it.
    #[serde(default)]
    pub shared: bool,
    /// When, in seconds since 1970.
    pub at: u64,
    /// What was written, the newest last. More than one only when somebody was ended in the middle.
    pub states: Vec<State>,
}

/// One time it was written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// What the file would be without us; `None`: not there.
    pub original: Option<String>,
    /// Of what we wrote, in hexadecimal digits.
    pub sha256: String,
    /// How to take it back key by key.
    pub undo: Vec<Undo>,
}

/// All entries of this user.
#[derive(Debug, Clone)]
pub struct Journal {
    folder: PathBuf,
}

impl Journal {
    /// The one below that data folder.
    pub fn below(data: &Path) -> Journal {
        Journal { folder: data.join("connections") }
    }

    /// Keeps other llmups from writing for as long as the file lives.
    pub fn lock(&self) -> Result<File, JournalError> {
        let pause = Duration::from_millis(50);
        for _ in 0..PATIENCE.as_millis() / pause.as_millis() {
            if let Some(lock) = fs::try_lock(&self.folder.join("lock"))? {
                return Ok(lock);
            }
            std::thread::sleep(pause);
        }
        Err(JournalError::Taken)
    }

    /// Everything that is connected, by file.
    pub fn entries(&self) -> Result<Vec<Entry>, JournalError> {
        let mut found = Vec::new();
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            Err(error) => return Err(fs::FileError::new("read", &self.folder, error).into()),
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.extension().is_some_and(|extension| extension == "json") {
                found.extend(read(&path)?);
            }
        }
        found.sort_by(|a, b| (&a.client, a.at, &a.path).cmp(&(&b.client, b.at, &b.path)));
        Ok(found)
    }

    /// The settings files of that client and scope as they would be without us; `None`: not there. Those that cannot be
    /// read so are left out.
    pub fn without(&self, client: &str, scope: Scope) -> Result<BTreeMap<PathBuf, Option<String>>, JournalError> {
        let ours = self
            .entries()?
            .into_iter()
            .filter(|entry| entry.client == client && (entry.scope == scope || entry.shared));
        let texts = ours.filter_map(|entry| {
            let original = entry.without(&text(&entry.target).ok()??).ok()?.0;
            Some((entry.path, original))
        });
        Ok(texts.collect())
    }

    fn file(&self, target: &Path) -> PathBuf {
        self.folder.join(format!("{}.json", &hash(target.as_os_str().as_encoded_bytes())[..24]))
    }

    fn entry(&self, target: &Path) -> Result<Option<Entry>, JournalError> {
        read(&self.file(target))
    }

    fn keep(&self, entry: &Entry) -> Result<(), JournalError> {
        let path = self.file(&entry.target);
        let bytes = serde_json::to_vec_pretty(entry)
            .map_err(|error| fs::FileError::new("write", &path, io::Error::other(error)))?;
        fs::write_private(&path, &bytes)?;
        fs::sync_dir(&self.folder);
        Ok(())
    }

    fn forget(&self, entry: &Entry) -> Result<(), JournalError> {
        let path = self.file(&entry.target);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(fs::FileError::new("remove", &path, error).into())
            }
            _ => Ok(()),
        }
    }
}

fn read(path: &Path) -> Result<Option<Entry>, JournalError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fs::FileError::new("read", path, error).into()),
    };
    let entry: Entry = serde_json::from_slice(&bytes)
        .map_err(|error| JournalError::Broken { path: path.to_owned(), reason: error.to_string() })?;
    Ok(Some(entry).filter(|entry| !entry.states.is_empty()))
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The file that a path leads to: where a link points, else itself.
fn resolved(path: &Path) -> Result<PathBuf, JournalError> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => path
            .canonicalize()
            .map_err(|_| JournalError::Unusable { path: path.to_owned(), what: "is a link to nowhere" }),
        _ => Ok(path.to_owned()),
    }
}

/// The text of a settings file; `None`: not there.
fn text(path: &Path) -> Result<Option<String>, JournalError> {
    let unusable = |what| JournalError::Unusable { path: path.to_owned(), what };
    let unreadable = |error| JournalError::Settings(fs::FileError::new("read", path, error));
    let found = match std::fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    if !found.is_file() {
        return Err(unusable(if found.is_dir() { "is a folder" } else { "is no file" }));
    }
    let edit = |source| JournalError::Edit { path: path.to_owned(), source, by_hand: String::new() };
    if found.len() > edit::LARGEST as u64 {
        return Err(edit(edit::EditError::TooLarge { bytes: usize::try_from(found.len()).unwrap_or(usize::MAX) }));
    }
    fs::replaceable(&found).map_err(unusable)?;
    let bytes = std::fs::read(path).map_err(unreadable)?;
    edit::decode(&bytes).map(|text| Some(text.to_owned())).map_err(edit)
}

/// Folders above `path` that are not there, the deepest first.
fn missing_folders(path: &Path) -> Vec<PathBuf> {
    let above = path.ancestors().skip(1).take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists());
    above.map(Path::to_owned).collect()
}

impl Entry {
    /// What was written into it last, as changes.
    fn changes(&self) -> Vec<Change> {
        let undo = self.states.last().into_iter().flat_map(|state| &state.undo);
        undo.map(|undo| Change { path: undo.path.clone(), to: undo.wrote.clone() }).collect()
    }

    /// The state whose text stands in the file, if one does.
    fn written(&self, text: &str) -> Option<&State> {
        let sha256 = hash(text.as_bytes());
        self.states.iter().rev().find(|state| state.sha256 == sha256)
    }

    /// What `text` is without us.
    fn without(&self, text: &str) -> Result<(Option<String>, Vec<String>), JournalError> {
        if self.states.iter().any(|state| state.original.as_deref() == Some(text)) {
            return Ok((Some(text.to_owned()), Vec::new()));
        }
        if let Some(state) = self.written(text) {
            return Ok((state.original.clone(), Vec::new()));
        }
        let mut best: Option<(Option<String>, Vec<String>)> = None;
        for state in self.states.iter().rev() {
            let restored =
                edit::restore(text, self.format, &state.undo).map_err(|source| self.by_hand(source, state))?;
            let nothing = state.original.is_none() && edit::says_nothing(&restored.text, self.format);
            let kept: Vec<String> = restored.kept.iter().map(|path| edit::shown(path)).collect();
            if best.as_ref().is_none_or(|(_, least)| kept.len() < least.len()) {
                best = Some((Some(restored.text).filter(|_| !nothing), kept));
            }
        }
        Ok(best.unwrap_or((Some(text.to_owned()), Vec::new())))
    }

    fn by_hand(&self, source: edit::EditError, state: &State) -> JournalError {
        let names: Vec<String> = state.undo.iter().map(|undo| edit::shown(&undo.path)).collect();
        JournalError::Undo { path: self.path.clone(), source, names: names.join(", ") }
    }
}

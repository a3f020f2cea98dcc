//! `llmup-pull.json`: what makes a folder a pulled model. It is written last, so a folder without it is not whole,
//! whatever files it has. `llmup-pull.wanted.json` says the same while the pull is on its way.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::choose::{Form, first_gguf};
use super::hub::{HubId, is_safe};
use crate::fs::{self, FileError};

/// The manifest's file name.
pub const FILE: &str = "llmup-pull.json";
/// What shall become the manifest.
const WANTED: &str = "llmup-pull.wanted.json";
/// No manifest is larger: a repository of 100,000 files would be 20 MB.
const LARGEST: u64 = 64 << 20;

/// A pulled model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The form of this file.
    pub version: u32,
    /// Where it came from.
    pub hub: HubId,
    /// The repository.
    pub repo: String,
    /// The revision that was asked for.
    pub revision: String,
    /// The commit all files are of.
    pub commit: Option<String>,
    /// How the weights are stored.
    pub form: Form,
    /// The quantisation in a GGUF's name.
    pub quantization: Option<String>,
    /// Where the files are, when not beside this one: a snapshot in Hugging Face's cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<PathBuf>,
    /// The files.
    pub files: Vec<Held>,
}

/// One file of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Its path, with `/`.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Its SHA-256, or git's hash of it, as the hub says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

impl Manifest {
    /// The current form.
    pub const VERSION: u32 = 1;

    /// The manifest of a folder that is whole: every file is there with its size.
    pub fn read(dir: &Path) -> Option<Manifest> {
        let manifest = parse(&dir.join(FILE))?;
        manifest.missing(dir).is_empty().then_some(manifest)
    }

    /// What a pull of this folder wants that has not ended.
    pub fn read_wanted(dir: &Path) -> Option<Manifest> {
        parse(&dir.join(WANTED)).or_else(|| parse(&dir.join(FILE)))
    }

    /// Notes what shall come; the folder is not whole from now on.
    pub fn begin(&self, dir: &Path) -> Result<(), FileError> {
        write(self, &dir.join(WANTED))?;
        remove(&dir.join(FILE))
    }

    /// Makes the folder whole.
    pub fn finish(&self, dir: &Path) -> Result<(), FileError> {
        write(self, &dir.join(FILE))?;
        remove(&dir.join(WANTED))
    }

    /// Where a file is.
    pub fn path_of(&self, dir: &Path, file: &str) -> PathBuf {
        file.split('/').fold(self.at.clone().unwrap_or_else(|| dir.to_owned()), |at, name| at.join(name))
    }

    /// Files that are not there or have another size.
    pub fn missing(&self, dir: &Path) -> Vec<&Held> {
        let whole = |held: &&Held| {
            std::fs::metadata(self.path_of(dir, &held.path)).is_ok_and(|m| m.is_file() && m.len() == held.size)
        };
        self.files.iter().filter(|held| !whole(held)).collect()
    }

    /// What an engine is given: the first GGUF, or the folder.
    pub fn weights(&self, dir: &Path) -> PathBuf {
        let gguf = first_gguf(self.files.iter().map(|held| held.path.as_str())).filter(|_| self.form == Form::Gguf);
        match gguf {
            Some(path) => self.path_of(dir, path),
            None => self.at.clone().unwrap_or_else(|| dir.to_owned()),
        }
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|held| held.size).sum()
    }
}

fn parse(path: &Path) -> Option<Manifest> {
    if std::fs::metadata(path).ok()?.len() > LARGEST {
        return None;
    }
    let manifest: Manifest = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    let known = manifest.version == Manifest::VERSION && !manifest.files.is_empty();
    (known && manifest.files.iter().all(|held| is_safe(&held.path))).then_some(manifest)
}

fn write(manifest: &Manifest, path: &Path) -> Result<(), FileError> {
    let text = serde_json::to_vec_pretty(manifest).map_err(|e| FileError::new("write", path, e.into()))?;
    fs::write_private(path, &text)
}

fn remove(path: &Path) -> Result<(), FileError> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(FileError::new("remove", path, e)),
        _ => Ok(()),
    }
}

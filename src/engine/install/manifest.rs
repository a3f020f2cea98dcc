//! `engine.json`: what makes a managed folder an installed engine. It is written last, so a folder without it is an
//! installation that never finished.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::engine::id::EngineId;
use crate::fs::{self, FileError};
use crate::host::Host;
use crate::wsl::command;

/// The manifest's file name.
pub const FILE: &str = "engine.json";

/// What a managed folder holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Which engine.
    pub engine: EngineId,
    /// Its version.
    pub version: String,
    /// `cpu`, `cuda`, `metal`, `vulkan`.
    pub build: String,
    /// The program, relative to the folder, with `/` between names; for an engine in WSL the whole path of `wsl.exe`.
    pub program: String,
    /// Arguments that always come first; `{dir}` stands for the folder.
    #[serde(default)]
    pub prefix_args: Vec<String>,
}

impl Manifest {
    /// Reads a folder's manifest; `None` when there is none, it is broken, or its program is gone.
    pub fn read(host: &dyn Host, dir: &Path) -> Option<Manifest> {
        let manifest: Manifest = serde_json::from_slice(&host.read(&dir.join(FILE)).ok()?).ok()?;
        host.exists(&manifest.program_in(dir)).then_some(manifest)
    }

    /// Writes it, which makes the folder an installed engine.
    pub fn write(&self, dir: &Path) -> Result<(), FileError> {
        let path = dir.join(FILE);
        let text = serde_json::to_vec_pretty(self).map_err(|e| FileError::new("write", &path, e.into()))?;
        fs::write_private(&path, &text)
    }

    /// The engine's own program, for one in WSL: its distribution and its path there.
    pub fn inside(&self) -> Option<(&str, &str)> {
        let distribution = command::distribution_of(Path::new(&self.program), &self.prefix_args)?;
        Some((distribution, self.prefix_args.get(3)?))
    }

    /// The program's full path.
    pub fn program_in(&self, dir: &Path) -> PathBuf {
        if self.inside().is_some() {
            return PathBuf::from(&self.program);
        }
        self.program.split('/').fold(dir.to_owned(), |at, name| at.join(name))
    }

    /// The first arguments, with the folder filled in.
    pub fn prefix_args_in(&self, dir: &Path) -> Vec<String> {
        let fill = |arg: &String| match arg.strip_prefix("{dir}/") {
            Some(file) => file.split('/').fold(dir.to_owned(), |at, name| at.join(name)).to_string_lossy().into_owned(),
            None => arg.replace("{dir}", &dir.to_string_lossy()),
        };
        self.prefix_args.iter().map(fill).collect()
    }
}

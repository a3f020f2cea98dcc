//! A machine made of answers.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::host::{Host, Os, Ran};

/// Files, variables, programs and what they say.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    files: BTreeMap<PathBuf, Vec<u8>>,
    env: BTreeMap<String, String>,
    programs: BTreeMap<String, PathBuf>,
    says: BTreeMap<PathBuf, String>,
    os: Os,
    /// How long each file read takes.
    pub(crate) slow: Duration,
}

impl Recorded {
    pub(crate) fn new(os: Os) -> Recorded {
        Recorded {
            files: BTreeMap::new(),
            env: BTreeMap::new(),
            programs: BTreeMap::new(),
            says: BTreeMap::new(),
            os,
            slow: Duration::ZERO,
        }
    }

    pub(crate) fn file(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.into(), text.into());
        self
    }

    pub(crate) fn var(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    pub(crate) fn program(mut self, name: &str, path: &str, says: Option<&str>) -> Self {
        self.programs.insert(name.into(), path.into());
        if let Some(says) = says {
            self.says.insert(path.into(), says.into());
        }
        self
    }
}

/// `/` and `\` and `..` as a file system would see them, so that Windows layouts can be replayed anywhere.
fn same(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "/")
}

impl Host for Recorded {
    fn run(&self, program: &Path, _args: &[&str], _limit: Duration) -> io::Result<Ran> {
        let stdout = self.says.get(program).ok_or(io::ErrorKind::TimedOut)?.clone();
        Ok(Ran { code: Some(0), stdout, stderr: String::new() })
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::thread::sleep(self.slow);
        let found = self.files.iter().find(|(name, _)| same(name) == same(path));
        Ok(found.ok_or(io::ErrorKind::NotFound)?.1.clone())
    }

    fn entries(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let mut found: Vec<PathBuf> = self
            .files
            .keys()
            .filter_map(|file| file.strip_prefix(dir).ok()?.components().next())
            .map(|first| dir.join(first))
            .collect();
        found.dedup();
        if found.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(found) }
    }

    fn which(&self, name: &str) -> Option<PathBuf> {
        self.programs.get(name).cloned()
    }

    fn env(&self, name: &str) -> Option<String> {
        self.env.get(name).cloned()
    }

    fn os(&self) -> Os {
        self.os
    }
}

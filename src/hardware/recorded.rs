//! A machine made of recordings, for tests.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::host::{Host, Os, Ran};

/// Files, variables and programs that exist; nothing else does.
#[derive(Default)]
pub(super) struct Recorded {
    pub(super) files: BTreeMap<PathBuf, String>,
    pub(super) env: BTreeMap<String, String>,
    /// Program name → (words its arguments must contain, what it leaves), first match.
    pub(super) programs: BTreeMap<String, Vec<(&'static str, Ran)>>,
    /// Files that this user may not open.
    pub(super) denied: BTreeSet<PathBuf>,
}

impl Recorded {
    pub(super) fn file(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.into(), text.to_owned());
        self
    }

    /// A file that is there for others.
    pub(super) fn denied(mut self, path: &str) -> Self {
        self.denied.insert(path.into());
        self.file(path, "")
    }

    pub(super) fn var(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(super) fn program(mut self, name: &str, when: &'static str, code: i32, stdout: &str) -> Self {
        let ran = Ran { code: Some(code), stdout: stdout.to_owned(), stderr: String::new() };
        self.programs.entry(name.to_owned()).or_default().push((when, ran));
        self
    }
}

impl Host for Recorded {
    fn run(&self, program: &Path, args: &[&str], _: Duration) -> io::Result<Ran> {
        let name = program.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let args = args.join(" ");
        let answers = self.programs.get(name).into_iter().flatten();
        let answer = answers.into_iter().find(|(when, _)| args.contains(when));
        answer.map(|(_, ran)| ran.clone()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if self.denied.contains(path) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.files.get(path).map(|text| text.clone().into_bytes()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn entries(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let mut found: Vec<PathBuf> = Vec::new();
        for file in self.files.keys() {
            if let Ok(below) = file.strip_prefix(dir)
                && let Some(first) = below.iter().next()
                && found.last() != Some(&dir.join(first))
            {
                found.push(dir.join(first));
            }
        }
        if found.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(found) }
    }

    fn which(&self, name: &str) -> Option<PathBuf> {
        self.programs.contains_key(name).then(|| Path::new("/usr/bin").join(name))
    }

    fn env(&self, name: &str) -> Option<String> {
        self.env.get(name).cloned()
    }

    fn os(&self) -> Os {
        Os::Linux
    }

    fn exists(&self, path: &Path) -> bool {
        self.files.contains_key(path) || self.entries(path).is_ok()
    }

    fn access(&self, path: &Path) -> io::Result<()> {
        if self.exists(path) { self.read(path).map(drop) } else { Err(io::ErrorKind::NotFound.into()) }
    }
}

//! The two hosts: one that writes down what the machine answers, one that answers from what was written down.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;

use super::{Asked, Failed, FailedKind, Recording};
use crate::host::{Host, Os, Ran};

/// Hands every question on and keeps the answer. A question that was asked before gets the answer it got then, so that
/// what detection concludes fits one state of the machine, the recorded one.
pub struct Recorder<'a> {
    machine: &'a dyn Host,
    recording: Mutex<Recording>,
}

impl<'a> Recorder<'a> {
    /// Records that machine.
    pub fn new(machine: &'a dyn Host) -> Recorder<'a> {
        Recorder { machine, recording: Mutex::new(Recording::new(machine.os())) }
    }

    /// What was recorded.
    pub fn finish(self) -> Recording {
        self.recording.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn recording(&self) -> MutexGuard<'_, Recording> {
        self.recording.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The known answer, else a new one. The machine is asked without holding the lock: vendors ask side by side.
    fn once<K: Ord, V: Clone>(
        &self,
        part: fn(&mut Recording) -> &mut BTreeMap<K, V>,
        key: K,
        ask: impl FnOnce() -> V,
    ) -> V {
        if let Some(known) = part(&mut self.recording()).get(&key) {
            return known.clone();
        }
        let answer = ask();
        part(&mut self.recording()).entry(key).or_insert(answer).clone()
    }
}

/// A path as recordings write it.
fn key(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "/")
}

fn asked(program: &Path, args: &[&str]) -> Asked {
    (key(program), args.iter().map(|arg| (*arg).to_owned()).collect())
}

impl Host for Recorder<'_> {
    fn run(&self, program: &Path, args: &[&str], limit: Duration) -> io::Result<Ran> {
        let ask = || self.machine.run(program, args, limit).map_err(Failed::from);
        self.once(|recording| &mut recording.runs, asked(program, args), ask).map_err(io::Error::from)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let ask = || self.machine.read(path).map_err(Failed::from);
        self.once(|recording| &mut recording.files, key(path), ask).map_err(io::Error::from)
    }

    fn entries(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let ask = || {
            let entries = self.machine.entries(dir).map_err(Failed::from)?;
            Ok(entries.iter().map(|path| key(path)).collect())
        };
        let listed = self.once(|recording| &mut recording.folders, key(dir), ask).map_err(io::Error::from)?;
        Ok(listed.into_iter().map(PathBuf::from).collect())
    }

    fn which(&self, name: &str) -> Option<PathBuf> {
        let ask = || self.machine.which(name).map(|path| key(&path));
        self.once(|recording| &mut recording.programs, name.to_owned(), ask).map(PathBuf::from)
    }

    fn env(&self, name: &str) -> Option<String> {
        self.once(|recording| &mut recording.env, name.to_owned(), || self.machine.env(name))
    }

    fn os(&self) -> Os {
        self.machine.os()
    }

    fn exists(&self, path: &Path) -> bool {
        self.once(|recording| &mut recording.exists, key(path), || self.machine.exists(path))
    }

    fn access(&self, path: &Path) -> io::Result<()> {
        let ask = || self.machine.access(path).map_err(Failed::from);
        self.once(|recording| &mut recording.access, key(path), ask).map_err(io::Error::from)
    }

    fn told(&self, name: &str, ask: &dyn Fn() -> Value) -> Value {
        self.once(|recording| &mut recording.told, name.to_owned(), || self.machine.told(name, ask))
    }
}

/// Answers from a recording. What was never asked is not there.
pub struct Replayer(pub Recording);

fn not_recorded() -> Failed {
    Failed { kind: FailedKind::Absent, text: "not in this recording".to_owned() }
}

fn answer<V: Clone>(known: Option<&Result<V, Failed>>) -> io::Result<V> {
    known.cloned().unwrap_or_else(|| Err(not_recorded())).map_err(io::Error::from)
}

impl Host for Replayer {
    fn run(&self, program: &Path, args: &[&str], _: Duration) -> io::Result<Ran> {
        answer(self.0.runs.get(&asked(program, args)))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        answer(self.0.files.get(&key(path)))
    }

    fn entries(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(answer(self.0.folders.get(&key(dir)))?.into_iter().map(PathBuf::from).collect())
    }

    fn which(&self, name: &str) -> Option<PathBuf> {
        self.0.programs.get(name).cloned().flatten().map(PathBuf::from)
    }

    fn env(&self, name: &str) -> Option<String> {
        self.0.env.get(name).cloned().flatten()
    }

    fn os(&self) -> Os {
        self.0.os
    }

    fn exists(&self, path: &Path) -> bool {
        let path = key(path);
        self.0.exists.get(&path).copied().unwrap_or_else(|| {
            self.0.files.get(&path).is_some_and(Result::is_ok) || self.0.folders.get(&path).is_some_and(Result::is_ok)
        })
    }

    fn access(&self, path: &Path) -> io::Result<()> {
        answer(self.0.access.get(&key(path)))
    }

    fn told(&self, name: &str, _: &dyn Fn() -> Value) -> Value {
        self.0.told.get(name).cloned().unwrap_or(Value::Null)
    }
}

//! What would lead a connected client elsewhere: settings of a stronger place, and variables where these win.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::client::{Client, Conflict, Places, Weight};
use crate::host::{Host, Os, Ran};

/// Everything that beats the settings that were written.
pub(super) fn conflicts(client: &dyn Client, host: &dyn Host, places: &Places, root: &str) -> Vec<Conflict> {
    let settled = Settled(host);
    let seen: &dyn Host = if client.settings_beat_environment() { &settled } else { host };
    let mut found = client.conflicts(seen, places, Some(root));
    found.retain(|conflict| conflict.weight != Weight::Note);
    found
}

/// The machine as it is once these files have other texts.
pub(super) struct Rewritten<'h> {
    pub(super) host: &'h dyn Host,
    pub(super) files: &'h BTreeMap<PathBuf, String>,
}

impl Host for Rewritten<'_> {
    fn run(&self, program: &Path, args: &[&str], limit: Duration) -> io::Result<Ran> {
        self.host.run(program, args, limit)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.files.get(path).map_or_else(|| self.host.read(path), |text| Ok(text.clone().into_bytes()))
    }

    fn entries(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        self.host.entries(dir)
    }

    fn which(&self, name: &str) -> Option<PathBuf> {
        self.host.which(name)
    }

    fn env(&self, name: &str) -> Option<String> {
        self.host.env(name)
    }

    fn os(&self) -> Os {
        self.host.os()
    }
}

/// The machine without the variables that lose against settings.
struct Settled<'h>(&'h dyn Host);

impl Host for Settled<'_> {
    fn run(&self, program: &Path, args: &[&str], limit: Duration) -> io::Result<Ran> {
        self.0.run(program, args, limit)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.read(path)
    }

    fn entries(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        self.0.entries(dir)
    }

    fn which(&self, name: &str) -> Option<PathBuf> {
        self.0.which(name)
    }

    fn env(&self, name: &str) -> Option<String> {
        let leads = name.ends_with("_URL") || name.ends_with("_KEY") || name.starts_with("CLAUDE_CODE_USE_");
        self.0.env(name).filter(|_| !leads)
    }

    fn os(&self) -> Os {
        self.0.os()
    }
}

//! What would lead a connected client elsewhere: settings of a stronger place, and variables where these win. And the
//! machine with other texts in some files, by which that is asked.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::client::{Client, Conflict, Places, Weight};
use crate::host::{Host, Os, Ran};

/// Everything that beats the settings, once these files have other texts.
pub(super) fn conflicts(
    client: &dyn Client,
    host: &dyn Host,
    files: BTreeMap<PathBuf, Option<String>>,
    places: &Places,
    root: &str,
) -> Vec<Conflict> {
    let then = Then { variables_lose: client.settings_beat_environment(), ..Then::with(host, files) };
    let mut found = client.conflicts(&then, places, Some(root));
    found.retain(|conflict| conflict.weight != Weight::Note);
    found
}

/// The machine as it is then.
pub(super) struct Then<'h> {
    host: &'h dyn Host,
    /// Files with another text; `None`: not there.
    files: BTreeMap<PathBuf, Option<String>>,
    /// Variables that lead somewhere lose against settings.
    variables_lose: bool,
}

impl<'h> Then<'h> {
    /// With these texts in these files.
    pub(super) fn with(host: &'h dyn Host, files: BTreeMap<PathBuf, Option<String>>) -> Then<'h> {
        Then { host, files, variables_lose: false }
    }
}

impl Host for Then<'_> {
    fn run(&self, program: &Path, args: &[&str], limit: Duration) -> io::Result<Ran> {
        self.host.run(program, args, limit)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match self.files.get(path) {
            Some(Some(text)) => Ok(text.clone().into_bytes()),
            Some(None) => Err(io::ErrorKind::NotFound.into()),
            None => self.host.read(path),
        }
    }

    fn entries(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        self.host.entries(dir)
    }

    fn which(&self, name: &str) -> Option<PathBuf> {
        self.host.which(name)
    }

    fn env(&self, name: &str) -> Option<String> {
        let leads = name.ends_with("_URL") || name.ends_with("_KEY") || name.starts_with("CLAUDE_CODE_USE_");
        self.host.env(name).filter(|_| !(self.variables_lose && leads))
    }

    fn os(&self) -> Os {
        self.host.os()
    }
}

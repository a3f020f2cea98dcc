//! A recording of a whole machine: every question that detection asked, with its answer, so that the same detection can
//! be run on it elsewhere (`llmup doctor --record DIR`, `llmup hardware --from recording=DIR`). [`Recorder`] stands
//! between detection and the machine and writes down, [`scrub`] takes out what is somebody's own, [`folder`] is the
//! form on disk, [`Replayer`] answers from it.

mod folder;
mod hosts;
mod keyed;
mod names;
mod questions;
mod reduce;
mod scrub;
mod shapes;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::folder::{FolderError, Written, load, prepare, write};
pub use self::hosts::{Recorder, Replayer};
pub use self::questions::{ask_tools, ask_variables};
pub use self::scrub::{Personal, Scrubber};
use crate::host::{Os, Ran};

/// A program and its arguments.
pub type Asked = (String, Vec<String>);

/// What was asked and answered. Paths are texts with `/` between their parts, on every system.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// The recorded machine's system.
    pub os: Os,
    /// Programs that were run.
    pub runs: BTreeMap<Asked, Result<Ran, Failed>>,
    /// Files that were read.
    pub files: BTreeMap<String, Result<Vec<u8>, Failed>>,
    /// Folders that were listed.
    pub folders: BTreeMap<String, Result<Vec<String>, Failed>>,
    /// Paths whose existence was asked.
    pub exists: BTreeMap<String, bool>,
    /// Paths whose rights were asked.
    pub access: BTreeMap<String, Result<(), Failed>>,
    /// Programs that were looked for on PATH.
    pub programs: BTreeMap<String, Option<String>>,
    /// Variables that were read.
    pub env: BTreeMap<String, Option<String>>,
    /// What libraries and the processor told.
    pub told: BTreeMap<String, Value>,
}

impl Recording {
    /// Nothing yet, of a machine with that system.
    pub fn new(os: Os) -> Recording {
        Recording {
            os,
            runs: BTreeMap::new(),
            files: BTreeMap::new(),
            folders: BTreeMap::new(),
            exists: BTreeMap::new(),
            access: BTreeMap::new(),
            programs: BTreeMap::new(),
            env: BTreeMap::new(),
            told: BTreeMap::new(),
        }
    }
}

/// An error of the system as a recording keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// What detection tells apart.
    pub kind: FailedKind,
    /// The system's words.
    pub text: String,
}

/// The kinds that detection tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailedKind {
    /// It is not there.
    Absent,
    /// It may not be read or run.
    Denied,
    /// It did not answer in time.
    Overrun,
    /// Anything else.
    Other,
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Failed {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => FailedKind::Absent,
            io::ErrorKind::PermissionDenied => FailedKind::Denied,
            io::ErrorKind::TimedOut => FailedKind::Overrun,
            _ => FailedKind::Other,
        };
        Failed { kind, text: error.to_string() }
    }
}

impl From<Failed> for io::Error {
    fn from(failed: Failed) -> io::Error {
        let kind = match failed.kind {
            FailedKind::Absent => io::ErrorKind::NotFound,
            FailedKind::Denied => io::ErrorKind::PermissionDenied,
            FailedKind::Overrun => io::ErrorKind::TimedOut,
            FailedKind::Other => io::ErrorKind::Other,
        };
        io::Error::new(kind, failed.text)
    }
}

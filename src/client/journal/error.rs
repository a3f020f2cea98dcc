//! Why a settings file cannot be connected or given back.

use std::io;
use std::path::PathBuf;

use crate::client::edit::EditError;
use crate::error::{Explain, paste};
use crate::exit::Exit;
use crate::fs::FileError;

/// What stands between a settings file and its edit. The file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Two at once.
    #[error("another llmup is connecting a client right now")]
    Taken,
    /// llmup's own files.
    #[error(transparent)]
    Own(#[from] FileError),
    /// An entry that cannot be read.
    #[error("{path} cannot be read: {reason}", path = path.display())]
    Broken {
        /// The entry.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Not a file llmup may replace.
    #[error("{path} {what}", path = path.display())]
    Unusable {
        /// The settings file.
        path: PathBuf,
        /// Why not: `is read-only`.
        what: &'static str,
    },
    /// The system says no to a settings file.
    #[error(transparent)]
    Settings(FileError),
    /// Its text cannot be edited.
    #[error("{path} cannot be edited", path = path.display())]
    Edit {
        /// The settings file.
        path: PathBuf,
        /// Why.
        #[source]
        source: EditError,
        /// What to put in by hand; empty where that would be no help.
        by_hand: String,
    },
    /// Its text cannot be given back.
    #[error("what llmup wrote into {path} cannot be taken out", path = path.display())]
    Undo {
        /// The settings file.
        path: PathBuf,
        /// Why.
        #[source]
        source: EditError,
        /// What llmup wrote, by name.
        names: String,
    },
    /// Somebody wrote in between.
    #[error("{path} has changed in the meantime", path = path.display())]
    Changed {
        /// The settings file.
        path: PathBuf,
    },
}

impl Explain for JournalError {
    fn exit(&self) -> Exit {
        match self {
            JournalError::Taken => Exit::Taken,
            JournalError::Own(error) => error.exit(),
            JournalError::Broken { .. } => Exit::Config,
            JournalError::Unusable { .. }
            | JournalError::Settings(_)
            | JournalError::Edit { .. }
            | JournalError::Undo { .. }
            | JournalError::Changed { .. } => Exit::ClientConflict,
        }
    }

    fn finding(&self) -> Option<&'static str> {
        matches!(self, JournalError::Edit { source: EditError::Syntax { .. }, .. }).then_some("LLMUP-C007")
    }

    fn hints(&self) -> Vec<String> {
        match self {
            JournalError::Taken => vec!["try again when it is done".into()],
            JournalError::Own(error) => error.hints(),
            JournalError::Broken { path, .. } => {
                vec![format!("it holds what a settings file was before; look into {} yourself", paste::path(path))]
            }
            JournalError::Settings(FileError::Io { path, source, .. })
                if source.kind() == io::ErrorKind::StorageFull =>
            {
                let disk = paste::path(path.parent().unwrap_or(path));
                vec![format!("it is as it was; free some space on its disk, then try again: `df -h {disk}`")]
            }
            JournalError::Unusable { path, .. } | JournalError::Settings(FileError::Io { path, .. }) => vec![format!(
                "it is as it was; make it a file that you may write, then try again: `ls -l {}`",
                paste::path(path)
            )],
            JournalError::Changed { .. } => vec!["it is as it was; try again".into()],
            JournalError::Edit { source, by_hand, .. } => {
                let mut hints = source.hints();
                if !by_hand.is_empty() {
                    hints.push("or put these lines in yourself:".into());
                    hints.extend(by_hand.lines().map(|line| format!("  {line}")));
                }
                hints
            }
            JournalError::Undo { source, names, .. } => {
                let mut hints = source.hints();
                hints.push(format!("or remove these yourself: {names}"));
                hints
            }
        }
    }
}

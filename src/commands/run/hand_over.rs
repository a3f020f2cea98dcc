//! From llmup to the client: its whole environment, its arguments, and then it is the client's turn.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::client::Export;
use crate::error::{Explain, paste};
use crate::exit::Exit;

#[cfg(unix)]
#[path = "unix.rs"]
mod os;
#[cfg(windows)]
#[path = "windows.rs"]
mod os;

/// Why the client did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The system refused.
    #[error("cannot start {}", program.display())]
    Refused {
        /// The program.
        program: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// It is a script of Windows' command interpreter, which cannot take these arguments as they are.
    #[error("{} is started through cmd.exe, which cannot take one of these arguments as it is", program.display())]
    Arguments {
        /// The shim.
        program: PathBuf,
    },
}

impl Explain for StartError {
    fn exit(&self) -> Exit {
        match self {
            StartError::Refused { .. } => Exit::Missing,
            StartError::Arguments { .. } => Exit::Usage,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            StartError::Refused { program, .. } => {
                vec![format!("does it start by itself? `{} --version`", paste::path(program))]
            }
            StartError::Arguments { .. } => {
                vec!["leave out line breaks; long prompts go to standard input or into a file".to_owned()]
            }
        }
    }
}

/// Starts the client in this process's place (Unix) or below it (Windows), and gives its exit code.
pub fn to(program: &Path, arguments: Vec<OsString>, exports: &[Export]) -> Result<u8, StartError> {
    let mut command = Command::new(program);
    command.args(arguments);
    for export in exports {
        match export {
            Export::Set { name, value } => command.env(name, value),
            Export::Unset { name } => command.env_remove(name),
            Export::Comment(_) => &mut command,
        };
    }
    os::become_it(command).map_err(|source| refused(program, source))
}

fn refused(program: &Path, source: io::Error) -> StartError {
    let shim =
        program.extension().is_some_and(|end| end.eq_ignore_ascii_case("cmd") || end.eq_ignore_ascii_case("bat"));
    if shim && source.kind() == io::ErrorKind::InvalidInput {
        return StartError::Arguments { program: program.to_owned() };
    }
    StartError::Refused { program: program.to_owned(), source }
}

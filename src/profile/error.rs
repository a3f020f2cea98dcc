//! What can be wrong with profiles, and what to do about it.

use crate::error::Explain;
use crate::exit::Exit;
use crate::fs::FileError;

/// Why a profile could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// No profile has that name or alias.
    #[error("no model is called {name:?}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// Names that look like it, best first.
        nearest: Vec<String>,
    },
    /// A profile's text is not a profile.
    #[error("{place}: {message}", place = place(file, *line, *column))]
    Invalid {
        /// The file, as the user can open it.
        file: String,
        /// Line, from 1, when the parser knows it.
        line: Option<usize>,
        /// Column, from 1.
        column: Option<usize>,
        /// What is wrong there.
        message: String,
    },
    /// A profile's file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
}

fn place(file: &str, line: Option<usize>, column: Option<usize>) -> String {
    match (line, column) {
        (Some(line), Some(column)) => format!("{file}:{line}:{column}"),
        (Some(line), None) => format!("{file}:{line}"),
        _ => file.to_owned(),
    }
}

impl Explain for ProfileError {
    fn exit(&self) -> Exit {
        match self {
            ProfileError::Unknown { .. } | ProfileError::Invalid { .. } => Exit::Config,
            ProfileError::File(error) => error.exit(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            ProfileError::Unknown { nearest, .. } => {
                let mut hints = Vec::new();
                if let Some(best) = nearest.first() {
                    hints.push(format!("did you mean `llmup start {best}`?"));
                }
                hints.push("see the known names: `llmup models`".to_owned());
                hints.push("or give the path of a model directory or a .gguf file: `llmup start ./model`".to_owned());
                hints
            }
            ProfileError::Invalid { file, .. } => {
                vec![format!("correct {file}, or move it away to get the built-in profile of that name back")]
            }
            ProfileError::File(error) => error.hints(),
        }
    }
}

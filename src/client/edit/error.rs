//! Why a settings file is left alone.

use crate::error::Explain;
use crate::exit::Exit;

/// Why an edit is not made; nothing was written then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// Larger than any settings file.
    #[error("it has {bytes} bytes, which is more than llmup edits")]
    TooLarge {
        /// How large it is.
        bytes: usize,
    },
    /// Not UTF-8.
    #[error("line {line} is not UTF-8 text")]
    NotUnicode {
        /// Counted from 1.
        line: usize,
    },
    /// Its own program could not read it either.
    #[error("line {line}, column {column}: {reason}")]
    Syntax {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
        /// What is wrong there.
        reason: String,
    },
    /// Not names with values.
    #[error("it holds {found} where settings should be")]
    NotAnObject {
        /// What it holds.
        found: &'static str,
    },
    /// Not a list where the whole file is one.
    #[error("it holds {found} where a list of groups should be")]
    NotAList {
        /// What it holds.
        found: &'static str,
    },
    /// Which one counts is nobody's guess.
    #[error("{path} stands there more than once")]
    Duplicate {
        /// Which.
        path: String,
    },
    /// Something else stands where a parent should.
    #[error("{path} is {found} there, and settings belong below it")]
    Blocked {
        /// Which.
        path: String,
        /// What it is.
        found: &'static str,
    },
    /// Written in a way that llmup does not edit.
    #[error("{path} is written in a way that llmup does not edit: {reason}")]
    Unsupported {
        /// Which.
        path: String,
        /// Which way.
        reason: &'static str,
    },
    /// The result would mean something else than was asked for.
    #[error("the edit would have changed more than its keys")]
    Unsafe,
}

impl Explain for EditError {
    fn exit(&self) -> Exit {
        Exit::ClientConflict
    }

    fn hints(&self) -> Vec<String> {
        match self {
            EditError::Syntax { .. } | EditError::NotUnicode { .. } => {
                vec!["correct it at that place, then try again; nothing was changed".into()]
            }
            EditError::Duplicate { .. } => vec!["keep one of them, then try again; nothing was changed".into()],
            EditError::TooLarge { .. }
            | EditError::NotAnObject { .. }
            | EditError::NotAList { .. }
            | EditError::Blocked { .. }
            | EditError::Unsupported { .. }
            | EditError::Unsafe => vec!["nothing was changed".into()],
        }
    }
}

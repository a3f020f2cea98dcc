//! How failures travel: each module has a small `thiserror` enum that implements [`Explain`]; `lib.rs` renders the
//! one that reaches the top, once. Nothing here knows the modules.

use std::error::Error as StdError;

use crate::exit::Exit;

#[path = "error/paste.rs"] // also where the fuzzers take this file in by its path
pub mod paste;

/// An error that knows what the user should do next.
pub trait Explain: StdError + Send + Sync {
    /// The exit code this ends with.
    fn exit(&self) -> Exit;

    /// What to do next, each line one hint; commands stand in backquotes so they can be pasted.
    fn hints(&self) -> Vec<String> {
        Vec::new()
    }

    /// The code of what it is, of those in `profiles/findings/`, where it is one of them.
    fn finding(&self) -> Option<&'static str> {
        None
    }

    /// The exit code of what the user ended: nothing is shown then.
    fn ended_by_user(&self) -> Option<u8> {
        None
    }

    /// Lines of evidence to show under the message, e.g. the engine's own words.
    fn evidence(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Any failure on its way to the user.
#[derive(Debug)]
pub struct Error(Box<dyn Explain>);

/// What commands return.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

impl<E: Explain + 'static> From<E> for Error {
    fn from(explain: E) -> Self {
        Error(Box::new(explain))
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Error {
    /// The exit code this ends with.
    pub fn exit(&self) -> Exit {
        self.0.exit()
    }

    /// The exit code of what the user ended; `None` for a failure.
    pub fn ended_by_user(&self) -> Option<u8> {
        self.0.ended_by_user()
    }

    /// `error:`, `cause:` and `hint:` lines, without colour and without a final newline.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = vec![("error", self.0.to_string())];
        let mut cause = self.0.source();
        while let Some(error) = cause {
            lines.push(("cause", error.to_string()));
            cause = error.source();
        }
        lines.extend(self.0.evidence().into_iter().map(|line| ("  says", line)));
        lines.extend(self.0.hints().into_iter().map(|line| ("hint", line)));
        lines.extend(self.0.finding().map(|code| ("hint", meaning(code))));
        lines
    }
}

/// The hint that leads from a code to its meaning.
pub fn meaning(code: &str) -> String {
    format!("what that means: `llmup explain {code}`")
}

/// For the few failures that belong to no module: a message, an exit code and hints.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Plain {
    /// What happened and why.
    pub message: String,
    /// The exit code.
    pub exit: Exit,
    /// What to do next.
    pub hints: Vec<String>,
}

impl Plain {
    /// A failure with one hint.
    pub fn new(exit: Exit, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Plain { message: message.into(), exit, hints: vec![hint.into()] }
    }
}

impl Explain for Plain {
    fn exit(&self) -> Exit {
        self.exit
    }

    fn hints(&self) -> Vec<String> {
        self.hints.clone()
    }
}

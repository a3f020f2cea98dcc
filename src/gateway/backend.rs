//! The backend as the gateway sees it: an address that is loading, ready or gone. The supervising side sets it.

use std::time::Instant;

use crate::protocol::{Id, Problem, ProblemKind};

/// Where the backend stands.
#[derive(Debug, Clone)]
pub enum BackendState {
    /// It is coming up.
    Loading {
        /// Since when.
        since: Instant,
        /// Seconds callers shall wait before they try again.
        retry_after: u64,
    },
    /// It answers.
    Ready(Ready),
    /// It will not come back by itself.
    Gone {
        /// Why, for the caller to read.
        reason: String,
    },
}

/// A backend that answers.
#[derive(Debug, Clone)]
pub struct Ready {
    /// `http://host:port`, without a path.
    pub base_url: String,
    /// The name the engine knows the model by.
    pub model: String,
    /// Context length in tokens; 0 when unknown.
    pub context: u64,
    /// Which protocols it serves itself.
    pub serves: Serves,
    /// The engine's own key.
    pub api_key: Option<String>,
}

/// Protocols an engine serves itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Serves {
    /// `/v1/chat/completions`.
    pub chat: bool,
    /// `/v1/messages`.
    pub messages: bool,
    /// `/v1/responses`.
    pub responses: bool,
}

impl Serves {
    /// Whether it serves that one.
    pub fn has(self, id: Id) -> bool {
        match id {
            Id::Chat => self.chat,
            Id::Messages => self.messages,
            Id::Responses => self.responses,
            Id::Gemini => false,
        }
    }
}

impl BackendState {
    /// The backend, or what to tell the caller instead.
    pub fn ready(&self) -> Result<&Ready, Problem> {
        match self {
            BackendState::Ready(ready) => Ok(ready),
            BackendState::Loading { since, retry_after } => Err(Problem::new(
                ProblemKind::Overloaded,
                format!("the model is still loading ({} s so far)", since.elapsed().as_secs()),
            )
            .retry_after((*retry_after).max(1))),
            BackendState::Gone { reason } => {
                Err(Problem::new(ProblemKind::Upstream, format!("the engine is gone: {reason}")))
            }
        }
    }
}

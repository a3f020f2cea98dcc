//! The backend as the gateway sees it: an address that is asleep, loading, ready or gone. The supervising side sets it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderName, HeaderValue};
use serde_json::value::RawValue;
use tokio::sync::watch;

use crate::protocol::accepts::Accepts;
use crate::protocol::{Id, Problem, ProblemKind, Target, Vendor};

/// Where the backend stands.
#[derive(Debug, Clone)]
pub enum BackendState {
    /// It does not run, and is started when somebody asks for it ([`super::Served::wanted`]).
    Asleep {
        /// A request waits this long for it.
        hold: Duration,
        /// What it waits for itself, when somebody has asked: room that others have.
        waits_for: Option<Arc<str>>,
    },
    /// It is coming up.
    Loading {
        /// Since when.
        since: Instant,
        /// Seconds callers shall wait before they try again.
        retry_after: u64,
        /// Requests are held this long from `since` on, in case it comes up; zero: they are told to come back.
        hold: Duration,
    },
    /// It answers.
    Ready(Arc<Ready>),
    /// It will not come back by itself.
    Gone {
        /// Why, for the caller to read.
        reason: String,
    },
}

/// A backend that answers.
#[derive(Debug, Clone)]
pub struct Ready {
    /// `http://host:port` (or https), without a path.
    pub base_url: String,
    /// Where its protocol begins below that, when not at the protocol's own prefix: `/api/v1`.
    pub prefix: Option<String>,
    /// The name the engine knows the model by.
    pub model: String,
    /// Context length in tokens; 0 when unknown.
    pub context: u64,
    /// The protocols it speaks so well itself that requests in them go through as bytes.
    pub native: Vec<Id>,
    /// The protocol all other requests are translated to.
    pub speaks: Id,
    /// Whose server it is.
    pub vendor: Vendor,
    /// What its model can read.
    pub accepts: Accepts,
    /// The engine's own key.
    pub api_key: Option<String>,
    /// What its requests carry besides, and how long they may take.
    pub options: Arc<Options>,
    /// The models it lists itself, for names with a wildcard.
    pub offers: Arc<[Offer]>,
    /// Somebody starts it anew when it dies: a request it took with it, without a byte of an answer, is sent once more.
    pub heals: bool,
}

/// What requests to a backend carry besides the caller's own words, and how patient they are.
#[derive(Debug, Default)]
pub struct Options {
    /// Headers of every request.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Members of the request, under Chat's names, for callers that leave them out: `temperature`, `max_tokens`, ….
    pub defaults: Vec<(String, Box<RawValue>)>,
    /// How long the head of an answer may take. A stream that has begun is not cut.
    pub timeout: Option<Duration>,
    /// How often a request is sent again when the backend cannot be reached or answers 429 or 5xx. Never once an
    /// answer has begun.
    pub retries: u32,
}

/// A model a backend lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offer {
    /// Its name there.
    pub name: String,
    /// Its context in tokens; 0 when it does not say.
    pub context: u64,
    /// What it can read, as far as it says.
    pub accepts: Accepts,
}

impl Ready {
    /// A plain OpenAI-compatible backend.
    pub fn chat(base_url: impl Into<String>, model: impl Into<String>) -> Ready {
        Ready {
            base_url: base_url.into(),
            prefix: None,
            model: model.into(),
            context: 0,
            native: vec![Id::Chat],
            speaks: Id::Chat,
            vendor: Vendor::Unknown,
            accepts: Accepts::default(),
            api_key: None,
            options: Arc::default(),
            offers: Arc::new([]),
            heals: false,
        }
    }

    /// What an outbound has to know.
    pub fn target(&self) -> Target<'_> {
        Target { model: &self.model, vendor: self.vendor, context: self.context }
    }
}

impl From<Ready> for BackendState {
    fn from(ready: Ready) -> BackendState {
        BackendState::Ready(Arc::new(ready))
    }
}

impl BackendState {
    /// How much longer requests are held for a backend that is coming up.
    pub(super) fn held(&self) -> Option<Duration> {
        match self {
            BackendState::Asleep { hold, .. } => Some(*hold).filter(|hold| !hold.is_zero()),
            BackendState::Loading { since, hold, .. } => {
                hold.checked_sub(since.elapsed()).filter(|left| !left.is_zero())
            }
            _ => None,
        }
    }

    /// The backend, or what to tell the caller instead.
    pub fn ready(&self) -> Result<&Arc<Ready>, Problem> {
        match self {
            BackendState::Ready(ready) => Ok(ready),
            BackendState::Asleep { waits_for, .. } => {
                let why = waits_for.as_deref().unwrap_or("it is about to be started");
                Err(Problem::new(ProblemKind::Overloaded, format!("the model does not run: {why}")).retry_after(5))
            }
            BackendState::Loading { since, retry_after, .. } => Err(Problem::new(
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

/// A backend's state, once it is one to act on: while it is coming up, a request waits as long as it is held.
pub(super) async fn settled(backend: &mut watch::Receiver<BackendState>) -> BackendState {
    let began = Instant::now();
    loop {
        let state = backend.borrow_and_update().clone();
        let left = match &state {
            // What it waits for may change many times.
            BackendState::Asleep { hold, .. } => hold.checked_sub(began.elapsed()),
            state => state.held(),
        };
        let Some(left) = left else { return state };
        // The sender gone, or nothing new in time: what it says then is what counts.
        if !matches!(tokio::time::timeout(left, backend.changed()).await, Ok(Ok(()))) {
            return backend.borrow().clone();
        }
    }
}

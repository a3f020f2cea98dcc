//! Counters. A request counts as in flight until its response body is dropped, on every path.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::protocol::event::Usage;

/// Live counters since the gateway was made.
#[derive(Debug, Default)]
pub struct Counters {
    requests: AtomicU64,
    in_flight: AtomicU64,
    prompt_tokens: AtomicU64,
    cached_tokens: AtomicU64,
    output_tokens: AtomicU64,
    errors: AtomicU64,
    dropped: AtomicU64,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Requests that were meant for the model.
    pub requests: u64,
    /// Those still being answered.
    pub in_flight: u64,
    /// Prompt tokens, cached ones included, as far as the engine said.
    pub prompt_tokens: u64,
    /// Prompt tokens that came from a cache.
    pub cached_tokens: u64,
    /// Tokens of the answers.
    pub output_tokens: u64,
    /// Requests that failed, before or inside the stream.
    pub errors: u64,
    /// Parts of requests that no translation could carry.
    pub dropped: u64,
}

impl Counters {
    /// The counters now.
    pub fn read(&self) -> Counts {
        Counts {
            requests: self.requests.load(Relaxed),
            in_flight: self.in_flight.load(Relaxed),
            prompt_tokens: self.prompt_tokens.load(Relaxed),
            cached_tokens: self.cached_tokens.load(Relaxed),
            output_tokens: self.output_tokens.load(Relaxed),
            errors: self.errors.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
        }
    }

    pub(super) fn error(&self) {
        self.errors.fetch_add(1, Relaxed);
    }

    pub(super) fn dropped(&self, parts: usize) {
        self.dropped.fetch_add(parts as u64, Relaxed);
    }

    pub(super) fn usage(&self, usage: Usage) {
        self.prompt_tokens.fetch_add(usage.prompt, Relaxed);
        self.cached_tokens.fetch_add(usage.cached, Relaxed);
        self.output_tokens.fetch_add(usage.output, Relaxed);
    }
}

/// One request in flight, for as long as this lives.
pub(super) struct InFlight(pub(super) Arc<Counters>);

impl InFlight {
    pub(super) fn new(counters: &Arc<Counters>) -> Self {
        counters.requests.fetch_add(1, Relaxed);
        counters.in_flight.fetch_add(1, Relaxed);
        InFlight(Arc::clone(counters))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

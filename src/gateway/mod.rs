//! The gateway: one local address that speaks the callers' protocols and hands requests to their models' backends.
//!
//! [`handle`] is the request path, read top to bottom; the files beside it are its steps. Wire formats live in
//! `protocol`; who starts the engine and when it is ready comes in through [`BackendState`].

mod access_log;
mod answer;
mod answer_head;
mod auth;
mod backend;
mod bell;
mod body;
mod catalog;
mod chunked;
mod completions;
mod connection;
mod count;
mod defaults;
mod dial;
mod digits;
mod embed;
mod embeddings;
mod exchange;
mod handle;
mod metrics;
mod models;
mod native;
mod paths;
mod pulse;
mod queue;
mod relay;
mod rename;
mod reply;
mod responses;
mod route;
mod server;
mod socket;
mod terms;
#[cfg(test)]
mod tests;
mod timers;
mod translate;
mod upstream;
mod whole;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::protocol::ids;

pub use access_log::{AccessLog, Record, Way};
pub use backend::{BackendState, Offer, Options, Ready};
pub use bell::Bell;
pub use catalog::{Catalog, Served};
pub use dial::nearby;
pub use metrics::{Counters, Counts};
pub use pulse::Limits;
pub use server::Drained;
pub use terms::Terms;

/// What a gateway needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The key callers must show; `None` lets everyone in. Others later by [`Terms::replace`].
    pub key: Option<String>,
    /// The models on offer. Others later by [`Terms::replace`].
    pub catalog: Catalog,
    /// Whether the listener is bound to a loopback address: then `Host` must be one too.
    pub loopback: bool,
    /// How long requests in flight may go on after the shutdown was asked for.
    pub grace: Duration,
    /// How long anyone may be silent.
    pub limits: Limits,
    /// Who is told about every request once it is over.
    pub log: Option<AccessLog>,
}

/// The gateway. Bind a listener, then [`Gateway::serve`] it.
pub struct Gateway {
    shared: Arc<Shared>,
}

/// What every request sees.
struct Shared {
    settings: Settings,
    /// The key and the models that count for the next request.
    terms: Terms,
    counters: Arc<Counters>,
    /// Timers for the heads of requests, and for what follows.
    heads: timers::Heads,
    ticks: Arc<timers::Timers>,
    upstream: upstream::Upstream,
    /// Answers callers may come back to.
    responses: Arc<responses::Store>,
    /// Seconds since 1970, for the model list.
    started: u64,
    /// What request ids begin with, and how many there were.
    ids: (u32, AtomicU64),
}

impl Shared {
    /// An id for a request, unlike those of other runs.
    fn next_id(&self) -> String {
        let count = self.ids.1.fetch_add(1, Ordering::Relaxed);
        let all = u128::from(self.ids.0) << 48 | u128::from(count & 0xffff_ffff_ffff);
        let [_, _, _, _, bytes @ ..] = all.to_be_bytes();
        ["req_", std::str::from_utf8(&ids::hex(bytes)[4..]).unwrap_or_default()].concat()
    }
}

impl Gateway {
    /// A gateway that does nothing yet.
    pub fn new(settings: Settings) -> Self {
        let started = ids::now();
        Gateway {
            shared: Arc::new(Shared {
                terms: Terms::new(settings.key.clone(), settings.catalog.clone()),
                settings,
                counters: Arc::new(Counters::default()),
                heads: timers::Heads::default(),
                ticks: Arc::default(),
                upstream: upstream::Upstream::new(),
                responses: Arc::default(),
                started,
                // Random state of the standard library: ids must differ, not be secret.
                ids: (RandomState::new().hash_one(started) as u32, AtomicU64::new(0)),
            }),
        }
    }

    /// The live counters, readable while it serves.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.shared.counters)
    }

    /// What can be changed while it serves.
    pub fn terms(&self) -> Terms {
        self.shared.terms.clone()
    }

    /// Serves until `shutdown` completes, then lets requests in flight end within the grace period.
    pub async fn serve(self, listener: tokio::net::TcpListener, shutdown: impl Future<Output = ()> + Send) -> Drained {
        server::serve(self.shared, listener, shutdown).await
    }
}

//! Whether the other side still lives while nothing is heard from it, and when to let the caller know that we do.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::Shared;
use super::answer::Answer;
use super::backend::BackendState;
use super::catalog::Served;
use super::metrics::Counters;
use super::timers::Timer;
use super::upstream::Sending;
use crate::protocol::{Problem, ProblemKind};

/// How long anyone may be silent, and how much they may send.
#[derive(Debug, Clone)]
pub struct Limits {
    /// A stream that says nothing for this long gets a sign of life.
    pub keepalive: Duration,
    /// The backend may think this long before the first byte of an answer: long prompts on a CPU take many minutes.
    pub first_byte: Duration,
    /// Between two bytes of an answer.
    pub stall: Duration,
    /// A connection may be without a complete request head for this long, be it new, idle or slow.
    pub head: Duration,
    /// Between two bytes of a request's body.
    pub body_gap: Duration,
    /// For the whole body of a request.
    pub body: Duration,
    /// A caller that takes nothing of what is ready for it for this long is cut.
    pub write: Duration,
    /// Bytes of the largest request body.
    pub body_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        Limits {
            // Codex ends a stream after 300 s of silence, undici after 300 s, proxies often after 60 s.
            keepalive: Duration::from_secs(10),
            first_byte: minutes(60),
            stall: minutes(10),
            head: minutes(2),
            body_gap: Duration::from_secs(30),
            body: minutes(15),
            write: minutes(10),
            body_bytes: 64 << 20,
        }
    }
}

/// One request's clock. It ticks coarsely and counts: no timer is set anew for an event.
pub(super) struct Pulse {
    counters: Arc<Counters>,
    backend: watch::Receiver<BackendState>,
    tick: Timer,
    period: Duration,
    keepalive: Duration,
    first_byte: Duration,
    stall: Duration,
    /// Since the backend was heard last, and whether it was at all.
    unheard: Duration,
    begun: bool,
    /// Since the caller was told something.
    untold: Duration,
}

/// What a tick may find.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Beat {
    /// Time for a sign of life.
    Silence,
    /// Nothing more will come.
    Over(Problem),
}

impl Pulse {
    pub(super) fn new(shared: &Shared, served: &Served) -> Pulse {
        let limits = &shared.settings.limits;
        let shortest = limits.keepalive.min(limits.stall).min(limits.first_byte);
        let period = (shortest / 4).clamp(Duration::from_millis(1), Duration::from_secs(1));
        Pulse {
            counters: Arc::clone(&served.counters),
            backend: served.backend.clone(),
            tick: shared.ticks.lend(Instant::now() + period),
            period,
            keepalive: limits.keepalive,
            first_byte: limits.first_byte,
            stall: limits.stall,
            unheard: Duration::ZERO,
            begun: false,
            untold: Duration::ZERO,
        }
    }

    /// The backend as it comes and goes.
    pub(super) fn backend(&self) -> watch::Receiver<BackendState> {
        self.backend.clone()
    }

    /// Bytes of an answer came.
    pub(super) fn heard(&mut self) {
        self.counters.hear();
        self.begun = true;
        self.unheard = Duration::ZERO;
    }

    /// Bytes went to the caller.
    pub(super) fn told(&mut self) {
        self.untold = Duration::ZERO;
    }

    /// To be asked while there is nothing to do: wakes in time.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Beat> {
        loop {
            ready!(Pin::new(&mut self.tick).poll(cx));
            self.tick.reset(Instant::now() + self.period);
            self.unheard += self.period;
            self.untold += self.period;
            let lost = {
                let state = self.backend.borrow();
                // What has no byte yet is sent to the new one ([`super::upstream`]).
                let held = !self.begun && state.held().is_some();
                state.ready().err().filter(|_| !held)
            };
            if let Some(problem) = lost {
                return Poll::Ready(Beat::Over(problem));
            }
            let limit = if self.begun { self.stall } else { self.first_byte };
            if self.unheard >= limit {
                let message = format!("the engine has been silent for {} s", limit.as_secs_f32());
                return Poll::Ready(Beat::Over(Problem::new(ProblemKind::Upstream, message)));
            }
            if self.untold >= self.keepalive {
                self.untold = Duration::ZERO;
                return Poll::Ready(Beat::Silence);
            }
        }
    }

    /// The head of the answer. With `patient` false, `None` when it lets us wait so long that the caller needs a sign
    /// of life.
    pub(super) async fn head(
        &mut self,
        sending: &mut Sending,
        patient: bool,
    ) -> Option<Result<http::Response<Answer>, Problem>> {
        std::future::poll_fn(|cx| {
            if let Poll::Ready(answer) = sending.as_mut().poll(cx) {
                return Poll::Ready(Some(answer));
            }
            loop {
                match ready!(self.poll(cx)) {
                    Beat::Over(problem) => return Poll::Ready(Some(Err(problem))),
                    Beat::Silence if patient => {}
                    Beat::Silence => return Poll::Ready(None),
                }
            }
        })
        .await
    }

    /// The next pieces of the answer, with nobody to be kept awake. `false` at the end.
    pub(super) async fn pieces(
        &mut self,
        answer: &mut Answer,
        sink: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Result<bool, Problem> {
        std::future::poll_fn(|cx| {
            if let Poll::Ready(more) = answer.poll_pieces(cx, sink) {
                self.heard();
                return Poll::Ready(more);
            }
            loop {
                if let Beat::Over(problem) = ready!(self.poll(cx)) {
                    return Poll::Ready(Err(problem));
                }
            }
        })
        .await
    }
}

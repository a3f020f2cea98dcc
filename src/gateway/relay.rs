//! The response body that pumps the backend's answer to the caller: bytes through, or through a codec. Counters live
//! in it, so they end with it on every path; when the caller goes away it is dropped, and the upstream request with it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming};
use tokio::time::{Instant, Sleep};

use super::metrics::InFlight;
use super::reply::BoxError;
use super::upstream::{self, Sending};
use crate::protocol::{Id, Problem, ProblemKind, Protocol, scan};

/// A stream that says nothing for this long gets a sign of life.
pub(super) const SILENCE: Duration = Duration::from_secs(10);

/// What happens to the bytes on their way.
pub(super) trait Transform: Send {
    /// Bytes from the backend; what to send now, possibly nothing.
    fn push(&mut self, chunk: Bytes) -> Bytes;

    /// The backend is done, or broke off. The last bytes, or an error that breaks the caller's connection too.
    fn end(&mut self, cut: Option<Problem>) -> Result<Bytes, Problem>;

    /// A sign of life, where one may stand now.
    fn keepalive(&self) -> Option<&'static [u8]>;
}

enum Phase {
    Waiting(Sending),
    Flowing(Incoming),
    Failing(Pin<Box<dyn Future<Output = Problem> + Send>>),
    Done,
}

/// The body.
pub(super) struct Relay {
    phase: Phase,
    transform: Box<dyn Transform>,
    tick: Pin<Box<Sleep>>,
    quiet: bool,
    /// Trailers are out.
    told: bool,
    in_flight: InFlight,
}

impl Relay {
    /// The answer has begun.
    pub(super) fn flowing(body: Incoming, transform: Box<dyn Transform>, in_flight: InFlight) -> Self {
        Self::new(Phase::Flowing(body), transform, in_flight)
    }

    /// The answer lets us wait; signs of life go out meanwhile.
    pub(super) fn waiting(sending: Sending, transform: Box<dyn Transform>, in_flight: InFlight) -> Self {
        let mut relay = Self::new(Phase::Waiting(sending), transform, in_flight);
        // The silence has lasted long enough already.
        relay.tick = Box::pin(tokio::time::sleep(Duration::ZERO));
        relay.quiet = true;
        relay
    }

    fn new(phase: Phase, transform: Box<dyn Transform>, in_flight: InFlight) -> Self {
        Relay { phase, transform, tick: Box::pin(tokio::time::sleep(SILENCE)), quiet: false, told: false, in_flight }
    }

    /// The next bytes, or `None` when all is said.
    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Problem>>> {
        loop {
            match &mut self.phase {
                Phase::Done => return Poll::Ready(None),
                Phase::Waiting(sending) => match std::task::ready!(sending.as_mut().poll(cx)) {
                    Ok(response) if response.status().is_success() => self.phase = Phase::Flowing(response.into_body()),
                    Ok(response) => {
                        self.phase = Phase::Failing(Box::pin(async { upstream::failure(response).await.0 }))
                    }
                    Err(problem) => return Poll::Ready(self.end(Some(problem))),
                },
                Phase::Failing(reading) => {
                    let problem = std::task::ready!(reading.as_mut().poll(cx));
                    return Poll::Ready(self.end(Some(problem)));
                }
                Phase::Flowing(body) => match std::task::ready!(Pin::new(body).poll_frame(cx)) {
                    Some(Ok(frame)) => {
                        if let Ok(chunk) = frame.into_data() {
                            let out = self.transform.push(chunk);
                            if !out.is_empty() {
                                return Poll::Ready(Some(Ok(out)));
                            }
                        }
                    }
                    None => return Poll::Ready(self.end(None)),
                    Some(Err(error)) => {
                        let message = format!("the engine broke off its answer: {error}");
                        return Poll::Ready(self.end(Some(Problem::new(ProblemKind::Upstream, message))));
                    }
                },
            }
        }
    }

    /// The usage, once, for a caller that takes trailers.
    fn trailers(&mut self) -> Option<http::HeaderMap> {
        if !self.in_flight.wants_trailers() || std::mem::replace(&mut self.told, true) {
            return None;
        }
        Some(self.in_flight.usage_headers()).filter(|headers| !headers.is_empty())
    }

    fn end(&mut self, cut: Option<Problem>) -> Option<Result<Bytes, Problem>> {
        self.phase = Phase::Done;
        self.in_flight.ended();
        match self.transform.end(cut) {
            Ok(bytes) if bytes.is_empty() => None,
            ended => Some(ended),
        }
    }
}

impl HttpBody for Relay {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(bytes) = self.poll_bytes(cx) {
            self.quiet = false;
            if bytes.is_some() {
                self.in_flight.byte();
            } else if let Some(trailers) = self.trailers() {
                return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
            }
            return Poll::Ready(bytes.map(|bytes| bytes.map(Frame::data).map_err(|problem| problem.message.into())));
        }
        // Not reset per event, only looked at when it rings: silence is found within one to two periods.
        while self.tick.as_mut().poll(cx).is_ready() {
            let next = Instant::now() + SILENCE;
            self.tick.as_mut().reset(next);
            let was_quiet = std::mem::replace(&mut self.quiet, true);
            if was_quiet && let Some(sign) = self.transform.keepalive() {
                return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(sign)))));
            }
        }
        Poll::Pending
    }
}

/// Bytes through. It watches the ends of the answer for usage, and for whether it ended by itself.
pub(super) struct Passthrough {
    protocol: &'static dyn Protocol,
    stream: bool,
    begin: Vec<u8>,
    tail: Vec<u8>,
    ended: bool,
    /// The usage was told.
    told: bool,
    in_flight: InFlight,
}

impl Drop for Passthrough {
    /// Not at the end of the body: the server stops asking once the announced length is out.
    fn drop(&mut self) {
        self.tell_usage();
    }
}

const BEGIN: usize = 2 << 10;
const TAIL: usize = 4 << 10;

impl Passthrough {
    pub(super) fn new(protocol: &'static dyn Protocol, stream: bool, in_flight: InFlight) -> Self {
        Passthrough { protocol, stream, begin: Vec::new(), tail: Vec::new(), ended: false, told: false, in_flight }
    }

    fn tell_usage(&mut self) {
        if !std::mem::replace(&mut self.told, true) {
            self.in_flight.usage(self.protocol.usage(&self.begin, &self.tail));
        }
    }
}

impl Transform for Passthrough {
    fn push(&mut self, chunk: Bytes) -> Bytes {
        let room = BEGIN - self.begin.len();
        self.begin.extend_from_slice(&chunk[..chunk.len().min(room)]);
        self.tail.extend_from_slice(&chunk[chunk.len().saturating_sub(TAIL)..]);
        if self.tail.len() > 2 * TAIL {
            self.tail.drain(..self.tail.len() - TAIL);
        }
        // The last event of Responses repeats the whole answer: its name may be far from the end.
        if self.stream && !self.ended && self.protocol.id() == Id::Responses {
            self.ended = self.protocol.ends_properly(&chunk) || self.protocol.ends_properly(&self.tail);
        }
        chunk
    }

    fn end(&mut self, cut: Option<Problem>) -> Result<Bytes, Problem> {
        self.tell_usage();
        let ended = self.ended || self.protocol.ends_properly(&self.tail);
        let problem = match cut {
            // Closed without ceremony behind a complete stream: complete.
            Some(_) if self.stream && ended => return Ok(Bytes::new()),
            Some(problem) => problem,
            None if !self.stream || ended => return Ok(Bytes::new()),
            // An error the engine put into the stream itself has reached the caller as it was.
            None if scan::rfind(&self.tail, b"\"error\"").is_some() => {
                self.in_flight.error("the engine put an error into its stream");
                return Ok(Bytes::new());
            }
            None => Problem::new(ProblemKind::Upstream, "the engine's answer ended before it was complete"),
        };
        self.in_flight.error(&problem.message);
        if !self.stream {
            return Err(problem);
        }
        let mut last = if at_boundary(&self.tail) { Vec::new() } else { b"\n\n".to_vec() };
        last.extend(self.protocol.encode_stream_error(&problem));
        Ok(last.into())
    }

    fn keepalive(&self) -> Option<&'static [u8]> {
        (self.stream && at_boundary(&self.tail)).then(|| self.protocol.keepalive())
    }
}

/// Whether an event may begin here.
fn at_boundary(tail: &[u8]) -> bool {
    tail.is_empty() || tail.ends_with(b"\n\n") || tail.ends_with(b"\r\n\r\n") || tail.ends_with(b"\r\r")
}

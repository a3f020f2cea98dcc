//! The response body that pumps the backend's answer to the caller: bytes through, or through a codec. Counters live
//! in it, so they end with it on every path; when the caller goes away it is dropped, and the upstream request with it.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame};

use super::answer::Answer;
use super::metrics::InFlight;
use super::pulse::{Beat, Pulse};
use super::rename::Names;
use super::reply::{Body, BoxError};
use super::upstream::{self, Sending};
use crate::protocol::{Id, Problem, ProblemKind, Protocol, scan};

/// What happens to the bytes on their way.
pub(super) trait Transform: Send {
    /// Bytes from the backend, split anywhere; appends what to send for them, possibly nothing.
    fn push(&mut self, piece: &[u8], out: &mut Vec<u8>);

    /// What the pieces of one turn gave, before it leaves.
    fn leaving(&mut self, _out: &[u8]) {}

    /// The backend is done, or broke off. The last bytes, or an error that breaks the caller's connection too.
    fn end(&mut self, cut: Option<Problem>, out: &mut Vec<u8>) -> Result<(), Problem>;

    /// A sign of life, where one may stand now.
    fn keepalive(&self) -> Option<&'static [u8]>;
}

enum Phase {
    Waiting(Sending),
    Flowing(Answer),
    Failing(Pin<Box<dyn Future<Output = Problem> + Send>>),
    Done,
}

/// As much as is put into one frame when the backend is faster than the caller.
const FRAME: usize = 64 << 10;

/// The body.
pub(super) struct Relay {
    phase: Phase,
    transform: Box<dyn Transform>,
    pulse: Pulse,
    /// The silence has lasted long enough already.
    due: bool,
    /// What the last frame held: about what the next one will.
    usual: usize,
    /// Trailers are out, or there will be none.
    trailed: bool,
    in_flight: InFlight,
}

impl Relay {
    /// As any response body.
    pub(super) fn boxed(self) -> Body {
        self.boxed_unsync()
    }

    /// The answer has begun.
    pub(super) fn flowing(answer: Answer, transform: Box<dyn Transform>, pulse: Pulse, in_flight: InFlight) -> Self {
        Relay::new(Phase::Flowing(answer), false, transform, pulse, in_flight)
    }

    /// The answer lets us wait; signs of life go out meanwhile.
    pub(super) fn waiting(sending: Sending, transform: Box<dyn Transform>, pulse: Pulse, in_flight: InFlight) -> Self {
        Relay::new(Phase::Waiting(sending), true, transform, pulse, in_flight)
    }

    fn new(phase: Phase, due: bool, transform: Box<dyn Transform>, pulse: Pulse, in_flight: InFlight) -> Self {
        Relay { phase, transform, pulse, due, usual: 0, trailed: !in_flight.wants_trailers(), in_flight }
    }

    /// All that can be had now, as one: an event that comes alone leaves alone, a burst leaves together. `None` when
    /// all is said.
    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Problem>>> {
        let mut out = Vec::new();
        loop {
            match &mut self.phase {
                Phase::Done => return Poll::Ready(None),
                Phase::Waiting(sending) => match std::task::ready!(sending.as_mut().poll(cx)) {
                    Ok(response) if response.status().is_success() => self.phase = Phase::Flowing(response.into_body()),
                    Ok(response) => {
                        self.phase = Phase::Failing(Box::pin(async { upstream::failure(response).await.0 }))
                    }
                    Err(problem) => return Poll::Ready(self.end(Some(problem), out)),
                },
                Phase::Failing(reading) => {
                    let problem = std::task::ready!(reading.as_mut().poll(cx));
                    return Poll::Ready(self.end(Some(problem), out));
                }
                Phase::Flowing(answer) => {
                    let (transform, usual, in_flight) = (&mut self.transform, self.usual, &self.in_flight);
                    let polled = answer.poll_pieces(cx, &mut |piece| {
                        if out.capacity() == 0 {
                            out.reserve(usual.clamp(piece.len(), FRAME));
                        }
                        in_flight.flows();
                        transform.push(piece, &mut out);
                    });
                    match polled {
                        Poll::Ready(Ok(true)) => {
                            self.pulse.heard();
                            if out.len() < FRAME {
                                continue;
                            }
                        }
                        Poll::Ready(Ok(false)) => return Poll::Ready(self.end(None, out)),
                        Poll::Ready(Err(problem)) => return Poll::Ready(self.end(Some(problem), out)),
                        Poll::Pending if out.is_empty() => return Poll::Pending,
                        Poll::Pending => {}
                    }
                    self.transform.leaving(&out);
                    self.usual = out.len();
                    return Poll::Ready(Some(Ok(out.into())));
                }
            }
        }
    }

    fn end(&mut self, cut: Option<Problem>, mut out: Vec<u8>) -> Option<Result<Bytes, Problem>> {
        self.phase = Phase::Done;
        self.in_flight.ended();
        self.transform.leaving(&out);
        match self.transform.end(cut, &mut out) {
            Ok(()) if out.is_empty() => None,
            Ok(()) => Some(Ok(out.into())),
            Err(problem) => Some(Err(problem)),
        }
    }
}

impl HttpBody for Relay {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut bytes = self.poll_bytes(cx);
        while bytes.is_pending() {
            let beat = if std::mem::take(&mut self.due) { Poll::Ready(Beat::Silence) } else { self.pulse.poll(cx) };
            match beat {
                Poll::Pending => return Poll::Pending,
                // Dropping the phase closes the connection: nobody works for nobody.
                Poll::Ready(Beat::Over(problem)) => bytes = Poll::Ready(self.end(Some(problem), Vec::new())),
                Poll::Ready(Beat::Silence) => {
                    bytes = self.transform.keepalive().map_or(Poll::Pending, |sign| Poll::Ready(Some(Ok(sign.into()))));
                }
            }
        }
        self.pulse.told();
        match &bytes {
            Poll::Ready(Some(_)) => self.in_flight.byte(),
            Poll::Ready(None) if !self.trailed => {
                self.trailed = true;
                let mut usage = HeaderMap::new();
                self.in_flight.tell_usage(&mut usage);
                if !usage.is_empty() {
                    return Poll::Ready(Some(Ok(Frame::trailers(usage))));
                }
            }
            _ => {}
        }
        bytes.map(|bytes| bytes.map(|bytes| bytes.map(Frame::data).map_err(|problem| problem.message.into())))
    }

    /// So that the server does not ask once more after the last byte.
    fn is_end_stream(&self) -> bool {
        self.trailed && matches!(self.phase, Phase::Done)
    }
}

/// Bytes through. It watches the ends of the answer for usage, and for whether it ended by itself.
pub(super) struct Passthrough {
    protocol: &'static dyn Protocol,
    stream: bool,
    /// What the backend's context holds, tokens; 0 when unknown.
    context: u64,
    /// Where the model's name is exchanged.
    names: Option<Names>,
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
    pub(super) fn new(protocol: &'static dyn Protocol, stream: bool, context: u64, in_flight: InFlight) -> Self {
        let (begin, tail) = (Vec::new(), Vec::new());
        Passthrough { protocol, stream, context, names: None, begin, tail, ended: false, told: false, in_flight }
    }

    /// The same, with the name that was asked for in place of the engine's. Only the first event of Messages names the
    /// model; Gemini's callers read no name.
    pub(super) fn named(mut self, engine: &str, asked: Option<&str>) -> Self {
        let id = self.protocol.id();
        if self.stream && matches!(id, Id::Messages | Id::Chat | Id::Responses) {
            self.names = asked.and_then(|asked| Names::new(engine, asked, id == Id::Messages));
        }
        self
    }

    /// An answer that is here as a whole, instead of by pieces.
    pub(super) fn whole(&mut self, answer: &[u8]) {
        self.told = true;
        let begin = if answer.len() > TAIL { &answer[..BEGIN] } else { &[] };
        self.in_flight.usage(self.protocol.usage(begin, &answer[answer.len().saturating_sub(TAIL)..]));
    }

    fn tell_usage(&mut self) {
        if !std::mem::replace(&mut self.told, true) {
            self.in_flight.usage(self.protocol.usage(&self.begin, &self.tail));
        }
    }
}

impl Transform for Passthrough {
    fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        match &mut self.names {
            None => out.extend_from_slice(piece),
            Some(names) => {
                if names.push(piece, out) {
                    self.names = None;
                }
            }
        }
    }

    fn leaving(&mut self, out: &[u8]) {
        let room = BEGIN - self.begin.len();
        self.begin.extend_from_slice(&out[..out.len().min(room)]);
        self.tail.extend_from_slice(&out[out.len().saturating_sub(TAIL)..]);
        if self.tail.len() > 2 * TAIL {
            self.tail.drain(..self.tail.len() - TAIL);
        }
        // The last event of Responses repeats the whole answer: its name may be far from the end.
        if self.stream && !self.ended && self.protocol.id() == Id::Responses {
            self.ended = self.protocol.ends_properly(out) || self.protocol.ends_properly(&self.tail);
        }
    }

    fn end(&mut self, cut: Option<Problem>, out: &mut Vec<u8>) -> Result<(), Problem> {
        if let Some(names) = self.names.take() {
            let rest = names.rest();
            out.extend_from_slice(&rest);
            self.leaving(&rest);
        }
        self.tell_usage();
        let ended = self.stream && (self.ended || self.protocol.ends_properly(&self.tail));
        let problem = match cut {
            // Closed without ceremony behind a complete stream: complete.
            Some(_) if self.stream && ended => return Ok(()),
            Some(problem) => problem.within(self.context),
            None if !self.stream || ended => return Ok(()),
            // An error the engine put into the stream itself has reached the caller as it was.
            None if scan::rfind(&self.tail, b"\"error\"").is_some() => {
                self.in_flight.error("the engine put an error into its stream");
                return Ok(());
            }
            None => Problem::new(ProblemKind::Upstream, "the engine's answer ended before it was complete"),
        };
        self.in_flight.error(&problem.message);
        if !self.stream {
            return Err(problem);
        }
        if !at_boundary(&self.tail) {
            out.extend_from_slice(b"\n\n");
        }
        out.extend(self.protocol.encode_stream_error(&problem));
        Ok(())
    }

    fn keepalive(&self) -> Option<&'static [u8]> {
        (self.stream && at_boundary(&self.tail)).then(|| self.protocol.keepalive())
    }
}

/// Whether an event may begin here.
fn at_boundary(tail: &[u8]) -> bool {
    tail.is_empty() || tail.ends_with(b"\n\n") || tail.ends_with(b"\r\n\r\n") || tail.ends_with(b"\r\r")
}

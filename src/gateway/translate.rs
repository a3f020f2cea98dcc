//! A request in one protocol, answered by a backend that speaks another one.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body_util::BodyExt;

use super::backend::Ready;
use super::handle::{boxed, first_sign};
use super::metrics::{Counters, InFlight};
use super::relay::{Relay, Transform};
use super::reply::{self, Body};
use super::{Shared, upstream};
use crate::protocol::event::Event;
use crate::protocol::{
    AnswerEncoder, EventDecoder, EventEncoder, Id, Inbound, Outbound, Problem, ProblemKind, Protocol, head, protocol,
};

pub(super) async fn answer(
    shared: &Arc<Shared>,
    backend: &Ready,
    dialect: Id,
    (inbound, outbound): (&'static dyn Inbound, &'static dyn Outbound),
    headers: &HeaderMap,
    body: &Bytes,
    in_flight: InFlight,
) -> Result<Response<Body>, Problem> {
    let mut request = inbound.decode_request(body)?;
    shared.counters.dropped(request.dropped.len());
    if let Some(fits) = request.max_tokens.and_then(|asked| head::clamped(asked, body.len(), backend.context)) {
        request.max_tokens = Some(fits);
    }
    let translated = outbound.encode_request(&request, &backend.model);
    let (model, stream) = (request.model.into_owned(), request.stream);

    let mut sending = shared.upstream.post(backend, outbound.path(), headers, translated.into());
    let decoder = outbound.event_decoder();
    let codec = |decoder| {
        let encoder = inbound.stream_encoder(&model);
        let counters = Arc::clone(&shared.counters);
        Box::new(Codec { decoder, encoder, protocol: protocol(dialect), counters })
    };
    let response = match first_sign(&mut sending, stream).await {
        Some(response) => response?,
        None => return Ok(reply::events(boxed(Relay::waiting(sending, codec(decoder), in_flight)))),
    };
    if !response.status().is_success() {
        return Err(upstream::failure(response).await.0);
    }
    if stream {
        return Ok(reply::events(boxed(Relay::flowing(response.into_body(), codec(decoder), in_flight))));
    }
    // Dropped with this future when the caller goes away.
    let answer = gather(shared, response.into_body(), decoder, inbound.answer_encoder(&model)).await;
    drop(in_flight);
    answer
}

/// Reads the stream into one whole answer.
async fn gather(
    shared: &Shared,
    mut body: hyper::body::Incoming,
    mut decoder: Box<dyn EventDecoder>,
    mut answer: Box<dyn AnswerEncoder>,
) -> Result<Response<Body>, Problem> {
    let mut add = |event: Event<'_>| {
        if let Event::Finish { usage, .. } = &event {
            shared.counters.usage(*usage);
        }
        answer.add(&event);
    };
    loop {
        match body.frame().await {
            Some(Ok(frame)) => {
                if let Ok(chunk) = frame.into_data() {
                    decoder.push(&chunk, &mut add);
                }
            }
            None => {
                decoder.end(None, &mut add);
                break;
            }
            Some(Err(error)) => {
                decoder.end(Some(broke_off(&error)), &mut add);
                break;
            }
        }
    }
    answer.finish().map(|body| reply::json(200, body))
}

fn broke_off(error: &hyper::Error) -> Problem {
    Problem::new(ProblemKind::Upstream, format!("the engine broke off its answer: {error}"))
}

/// The backend's stream in, the caller's stream out.
struct Codec {
    decoder: Box<dyn EventDecoder>,
    encoder: Box<dyn EventEncoder>,
    protocol: &'static dyn Protocol,
    counters: Arc<Counters>,
}

impl Codec {
    fn run(&mut self, step: impl FnOnce(&mut dyn EventDecoder, &mut dyn FnMut(Event<'_>))) -> Bytes {
        let mut out = Vec::new();
        let Codec { decoder, encoder, counters, .. } = self;
        step(decoder.as_mut(), &mut |event| {
            match &event {
                Event::Finish { usage, .. } => counters.usage(*usage),
                Event::Error(_) => counters.error(),
                _ => {}
            }
            encoder.encode(&event, &mut out);
        });
        out.into()
    }
}

impl Transform for Codec {
    fn push(&mut self, chunk: Bytes) -> Bytes {
        self.run(|decoder, sink| decoder.push(&chunk, sink))
    }

    fn end(&mut self, cut: Option<Problem>) -> Result<Bytes, Problem> {
        Ok(self.run(|decoder, sink| decoder.end(cut, sink)))
    }

    fn keepalive(&self) -> Option<&'static [u8]> {
        Some(self.protocol.keepalive())
    }
}

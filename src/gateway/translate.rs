//! A request in one protocol, answered by a backend that speaks another one.

use bytes::Bytes;
use http::Response;

use super::access_log::Way;
use super::answer::Answer;
use super::exchange::Exchange;
use super::metrics::InFlight;
use super::pulse::Pulse;
use super::relay::{Relay, Transform};
use super::reply::{self, Body};
use super::{defaults, upstream};
use crate::protocol::event::{Event, Filter};
use crate::protocol::ir::Framing;
use crate::protocol::names::Names;
use crate::protocol::repair::Repair;
use crate::protocol::think::Think;
use crate::protocol::{
    AnswerEncoder, EventDecoder, EventEncoder, Inbound, Outbound, Problem, Protocol, accepts, head, losses, protocol,
};

/// Translates a request and its answer.
pub(super) async fn answer(
    mut exchange: Exchange<'_>,
    (inbound, outbound): (&dyn Inbound, &'static dyn Outbound),
    body: Bytes,
) -> Result<Response<Body>, Problem> {
    let Exchange { backend, dialect, in_path, .. } = exchange;
    let mut request = inbound.decode_request(&body)?;
    let completed = inbound.complete(&request, &body)?;
    if let Some(completed) = &completed {
        request = inbound.decode_request(completed)?;
    }
    let length = completed.as_ref().unwrap_or(&body).len();
    if let Some(model) = in_path.model {
        request.model = model.into();
    }
    request.framing = in_path.framing.unwrap_or(request.framing);
    defaults::apply(&backend.options, &mut request);
    accepts::apply(&mut request, backend.accepts)?;
    let fits = request.max_tokens.and_then(|limit| head::clamped(limit, length, backend.context));
    exchange.in_flight.clamped(fits);
    request.max_tokens = fits.or(request.max_tokens);
    let (framing, limit) = (request.framing, request.max_tokens);
    exchange.in_flight.way(Way::Translated, framing.streams());
    // Made of the request as the caller sent it, before names change for the backend.
    let encoder = if framing.streams() {
        Encoder::Stream(inbound.stream_encoder(&request))
    } else {
        Encoder::Whole(inbound.answer_encoder(&request))
    };
    let names = Names::apply(&mut request, outbound.names());
    let (think, repair) = (Think::default(), Repair::new(&request));
    let mut decoder = Decoder { decoder: outbound.event_decoder(), think, repair, names };
    let translated = outbound.encode_request(&request, &backend.target());
    exchange.in_flight.dropped(&request.dropped);
    exchange.in_flight.dropped(&losses::of(&request, backend.speaks, &backend.target()));
    drop(request);
    // Long before the answer is: prompts are large.
    drop((body, completed));
    let path = protocol(backend.speaks).path(&backend.model, Framing::Events);
    let mut sending = exchange.send_limited(&path, translated.into(), limit);
    let encoder = match encoder {
        Encoder::Stream(encoder) => encoder,
        Encoder::Whole(answer) => {
            let response = exchange.answer_head(&mut sending).await?;
            if !response.status().is_success() {
                return Err(upstream::failure(response).await.0);
            }
            // Dropped with this future when the caller goes away.
            let Exchange { mut pulse, in_flight, .. } = exchange;
            return gather(&in_flight, &mut response.into_body(), &mut decoder, answer, &mut pulse).await;
        }
    };
    let Exchange { mut pulse, in_flight, .. } = exchange;
    let (protocol, context) = (protocol(dialect), backend.context);
    let codec = Box::new(Codec { decoder, encoder, protocol, context, in_flight: in_flight.clone() });
    let response = match pulse.head(&mut sending, false).await {
        Some(response) => response?,
        None => return Ok(reply::stream(framing, Relay::waiting(sending, codec, pulse, in_flight).boxed())),
    };
    if !response.status().is_success() {
        return Err(upstream::failure(response).await.0);
    }
    Ok(reply::stream(framing, Relay::flowing(response.into_body(), codec, pulse, in_flight).boxed()))
}

enum Encoder {
    Stream(Box<dyn EventEncoder>),
    Whole(Box<dyn AnswerEncoder>),
}

/// The backend's stream, and what must happen to its events before any encoder sees them.
struct Decoder {
    decoder: Box<dyn EventDecoder>,
    think: Think,
    repair: Option<Repair>,
    names: Names,
}

impl Decoder {
    fn run(
        &mut self,
        step: impl FnOnce(&mut dyn EventDecoder, &mut dyn FnMut(Event<'_>)),
        sink: &mut dyn FnMut(Event<'_>),
    ) {
        let Decoder { decoder, think, repair, names } = self;
        step(decoder.as_mut(), &mut |event| {
            think.event(event, &mut |event| match repair {
                Some(repair) => repair.event(event, &mut |event| names.event(event, sink)),
                None => names.event(event, sink),
            });
        });
    }
}

/// Reads the stream into one whole answer.
async fn gather(
    in_flight: &InFlight,
    body: &mut Answer,
    decoder: &mut Decoder,
    mut answer: Box<dyn AnswerEncoder>,
    pulse: &mut Pulse,
) -> Result<Response<Body>, Problem> {
    let mut add = |event: Event<'_>| {
        if let Event::Finish { usage, .. } = &event {
            in_flight.usage(*usage);
        }
        answer.add(&event);
    };
    let cut = loop {
        let mut take = |piece: &[u8]| decoder.run(|decoder, sink| decoder.push(piece, sink), &mut add);
        match pulse.pieces(body, &mut take).await {
            Ok(true) => {}
            Ok(false) => break None,
            Err(problem) => break Some(problem),
        }
    };
    decoder.run(|decoder, sink| decoder.end(cut, sink), &mut add);
    let mut response = reply::json(200, answer.finish()?);
    in_flight.tell_usage(response.headers_mut());
    Ok(response)
}

/// The backend's stream in, the caller's stream out.
struct Codec {
    decoder: Decoder,
    encoder: Box<dyn EventEncoder>,
    protocol: &'static dyn Protocol,
    /// What the backend's context holds, tokens; 0 when unknown.
    context: u64,
    in_flight: InFlight,
}

impl Codec {
    fn run(&mut self, out: &mut Vec<u8>, step: impl FnOnce(&mut dyn EventDecoder, &mut dyn FnMut(Event<'_>))) {
        let Codec { decoder, encoder, in_flight, context, .. } = self;
        decoder.run(step, &mut |event| {
            let event = match event {
                Event::Error(problem) => Event::Error(problem.within(*context)),
                event => event,
            };
            match &event {
                Event::Finish { usage, .. } => in_flight.usage(*usage),
                Event::Error(problem) => in_flight.error(&problem.message),
                _ => {}
            }
            encoder.encode(&event, out);
        });
    }
}

impl Transform for Codec {
    fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        self.run(out, |decoder, sink| decoder.push(piece, sink));
    }

    fn end(&mut self, cut: Option<Problem>, out: &mut Vec<u8>) -> Result<(), Problem> {
        self.run(out, |decoder, sink| decoder.end(cut, sink));
        Ok(())
    }

    fn keepalive(&self) -> Option<&'static [u8]> {
        Some(self.protocol.keepalive())
    }
}

//! Same protocol in and out: the bytes go through, but for the few edits that must be.

use bytes::Bytes;
use http::{HeaderValue, Response, header};

use super::access_log::Way;
use super::answer::Answer;
use super::backend::Ready;
use super::exchange::Exchange;
use super::metrics::InFlight;
use super::relay::{Passthrough, Relay};
use super::reply::{self, Body};
use super::{defaults, rename, upstream};
use crate::protocol::head::{self, Head, Patch};
use crate::protocol::ir::Framing;
use crate::protocol::{self, Id, Problem, ProblemKind, Vendor, anthropic, foreign, openai_chat};

/// Whole answers up to this size are read before they are sent on.
const WHOLE: usize = 4 << 20;

/// Passes a request to a path below the backend's prefix, and its answer back.
pub(super) async fn answer(exchange: Exchange<'_>, path: &str, body: Bytes) -> Result<Response<Body>, Problem> {
    let Exchange { backend, dialect, head, .. } = exchange;
    exchange.in_flight.way(Way::Native, head.stream);
    let Edits { mut patches, dropped, limit } = Edits::of(backend, dialect, head, &body);
    exchange.in_flight.dropped(&dropped);
    exchange.in_flight.clamped(limit);
    // Embeddings have no sampling.
    if path != "/embeddings" {
        defaults::patch(&backend.options, dialect, head, &body, &mut patches);
    }
    let body = spliced(body, patches);
    let asked_limit = limit.or(head.max_tokens.iter().map(|(_, limit)| *limit).max());
    let mut sending = exchange.send_limited(path, body, asked_limit);
    let Exchange { mut pulse, in_flight, .. } = exchange;
    let asked = head.model.as_deref();
    let protocol = protocol::protocol(dialect);
    let transform = Passthrough::new(protocol, head.stream, backend.context, in_flight.clone());
    let mut transform = transform.named(&backend.model, asked);
    let response = match pulse.head(&mut sending, !head.stream).await {
        Some(response) => response?,
        None => {
            let relay = Relay::waiting(sending, Box::new(transform), pulse, in_flight);
            return Ok(reply::stream(Framing::Events, relay.boxed()));
        }
    };
    if !response.status().is_success() {
        return failed(&in_flight, dialect, response).await;
    }
    let mut answer = Response::new(());
    *answer.status_mut() = response.status();
    for name in [header::CONTENT_TYPE, header::CONTENT_LENGTH, header::CACHE_CONTROL] {
        // A stream may get an error at its end, so its length is not known.
        if let Some(value) = response.headers().get(&name).filter(|_| !(head.stream && name == header::CONTENT_LENGTH))
        {
            answer.headers_mut().insert(name, value.clone());
        }
    }
    let length = response.headers().get(header::CONTENT_LENGTH).and_then(|n| n.to_str().ok()?.parse::<usize>().ok());
    if !head.stream && length.is_some_and(|length| length <= WHOLE) {
        // Read to its end, so that its head can say what it cost.
        let (mut body, mut whole) = (response.into_body(), Vec::with_capacity(length.unwrap_or_default()));
        while pulse.pieces(&mut body, &mut |piece| whole.extend_from_slice(piece)).await? {}
        transform.whole(&whole);
        in_flight.byte();
        in_flight.tell_usage(answer.headers_mut());
        // Lists of numbers are long, and nobody asks who made them.
        if let Some(named) = asked.filter(|_| path != "/embeddings").and_then(|asked| rename::whole(&whole, asked)) {
            answer.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(named.len()));
            whole = named;
        }
        return Ok(answer.map(|()| reply::full(whole)));
    }
    Ok(answer.map(|()| Relay::flowing(response.into_body(), Box::new(transform), pulse, in_flight).boxed()))
}

/// What has to change in a native request.
struct Edits {
    patches: Vec<Patch>,
    /// What the engine would not know and was left out.
    dropped: Vec<String>,
    /// The limit on the answer, where the one asked for is larger than the context.
    limit: Option<u64>,
}

impl Edits {
    /// The model's name, a limit the context can hold, a prompt whose prefix stays.
    fn of(backend: &Ready, dialect: Id, head: &Head, body: &[u8]) -> Edits {
        let mut patches = Vec::new();
        let mut dropped = Vec::new();
        // Gemini names the model in the path.
        if dialect != Id::Gemini {
            head.rename(body, &backend.model, &mut patches);
        }
        let limit = head.clamp(body, backend.context, &mut patches);
        // Anthropic itself knows its own tools and blocks.
        if dialect == Id::Messages && backend.vendor != Vendor::Anthropic {
            dropped = anthropic::tidy::tidy(body, &mut patches);
        }
        // OpenAI takes what templates refuse, and means it.
        if dialect == Id::Chat && backend.vendor != Vendor::OpenAi {
            openai_chat::tidy::tidy(body, &mut patches);
        }
        foreign::strip(dialect, backend.vendor, body, &mut patches);
        Edits { patches, dropped, limit }
    }
}

/// A native request as the backend gets it, without an entry's defaults.
pub(super) fn edit(backend: &Ready, dialect: Id, head: &Head, body: Bytes) -> Bytes {
    let edits = Edits::of(backend, dialect, head, &body);
    spliced(body, edits.patches)
}

fn spliced(body: Bytes, patches: Vec<Patch>) -> Bytes {
    if patches.is_empty() { body } else { head::splice(&body, patches).into() }
}

/// The engine refused. OpenAI's callers get its own words, unless they are about the context or about us.
pub(super) async fn failed(
    in_flight: &InFlight,
    dialect: Id,
    response: Response<Answer>,
) -> Result<Response<Body>, Problem> {
    let status = response.status().as_u16();
    let (problem, body) = upstream::failure(response).await;
    let ours = dialect == Id::Messages
        || matches!(problem.kind, ProblemKind::ContextOverflow | ProblemKind::Upstream)
        || problem.retry_after.is_some()
        || body.is_empty();
    if ours {
        return Err(problem);
    }
    in_flight.error(&problem.message);
    Ok(reply::json(status, body))
}

//! The request path, read top to bottom: route → origin → key → backend → body → native or translated → answer.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};

use super::access_log::Way;
use super::answer::Answer;
use super::backend::{BackendState, Ready};
use super::metrics::InFlight;
use super::pulse::Pulse;
use super::relay::{Passthrough, Relay, Transform};
use super::reply::{self, Body};
use super::route::{Action, Route};
use super::translate::Asked;
use super::upstream;
use super::{
    Shared, auth, body, completions, count, defaults, embed, embeddings, models, paths, rename, responses, route,
    translate,
};
use crate::protocol::head::{self, Head, Patch};
use crate::protocol::ir::Framing;
use crate::protocol::{self, Id, Problem, ProblemKind, Vendor, anthropic, openai_chat};

/// Whole answers up to this size are read before they are sent on.
const WHOLE: usize = 4 << 20;

/// Answers one request. Whatever happens, the answer is in the caller's dialect and has an id.
pub(super) async fn handle(shared: &Arc<Shared>, request: Request<Incoming>) -> Response<Body> {
    let id = shared.next_id();
    let mut response = respond(shared, request, &id).await;
    if let Ok(id) = HeaderValue::try_from(id) {
        response.headers_mut().insert(REQUEST_ID, id.clone());
        response.headers_mut().insert(X_REQUEST_ID, id);
    }
    response
}

/// As Anthropic's clients read it, and as OpenAI's do.
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

async fn respond(shared: &Arc<Shared>, request: Request<Incoming>, id: &str) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let path = paths::plain(parts.uri.path());
    let (dialect, route) = route::find(&parts.method, &path, parts.uri.query(), &parts.headers);
    let counted = route.as_ref().is_ok_and(Route::asks_model);
    // Questions whether it is up come every few seconds, and are of no interest afterwards.
    let open = route.as_ref().is_ok_and(Route::open);
    let log = shared.settings.log.as_ref().filter(|_| !open);
    let in_flight = InFlight::new(&shared.counters, log, counted, id, dialect, parts.uri.path(), &parts.headers);
    let answered = admitted(shared, dialect, route, &parts, body, &in_flight).await;
    let mut response = answered.unwrap_or_else(|problem| {
        in_flight.error(&problem.message);
        reply::problem(dialect, &problem)
    });
    if in_flight.wants_trailers() && response.body().size_hint().exact().is_none() {
        response.headers_mut().extend(reply::announced_trailers());
    }
    in_flight.status(response.status().as_u16());
    response
}

/// The key, then what is asked for.
async fn admitted(
    shared: &Arc<Shared>,
    dialect: Id,
    route: Result<Route<'_>, Problem>,
    parts: &http::request::Parts,
    body: Incoming,
    in_flight: &InFlight,
) -> Result<Response<Body>, Problem> {
    let settings = &shared.settings;
    auth::check_origin(&parts.headers, settings.loopback)?;
    // The key comes before "no such path": strangers learn nothing.
    if !route.as_ref().is_ok_and(Route::open) {
        auth::check_key(&parts.headers, parts.uri.query(), settings.key.as_deref())?;
    }
    let route = route?;
    match route.action {
        Action::Hello => Ok(models::hello()),
        Action::Health => Ok(models::health(shared)),
        Action::Upgrade => Ok(upgrade_refused()),
        Action::Models => Ok(models::list(shared, dialect)),
        Action::Model(id) => Ok(models::one(shared, dialect, id)),
        Action::Kept(id, wish) => responses::answer(&shared.responses, id, wish, parts.uri.query()),
        Action::NotServed => {
            let message = format!("this is not served yet; there is {}", route::LIST);
            Err(Problem::new(ProblemKind::Unsupported, message))
        }
        Action::Generate { .. } | Action::Count { .. } | Action::Compact | Action::Embed { .. } | Action::Pass(_) => {
            // An overflow the engine told without numbers gets those of its context.
            let mut context = 0;
            let answered = answer(shared, &route, &parts.headers, body, in_flight.clone(), &mut context).await;
            answered.map_err(|problem| problem.within(context))
        }
    }
}

/// The routes with a body.
async fn answer(
    shared: &Arc<Shared>,
    route: &Route<'_>,
    headers: &HeaderMap,
    body: Incoming,
    in_flight: InFlight,
    context: &mut u64,
) -> Result<Response<Body>, Problem> {
    let mut body = body::read(body, &shared.settings.limits).await?;
    let mut head =
        Head::scan(&body).ok_or_else(|| Problem::new(ProblemKind::Invalid, "the request body is not a JSON object"))?;
    let mut asked = Asked::default();
    if let Action::Generate { model, .. } | Action::Count { model } = route.action {
        asked.model = model;
    }
    if let Action::Embed { model, .. } = route.action {
        asked.model = Some(model);
    }
    if let Action::Generate { framing: Some(framing), .. } = route.action {
        asked.framing = Some(framing);
        head.stream = framing.streams();
    }
    let model = asked.model.or(head.model.as_deref());
    in_flight.asked(model);
    let chosen = shared.settings.catalog.find(model)?;
    in_flight.served(&chosen.name());
    let mut state = chosen.served.backend.borrow().clone();
    if let BackendState::Ready(backend) = &mut state {
        chosen.fit(backend);
    }
    let backend = state.ready()?;
    let pulse = Pulse::new(chosen.served.backend.clone(), &shared.settings.limits);
    // An engine that serves Responses itself has its own memory.
    let (mut caller, compact) = (responses::Caller::Plain, route.action == Action::Compact);
    if route.dialect == Id::Responses && (compact || !backend.native.contains(&Id::Responses)) {
        (body, caller) = responses::prepare(&shared.responses, body, compact)?;
    }
    *context = backend.context;
    match route.action {
        Action::Count { .. } => count::count_tokens(shared, backend, route.dialect, headers, &head, &body).await,
        Action::Embed { form, .. } => embed::embed(shared, backend, form, headers, &body).await,
        Action::Pass(_) if backend.speaks != Id::Chat && !backend.native.contains(&Id::Chat) => {
            let message = format!("the backend of {} does not serve this API", chosen.name());
            Err(Problem::new(ProblemKind::Unsupported, message))
        }
        Action::Pass("/embeddings") => {
            embeddings::answer(shared, backend, headers, &head, body, pulse, in_flight).await
        }
        Action::Pass("/completions") if completions::fills(backend, &body) => {
            completions::fill(shared, backend, headers, body, pulse, in_flight).await
        }
        Action::Pass(path) => {
            native(shared, backend, route.dialect, path, headers, &head, body, pulse, in_flight).await
        }
        _ => {
            let inbound = caller.inbound(route.dialect);
            let outbound = protocol::protocol(backend.speaks).outbound();
            if backend.native.contains(&route.dialect) && !compact {
                let framing = if head.stream { Framing::Events } else { Framing::Whole };
                let path = protocol::protocol(route.dialect).path(&backend.model, asked.framing.unwrap_or(framing));
                return native(shared, backend, route.dialect, &path, headers, &head, body, pulse, in_flight).await;
            }
            let (Some(inbound), Some(outbound)) = (inbound, outbound) else {
                let message = format!("the engine behind does not serve this API; there is {}", route::LIST);
                return Err(Problem::new(ProblemKind::Unsupported, message));
            };
            translate::answer(
                shared,
                backend,
                route.dialect,
                asked,
                (inbound, outbound),
                headers,
                body,
                pulse,
                in_flight,
            )
            .await
        }
    }
}

/// Same protocol in and out: the bytes go through, but for the few edits that must be.
#[allow(clippy::too_many_arguments)] // the steps of one path, not an interface
async fn native(
    shared: &Arc<Shared>,
    backend: &Ready,
    dialect: Id,
    path: &str,
    headers: &HeaderMap,
    head: &Head,
    body: Bytes,
    mut pulse: Pulse,
    in_flight: InFlight,
) -> Result<Response<Body>, Problem> {
    in_flight.way(Way::Native, head.stream);
    let (mut patches, dropped) = patches(backend, dialect, head, &body);
    in_flight.dropped(&dropped);
    // Embeddings have no sampling.
    if path != "/embeddings" {
        defaults::patch(&backend.options, dialect, head, &body, &mut patches);
    }
    let body = spliced(body, patches);
    let protocol = protocol::protocol(dialect);
    let transform = Passthrough::new(protocol, head.stream, backend.context, in_flight.clone());
    let asked = head.model.as_deref();
    let mut transform = Box::new(transform.named(&backend.model, asked));
    let mut sending = shared.upstream.post(backend, path, headers, body);
    let response = match pulse.head(&mut sending, !head.stream).await {
        Some(response) => response?,
        None => return Ok(reply::stream(Framing::Events, boxed(Relay::waiting(sending, transform, pulse, in_flight)))),
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
    let whole = response.headers().get(header::CONTENT_LENGTH).and_then(|n| n.to_str().ok()?.parse::<usize>().ok());
    if !head.stream && whole.is_some_and(|length| length <= WHOLE) {
        // Read to its end, so that its head can say what it cost.
        let (mut body, mut whole) = (response.into_body(), Vec::new());
        while pulse.pieces(&mut body, &mut |piece| whole.extend_from_slice(piece)).await? {}
        transform.leaving(&whole);
        transform.end(None, &mut whole)?;
        in_flight.byte();
        answer.headers_mut().extend(in_flight.usage_headers());
        // Lists of numbers are long, and nobody asks who made them.
        if let Some(named) = asked.filter(|_| path != "/embeddings").and_then(|asked| rename::whole(&whole, asked)) {
            answer.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(named.len()));
            whole = named;
        }
        return Ok(answer.map(|()| reply::full(whole)));
    }
    Ok(answer.map(|()| boxed(Relay::flowing(response.into_body(), transform, pulse, in_flight))))
}

/// The edits of a native request: the model's name, a limit the context can hold, a prompt whose prefix stays. Also
/// what the engine would not know and was left out.
fn patches(backend: &Ready, dialect: Id, head: &Head, body: &[u8]) -> (Vec<Patch>, Vec<String>) {
    let mut patches = Vec::new();
    let mut dropped = Vec::new();
    // Gemini names the model in the path.
    if dialect != Id::Gemini {
        head.rename(body, &backend.model, &mut patches);
    }
    head.clamp(body, backend.context, &mut patches);
    // Anthropic itself knows its own tools and blocks.
    if dialect == Id::Messages && backend.vendor != Vendor::Anthropic {
        dropped = anthropic::tidy::tidy(body, &mut patches);
    }
    // OpenAI takes what templates refuse, and means it.
    if dialect == Id::Chat && backend.vendor != Vendor::OpenAi {
        openai_chat::tidy::tidy(body, &mut patches);
    }
    (patches, dropped)
}

/// A native request as the backend gets it, without an entry's defaults.
pub(super) fn edit(backend: &Ready, dialect: Id, head: &Head, body: Bytes) -> Bytes {
    let (patches, _) = patches(backend, dialect, head, &body);
    spliced(body, patches)
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

pub(super) fn boxed(relay: Relay) -> Body {
    relay.boxed_unsync()
}

/// Codex falls back to plain HTTP at once on this status, and on no other.
fn upgrade_refused() -> Response<Body> {
    let problem = Problem::new(ProblemKind::Unsupported, "WebSocket is not served here; use POST");
    let mut response = reply::problem(Id::Responses, &problem);
    *response.status_mut() = StatusCode::UPGRADE_REQUIRED;
    response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("HTTP/1.1"));
    response
}

//! The request path, read top to bottom: route → origin → key → backend → body → native or translated → answer.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::answer::Answer;
use super::backend::Ready;
use super::metrics::InFlight;
use super::pulse::Pulse;
use super::relay::{Passthrough, Relay};
use super::reply::{self, Body};
use super::route::{Action, Route};
use super::translate::Asked;
use super::upstream;
use super::{Shared, auth, body, count, models, responses, route, translate};
use crate::protocol::head::{self, Head};
use crate::protocol::ir::Framing;
use crate::protocol::{self, Id, Inbound, Problem, ProblemKind, anthropic};

/// Answers one request. Whatever happens, the answer is in the caller's dialect.
pub(super) async fn handle(shared: &Arc<Shared>, request: Request<Incoming>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let (dialect, route) = route::find(&parts.method, parts.uri.path(), &parts.headers);
    let settings = &shared.settings;

    if let Err(problem) = auth::check_origin(&parts.headers, settings.loopback) {
        return reply::problem(dialect, &problem);
    }
    // The key comes before "no such path": strangers learn nothing.
    if !route.as_ref().is_ok_and(Route::open)
        && let Err(problem) = auth::check_key(&parts.headers, parts.uri.query(), settings.key.as_deref())
    {
        return reply::problem(dialect, &problem);
    }
    let route = match route {
        Ok(route) => route,
        Err(problem) => return reply::problem(dialect, &problem),
    };

    let answered = match route.action {
        Action::Hello => return models::hello(),
        Action::Health => return models::health(shared),
        Action::Upgrade => return upgrade_refused(),
        Action::Models => Ok(models::list(shared)),
        Action::Model(id) => Ok(models::one(shared, dialect, id)),
        Action::Kept(id, wish) => responses::answer(&shared.responses, id, wish, parts.uri.query()),
        Action::NotServed => {
            let message = format!("this is not served yet; there is {}", route::LIST);
            Err(Problem::new(ProblemKind::Unsupported, message))
        }
        Action::Generate { .. } | Action::Count { .. } | Action::Compact | Action::Pass(_) => {
            answer(shared, &route, &parts.headers, body).await
        }
    };
    answered.unwrap_or_else(|problem| {
        shared.counters.error();
        reply::problem(dialect, &problem)
    })
}

/// The routes with a body.
async fn answer(
    shared: &Arc<Shared>,
    route: &Route<'_>,
    headers: &HeaderMap,
    body: Incoming,
) -> Result<Response<Body>, Problem> {
    let in_flight = InFlight::new(&shared.counters);
    let mut body = body::read(body, &shared.settings.limits).await?;
    let mut head =
        Head::scan(&body).ok_or_else(|| Problem::new(ProblemKind::Invalid, "the request body is not a JSON object"))?;
    let mut asked = Asked::default();
    if let Action::Generate { model, .. } | Action::Count { model } = route.action {
        asked.model = model;
    }
    if let Action::Generate { framing: Some(framing), .. } = route.action {
        asked.framing = Some(framing);
        head.stream = framing.streams();
    }
    let served = shared.settings.catalog.find(asked.model.or(head.model.as_deref()))?;
    let state = served.backend.borrow().clone();
    let backend = state.ready()?;
    let pulse = Pulse::new(served.backend.clone(), &shared.settings.limits);
    // An engine that serves Responses itself has its own memory.
    let mut keep = None;
    let ours = !backend.native.contains(&Id::Responses) || route.action == Action::Compact;
    if route.dialect == Id::Responses && ours {
        let restored = responses::restore(&shared.responses, body)?;
        (body, keep) = (restored.body, restored.keep);
    }
    match route.action {
        Action::Count { .. } => count::count_tokens(shared, backend, headers, &head, &body).await,
        Action::Pass(path) => {
            native(shared, backend, route.dialect, path, headers, &head, body, pulse, in_flight).await
        }
        _ => {
            let compacting = match route.action {
                Action::Compact => Some(responses::Compacting::new(&body)?),
                _ => None,
            };
            let compacting = compacting.map(|(compacting, request)| {
                body = request.into();
                compacting
            });
            let keeping = keep.map(|keep| responses::Keeping { store: Arc::clone(&shared.responses), keep });
            let inbound = match (&compacting, &keeping) {
                (Some(compacting), _) => Some(compacting as &dyn Inbound),
                (None, Some(keeping)) => Some(keeping as &dyn Inbound),
                (None, None) => protocol::protocol(route.dialect).inbound(),
            };
            let outbound = protocol::protocol(backend.speaks).outbound();
            if backend.native.contains(&route.dialect) && compacting.is_none() {
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
    let body = edit(backend, dialect, head, body);
    let protocol = protocol::protocol(dialect);
    let transform = Box::new(Passthrough::new(protocol, head.stream, Arc::clone(&shared.counters)));
    let mut sending = shared.upstream.post(backend, path, headers, body);
    let response = match pulse.head(&mut sending, !head.stream).await {
        Some(response) => response?,
        None => return Ok(reply::stream(Framing::Events, boxed(Relay::waiting(sending, transform, pulse, in_flight)))),
    };
    if !response.status().is_success() {
        return failed(shared, dialect, response).await;
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
    Ok(answer.map(|()| boxed(Relay::flowing(response.into_body(), transform, pulse, in_flight))))
}

/// The edits of a native request: the model's name, a limit the context can hold, a prompt whose prefix stays.
pub(super) fn edit(backend: &Ready, dialect: Id, head: &Head, body: Bytes) -> Bytes {
    let mut patches = Vec::new();
    head.rename(&body, &backend.model, &mut patches);
    head.clamp(&body, backend.context, &mut patches);
    if dialect == Id::Messages {
        anthropic::tidy::tidy(&body, &mut patches);
    }
    if patches.is_empty() { body } else { head::splice(&body, patches).into() }
}

/// The engine refused. OpenAI's callers get its own words, unless they are about the context or about us.
async fn failed(shared: &Shared, dialect: Id, response: Response<Answer>) -> Result<Response<Body>, Problem> {
    let status = response.status().as_u16();
    let (problem, body) = upstream::failure(response).await;
    let ours = dialect == Id::Messages
        || matches!(problem.kind, ProblemKind::ContextOverflow | ProblemKind::Upstream)
        || problem.retry_after.is_some()
        || body.is_empty();
    if ours {
        return Err(problem);
    }
    shared.counters.error();
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

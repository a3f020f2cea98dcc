//! The request path, read top to bottom: route → origin → key → body → model → backend, up or waited for → native or
//! translated → answer.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use hyper::body::{Body as _, Incoming};

use super::backend::BackendState;
use super::catalog::Chosen;
use super::exchange::{Exchange, InPath};
use super::metrics::InFlight;
use super::pulse::Pulse;
use super::reply::{self, Body};
use super::route::{Action, Route};
use super::{
    Shared, auth, body, completions, count, embed, embeddings, models, native, paths, queue, responses, route,
    translate,
};
use crate::protocol::head::Head;
use crate::protocol::ir::Framing;
use crate::protocol::{self, Id, Problem, ProblemKind};

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
    let terms = shared.terms.now();
    auth::check_origin(&parts.headers, shared.settings.loopback)?;
    // The key comes before "no such path": strangers learn nothing.
    if !route.as_ref().is_ok_and(Route::open) {
        auth::check_key(&parts.headers, parts.uri.query(), terms.key.as_deref())?;
    }
    let route = route?;
    match route.action {
        Action::Hello => Ok(models::hello()),
        Action::Health => Ok(models::health(&terms.catalog)),
        Action::Upgrade => Ok(upgrade_refused()),
        Action::Models => Ok(models::list(shared, &terms.catalog, dialect)),
        Action::Model(id) => Ok(models::one(shared, &terms.catalog, dialect, id)),
        Action::Kept(id, wish) => responses::answer(&shared.responses, id, wish, parts.uri.query()),
        Action::NotServed => {
            let message = format!("this is not served yet; there is {}", route::LIST);
            Err(Problem::new(ProblemKind::Unsupported, message))
        }
        Action::Generate { .. } | Action::Count { .. } | Action::Compact | Action::Embed { .. } | Action::Pass(_) => {
            let body = body::read(body, &shared.settings.limits).await?;
            let asking = Asking::of(&route, &body)?;
            in_flight.asked(asking.model());
            let chosen = terms.catalog.find(asking.model())?;
            in_flight.served(&chosen.name(), chosen.served);
            let state = chosen.served.backend.borrow().clone();
            if state.held().is_none() {
                return forward(shared, &route, &parts.headers, asking, body, (&chosen, state), in_flight.clone())
                    .await;
            }
            let framing = asking.framing(&body);
            let waiting = queue::Waiting { shared, terms: &terms, route: &route, parts, framing };
            queue::wait(waiting, body, in_flight).await
        }
    }
}

/// What a request with a body asks for, as far as can be told without its backend.
pub(super) struct Asking<'a> {
    in_path: InPath<'a>,
    head: Head,
    /// The head holds the model alone, or nothing: what is translated is read as a whole later, and then a scan before
    /// would be for nothing.
    unscanned: bool,
}

impl<'a> Asking<'a> {
    pub(super) fn of(route: &Route<'a>, body: &[u8]) -> Result<Asking<'a>, Problem> {
        let in_path = match route.action {
            Action::Generate { model, framing } => InPath { model, framing },
            Action::Count { model } => InPath { model, framing: None },
            Action::Embed { model, .. } => InPath { model: Some(model), framing: None },
            _ => InPath::default(),
        };
        let generates = matches!(route.action, Action::Generate { .. });
        let early = if generates && in_path.model.is_none() { Head::early_model(body) } else { None };
        let unscanned = generates && (in_path.model.is_some() || early.is_some());
        let head = if unscanned { Head { model: early, ..Head::default() } } else { scanned(body)? };
        Ok(Asking { in_path, head, unscanned })
    }

    /// The model it names.
    pub(super) fn model(&self) -> Option<&str> {
        self.in_path.model.or(self.head.model.as_deref())
    }

    /// How its answer is to come.
    fn framing(&self, body: &[u8]) -> Framing {
        self.in_path.framing.unwrap_or_else(|| {
            let streams =
                if self.unscanned { Head::scan(body).is_some_and(|head| head.stream) } else { self.head.stream };
            if streams { Framing::Events } else { Framing::Whole }
        })
    }
}

/// To the backend, which is up or has its reason not to be, and back.
pub(super) async fn forward(
    shared: &Arc<Shared>,
    route: &Route<'_>,
    headers: &HeaderMap,
    asking: Asking<'_>,
    mut body: Bytes,
    (chosen, mut state): (&Chosen<'_>, BackendState),
    in_flight: InFlight,
) -> Result<Response<Body>, Problem> {
    if let BackendState::Ready(ready) = &mut state {
        chosen.fit(ready);
    }
    let backend = state.ready()?;
    let Asking { in_path, mut head, unscanned } = asking;
    if unscanned && backend.native.contains(&route.dialect) {
        head = scanned(&body)?;
    }
    if let Some(framing) = in_path.framing {
        head.stream = framing.streams();
    }
    // An engine that serves Responses itself has its own memory.
    let (mut caller, compact) = (responses::Caller::Plain, route.action == Action::Compact);
    if route.dialect == Id::Responses && (compact || !backend.native.contains(&Id::Responses)) {
        match route.action {
            Action::Generate { .. } => caller = responses::keeping(&shared.responses),
            _ => (body, caller) = responses::prepare(&shared.responses, body, compact)?,
        }
    }
    let exchange = Exchange {
        shared,
        backend,
        dialect: route.dialect,
        headers,
        head: &head,
        in_path,
        pulse: Pulse::new(shared, chosen.served),
        in_flight,
    };
    let answered = match route.action {
        Action::Count { .. } => count::count_tokens(&exchange, &body).await,
        Action::Embed { form, .. } => embed::embed(&exchange, form, &body).await,
        Action::Pass(_) if backend.speaks != Id::Chat && !backend.native.contains(&Id::Chat) => {
            let message = format!("the backend of {} does not serve this API", chosen.name());
            Err(Problem::new(ProblemKind::Unsupported, message))
        }
        Action::Pass("/embeddings") => embeddings::answer(exchange, body).await,
        Action::Pass("/completions") if completions::fills(backend, &body) => completions::fill(exchange, body).await,
        Action::Pass(path) => native::answer(exchange, path, body).await,
        _ if !compact && exchange.natively(&body) => {
            let framing = if head.stream { Framing::Events } else { Framing::Whole };
            let path = protocol::protocol(route.dialect).path(&backend.model, in_path.framing.unwrap_or(framing));
            native::answer(exchange, &path, body).await
        }
        _ => {
            let outbound = protocol::protocol(backend.speaks).outbound();
            match caller.inbound(route.dialect).zip(outbound) {
                Some(codecs) => translate::answer(exchange, codecs, body).await,
                None => {
                    let message = format!("the engine behind does not serve this API; there is {}", route::LIST);
                    Err(Problem::new(ProblemKind::Unsupported, message))
                }
            }
        }
    };
    // An overflow the engine told without numbers gets those of its context.
    answered.map_err(|problem| problem.within(backend.context))
}

fn scanned(body: &[u8]) -> Result<Head, Problem> {
    Head::scan(body).ok_or_else(|| Problem::new(ProblemKind::Invalid, "the request body is not a JSON object"))
}

/// Codex falls back to plain HTTP at once on this status, and on no other.
fn upgrade_refused() -> Response<Body> {
    let problem = Problem::new(ProblemKind::Unsupported, "WebSocket is not served here; use POST");
    let mut response = reply::problem(Id::Responses, &problem);
    *response.status_mut() = StatusCode::UPGRADE_REQUIRED;
    response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("HTTP/1.1"));
    response
}

//! HTTP towards the backend: our own connections for `http://`, a general client for the rest; a limit on connecting,
//! none on thinking (a long prompt takes minutes; see [`super::pulse`]).

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Request, Response, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;

use super::answer::Answer;
use super::backend::Ready;
use super::connection::Connections;
use crate::protocol::{self, Problem, ProblemKind};

/// The clients.
pub(super) struct Upstream {
    connections: Arc<Connections>,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// A request on its way: the head of the answer, or why there is none. Dropping it cancels the request.
pub(super) type Sending = Pin<Box<dyn Future<Output = Result<Response<Answer>, Problem>> + Send>>;

/// An engine on this machine or in this network accepts within this time or not at all.
const CONNECT: Duration = Duration::from_secs(5);

/// Idle connections are dropped before the engine does it: llama.cpp's server and vLLM's both close after 5 s.
const IDLE: Duration = Duration::from_secs(3);

/// Error bodies beyond this are not read on.
const ERROR_LIMIT: usize = 256 << 10;

/// What goes along to the engine; the rest (keys, cookies, encodings, hop-by-hop) does not.
const FORWARDED: [HeaderName; 3] = [
    HeaderName::from_static("anthropic-version"),
    HeaderName::from_static("anthropic-beta"),
    HeaderName::from_static("x-request-id"),
];

impl Upstream {
    pub(super) fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT));
        let client = Client::builder(TokioExecutor::new()).pool_idle_timeout(IDLE).build(connector);
        Upstream { connections: Arc::default(), client }
    }

    /// Sends a JSON body to a path below the backend's prefix.
    pub(super) fn post(&self, backend: &Ready, path: &str, from: &HeaderMap, body: Bytes) -> Sending {
        let prefix = match &backend.prefix {
            Some(prefix) => prefix.as_str(),
            None => protocol::protocol(backend.speaks).prefix(),
        };
        self.post_root(backend, &format!("{prefix}{path}"), from, body)
    }

    /// Sends a JSON body to a path below the backend's root.
    pub(super) fn post_root(&self, backend: &Ready, path: &str, from: &HeaderMap, body: Bytes) -> Sending {
        let url = format!("{}{path}", backend.base_url.trim_end_matches('/'));
        let mut request =
            Request::builder().method(Method::POST).uri(&url).header(header::CONTENT_TYPE, "application/json");
        for name in FORWARDED {
            if let Some(value) = from.get(&name) {
                request = request.header(name, value);
            }
        }
        if let Some(key) = &backend.api_key {
            request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
        }
        let request = request.body(body);
        let (connections, client) = (Arc::clone(&self.connections), self.client.clone());
        Box::pin(async move {
            let unreachable =
                |why: String| Problem::new(ProblemKind::Upstream, format!("cannot reach the engine: {why}"));
            let request = request.map_err(|error| unreachable(error.to_string()))?;
            if request.uri().scheme() == Some(&http::uri::Scheme::HTTP) {
                let answer = connections.send(request).await;
                return answer.map(|r| r.map(Answer::Own)).map_err(|error| unreachable(error.to_string()));
            }
            let request = request.map(Full::new);
            match client.request(request.clone()).await {
                Ok(response) => Ok(response.map(Answer::Client)),
                // The engine closed an idle connection while we were writing into it: once more, on a new one. A dead
                // engine refuses that.
                Err(error) if closed_unanswered(&error) => {
                    let again = client.request(request).await;
                    again.map(|r| r.map(Answer::Client)).map_err(|error| unreachable(innermost(&error)))
                }
                Err(error) => Err(unreachable(innermost(&error))),
            }
        })
    }
}

/// The connection ended before the first byte of an answer.
fn closed_unanswered(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut error = Some(error);
    while let Some(at) = error {
        if let Some(hyper) = at.downcast_ref::<hyper::Error>() {
            return hyper.is_incomplete_message() || hyper.is_canceled() || hyper.is_closed();
        }
        if let Some(io) = at.downcast_ref::<std::io::Error>() {
            return matches!(io.kind(), std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe);
        }
        error = at.source();
    }
    false
}

/// The error at the bottom says what happened ("connection refused"); those above only that something did.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// The problem a failed answer tells, with the answer's own bytes.
pub(super) async fn failure(response: Response<Answer>) -> (Problem, Bytes) {
    let status = response.status().as_u16();
    let retry_after = response
        .headers()
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse().ok());
    let body = match Limited::new(response.into_body(), ERROR_LIMIT).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => Bytes::new(),
    };
    let mut problem = Problem::from_engine(status, &body);
    problem.retry_after = retry_after.or(problem.retry_after);
    (problem, body)
}

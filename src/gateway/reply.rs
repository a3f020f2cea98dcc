//! Answers the gateway makes itself.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};

use super::metrics::USAGE_HEADERS;
use super::upstream;
use crate::protocol::ir::Framing;
use crate::protocol::{self, Id, Problem};

/// Why a body broke off.
pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Any response body.
pub(super) type Body = UnsyncBoxBody<Bytes, BoxError>;

/// A whole body.
pub(super) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A JSON answer.
pub(super) fn json(status: u16, bytes: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(full(bytes));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A failure in the caller's dialect.
pub(super) fn problem(dialect: Id, problem: &Problem) -> Response<Body> {
    let mut response = json(problem.status(), protocol::protocol(dialect).encode_error(problem));
    if let Some(seconds) = problem.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(milliseconds) = problem.retry_after_ms {
        response.headers_mut().insert(upstream::RETRY_AFTER_MS, HeaderValue::from(milliseconds));
    }
    if let Some(retry) = problem.should_retry {
        let word = if retry { "true" } else { "false" };
        response.headers_mut().insert(upstream::SHOULD_RETRY, HeaderValue::from_static(word));
    }
    response
}

/// A stream over `body`.
pub(super) fn stream(framing: Framing, body: Body) -> Response<Body> {
    let kind = match framing {
        Framing::Array => "application/json",
        Framing::Events | Framing::Whole => "text/event-stream; charset=utf-8",
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// The head of a stream that tells its usage in trailers: hyper sends only those that are announced.
pub(super) fn announced_trailers() -> HeaderMap {
    let [prompt, cached, prefilled] = &USAGE_HEADERS;
    let names = format!("{prompt}, {cached}, {prefilled}");
    HeaderValue::try_from(names).into_iter().map(|names| (header::TRAILER, names)).collect()
}

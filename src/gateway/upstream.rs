//! HTTP towards the backend: our own connections for `http://`, a general client for the rest ([`super::dial`]); a
//! limit on connecting, and on thinking only the patient one of [`super::pulse`] or one the user sets.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use tokio::sync::watch;

use super::answer::Answer;
use super::backend::{self, BackendState, Ready};
use super::dial::{Dial, Line, Post};
use crate::protocol::head::{self, Head, Patch};
use crate::protocol::scan::Span;
use crate::protocol::{self, Auth, Problem, ProblemKind};

/// The client.
pub(super) struct Upstream {
    dial: Dial,
}

/// A request on its way: the head of the answer, or why there is none. Dropping it cancels the request.
pub(super) type Sending = Pin<Box<dyn Future<Output = Result<Response<Answer>, Problem>> + Send>>;

/// Error bodies beyond this are not read on.
const ERROR_LIMIT: usize = 256 << 10;

/// Pause before a request is sent again, unless the backend says one; it doubles each time.
const PAUSE: Duration = Duration::from_millis(500);

/// A backend that wants a longer pause than this gets none: its answer goes to the caller, who may know better.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

/// What goes along to every backend; keys, cookies, encodings and hop-by-hop headers do not.
const FORWARDED: [HeaderName; 1] = [HeaderName::from_static("x-request-id")];

/// What goes along with requests that stay Anthropic's.
const FORWARDED_MESSAGES: [HeaderName; 2] =
    [HeaderName::from_static("anthropic-version"), HeaderName::from_static("anthropic-beta")];

/// Paths of Messages below its prefix begin so, and no other protocol's do.
const MESSAGES: &str = "/messages";

/// When a request is sent once more.
#[derive(Default)]
pub(super) struct Fate {
    /// The limit on its answer may be too high: then with a lower one.
    pub(super) tight: bool,
    /// Its backend is started anew when it dies, and here it shows when it is back: then to the new one.
    pub(super) heals: Option<watch::Receiver<BackendState>>,
}

impl Upstream {
    pub(super) fn new() -> Self {
        Upstream { dial: Dial::new() }
    }

    /// Sends a JSON body to a path below the backend's prefix.
    pub(super) fn post(&self, backend: &Ready, path: &str, from: &HeaderMap, body: Bytes, fate: Fate) -> Sending {
        let prefix = match &backend.prefix {
            Some(prefix) => prefix.as_str(),
            None => protocol::protocol(backend.speaks).prefix(),
        };
        let mut headers = Vec::with_capacity(8);
        let forwarded = if path.starts_with(MESSAGES) { &FORWARDED_MESSAGES[..] } else { &[] };
        for name in FORWARDED.iter().chain(forwarded) {
            if let Some(value) = from.get(name) {
                headers.push((name.clone(), value.clone()));
            }
        }
        self.send(backend, [prefix, path], headers, body, fate)
    }

    /// Sends a JSON body to a path below the backend's root.
    pub(super) fn post_root(&self, backend: &Ready, path: &str, body: Bytes) -> Sending {
        self.send(backend, ["", path], Vec::new(), body, Fate::default())
    }

    fn send(
        &self,
        backend: &Ready,
        [prefix, path]: [&str; 2],
        mut headers: Vec<(HeaderName, HeaderValue)>,
        body: Bytes,
        fate: Fate,
    ) -> Sending {
        headers.push((header::CONTENT_TYPE, HeaderValue::from_static("application/json")));
        let protocol = protocol::protocol(backend.speaks);
        for (name, value) in protocol.headers() {
            let name = HeaderName::from_static(name);
            if headers.iter().all(|(known, _)| *known != name) {
                headers.push((name, HeaderValue::from_static(value)));
            }
        }
        let key = backend.api_key.as_ref().and_then(|key| shown(protocol.auth(), key));
        for (name, value) in key.into_iter().chain(backend.options.headers.iter().cloned()) {
            headers.retain(|(known, _)| *known != name);
            headers.push((name, value));
        }
        let base = backend.base_url.trim_end_matches('/');
        let mut request = Post { url: [base, prefix, path].concat(), headers, body };
        let base = base.len();
        let line = self.dial.line(&request.url);
        let options = backend.options.clone();
        Box::pin(async move {
            let line = line.map_err(unreachable)?;
            let Fate { tight, heals } = fate;
            if tight {
                let response = once(&line, &request, options.timeout).await.map_err(Failure::problem)?;
                let (response, lower) = Box::pin(lowered(response, &request.body)).await;
                let Some(lower) = lower else { return Ok(response) };
                request.body = lower;
            }
            if let Some(mut backend) = heals {
                let lost = match once(&line, &request, options.timeout).await {
                    Err(lost @ Failure::Unreachable(_)) => lost,
                    outcome => return outcome.map_err(Failure::problem),
                };
                let Some(anew) = Box::pin(anew(&mut backend)).await else { return Err(lost.problem()) };
                request.url.replace_range(..base, &anew);
            }
            let (mut left, mut pause) = (options.retries, PAUSE);
            loop {
                let outcome = once(&line, &request, options.timeout).await;
                let wait = match &outcome {
                    Ok(response) if again(response) => told_pause(response.headers()).unwrap_or(pause),
                    Err(Failure::Unreachable(_)) => pause,
                    _ => return outcome.map_err(Failure::problem),
                };
                if left == 0 || wait > LONGEST_PAUSE {
                    return outcome.map_err(Failure::problem);
                }
                drop(outcome);
                tokio::time::sleep(wait).await;
                left -= 1;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        })
    }
}

/// How long the end of a backend may stay unnoticed by whoever starts it anew.
const NOTICED: Duration = Duration::from_secs(2);

/// Where a backend is to be found that died and is started anew; `None` when it is not.
async fn anew(backend: &mut watch::Receiver<BackendState>) -> Option<String> {
    // Who starts it anew may hear of its end later than we do, or may be done with it already.
    tokio::time::timeout(NOTICED, backend.changed()).await.ok()?.ok()?;
    match backend::settled(backend).await {
        BackendState::Ready(ready) => Some(ready.base_url.trim_end_matches('/').to_owned()),
        _ => None,
    }
}

/// A key as a protocol shows it; `None` when it has characters no header can have.
fn shown(auth: Auth, key: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, text) = match auth {
        Auth::Bearer => (header::AUTHORIZATION, ["Bearer ", key].concat()),
        Auth::XApiKey => (HeaderName::from_static("x-api-key"), key.to_owned()),
        Auth::XGoogApiKey => (HeaderName::from_static("x-goog-api-key"), key.to_owned()),
    };
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some((name, value))
}

/// Why there is no answer.
enum Failure {
    Unreachable(String),
    Late(Duration),
}

impl Failure {
    fn problem(self) -> Problem {
        match self {
            Failure::Unreachable(why) => unreachable(why),
            Failure::Late(limit) => Problem::new(
                ProblemKind::Upstream,
                format!("the engine did not begin to answer within {} s", limit.as_secs_f64()),
            ),
        }
    }
}

fn unreachable(why: String) -> Problem {
    Problem::new(ProblemKind::Upstream, format!("cannot reach the engine: {why}"))
}

async fn once(line: &Line, request: &Post, limit: Option<Duration>) -> Result<Response<Answer>, Failure> {
    let outcome = match limit {
        Some(limit) => {
            // In a place of its own: nearly nobody sets a limit, and every request would have to hold room for it.
            let sending = Box::pin(line.send(request));
            tokio::time::timeout(limit, sending).await.map_err(|_| Failure::Late(limit))?
        }
        None => line.send(request).await,
    };
    outcome.map_err(Failure::Unreachable)
}

/// A refusal for which only the answer's limit was too large: the body with one that fits. Refusals are read to find
/// that out, and handed on as they were.
async fn lowered(response: Response<Answer>, body: &[u8]) -> (Response<Answer>, Option<Bytes>) {
    if response.status() != StatusCode::BAD_REQUEST {
        return (response, None);
    }
    let (parts, answer) = response.into_parts();
    let read = Limited::new(answer, ERROR_LIMIT).collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let overflow = Problem::from_engine(400, &read).overflow;
    let lower = overflow.filter(|(prompt, max)| prompt < max).and_then(|(prompt, max)| {
        let head = Head::scan(body)?;
        // A prompt of nothing means that the limit alone was refused, before the prompt was looked at.
        let room = if prompt == 0 { head::clamped(max, body.len(), max)? } else { max - prompt };
        let lower = |(span, limit): &(Span, u64)| {
            (*limit > room).then(|| Patch { span: span.clone(), with: room.to_string().into_bytes() })
        };
        let patches: Vec<Patch> = head.max_tokens.iter().filter_map(lower).collect();
        (!patches.is_empty()).then(|| head::splice(body, patches).into())
    });
    (Response::from_parts(parts, Answer::Read(Some(read))), lower)
}

/// Whether another try may do better, in the backend's own word if it has one.
fn again(response: &Response<Answer>) -> bool {
    match should_retry(response.headers()) {
        Some(again) => again && !response.status().is_success(),
        None => matches!(response.status().as_u16(), 408 | 429 | 500 | 502 | 503 | 504 | 529),
    }
}

fn should_retry(headers: &HeaderMap) -> Option<bool> {
    match headers.get(SHOULD_RETRY)?.as_bytes() {
        b"true" => Some(true),
        b"false" => Some(false),
        _ => None,
    }
}

/// The pause a backend asks for.
fn told_pause(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &HeaderName| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
    let seconds = number(&RETRY_AFTER_MS).map(|ms| ms / 1000.0).or_else(|| number(&header::RETRY_AFTER))?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// Milliseconds, of OpenAI and Anthropic; their SDKs prefer it.
pub(super) const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");

/// Whether another try makes sense, of OpenAI and Anthropic; their SDKs obey it.
pub(super) const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// The problem a failed answer tells, with the answer's own bytes.
pub(super) async fn failure(response: Response<Answer>) -> (Problem, Bytes) {
    let status = response.status().as_u16();
    let headers = response.headers();
    let retry_after =
        headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(|value| value.parse().ok());
    let retry_after_ms = headers.get(RETRY_AFTER_MS).and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    let should_retry = should_retry(headers);
    let body = match Limited::new(response.into_body(), ERROR_LIMIT).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => Bytes::new(),
    };
    let mut problem = Problem::from_engine(status, &body);
    problem.retry_after = retry_after.or(problem.retry_after);
    problem.retry_after_ms = retry_after_ms;
    problem.should_retry = should_retry;
    (problem, body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_shown_the_protocols_way() {
        let name = |auth| shown(auth, "k").map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        assert_eq!(name(Auth::Bearer), Some(("authorization".into(), "Bearer k".into())));
        assert_eq!(name(Auth::XApiKey), Some(("x-api-key".into(), "k".into())));
        assert_eq!(name(Auth::XGoogApiKey), Some(("x-goog-api-key".into(), "k".into())));
        assert!(shown(Auth::Bearer, "a\nb").is_none());
    }

    #[test]
    fn the_pause_a_backend_asks_for_is_read_in_both_units() {
        let pause = |pairs: &[(&HeaderName, &'static str)]| {
            let map = pairs.iter().map(|(n, v)| ((*n).clone(), HeaderValue::from_static(v))).collect();
            told_pause(&map)
        };
        assert_eq!(pause(&[(&header::RETRY_AFTER, "2")]), Some(Duration::from_secs(2)));
        assert_eq!(pause(&[(&header::RETRY_AFTER, "2"), (&RETRY_AFTER_MS, "150")]), Some(Duration::from_millis(150)));
        assert_eq!(pause(&[(&header::RETRY_AFTER, "-1")]), None);
        assert_eq!(pause(&[(&header::RETRY_AFTER, "Fri, 31 Dec 1999 23:59:59 GMT")]), None);
    }
}

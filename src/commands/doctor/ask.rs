//! Requests to a gateway, whole or streamed, each with a time limit and the moments at which things came.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::error::{Plain, Result};
use crate::exit::Exit;

/// No answer to a question of doctor's is longer.
const LONGEST: usize = 16 << 20;

/// What came back.
#[derive(Debug, Clone, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// The body as text.
    pub(super) text: String,
    /// The events of a stream, each with when it came.
    pub(super) events: Vec<(Duration, Value)>,
    /// From the request to the end of the answer.
    pub(super) took: Duration,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// What it says went wrong, in one line.
    pub(super) fn complaint(&self) -> String {
        let body = self.json();
        let told = ["/error/message", "/error", "/message", "/detail"]
            .iter()
            .find_map(|place| body.pointer(place).and_then(Value::as_str).map(str::to_owned));
        let told = told.unwrap_or_else(|| self.text.trim().to_owned());
        let line = told.split_whitespace().collect::<Vec<_>>().join(" ");
        format!("{}: {}", self.status, shortened(&line))
    }
}

/// At most 300 characters of it.
pub(super) fn shortened(text: &str) -> String {
    const MOST: usize = 300;
    let mut short: String = text.chars().take(MOST).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// Asks one gateway.
pub(super) struct Asker {
    client: reqwest::Client,
    runtime: tokio::runtime::Runtime,
    root: String,
}

impl Asker {
    /// For the gateway at this root, which is on this machine: no proxy stands between.
    pub(super) fn of(root: &str) -> Result<Asker> {
        // Already installed by an earlier call: fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let failed =
            |why: String| Plain::new(Exit::Bug, format!("cannot ask the gateway: {why}"), "see `llmup status`");
        let client = reqwest::Client::builder().no_proxy().build().map_err(|e| failed(e.to_string()))?;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| failed(e.to_string()))?;
        Ok(Asker { client, runtime, root: root.trim_end_matches('/').to_owned() })
    }

    /// A question without a body.
    pub(super) fn get(&self, path: &str, key: Option<&str>, limit: Duration) -> std::result::Result<Answer, String> {
        self.send(self.client.get(format!("{}{path}", self.root)), key, limit)
    }

    /// One with a body, streamed or not.
    pub(super) fn post(
        &self,
        path: &str,
        key: &str,
        body: &Value,
        limit: Duration,
    ) -> std::result::Result<Answer, String> {
        let request = self.client.post(format!("{}{path}", self.root)).header("content-type", "application/json");
        // Claude Code's and Google's clients name their dialect so.
        let request = request.header("anthropic-version", "2023-06-01").body(body.to_string());
        self.send(request, Some(key), limit)
    }

    fn send(
        &self,
        mut request: reqwest::RequestBuilder,
        key: Option<&str>,
        limit: Duration,
    ) -> std::result::Result<Answer, String> {
        if let Some(key) = key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let began = Instant::now();
        let exchange = async {
            let mut response = request.send().await.map_err(|error| told(&error))?;
            let mut answer = Answer { status: response.status().as_u16(), ..Answer::default() };
            let mut body = Vec::new();
            let mut read = 0;
            while let Some(piece) = response.chunk().await.map_err(|error| told(&error))? {
                body.extend_from_slice(&piece);
                events(&body, &mut read, began.elapsed(), &mut answer.events);
                if body.len() > LONGEST {
                    return Err("its answer does not end".to_owned());
                }
            }
            answer.text = String::from_utf8_lossy(&body).into_owned();
            answer.took = began.elapsed();
            Ok(answer)
        };
        let timed = async { tokio::time::timeout(limit, exchange).await };
        self.runtime.block_on(timed).unwrap_or_else(|_| Err(format!("{TIMED_OUT} within {} s", limit.as_secs())))
    }
}

/// How an error begins that says only that time ran out.
pub(super) const TIMED_OUT: &str = "no whole answer";

/// The innermost reason: the outer ones only say that sending failed.
fn told(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

/// The events on the lines that are whole by now.
fn events(body: &[u8], read: &mut usize, now: Duration, into: &mut Vec<(Duration, Value)>) {
    while let Some(end) = body[*read..].iter().position(|byte| *byte == b'\n') {
        let line = &body[*read..*read + end];
        *read += end + 1;
        if let Some(data) = line.strip_prefix(b"data:")
            && let Ok(value) = serde_json::from_slice(data)
        {
            into.push((now, value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_line_by_line_however_they_are_cut() {
        let stream = b": ping\nevent: x\ndata: {\"a\":1}\n\ndata:{\"a\":2}\r\n\ndata: [DONE]\n\ndata: nonsense\n";
        for cut in 0..stream.len() {
            let (mut read, mut found) = (0, Vec::new());
            events(&stream[..cut], &mut read, Duration::ZERO, &mut found);
            events(stream, &mut read, Duration::from_secs(1), &mut found);
            let found: Vec<Value> = found.into_iter().filter(|(_, value)| value.is_object()).map(|(_, v)| v).collect();
            assert_eq!(found, [serde_json::json!({"a": 1}), serde_json::json!({"a": 2})], "{cut}");
        }
    }

    #[test]
    fn a_complaint_is_one_short_line_in_any_dialect() {
        let answer = |text: &str| Answer { status: 400, text: text.into(), ..Answer::default() };
        assert_eq!(answer(r#"{"error":{"message":"too\n long"}}"#).complaint(), "400: too long");
        assert_eq!(answer(r#"{"error":"no"}"#).complaint(), "400: no");
        assert_eq!(answer(r#"{"detail":"Not Found"}"#).complaint(), "400: Not Found");
        assert_eq!(answer("<html>").complaint(), "400: <html>");
        assert!(answer(&"é".repeat(4000)).complaint().chars().count() < 320);
    }
}

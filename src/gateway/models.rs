//! What is served and whether it is up.

use bytes::Bytes;
use http::Response;
use serde_json::{Value, json};

use super::Shared;
use super::backend::{BackendState, Ready};
use super::reply::{self, Body};
use crate::protocol::{Id, Problem, ProblemKind};

/// The model, in the words of OpenAI and Anthropic at once: their clients read the keys they know.
fn entry(shared: &Shared, backend: &Ready) -> Value {
    let name = &shared.settings.served_model;
    let mut entry = json!({
        "id": name, "object": "model", "created": shared.started, "owned_by": "llmup",
        "type": "model", "display_name": name, "created_at": rfc3339(shared.started),
    });
    if backend.context > 0
        && let Some(entry) = entry.as_object_mut()
    {
        for key in ["max_model_len", "context_window", "context_length", "max_input_tokens"] {
            entry.insert(key.to_owned(), backend.context.into());
        }
    }
    entry
}

pub(super) fn list(shared: &Shared, backend: &Ready) -> Response<Body> {
    let name = &shared.settings.served_model;
    let body = json!({
        "object": "list", "data": [entry(shared, backend)],
        "has_more": false, "first_id": name, "last_id": name,
    });
    reply::json(200, body.to_string())
}

/// One model: ours under its name, the engine's name for it, or any alias without a path (every name is answered).
pub(super) fn one(shared: &Shared, backend: &Ready, dialect: Id, id: &str) -> Response<Body> {
    let id = id.replace("%2F", "/").replace("%2f", "/").replace("%3A", ":").replace("%3a", ":");
    if id == shared.settings.served_model || id == backend.model {
        return reply::json(200, entry(shared, backend).to_string());
    }
    let message = format!("there is no model {id}; there is {}", shared.settings.served_model);
    reply::problem(dialect, &Problem::new(ProblemKind::NotFound, message))
}

pub(super) fn health(shared: &Shared, state: &BackendState) -> Response<Body> {
    let (status, body) = match state {
        BackendState::Ready(ready) => {
            (200, json!({"status": "ok", "model": shared.settings.served_model, "context": ready.context}))
        }
        BackendState::Loading { since, .. } => (
            503,
            json!({"status": "loading", "model": shared.settings.served_model, "seconds": since.elapsed().as_secs()}),
        ),
        BackendState::Gone { reason } => (503, json!({"status": "gone", "reason": reason})),
    };
    let mut response = reply::json(status, body.to_string());
    if let BackendState::Loading { retry_after, .. } = state {
        response.headers_mut().insert(http::header::RETRY_AFTER, (*retry_after).max(1).into());
    }
    response
}

pub(super) fn hello() -> Response<Body> {
    reply::json(200, Bytes::from_static(br#"{"name":"llmup"}"#))
}

/// Seconds since 1970 as a date (civil-from-days).
fn rfc3339(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let z = days + 719_468;
    let era = z / 146_097;
    let doe = z % 146_097;
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    #[test]
    fn dates() {
        assert_eq!(super::rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(super::rfc3339(1_709_210_096), "2024-02-29T12:34:56Z");
    }
}

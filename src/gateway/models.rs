//! What is served and whether it is up.

use bytes::Bytes;
use http::Response;
use serde_json::{Value, json};

use super::Shared;
use super::backend::BackendState;
use super::catalog::Served;
use super::reply::{self, Body};
use crate::protocol::{Id, Problem, ProblemKind};

/// The model, in the words of OpenAI and Anthropic at once: their clients read the keys they know.
fn entry(shared: &Shared, served: &Served) -> Value {
    let name = &served.name;
    let mut entry = json!({
        "id": name, "object": "model", "created": shared.started, "owned_by": "llmup",
        "type": "model", "display_name": name, "created_at": rfc3339(shared.started),
    });
    if let BackendState::Ready(backend) = &*served.backend.borrow()
        && backend.context > 0
        && let Some(entry) = entry.as_object_mut()
    {
        for key in ["max_model_len", "context_window", "context_length", "max_input_tokens"] {
            entry.insert(key.to_owned(), backend.context.into());
        }
    }
    entry
}

/// The model, in the words of Google.
fn gemini_entry(served: &Served) -> Value {
    let name = &served.name;
    let mut entry = json!({
        "name": format!("models/{name}"), "baseModelId": name, "version": "1", "displayName": name,
        "description": "Served by llmup",
        "supportedGenerationMethods": ["generateContent", "streamGenerateContent", "countTokens"],
    });
    if let BackendState::Ready(backend) = &*served.backend.borrow()
        && backend.context > 0
        && let Some(entry) = entry.as_object_mut()
    {
        for key in ["inputTokenLimit", "outputTokenLimit"] {
            entry.insert(key.to_owned(), backend.context.into());
        }
    }
    entry
}

/// All models, in one page whatever page is asked for.
pub(super) fn list(shared: &Shared, dialect: Id) -> Response<Body> {
    let served = shared.settings.catalog.served();
    if dialect == Id::Gemini {
        let models: Vec<Value> = served.iter().map(gemini_entry).collect();
        return reply::json(200, json!({"models": models}).to_string());
    }
    let name = |served: Option<&Served>| served.map_or(Value::Null, |served| served.name.as_str().into());
    let body = json!({
        "object": "list", "data": served.iter().map(|served| entry(shared, served)).collect::<Vec<_>>(),
        "has_more": false, "first_id": name(served.first()), "last_id": name(served.last()),
    });
    reply::json(200, body.to_string())
}

/// One model, under its own name only (though requests may ask for it by others).
pub(super) fn one(shared: &Shared, dialect: Id, id: &str) -> Response<Body> {
    match shared.settings.catalog.served().iter().find(|served| served.name == id) {
        Some(served) if dialect == Id::Gemini => reply::json(200, gemini_entry(served).to_string()),
        Some(served) => reply::json(200, entry(shared, served).to_string()),
        None => {
            let message = format!("there is no model {id}; the list is at /v1/models");
            reply::problem(dialect, &Problem::new(ProblemKind::NotFound, message))
        }
    }
}

/// Up when any model is.
pub(super) fn health(shared: &Shared) -> Response<Body> {
    let all = shared.settings.catalog.served();
    let up = all.iter().find(|served| matches!(*served.backend.borrow(), BackendState::Ready(_))).or(all.first());
    let Some(served) = up else { return reply::json(200, json!({"status": "ok"}).to_string()) };
    let (state, name) = (served.backend.borrow().clone(), &served.name);
    let (status, body) = match &state {
        BackendState::Ready(ready) => (200, json!({"status": "ok", "model": name, "context": ready.context})),
        BackendState::Loading { since, .. } => {
            (503, json!({"status": "loading", "model": name, "seconds": since.elapsed().as_secs()}))
        }
        BackendState::Gone { reason } => (503, json!({"status": "gone", "reason": reason})),
    };
    let mut response = reply::json(status, body.to_string());
    if let BackendState::Loading { retry_after, .. } = state {
        response.headers_mut().insert(http::header::RETRY_AFTER, retry_after.max(1).into());
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

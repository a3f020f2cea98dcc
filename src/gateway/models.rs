//! What is served and whether it is up.

use bytes::Bytes;
use http::Response;
use serde_json::{Value, json};

use super::access_log::rfc3339;
use super::backend::BackendState;
use super::catalog::Chosen;
use super::reply::{self, Body};
use super::{Catalog, Shared};
use crate::protocol::{Id, Problem, ProblemKind};

/// The model, in the words of OpenAI and Anthropic at once: their clients read the keys they know.
fn entry(shared: &Shared, name: &str, chosen: &Chosen<'_>) -> Value {
    let mut entry = json!({
        "id": name, "object": "model", "created": shared.started, "owned_by": "llmup",
        "type": "model", "display_name": name, "created_at": rfc3339(shared.started),
    });
    if let (Some(context), Some(entry)) = (context(chosen), entry.as_object_mut()) {
        for key in ["max_model_len", "context_window", "context_length", "max_input_tokens"] {
            entry.insert(key.to_owned(), context.into());
        }
    }
    entry
}

/// The model's context in tokens, when it is known.
fn context(chosen: &Chosen<'_>) -> Option<u64> {
    let state = chosen.served.backend.borrow().clone();
    let BackendState::Ready(mut backend) = state else { return None };
    chosen.fit(&mut backend);
    Some(backend.context).filter(|context| *context > 0)
}

/// The model, in the words of Google.
fn gemini_entry(name: &str, chosen: &Chosen<'_>) -> Value {
    let mut entry = json!({
        "name": format!("models/{name}"), "baseModelId": name, "version": "1", "displayName": name,
        "description": "Served by llmup",
        "supportedGenerationMethods": ["generateContent", "streamGenerateContent", "countTokens"],
    });
    if let (Some(context), Some(entry)) = (context(chosen), entry.as_object_mut()) {
        for key in ["inputTokenLimit", "outputTokenLimit"] {
            entry.insert(key.to_owned(), context.into());
        }
    }
    entry
}

/// All models, in one page whatever page is asked for.
pub(super) fn list(shared: &Shared, catalog: &Catalog, dialect: Id) -> Response<Body> {
    let names = catalog.names();
    if dialect == Id::Gemini {
        let models: Vec<Value> = names.iter().map(|(name, chosen)| gemini_entry(name, chosen)).collect();
        return reply::json(200, json!({"models": models}).to_string());
    }
    let name = |of: Option<&(String, Chosen<'_>)>| of.map_or(Value::Null, |(name, _)| name.as_str().into());
    let body = json!({
        "object": "list",
        "data": names.iter().map(|(name, chosen)| entry(shared, name, chosen)).collect::<Vec<_>>(),
        "has_more": false, "first_id": name(names.first()), "last_id": name(names.last()),
    });
    reply::json(200, body.to_string())
}

/// One model, under a name that is listed or matches (though a single model answers requests by any name).
pub(super) fn one(shared: &Shared, catalog: &Catalog, dialect: Id, id: &str) -> Response<Body> {
    match catalog.exactly(id) {
        Some(chosen) if dialect == Id::Gemini => reply::json(200, gemini_entry(id, &chosen).to_string()),
        Some(chosen) => reply::json(200, entry(shared, id, &chosen).to_string()),
        None => {
            let message = format!("there is no model {id}; the list is at /v1/models");
            reply::problem(dialect, &Problem::new(ProblemKind::NotFound, message))
        }
    }
}

/// Up when any model is.
pub(super) fn health(catalog: &Catalog) -> Response<Body> {
    let all = catalog.served();
    let is = |wanted: fn(&BackendState) -> bool| all.iter().find(move |served| wanted(&served.backend.borrow()));
    let up = is(|state| matches!(state, BackendState::Ready(_)))
        .or_else(|| is(|state| matches!(state, BackendState::Asleep { .. })))
        .or(all.first());
    let Some(served) = up else { return reply::json(200, json!({"status": "ok"}).to_string()) };
    let (state, name) = (served.backend.borrow().clone(), &served.name);
    let (status, body) = match &state {
        BackendState::Ready(ready) => (200, json!({"status": "ok", "model": name, "context": ready.context})),
        // Whoever asks for it gets it.
        BackendState::Asleep { .. } => (200, json!({"status": "ok", "model": name, "asleep": true})),
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

//! How many tokens a prompt has, in any dialect: asked of the engine where it can count, else estimated and marked so.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::backend::Ready;
use super::exchange::Exchange;
use super::reply::{self, Body};
use super::{Shared, native, upstream};
use crate::protocol::ir::{Part, Request, Source};
use crate::protocol::names::Names;
use crate::protocol::{Id, Outbound, Problem, ProblemKind, Vendor, accepts, openai_chat, protocol};

/// Answers that large are no counts.
const LIMIT: usize = 64 << 20;

/// What an estimate takes a picture or a page for, tokens: engines' own numbers lie between 256 and 1600.
const MEDIA: u64 = 1_000;

pub(super) async fn count_tokens(exchange: &Exchange<'_>, body: &Bytes) -> Result<Response<Body>, Problem> {
    let Exchange { shared, backend, dialect, .. } = *exchange;
    if backend.native.contains(&dialect)
        && let Some(counted) = natively(exchange, body).await?
    {
        return Ok(reply::json(200, counted));
    }
    let Some(inbound) = protocol(dialect).inbound() else {
        return Err(Problem::new(ProblemKind::Unsupported, "tokens are not counted in this protocol here"));
    };
    let mut request = inbound.decode_request(body)?;
    // As it would be asked.
    accepts::apply(&mut request, backend.accepts)?;
    let media = media_bytes(&request);
    let chat = openai_chat::Chat;
    Names::apply(&mut request, chat.names());
    let chat = chat.encode_request(&request, &backend.target());
    if asks(backend)
        && let Some(tokens) = tokenized(shared, backend, &chat).await
    {
        return Ok(reply::json(200, inbound.encode_count(tokens)));
    }
    let words = (chat.len() as u64).saturating_sub(media.iter().sum());
    let estimate = words.div_ceil(4) + media.len() as u64 * MEDIA;
    let mut response = reply::json(200, inbound.encode_count(estimate));
    response.headers_mut().insert(HeaderName::from_static("llmup-estimate"), HeaderValue::from_static("true"));
    Ok(response)
}

/// The engine's own counting route in the caller's protocol; `None` where it has none.
async fn natively(exchange: &Exchange<'_>, body: &Bytes) -> Result<Option<Bytes>, Problem> {
    let Exchange { backend, dialect, head, .. } = *exchange;
    let (path, member) = match dialect {
        Id::Messages => ("/messages/count_tokens".to_owned(), "input_tokens"),
        Id::Responses => ("/responses/input_tokens".to_owned(), "input_tokens"),
        Id::Gemini => (format!("/models/{}:countTokens", backend.model), "totalTokens"),
        Id::Chat | Id::Ollama => return Ok(None),
    };
    let edited = native::edit(backend, dialect, head, body.clone());
    let response = exchange.send(&path, edited).await?;
    if response.status().is_success() {
        let counted = response.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let counts = serde_json::from_slice::<Value>(&counted).is_ok_and(|value| value[member].is_u64());
        return Ok(counts.then_some(counted));
    }
    match response.status().as_u16() {
        404 | 405 | 501 => Ok(None),
        _ => Err(upstream::failure(response).await.0),
    }
}

/// Whether the engine may have a route that makes tokens of a chat: hosted services do not.
fn asks(backend: &Ready) -> bool {
    let engine = match backend.vendor {
        Vendor::Vllm | Vendor::LlamaCpp => true,
        // Behind TLS stands rather a service, which need not see the prompt for nothing.
        Vendor::Unknown => backend.base_url.starts_with("http:"),
        _ => false,
    };
    engine && backend.speaks == Id::Chat
}

/// How long the media in a request are: as text they would count far too much.
fn media_bytes(request: &Request<'_>) -> Vec<u64> {
    fn look(parts: &[Part<'_>], found: &mut Vec<u64>) {
        for part in parts {
            match part {
                Part::Media(media) => found.push(match &media.source {
                    Source::Base64 { data, .. } => data.len() as u64,
                    Source::Url(_) | Source::File(_) => 0,
                }),
                Part::ToolResult { parts, .. } => look(parts, found),
                Part::Text(_) | Part::Thinking { .. } | Part::ToolUse(_) => {}
            }
        }
    }
    let mut found = Vec::new();
    request.turns.iter().for_each(|turn| look(&turn.parts, &mut found));
    found
}

/// The engine's own count of the prompt its template makes, tools included.
async fn tokenized(shared: &Shared, backend: &Ready, chat: &[u8]) -> Option<u64> {
    // llama.cpp: template first, then its text.
    if backend.vendor != Vendor::Vllm
        && let Some(applied) = ask(shared, backend, "/apply-template", chat.to_vec()).await
        && let Some(prompt) = applied["prompt"].as_str()
    {
        let request = json!({"content": prompt, "add_special": true, "parse_special": true});
        let answer = ask(shared, backend, "/tokenize", request.to_string().into_bytes()).await?;
        return answer["tokens"].as_array().map(|tokens| tokens.len() as u64);
    }
    // vLLM takes the messages themselves.
    let answer = ask(shared, backend, "/tokenize", chat.to_vec()).await?;
    answer["count"].as_u64()
}

async fn ask(shared: &Shared, backend: &Ready, path: &str, body: Vec<u8>) -> Option<Value> {
    let response = shared.upstream.post_root(backend, path, body.into()).await.ok()?;
    if !response.status().is_success() {
        return None;
    }
    let body = http_body_util::Limited::new(response.into_body(), LIMIT).collect().await.ok()?;
    serde_json::from_slice(&body.to_bytes()).ok()
}

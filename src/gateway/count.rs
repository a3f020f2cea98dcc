//! How many tokens a Messages prompt has: asked of the engine where it can count, else estimated and marked so.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::backend::Ready;
use super::reply::{self, Body};
use super::{Shared, handle, upstream};
use crate::protocol::head::Head;
use crate::protocol::{Id, Inbound, Outbound, Problem, Vendor, anthropic, openai_chat};

const PATH: &str = "/messages/count_tokens";

/// Answers that large are no counts.
const LIMIT: usize = 64 << 20;

pub(super) async fn count_tokens(
    shared: &Arc<Shared>,
    backend: &Ready,
    headers: &HeaderMap,
    head: &Head,
    body: &Bytes,
) -> Result<Response<Body>, Problem> {
    if backend.native.contains(&Id::Messages) {
        let edited = handle::edit(backend, Id::Messages, head, body.clone());
        let response = shared.upstream.post(backend, PATH, headers, edited).await?;
        if response.status().is_success() {
            let counted = response.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            if serde_json::from_slice::<Value>(&counted).is_ok_and(|value| value["input_tokens"].is_u64()) {
                return Ok(reply::json(200, counted));
            }
        } else if !matches!(response.status().as_u16(), 404 | 405 | 501) {
            return Err(upstream::failure(response).await.0);
        }
    }
    let request = anthropic::Messages.decode_request(body)?;
    let chat = openai_chat::Chat.encode_request(&request, &backend.target());
    if let Some(tokens) = tokenized(shared, backend, &chat).await {
        return Ok(reply::json(200, json!({"input_tokens": tokens}).to_string()));
    }
    let estimate = chat.len().div_ceil(4);
    let mut response = reply::json(200, json!({"input_tokens": estimate}).to_string());
    response.headers_mut().insert(HeaderName::from_static("llmup-estimate"), HeaderValue::from_static("true"));
    Ok(response)
}

/// The engine's own count of the prompt its template makes.
async fn tokenized(shared: &Shared, backend: &Ready, chat: &[u8]) -> Option<u64> {
    // Providers have no such routes, and need not see the prompt for nothing.
    let engine = match backend.vendor {
        Vendor::Vllm | Vendor::LlamaCpp => true,
        Vendor::Unknown => backend.base_url.starts_with("http:"),
        _ => false,
    };
    if !engine {
        return None;
    }
    // llama.cpp: template first, then its text.
    if let Some(applied) = ask(shared, backend, "/apply-template", chat.to_vec()).await
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
    let response = shared.upstream.post_root(backend, path, &HeaderMap::new(), body.into()).await.ok()?;
    if !response.status().is_success() {
        return None;
    }
    let body = http_body_util::Limited::new(response.into_body(), LIMIT).collect().await.ok()?;
    serde_json::from_slice(&body.to_bytes()).ok()
}

//! What the fake engine says: health in each engine's manner, and one short answer in the OpenAI, Anthropic and
//! Ollama shapes.

use std::time::Instant;

use serde_json::{Value, json};

use crate::http::{Answer, Request, Server};
use crate::{Kind, switch};

const JSON: &str = "application/json";
const SSE: &str = "text/event-stream; charset=utf-8";
const PROMPT_TOKENS: u64 = 20;

fn whole(status: u16, body: &Value) -> Answer {
    Answer::Whole(status, JSON, body.to_string())
}

pub fn to(server: &Server, request: &Request) -> Answer {
    if server.kind == Kind::LlamaServer && Instant::now() < server.ready_at {
        let error = json!({"message": "Loading model", "type": "unavailable_error", "code": 503});
        return whole(503, &json!({ "error": error }));
    }
    if server.kind == Kind::Vllm
        && let Some(answer) = crate::nap::to(request)
    {
        return answer;
    }
    let body: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
    let model = body["model"].as_str().unwrap_or(&server.model).to_owned();
    if let Some(refusal) = refused(&body, request.body.len()) {
        return whole(400, &json!({"error": {"message": refusal, "type": "BadRequestError", "code": 400}}));
    }
    match (server.kind, request.method.as_str(), request.path.as_str()) {
        (Kind::Vllm, "GET", "/health") => Answer::Whole(200, "text/plain", String::new()),
        (Kind::LlamaServer, "GET", "/health" | "/v1/health") => whole(200, &json!({"status": "ok"})),
        (Kind::LlamaServer, "GET", "/props") => {
            whole(200, &json!({"default_generation_settings": {"n_ctx": server.context}, "total_slots": 1}))
        }
        (Kind::LlamaServer, "GET", "/metrics") => {
            static LOOKS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
            let grows = u64::from(switch("FAKE_BUSY").is_some());
            let looks = LOOKS.fetch_add(grows, std::sync::atomic::Ordering::Relaxed);
            Answer::Whole(200, "text/plain", format!("# TYPE x counter\nllamacpp:n_decode_total {looks}\n"))
        }
        (Kind::Ollama, "GET" | "HEAD", "/") => Answer::Whole(200, "text/plain", "Ollama is running".to_owned()),
        (Kind::Ollama, "GET", "/api/version") => whole(200, &json!({"version": "0.33.0"})),
        (Kind::Ollama, "GET", "/api/ps" | "/api/tags") => {
            // It keeps no books: everything the tests load counts as loaded, a variant of llmup's with what it asked.
            let vram = std::env::var("FAKE_VRAM").ok().and_then(|n| n.parse::<u64>().ok());
            let loaded = |name: &str, context: u64| {
                let mut model = json!({"name": name, "model": name, "size": 1000, "context_length": context});
                if let Some(vram) = vram {
                    model["size_vram"] = vram.into();
                }
                model
            };
            let models = [loaded(&server.model, 32768), loaded("new:1b", 32768), loaded("llmup-new-1b", 65536)];
            whole(200, &json!({ "models": models }))
        }
        (Kind::Ollama, "POST", "/api/generate") => {
            whole(200, &json!({"model": model, "response": "", "done": true, "done_reason": "load"}))
        }
        (Kind::Ollama, "POST", "/api/show") if model.starts_with("new") => {
            whole(404, &json!({"error": format!("model '{model}' not found")}))
        }
        (Kind::Ollama, "POST", "/api/show") => whole(200, &json!({"details": {}})),
        (Kind::Ollama, "POST", "/api/pull") => {
            crate::log(&format!("pulled {model}"));
            // Errors come with status 200, as the last line.
            let last = if model.contains("nowhere") {
                json!({"error": "pull model manifest: file does not exist"})
            } else {
                json!({"status": "success"})
            };
            let lines = [
                json!({"status": "pulling manifest"}),
                json!({"status": "pulling abc", "total": 9, "completed": 4}),
                last,
            ];
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            Answer::Whole(200, "application/x-ndjson", text)
        }
        (Kind::Ollama, "POST", path) if path.starts_with("/api/blobs/sha256:") => {
            // A GGUF, as its magic says; anything else is not a model.
            let status = if request.body.starts_with(b"GGUF") { 201 } else { 400 };
            Answer::Whole(status, "text/plain", String::new())
        }
        (Kind::Ollama, "POST", "/api/create") => {
            let source = body["files"].is_object() || body["from"].is_string();
            let whole_request = source && body["parameters"]["num_ctx"].is_u64();
            if whole_request {
                whole(200, &json!({"status": "success"}))
            } else {
                whole(400, &json!({"error": "no files"}))
            }
        }
        (Kind::Ollama, "DELETE", "/api/delete") => {
            crate::log(&format!("deleted {model}"));
            whole(200, &json!({}))
        }
        (_, "GET", "/v1/models") => {
            let entry =
                json!({"id": server.model, "object": "model", "owned_by": "fake", "max_model_len": server.context});
            whole(200, &json!({"object": "list", "data": [entry]}))
        }
        (Kind::Vllm, "GET", "/version") => whole(200, &json!({"version": "0.32.0"})),
        (_, "POST", "/v1/chat/completions") => chat(&body, &model),
        (_, "POST", "/v1/messages") => messages(&body, &model),
        (Kind::Vllm | Kind::LlamaServer, "POST", "/v1/messages/count_tokens") => {
            whole(200, &json!({"input_tokens": PROMPT_TOKENS}))
        }
        (Kind::LlamaServer, ..) => {
            whole(404, &json!({"error": {"message": "File Not Found", "type": "not_found_error", "code": 404}}))
        }
        _ => whole(404, &json!({"detail": "Not Found"})),
    }
}

/// Why a request is not taken, when a switch says so.
fn refused(body: &Value, length: usize) -> Option<String> {
    let what = switch("FAKE_REFUSE").unwrap_or_default();
    let messages = body["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    if what == "system" && (!body["system"].is_null() || messages.iter().any(|message| message["role"] == "system")) {
        return Some("System role not supported".to_owned());
    }
    if what == "tools" && !body["tools"].is_null() {
        return Some(
            "\"auto\" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set".to_owned(),
        );
    }
    let longest: usize = switch("FAKE_LONGEST")?.parse().ok()?;
    (length > 4 * longest).then(|| {
        format!(
            "This model's maximum context length is {longest} tokens. However, your prompt contains at least {} input tokens",
            longest + 1
        )
    })
}

/// The answer's text, in the pieces a stream gives.
fn pieces(body: &Value) -> Vec<String> {
    let text = switch("FAKE_TEXT")
        .or_else(|| switch("FAKE_ECHO").map(|_| last_user_text(body)))
        .unwrap_or_else(|| "Hello from the fake engine: naïve 你好 🚀 end.".to_owned());
    let mut pieces: Vec<String> = Vec::new();
    for word in text.split_inclusive(' ') {
        pieces.push(word.to_owned());
    }
    pieces
}

fn last_user_text(body: &Value) -> String {
    let messages = body["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    match messages.iter().rev().find(|m| m["role"] == "user").map(|m| &m["content"]) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts.iter().filter_map(|p| p["text"].as_str()).collect(),
        _ => String::new(),
    }
}

fn cached() -> u64 {
    switch("FAKE_CACHED").and_then(|n| n.parse().ok()).unwrap_or(16).min(PROMPT_TOKENS)
}

fn chat(body: &Value, model: &str) -> Answer {
    let pieces = pieces(body);
    let written = pieces.len() as u64;
    let usage = json!({
        "prompt_tokens": PROMPT_TOKENS,
        "completion_tokens": written,
        "total_tokens": PROMPT_TOKENS + written,
        "prompt_tokens_details": {"cached_tokens": cached()},
    });
    let chunk = |choices: Value, usage: Value| {
        let mut chunk = json!({"id": "chatcmpl-fake", "object": "chat.completion.chunk", "created": 1, "model": model});
        chunk["choices"] = choices;
        if !usage.is_null() {
            chunk["usage"] = usage;
        }
        chunk
    };
    if body["stream"] != true {
        let message = json!({"role": "assistant", "content": pieces.concat()});
        let mut answer = chunk(json!([{"index": 0, "message": message, "finish_reason": "stop"}]), usage);
        answer["object"] = json!("chat.completion");
        return whole(200, &answer);
    }
    let delta = |delta: Value, finish: Value| json!([{"index": 0, "delta": delta, "finish_reason": finish}]);
    let mut chunks = vec![chunk(delta(json!({"role": "assistant", "content": ""}), Value::Null), Value::Null)];
    chunks.extend(pieces.iter().map(|p| chunk(delta(json!({"content": p}), Value::Null), Value::Null)));
    chunks.push(chunk(delta(json!({}), json!("stop")), Value::Null));
    if body["stream_options"]["include_usage"] == true {
        chunks.push(chunk(json!([]), usage));
    }
    let mut frames: Vec<String> = chunks.iter().map(|c| format!("data: {c}\n\n")).collect();
    frames.push("data: [DONE]\n\n".to_owned());
    Answer::Stream(SSE, frames)
}

fn messages(body: &Value, model: &str) -> Answer {
    let pieces = pieces(body);
    let written = pieces.len() as u64;
    let usage = json!({
        "input_tokens": PROMPT_TOKENS - cached(),
        "cache_read_input_tokens": cached(),
        "output_tokens": written,
    });
    let message = |content: Value, stop: Value, usage: &Value| {
        json!({
            "id": "msg_fake", "type": "message", "role": "assistant", "model": model,
            "content": content, "stop_reason": stop, "stop_sequence": null, "usage": usage,
        })
    };
    if body["stream"] != true {
        let content = json!([{"type": "text", "text": pieces.concat()}]);
        return whole(200, &message(content, json!("end_turn"), &usage));
    }
    let mut first = usage.clone();
    first["output_tokens"] = json!(0);
    let start = json!({"type": "message_start", "message": message(json!([]), Value::Null, &first)});
    let block = json!({"type": "text", "text": ""});
    let mut events = vec![start, json!({"type": "content_block_start", "index": 0, "content_block": block})];
    events.extend(pieces.iter().map(
        |piece| json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}),
    ));
    events.push(json!({"type": "content_block_stop", "index": 0}));
    let end = json!({"stop_reason": "end_turn", "stop_sequence": null});
    events.push(json!({"type": "message_delta", "delta": end, "usage": usage}));
    events.push(json!({"type": "message_stop"}));
    let frame = |e: &Value| format!("event: {}\ndata: {e}\n\n", e["type"].as_str().unwrap_or_default());
    Answer::Stream(SSE, events.iter().map(frame).collect())
}

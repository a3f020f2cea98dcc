//! What clients keep of an answer and send back, each in its own protocol.

use serde_json::{Value, json};

use crate::protocol::Id;
use crate::protocol::ir::Framing;

/// A kind of client.
pub(super) struct Client {
    pub(super) name: &'static str,
    pub(super) speaks: Id,
    /// The model's turn as the client keeps it.
    keep: fn(&str, Framing) -> Vec<Value>,
}

pub(super) const CLIENTS: [Client; 5] = [
    Client { name: "Claude Code", speaks: Id::Messages, keep: messages },
    Client { name: "a chat client", speaks: Id::Chat, keep: chat },
    Client { name: "Codex", speaks: Id::Responses, keep: responses },
    Client { name: "Gemini CLI", speaks: Id::Gemini, keep: gemini_cli },
    Client { name: "Google's SDK for Python", speaks: Id::Gemini, keep: gemini_sdk },
];

impl Client {
    /// The next request, behind an answer: the model's turn, and what came of its call.
    pub(super) fn next(&self, answer: &str, framing: Framing) -> Value {
        request(self.speaks, &(self.keep)(answer, framing))
    }
}

/// A request that asks for reasoning; with what the model said, if it said something.
pub(super) fn request(from: Id, said: &[Value]) -> Value {
    let schema = json!({"type": "object"});
    let called = said.iter().any(|part| part.to_string().contains("\"c1\""));
    let mut body = match from {
        Id::Messages => {
            json!({"model": "m", "max_tokens": 4096, "thinking": {"type": "enabled", "budget_tokens": 2048},
            "tools": [{"name": "Read", "input_schema": schema}]})
        }
        Id::Chat => json!({"model": "m", "reasoning_effort": "medium",
            "tools": [{"type": "function", "function": {"name": "Read", "parameters": schema}}]}),
        Id::Responses => json!({"model": "m", "store": false, "include": ["reasoning.encrypted_content"],
            "reasoning": {"effort": "medium", "summary": "auto"},
            "tools": [{"type": "function", "name": "Read", "parameters": schema}]}),
        _ => json!({"generationConfig": {"thinkingConfig": {"includeThoughts": true, "thinkingBudget": 2048}},
            "tools": [{"functionDeclarations": [{"name": "Read", "parametersJsonSchema": schema}]}]}),
    };
    let mut turns = vec![match from {
        Id::Gemini => json!({"role": "user", "parts": [{"text": "x"}]}),
        _ => json!({"role": "user", "content": "x"}),
    }];
    match from {
        _ if said.is_empty() => {}
        Id::Messages => turns.push(json!({"role": "assistant", "content": said})),
        Id::Gemini => turns.push(json!({"role": "model", "parts": said})),
        _ => turns.extend_from_slice(said),
    }
    if called {
        turns.push(match from {
            Id::Messages => json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "r"}]}),
            Id::Chat => json!({"role": "tool", "tool_call_id": "c1", "content": "r"}),
            Id::Responses => json!({"type": "function_call_output", "call_id": "c1", "output": "r"}),
            _ => json!({"role": "user", "parts": [{"functionResponse": {"id": "c1", "name": "Read", "response": {"output": "r"}}}]}),
        });
    } else if !said.is_empty() {
        turns.push(turns[0].clone());
    }
    body[match from {
        Id::Responses => "input",
        Id::Gemini => "contents",
        _ => "messages",
    }] = turns.into();
    body
}

fn data(stream: &str) -> Vec<Value> {
    let data = stream.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
    data.map(|data| serde_json::from_str(data).unwrap()).collect()
}

fn whole(answer: &str) -> Value {
    serde_json::from_str(answer).unwrap()
}

/// Puts a piece of text behind what is there.
fn grow(object: &mut Value, key: &str, piece: &Value) {
    if let Some(piece) = piece.as_str() {
        object[key] = format!("{}{piece}", object[key].as_str().unwrap_or_default()).into();
    }
}

fn messages(answer: &str, framing: Framing) -> Vec<Value> {
    if framing == Framing::Whole {
        return whole(answer)["content"].as_array().unwrap().clone();
    }
    let (mut content, mut input) = (Vec::<Value>::new(), String::new());
    for frame in data(answer) {
        match frame["type"].as_str().unwrap() {
            "content_block_start" => content.push(frame["content_block"].clone()),
            "content_block_delta" => {
                let block = content.last_mut().unwrap();
                for key in ["thinking", "signature", "text"] {
                    grow(block, key, &frame["delta"][key]);
                }
                input += frame["delta"]["partial_json"].as_str().unwrap_or_default();
            }
            "content_block_stop" if content.last().unwrap()["type"] == "tool_use" => {
                content.last_mut().unwrap()["input"] = serde_json::from_str(&std::mem::take(&mut input)).unwrap();
            }
            _ => {}
        }
    }
    content
}

fn chat(answer: &str, framing: Framing) -> Vec<Value> {
    if framing == Framing::Whole {
        return vec![whole(answer)["choices"][0]["message"].clone()];
    }
    let mut message = json!({"role": "assistant"});
    let (mut calls, mut details) = (Vec::<Value>::new(), Vec::<Value>::new());
    for frame in data(answer) {
        let delta = &frame["choices"][0]["delta"];
        grow(&mut message, "content", &delta["content"]);
        grow(&mut message, "reasoning_content", &delta["reasoning_content"]);
        details.extend(delta["reasoning_details"].as_array().cloned().unwrap_or_default());
        for piece in delta["tool_calls"].as_array().into_iter().flatten() {
            let at = piece["index"].as_u64().unwrap() as usize;
            if calls.len() <= at {
                calls.push(json!({"type": "function", "function": {}}));
            }
            grow(&mut calls[at], "id", &piece["id"]);
            for key in ["name", "arguments"] {
                grow(&mut calls[at]["function"], key, &piece["function"][key]);
            }
            if piece["extra_content"].is_object() {
                calls[at]["extra_content"] = piece["extra_content"].clone();
            }
        }
    }
    for (key, list) in [("tool_calls", calls), ("reasoning_details", details)] {
        if !list.is_empty() {
            message[key] = list.into();
        }
    }
    vec![message]
}

fn responses(answer: &str, framing: Framing) -> Vec<Value> {
    if framing == Framing::Whole {
        return whole(answer)["output"].as_array().unwrap().clone();
    }
    let done = data(answer).into_iter().filter(|frame| frame["type"] == "response.output_item.done");
    done.map(|frame| frame["item"].clone()).collect()
}

fn parts(answer: &str, framing: Framing) -> Vec<Value> {
    let chunks = if framing == Framing::Whole { vec![whole(answer)] } else { data(answer) };
    let parts = chunks.iter().map(|chunk| &chunk["candidates"][0]["content"]["parts"]);
    parts.flat_map(|parts| parts.as_array().cloned().unwrap_or_default()).collect()
}

/// `processStreamResponse` of 0.61: thoughts go, a text goes behind the text before it, and what else it had is lost.
fn gemini_cli(answer: &str, framing: Framing) -> Vec<Value> {
    let is_text = |part: &Value| part["text"].is_string() && part.get("functionCall").is_none();
    let mut kept: Vec<Value> = Vec::new();
    for part in parts(answer, framing).into_iter().filter(|part| part["thought"] != true) {
        match kept.last_mut() {
            Some(last) if is_text(last) && last["text"] != "" && is_text(&part) => grow(last, "text", &part["text"]),
            _ => kept.push(part),
        }
    }
    // A text that is empty and has nothing else makes the whole turn invalid there.
    kept.retain(|part| *part != json!({"text": ""}));
    kept
}

/// Everything, bytes in the alphabet for URLs.
fn gemini_sdk(answer: &str, framing: Framing) -> Vec<Value> {
    let mut parts = parts(answer, framing);
    for part in &mut parts {
        if let Some(signature) = part.get("thoughtSignature").and_then(Value::as_str) {
            part["thoughtSignature"] = signature.replace('+', "-").replace('/', "_").into();
        }
    }
    parts.retain(|part| *part != json!({"text": ""}));
    parts
}

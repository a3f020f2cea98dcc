//! Answers on the wire, as awkward as engines make them: reasoning first, arguments cut anywhere, a comment between,
//! characters split over writes, usage in a chunk of its own.

use std::io::Write;
use std::net::TcpStream;

use serde_json::{Value, json};

use super::script::Reply;

/// Lengths of the pieces that arguments and writes are cut into.
const CUTS: [usize; 6] = [1, 7, 3, 11, 2, 5];

fn usage(body: &Value, reply: &Reply) -> Value {
    let prompt = body["messages"].to_string().len() / 4 + body["tools"].to_string().len() / 4;
    let said: usize = reply.calls.iter().map(|(_, arguments)| arguments.to_string().len() / 4).sum();
    let completion = reply.text.len() / 4 + said + reply.thought.len() / 4 + 1;
    json!({
        "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": prompt / 2},
    })
}

/// Always the same: Ollama picks one of a thousand, so they do repeat, and Claude Code 2.1.329 takes answers of one id
/// for one message and never gets on.
const ANSWER: &str = "chatcmpl-123";

fn id(reply: &Reply, n: usize) -> String {
    format!("call_{}_{n}", reply.round)
}

/// The whole answer, for a request without `stream`.
pub fn at_once(body: &Value, reply: &Reply) -> Value {
    let mut message = json!({"role": "assistant", "content": reply.text});
    if !reply.thought.is_empty() {
        message["reasoning_content"] = reply.thought.into();
    }
    let calls: Vec<Value> = reply
        .calls
        .iter()
        .enumerate()
        .map(|(n, (name, arguments))| {
            let function = json!({"name": name, "arguments": arguments.to_string()});
            json!({"id": id(reply, n), "type": "function", "function": function})
        })
        .collect();
    let reason = if calls.is_empty() { "stop" } else { "tool_calls" };
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    json!({"id": ANSWER, "object": "chat.completion", "created": 1, "model": super::MODEL,
        "choices": [{"index": 0, "message": message, "finish_reason": reason}], "usage": usage(body, reply)})
}

/// The answer as a stream.
pub fn write(writer: &mut TcpStream, body: &Value, reply: &Reply) -> std::io::Result<()> {
    let mut text = String::from(": warming up\n\n");
    let mut chunk = |choices: Value, more: Option<Value>| {
        let mut chunk = json!({"id": ANSWER, "object": "chat.completion.chunk", "created": 1,
            "model": super::MODEL, "choices": choices});
        if let Some(usage) = more {
            chunk["usage"] = usage;
        }
        text += &format!("data: {chunk}\n\n");
    };
    let delta = |delta: Value| json!([{"index": 0, "delta": delta, "finish_reason": null}]);
    chunk(delta(json!({"role": "assistant", "content": ""})), None);
    for piece in pieces(reply.thought) {
        chunk(delta(json!({"reasoning_content": piece})), None);
    }
    for piece in pieces(&reply.text) {
        chunk(delta(json!({"content": piece})), None);
    }
    for (n, (name, arguments)) in reply.calls.iter().enumerate() {
        let function = json!({"name": name, "arguments": ""});
        let call = json!({"index": n, "id": id(reply, n), "type": "function", "function": function});
        chunk(delta(json!({"tool_calls": [call]})), None);
        for piece in pieces(&arguments.to_string()) {
            chunk(delta(json!({"tool_calls": [{"index": n, "function": {"arguments": piece}}]})), None);
        }
    }
    let reason = if reply.calls.is_empty() { "stop" } else { "tool_calls" };
    chunk(json!([{"index": 0, "delta": {}, "finish_reason": reason}]), None);
    chunk(json!([]), Some(usage(body, reply)));
    text += "data: [DONE]\n\n";

    writer.write_all(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n",
    )?;
    // Cut by bytes: lines, events and characters end up in two pieces.
    let mut rest = text.as_bytes();
    let mut turn = 0;
    while !rest.is_empty() {
        let size = (CUTS[turn % CUTS.len()] * 37).min(rest.len());
        let (now, later) = rest.split_at(size);
        let mut part = format!("{size:x}\r\n").into_bytes();
        part.extend_from_slice(now);
        part.extend_from_slice(b"\r\n");
        writer.write_all(&part)?;
        writer.flush()?;
        rest = later;
        turn += 1;
    }
    writer.write_all(b"0\r\n\r\n")
}

/// The text in pieces of uneven numbers of characters.
fn pieces(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    let mut at = 0;
    let mut pieces = Vec::new();
    while at < characters.len() {
        let end = (at + CUTS[pieces.len() % CUTS.len()]).min(characters.len());
        pieces.push(characters[at..end].iter().collect());
        at = end;
    }
    pieces
}

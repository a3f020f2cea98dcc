//! Bugs that other gateways had, one check each: what they made wrong is named, and what is right is asserted. Ids
//! are those of the list the checks were made from; B is about callers, X about backends.

use serde_json::{Value, json};

use crate::protocol::names::Names;
use crate::protocol::{Id, Target, Vendor, protocol};

mod requests;
mod streams;

/// What a backend is sent, the way the gateway does it.
fn sent(from: Id, to: Id, (vendor, model): (Vendor, &str), body: &Value) -> Value {
    let text = body.to_string();
    let outbound = protocol(to).outbound().unwrap();
    let mut request = protocol(from).inbound().unwrap().decode_request(text.as_bytes()).unwrap();
    let _ = Names::apply(&mut request, outbound.names());
    let body = outbound.encode_request(&request, &Target { model, vendor, context: 0 });
    serde_json::from_slice(&body).unwrap()
}

/// What a caller gets of a backend's stream.
fn told(from: Id, to: Id, stream: &str) -> String {
    let body = match from {
        Id::Gemini => json!({"contents": [{"parts": [{"text": "x"}]}]}),
        Id::Responses => json!({"model": "m", "input": "x", "stream": true}),
        _ => json!({"model": "m", "max_tokens": 9, "stream": true, "stream_options": {"include_usage": true},
            "messages": [{"role": "user", "content": "x"}]}),
    };
    let (inbound, text) = (protocol(from).inbound().unwrap(), body.to_string());
    let mut request = inbound.decode_request(text.as_bytes()).unwrap();
    request.framing = crate::protocol::ir::Framing::Events;
    let (mut encoder, mut out) = (inbound.stream_encoder(&request), Vec::new());
    let mut decoder = protocol(to).outbound().unwrap().event_decoder();
    decoder.push(stream.as_bytes(), &mut |event| encoder.encode(&event, &mut out));
    decoder.end(None, &mut |event| encoder.encode(&event, &mut out));
    String::from_utf8(out).unwrap()
}

/// Chunks of a chat stream, with its end.
fn chat(chunks: &[Value]) -> String {
    let mut out = String::new();
    for chunk in chunks {
        let whole = if chunk.get("delta").is_some() { json!({"id": "a", "choices": [chunk]}) } else { chunk.clone() };
        out += &format!("data: {whole}\n\n");
    }
    out + "data: [DONE]\n\n"
}

fn delta(delta: Value) -> Value {
    json!({"index": 0, "delta": delta})
}

fn end(reason: &str) -> Value {
    json!({"index": 0, "delta": {}, "finish_reason": reason})
}

/// The data of a stream's events.
fn frames(stream: &str) -> Vec<Value> {
    let data = stream.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
    data.map(|data| serde_json::from_str(data).unwrap()).collect()
}

/// Blocks of a Messages stream as `kind:content`; panics where they overlap or skip a number.
fn blocks(stream: &str) -> Vec<String> {
    let (mut found, mut open): (Vec<String>, Option<u64>) = (Vec::new(), None);
    for frame in frames(stream) {
        let index = frame["index"].as_u64();
        match frame["type"].as_str().unwrap() {
            "content_block_start" => {
                assert_eq!((open, index), (None, Some(found.len() as u64)));
                open = index;
                let block = &frame["content_block"];
                let name = block["name"].as_str().map(|name| format!("{name} {}", block["id"].as_str().unwrap()));
                found.push(format!("{}:", name.as_deref().unwrap_or(block["type"].as_str().unwrap())));
            }
            "content_block_delta" => {
                assert_eq!(open, index);
                let delta = &frame["delta"];
                let piece = ["text", "thinking", "partial_json"].iter().find_map(|key| delta[*key].as_str());
                found.last_mut().unwrap().push_str(piece.unwrap_or_default());
            }
            "content_block_stop" => assert_eq!(open.take(), index),
            _ => {}
        }
    }
    assert_eq!(open, None);
    found
}

const PLAIN: (Vendor, &str) = (Vendor::Unknown, "m");

fn call(index: u64, id: Option<&str>, name: Option<&str>, arguments: &str) -> Value {
    json!({"index": index, "id": id, "function": {"name": name, "arguments": arguments}})
}

/// A Gemini call's proof comes back to Google through callers of every protocol, though it has a thought with a proof
/// of its own in front of it.
#[test]
fn proofs_of_calls_come_back_through_everybody() {
    let part = |part: Value| json!({"candidates": [{"content": {"parts": [part]}}]});
    let stream: String = [
        part(json!({"text": "hm", "thought": true, "thoughtSignature": "own"})),
        part(json!({"functionCall": {"id": "c1", "name": "R", "args": {}}, "thoughtSignature": "first"})),
        part(json!({"functionCall": {"id": "c2", "name": "R", "args": {}}, "thoughtSignature": "second"})),
        json!({"candidates": [{"finishReason": "STOP"}]}),
    ]
    .map(|chunk| format!("data: {chunk}\n\n"))
    .concat();
    let google = (Vendor::Google, "gemini-3-pro");
    let proofs = |body: &Value| -> Vec<Value> {
        body["contents"][1]["parts"].as_array().unwrap().iter().map(|part| part["thoughtSignature"].clone()).collect()
    };
    let frames_of = |from| frames(&told(from, Id::Gemini, &stream));

    let mut output = vec![json!({"role": "user", "content": "x"})];
    output.extend(
        frames_of(Id::Responses).iter().filter(|e| e["type"] == "response.output_item.done").map(|e| e["item"].clone()),
    );
    let again = sent(Id::Responses, Id::Gemini, google, &json!({"model": "m", "store": false, "input": output}));
    assert_eq!(proofs(&again), ["own", "first", "second"], "Responses");

    let mut content: Vec<Value> = Vec::new();
    for frame in frames_of(Id::Messages) {
        match frame["type"].as_str().unwrap() {
            "content_block_start" => content.push(frame["content_block"].clone()),
            "content_block_delta" => {
                for key in ["thinking", "signature"] {
                    if let Some(piece) = frame["delta"][key].as_str() {
                        content.last_mut().unwrap()[key] = piece.into();
                    }
                }
            }
            _ => {}
        }
    }
    let again = sent(
        Id::Messages,
        Id::Gemini,
        google,
        &json!({"model": "m", "max_tokens": 9, "messages": [
        {"role": "user", "content": "x"}, {"role": "assistant", "content": content}]}),
    );
    assert_eq!(proofs(&again), ["own", "first", "second"], "Messages");

    let mut calls = [json!({}), json!({})];
    for frame in frames_of(Id::Chat) {
        for piece in frame["choices"][0]["delta"]["tool_calls"].as_array().into_iter().flatten() {
            let call = &mut calls[piece["index"].as_u64().unwrap() as usize];
            for (key, value) in piece.as_object().unwrap().iter().filter(|(key, _)| *key != "index") {
                if call.get(key).is_none() {
                    call[key] = value.clone();
                }
            }
        }
    }
    let again = sent(
        Id::Chat,
        Id::Gemini,
        google,
        &json!({"model": "m", "messages": [
        {"role": "user", "content": "x"}, {"role": "assistant", "content": null, "tool_calls": calls}]}),
    );
    assert_eq!(proofs(&again), ["first", "second"], "Chat");
}

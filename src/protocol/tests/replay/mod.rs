//! Reasoning, sent back: a backend answers with reasoning, its proof and a call; the caller keeps what its kind of
//! client keeps, and says it again in its own protocol. The backend that made the proof gets exactly that one back, and
//! every other backend nothing of it.

use serde_json::{Value, json};

use crate::protocol::ir::Framing;
use crate::protocol::names::Names;
use crate::protocol::{Id, Target, Vendor, protocol};

mod clients;
mod foreign;
mod google;

use clients::CLIENTS;

/// A backend: what it speaks, whose it is, the model.
type Backend = (Id, Vendor, &'static str);

const CLAUDE: Backend = (Id::Messages, Vendor::Anthropic, "claude-sonnet-4-5");
const GOOGLE: Backend = (Id::Gemini, Vendor::Google, "gemini-3-pro");

/// How the answer is asked for.
const FRAMINGS: [Framing; 2] = [Framing::Events, Framing::Whole];

/// What the caller in protocol `from` gets of a backend's stream, read in pieces of `size` bytes.
fn told(from: Id, to: Id, stream: &str, framing: Framing, size: usize) -> String {
    let inbound = protocol(from).inbound().unwrap();
    let text = clients::request(from, &[]).to_string();
    let mut request = inbound.decode_request(text.as_bytes()).unwrap();
    request.framing = framing;
    let (mut encoder, mut answer) = (inbound.stream_encoder(&request), inbound.answer_encoder(&request));
    let (mut decoder, mut out) = (protocol(to).outbound().unwrap().event_decoder(), Vec::new());
    let mut both = |event: crate::protocol::event::Event<'_>| {
        encoder.encode(&event, &mut out);
        answer.add(&event);
    };
    stream.as_bytes().chunks(size).for_each(|piece| decoder.push(piece, &mut both));
    decoder.end(None, &mut both);
    String::from_utf8(if framing == Framing::Whole { answer.finish().unwrap() } else { out }).unwrap()
}

/// What a backend is sent for `body`.
fn sent(from: Id, (to, vendor, model): Backend, body: &Value) -> Value {
    let text = body.to_string();
    let outbound = protocol(to).outbound().unwrap();
    let mut request = protocol(from).inbound().unwrap().decode_request(text.as_bytes()).unwrap();
    let _ = Names::apply(&mut request, outbound.names());
    serde_json::from_slice(&outbound.encode_request(&request, &Target { model, vendor, context: 0 })).unwrap()
}

/// The model's turn in a backend's request.
fn turn(to: Id, body: &Value) -> Value {
    match to {
        Id::Messages => body["messages"][1]["content"].clone(),
        Id::Gemini => body["contents"][1]["parts"].clone(),
        Id::Responses => {
            let items = body["input"].as_array().unwrap().iter();
            items.filter(|item| item["role"] != "user" && item["type"] != "function_call_output").cloned().collect()
        }
        _ => {
            let mut message = body["messages"][1].clone();
            message.as_object_mut().unwrap().remove("role");
            message
        }
    }
}

/// Data of an event stream.
fn frames(chunks: &[Value]) -> String {
    chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect()
}

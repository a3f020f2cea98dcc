//! Callers' requests: whatever decodes is encoded for every backend as JSON that keeps that protocol's rules.

use serde_json::Value;

use crate::answers;
use crate::events::Recorder;
use crate::protocol::accepts::{self, Accepts, Otherwise};
use crate::protocol::event::{Block, Event, Filter, Stop, Usage};
use crate::protocol::ir::Request;
use crate::protocol::names::Names;
use crate::protocol::{Id, Inbound, PROTOCOLS, Protocol, Target, Vendor, carrier};

const VENDORS: [Vendor; 10] = [
    Vendor::Unknown,
    Vendor::Vllm,
    Vendor::LlamaCpp,
    Vendor::Ollama,
    Vendor::OpenAi,
    Vendor::OpenRouter,
    Vendor::DeepSeek,
    Vendor::Anthropic,
    Vendor::Google,
    Vendor::Volcengine,
];

/// From a caller to every backend, and a short answer back.
pub fn inbound(protocol: &dyn Protocol, inbound: &dyn Inbound, body: &[u8], control: &[u8]) {
    let choice = usize::from(control.first().copied().unwrap_or(0));
    let vendor = VENDORS[choice % VENDORS.len()];
    let accepts = Accepts {
        images: [None, Some(false), Some(true)][choice / 10 % 3],
        documents: [None, Some(false)][choice / 30 % 2],
        audio: [None, Some(false)][choice / 60 % 2],
        otherwise: if choice >= 120 { Otherwise::Refuse } else { Otherwise::Note },
    };
    for backend in PROTOCOLS {
        let Some(outbound) = backend.outbound() else { continue };
        let mut request = match inbound.decode_request(body) {
            Ok(request) => request,
            Err(problem) => {
                assert!((400..500).contains(&problem.status()) || problem.status() == 501, "{problem:?}");
                return;
            }
        };
        if let Err(problem) = accepts::apply(&mut request, accepts) {
            assert_eq!(problem.status(), 400, "{problem:?}");
            continue;
        }
        let framing = request.framing;
        let (stream, whole) = (inbound.stream_encoder(&request), inbound.answer_encoder(&request));
        let names = Names::apply(&mut request, outbound.names());
        let encoded = outbound.encode_request(&request, &Target { model: "m", vendor, context: 4096 });
        let value: Value = serde_json::from_slice(&encoded)
            .unwrap_or_else(|e| panic!("{:?} {e}: {}", backend.id(), String::from_utf8_lossy(&encoded)));
        match backend.id() {
            Id::Chat => chat(&value, vendor),
            Id::Messages => messages(&value),
            Id::Responses => responses(&value),
            Id::Gemini => gemini(&value),
            Id::Ollama => assert!(value["messages"].is_array(), "{value}"),
        }
        answer(protocol, &request, names, stream, whole, framing);
    }
    let _ = inbound.encode_count(7);
}

/// An answer that calls the first tool, through the names and both encoders made for this request.
fn answer(
    protocol: &dyn Protocol,
    request: &Request<'_>,
    mut names: Names,
    mut stream: Box<dyn crate::protocol::EventEncoder>,
    mut whole: Box<dyn crate::protocol::AnswerEncoder>,
    framing: crate::protocol::ir::Framing,
) {
    let mut script = vec![
        Event::Start { id: "x".into() },
        Event::BlockStart(Block::Thinking),
        Event::Delta("well \"now\"\n".into()),
        Event::Signature(carrier::seal(carrier::Maker::Gemini, "cHJvb2Y=").into()),
        Event::BlockEnd,
        Event::BlockStart(Block::Text),
        Event::Delta("{\"ok\":".into()),
        Event::Delta("1}".into()),
        Event::BlockEnd,
    ];
    if let Some(tool) = request.tools.iter().find(|tool| !tool.name.is_empty()) {
        let name = tool.name.clone();
        script.push(Event::BlockStart(Block::ToolUse { id: "c".into(), name, namespace: None, freeform: false }));
        script.push(Event::Delta("{\"input\":\"a\\n".into()));
        script.push(Event::Delta("\\u00e9b\"}".into()));
        script.push(Event::BlockEnd);
    }
    script.push(Event::Finish { stop: Stop::EndTurn, usage: Usage { prompt: 9, output: 3, ..Usage::default() } });
    let mut recorder = Recorder::default();
    let mut out = Vec::new();
    for event in script {
        names.event(event, &mut |event| {
            recorder.add(&event);
            stream.encode(&event, &mut out);
            whole.add(&event);
        });
    }
    let seen = recorder.complete();
    if framing.streams() {
        answers::stream(protocol.id(), framing, &out, &seen);
    }
    let body = whole.finish().unwrap_or_else(|problem| panic!("no answer: {problem:?}"));
    answers::whole(protocol.id(), &body);
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The order that OpenAI, vLLM and the strictest chat templates want.
fn chat(value: &Value, vendor: Vendor) {
    let messages = value["messages"].as_array().unwrap_or_else(|| panic!("no messages: {value}"));
    let mut owed: Vec<&str> = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        let role = message["role"].as_str().unwrap_or_default();
        let here = || format!("message {at} of {value}");
        if role != "tool" {
            assert!(owed.is_empty(), "unanswered calls {owed:?} before {}", here());
        }
        match role {
            "system" | "developer" => {
                assert!(at == 0 || vendor == Vendor::OpenAi, "system text out of place: {}", here());
                content(&message["content"], &here);
            }
            "user" => content(&message["content"], &here),
            "assistant" => {
                let calls = message.get("tool_calls");
                if let Some(calls) = calls {
                    let calls = calls.as_array().unwrap_or_else(|| panic!("{}", here()));
                    assert!(!calls.is_empty(), "{}", here());
                    for call in calls {
                        let arguments = call["function"]["arguments"].as_str().unwrap_or_else(|| panic!("{}", here()));
                        let arguments: Result<Value, _> = serde_json::from_str(arguments);
                        assert!(arguments.is_ok_and(|a| a.is_object()), "arguments: {}", here());
                        owed.push(call["id"].as_str().unwrap_or_else(|| panic!("{}", here())));
                    }
                }
                assert!(calls.is_some() || !message["content"].is_null(), "an empty turn: {}", here());
            }
            "tool" => {
                let id = message["tool_call_id"].as_str().unwrap_or_default();
                let found = owed.iter().position(|open| *open == id);
                owed.remove(found.unwrap_or_else(|| panic!("an answer to no call: {}", here())));
                content(&message["content"], &here);
            }
            other => panic!("role {other}: {}", here()),
        }
    }
    assert!(owed.is_empty(), "unanswered calls {owed:?} at the end of {value}");
    if let Some(tools) = value.get("tools") {
        assert!(tools.as_array().is_some_and(|t| !t.is_empty()), "empty tools: {value}");
    } else {
        assert!(value.get("tool_choice").is_none() && value.get("parallel_tool_calls").is_none(), "{value}");
    }
    assert_eq!(value["stream"], true, "{value}");
}

fn content(content: &Value, here: &dyn Fn() -> String) {
    match content {
        Value::String(_) => {}
        Value::Array(parts) => {
            assert!(!parts.is_empty(), "no parts: {}", here());
            assert!(parts.iter().all(|p| p["type"].is_string() && p["text"] != ""), "{}", here());
        }
        _ => panic!("no content: {}", here()),
    }
}

/// Results first and directly behind their calls; no empty text; thinking signed.
fn messages(value: &Value) {
    assert!(value["max_tokens"].is_u64(), "{value}");
    let mut owed: Vec<&str> = Vec::new();
    for message in list(value, "messages") {
        let user = message["role"] == "user";
        assert!(user || message["role"] == "assistant", "{message}");
        let blocks = list(message, "content");
        let results = blocks.iter().take_while(|b| b["type"] == "tool_result").count();
        assert!(blocks[results..].iter().all(|b| b["type"] != "tool_result"), "results stand first: {message}");
        for result in &blocks[..results] {
            let id = result["tool_use_id"].as_str().unwrap_or_default();
            let found = owed.iter().position(|open| *open == id);
            owed.remove(found.unwrap_or_else(|| panic!("a result of no call: {value}")));
        }
        assert!(owed.is_empty(), "unanswered {owed:?}: {value}");
        for block in blocks {
            match block["type"].as_str().unwrap_or_default() {
                "text" => assert!(block["text"].as_str().is_some_and(|t| !t.is_empty()), "{block}"),
                "tool_use" => {
                    assert!(!user && block["input"].is_object(), "{block}");
                    owed.extend(block["id"].as_str());
                }
                "thinking" => assert!(block["signature"].is_string(), "{block}"),
                _ => {}
            }
        }
        assert!(message["content"].is_string() || !blocks.is_empty(), "an empty turn: {value}");
    }
    assert!(owed.is_empty(), "unanswered {owed:?} at the end: {value}");
    assert!(value.get("tools").is_some() || value.get("tool_choice").is_none(), "{value}");
}

/// Calls and outputs are paired.
fn responses(value: &Value) {
    let mut calls: Vec<&str> = Vec::new();
    for item in list(value, "input") {
        match item["type"].as_str().unwrap_or_default() {
            "function_call" | "custom_tool_call" => calls.extend(item["call_id"].as_str()),
            "function_call_output" | "custom_tool_call_output" => {
                let id = item["call_id"].as_str().unwrap_or_default();
                let found = calls.iter().position(|call| *call == id);
                calls.remove(found.unwrap_or_else(|| panic!("an output of no call: {value}")));
            }
            _ => {}
        }
    }
    assert!(calls.is_empty(), "calls without an output {calls:?}: {value}");
}

/// A turn with calls is followed by one with as many responses.
fn gemini(value: &Value) {
    // By id where there is one: a caller may use an id twice.
    fn key(call: &Value) -> &str {
        call["id"].as_str().or(call["name"].as_str()).unwrap_or_else(|| panic!("no name: {call}"))
    }
    let mut owed: Vec<&str> = Vec::new();
    for content in list(value, "contents") {
        let parts = list(content, "parts");
        assert!(!parts.is_empty(), "an empty turn: {value}");
        for part in parts {
            if let Some(response) = part.get("functionResponse") {
                let found = owed.iter().position(|open| *open == key(response));
                owed.remove(found.unwrap_or_else(|| panic!("a response to no call: {value}")));
            }
        }
        assert!(owed.is_empty(), "unanswered {owed:?}: {value}");
        for part in parts.iter().filter(|part| part.get("functionCall").is_some()) {
            owed.push(key(&part["functionCall"]));
        }
    }
    assert!(owed.is_empty(), "unanswered {owed:?} at the end: {value}");
}

//! What callers' clients demand of an answer: the streaming grammars, and whole answers that are JSON.

use serde_json::Value;

use crate::events::{Seen, failed};
use crate::protocol::Id;
use crate::protocol::ir::Framing;

/// Checks a stream, written for the events `seen`.
pub fn stream(id: Id, framing: Framing, out: &[u8], seen: &[Seen]) {
    let text = std::str::from_utf8(out).expect("a stream is UTF-8");
    let failed = failed(seen);
    match id {
        Id::Chat => chat(text, seen, failed),
        Id::Messages => messages(text, seen, failed),
        Id::Responses => responses(text, seen, failed),
        Id::Gemini if framing == Framing::Array => {
            let all: Vec<Value> = serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"));
            gemini(&all, seen, failed);
        }
        Id::Gemini => gemini(&frames(text).into_iter().map(|(_, data)| data).collect::<Vec<_>>(), seen, failed),
        Id::Ollama => {
            assert!(text.is_empty() || text.ends_with('\n'), "{text}");
            let all: Vec<Value> = text.lines().map(parse).collect();
            let done = all.iter().filter(|line| line["done"] == true).count();
            assert_eq!(done, usize::from(!failed), "{text}");
        }
    }
}

/// Checks a whole answer.
pub fn whole(id: Id, body: &[u8]) {
    let value: Value = serde_json::from_slice(body).expect("an answer is JSON");
    let list = |path: &str| assert!(value.pointer(path).is_some_and(Value::is_array), "{path}: {value}");
    match id {
        Id::Chat => {
            list("/choices");
            let choice = &value["choices"][0];
            assert!(choice["finish_reason"].is_string() && choice["message"]["role"] == "assistant", "{value}");
        }
        Id::Messages => {
            list("/content");
            assert!(value["stop_reason"].is_string() && value["usage"]["input_tokens"].is_u64(), "{value}");
        }
        Id::Responses => {
            list("/output");
            assert!(value["status"].is_string(), "{value}");
        }
        Id::Gemini => {
            list("/candidates");
            assert!(value["candidates"][0]["finishReason"].is_string(), "{value}");
        }
        Id::Ollama => assert!(value["message"].is_object() && value["done"] == true, "{value}"),
    }
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

/// Event names and data of a stream that ends with a whole frame.
fn frames(text: &str) -> Vec<(String, Value)> {
    assert!(text.is_empty() || text.ends_with("\n\n"), "the last frame is cut: {text}");
    let frame = |frame: &str| {
        let (mut name, mut data) = (String::new(), None);
        for line in frame.split('\n') {
            match line.split_once(": ") {
                Some(("event", value)) => name = value.into(),
                Some(("data", "[DONE]")) => data = Some(Value::from("[DONE]")),
                Some(("data", value)) => data = Some(parse(value)),
                _ => assert!(line.is_empty() || line.starts_with(':'), "a strange line: {line}"),
            }
        }
        data.map(|data| (name, data))
    };
    text.split("\n\n").filter(|f| !f.is_empty()).filter_map(frame).collect()
}

fn joined<'a>(values: impl Iterator<Item = &'a Value>) -> String {
    values.filter_map(Value::as_str).collect()
}

/// What was said in text blocks.
fn said(seen: &[Seen]) -> String {
    seen.windows(2)
        .filter_map(|pair| match pair {
            [Seen::Text, Seen::Delta(text)] => Some(text.as_str()),
            _ => None,
        })
        .collect()
}

fn called(seen: &[Seen]) -> Vec<&str> {
    seen.iter().filter_map(|s| if let Seen::Call { name, .. } = s { Some(name.as_str()) } else { None }).collect()
}

fn chat(text: &str, seen: &[Seen], failed: bool) {
    let mut all: Vec<Value> = frames(text).into_iter().map(|(_, data)| data).collect();
    let done = all.last().is_some_and(|last| last == "[DONE]");
    assert_eq!(done, !failed, "{text}");
    if done {
        all.pop();
    }
    let chunks: Vec<&Value> = all.iter().filter(|chunk| chunk.get("error").is_none()).collect();
    assert!(chunks.iter().all(|c| c["id"] == chunks[0]["id"] && c["object"] == "chat.completion.chunk"), "{text}");
    let finishes = chunks.iter().filter(|c| c["choices"][0]["finish_reason"].is_string()).count();
    assert_eq!(finishes, usize::from(!failed), "{text}");
    assert_eq!(joined(chunks.iter().map(|c| &c["choices"][0]["delta"]["content"])), said(seen), "{text}");
    let mut names = Vec::new();
    for call in chunks.iter().flat_map(|c| c["choices"][0]["delta"]["tool_calls"].as_array()).flatten() {
        let index = call["index"].as_u64().and_then(|n| usize::try_from(n).ok()).expect("an index");
        match call["function"]["name"].as_str().or(call["custom"]["name"].as_str()) {
            Some(name) => {
                assert!(index == names.len() && call["id"].is_string(), "{text}");
                names.push(name);
            }
            None => assert!(index < names.len(), "{text}"),
        }
    }
    // Callers of the old functions API get one call, in another place.
    let old = chunks.iter().any(|c| c["choices"][0]["delta"].get("function_call").is_some());
    assert!(old || names == called(seen), "{text}");
}

fn messages(text: &str, seen: &[Seen], failed: bool) {
    let all: Vec<(String, Value)> = frames(text).into_iter().filter(|(name, _)| name != "ping").collect();
    let (mut open, mut next, mut finished, mut said_text, mut names) = (None, 0, false, String::new(), Vec::new());
    for (at, (name, data)) in all.iter().enumerate() {
        assert_eq!(data["type"], name.as_str(), "{text}");
        assert_eq!(at == 0 && name != "error", name == "message_start", "{text}");
        match name.as_str() {
            "message_start" => assert!(data["message"]["usage"]["input_tokens"].is_u64(), "{text}"),
            "content_block_start" => {
                assert!(open.is_none() && !finished && data["index"] == next, "{text}");
                open = data["content_block"]["type"].as_str();
                names.extend(data["content_block"]["name"].as_str());
            }
            "content_block_delta" => {
                assert_eq!(data["index"], next, "{text}");
                let delta = &data["delta"];
                let fits = match delta["type"].as_str().unwrap_or_default() {
                    "text_delta" => Some("text"),
                    "input_json_delta" => Some("tool_use"),
                    "thinking_delta" | "signature_delta" => Some("thinking"),
                    other => panic!("{other}: {text}"),
                };
                assert_eq!(open, fits, "{text}");
                said_text.push_str(delta["text"].as_str().unwrap_or_default());
            }
            "content_block_stop" => {
                assert!(open.take().is_some() && data["index"] == next, "{text}");
                next += 1;
            }
            "message_delta" => {
                assert!(open.is_none() && data["delta"]["stop_reason"].is_string(), "{text}");
                finished = true;
            }
            "message_stop" => assert!(finished && !failed && at + 1 == all.len(), "{text}"),
            "error" => assert!(failed && at + 1 == all.len(), "{text}"),
            other => panic!("{other}: {text}"),
        }
    }
    let last = all.last().map(|(name, _)| name.as_str());
    assert_eq!(last, Some(if failed { "error" } else { "message_stop" }), "{text}");
    assert_eq!(said_text, said(seen), "{text}");
    assert_eq!(names, called(seen), "{text}");
}

fn responses(text: &str, seen: &[Seen], failed: bool) {
    let all = frames(text);
    let mut done: Vec<Value> = Vec::new();
    let mut open: Option<&Value> = None;
    for (at, (name, data)) in all.iter().enumerate() {
        assert_eq!(data["type"], name.as_str(), "{text}");
        assert_eq!(data["sequence_number"], at, "{text}");
        if data.get("output_index").is_some() {
            assert_eq!(data["output_index"], done.len(), "{text}");
        }
        match name.as_str() {
            "response.output_item.added" => assert!(open.replace(&data["item"]["id"]).is_none(), "{text}"),
            "response.output_item.done" => {
                assert_eq!(open.take(), Some(&data["item"]["id"]), "{text}");
                done.push(data["item"].clone());
            }
            _ => {}
        }
    }
    let (last, data) = all.last().expect("at least the end");
    let ends = ["response.completed", "response.incomplete", "response.failed"];
    assert!(ends.contains(&last.as_str()), "{text}");
    assert_eq!(last == "response.failed" && failed, failed, "{text}");
    if !failed {
        assert_eq!(data["response"]["output"], Value::from(done), "{text}");
        let said_text = joined(all.iter().filter(|(n, _)| n == "response.output_text.delta").map(|(_, d)| &d["delta"]));
        assert_eq!(said_text, said(seen), "{text}");
    }
}

fn gemini(all: &[Value], seen: &[Seen], failed: bool) {
    let answers: Vec<&Value> = all.iter().filter(|chunk| chunk.get("error").is_none()).collect();
    assert_eq!(all.len() - answers.len(), usize::from(failed), "{all:?}");
    let finishes = answers.iter().filter(|a| a["candidates"][0]["finishReason"].is_string()).count();
    assert_eq!(finishes, usize::from(!failed), "{all:?}");
    if !failed {
        assert!(answers.last().is_some_and(|a| a["candidates"][0]["finishReason"].is_string()), "{all:?}");
        let parts = || answers.iter().flat_map(|a| a["candidates"][0]["content"]["parts"].as_array()).flatten();
        let spoken = parts().filter(|p| p["thought"] != true).map(|p| &p["text"]);
        assert_eq!(joined(spoken), said(seen), "{all:?}");
        let names: Vec<_> = parts().filter_map(|p| p["functionCall"]["name"].as_str()).collect();
        // A call whose arguments are no object is not handed on, and said so.
        let last = all.last().map(|last| &last["candidates"][0]["finishReason"]);
        let whole = last.is_some_and(|reason| reason != "MALFORMED_FUNCTION_CALL" && reason != "MAX_TOKENS");
        let mut wanted = called(seen).into_iter();
        assert!(names.iter().all(|name| wanted.any(|w| w == *name)), "{all:?}");
        assert!(!whole || names.len() == called(seen).len(), "{all:?}");
    }
}

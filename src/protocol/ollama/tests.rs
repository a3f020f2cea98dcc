//! What goes to Ollama's own chat, and what comes back.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::Ollama;
use crate::protocol::anthropic::Messages;
use crate::protocol::event::{Block, Event};
use crate::protocol::ir::{Choice, Format, Part, Request, Role, Turn};
use crate::protocol::{Inbound, Outbound, Problem, ProblemKind, Target, Vendor};

fn encoded(request: &Request<'_>, model: &str, context: u64) -> Value {
    let target = Target { model, vendor: Vendor::Ollama, context };
    serde_json::from_slice(&Ollama.encode_request(request, &target)).unwrap()
}

fn from_messages(body: &Value) -> Value {
    let text = body.to_string();
    encoded(&Messages.decode_request(text.as_bytes()).unwrap(), "m", 0)
}

#[test]
fn a_tool_loop_with_pictures() {
    let out = from_messages(&json!({
        "system": "A", "max_tokens": 50, "temperature": 0.1, "top_k": 4, "stop_sequences": ["E\"N"],
        "tools": [{"name": "Read", "description": "d", "input_schema": {"type": "object"}}, {"name": "Bare"}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "look"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QQ=="}},
                {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}]},
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": ""},
                {"type": "text", "text": "so"},
                {"type": "tool_use", "id": "a", "name": "Read", "input": {"p": [1]}},
                {"type": "tool_use", "id": "b", "name": "Bare", "input": {}}]},
            {"role": "user", "content": [{"type": "text", "text": "and"},
                {"type": "tool_result", "tool_use_id": "a", "is_error": true, "content": [
                    {"type": "text", "text": "no"}, {"type": "document", "title": "d.pdf", "source":
                        {"type": "base64", "data": "JVBE"}},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "Qg=="}}]},
                {"type": "tool_result", "tool_use_id": "zz", "content": "lost"}]},
        ],
    }));
    assert_eq!(
        out["messages"],
        json!([
            {"role": "system", "content": "A"},
            {"role": "user", "content": "look\n[image at https://x/y.png]", "images": ["QQ=="]},
            {"role": "assistant", "content": "so", "thinking": "hm", "tool_calls": [
                {"id": "a", "function": {"name": "Read", "arguments": {"p": [1]}}},
                {"id": "b", "function": {"name": "Bare", "arguments": {}}}]},
            {"role": "tool", "tool_name": "Read", "tool_call_id": "a",
             "content": "[tool error] no\n[document \"d.pdf\" left out: this engine reads none]"},
            {"role": "tool", "tool_name": "Bare", "tool_call_id": "b", "content": "[no result: the call was interrupted]"},
            {"role": "user", "content": "and\n[tool result] lost", "images": ["Qg=="]},
        ])
    );
    assert_eq!(out["options"], json!({"num_predict": 50, "temperature": 0.1, "top_k": 4, "stop": ["E\"N"]}));
    assert_eq!(out["tools"][1]["function"]["parameters"], json!({"type": "object", "properties": {}}));
    assert_eq!((&out["truncate"], &out["stream"], out.get("think")), (&false.into(), &true.into(), None));
}

#[test]
fn settings_are_carried() {
    let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
    let (seed, penalty, bias) = (raw("7"), raw("1.1"), raw("{}"));
    let mut request = Request {
        sampling: vec![("seed", &seed), ("repetition_penalty", &penalty), ("logit_bias", &bias)],
        format: Format::Json,
        turns: vec![Turn { role: Role::User, parts: vec![Part::Text("x".into())] }],
        ..Request::default()
    };
    request.reasoning.effort = Some("xhigh".into());
    let out = encoded(&request, "gpt-oss:20b", 65536);
    assert_eq!(out["options"], json!({"num_ctx": 65536, "seed": 7, "repeat_penalty": 1.1}));
    assert_eq!((&out["format"], &out["think"]), (&"json".into(), &"high".into()));
    assert_eq!(encoded(&request, "qwen3", 0).get("think"), None, "models that cannot think refuse to be told so");
    request.reasoning.enabled = Some(false);
    assert_eq!(encoded(&request, "qwen3", 0)["think"], false);
    let tools = json!({"messages": [], "tools": [{"name": "a"}, {"name": "b"}],
        "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}});
    assert_eq!(from_messages(&tools)["format"], json!({"type": "object"}));
    let text = tools.to_string();
    let mut request = Messages.decode_request(text.as_bytes()).unwrap();
    request.choice = Choice::Named("b".into());
    assert_eq!(encoded(&request, "m", 0)["tools"].as_array().unwrap().len(), 1);
    request.choice = Choice::None;
    assert_eq!(encoded(&request, "m", 0).get("tools"), None);
}

/// The events as short words; deltas of one block are joined.
fn events(parts: &[&[u8]], cut: Option<Problem>) -> Vec<String> {
    let mut decoder = Ollama.event_decoder();
    let mut found = Words::default();
    parts.iter().for_each(|part| decoder.push(part, &mut |event| found.add(event)));
    decoder.end(cut, &mut |event| found.add(event));
    found.end()
}

#[derive(Default)]
struct Words {
    list: Vec<String>,
    open: bool,
    over: bool,
}

impl Words {
    fn add(&mut self, event: Event<'_>) {
        assert!(!self.over, "something after the end");
        match event {
            Event::Start { .. } => self.list.push("start".to_owned()),
            Event::BlockStart(block) => {
                assert!(!std::mem::replace(&mut self.open, true), "blocks overlap");
                self.list.push(match block {
                    Block::Text => "text ".to_owned(),
                    Block::Thinking => "think ".to_owned(),
                    Block::ToolUse { id, name, .. } => {
                        format!("tool {} {name} ", if id.starts_with("call_") { "made" } else { &id })
                    }
                });
            }
            Event::Delta(text) => self.list.last_mut().unwrap().push_str(&text),
            Event::Signature(_) => {}
            Event::BlockEnd => assert!(std::mem::replace(&mut self.open, false), "no block to end"),
            Event::Finish { stop, usage } => {
                self.over = true;
                self.list.push(format!("{stop:?} {}/{}", usage.prompt, usage.output));
            }
            Event::Error(problem) => {
                self.over = true;
                self.list.push(format!("error {} {}", problem.status(), problem.message));
            }
        }
    }

    fn end(self) -> Vec<String> {
        assert!(self.over && !self.open);
        self.list
    }
}

fn decoded(lines: &[Value]) -> Vec<String> {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let whole = events(&[text.as_bytes()], None);
    for at in 0..text.len() {
        let (a, b) = text.as_bytes().split_at(at);
        assert_eq!(events(&[a, b], None), whole, "split at {at}");
    }
    whole
}

fn says(message: Value) -> Value {
    json!({"model": "m", "message": message, "done": false})
}

fn done(reason: &str) -> Value {
    json!({"message": {"role": "assistant", "content": ""}, "done": true, "done_reason": reason,
        "prompt_eval_count": 9, "eval_count": 3})
}

#[test]
fn thinking_text_and_calls() {
    let lines = [
        says(json!({"role": "assistant", "content": "", "thinking": "h"})),
        says(json!({"content": "", "thinking": "m"})),
        says(json!({"content": "é"})),
        says(json!({"content": "", "tool_calls": [
            {"function": {"name": "f", "arguments": {"x": 1}}},
            {"id": "i", "function": {"index": 1, "name": "g", "arguments": "{\"y\":2}"}}]})),
        says(json!({"content": "more"})),
        done("stop"),
    ];
    let expected =
        ["start", "think hm", "text é", "tool made f {\"x\":1}", "tool i g {\"y\":2}", "text more", "ToolUse 9/3"];
    assert_eq!(decoded(&lines), expected);
}

#[test]
fn ends() {
    for (reason, expected) in [("stop", "EndTurn 9/3"), ("length", "MaxTokens 9/3"), ("load", "EndTurn 9/3")] {
        assert_eq!(decoded(&[done(reason)]), ["start", expected]);
    }
    let text = says(json!({"content": "a"}));
    let ended = "error 502 the engine's answer ended before it was complete";
    assert_eq!(decoded(std::slice::from_ref(&text)), ["start", "text a", ended]);
    assert_eq!(decoded(&[]), [ended]);
    assert_eq!(
        decoded(&[text.clone(), json!({"error": "out of memory"})]),
        ["start", "text a", "error 500 out of memory"]
    );
    let inner = json!({"error": {"code": 400, "message": "request (50 tokens) exceeds the available context size (40 tokens)",
        "type": "exceed_context_size_error", "n_prompt_tokens": 50, "n_ctx": 40}});
    assert!(decoded(&[json!({"error": inner.to_string()})])[0].starts_with("error 400 request (50"));
    let cut = Some(Problem::new(ProblemKind::Upstream, "cut"));
    let line = format!("{text}\n{{\"mess");
    assert_eq!(events(&[line.as_bytes()], cut), ["start", "text a", "error 502 cut"]);
}

#[test]
fn an_answer_in_one_line_and_what_is_none() {
    let body = r#"{"message": {"content": "a", "tool_calls": [{"function": {"name": "f"}}]}, "done": true}"#;
    assert_eq!(events(&[body.as_bytes()], None), ["start", "text a", "tool made f ", "ToolUse 0/0"]);
    assert!(events(&[b"<html>"], None)[0].starts_with("error 502"));
}

#[test]
fn the_recorded_stream_is_read_however_it_is_split() {
    let file =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/samples/engine_api/ollama_native_api.txt");
    let Ok(text) = std::fs::read_to_string(file) else {
        println!("no recordings here: skipped");
        return;
    };
    let lines: Vec<Value> = text
        .lines()
        .filter(|line| line.contains("\"message\":{\"role\""))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let found = decoded(&lines);
    assert_eq!((found.len(), found[2].as_str()), (3, "EndTurn 19/16"));
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_survived(bytes: Vec<u8>) {
        let _ = events(&[&bytes], None);
    }
}

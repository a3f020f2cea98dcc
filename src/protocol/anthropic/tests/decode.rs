//! Messages answers of a backend become bracketed events, however they are cut.

use serde_json::{Value, json};

use crate::protocol::anthropic::Messages;
use crate::protocol::event::{Block, Event};
use crate::protocol::ir::Request;
use crate::protocol::{Inbound, Outbound, Problem, ProblemKind};

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
            Event::Start { id } => self.list.push(format!("start {id}")),
            Event::BlockStart(block) => {
                assert!(!std::mem::replace(&mut self.open, true), "blocks overlap");
                self.list.push(match block {
                    Block::Text => "text ".to_owned(),
                    Block::Thinking => "think ".to_owned(),
                    Block::ToolUse { id, name, .. } => {
                        format!("tool {} {name} ", if id.len() > 20 { "made" } else { &id })
                    }
                });
            }
            Event::Delta(text) => {
                assert!(self.open);
                self.list.last_mut().unwrap().push_str(&text);
            }
            Event::Signature(sealed) => self.list.last_mut().unwrap().push_str(&format!(" <{sealed}>")),
            Event::BlockEnd => assert!(std::mem::replace(&mut self.open, false), "no block to end"),
            Event::Finish { stop, usage: u } => {
                self.over = true;
                let usage = [u.prompt, u.cached, u.cache_write, u.output, u.reasoning];
                self.list.push(format!("{stop:?} {usage:?}"));
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

fn events(parts: &[&[u8]], cut: Option<Problem>) -> Vec<String> {
    let mut decoder = Messages.event_decoder();
    let mut found = Words::default();
    parts.iter().for_each(|part| decoder.push(part, &mut |event| found.add(event)));
    decoder.end(cut, &mut |event| found.add(event));
    found.end()
}

fn stream(frames: &[Value]) -> String {
    frames.iter().map(|frame| format!("event: {}\ndata: {frame}\n\n", frame["type"].as_str().unwrap_or("x"))).collect()
}

fn decoded(frames: &[Value]) -> Vec<String> {
    let text = stream(frames);
    let whole = events(&[text.as_bytes()], None);
    for at in 0..text.len() {
        let (a, b) = text.as_bytes().split_at(at);
        assert_eq!(events(&[a, b], None), whole, "split at {at}");
    }
    whole
}

fn start() -> Value {
    json!({"type": "message_start", "message": {"id": "msg_0123456789abcdef", "type": "message", "role": "assistant", "content": [],
        "usage": {"input_tokens": 5, "cache_read_input_tokens": 20, "cache_creation_input_tokens": 3, "output_tokens": 1}}})
}

fn block(index: u64, block: Value, deltas: &[Value]) -> Vec<Value> {
    let mut frames = vec![json!({"type": "content_block_start", "index": index, "content_block": block})];
    frames.extend(deltas.iter().map(|d| json!({"type": "content_block_delta", "index": index, "delta": d})));
    frames.push(json!({"type": "content_block_stop", "index": index}));
    frames
}

fn end(reason: &str) -> Vec<Value> {
    let usage = json!({"output_tokens": 9, "output_tokens_details": {"thinking_tokens": 4}});
    vec![
        json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": null}, "usage": usage}),
        json!({"type": "message_stop"}),
    ]
}

#[test]
fn every_kind_of_block() {
    let mut frames = vec![start(), json!({"type": "ping"})];
    frames.extend(block(
        0,
        json!({"type": "thinking", "thinking": "", "signature": ""}),
        &[
            json!({"type": "thinking_delta", "thinking": "h"}),
            json!({"type": "thinking_delta", "thinking": "é"}),
            json!({"type": "signature_delta", "signature": "si"}),
            json!({"type": "signature_delta", "signature": "g"}),
        ],
    ));
    frames.extend(block(1, json!({"type": "redacted_thinking", "data": "dd"}), &[]));
    frames.extend(block(
        2,
        json!({"type": "thinking", "thinking": ""}),
        &[json!({"type": "signature_delta", "signature": "only"})],
    ));
    let search = json!({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}});
    frames.extend(block(3, search, &[json!({"type": "input_json_delta", "partial_json": "{}"})]));
    frames.extend(block(4, json!({"type": "web_search_tool_result", "content": []}), &[]));
    frames.extend(block(
        5,
        json!({"type": "text", "text": ""}),
        &[json!({"type": "citations_delta", "citation": {}}), json!({"type": "text_delta", "text": "t"})],
    ));
    frames.extend(block(
        6,
        json!({"type": "tool_use", "id": "a", "name": "f", "input": {}}),
        &[
            json!({"type": "input_json_delta", "partial_json": ""}),
            json!({"type": "input_json_delta", "partial_json": "{\"x\":"}),
            json!({"type": "input_json_delta", "partial_json": "1}"}),
        ],
    ));
    frames.extend(block(7, json!({"type": "tool_use", "name": "g", "input": {"y": 2}}), &[]));
    frames.extend(block(8, json!({"type": "tool_use", "id": "c", "name": "h", "input": {}}), &[]));
    frames.extend(end("tool_use"));
    let expected = [
        "start msg_0123456789abcdef",
        "think hé <am1_sig>",
        "think  <ar1_dd>",
        "think  <am1_only>",
        "text t",
        "tool a f {\"x\":1}",
        "tool made g {\"y\":2}",
        "tool c h ",
        "ToolUse [28, 20, 3, 9, 4]",
    ];
    assert_eq!(decoded(&frames), expected);
}

#[test]
fn ends() {
    for (reason, expected) in [
        ("end_turn", "EndTurn"),
        ("max_tokens", "MaxTokens"),
        ("refusal", "Refusal"),
        ("model_context_window_exceeded", "ContextFull"),
        ("pause_turn", "EndTurn"),
    ] {
        let frames = [vec![start()], end(reason)].concat();
        assert_eq!(decoded(&frames)[1], format!("{expected} [28, 20, 3, 9, 4]"));
    }
    let delta = json!({"type": "message_delta", "delta": {"stop_reason": "stop_sequence", "stop_sequence": "EN"}});
    assert!(decoded(&[start(), delta, json!({"type": "message_stop"})])[1].starts_with("Sequence(\"EN\")"));
}

#[test]
fn trouble_is_an_error() {
    let text = block(0, json!({"type": "text", "text": ""}), &[json!({"type": "text_delta", "text": "a"})]);
    let begun = [vec![start()], text[..2].to_vec()].concat();
    let ended = "error 502 the engine's answer ended before it was complete";
    assert_eq!(decoded(&begun), ["start msg_0123456789abcdef", "text a", ended]);
    assert_eq!(decoded(&[begun.clone(), end("end_turn")[..1].to_vec()].concat())[2], ended);
    assert_eq!(decoded(&[]), [ended]);
    let full = json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
    assert_eq!(
        decoded(&[begun.clone(), vec![full, json!({"type": "message_stop"})]].concat())[2],
        "error 503 Overloaded"
    );
    let long = json!({"type": "error", "error": {"type": "invalid_request_error",
        "message": "prompt is too long: 30 tokens > 20 maximum"}});
    assert!(decoded(&[long])[0].starts_with("error 400 prompt is too long"));
    let cut = Some(Problem::new(ProblemKind::Upstream, "cut"));
    assert_eq!(events(&[stream(&begun).as_bytes(), b"data: {\"ty"], cut)[2], "error 502 cut");
    assert!(events(&[b"data: <html>\n\n"], None)[0].starts_with("error 502 the engine's answer does not parse"));
}

#[test]
fn blocks_that_overlap_or_were_never_begun_are_set_right() {
    let frames = [
        vec![
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "---"}}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "a"}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "b"}}),
            json!({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "c"}}),
        ],
        end("end_turn"),
    ]
    .concat();
    assert_eq!(decoded(&frames)[..5], ["start ", "text ---", "think a", "text b", "text c"]);
}

#[test]
fn what_we_write_we_can_read() {
    let request = Request { model: "m".into(), ..Request::default() };
    let frames = [
        vec![start()],
        block(0, json!({"type": "thinking"}), &[json!({"type": "thinking_delta", "thinking": "h"})]),
        block(
            1,
            json!({"type": "tool_use", "id": "a", "name": "f"}),
            &[json!({"type": "input_json_delta", "partial_json": "{}"})],
        ),
        end("tool_use"),
    ]
    .concat();
    let first = decoded(&frames);
    let (mut encoder, mut decoder, mut out) = (Messages.stream_encoder(&request), Messages.event_decoder(), Vec::new());
    decoder.push(stream(&frames).as_bytes(), &mut |event| encoder.encode(&event, &mut out));
    decoder.end(None, &mut |event| encoder.encode(&event, &mut out));
    assert_eq!(events(&[&out], None), first);
}

#[test]
fn recorded_streams_of_engines_are_read_however_they_are_split() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/samples/engine_api");
    let Ok(files) = std::fs::read_dir(&folder) else {
        println!("no recordings here: skipped");
        return;
    };
    let mut streams = 0;
    for file in files.flatten() {
        let text = std::fs::read_to_string(file.path()).unwrap_or_default();
        for section in
            text.split("\n=== ").filter(|s| s.contains("event: message_start") && s.contains("event: message_stop"))
        {
            let stream: String = section
                .lines()
                .map(|line| line.trim().trim_end_matches("\\n"))
                .filter(|line| line.starts_with("data: {"))
                .map(|line| format!("{line}\n\n"))
                .collect();
            if stream.contains("...") || stream.contains('…') || !stream.contains("message_stop") {
                continue;
            }
            let whole = events(&[stream.as_bytes()], None);
            assert!(!whole.last().unwrap().starts_with("error"), "{whole:?}");
            for at in 0..stream.len() {
                let (a, b) = stream.as_bytes().split_at(at);
                assert_eq!(events(&[a, b], None), whole, "split at {at}");
            }
            streams += 1;
        }
    }
    println!("{streams} recorded streams");
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_survived(bytes: Vec<u8>) {
        let _ = events(&[&bytes], None);
    }

    #[test]
    fn any_order_of_frames_is_bracketed(picks in proptest::collection::vec(0usize..9, 0..14)) {
        let kinds = [
            start(),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
            json!({"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "i", "name": "f"}}),
            json!({"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "{"}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "t"}}),
            json!({"type": "content_block_delta", "index": 2, "delta": {"type": "thinking_delta", "thinking": "t"}}),
            json!({"type": "content_block_stop", "index": 1}),
            json!({"type": "content_block_start", "index": 2, "content_block": {"type": "redacted_thinking", "data": "d"}}),
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}),
        ];
        let frames: Vec<Value> = picks.iter().map(|at| kinds[*at].clone()).chain(end("end_turn")).collect();
        let _ = events(&[stream(&frames).as_bytes()], None);
    }
}

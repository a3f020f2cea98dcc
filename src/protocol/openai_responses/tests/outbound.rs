use serde_json::{Value, json};

use crate::protocol::event::{Event, Filter};
use crate::protocol::ir::Request;
use crate::protocol::names::Names;
use crate::protocol::openai_responses::Responses;
use crate::protocol::{Inbound, Outbound, Target, Vendor, anthropic};

fn sent(request: &mut Request<'_>, model: &str, vendor: Vendor) -> Value {
    Names::apply(request, Responses.names());
    let body = Responses.encode_request(request, &Target { model, context: 0, vendor });
    serde_json::from_slice(&body).unwrap()
}

fn from_responses(body: &Value, model: &str, vendor: Vendor) -> Value {
    let body = body.to_string();
    sent(&mut Responses.decode_request(body.as_bytes()).unwrap(), model, vendor)
}

#[test]
fn a_messages_request_becomes_a_responses_request() {
    let body = json!({"model": "c", "max_tokens": 5, "system": "be kind", "temperature": 0.1,
    "output_config": {"effort": "max"}, "stop_sequences": ["x"],
    "tools": [{"name": "read", "input_schema": {"type": "object"}}, {"name": "x".repeat(80), "input_schema": {"type": "object"}}],
    "tool_choice": {"type": "tool", "name": "read", "disable_parallel_tool_use": true},
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "look"}, {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QQ=="}}]},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "foreign", "signature": "am1_x"},
            {"type": "thinking", "thinking": "hm", "signature": "rs1_ENC"},
            {"type": "text", "text": "ok"}, {"type": "tool_use", "id": "a", "name": "read", "input": {"p": 1}},
            {"type": "tool_use", "id": "lost", "name": "read", "input": {}}]},
        {"role": "user", "content": [{"type": "text", "text": "and"}, {"type": "tool_result", "tool_use_id": "a", "is_error": true, "content": "no"}]},
    ]});
    let text = body.to_string();
    let mut request = anthropic::Messages.decode_request(text.as_bytes()).unwrap();
    let sent = sent(&mut request, "gpt-5.5", Vendor::OpenAi);
    assert_eq!(
        (&sent["model"], &sent["instructions"], &sent["stream"], &sent["store"]),
        (&"gpt-5.5".into(), &"be kind".into(), &true.into(), &false.into())
    );
    assert_eq!(
        sent["input"],
        json!([
            {"type": "message", "role": "user", "content": [
                {"type": "input_text", "text": "look"},
                {"type": "input_image", "image_url": "data:image/png;base64,QQ==", "detail": "auto"}]},
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "ENC"},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "ok"}]},
            {"type": "function_call", "call_id": "a", "name": "read", "arguments": "{\"p\":1}"},
            {"type": "function_call", "call_id": "lost", "name": "read", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "a", "output": "[tool error] no"},
            {"type": "function_call_output", "call_id": "lost", "output": "[no result: the call was interrupted]"},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "and"}]},
        ])
    );
    assert_eq!(
        sent["tools"][0],
        json!({"type": "function", "name": "read", "parameters": {"type": "object"}, "strict": false})
    );
    assert_eq!(sent["tools"][1]["name"].as_str().unwrap().len(), 64);
    assert_eq!(
        (&sent["tool_choice"], &sent["parallel_tool_calls"]),
        (&json!({"type": "function", "name": "read"}), &false.into())
    );
    assert_eq!(
        (&sent["reasoning"], &sent["include"]),
        (&json!({"effort": "xhigh"}), &json!(["reasoning.encrypted_content"]))
    );
    assert_eq!((&sent["max_output_tokens"], sent.get("temperature"), sent.get("stop")), (&16.into(), None, None));
}

#[test]
fn what_a_model_does_not_know_is_not_asked_of_it() {
    let body = json!({"model": "m", "input": "x", "temperature": 0.1, "top_k": 4, "reasoning": {"effort": "low", "summary": "auto"},
                      "prompt_cache_key": "k", "text": {"verbosity": "low", "format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}},
                      "metadata": {"a": "b"}});
    let old = from_responses(&body, "gpt-4.1", Vendor::OpenAi);
    assert!(old.get("reasoning").is_none() && old.get("include").is_none() && old.get("top_k").is_none());
    assert_eq!(
        (&old["temperature"], &old["prompt_cache_key"], &old["metadata"]),
        (&json!(0.1), &"k".into(), &json!({"a": "b"}))
    );
    let other = from_responses(&body, "qwen", Vendor::Vllm);
    assert_eq!((&other["top_k"], &other["reasoning"]), (&4.into(), &json!({"effort": "low", "summary": "auto"})));
    assert_eq!(
        other["text"],
        json!({"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}, "verbosity": "low"})
    );
}

#[test]
fn freeform_tools_go_as_they_are_and_groups_as_functions() {
    let body = json!({"model": "m", "tool_choice": {"type": "custom", "name": "apply_patch"},
        "tools": [{"type": "custom", "name": "apply_patch", "format": {"type": "text"}},
                  {"type": "namespace", "name": "g", "tools": [{"type": "function", "name": "t"}]}],
        "input": [{"type": "custom_tool_call", "call_id": "c", "name": "apply_patch", "input": "p"},
                  {"type": "custom_tool_call_output", "call_id": "c", "output": "ok"},
                  {"type": "function_call", "call_id": "d", "name": "t", "namespace": "g", "arguments": "{}"}]});
    let sent = from_responses(&body, "m", Vendor::OpenAi);
    assert_eq!(sent["tools"][0], json!({"type": "custom", "name": "apply_patch", "format": {"type": "text"}}));
    assert_eq!(sent["tools"][1]["name"], "g__t");
    assert_eq!(sent["tool_choice"], body["tool_choice"]);
    assert_eq!(sent["input"][0], body["input"][0]);
    assert_eq!(sent["input"][1], body["input"][1]);
    assert_eq!(
        (&sent["input"][2]["name"], &sent["input"][3]["type"]),
        (&"g__t".into(), &"function_call_output".into())
    );
}

/// Events in short, so that whole answers can be compared.
fn short(event: &Event<'_>) -> String {
    match event {
        Event::Delta(text) => format!("+{text}"),
        Event::Finish { stop, usage } => {
            format!("{stop:?} {}/{}/{}/{}", usage.prompt, usage.cached, usage.output, usage.reasoning)
        }
        Event::Error(problem) => format!("{:?}: {}", problem.kind, problem.message),
        Event::Start { .. } => "start".to_owned(),
        other => format!("{other:?}"),
    }
}

/// Deltas of a block joined: how the text was cut does not matter.
fn decode(parts: &[&[u8]]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut sink = |event: Event<'_>| {
        let text = short(&event);
        match (text.strip_prefix('+'), found.last_mut()) {
            (Some(more), Some(last)) if last.starts_with('+') => last.push_str(more),
            _ => found.push(text),
        }
    };
    let mut decoder = Responses.event_decoder();
    parts.iter().for_each(|part| decoder.push(part, &mut sink));
    decoder.end(None, &mut sink);
    bracketed(&found);
    found
}

/// One start first, blocks one after the other, one end last.
fn bracketed(events: &[String]) {
    let mut open = false;
    for (at, event) in events.iter().enumerate() {
        match event {
            e if e.starts_with("BlockStart") => assert!(!std::mem::replace(&mut open, true), "{events:?}"),
            e if e == "BlockEnd" => assert!(std::mem::replace(&mut open, false), "{events:?}"),
            e if e.starts_with('+') || e.starts_with("Signature") => assert!(open, "{events:?}"),
            e if e == "start" => assert_eq!(at, 0, "{events:?}"),
            _ => assert!(!open && at + 1 == events.len(), "{events:?}"),
        }
    }
}

fn frames(events: &[Value]) -> String {
    events.iter().map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap())).collect()
}

fn usage() -> Value {
    json!({"input_tokens": 10, "input_tokens_details": {"cached_tokens": 4}, "output_tokens": 6,
           "output_tokens_details": {"reasoning_tokens": 2}, "total_tokens": 16})
}

/// Streams as backends send them, and what they say.
fn fixtures() -> Vec<(&'static str, String, Vec<&'static str>)> {
    let created =
        json!({"type": "response.created", "response": {"id": "resp_1", "status": "in_progress", "output": []}});
    let completed = json!({"type": "response.completed", "response": {"id": "resp_1", "status": "completed", "output": [], "usage": usage()}});
    let call = r#"BlockStart(ToolUse { id: "c1", name: "f", namespace: None, freeform: false })"#;
    let patch = r#"BlockStart(ToolUse { id: "c2", name: "p", namespace: None, freeform: true })"#;
    vec![
        (
            "everything",
            frames(&[
                created.clone(),
                json!({"type": "response.output_item.added", "output_index": 0, "item": {"type": "reasoning", "id": "rs", "summary": []}}),
                json!({"type": "response.reasoning_summary_part.added", "output_index": 0, "summary_index": 0}),
                json!({"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 0, "delta": "on\u{e9}"}),
                json!({"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 1, "delta": "two"}),
                json!({"type": "response.output_item.done", "output_index": 0, "item": {"type": "reasoning", "id": "rs", "encrypted_content": "ENC",
                   "summary": [{"type": "summary_text", "text": "on\u{e9}"}]}}),
                json!({"type": "response.output_item.added", "output_index": 1, "item": {"type": "message", "id": "m", "content": []}}),
                json!({"type": "response.output_text.delta", "output_index": 1, "delta": "Hi"}),
                json!({"type": "response.output_text.delta", "output_index": 1, "delta": " you"}),
                json!({"type": "response.output_item.done", "output_index": 1, "item": {"type": "message", "id": "m", "content": [{"type": "output_text", "text": "Hi you"}]}}),
                json!({"type": "response.output_item.added", "output_index": 2, "item": {"type": "web_search_call", "id": "ws"}}),
                json!({"type": "response.output_item.added", "output_index": 3, "item": {"type": "function_call", "id": "fc", "call_id": "c1", "name": "f", "arguments": ""}}),
                json!({"type": "response.function_call_arguments.delta", "output_index": 3, "delta": "{\"a\""}),
                json!({"type": "response.function_call_arguments.delta", "output_index": 3, "delta": ":1}"}),
                json!({"type": "response.output_item.done", "output_index": 3, "item": {"type": "function_call", "id": "fc", "call_id": "c1", "name": "f", "arguments": "{\"a\":1}"}}),
                json!({"type": "response.output_item.added", "output_index": 4, "item": {"type": "custom_tool_call", "id": "ct", "call_id": "c2", "name": "p", "input": ""}}),
                json!({"type": "response.custom_tool_call_input.delta", "output_index": 4, "delta": "raw"}),
                json!({"type": "response.output_item.done", "output_index": 4, "item": {"type": "custom_tool_call", "id": "ct", "call_id": "c2", "name": "p", "input": "raw"}}),
                completed.clone(),
            ]),
            vec![
                "start",
                "BlockStart(Thinking)",
                "+on\u{e9}\n\ntwo",
                "Signature(\"rs1_ENC\")",
                "BlockEnd",
                "BlockStart(Text)",
                "+Hi you",
                "BlockEnd",
                call,
                "+{\"a\":1}",
                "BlockEnd",
                patch,
                "+raw",
                "BlockEnd",
                "ToolUse 10/4/6/2",
            ],
        ),
        (
            "items that overlap",
            frames(&[
                created.clone(),
                json!({"type": "response.output_item.added", "output_index": 0, "item": {"type": "function_call", "call_id": "c1", "name": "f"}}),
                json!({"type": "response.output_item.added", "output_index": 1, "item": {"type": "message"}}),
                json!({"type": "response.output_text.delta", "output_index": 1, "delta": "wait"}),
                json!({"type": "response.function_call_arguments.delta", "output_index": 0, "delta": "{}"}),
                json!({"type": "response.output_item.done", "output_index": 1, "item": {"type": "message"}}),
                json!({"type": "response.output_item.done", "output_index": 0, "item": {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}}),
                completed.clone(),
            ]),
            vec!["start", call, "+{}", "BlockEnd", "BlockStart(Text)", "+wait", "BlockEnd", "ToolUse 10/4/6/2"],
        ),
        (
            "no places and no deltas",
            frames(&[
                json!({"type": "response.output_item.done", "item": {"type": "reasoning", "id": "rs", "content": [{"type": "reasoning_text", "text": "hm"}]}}),
                json!({"type": "response.output_item.done", "item": {"type": "message", "id": "m", "content": [{"type": "output_text", "text": "Hi"}]}}),
                json!({"type": "response.output_item.done", "item": {"type": "function_call", "id": "fc", "call_id": "c1", "name": "f", "arguments": "{}"}}),
                completed.clone(),
            ]),
            vec![
                "start",
                "BlockStart(Thinking)",
                "+hm",
                "BlockEnd",
                "BlockStart(Text)",
                "+Hi",
                "BlockEnd",
                call,
                "+{}",
                "BlockEnd",
                "ToolUse 10/4/6/2",
            ],
        ),
        (
            "the same thought twice",
            frames(&[
                json!({"type": "response.reasoning_text.delta", "output_index": 0, "delta": "raw"}),
                json!({"type": "response.reasoning_summary_text.delta", "output_index": 0, "delta": "short"}),
                json!({"type": "response.incomplete", "response": {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}, "usage": null}}),
            ]),
            vec!["start", "BlockStart(Thinking)", "+raw", "BlockEnd", "MaxTokens 0/0/0/0"],
        ),
        (
            "only the end",
            frames(&[json!({"type": "response.completed", "response": {"id": "r", "output": [
                {"type": "message", "id": "m", "content": [{"type": "output_text", "text": "Hi"}, {"type": "refusal", "refusal": "!"}]}], "usage": usage()}})]),
            vec!["start", "BlockStart(Text)", "+Hi!", "BlockEnd", "EndTurn 10/4/6/2"],
        ),
        (
            "the end repeats what was said",
            frames(&[
                json!({"type": "response.output_text.delta", "item_id": "m", "delta": "Hi"}),
                json!({"type": "response.completed", "response": {"id": "r", "output": [
                {"type": "message", "id": "m", "content": [{"type": "output_text", "text": "Hi"}]}], "usage": usage()}}),
            ]),
            vec!["start", "BlockStart(Text)", "+Hi", "BlockEnd", "EndTurn 10/4/6/2"],
        ),
        (
            "a failure",
            frames(&[
                created.clone(),
                json!({"type": "response.output_text.delta", "output_index": 0, "delta": "Hi"}),
                json!({"type": "response.failed", "response": {"status": "failed", "error": {"code": "rate_limit_exceeded", "message": "slow down"}}}),
            ]),
            vec!["start", "BlockStart(Text)", "+Hi", "BlockEnd", "RateLimited: slow down"],
        ),
        (
            "a bare error",
            frames(&[
                created.clone(),
                json!({"type": "error", "code": "server_error", "message": "it broke", "param": null}),
            ]),
            vec!["start", "Internal: it broke"],
        ),
        (
            "a filtered answer",
            frames(&[
                created.clone(),
                json!({"type": "response.refusal.delta", "output_index": 0, "delta": "no"}),
                json!({"type": "response.incomplete", "response": {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}}),
            ]),
            vec!["start", "BlockStart(Text)", "+no", "BlockEnd", "Refusal 0/0/0/0"],
        ),
        (
            "a cut",
            frames(&[created, json!({"type": "response.output_text.delta", "output_index": 0, "delta": "Hi"})]),
            vec![
                "start",
                "BlockStart(Text)",
                "+Hi",
                "BlockEnd",
                "Upstream: the backend's answer ended before it was complete",
            ],
        ),
    ]
}

#[test]
fn every_stream_says_what_it_says_split_at_every_byte() {
    for (name, stream, expected) in fixtures() {
        let stream = stream.as_bytes();
        assert_eq!(decode(&[stream]), expected, "{name}");
        for at in 0..stream.len() {
            assert_eq!(decode(&[&stream[..at], &stream[at..]]), expected, "{name} split at {at}");
        }
        let single: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(decode(&single), expected, "{name} byte by byte");
    }
}

/// What our own encoder writes our own decoder reads.
#[test]
fn in_and_out_agree() {
    let body = json!({"model": "m", "input": "x", "store": false, "stream": true,
        "tools": [{"type": "custom", "name": "p"}, {"type": "namespace", "name": "g", "tools": [{"type": "function", "name": "t"}]}]}).to_string();
    let (_, stream, expected) = fixtures().remove(0);
    let mut request = Responses.decode_request(body.as_bytes()).unwrap();
    let mut encoder = Responses.stream_encoder(&request);
    let mut names = Names::apply(&mut request, Responses.names());
    let mut out = Vec::new();
    let mut decoder = Responses.event_decoder();
    decoder.push(stream.as_bytes(), &mut |event| names.event(event, &mut |event| encoder.encode(&event, &mut out)));
    super::events(&out);
    let again = decode(&[&out]);
    let without_proof: Vec<&str> = expected.iter().copied().filter(|e| !e.starts_with("Signature")).collect();
    let again: Vec<&str> = again.iter().map(String::as_str).filter(|e| !e.starts_with("Signature")).collect();
    assert_eq!(again, without_proof);
}

#[test]
fn an_item_that_changes_its_kind_under_way_stays_what_it_was_opened_as() {
    let frames = [
        r#"{"type":"response.output_text.delta","output_index":2,"item_id":"f1","delta":"words"}"#,
        r#"{"type":"response.output_item.added","output_index":3,"item":{"type":"custom_tool_call","id":"t1","call_id":"b","name":"apply_patch","input":""}}"#,
        r#"{"type":"response.output_item.done","output_index":2,"item":{"type":"function_call","id":"f1","call_id":"a","arguments":"{}"}}"#,
        r#"{"type":"response.failed","response":{"status":"failed"}}"#,
    ];
    let stream: String = frames.iter().map(|frame| format!("data: {frame}\n\n")).collect();
    decode(&[stream.as_bytes()]);
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_survived(parts: Vec<Vec<u8>>) {
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        decode(&parts);
    }

    #[test]
    fn any_order_of_events_keeps_the_brackets(order in proptest::collection::vec(0usize..19, 0..40)) {
        let (_, stream, _) = fixtures().remove(0);
        let frames: Vec<&str> = stream.split_inclusive("\n\n").collect();
        let mixed: String = order.iter().filter_map(|at| frames.get(*at)).copied().collect();
        decode(&[mixed.as_bytes()]);
    }
}

//! Callers' chat requests become the IR, and events become their answers.

use serde_json::{Value, json};

use super::super::Chat;
use crate::protocol::event::{Block, Event, Stop, Usage};
use crate::protocol::ir::{Choice, Format, Framing, MediaKind, Part, Request, Role, Source};
use crate::protocol::{Inbound, Outbound, Problem, ProblemKind, Target, Vendor};

fn decoded(body: &str) -> Request<'_> {
    Chat.decode_request(body.as_bytes()).unwrap_or_else(|problem| panic!("{}: {body}", problem.message))
}

#[test]
fn a_conversation_is_read() {
    let body = r#"{"model":"gpt","stream":true,"stream_options":{"include_usage":true},"messages":[
        {"role":"system","content":"s1"},{"role":"developer","content":[{"type":"text","text":"s2"}]},
        {"role":"user","content":[{"type":"text","text":"a\n"},{"type":"text","text":""},
            {"type":"image_url","image_url":{"url":"data:image/png;base64,QUJD","detail":"low"}},
            {"type":"image_url","image_url":"https://h/i.png"},
            {"type":"input_audio","input_audio":{"data":"QQ==","format":"mp3"}},
            {"type":"file","file":{"filename":"d.pdf","file_data":"data:application/pdf;base64,QQ=="}},
            {"type":"hologram","hologram":1}]},
        {"role":"assistant","content":null,"reasoning_content":"hm","tool_calls":[
            {"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}},
            {"id":"c2","type":"custom","custom":{"name":"patch","input":"*** go"}}]},
        {"role":"tool","tool_call_id":"c1","content":[{"type":"text","text":"r1"}]},
        {"role":"tool","tool_call_id":"c2","content":"r2"},
        {"role":"system","content":"late"},
        {"role":"assistant","content":"bye","refusal":null}]}"#;
    let request = decoded(body);
    assert_eq!((request.model.as_ref(), request.framing, request.wants_usage), ("gpt", Framing::Events, true));
    assert_eq!(request.system, ["s1", "s2"]);
    assert_eq!(request.dropped, ["part hologram"]);
    let roles: Vec<Role> = request.turns.iter().map(|turn| turn.role).collect();
    assert_eq!(roles, [Role::User, Role::Assistant, Role::User, Role::Assistant]);
    let parts = &request.turns[0].parts;
    assert!(matches!(&parts[0], Part::Text(text) if text == "a\n"));
    assert!(matches!(&parts[1], Part::Media(m) if m.detail.as_deref() == Some("low")
        && matches!(&m.source, Source::Base64 { data, .. } if data == "QUJD")));
    assert!(matches!(&parts[2], Part::Media(m) if matches!(&m.source, Source::Url(url) if url == "https://h/i.png")));
    assert!(matches!(&parts[3], Part::Media(m) if m.kind == MediaKind::Audio));
    assert!(matches!(&parts[4], Part::Media(m) if m.kind == MediaKind::Document && m.name.as_deref() == Some("d.pdf")));
    let parts = &request.turns[1].parts;
    assert!(matches!(&parts[0], Part::Thinking { text, signature: None } if text == "hm"));
    assert!(matches!(&parts[1], Part::ToolUse(call) if call.input == "{\"a\":1}" && !call.freeform));
    assert!(matches!(&parts[2], Part::ToolUse(call) if call.input == "*** go" && call.freeform));
    let parts = &request.turns[2].parts;
    assert_eq!(parts.len(), 3);
    assert!(matches!(&parts[2], Part::Text(text) if text == "late"));
}

#[test]
fn text_without_escapes_is_borrowed() {
    let request = decoded(r#"{"messages":[{"role":"user","content":"plain"}],"stop":["a"],"user":"u"}"#);
    let Part::Text(text) = &request.turns[0].parts[0] else { panic!("no text") };
    assert!(matches!(text.clone().into_cow(), std::borrow::Cow::Borrowed(_)));
    assert!(matches!(request.stop[0], std::borrow::Cow::Borrowed(_)));
    assert!(matches!(request.user, Some(std::borrow::Cow::Borrowed(_))));
}

#[test]
fn settings_are_read_and_the_rest_is_kept() {
    let body = r#"{"messages":[],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"},"strict":true}},
        {"type":"custom","custom":{"name":"p","format":{"type":"grammar","grammar":{"syntax":"lark","definition":"x"}}}},
        {"type":"web_search"},{"type":"function","name":"flat"}],
        "tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[
            {"type":"function","function":{"name":"f"}},{"type":"custom","custom":{"name":"p"}}]}},
        "max_tokens":5,"max_completion_tokens":6,"stop":"END","temperature":0.50,"top_k":null,"repeat_penalty":1.1,
        "response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object"},"strict":false}},
        "n":2,"user":"u","prompt_cache_key":"k","parallel_tool_calls":false,"logit_bias":{"1":2},
        "chat_template_kwargs":{"enable_thinking":false,"other":1},"reasoning_effort":"low"}"#;
    let request = decoded(body);
    let names: Vec<&str> = request.tools.iter().map(|tool| tool.name.as_ref()).collect();
    assert_eq!(names, ["f", "p"]);
    assert!(request.tools[1].freeform.flatten().is_some_and(|format| format.get().contains("lark")));
    assert_eq!(request.choice, Choice::Any);
    assert_eq!((request.max_tokens, request.stop.as_slice()), (Some(6), &["END".into()][..]));
    let sampling: Vec<(&str, &str)> = request.sampling.iter().map(|(name, value)| (*name, value.get())).collect();
    assert_eq!(sampling, [("temperature", "0.50"), ("repetition_penalty", "1.1")]);
    assert!(matches!(&request.format, Format::Schema { name: Some(name), strict: Some(false), .. } if name == "n"));
    assert_eq!((request.reasoning.enabled, request.reasoning.effort.as_deref()), (Some(false), Some("low")));
    assert_eq!(request.dropped, ["n", "tool web_search"]);
    let bytes = Chat.encode_request(&request, &Target { model: "m", context: 0, vendor: Vendor::Vllm });
    let again: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(again["chat_template_kwargs"], json!({"enable_thinking": false, "other": 1}));
    assert_eq!((&again["logit_bias"], &again["reasoning_effort"]), (&json!({"1": 2}), &json!("low")));
    assert_eq!(again["response_format"]["json_schema"]["strict"], false);
    assert_eq!(String::from_utf8(bytes).unwrap().matches("chat_template_kwargs").count(), 1);
}

#[test]
fn choices_in_all_their_forms() {
    for (choice, expected) in [
        (r#""auto""#, Choice::Auto),
        (r#""none""#, Choice::None),
        (r#""required""#, Choice::Any),
        (r#"{"type":"function","function":{"name":"f"}}"#, Choice::Named("f".into())),
        (r#"{"type":"custom","custom":{"name":"f"}}"#, Choice::Named("f".into())),
        (r#"{"type":"function","name":"f"}"#, Choice::Named("f".into())),
        (r#"{"type":"allowed_tools","mode":"auto","tools":[]}"#, Choice::Auto),
        ("null", Choice::Unset),
    ] {
        assert_eq!(decoded(&format!(r#"{{"messages":[],"tool_choice":{choice}}}"#)).choice, expected, "{choice}");
    }
    for bad in [
        r#"{"messages":[],"tool_choice":"perhaps"}"#,
        r#"{"messages":[],"tool_choice":{"type":"function"}}"#,
        r#"{"messages":[{"role":"wizard","content":"x"}]}"#,
        r#"{"messages":[],"response_format":{"type":"json_schema"}}"#,
        r#"{"messages":"x"}"#,
        "[]",
    ] {
        assert_eq!(Chat.decode_request(bad.as_bytes()).unwrap_err().status(), 400, "{bad}");
    }
}

#[test]
fn the_first_form_of_tools_is_answered_in_it() {
    let body = r#"{"model":"g","functions":[{"name":"f","parameters":{}}],"function_call":{"name":"f"},"messages":[
        {"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}},
        {"role":"function","name":"f","content":"r"}]}"#;
    let request = decoded(body);
    assert_eq!((request.tools.len(), &request.choice), (1, &Choice::Named("f".into())));
    let Part::ToolUse(call) = &request.turns[0].parts[0] else { panic!("no call") };
    assert!(matches!(&request.turns[1].parts[0], Part::ToolResult { id, .. } if *id == call.id && !id.is_empty()));
    let chunks = streamed(&request, &tool_answer());
    assert_eq!(chunks[1]["choices"][0]["delta"], json!({"function_call": {"name": "f", "arguments": ""}}));
    assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], "function_call");
    let again =
        String::from_utf8(Chat.encode_request(&request, &Target { model: "m", context: 0, vendor: Vendor::Vllm }))
            .unwrap();
    assert!(!again.contains("\"functions\"") && again.contains("\"tools\""), "{again}");
}

fn tool_answer() -> Vec<Event<'static>> {
    let tool = |id: &'static str, freeform| {
        Event::BlockStart(Block::ToolUse { id: id.into(), name: "f".into(), namespace: None, freeform })
    };
    vec![
        Event::Start { id: "i".into() },
        tool("c1", false),
        Event::Delta("{\"a\":".into()),
        Event::Delta("1}".into()),
        Event::BlockEnd,
        tool("c2", true),
        Event::Delta("raw \"text\"".into()),
        Event::BlockEnd,
        tool("c3", false),
        Event::BlockEnd,
        Event::Finish { stop: Stop::ToolUse, usage: Usage { prompt: 7, cached: 2, output: 3, ..Usage::default() } },
    ]
}

/// The chunks of a stream, each checked for the members all have.
fn streamed(request: &Request<'_>, events: &[Event<'_>]) -> Vec<Value> {
    let mut encoder = Chat.stream_encoder(request);
    let mut out = Vec::new();
    events.iter().for_each(|event| encoder.encode(event, &mut out));
    let text = String::from_utf8(out).unwrap();
    let mut frames: Vec<&str> = text.split_terminator("\n\n").collect();
    if !matches!(events.last(), Some(Event::Error(_))) {
        assert_eq!(frames.pop(), Some("data: [DONE]"), "{text}");
    }
    let chunks: Vec<Value> =
        frames.iter().map(|frame| serde_json::from_str(frame.strip_prefix("data: ").unwrap()).unwrap()).collect();
    for chunk in chunks.iter().filter(|chunk| chunk.get("error").is_none()) {
        assert_eq!((&chunk["id"], &chunk["model"]), (&chunks[0]["id"], &chunks[0]["model"]));
        assert_eq!((&chunk["object"], chunk["created"].is_u64()), (&json!("chat.completion.chunk"), true));
    }
    chunks
}

#[test]
fn a_stream_follows_the_grammar() {
    let request = decoded(r#"{"model":"gpt","stream":true,"stream_options":{"include_usage":true},"messages":[]}"#);
    let chunks = streamed(&request, &tool_answer());
    let deltas: Vec<&Value> = chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]).collect();
    assert_eq!(chunks[0]["id"], "chatcmpl-i");
    assert_eq!(deltas[0], &json!({"role": "assistant", "content": ""}));
    let first = json!({"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}]});
    assert_eq!(deltas[1], &first);
    assert_eq!(deltas[2], &json!({"tool_calls": [{"index": 0, "function": {"arguments": "{\"a\":"}}]}));
    let custom =
        json!({"tool_calls": [{"index": 1, "id": "c2", "type": "custom", "custom": {"name": "f", "input": ""}}]});
    assert_eq!(deltas[4], &custom);
    assert_eq!(deltas[5], &json!({"tool_calls": [{"index": 1, "custom": {"input": "raw \"text\""}}]}));
    assert_eq!(deltas[7], &json!({"tool_calls": [{"index": 2, "function": {"arguments": "{}"}}]}));
    let reasons: Vec<&Value> = chunks.iter().map(|chunk| &chunk["choices"][0]["finish_reason"]).collect();
    assert_eq!(reasons.iter().filter(|reason| reason.is_string()).count(), 1);
    let last = chunks.last().unwrap();
    assert_eq!((&last["choices"], &last["usage"]["prompt_tokens"]), (&json!([]), &json!(7)));
    assert_eq!(last["usage"]["prompt_tokens_details"]["cached_tokens"], 2);
    let quiet = decoded(r#"{"model":"gpt","stream":true,"messages":[]}"#);
    assert!(streamed(&quiet, &tool_answer()).iter().all(|chunk| chunk.get("usage").is_none()));
}

#[test]
fn an_error_is_no_success() {
    let request = decoded(r#"{"messages":[]}"#);
    let error = Event::Error(Problem::new(ProblemKind::Upstream, "gone"));
    let chunks = streamed(&request, &[Event::Start { id: "".into() }, error.clone()]);
    assert_eq!(chunks[1]["error"]["message"], "gone");
    let mut answer = Chat.answer_encoder(&request);
    answer.add(&error);
    assert_eq!(answer.finish().unwrap_err().message, "gone");
    assert!(Chat.answer_encoder(&request).finish().is_err());
}

#[test]
fn a_whole_answer_says_the_same() {
    let request = decoded(r#"{"model":"gpt","messages":[]}"#);
    let mut answer = Chat.answer_encoder(&request);
    tool_answer().iter().for_each(|event| answer.add(event));
    let value: Value = serde_json::from_slice(&answer.finish().unwrap()).unwrap();
    let message = &value["choices"][0]["message"];
    assert_eq!((&message["content"], &value["choices"][0]["finish_reason"]), (&Value::Null, &json!("tool_calls")));
    assert_eq!(message["tool_calls"][0]["function"]["arguments"], "{\"a\":1}");
    assert_eq!(message["tool_calls"][1]["custom"], json!({"name": "f", "input": "raw \"text\""}));
    assert_eq!(message["tool_calls"][2]["function"]["arguments"], "{}");
    assert_eq!(value["usage"]["total_tokens"], 10);
    let mut answer = Chat.answer_encoder(&request);
    let end = Event::Finish { stop: Stop::Sequence("X".into()), usage: Usage::default() };
    [Event::Start { id: "i".into() }, end].iter().for_each(|event| answer.add(event));
    let value: Value = serde_json::from_slice(&answer.finish().unwrap()).unwrap();
    assert_eq!(value["choices"][0]["message"]["content"], "");
    assert_eq!(
        (&value["choices"][0]["finish_reason"], &value["choices"][0]["stop_reason"]),
        (&json!("stop"), &json!("X"))
    );
}

/// What a client keeps of an answer and sends again has the proofs in it, whoever made them.
#[test]
fn proofs_come_back_through_the_caller() {
    for sealed in [r#"od1_[{"type":"reasoning.text","text":"t","signature":"S"},{"type":"x"}]"#, "am1_sig", "rs1_enc"] {
        let request = decoded(r#"{"model":"gpt","messages":[]}"#);
        let events = [
            Event::Start { id: "i".into() },
            Event::BlockStart(Block::Thinking),
            Event::Delta("t".into()),
            Event::Signature(sealed.into()),
            Event::BlockEnd,
            Event::BlockStart(Block::ToolUse { id: "c".into(), name: "f".into(), namespace: None, freeform: false }),
            Event::Signature("gm1_G".into()),
            Event::BlockEnd,
            Event::Finish { stop: Stop::ToolUse, usage: Usage::default() },
        ];
        let mut answer = Chat.answer_encoder(&request);
        events.iter().for_each(|event| answer.add(event));
        let value: Value = serde_json::from_slice(&answer.finish().unwrap()).unwrap();
        let streamed = streamed(&request, &events);
        let details: Vec<&Value> =
            streamed.iter().filter_map(|chunk| chunk["choices"][0]["delta"].get("reasoning_details")).collect();
        assert_eq!(details, [&value["choices"][0]["message"]["reasoning_details"]]);
        let body = json!({"messages": [value["choices"][0]["message"]]}).to_string();
        let again = decoded(&body);
        let parts = &again.turns[0].parts;
        let Part::Thinking { text, signature: Some(signature) } = &parts[0] else { panic!("{body}") };
        assert_eq!(text, "t");
        if sealed.starts_with("od1_") {
            let list = |sealed: &str| serde_json::from_str::<Value>(&sealed[4..]).unwrap();
            assert_eq!(list(signature), list(sealed));
        } else {
            assert_eq!(signature, sealed);
        }
        assert!(matches!(&parts[1], Part::ToolUse(call) if call.signature.as_deref() == Some("gm1_G")));
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_survived(bytes: Vec<u8>) {
        let _ = Chat.decode_request(&bytes);
    }

    /// Requests that nearly make sense neither panic nor become broken JSON.
    #[test]
    fn mutilated_requests_are_survived(cut in 0usize..500, with in "[\\[\\]{}\",:0-9a-z]{0,3}") {
        let whole = r#"{"model":"g","messages":[{"role":"user","content":[{"type":"text","text":"a"}]},{"role":"assistant","reasoning_details":[{"data":"am1_x"}],"tool_calls":[{"id":"c","function":{"name":"f","arguments":"{}"},"extra_content":{"google":{"thought_signature":"s"}}}]},{"role":"tool","tool_call_id":"c","content":"r"}],"tools":[{"type":"function","function":{"name":"f"}}],"stop":["x"],"extra":{"y":[1]}}"#;
        let at = cut % whole.len();
        let text = format!("{}{with}{}", &whole[..at], &whole[at..]);
        if let Ok(request) = Chat.decode_request(text.as_bytes()) {
            for vendor in [Vendor::Vllm, Vendor::OpenRouter, Vendor::Google] {
                let bytes = Chat.encode_request(&request, &Target { model: "m", context: 0, vendor });
                serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).unwrap();
            }
        }
    }
}

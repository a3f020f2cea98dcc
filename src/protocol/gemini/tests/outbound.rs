use serde_json::{Value, json};

use super::everything;
use crate::protocol::event::{Block, Event, Stop, Usage};
use crate::protocol::gemini::Gemini;
use crate::protocol::ir::{Choice, Framing, Media, MediaKind, Part, Request, Role, Source, ToolUse, Turn};
use crate::protocol::{Inbound, Outbound, Problem, ProblemKind, Target, Vendor};

fn encoded(request: &Request<'_>, model: &str) -> Value {
    let target = Target { model, context: 0, vendor: Vendor::Google };
    serde_json::from_slice(&Gemini.encode_request(request, &target)).unwrap()
}

fn call(id: &'static str, input: &'static str, signature: Option<&'static str>) -> Part<'static> {
    Part::ToolUse(ToolUse {
        id: id.into(),
        name: format!("f_{id}").into(),
        namespace: None,
        input: input.into(),
        freeform: false,
        signature: signature.map(Into::into),
    })
}

fn result(id: &'static str, text: &'static str, is_error: bool) -> Part<'static> {
    Part::ToolResult { id: id.into(), parts: vec![Part::Text(text.into())], is_error }
}

fn turn(role: Role, parts: Vec<Part<'static>>) -> Turn<'static> {
    Turn { role, parts }
}

#[test]
fn roles_alternate_results_come_first_and_every_call_has_one() {
    let thinking = |proof: &'static str| Part::Thinking { text: "t".into(), signature: Some(proof.into()) };
    let image = Part::Media(Media {
        kind: MediaKind::Image,
        source: Source::Base64 { media_type: "image/png".into(), data: "QQ==".into() },
        name: None,
        detail: None,
    });
    let request = Request {
        system: vec!["A".into(), "B".into()],
        turns: vec![
            turn(Role::User, vec![Part::Text("go".into())]),
            turn(Role::User, vec![Part::Text("now".into()), image]),
            turn(Role::Assistant, vec![thinking("gm1_P"), call("a", "{\"x\":1}", None), call("b", "oops", None)]),
            turn(Role::User, vec![Part::Text("and".into()), result("b", "no", true), result("zz", "lost", false)]),
            turn(Role::Assistant, vec![thinking("am1_foreign"), call("c", "", None)]),
            turn(Role::User, vec![result("c", "ok", false)]),
            turn(Role::Assistant, vec![call("d", "{}", Some("gm1_Q"))]),
        ],
        ..Request::default()
    };
    let out = encoded(&request, "gemini-3-pro");
    let said = |id: &str, key: &str, text: &str| json!({"functionResponse": {"id": id, "name": format!("f_{id}"), "response": {key: text}}});
    let asked = |id: &str, args: Value, proof: Option<&str>| {
        let mut part = json!({"functionCall": {"id": id, "name": format!("f_{id}"), "args": args}});
        if let Some(proof) = proof {
            part["thoughtSignature"] = proof.into();
        }
        part
    };
    assert_eq!(
        out["contents"],
        json!([
            {"role": "user", "parts": [{"text": "go"}, {"text": "now"},
                {"inlineData": {"mimeType": "image/png", "data": "QQ=="}}]},
            {"role": "model", "parts": [asked("a", json!({"x": 1}), Some("P")), asked("b", json!({"input": "oops"}), None)]},
            {"role": "user", "parts": [said("b", "error", "no"), said("a", "error", "no result: the call was interrupted"),
                {"text": "and"}, {"text": "[tool result] lost"}]},
            {"role": "model", "parts": [asked("c", json!({}), Some("skip_thought_signature_validator"))]},
            {"role": "user", "parts": [said("c", "output", "ok")]},
            {"role": "model", "parts": [asked("d", json!({}), Some("Q"))]},
            {"role": "user", "parts": [said("d", "error", "no result: the call was interrupted")]},
        ])
    );
    assert_eq!(out["systemInstruction"], json!({"parts": [{"text": "A"}, {"text": "B"}]}));
}

#[test]
fn what_came_in_as_gemini_goes_out_as_gemini() {
    let body = json!({
        "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
        "tools": [{"functionDeclarations": [{"name": "f", "description": "d", "parametersJsonSchema": {"type": "object"}}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
        "generationConfig": {"temperature": 0.5, "topK": 3, "maxOutputTokens": 7, "stopSequences": ["a", "b"],
            "responseMimeType": "application/json", "responseJsonSchema": {"type": "object"},
            "thinkingConfig": {"includeThoughts": true, "thinkingBudget": 99}},
    });
    let text = body.to_string();
    let request = Gemini.decode_request(text.as_bytes()).unwrap();
    assert_eq!(encoded(&request, "gemini-2.5-flash"), body);
}

#[test]
fn thinking_is_said_as_each_generation_wants_it() {
    let thinking = |model: &str, enabled: Option<bool>, effort: Option<&'static str>| {
        let mut request = Request::default();
        request.reasoning.enabled = enabled;
        request.reasoning.effort = effort.map(Into::into);
        encoded(&request, model)["generationConfig"]["thinkingConfig"].clone()
    };
    assert_eq!(thinking("gemini-3-pro", None, None), Value::Null);
    assert_eq!(thinking("gemini-2.0-flash", Some(true), Some("high")), Value::Null);
    assert_eq!(thinking("gemini-2.5-flash", Some(false), None), json!({"thinkingBudget": 0}));
    assert_eq!(thinking("gemini-2.5-pro", Some(false), Some("high")), json!({"thinkingBudget": 128}));
    assert_eq!(
        thinking("gemini-3-pro", Some(true), Some("max")),
        json!({"includeThoughts": true, "thinkingLevel": "high"})
    );
    assert_eq!(thinking("gemini-2.5-pro", None, Some("low")), json!({"thinkingBudget": 4096}));
}

#[test]
fn no_tools_means_no_tool_keys() {
    let out = encoded(&Request { choice: Choice::Any, ..Request::default() }, "m");
    assert_eq!((out.get("tools"), out.get("toolConfig")), (None, None));
}

fn decoded(pieces: &[&[u8]], cut: Option<Problem>) -> Vec<Event<'static>> {
    let mut decoder = Gemini.event_decoder();
    let mut found = Vec::new();
    let mut keep = |event: Event<'_>| found.push(owned(event));
    for piece in pieces {
        decoder.push(piece, &mut keep);
    }
    decoder.end(cut, &mut keep);
    found
}

/// The event on its own; deltas of a block are told apart only by where they end.
fn owned(event: Event<'_>) -> Event<'static> {
    match event {
        Event::Start { id } => Event::Start { id: id.into_owned().into() },
        Event::BlockStart(Block::ToolUse { id, name, .. }) => Event::BlockStart(Block::ToolUse {
            id: id.into_owned().into(),
            name: name.into_owned().into(),
            namespace: None,
            freeform: false,
        }),
        Event::BlockStart(Block::Text) => Event::BlockStart(Block::Text),
        Event::BlockStart(Block::Thinking) => Event::BlockStart(Block::Thinking),
        Event::Delta(text) => Event::Delta(text.into_owned().into()),
        Event::Signature(proof) => Event::Signature(proof.into_owned().into()),
        Event::BlockEnd => Event::BlockEnd,
        Event::Finish { stop, usage } => Event::Finish { stop, usage },
        Event::Error(problem) => Event::Error(problem),
    }
}

const STREAM: &str = "data: {\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[{\"text\":\"hm\",\"thought\":true}]},\"index\":0}],\"responseId\":\"r1\",\"usageMetadata\":{\"promptTokenCount\":10,\"thoughtsTokenCount\":2}}\r\n\r\ndata: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"id\":\"a\",\"name\":\"read\",\"args\":{\"p\":\"\u{e9}\"}},\"thoughtSignature\":\"proof\"},{\"functionCall\":{\"id\":\"b\",\"name\":\"list\"}}]}}]}\r\n\r\ndata: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"\"}]},\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":10,\"cachedContentTokenCount\":8,\"candidatesTokenCount\":5,\"thoughtsTokenCount\":2}}\r\n\r\n";

#[test]
fn a_stream_split_at_every_byte_is_the_same_events() {
    let whole = decoded(&[STREAM.as_bytes()], None);
    let tool = |id: &'static str, name: &'static str| {
        Event::BlockStart(Block::ToolUse { id: id.into(), name: name.into(), namespace: None, freeform: false })
    };
    let expected = [
        Event::Start { id: "r1".into() },
        Event::BlockStart(Block::Thinking),
        Event::Delta("hm".into()),
        // Callers that keep proofs in thinking only find the call's there too.
        Event::Signature("gc1_proof".into()),
        Event::BlockEnd,
        tool("a", "read"),
        Event::Delta("{\"p\":\"é\"}".into()),
        Event::Signature("gm1_proof".into()),
        Event::BlockEnd,
        tool("b", "list"),
        Event::Delta("{}".into()),
        Event::BlockEnd,
        Event::Finish {
            stop: Stop::ToolUse,
            usage: Usage { prompt: 10, cached: 8, cache_write: 0, output: 7, reasoning: 2 },
        },
    ];
    assert_eq!(whole, expected);
    for at in 0..=STREAM.len() {
        let (a, b) = STREAM.as_bytes().split_at(at);
        assert_eq!(decoded(&[a, b], None), whole, "split at {at}");
    }
    // Broken off behind its end it is complete, before it an error.
    let cut = || Some(Problem::new(ProblemKind::Upstream, "cut"));
    assert_eq!(decoded(&[STREAM.as_bytes()], cut()), whole);
    let half = decoded(&[&STREAM.as_bytes()[..STREAM.len() / 2]], cut());
    assert!(matches!(half.last(), Some(Event::Error(problem)) if problem.message == "cut"), "{half:?}");
}

#[test]
fn our_own_stream_comes_back_as_the_events_it_was_made_of() {
    for framing in [Framing::Events, Framing::Array] {
        let mut request = Request { model: "m".into(), framing, ..Request::default() };
        request.reasoning.show = Some(true);
        let mut encoder = Gemini.stream_encoder(&request);
        let mut out = Vec::new();
        everything().iter().for_each(|event| encoder.encode(event, &mut out));
        let events = match framing {
            Framing::Array => {
                let answers: Vec<&serde_json::value::RawValue> = serde_json::from_slice(&out).unwrap();
                let stream: String = answers.iter().map(|answer| format!("data: {answer}\n\n")).collect();
                decoded(&[stream.as_bytes()], None)
            }
            _ => decoded(&[&out], None),
        };
        assert_eq!(events.last(), everything().last());
        let text: String = events
            .iter()
            .map(|event| match event {
                Event::Delta(text) => text.as_ref(),
                _ => "",
            })
            .collect();
        assert_eq!(text, "hmLet me \"look\"{\"p\": \"é\"}{}");
    }
}

#[test]
fn ends_are_read_in_googles_words() {
    let end = |candidate: &str| {
        let data = format!("data: {{\"candidates\":[{{{candidate}}}]}}\n\n");
        decoded(&[data.as_bytes()], None).pop().unwrap()
    };
    let finish = |stop| Event::Finish { stop, usage: Usage::default() };
    assert_eq!(end(r#""finishReason":"STOP""#), finish(Stop::EndTurn));
    assert_eq!(end(r#""finishReason":"MAX_TOKENS""#), finish(Stop::MaxTokens));
    for reason in ["SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"] {
        assert_eq!(end(&format!(r#""finishReason":"{reason}""#)), finish(Stop::Refusal), "{reason}");
    }
    let broken = end(r#""finishReason":"MALFORMED_FUNCTION_CALL","finishMessage":"print(""#);
    assert!(matches!(&broken, Event::Error(p) if p.message.contains("print(")), "{broken:?}");
    let cut = end(r#""content":{"parts":[{"text":"x"}]}"#);
    assert!(matches!(cut, Event::Error(_)), "{cut:?}");
    let blocked = decoded(&[b"data: {\"promptFeedback\":{\"blockReason\":\"SAFETY\"}}\n\n"], None);
    assert_eq!(blocked, [Event::Start { id: "".into() }, finish(Stop::Refusal)]);
}

#[test]
fn errors_are_read_plain_and_in_an_array() {
    let error = r#"{"error":{"code":429,"message":"quota","status":"RESOURCE_EXHAUSTED"}}"#;
    for body in [error.to_owned(), format!("[{error}]")] {
        let found = decoded(&[format!("data: {body}\n\n").as_bytes()], None);
        let [Event::Error(problem)] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((problem.kind, problem.message.as_str()), (ProblemKind::RateLimited, "quota"));
        assert_eq!(Problem::from_engine(429, body.as_bytes()).message, "quota");
    }
    let full = r#"[{"error":{"code":400,"message":"The input token count (1048577) exceeds the maximum number of tokens allowed (1048576).","status":"INVALID_ARGUMENT"}}]"#;
    let problem = Problem::from_engine(400, full.as_bytes());
    assert_eq!((problem.kind, problem.overflow), (ProblemKind::ContextOverflow, Some((1_048_577, 1_048_576))));
}

proptest::proptest! {
    #[test]
    fn any_stream_is_survived(bytes: Vec<u8>, parts in r#"[\[\]{}",:a1 ]{0,24}"#) {
        let _ = decoded(&[&bytes], None);
        let data = format!("data: {{\"candidates\":[{{\"content\":{{\"parts\":{parts}}}}}]}}\n\n");
        let _ = decoded(&[data.as_bytes()], None);
    }
}

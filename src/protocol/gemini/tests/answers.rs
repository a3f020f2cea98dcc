use serde_json::{Value, json};

use super::everything;
use crate::protocol::event::{Block, Event, Stop, Usage};
use crate::protocol::gemini::Gemini;
use crate::protocol::ir::{Framing, Request};
use crate::protocol::{Inbound, Problem, ProblemKind, Protocol};

fn request(framing: Framing, show: bool) -> Request<'static> {
    let mut request = Request { model: "m".into(), framing, ..Request::default() };
    request.reasoning.show = Some(show);
    request
}

fn streamed(framing: Framing, show: bool, events: &[Event<'_>]) -> String {
    let mut encoder = Gemini.stream_encoder(&request(framing, show));
    let mut out = Vec::new();
    for event in events {
        encoder.encode(event, &mut out);
    }
    String::from_utf8(out).unwrap()
}

fn whole(show: bool, events: &[Event<'_>]) -> Result<Value, Problem> {
    let mut encoder = Gemini.answer_encoder(&request(Framing::Whole, show));
    events.iter().for_each(|event| encoder.add(event));
    encoder.finish().map(|body| serde_json::from_slice(&body).unwrap())
}

/// The chunks of an event stream, which holds nothing else.
fn chunks(stream: &str) -> Vec<Value> {
    let events: Vec<&str> = stream.strip_suffix("\n\n").unwrap().split("\n\n").collect();
    events.iter().map(|event| serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap()).collect()
}

fn parts(chunks: &[Value]) -> Vec<Value> {
    let part = |chunk: &Value| chunk["candidates"][0]["content"]["parts"].as_array().unwrap().clone();
    chunks.iter().flat_map(part).collect()
}

/// `llmup-t1:11:am1_foreign2:hm`.
const FOREIGN: &str = "bGxtdXAtdDE6MTE6YW0xX2ZvcmVpZ24yOmht";

fn calls() -> [Value; 2] {
    [
        json!({"functionCall": {"id": "a", "name": "read", "args": {"p": "é"}}, "thoughtSignature": "proof"}),
        json!({"functionCall": {"id": "b", "name": "list", "args": {}}}),
    ]
}

#[test]
fn a_stream_is_data_lines_only_and_ends_once() {
    let chunks = chunks(&streamed(Framing::Events, true, &everything()));
    let [a, b] = calls();
    assert_eq!(
        parts(&chunks),
        [
            json!({"text": "hm", "thought": true}),
            // Reasoning of somebody else goes along with what is kept.
            json!({"text": "Let ", "thoughtSignature": FOREIGN}),
            json!({"text": "me \"look\""}),
            a,
            b,
            json!({"text": ""}),
        ]
    );
    let (last, before) = chunks.split_last().unwrap();
    assert!(before.iter().all(|chunk| chunk["candidates"][0].get("finishReason").is_none()));
    assert_eq!(last["candidates"][0]["finishReason"], "STOP");
    assert_eq!(
        last["usageMetadata"],
        json!({"promptTokenCount": 10, "candidatesTokenCount": 5, "cachedContentTokenCount": 8,
            "thoughtsTokenCount": 2, "totalTokenCount": 17})
    );
    for chunk in &chunks {
        assert_eq!((&chunk["modelVersion"], &chunk["responseId"]), (&"m".into(), &"r1".into()));
        assert_eq!(
            (&chunk["candidates"][0]["content"]["role"], &chunk["candidates"][0]["index"]),
            (&"model".into(), &0.into())
        );
    }
}

#[test]
fn an_array_is_json_also_when_it_ends_in_an_error() {
    let events = everything();
    let array: Vec<Value> = serde_json::from_str(&streamed(Framing::Array, true, &events)).unwrap();
    assert_eq!(array, chunks(&streamed(Framing::Events, true, &events)));
    let problem = Event::Error(Problem::new(ProblemKind::Upstream, "gone"));
    for cut in [0, 1, 7] {
        let mut events = events[..cut].to_vec();
        events.push(problem.clone());
        // Whatever comes behind the end is not said.
        events.push(Event::Finish { stop: Stop::EndTurn, usage: Usage::default() });
        let array: Vec<Value> = serde_json::from_str(&streamed(Framing::Array, true, &events)).unwrap();
        assert_eq!(array.last().unwrap()["error"], json!({"code": 502, "message": "gone", "status": "UNAVAILABLE"}));
        let last = chunks(&streamed(Framing::Events, true, &events)).pop().unwrap();
        assert_eq!(&last, array.last().unwrap());
    }
}

#[test]
fn a_whole_answer_says_the_same() {
    let answer = whole(true, &everything()).unwrap();
    let [a, b] = calls();
    let thought = json!({"text": "hm", "thought": true});
    let text = json!({"text": "Let me \"look\"", "thoughtSignature": FOREIGN});
    assert_eq!(answer["candidates"][0]["content"]["parts"], json!([thought, text, a, b]));
    assert_eq!(answer["usageMetadata"]["totalTokenCount"], 17);
    let hidden = whole(false, &everything()).unwrap();
    assert_eq!(hidden["candidates"][0]["content"]["parts"], json!([text, a, b]));
    assert!(!streamed(Framing::Events, false, &everything()).contains("thought\""));
}

#[test]
fn nothing_is_a_valid_answer() {
    let events = [Event::Start { id: "".into() }, Event::Finish { stop: Stop::MaxTokens, usage: Usage::default() }];
    let answer = whole(true, &events).unwrap();
    assert_eq!(answer["candidates"][0]["content"], json!({"role": "model", "parts": [{"text": ""}]}));
    assert_eq!(answer["candidates"][0]["finishReason"], "MAX_TOKENS");
    assert_eq!(chunks(&streamed(Framing::Events, true, &events)), [answer]);
    assert_eq!(whole(true, &events[..1]).unwrap_err().status(), 502);
}

#[test]
fn arguments_that_are_no_object_are_never_run() {
    let with = |arguments: &'static str, stop: Stop| {
        let id = "a".into();
        vec![
            Event::Start { id: "r".into() },
            Event::BlockStart(Block::ToolUse { id, name: "f".into(), namespace: None, freeform: false }),
            Event::Delta(arguments.into()),
            Event::BlockEnd,
            Event::Finish { stop, usage: Usage::default() },
        ]
    };
    for (arguments, stop, reason) in [
        (r#"{"a":"#, Stop::ToolUse, "MALFORMED_FUNCTION_CALL"),
        (r#"{"a":"#, Stop::MaxTokens, "MAX_TOKENS"),
        ("[1]", Stop::ToolUse, "MALFORMED_FUNCTION_CALL"),
        ("words", Stop::EndTurn, "MALFORMED_FUNCTION_CALL"),
    ] {
        let events = with(arguments, stop);
        let answer = whole(true, &events).unwrap();
        assert_eq!(answer["candidates"][0]["finishReason"], reason, "{arguments}");
        assert_eq!(chunks(&streamed(Framing::Events, true, &events)), [answer]);
    }
    for (arguments, args) in [("", json!({})), ("null", json!({})), (r#""{\"a\":1}""#, json!({"a": 1}))] {
        let answer = whole(true, &with(arguments, Stop::ToolUse)).unwrap();
        assert_eq!(answer["candidates"][0]["content"]["parts"][0]["functionCall"]["args"], args);
        assert_eq!(answer["candidates"][0]["finishReason"], "STOP");
    }
}

#[test]
fn failures_are_said_as_google_says_them() {
    let mut problem = Problem::new(ProblemKind::ContextOverflow, "raw words");
    problem.overflow = Some((9000, 4096));
    let error: Value = serde_json::from_slice(&Gemini.encode_error(&problem)).unwrap();
    assert_eq!((&error["error"]["code"], &error["error"]["status"]), (&400.into(), &"INVALID_ARGUMENT".into()));
    let message = error["error"]["message"].as_str().unwrap();
    assert!(message.contains("9000") && message.contains("4096"), "{message}");
    let problem = Problem::new(ProblemKind::RateLimited, "slow down").retry_after(7);
    let error: Value = serde_json::from_slice(&Gemini.encode_error(&problem)).unwrap();
    assert_eq!((&error["error"]["code"], &error["error"]["status"]), (&429.into(), &"RESOURCE_EXHAUSTED".into()));
    assert_eq!(error["error"]["details"][0]["retryDelay"], "7s");
}

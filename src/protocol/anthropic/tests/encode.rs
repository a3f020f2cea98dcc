//! Events become Messages streams and whole answers.

use serde_json::{Value, json};

use crate::protocol::anthropic::Messages;
use crate::protocol::event::{Block, Event, Stop, Usage};
use crate::protocol::ir::{Reasoning, Request};
use crate::protocol::{Inbound, Problem, ProblemKind};

fn request(show: Option<bool>) -> Request<'static> {
    Request {
        model: "asked \"name\"".into(),
        system: vec!["x".repeat(40).into()],
        reasoning: Reasoning { show, ..Reasoning::default() },
        ..Request::default()
    }
}

/// The stream's events; checks the grammar on the way.
fn stream(show: Option<bool>, events: &[Event<'_>]) -> Vec<Value> {
    let mut encoder = Messages.stream_encoder(&request(show));
    let mut out = Vec::new();
    events.iter().for_each(|event| encoder.encode(event, &mut out));
    let text = String::from_utf8(out).unwrap();
    let frames: Vec<Value> = text
        .split_terminator("\n\n")
        .map(|frame| {
            let (name, data) = frame.split_once('\n').unwrap();
            let value: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            assert_eq!(name.strip_prefix("event: "), value["type"].as_str(), "{frame}");
            value
        })
        .collect();
    let (mut open, mut next) = (None::<String>, 0);
    for frame in &frames {
        match frame["type"].as_str().unwrap() {
            "content_block_start" => {
                assert!(open.is_none() && frame["index"] == next, "{frame}");
                open = Some(frame["content_block"]["type"].as_str().unwrap().to_owned());
            }
            "content_block_delta" => {
                let fits: &[&str] = match open.as_deref().unwrap() {
                    "text" => &["text_delta"],
                    "thinking" => &["thinking_delta", "signature_delta"],
                    "tool_use" => &["input_json_delta"],
                    _ => &[],
                };
                assert!(fits.contains(&frame["delta"]["type"].as_str().unwrap()) && frame["index"] == next, "{frame}");
            }
            "content_block_stop" => {
                assert!(open.take().is_some() && frame["index"] == next, "{frame}");
                next += 1;
            }
            _ => assert!(open.is_none(), "{frame}"),
        }
    }
    frames
}

fn whole(show: Option<bool>, events: &[Event<'_>]) -> Result<Value, Problem> {
    let mut answer = Messages.answer_encoder(&request(show));
    events.iter().for_each(|event| answer.add(event));
    answer.finish().map(|body| serde_json::from_slice(&body).unwrap())
}

/// What an SDK makes of a stream.
fn accumulated(frames: &[Value]) -> Vec<Value> {
    let mut content: Vec<Value> = Vec::new();
    for frame in frames {
        match frame["type"].as_str().unwrap() {
            "content_block_start" => content.push(frame["content_block"].clone()),
            "content_block_delta" => {
                let block = content.last_mut().unwrap();
                let (from, to) = match frame["delta"]["type"].as_str().unwrap() {
                    "text_delta" => ("text", "text"),
                    "thinking_delta" => ("thinking", "thinking"),
                    "signature_delta" => ("signature", "signature"),
                    _ => ("partial_json", "partial"),
                };
                let text = block[to].as_str().unwrap_or_default().to_owned() + frame["delta"][from].as_str().unwrap();
                block[to] = text.into();
            }
            "content_block_stop" => {
                let block = content.last_mut().unwrap();
                if let Some(partial) = block.as_object_mut().unwrap().remove("partial") {
                    block["input"] = serde_json::from_str(partial.as_str().unwrap()).unwrap();
                }
            }
            _ => {}
        }
    }
    content
}

fn tool(id: &'static str) -> Event<'static> {
    Event::BlockStart(Block::ToolUse { id: id.into(), name: "Re\"ad".into(), namespace: None, freeform: false })
}

fn full() -> Vec<Event<'static>> {
    vec![
        Event::Start { id: "chatcmpl-4f2ab90c11d87e65".into() },
        Event::BlockStart(Block::Thinking),
        Event::Delta("hm\n".into()),
        Event::Delta("é".into()),
        Event::BlockEnd,
        Event::BlockStart(Block::Text),
        Event::BlockEnd,
        Event::BlockStart(Block::Thinking),
        Event::Signature("ar1_secret".into()),
        Event::BlockEnd,
        Event::BlockStart(Block::Thinking),
        Event::Delta("signed".into()),
        Event::Signature("am1_proof".into()),
        Event::BlockEnd,
        Event::BlockStart(Block::Text),
        Event::Delta("".into()),
        Event::Delta("say \"it\"".into()),
        Event::BlockEnd,
        tool("a"),
        Event::Delta("{\"p\":".into()),
        Event::Delta("1}".into()),
        Event::BlockEnd,
        tool("b"),
        Event::BlockEnd,
        Event::Finish {
            stop: Stop::ToolUse,
            usage: Usage { prompt: 100, cached: 60, cache_write: 10, output: 7, reasoning: 3 },
        },
    ]
}

#[test]
fn a_stream_and_a_whole_answer_say_the_same() {
    for (show, first, signed) in
        [(None, ("hm\né", ""), "signed"), (Some(true), ("hm\né", ""), "signed"), (Some(false), ("", "tx1_hm\né"), "")]
    {
        let frames = stream(show, &full());
        let expected = json!([
            {"type": "thinking", "thinking": first.0, "signature": first.1},
            {"type": "redacted_thinking", "data": "ar1_secret"},
            {"type": "thinking", "thinking": signed, "signature": "am1_proof"},
            {"type": "text", "text": "say \"it\""},
            {"type": "tool_use", "id": "a", "name": "Re\"ad", "input": {"p": 1}},
            {"type": "tool_use", "id": "b", "name": "Re\"ad", "input": {}},
        ]);
        assert_eq!(json!(accumulated(&frames)), expected, "{show:?}");
        let answer = whole(show, &full()).unwrap();
        assert_eq!(answer["content"], expected, "{show:?}");
        let usage = json!({"input_tokens": 30, "cache_creation_input_tokens": 10, "cache_read_input_tokens": 60,
            "output_tokens": 7, "output_tokens_details": {"thinking_tokens": 3}});
        assert_eq!(answer["usage"], usage);
        assert_eq!(
            frames[frames.len() - 2],
            json!({"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": null}, "usage": usage})
        );
        assert_eq!(frames[frames.len() - 1], json!({"type": "message_stop"}));
        assert_eq!((&answer["id"], &answer["model"]), (&"msg_4f2ab90c11d87e65".into(), &"asked \"name\"".into()));
        let message = &frames[0]["message"];
        assert_eq!((&message["id"], &message["model"]), (&answer["id"], &answer["model"]));
        assert_eq!(message["usage"]["input_tokens"], 10, "an estimate: 40 bytes");
    }
}

#[test]
fn ids_that_may_repeat_are_not_kept() {
    let name = |id: &str| {
        let frames = stream(None, &[Event::Start { id: id.to_owned().into() }]);
        frames[0]["message"]["id"].as_str().unwrap().to_owned()
    };
    assert_eq!(name("resp_0123456789abcdef"), "msg_0123456789abcdef");
    for id in ["chatcmpl-123", "msg_1", ""] {
        assert_ne!(name(id), name(id), "{id}");
    }
}

#[test]
fn an_engine_that_counts_nothing_leaves_the_estimate() {
    let events = [
        Event::Start { id: "".into() },
        Event::Finish { stop: Stop::Sequence("EN\"D".into()), usage: Usage::default() },
    ];
    let frames = stream(None, &events);
    assert_eq!(frames[1]["usage"]["input_tokens"], 10);
    assert_eq!(frames[1]["delta"], json!({"stop_reason": "stop_sequence", "stop_sequence": "EN\"D"}));
    let answer = whole(None, &events).unwrap();
    assert_eq!((&answer["content"], &answer["usage"]["input_tokens"]), (&json!([]), &10.into()));
    assert!(answer["id"].as_str().unwrap().len() > 10);
}

#[test]
fn arguments_that_are_no_object_are_streamed_and_become_an_empty_object_in_one_piece() {
    for arguments in ["[1]", "{\"a\":", "\"text\"", "nonsense"] {
        let events = [
            Event::Start { id: "".into() },
            tool("a"),
            Event::Delta(arguments.into()),
            Event::BlockEnd,
            Event::Finish { stop: Stop::ToolUse, usage: Usage::default() },
        ];
        assert_eq!(stream(None, &events)[2]["delta"]["partial_json"], arguments);
        assert_eq!(whole(None, &events).unwrap()["content"][0]["input"], json!({}));
    }
}

#[test]
fn an_error_closes_what_is_open_and_nothing_follows() {
    let problem = Problem::new(ProblemKind::Overloaded, "full");
    for (show, types) in [
        (None, ["content_block_start", "content_block_delta", "content_block_stop", "error"].as_slice()),
        (Some(false), ["content_block_start", "content_block_delta", "content_block_stop", "error"].as_slice()),
    ] {
        let events = [Event::BlockStart(Block::Thinking), Event::Delta("a".into()), Event::Error(problem.clone())];
        let frames = stream(show, &events);
        assert_eq!(frames.iter().map(|f| f["type"].as_str().unwrap()).collect::<Vec<_>>(), types);
        assert_eq!(frames[3]["error"], json!({"type": "overloaded_error", "message": "full"}));
        assert_eq!(whole(show, &events).unwrap_err(), problem);
    }
    assert_eq!(whole(None, &full()[..4]).unwrap_err().status(), 502);
}

/// Prints how long an event takes; meaningful with optimisation only.
#[test]
#[ignore = "a measurement, not a check"]
fn time_per_event() {
    let mut encoder = Messages.stream_encoder(&request(None));
    let mut out = Vec::with_capacity(1 << 20);
    encoder.encode(&Event::BlockStart(Block::Text), &mut out);
    let start = std::time::Instant::now();
    for _ in 0..100_000 {
        out.clear();
        encoder.encode(&Event::Delta(" some words".into()), &mut out);
    }
    println!("{} ns per event", start.elapsed().as_nanos() / 100_000);
}

//! Answers.

use serde_json::{Value, json};

use super::{blocks, call, chat, delta, end, frames, told};
use crate::protocol::Id;

#[test]
fn calls_in_streams() {
    let two = [(0, "a", "R"), (1, "b", "R")].map(|(at, id, name)| call(at, Some(id), Some(name), ""));
    let [first, second] = two;
    let cases: [(&str, Vec<Value>, &[&str]); 6] = [
        (
            "B06: fragments of calls that interleave, several in one chunk",
            vec![
                delta(json!({"tool_calls": [first, second]})),
                delta(json!({"tool_calls": [call(1, None, None, "{\"y\":"), call(0, None, None, "{\"x\":")]})),
                delta(json!({"tool_calls": [call(0, None, None, "1}"), call(1, None, None, "2}")]})),
                end("tool_calls"),
            ],
            &["R a:{\"x\":1}", "R b:{\"y\":2}"],
        ),
        (
            "B07: every call has number 0",
            vec![
                delta(json!({"tool_calls": [call(0, Some("a"), Some("R"), "{\"x\":1}")]})),
                delta(json!({"tool_calls": [call(0, Some("b"), Some("S"), "{}")]})),
                end("tool_calls"),
            ],
            &["R a:{\"x\":1}", "S b:{}"],
        ),
        (
            "B43: id and name are repeated with every fragment",
            vec![
                delta(json!({"tool_calls": [call(0, Some("a"), Some("R"), "{\"x\"")]})),
                delta(json!({"tool_calls": [call(0, Some("a"), Some("R"), ":1}")]})),
                delta(json!({"tool_calls": [call(0, Some("a"), Some(""), "")]})),
                end("tool_calls"),
            ],
            &["R a:{\"x\":1}"],
        ),
        (
            "B45: the arguments stand in the last chunk",
            vec![
                delta(json!({"tool_calls": [call(0, Some("a"), Some("R"), "")]})),
                json!({"index": 0, "delta": {"tool_calls": [call(0, None, None, "{\"x\":1}")]}, "finish_reason": "tool_calls"}),
            ],
            &["R a:{\"x\":1}"],
        ),
        (
            "B09: reasoning, a call, reasoning again",
            vec![
                delta(json!({"reasoning": "one"})),
                delta(json!({"tool_calls": [call(0, Some("a"), Some("R"), "{}")]})),
                delta(json!({"reasoning": "two"})),
                delta(json!({"tool_calls": [call(1, Some("b"), Some("R"), "{}")]})),
                end("tool_calls"),
            ],
            &["thinking:one", "R a:{}", "thinking:two", "R b:{}"],
        ),
        (
            "B14, B04: text in front of reasoning; both spellings of it in one delta",
            vec![
                delta(json!({"content": "---\n"})),
                delta(json!({"reasoning_content": "h", "reasoning": "h"})),
                delta(json!({"reasoning": "i", "content": "yo"})),
                end("stop"),
            ],
            &["text:---\n", "thinking:hi", "text:yo"],
        ),
    ];
    for (bug, chunks, expected) in cases {
        assert_eq!(blocks(&told(Id::Messages, Id::Chat, &chat(&chunks))), expected, "{bug}");
    }
}

#[test]
fn ends_usage_and_failures_of_streams() {
    let usage = json!({"prompt_tokens": 7, "completion_tokens": 3});
    let places = [
        vec![delta(json!({"content": "x"})), end("stop"), json!({"choices": [], "usage": usage})],
        vec![
            json!({"choices": [], "prompt_filter_results": []}),
            json!({"choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": "stop"}], "usage": usage}),
        ],
        vec![json!({"choices": [delta(json!({"content": "x"}))], "usage": usage}), end("stop")],
    ];
    for chunks in places {
        let stream = told(Id::Messages, Id::Chat, &chat(&chunks));
        let counted = &frames(&stream).into_iter().find(|frame| frame["type"] == "message_delta").unwrap()["usage"];
        assert_eq!((&counted["input_tokens"], &counted["output_tokens"]), (&json!(7), &json!(3)), "B17, B57");
    }
    let stopped = chat(&[
        delta(json!({"content": "x"})),
        json!({"index": 0, "delta": {}, "finish_reason": "stop", "stop_reason": "END"}),
    ]);
    let stream = told(Id::Messages, Id::Chat, &stopped);
    assert!(stream.contains(r#""stop_reason":"stop_sequence","stop_sequence":"END""#), "B38: {stream}");
    let broken = chat(&[delta(json!({"content": "x"})), json!({"error": {"message": "out of memory", "code": 500}})]);
    for (from, right, wrong) in [
        (Id::Messages, "event: error\n", "message_stop"),
        (Id::Responses, "event: response.failed\n", "response.completed"),
        (Id::Chat, "data: {\"error\":{", "[DONE]"),
        (Id::Gemini, "\"error\":{\"code\":500", "finishReason"),
    ] {
        let stream = told(from, Id::Chat, &broken);
        assert!(stream.contains(right) && stream.contains("out of memory"), "B19, B76, B89 {from:?}: {stream}");
        assert!(!stream.contains(wrong), "B19 {from:?}: {stream}");
        let cut = told(from, Id::Chat, "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n");
        assert!(cut.contains("error") && !cut.contains(wrong), "an end without a reason {from:?}: {cut}");
        // Nothing at all is a valid answer.
        let empty = told(from, Id::Chat, &chat(&[end("stop")]));
        assert!(!empty.contains("error\":{"), "B46 {from:?}: {empty}");
    }
}

#[test]
fn streams_of_responses_and_gemini() {
    let chunks = chat(&[
        delta(json!({"reasoning": "why"})),
        delta(json!({"tool_calls": [call(0, Some("a"), Some("R"), "{\"x\":")]})),
        delta(json!({"tool_calls": [call(0, None, None, "1}")]})),
        end("tool_calls"),
    ]);
    let stream = told(Id::Responses, Id::Chat, &chunks);
    let events = frames(&stream);
    let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    for (at, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], at, "B77");
    }
    let find = |kind: &str| events.iter().find(|event| event["type"] == kind).unwrap_or_else(|| panic!("{kind}"));
    assert_eq!(find("response.reasoning_summary_text.delta")["summary_index"], 0, "B75");
    assert!(kinds.contains(&"response.reasoning_summary_part.added"), "B75");
    let added = events.iter().find(|event| event["item"]["type"] == "function_call").unwrap();
    assert_eq!(
        (&added["type"], &added["item"]["arguments"]),
        (&"response.output_item.added".into(), &"".into()),
        "B74"
    );
    assert_eq!(find("response.function_call_arguments.done")["arguments"], "{\"x\":1}", "B74");
    let done: Vec<&Value> = events
        .iter()
        .filter(|event| event["type"] == "response.output_item.done")
        .map(|event| &event["item"])
        .collect();
    let output = find("response.completed")["response"]["output"].as_array().unwrap();
    assert_eq!(done, output.iter().collect::<Vec<_>>(), "B74: the same items with the same ids");
    assert!(done.iter().all(|item| item["type"] != "message"), "B70: no empty message");
    assert!(done.iter().filter(|item| item["type"] == "reasoning").all(|item| item["summary"].is_array()), "B75");

    let stream = told(Id::Gemini, Id::Chat, &chunks);
    assert!(stream.lines().all(|line| line.is_empty() || line.starts_with("data: {")), "B87: {stream}");
    let mut calls: Vec<Value> = frames(&stream)
        .iter()
        .flat_map(|frame| frame["candidates"][0]["content"]["parts"].as_array().cloned().unwrap_or_default())
        .filter(|part| part["functionCall"].is_object())
        .collect();
    // The reasoning in front of it, for callers that keep no thoughts.
    assert!(calls[0].as_object_mut().unwrap().remove("thoughtSignature").is_some());
    assert_eq!(calls, [json!({"functionCall": {"id": "a", "name": "R", "args": {"x": 1}}})], "B88");
    let gemini = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"x\",\"thoughtSignature\":\"s\"},{\"functionCall\":{\"name\":\"R\",\"args\":{}}}]},\"finishReason\":\"STOP\"}]}\n\n";
    let stream = told(Id::Chat, Id::Gemini, gemini);
    assert!(stream.contains(r#""content":"x""#) && stream.contains("gt1_s"), "X08: {stream}");
    assert!(stream.contains(r#""finish_reason":"tool_calls""#), "X07: {stream}");
    assert!(
        frames(&stream).iter().all(|frame| frame["choices"].as_array().unwrap().iter().all(|c| c["index"] == 0)),
        "X05"
    );
}

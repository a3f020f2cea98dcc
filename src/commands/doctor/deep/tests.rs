//! Judgements on answers of every kind, without a gateway.

use serde_json::{Value, json};

use super::talk::{Call, Dialect, Turn};
use super::*;
use crate::client::tests::gateway;
use crate::commands::doctor::Status;

fn streamed(events: &[Value]) -> Answer {
    let events = events.iter().enumerate().map(|(at, e)| (Duration::from_millis(100 * at as u64), e.clone())).collect();
    Answer { status: 200, events, took: Duration::from_secs(1), ..Answer::default() }
}

/// A model's call, as each protocol streams it.
fn call(dialect: Dialect, city: &str) -> Answer {
    let arguments = json!({ "city": city });
    let text = arguments.to_string();
    streamed(&match dialect {
        Dialect::Messages => vec![
            json!({"type": "content_block_start", "content_block": {"type": "tool_use", "id": "t1", "name": "get_weather"}}),
            json!({"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": text[..4]}}),
            json!({"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": text[4..]}}),
        ],
        Dialect::Responses => vec![json!({"type": "response.output_item.done", "item": {
            "type": "function_call", "call_id": "t1", "name": "get_weather", "arguments": text}})],
        Dialect::Chat => vec![
            json!({"choices": [{"delta": {"tool_calls": [{"index": 0, "id": "t1", "function": {"name": "get_weather"}}]}}]}),
            json!({"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": text[..4]}}]}}]}),
            json!({"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": text[4..]}}]}}]}),
        ],
        Dialect::Gemini => vec![json!({"candidates": [{"content": {"parts": [
            {"functionCall": {"id": "t1", "name": "get_weather", "args": arguments}}]}}]})],
    })
}

fn text(dialect: Dialect, said: &str) -> Answer {
    streamed(&[match dialect {
        Dialect::Messages => json!({"type": "content_block_delta", "delta": {"type": "text_delta", "text": said}}),
        Dialect::Responses => json!({"type": "response.output_text.delta", "delta": said}),
        Dialect::Chat => json!({"choices": [{"delta": {"content": said}}]}),
        Dialect::Gemini => json!({"candidates": [{"content": {"parts": [{"text": said}]}}]}),
    }])
}

/// The round trip with these answers, and what was sent second.
fn trip(dialect: Dialect, answers: Vec<Result<Answer, String>>) -> (Finding, Option<Value>) {
    let (mut answers, mut sent) = (answers.into_iter(), Vec::new());
    let finding = tools::round_trip(dialect, "m", |body| {
        sent.push(body.clone());
        answers.next().unwrap()
    });
    (finding, sent.into_iter().nth(1))
}

#[test]
fn a_call_and_its_result_go_round_in_every_protocol() {
    for dialect in Dialect::ALL {
        let (finding, second) = trip(dialect, vec![Ok(call(dialect, "paris")), Ok(text(dialect, "It rains."))]);
        assert_eq!((finding.status, finding.code), (Status::Ok, None), "{finding:?}");
        let second = second.unwrap().to_string();
        // The call with its id, and the result under the same one.
        assert_eq!(second.matches("t1").count(), 2, "{second}");
        assert!(second.contains("18 degrees"), "{second}");
        assert!(finding.evidence[0].contains("get_weather") && finding.evidence[1].contains("It rains."));
    }
}

#[test]
fn what_goes_wrong_in_a_round_trip_has_its_code_in_every_protocol() {
    for dialect in Dialect::ALL {
        let code = |answers| trip(dialect, answers).0.code.unwrap();
        assert_eq!(code(vec![Ok(text(dialect, "It may rain, who knows."))]), "LLMUP-M012");
        assert_eq!(code(vec![Ok(text(dialect, "<tool_call>{\"name\": \"get_weather\"}</tool_call>"))]), "LLMUP-M014");
        assert_eq!(code(vec![Ok(call(dialect, "Rome"))]), "LLMUP-M013");
        assert_eq!(code(vec![Ok(call(dialect, "Paris")), Ok(call(dialect, "Paris"))]), "LLMUP-M015");
        assert_eq!(code(vec![Ok(call(dialect, "Paris")), Ok(streamed(&[]))]), "LLMUP-M015");
        assert_eq!(code(vec![Ok(streamed(&[]))]), "LLMUP-M012");
        let refused = Answer { status: 400, text: "{\"error\":{\"message\":\"no\"}}".into(), ..Answer::default() };
        assert_eq!(code(vec![Ok(refused.clone())]), "LLMUP-G009");
        assert_eq!(code(vec![Ok(call(dialect, "Paris")), Ok(refused.clone())]), "LLMUP-G009");
        assert_eq!(code(vec![Ok(Answer { status: 503, ..refused })]), "LLMUP-G010");
        assert_eq!(code(vec![Err(format!("{TIMED_OUT} within 1 s"))]), "LLMUP-G012");
        assert_eq!(code(vec![Err("connection refused".into())]), "LLMUP-G009");
        assert_eq!(code(vec![Ok(streamed(&[json!({"error": {"message": "broke off"}})]))]), "LLMUP-G009");
    }
    let thought = streamed(&[json!({"choices": [{"delta": {"reasoning_content": "hm"}}]})]);
    assert_eq!(trip(Dialect::Chat, vec![Ok(thought)]).0.code, Some("LLMUP-M017"));
}

#[test]
fn two_calls_in_one_turn_are_kept_apart() {
    let answer = streamed(&[
        json!({"choices": [{"delta": {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "x", "arguments": "{}"}}]}}]}),
        json!({"choices": [{"delta": {"tool_calls": [{"index": 1, "id": "b", "function": {"name": "y", "arguments": "{"}}]}}]}),
        json!({"choices": [{"delta": {"tool_calls": [{"index": 1, "function": {"arguments": "}"}}]}}]}),
    ]);
    let one = |id: &str, name: &str| Call { id: Some(id.into()), name: name.into(), arguments: "{}".into() };
    let expected = Turn { calls: vec![one("a", "x"), one("b", "y")], ..Turn::default() };
    assert_eq!(Dialect::Chat.read(&answer), expected);
}

#[test]
fn contexts_agree_or_are_told_each_by_name() {
    let told = |numbers: &[u64]| context::agreed(&numbers.iter().map(|n| ("x".to_owned(), *n)).collect::<Vec<_>>());
    assert_eq!(told(&[4096, 4096, 4096]).code, None);
    let finding = told(&[4096, 8192]);
    assert_eq!((finding.code, finding.evidence.len()), (Some("LLMUP-G007"), 2));
    let of = |id: &str| context::to_client(crate::client::find(id).unwrap(), &gateway(65_536));
    assert_eq!(of("claude"), Some(65_536));
    assert_eq!(of("codex"), Some(65_536));
    assert_eq!(of("gemini"), None, "it has no setting for that");
    let all: Vec<u64> =
        crate::client::CLIENTS.iter().filter_map(|client| context::to_client(*client, &gateway(65_536))).collect();
    assert!(all.len() > 4 && all.iter().all(|context| *context == 65_536), "{all:?}");
    let short = context::to_client(crate::client::find("claude").unwrap(), &gateway(16_384));
    assert_eq!(short, None, "told longer on purpose");
}

#[test]
fn the_refusal_of_a_long_prompt_tells_the_engines_own_context() {
    let code = |status, text: &str| {
        let answer = Answer { status, text: json!({"error": {"message": text}}).to_string(), ..Answer::default() };
        context::refused(Ok(answer), 4096).unwrap().code
    };
    let words =
        "This model's maximum context length is 4096 tokens. However, your prompt contains at least 9000 input tokens";
    assert_eq!(code(400, words), None);
    assert_eq!(code(400, &words.replace("4096", "2048")), Some("LLMUP-G007"));
    assert_eq!(code(400, "that is too much"), Some("LLMUP-G009"));
    assert_eq!(code(200, "fine"), Some("LLMUP-G015"));
    assert_eq!(context::refused(Err("no".into()), 4096), None);
}

#[test]
fn a_cache_hit_is_a_share_and_silence_is_no_verdict() {
    let usage = |prompt, cached| Some(cache::Usage { prompt, cached });
    let code = |warm| cache::judged(usage(1000, Some(0)), warm, [1.0, 0.1]).code;
    assert_eq!(code(usage(1020, Some(1000))), None);
    assert_eq!(code(usage(1020, Some(100))), Some("LLMUP-G008"));
    assert_eq!(code(usage(1020, None)), None);
    assert_eq!(code(None), None);
    assert_eq!(cache::judged(None, usage(0, Some(0)), [1.0, 0.1]).code, None);
}

#[test]
fn speed_is_judged_against_the_hardware_where_that_is_known() {
    let piece = json!({"choices": [{"delta": {"content": "x"}}]});
    let mut events = vec![piece; 21];
    events.push(json!({"choices": [], "usage": {"completion_tokens": 41}}));
    let flow = speed::Flow::of(&streamed(&events)).unwrap();
    assert_eq!(flow, speed::Flow { first: Duration::ZERO, speed: Some(20.0) });
    let code = |bound: Option<f64>, speed| {
        let flow = speed::Flow { first: Duration::ZERO, speed };
        speed::judged(&flow, bound.map(|bound| (bound, "a card".to_owned()))).code
    };
    assert_eq!(code(None, Some(20.0)), None);
    assert_eq!(code(Some(50.0), Some(20.0)), None);
    assert_eq!(code(Some(100.0), Some(20.0)), Some("LLMUP-M018"));
    assert_eq!(code(None, Some(3.0)), Some("LLMUP-M022"));
    assert_eq!(code(Some(100.0), None), None);
    assert_eq!(speed::Flow::of(&streamed(&[])), None);
    let held_back =
        streamed(&[json!({"choices": [{"delta": {"content": "all"}}], "usage": {"completion_tokens": 90}})]);
    assert_eq!(speed::Flow::of(&held_back).unwrap().speed, None);
}

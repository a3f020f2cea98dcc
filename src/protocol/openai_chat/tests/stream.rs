//! Chat streams become bracketed events, however they are cut.

use super::super::Chat;
use crate::protocol::event::{Block, Event};
use crate::protocol::{Outbound, Problem, ProblemKind};

/// The events as short words; deltas of one block are joined, since cuts may divide them.
fn events(parts: &[&[u8]], cut: Option<Problem>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut open = false;
    let mut add = |event: Event<'_>| match event {
        Event::Start { id } => found.push(format!("start {id}")),
        Event::BlockStart(block) => {
            assert!(!std::mem::replace(&mut open, true), "blocks overlap");
            found.push(match block {
                Block::Text => "text ".to_owned(),
                Block::Thinking => "think ".to_owned(),
                Block::ToolUse { id, name, .. } => {
                    format!("tool {} {name} ", if id.starts_with("call_") { "made" } else { &id })
                }
            });
        }
        Event::Delta(text) => {
            assert!(open, "a delta outside a block");
            found.last_mut().unwrap().push_str(&text);
        }
        Event::Signature(sealed) => {
            assert!(open, "a proof outside a block");
            found.last_mut().unwrap().push_str(&format!("<{sealed}>"));
        }
        Event::BlockEnd => assert!(std::mem::replace(&mut open, false), "no block to end"),
        Event::Finish { stop, usage } => {
            found.push(format!("{stop:?} {}/{}/{}", usage.prompt, usage.cached, usage.output))
        }
        Event::Error(problem) => found.push(format!("error {}", problem.message)),
    };
    let mut decoder = Chat.event_decoder();
    parts.iter().for_each(|part| decoder.push(part, &mut add));
    decoder.end(cut, &mut add);
    assert!(!open, "a block stayed open");
    found
}

fn stream(chunks: &[&str]) -> String {
    chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect()
}

fn delta(delta: &str) -> String {
    format!(r#"{{"id":"x","choices":[{{"delta":{delta}}}]}}"#)
}

fn decoded(deltas: &[&str], end: &[&str]) -> Vec<String> {
    let deltas: Vec<String> = deltas.iter().map(|d| delta(d)).collect();
    let chunks: Vec<&str> = deltas.iter().map(String::as_str).chain(end.iter().copied()).collect();
    let text = stream(&chunks);
    let whole = events(&[text.as_bytes()], None);
    for at in 0..text.len() {
        let (a, b) = text.as_bytes().split_at(at);
        assert_eq!(events(&[a, b], None), whole, "split at {at}");
    }
    whole
}

const STOP: &str = r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#;
const USAGE: &str =
    r#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":4}}}"#;

#[test]
fn reasoning_text_and_usage() {
    let deltas = [
        r#"{"role":"assistant","content":""}"#,
        r#"{"reasoning":"a","reasoning_content":"a"}"#,
        r#"{"reasoning_content":"b","content":"é"}"#,
        r#"{"content":"!"}"#,
    ];
    assert_eq!(decoded(&deltas, &[STOP, USAGE, "[DONE]"]), ["start x", "think ab", "text é!", "EndTurn 9/4/3"]);
}

#[test]
fn interleaved_calls_come_out_one_after_the_other() {
    let deltas = [
        r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f"}},{"index":1,"id":"b","function":{"name":"g","arguments":"{\"y\""}}]}"#,
        r#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"x\":"}}]}"#,
        r#"{"tool_calls":[{"index":1,"function":{"arguments":":2}"}}]}"#,
        r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"1}"}}]}"#,
    ];
    let expected = ["start x", r#"tool a f {"x":1}"#, r#"tool b g {"y":2}"#, "ToolUse 0/0/0"];
    assert_eq!(decoded(&deltas, &[STOP]), expected);
}

#[test]
fn think_call_think_call_keeps_its_order() {
    let deltas = [
        r#"{"reasoning":"1"}"#,
        r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]}"#,
        r#"{"reasoning":"2"}"#,
        r#"{"tool_calls":[{"index":1,"function":{"name":"g","arguments":{"o":1}}}]}"#,
    ];
    let expected = ["start x", "think 1", "tool a f {}", "think 2", r#"tool made g {"o":1}"#, "ToolUse 0/0/0"];
    assert_eq!(decoded(&deltas, &[STOP]), expected);
}

#[test]
fn arguments_in_the_finish_chunk_count() {
    let first = r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":""}}]}"#;
    let last = r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"z\":0}"}}]},"finish_reason":"tool_calls"}]}"#;
    assert_eq!(decoded(&[first], &[last]), ["start x", r#"tool a f {"z":0}"#, "ToolUse 0/0/0"]);
}

#[test]
fn stop_reasons() {
    for (choice, expected) in [
        (r#""finish_reason":"length""#, "MaxTokens 0/0/0"),
        (r#""finish_reason":"content_filter""#, "Refusal 0/0/0"),
        (r#""finish_reason":"stop","stop_reason":"END""#, "Sequence(\"END\") 0/0/0"),
        (r#""finish_reason":"stop","stop_reason":151645"#, "EndTurn 0/0/0"),
    ] {
        let chunk = format!(r#"{{"id":"x","choices":[{{"delta":{{}},{choice}}}]}}"#);
        assert_eq!(decoded(&[], &[&chunk]), ["start x", expected]);
    }
}

#[test]
fn stop_reasons_of_more_servers() {
    for (choice, expected) in [
        (r#""finish_reason":"stop","matched_stop":"END""#, "Sequence(\"END\") 0/0/0"),
        (r#""finish_reason":"stop","matched_stop":2"#, "EndTurn 0/0/0"),
        (r#""finish_reason":"stop","stop_reason":"<|im_end|>""#, "EndTurn 0/0/0"),
        (r#""finish_reason":"tool_calls""#, "EndTurn 0/0/0"),
        (r#""finish_reason":"model_length""#, "ContextFull 0/0/0"),
        (r#""finish_reason":"abort""#, "error the engine gave up on its answer"),
        (r#""finish_reason":"""#, "error the engine's answer ended before it was complete"),
    ] {
        let chunk = format!(r#"{{"id":"x","choices":[{{"delta":{{}},{choice}}}]}}"#);
        assert_eq!(decoded(&[], &[&chunk]), ["start x", expected], "{choice}");
    }
}

#[test]
fn every_call_numbered_zero_is_a_call_of_its_own() {
    let deltas = [
        r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]}"#,
        r#"{"tool_calls":[{"index":0,"id":"b","function":{"name":"f","arguments":"{\"n\":2}"}}]}"#,
        r#"{"tool_calls":[{"index":0,"function":{"name":"g","arguments":"{\"n\":3}"}}]}"#,
    ];
    let expected = ["start x", "tool a f {}", r#"tool b f {"n":2}"#, r#"tool made g {"n":3}"#, "ToolUse 0/0/0"];
    assert_eq!(decoded(&deltas, &[STOP]), expected);
    let deltas: Vec<String> = deltas.iter().map(|delta| delta.replace(r#""index":0,"#, "")).collect();
    let deltas: Vec<&str> = deltas.iter().map(String::as_str).collect();
    assert_eq!(decoded(&deltas, &[STOP]), expected);
}

#[test]
fn an_id_per_fragment_does_not_divide_a_call() {
    let deltas = [
        r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{\"k\":"}}]}"#,
        r#"{"tool_calls":[{"index":0,"id":"b","function":{"name":"","arguments":"\"}{\""}}]}"#,
        r#"{"tool_calls":[{"index":0,"id":null,"function":{"name":null,"arguments":"}"}}]}"#,
        r#"{"content":"after"}"#,
    ];
    assert_eq!(decoded(&deltas, &[STOP]), ["start x", r#"tool a f {"k":"}{"}"#, "text after", "ToolUse 0/0/0"]);
}

#[test]
fn broken_arguments_reach_the_caller_as_they_are() {
    let deltas = [r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{\"k\": oops"}}]}"#];
    assert_eq!(decoded(&deltas, &[STOP]), ["start x", r#"tool a f {"k": oops"#, "ToolUse 0/0/0"]);
}

#[test]
fn the_first_form_of_calls_and_refusals() {
    let deltas = [r#"{"function_call":{"name":"f","arguments":"{\"a\""}}"#, r#"{"function_call":{"arguments":":1}"}}"#];
    let end = r#"{"choices":[{"delta":{},"finish_reason":"function_call"}]}"#;
    assert_eq!(decoded(&deltas, &[end]), ["start x", r#"tool made f {"a":1}"#, "ToolUse 0/0/0"]);
    let deltas = [r#"{"refusal":"I will "}"#, r#"{"refusal":"not."}"#];
    assert_eq!(decoded(&deltas, &[STOP]), ["start x", "text I will not.", "Refusal 0/0/0"]);
}

#[test]
fn usage_is_found_wherever_it_stands() {
    let stop = |more: &str| format!(r#"{{"choices":[{{"delta":{{}},"finish_reason":"stop"{more}}}]"#);
    for (end, expected) in [
        (stop(r#","usage":{"prompt_tokens":5,"completion_tokens":2,"cached_tokens":1}"#) + "}", "EndTurn 5/1/2"),
        (
            stop("") + r#","usage":{"prompt_tokens":5.0,"completion_tokens":2,"prompt_cache_hit_tokens":4}}"#,
            "EndTurn 5/4/2",
        ),
        (
            stop("") + r#","usage":{"prompt_tokens":5,"completion_tokens":2},"timings":{"cache_n":3,"prompt_n":2}}"#,
            "EndTurn 5/3/2",
        ),
        (stop("") + r#","usage":null}"#, "EndTurn 0/0/0"),
    ] {
        // Azure begins with a chunk that has no choice.
        let prelude = r#"{"id":"x","choices":[],"prompt_filter_results":[{"prompt_index":0}]}"#;
        assert_eq!(decoded(&[], &[prelude, &end]), ["start x", expected]);
    }
}

#[test]
fn openrouters_details_come_back_whole() {
    let deltas = [
        r#"{"reasoning":"Let","reasoning_details":[{"type":"reasoning.text","text":"Let","index":0,"format":"f"}]}"#,
        r#"{"reasoning":" me","reasoning_details":[{"type":"reasoning.text","text":" me","index":0}]}"#,
        r#"{"reasoning":null,"reasoning_details":[{"type":"reasoning.text","signature":"SIG","text":null,"index":0}]}"#,
        r#"{"content":"done"}"#,
        r#"{"reasoning_details":[{"type":"reasoning.encrypted","data":"E","id":"t1","index":1}]}"#,
    ];
    let list = r#"od1_[{"format":"f","index":0,"signature":"SIG","text":"Let me","type":"reasoning.text"}]"#;
    let late = r#"od1_[{"data":"E","id":"t1","index":1,"type":"reasoning.encrypted"}]"#;
    let thought = format!("think Let me<{list}>");
    let proof = format!("think <{late}>");
    assert_eq!(decoded(&deltas, &[STOP]), ["start x", &thought, "text done", &proof, "EndTurn 0/0/0"]);
    // Only a proof, before anything else.
    let hidden = [deltas[4], deltas[3]];
    assert_eq!(decoded(&hidden, &[STOP]), ["start x", &proof, "text done", "EndTurn 0/0/0"]);
}

#[test]
fn mistrals_lists_of_parts_are_words() {
    let deltas = [
        r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]}]}"#,
        r#"{"content":[{"type":"text","text":"so"}]}"#,
    ];
    assert_eq!(decoded(&deltas, &[STOP]), ["start x", "think hm", "text so", "EndTurn 0/0/0"]);
}

/// What a backend sends that does not stream although it was asked to.
fn whole(body: &[u8], sink: &mut dyn FnMut(Event<'_>)) {
    let mut decoder = Chat.event_decoder();
    decoder.push(body, sink);
    decoder.end(None, sink);
}

#[test]
fn a_whole_answer_gives_the_same_events() {
    let body = r#"{"id":"w","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant",
        "content":"hi","reasoning":"hm","tool_calls":[
        {"id":"","type":"function","function":{"name":"f","arguments":"{}"}},
        {"type":"function","function":{"name":"f","arguments":{"b":1}}}]},"finish_reason":"tool_calls",
        "stop_reason":null}],"usage":{"prompt_tokens":3,"completion_tokens":4,"prompt_tokens_details":null}}"#;
    let mut names = Vec::new();
    whole(body.as_bytes(), &mut |event| {
        names.push(match event {
            Event::Delta(text) => text.into_owned(),
            Event::BlockStart(Block::ToolUse { name, .. }) => name.into_owned(),
            Event::Finish { stop, usage } => format!("{stop:?} {}", usage.prompt),
            Event::Error(problem) => problem.message,
            _ => return,
        });
    });
    assert_eq!(names, ["hm", "hi", "f", "{}", "f", r#"{"b":1}"#, "ToolUse 3"]);
    let details = r#"[{"type":"reasoning.encrypted","data":"A"},{"type":"reasoning.encrypted","data":"B"}]"#;
    let body = format!(
        r#"{{"choices":[{{"message":{{"content":"x","reasoning_details":{details}}},"finish_reason":"stop"}}]}}"#
    );
    let mut proofs = Vec::new();
    whole(body.as_bytes(), &mut |event| {
        if let Event::Signature(sealed) = event {
            proofs.push(serde_json::from_str::<serde_json::Value>(&sealed[4..]).unwrap());
        }
    });
    assert_eq!(proofs, [serde_json::from_str::<serde_json::Value>(details).unwrap()], "entries stay apart");
    whole(b"<html>", &mut |event| assert!(matches!(event, Event::Error(_)), "{event:?}"));
}

#[test]
fn no_end_is_an_error() {
    let error = "error the engine's answer ended before it was complete";
    assert_eq!(decoded(&[r#"{"content":"a"}"#], &[]), ["start x", "text a", error]);
    assert_eq!(decoded(&[r#"{"content":"a"}"#], &["[DONE]"]), ["start x", "text a", error]);
    assert_eq!(decoded(&[], &[]), [error]);
    let cut = Some(Problem::new(ProblemKind::Upstream, "cut"));
    assert_eq!(
        events(&[stream(&[&delta(r#"{"content":"a"}"#)]).as_bytes(), b"data: {\"cho"], cut),
        ["start x", "text a", "error cut"]
    );
    let inside = r#"{"error":{"message":"out of memory","code":500}}"#;
    assert_eq!(decoded(&[r#"{"content":"a"}"#], &[inside, "[DONE]"]), ["start x", "text a", "error out of memory"]);
}

#[test]
fn recorded_streams_end_properly_however_they_are_split() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/samples/engine_api");
    let Ok(files) = std::fs::read_dir(&folder) else {
        println!("no recordings here: skipped");
        return;
    };
    let mut streams = 0;
    for file in files.flatten() {
        let text = std::fs::read_to_string(file.path()).unwrap_or_default();
        for section in
            text.split("\n=== ").filter(|s| s.contains("chat.completion.chunk") && s.contains("data: [DONE]"))
        {
            let Some(end) = section.find("data: [DONE]") else { continue };
            let Some(start) = section.find("data: {") else { continue };
            let stream = format!("{}\n\ndata: [DONE]\n\n", section[start..end].trim_end());
            let stream = stream
                .replace("\r", "")
                .lines()
                .filter(|l| l.starts_with("data: "))
                .fold(String::new(), |s, l| s + l + "\n\n");
            if stream.contains("...") || stream.contains('…') {
                continue;
            }
            let whole = events(&[stream.as_bytes()], None);
            for at in 0..stream.len() {
                let (a, b) = stream.as_bytes().split_at(at);
                assert_eq!(events(&[a, b], None).len(), whole.len(), "{}: split at {at}", file.path().display());
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
    fn any_order_of_fragments_is_bracketed(picks in proptest::collection::vec(0usize..6, 0..12)) {
        let kinds = [
            r#"{"content":"t"}"#, r#"{"reasoning":"r"}"#,
            r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{"}}]}"#,
            r#"{"tool_calls":[{"index":0,"function":{"arguments":"}"}}]}"#,
            r#"{"tool_calls":[{"index":1,"function":{"name":"g","arguments":"{}"}}]}"#,
            r#"{"tool_calls":[{"index":2,"id":"n","function":{"arguments":"x"}}]}"#,
        ];
        let deltas: Vec<String> = picks.iter().map(|at| delta(kinds[*at])).collect();
        let mut chunks: Vec<&str> = deltas.iter().map(String::as_str).collect();
        chunks.push(STOP);
        let _ = events(&[stream(&chunks).as_bytes()], None);
    }
}

#[test]
fn a_server_that_does_not_stream_is_understood() {
    let body = r#" {"id":"x","choices":[{"message":{"content":"h\u00e9"},"finish_reason":"stop"}]}"#;
    let whole = events(&[body.as_bytes()], None);
    assert_eq!(whole, ["start x", "text hé", "EndTurn 0/0/0"]);
    for at in 0..body.len() {
        let (a, b) = body.as_bytes().split_at(at);
        assert_eq!(events(&[a, b], None), whole, "split at {at}");
    }
    let error = events(&[br#"{"error":{"message":"no"}}"#], None);
    assert_eq!(error, ["error no"]);
    let cut = Some(Problem::new(ProblemKind::Upstream, "cut"));
    assert_eq!(events(&[body.as_bytes()], cut), ["error cut"]);
}

#[test]
fn one_id_for_two_calls_becomes_two() {
    let deltas = [
        r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]}"#,
        r#"{"tool_calls":[{"index":1,"id":"a","function":{"name":"f","arguments":"{}"}}]}"#,
        r#"{"tool_calls":[{"index":1,"id":"a","function":{"name":"g","arguments":"{}"}}]}"#,
    ];
    let expected = ["start x", "tool a f {}", "tool made f {}", "tool made g {}", "ToolUse 0/0/0"];
    assert_eq!(decoded(&deltas, &[STOP]), expected);
}

#[test]
fn blanks_before_the_first_line_are_nothing_however_they_come() {
    let text = format!(" \n{}", stream(&[&delta(r#"{"content":"a"}"#), STOP]));
    for at in 0..text.len() {
        let (a, b) = text.as_bytes().split_at(at);
        assert_eq!(events(&[a, b], None), ["start x", "text a", "EndTurn 0/0/0"], "split at {at}");
    }
}

use serde_json::{Value, json};

use super::events;
use crate::protocol::event::{Block, Event, Stop, Usage};
use crate::protocol::openai_responses::Responses;
use crate::protocol::{Inbound, Problem, ProblemKind};

const USAGE: Usage = Usage { prompt: 10, cached: 8, cache_write: 0, output: 5, reasoning: 2 };

fn call(name: &'static str, namespace: Option<&'static str>, freeform: bool) -> Event<'static> {
    Event::BlockStart(Block::ToolUse {
        id: "call_1".into(),
        name: name.into(),
        namespace: namespace.map(Into::into),
        freeform,
    })
}

fn finish(stop: Stop) -> Event<'static> {
    Event::Finish { stop, usage: USAGE }
}

fn encode(body: &Value, answer: &[Event<'static>]) -> Vec<Value> {
    let body = body.to_string();
    let request = Responses.decode_request(body.as_bytes()).unwrap();
    let mut encoder = Responses.stream_encoder(&request);
    let mut out = Vec::new();
    answer.iter().for_each(|event| encoder.encode(event, &mut out));
    events(&out)
}

fn whole(body: &Value, answer: &[Event<'static>]) -> Result<Value, Problem> {
    let body = body.to_string();
    let request = Responses.decode_request(body.as_bytes()).unwrap();
    let mut encoder = Responses.answer_encoder(&request);
    answer.iter().for_each(|event| encoder.add(event));
    encoder.finish().map(|body| serde_json::from_slice(&body).unwrap())
}

/// Ids differ from run to run: each becomes its prefix and a number in order of appearance.
fn named(text: &str) -> String {
    let mut known: Vec<String> = Vec::new();
    let mut out = String::new();
    let mut rest = text;
    let prefixes = ["resp_", "msg_", "rs_", "fc_", "ctc_", "tsc_", "lsh_"];
    while let Some((at, prefix)) =
        prefixes.iter().filter_map(|p| rest.find(&format!("\"{p}")).map(|at| (at, *p))).min_by_key(|(at, _)| *at)
    {
        let end = at + 1 + rest[at + 1..].find('"').unwrap();
        let id = rest[at + 1..end].to_owned();
        let number = known.iter().position(|k| *k == id).unwrap_or_else(|| {
            known.push(id);
            known.len() - 1
        });
        out.push_str(&format!("{}\"{prefix}#{number}", &rest[..at]));
        rest = &rest[end..];
    }
    out + rest
}

fn story() -> Vec<Event<'static>> {
    vec![
        Event::Start { id: "x".into() },
        Event::BlockStart(Block::Thinking),
        Event::Delta("h\u{e9}".into()),
        Event::Delta("m".into()),
        Event::BlockEnd,
        Event::BlockStart(Block::Text),
        Event::Delta("Let \"me\"".into()),
        Event::Delta(" look.".into()),
        Event::BlockEnd,
        call("read", Some("mcp__a"), false),
        Event::Delta("{\"p\":".into()),
        Event::Delta("1}".into()),
        Event::BlockEnd,
        call("apply_patch", None, true),
        Event::Delta("*** Begin".into()),
        Event::BlockEnd,
        finish(Stop::ToolUse),
    ]
}

#[test]
fn the_stream_has_every_event_in_order() {
    let body = json!({"model": "m", "input": "hi", "stream": true, "store": false});
    let found = encode(&body, &story());
    let text: Vec<String> = found[2..found.len() - 1]
        .iter()
        .map(|event| {
            let mut event = event.clone();
            event.as_object_mut().unwrap().remove("sequence_number");
            event.to_string()
        })
        .collect();
    let text = named(&text.join("\n"));
    let expected = r##"
{"type":"response.output_item.added","output_index":0,"item":{"type":"reasoning","id":"rs_#0","summary":[],"encrypted_content":null}}
{"type":"response.reasoning_summary_part.added","item_id":"rs_#0","output_index":0,"summary_index":0,"part":{"type":"summary_text","text":""}}
{"type":"response.reasoning_summary_text.delta","item_id":"rs_#0","output_index":0,"summary_index":0,"delta":"hé"}
{"type":"response.reasoning_summary_text.delta","item_id":"rs_#0","output_index":0,"summary_index":0,"delta":"m"}
{"type":"response.reasoning_summary_text.done","item_id":"rs_#0","output_index":0,"summary_index":0,"text":"hém"}
{"type":"response.reasoning_summary_part.done","item_id":"rs_#0","output_index":0,"summary_index":0,"part":{"type":"summary_text","text":"hém"}}
{"type":"response.output_item.done","output_index":0,"item":{"type":"reasoning","id":"rs_#0","summary":[{"type":"summary_text","text":"hém"}],"encrypted_content":"llmup-r1:0:hém"}}
{"type":"response.output_item.added","output_index":1,"item":{"type":"message","id":"msg_#1","status":"in_progress","role":"assistant","content":[]}}
{"type":"response.content_part.added","item_id":"msg_#1","output_index":1,"content_index":0,"part":{"type":"output_text","text":"","annotations":[],"logprobs":[]}}
{"type":"response.output_text.delta","item_id":"msg_#1","output_index":1,"content_index":0,"delta":"Let \"me\"","logprobs":[]}
{"type":"response.output_text.delta","item_id":"msg_#1","output_index":1,"content_index":0,"delta":" look.","logprobs":[]}
{"type":"response.output_text.done","item_id":"msg_#1","output_index":1,"content_index":0,"text":"Let \"me\" look.","logprobs":[]}
{"type":"response.content_part.done","item_id":"msg_#1","output_index":1,"content_index":0,"part":{"type":"output_text","text":"Let \"me\" look.","annotations":[],"logprobs":[]}}
{"type":"response.output_item.done","output_index":1,"item":{"type":"message","id":"msg_#1","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Let \"me\" look.","annotations":[],"logprobs":[]}]}}
{"type":"response.output_item.added","output_index":2,"item":{"type":"function_call","id":"fc_#2","status":"in_progress","call_id":"call_1","name":"read","namespace":"mcp__a","arguments":""}}
{"type":"response.function_call_arguments.delta","item_id":"fc_#2","output_index":2,"delta":"{\"p\":"}
{"type":"response.function_call_arguments.delta","item_id":"fc_#2","output_index":2,"delta":"1}"}
{"type":"response.function_call_arguments.done","item_id":"fc_#2","output_index":2,"name":"read","arguments":"{\"p\":1}"}
{"type":"response.output_item.done","output_index":2,"item":{"type":"function_call","id":"fc_#2","status":"completed","call_id":"call_1","name":"read","namespace":"mcp__a","arguments":"{\"p\":1}"}}
{"type":"response.output_item.added","output_index":3,"item":{"type":"custom_tool_call","id":"ctc_#3","status":"in_progress","call_id":"call_1","name":"apply_patch","input":""}}
{"type":"response.custom_tool_call_input.delta","item_id":"ctc_#3","output_index":3,"delta":"*** Begin"}
{"type":"response.custom_tool_call_input.done","item_id":"ctc_#3","output_index":3,"input":"*** Begin"}
{"type":"response.output_item.done","output_index":3,"item":{"type":"custom_tool_call","id":"ctc_#3","status":"completed","call_id":"call_1","name":"apply_patch","input":"*** Begin"}}
"##;
    let parse =
        |text: &str| -> Vec<Value> { text.trim().lines().map(|line| serde_json::from_str(line).unwrap()).collect() };
    assert_eq!(parse(&text), parse(expected), "{text}");
    assert_eq!((&found[0]["type"], &found[1]["type"]), (&"response.created".into(), &"response.in_progress".into()));
    let last = found.last().unwrap();
    assert_eq!(last["type"], "response.completed");
    let done: Vec<&Value> =
        found.iter().filter(|e| e["type"] == "response.output_item.done").map(|e| &e["item"]).collect();
    assert_eq!(last["response"]["output"].as_array().unwrap().iter().collect::<Vec<_>>(), done);
    assert_eq!(last["response"]["id"], found[0]["response"]["id"]);
    assert_eq!(
        last["response"]["usage"],
        json!({"input_tokens": 10, "input_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 0},
               "output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 2}, "total_tokens": 15})
    );
}

#[test]
fn the_whole_answer_is_what_the_stream_ends_with() {
    let body = json!({"model": "m", "input": "hi"});
    let mut streamed = encode(&body, &story()).pop().unwrap()["response"].take();
    let mut whole = whole(&body, &story()).unwrap();
    for response in [&mut streamed, &mut whole] {
        response["created_at"] = 0.into();
        response["completed_at"] = 0.into();
    }
    assert_eq!(named(&whole.to_string()), named(&streamed.to_string()));
    assert_eq!(whole["output"][0]["encrypted_content"], Value::Null, "nobody asked for it");
}

#[test]
fn a_response_has_all_keys_and_repeats_the_request() {
    let keys = [
        "id",
        "object",
        "created_at",
        "completed_at",
        "status",
        "incomplete_details",
        "model",
        "previous_response_id",
        "instructions",
        "output",
        "error",
        "tools",
        "tool_choice",
        "truncation",
        "parallel_tool_calls",
        "text",
        "top_p",
        "presence_penalty",
        "frequency_penalty",
        "top_logprobs",
        "temperature",
        "reasoning",
        "usage",
        "max_output_tokens",
        "max_tool_calls",
        "store",
        "background",
        "service_tier",
        "metadata",
        "safety_identifier",
        "prompt_cache_key",
    ];
    let answer = [Event::Start { id: "".into() }, finish(Stop::EndTurn)];
    let plain = whole(&json!({"model": "m", "input": "hi"}), &answer).unwrap();
    keys.iter().for_each(|key| assert!(plain.get(key).is_some(), "{key} in {plain}"));
    assert_eq!(plain["output"], json!([]));
    assert_eq!(plain["reasoning"], json!({"effort": null, "summary": null}));
    assert_eq!(plain["text"]["format"], json!({"type": "text"}));
    let body = json!({
        "model": "m", "input": "hi", "instructions": "be \"brief\"", "temperature": 0.5, "metadata": {"a": "b"},
        "tools": [{"type": "function", "name": "f"}, {"type": "web_search"},
                  {"type": "function", "function": {"name": "g", "parameters": {"type": "object"}, "strict": true}}],
        "tool_choice": {"type": "function", "name": "f"}, "max_output_tokens": 7, "store": false,
        "reasoning": {"effort": "low"}, "text": {"verbosity": "low"}, "previous_response_id": "resp_x",
    });
    let told = whole(&body, &answer).unwrap();
    for key in
        ["instructions", "temperature", "metadata", "tool_choice", "max_output_tokens", "store", "previous_response_id"]
    {
        assert_eq!(told[key], body[key], "{key}");
    }
    assert_eq!(
        told["tools"],
        json!([{"type": "function", "name": "f", "description": null, "parameters": null, "strict": null}, {"type": "web_search"},
               {"type": "function", "name": "g", "description": null, "parameters": {"type": "object"}, "strict": true}])
    );
    assert_eq!(told["reasoning"], json!({"effort": "low", "summary": null}));
    assert_eq!(told["text"], json!({"format": {"type": "text"}, "verbosity": "low"}));
}

#[test]
fn endings() {
    let body = json!({"model": "m", "input": "hi"});
    for (stop, status, reason) in [
        (Stop::MaxTokens, "incomplete", json!({"reason": "max_output_tokens"})),
        (Stop::Refusal, "incomplete", json!({"reason": "content_filter"})),
        (Stop::Sequence("x".into()), "completed", Value::Null),
        (Stop::ContextFull, "failed", Value::Null),
    ] {
        let last = encode(&body, &[Event::Start { id: "".into() }, finish(stop)]).pop().unwrap();
        assert_eq!(last["type"], format!("response.{status}"));
        assert_eq!(last["response"]["status"], status);
        assert_eq!(last["response"]["incomplete_details"], reason);
    }
    // A failure before anything else: still a stream Codex understands.
    let problem = Problem::new(ProblemKind::RateLimited, "slow down").retry_after(3);
    let failed = encode(&body, &[Event::Error(problem.clone())]);
    assert_eq!(failed.len(), 3);
    assert_eq!(failed[2]["type"], "response.failed");
    assert_eq!(
        failed[2]["response"]["error"],
        json!({"code": "rate_limit_exceeded", "message": "slow down Please try again in 3s."})
    );
    assert_eq!(whole(&body, &[Event::Error(problem)]).unwrap_err().status(), 429);
    assert_eq!(whole(&body, &[Event::Start { id: "".into() }]).unwrap_err().status(), 502, "cut");
}

#[test]
fn nothing_empty_goes_out() {
    let answer = [
        Event::Start { id: "".into() },
        Event::BlockStart(Block::Thinking),
        Event::BlockEnd,
        Event::BlockStart(Block::Text),
        Event::Delta("".into()),
        Event::BlockEnd,
        call("now", None, false),
        Event::BlockEnd,
        finish(Stop::ToolUse),
    ];
    let found = encode(&json!({"model": "m", "input": "hi"}), &answer);
    let names: Vec<_> =
        found.iter().map(|event| event["type"].as_str().unwrap().trim_start_matches("response.")).collect();
    assert_eq!(
        names,
        [
            "created",
            "in_progress",
            "output_item.added",
            "function_call_arguments.delta",
            "function_call_arguments.done",
            "output_item.done",
            "completed"
        ]
    );
    assert_eq!(found[4]["arguments"], "{}");
}

#[test]
fn hidden_reasoning_keeps_its_proof() {
    let answer = [
        Event::Start { id: "".into() },
        Event::BlockStart(Block::Thinking),
        Event::Signature("ar1_secret".into()),
        Event::BlockEnd,
        finish(Stop::EndTurn),
    ];
    let response = whole(&json!({"model": "m", "input": "hi"}), &answer).unwrap();
    let item = &response["output"][0];
    assert_eq!((&item["summary"], &item["encrypted_content"]), (&json!([]), &"llmup-r1:10:ar1_secret".into()));
    let back = json!({"model": "m", "input": response["output"]}).to_string();
    let request = Responses.decode_request(back.as_bytes()).unwrap();
    assert!(matches!(&request.turns[0].parts[0],
        crate::protocol::ir::Part::Thinking { text, signature } if text.is_empty() && signature.as_deref() == Some("ar1_secret")));
}

#[test]
fn tools_the_client_runs_get_items_of_their_own() {
    let body = json!({"model": "m", "input": "hi", "tools": [
        {"type": "tool_search", "execution": "client", "description": "finds", "parameters": {"type": "object"}},
        {"type": "local_shell"}, {"type": "shell"}, {"type": "apply_patch"}]});
    let run = |name: &'static str, arguments: &'static str| {
        let answer = [
            Event::Start { id: "".into() },
            call(name, None, false),
            Event::Delta(arguments.into()),
            Event::BlockEnd,
            finish(Stop::ToolUse),
        ];
        let mut item = whole(&body, &answer).unwrap()["output"][0].take();
        assert!(item["id"].is_string() && item["call_id"] == "call_1" && item["status"] == "completed");
        item.as_object_mut().unwrap().retain(|key, _| !["id", "call_id", "status"].contains(&key.as_str()));
        item
    };
    assert_eq!(
        run("tool_search", r#"{"query":"x"}"#),
        json!({"type": "tool_search_call", "execution": "client", "arguments": {"query": "x"}})
    );
    assert_eq!(
        run("local_shell", r#"{"command":["ls","-l"],"timeout_ms":5}"#),
        json!({"type": "local_shell_call", "action": {"type": "exec", "command": ["ls", "-l"], "env": {}, "timeout_ms": 5}})
    );
    assert_eq!(run("local_shell", "{\"command\":\"ls\"}")["action"]["command"], json!(["bash", "-lc", "ls"]));
    assert_eq!(
        run("shell", r#"{"commands":["ls"]}"#),
        json!({"type": "shell_call", "action": {"commands": ["ls"], "timeout_ms": null, "max_output_length": null}})
    );
    assert_eq!(
        run("apply_patch", r#"{"type":"delete_file","path":"a"}"#),
        json!({"type": "apply_patch_call", "operation": {"type": "delete_file", "path": "a"}})
    );
    assert_eq!(run("elsewhere", "{}")["type"], "function_call");
}

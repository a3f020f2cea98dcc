//! The strict engine itself: it takes what is right, and names what is wrong.

use serde_json::{Value, json};

use super::prefix::conversations;
use super::{KEY, MODEL, Step, Strict, check};
use crate::support::http;

/// A request in the middle of a tool loop, without a fault.
fn right() -> Value {
    let call =
        json!({"id": "a", "type": "function", "function": {"name": "Bash", "arguments": "{\"command\":\"ls\"}"}});
    let parameters = json!({"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]});
    json!({
        "model": MODEL, "stream": true, "stream_options": {"include_usage": true}, "max_tokens": 100,
        "tools": [{"type": "function", "function": {"name": "Bash", "description": "d", "parameters": parameters}}],
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": [{"type": "text", "text": "u"}]},
            {"role": "assistant", "content": "", "reasoning_content": "r", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "a", "content": "ok"},
        ],
    })
}

#[test]
fn it_names_what_is_wrong() {
    assert_eq!(check::request(&right()), Vec::<String>::new());
    type Break = fn(&mut Value);
    let cases: &[(&str, Break)] = &[
        ("no system message", |b| drop(b["messages"].as_array_mut().unwrap().remove(0))),
        ("system messages come first", |b| {
            b["messages"].as_array_mut().unwrap().push(json!({"role": "system", "content": "more"}));
        }),
        ("no role \"developer\"", |b| b["messages"][0]["role"] = "developer".into()),
        ("two user turns", |b| {
            b["messages"].as_array_mut().unwrap().insert(1, json!({"role": "user", "content": "u"}))
        }),
        ("two assistant turns", |b| {
            b["messages"].as_array_mut().unwrap().insert(2, json!({"role": "assistant", "content": "u"}));
        }),
        ("have no result", |b| drop(b["messages"].as_array_mut().unwrap().pop())),
        ("which nobody called", |b| b["messages"][3]["tool_call_id"] = "b".into()),
        ("where the results", |b| {
            b["messages"].as_array_mut().unwrap().insert(3, json!({"role": "user", "content": "u"}));
        }),
        ("tools is empty", |b| b["tools"] = json!([])),
        ("is no function", |b| b["tools"][0]["type"] = "custom".into()),
        ("the name is not", |b| b["tools"][0]["function"]["name"] = "a.b".into()),
        ("no object schema", |b| drop(b["tools"][0]["function"].as_object_mut().unwrap().remove("parameters"))),
        ("\"STRING\" is no type", |b| {
            b["tools"][0]["function"]["parameters"]["properties"]["command"]["type"] = "STRING".into();
        }),
        ("no JSON text of an object", |b| b["messages"][2]["tool_calls"][0]["function"]["arguments"] = json!({})),
        ("no JSON text of an object", |b| b["messages"][2]["tool_calls"][0]["function"]["arguments"] = "".into()),
        ("has the part", |b| b["messages"][1]["content"] = json!([{"type": "text", "text": ""}])),
        ("has no content", |b| b["messages"][1]["content"] = json!([])),
        ("has no content", |b| b["messages"][1]["content"] = Value::Null),
        ("has \"cache_control\"", |b| b["messages"][1]["content"][0]["cache_control"] = json!({"type": "ephemeral"})),
        ("has \"thinking\"", |b| b["thinking"] = json!({"type": "adaptive"})),
        ("include_usage", |b| b["stream_options"] = Value::Null),
        ("max_tokens is", |b| b["max_tokens"] = 1_000_000.into()),
        ("is empty or taken", |b| {
            let call = b["messages"][2]["tool_calls"][0].clone();
            b["messages"][2]["tool_calls"].as_array_mut().unwrap().push(call);
        }),
        ("tool_choice", |b| b["tool_choice"] = json!({"type": "any"})),
        ("response_format", |b| b["response_format"] = json!({"type": "json_schema", "schema": {}})),
    ];
    for (expected, breaks) in cases {
        let mut body = right();
        breaks(&mut body);
        let wrong = check::request(&body);
        assert!(wrong.iter().any(|fault| fault.contains(expected)), "{expected}: {wrong:?}");
    }
}

#[test]
fn it_refuses_over_the_wire_and_calls_the_tools_in_order() {
    let folder = std::env::temp_dir();
    let engine = Strict::start(&[Step::ShellTwice], folder);
    let key = format!("Bearer {KEY}");
    let ask = |body: &Value| {
        let auth = [("authorization", key.as_str()), ("content-type", "application/json")];
        http(&engine.url, "POST", "/v1/chat/completions", &auth, &body.to_string())
    };
    let mut first = right();
    first["messages"].as_array_mut().unwrap().truncate(2);
    let (status, stream) = ask(&first);
    assert_eq!(status, 200, "{stream}");
    assert!(stream.contains(r#""finish_reason":"tool_calls""#) && stream.contains(r#""index":1"#), "{stream}");
    assert!(stream.contains(r#""choices":[],"#) && stream.ends_with("data: [DONE]\n\n"), "{stream}");
    let (status, stream) = ask(&right());
    assert_eq!(status, 200, "{stream}");
    assert!(stream.contains(r#""finish_reason":"stop""#), "{stream}");
    first["other"] = 1.into();
    assert_eq!(ask(&first).0, 400);
    assert_eq!(http(&engine.url, "POST", "/v1/messages", &[("authorization", &key)], "{}").0, 404);
    assert_eq!(http(&engine.url, "GET", "/v1/models", &[], "").0, 401);
    assert_eq!((engine.refused().len(), engine.requests().len()), (3, 3), "{:?}", engine.refused());
}

#[test]
fn a_broken_prefix_is_noticed() {
    let mut first = right();
    first["messages"].as_array_mut().unwrap().truncate(2);
    assert_eq!(conversations(&[first.clone(), right()]), Ok(vec![2]));
    let mut other = right();
    other["messages"][1]["content"] = "u".into();
    assert_eq!(conversations(&[first.clone(), other.clone()]), Ok(vec![2]), "parts or text are the same");
    other["messages"][0]["content"] = "another day".into();
    assert!(conversations(&[first, other]).unwrap_err().contains("another day"));
}

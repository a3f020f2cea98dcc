//! Requests become Messages requests that Anthropic's rules allow.

use std::borrow::Cow;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::protocol::anthropic::Messages;
use crate::protocol::ir::{
    Choice, Format, Media, MediaKind, Part, Reasoning, Request, Role, Source, Tool, ToolUse, Turn,
};
use crate::protocol::{Outbound, Target, Vendor};

const SONNET: &str = "claude-sonnet-4-20250514";

fn to(request: &Request<'_>, model: &str, vendor: Vendor) -> Value {
    let body = Messages.encode_request(request, &Target { model, vendor, context: 0 });
    serde_json::from_slice(&body).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&body)))
}

fn claude(request: &Request<'_>) -> Value {
    to(request, SONNET, Vendor::Anthropic)
}

fn user(parts: Vec<Part<'_>>) -> Turn<'_> {
    Turn { role: Role::User, parts }
}

fn assistant(parts: Vec<Part<'_>>) -> Turn<'_> {
    Turn { role: Role::Assistant, parts }
}

fn text(text: &str) -> Part<'_> {
    Part::Text(text.into())
}

fn call<'a>(id: &'a str, input: &'a str) -> Part<'a> {
    let (id, input) = (id.into(), input.into());
    Part::ToolUse(ToolUse { id, name: "Read".into(), namespace: None, input, freeform: false, signature: None })
}

fn result<'a>(id: &'a str, parts: Vec<Part<'a>>, is_error: bool) -> Part<'a> {
    Part::ToolResult { id: id.into(), parts, is_error }
}

fn thinking<'a>(text: &'a str, signature: &'a str) -> Part<'a> {
    Part::Thinking { text: text.into(), signature: (!signature.is_empty()).then_some(signature.into()) }
}

fn media(kind: MediaKind, media_type: &'static str) -> Part<'static> {
    let source = Source::Base64 { media_type: media_type.into(), data: "QQ==".into() };
    Part::Media(Media { kind, source, name: Some("n".into()), detail: None })
}

fn tool(name: &'static str, schema: &str) -> Tool<'static> {
    let schema = (!schema.is_empty()).then(|| Cow::Owned(RawValue::from_string(schema.to_owned()).unwrap()));
    Tool { name: name.into(), namespace: None, description: None, schema, strict: Some(true), freeform: None }
}

fn loop_with(proof: &'static str) -> Request<'static> {
    Request {
        turns: vec![
            user(vec![text("go")]),
            assistant(vec![thinking("hm", proof), text("so"), call("a", "{}")]),
            user(vec![result("a", vec![text("ok")], false)]),
        ],
        reasoning: Reasoning { enabled: Some(true), budget: Some(2000), ..Reasoning::default() },
        max_tokens: Some(8000),
        ..Request::default()
    }
}

#[test]
fn turns_alternate_and_results_come_first() {
    let request = Request {
        system: vec!["A".into(), " ".into(), "B".into()],
        tools: vec![tool("Read", ""), tool("Any", r#"{"properties":{}}"#)],
        turns: vec![
            assistant(vec![text("hello")]),
            user(vec![text("one")]),
            user(vec![text(""), media(MediaKind::Image, "image/png")]),
            assistant(vec![call("a:1", "{\"p\":1}"), text("after"), thinking("foreign", "gm1_x")]),
            assistant(vec![call("b", "nonsense"), call("c", "{}")]),
            user(vec![text("and"), result("b", vec![], true)]),
            user(vec![
                result("a:1", vec![text("x"), media(MediaKind::Image, "image/png")], false),
                result("zz", vec![text("lost")], false),
                media(MediaKind::Document, "application/pdf"),
                media(MediaKind::Document, "text/csv"),
            ]),
        ],
        ..Request::default()
    };
    let out = claude(&request);
    let mark = json!({"type": "ephemeral"});
    let png = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QQ=="}});
    assert_eq!(
        out["messages"],
        json!([
            {"role": "user", "content": [{"type": "text", "text": "[the conversation began earlier]"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "hello"}]},
            {"role": "user", "content": [{"type": "text", "text": "one"}, png]},
            {"role": "assistant", "content": [
                {"type": "text", "text": "after"},
                {"type": "tool_use", "id": "a_1", "name": "Read", "input": {"p": 1}},
                {"type": "tool_use", "id": "b", "name": "Read", "input": {"input": "nonsense"}},
                {"type": "tool_use", "id": "c", "name": "Read", "input": {}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "b", "content": [], "is_error": true},
                {"type": "tool_result", "tool_use_id": "a_1", "content": [{"type": "text", "text": "x"}, png]},
                {"type": "tool_result", "tool_use_id": "c", "is_error": true,
                 "content": [{"type": "text", "text": "[no result: the call was interrupted]"}]},
                {"type": "text", "text": "and"},
                {"type": "text", "text": "[tool result]"},
                {"type": "text", "text": "lost"},
                {"type": "document", "title": "n",
                 "source": {"type": "base64", "media_type": "application/pdf", "data": "QQ=="}},
                {"type": "text", "text": "[document \"n\" left out: this model cannot read it]", "cache_control": mark}]},
        ])
    );
    assert_eq!(
        out["system"],
        json!([{"type": "text", "text": "A"}, {"type": "text", "text": "B", "cache_control": mark}])
    );
    assert_eq!(
        out["tools"],
        json!([
            {"name": "Read", "input_schema": {"type": "object", "properties": {}}, "strict": true},
            {"name": "Any", "input_schema": {"type": "object", "properties": {}}, "strict": true, "cache_control": mark},
        ])
    );
    assert_eq!((&out["max_tokens"], &out["stream"]), (&32_000.into(), &true.into()));
    let mut keys: Vec<_> = out.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["max_tokens", "messages", "model", "stream", "system", "tools"]);
}

#[test]
fn a_call_at_the_end_is_answered_and_an_answer_of_foreign_reasoning_goes() {
    let request = Request {
        turns: vec![
            user(vec![text("a")]),
            assistant(vec![thinking("x", "")]),
            user(vec![text("b")]),
            assistant(vec![call("a", "")]),
        ],
        ..Request::default()
    };
    let out = claude(&request);
    assert_eq!(out["messages"].as_array().unwrap().len(), 3);
    assert_eq!(out["messages"][0]["content"].as_array().unwrap().len(), 2);
    assert_eq!(out["messages"][2]["content"][0]["tool_use_id"], "a");
}

#[test]
fn only_our_own_proofs_go_back_and_without_one_a_loop_does_not_reason() {
    let out = claude(&loop_with("am1_sig"));
    assert_eq!(out["thinking"], json!({"type": "enabled", "budget_tokens": 2000}));
    assert_eq!(out["messages"][1]["content"][0], json!({"type": "thinking", "thinking": "hm", "signature": "sig"}));
    let out = claude(&loop_with("ar1_data"));
    assert_eq!(out["messages"][1]["content"][0], json!({"type": "redacted_thinking", "data": "data"}));
    for foreign in ["", "gm1_sig", "sig"] {
        let out = claude(&loop_with(foreign));
        assert_eq!((out.get("thinking"), &out["messages"][1]["content"][0]["type"]), (None, &"text".into()));
        // The newer form has no such rule, engines take reasoning without a proof.
        let out = to(&loop_with(foreign), "claude-opus-5", Vendor::Anthropic);
        assert_eq!(out["thinking"]["type"], "adaptive");
        let out = to(&loop_with(foreign), "qwen", Vendor::LlamaCpp);
        assert_eq!(out["messages"][1]["content"][0], json!({"type": "thinking", "thinking": "hm", "signature": ""}));
        assert_eq!(out["thinking"]["type"], "enabled");
    }
}

#[test]
fn reasoning_is_asked_for_in_the_form_the_model_takes() {
    let asked = |reasoning: Reasoning<'static>, model: &str| {
        let request = Request { turns: vec![user(vec![text("x")])], reasoning, ..Request::default() };
        let out = to(&request, model, Vendor::Anthropic);
        (out["thinking"].clone(), out["output_config"]["effort"].clone())
    };
    let effort = |effort: &'static str| Reasoning { effort: Some(effort.into()), ..Reasoning::default() };
    let budget = |tokens| json!({"type": "enabled", "budget_tokens": tokens});
    let adaptive = json!({"type": "adaptive", "display": "summarized"});
    assert_eq!(asked(Reasoning::default(), SONNET), (Value::Null, Value::Null));
    assert_eq!(asked(effort("low"), SONNET), (budget(4096), Value::Null));
    assert_eq!(asked(effort("max"), SONNET), (budget(24_000), Value::Null));
    assert_eq!(asked(effort("xhigh"), "claude-opus-4-8"), (adaptive.clone(), "xhigh".into()));
    assert_eq!(asked(effort("xhigh"), "claude-opus-4-6"), (adaptive.clone(), "high".into()));
    // These answer 400 to "disabled".
    assert_eq!(asked(effort("none"), "claude-opus-5-5"), (Value::Null, "low".into()));
    assert_eq!(asked(effort("max"), "claude-opus-4-6").1, "max");
    assert_eq!(asked(effort("none"), "claude-opus-4-6").0, json!({"type": "disabled"}));
    assert_eq!(asked(effort("low"), "claude-3-5-haiku-latest").0, Value::Null);
    let both = Reasoning { enabled: Some(true), budget: Some(2000), show: Some(false), ..Reasoning::default() };
    assert_eq!(asked(both, "claude-fable-5"), (json!({"type": "adaptive", "display": "omitted"}), "low".into()));
    let off = Reasoning { enabled: Some(false), effort: Some("high".into()), ..Reasoning::default() };
    assert_eq!(asked(off, SONNET), (json!({"type": "disabled"}), Value::Null));
}

#[test]
fn a_forced_tool_wins_over_reasoning() {
    for (choice, expected) in [
        (Choice::Any, json!({"type": "any", "disable_parallel_tool_use": true})),
        (Choice::Named("Read".into()), json!({"type": "tool", "name": "Read", "disable_parallel_tool_use": true})),
        (Choice::Auto, json!({"type": "auto", "disable_parallel_tool_use": true})),
        (Choice::Unset, json!({"type": "auto", "disable_parallel_tool_use": true})),
        (Choice::None, json!({"type": "none"})),
    ] {
        let forced = matches!(choice, Choice::Any | Choice::Named(_));
        let mut request =
            Request { choice, parallel: Some(false), tools: vec![tool("Read", "{}")], ..loop_with("am1_s") };
        let out = claude(&request);
        assert_eq!(out["tool_choice"], expected);
        assert_eq!(out["thinking"]["type"], if forced { "disabled" } else { "enabled" });
        assert_eq!(out["messages"][1]["content"][0]["type"], if forced { "text" } else { "thinking" });
        request.tools.clear();
        assert_eq!(claude(&request).get("tool_choice"), None);
    }
}

#[test]
fn settings_are_carried_as_far_as_the_model_takes_them() {
    let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
    let (warm, top_p, top_k, seed) = (raw("1.7"), raw("0.9"), raw("40"), raw("7"));
    let schema = raw(r#"{"type":"object"}"#);
    let mut request = Request {
        turns: vec![user(vec![text("x")])],
        sampling: vec![("temperature", &warm), ("top_p", &top_p), ("top_k", &top_k), ("seed", &seed)],
        stop: vec!["END".into(), "\n".into()],
        user: Some("u".into()),
        format: Format::Schema { name: None, schema: Cow::Borrowed(&schema), strict: None },
        ..Request::default()
    };
    let out = claude(&request);
    let keys = ["temperature", "top_p", "top_k"];
    assert_eq!(keys.map(|key| out[key].clone()), [json!(1), json!(0.9), json!(40)]);
    assert_eq!((&out["stop_sequences"], out.get("seed")), (&json!(["END"]), None));
    assert_eq!(out["metadata"], json!({"user_id": "u"}));
    assert_eq!(out["output_config"], json!({"format": {"type": "json_schema", "schema": {"type": "object"}}}));
    let out = to(&request, "claude-haiku-4-5", Vendor::Anthropic);
    assert_eq!(keys.map(|key| out[key].clone()), [json!(1), Value::Null, json!(40)]);
    let out = to(&request, "claude-opus-5", Vendor::Anthropic);
    assert_eq!(keys.map(|key| out.get(key)), [None; 3]);
    request.format = Format::Json;
    assert!(claude(&request)["system"][0]["text"].as_str().unwrap().contains("JSON"));
}

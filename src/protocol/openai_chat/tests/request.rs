//! The IR becomes a chat request that strict servers and templates take.

use serde_json::{Value, json};

use super::super::Chat;
use crate::protocol::ir::{
    Choice, Format, Media, MediaKind, Part, Reasoning, Request, Role, Source, Tool, ToolUse, Turn,
};
use crate::protocol::{Id, Outbound, Target, Vendor};

fn text(words: &str) -> Part<'_> {
    Part::Text(words.into())
}

fn call<'a>(id: &'a str, input: &'a str) -> Part<'a> {
    Part::ToolUse(ToolUse {
        id: id.into(),
        name: "f".into(),
        namespace: None,
        input: input.into(),
        freeform: false,
        signature: None,
    })
}

fn result<'a>(id: &'a str, parts: Vec<Part<'a>>) -> Part<'a> {
    Part::ToolResult { id: id.into(), parts, is_error: false }
}

fn image() -> Part<'static> {
    let source = Source::Base64 { media_type: "image/png".into(), data: "QUJD".into() };
    Part::Media(Media { kind: MediaKind::Image, source, name: None, detail: Some("high".into()) })
}

fn user(parts: Vec<Part<'_>>) -> Turn<'_> {
    Turn { role: Role::User, parts }
}

fn model(parts: Vec<Part<'_>>) -> Turn<'_> {
    Turn { role: Role::Assistant, parts }
}

fn encoded(request: &Request<'_>, vendor: Vendor) -> Value {
    let bytes = Chat.encode_request(request, &Target { model: "m", context: 0, vendor });
    serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&bytes)))
}

fn messages(turns: Vec<Turn<'_>>) -> Value {
    encoded(&Request { turns, ..Request::default() }, Vendor::Unknown)["messages"].take()
}

#[test]
fn a_plain_request() {
    let request = Request {
        system: vec!["one".into(), "".into(), "two \"quoted\"".into()],
        turns: vec![user(vec![text("a"), text(""), text("b")]), user(vec![text("c")])],
        max_tokens: Some(9),
        stop: vec!["x".into()],
        ..Request::default()
    };
    let expected = json!({
        "model": "m", "stream": true, "stream_options": {"include_usage": true},
        "messages": [{"role": "system", "content": "one\n\ntwo \"quoted\""}, {"role": "user", "content": "a\nb\nc"}],
        "max_tokens": 9, "stop": ["x"],
    });
    assert_eq!(encoded(&request, Vendor::Unknown), expected);
    assert_eq!(encoded(&request, Vendor::OpenAi)["max_completion_tokens"], 9);
}

#[test]
fn results_follow_their_calls_wherever_they_came() {
    let turns = vec![
        user(vec![text("go")]),
        model(vec![call("a", "{}"), call("b", "{\"k\":1}"), call("lost", "")]),
        user(vec![text("by the way"), result("b", vec![text("B")])]),
        model(vec![text("hm")]),
        user(vec![result("a", vec![text("A1"), text("A2")]), result("none", vec![text("O")])]),
        model(vec![text("end")]),
        model(vec![text("ing")]),
    ];
    let function = |arguments: &str| json!({"name": "f", "arguments": arguments});
    let expected = json!([
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": "", "tool_calls": [
            {"id": "a", "type": "function", "function": function("{}")},
            {"id": "b", "type": "function", "function": function("{\"k\":1}")},
            {"id": "lost", "type": "function", "function": function("{}")},
        ]},
        {"role": "tool", "tool_call_id": "a", "content": "A1\nA2"},
        {"role": "tool", "tool_call_id": "b", "content": "B"},
        {"role": "tool", "tool_call_id": "lost", "content": "[no result: the call was interrupted]"},
        {"role": "user", "content": "by the way"},
        {"role": "assistant", "content": "hm"},
        {"role": "user", "content": "[tool result] O"},
        {"role": "assistant", "content": "end\ning"},
    ]);
    assert_eq!(messages(turns), expected);
}

#[test]
fn a_late_result_leaves_no_two_answers_in_a_row() {
    let turns = vec![
        model(vec![call("a", "{}")]),
        user(vec![text("wait")]),
        model(vec![text("x")]),
        user(vec![result("a", vec![])]),
        model(vec![text("y")]),
    ];
    let roles: Vec<String> =
        messages(turns).as_array().unwrap().iter().map(|m| m["role"].as_str().unwrap().to_owned()).collect();
    assert_eq!(roles, ["assistant", "tool", "user", "assistant"]);
}

#[test]
fn one_id_used_twice_gets_both_results() {
    let turns = vec![
        model(vec![call("a", "{}")]),
        user(vec![result("a", vec![text("1")])]),
        model(vec![call("a", "{}")]),
        user(vec![result("a", vec![text("2")])]),
    ];
    let value = messages(turns);
    assert_eq!((&value[1]["content"], &value[3]["content"]), (&json!("1"), &json!("2")));
}

#[test]
fn pictures_keep_their_place_and_those_of_results_come_behind_them() {
    let picture = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD", "detail": "high"}});
    let words = |text: &str| json!({"type": "text", "text": text});
    let value = messages(vec![user(vec![text("a"), image(), text("b")])]);
    assert_eq!(value[0]["content"], json!([words("a"), picture, words("b")]));
    let failed = Part::ToolResult { id: "b".into(), parts: vec![text("no")], is_error: true };
    let value = messages(vec![
        model(vec![call("a", "{}"), call("b", "{}")]),
        user(vec![result("a", vec![text("shot"), image()]), failed, text("look")]),
    ]);
    assert_eq!(value[1]["content"], "shot\n[image: see the next user message]");
    assert_eq!(value[2], json!({"role": "tool", "tool_call_id": "b", "content": "[tool error] no"}));
    assert_eq!(value[3], json!({"role": "user", "content": [picture, words("look")]}));
}

#[test]
fn documents_and_sounds() {
    let media = |kind, source| Part::Media(Media { kind, source, name: Some("n.pdf".into()), detail: None });
    let base64 = |kind: &'static str| Source::Base64 { media_type: kind.into(), data: "QQ==".into() };
    let parts = || {
        vec![
            media(MediaKind::Document, base64("application/pdf")),
            media(MediaKind::Audio, base64("audio/mpeg")),
            media(MediaKind::Document, Source::Url("https://h/d.pdf".into())),
            media(MediaKind::Document, Source::File("f1".into())),
        ]
    };
    let value = messages(vec![user(parts())]);
    let file = json!({"type": "file", "file": {"filename": "n.pdf", "file_data": "data:application/pdf;base64,QQ=="}});
    let expected = json!([
        file,
        {"type": "input_audio", "input_audio": {"data": "QQ==", "format": "mp3"}},
        {"type": "text", "text": "[document] https://h/d.pdf"},
        {"type": "text", "text": "[document] (file f1, not available here)"},
    ]);
    assert_eq!(value[0]["content"], expected);
    let request = Request { turns: vec![user(parts())], ..Request::default() };
    assert_eq!(encoded(&request, Vendor::OpenAi)["messages"][0]["content"][3]["file"], json!({"file_id": "f1"}));
}

#[test]
fn reasoning_goes_back_in_the_field_the_server_reads() {
    let signature = Some(r#"od1_[{"type":"reasoning.text","text":"t"}]"#.into());
    let thought = Part::Thinking { text: "t".into(), signature };
    let request = Request { turns: vec![model(vec![thought])], ..Request::default() };
    let message = |vendor| encoded(&request, vendor)["messages"][0].take();
    assert_eq!(message(Vendor::LlamaCpp), json!({"role": "assistant", "content": "", "reasoning_content": "t"}));
    let both = json!({"role": "assistant", "content": "", "reasoning": "t", "reasoning_content": "t"});
    assert_eq!(message(Vendor::Vllm), both);
    assert_eq!(message(Vendor::OpenAi), json!({"role": "assistant", "content": ""}));
    let details = json!([{"type": "reasoning.text", "text": "t"}]);
    let expected = json!({"role": "assistant", "content": "", "reasoning_details": details});
    assert_eq!(message(Vendor::OpenRouter), expected);
    for forged in ["od1_[] , \"x\":1", "od1_[{]", "gm1_[1]", "od1_[]"] {
        let thought = Part::Thinking { text: "t".into(), signature: Some(forged.into()) };
        let request = Request { turns: vec![model(vec![thought])], ..Request::default() };
        assert_eq!(encoded(&request, Vendor::OpenRouter)["messages"][0]["reasoning"], "t", "{forged}");
    }
}

#[test]
fn how_much_to_reason_in_every_vendors_words() {
    let with = |enabled, budget, effort: Option<&'static str>| Request {
        reasoning: Reasoning { enabled, budget, effort: effort.map(Into::into), show: None },
        ..Request::default()
    };
    let cases = [
        (
            Vendor::Vllm,
            with(Some(true), Some(2_000), None),
            json!({"chat_template_kwargs": {"enable_thinking": true}, "reasoning_effort": "low"}),
        ),
        (Vendor::Vllm, with(None, None, Some("xhigh")), json!({"reasoning_effort": "high"})),
        (
            Vendor::LlamaCpp,
            with(Some(false), None, Some("high")),
            json!({"chat_template_kwargs": {"enable_thinking": false}}),
        ),
        (Vendor::OpenRouter, with(Some(true), Some(2_000), None), json!({"reasoning": {"max_tokens": 2_000}})),
        (Vendor::OpenRouter, with(None, None, Some("max")), json!({"reasoning": {"effort": "xhigh"}})),
        (Vendor::OpenRouter, with(Some(false), None, None), json!({"reasoning": {"enabled": false}})),
        (Vendor::DeepSeek, with(Some(false), None, None), json!({"thinking": {"type": "disabled"}})),
        (Vendor::Ollama, with(Some(false), None, None), json!({"reasoning_effort": "none"})),
        (Vendor::OpenAi, with(None, None, Some("high")), json!({})),
        (Vendor::Unknown, with(None, None, None), json!({})),
    ];
    for (vendor, request, expected) in cases {
        let mut value = encoded(&request, vendor);
        let object = value.as_object_mut().unwrap();
        for known in ["model", "stream", "stream_options", "messages"] {
            object.remove(known);
        }
        assert_eq!(value, expected, "{vendor:?} {:?}", request.reasoning);
    }
}

fn raw(text: &str) -> &serde_json::value::RawValue {
    serde_json::from_str(text).unwrap()
}

#[test]
fn tools_choice_and_format() {
    let schema = raw("{ \"type\":\"object\" ,\"x\":1.0}");
    let tool = |name: &'static str, schema| Tool {
        name: name.into(),
        namespace: None,
        description: Some("d".into()),
        schema,
        strict: Some(true),
        freeform: None,
    };
    let request = Request {
        from: Some(Id::Messages),
        tools: vec![tool("f", Some(std::borrow::Cow::Borrowed(schema))), tool("g", None)],
        choice: Choice::Named("g".into()),
        parallel: Some(false),
        format: Format::Schema { name: None, schema: std::borrow::Cow::Borrowed(schema), strict: None },
        sampling: vec![("top_k", raw("7")), ("repetition_penalty", raw("1.1"))],
        extras: vec![("betas".into(), raw("[]"))],
        user: Some("x".repeat(100).into()),
        ..Request::default()
    };
    let value = encoded(&request, Vendor::LlamaCpp);
    assert_eq!(value["tools"][0]["function"]["parameters"], json!({"type": "object", "x": 1.0}));
    assert_eq!(value["tools"][1]["function"]["parameters"], json!({"type": "object", "properties": {}}));
    assert_eq!(value["tools"][1]["function"]["strict"], true);
    assert_eq!(value["tool_choice"], json!({"type": "function", "function": {"name": "g"}}));
    assert_eq!(value["parallel_tool_calls"], false);
    assert_eq!(value["response_format"]["json_schema"]["name"], "answer");
    assert_eq!(value["response_format"]["json_schema"]["strict"], true);
    assert_eq!((&value["top_k"], &value["repeat_penalty"]), (&json!(7), &json!(1.1)));
    assert!(value.get("betas").is_none() && value.get("user").is_none(), "{value}");
    let openai = encoded(&request, Vendor::OpenAi);
    assert!(openai.get("top_k").is_none());
    assert_eq!(openai["user"].as_str().unwrap().len(), 32);
    assert_eq!(openai["user"], openai["prompt_cache_key"]);
    let bare = Request { tools: Vec::new(), ..request };
    let value = encoded(&bare, Vendor::Unknown);
    assert!(["tools", "tool_choice", "parallel_tool_calls"].iter().all(|key| value.get(key).is_none()), "{value}");
}

#[test]
fn a_turn_begins_with_the_bytes_of_the_turn_before() {
    let turns = |more: bool| {
        let mut turns = vec![
            user(vec![text("a \u{e9}"), image()]),
            model(vec![call("c", "{\"q\": \"\\n\"}")]),
            user(vec![result("c", vec![text("r"), image()])]),
        ];
        if more {
            turns.push(model(vec![text("ok")]));
            turns.push(user(vec![text("next")]));
        }
        turns
    };
    let bytes = |more: bool| {
        let request = Request {
            system: vec!["s".into()],
            turns: turns(more),
            tools: vec![Tool {
                name: "f".into(),
                namespace: None,
                description: None,
                schema: None,
                strict: None,
                freeform: None,
            }],
            choice: if more { Choice::Any } else { Choice::Unset },
            max_tokens: Some(if more { 5 } else { 7 }),
            ..Request::default()
        };
        Chat.encode_request(&request, &Target { model: "m", context: 0, vendor: Vendor::Unknown })
    };
    let (first, second) = (String::from_utf8(bytes(false)).unwrap(), String::from_utf8(bytes(true)).unwrap());
    let messages = first.rsplit_once("],\"max_tokens\"").unwrap().0;
    assert!(second.starts_with(messages), "{first}\n{second}");
}

proptest::proptest! {
    /// Whatever the history: the first message may be a system one, every call is followed by all its results, no two
    /// messages of one role stand side by side (but results), and nothing of the results is lost.
    #[test]
    fn any_history_becomes_a_valid_one(picks in proptest::collection::vec((0usize..8, 0usize..4), 0..24)) {
        let ids = ["a", "b", "c", "d"];
        let mut turns = Vec::new();
        for (at, (kind, id)) in picks.iter().enumerate() {
            let id = ids[*id];
            turns.push(match kind {
                0 => user(vec![text("u")]),
                1 => user(vec![text(""), image()]),
                2 => user(vec![result(id, vec![text(["R0", "R1"][at % 2])])]),
                3 => user(vec![text("u"), result(id, vec![image()]), result(ids[at % 4], vec![])]),
                4 => model(vec![text("m")]),
                5 => model(vec![call(id, "{}"), call(ids[at % 4], "{}")]),
                6 => model(vec![Part::Thinking { text: "t".into(), signature: None }, call(id, "x")]),
                _ => model(vec![]),
            });
        }
        let results = picks.iter().filter(|(kind, _)| *kind == 2).count();
        let value = messages(turns);
        let list = value.as_array().unwrap();
        let said = value.to_string();
        assert_eq!(said.matches("\"R0\"").count() + said.matches("\"R1\"").count() + said.matches("[tool result] R").count(), results);
        let mut at = 0;
        while at < list.len() {
            let role = list[at]["role"].as_str().unwrap();
            assert_ne!(role, "tool", "a result without a call: {value}");
            let calls = list[at]["tool_calls"].as_array().map_or(0, Vec::len);
            for nth in 0..calls {
                assert_eq!(list[at + 1 + nth]["tool_call_id"], list[at]["tool_calls"][nth]["id"], "{value}");
            }
            at += 1 + calls;
            if let Some(next) = list.get(at).filter(|_| calls == 0) {
                assert_ne!(next["role"], role, "{value}");
            }
        }
    }
}

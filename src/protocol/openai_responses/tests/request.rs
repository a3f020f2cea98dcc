use serde_json::{Value, json};

use crate::protocol::Inbound;
use crate::protocol::ir::{Choice, Format, Framing, MediaKind, Part, Request, Role, Source};
use crate::protocol::openai_responses::{Responses, seal_summary};

fn with<T>(body: &Value, look: impl FnOnce(Request<'_>) -> T) -> T {
    let body = body.to_string();
    look(Responses.decode_request(body.as_bytes()).unwrap())
}

fn refused(body: &Value) -> String {
    let body = body.to_string();
    let problem = Responses.decode_request(body.as_bytes()).unwrap_err();
    assert_eq!(problem.status(), 400);
    problem.message
}

/// The conversation in short: a turn a line.
fn turns(request: &Request<'_>) -> Vec<String> {
    let short = |part: &Part<'_>| match part {
        Part::Text(text) => text.to_string(),
        Part::Thinking { text, .. } => format!("<{text}>"),
        Part::ToolUse(call) => {
            let group = call.namespace.as_deref().map(|group| format!("{group}/")).unwrap_or_default();
            let kind = if call.freeform { "~" } else { "" };
            format!("{kind}{group}{}:{}={}", call.name, call.id, call.input)
        }
        Part::ToolResult { id, parts, is_error } => {
            let texts: Vec<_> = parts
                .iter()
                .map(|part| match part {
                    Part::Text(text) => text.as_ref(),
                    _ => "media",
                })
                .collect();
            format!("{id}->{}{}", if *is_error { "!" } else { "" }, texts.join("+"))
        }
        Part::Media(_) => "media".to_owned(),
    };
    let line = |role: Role, parts: &[Part<'_>]| {
        let who = if role == Role::User { "u" } else { "a" };
        format!("{who}: {}", parts.iter().map(short).collect::<Vec<_>>().join(" | "))
    };
    request.turns.iter().map(|turn| line(turn.role, &turn.parts)).collect()
}

fn input(items: Value) -> (Vec<String>, Vec<String>, Vec<String>) {
    with(&json!({"model": "m", "input": items}), |request| {
        let system = request.system.iter().map(|text| text.to_string()).collect();
        (system, turns(&request), request.dropped)
    })
}

fn say(role: &str, text: &str) -> Value {
    json!({"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]})
}

fn fc(id: &str) -> Value {
    json!({"type": "function_call", "call_id": id, "name": "f", "arguments": "{}"})
}

fn out(id: &str, text: &str) -> Value {
    json!({"type": "function_call_output", "call_id": id, "output": text})
}

#[test]
fn a_codex_request_is_read() {
    let body = json!({
        "model": "local", "stream": true, "store": false, "tool_choice": "auto", "parallel_tool_calls": true,
        "reasoning": {"summary": "auto"}, "include": ["reasoning.encrypted_content"], "prompt_cache_key": "thread",
        "client_metadata": {"x": 1},
        "input": [
            {"type": "message", "id": "m1", "role": "developer", "content": [{"type": "input_text", "text": "base"}]},
            say("developer", "skills"), say("user", "where"), say("user", "do it"),
            {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "short"}], "encrypted_content": "llmup-r1:0:all of it"},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "ok", "annotations": []}]},
            {"type": "function_call", "status": "completed", "id": "fc", "call_id": "c1", "name": "close", "namespace": "agents", "arguments": "{\"a\":1}"},
            {"type": "custom_tool_call", "call_id": "c2", "name": "apply_patch", "input": "*** Begin"},
            out("c1", "closed"),
            {"type": "custom_tool_call_output", "call_id": "c2", "output": "Done"},
            say("user", "go on"),
        ],
        "tools": [
            {"type": "function", "name": "exec", "description": "runs", "strict": false, "parameters": {"type": "object"}},
            {"type": "namespace", "name": "agents", "description": "workers", "tools": [
                {"type": "function", "name": "close", "description": "ends", "parameters": {"type": "object"}},
                {"type": "function", "name": "open"}]},
            {"type": "web_search", "external_web_access": true},
            {"type": "custom", "name": "apply_patch", "format": {"type": "grammar", "syntax": "lark", "definition": "x"}},
        ],
    });
    with(&body, |request| {
        assert_eq!((request.model.as_ref(), request.framing), ("local", Framing::Events));
        assert_eq!(request.system, ["base", "skills"]);
        assert_eq!(
            turns(&request),
            [
                "u: where | do it",
                "a: <all of it> | ok | agents/close:c1={\"a\":1} | ~apply_patch:c2=*** Begin",
                "u: c1->closed | c2->Done | go on"
            ]
        );
        let tools: Vec<_> =
            request.tools.iter().map(|t| (t.namespace.as_deref(), t.name.as_ref(), t.freeform.is_some())).collect();
        assert_eq!(
            tools,
            [
                (None, "exec", false),
                (Some("agents"), "close", false),
                (Some("agents"), "open", false),
                (None, "apply_patch", true)
            ]
        );
        assert_eq!(request.tools[1].description.as_deref(), Some("[agents: workers]\nends"));
        assert_eq!(request.tools[0].strict, Some(false));
        assert_eq!(request.dropped, ["tool web_search"]);
        assert_eq!(
            (request.choice, request.parallel, request.cache_key.as_deref()),
            (Choice::Auto, Some(true), Some("thread"))
        );
        assert_eq!(request.reasoning.show, Some(true));
    });
}

#[test]
fn outputs_follow_their_calls_whatever_stands_between() {
    let (_, turns, _) =
        input(json!([fc("a"), fc("b"), say("user", "wait"), out("b", "2"), say("developer", "mode"), out("a", "1")]));
    assert_eq!(turns, ["a: f:a={} | f:b={}", "u: a->1 | b->2 | wait | mode"]);
    // A call that was never answered, and an answer nobody asked for.
    let (_, turns, _) = input(json!([say("user", "x"), fc("a"), say("user", "y"), out("z", "?")]));
    assert_eq!(turns, ["u: x", "a: f:a={}", "u: y | z->?"]);
    // The same id twice: each call gets the output behind it.
    let (_, turns, _) = input(json!([fc("a"), out("a", "1"), fc("a"), out("a", "2")]));
    assert_eq!(turns, ["a: f:a={}", "u: a->1", "a: f:a={}", "u: a->2"]);
    let (_, turns, _) = input(json!([fc("a"), out("a", "1"), say("assistant", "mid"), fc("b"), out("b", "2")]));
    assert_eq!(turns, ["a: f:a={}", "u: a->1", "a: mid | f:b={}", "u: b->2"]);
}

#[test]
fn system_texts_stay_at_the_head_or_in_place() {
    let body = json!({"model": "m", "instructions": "one", "input": [say("system", "two"), say("user", "q"), say("developer", "late")]});
    with(&body, |request| {
        assert_eq!(request.system, ["one", "two"]);
        assert_eq!(turns(&request), ["u: q | late"]);
    });
    with(&json!({"model": "m", "input": "just text"}), |request| assert_eq!(turns(&request), ["u: just text"]));
    with(&json!({"model": "m"}), |request| assert!(request.turns.is_empty()));
    let (_, turns, _) = input(json!([{"role": "user", "content": "short form"}]));
    assert_eq!(turns, ["u: short form"]);
}

#[test]
fn unknown_items_are_dropped_by_name() {
    let (_, turns, dropped) = input(json!([
        {"type": "web_search_call", "id": "ws", "status": "completed", "action": {"type": "search"}},
        {"type": "item_reference", "id": "x"}, {"type": "made_up_in_2027", "name": 5}, {"type": "compaction_trigger"},
        {"type": "reasoning", "summary": [], "encrypted_content": "gAAAA"}, say("user", "hi")]));
    assert_eq!(turns, ["u: hi"]);
    assert_eq!(
        dropped,
        ["item made_up_in_2027", "item web_search_call", "item item_reference", "item compaction_trigger"]
    );
    refused(&json!({"model": "m", "input": [{"content": "x"}]}));
    refused(&json!({"model": "m", "input": [{"type": "message", "role": "wizard", "content": "x"}]}));
    refused(&json!({"model": "m", "input": 5}));
}

#[test]
fn older_and_other_calls_are_history_too() {
    let (_, turns, dropped) = input(json!([
        {"type": "local_shell_call", "call_id": "s", "action": {"type": "exec", "command": ["ls"]}, "status": "completed"},
        {"type": "local_shell_call_output", "id": "s", "output": "{\"output\":\"a\"}"},
        {"type": "shell_call", "call_id": "t", "action": {"commands": ["ls"]}},
        {"type": "shell_call_output", "call_id": "t", "output": [{"stdout": "a", "outcome": {"type": "exit", "exit_code": 0}}]},
        {"type": "apply_patch_call", "call_id": "p", "operation": {"type": "delete_file", "path": "a"}},
        {"type": "apply_patch_call_output", "call_id": "p", "status": "failed", "output": "no such file"},
        {"type": "function_call", "call_id": "b", "name": "f", "arguments": "not json"},
        {"type": "function_call_output", "call_id": "b", "output": [{"type": "input_text", "text": "x"}, {"type": "input_image", "image_url": "data:image/png;base64,QQ=="}]},
        {"type": "function_call", "call_id": "o", "name": "f", "arguments": {"an": "object"}},
        {"type": "function_call_output", "call_id": "o", "output": {"odd": true}},
    ]));
    assert_eq!(dropped, Vec::<String>::new());
    assert_eq!(
        turns,
        [
            r#"a: local_shell:s={"command":["ls"],"type":"exec"}"#,
            r#"u: s->{"output":"a"}"#,
            r#"a: shell:t={"commands":["ls"]}"#,
            r#"u: t->[{"outcome":{"exit_code":0,"type":"exit"},"stdout":"a"}]"#,
            r#"a: apply_patch:p={"path":"a","type":"delete_file"}"#,
            "u: p->!no such file",
            r#"a: f:b={"arguments":"not json"}"#,
            "u: b->x+media",
            r#"a: f:o={"an":"object"}"#,
            r#"u: o->{"odd":true}"#,
        ]
    );
}

#[test]
fn tools_found_on_the_way_stand_last() {
    let found = json!([{"type": "namespace", "name": "mcp__b", "tools": [{"type": "function", "name": "deep", "defer_loading": true}]},
                       {"type": "function", "name": "exec"}]);
    let body = json!({"model": "m",
        "tools": [{"type": "function", "name": "late", "defer_loading": true}, {"type": "function", "name": "exec"},
                  {"type": "tool_search", "execution": "client", "description": "finds", "parameters": {"type": "object"}},
                  {"type": "tool_search", "execution": "server"}],
        "input": [
            {"type": "additional_tools", "role": "developer", "tools": [{"type": "function", "name": "more"}]},
            say("developer", "still the head"),
            {"type": "tool_search_call", "call_id": "s", "execution": "client", "arguments": {"query": "deep"}},
            {"type": "tool_search_output", "call_id": "s", "execution": "client", "status": "completed", "tools": found}]});
    with(&body, |request| {
        let names: Vec<_> = request.tools.iter().map(|tool| tool.name.as_ref()).collect();
        assert_eq!(names, ["exec", "tool_search", "late", "more", "deep"]);
        assert_eq!(request.tools[4].namespace.as_deref(), Some("mcp__b"));
        assert_eq!(request.system, ["still the head"]);
        assert_eq!(
            turns(&request),
            [r#"a: tool_search:s={"query":"deep"}"#, "u: s->These tools are available now: exec, mcp__b__deep."]
        );
        assert_eq!(request.dropped, ["tool tool_search"]);
    });
}

#[test]
fn choices() {
    let tools = json!([{"type": "function", "name": "a"}, {"type": "custom", "name": "b"}, {"type": "local_shell"}]);
    let choose = |choice: Value| {
        with(&json!({"model": "m", "input": "x", "tools": tools, "tool_choice": choice}), |request| {
            (
                format!("{:?}", request.choice),
                request.tools.iter().map(|t| t.name.clone().into_owned()).collect::<Vec<_>>().join(","),
            )
        })
    };
    let all = "a,b,local_shell";
    assert_eq!(choose(json!("required")), ("Any".into(), all.into()));
    assert_eq!(choose(json!("none")), ("None".into(), all.into()));
    assert_eq!(choose(json!({"type": "function", "name": "a"})), ("Named(\"a\")".into(), all.into()));
    assert_eq!(choose(json!({"type": "function", "function": {"name": "a"}})), ("Named(\"a\")".into(), all.into()));
    assert_eq!(choose(json!({"type": "custom", "name": "b"})), ("Named(\"b\")".into(), all.into()));
    assert_eq!(choose(json!({"type": "local_shell"})), ("Named(\"local_shell\")".into(), all.into()));
    assert_eq!(choose(json!({"type": "web_search"})), ("Auto".into(), all.into()));
    let allowed = json!({"type": "allowed_tools", "mode": "required", "tools": [{"type": "custom", "name": "b"}, {"type": "local_shell"}]});
    assert_eq!(choose(allowed), ("Any".into(), "b,local_shell".into()));
    let none = json!({"model": "m", "input": "x", "tools": [], "tool_choice": "required"});
    with(&none, |request| assert_eq!(request.choice, Choice::Unset));
    refused(&json!({"model": "m", "input": "x", "tools": tools, "tool_choice": "perhaps"}));
}

#[test]
fn settings_are_carried() {
    let body = json!({"model": "m", "input": "x", "temperature": 0.5, "top_k": 5, "max_output_tokens": 9, "stop": "END",
        "reasoning": {"effort": "high", "summary": null},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": true}}});
    with(&body, |request| {
        let sampling: Vec<_> = request.sampling.iter().map(|(name, value)| (*name, value.get())).collect();
        assert_eq!(sampling, [("temperature", "0.5"), ("top_k", "5")]);
        assert_eq!((request.max_tokens, request.stop[0].as_ref()), (Some(9), "END"));
        assert!(matches!(request.format, Format::Schema { name: Some(name), strict: Some(true), .. } if name == "n"));
        assert_eq!((request.reasoning.effort.as_deref(), request.reasoning.show), (Some("high"), None));
    });
    with(
        &json!({"model": "m", "input": "x", "reasoning": {"effort": "none"}, "text": {"format": {"type": "json_object"}}}),
        |request| {
            assert_eq!(request.reasoning.enabled, Some(false));
            assert!(matches!(request.format, Format::Json));
        },
    );
    let nulls = json!({"model": "m", "input": "x", "temperature": null, "tools": null, "text": null, "reasoning": null,
        "tool_choice": null, "instructions": null, "stream": null, "conversation": null, "background": null, "stop": null});
    with(&nulls, |request| assert!(request.sampling.is_empty() && request.stop.is_empty()));
}

#[test]
fn what_cannot_be_kept_is_refused() {
    let message = refused(&json!({"model": "m", "input": "x", "background": true}));
    assert!(message.contains("background"), "{message}");
    let message = refused(&json!({"model": "m", "input": "x", "conversation": "c", "previous_response_id": "r"}));
    assert!(message.contains("exclude"), "{message}");
    refused(&json!({"model": "m", "input": "x", "conversation": {"id": "c"}}));
    refused(&json!({"model": "m", "input": "x", "prompt": {"id": "p"}}));
    refused(&json!({"model": "m", "input": "x", "text": {"format": {"type": "json_schema"}}}));
}

#[test]
fn media_and_files() {
    let body = json!({"model": "m", "input": [{"role": "user", "content": [
        {"type": "input_image", "image_url": "https://x/y.png", "detail": "low"},
        {"type": "input_image", "file_id": "file_1"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,QQ=="},
        {"type": "input_file", "filename": "a.txt", "file_data": "QQ=="},
        {"type": "input_file", "file_url": "https://x/y.pdf"},
        {"type": "input_audio", "input_audio": {"data": "QQ==", "format": "mp3"}},
        {"type": "unheard_of"}]}]});
    with(&body, |request| {
        let media: Vec<_> = request.turns[0]
            .parts
            .iter()
            .map(|part| match part {
                Part::Media(media) => (
                    media.kind,
                    match &media.source {
                        Source::Url(url) => url.clone().into_owned(),
                        Source::Base64 { media_type, data } => format!("{media_type}={data}"),
                        Source::File(id) => format!("#{id}"),
                    },
                ),
                other => panic!("{other:?}"),
            })
            .collect();
        let expected = [
            (MediaKind::Image, "https://x/y.png"),
            (MediaKind::Image, "#file_1"),
            (MediaKind::Document, "application/pdf=QQ=="),
            (MediaKind::Document, "text/plain=QQ=="),
            (MediaKind::Document, "https://x/y.pdf"),
            (MediaKind::Audio, "audio/mpeg=QQ=="),
        ];
        assert_eq!(media, expected.map(|(kind, text)| (kind, text.to_owned())));
        assert_eq!(request.dropped, ["part unheard_of"]);
    });
}

#[test]
fn a_compacted_conversation_is_told_as_a_summary() {
    let (_, turns, _) =
        input(json!([say("user", "q"), {"type": "compaction", "encrypted_content": seal_summary("it was so")}]));
    assert_eq!(turns, ["u: q | [Summary of the conversation so far]\nit was so"]);
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_survived(bytes: Vec<u8>) {
        let _ = Responses.decode_request(&bytes);
    }

    #[test]
    fn odd_items_are_survived(kind in "(message|function_call|function_call_output|reasoning|additional_tools|compaction|x)",
                              key in "(content|output|arguments|summary|tools|call_id|encrypted_content)",
                              value in r#"(null|1|"x"|"llmup-r1:9:é"|\[\]|\[1\]|\{\}|\[\{"type":"input_text","text":"é"\}\]|\[\{"type":"namespace","name":"n","tools":\[\{\}\]\}\])"#) {
        let body = format!(r#"{{"model":"m","input":[{{"type":"{kind}","role":"user","{key}":{value}}}]}}"#);
        let _ = Responses.decode_request(body.as_bytes());
    }
}

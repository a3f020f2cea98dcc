//! Messages requests become chat requests.

use serde_json::{Value, json};

use crate::protocol::anthropic::Messages;
use crate::protocol::ir::{Choice, Format, Part, Request, Source};
use crate::protocol::{Inbound, Outbound, Problem, Target, Vendor, openai_chat::Chat};

fn chat(body: &Value) -> Value {
    let text = body.to_string();
    let request = Messages.decode_request(text.as_bytes()).unwrap();
    serde_json::from_slice(&Chat.encode_request(&request, &Target { model: "m", vendor: Vendor::Unknown, context: 0 }))
        .unwrap()
}

#[test]
fn a_tool_loop_keeps_its_order() {
    let out = chat(&json!({
        "system": [{"type": "text", "text": "x-anthropic-billing-header: z"}, {"type": "text", "text": "A"}],
        "messages": [
            {"role": "user", "content": "go"},
            {"role": "system", "content": [{"type": "text", "text": "B", "cache_control": {"type": "ephemeral"}}]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "tool_use", "id": "a", "name": "Read", "input": {"p": 1}},
                {"type": "tool_use", "id": "b", "name": "Read", "input": {}},
                {"type": "tool_use", "id": "c", "name": "Read", "input": {}},
            ]},
            {"role": "user", "content": [
                {"type": "text", "text": "and"},
                {"type": "tool_result", "tool_use_id": "a", "is_error": true, "content": "no"},
                {"type": "tool_result", "tool_use_id": "b", "content": [
                    {"type": "text", "text": "pic"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QQ=="}},
                    {"type": "tool_reference", "tool_name": "Web"},
                ]},
                {"type": "tool_result", "tool_use_id": "zz", "content": "lost"},
            ]},
            {"role": "system", "content": "C"},
        ],
    }));
    let call = |id: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": "Read", "arguments": arguments}});
    assert_eq!(
        out["messages"],
        json!([
            {"role": "system", "content": "A\n\nB"},
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": "", "reasoning_content": "hm",
             "tool_calls": [call("a", "{\"p\":1}"), call("b", "{}"), call("c", "{}")]},
            {"role": "tool", "tool_call_id": "a", "content": "[tool error] no"},
            {"role": "tool", "tool_call_id": "b", "content": "pic\n[image: see the next user message]\nThe tool Web is available now."},
            {"role": "tool", "tool_call_id": "c", "content": "[no result: the call was interrupted]"},
            {"role": "user", "content": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ=="}},
                {"type": "text", "text": "and"},
                {"type": "text", "text": "[tool result] lost"},
                {"type": "text", "text": "C"},
            ]},
        ])
    );
}

#[test]
fn settings_and_tools_are_carried() {
    let out = chat(&json!({
        "messages": [{"role": "user", "content": "x"}], "max_tokens": 7, "temperature": 0.5, "top_k": 3,
        "stop_sequences": ["END"], "thinking": {"type": "disabled"},
        "tools": [
            {"name": "Late", "input_schema": {"type": "object"}, "defer_loading": true},
            {"type": "web_search_20250305", "name": "web_search"},
            {"name": "Now", "description": "d", "input_schema": {"type": "object"}, "strict": true},
        ],
        "tool_choice": {"type": "tool", "name": "Now", "disable_parallel_tool_use": true},
        "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": {"type": "object"}}},
    }));
    let names: Vec<_> =
        out["tools"].as_array().unwrap().iter().map(|t| t["function"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Now", "Late"]);
    assert_eq!(out["tools"][0]["function"]["strict"], true);
    assert_eq!(out["tool_choice"], json!({"type": "function", "function": {"name": "Now"}}));
    assert_eq!((&out["parallel_tool_calls"], &out["max_tokens"]), (&false.into(), &7.into()));
    assert_eq!((&out["temperature"], &out["top_k"], &out["stop"]), (&json!(0.5), &json!(3), &json!(["END"])));
    assert_eq!(out["response_format"]["json_schema"]["schema"], json!({"type": "object"}));
    assert_eq!(out["chat_template_kwargs"], json!({"enable_thinking": false}));
    assert_eq!(out.get("reasoning_effort"), None);
}

fn read(body: &Value, look: impl FnOnce(Request<'_>)) {
    let text = body.to_string();
    look(Messages.decode_request(text.as_bytes()).unwrap());
}

fn refused(body: &str) -> Problem {
    let problem = Messages.decode_request(body.as_bytes()).unwrap_err();
    assert_eq!(problem.status(), 400, "{body}");
    problem
}

/// The content of one user message, as short words.
fn user(content: Value) -> Vec<String> {
    fn word(part: &Part<'_>) -> String {
        match part {
            Part::Text(text) => text.to_string(),
            Part::Thinking { text, signature } => format!("think {text} {}", signature.as_deref().unwrap_or("-")),
            Part::Media(media) => {
                let place = match &media.source {
                    Source::Url(url) => url.to_string(),
                    Source::Base64 { media_type, data } => format!("{media_type}:{data}"),
                    Source::File(id) => format!("file {id}"),
                };
                format!("{:?} {} {place}", media.kind, media.name.as_deref().unwrap_or("-"))
            }
            Part::ToolUse(call) => format!("call {} {} {}", call.id, call.name, call.input),
            Part::ToolResult { id, parts, is_error } => {
                format!("result {id} {is_error} {:?}", parts.iter().map(word).collect::<Vec<_>>())
            }
        }
    }
    let mut words = Vec::new();
    read(&json!({"messages": [{"role": "user", "content": content}]}), |request| {
        words = request.turns.iter().flat_map(|turn| &turn.parts).map(word).collect();
        words.extend(request.dropped);
    });
    words
}

#[test]
fn no_tools_means_no_tool_keys_and_drops_are_named() {
    let body = json!({"messages": [{"role": "user", "content": [{"type": "container_upload", "file_id": "f"}]}],
        "tools": [{"type": "web_search_20250305", "name": "web_search"}], "mcp_servers": [], "speed": "fast",
        "tool_choice": {"type": "tool", "name": "web_search"}, "context_management": {"edits": []}});
    let out = chat(&body);
    assert_eq!((out.get("tools"), out.get("tool_choice")), (None, None));
    read(&body, |request| {
        let expected =
            ["member mcp_servers", "block container_upload", "tool web_search_20250305", "tool_choice web_search"];
        assert_eq!(request.dropped, expected);
        assert_eq!(request.choice, Choice::Auto);
    });
}

#[test]
fn documents_come_as_text_or_as_media() {
    let pdf = json!({"type": "base64", "media_type": "application/pdf", "data": "JVBE"});
    let found = user(json!([
        {"type": "document", "source": pdf, "title": "a.pdf", "context": "read it", "citations": {"enabled": true}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}, "title": "T"},
        {"type": "document", "source": {"type": "content", "content": [
            {"type": "text", "text": "one"},
            {"type": "image", "source": {"type": "file", "file_id": "i"}}]}},
        {"type": "document", "source": {"type": "content", "content": "plain"}, "context": "c"},
        {"type": "document", "source": {"type": "url", "url": "https://x/y.pdf"}},
        {"type": "document", "source": {"type": "file", "file_id": "f"}},
        {"type": "search_result", "title": "S", "source": "https://s", "content": [{"type": "text", "text": "hit"}]},
    ]));
    let expected = [
        "[document] read it",
        "Document a.pdf application/pdf:JVBE",
        "[document] T\nwords",
        "one",
        "Image - file i",
        "[document] c",
        "plain",
        "Document - https://x/y.pdf",
        "Document - file f",
        "[search result] S (https://s)\nhit",
    ];
    assert_eq!(found, expected);
}

#[test]
fn tool_results_hold_anything_and_missing_ids_are_made() {
    let found = user(json!([
        {"type": "tool_use", "name": "f", "input": "{\"a\":1}"},
        {"type": "tool_use", "id": "", "name": "g", "input": [1]},
        {"type": "tool_result", "content": [
            {"type": "text", "text": ""},
            {"type": "document", "source": {"type": "text", "data": "d"}},
            {"type": "image", "source": {"type": "url", "url": "data:image/gif;base64,QQ=="}},
            {"type": "search_result", "title": "S", "source": "u", "content": []},
            {"type": "browser_state"}]},
        {"type": "tool_result", "tool_use_id": null, "content": "done", "is_error": false},
        {"type": "tool_result"},
    ]));
    let expected = [
        "call toolu_1 f {\"a\":1}",
        "call toolu_2 g {}",
        "result toolu_1 false [\"d\", \"Image - image/gif:QQ==\", \"[search result] S (u)\"]",
        "result toolu_2 false [\"done\"]",
        "result toolu_0 false []",
        "input that is no object",
        "block browser_state",
    ];
    assert_eq!(found, expected);
}

#[test]
fn reasoning_and_its_proofs_are_kept() {
    let found = user(json!([
        {"type": "thinking", "thinking": "a", "signature": "am1_s"},
        {"type": "thinking", "thinking": "b", "signature": ""},
        {"type": "thinking", "thinking": "", "signature": "gm1_g"},
        {"type": "thinking", "thinking": "", "signature": "tx1_hidden words"},
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "redacted_thinking", "data": "ar1_d"},
    ]));
    let expected = ["think a am1_s", "think b -", "think  gm1_g", "think hidden words -", "think  ar1_d"];
    assert_eq!(found, expected);
}

#[test]
fn what_server_tools_found_is_read_and_the_rest_of_them_is_named() {
    let found = user(json!([
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": [
            {"type": "web_search_result", "title": "T", "url": "https://t", "encrypted_content": "xx"}]},
        {"type": "web_fetch_tool_result", "content": {"type": "web_fetch_result", "url": "https://p", "content":
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "page"}}}},
        {"type": "bash_code_execution_tool_result", "content": {"stdout": "out", "stderr": "", "return_code": 0}},
        {"type": "tool_search_tool_result", "content": {"tool_references": []}},
    ]));
    let expected = [
        "[web search result] T\nhttps://t",
        "[web fetch result] https://p\npage",
        "[bash code execution result] out",
        "block server_tool_use",
        "block tool_search_tool_result",
    ];
    assert_eq!(found, expected);
}

#[test]
fn tools_without_a_schema_get_the_one_claude_was_taught_or_go() {
    let body = json!({"messages": [
        {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "Find", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": [
            {"type": "tool_reference", "tool_name": "Zeta"}, {"type": "tool_reference", "tool_name": "Beta"}]}]}],
    "tools": [
        {"name": "Beta", "input_schema": {}, "defer_loading": true},
        {"type": "bash_20250124", "name": "bash"},
        {"name": "Placeholder", "input_schema": {}, "defer_loading": true},
        {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool", "max_characters": 9},
        {"type": "memory_20250818", "name": "memory"},
        {"type": "computer_20250124", "name": "computer", "display_width_px": 800, "display_height_px": 600},
        {"type": "computer_toolset_20260801", "name": "c"},
        {"type": "mcp_toolset", "mcp_server_name": "m"},
        {"type": "tool_search_tool_regex_20251119", "name": "t"},
        {"type": "custom", "name": "bare"},
        {"name": "Zeta", "input_schema": {}, "defer_loading": true},
    ]});
    read(&body, |request| {
        let names: Vec<_> = request.tools.iter().map(|tool| tool.name.as_ref()).collect();
        let expected =
            ["bash", "str_replace_based_edit_tool", "memory", "computer", "bare", "Placeholder", "Zeta", "Beta"];
        assert_eq!(names, expected);
        for tool in &request.tools[..4] {
            let schema: Value = serde_json::from_str(tool.schema.as_deref().unwrap().get()).unwrap();
            assert_eq!(schema["type"], "object");
        }
        assert!(request.tools[0].schema.as_deref().unwrap().get().contains("restart"));
        assert!(request.tools[3].description.as_deref().unwrap().contains("800 by 600"));
        let dropped = ["tool computer_toolset_20260801", "tool mcp_toolset", "tool tool_search_tool_regex_20251119"];
        assert_eq!(request.dropped, dropped);
    });
}

#[test]
fn what_is_said_about_reasoning_form_and_user_is_read() {
    for (thinking, expected) in [
        (json!({"type": "enabled", "budget_tokens": 2000}), (Some(true), Some(2000), None)),
        (json!({"type": "enabled", "budget_tokens": 9, "display": "omitted"}), (Some(true), Some(9), Some(false))),
        (json!({"type": "adaptive", "display": "omitted"}), (None, None, Some(false))),
        (json!({"type": "adaptive", "display": "updates"}), (None, None, Some(true))),
        (json!({"type": "disabled"}), (Some(false), None, Some(false))),
        (Value::Null, (None, None, None)),
    ] {
        read(&json!({"messages": [], "thinking": thinking}), |request| {
            let reasoning = &request.reasoning;
            assert_eq!((reasoning.enabled, reasoning.budget, reasoning.show), expected, "{thinking}");
        });
    }
    let id = json!({"device_id": "d", "session_id": "s-1"}).to_string();
    read(
        &json!({"messages": [], "metadata": {"user_id": id}, "output_format": {"type": "json_schema", "schema": {}}}),
        |r| {
            assert_eq!((r.user.as_deref(), r.cache_key.as_deref()), (Some(id.as_str()), Some("s-1")));
            assert!(matches!(r.format, Format::Schema { .. }));
        },
    );
    read(&json!({"messages": [], "metadata": {"user_id": "user_x_account__session_abc"}}), |r| {
        assert_eq!(r.cache_key.as_deref(), Some("abc"));
    });
}

#[test]
fn what_makes_no_sense_is_refused_in_clear_words() {
    let message = |content: &str| format!(r#"{{"messages":[{{"role":"user","content":{content}}}]}}"#);
    for (body, words) in [
        ("{}".to_owned(), "messages: field required"),
        (r#"{"messages":"x"}"#.to_owned(), "messages: invalid type: string \"x\", expected a sequence"),
        (r#"{"messages":[{"content":"x"}]}"#.to_owned(), "messages: missing field `role`"),
        (r#"{"messages":[{"role":"user"}]}"#.to_owned(), "messages.0.content: field required"),
        (r#"{"messages":[{"role":"robot","content":""}]}"#.to_owned(), "messages.0.role: \"robot\" is neither user"),
        (message("7"), "messages.0.content: must be a string or a list of blocks"),
        (message(r#"[{"type":"text","text":7}]"#), "messages.0.content: invalid type"),
        (message(r#"[{"type":"tool_use","id":"a"}]"#), "messages.0.content.0.name: field required"),
        (message(r#"[{"type":"image"}]"#), "messages.0.content.0.source: field required"),
        (message(r#"[{"type":"image","source":{"type":"odd"}}]"#), "an image comes as base64, url or file"),
        (message(r#"[{"type":"document","source":{"type":"base64"}}]"#), "messages.0.content.0.source: a document"),
        (r#"{"messages":[],"max_tokens":-1}"#.to_owned(), "max_tokens: must be at least 1"),
        (r#"{"messages":[],"max_tokens":0}"#.to_owned(), "max_tokens: must be at least 1"),
        (r#"{"messages":[],"temperature":"hot"}"#.to_owned(), "temperature: must be a number"),
        (r#"{"messages":[],"tools":[{"input_schema":{}}]}"#.to_owned(), "tools.0.name: field required"),
        (r#"{"messages":[],"tool_choice":{"type":"tool"}}"#.to_owned(), "tool_choice.name: field required"),
        (r#"{"messages":[],"tool_choice":{"type":"some"}}"#.to_owned(), "tool_choice.type: \"some\" is neither"),
        (
            r#"{"messages":[],"output_config":{"format":{"type":"json_schema"}}}"#.to_owned(),
            "output_config.format.schema: field required",
        ),
        (r#"{"messages":["#.to_owned(), "messages: EOF while parsing"),
        ("nonsense".to_owned(), "the request body is not JSON"),
    ] {
        let message = refused(&body).message;
        assert!(message.contains(words), "{body}: {message}");
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_survived(bytes: Vec<u8>) {
        let _ = Messages.decode_request(&bytes);
    }
}

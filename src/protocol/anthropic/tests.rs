//! Messages requests become chat requests.

use serde_json::{Value, json};

use super::Messages;
use crate::protocol::{Inbound, Outbound, Target, Vendor, openai_chat::Chat};

fn chat(body: &Value) -> Value {
    let text = body.to_string();
    let request = Messages.decode_request(text.as_bytes()).unwrap();
    serde_json::from_slice(&Chat.encode_request(&request, &Target { model: "m", vendor: Vendor::Unknown })).unwrap()
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
            {"role": "tool", "tool_call_id": "b", "content": "pic\nThe tool Web is available now."},
            {"role": "tool", "tool_call_id": "c", "content": "[no result: the call was interrupted]"},
            {"role": "user", "content": [
                {"type": "text", "text": "and"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ=="}},
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

#[test]
fn no_tools_means_no_tool_keys_and_drops_are_named() {
    let body = json!({"messages": [{"role": "user", "content": [{"type": "search_result"}]}],
        "tools": [{"type": "web_search_20250305", "name": "web_search"}], "tool_choice": {"type": "any"}});
    let out = chat(&body);
    assert_eq!((out.get("tools"), out.get("tool_choice")), (None, None));
    let text = body.to_string();
    let request = Messages.decode_request(text.as_bytes()).unwrap();
    assert_eq!(request.dropped, ["block search_result", "tool web_search_20250305"]);
}

#[test]
fn a_document_is_refused_rather_than_lost() {
    let body =
        r#"{"messages":[{"role":"user","content":[{"type":"document","source":{"type":"base64","data":"x"}}]}]}"#;
    assert_eq!(Messages.decode_request(body.as_bytes()).unwrap_err().status(), 400);
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_survived(bytes: Vec<u8>) {
        let _ = Messages.decode_request(&bytes);
    }
}

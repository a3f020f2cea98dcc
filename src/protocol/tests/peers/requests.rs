//! Requests.

use serde_json::{Value, json};

use super::{PLAIN, sent, told};
use crate::protocol::{Id, Vendor};

#[test]
fn requests_of_callers() {
    let user = json!({"role": "user", "content": "x"});
    let roles = |body: &Value| -> Vec<String> {
        body["messages"].as_array().unwrap().iter().map(|m| m["role"].as_str().unwrap().to_owned()).collect()
    };
    let responses = |input: Value, tools: Value| json!({"model": "m", "input": input, "tools": tools});
    let messages = |list: Value| json!({"model": "m", "max_tokens": 9, "messages": list});

    let f = json!({"type": "function", "name": "f", "parameters": {"type": "object"}});
    let tools = json!([f, {"type": "web_search", "search_content_types": ["text"]}, {"type": "image_generation"},
        {"type": "mcp", "server_label": "s", "server_url": "https://x.test"}, {"type": "tool_search"}, {"type": "local_shell"},
        {"type": "namespace", "name": "mcp__x", "tools": [{"type": "function", "name": "g"}]}, {"type": "of_next_year"}]);
    let body = sent(Id::Responses, Id::Chat, PLAIN, &responses(json!("x"), tools.clone()));
    let offered: Vec<&Value> = body["tools"].as_array().unwrap().iter().map(|tool| &tool["function"]["name"]).collect();
    assert_eq!(offered, ["f", "local_shell", "mcp__x__g"], "B66, B67, X11, X18");
    assert!(body["tools"].as_array().unwrap().iter().all(|tool| tool["type"] == "function"), "B66");

    let late = json!([{"role": "developer", "content": "a"}, user, {"role": "system", "content": "b"},
        {"role": "assistant", "content": "ok"}, {"role": "developer", "content": "c"}, user]);
    for (from, body) in [
        (Id::Chat, json!({"model": "m", "messages": late})),
        (Id::Messages, messages(late.clone())),
        (Id::Responses, responses(late.clone(), json!(null))),
    ] {
        let body = sent(from, Id::Chat, PLAIN, &body);
        assert_eq!(roles(&body), ["system", "user", "assistant", "user"], "B02, B54 {from:?}");
        assert!(body["messages"].to_string().matches(['a', 'b', 'c']).count() >= 3, "nothing of it is lost");
    }

    let input = json!([user, {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"}, {"role": "user", "content": "wait"},
        {"type": "function_call_output", "call_id": "1", "output": "done"}, {"type": "function_call", "call_id": "2", "name": "f", "arguments": "{}"}]);
    let body = sent(Id::Responses, Id::Chat, PLAIN, &responses(input, json!([f])));
    assert_eq!(roles(&body), ["user", "assistant", "tool", "user", "assistant", "tool"], "B63");

    let mixed = messages(
        json!([user, {"role": "assistant", "content": [{"type": "thinking", "thinking": "h", "signature": "s"},
        {"type": "tool_use", "id": "1", "name": "f", "input": {}}]}, {"role": "user", "content": [
        {"type": "text", "text": "look"}, {"type": "tool_result", "tool_use_id": "1", "content": "r"}]}]),
    );
    let body = sent(Id::Messages, Id::Chat, PLAIN, &mixed);
    assert_eq!(roles(&body), ["user", "assistant", "tool", "user"], "B11");
    assert_eq!(body["messages"][1]["reasoning_content"], "h", "B13");
    assert_eq!((&body["stream"], &body["stream_options"]["include_usage"]), (&true.into(), &true.into()), "B17");

    let thought = messages(
        json!([user, {"role": "assistant", "content": [{"type": "thinking", "thinking": "h", "signature": ""}]}, user]),
    );
    let body = sent(Id::Messages, Id::Chat, PLAIN, &thought);
    assert_eq!(
        (&body["messages"][1]["content"], &body["messages"][1]["reasoning_content"]),
        (&"".into(), &"h".into()),
        "B26"
    );

    let input = json!([user, {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "h"}], "encrypted_content": "foreign"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "ok"}]}, user]);
    let body = sent(Id::Responses, Id::Chat, PLAIN, &responses(input, json!(null)));
    assert_eq!(body["messages"][1], json!({"role": "assistant", "content": "ok", "reasoning_content": "h"}), "B65");

    let image = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QQ=="}});
    let between = messages(
        json!([{"role": "user", "content": [{"type": "text", "text": "a"}, image, {"type": "text", "text": "b"}]}]),
    );
    let body = sent(Id::Messages, Id::Chat, PLAIN, &between);
    let kinds: Vec<&Value> =
        body["messages"][0]["content"].as_array().unwrap().iter().map(|part| &part["type"]).collect();
    assert_eq!(kinds, ["text", "image_url", "text"], "B20");

    let mut odd = messages(json!([user]));
    for (key, value) in [
        ("tool_choice", json!({"type": "auto", "disable_parallel_tool_use": true})),
        ("tools", json!([{"name": "x".repeat(90), "input_schema": {"type": "object"}, "strict": true}])),
        ("context_management", json!({"edits": []})),
        ("speed", json!("fast")),
        ("output_config", json!({"format": {"type": "json_schema", "schema": {"type": "object"}}})),
    ] {
        odd[key] = value;
    }
    let body = sent(Id::Messages, Id::Chat, PLAIN, &odd);
    assert_eq!(body["parallel_tool_calls"], false, "B23");
    assert!(body.get("context_management").is_none() && body.get("speed").is_none(), "B30");
    assert_eq!(body["response_format"]["json_schema"]["schema"], json!({"type": "object"}), "B28");
    let function = &body["tools"][0]["function"];
    assert_eq!((function["name"].as_str().unwrap().len(), &function["strict"]), (64, &true.into()), "B33");

    let body = sent(
        Id::Chat,
        Id::Chat,
        PLAIN,
        &json!({"model": "m", "messages": [user], "top_k": 4, "min_p": 0.1, "max_tokens": 5,
        "chat_template_kwargs": {"a": 1}, "guided_regex": "x"}),
    );
    let kept: Vec<&Value> = ["top_k", "min_p", "max_tokens", "guided_regex"].iter().map(|key| &body[*key]).collect();
    assert_eq!(
        (kept, &body["chat_template_kwargs"]),
        (vec![&json!(4), &json!(0.1), &json!(5), &json!("x")], &json!({"a": 1})),
        "B55"
    );

    let shell = json!([user, {"type": "local_shell_call", "call_id": "1", "action": {"type": "exec", "command": ["ls"]}},
        {"type": "local_shell_call_output", "call_id": "1", "output": "a"}]);
    let body = sent(Id::Responses, Id::Chat, PLAIN, &responses(shell, json!(null)));
    assert_eq!(roles(&body), ["user", "assistant", "tool"], "B68");
    assert_eq!(body["messages"][2]["content"], "a", "B68");

    let gemini = json!({"contents": [{"role": "user", "parts": [{"text": "x"}]},
        {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"n": 1}}}, {"functionCall": {"name": "f", "args": {"n": 2}}}]},
        {"role": "user", "parts": [{"text": "and"}, {"functionResponse": {"name": "f", "response": {"output": "one"}}},
            {"functionResponse": {"name": "f", "response": {"output": "two"}}}]}],
        "tools": [{"function_declarations": [{"name": "f", "parameters": {"type": "OBJECT", "properties": {"n": {"type": "INTEGER", "nullable": true}}}}]}],
        "generation_config": {"topK": 3, "seed": 5, "presencePenalty": 0.5}});
    let body = sent(Id::Gemini, Id::Chat, PLAIN, &gemini);
    assert_eq!(roles(&body), ["user", "assistant", "tool", "tool", "user"], "B82");
    let ids: Vec<&Value> =
        body["messages"][1]["tool_calls"].as_array().unwrap().iter().map(|call| &call["id"]).collect();
    let results: Vec<(&Value, &Value)> =
        (2..4).map(|at| (&body["messages"][at]["tool_call_id"], &body["messages"][at]["content"])).collect();
    assert!(ids[0] != ids[1], "B81");
    assert_eq!(results, [(ids[0], &json!("one")), (ids[1], &json!("two"))], "B81");
    assert_eq!((&body["top_k"], &body["seed"], &body["presence_penalty"]), (&json!(3), &json!(5), &json!(0.5)), "B84");
    assert_eq!(
        body["tools"][0]["function"]["parameters"]["properties"]["n"]["type"],
        json!(["integer", "null"]),
        "B79"
    );
}

#[test]
fn requests_to_backends() {
    let user = json!({"role": "user", "content": "x"});
    let tool = json!({"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}});
    let called = |reasoning: Value| {
        json!({"model": "m", "reasoning_effort": "high", "tools": [tool], "messages": [user,
            {"role": "assistant", "content": "ok", "reasoning_content": "h", "reasoning_details": reasoning,
             "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "1", "content": "r"}]})
    };
    let old = (Vendor::Anthropic, "claude-sonnet-4-5");
    let body = sent(Id::Chat, Id::Messages, old, &called(json!(null)));
    assert!(body["thinking"]["type"] != "enabled", "X01: the loop has no reasoning of its own: {body}");
    assert!(!body.to_string().contains("\"signature\""), "X14: {body}");
    let kinds = |body: &Value| -> Vec<Value> {
        body["messages"][1]["content"].as_array().unwrap().iter().map(|block| block["type"].clone()).collect()
    };
    assert_eq!(kinds(&body), ["text", "tool_use"], "X06");
    let signed = json!([{"type": "reasoning.encrypted", "data": "am1_s", "index": 0}]);
    let body = sent(Id::Chat, Id::Messages, old, &called(signed.clone()));
    assert_eq!(
        (&body["thinking"]["type"], kinds(&body)),
        (&"enabled".into(), vec!["thinking".into(), "text".into(), "tool_use".into()]),
        "X01"
    );
    let body = sent(Id::Chat, Id::Messages, (Vendor::Anthropic, "claude-opus-4-8"), &called(signed.clone()));
    assert_eq!(
        (&body["thinking"]["type"], &body["output_config"]["effort"]),
        (&"adaptive".into(), &"high".into()),
        "X03"
    );
    let mut forced = called(signed);
    forced["tool_choice"] = json!("required");
    let body = sent(Id::Chat, Id::Messages, old, &forced);
    assert_eq!((&body["thinking"]["type"], &body["tool_choice"]["type"]), (&"disabled".into(), &"any".into()), "X04");

    let details = json!([{"type": "reasoning.encrypted", "data": "x", "format": "f", "index": 0}]);
    let body = sent(Id::Chat, Id::Chat, (Vendor::OpenRouter, "m"), &called(details.clone()));
    assert_eq!(body["messages"][1]["reasoning_details"], details, "X02");

    let plain = json!({"model": "m", "messages": [user], "reasoning_effort": "high"});
    assert_eq!(sent(Id::Chat, Id::Messages, PLAIN, &plain)["max_tokens"], 32_000);
    let claude = json!({"model": "m", "max_tokens": 50, "messages": [user], "output_config": {"effort": "high"},
        "metadata": {"user_id": "user_a_session_b"}});
    let body = sent(Id::Messages, Id::Chat, (Vendor::OpenAi, "gpt-4o"), &claude);
    assert_eq!(body.get("reasoning_effort"), None, "X16");
    assert_eq!((&body["prompt_cache_key"], &body["max_completion_tokens"]), (&"b".into(), &50.into()), "X10");
    let body = sent(Id::Messages, Id::Ollama, (Vendor::Ollama, "m"), &claude);
    assert_eq!(body["options"]["num_predict"], 50, "X12");
    let ollama = format!(
        "{}\n{}\n",
        json!({"message": {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1}}}]}, "done": false}),
        json!({"message": {"role": "assistant", "content": ""}, "done": true, "done_reason": "stop"})
    );
    let stream = told(Id::Chat, Id::Ollama, &ollama);
    assert!(stream.contains(r#""arguments":"{\"x\":1}""#), "X15: {stream}");
}

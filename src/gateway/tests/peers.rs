//! Bugs that other gateways had and that need a gateway to show: ids are those of the list, as in the protocols' own
//! tests. B48 is in `native`, `translated` and `limits` (a caller that leaves), B49 in `limits` (signs of life), B59 in
//! `siblings` (vectors), B72 in `responses` (kept responses); X13 cannot be written in safe Rust.

use serde_json::{Value, json};

use super::support::*;
use crate::gateway::{BackendState, Ready};
use crate::protocol::{Id, Vendor};

fn google(url: &str) -> BackendState {
    let ready =
        Ready { speaks: Id::Gemini, native: vec![], vendor: Vendor::Google, ..Ready::chat(url, "gemini-3-pro") };
    BackendState::from(ready)
}

fn frames(stream: &str) -> Vec<Value> {
    let data = stream.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
    data.map(|data| serde_json::from_str(data).unwrap()).collect()
}

fn sent(seen: &Seen, at: usize) -> Value {
    serde_json::from_str(&seen.requests.lock().unwrap()[at].1).unwrap()
}

/// X09: what Google's servers ran themselves comes back to them as it was, signature and all.
#[tokio::test]
async fn googles_own_tool_calls_come_back_as_they_were() {
    let own = [
        json!({"toolCall": {"id": "s", "toolType": "GOOGLE_SEARCH_WEB", "args": {"queries": ["é\n"]}}, "thoughtSignature": "AAA="}),
        json!({"toolResponse": {"id": "s", "toolType": "GOOGLE_SEARCH_WEB", "response": {"n": 1.50}}, "thoughtSignature": "BBB="}),
        json!({"functionCall": {"id": "c", "name": "Read", "args": {}}, "thoughtSignature": "CCC="}),
    ];
    let mut answer = String::new();
    for part in &own {
        answer += &format!("data: {}\n\n", json!({"candidates": [{"content": {"role": "model", "parts": [part]}}]}));
    }
    answer += "data: {\"candidates\":[{\"finishReason\":\"STOP\"}]}\n\n";
    let (url, seen) = backend(stream(&answer)).await;
    let running = gateway(google(&url)).await;
    let tools = json!([{"type": "function", "name": "Read", "parameters": {"type": "object"}}]);
    let user = json!({"role": "user", "content": "x"});
    let ask = |input: Value| {
        json!({"model": "m", "stream": true, "store": false, "tools": tools, "input": input}).to_string()
    };
    let (status, _, body) = call(&running.address, "POST", "/v1/responses", KEY, &ask(json!([user]))).await;
    assert_eq!(status, 200, "{body}");
    let mut input = vec![user];
    input.extend(frames(&body).iter().filter(|e| e["type"] == "response.output_item.done").map(|e| e["item"].clone()));
    input.push(json!({"type": "function_call_output", "call_id": "c", "output": "r"}));
    call(&running.address, "POST", "/v1/responses", KEY, &ask(input.into())).await;
    assert_eq!(sent(&seen, 1)["contents"][1]["parts"], json!(own));
}

/// X17: a function that says it is a freeform tool is one, on its way back.
#[tokio::test]
async fn codex_gets_a_freeform_call_of_a_function_that_says_it_is_freeform() {
    let arguments = json!({"input": "*** Begin Patch\n*** End Patch"}).to_string();
    let called = json!({"tool_calls": [{"index": 0, "id": "a", "type": "function",
        "function": {"name": "apply_patch", "arguments": arguments}}]});
    let answer = format!(
        "data: {}\n\ndata: {}\n\ndata: [DONE]\n\n",
        json!({"id": "i", "choices": [{"index": 0, "delta": called}]}),
        json!({"id": "i", "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})
    );
    let tool = |words: &str, member: &str| {
        json!({"type": "function", "name": "apply_patch", "description": words, "strict": false, "parameters":
            {"type": "object", "properties": {member: {"type": "string"}}, "required": [member]}})
    };
    const FREE: &str = "Edits files. This is a FREEFORM tool.";
    for (tool, free) in [
        (tool(FREE, "patch"), true),
        // A relay's own form of the same tool, and a function that only has the name.
        (tool(FREE, "input"), false),
        (tool("Edits files.", "patch"), false),
    ] {
        let (url, seen) = backend(stream(&answer)).await;
        let running = gateway(ready(&url, false)).await;
        let body = json!({"model": "m", "stream": true, "store": false, "tools": [tool], "input": "x"}).to_string();
        let (_, _, body) = call(&running.address, "POST", "/v1/responses", KEY, &body).await;
        let done = frames(&body).into_iter().find(|e| e["type"] == "response.output_item.done").unwrap();
        let item = &done["item"];
        if free {
            assert_eq!((&item["type"], &item["name"]), (&"custom_tool_call".into(), &"apply_patch".into()), "{item}");
            assert_eq!(item["input"], "*** Begin Patch\n*** End Patch");
            assert!(body.contains("response.custom_tool_call_input.delta"), "{body}");
        } else {
            assert_eq!((&item["type"], &item["arguments"]), (&"function_call".into(), &arguments.clone().into()));
        }
        let function = &sent(&seen, 0)["tools"][0]["function"];
        let members: Vec<&String> = function["parameters"]["properties"].as_object().unwrap().keys().collect();
        assert_eq!(members.len(), 1, "{function}");
    }
}

/// B35: arguments that are no JSON never become a string in `input`, and the next turn is an object again.
#[tokio::test]
async fn broken_arguments_are_an_object_or_nothing() {
    let called = json!({"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "Read", "arguments": "{\"p\": oops"}}]});
    let answer = format!(
        "data: {}\n\ndata: {}\n\ndata: [DONE]\n\n",
        json!({"id": "i", "choices": [{"index": 0, "delta": called}]}),
        json!({"id": "i", "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})
    );
    let (url, seen) = backend(stream(&answer)).await;
    let running = gateway(ready(&url, false)).await;
    let user = json!({"role": "user", "content": "x"});
    let ask = |messages: Value| json!({"model": "m", "max_tokens": 9, "messages": messages}).to_string();
    let (status, _, body) = call(&running.address, "POST", "/v1/messages", KEY, &ask(json!([user]))).await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &body["content"][0]["input"]), (200, &json!({})));
    for input in [json!("{\"p\": oops"), json!("{\"p\":1}"), json!(null), json!([1])] {
        let turn =
            json!({"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "Read", "input": input}]});
        let result = json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "r"}]});
        let (status, ..) = call(&running.address, "POST", "/v1/messages", KEY, &ask(json!([user, turn, result]))).await;
        assert_eq!(status, 200);
        let at = seen.requests.lock().unwrap().len() - 1;
        let sent = sent(&seen, at);
        let arguments = sent["messages"][1]["tool_calls"][0]["function"]["arguments"].as_str().unwrap();
        let arguments: Value = serde_json::from_str(arguments).unwrap();
        assert!(arguments.is_object(), "{input} became {arguments}");
    }
}

/// B40: a character that is split over two reads is whole, in every dialect.
#[tokio::test]
async fn characters_split_between_reads_are_whole() {
    let words = "é—漢字🦀";
    let answer = format!(
        "data: {}\n\ndata: {}\n\ndata: [DONE]\n\n",
        format_args!("{{\"id\":\"i\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{words}\"}}}}]}}"),
        json!({"id": "i", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    );
    // Each byte in a chunk of its own.
    let mut bytes =
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for byte in answer.bytes() {
        bytes.extend_from_slice(&[b'1', b'\r', b'\n', byte, b'\r', b'\n']);
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    let (url, _) = backend(Script::Say(bytes)).await;
    let running = gateway(ready(&url, false)).await;
    for (path, body) in [
        (
            "/v1/messages",
            json!({"model": "m", "max_tokens": 9, "stream": true, "messages": [{"role": "user", "content": "x"}]}),
        ),
        ("/v1/chat/completions", json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "x"}]})),
        ("/v1/responses", json!({"model": "m", "stream": true, "input": "x"})),
        ("/v1beta/models/m:streamGenerateContent?alt=sse", json!({"contents": [{"parts": [{"text": "x"}]}]})),
    ] {
        let (status, _, told) = call(&running.address, "POST", path, KEY, &body.to_string()).await;
        assert!(status == 200 && told.contains(words) && !told.contains('\u{fffd}'), "{path}: {told}");
    }
}

/// B52: an estimate counts tools, calls, results and system, not only the user's words.
#[tokio::test]
async fn everything_in_a_prompt_is_counted() {
    let (url, _) = backend(reply("404 Not Found", "text/plain", "")).await;
    let running = gateway(ready(&url, false)).await;
    let long = "word ".repeat(400);
    let plain = json!({"model": "m", "messages": [{"role": "user", "content": "x"}]});
    let mut counts = Vec::new();
    for change in ["", "system", "tools", "call", "result"] {
        let mut body = plain.clone();
        let call = |words: &str| json!({"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {"w": words}}]});
        let result = |words: &str| json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": words}]});
        let user = plain["messages"][0].clone();
        match change {
            "system" => body["system"] = long.clone().into(),
            "tools" => body["tools"] = json!([{"name": "f", "description": long, "input_schema": {"type": "object"}}]),
            "call" => body["messages"] = json!([user, call(&long), result("r")]),
            "result" => body["messages"] = json!([user, call("w"), result(&long)]),
            _ => {}
        }
        let path = "/v1/messages/count_tokens?beta=true";
        let (status, _, told) = super::support::call(&running.address, "POST", path, KEY, &body.to_string()).await;
        assert_eq!(status, 200, "{told}");
        counts.push(serde_json::from_str::<Value>(&told).unwrap()["input_tokens"].as_u64().unwrap());
    }
    assert!(counts[1..].iter().all(|count| *count > counts[0] + 400), "{counts:?}");
}

use serde_json::{Value, json};

use super::support::*;

const TOOL: &str = r#"data: {"id":"chatcmpl-1","choices":[{"delta":{"role":"assistant","content":null}}]}

data: {"choices":[{"delta":{"reasoning":"hm"}}]}

data: {"choices":[{"delta":{"content":"Let me look."}}]}

data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"Read"}}]}}]}

data: {"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"p\":"}}]}}]}

data: {"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\"é\"}"}}]}}]}

data: {"choices":[{"delta":{},"finish_reason":"tool_calls"}]}

data: {"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":8}}}

data: [DONE]

"#;

#[tokio::test]
async fn claude_code_gets_a_tool_call_from_a_chat_engine() {
    let (url, seen) = backend(stream(TOOL)).await;
    let running = gateway(ready(&url, false)).await;
    let body = json!({"model": "claude-x", "stream": true, "max_tokens": 128_000, "messages": [{"role": "user", "content": "hi"}]});
    let (status, head, answer) = call(&running.address, "POST", "/v1/messages?beta=true", KEY, &body.to_string()).await;
    assert!(status == 200 && head.contains("text/event-stream"), "{head}");
    let names: Vec<_> = answer.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    let block = ["content_block_start", "content_block_delta", "content_block_stop"];
    let mut expected = vec!["message_start"];
    expected.extend(block);
    expected.extend(block);
    expected.extend(["content_block_start", "content_block_delta", "content_block_delta", "content_block_stop"]);
    expected.extend(["message_delta", "message_stop"]);
    assert_eq!(names, expected);
    assert!(
        answer.contains(r#""stop_reason":"tool_use""#) && answer.contains(r#""cache_read_input_tokens":8"#),
        "{answer}"
    );
    assert!(answer.contains(r#""model":"claude-x""#), "the name that was asked for: {answer}");
    let sent: Value = serde_json::from_str(&seen.requests.lock().unwrap()[0].1).unwrap();
    assert_eq!(sent["model"], "engine-name");
    assert!(sent["max_tokens"].as_u64().unwrap() < 4096, "{sent}");
    assert_eq!(running.counters.read().cached_tokens, 8);
}

#[tokio::test]
async fn whole_answers_are_gathered_from_the_stream() {
    let (url, seen) = backend(stream(TOOL)).await;
    let running = gateway(ready(&url, false)).await;
    let body = r#"{"model":"c","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#;
    let (status, head, answer) = call(&running.address, "POST", "/v1/messages", KEY, body).await;
    assert!(status == 200 && head.contains("application/json"), "{head}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(
        answer["content"],
        json!([
            {"type": "thinking", "thinking": "hm", "signature": ""},
            {"type": "text", "text": "Let me look."},
            {"type": "tool_use", "id": "a", "name": "Read", "input": {"p": "é"}},
        ])
    );
    assert_eq!((&answer["stop_reason"], &answer["usage"]["input_tokens"]), (&"tool_use".into(), &2.into()));
    let sent: Value = serde_json::from_str(&seen.requests.lock().unwrap()[0].1).unwrap();
    assert_eq!(sent["stream"], true);
}

#[tokio::test]
async fn a_cut_answer_is_an_error_in_both_forms() {
    let half = &TOOL[..TOOL.find("finish_reason").unwrap() - 40];
    for whole in [true, false] {
        let (url, _) = backend(Script::Say(stream_bytes(half, whole))).await;
        let running = gateway(ready(&url, false)).await;
        let (_, _, body) =
            call(&running.address, "POST", "/v1/messages", KEY, r#"{"stream":true,"messages":[]}"#).await;
        assert!(body.contains("event: error") && !body.contains("message_stop"), "{body}");
        let (status, _, body) = call(&running.address, "POST", "/v1/messages", KEY, r#"{"messages":[]}"#).await;
        assert!(status == 502 && body.contains("api_error"), "{body}");
    }
}

#[tokio::test]
async fn leaving_cancels_translated_requests_too() {
    for body in [r#"{"stream":true,"messages":[]}"#, r#"{"messages":[]}"#] {
        let (url, seen) = backend(Script::Hang(stream_bytes(&TOOL[..100], false))).await;
        let running = gateway(ready(&url, false)).await;
        let socket = open(&running.address, "POST", "/v1/messages", KEY, body).await;
        until("the request arrives", || seen.requests.lock().unwrap().len() == 1).await;
        drop(socket);
        until("upstream dropped", || *seen.left.lock().unwrap() == 1).await;
        until("nothing in flight", || running.counters.read().in_flight == 0).await;
    }
}

#[tokio::test]
async fn counting_is_asked_of_the_engine_or_marked_as_an_estimate() {
    let body = r#"{"messages":[{"role":"user","content":"hello"}]}"#;
    let path = "/v1/messages/count_tokens?beta=true";
    let (url, _) = backend(reply("200 OK", "application/json", r#"{"input_tokens":12}"#)).await;
    let running = gateway(ready(&url, true)).await;
    let (_, head, answer) = call(&running.address, "POST", path, KEY, body).await;
    assert_eq!(answer, r#"{"input_tokens":12}"#);
    assert!(!head.contains("llmup-estimate"));
    // One answer for both steps of llama.cpp's way.
    let (url, seen) = backend(reply("200 OK", "application/json", r#"{"prompt":"p","tokens":[1,2,3]}"#)).await;
    let running = gateway(ready(&url, false)).await;
    assert_eq!(call(&running.address, "POST", path, KEY, body).await.2, r#"{"input_tokens":3}"#);
    assert_eq!(seen.requests.lock().unwrap().len(), 2);
    let (url, _) = backend(reply("404 Not Found", "text/plain", "")).await;
    for native in [true, false] {
        let running = gateway(ready(&url, native)).await;
        let (status, head, answer) = call(&running.address, "POST", path, KEY, body).await;
        assert!(status == 200 && head.contains("llmup-estimate: true"), "{head} {answer}");
    }
}

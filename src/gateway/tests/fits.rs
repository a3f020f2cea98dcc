//! What does not fit the model: limits beyond the context, and parts it cannot read.

use serde_json::{Value, json};

use super::support::*;
use crate::gateway::{BackendState, Ready};
use crate::protocol::Id;
use crate::protocol::accepts::{Accepts, Otherwise};

const OK: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","model":"engine-name","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}"#;

/// A refusal, then an answer.
fn refusing_once(refusal: &str) -> Vec<Script> {
    vec![reply("400 Bad Request", "application/json", refusal), reply("200 OK", "application/json", OK)]
}

fn asked(seen: &Seen) -> Vec<Value> {
    seen.requests.lock().unwrap().iter().map(|(_, body)| serde_json::from_str(body).unwrap()).collect()
}

#[tokio::test]
async fn a_limit_that_does_not_fit_beside_the_prompt_is_lowered_once() {
    let refusal = r#"{"error":{"message":"This model's maximum context length is 4096 tokens. However, you requested 4500 tokens (500 in the messages, 4000 in the completion).","code":400}}"#;
    for (path, native) in [("/v1/chat/completions", true), ("/v1/messages", false)] {
        let (url, seen) = backend_in_turn(refusing_once(refusal)).await;
        let running = gateway(ready(&url, native)).await;
        let body =
            json!({"model": "m", "max_tokens": 4000, "messages": [{"role": "user", "content": "x".repeat(900)}]});
        let (status, _, answer) = call(&running.address, "POST", path, KEY, &body.to_string()).await;
        assert_eq!(status, 200, "{path}: {answer}");
        let limits: Vec<Value> = asked(&seen).iter().map(|body| body["max_tokens"].clone()).collect();
        assert_eq!(limits, [4000, 3596], "{path}");
    }
}

#[tokio::test]
async fn a_prompt_that_does_not_fit_is_refused_at_once_and_in_the_callers_words() {
    let refusal = r#"{"error":{"message":"This model's maximum context length is 4096 tokens. However, you requested 9000 tokens (5000 in the messages, 4000 in the completion).","code":400}}"#;
    let (url, seen) = backend_in_turn(refusing_once(refusal)).await;
    let running = gateway(ready(&url, true)).await;
    let body = json!({"model": "m", "max_tokens": 4000, "messages": [{"role": "user", "content": "x"}]});
    let (status, _, answer) = call(&running.address, "POST", "/v1/messages", KEY, &body.to_string()).await;
    assert!(status == 400 && answer.contains("prompt is too long: 5000 tokens > 4096 maximum"), "{answer}");
    assert_eq!(asked(&seen).len(), 1);
}

#[tokio::test]
async fn other_refusals_come_as_they_are() {
    let refusal = r#"{"error":{"message":"no such thing as y","type":"invalid_request_error","code":400}}"#;
    let (url, seen) = backend_in_turn(refusing_once(refusal)).await;
    let running = gateway(ready(&url, true)).await;
    let body = json!({"model": "m", "max_tokens": 4000, "messages": [{"role": "user", "content": "x".repeat(900)}]});
    let (status, _, answer) = call(&running.address, "POST", "/v1/chat/completions", KEY, &body.to_string()).await;
    assert!(status == 400 && answer == refusal, "{answer}");
    assert_eq!(asked(&seen).len(), 1);
}

#[tokio::test]
async fn a_picture_for_a_model_that_reads_none_becomes_a_note_also_where_bytes_go_through() {
    let whole = stream(&format!("data: {}\n\n", OK.replace("\"message\"", "\"delta\"")));
    let picture = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QQ=="}});
    let body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": [picture, {"type": "text", "text": "what?"}]}]});
    for (otherwise, expected) in [(Otherwise::Note, 200), (Otherwise::Refuse, 400)] {
        let (url, seen) = backend(whole.clone()).await;
        let state = BackendState::from(Ready {
            native: vec![Id::Chat, Id::Messages],
            accepts: Accepts { images: Some(false), otherwise, ..Accepts::default() },
            ..Ready::chat(&url, "engine-name")
        });
        let running = gateway(state).await;
        let (status, _, answer) = call(&running.address, "POST", "/v1/messages", KEY, &body.to_string()).await;
        assert_eq!(status, expected, "{answer}");
        if otherwise == Otherwise::Note {
            let content = asked(&seen)[0]["messages"][0]["content"].to_string();
            assert!(content.contains("[image left out: this model reads no images]"), "{content}");
        } else {
            assert!(answer.contains("reads no images") && answer.contains("invalid_request_error"), "{answer}");
        }
    }
}

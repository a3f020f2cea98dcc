//! The siblings of chat: embeddings and completions.

use super::support::*;
use crate::gateway::{BackendState, Ready};
use crate::protocol::{Id, Vendor};

fn llama(url: &str) -> BackendState {
    BackendState::from(Ready { vendor: Vendor::LlamaCpp, ..Ready::chat(url, "engine-name") })
}

#[tokio::test]
async fn vectors_come_in_the_form_that_was_asked_for() {
    let numbers = r#"{"data":[{"embedding":[0.5,-1.0,1e-7]}],"usage":{"prompt_tokens":3,"total_tokens":3}}"#;
    let (url, seen) = backend(reply("200 OK", "application/json", numbers)).await;
    let running = gateway(llama(&url)).await;
    let request = r#"{"model":"m","input":"x","encoding_format":"base64"}"#;
    let (status, _, body) = call(&running.address, "POST", "/v1/embeddings", KEY, request).await;
    assert_eq!((status, body), (200, numbers.replace("[0.5,-1.0,1e-7]", "\"AAAAPwAAgL+Vv9Yz\"")));
    let (_, _, body) = call(&running.address, "POST", "/v1/embeddings", KEY, r#"{"input":"x"}"#).await;
    assert_eq!(body, numbers);
    assert_eq!(seen.requests.lock().unwrap()[0].1, request.replace("\"m\"", "\"engine-name\""));
    until("usage is counted", || running.counters.read().prompt_tokens == 6).await;
    let refused = r#"{"error":{"message":"no embeddings here","type":"not_supported_error","code":501}}"#;
    let (url, _) = backend(reply("501 Not Implemented", "application/json", refused)).await;
    let running = gateway(llama(&url)).await;
    let (status, _, body) = call(&running.address, "POST", "/v1/embeddings", KEY, request).await;
    assert_eq!((status, body.as_str()), (501, refused));
}

/// An engine that knows numbers only is asked for them.
#[tokio::test]
async fn an_engine_that_refuses_base64_is_asked_again() {
    let refused = r#"{"error":{"message":"encoding_format must be float"}}"#;
    let (url, seen) = backend(reply("422 Unprocessable Entity", "application/json", refused)).await;
    let running = gateway(llama(&url)).await;
    let request = r#"{"model":"m","input":"x","encoding_format":"base64"}"#;
    let (status, _, _) = call(&running.address, "POST", "/v1/embeddings", KEY, request).await;
    assert_eq!(status, 422);
    let sent: Vec<String> = seen.requests.lock().unwrap().iter().map(|(_, body)| body.clone()).collect();
    assert_eq!(sent.len(), 2);
    assert!(sent[1].contains(r#""encoding_format":"float""#), "{sent:?}");
}

#[tokio::test]
async fn a_gap_is_filled_by_llama_cpps_infill() {
    let answer =
        r#"{"index":0,"content":"x + y\n","stop":true,"stop_type":"eos","tokens_predicted":7,"tokens_evaluated":9}"#;
    let (url, seen) = backend(reply("200 OK", "application/json", answer)).await;
    let running = gateway(llama(&url)).await;
    let request = r#"{"model":"m","prompt":"return ","suffix":"\nend","max_tokens":5,"stop":"X"}"#;
    let (status, _, body) = call(&running.address, "POST", "/v1/completions", KEY, request).await;
    assert_eq!(status, 200, "{body}");
    let value: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((value["object"].as_str(), value["model"].as_str()), (Some("text_completion"), Some("m")));
    assert_eq!(value["choices"][0]["text"], "x + y\n");
    assert_eq!(value["choices"][0]["finish_reason"], "stop");
    assert_eq!(value["usage"]["total_tokens"], 16);
    let (head, sent) = seen.requests.lock().unwrap()[0].clone();
    assert!(head.starts_with("post /infill "), "{head}");
    let sent: serde_json::Value = serde_json::from_str(&sent).unwrap();
    let expected =
        serde_json::json!({"input_prefix": "return ", "input_suffix": "\nend", "n_predict": 5, "stop": ["X"]});
    assert_eq!(sent, expected);
    until("usage is counted", || running.counters.read().output_tokens == 7).await;
    // Without a suffix it is a completion like any other.
    let (_, _, body) = call(&running.address, "POST", "/v1/completions", KEY, r#"{"prompt":"a"}"#).await;
    assert_eq!(body, answer);
    assert!(seen.requests.lock().unwrap()[1].0.starts_with("post /v1/completions "));
}

#[tokio::test]
async fn filling_streams_and_a_model_that_cannot_says_so() {
    let events =
        "data: {\"content\":\"a\",\"stop\":false}\n\ndata: {\"content\":\"\",\"stop\":true,\"stop_type\":\"eos\"}\n\n";
    let (url, _) = backend(stream(events)).await;
    let running = gateway(llama(&url)).await;
    let request = r#"{"prompt":"a","suffix":"b","stream":true}"#;
    let (_, head, body) = call(&running.address, "POST", "/v1/completions", KEY, request).await;
    assert!(head.contains("text/event-stream"), "{head}");
    assert!(body.contains(r#""text":"a""#) && body.ends_with("data: [DONE]\n\n"), "{body}");
    let refused = r#"{"error":{"code":501,"message":"no fill-in-the-middle tokens","type":"not_supported_error"}}"#;
    let (url, _) = backend(reply("501 Not Implemented", "application/json", refused)).await;
    let running = gateway(llama(&url)).await;
    let (status, _, body) = call(&running.address, "POST", "/v1/completions", KEY, request).await;
    assert!(status == 400 && body.contains("takes no suffix: no fill-in"), "{status} {body}");
}

/// A chat caller and a backend that has no chat route: translated, also when both ends are chat.
#[tokio::test]
async fn chat_callers_are_translated_too() {
    let events = "data: {\"id\":\"x\",\"choices\":[{\"delta\":{\"reasoning\":\"hm\"}}]}\n\n\
        data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n\
        data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
        data: {\"choices\":[],\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n";
    let (url, seen) = backend(stream(events)).await;
    let state = BackendState::from(Ready { native: Vec::new(), ..Ready::chat(&url, "engine-name") });
    let running = gateway(state).await;
    let request = r#"{"model":"m","messages":[{"role":"user","content":"q"}],"logit_bias":{"1":1}}"#;
    let (status, _, body) = call(&running.address, "POST", "/v1/chat/completions", KEY, request).await;
    let value: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &value["choices"][0]["message"]["content"]), (200, &"hi".into()));
    assert_eq!(value["choices"][0]["message"]["reasoning_content"], "hm");
    let sent = seen.requests.lock().unwrap()[0].1.clone();
    assert!(sent.contains(r#""logit_bias":{"1":1}"#) && sent.contains(r#""stream":true"#), "{sent}");
    let request = r#"{"stream":true,"messages":[{"role":"user","content":"q"}]}"#;
    let (_, _, body) = call(&running.address, "POST", "/v1/chat/completions", KEY, request).await;
    assert!(
        body.contains(r#""content":"hi""#) && body.ends_with("data: [DONE]\n\n") && !body.contains("usage"),
        "{body}"
    );
    let foreign = BackendState::from(Ready { native: Vec::new(), speaks: Id::Messages, ..Ready::chat(&url, "e") });
    let running = gateway(foreign).await;
    let (status, _, _) = call(&running.address, "POST", "/v1/embeddings", KEY, r#"{"input":"x"}"#).await;
    assert_eq!(status, 501);
}

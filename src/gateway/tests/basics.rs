use serde_json::Value;

use super::support::*;
use crate::gateway::BackendState;

#[tokio::test]
async fn anyone_may_knock_but_only_the_key_opens() {
    let running = gateway(ready("http://127.0.0.1:1", false)).await;
    let address = &running.address;
    for (method, path) in [("HEAD", "/"), ("GET", "/"), ("HEAD", "/api/hello"), ("GET", "/health")] {
        assert_eq!(call(address, method, path, "", "").await.0, 200, "{method} {path}");
    }
    let (status, _, body) = call(address, "GET", "/v1/models", "", "").await;
    assert_eq!((status, body.contains("invalid_api_key")), (401, true), "{body}");
    let (status, _, body) = call(address, "POST", "/v1/messages?beta=true", "", "{}").await;
    assert_eq!((status, body.contains("authentication_error")), (401, true), "{body}");
    let (status, _, body) = call(address, "POST", "/v1beta/models/m:generateContent", "", "{}").await;
    assert_eq!((status, body.contains("UNAUTHENTICATED")), (401, true), "{body}");
    for headers in [KEY, "authorization: Bearer secret\r\n", "x-goog-api-key: secret\r\n"] {
        assert_eq!(call(address, "GET", "/v1/models", headers, "").await.0, 200, "{headers}");
    }
    assert_eq!(call(address, "GET", "/v1/models?key=secret", "", "").await.0, 200);
    let origin = format!("{KEY}origin: https://evil.example\r\n");
    assert_eq!(call(address, "GET", "/v1/models", &origin, "").await.0, 403);
}

#[tokio::test]
async fn the_model_list_suits_both_kinds_of_clients() {
    let running = gateway(ready("http://127.0.0.1:1", false)).await;
    let (_, _, body) = call(&running.address, "GET", "/v1/models?limit=1000", KEY, "").await;
    let list: Value = serde_json::from_str(&body).unwrap();
    let model = &list["data"][0];
    assert_eq!((&list["object"], &list["has_more"]), (&"list".into(), &false.into()));
    assert_eq!(
        (&model["id"], &model["object"], &model["type"]),
        (&"my-model".into(), &"model".into(), &"model".into())
    );
    for key in ["max_model_len", "context_window", "max_input_tokens"] {
        assert_eq!(model[key], 4096, "{key}");
    }
    assert_eq!(call(&running.address, "GET", "/v1/models/my-model", KEY, "").await.0, 200);
    assert_eq!(call(&running.address, "GET", "/v1/models/other", KEY, "").await.0, 404);
}

#[tokio::test]
async fn what_is_not_there_is_said_in_the_callers_words() {
    let running = gateway(ready("http://127.0.0.1:1", false)).await;
    let address = &running.address;
    let (status, _, body) = call(address, "POST", "/v2/chat", KEY, "{}").await;
    assert!(status == 404 && body.contains("/v1/chat/completions"), "{body}");
    assert_eq!(call(address, "GET", "/v1/chat/completions", KEY, "").await.0, 405);
    let (status, _, body) = call(address, "POST", "/v1beta/cachedContents", KEY, "{}").await;
    assert!(status == 501 && body.contains("UNIMPLEMENTED"), "{body}");
    let (status, _, body) = call(address, "POST", "/v1beta/models/m:generateContent", KEY, "{}").await;
    assert!(status == 400 && body.contains("INVALID_ARGUMENT"), "{body}");
    let upgrade = format!("{KEY}upgrade: websocket\r\n");
    assert_eq!(call(address, "GET", "/v1/responses", &upgrade, "").await.0, 426);
    let (status, _, body) = call(address, "POST", "/v1/responses", KEY, "{}").await;
    assert!(status == 502 && body.contains("server_error"), "{body}");
    let (status, _, body) = call(address, "PUT", "/v1/responses/resp_1", KEY, "").await;
    assert!(status == 405 && body.contains("method_not_allowed"), "{body}");
    let (status, _, body) = call(address, "POST", "/v1/messages", KEY, "[1]").await;
    assert!(status == 400 && body.contains("invalid_request_error"), "{body}");
    // Nothing listens there: an answer, not a hang.
    let (status, _, body) = call(address, "POST", "/v1/messages", KEY, r#"{"messages":[]}"#).await;
    assert!(status == 502 && body.contains("api_error"), "{body}");
}

#[tokio::test]
async fn callers_hear_where_the_backend_stands() {
    let running = gateway(loading()).await;
    let address = &running.address;
    let (status, head, body) = call(address, "POST", "/v1/messages", KEY, "{}").await;
    assert!(status == 503 && head.contains("retry-after: 2") && body.contains("overloaded_error"), "{head} {body}");
    let (status, _, body) = call(address, "GET", "/health", "", "").await;
    assert!(status == 503 && body.contains(r#""status":"loading""#), "{body}");
    running.state.send(BackendState::Gone { reason: "out of memory".to_owned() }).unwrap();
    let (status, _, body) = call(address, "POST", "/v1/chat/completions", KEY, "{}").await;
    assert!(status == 502 && body.contains("out of memory"), "{body}");
    let (url, _) = backend(reply("200 OK", "application/json", "{}")).await;
    running.state.send(ready(&url, false)).unwrap();
    assert_eq!(call(address, "POST", "/v1/chat/completions", KEY, "{}").await.0, 200);
    assert_eq!(running.counters.read().errors, 2);
}

#[tokio::test]
async fn shutting_down_waits_for_the_grace_and_then_cuts() {
    let (url, _) = backend(Script::Hang(stream_bytes("data: {}\n\n", false))).await;
    let running = gateway(ready(&url, false)).await;
    let _busy = open(&running.address, "POST", "/v1/chat/completions", KEY, r#"{"stream":true}"#).await;
    until("in flight", || running.counters.read().in_flight == 1).await;
    running.stop.send(()).unwrap();
    assert_eq!(running.drained.await.unwrap().cut, 1);
    assert_eq!(running.counters.read().in_flight, 0);
}

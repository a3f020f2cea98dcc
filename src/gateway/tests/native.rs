use super::support::*;

const CHAT: &str = "data: {\"id\":\"c\",\"choices\":[{\"delta\":{\"content\":\"h\u{e9}\"}}]}\n\n\
    data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
    data: {\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":2,\"prompt_tokens_details\":{\"cached_tokens\":8}}}\n\n\
    data: [DONE]\n\n";

#[tokio::test]
async fn bytes_go_through_both_ways_but_for_the_model() {
    let (url, seen) = backend(stream(CHAT)).await;
    let running = gateway(ready(&url, true)).await;
    let body = "{ \"model\" : \"gpt-5\",\n\"stream\":true, \"x\":[1.50,\"\\u00e9\"] }";
    let (status, head, answer) = call(&running.address, "POST", "/v1/chat/completions", KEY, body).await;
    assert_eq!((status, answer.as_str()), (200, CHAT));
    assert!(head.contains("text/event-stream"), "{head}");
    let (head, sent) = seen.requests.lock().unwrap()[0].clone();
    assert_eq!(sent, body.replace("gpt-5", "engine-name"));
    assert!(head.contains("authorization: bearer engine-key") && !head.contains("secret"), "{head}");
    until("nothing in flight", || running.counters.read().in_flight == 0).await;
    let counts = running.counters.read();
    assert_eq!((counts.prompt_tokens, counts.cached_tokens, counts.output_tokens), (10, 8, 2));
    assert_eq!((counts.requests, counts.in_flight, counts.errors), (1, 0, 0));
    // It was a stream: its tokens count for the speed.
    assert_eq!(counts.streamed_tokens, 2);
}

#[tokio::test]
async fn native_messages_only_lose_the_billing_block() {
    let answer = r#"{"type":"message","usage":{"input_tokens":4,"cache_read_input_tokens":3,"output_tokens":1}}"#;
    let (url, seen) = backend(reply("200 OK", "application/json", answer)).await;
    let running = gateway(ready(&url, true)).await;
    let body = r#"{"model":"m","system":[{"type":"text","text":"x-anthropic-billing-header: a"},{"type":"text","text":"b"}],"messages":[]}"#;
    let (status, _, got) = call(&running.address, "POST", "/v1/messages?beta=true", KEY, body).await;
    assert_eq!((status, got.as_str()), (200, answer));
    let sent = seen.requests.lock().unwrap()[0].1.clone();
    assert_eq!(sent, r#"{"model":"engine-name","system":[{"type":"text","text":"b"}],"messages":[]}"#);
    until("usage is counted", || running.counters.read().prompt_tokens == 7).await;
    // An answer in one piece says nothing about the engine's speed.
    assert_eq!((running.counters.read().streamed_tokens, running.counters.read().tokens_per_second()), (0, None));
}

#[tokio::test]
async fn an_engines_overflow_is_told_in_the_sentence_clients_compact_on() {
    let error = r#"{"error":{"code":400,"message":"request (9000 tokens) exceeds the available context size (4096 tokens)","type":"exceed_context_size_error","n_prompt_tokens":9000,"n_ctx":4096}}"#;
    let (url, _) = backend(reply("400 Bad Request", "application/json", error)).await;
    for native in [true, false] {
        let running = gateway(ready(&url, native)).await;
        let (status, _, body) = call(&running.address, "POST", "/v1/messages", KEY, r#"{"messages":[]}"#).await;
        assert!(status == 400 && body.contains("prompt is too long: 9000 tokens > 4096 maximum"), "{native} {body}");
        assert!(body.contains("invalid_request_error"), "{body}");
        let (status, _, body) = call(&running.address, "POST", "/v1/chat/completions", KEY, "{}").await;
        assert!(status == 400 && body.contains("context_length_exceeded"), "{body}");
    }
}

#[tokio::test]
async fn a_cut_stream_ends_with_an_error_and_never_with_success() {
    let half = &CHAT[..60];
    for whole in [true, false] {
        let (url, _) = backend(Script::Say(stream_bytes(half, whole))).await;
        let running = gateway(ready(&url, true)).await;
        let request = r#"{"stream":true}"#;
        let (_, _, body) = call(&running.address, "POST", "/v1/chat/completions", KEY, request).await;
        assert!(body.starts_with(half) && body.contains("\n\ndata: {\"error\":") && !body.contains("[DONE]"), "{body}");
        let (_, _, body) = call(&running.address, "POST", "/v1/messages", KEY, request).await;
        assert!(body.contains("event: error") && !body.contains("message_stop"), "{body}");
        let (_, _, body) = call(&running.address, "POST", "/v1/responses", KEY, request).await;
        assert!(body.contains("response.failed"), "{body}");
        assert_eq!(running.counters.read().errors, 3);
    }
}

#[tokio::test]
async fn a_caller_that_leaves_takes_the_upstream_request_along() {
    // Before the head, in the stream, and in the middle of a whole answer.
    for (script, body) in [
        (Vec::new(), r#"{"stream":true}"#),
        (stream_bytes("data: {}\n\n", false), r#"{"stream":true}"#),
        (Vec::new(), "{}"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".to_vec(), "{}"),
    ] {
        let (url, seen) = backend(Script::Hang(script)).await;
        let running = gateway(ready(&url, true)).await;
        let socket = open(&running.address, "POST", "/v1/chat/completions", KEY, body).await;
        until("the request arrives", || seen.requests.lock().unwrap().len() == 1).await;
        drop(socket);
        until("upstream dropped", || *seen.left.lock().unwrap() == 1).await;
        until("nothing in flight", || running.counters.read().in_flight == 0).await;
    }
}

/// Engines close idle connections; a request that was just written into one is sent again, once.
#[tokio::test]
async fn a_request_into_a_connection_that_was_just_closed_is_sent_again() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
    let engine = tokio::spawn(async move {
        let mut piece = [0; 4096];
        let (mut first, _) = listener.accept().await.unwrap();
        assert!(first.read(&mut piece).await.unwrap() > 0);
        first.write_all(OK).await.unwrap();
        // The second request arrives here and finds the connection closing.
        assert!(first.read(&mut piece).await.unwrap() > 0);
        drop(first);
        let (mut second, _) = listener.accept().await.unwrap();
        assert!(second.read(&mut piece).await.unwrap() > 0);
        second.write_all(OK).await.unwrap();
        // Kept open until the test ends it.
        std::future::pending::<()>().await;
    });
    let running = gateway(ready(&url, true)).await;
    for _ in 0..2 {
        let (status, _, body) = call(&running.address, "POST", "/v1/chat/completions", KEY, "{}").await;
        assert_eq!((status, body.as_str()), (200, "{}"));
    }
    engine.abort();
    let (status, _, _) = call(&running.address, "POST", "/v1/chat/completions", KEY, "{}").await;
    assert_eq!(status, 502);
}

#[tokio::test]
async fn the_name_that_was_asked_for_comes_back() {
    let start = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"engine-name\"}}\n\n";
    let answer = format!("{start}event: message_stop\ndata: {{\"type\":\"message_stop\"}}\n\n");
    let (url, _) = backend(stream(&answer)).await;
    let running = gateway(ready(&url, true)).await;
    let asked = r#"{"model":"claude-x","stream":true,"messages":[]}"#;
    let (status, _, got) = call(&running.address, "POST", "/v1/messages", KEY, asked).await;
    assert_eq!((status, got), (200, answer.replace("engine-name", "claude-x")));

    // Chat names it in every chunk, Responses in three events; words that look the same stay.
    let words = r#""content":"\"model\":\"engine-name\"""#;
    let chat = format!("data: {{\"model\":\"engine-name\",\"choices\":[{{\"delta\":{{{words}}}}}]}}\n\n")
        + "data: {\"model\": \"engine-name\",\"choices\":[]}\n\ndata: [DONE]\n\n";
    let event = |kind: &str| {
        format!("event: {kind}\ndata: {{\"type\":\"{kind}\",{words},\"response\":{{\"model\":\"engine-name\"}}}}\n\n")
    };
    let responses = event("response.created") + &event("response.completed");
    for (path, answer) in [("/v1/chat/completions", chat), ("/v1/responses", responses)] {
        let (url, _) = backend(stream(&answer)).await;
        let running = gateway(ready(&url, true)).await;
        let asked = r#"{"model":"gpt-x","stream":true,"messages":[],"input":"x"}"#;
        let (status, _, got) = call(&running.address, "POST", path, KEY, asked).await;
        let named = |answer: String, space: &str| {
            answer.replace(&format!("\"model\":{space}\"engine-name\""), &format!("\"model\":{space}\"gpt-x\""))
        };
        assert_eq!((status, got), (200, named(named(answer, ""), " ")), "{path}");
    }

    let answer = r#"{"object":"chat.completion","model":"engine-name","choices":[{"message":{"content":"x"}}]}"#;
    let (url, _) = backend(reply("200 OK", "application/json", answer)).await;
    let running = gateway(ready(&url, true)).await;
    let asked = r#"{"model":"a-longer-name-than-the-engines","messages":[]}"#;
    let (status, _, got) = call(&running.address, "POST", "/v1/chat/completions", KEY, asked).await;
    assert_eq!((status, got), (200, answer.replace("engine-name", "a-longer-name-than-the-engines")));
}

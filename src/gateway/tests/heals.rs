//! An engine that dies and is started anew: who had no byte yet does not notice.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::support::*;
use crate::gateway::{BackendState, Ready};

const WHOLE: &str = r#"{"messages":[{"role":"user","content":"hi"}]}"#;
const STREAM: &str = r#"{"stream":true,"messages":[{"role":"user","content":"hi"}]}"#;

/// An engine that takes one request and dies without a byte; the answer is what it was asked.
async fn dies() -> (String, tokio::sync::oneshot::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, taken) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut piece = [0; 4096];
        let _ = socket.read(&mut piece).await;
        let _ = sender.send(());
        tokio::time::sleep(Duration::from_millis(30)).await;
    });
    (url, taken)
}

fn healing(url: &str, native: bool) -> BackendState {
    let BackendState::Ready(state) = ready(url, native) else { unreachable!() };
    BackendState::from(Ready { heals: true, ..Ready::clone(&state) })
}

fn starting(hold: Duration) -> BackendState {
    BackendState::Loading { since: Instant::now(), retry_after: 2, hold }
}

pub fn answer(stream: bool) -> Script {
    let text = if stream {
        "data: {\"id\":\"1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"back again\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"
    } else {
        r#"{"id":"1","choices":[{"index":0,"message":{"role":"assistant","content":"back again"},"finish_reason":"stop"}]}"#
    };
    let kind = if stream { "text/event-stream" } else { "application/json" };
    Script::Say(
        format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{text}", text.len()).into_bytes(),
    )
}

#[tokio::test]
async fn a_request_without_a_byte_is_answered_by_the_engine_that_comes_after() {
    // In the protocol of the engine, and in another one, which asks the engine for a stream.
    for (path, body, streamed) in [
        ("/v1/chat/completions", WHOLE, false),
        ("/v1/chat/completions", STREAM, true),
        ("/v1/messages", WHOLE, true),
        ("/v1/messages", STREAM, true),
    ] {
        let (url, taken) = dies().await;
        let (second, _) = backend(answer(streamed)).await;
        let running = gateway(healing(&url, false)).await;
        let state = running.state.clone();
        tokio::spawn(async move {
            taken.await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
            state.send_replace(starting(Duration::from_secs(5)));
            tokio::time::sleep(Duration::from_millis(100)).await;
            state.send_replace(healing(&second, false));
        });
        let (status, _, said) = call(&running.address, "POST", path, KEY, body).await;
        assert_eq!(status, 200, "{path} {said}");
        assert!(said.contains("back again"), "{path} {said}");
    }
}

#[tokio::test]
async fn a_request_that_comes_meanwhile_waits_as_long_as_it_is_held() {
    let (second, _) = backend(answer(false)).await;
    let running = gateway(starting(Duration::from_secs(5))).await;
    let state = running.state.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        state.send_replace(healing(&second, false));
    });
    let (status, _, said) = call(&running.address, "POST", "/v1/chat/completions", KEY, WHOLE).await;
    assert!(status == 200 && said.contains("back again"), "{status} {said}");

    let running = gateway(starting(Duration::from_millis(100))).await;
    let began = Instant::now();
    let (status, _, said) = call(&running.address, "POST", "/v1/chat/completions", KEY, WHOLE).await;
    assert!(status == 503 && began.elapsed() >= Duration::from_millis(90), "{status} {said}");
}

#[tokio::test]
async fn what_does_not_come_back_is_told() {
    // It dies and nobody says that it will be back.
    let (url, _taken) = dies().await;
    let running = gateway(healing(&url, false)).await;
    let (status, _, said) = call(&running.address, "POST", "/v1/messages", KEY, WHOLE).await;
    assert_eq!(status, 502, "{said}");
    // It is given up while the request waits.
    let (url, taken) = dies().await;
    let running = gateway(healing(&url, false)).await;
    let state = running.state.clone();
    tokio::spawn(async move {
        taken.await.unwrap();
        state.send_replace(starting(Duration::from_secs(5)));
        tokio::time::sleep(Duration::from_millis(60)).await;
        state.send_replace(BackendState::Gone { reason: "it crashed too often".to_owned() });
    });
    let (status, _, said) = call(&running.address, "POST", "/v1/messages", KEY, WHOLE).await;
    assert_eq!(status, 502, "{said}");
}

#[tokio::test]
async fn a_stream_that_has_begun_ends_with_an_error() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk = "data: {\"id\":\"1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"half\"}}]}\n\n";
    let script = [head.as_slice(), format!("{:x}\r\n{chunk}\r\n", chunk.len()).as_bytes()].concat();
    let (url, _) = backend(Script::Hang(script)).await;
    let (second, seen) = backend(answer(true)).await;
    let running = gateway(healing(&url, false)).await;
    let mut socket = open(&running.address, "POST", "/v1/messages", KEY, STREAM).await;
    let mut got = Vec::new();
    while !String::from_utf8_lossy(&got).contains("half") {
        assert!(socket.read_buf(&mut got).await.unwrap() > 0);
    }
    running.state.send_replace(starting(Duration::from_secs(5)));
    socket.flush().await.unwrap();
    let _ = tokio::time::timeout(Duration::from_secs(5), socket.read_to_end(&mut got)).await.unwrap();
    running.state.send_replace(healing(&second, false));
    let got = String::from_utf8_lossy(&got);
    assert!(got.contains("event: error") && !got.contains("message_stop"), "{got}");
    assert!(seen.requests.lock().unwrap().is_empty(), "it is not asked again");
}

//! A model that does not run yet: whoever asks for it waits, and a stream gets signs of life meanwhile.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use super::heals::answer;
use super::support::*;
use crate::gateway::{BackendState, Bell, Catalog, Counters, Gateway, Limits, Served, Settings};

const WHOLE: &str = r#"{"model":"b","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#;
const STREAM: &str = r#"{"model":"b","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#;

fn asleep(hold: Duration, waits_for: Option<&str>) -> BackendState {
    BackendState::Asleep { hold, waits_for: waits_for.map(Arc::from) }
}

struct Two {
    address: String,
    state: watch::Sender<BackendState>,
    wanted: Arc<Bell>,
    counters: Arc<Counters>,
    other: Arc<Counters>,
    _stop: oneshot::Sender<()>,
}

/// Two models; the second, `b`, sleeps.
async fn two() -> Two {
    let (state, backend) = watch::channel(asleep(Duration::from_secs(10), None));
    let (first, _) = super::support::backend(answer(false)).await;
    let (_, awake) = watch::channel(ready(&first, false));
    let (a, b) = (Served::new("a", awake), Served::new("b", backend));
    let (wanted, counters, other) = (Arc::clone(&b.wanted), Arc::clone(&b.counters), Arc::clone(&a.counters));
    let gateway = Gateway::new(Settings {
        key: Some("secret".to_owned()),
        catalog: Catalog::new(vec![a, b], Vec::new()),
        loopback: true,
        grace: Duration::from_millis(300),
        limits: Limits { keepalive: Duration::from_millis(40), ..Limits::default() },
        log: None,
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(gateway.serve(listener, async move {
        let _ = stopped.await;
    }));
    Two { address, state, wanted, counters, other, _stop: stop }
}

#[tokio::test]
async fn who_asks_wakes_it_and_a_stream_is_kept_alive_until_it_answers() {
    for (path, body, sign) in [
        ("/v1/messages", STREAM, Some("event: ping\n")),
        ("/v1/chat/completions", STREAM, Some(": keepalive\n\n")),
        ("/v1/messages", WHOLE, None),
        ("/v1/chat/completions", WHOLE, None),
    ] {
        let two = two().await;
        let (state, wanted, counters) = (two.state.clone(), Arc::clone(&two.wanted), Arc::clone(&two.counters));
        let streamed = path == "/v1/messages" || sign.is_some();
        let (url, _) = backend(answer(streamed)).await;
        let waking = tokio::spawn(async move {
            wanted.rung().await;
            assert_eq!(counters.idle(), None, "whoever is woken sees for whom");
            state.send_replace(asleep(Duration::from_secs(10), Some("a has its room")));
            tokio::time::sleep(Duration::from_millis(150)).await;
            state.send_replace(ready(&url, false));
        });
        let (status, _, said) = call(&two.address, "POST", path, KEY, body).await;
        waking.await.unwrap();
        assert!(status == 200 && said.contains("back again"), "{path} {said}");
        assert_eq!(sign.map(|sign| said.matches(sign).count() >= 2), sign.map(|_| true), "{path} {said}");
        until("nothing in flight", || two.counters.idle().is_some()).await;
        assert_eq!((two.counters.read().requests, two.other.read().requests), (1, 0));
    }
}

#[tokio::test]
async fn what_comes_of_the_waiting_is_said_in_the_callers_words() {
    for (path, body, early, expected) in [
        ("/v1/messages", STREAM, true, "event: error"),
        ("/v1/chat/completions", STREAM, true, "\"error\""),
        ("/v1/messages", WHOLE, false, "\"type\":\"error\""),
    ] {
        let two = two().await;
        let (state, wanted) = (two.state.clone(), Arc::clone(&two.wanted));
        tokio::spawn(async move {
            wanted.rung().await;
            tokio::time::sleep(Duration::from_millis(100)).await;
            state.send_replace(BackendState::Gone { reason: "it does not fit beside a".to_owned() });
        });
        let (status, _, said) = call(&two.address, "POST", path, KEY, body).await;
        assert_eq!(status, if early { 200 } else { 502 }, "{path} {said}");
        assert!(said.contains("does not fit beside a") && said.contains(expected), "{path} {said}");
        assert!(!said.contains("[DONE]") && !said.contains("message_stop"), "{path} {said}");
        assert_eq!(two.counters.read().errors, 1, "{path}");
        until("nothing in flight", || two.counters.idle().is_some()).await;
    }
}

#[tokio::test]
async fn an_answer_that_failed_behind_a_stream_that_began_is_an_error_in_it() {
    let two = two().await;
    let text = r#"{"error":{"message":"the prompt is odd","type":"invalid_request_error"}}"#;
    let refusal = format!("HTTP/1.1 400 Bad Request\r\ncontent-length: {}\r\n\r\n{text}", text.len());
    let (url, _) = backend(Script::Say(refusal.into_bytes())).await;
    let (state, wanted) = (two.state.clone(), Arc::clone(&two.wanted));
    tokio::spawn(async move {
        wanted.rung().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        state.send_replace(ready(&url, false));
    });
    let (status, _, said) = call(&two.address, "POST", "/v1/chat/completions", KEY, STREAM).await;
    assert!(status == 200 && said.contains("the prompt is odd") && !said.contains("[DONE]"), "{said}");
}

#[tokio::test]
async fn who_leaves_while_waiting_wants_nothing_any_more() {
    let two = two().await;
    for body in [STREAM, WHOLE] {
        let socket = open(&two.address, "POST", "/v1/messages", KEY, body).await;
        until("somebody waits", || two.counters.idle().is_none()).await;
        drop(socket);
        until("nobody waits", || two.counters.idle().is_some()).await;
    }
    // One that is held too long is told why.
    two.state.send_replace(asleep(Duration::from_millis(80), Some("a has its room and is in use")));
    let (status, head, said) = call(&two.address, "POST", "/v1/messages", KEY, WHOLE).await;
    assert!(status == 503 || status == 529, "{status} {said}");
    assert!(head.contains("retry-after: ") && said.contains("a has its room"), "{head} {said}");
}

#[tokio::test]
async fn a_gateway_of_sleeping_models_is_healthy() {
    let running = gateway(asleep(Duration::from_secs(9), None)).await;
    let (status, _, said) = call(&running.address, "GET", "/health", "", "").await;
    assert!(status == 200 && said.contains("\"asleep\":true"), "{status} {said}");
}

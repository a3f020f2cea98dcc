//! Every request leaves one record, whatever way it ends.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

use super::support::*;
use crate::gateway::{AccessLog, BackendState, Catalog, Gateway, Limits, Options, Ready, Record, Settings, Way};
use crate::protocol::Id;
use crate::protocol::event::Usage;

type Records = Arc<Mutex<Vec<Record>>>;

/// A gateway that keeps its records, and its address.
async fn recording(state: BackendState) -> (String, Records) {
    let (sender, receiver) = watch::channel(state);
    let records = Records::default();
    let kept = Arc::clone(&records);
    let gateway = Gateway::new(Settings {
        key: Some("secret".to_owned()),
        catalog: Catalog::single("my-model", receiver),
        loopback: true,
        grace: Duration::from_millis(300),
        limits: Limits::default(),
        log: Some(AccessLog::new(move |record| kept.lock().unwrap().push(record.clone()))),
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let _kept = sender;
        gateway.serve(listener, std::future::pending()).await
    });
    (address, records)
}

async fn only(records: &Records) -> Record {
    until("one record", || records.lock().unwrap().len() == 1).await;
    records.lock().unwrap().pop().unwrap()
}

const STREAM: &str = "data: {\"id\":\"c\",\"choices\":[{\"delta\":{\"content\":\"h\"}}]}\n\n\
    data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
    data: {\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":2,\"prompt_tokens_details\":{\"cached_tokens\":8}}}\n\n\
    data: [DONE]\n\n";

const MESSAGE: &str = r#"{"model":"claude","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#;

#[tokio::test]
async fn streams_native_and_translated_tell_what_they_cost() {
    let (url, _) = backend(stream(STREAM)).await;
    for (native, way) in [(true, Way::Native), (false, Way::Translated)] {
        let (address, records) = recording(ready(&url, native)).await;
        let (path, body, dialect) = if native {
            ("/v1/chat/completions", r#"{"model":"claude","stream":true}"#, Id::Chat)
        } else {
            ("/v1/messages", MESSAGE, Id::Messages)
        };
        let (status, head, _) = call(&address, "POST", path, KEY, body).await;
        let record = only(&records).await;
        assert_eq!((status, record.status, record.dialect, record.way), (200, Some(200), dialect, Some(way)));
        assert!(record.stream && !record.left && record.error.is_none(), "{record:?}");
        assert_eq!(record.usage, Some(Usage { prompt: 10, cached: 8, output: 2, ..Usage::default() }));
        assert_eq!((record.asked.as_deref(), record.served.as_deref()), (Some("claude"), Some("my-model")));
        assert!(record.first_byte.is_some_and(|first| first <= record.duration), "{record:?}");
        assert!(head.contains(&format!("request-id: {}", record.id)), "{head}");
    }
}

#[tokio::test]
async fn who_leaves_and_what_fails_is_recorded_too() {
    // In the middle of a stream.
    let (url, _) = backend(Script::Hang(stream_bytes("data: {}\n\n", false))).await;
    let (address, records) = recording(ready(&url, true)).await;
    let mut socket = open(&address, "POST", "/v1/chat/completions", KEY, r#"{"stream":true}"#).await;
    let mut begin = [0; 16];
    tokio::io::AsyncReadExt::read_exact(&mut socket, &mut begin).await.unwrap();
    drop(socket);
    let record = only(&records).await;
    assert!(record.left && record.status == Some(200), "{record:?}");

    // Before there was an answer.
    let (url, seen) = backend(Script::Hang(Vec::new())).await;
    let (address, records) = recording(ready(&url, true)).await;
    let socket = open(&address, "POST", "/v1/chat/completions", KEY, "{}").await;
    until("the request arrives", || seen.requests.lock().unwrap().len() == 1).await;
    drop(socket);
    let record = only(&records).await;
    assert_eq!((record.status, record.way), (None, Some(Way::Native)), "{record:?}");

    // An engine that breaks off, a wrong key, a body that is none.
    let (url, _) = backend(Script::Say(stream_bytes("data: {}\n\n", true))).await;
    let (address, records) = recording(ready(&url, true)).await;
    call(&address, "POST", "/v1/chat/completions", KEY, r#"{"stream":true}"#).await;
    let record = only(&records).await;
    assert!(record.error.as_deref().is_some_and(|error| error.contains("before it was complete")), "{record:?}");
    call(&address, "POST", "/v1/chat/completions", "", "{}").await;
    assert_eq!(only(&records).await.status, Some(401));
    call(&address, "POST", "/v1/messages", KEY, "nonsense").await;
    let record = only(&records).await;
    assert_eq!((record.status, record.way), (Some(400), None));

    // Questions whether it is up are none of its business.
    call(&address, "GET", "/health", "", "").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(records.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_answer_that_does_not_begin_in_time_is_given_up() {
    let (url, _) = backend(Script::Hang(Vec::new())).await;
    let options = Options { timeout: Some(Duration::from_millis(100)), ..Options::default() };
    let state = BackendState::from(Ready { options: Arc::new(options), ..Ready::chat(&url, "engine-name") });
    let (address, records) = recording(state).await;
    let (status, _, body) = call(&address, "POST", "/v1/chat/completions", KEY, "{}").await;
    assert!(status == 502 && body.contains("did not begin to answer within 0.1 s"), "{status} {body}");
    assert!(only(&records).await.error.is_some());
}

#[tokio::test]
async fn keys_and_headers_are_shown_as_the_backends_protocol_wants_them() {
    let answer = r#"{"type":"message","usage":{"input_tokens":4,"output_tokens":1}}"#;
    let (url, seen) = backend(reply("200 OK", "application/json", answer)).await;
    let ready = |id: Id| {
        BackendState::from(Ready {
            native: vec![id],
            speaks: id,
            api_key: Some("theirs".into()),
            ..Ready::chat(&url, "m")
        })
    };
    let (address, _) = recording(ready(Id::Messages)).await;
    let headers = format!("{KEY}anthropic-beta: some-flag\r\ncookie: a=b\r\n");
    let (status, ..) = call(&address, "POST", "/v1/messages", &headers, r#"{"model":"x"}"#).await;
    let (head, _) = seen.requests.lock().unwrap().pop().unwrap();
    assert_eq!(status, 200);
    for line in ["x-api-key: theirs", "anthropic-version: 2023-06-01", "anthropic-beta: some-flag"] {
        assert!(head.contains(line), "{head}");
    }
    assert!(!head.contains("authorization") && !head.contains("secret") && !head.contains("cookie"), "{head}");
    // A chat backend has no use for Anthropic's flags.
    let (address, _) = recording(ready(Id::Chat)).await;
    call(&address, "POST", "/v1/chat/completions", &headers, r#"{"model":"x"}"#).await;
    let (head, _) = seen.requests.lock().unwrap().pop().unwrap();
    assert!(head.contains("authorization: bearer theirs") && !head.contains("anthropic"), "{head}");
}

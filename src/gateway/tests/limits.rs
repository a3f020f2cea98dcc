use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::*;
use crate::gateway::{BackendState, Limits};

fn short() -> Limits {
    Limits { keepalive: Duration::from_millis(40), ..Limits::default() }
}

const PREFILL: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

const STREAM: &str = r#"{"stream":true,"messages":[]}"#;

/// Reads until `wanted` has come, or says what came instead.
async fn read_until(socket: &mut TcpStream, wanted: &str) -> String {
    let mut got = Vec::new();
    let reading = async {
        loop {
            let mut piece = [0; 4096];
            match socket.read(&mut piece).await {
                Ok(n) if n > 0 => got.extend_from_slice(&piece[..n]),
                _ => return,
            }
            if String::from_utf8_lossy(&got).contains(wanted) {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(5), reading).await;
    let got = String::from_utf8_lossy(&got).into_owned();
    assert!(got.contains(wanted), "no {wanted:?} in {got:?}");
    got
}

#[tokio::test]
async fn every_dialect_has_its_sign_of_life_with_and_without_a_head() {
    for head in [Vec::new(), PREFILL.to_vec()] {
        for (path, sign, native) in [
            ("/v1/messages", "event: ping\ndata: {\"type\":\"ping\"}\n\n", true),
            ("/v1/messages", "event: ping\ndata: {\"type\":\"ping\"}\n\n", false),
            ("/v1/chat/completions", ": keepalive\n\n", true),
            ("/v1/responses", ": keepalive\n\n", true),
        ] {
            let (url, _) = backend(Script::Hang(head.clone())).await;
            let running = gateway_with(ready(&url, native), short()).await;
            let mut socket = open(&running.address, "POST", path, KEY, STREAM).await;
            let got = read_until(&mut socket, sign).await;
            assert!(got.starts_with("HTTP/1.1 200"), "{got}");
        }
    }
    assert_eq!(crate::protocol::protocol(crate::protocol::Id::Gemini).keepalive(), b"\n");
}

#[tokio::test]
async fn a_stream_ends_with_an_error_when_its_engine_is_gone_or_starts_anew() {
    for (state, word) in
        [(BackendState::Gone { reason: "out of memory".to_owned() }, "out of memory"), (loading(), "loading")]
    {
        for script in [Vec::new(), PREFILL.to_vec(), stream_bytes("data: {\"choices\":[]}\n\n", false)] {
            for (path, native, error, success) in [
                ("/v1/messages", true, "event: error", "message_stop"),
                ("/v1/messages", false, "event: error", "message_stop"),
                ("/v1/chat/completions", true, "data: {\"error\"", "[DONE]"),
                ("/v1/responses", true, "response.failed", "response.completed"),
            ] {
                let (url, seen) = backend(Script::Hang(script.clone())).await;
                let running = gateway_with(ready(&url, native), short()).await;
                let mut socket = open(&running.address, "POST", path, KEY, STREAM).await;
                until("the request arrives", || seen.requests.lock().unwrap().len() == 1).await;
                // Once the stream has begun: with the engine's head, or with a sign of life.
                let mut got = read_until(&mut socket, "\r\n\r\n").await;
                running.state.send(state.clone()).unwrap();
                tokio::time::timeout(Duration::from_secs(5), socket.read_to_string(&mut got)).await.unwrap().unwrap();
                assert!(got.contains(error) && got.contains(word) && !got.contains(success), "{path} {native}: {got}");
                until("upstream dropped", || *seen.left.lock().unwrap() == 1).await;
                assert_eq!(running.counters.read().errors, 1, "{path}");
            }
        }
    }
}

#[tokio::test]
async fn whole_answers_do_not_wait_for_an_engine_that_is_gone() {
    for native in [true, false] {
        let (url, seen) = backend(Script::Hang(Vec::new())).await;
        let running = gateway_with(ready(&url, native), short()).await;
        let asking = call(&running.address, "POST", "/v1/messages", KEY, r#"{"messages":[]}"#);
        let ending = async {
            until("the request arrives", || seen.requests.lock().unwrap().len() == 1).await;
            running.state.send(BackendState::Gone { reason: "out of memory".to_owned() }).unwrap();
        };
        let ((status, _, body), ()) = tokio::join!(asking, ending);
        assert!(status == 502 && body.contains("out of memory"), "{native}: {status} {body}");
        until("upstream dropped", || *seen.left.lock().unwrap() == 1).await;
    }
}

#[tokio::test]
async fn an_engine_that_stalls_while_alive_is_given_up() {
    let limits = Limits {
        keepalive: Duration::from_millis(20),
        first_byte: Duration::from_millis(400),
        stall: Duration::from_millis(100),
        ..Limits::default()
    };
    for (script, native, least) in [
        (Vec::new(), true, 400),
        (Vec::new(), false, 400),
        (stream_bytes("data: {\"choices\":[]}\n\n", false), true, 100),
        (stream_bytes("data: {\"choices\":[]}\n\n", false), false, 100),
    ] {
        let (url, seen) = backend(Script::Hang(script)).await;
        let running = gateway_with(ready(&url, native), limits.clone()).await;
        let began = Instant::now();
        let (_, _, body) = call(&running.address, "POST", "/v1/messages", KEY, STREAM).await;
        assert!(body.contains("event: error") && body.contains("silent") && !body.contains("message_stop"), "{body}");
        assert!(body.contains("event: ping"), "alive until then: {body}");
        assert!(began.elapsed() >= Duration::from_millis(least), "{:?}", began.elapsed());
        until("upstream dropped", || *seen.left.lock().unwrap() == 1).await;
        let (status, _, body) = call(&running.address, "POST", "/v1/messages", KEY, r#"{"messages":[]}"#).await;
        assert!(native || status == 502 && body.contains("silent"), "{status} {body}");
    }
}

/// Also before the engine has sent anything, for streams and whole answers, native and translated.
#[tokio::test]
async fn leaving_reaches_the_engine_within_a_second() {
    for native in [true, false] {
        for body in [STREAM, r#"{"messages":[]}"#] {
            let (url, seen) = backend(Script::Hang(Vec::new())).await;
            let running = gateway(ready(&url, native)).await;
            let socket = open(&running.address, "POST", "/v1/messages", KEY, body).await;
            until("the request arrives", || seen.requests.lock().unwrap().len() == 1).await;
            let left = Instant::now();
            drop(socket);
            until("upstream dropped", || *seen.left.lock().unwrap() == 1).await;
            assert!(left.elapsed() < Duration::from_secs(1), "{:?}", left.elapsed());
            until("nothing in flight", || running.counters.read().in_flight == 0).await;
        }
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_in_words_and_the_connection_lives() {
    let (url, _) = backend(reply("200 OK", "application/json", "{}")).await;
    let running = gateway_with(ready(&url, true), Limits { body_bytes: 1000, ..Limits::default() }).await;
    let mut socket = TcpStream::connect(&running.address).await.unwrap();
    let long = format!("{{\"x\":\"{}\"}}", "y".repeat(2000));
    let head = format!("POST /v1/messages HTTP/1.1\r\nhost: {}\r\n{KEY}", running.address);
    for coding in ["length", "chunked"] {
        let request = match coding {
            "length" => format!("{head}content-length: {}\r\n\r\n{long}", long.len()),
            _ => format!("{head}transfer-encoding: chunked\r\n\r\n{:x}\r\n{long}\r\n0\r\n\r\n", long.len()),
        };
        socket.write_all(request.as_bytes()).await.unwrap();
        let got = read_until(&mut socket, "request_too_large").await;
        assert!(got.starts_with("HTTP/1.1 413"), "{got}");
    }
    socket.write_all(format!("{head}content-length: 2\r\n\r\n{{}}").as_bytes()).await.unwrap();
    read_until(&mut socket, "HTTP/1.1 200").await;
    // Far too long: said at once, before it is sent.
    let mut socket = TcpStream::connect(&running.address).await.unwrap();
    socket.write_all(format!("{head}content-length: 99999999999\r\n\r\n{{").as_bytes()).await.unwrap();
    let got = read_until(&mut socket, "request_too_large").await;
    assert!(got.starts_with("HTTP/1.1 413"), "{got}");
}

#[tokio::test]
async fn who_sends_slowly_or_nothing_is_let_go() {
    let limits = Limits {
        head: Duration::from_millis(100),
        body_gap: Duration::from_millis(100),
        body: Duration::from_millis(300),
        ..Limits::default()
    };
    let running = gateway_with(ready("http://127.0.0.1:1", true), limits).await;
    // Nothing, half a head, a whole exchange and then nothing.
    for said in ["", "GET / HTTP/1.1\r\nho", "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"] {
        let mut socket = TcpStream::connect(&running.address).await.unwrap();
        socket.write_all(said.as_bytes()).await.unwrap();
        let mut got = String::new();
        tokio::time::timeout(Duration::from_secs(5), socket.read_to_string(&mut got)).await.unwrap().unwrap();
    }
    // A body that stops, and one that drips for ever.
    for drip in [false, true] {
        let mut socket = TcpStream::connect(&running.address).await.unwrap();
        let head = format!("POST /v1/messages HTTP/1.1\r\nhost: localhost\r\n{KEY}content-length: 1000\r\n\r\n{{");
        socket.write_all(head.as_bytes()).await.unwrap();
        let (mut reader, mut writer) = socket.into_split();
        let dripping = tokio::spawn(async move {
            while drip && writer.write_all(b" ").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            writer
        });
        let mut got = Vec::new();
        let _ = tokio::time::timeout(Duration::from_secs(5), reader.read_to_end(&mut got)).await.unwrap();
        let got = String::from_utf8_lossy(&got).into_owned();
        assert!(got.starts_with("HTTP/1.1 400") && got.contains("in time"), "{got}");
        drop(dripping);
    }
}

#[tokio::test]
async fn who_does_not_read_its_answer_is_cut() {
    let flood = vec![b'x'; 32 << 20];
    let mut script = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", flood.len()).into_bytes();
    script.extend_from_slice(&flood);
    let (url, _) = backend(Script::Say(script)).await;
    let limits = Limits { write: Duration::from_millis(100), ..Limits::default() };
    let running = gateway_with(ready(&url, true), limits).await;
    let _unread = open(&running.address, "POST", "/v1/chat/completions", KEY, "{}").await;
    until("in flight", || running.counters.read().requests == 1).await;
    until("cut", || running.counters.read().in_flight == 0).await;
}

#[tokio::test]
async fn heads_pipelines_old_callers_and_odd_bodies() {
    let (url, seen) = backend(reply("200 OK", "application/json", "{}")).await;
    let running = gateway(ready(&url, true)).await;
    let address = &running.address;
    let long = format!("x-long: {}\r\n", "y".repeat(100_000));
    assert_eq!(call(address, "GET", "/", &long, "").await.0, 431);
    // Two requests in one write are answered in order.
    let mut socket = TcpStream::connect(address).await.unwrap();
    let one = "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let two = "HEAD /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    socket.write_all(format!("{one}{two}").as_bytes()).await.unwrap();
    let mut got = String::new();
    socket.read_to_string(&mut got).await.unwrap();
    assert_eq!(got.matches("HTTP/1.1 200").count(), 2, "{got}");
    assert!(got.ends_with("\r\n\r\n"), "HEAD has no body: {got}");
    // HTTP/1.0 gets its answer and the end of the connection.
    let mut socket = TcpStream::connect(address).await.unwrap();
    let old = format!("POST /v1/chat/completions HTTP/1.0\r\nhost: localhost\r\n{KEY}content-length: 2\r\n\r\n{{}}");
    socket.write_all(old.as_bytes()).await.unwrap();
    let mut got = String::new();
    socket.read_to_string(&mut got).await.unwrap();
    assert!(got.starts_with("HTTP/1.0 200") && got.ends_with("{}"), "{got}");
    // Chunked in, a length out.
    let mut socket = TcpStream::connect(address).await.unwrap();
    let chunked = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n{KEY}transfer-encoding: chunked\r\n\r\n3\r\n{{\"a\r\n4\r\n\":1}}\r\n0\r\n\r\n"
    );
    socket.write_all(chunked.as_bytes()).await.unwrap();
    read_until(&mut socket, "HTTP/1.1 200").await;
    assert!(seen.requests.lock().unwrap().last().unwrap().1.ends_with("\"a\":1}"));
    // A mark of byte order in front is read over.
    let marked = "\u{feff}{\"model\":\"x\",\"messages\":[]}";
    assert_eq!(call(address, "POST", "/v1/chat/completions", KEY, marked).await.0, 200);
    assert!(seen.requests.lock().unwrap().last().unwrap().1.starts_with('{'));
    // Not UTF-8: an error in words where it must be understood.
    let mut socket = TcpStream::connect(address).await.unwrap();
    let head = format!("POST /v1/messages HTTP/1.1\r\nhost: localhost\r\n{KEY}content-length: 3\r\n\r\n");
    socket.write_all(&[head.as_bytes(), b"\xff\xfe\x00"].concat()).await.unwrap();
    read_until(&mut socket, "invalid_request_error").await;
}

/// An answer about streaming may hold the very words a stream ends with.
#[tokio::test]
async fn words_in_the_text_do_not_make_a_cut_stream_complete() {
    let chat = "data: {\"choices\":[{\"delta\":{\"content\":\"ends with\\ndata: [DONE]\\n and \\\"finish_reason\\\":\\\"stop\\\"\"}}]}\n\n";
    let messages = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"\\nevent: message_stop\\ndata: {\\\"type\\\":\\\"message_stop\\\"}\"}}\n\n";
    for (path, said, error) in
        [("/v1/chat/completions", chat, "data: {\"error\""), ("/v1/messages", messages, "event: error\n")]
    {
        let (url, _) = backend(stream(said)).await;
        let running = gateway(ready(&url, true)).await;
        let (_, _, body) = call(&running.address, "POST", path, KEY, STREAM).await;
        assert!(body.starts_with(said) && body[said.len()..].contains(error), "{body}");
    }
}

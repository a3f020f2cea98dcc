//! A backend that answers from a script byte by byte, and a gateway in front of it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};

use crate::gateway::{BackendState, Catalog, Counters, Drained, Gateway, Limits, Ready, Settings};
use crate::protocol::Id;

/// What the backend does with every request.
#[derive(Clone)]
pub enum Script {
    /// Sends these bytes, then closes.
    Say(Vec<u8>),
    /// Sends these bytes, then nothing until the other side leaves.
    Hang(Vec<u8>),
}

pub fn reply(status: &str, kind: &str, body: &str) -> Script {
    let length = body.len();
    Script::Say(
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        )
        .into_bytes(),
    )
}

pub fn stream_bytes(body: &str, whole: bool) -> Vec<u8> {
    let mut out = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for part in body.as_bytes().chunks(7) {
        out.extend(format!("{:x}\r\n", part.len()).into_bytes());
        out.extend(part);
        out.extend(b"\r\n");
    }
    if whole {
        out.extend(b"0\r\n\r\n");
    }
    out
}

pub fn stream(body: &str) -> Script {
    Script::Say(stream_bytes(body, true))
}

#[derive(Default)]
pub struct Seen {
    pub requests: Mutex<Vec<(String, String)>>,
    /// How often the other side left while we hung.
    pub left: Mutex<u32>,
}

async fn read_request(socket: &mut TcpStream) -> Option<(String, String)> {
    let mut text = Vec::new();
    loop {
        let mut buffer = [0u8; 16384];
        let n = socket.read(&mut buffer).await.ok().filter(|n| *n > 0)?;
        text.extend_from_slice(&buffer[..n]);
        if let Some(end) = text.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&text[..end]).to_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |n| n.parse::<usize>().unwrap());
            if text.len() >= end + 4 + length {
                return Some((head, String::from_utf8_lossy(&text[end + 4..]).into_owned()));
            }
        }
    }
}

pub async fn backend(script: Script) -> (String, Arc<Seen>) {
    backend_in_turn(vec![script]).await
}

/// Each request gets the next script, those behind the last one the last.
pub async fn backend_in_turn(scripts: Vec<Script>) -> (String, Arc<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::new(Seen::default());
    let told = Arc::clone(&seen);
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let (scripts, seen) = (scripts.clone(), Arc::clone(&told));
            tokio::spawn(async move {
                let Some(request) = read_request(&mut socket).await else { return };
                let turn = {
                    let mut requests = seen.requests.lock().unwrap();
                    requests.push(request);
                    requests.len() - 1
                };
                match scripts[turn.min(scripts.len() - 1)].clone() {
                    Script::Say(bytes) => socket.write_all(&bytes).await.unwrap(),
                    Script::Hang(bytes) => {
                        socket.write_all(&bytes).await.unwrap();
                        let gone = socket.read(&mut [0u8; 16]).await;
                        if !gone.is_ok_and(|n| n > 0) {
                            *seen.left.lock().unwrap() += 1;
                        }
                    }
                }
            });
        }
    });
    (url, seen)
}

pub struct Running {
    pub address: String,
    pub counters: Arc<Counters>,
    pub stop: oneshot::Sender<()>,
    pub drained: tokio::task::JoinHandle<Drained>,
    pub state: watch::Sender<BackendState>,
}

pub fn loading() -> BackendState {
    BackendState::Loading { since: Instant::now(), retry_after: 2, hold: Duration::ZERO }
}

pub fn ready(url: &str, native: bool) -> BackendState {
    BackendState::from(Ready {
        context: 4096,
        native: if native { vec![Id::Chat, Id::Messages, Id::Responses] } else { vec![Id::Chat] },
        api_key: Some("engine-key".to_owned()),
        ..Ready::chat(url, "engine-name")
    })
}

pub async fn gateway(state: BackendState) -> Running {
    gateway_with(state, Limits::default()).await
}

pub async fn gateway_with(state: BackendState, limits: Limits) -> Running {
    let (sender, receiver) = watch::channel(state);
    let gateway = Gateway::new(Settings {
        key: Some("secret".to_owned()),
        catalog: Catalog::single("my-model", receiver),
        loopback: true,
        grace: Duration::from_millis(300),
        limits,
        log: None,
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let counters = gateway.counters();
    let (stop, stopped) = oneshot::channel::<()>();
    let drained = tokio::spawn(gateway.serve(listener, async move {
        let _ = stopped.await;
    }));
    Running { address, counters, stop, drained, state: sender }
}

/// Sends a request and reads the answer to its end: status, head, body (chunks joined).
pub async fn call(address: &str, method: &str, path: &str, headers: &str, body: &str) -> (u16, String, String) {
    let mut socket = open(address, method, path, headers, body).await;
    let mut answer = Vec::new();
    // A cut connection ends it as well.
    let _ = tokio::time::timeout(Duration::from_secs(20), socket.read_to_end(&mut answer)).await.unwrap();
    let at = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&answer[..at]).to_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut rest = &answer[at + 4..];
    let mut body = Vec::new();
    if head.contains("transfer-encoding: chunked") {
        while let Some(end) = rest.windows(2).position(|w| w == b"\r\n") {
            let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
            body.extend_from_slice(&rest[end + 2..end + 2 + size]);
            rest = &rest[end + 4 + size..];
        }
    } else {
        body.extend_from_slice(rest);
    }
    (status, head, String::from_utf8(body).unwrap())
}

pub async fn open(address: &str, method: &str, path: &str, headers: &str, body: &str) -> TcpStream {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    socket
}

pub const KEY: &str = "x-api-key: secret\r\n";

/// Waits until `true`, but not for ever.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..200 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never happened: {what}");
}

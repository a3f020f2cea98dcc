//! Broken requests, thousands per protocol, over connections that stay: the gateway never panics, never blames itself,
//! answers in the caller's shape, and goes on with the next request on the same connection.
//!
//! What is broken is drawn from a fixed seed, so a failure comes back. `LLMUP_TEST_MUTATIONS` is the number of requests
//! per protocol.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use llmup::protocol::{self, Id};
use serde_json::{Value, json};

use crate::support::{Home, Running};

#[path = "mutations/bases.rs"]
mod bases;
#[path = "mutations/mutate.rs"]
mod mutate;

use mutate::Random;

/// Requests per protocol unless the environment says otherwise.
const DEFAULT: u64 = 10_000;

/// Failures to collect before giving up.
const ENOUGH: usize = 12;

#[test]
fn chat_survives_broken_requests() {
    survives(Id::Chat);
}

#[test]
fn messages_survive_broken_requests() {
    survives(Id::Messages);
}

#[test]
fn responses_survive_broken_requests() {
    survives(Id::Responses);
}

#[test]
fn gemini_survives_broken_requests() {
    survives(Id::Gemini);
}

#[test]
fn ollama_survives_broken_requests() {
    survives(Id::Ollama);
}

fn survives(id: Id) {
    let bases = bases::of(id);
    if id != Id::Chat && protocol::protocol(id).inbound().is_none() {
        return;
    }
    let count = std::env::var("LLMUP_TEST_MUTATIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(DEFAULT);
    let home = Home::new();
    let (mut llmup, authority) = gateway(&home);
    let mut caller = Caller::new(&authority);
    let mut wrong = Vec::new();
    for base in &bases {
        let body = base.body.to_string();
        if let Err(why) =
            check(id, &caller.send(base, body.as_bytes())).and_then(|ok| ok.then_some(()).ok_or("refused".into()))
        {
            wrong.push(format!("{}: untouched: {why}\n  {body}", base.path));
        }
    }
    let mut random = Random(0x5eed + id as u64);
    let mut refused = 0u64;
    for n in 0..count {
        let base = &bases[random.below(bases.len())];
        let body = mutate::body(&base.body, &mut random);
        match check(id, &caller.send(base, &body)) {
            Ok(true) => {}
            Ok(false) => refused += 1,
            Err(why) => {
                let shown: String = String::from_utf8_lossy(&body).chars().take(1500).collect();
                wrong.push(format!("{} no. {n}: {why}\n  {shown}", base.path));
            }
        }
        if wrong.len() >= ENOUGH || llmup.child.try_wait().unwrap().is_some() {
            break;
        }
    }
    assert!(wrong.is_empty(), "{id:?}:\n{}\n{}", wrong.join("\n"), llmup.err());
    assert!(!llmup.err().contains("panicked"), "{}", llmup.err());
    assert!(llmup.child.try_wait().unwrap().is_none(), "llmup ended: {}", llmup.err());
    assert_eq!(caller.connections, 1, "a connection was given up");
    // Else the mutations do not bite, or nothing gets through any more.
    assert!(refused > count / 50 && refused < count, "{refused} of {count} were refused");
}

/// What one request is sent to, and its body before anything is broken.
struct Base {
    path: &'static str,
    body: Value,
}

/// The gateway in front of an engine that is always right.
fn gateway(home: &Home) -> (Running, String) {
    let engine = engine();
    let url = format!("http://{engine}/v1");
    let args = ["start", "m", "--engine-url", &url, "--port", "0", "--json", "--api-key", "k"];
    let mut llmup = home.start(home.llmup(&args));
    let ready = llmup.ready(Duration::from_secs(30));
    let authority = ready["url"].as_str().unwrap().strip_prefix("http://").unwrap().to_owned();
    (llmup, authority)
}

/// A chat server that answers everything with a proper, small answer, each in turn of another kind. It ends with the
/// test program.
fn engine() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(&stream));
        }
    });
    address
}

fn serve(stream: &TcpStream) -> Option<()> {
    let _ = stream.set_nodelay(true);
    let mut reader = BufReader::new(stream);
    for turn in 0.. {
        let head = head(&mut reader)?;
        let mut body = vec![0; length(&head)];
        reader.read_exact(&mut body).ok()?;
        let path = head.split(' ').nth(1)?;
        let (status, kind, answer) = match path {
            "/v1/models" => (200, "application/json", r#"{"data":[{"id":"m","max_model_len":65536}]}"#.to_owned()),
            "/v1/chat/completions" => (200, "text/event-stream", bases::stream(turn)),
            _ => (404, "application/json", r#"{"error":{"message":"no such path"}}"#.to_owned()),
        };
        let answer =
            format!("HTTP/1.1 {status} x\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{answer}", answer.len());
        reader.get_mut().write_all(answer.as_bytes()).ok()?;
    }
    None
}

/// Everything up to the empty line, in lower case but for the first line.
fn head(reader: &mut impl BufRead) -> Option<String> {
    let mut head = String::new();
    loop {
        let start = head.len();
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
        if &head[start..] == "\r\n" {
            return Some(head);
        }
        if start > 0 {
            head[start..].make_ascii_lowercase();
        }
    }
}

fn length(head: &str) -> usize {
    head.lines().find_map(|l| l.strip_prefix("content-length:")).and_then(|n| n.trim().parse().ok()).unwrap_or(0)
}

/// A caller who keeps the connection.
struct Caller {
    authority: String,
    reader: Option<BufReader<TcpStream>>,
    connections: usize,
}

struct Answer {
    status: u16,
    streamed: bool,
    body: Vec<u8>,
}

impl Caller {
    fn new(authority: &str) -> Caller {
        Caller { authority: authority.into(), reader: None, connections: 0 }
    }

    fn send(&mut self, base: &Base, body: &[u8]) -> Result<Answer, String> {
        let answer = self.exchange(base, body);
        if answer.is_none() {
            self.reader = None;
        }
        answer.ok_or_else(|| "no proper answer came back".into())
    }

    fn exchange(&mut self, base: &Base, body: &[u8]) -> Option<Answer> {
        if self.reader.is_none() {
            let stream = TcpStream::connect(&self.authority).ok()?;
            let _ = stream.set_nodelay(true);
            let _ = stream.set_read_timeout(Some(Duration::from_secs(20)));
            self.connections += 1;
            self.reader = Some(BufReader::new(stream));
        }
        let reader = self.reader.as_mut()?;
        let mut request = format!(
            "POST {} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer k\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n",
            base.path,
            self.authority,
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        reader.get_mut().write_all(&request).ok()?;
        let head = head(reader)?;
        let mut body = Vec::new();
        if head.contains("\r\ntransfer-encoding: chunked\r\n") {
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).ok()?;
                let size = usize::from_str_radix(line.trim(), 16).ok()?;
                let start = body.len();
                body.resize(start + size + 2, 0);
                reader.read_exact(&mut body[start..]).ok()?;
                body.truncate(start + size);
                if size == 0 {
                    break;
                }
            }
        } else {
            body.resize(length(&head), 0);
            reader.read_exact(&mut body).ok()?;
        }
        if head.contains("\r\nconnection: close\r\n") {
            self.reader = None;
        }
        let streamed = head.contains("\r\ncontent-type: text/event-stream") || head.contains("x-ndjson");
        Some(Answer { status: head.split(' ').nth(1)?.parse().ok()?, streamed, body })
    }
}

/// What this program's JSON reader refuses although it is JSON.
const OWN_LIMITS: [&str; 4] =
    ["recursion limit exceeded", "lone leading surrogate", "number out of range", "unexpected end of hex escape"];

/// Whether it was answered (or refused, properly), or what is wrong with the answer.
fn check(id: Id, answer: &Result<Answer, String>) -> Result<bool, String> {
    let answer = answer.as_ref().map_err(Clone::clone)?;
    let text = || String::from_utf8_lossy(&answer.body).chars().take(600).collect::<String>();
    let parsed = || serde_json::from_slice::<Value>(&answer.body).map_err(|e| format!("{e}: {}", text()));
    match answer.status {
        200 if answer.streamed => {
            let ended = protocol::protocol(id).ends_properly(&answer.body);
            if ended { Ok(true) } else { Err(format!("a stream without an end: {}", text())) }
        }
        // The engine streams even to those who did not ask, and plain chat goes through as it is.
        200 => match parsed() {
            // Responses repeats members of the request as they stood there, and this reader has limits of its own.
            Err(why) if id == Id::Responses && OWN_LIMITS.iter().any(|limit| why.starts_with(limit)) => Ok(true),
            parsed => parsed.map(|_| true),
        },
        400..=499 => {
            let body = parsed()?;
            let error = &body["error"];
            let proper = match id {
                Id::Messages => {
                    body["type"] == "error"
                        && error["type"].as_str().is_some_and(|t| t.ends_with("_error") || t == "request_too_large")
                }
                Id::Chat | Id::Responses => error["type"].is_string() && error.get("code").is_some(),
                Id::Gemini => error["code"] == answer.status && error["status"].is_string(),
                Id::Ollama => error.is_string(),
            };
            let message = if id == Id::Ollama { error } else { &error["message"] };
            let said = message.as_str().is_some_and(|m| !m.is_empty());
            if proper && said { Ok(false) } else { Err(format!("{} in another shape: {}", answer.status, text())) }
        }
        other => Err(format!("status {other}: {}", text())),
    }
}

/// For bases: a JSON schema with one text.
fn schema() -> Value {
    json!({"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]})
}

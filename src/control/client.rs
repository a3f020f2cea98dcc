//! The asking side: blocking, because commands do one thing and end.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Endpoint, Order};

/// Longer than this no living instance on this machine takes.
const LIMIT: Duration = Duration::from_secs(3);

/// No answer is larger.
const LARGEST: u64 = 4 << 20;

/// Reading a configuration again asks every backend in it.
const RELOAD_LIMIT: Duration = Duration::from_secs(60);

/// Whoever joins has its model planned: headers of weights are read, and an engine is asked for the flags it takes.
const JOIN_LIMIT: Duration = Duration::from_secs(180);

/// What an instance says about an order it was told to answer: lines, each with its label (`error`, `hint`, …).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// It is done.
    Done(Vec<String>),
    /// It is not, and nothing has changed.
    Refused(Vec<(String, String)>),
}

/// Why a running llmup did not answer.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// Nobody is there, or it hangs.
    #[error("it does not answer on port {port}")]
    Silent {
        /// The port.
        port: u16,
        /// The system's word.
        #[source]
        source: io::Error,
    },
    /// Somebody else sits on its port, or the file that names its key is old.
    #[error("what answers on port {port} is not that llmup (status {status})")]
    Stranger {
        /// The port.
        port: u16,
        /// What it said.
        status: u16,
    },
}

/// What an instance says about itself.
///
/// # Errors
/// [`Unanswered`].
pub fn ask(endpoint: &Endpoint) -> Result<Value, Unanswered> {
    exchange(endpoint, "GET", "/status", "")
}

/// Has an instance read its configuration again, and waits until it has.
///
/// # Errors
/// [`Unanswered`].
pub fn reload(endpoint: &Endpoint) -> Result<Told, Unanswered> {
    wait(endpoint, "/reload", "", RELOAD_LIMIT)
}

/// What an instance tells those who want it to serve one more model; that it takes none is [`Unanswered::Stranger`].
///
/// # Errors
/// [`Unanswered`].
pub fn joining(endpoint: &Endpoint) -> Result<Value, Unanswered> {
    exchange(endpoint, "GET", "/join", "")
}

/// Has an instance serve one more model, and waits until it has taken it in, which is before the model is loaded.
///
/// # Errors
/// [`Unanswered`].
pub fn join(endpoint: &Endpoint, wish: &Value) -> Result<Told, Unanswered> {
    wait(endpoint, "/join", &wish.to_string(), JOIN_LIMIT)
}

fn wait(endpoint: &Endpoint, path: &str, body: &str, limit: Duration) -> Result<Told, Unanswered> {
    let port = endpoint.port;
    let (status, body) =
        answer(endpoint, ("POST", path), body, limit).map_err(|source| Unanswered::Silent { port, source })?;
    let told: Option<Value> = serde_json::from_slice(&body).ok();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |name: &str| told.as_ref().and_then(|told| told.get(name)?.as_array().cloned());
    match status {
        200 => Ok(Told::Done(list("said").unwrap_or_default().iter().map(text).collect())),
        409 => Ok(Told::Refused(
            list("lines").unwrap_or_default().iter().map(|line| (text(&line["label"]), text(&line["text"]))).collect(),
        )),
        status => Err(Unanswered::Stranger { port, status }),
    }
}

/// Tells an instance what to do. It has heard it when this returns, and not yet done it.
///
/// # Errors
/// [`Unanswered`].
pub fn order(endpoint: &Endpoint, order: &Order) -> Result<(), Unanswered> {
    let (path, model) = order.sent();
    exchange(endpoint, "POST", path, model).map(|_| ())
}

fn exchange(endpoint: &Endpoint, method: &str, path: &str, body: &str) -> Result<Value, Unanswered> {
    let port = endpoint.port;
    let (status, body) =
        answer(endpoint, (method, path), body, LIMIT).map_err(|source| Unanswered::Silent { port, source })?;
    match serde_json::from_slice(&body) {
        Ok(value) if matches!(status, 200 | 202) => Ok(value),
        _ => Err(Unanswered::Stranger { port, status }),
    }
}

fn answer(
    endpoint: &Endpoint,
    (method, path): (&str, &str),
    body: &str,
    limit: Duration,
) -> io::Result<(u16, Vec<u8>)> {
    let end = Instant::now() + limit;
    let left = || {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::Error::from(io::ErrorKind::TimedOut)) } else { Ok(left) }
    };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, endpoint.port));
    let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_write_timeout(Some(left()?))?;
    let (port, key) = (endpoint.port, &endpoint.key);
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nauthorization: Bearer {key}\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes())?;
    let (mut got, mut piece) = (Vec::new(), [0; 8192]);
    loop {
        stream.set_read_timeout(Some(left()?))?;
        match stream.read(&mut piece)? {
            0 => return parsed(&got)?.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof)),
            n => got.extend_from_slice(&piece[..n]),
        }
        if let Some(answer) = parsed(&got)? {
            return Ok(answer);
        }
        if got.len() as u64 > LARGEST {
            return Err(io::Error::other("its answer does not end"));
        }
    }
}

/// Status and body, once both are complete.
fn parsed(got: &[u8]) -> io::Result<Option<(u16, Vec<u8>)>> {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut head = httparse::Response::new(&mut fields);
    let end = match head.parse(got) {
        Ok(httparse::Status::Complete(end)) => end,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error.to_string())),
    };
    let length = head.headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|field| std::str::from_utf8(field.value).ok()?.trim().parse::<usize>().ok());
    let body = &got[end..];
    match length {
        Some(length) if body.len() < length => Ok(None),
        length => Ok(Some((head.code.unwrap_or(0), body[..length.unwrap_or(body.len())].to_vec()))),
    }
}

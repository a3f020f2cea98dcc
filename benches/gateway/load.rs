//! The callers: plain sockets, kept open, each with one request at a time.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::process::{KEY, Process};
use super::{bodies, mock};

/// What is asked, how often and by how many.
pub struct Case {
    pub name: &'static str,
    /// Protocol and path; the first one goes to mock and yardstick too.
    pub paths: Vec<(&'static str, &'static str)>,
    body: fn(&str) -> String,
    callers: usize,
    requests: usize,
    /// What is counted per request: chunks of its answer.
    units: usize,
}

/// What a run cost. Medians of microseconds; NaN where there is none.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    pub units: usize,
    pub cpu_us: f64,
    pub delay_us: f64,
    pub first_us: f64,
    pub rss_mb: f64,
}

const WHOLE: [(&str, &str); 4] = [
    ("chat", "/v1/chat/completions"),
    ("messages", "/v1/messages"),
    ("responses", "/v1/responses"),
    ("gemini", "/v1beta/models/m:generateContent"),
];

const STREAM: [(&str, &str); 4] = [
    ("chat", "/v1/chat/completions"),
    ("messages", "/v1/messages"),
    ("responses", "/v1/responses"),
    ("gemini", "/v1beta/models/m:streamGenerateContent?alt=sse"),
];

pub fn cases() -> Vec<Case> {
    let only = std::env::var("BENCH_PROTOCOLS").unwrap_or_else(|_| "chat,messages".to_owned());
    let pick = |paths: [(&'static str, &'static str); 4]| -> Vec<_> {
        paths.into_iter().filter(|(name, _)| only.split(',').any(|p| p == *name)).collect()
    };
    let case = |name, stream: bool, body, callers, requests, units| Case {
        name,
        paths: pick(if stream { STREAM } else { WHOLE }),
        body,
        callers,
        requests,
        units,
    };
    vec![
        case("small request", false, |p| bodies::small(p, false, "plain"), 8, 250, 1),
        case("150 KB request", false, bodies::large, 4, 100, 1),
        case("chunk in a burst", true, |p| bodies::small(p, true, "burst:20000"), 1, 3, 20_000),
        case("first byte, one at a time", true, |p| bodies::small(p, true, "plain"), 1, 300, 1),
        case("chunk, 256 × 20 ms", true, |p| bodies::small(p, true, "paced:100:20"), 256, 1, 100),
        case("chunk, 200 × 50 ms, long requests", true, |p| bodies::large_stream(p, "paced:40:50"), 200, 1, 40),
        case("chunk, 1000 × 50 ms", true, |p| bodies::small(p, true, "paced:40:50"), 1000, 1, 40),
    ]
}

pub fn run(case: &Case, address: &str, path: &str, process: Option<&Process>) -> Cost {
    let protocol = case.paths.iter().find(|(_, p)| *p == path).map_or("chat", |(name, _)| name);
    let body = (case.body)(protocol);
    let request: Arc<[u8]> = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
    .into();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let found = Arc::new(Mutex::new((Vec::<f64>::new(), Vec::<f64>::new())));
    let rss = runtime.block_on(async {
        let mut callers = Vec::new();
        for at in 0..case.callers {
            let (request, found, address) = (Arc::clone(&request), Arc::clone(&found), address.to_owned());
            let requests = case.requests;
            // Paced streams that all begin at once would beat in time.
            let wait = if case.callers > 100 { at as u64 * 40 / 100 } else { 0 };
            callers.push(tokio::spawn(async move {
                tokio::time::sleep(std::time::Duration::from_millis(wait)).await;
                let mut socket = TcpStream::connect(&address).await.unwrap();
                socket.set_nodelay(true).unwrap();
                let (mut delays, mut firsts) = (Vec::new(), Vec::new());
                for _ in 0..requests {
                    firsts.push(exchange(&mut socket, &request, &mut delays).await);
                }
                let mut found = found.lock().unwrap();
                found.0.extend(delays);
                found.1.extend(firsts);
            }));
        }
        let held = async {
            if case.callers < 100 {
                return f64::NAN;
            }
            tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
            process.map_or(f64::NAN, Process::rss_mb)
        };
        let rss = held.await;
        for caller in callers {
            caller.await.unwrap();
        }
        rss
    });
    let (delays, firsts) = std::mem::take(&mut *found.lock().unwrap());
    Cost {
        units: case.callers * case.requests * case.units,
        cpu_us: 0.0,
        delay_us: super::median(delays),
        first_us: super::median(firsts),
        rss_mb: rss,
    }
}

/// One request and its answer; microseconds to the first byte of the body.
async fn exchange(socket: &mut TcpStream, request: &[u8], delays: &mut Vec<f64>) -> f64 {
    let start = Instant::now();
    socket.write_all(request).await.unwrap();
    let mut got = vec![0; 64 << 10];
    let mut head = Vec::new();
    let mut first = f64::NAN;
    let mut left = None;
    let mut tail = Vec::new();
    loop {
        let n = socket.read(&mut got).await.unwrap();
        assert!(n > 0, "cut: {}", String::from_utf8_lossy(&tail));
        let mut bytes = &got[..n];
        if left.is_none() {
            head.extend_from_slice(bytes);
            let Some(end) = memchr::memmem::find(&head, b"\r\n\r\n") else { continue };
            let text = String::from_utf8_lossy(&head[..end]).to_ascii_lowercase();
            assert!(text.starts_with("http/1.1 200"), "{}", String::from_utf8_lossy(&head));
            let length = text.split("content-length: ").nth(1);
            left = Some(length.map(|l| l.split("\r\n").next().unwrap().parse::<usize>().unwrap()));
            let behind = head.len() - end - 4;
            bytes = &bytes[bytes.len() - behind..];
        }
        if bytes.is_empty() {
            continue;
        }
        if first.is_nan() {
            first = start.elapsed().as_secs_f64() * 1e6;
        }
        let now = mock::now();
        for at in memchr::memmem::find_iter(bytes, b"t=1") {
            let digits = bytes.get(at + 2..at + 21).and_then(|d| std::str::from_utf8(d).ok()?.parse::<u64>().ok());
            delays.extend(digits.map(|sent| now.saturating_sub(sent) as f64 / 1e3));
        }
        match &mut left {
            Some(Some(left)) => {
                *left -= bytes.len();
                if *left == 0 {
                    return first;
                }
            }
            _ => {
                tail.extend_from_slice(&bytes[bytes.len().saturating_sub(200)..]);
                tail.drain(..tail.len().saturating_sub(200));
                if tail.ends_with(b"0\r\n\r\n") {
                    return first;
                }
            }
        }
    }
}

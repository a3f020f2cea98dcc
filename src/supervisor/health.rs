//! Waits until a child answers. How readiness looks is the caller's to say: a probe is any future; [`get`] is the
//! small HTTP request most of them need.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::ExitStatus;

/// How long one probe may take.
const PROBE_LIMIT: Duration = Duration::from_secs(1);
/// The pause between probes at first: small models are ready within a tenth of a second.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The longest pause, which bounds how late readiness is seen.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// More of a health answer than this is not read.
const LARGEST: u64 = 64 * 1024;

/// Probes until one says yes; gives the time that took, or how the child ended first: at once when `exited` resolves
/// (see [`super::Child::exited`]). Who wants a limit drops the future.
pub async fn wait_ready<P, F>(probe: P, exited: impl Future<Output = ExitStatus>) -> Result<Duration, ExitStatus>
where
    P: Fn() -> F,
    F: Future<Output = bool>,
{
    let began = Instant::now();
    let probing = async {
        let mut pause = FIRST_PAUSE;
        while !tokio::time::timeout(PROBE_LIMIT, probe()).await.unwrap_or(false) {
            tokio::time::sleep(pause).await;
            pause = (pause * 5 / 4).min(LONGEST_PAUSE);
        }
        began.elapsed()
    };
    tokio::select! {
        // A child that is gone is never ready, whoever answers on its port.
        biased;
        status = exited => Err(status),
        took = probing => Ok(took),
    }
}

/// Whether `GET path` answers 200 within a second.
pub async fn answers(addr: SocketAddr, path: &str) -> bool {
    get(addr, path).await.is_ok_and(|(status, _)| status == 200)
}

/// `GET path` over a fresh connection, within a second: the status and the body (at most 64 KiB of it, and only as
/// the server sent it: chunked bodies are not joined).
pub async fn get(addr: SocketAddr, path: &str) -> io::Result<(u16, Vec<u8>)> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\nAccept: */*\r\n\r\n");
    exchange(addr, &request, PROBE_LIMIT, LARGEST).await
}

/// `GET path` over a fresh connection, with a key and within `limit`: the status and at most a MiB of the body.
pub async fn fetch(addr: SocketAddr, path: &str, key: Option<&str>, limit: Duration) -> io::Result<(u16, Vec<u8>)> {
    let key = key.map(|key| format!("Authorization: Bearer {key}\r\n")).unwrap_or_default();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\nAccept: */*\r\n{key}\r\n");
    exchange(addr, &request, limit, 16 * LARGEST).await
}

/// `POST path` without a body over a fresh connection, with a key and within `limit`: the status and at most a MiB of
/// the answer.
pub async fn post(addr: SocketAddr, path: &str, key: Option<&str>, limit: Duration) -> io::Result<(u16, Vec<u8>)> {
    let key = key.map(|key| format!("Authorization: Bearer {key}\r\n")).unwrap_or_default();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\nAccept: */*\r\nContent-Length: 0\r\n{key}\r\n"
    );
    exchange(addr, &request, limit, 16 * LARGEST).await
}

async fn exchange(addr: SocketAddr, request: &str, limit: Duration, largest: u64) -> io::Result<(u16, Vec<u8>)> {
    let talk = async {
        let mut stream = TcpStream::connect(addr).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        let mut limited = stream.take(largest);
        // Not every server closes when asked to: stop when the announced length is there.
        loop {
            let read = limited.read_buf(&mut answer).await?;
            if read == 0 || complete(&answer) {
                break;
            }
        }
        parse(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "this is not HTTP"))
    };
    tokio::time::timeout(limit, talk).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

fn split(answer: &[u8]) -> Option<(&str, &[u8])> {
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n")?;
    Some((std::str::from_utf8(&answer[..end]).ok()?, &answer[end + 4..]))
}

fn complete(answer: &[u8]) -> bool {
    let Some((head, body)) = split(answer) else { return false };
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse::<usize>().ok())
        .is_some_and(|length| body.len() >= length)
}

fn parse(answer: &[u8]) -> Option<(u16, Vec<u8>)> {
    let (head, body) = split(answer)?;
    let mut words = head.lines().next()?.split_ascii_whitespace();
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    Some((words.next()?.parse().ok()?, body.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn ready_is_seen_soon_after_it_is_so() {
        block(async {
            let began = Instant::now();
            let probe = || async { began.elapsed() > Duration::from_millis(400) };
            let took = wait_ready(probe, std::future::pending()).await.unwrap();
            assert!(took >= Duration::from_millis(400));
            // 100 ms by construction; the rest is for a busy machine.
            assert!(took < Duration::from_millis(800), "{took:?}");
        });
    }

    #[test]
    fn an_ended_child_ends_the_wait_at_once() {
        block(async {
            let exited = async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                ExitStatus::Code(7)
            };
            let began = Instant::now();
            let probe = std::future::pending::<bool>;
            let result = wait_ready(probe, exited).await;
            assert_eq!(result, Err(ExitStatus::Code(7)));
            assert!(began.elapsed() < Duration::from_millis(800), "a hanging probe must not delay it");
        });
    }

    #[test]
    fn answers_are_taken_apart() {
        assert_eq!(parse(b"HTTP/1.1 503 Busy\r\nA: b\r\n\r\nwait"), Some((503, b"wait".to_vec())));
        assert_eq!(parse(b"HTTP/1.0 200 OK\r\n\r\n"), Some((200, Vec::new())));
        assert_eq!(parse(b"SSH-2.0-x\r\n\r\n"), None);
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\n"), None);
        assert!(complete(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"));
        assert!(!complete(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok"));
    }

    #[test]
    fn a_server_that_accepts_and_says_nothing_is_not_ready() {
        block(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let began = Instant::now();
            assert!(!answers(listener.local_addr().unwrap(), "/health").await);
            assert!(began.elapsed() < Duration::from_secs(3));
        });
    }
}

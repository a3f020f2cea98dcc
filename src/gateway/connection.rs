//! Our own HTTP/1.1 towards engines on plain `http://`: no task and no channel per request, and everything that one
//! read brought is handed on at once. A general client hands over chunk by chunk through a channel, which cost 6 to 17
//! times as much when an engine is fast (docs/performance.md).

use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Response;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

use super::answer_head::{Head, invalid, whole};
use super::chunked::{Framed, Malformed};
use super::dial::Post;
use super::digits;

/// Idle connections, by the hosts they lead to as URLs name them. Few: who asks looks at one after the other.
#[derive(Debug, Default)]
pub(super) struct Connections {
    hosts: Mutex<Vec<(String, Arc<Host>)>>,
}

/// Those to one host.
#[derive(Debug, Default)]
struct Host(Mutex<Idle>);

#[derive(Debug, Default)]
struct Idle {
    /// The last used one last.
    kept: Vec<(Instant, TcpStream)>,
    /// Somebody closes them in time.
    watched: bool,
}

/// An engine on this machine or in this network accepts within this time or not at all.
const CONNECT: Duration = Duration::from_secs(5);

/// Idle connections are dropped before the engine does it: llama.cpp's server and vLLM's both close after 5 s.
const IDLE: Duration = Duration::from_secs(3);

/// More idle ones than this are of no use.
const MOST_IDLE: usize = 256;

/// No answer's head is larger.
const HEAD_LIMIT: usize = 64 << 10;

/// Bodies up to this size are copied behind the head, larger ones written after it.
const ONE_WRITE: usize = 16 << 10;

/// What one read may bring.
const READ: usize = 64 << 10;

thread_local! {
    /// The buffer of all reads of a thread: nothing stays in it, so no stream has to hold one while it waits.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Why there is no answer.
#[derive(Debug)]
enum Failed {
    /// The connection ended before the first byte of an answer.
    Unanswered(io::Error),
    Other(io::Error),
}

impl Connections {
    /// Sends a request. Dropping the future, or the answer before its end, closes the connection.
    pub(super) async fn send(&self, post: &Post) -> io::Result<Response<Reading>> {
        let (shown, path) = parts(&post.url)?;
        let host = self.host(shown);
        let (head, body) = written(post, shown, path);
        while let Some(stream) = host.take() {
            match exchange(stream, &head, body, &host).await {
                Ok(response) => return Ok(response),
                // The engine closed an idle connection while we were writing into it: once more, on another one. A
                // dead engine refuses a new one.
                Err(Failed::Unanswered(_)) => continue,
                Err(Failed::Other(error)) => return Err(error),
            }
        }
        // Rare, and large in itself.
        let stream = Box::pin(connected(shown)).await?;
        match exchange(stream, &head, body, &host).await {
            Ok(response) => Ok(response),
            Err(Failed::Unanswered(error) | Failed::Other(error)) => Err(error),
        }
    }

    fn host(&self, shown: &str) -> Arc<Host> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, host)) = hosts.iter().find(|(name, _)| name == shown) {
            return Arc::clone(host);
        }
        // An engine that is started anew is another host: its port changes.
        hosts.retain(|(_, host)| Arc::strong_count(host) > 1 || !host.idle().kept.is_empty());
        let host = Arc::<Host>::default();
        hosts.push((shown.to_owned(), Arc::clone(&host)));
        host
    }
}

async fn connected(shown: &str) -> io::Result<TcpStream> {
    // The colons of an IPv6 address stand inside brackets.
    let has_port = shown.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
    let address = if has_port { shown.to_owned() } else { format!("{shown}:80") };
    let stream = tokio::time::timeout(CONNECT, TcpStream::connect(address));
    let stream = stream.await.map_err(|_| io::Error::from(ErrorKind::TimedOut))??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn exchange(
    mut stream: TcpStream,
    head: &[u8],
    body: &[u8],
    host: &Arc<Host>,
) -> Result<Response<Reading>, Failed> {
    let sent = match stream.write_all(head).await {
        Ok(()) if !body.is_empty() => stream.write_all(body).await,
        sent => sent,
    };
    // Who refuses a long body may answer and close before having read it: the answer counts.
    let head = match (answer_head(&mut stream).await, sent) {
        (Ok(head), _) => head,
        (Err(Failed::Unanswered(_)), Err(error)) => return Err(Failed::Unanswered(error)),
        (Err(failed), _) => return Err(failed),
    };
    let back = head.reusable.then(|| Arc::clone(host));
    let mut reading = Reading { stream: Some(stream), framed: head.framed, rest: head.behind, back };
    if reading.framed.ended() {
        reading.finish();
    }
    Ok(head.response.map(|()| reading))
}

impl Host {
    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<TcpStream> {
        let mut idle = self.idle();
        while let Some((since, stream)) = idle.kept.pop() {
            if since.elapsed() >= IDLE {
                // The ones before it are older.
                idle.kept.clear();
                return None;
            }
            // Nothing may have come: neither an end nor words nobody asked for.
            if matches!(stream.try_read(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock) {
                return Some(stream);
            }
        }
        None
    }

    fn put(self: &Arc<Self>, stream: TcpStream) {
        let mut idle = self.idle();
        if idle.kept.len() < MOST_IDLE {
            idle.kept.push((Instant::now(), stream));
        }
        if idle.watched {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            idle.watched = true;
            runtime.spawn(watch(Arc::downgrade(self)));
        }
    }
}

/// As long as there are idle ones, closes them in time.
async fn watch(host: Weak<Host>) {
    loop {
        tokio::time::sleep(IDLE).await;
        let Some(host) = host.upgrade() else { return };
        let mut idle = host.idle();
        idle.kept.retain(|(since, _)| since.elapsed() < IDLE);
        if idle.kept.is_empty() {
            idle.watched = false;
            return;
        }
    }
}

/// The host (with its port, without a user) and the path of an absolute `http://` URL.
fn parts(url: &str) -> io::Result<(&str, &str)> {
    let rest = url.strip_prefix("http://").unwrap_or(url);
    let slash = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(slash);
    let host = authority.rsplit('@').next().unwrap_or_default();
    // What would end the line it stands in, or cannot stand in it.
    if host.is_empty() || url.bytes().fold(false, |found, byte| found | (byte <= b' ') | (byte == 0x7f)) {
        return Err(invalid("the engine's address is no URL"));
    }
    Ok((host, if path.is_empty() { "/" } else { path }))
}

/// The head as it goes out, with a short body behind it, and a long body apart.
fn written<'p>(post: &'p Post, host: &str, path: &str) -> (Vec<u8>, &'p [u8]) {
    let short = post.body.len() <= ONE_WRITE;
    let mut out = Vec::with_capacity(512 + if short { post.body.len() } else { 0 });
    for part in ["POST ", path, " HTTP/1.1\r\nhost: ", host, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    for (name, value) in &post.headers {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"content-length: ");
    out.extend_from_slice(digits::of(post.body.len() as u64, 1, &mut digits::room()).as_bytes());
    out.extend_from_slice(b"\r\n\r\n");
    if short {
        out.extend_from_slice(&post.body);
        return (out, &[]);
    }
    (out, &post.body)
}

/// One read: `look` gets what it brought, nothing at the end.
fn poll_read<T>(stream: &mut TcpStream, cx: &mut Context<'_>, look: impl FnOnce(&[u8]) -> T) -> Poll<io::Result<T>> {
    let mut scratch = SCRATCH.take();
    scratch.resize(READ, 0);
    let mut buffer = ReadBuf::new(&mut scratch);
    let polled = Pin::new(stream).poll_read(cx, &mut buffer).map_ok(|()| look(buffer.filled()));
    SCRATCH.set(scratch);
    polled
}

/// Reads up to the end of the head.
async fn answer_head(stream: &mut TcpStream) -> Result<Head, Failed> {
    // Of a head that does not come with one read.
    let mut got = Vec::new();
    loop {
        let unanswered = got.is_empty();
        let closed = |error| if unanswered { Failed::Unanswered(error) } else { Failed::Other(error) };
        let read = std::future::poll_fn(|cx| {
            poll_read(stream, cx, |new| {
                if new.is_empty() {
                    return Err(closed(io::Error::new(ErrorKind::UnexpectedEof, "it closed the connection")));
                }
                if unanswered {
                    let head = whole(new).map_err(Failed::Other);
                    if let Ok(None) = head {
                        got = new.to_vec();
                    }
                    return head;
                }
                got.extend_from_slice(new);
                whole(&got).map_err(Failed::Other)
            })
        });
        if let Some(head) = read.await.map_err(closed)?? {
            return Ok(head);
        }
        if got.len() >= HEAD_LIMIT {
            return Err(Failed::Other(invalid("the head of the engine's answer does not end")));
        }
    }
}

/// The body of an answer.
#[derive(Debug)]
pub(super) struct Reading {
    /// `None` behind the end.
    stream: Option<TcpStream>,
    framed: Framed,
    /// Read together with the head.
    rest: Vec<u8>,
    /// Where the connection goes in the end, when it can be used again.
    back: Option<Arc<Host>>,
}

impl Reading {
    /// One read: hands all payload it brought to `sink`, piece by piece. `false` at the end of the body.
    pub(super) fn poll_pieces(&mut self, cx: &mut Context<'_>, sink: &mut dyn FnMut(&[u8])) -> Poll<io::Result<bool>> {
        if !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            let used = self.framed.take(&rest, sink);
            return Poll::Ready(self.taken(used, rest.len()));
        }
        let Some(stream) = &mut self.stream else { return Poll::Ready(Ok(false)) };
        let framed = &mut self.framed;
        let read = poll_read(stream, cx, |new| (!new.is_empty()).then(|| (framed.take(new, sink), new.len())));
        Poll::Ready(match ready!(read)? {
            Some((used, of)) => self.taken(used, of),
            None if self.framed == Framed::Close => {
                self.stream = None;
                Ok(false)
            }
            None => Err(io::Error::new(ErrorKind::UnexpectedEof, "it closed the connection")),
        })
    }

    /// Of `of` bytes so many were the body's. Whether more come.
    fn taken(&mut self, used: Result<usize, Malformed>, of: usize) -> io::Result<bool> {
        let used = used.map_err(|_| invalid("its chunks are broken"))?;
        if !self.framed.ended() {
            return Ok(true);
        }
        if used < of {
            self.back = None;
        }
        self.finish();
        Ok(false)
    }

    /// All is read.
    fn finish(&mut self) {
        if !self.rest.is_empty() {
            self.back = None;
        }
        if let (Some(stream), Some(host)) = (self.stream.take(), self.back.take()) {
            host.put(stream);
        }
    }

    /// All payload of one read as one piece; `None` at the end.
    pub(super) fn poll_joined(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            let mut joined = Vec::new();
            let more = ready!(self.poll_pieces(cx, &mut |piece| joined.extend_from_slice(piece)));
            match more {
                Err(error) => return Poll::Ready(Some(Err(error))),
                Ok(_) if !joined.is_empty() => return Poll::Ready(Some(Ok(joined.into()))),
                Ok(false) => return Poll::Ready(None),
                Ok(true) => {}
            }
        }
    }
}

//! Accepts connections, and lets them end.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::socket::Socket;
use super::{Shared, handle};

/// How serving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were still busy when the grace period ended, and were cut.
    pub cut: usize,
}

pub(super) async fn serve(shared: Arc<Shared>, listener: TcpListener, shutdown: impl Future<Output = ()>) -> Drained {
    let (stop, stopping) = watch::channel(false);
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(Arc::clone(&shared), stream, stopping.clone()));
                }
                // Out of file descriptors, or a caller that left already: the next one may do better.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    let _ = stop.send(true);
    let all_done = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(shared.settings.grace, all_done).await;
    let cut = connections.len();
    connections.shutdown().await;
    Drained { cut }
}

/// Largest head of a request; beyond that the answer is 431.
const HEAD_BYTES: usize = 64 << 10;

/// What the server holds of a body or an answer at most before it is taken on.
const BUFFER: usize = 256 << 10;

async fn connection(shared: Arc<Shared>, stream: TcpStream, mut stopping: watch::Receiver<bool>) {
    let _ = stream.set_nodelay(true);
    let limits = &shared.settings.limits;
    let (head, write, timer) = (limits.head, limits.write, shared.heads.clone());
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(handle::handle(&shared, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(timer)
        .header_read_timeout(head)
        .max_header_size(HEAD_BYTES)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(Socket::new(stream, write)), service);
    tokio::pin!(connection);
    let told = stopping.clone();
    let stopped = stopping.changed();
    tokio::pin!(stopped);
    let (mut listening, mut asked) = (false, false);
    std::future::poll_fn(|cx| {
        // The task's waker stays the same: one look registers it, and no event after that pays for another.
        if !asked && (!listening || !matches!(told.has_changed(), Ok(false))) {
            listening = true;
            // An error means the sender is gone, which is the same.
            if stopped.as_mut().poll(cx).is_ready() {
                asked = true;
                connection.as_mut().graceful_shutdown();
            }
        }
        connection.as_mut().poll(cx).map(drop)
    })
    .await
}

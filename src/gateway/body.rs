//! Reads a request's body: within a size, and from a caller that goes on sending.

use std::pin::Pin;
use std::task::{Poll, ready};

use bytes::{Bytes, BytesMut};
use hyper::body::{Body as HttpBody, Incoming};
use tokio::time::Instant;

use super::pulse::Limits;
use crate::protocol::{Problem, ProblemKind};

/// Room made at once on the caller's word; what is longer grows as it comes.
const TRUSTED: usize = 1 << 20;

/// The mark of byte order that some writers of files put in front; Python's servers read over it, JSON knows none.
const MARK: &[u8] = "\u{feff}".as_bytes();

/// The whole body.
pub(super) async fn read(body: Incoming, limits: &Limits) -> Result<Bytes, Problem> {
    let whole = collect(body, limits).await?;
    Ok(if whole.starts_with(MARK) { whole.slice(MARK.len()..) } else { whole })
}

async fn collect(mut body: Incoming, limits: &Limits) -> Result<Bytes, Problem> {
    let announced = body.size_hint().lower();
    let mut whole = BytesMut::new();
    let mut over = announced > limits.body_bytes as u64;
    // A caller that is told while it still sends sees a broken connection instead of the reason. So what is too much
    // is read to its end, if that is not far.
    let mut patience = if announced > 4 * limits.body_bytes as u64 { 0 } else { 4 * limits.body_bytes };
    let (mut timer, mut latest) = (None, None);
    while !(over && patience == 0) {
        let frame = std::future::poll_fn(|cx| {
            if let Poll::Ready(frame) = Pin::new(&mut body).poll_frame(cx) {
                return Poll::Ready(Ok(frame));
            }
            // Only now a timer: most bodies came with their head.
            let mut deadline = || {
                let now = Instant::now();
                (now + limits.body_gap).min(*latest.get_or_insert(now + limits.body))
            };
            let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline())));
            ready!(timer.as_mut().poll(cx));
            Poll::Ready(Err(Problem::new(ProblemKind::Invalid, "the request body did not arrive in time")))
        });
        let data = match frame.await? {
            None => break,
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            Some(Err(error)) => {
                return Err(Problem::new(ProblemKind::Invalid, format!("the request body broke off: {error}")));
            }
        };
        timer = None;
        if over || whole.len() + data.len() > limits.body_bytes {
            (over, whole) = (true, BytesMut::new());
            patience = patience.saturating_sub(data.len());
            continue;
        }
        if whole.is_empty() {
            if data.len() as u64 == announced {
                return Ok(data);
            }
            whole.reserve(usize::try_from(announced).unwrap_or(TRUSTED).clamp(data.len(), TRUSTED.max(data.len())));
        }
        whole.extend_from_slice(&data);
    }
    if over {
        let message = format!("the request body is larger than {} bytes", limits.body_bytes);
        return Err(Problem::new(ProblemKind::TooLarge, message));
    }
    Ok(whole.freeze())
}

//! The body of a backend's answer, whichever client brings it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming};

use super::connection::Reading;
use super::reply::BoxError;
use crate::protocol::{Problem, ProblemKind};

/// The body.
pub(super) enum Answer {
    /// From our own connection.
    Own(Reading),
    /// From the general client, which speaks TLS.
    Client(Incoming),
    /// Read already.
    Read(Option<Bytes>),
}

impl Answer {
    /// Hands what has come to `sink`, in pieces. `false` at the end.
    pub(super) fn poll_pieces(
        &mut self,
        cx: &mut Context<'_>,
        sink: &mut dyn FnMut(&[u8]),
    ) -> Poll<Result<bool, Problem>> {
        let broke_off = |error: &dyn std::fmt::Display| {
            Problem::new(ProblemKind::Upstream, format!("the engine broke off its answer: {error}"))
        };
        match self {
            Answer::Own(reading) => reading.poll_pieces(cx, sink).map_err(|error| broke_off(&error)),
            Answer::Read(read) => match read.take() {
                Some(bytes) => {
                    sink(&bytes);
                    Poll::Ready(Ok(true))
                }
                None => Poll::Ready(Ok(false)),
            },
            Answer::Client(incoming) => match ready!(Pin::new(incoming).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Ok(piece) = frame.into_data() {
                        sink(&piece);
                    }
                    Poll::Ready(Ok(true))
                }
                Some(Err(error)) => Poll::Ready(Err(broke_off(&error))),
                None => Poll::Ready(Ok(false)),
            },
        }
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut *self {
            Answer::Own(reading) => {
                let piece: Option<io::Result<Bytes>> = ready!(reading.poll_joined(cx));
                Poll::Ready(piece.map(|piece| piece.map(Frame::data).map_err(Into::into)))
            }
            Answer::Read(read) => Poll::Ready(read.take().map(|bytes| Ok(Frame::data(bytes)))),
            Answer::Client(incoming) => Pin::new(incoming).poll_frame(cx).map_err(Into::into),
        }
    }
}

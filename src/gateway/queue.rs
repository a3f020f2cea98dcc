//! Requests whose backend is not up yet: they wait, and a stream begins meanwhile and gets signs of life.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http::request::Parts;
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame};
use tokio::time::{Instant, Sleep};

use super::backend;
use super::handle::{self, Asking};
use super::metrics::InFlight;
use super::reply::{self, Body, BoxError};
use super::route::{self, Route};
use super::terms::Now;
use super::{Shared, paths};
use crate::protocol::ir::Framing;
use crate::protocol::{self, Id, Problem};

/// What is asked, and how the answer is to come.
pub(super) struct Waiting<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) terms: &'a Arc<Now>,
    pub(super) route: &'a Route<'a>,
    pub(super) parts: &'a Parts,
    pub(super) framing: Framing,
}

/// The answer, however long it takes until there is one.
type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Problem>> + Send>>;

/// Waits for the backend, then goes on as if it had been up.
pub(super) async fn wait(
    Waiting { shared, terms, route, parts, framing }: Waiting<'_>,
    body: Bytes,
    in_flight: &InFlight,
) -> Result<Response<Body>, Problem> {
    // Whoever can bring it up hears of it.
    in_flight.queued();
    let dialect = route.dialect;
    let keepalive = shared.settings.limits.keepalive;
    let mut answering = answering(Arc::clone(shared), Arc::clone(terms), parts.clone(), body, in_flight.clone());
    // Gemini's array would have to be begun, and an answer in one piece has nowhere to put a sign.
    if framing != Framing::Events {
        return answering.await;
    }
    match tokio::time::timeout(keepalive, &mut answering).await {
        Ok(answer) => answer,
        Err(_) => {
            let body = Queued {
                phase: Phase::Waiting(answering),
                dialect,
                keepalive,
                due: true,
                tick: Box::pin(tokio::time::sleep(keepalive)),
                in_flight: in_flight.clone(),
            };
            Ok(reply::stream(framing, body.boxed_unsync()))
        }
    }
}

/// The rest of the request's way, with all that it needs. The steps before it are taken once more: they are cheap, and
/// what they found borrows.
fn answering(shared: Arc<Shared>, terms: Arc<Now>, parts: Parts, body: Bytes, in_flight: InFlight) -> Answering {
    Box::pin(async move {
        let path = paths::plain(parts.uri.path());
        let route = route::find(&parts.method, &path, parts.uri.query(), &parts.headers).1?;
        let asking = Asking::of(&route, &body)?;
        let chosen = terms.catalog.find(asking.model())?;
        let state = backend::settled(&mut chosen.served.backend.clone()).await;
        handle::forward(&shared, &route, &parts.headers, asking, body, (&chosen, state), in_flight).await
    })
}

enum Phase {
    Waiting(Answering),
    Flowing(Body),
    /// What was answered instead of a stream.
    Failing(Pin<Box<dyn Future<Output = Problem> + Send>>),
    Done,
}

/// A stream that began before its answer. Dropping it cancels the request.
struct Queued {
    phase: Phase,
    dialect: Id,
    keepalive: Duration,
    /// The silence has lasted long enough already.
    due: bool,
    tick: Pin<Box<Sleep>>,
    in_flight: InFlight,
}

impl Queued {
    /// The failure, where a stream says such things.
    fn fail(&mut self, problem: &Problem) -> Bytes {
        self.phase = Phase::Done;
        self.in_flight.error(&problem.message);
        self.in_flight.ended();
        protocol::protocol(self.dialect).encode_stream_error(problem).into()
    }
}

impl HttpBody for Queued {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            match &mut self.phase {
                Phase::Done => return Poll::Ready(None),
                Phase::Flowing(body) => return Pin::new(body).poll_frame(cx),
                Phase::Failing(reading) => {
                    let problem = ready!(reading.as_mut().poll(cx));
                    return Poll::Ready(Some(Ok(Frame::data(self.fail(&problem)))));
                }
                Phase::Waiting(answering) => match answering.as_mut().poll(cx) {
                    Poll::Ready(Ok(response)) if response.status().is_success() => {
                        self.phase = Phase::Flowing(response.into_body());
                    }
                    Poll::Ready(Ok(response)) => self.phase = Phase::Failing(Box::pin(failure(response))),
                    Poll::Ready(Err(problem)) => {
                        return Poll::Ready(Some(Ok(Frame::data(self.fail(&problem)))));
                    }
                    Poll::Pending => {
                        if !std::mem::take(&mut self.due) {
                            ready!(self.tick.as_mut().poll(cx));
                        }
                        let next = Instant::now() + self.keepalive;
                        self.tick.as_mut().reset(next);
                        let sign = protocol::protocol(self.dialect).keepalive();
                        return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(sign)))));
                    }
                },
            }
        }
    }
}

/// What an answer says that failed. It is one of ours, and short.
async fn failure(response: Response<Body>) -> Problem {
    let status = response.status().as_u16();
    let body = response.into_body().collect().await;
    Problem::from_engine(status, &body.map(|body| body.to_bytes()).unwrap_or_default())
}

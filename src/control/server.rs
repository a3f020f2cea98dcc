//! The listening side.

use std::convert::Infallible;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use subtle::ConstantTimeEq;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::{Endpoint, Order};

/// What the instance says about itself.
pub type Status = Arc<dyn Fn() -> Value + Send + Sync>;

/// The orders, as they come.
pub type Orders = mpsc::UnboundedReceiver<Order>;

/// A caller sends its few bytes within this time.
const HEAD: Duration = Duration::from_secs(5);

/// An open endpoint; dropping it closes it.
pub struct Opened {
    /// Where it is.
    pub endpoint: Endpoint,
    /// What comes in.
    pub orders: Orders,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Listens on a free loopback port.
///
/// # Errors
/// When no port can be had, or no random numbers.
pub async fn open(status: Status) -> io::Result<Opened> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let mut random = [0u8; 24];
    getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    let key: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let endpoint = Endpoint { port: listener.local_addr()?.port(), key: key.clone() };
    let (sender, orders) = mpsc::unbounded_channel();
    let desk = Arc::new(Desk { key, status, sender });
    let serving = tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(serve(Arc::clone(&desk), stream))),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    });
    Ok(Opened { endpoint, orders, serving })
}

struct Desk {
    key: String,
    status: Status,
    sender: mpsc::UnboundedSender<Order>,
}

async fn serve(desk: Arc<Desk>, stream: TcpStream) {
    let service = service_fn(move |request| {
        let answer = desk.answer(&request);
        async move { Ok::<_, Infallible>(answer) }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD).keep_alive(false);
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

impl Desk {
    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        // No page in a browser has any business here: it sends an Origin, and it does not know the key.
        if request.headers().contains_key(header::ORIGIN) || !self.knows(request.headers().get(header::AUTHORIZATION)) {
            return say(StatusCode::FORBIDDEN, &json!({"error": "this endpoint is for llmup's own commands"}));
        }
        let path = request.uri().path();
        if request.method() == Method::GET && path == "/status" {
            return say(StatusCode::OK, &(self.status)());
        }
        let order = Order::ALL.into_iter().find(|order| request.method() == Method::POST && order.path() == path);
        match order.map(|order| self.sender.send(order)) {
            Some(Ok(())) => say(StatusCode::ACCEPTED, &json!({"accepted": true})),
            Some(Err(_)) => say(StatusCode::SERVICE_UNAVAILABLE, &json!({"error": "it is ending already"})),
            None => say(StatusCode::NOT_FOUND, &json!({"error": "there is no such order"})),
        }
    }

    fn knows(&self, shown: Option<&HeaderValue>) -> bool {
        let shown = shown.and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        shown.is_some_and(|shown| shown.ct_eq(self.key.as_bytes()).into())
    }
}

fn say(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

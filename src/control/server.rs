//! The listening side.

use std::convert::Infallible;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Collected, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use subtle::ConstantTimeEq;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

use super::{Endpoint, Order, Told};

/// What the instance says about itself.
pub type Status = Arc<dyn Fn() -> Value + Send + Sync>;

/// The orders, as they come.
pub type Orders = mpsc::UnboundedReceiver<Order>;

/// Somebody wants the configuration to be read again, and waits for the word on it.
#[derive(Debug)]
pub struct Reload(oneshot::Sender<Told>);

impl Reload {
    /// Tells how it went.
    pub fn answer(self, told: Told) {
        // Who asked may have gone.
        let _ = self.0.send(told);
    }
}

/// Somebody wants it to serve one more model, and waits for the word on it.
#[derive(Debug)]
pub struct Join {
    /// The model, in words that only commands understand.
    pub wish: Value,
    reply: oneshot::Sender<Told>,
}

impl Join {
    /// Tells whether it is taken in.
    pub fn answer(self, told: Told) {
        let _ = self.reply.send(told);
    }
}

/// Bytes of the longest body: a model's name, or what is wanted of it.
const LONGEST: usize = 64 << 10;

/// A caller sends its few bytes within this time.
const HEAD: Duration = Duration::from_secs(5);

/// An open endpoint; dropping it closes it.
pub struct Opened {
    /// Where it is.
    pub endpoint: Endpoint,
    /// What comes in.
    pub orders: Orders,
    /// Wishes for the configuration to be read again.
    pub reloads: mpsc::UnboundedReceiver<Reload>,
    /// Wishes for one more model; of an instance that takes none there are none.
    pub joins: mpsc::UnboundedReceiver<Join>,
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
    open_for_more(status, None).await
}

/// Like [`open`], for an instance that takes in more models when it is asked to, if there is something that `joiners`
/// should know before they ask.
///
/// # Errors
/// As for [`open`].
pub async fn open_for_more(status: Status, joiners: Option<Value>) -> io::Result<Opened> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let mut random = [0u8; 24];
    getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    let key: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let endpoint = Endpoint { port: listener.local_addr()?.port(), key: key.clone() };
    let (sender, orders) = mpsc::unbounded_channel();
    let (wishes, reloads) = mpsc::unbounded_channel();
    let (joining, joins) = mpsc::unbounded_channel();
    let joiners = joiners.map(|told| (told, joining));
    let desk = Arc::new(Desk { key, port: endpoint.port, status, sender, wishes, joiners });
    let serving = tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(serve(Arc::clone(&desk), stream))),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    });
    Ok(Opened { endpoint, orders, reloads, joins, serving })
}

struct Desk {
    key: String,
    port: u16,
    status: Status,
    sender: mpsc::UnboundedSender<Order>,
    wishes: mpsc::UnboundedSender<Reload>,
    /// What who wants to join is told before, and where the wish goes.
    joiners: Option<(Value, mpsc::UnboundedSender<Join>)>,
}

async fn serve(desk: Arc<Desk>, stream: TcpStream) {
    let service = service_fn(move |request| {
        let desk = Arc::clone(&desk);
        async move { Ok::<_, Infallible>(desk.answer(request).await) }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD).keep_alive(false);
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

impl Desk {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        // No page in a browser has any business here: it sends an Origin, or (a name that was made to lead here) a
        // foreign Host, and it does not know the key.
        let headers = request.headers();
        let from_page = headers.contains_key(header::ORIGIN) || !self.is_our_host(headers.get(header::HOST));
        if from_page || !self.knows(headers.get(header::AUTHORIZATION)) {
            return say(StatusCode::FORBIDDEN, &json!({"error": "this endpoint is for llmup's own commands"}));
        }
        let path = request.uri().path();
        if request.method() == Method::GET && path == "/status" {
            return say(StatusCode::OK, &(self.status)());
        }
        if request.method() == Method::POST && path == "/reload" {
            let (sender, told) = oneshot::channel();
            let _ = self.wishes.send(Reload(sender));
            return answered(told).await;
        }
        if let (&Method::GET, "/join", Some((told, _))) = (request.method(), path, &self.joiners) {
            return say(StatusCode::OK, told);
        }
        let (method, path) = (request.method().clone(), path.to_owned());
        let body = Limited::new(request.into_body(), LONGEST).collect().await.map(Collected::to_bytes);
        let body = body.unwrap_or_default();
        if let (&Method::POST, "/join", Some((_, joining))) = (&method, path.as_str(), &self.joiners) {
            let Ok(wish) = serde_json::from_slice(&body) else {
                return say(StatusCode::BAD_REQUEST, &json!({"error": "that is no wish"}));
            };
            let (reply, told) = oneshot::channel();
            let _ = joining.send(Join { wish, reply });
            return answered(told).await;
        }
        let model = String::from_utf8_lossy(&body).into_owned();
        let order = Order::received(&path, model).filter(|_| method == Method::POST);
        match order.map(|order| self.sender.send(order)) {
            Some(Ok(())) => say(StatusCode::ACCEPTED, &json!({"accepted": true})),
            Some(Err(_)) => say(StatusCode::SERVICE_UNAVAILABLE, &json!({"error": "it is ending already"})),
            None => say(StatusCode::NOT_FOUND, &json!({"error": "there is no such order"})),
        }
    }

    fn is_our_host(&self, host: Option<&HeaderValue>) -> bool {
        let own = format!("127.0.0.1:{}", self.port);
        host.is_some_and(|host| host.as_bytes() == own.as_bytes())
    }

    fn knows(&self, shown: Option<&HeaderValue>) -> bool {
        let shown = shown.and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        shown.is_some_and(|shown| shown.ct_eq(self.key.as_bytes()).into())
    }
}

/// What the instance says when it is done.
async fn answered(told: oneshot::Receiver<Told>) -> Response<Full<Bytes>> {
    match told.await {
        Ok(Told::Done(said)) => say(StatusCode::OK, &json!({"said": said})),
        Ok(Told::Refused(lines)) => {
            let lines: Vec<Value> =
                lines.into_iter().map(|(label, text)| json!({"label": label, "text": text})).collect();
            say(StatusCode::CONFLICT, &json!({"lines": lines}))
        }
        Err(_) => say(StatusCode::SERVICE_UNAVAILABLE, &json!({"error": "it is ending already"})),
    }
}

fn say(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

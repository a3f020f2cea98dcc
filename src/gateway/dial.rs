//! How a connection to a backend is made: plain, or with TLS as the URL says, and then through `HTTPS_PROXY` where one is
//! set, unless the backend is in this network.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::client::legacy::{Client, Error};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioExecutor;
use rustls::ClientConfig;
use rustls_platform_verifier::BuilderVerifierExt;

use super::answer::Answer;
use super::connection::Connections;

/// A provider accepts within this time or not at all.
const CONNECT: Duration = Duration::from_secs(10);

/// Providers keep connections for minutes, and a handshake with them costs several round trips.
const IDLE: Duration = Duration::from_secs(60);

/// The clients, one per kind of connection.
pub(super) struct Dial {
    own: Arc<Connections>,
    /// Made when the first `https` backend is asked: reading the system's roots takes tens of milliseconds.
    tls: OnceLock<Result<Tls, String>>,
    /// What the environment says about proxies.
    proxies: OnceLock<Matcher>,
    /// Made when the first backend behind a proxy is asked.
    tunnel: OnceLock<Result<Tunnelled, String>>,
}

type Tls = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;
type Tunnelled = Client<HttpsConnector<Tunnel<HttpConnector>>, Full<Bytes>>;

/// What is sent.
#[derive(Debug, Clone)]
pub(super) struct Post {
    /// Absolute.
    pub(super) url: String,
    /// Each name once.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Bytes,
}

impl Post {
    /// As the general client wants it.
    fn request(&self) -> Result<Request<Full<Bytes>>, String> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.parse().map_err(|error| format!("{error}"))?;
        request.headers_mut().extend(self.headers.iter().cloned());
        Ok(request)
    }
}

/// A client for one backend.
#[derive(Clone)]
pub(super) enum Line {
    /// Our own connections, without TLS.
    Own(Arc<Connections>),
    /// The general client, which is large.
    General(Box<General>),
}

/// The general client, straight or through a proxy.
#[derive(Clone)]
pub(super) enum General {
    Straight(Tls),
    Tunnelled(Tunnelled),
}

impl Line {
    /// Sends a request; why there is no answer is for the user to read.
    pub(super) async fn send(&self, post: &Post) -> Result<Response<Answer>, String> {
        match self {
            Line::Own(own) => own.send(post).await.map(|r| r.map(Answer::Own)).map_err(|error| error.to_string()),
            // In a place of its own: it is larger, and engines on this machine are on the way above.
            Line::General(general) => Box::pin(general.send(post)).await,
        }
    }
}

impl General {
    async fn send(&self, post: &Post) -> Result<Response<Answer>, String> {
        let request = post.request()?;
        let answer = match self.once(request.clone()).await {
            // An idle connection was closed while we were writing into it: once more, on a new one.
            Err(error) if closed_unanswered(&error) => self.once(request).await,
            answer => answer,
        };
        answer.map(|r| r.map(Answer::Client)).map_err(|error| innermost(&error))
    }

    async fn once(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Error> {
        match self {
            General::Straight(client) => client.request(request).await,
            General::Tunnelled(client) => client.request(request).await,
        }
    }
}

/// Whether a host is this machine or stands in this network, where no proxy leads to.
pub fn nearby(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase();
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified(),
        Ok(IpAddr::V6(ip)) => {
            ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_unspecified()
        }
        // Names without a dot are the network's own.
        Err(_) => {
            !host.contains('.') || [".local", ".localhost", ".internal", ".lan"].iter().any(|e| host.ends_with(e))
        }
    }
}

/// The connection ended before the first byte of an answer.
fn closed_unanswered(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut error = Some(error);
    while let Some(at) = error {
        if let Some(hyper) = at.downcast_ref::<hyper::Error>() {
            return hyper.is_incomplete_message() || hyper.is_canceled() || hyper.is_closed();
        }
        if let Some(io) = at.downcast_ref::<std::io::Error>() {
            return matches!(io.kind(), std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe);
        }
        error = at.source();
    }
    false
}

/// The error at the bottom says what happened ("connection refused"); those above only that something did.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

impl Dial {
    pub(super) fn new() -> Dial {
        Dial { own: Arc::default(), tls: OnceLock::new(), proxies: OnceLock::new(), tunnel: OnceLock::new() }
    }

    /// The client for a URL, or why it cannot be reached.
    pub(super) fn line(&self, url: &str) -> Result<Line, String> {
        if url.starts_with("http://") {
            return Ok(Line::Own(Arc::clone(&self.own)));
        }
        if !url.starts_with("https://") {
            return Err(format!("{url} is neither http nor https"));
        }
        let general = match self.proxy(&url.parse().map_err(|error| format!("{error}"))?) {
            Some(proxy) => self.tunnel.get_or_init(|| tunnel(&proxy)).clone().map(General::Tunnelled),
            None => {
                let tls = self.tls.get_or_init(|| trust().map(|config| tls(config, connector())));
                tls.clone().map(General::Straight)
            }
        };
        general.map(|general| Line::General(Box::new(general)))
    }

    /// The proxy that leads to a backend, as `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` say.
    fn proxy(&self, uri: &Uri) -> Option<Intercept> {
        if uri.host().is_none_or(nearby) {
            return None;
        }
        self.proxies.get_or_init(Matcher::from_env).intercept(uri)
    }
}

fn tunnel(proxy: &Intercept) -> Result<Tunnelled, String> {
    if proxy.uri().scheme_str() != Some("http") {
        return Err(format!("the proxy {} is not an http:// one", proxy.uri()));
    }
    let tunnel = Tunnel::new(proxy.uri().clone(), connector());
    let tunnel = match proxy.basic_auth() {
        Some(auth) => tunnel.with_auth(auth.clone()),
        None => tunnel,
    };
    Ok(tls(trust()?, tunnel))
}

/// Whom to believe: the system's own roots, so that a company's certificates count as they do in its browsers. On
/// Linux `SSL_CERT_FILE` and `SSL_CERT_DIR` say others.
fn trust() -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(BuilderVerifierExt::with_platform_verifier)
        .map_err(|error| format!("no TLS: {error}"))?;
    Ok(builder.with_no_client_auth())
}

fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT));
    connector.enforce_http(false);
    connector
}

fn tls<C>(config: ClientConfig, connector: C) -> Client<HttpsConnector<C>, Full<Bytes>>
where
    HttpsConnector<C>: Connect + Clone,
{
    let https = HttpsConnectorBuilder::new().with_tls_config(config).https_only().enable_http1();
    Client::builder(TokioExecutor::new()).pool_idle_timeout(IDLE).build(https.wrap_connector(connector))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_says_whether_there_is_tls() {
        let dial = Dial::new();
        assert!(matches!(dial.line("http://h:1/x"), Ok(Line::Own(_))));
        assert!(matches!(dial.line("/x"), Err(why) if why.contains("neither")));
        assert!(dial.tls.get().is_none(), "made only when it is needed");
    }

    #[test]
    fn what_stands_in_this_network_needs_no_proxy() {
        for host in ["127.0.0.1", "localhost", "[::1]", "10.1.2.3", "172.16.1.166", "192.168.0.2", "gpu-box", "x.lan"] {
            assert!(nearby(host), "{host}");
        }
        for host in ["api.openai.com", "8.8.8.8", "open.bigmodel.cn", "[2001:db8::1]"] {
            assert!(!nearby(host), "{host}");
        }
    }
}

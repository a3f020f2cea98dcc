//! How a connection to a backend is made: plain, or with TLS as the URL says.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
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
}

type Tls = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A client for one backend.
#[derive(Clone)]
pub(super) enum Line {
    /// Our own connections, without TLS.
    Own(Arc<Connections>),
    /// The general client.
    Tls(Tls),
}

impl Line {
    /// Sends a request; why there is no answer is for the user to read.
    pub(super) async fn send(&self, request: Request<Bytes>) -> Result<Response<Answer>, String> {
        let client = match self {
            Line::Own(own) => {
                return own.send(request).await.map(|r| r.map(Answer::Own)).map_err(|error| error.to_string());
            }
            Line::Tls(client) => client,
        };
        let request = request.map(Full::new);
        let answer = match client.request(request.clone()).await {
            // An idle connection was closed while we were writing into it: once more, on a new one.
            Err(error) if closed_unanswered(&error) => client.request(request).await,
            answer => answer,
        };
        answer.map(|r| r.map(Answer::Client)).map_err(|error| innermost(&error))
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
        Dial { own: Arc::default(), tls: OnceLock::new() }
    }

    /// The client for a URL, or why it cannot be reached.
    pub(super) fn line(&self, uri: &Uri) -> Result<Line, String> {
        match uri.scheme_str() {
            Some("http") => Ok(Line::Own(Arc::clone(&self.own))),
            Some("https") => self.tls.get_or_init(|| trust().map(tls)).clone().map(Line::Tls),
            _ => Err(format!("{uri} is neither http nor https")),
        }
    }
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

fn tls(config: ClientConfig) -> Tls {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT));
    connector.enforce_http(false);
    let https = HttpsConnectorBuilder::new().with_tls_config(config).https_only().enable_http1();
    Client::builder(TokioExecutor::new()).pool_idle_timeout(IDLE).build(https.wrap_connector(connector))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_says_whether_there_is_tls() {
        let dial = Dial::new();
        assert!(matches!(dial.line(&Uri::from_static("http://h:1/x")), Ok(Line::Own(_))));
        assert!(matches!(dial.line(&Uri::from_static("/x")), Err(why) if why.contains("neither")));
        assert!(dial.tls.get().is_none(), "made only when it is needed");
    }
}

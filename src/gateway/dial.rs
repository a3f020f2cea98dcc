//! How a connection to a backend is made: plain, or with TLS as the URL says.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client, Error, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use rustls::ClientConfig;
use rustls_platform_verifier::BuilderVerifierExt;

/// An engine on this machine or in this network accepts within this time or not at all.
const CONNECT: Duration = Duration::from_secs(5);

/// Idle connections are dropped before the engine does it: llama.cpp's server and vLLM's both close after 5 s.
const IDLE: Duration = Duration::from_secs(3);

/// Providers keep connections for minutes, and a handshake with them costs several round trips.
const IDLE_TLS: Duration = Duration::from_secs(60);

/// The clients, one per kind of connection.
pub(super) struct Dial {
    plain: Client<HttpConnector, Full<Bytes>>,
    /// Made when the first `https` backend is asked: reading the system's roots takes tens of milliseconds.
    tls: OnceLock<Result<Tls, String>>,
}

type Tls = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A client for one backend.
#[derive(Debug, Clone)]
pub(super) enum Line {
    Plain(Client<HttpConnector, Full<Bytes>>),
    Tls(Tls),
}

impl Line {
    pub(super) async fn request(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Error> {
        match self {
            Line::Plain(client) => client.request(request).await,
            Line::Tls(client) => client.request(request).await,
        }
    }
}

impl Dial {
    pub(super) fn new() -> Dial {
        let plain = Client::builder(TokioExecutor::new()).pool_idle_timeout(IDLE).build(connector());
        Dial { plain, tls: OnceLock::new() }
    }

    /// The client for a URL, or why it cannot be reached.
    pub(super) fn line(&self, uri: &Uri) -> Result<Line, String> {
        match uri.scheme_str() {
            Some("http") => Ok(Line::Plain(self.plain.clone())),
            Some("https") => self.tls.get_or_init(|| trust().map(tls)).clone().map(Line::Tls),
            _ => Err(format!("{uri} is neither http nor https")),
        }
    }
}

fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT));
    // The connector above may wrap it for https.
    connector.enforce_http(false);
    connector
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
    let https = HttpsConnectorBuilder::new().with_tls_config(config).https_only().enable_http1();
    Client::builder(TokioExecutor::new()).pool_idle_timeout(IDLE_TLS).build(https.wrap_connector(connector()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_says_whether_there_is_tls() {
        let dial = Dial::new();
        assert!(matches!(dial.line(&Uri::from_static("http://h:1/x")), Ok(Line::Plain(_))));
        assert!(matches!(dial.line(&Uri::from_static("/x")), Err(why) if why.contains("neither")));
        assert!(dial.tls.get().is_none(), "made only when it is needed");
    }
}

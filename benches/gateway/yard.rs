//! The yardstick: hyper's server and hyper's client with nothing between them.

use std::convert::Infallible;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};

pub fn main(upstream: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client: Client<_, Incoming> = Client::builder(TokioExecutor::new()).build(connector);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{}", listener.local_addr().unwrap().port());
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let (client, upstream) = (client.clone(), upstream.to_owned());
            tokio::spawn(async move {
                let service = service_fn(move |request: Request<Incoming>| {
                    let (mut parts, body) = request.into_parts();
                    let path = parts.uri.path_and_query().unwrap();
                    parts.uri = format!("http://127.0.0.1:{upstream}{path}").parse().unwrap();
                    let answer = client.request(Request::from_parts(parts, body));
                    async move { Ok::<_, Infallible>(answer.await.unwrap()) }
                });
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
}

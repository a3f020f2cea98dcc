//! What a running Ollama knows of a model, asked before anything is planned: two small requests to the loopback
//! interface (or `OLLAMA_HOST`), in plain HTTP/1.0, which is answered without chunks.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use super::find::ollama_address;
use crate::model::{self, Weights};

/// An Ollama that loads a model at this moment answers late; then the plan goes without.
const LIMIT: Duration = Duration::from_secs(1);
/// A license and a template are in the answer; no model has 8 MiB of them.
const LONGEST: u64 = 8 << 20;

/// The model called `tag`, when an Ollama runs and has it. `base` as for [`super::find::running_ollama`].
pub fn described(tag: &str, base: &str) -> Option<Weights> {
    let from_env = std::env::var("OLLAMA_HOST").unwrap_or_default();
    let address = ollama_address(if base.is_empty() { &from_env } else { base });
    let body = serde_json::json!({ "model": tag }).to_string();
    let show = ask(&address, &format!("POST /api/show HTTP/1.0\r\nContent-Length: {}\r\n", body.len()), &body)?;
    let tags = ask(&address, "GET /api/tags HTTP/1.0\r\n", "").unwrap_or_default();
    model::shown(tag, &show, &tags)
}

/// The body of a 200 answer.
fn ask(address: &str, head: &str, body: &str) -> Option<Vec<u8>> {
    let start = Instant::now();
    let left = || LIMIT.checked_sub(start.elapsed()).filter(|left| !left.is_zero());
    let mut stream = address.to_socket_addrs().ok()?.find_map(|at| TcpStream::connect_timeout(&at, left()?).ok())?;
    stream.set_write_timeout(Some(left()?)).ok()?;
    let request = format!("{head}Host: {address}\r\nContent-Type: application/json\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    let mut piece = [0; 16 * 1024];
    while (answer.len() as u64) < LONGEST {
        stream.set_read_timeout(Some(left()?)).ok()?;
        match stream.read(&mut piece).ok()? {
            0 => return body_of(&answer).map(<[u8]>::to_vec),
            n => answer.extend_from_slice(&piece[..n]),
        }
    }
    None
}

fn body_of(answer: &[u8]) -> Option<&[u8]> {
    let end = memchr::memmem::find(answer, b"\r\n\r\n")?;
    let status = answer.get(..end)?.split(|byte| *byte == b'\r').next()?;
    memchr::memmem::find(status, b" 200").map(|_| &answer[end + 4..])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that gives each of `answers` once, and what it was asked.
    fn server(answers: Vec<String>) -> (String, std::thread::JoinHandle<Vec<String>>) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = std::thread::spawn(move || {
            let answer = |answer: String| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = vec![0; 4096];
                let n = stream.read(&mut request).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
                String::from_utf8_lossy(&request[..n]).into_owned()
            };
            answers.into_iter().map(answer).collect()
        });
        (address, asked)
    }

    #[test]
    fn a_model_the_server_has_is_described_and_another_is_not() {
        let ok = |body: &str| format!("HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{body}");
        let show = r#"{"model_info": {"general.architecture": "toy", "toy.context_length": 9000}}"#;
        let tags = r#"{"models": [{"name": "toy:latest", "size": 77}]}"#;
        let (address, asked) = server(vec![ok(show), ok(tags)]);
        let weights = described("toy", &address).unwrap();
        assert_eq!((weights.context_max, weights.bytes), (Some(9000), Some(77)));
        let asked = asked.join().unwrap();
        assert!(asked[0].starts_with("POST /api/show HTTP/1.0\r\nContent-Length: 15\r\n"), "{asked:?}");
        assert!(asked[0].ends_with("\r\n\r\n{\"model\":\"toy\"}"), "{asked:?}");

        let (address, asked) = server(vec!["HTTP/1.0 404 Not Found\r\n\r\n{\"error\":\"no 200\"}".into()]);
        assert_eq!(described("nope", &address), None);
        asked.join().unwrap();
        assert_eq!(described("toy", &address), None, "nobody listens");
    }
}

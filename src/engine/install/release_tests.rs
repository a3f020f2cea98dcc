use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::*;
use crate::engine::id::EngineId;
use crate::engine::install::facts::facts;
use crate::host::RealHost;

/// A machine without Python whose releases come from `mirror`.
struct Bare {
    mirror: String,
}

impl crate::host::StandIn for Bare {
    fn base(&self) -> &dyn Host {
        &RealHost
    }
    fn which(&self, _: &str) -> Option<PathBuf> {
        None
    }
    fn env(&self, name: &str) -> Option<String> {
        (name == "LLMUP_RELEASE_URL").then(|| self.mirror.clone())
    }
    fn os(&self) -> Os {
        Os::Linux
    }
}

/// A release server: the list, and an archive whose first sender hangs up half-way.
struct Server {
    base: String,
    ranges: Arc<Mutex<Vec<Option<u64>>>>,
}

fn serve(body: Vec<u8>, digest: String, hang_ups: usize) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let ranges = Arc::new(Mutex::new(Vec::new()));
    let (seen, url) = (ranges.clone(), base.clone());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            answer(stream, &url, &body, &digest, hang_ups, &seen);
        }
    });
    Server { base, ranges }
}

fn answer(
    mut stream: TcpStream,
    base: &str,
    body: &[u8],
    digest: &str,
    hang_ups: usize,
    seen: &Mutex<Vec<Option<u64>>>,
) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let first = lines.next().unwrap_or_default();
    let headers: BTreeMap<String, String> = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(": ").map(|(k, v)| (k.to_lowercase(), v.to_owned())))
        .collect();
    if first.starts_with("GET /releases/tags/") {
        let list = serde_json::json!({"assets": [
            {"name": "llama-b11549-bin-ubuntu-x64.sig", "digest": null, "browser_download_url": "x"},
            {"name": "llama-b11549-bin-ubuntu-x64.tar.gz", "size": body.len(), "digest": digest,
             "browser_download_url": format!("{base}/archive")},
        ]})
        .to_string();
        let _ = write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{list}", list.len());
        return;
    }
    let from = headers.get("range").and_then(|r| r.strip_prefix("bytes=")?.split('-').next()?.parse::<u64>().ok());
    let count = {
        let mut seen = seen.lock().unwrap();
        seen.push(from);
        seen.len()
    };
    let rest = &body[from.unwrap_or(0) as usize..];
    let status = if from.is_some() { "206 Partial Content" } else { "200 OK" };
    let _ = write!(stream, "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", rest.len());
    let sent = if count <= hang_ups { &rest[..rest.len() / 2] } else { rest };
    let _ = stream.write_all(sent);
}

/// An archive with a program of `noise` bytes that do not compress.
fn archive_with(noise: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let program: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(noise)
    .collect();
    let mut builder = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    let mut header = tar::Header::new_gnu();
    header.set_size(program.len() as u64);
    header.set_mode(0o755);
    builder.append_data(&mut header, "llama-b11549/llama-server", &program[..]).unwrap();
    builder.into_inner().unwrap().finish().unwrap()
}

fn digest_of(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    let hex: String = sha2::Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
    format!("sha256:{hex}")
}

fn get(server: &Server, dir: &Path) -> Result<Manifest, InstallError> {
    let host = Bare { mirror: server.base.clone() };
    let release = facts().unwrap().release;
    install(&release, "cpu", "llama-b11549-bin-ubuntu-x64", &host, dir, &Progress::silent())
}

#[test]
fn a_download_that_breaks_off_twice_continues_where_it_stopped() {
    let body = archive_with(200_000);
    let server = serve(body.clone(), digest_of(&body), 2);
    let dir = tempfile::tempdir().unwrap();
    let manifest = get(&server, dir.path()).unwrap();
    assert_eq!(manifest.engine, EngineId::LlamaCpp);
    assert_eq!(manifest.program, "unpacked/llama-b11549/llama-server");
    assert!(manifest.program_in(dir.path()).is_file());
    let ranges = server.ranges.lock().unwrap();
    assert_eq!(ranges.len(), 3, "{ranges:?}");
    assert_eq!(ranges[0], None);
    assert!(ranges[1] > Some(0) && ranges[2] > ranges[1], "{ranges:?}");
    assert!(!dir.path().join("llama-b11549-bin-ubuntu-x64.tar.gz.journal").exists());
}

#[test]
fn another_file_than_the_published_one_is_refused_and_leaves_nothing() {
    let body = archive_with(1000);
    let server = serve(body, digest_of(b"another"), 0);
    let dir = tempfile::tempdir().unwrap();
    let error = get(&server, dir.path()).unwrap_err();
    assert!(matches!(error, InstallError::Hash { .. }), "{error}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_server_that_is_not_there_is_said_with_its_address() {
    let dir = tempfile::tempdir().unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = Server { base: format!("http://{closed}"), ranges: Arc::default() };
    let error = get(&server, dir.path()).unwrap_err().to_string();
    assert!(error.contains(&closed.to_string()), "{error}");
}

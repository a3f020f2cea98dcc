//! A model hub that misbehaves on request: it speaks Hugging Face's and ModelScope's lists and downloads, on two ports
//! as the real ones have two hosts, and drops, truncates, stalls, corrupts and refuses as told. It counts what it sent.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sha2::{Digest, Sha256};

/// What goes wrong with one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(dead_code)] // not every test binary uses all
pub enum Fault {
    /// Nothing.
    None,
    /// The connection breaks after so many bytes of the body.
    Drop(usize),
    /// The body ends after so many bytes, as if that were all.
    Short(usize),
    /// After so many bytes nothing comes any more, and the connection stays.
    Stall(usize),
    /// Another status, with `Retry-After` when above 0.
    Status(u16, u64),
    /// A range is answered with everything.
    NoRange,
    /// The byte at this place of the file is another.
    Corrupt(usize),
}

/// One request for a file's bytes.
#[derive(Debug, Clone)]
#[allow(dead_code)]
pub struct Asked {
    pub file: String,
    pub range: Option<(u64, Option<u64>)>,
    /// The body's bytes that were sent.
    pub sent: u64,
    /// The `Authorization` the file's own host got; the list's host is another.
    pub authorization: Option<String>,
}

type Faults = Box<dyn FnMut(&str, usize) -> Fault + Send>;

pub struct State {
    pub repo: String,
    pub commit: String,
    pub files: BTreeMap<String, Vec<u8>>,
    /// Asked with the file's name and how often anything was asked for before.
    pub faults: Faults,
    /// A pause after each 64 KiB.
    pub pace: Duration,
    pub asked: Vec<Asked>,
    /// Every request's line and `Authorization`.
    pub lines: Vec<(String, Option<String>)>,
    /// What the lists and downloads want as `Authorization`.
    pub token: Option<String>,
    /// Sizes the list gives instead of the true ones.
    pub lies: BTreeMap<String, u64>,
    /// Ollama's answer to `/api/pull`, line by line.
    pub ollama: Vec<String>,
}

/// The hub; its threads end with the test process.
#[derive(Clone)]
pub struct Hub {
    pub url: String,
    cdn: String,
    pub state: Arc<Mutex<State>>,
}

#[allow(dead_code)]
impl Hub {
    pub fn start(repo: &str, files: &[(&str, Vec<u8>)]) -> Hub {
        let listeners: Vec<TcpListener> = (0..2).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let urls: Vec<String> = listeners.iter().map(|l| format!("http://{}", l.local_addr().unwrap())).collect();
        let state = State {
            repo: repo.to_owned(),
            commit: "0123456789abcdef0123456789abcdef01234567".to_owned(),
            files: files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.clone())).collect(),
            faults: Box::new(|_, _| Fault::None),
            pace: Duration::ZERO,
            asked: Vec::new(),
            lines: Vec::new(),
            token: None,
            lies: BTreeMap::new(),
            ollama: Vec::new(),
        };
        let hub = Hub { url: urls[0].clone(), cdn: urls[1].clone(), state: Arc::new(Mutex::new(state)) };
        for listener in listeners {
            let hub = hub.clone();
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let hub = hub.clone();
                    std::thread::spawn(move || hub.connection(stream));
                }
            });
        }
        hub
    }

    pub fn faults(&self, faults: impl FnMut(&str, usize) -> Fault + Send + 'static) {
        self.state.lock().unwrap().faults = Box::new(faults);
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.state.lock().unwrap().asked.clone()
    }

    /// Bytes of files that were sent.
    pub fn sent(&self) -> u64 {
        self.asked().iter().map(|asked| asked.sent).sum()
    }

    /// The address of a file on the second host.
    pub fn file(&self, name: &str) -> String {
        format!("{}/file/{name}", self.cdn)
    }

    fn connection(&self, mut stream: TcpStream) {
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
        let Some(first) = lines.next() else { return };
        let headers: BTreeMap<String, String> = lines
            .by_ref()
            .take_while(|line| !line.is_empty())
            .filter_map(|line| line.split_once(": ").map(|(k, v)| (k.to_lowercase(), v.to_owned())))
            .collect();
        let target = first.split(' ').nth(1).unwrap_or_default().to_owned();
        let authorization = headers.get("authorization").cloned();
        self.state.lock().unwrap().lines.push((first.clone(), authorization.clone()));
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        if let Some(name) = path.strip_prefix("/file/") {
            let range = headers.get("range").and_then(|r| range(r));
            self.bytes(&mut stream, &decoded(name), range, authorization);
            return;
        }
        let (repo, commit, token) = {
            let state = self.state.lock().unwrap();
            (state.repo.clone(), state.commit.clone(), state.token.clone())
        };
        if token.is_some() && authorization != token {
            return answer(&mut stream, "401 Unauthorized", "x-error-code: GatedRepo\r\n", b"{}");
        }
        if path.starts_with(&format!("/api/models/{repo}/revision/")) {
            return answer(&mut stream, "200 OK", "", self.hugging_face().as_bytes());
        }
        if path == format!("/api/v1/models/{repo}/repo/files") {
            return answer(&mut stream, "200 OK", "", self.model_scope().as_bytes());
        }
        if path == format!("/api/v1/models/{repo}/repo") {
            let name = query.split('&').find_map(|pair| pair.strip_prefix("FilePath=")).unwrap_or_default();
            return answer(&mut stream, "302 Found", &format!("location: {}\r\n", self.file(name)), b"");
        }
        if let Some(name) = path.strip_prefix(&format!("/{repo}/resolve/{commit}/")) {
            let headers = format!("location: {}\r\nx-repo-commit: {commit}\r\n", self.file(name));
            return answer(&mut stream, "302 Found", &headers, b"");
        }
        if path == "/api/pull" {
            let text = self.state.lock().unwrap().ollama.join("\n") + "\n";
            return answer(&mut stream, "200 OK", "", text.as_bytes());
        }
        if path == "/api/version" {
            return answer(&mut stream, "200 OK", "", br#"{"version":"0.33.0"}"#);
        }
        answer(&mut stream, "404 Not Found", "x-error-code: RepoNotFound\r\n", b"{}");
    }

    fn hugging_face(&self) -> String {
        let state = self.state.lock().unwrap();
        let siblings: Vec<serde_json::Value> = state
            .files
            .iter()
            .map(|(name, bytes)| {
                let size = state.lies.get(name).copied().unwrap_or(bytes.len() as u64);
                let mut entry = serde_json::json!({"rfilename": name, "size": size});
                if !name.ends_with(".json") {
                    entry["lfs"] = serde_json::json!({"sha256": sha256(bytes), "size": size, "pointerSize": 134});
                }
                entry
            })
            .collect();
        serde_json::json!({"id": state.repo, "sha": state.commit, "gated": false, "siblings": siblings}).to_string()
    }

    fn model_scope(&self) -> String {
        let state = self.state.lock().unwrap();
        let mut files: Vec<serde_json::Value> = state
            .files
            .iter()
            .map(|(name, bytes)| {
                serde_json::json!({"Path": name, "Name": name.rsplit('/').next(), "Type": "blob",
                    "Size": bytes.len(), "Sha256": sha256(bytes), "Revision": state.commit, "IsLFS": true})
            })
            .collect();
        files.push(serde_json::json!({"Path": "folder", "Name": "folder", "Type": "tree", "Size": 0}));
        serde_json::json!({"Code": 200, "Success": true, "Message": "success", "Data": {"Files": files}}).to_string()
    }

    fn bytes(
        &self,
        stream: &mut TcpStream,
        name: &str,
        range: Option<(u64, Option<u64>)>,
        authorization: Option<String>,
    ) {
        let (mut bytes, fault, pace, number) = {
            let mut state = self.state.lock().unwrap();
            let Some(bytes) = state.files.get(name).cloned() else {
                return answer(stream, "404 Not Found", "", b"");
            };
            let number = state.asked.len();
            let fault = (state.faults)(name, number);
            state.asked.push(Asked { file: name.to_owned(), range, sent: 0, authorization });
            (bytes, fault, state.pace, number)
        };
        let total = bytes.len();
        let mut status = "200 OK";
        let mut extra = String::new();
        let (mut from, mut to) = (0, total);
        match fault {
            Fault::Status(code, wait) => {
                if wait > 0 {
                    extra = format!("retry-after: {wait}\r\n");
                }
                return answer(stream, &format!("{code} Told So"), &extra, b"");
            }
            Fault::Corrupt(at) if at < total => bytes[at] ^= 0x55,
            _ => {}
        }
        if let Some((first, last)) = range.filter(|_| fault != Fault::NoRange) {
            from = first as usize;
            to = last.map_or(total, |last| (last as usize + 1).min(total));
            if from >= total {
                let extra = format!("content-range: bytes */{total}\r\n");
                return answer(stream, "416 Range Not Satisfiable", &extra, b"");
            }
            status = "206 Partial Content";
            extra = format!("content-range: bytes {from}-{}/{total}\r\n", to - 1);
        }
        let body = &bytes[from..to];
        let (send, length) = match fault {
            Fault::Drop(n) | Fault::Stall(n) => (n.min(body.len()), body.len()),
            Fault::Short(n) => (n.min(body.len()), n.min(body.len())),
            _ => (body.len(), body.len()),
        };
        let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n{extra}\r\n");
        if stream.write_all(head.as_bytes()).is_err() {
            return;
        }
        for piece in body[..send].chunks(64 * 1024) {
            if stream.write_all(piece).is_err() {
                return;
            }
            self.state.lock().unwrap().asked[number].sent += piece.len() as u64;
            std::thread::sleep(pace);
        }
        if matches!(fault, Fault::Stall(_)) {
            std::thread::sleep(Duration::from_secs(20));
        }
    }
}

fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).unwrap()
}

fn range(text: &str) -> Option<(u64, Option<u64>)> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()))
}

fn answer(stream: &mut TcpStream, status: &str, headers: &str, body: &[u8]) {
    let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// Bytes without a pattern, always the same for the same seed.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

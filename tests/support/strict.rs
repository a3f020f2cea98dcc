//! A chat engine as strict as the strictest template and server: it refuses with 400 what any of them would refuse,
//! answers by script so that a coding client goes through a whole tool loop, and keeps every request for the test.

mod check;
mod prefix;
mod script;
mod stream;
#[cfg(test)]
mod tests;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

pub use prefix::conversations;
pub use script::{Step, TEXT, evidence};

/// The key the engine wants.
pub const KEY: &str = "strict-engine-key";
/// The model's name there.
pub const MODEL: &str = "strict/Model-1";
/// Its context, tokens: no client of the suite compacts below it.
pub const CONTEXT: u64 = 131_072;

/// The engine; its thread ends with the test process.
pub struct Strict {
    /// Its root, without `/v1`.
    pub url: String,
    seen: Arc<Mutex<Seen>>,
}

/// What it answers, and where.
#[derive(Clone)]
struct Plan {
    steps: Vec<Step>,
    folder: PathBuf,
}

/// What it saw.
#[derive(Default)]
struct Seen {
    requests: Vec<Value>,
    refused: Vec<String>,
}

impl Strict {
    /// Answers the first requests of a conversation by `steps`, in order, and then with text. Files are asked for in
    /// `folder`.
    pub fn start(steps: &[Step], folder: PathBuf) -> Strict {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (shared, plan) = (Arc::clone(&seen), Plan { steps: steps.to_vec(), folder });
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (seen, plan) = (Arc::clone(&shared), plan.clone());
                std::thread::spawn(move || connection(stream, &seen, &plan));
            }
        });
        Strict { url, seen }
    }

    /// Every body sent to `/v1/chat/completions`, in order.
    pub fn requests(&self) -> Vec<Value> {
        self.seen.lock().unwrap().requests.clone()
    }

    /// Why requests were refused.
    pub fn refused(&self) -> Vec<String> {
        self.seen.lock().unwrap().refused.clone()
    }
}

/// One connection, kept open as engines do.
fn connection(stream: TcpStream, seen: &Mutex<Seen>, plan: &Plan) {
    let Ok(writer) = stream.try_clone() else { return };
    let (mut reader, mut writer) = (BufReader::new(stream), writer);
    while let Some(request) = read(&mut reader) {
        let last = request.header("connection") == Some("close");
        if answer(&request, &mut writer, seen, plan).is_err() || last {
            return;
        }
    }
}

struct Request {
    method: String,
    path: String,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut request = Request { method, path, headers, body: Vec::new() };
    if request.header("transfer-encoding").is_some() {
        loop {
            let mut size = String::new();
            reader.read_line(&mut size).ok()?;
            let size = usize::from_str_radix(size.trim(), 16).ok()?;
            let mut part = vec![0; size + 2];
            reader.read_exact(&mut part).ok()?;
            request.body.extend(&part[..size]);
            if size == 0 {
                break;
            }
        }
    } else if let Some(length) = request.header("content-length").and_then(|l| l.parse().ok()) {
        request.body = vec![0; length];
        reader.read_exact(&mut request.body).ok()?;
    }
    Some(request)
}

fn answer(request: &Request, writer: &mut TcpStream, seen: &Mutex<Seen>, plan: &Plan) -> std::io::Result<()> {
    let refuse = |writer: &mut TcpStream, status: u16, why: String| {
        seen.lock().unwrap().refused.push(format!("{} {}: {why}", request.method, request.path));
        whole(writer, status, &json!({"error": {"message": why, "type": "BadRequestError", "code": status}}))
    };
    if request.header("authorization") != Some(&format!("Bearer {KEY}")) {
        return refuse(writer, 401, format!("the key is {:?}", request.header("authorization")));
    }
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/v1/models") => {
            let model = json!({"id": MODEL, "object": "model", "owned_by": "strict", "max_model_len": CONTEXT});
            whole(writer, 200, &json!({"object": "list", "data": [model]}))
        }
        // Probes of what else an engine serves: there is nothing else.
        ("GET" | "HEAD", _) => whole(writer, 404, &json!({"detail": "Not Found"})),
        ("POST", "/v1/chat/completions") => {
            let body: Value = match serde_json::from_slice(&request.body) {
                Ok(body) => body,
                Err(error) => return refuse(writer, 400, format!("not JSON: {error}")),
            };
            seen.lock().unwrap().requests.push(body.clone());
            let wrong = check::request(&body);
            if !wrong.is_empty() {
                return refuse(writer, 400, wrong.join("; "));
            }
            let reply = match script::reply(&body, &plan.steps, &plan.folder) {
                Ok(reply) => reply,
                Err(why) => return refuse(writer, 400, why),
            };
            if body["stream"] == true {
                stream::write(writer, &body, &reply)
            } else {
                whole(writer, 200, &stream::at_once(&body, &reply))
            }
        }
        (method, path) => refuse(writer, 404, format!("there is no {method} {path}")),
    }
}

fn whole(writer: &mut TcpStream, status: u16, body: &Value) -> std::io::Result<()> {
    let body = body.to_string();
    let head =
        format!("HTTP/1.1 {status} Any\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
    writer.write_all((head + &body).as_bytes())
}

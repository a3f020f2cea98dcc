//! The fake engine's HTTP server: one thread per connection, just enough HTTP/1.1 for clients that keep connections.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::{Kind, answer, log, switch};

/// What every connection needs to know.
pub struct Server {
    pub kind: Kind,
    pub model: String,
    pub context: u64,
    pub ready_at: Instant,
}

/// One request.
pub struct Request {
    pub method: String,
    pub path: String,
    pub body: Vec<u8>,
}

/// One answer.
pub enum Answer {
    /// Status, content type, body.
    Whole(u16, &'static str, String),
    /// The frames of a stream, and its content type.
    Stream(&'static str, Vec<String>),
}

pub fn serve(kind: Kind, host: &str, port: u16, model: &str, context: u64, ready_at: Instant) -> io::Result<()> {
    let server = Arc::new(Server { kind, model: model.to_owned(), context, ready_at });
    let listener = match kind {
        Kind::Vllm => {
            load_like_vllm(model, context, ready_at);
            let listener = TcpListener::bind((host, port))?;
            log(&format!("(APIServer pid={}) INFO [entry.py:140] Starting vLLM server on http://{host}:{port}", id()));
            log("INFO:     Application startup complete.");
            listener
        }
        Kind::LlamaServer => {
            let listener = TcpListener::bind((host, port))?;
            log(&format!("0.00.001.000 I srv    load_model: loading model '{model}'"));
            let address = format!("http://{host}:{port}");
            std::thread::spawn(move || {
                std::thread::sleep(ready_at.saturating_duration_since(Instant::now()));
                log("0.00.600.000 I load_tensors:   CPU_Mapped model buffer size =     3.00 MiB");
                log("0.00.600.000 I llama_kv_cache:        CPU KV buffer size =    16.00 MiB");
                log(&format!(
                    "0.00.700.000 I srv    load_model: initializing, n_slots = 1, n_ctx_slot = {context}, kv_unified = \
                     'false'"
                ));
                log("0.00.712.000 I srv  llama_server: model loaded");
                log(&format!("0.00.712.100 I srv  llama_server: listening on {address}"));
                log(&format!("main: server is listening on {address}"));
            });
            listener
        }
        Kind::Ollama => {
            std::thread::sleep(ready_at.saturating_duration_since(Instant::now()));
            let listener = TcpListener::bind((host, port))?;
            log(&format!("level=INFO msg=\"Listening on {host}:{port} (version 0.33.0)\""));
            listener
        }
    };
    for stream in listener.incoming() {
        let server = Arc::clone(&server);
        std::thread::spawn(move || stream.and_then(|stream| talk(&server, stream)));
    }
    Ok(())
}

fn id() -> u32 {
    std::process::id()
}

/// vLLM's log while it loads, spread over the time it has. Progress bars redraw themselves with carriage returns.
fn load_like_vllm(model: &str, context: u64, ready_at: Instant) {
    let core = format!("(EngineCore pid={}) INFO", id());
    let steps = [
        format!("(APIServer pid={}) INFO [model.py:733] Resolved architecture: Qwen3ForCausalLM\n", id()),
        format!("{core} [gpu_model_runner.py:1] Starting to load model {model}...\n"),
        "\rLoading safetensors checkpoint shards:   0% Completed | 0/2 [00:00<?, ?it/s]\n".to_owned(),
        "\rLoading safetensors checkpoint shards:  50% Completed | 1/2 [00:01<00:01,  1.00s/it]\n".to_owned(),
        "\rLoading safetensors checkpoint shards: 100% Completed | 2/2 [00:02<00:00,  1.00s/it]\n".to_owned(),
        format!("{core} [default_loader.py:501] Loading weights took 2.00 seconds\n"),
        format!("{core} [gpu_model_runner.py:3] Model loading took 0.25 GiB memory and 2.100000 seconds\n"),
        format!("{core} [gpu_worker.py:760] Available KV cache memory: 1.00 GiB\n"),
        format!(
            "{core} [kv_cache_utils.py:2327] GPU KV cache size: {} tokens, Maximum concurrency for {context} tokens per \
             request: 2.00x\n",
            2 * context
        ),
        format!("{core} [gpu_model_runner.py:2] Graph capturing finished in 1 secs, took 0.10 GiB\n"),
    ];
    let pause = ready_at.saturating_duration_since(Instant::now()) / steps.len() as u32;
    for step in steps {
        let _ = io::stderr().lock().write_all(step.as_bytes());
        std::thread::sleep(pause);
    }
}

fn talk(server: &Server, stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    while let Some((request, close)) = read(&mut reader)? {
        append("FAKE_ASKED", &format!("{} {}\n", request.method, request.path));
        while switch("FAKE_HANG").is_some_and(|file| std::path::Path::new(&file).exists()) {
            std::thread::sleep(Duration::from_millis(20));
        }
        if switch("FAKE_STALL").is_some_and(|which| which != "posts" || request.method == "POST") {
            note(&request);
            std::thread::sleep(Duration::from_secs(600));
            return Ok(());
        }
        note(&request);
        // The first request of a model that ever comes hangs, and what comes after it is answered.
        if let Some(file) = switch("FAKE_HOLD_ONCE").filter(|_| request.method == "POST")
            && std::fs::File::create_new(&file).is_ok()
        {
            std::thread::sleep(Duration::from_secs(600));
        }
        let bodiless = request.method == "HEAD";
        match answer::to(server, &request) {
            Answer::Whole(status, kind, body) => {
                let length = body.len();
                let body = if bodiless { "" } else { &body };
                let reason = if status == 200 { "OK" } else { "Error" };
                let head =
                    format!("HTTP/1.1 {status} {reason}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n");
                writer.write_all(format!("{head}{body}").as_bytes())?;
            }
            Answer::Stream(kind, frames) => {
                write!(writer, "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n")?;
                let cut = switch("FAKE_CUT").and_then(|n| n.parse::<usize>().ok());
                for (i, frame) in frames.iter().enumerate() {
                    if cut == Some(i) {
                        return Ok(());
                    }
                    if let Some(rest) = switch("FAKE_FRAME_MS").and_then(|n| n.parse().ok()) {
                        std::thread::sleep(Duration::from_millis(rest));
                    }
                    if let Err(error) = send(&mut writer, frame.as_bytes()) {
                        log(&format!("the client went away after {i} frames"));
                        return Err(error);
                    }
                }
                writer.write_all(b"0\r\n\r\n")?;
            }
        }
        if close {
            break;
        }
    }
    Ok(())
}

/// One frame as one chunk, or as one chunk per byte.
fn send(writer: &mut TcpStream, frame: &[u8]) -> io::Result<()> {
    let size = if switch("FAKE_SPLIT").is_some() { 1 } else { frame.len().max(1) };
    for piece in frame.chunks(size) {
        let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
        chunk.extend_from_slice(piece);
        chunk.extend_from_slice(b"\r\n");
        writer.write_all(&chunk)?;
    }
    Ok(())
}

/// The next request of a connection, and whether it is the last.
fn read(reader: &mut BufReader<TcpStream>) -> io::Result<Option<(Request, bool)>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_ascii_whitespace();
    let method = words.next().unwrap_or_default().to_owned();
    let path = words.next().unwrap_or_default().split('?').next().unwrap_or_default().to_owned();
    let (mut length, mut chunked, mut close) = (0, false, false);
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? == 0 || header.trim().is_empty() {
            break;
        }
        let (name, value) = header.split_once(':').unwrap_or_default();
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap_or(0),
            "transfer-encoding" => chunked = value.eq_ignore_ascii_case("chunked"),
            "connection" => close = value.eq_ignore_ascii_case("close"),
            _ => {}
        }
    }
    let mut body = Vec::new();
    if chunked {
        loop {
            let mut size = String::new();
            reader.read_line(&mut size)?;
            let size = u64::from_str_radix(size.trim(), 16).unwrap_or(0);
            reader.by_ref().take(size).read_to_end(&mut body)?;
            reader.read_line(&mut String::new())?;
            if size == 0 {
                break;
            }
        }
    } else {
        reader.by_ref().take(length).read_to_end(&mut body)?;
    }
    Ok(Some((Request { method, path, body }, close)))
}

fn note(request: &Request) {
    if !request.body.is_empty() {
        let body = String::from_utf8_lossy(&request.body).replace(['\n', '\r'], " ");
        append("FAKE_REQUESTS", &format!("{} {} {body}\n", request.method, request.path));
    }
}

/// To the file this switch names.
fn append(name: &str, line: &str) {
    if let Some(path) = switch(name)
        && let Ok(mut file) = std::fs::File::options().create(true).append(true).open(path)
    {
        let _ = file.write_all(line.as_bytes());
    }
}

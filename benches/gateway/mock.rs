//! The engine: it does what the request's words say (`mode:burst:20000`), with as few system calls as possible.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

pub fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{}", listener.local_addr().unwrap().port());
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            socket.set_nodelay(true).unwrap();
            tokio::spawn(async move {
                let _ = connection(socket).await;
            });
        }
    });
}

/// Nanoseconds since 1970, the same clock in every process.
pub fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap()
}

async fn connection(mut socket: TcpStream) -> std::io::Result<()> {
    let mut got = Vec::with_capacity(256 << 10);
    loop {
        let end = loop {
            if let Some(at) = memchr::memmem::find(&got, b"\r\n\r\n") {
                break at + 4;
            }
            if socket.read_buf(&mut got).await? == 0 {
                return Ok(());
            }
        };
        let head = String::from_utf8_lossy(&got[..end]).to_ascii_lowercase();
        let length = head.split("content-length: ").nth(1).and_then(|l| l.split("\r\n").next()?.parse::<usize>().ok());
        let length = length.unwrap_or(0);
        while got.len() < end + length {
            if socket.read_buf(&mut got).await? == 0 {
                return Ok(());
            }
        }
        if head.starts_with("get ") {
            let list = r#"{"object":"list","data":[{"id":"mock-model","object":"model","max_model_len":131072}]}"#;
            whole(&mut socket, list).await?;
        } else {
            let body = &got[end..end + length];
            let mode = memchr::memmem::rfind(body, b"mode:").map(|at| &body[at + 5..]).unwrap_or_default();
            let word: Vec<u8> = mode.iter().copied().take_while(|b| b.is_ascii_alphanumeric() || *b == b':').collect();
            let word = String::from_utf8(word).unwrap();
            let mut parts = word.split(':');
            let mode = parts.next().unwrap_or_default();
            let numbers: Vec<u64> = parts.map(|n| n.parse().unwrap()).collect();
            let streams = memchr::memmem::find(body, b"\"stream\":true").is_some();
            match mode {
                "burst" => burst(&mut socket, numbers[0]).await?,
                "paced" => paced(&mut socket, numbers[0], numbers[1]).await?,
                _ if streams => {
                    let mut out = HEAD.as_bytes().to_vec();
                    for event in [&first(), &delta("Hello there."), END] {
                        chunk(&mut out, event);
                    }
                    out.extend_from_slice(b"0\r\n\r\n");
                    socket.write_all(&out).await?;
                }
                _ => {
                    let answer = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"mock-model","choices":[{"index":0,"message":{"role":"assistant","content":"Hello there."},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}}"#;
                    whole(&mut socket, answer).await?;
                }
            }
        }
        got.clear();
    }
}

async fn whole(socket: &mut TcpStream, body: &str) -> std::io::Result<()> {
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n");
    socket.write_all((head + body).as_bytes()).await
}

fn chunk(out: &mut Vec<u8>, data: &str) {
    out.extend_from_slice(format!("{:x}\r\n", data.len()).as_bytes());
    out.extend_from_slice(data.as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn event(delta: &str) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"mock-model\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"logprobs\":null,\"finish_reason\":null}}]}}\n\n"
    )
}

fn first() -> String {
    event("{\"role\":\"assistant\",\"content\":\"\"}")
}

fn delta(text: &str) -> String {
    event(&format!("{{\"content\":\"{text}\"}}"))
}

const END: &str = "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"mock-model\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"mock-model\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":3,\"total_tokens\":12}}\n\ndata: [DONE]\n\n";

async fn burst(socket: &mut TcpStream, chunks: u64) -> std::io::Result<()> {
    let mut out = HEAD.as_bytes().to_vec();
    chunk(&mut out, &first());
    let one = delta(" token");
    for _ in 0..chunks {
        chunk(&mut out, &one);
        if out.len() > 60_000 {
            socket.write_all(&out).await?;
            out.clear();
        }
    }
    chunk(&mut out, END);
    out.extend_from_slice(b"0\r\n\r\n");
    socket.write_all(&out).await
}

/// Each text tells when it was written.
async fn paced(socket: &mut TcpStream, chunks: u64, every_ms: u64) -> std::io::Result<()> {
    let mut out = HEAD.as_bytes().to_vec();
    chunk(&mut out, &first());
    socket.write_all(&out).await?;
    let mut timer = tokio::time::interval(Duration::from_millis(every_ms));
    timer.tick().await;
    for _ in 0..chunks {
        timer.tick().await;
        out.clear();
        chunk(&mut out, &delta(&format!("t={} ", now())));
        socket.write_all(&out).await?;
    }
    out.clear();
    chunk(&mut out, END);
    out.extend_from_slice(b"0\r\n\r\n");
    socket.write_all(&out).await
}

//! `llmup serve`: the gateway in front of backends that run already, by flags and by a LiteLLM configuration.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use crate::support::{Answer, Home, Running, free_port, http, request};

const LONG: Duration = Duration::from_secs(60);
const CHAT: &str = r#"{"model":"glm","messages":[{"role":"user","content":"hi"}]}"#;

/// What a backend saw: head (lower case) and body.
type Seen = Arc<Mutex<Vec<(String, String)>>>;

/// A backend that lists `models` and answers chats, the first `busy` of them with a 429.
fn backend(models: &'static str, busy: usize) -> (u16, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Seen::default();
    let told = Arc::clone(&seen);
    std::thread::spawn(move || {
        let mut busy = busy;
        for stream in listener.incoming() {
            answer(&mut stream.unwrap(), models, &mut busy, &told);
        }
    });
    (port, seen)
}

/// Reads one request and answers it.
fn answer<S: Read + Write>(stream: &mut S, models: &str, busy: &mut usize, seen: &Seen) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return;
        }
    }
    let head = head.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let body = String::from_utf8(body).unwrap();
    let list = head.starts_with("get ");
    let streams = body.contains("\"stream\":true");
    if !list {
        seen.lock().unwrap().push((head, body));
    }
    let (status, kind, text) = if list {
        ("200 OK", "application/json", models.to_owned())
    } else if *busy > 0 {
        *busy -= 1;
        ("429 Too Many Requests\r\nretry-after-ms: 20\r\nx-should-retry: true", "application/json", "{}".to_owned())
    } else if streams {
        let text = "data: {\"id\":\"c\",\"choices\":[{\"delta\":{\"content\":\"hello\"}}]}\n\n\
                    data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
                    data: {\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":2,\
                    \"prompt_tokens_details\":{\"cached_tokens\":8}}}\n\ndata: [DONE]\n\n";
        ("200 OK", "text/event-stream", text.to_owned())
    } else {
        let text = r#"{"choices":[{"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":8}}}"#;
        ("200 OK", "application/json", text.to_owned())
    };
    let length = text.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{text}"
    );
    let stream = reader.into_inner();
    let _ = stream.write_all(answer.as_bytes());
    let _ = stream.flush();
}

const LIST: &str =
    r#"{"object":"list","data":[{"id":"glm","max_model_len":8192},{"id":"org/other","context_length":4096}]}"#;

struct Bench {
    home: Home,
    url: String,
    running: Running,
    ready: Value,
}

impl Bench {
    /// `serve` with these flags; `file` becomes the configuration.
    fn new(args: &[&str], file: Option<&str>, change: impl FnOnce(&mut Command)) -> Bench {
        let home = Home::new();
        let port = free_port().to_string();
        let mut all = vec!["serve", "--json", "--port", &port];
        all.extend(args);
        if let Some(text) = file {
            std::fs::write(home.path().join("config.yaml"), text).unwrap();
            all.extend(["--config", "config.yaml"]);
        }
        let mut command = home.llmup(&all);
        change(&mut command);
        let mut running = home.start(command);
        let ready = running.ready(LONG);
        let url = format!("http://127.0.0.1:{port}");
        assert_eq!(ready["url"], url.as_str());
        Bench { home, url, running, ready }
    }

    fn key(&self) -> (&'static str, String) {
        ("authorization", format!("Bearer {}", self.ready["key"].as_str().unwrap()))
    }

    fn post(&self, path: &str, more: &[(&str, &str)], body: &str) -> Answer {
        let (name, key) = self.key();
        let mut headers = vec![(name, key.as_str())];
        headers.extend(more);
        request(&self.url, "POST", path, &headers, body).unwrap()
    }

    fn chat(&self, model: &str) -> Answer {
        self.post("/v1/chat/completions", &[], &format!(r#"{{"model":"{model}","messages":[]}}"#))
    }
}

fn refused(home: &Home, args: &[&str], code: i32) -> String {
    let ran = home.run(args);
    assert_eq!(ran.code, Some(code), "{args:?}\n{}", ran.err);
    assert!(ran.err.contains("error:") && ran.err.contains("hint:"), "{}", ran.err);
    ran.err
}

#[test]
fn a_backend_by_flags_is_asked_for_its_context_and_served() {
    let (port, seen) = backend(LIST, 0);
    let url = format!("http://127.0.0.1:{port}/v1");
    let args = ["--backend", &url, "--model", "glm", "--backend-key", "theirs", "--api-key", "mine", "--log"];
    let bench = Bench::new(&args, None, |_| {});
    assert_eq!((&bench.ready["context"], &bench.ready["key"]), (&8192.into(), &"mine".into()));
    let answer = bench.chat("claude-opus");
    assert_eq!(answer.status, 200, "{}", answer.body);
    for header in ["llmup-prompt-tokens: 10", "llmup-cached-tokens: 8", "llmup-prefilled-tokens: 2", "request-id: req_"]
    {
        assert!(answer.head.contains(header), "{}", answer.head);
    }
    let (head, body) = seen.lock().unwrap()[0].clone();
    assert!(head.starts_with("post /v1/chat/completions") && head.contains("authorization: bearer theirs"), "{head}");
    assert!(body.contains(r#""model":"glm""#), "{body}");
    // The one model answers every protocol and name; what the clients' commands find is there too.
    let message = r#"{"model":"claude","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#;
    let answer = bench.post("/v1/messages", &[], message);
    assert!(answer.status == 200 && answer.body.contains("hello"), "{}", answer.body);
    assert!(answer.head.contains("llmup-cached-tokens: 8"), "{}", answer.head);
    let ran = bench.home.run(&["env", "claude", "--shell", "bash"]);
    assert!(ran.code == Some(0) && ran.out.contains(&bench.url) && ran.out.contains("mine"), "{}{}", ran.out, ran.err);
    let said = bench.running.err_with(" messages 200 ");
    assert!(
        said.contains(" chat 200 claude-opus->glm whole native prompt=10 cached=8 prefilled=2 output=2 "),
        "{said}"
    );
    assert!(said.contains(" messages 200 claude->glm whole translated prompt=10 "), "{said}");
}

#[test]
fn every_form_of_the_key_opens_and_none_is_asked_for_only_on_loopback() {
    let (port, _) = backend(LIST, 0);
    let url = format!("http://127.0.0.1:{port}");
    let bench = Bench::new(&["--backend", &url, "--model", "glm"], None, |_| {});
    let key = bench.ready["key"].as_str().unwrap().to_owned();
    assert!(key.starts_with("llmup-"), "made and kept: {key}");
    let bearer = format!("Bearer {key}");
    for header in [("authorization", bearer.as_str()), ("x-api-key", &key), ("x-goog-api-key", &key)] {
        assert_eq!(http(&bench.url, "POST", "/v1/chat/completions", &[header], CHAT).0, 200, "{header:?}");
    }
    assert_eq!(http(&bench.url, "GET", &format!("/v1/models?key={key}"), &[], "").0, 200);
    assert_eq!(http(&bench.url, "POST", "/v1/chat/completions", &[], CHAT).0, 401);

    let open = Bench::new(&["--backend", &url, "--model", "glm", "--no-auth"], None, |_| {});
    assert_eq!(http(&open.url, "POST", "/v1/chat/completions", &[], CHAT).0, 200);
    let home = Home::new();
    let args = ["serve", "--backend", &url, "--model", "glm", "--no-auth", "--host", "0.0.0.0"];
    assert!(refused(&home, &args, 2).contains("--no-auth"));
}

#[test]
fn a_configuration_routes_by_name_alias_and_wildcard() {
    let (one, first) = backend(LIST, 0);
    let (two, second) = backend(r#"{"data":[{"id":"qwen","meta":{"n_ctx":2048}}]}"#, 2);
    let text = format!(
        "model_list:
  - model_name: glm
    litellm_params: {{model: openai/org/other, api_base: 'http://127.0.0.1:{one}/v1', api_key: os.environ/ONE, temperature: 0.7, extra_headers: {{X-Team: a}}}}
  - model_name: fast/*
    litellm_params: {{model: 'hosted_vllm/*', api_base: 'http://127.0.0.1:{two}/v1', num_retries: 2}}
  - model_name: gone
    litellm_params: {{model: openai/x, api_base: 'http://127.0.0.1:{}/v1'}}
router_settings:
  model_group_alias: {{gpt-4: glm}}
litellm_settings: {{drop_params: true, cache: true}}
general_settings: {{master_key: '${{MASTER}}'}}
",
        free_port()
    );
    let bench = Bench::new(&[], Some(&text), |command| {
        command.env("ONE", "key-one").env("MASTER", "sk-master");
    });
    assert_eq!((&bench.ready["key"], &bench.ready["context"]), (&"sk-master".into(), &4096.into()));
    assert_eq!(bench.ready["models"], serde_json::json!(["glm", "gone", "gpt-4", "fast/qwen"]));
    let said = bench.running.err();
    assert!(said.contains("config.yaml:10:39: litellm_settings.cache is not used by llmup"), "{said}");
    assert!(said.contains("cannot be reached: Connection refused"), "{said}");

    for name in ["glm", "gpt-4"] {
        assert_eq!(bench.chat(name).status, 200);
        let (head, body) = first.lock().unwrap().pop().unwrap();
        assert!(head.contains("authorization: bearer key-one") && head.contains("x-team: a"), "{head}");
        assert_eq!(body, r#"{"temperature":0.7,"model":"org/other","messages":[]}"#);
    }
    // Busy twice, and asked again: the caller sees only the answer.
    assert_eq!(bench.chat("fast/any:tag").status, 200);
    let tries = second.lock().unwrap().clone();
    assert_eq!(tries.len(), 3);
    assert!(tries.iter().all(|(_, body)| body.contains(r#""model":"any:tag""#)), "{tries:?}");

    let unknown = bench.chat("nothing");
    assert!(unknown.status == 404 && unknown.body.contains("there is glm, fast/*, gone"), "{}", unknown.body);
    let gone = bench.post("/v1/messages", &[], r#"{"model":"gone","max_tokens":1,"messages":[]}"#);
    assert!(gone.status == 502 && gone.body.contains(r#""type":"error""#), "{}", gone.body);
}

#[test]
fn what_a_busy_backend_says_about_another_try_reaches_the_caller() {
    let (port, _) = backend(LIST, 9);
    let url = format!("http://127.0.0.1:{port}");
    let bench = Bench::new(&["--backend", &url, "--model", "glm"], None, |_| {});
    let answer = bench.post("/v1/messages", &[], r#"{"model":"glm","max_tokens":1,"messages":[]}"#);
    assert_eq!(answer.status, 429, "{}", answer.body);
    assert!(
        answer.head.contains("retry-after-ms: 20") && answer.head.contains("x-should-retry: true"),
        "{}",
        answer.head
    );
}

#[test]
fn a_streams_usage_comes_as_trailers_to_those_who_take_them() {
    let (port, _) = backend(LIST, 0);
    let url = format!("http://127.0.0.1:{port}");
    let bench = Bench::new(&["--backend", &url, "--model", "glm", "--log"], None, |_| {});
    for (path, body) in [
        ("/v1/chat/completions", r#"{"model":"glm","stream":true,"messages":[]}"#),
        ("/v1/messages", r#"{"model":"glm","stream":true,"max_tokens":9,"messages":[]}"#),
    ] {
        let address = bench.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        let (_, key) = bench.key();
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\nte: trailers\r\nauthorization: {key}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut all = String::new();
        stream.read_to_string(&mut all).unwrap();
        let (head, rest) = all.split_once("\r\n\r\n").unwrap();
        assert!(head.to_ascii_lowercase().contains("trailer: llmup-prompt-tokens"), "{head}");
        let end = rest.rsplit_once("\r\n0\r\n").expect("the last chunk").1;
        assert!(end.contains("llmup-cached-tokens: 8") && end.contains("llmup-prefilled-tokens: 2"), "{all}");
    }
    let said = bench.running.err_with(" chat 200 glm stream");
    assert!(said.contains(" chat 200 glm stream native prompt=10 ") && said.contains(" first="), "{said}");
}

#[test]
fn a_configuration_that_is_wrong_is_refused_with_its_place() {
    let home = Home::new();
    let write = |text: &str| std::fs::write(home.path().join("c.yaml"), text).unwrap();
    let args = ["serve", "--config", "c.yaml"];
    write("model_list:\n  - model_name: a\n    litellm_params:\n      model: openai/a\n      temperature: warm\n");
    assert!(
        refused(&home, &args, 3).contains("c.yaml:5:7: model_list[0].litellm_params.temperature: expected a number")
    );
    write(
        "model_list:\n  - model_name: a\n    litellm_params: {model: openai/a, api_key: os.environ/LLMUP_TEST_NO_SUCH}\n",
    );
    let said = refused(&home, &args, 3);
    assert!(said.contains("c.yaml:3:39: ") && said.contains("LLMUP_TEST_NO_SUCH, which is not set"), "{said}");
    write("model_list: [\n");
    assert!(refused(&home, &args, 3).contains("c.yaml:2:1: "));
    assert!(refused(&home, &["serve", "--config", "missing.yaml"], 3).contains("missing.yaml"));
    // Neither a backend nor a configuration, or both.
    for args in
        [&["serve"][..], &["serve", "--backend", "http://h"], &["serve", "--config", "c.yaml", "--backend", "http://h"]]
    {
        assert_eq!(home.run(args).code, Some(2), "{args:?}");
    }
    assert!(
        refused(&home, &["serve", "--backend", "h:1", "--model", "m"], 2)
            .contains("`--backend http://127.0.0.1:8000/v1`")
    );
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_the_gateway_and_takes_its_state_along() {
    let (port, _) = backend(LIST, 0);
    let url = format!("http://127.0.0.1:{port}");
    let mut bench = Bench::new(&["--backend", &url, "--model", "glm"], None, |_| {});
    assert_eq!(bench.home.instances(), 1);
    bench.running.signal(nix::sys::signal::Signal::SIGINT);
    let status = bench.running.wait(LONG);
    assert_eq!(status.code(), Some(130), "{}", bench.running.err());
    assert_eq!(bench.home.instances(), 0);
}

/// A server with a certificate only this test trusts. The system's own verifier is used, which listens to
/// `SSL_CERT_FILE` on Linux only.
#[cfg(target_os = "linux")]
#[test]
fn backends_with_tls_are_reached_and_strange_certificates_are_refused() {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};

    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls");
    let certificate = folder.join("cert.pem");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_file(&certificate).unwrap()],
            PrivateKeyDer::from_pem_file(folder.join("key.pem")).unwrap(),
        )
        .unwrap();
    let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0").unwrap());
    let url = format!("https://localhost:{}/v1", listener.local_addr().unwrap().port());
    let seen = Seen::default();
    let told = Arc::clone(&seen);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream.unwrap());
            answer(&mut stream, LIST, &mut 0, &told);
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    let args = ["--backend", &url, "--model", "glm", "--backend-key", "theirs"];
    let trusting = Bench::new(&args, None, |command| {
        command.env("SSL_CERT_FILE", &certificate);
    });
    assert_eq!(trusting.ready["context"], 8192, "{}", trusting.running.err());
    let answer = trusting.chat("glm");
    assert!(answer.status == 200 && answer.body.contains("hello"), "{}", answer.body);
    assert!(seen.lock().unwrap()[0].0.contains("authorization: bearer theirs"));

    // The same through a proxy, for a name that only the proxy knows.
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy_url = format!("http://user:pass@{}", proxy.local_addr().unwrap());
    let port = url.rsplit(':').next().unwrap().trim_end_matches("/v1").to_owned();
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = Arc::clone(&asked);
    let target = format!("127.0.0.1:{port}");
    std::thread::spawn(move || {
        for stream in proxy.incoming() {
            let mut caller = stream.unwrap();
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && caller.read_exact(&mut byte).is_ok() {
                head.push(byte[0]);
            }
            heard.lock().unwrap().push(String::from_utf8_lossy(&head).to_ascii_lowercase());
            let mut backend = TcpStream::connect(&target).unwrap();
            caller.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            let (mut from, mut to) = (backend.try_clone().unwrap(), caller.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            std::thread::spawn(move || std::io::copy(&mut caller, &mut backend));
        }
    });
    let far = format!("https://models.example:{port}/v1");
    let proxied = Bench::new(&["--backend", &far, "--model", "glm"], None, |command| {
        command.env("SSL_CERT_FILE", &certificate).env("HTTPS_PROXY", &proxy_url);
    });
    assert_eq!(proxied.ready["context"], 8192, "{}", proxied.running.err());
    let answer = proxied.chat("glm");
    assert!(answer.status == 200 && answer.body.contains("hello"), "{}", answer.body);
    let asked = asked.lock().unwrap().clone();
    assert!(asked.len() >= 2, "the probe and the gateway: {asked:?}");
    for head in asked {
        assert!(head.starts_with(&format!("connect models.example:{port} ")), "{head}");
        assert!(head.contains("proxy-authorization: basic dxnlcjpwyxnz"), "{head}");
    }

    let doubting = Bench::new(&args, None, |_| {});
    let answer = doubting.chat("glm");
    assert!(answer.status == 502 && answer.body.contains("certificate"), "{}", answer.body);
}

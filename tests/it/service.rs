//! Running as a service: what is exported for service managers, reading a configuration again while streams run, and
//! what is told to nobody.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::{Home, Running, finish, free_port, http, ignored, send};

const LONG: Duration = Duration::from_secs(180);
const STREAM: &str = r#"{"model":"a","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;

/// A backend whose streams end when they are told to.
fn slow_backend() -> (u16, Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (release, released) = channel();
    let released = Arc::new(Mutex::new(released));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, released) = (stream.unwrap(), Arc::clone(&released));
            std::thread::spawn(move || answer(stream, &released));
        }
    });
    (port, release)
}

fn answer(stream: std::net::TcpStream, released: &Mutex<Receiver<()>>) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return;
        }
    }
    let mut stream = reader.into_inner();
    if head.starts_with("GET ") {
        let list = r#"{"data":[{"id":"x","max_model_len":8192}]}"#;
        let _ = write!(
            stream,
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{list}",
            list.len()
        );
        return;
    }
    let _ = stream.write_all(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n\
          data: {\"id\":\"c\",\"choices\":[{\"delta\":{\"content\":\"first\"}}]}\n\n",
    );
    let _ = released.lock().unwrap().recv_timeout(LONG);
    let _ = stream.write_all(
        b"data: {\"choices\":[{\"delta\":{\"content\":\"last\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
    );
}

fn config(home: &Home, name: &str, port: u16, key: &str) {
    let text = format!(
        "model_list:\n  - model_name: {name}\n    litellm_params: {{model: openai/x, api_base: 'http://127.0.0.1:{port}/v1'}}\n\
         general_settings: {{master_key: {key}}}\n"
    );
    std::fs::write(home.path().join("config.yaml"), text).unwrap();
}

fn names(url: &str, key: &str) -> Vec<String> {
    let (status, body) = http(url, "GET", "/v1/models", &[("x-api-key", key)], "");
    assert_eq!(status, 200, "{body}");
    let list: Value = serde_json::from_str(&body).unwrap();
    list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_configuration_is_read_again_and_the_stream_that_runs_goes_on() {
    let (backend, release) = slow_backend();
    let home = Home::new();
    config(&home, "a", backend, "sk-one");
    let port = free_port().to_string();
    let url = format!("http://127.0.0.1:{port}");
    let mut serve = home.start(home.llmup(&["serve", "--json", "--config", "config.yaml", "--port", &port]));
    serve.ready(LONG);

    let mut running = send(&url, "POST", "/v1/chat/completions", &[("x-api-key", "sk-one")], STREAM).unwrap();
    let (mut got, mut piece) = (String::new(), [0; 1024]);
    while !got.contains("first") {
        let n = running.read(&mut piece).unwrap();
        assert!(n > 0, "{got}");
        got.push_str(&String::from_utf8_lossy(&piece[..n]));
    }
    config(&home, "b", backend, "sk-two");
    let ran = home.run(&["reload"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.contains("added b; removed a") && ran.err.contains("the key is another one"), "{}", ran.err);
    assert_eq!(http(&url, "GET", "/v1/models", &[("x-api-key", "sk-one")], "").0, 401);
    assert_eq!(names(&url, "sk-two"), ["b"]);
    let env = home.run(&["env", "claude", "--shell", "bash"]);
    assert!(env.out.contains("sk-two") && !env.out.contains("sk-one"), "{}", env.out);

    let again = |serve: &Running| match ignored(Signal::SIGHUP) {
        true => drop(home.run(&["reload"])),
        false => serve.signal(Signal::SIGHUP),
    };
    // A broken one changes nothing, and who asked hears the place.
    std::fs::write(home.path().join("config.yaml"), "model_list:\n  - model_name: c\n    litellm_params: 7\n").unwrap();
    let ran = home.run(&["reload", "b"]);
    assert_eq!(ran.code, Some(3), "{}", ran.err);
    assert!(ran.err.contains("error: config.yaml:3:5") && ran.err.contains("hint: "), "{}", ran.err);
    again(&serve);
    let end = Instant::now() + LONG;
    while serve.err().matches("error: config.yaml:3:5").count() < 2 {
        assert!(Instant::now() < end, "{}", serve.err());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(names(&url, "sk-two"), ["b"]);

    config(&home, "c", backend, "sk-two");
    again(&serve);
    let end = Instant::now() + LONG;
    while names(&url, "sk-two") != ["c"] {
        assert!(Instant::now() < end, "{}", serve.err());
        std::thread::sleep(Duration::from_millis(20));
    }
    // Four configurations later.
    release.send(()).unwrap();
    running.read_to_string(&mut got).unwrap();
    assert!(got.contains("last") && got.contains("[DONE]"), "{got}");
    serve.signal(Signal::SIGTERM);
    assert_eq!(serve.wait(LONG).code(), Some(143));
}

#[test]
fn the_service_manager_hears_when_it_serves_and_when_it_ends() {
    let home = Home::new();
    let socket = home.path().join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(LONG)).unwrap();
    let heard = || {
        let mut got = [0; 256];
        let n = manager.recv(&mut got).unwrap();
        String::from_utf8(got[..n].to_vec()).unwrap()
    };
    let (backend, _) = slow_backend();
    let (port, backend) = (free_port().to_string(), format!("http://127.0.0.1:{backend}"));
    let mut command = home.llmup(&["serve", "--backend", &backend, "--model", "x", "--port", &port]);
    command.env("NOTIFY_SOCKET", &socket);
    let mut serve = home.start(command);
    assert_eq!(heard(), "READY=1\nSTATUS=the gateway is ready");
    assert_eq!(http(&format!("http://127.0.0.1:{port}"), "GET", "/health", &[], "").0, 200);
    let ran = home.run(&["reload"]);
    assert!(ran.code == Some(0) && ran.err.contains("there is no configuration to read again"), "{}", ran.err);
    serve.signal(Signal::SIGTERM);
    assert!(heard().starts_with("STOPPING=1"));
    assert_eq!(serve.wait(LONG).code(), Some(143));
}

#[test]
fn a_web_page_is_refused_by_name_and_by_origin() {
    let home = Home::new();
    let (backend, _) = slow_backend();
    let (port, backend) = (free_port(), format!("http://127.0.0.1:{backend}"));
    let args =
        ["serve", "--json", "--backend", &backend, "--model", "x", "--api-key", "k", "--port", &port.to_string()];
    let mut serve = home.start(home.llmup(&args));
    serve.ready(LONG);
    let status = |head: &str| {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        write!(stream, "GET /v1/models HTTP/1.1\r\nx-api-key: k\r\nconnection: close\r\n{head}\r\n").unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        said.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    assert_eq!(status(&format!("host: 127.0.0.1:{port}\r\n")), "200");
    // The name leads here, but the browser still says it.
    assert_eq!(status(&format!("host: rebound.example:{port}\r\n")), "403");
    assert_eq!(status(&format!("host: 127.0.0.1:{port}\r\norigin: https://evil.example\r\n")), "403");
    // An empty key is none: it would be shown by everybody who shows none.
    let mut command = home.llmup(&["serve", "--json", "--backend", &backend, "--model", "x", "--port", "0"]);
    command.env("LLMUP_API_KEY", "");
    let mut open = home.start(command);
    let url = open.ready(LONG)["url"].as_str().unwrap().to_owned();
    assert_eq!(http(&url, "GET", "/v1/models", &[("authorization", "Bearer ")], "").0, 401);
}

/// A model whose name needs every kind of quoting.
const ODD: &str = "models/my 100% $HOME é \"m\".gguf";

#[test]
fn the_unit_is_one_that_systemd_takes() {
    let home = Home::new();
    for scope in ["--user", "--system"] {
        let ran = home.run(&["export", "systemd", scope, ODD, "--port", "4011", "--", "--alias", "a b;"]);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        assert!(ran.out.contains("Type=notify") && ran.err.contains("systemctl"), "{}\n{}", ran.out, ran.err);
        let unit = home.path().join(format!("llmup-test{scope}.service"));
        std::fs::write(&unit, &ran.out).unwrap();
        let Ok(checker) = which::which("systemd-analyze") else {
            eprintln!("skipped: no systemd-analyze on PATH");
            return;
        };
        let mut command = Command::new(checker);
        command.args([scope, "--man=no", "verify"]).arg(&unit).env("XDG_RUNTIME_DIR", home.path());
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!said.contains("llmup-test"), "{said}\n{}", ran.out);
    }
    let ran = home.run(&["export", "systemd", "--", "serve", "--config", "c.yaml"]);
    assert!(ran.out.contains(" serve --config c.yaml\n") && ran.out.contains("ExecReload="), "{}", ran.out);
    let ran = home.run(&["export", "systemd", "m", "--api-key", "sesame"]);
    assert!(ran.code == Some(2) && !ran.err.contains("sesame") && ran.out.is_empty(), "{}", ran.err);
}

#[test]
fn the_property_list_is_one_that_a_real_reader_takes() {
    let home = Home::new();
    let ran = home.run(&["export", "launchd", ODD, "--yes"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let Ok(python) = which::which("python3") else {
        eprintln!("skipped: no python3 on PATH");
        return;
    };
    let file = home.path().join("llmup.plist");
    std::fs::write(&file, &ran.out).unwrap();
    let script = "import plistlib,json,sys; print(json.dumps(plistlib.load(open(sys.argv[1],'rb'))))";
    let output = Command::new(python).args(["-c", script]).arg(&file).output().unwrap();
    let list: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let words: Vec<&str> = list["ProgramArguments"].as_array().unwrap().iter().map(|w| w.as_str().unwrap()).collect();
    assert_eq!(words[1..], ["start", ODD, "--yes"]);
    assert_eq!(list["KeepAlive"]["SuccessfulExit"], false);
    let task = home.run(&["export", "windows-task", ODD]);
    assert!(task.code == Some(0) && task.out.contains("<Task ") && task.out.is_ascii(), "{}", task.out);
}

fn files(dir: &Path, all: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, all);
        } else {
            all.push(path);
        }
    }
}

#[test]
fn keys_and_prompts_are_told_to_nobody() {
    const KEY: &str = "sesame-0123456789abcdef";
    const PROMPT: &str = "the-words-of-the-user";
    let home = Home::new();
    let port = free_port().to_string();
    let url = format!("http://127.0.0.1:{port}");
    let mut command = home.faked(&["llama-server"], &["start", "demo", "--engine", "llama-cpp", "--port", &port, "-d"]);
    command.env("LLMUP_API_KEY", KEY);
    let ran = finish(command);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let chat = format!(r#"{{"model":"demo","messages":[{{"role":"user","content":"{PROMPT}"}}]}}"#);
    assert_eq!(http(&url, "POST", "/v1/chat/completions", &[("x-api-key", KEY)], &chat).0, 200);
    assert_eq!(http(&url, "POST", "/v1/chat/completions", &[("x-api-key", "wrong-key-here")], &chat).0, 401);
    let mut said = vec![ran.out, ran.err];
    for args in [
        &["status"][..],
        &["status", "--json"],
        &["logs"],
        &["logs", "--gateway"],
        &["doctor"],
        &["doctor", "--json"],
        &["doctor", "--record", "machine"],
    ] {
        let mut command = home.faked(&["llama-server"], args);
        command.env("LLMUP_API_KEY", KEY);
        let ran = finish(command);
        said.extend([ran.out, ran.err]);
    }
    #[cfg(target_os = "linux")]
    for (role, pid) in home.pids() {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        assert!(!line.is_empty() && !line.contains("--api-key"), "{role}: {line}");
        said.push(line);
    }
    let ran = finish(home.faked(&["llama-server"], &["stop"]));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    for text in &said {
        assert!(!text.contains(KEY) && !text.contains(PROMPT) && !text.contains("wrong-key-here"), "{text}");
    }
    let mut all = Vec::new();
    files(home.path(), &mut all);
    assert!(all.iter().any(|path| path.ends_with("requests.log")), "{all:?}");
    for path in &all {
        let text = String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
        assert!(!text.contains(KEY), "{} holds the key", path.display());
        assert!(!text.contains(PROMPT), "{} holds a prompt", path.display());
    }
    // What others may read of the data folder: weights and engines, and nothing else.
    let public = ["models", "engines"].map(|folder| home.data.join(folder));
    let mut own = Vec::new();
    files(&home.data, &mut own);
    for path in own.iter().filter(|path| !public.iter().any(|folder| path.starts_with(folder))) {
        let mode = path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", path.display());
    }
}

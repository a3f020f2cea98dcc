//! Loading, serving, stopping, crashing: whatever happens, nothing is left behind.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[cfg(unix)]
use nix::sys::signal::Signal;
use serde_json::Value;

use super::{AUTH, Bench, CHAT, KEY, LONG, MESSAGE, STREAM, all_gone, json, kill9};
use crate::support::{fake, finish, free_port, http, request, send, spawned};

#[test]
fn the_gateway_answers_503_while_loading_then_200_and_ctrl_c_leaves_nothing() {
    let bench = Bench::new("llama-cpp");
    let mut llmup = bench.start(&[("FAKE_START_MS", "1500")]);
    let end = Instant::now() + LONG;
    let loading = loop {
        match request(&bench.url, "POST", "/v1/messages", &[AUTH], MESSAGE) {
            Ok(answer) => break answer,
            Err(_) => assert!(Instant::now() < end, "no gateway: {}", llmup.err()),
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    assert_eq!(loading.status, 503, "{}", loading.body);
    assert!(loading.head.contains("\nretry-after: "), "{}", loading.head);
    let body = json(&loading.body);
    assert_eq!((&body["type"], &body["error"]["type"]), (&"error".into(), &"overloaded_error".into()), "{body}");
    assert!(body["error"]["message"].as_str().unwrap().contains("loading"), "{body}");
    let loading = request(&bench.url, "POST", "/v1/chat/completions", &[AUTH], CHAT).unwrap();
    assert_eq!(loading.status, 503);
    assert!(loading.head.contains("\nretry-after: "), "{}", loading.head);
    let body = json(&loading.body);
    assert!(body["error"]["message"].as_str().unwrap().contains("loading") && body.get("type").is_none(), "{body}");

    let ready = llmup.ready(LONG);
    assert_eq!(ready["status"], "ready");
    assert_eq!((&ready["url"], &ready["model"]), (&bench.url.as_str().into(), &"demo".into()));
    assert_eq!(ready["context"], 32_768, "the engine's own word, not the plan's");
    assert_eq!(ready["pid"], llmup.child.id());
    assert_eq!(bench.home.instances(), 1);
    let (status, body) = bench.post("/v1/messages", MESSAGE);
    assert_eq!(status, 200, "{body}");
    assert!(json(&body)["content"][0]["text"].as_str().unwrap().starts_with("Hello from the fake"), "{body}");
    let (status, body) = bench.post("/v1/chat/completions", CHAT);
    assert_eq!(status, 200, "{body}");
    assert!(json(&body)["choices"][0]["message"]["content"].is_string(), "{body}");
    let (status, _) = http(&bench.url, "POST", "/v1/chat/completions", &[], CHAT);
    assert_eq!(status, 401);

    bench.end(&mut llmup);
    bench.clean(Duration::ZERO);
    assert!(llmup.err().contains("nothing is left running"), "{}", llmup.err());
}

#[cfg(unix)]
#[test]
fn sigterm_ends_with_143() {
    let bench = Bench::new("llama-cpp");
    let mut llmup = bench.start(&[("FAKE_GRANDCHILD", "setsid")]);
    llmup.ready(LONG);
    llmup.signal(Signal::SIGTERM);
    assert_eq!(llmup.wait(LONG).code(), Some(143));
    bench.clean(Duration::ZERO);
}

#[cfg(unix)]
#[test]
fn an_engine_that_ignores_sigterm_is_ended_after_the_grace_period() {
    let bench = Bench::new("llama-cpp");
    let mut llmup = bench.start(&[("FAKE_IGNORE_TERM", "1")]);
    llmup.ready(LONG);
    bench.end(&mut llmup);
    bench.clean(Duration::ZERO);
}

#[cfg(unix)]
#[test]
fn a_second_ctrl_c_ends_at_once_even_with_a_request_in_flight() {
    let bench = Bench::new("llama-cpp");
    let mut llmup = bench.start(&[("FAKE_IGNORE_TERM", "1"), ("FAKE_STALL", "posts")]);
    llmup.ready(LONG);
    let mut open = send(&bench.url, "POST", "/v1/chat/completions", &[AUTH], CHAT).unwrap();
    llmup.signal(Signal::SIGINT);
    let end = Instant::now() + LONG;
    while !llmup.err().contains("Ctrl-C again") {
        assert!(Instant::now() < end, "{}", llmup.err());
        std::thread::sleep(Duration::from_millis(10));
    }
    bench.end(&mut llmup);
    bench.clean(Duration::ZERO);
    let _ = open.read_to_end(&mut Vec::new());
}

/// The case that matters most: nobody is left to tidy up but the guard, or the job on Windows.
#[test]
fn kill_9_of_llmup_leaves_no_process_behind() {
    for _ in 0..5 {
        let bench = Bench::new("llama-cpp");
        let mut llmup = bench.start(&[("FAKE_GRANDCHILD", "setsid"), ("FAKE_IGNORE_TERM", "1")]);
        llmup.ready(LONG);
        let pids = bench.pids(2);
        llmup.child.kill().unwrap();
        llmup.wait(LONG);
        all_gone(&pids, Duration::from_secs(5));
        // The state file cannot go with it; the next command takes it off the books.
        assert_eq!(bench.home.instances(), 1);
        assert_eq!(bench.home.run(&["env", "claude"]).code, Some(4));
        assert_eq!(bench.home.instances(), 0);
    }
}

#[test]
fn a_stream_that_breaks_off_is_told_to_the_client() {
    let bench = Bench::new("llama-cpp");
    let mut llmup = bench.start(&[("FAKE_FRAME_MS", "100"), ("FAKE_TEXT", &"word ".repeat(2000))]);
    llmup.ready(LONG);
    let mut open =
        send(&bench.url, "POST", "/v1/messages", &[AUTH], &MESSAGE.replacen('{', "{\"stream\":true,", 1)).unwrap();
    let mut answer = vec![0; 200];
    open.read_exact(&mut answer).unwrap();
    kill9(bench.pids(1)[0].1);
    // To the end, not for ever.
    if let Err(error) = open.read_to_end(&mut answer) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.contains("event: error") && !answer.contains("message_stop"), "{answer}");
    bench.end(&mut llmup);
    bench.clean(Duration::ZERO);
}

#[test]
fn a_client_that_goes_away_ends_its_request_at_the_engine() {
    let bench = Bench::new("llama-cpp");
    let mut llmup = bench.start(&[("FAKE_FRAME_MS", "20"), ("FAKE_TEXT", &"word ".repeat(5000))]);
    let ready = llmup.ready(LONG);
    let mut open = send(&bench.url, "POST", "/v1/chat/completions", &[AUTH], STREAM).unwrap();
    open.read_exact(&mut [0; 200]).unwrap();
    drop(open);
    let end = Instant::now() + LONG;
    let log = || std::fs::read_to_string(ready["log"].as_str().unwrap()).unwrap();
    while !log().contains("the client went away") {
        assert!(Instant::now() < end, "the engine still writes: {}", log());
        std::thread::sleep(Duration::from_millis(20));
    }
    let (status, _) = bench.post("/v1/chat/completions", "{\"model\":\"demo\"");
    assert_eq!(status, 400, "the gateway still serves");
    bench.end(&mut llmup);
    bench.clean(Duration::ZERO);
}

#[cfg(unix)]
#[test]
fn ctrl_c_while_loading_leaves_nothing() {
    for engine in ["vllm", "llama-cpp"] {
        let bench = Bench::new(engine);
        let mut llmup = bench.start(&[("FAKE_START_MS", "100000"), ("FAKE_GRANDCHILD", "setsid")]);
        bench.pids(2);
        bench.end(&mut llmup);
        assert!(llmup.out().is_empty());
        bench.clean(Duration::from_secs(5));
    }
}

#[test]
fn two_starts_on_one_port_do_not_disturb_each_other() {
    let bench = Bench::new("llama-cpp");
    let mut first = bench.start(&[]);
    first.ready(LONG);
    let port = bench.port.to_string();
    let other = ["start", "other", "--engine-url", "http://127.0.0.1:9", "--port", &port, "--api-key", KEY];
    let second = finish(bench.home.faked(&[], &other));
    assert_eq!(second.code, Some(7), "{}", second.err);
    let taken = format!("port {} is taken by llmup itself, serving demo (pid {})", bench.port, first.child.id());
    assert!(second.err.contains(&taken), "{}", second.err);
    let free = second.err.split(" --port ").nth(1).and_then(|rest| rest.split('`').next()).expect("a free port");
    let free: u16 = free.parse().unwrap();
    assert!(std::net::TcpListener::bind(("127.0.0.1", free)).is_ok(), "{free}");
    assert!(second.err.contains("`llmup env claude`"), "{}", second.err);
    assert_eq!(bench.pids(1).len(), 1, "the second launched an engine");
    assert_eq!(bench.post("/v1/chat/completions", CHAT).0, 200);
    bench.end(&mut first);
    bench.clean(Duration::ZERO);
}

#[cfg(unix)]
#[test]
fn env_of_the_running_instance_can_be_evaluated() {
    let bench = Bench::new("llama-cpp");
    let mut llmup = bench.start(&[]);
    llmup.ready(LONG);
    let env = bench.home.run(&["env", "claude", "--shell", "bash"]);
    assert_eq!(env.code, Some(0), "{}", env.err);
    let script = bench.path("env.sh");
    std::fs::write(&script, &env.out).unwrap();
    let mut sh = Command::new("sh");
    let show = "eval \"$(cat \"$1\")\"; printf '%s\\n' \"$ANTHROPIC_BASE_URL\" \"$ANTHROPIC_AUTH_TOKEN\" \
                \"$ANTHROPIC_MODEL\" \"$CLAUDE_CODE_MAX_CONTEXT_TOKENS\"";
    sh.args(["-eu", "-c", show, "sh", &script]).env("ANTHROPIC_API_KEY", "stale");
    let shown = finish(sh);
    assert_eq!(shown.code, Some(0), "{}\n{}", shown.err, env.out);
    // Of 32,768 tokens Claude Code is told with the longest answer on top: see src/client/claude.rs.
    assert_eq!(shown.out.lines().collect::<Vec<_>>(), [&bench.url, KEY, "demo", "36864"], "{}", env.out);
    llmup.signal(Signal::SIGINT);
    llmup.wait(LONG);
    assert_eq!(bench.home.run(&["env", "claude"]).code, Some(4), "it runs no more");
}

#[test]
fn an_engine_that_runs_already_is_served_and_left_alone() {
    let bench = Bench::new("vllm");
    let port = free_port();
    bench.home.faked(&["vllm"], &[]);
    let mut vllm = Command::new(bench.home.path().join("bin/vllm"));
    vllm.args(["serve", "dir", "--served-model-name", "theirs", "--port", &port.to_string()]);
    vllm.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut engine = Ended(spawned(&mut vllm));
    let engine_url = format!("http://127.0.0.1:{port}");
    let end = Instant::now() + LONG;
    while request(&engine_url, "GET", "/health", &[], "").is_err() {
        assert!(Instant::now() < end, "the fake engine does not start");
        std::thread::sleep(Duration::from_millis(20));
    }
    let own = bench.port.to_string();
    let args =
        ["start", "mine", "--engine-url", &format!("{engine_url}/v1"), "--port", &own, "--api-key", KEY, "--json"];
    let mut llmup = bench.home.start(bench.home.llmup(&args));
    let ready = llmup.ready(LONG);
    assert_eq!((&ready["model"], &ready["context"]), (&"mine".into(), &32_768.into()), "{ready}");
    // Translated: of an unknown engine only the OpenAI side is used.
    let (status, body) = bench.post("/v1/messages", &MESSAGE.replace("demo", "mine"));
    assert_eq!(status, 200, "{body}");
    assert_eq!(json(&body)["type"], "message", "{body}");
    bench.end(&mut llmup);
    assert_eq!(bench.home.instances(), 0);
    assert!(engine.0.try_wait().unwrap().is_none(), "somebody else's engine was ended");

    // Without anybody there: said, with the command to look.
    drop(engine);
    let ran = bench.home.run(&args);
    assert_eq!(ran.code, Some(4), "{}", ran.err);
    assert!(ran.err.contains("no engine answers at") && ran.err.contains("`curl "), "{}", ran.err);
}

struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn doctor_reports_as_json_and_knows_what_runs() {
    let bench = Bench::new("llama-cpp");
    let mut llmup = bench.start(&[]);
    llmup.ready(LONG);
    let ran = finish(bench.home.faked(&[], &["doctor", "--json"]));
    let report = json(&ran.out);
    let problems = report["problems"].as_u64().unwrap();
    assert_eq!(ran.code, Some(i32::from(problems > 0)), "{report}");
    let findings = report["findings"].as_array().unwrap();
    let of = |section: &str| {
        findings.iter().filter(|f| f["section"] == section).map(|f| f["text"].to_string()).collect::<String>()
    };
    assert!(of("engines").contains("llama-cpp"), "{report}");
    assert!(of("running").contains(&bench.url), "{report}");
    assert!(!ran.out.contains(KEY), "the key is shown");
    let problem = |f: &&Value| f["status"] == "problem";
    assert!(findings.iter().filter(problem).all(|f| f["cure"].is_string()), "{report}");
    assert!(fake::program().exists());
}

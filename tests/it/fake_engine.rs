//! The whole of `start` against an engine that misbehaves on request: loading, serving, stopping, crashing. What needs
//! signals runs on Unix only; on Windows the other tests end llmup hard, and its engines must be gone too.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[cfg(unix)]
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::{Home, Running, fake, finish, free_port, http, request, send};

/// Far more than anything here takes, also where many more processes run than there are processors.
const LONG: Duration = Duration::from_secs(180);
const KEY: &str = "test-key";
const AUTH: (&str, &str) = ("authorization", "Bearer test-key");
const CHAT: &str = r#"{"model":"demo","messages":[{"role":"user","content":"hi"}]}"#;
const UNNAMED: &str = r#"{"messages":[{"role":"user","content":"hi"}]}"#;
const MESSAGE: &str = r#"{"model":"demo","max_tokens":99,"messages":[{"role":"user","content":"hi"}]}"#;
const STREAM: &str = r#"{"model":"demo","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;

/// `start demo` behind a fake engine, on a port of its own.
struct Bench {
    home: Home,
    url: String,
    port: u16,
    engine: &'static str,
}

impl Bench {
    fn new(engine: &'static str) -> Bench {
        let port = free_port();
        Bench { home: Home::new(), url: format!("http://127.0.0.1:{port}"), port, engine }
    }

    fn command(&self, env: &[(&str, &str)]) -> Command {
        let program = if self.engine == "vllm" { "vllm" } else { "llama-server" };
        let port = self.port.to_string();
        let args = ["start", "demo", "--json", "--engine", self.engine, "--port", &port, "--api-key", KEY];
        let mut command = self.home.faked(&[program], &args);
        command.envs(env.iter().copied());
        command
    }

    fn start(&self, env: &[(&str, &str)]) -> Running {
        self.home.start(self.command(env))
    }

    fn path(&self, name: &str) -> String {
        self.home.path().join(name).display().to_string()
    }

    /// Waits until the engine (and what it starts) has written its pid.
    fn pids(&self, count: usize) -> Vec<(String, u32)> {
        let end = Instant::now() + LONG;
        loop {
            let pids = self.home.pids();
            if pids.len() >= count {
                return pids;
            }
            assert!(Instant::now() < end, "the engine was not started");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn post(&self, path: &str, body: &str) -> (u16, String) {
        http(&self.url, "POST", path, &[AUTH], body)
    }

    /// Ends llmup: with Ctrl-C, after which it leaves nothing, or (Windows) hard, after which no engine is left.
    fn end(&self, llmup: &mut Running) {
        #[cfg(unix)]
        {
            llmup.signal(Signal::SIGINT);
            assert_eq!(llmup.wait(LONG).code(), Some(130), "{}", llmup.err());
            self.clean(Duration::ZERO);
        }
        #[cfg(windows)]
        {
            llmup.child.kill().unwrap();
            llmup.wait(LONG);
            all_gone(&self.home.pids(), Duration::from_secs(5));
        }
    }

    /// Nothing lives and nothing says that it does.
    fn clean(&self, within: Duration) {
        all_gone(&self.home.pids(), within);
        assert_eq!(self.home.instances(), 0, "a state file is left");
    }
}

fn lives(pid: u32) -> bool {
    llmup::supervisor::process::birth(pid).is_some()
}

fn all_gone(pids: &[(String, u32)], within: Duration) {
    assert!(!pids.is_empty(), "no engine was started, the test proves nothing");
    let end = Instant::now() + within;
    while let Some((role, pid)) = pids.iter().find(|(_, pid)| lives(*pid)) {
        assert!(Instant::now() < end, "{role} {pid} lives");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[cfg(unix)]
fn kill9(pid: u32) {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
    nix::sys::signal::kill(pid, Signal::SIGKILL).unwrap();
}

#[cfg(windows)]
fn kill9(pid: u32) {
    let killed = Command::new("taskkill").args(["/F", "/PID", &pid.to_string()]).output().unwrap();
    assert!(killed.status.success(), "{}", String::from_utf8_lossy(&killed.stdout));
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

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
    #[cfg(unix)]
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
    llmup.signal(Signal::SIGINT);
    assert_eq!(llmup.wait(LONG).code(), Some(130));
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
    llmup.signal(Signal::SIGINT);
    assert_eq!(llmup.wait(LONG).code(), Some(130));
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
fn a_crash_while_serving_ends_open_requests_and_llmup_with_6() {
    let bench = Bench::new("llama-cpp");
    let mut llmup = bench.start(&[("FAKE_STALL", "posts"), ("FAKE_GRANDCHILD", "setsid")]);
    llmup.ready(LONG);
    let mut open: Vec<_> = [("/v1/messages", MESSAGE), ("/v1/chat/completions", STREAM)]
        .map(|(path, body)| send(&bench.url, "POST", path, &[AUTH], body).unwrap())
        .into();
    // Long enough for the requests to be at the engine; less would only test the easier case.
    std::thread::sleep(Duration::from_millis(300));
    kill9(bench.pids(1).iter().find(|(role, _)| role == "engine").unwrap().1);
    for stream in &mut open {
        let mut answer = String::new();
        // A timeout of the read would be an error here: a hang.
        match stream.read_to_string(&mut answer) {
            Ok(_) => assert!(answer.contains("error") && !answer.starts_with("HTTP/1.1 200"), "{answer}"),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{answer}"),
        }
    }
    assert_eq!(llmup.wait(LONG).code(), Some(6));
    let err = llmup.err();
    let how = if cfg!(unix) { "killed by signal 9" } else { "exit code " };
    assert!(
        err.contains("error: llama-cpp ended while serving (") && err.contains(how) && err.contains("demo.log"),
        "{err}"
    );
    bench.clean(Duration::ZERO);
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
    assert_eq!(llmup.wait(LONG).code(), Some(6));
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
}

#[cfg(unix)]
/// In the shape of vLLM's own: the cause is in the middle, the end only points up.
const NO_ROOM: &str = "\
(APIServer pid=7) INFO 11-20 10:00:00 [model.py:1] Resolved architecture: Qwen3ForCausalLM
(EngineCore pid=8) ERROR 11-20 10:00:01 [core.py:2] EngineCore failed to start.
(EngineCore pid=8) ERROR 11-20 10:00:01 [core.py:2] Traceback (most recent call last):
(EngineCore pid=8) ERROR 11-20 10:00:01 [core.py:2]     raise ValueError(
(EngineCore pid=8) ERROR 11-20 10:00:01 [core.py:2] ValueError: To serve at least one request with the model's max \
seq len (131072), 14.00 GiB KV cache is needed, which is larger than the available KV cache memory (2.06 GiB). Based \
on the available memory, the estimated maximum model length is 19328. Try increasing `gpu_memory_utilization`.
(APIServer pid=7) RuntimeError: Engine core initialization failed. See root cause above.
";

#[cfg(unix)]
const BAD_PARSER: &str = "\
(APIServer pid=7) Traceback (most recent call last):
(APIServer pid=7)     raise KeyError(
(APIServer pid=7) KeyError: 'invalid tool call parser: glm99 (chose from { hermes,qwen3_coder })'
(APIServer pid=7) RuntimeError: Engine core initialization failed. See root cause above.
";

#[cfg(unix)] // vLLM does not run on Windows
#[test]
fn a_crash_at_the_start_shows_the_telling_line_a_hint_and_the_log() {
    let bench = Bench::new("vllm");
    let log = bench.path("crash.txt");
    std::fs::write(&log, BAD_PARSER).unwrap();
    let ran = finish(bench.command(&[("FAKE_LOG", &log), ("FAKE_EXIT", "1")]));
    assert_eq!(ran.code, Some(6), "{}", ran.err);
    assert!(ran.out.is_empty(), "{}", ran.out);
    assert!(ran.err.contains("error: vllm ended before it was ready"), "{}", ran.err);
    assert!(ran.err.contains("says: KeyError: 'invalid tool call parser: glm99"), "{}", ran.err);
    assert!(!ran.err.contains("See root cause above"), "{}", ran.err);
    assert!(ran.err.contains("`llmup engine install vllm`"), "{}", ran.err);
    let place = bench.home.data.join("logs/demo.log");
    assert!(ran.err.contains(&place.display().to_string()), "{}", ran.err);
    assert!(std::fs::read_to_string(place).unwrap().contains("See root cause above"));
    bench.clean(Duration::from_secs(5));
}

#[cfg(unix)] // vLLM does not run on Windows
#[test]
fn vllm_is_started_again_once_with_the_context_it_says_would_fit() {
    let bench = Bench::new("vllm");
    let log = bench.path("crash.txt");
    std::fs::write(&log, NO_ROOM).unwrap();
    let once = bench.path("failed-once");
    let mut llmup = bench.start(&[("FAKE_LOG", &log), ("FAKE_EXIT", "1"), ("FAKE_FAIL_ONCE", &once)]);
    let ready = llmup.ready(LONG);
    assert_eq!(ready["context"], 19_328);
    let err = llmup.err();
    assert!(err.contains("only 19328 of") && err.contains("starting again"), "{err}");
    assert_eq!(bench.pids(2).len(), 2, "two starts");
    bench.end(&mut llmup);

    // It fails again: no third start.
    let bench = Bench::new("vllm");
    let ran = finish(bench.command(&[("FAKE_LOG", &log), ("FAKE_EXIT", "1")]));
    assert_eq!(ran.code, Some(6), "{}", ran.err);
    assert!(ran.err.contains("estimated maximum model length is 19328"), "{}", ran.err);
    assert_eq!(bench.pids(2).len(), 2, "{}", ran.err);

    // An asked context is obeyed or refused, not changed.
    let bench = Bench::new("vllm");
    let mut command = bench.command(&[("FAKE_LOG", &log), ("FAKE_EXIT", "1")]);
    command.args(["--context", "65536"]);
    let ran = finish(command);
    assert_eq!(ran.code, Some(6), "{}", ran.err);
    assert_eq!(bench.pids(1).len(), 1, "{}", ran.err);
}

#[cfg(unix)]
#[test]
fn ctrl_c_while_loading_leaves_nothing() {
    for engine in ["vllm", "llama-cpp"] {
        let bench = Bench::new(engine);
        let mut llmup = bench.start(&[("FAKE_START_MS", "100000"), ("FAKE_GRANDCHILD", "setsid")]);
        bench.pids(2);
        llmup.signal(Signal::SIGINT);
        assert_eq!(llmup.wait(LONG).code(), Some(130), "{}", llmup.err());
        assert!(llmup.out().is_empty());
        bench.clean(Duration::from_secs(5));
    }
}

#[test]
fn two_starts_on_one_port_do_not_disturb_each_other() {
    let bench = Bench::new("llama-cpp");
    let mut first = bench.start(&[]);
    first.ready(LONG);
    let second = finish(bench.command(&[]));
    assert_eq!(second.code, Some(7), "{}", second.err);
    let taken = format!("port {} is taken by llmup itself, serving demo (pid {})", bench.port, first.child.id());
    assert!(second.err.contains(&taken), "{}", second.err);
    let free = second.err.split("`--port ").nth(1).and_then(|rest| rest.split('`').next()).expect("a free port");
    let free: u16 = free.parse().unwrap();
    assert!(std::net::TcpListener::bind(("127.0.0.1", free)).is_ok(), "{free}");
    assert!(second.err.contains("`llmup env claude`"), "{}", second.err);
    assert_eq!(bench.pids(1).len(), 1, "the second launched an engine");
    assert_eq!(bench.post("/v1/chat/completions", CHAT).0, 200);
    bench.end(&mut first);
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
    assert_eq!(shown.out.lines().collect::<Vec<_>>(), [&bench.url, KEY, "demo", "32768"], "{}", env.out);
    llmup.signal(Signal::SIGINT);
    llmup.wait(LONG);
    assert_eq!(bench.home.run(&["env", "claude"]).code, Some(4), "it runs no more");
}

#[test]
fn an_engine_that_runs_already_is_served_and_left_alone() {
    let bench = Bench::new("vllm");
    let port = free_port();
    bench.home.faked(&["vllm"], &[]);
    let engine = Command::new(bench.home.path().join("bin/vllm"))
        .args(["serve", "dir", "--served-model-name", "theirs", "--port", &port.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut engine = Ended(engine);
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
    #[cfg(unix)]
    {
        llmup.signal(Signal::SIGINT);
        assert_eq!(llmup.wait(LONG).code(), Some(130));
        assert_eq!(bench.home.instances(), 0);
    }
    #[cfg(windows)]
    {
        llmup.child.kill().unwrap();
        llmup.wait(LONG);
    }
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

#[cfg(unix)]
#[test]
fn the_demo_is_created_in_an_ollama_of_our_own_and_removed_in_the_end() {
    let bench = Bench::new("ollama");
    let port = bench.port.to_string();
    let args = ["start", "demo", "--json", "--engine", "ollama", "--port", &port, "--api-key", KEY];
    let mut command = bench.home.faked(&["ollama"], &args);
    // Nothing listens there, so that no Ollama of this machine is used.
    command.env("OLLAMA_HOST", "127.0.0.1:9");
    let mut llmup = bench.home.start(command);
    let ready = llmup.ready(LONG);
    assert_eq!(ready["engine"], "ollama", "{ready}");
    // Without a name of its own a request hears the engine's.
    let (status, answer) = bench.post("/v1/chat/completions", UNNAMED);
    assert_eq!((status, json(&answer)["model"].as_str()), (200, Some("llmup-demo")), "{answer}");
    llmup.signal(Signal::SIGINT);
    assert_eq!(llmup.wait(LONG).code(), Some(130), "{}", llmup.err());
    let log = std::fs::read_to_string(bench.home.data.join("logs/demo.log")).unwrap();
    assert!(log.contains("deleted llmup-demo"), "{log}");
    bench.clean(Duration::from_secs(5));
}

#[cfg(unix)]
#[test]
fn an_ollama_that_runs_already_is_used_given_more_context_and_left_running() {
    let bench = Bench::new("ollama");
    let theirs = free_port();
    bench.home.faked(&["ollama"], &[]);
    let log = bench.home.path().join("theirs.log");
    let file = std::fs::File::create(&log).unwrap();
    let mut ollama = Command::new(bench.home.path().join("bin/ollama"))
        .arg("serve")
        .env("OLLAMA_HOST", format!("127.0.0.1:{theirs}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(file)
        .spawn()
        .unwrap();
    let end = Instant::now() + LONG;
    while std::net::TcpStream::connect(("127.0.0.1", theirs)).is_err() {
        assert!(Instant::now() < end, "the fake Ollama does not listen");
        std::thread::sleep(Duration::from_millis(10));
    }
    let port = bench.port.to_string();
    let run = |tag: &str| {
        let mut command = bench.home.faked(&[], &["start", tag, "--json", "--port", &port, "--api-key", KEY]);
        command.env("OLLAMA_HOST", format!("127.0.0.1:{theirs}"));
        command
    };
    // A tag no registry has: its own words, and nothing started.
    let nowhere = finish(run("new-nowhere:1b"));
    assert_eq!(nowhere.code, Some(6), "{}", nowhere.err);
    assert!(nowhere.err.contains("file does not exist"), "{}", nowhere.err);

    let mut llmup = bench.home.start(run("new:1b"));
    let ready = llmup.ready(LONG);
    assert_eq!((&ready["engine_port"], &ready["context"]), (&theirs.into(), &65_536.into()));
    // It had loaded the tag with fewer tokens than a coding agent wants, so a variant of ours answers.
    // Without a name of its own a request hears the engine's.
    let (status, answer) = bench.post("/v1/chat/completions", UNNAMED);
    assert_eq!((status, json(&answer)["model"].as_str()), (200, Some("llmup-new-1b")), "{answer}");
    llmup.signal(Signal::SIGINT);
    assert_eq!(llmup.wait(LONG).code(), Some(130), "{}", llmup.err());
    assert!(ollama.try_wait().unwrap().is_none(), "their Ollama was ended");
    let said = std::fs::read_to_string(&log).unwrap();
    assert!(said.contains("pulled new:1b") && said.contains("deleted llmup-new-1b"), "{said}");
    ollama.kill().unwrap();
    ollama.wait().unwrap();
}

//! The whole of `start` against an engine that misbehaves on request. What needs signals or vLLM runs on Unix only.

mod control;
mod doctor;
#[cfg(unix)]
mod failures;
mod fleet;
mod hung;
mod join;
mod lifecycle;
mod logs;
mod ollama;
mod orphans;
mod readback;
#[cfg(unix)]
mod surroundings;
mod top;
#[cfg(windows)]
mod wsl;

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Home, Running, free_port, http};

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

    /// A card that only this `nvidia-smi` tells of, and a vLLM built for it.
    #[cfg(unix)]
    fn card(&self, smi: &str) {
        let bin = self.home.path().join("bin");
        std::fs::create_dir_all(&bin).unwrap();
        let program = bin.join("nvidia-smi");
        std::fs::write(&program, smi).unwrap();
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let about = self.home.path().join("lib/python3.12/site-packages/vllm-0.33.0.dist-info");
        std::fs::create_dir_all(&about).unwrap();
        std::fs::write(about.join("METADATA"), "Metadata-Version: 2.1\nName: vllm\nVersion: 0.33.0\n").unwrap();
    }

    /// Ends llmup in order: with Ctrl-C, or on Windows, where a test cannot press it, with `llmup stop`.
    fn end(&self, llmup: &mut Running) {
        #[cfg(unix)]
        llmup.signal(nix::sys::signal::Signal::SIGINT);
        #[cfg(windows)]
        {
            let stopped = self.home.run(&["stop", "--all"]);
            assert_eq!(stopped.code, Some(0), "{}", stopped.err);
        }
        let code = if cfg!(unix) { 130 } else { 0 };
        assert_eq!(llmup.wait(LONG).code(), Some(code), "{}", llmup.err());
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
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
}

#[cfg(windows)]
fn kill9(pid: u32) {
    let killed = Command::new("taskkill").args(["/F", "/PID", &pid.to_string()]).output().unwrap();
    assert!(killed.status.success(), "{}", String::from_utf8_lossy(&killed.stdout));
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

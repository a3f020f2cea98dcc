//! Running one client: a home of its own, no way out, a limit, and nothing of it left.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::clients::Setup;
use crate::support::outside::Outside;
use crate::support::{Home, Running, free_port, http, skip};

/// The longest a client may take for its task.
const LIMIT: Duration = Duration::from_secs(180);

/// The folder of programs that `scripts/test` installed.
fn folder() -> Option<PathBuf> {
    std::env::var_os("LLMUP_TEST_CLIENTS").map(PathBuf::from)
}

/// The client's program, or a note that the test is skipped. aider is large and has a folder of its own, made by
/// `scripts/test-aider`.
pub fn installed(name: &str) -> Option<PathBuf> {
    let program = folder().into_iter().chain(aider()).map(|f| f.join(name)).find(|p| p.exists());
    if program.is_none() {
        skip(&format!("{name} is not installed (LLMUP_TEST_CLIENTS names no folder that holds it)"));
    }
    program
}

fn aider() -> Option<PathBuf> {
    std::env::var_os("LLMUP_TEST_AIDER").map(PathBuf::from)
}

/// Clients are heavy: one at a time.
pub fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A gateway as a client sees it.
pub struct Gateway {
    pub url: String,
    pub key: String,
    pub model: String,
    pub context: u64,
}

impl Gateway {
    /// From what `start --json` says.
    pub fn of(ready: &Value) -> Gateway {
        let text = |key: &str| ready[key].as_str().unwrap().to_owned();
        Gateway {
            url: text("url"),
            key: text("key"),
            model: text("model"),
            context: ready["context"].as_u64().unwrap(),
        }
    }

    /// It answers, and nothing hangs in it.
    pub fn assert_well(&self) {
        let (status, body) = http(&self.url, "GET", "/health", &[], "");
        assert_eq!(status, 200, "{body}");
        assert!(body.contains(r#""status":"ok""#), "{body}");
    }
}

/// llmup in front of an engine that only speaks chat.
pub fn in_front_of(home: &Home, engine: &str, key: &str) -> (Running, Gateway) {
    let (port, url) = (free_port().to_string(), format!("{engine}/v1"));
    let args = ["start", "local-model", "--json", "--port", &port, "--engine-url", &url, "--engine-key", key];
    let mut llmup = home.start(home.llmup(&args));
    let ready = llmup.ready(Duration::from_secs(60));
    (llmup, Gateway::of(&ready))
}

/// How a client's run ended.
pub struct Ended {
    /// Its code; `None`: it had to be killed.
    pub status: Option<ExitStatus>,
    pub out: String,
    pub err: String,
}

impl Ended {
    /// Why it failed, if it did.
    pub fn failed(&self) -> Option<String> {
        match self.status {
            None => Some(format!("it was still running after {LIMIT:?}")),
            Some(status) if !status.success() => Some(status.to_string()),
            Some(_) => self.out.trim().is_empty().then(|| "it said nothing".into()),
        }
    }

    /// All it said.
    pub fn said(&self) -> String {
        format!("{}\n--- stderr\n{}", self.out, self.err)
    }
}

/// The client in `home/work`, with nothing on its standard input and no way out but `outside`.
pub fn prepared(program: &Path, setup: &Setup, home: &Home, outside: &Outside) -> Command {
    let work = home.path().join("work");
    for dir in [&work, &home.path().join("tmp")] {
        std::fs::create_dir_all(dir).unwrap();
    }
    let mut command = Command::new(program);
    let path = std::env::var_os("PATH").unwrap_or_default();
    // The node that came with the clients is first: some refuse an older one.
    let own = [home.path().join("bin")].into_iter().chain(folder()).chain(aider());
    let path = std::env::join_paths(own.chain(std::env::split_paths(&path))).unwrap();
    command
        .args(&setup.args)
        .current_dir(&work)
        .env_clear()
        .env("HOME", home.path())
        .env("PATH", path)
        .env("TMPDIR", home.path().join("tmp"))
        .env("LANG", "C.UTF-8")
        .stdin(Stdio::null());
    for name in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"] {
        command.env(name, &outside.url);
    }
    for name in ["NO_PROXY", "no_proxy"] {
        command.env(name, "127.0.0.1,localhost");
    }
    command.envs(setup.env.iter().map(|(name, value)| (name, value)));
    // A group of its own, so that its helpers end with it.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command
}

/// Ends everything the client started.
pub fn end_group(running: &Running) {
    #[cfg(unix)]
    {
        let group = nix::unistd::Pid::from_raw(i32::try_from(running.child.id()).unwrap());
        let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
    }
    #[cfg(not(unix))]
    let _ = running;
}

/// Runs the client to its end in `home/work`.
pub fn run(name: &str, program: &Path, setup: &Setup, home: &Home) -> Ended {
    let outside = Outside::start();
    let command = prepared(program, setup, home, &outside);
    let began = Instant::now();
    let mut running = home.start(command);
    let status = loop {
        if let Some(status) = running.child.try_wait().unwrap() {
            break Some(status);
        }
        if began.elapsed() > LIMIT {
            break None;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    end_group(&running);
    let took = began.elapsed().as_secs_f32();
    llmup::output::note(&format!("{name}: {took:.1} s; wanted from outside: {:?}", outside.wanted()));
    Ended { status, out: running.out(), err: running.err() }
}

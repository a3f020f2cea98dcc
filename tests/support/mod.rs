//! Running llmup as a user would: a home of its own, the real binary, files instead of pipes.

pub mod fake;
pub mod hub;
pub mod outside;
pub mod strict;
#[cfg(unix)]
pub mod terminal;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A private home and data folder.
pub struct Home {
    pub dir: tempfile::TempDir,
    /// Shared with other tests when an engine is needed.
    pub data: PathBuf,
}

impl Home {
    pub fn new() -> Home {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        Home { dir, data }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// llmup with a clean environment: nothing of the developer's clients, proxies or engines leaks in.
    pub fn llmup(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_llmup"));
        command
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path())
            .env("LLMUP_DATA_DIR", &self.data)
            .env("LLMUP_CONFIG_DIR", self.path().join("config"))
            .current_dir(self.path())
            .stdin(Stdio::null());
        for keep in [
            "PIP_INDEX_URL",
            "PIP_CONFIG_FILE",
            "UV_INDEX_URL",
            "SSL_CERT_FILE",
            "PIP_CERT",
            "PIP_TRUSTED_HOST",
            "TMPDIR",
        ] {
            if let Some(value) = std::env::var_os(keep) {
                command.env(keep, value);
            }
        }
        if cfg!(windows) {
            // Without these no program finds its libraries, its shell or a place for temporary files.
            let system = ["SYSTEMROOT", "SYSTEMDRIVE", "COMSPEC", "PATHEXT", "TEMP", "TMP"];
            command.envs(std::env::vars_os().filter(|(name, _)| {
                let name = name.to_string_lossy().to_uppercase();
                system.contains(&name.as_str()) || name.starts_with("WINE")
            }));
            command.env("USERPROFILE", self.path());
        }
        command
    }

    /// Runs to the end.
    pub fn run(&self, args: &[&str]) -> Ran {
        finish(self.llmup(args))
    }

    /// Starts in the background.
    pub fn start(&self, command: Command) -> Running {
        Running::new(command, self.path())
    }
}

/// What was started detached ends with its home, also when the test fails.
impl Drop for Home {
    fn drop(&mut self) {
        // In a data folder of others something of theirs may run.
        if self.data.starts_with(self.path()) && self.instances() > 0 {
            let _ = self.llmup(&["stop", "--all", "--now"]).output();
        }
    }
}

/// What a finished run left.
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

pub fn finish(mut command: Command) -> Ran {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = spawned(&mut command).wait_with_output().unwrap();
    Ran {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The program `command` starts. Wine 8 now and then loses one at its birth, before any of it has run, and calls that an
/// internal error: it is started again.
pub fn spawned(command: &mut Command) -> Child {
    const LOST_AT_BIRTH: i32 = 1359;
    for _ in 0..9 {
        match command.spawn() {
            Err(e) if cfg!(windows) && e.raw_os_error() == Some(LOST_AT_BIRTH) => {
                std::thread::sleep(Duration::from_millis(100));
            }
            other => return other.unwrap(),
        }
    }
    command.spawn().unwrap()
}

/// llmup in the background; killed when dropped.
pub struct Running {
    pub child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl Running {
    fn new(mut command: Command, dir: &Path) -> Running {
        static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let n = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        // Files, not pipes: a grandchild that outlives a test must not hold it.
        let (out, err) = (dir.join(format!("out-{n}")), dir.join(format!("err-{n}")));
        command.stdout(std::fs::File::create(&out).unwrap()).stderr(std::fs::File::create(&err).unwrap());
        Running { child: spawned(&mut command), out, err }
    }

    pub fn out(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.out).unwrap()).into_owned()
    }

    pub fn err(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.err).unwrap()).into_owned()
    }

    /// Standard error once it holds `text`, or after a few seconds without: lines are written a moment later.
    pub fn err_with(&self, text: &str) -> String {
        for _ in 0..100 {
            let said = self.err();
            if said.contains(text) {
                return said;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        self.err()
    }

    /// Waits for the JSON of `start --json`.
    pub fn ready(&mut self, limit: Duration) -> serde_json::Value {
        let end = Instant::now() + limit;
        loop {
            if let Ok(value) = serde_json::from_str::<serde_json::Value>(&self.out()) {
                return value;
            }
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "ended before it was ready: {ended:?}\n{}", self.err());
            assert!(Instant::now() < end, "not ready in time\n{}", self.err());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < end, "still running\n{}", self.err());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[cfg(unix)]
    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A free loopback port.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// One HTTP request; status and body (chunked transfer decoded).
pub fn http(url: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
    let answer = request(url, method, path, headers, body).unwrap();
    (answer.status, answer.body)
}

/// An answer with its head.
pub struct Answer {
    pub status: u16,
    /// Lower case, one header a line.
    pub head: String,
    pub body: String,
}

/// Like [`http`], with the head, and with an error when nobody listens or the connection breaks.
pub fn request(url: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> std::io::Result<Answer> {
    let mut stream = send(url, method, path, headers, body)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let split = answer.windows(4).position(|w| w == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
    let (head, body) = answer.split_at(split);
    let head = String::from_utf8_lossy(head).trim_end().to_ascii_lowercase();
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    // Chunks may end inside a character.
    let body = if head.contains("transfer-encoding: chunked") { dechunk(body) } else { body.to_owned() };
    let body = String::from_utf8_lossy(&body).into_owned();
    Ok(Answer { status, head, body })
}

/// Sends a request and leaves the answer to the caller. Reading it times out after a minute.
pub fn send(url: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> std::io::Result<TcpStream> {
    let authority = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(authority)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n");
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    request += &format!("content-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes())?;
    Ok(stream)
}

fn dechunk(mut body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(line) = body.windows(2).position(|w| w == b"\r\n") {
        let size = std::str::from_utf8(&body[..line]).ok().and_then(|size| usize::from_str_radix(size.trim(), 16).ok());
        let rest = &body[line + 2..];
        let Some(size) = size.filter(|size| *size > 0 && *size <= rest.len()) else { break };
        out.extend_from_slice(&rest[..size]);
        body = rest[size..].strip_prefix(b"\r\n").unwrap_or(&rest[size..]);
    }
    out
}

/// Whoever runs the tests in the background of a shell or under nohup hands down that a signal is ignored, to all that
/// they start.
#[cfg(unix)]
pub fn ignored(signal: nix::sys::signal::Signal) -> bool {
    let own = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = own.lines().find_map(|line| line.strip_prefix("SigIgn:")).map(str::trim);
    mask.and_then(|mask| u64::from_str_radix(mask, 16).ok()).is_some_and(|mask| mask >> (signal as i32 - 1) & 1 == 1)
}

/// A skip, or a failure where everything is required to be there.
pub fn skip(why: &str) {
    assert!(std::env::var_os("LLMUP_TEST_REQUIRE").is_none(), "required here, but {why}");
    llmup::output::note(&format!("skipped: {why}"));
}

//! The processes that are measured, ended by their own pid.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The key llmup is started with.
pub const KEY: &str = "bench-key";

/// One of them.
pub struct Process {
    child: Child,
    /// Where it listens on loopback.
    pub port: u16,
    /// Until it answered.
    pub ready: Duration,
    _home: Option<tempfile::TempDir>,
}

impl Process {
    /// This program again, as something else; it says its port first.
    pub fn own(args: &[&str]) -> Process {
        let start = Instant::now();
        let mut child =
            Command::new(std::env::current_exe().unwrap()).args(args).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Process { child, port: line.trim().parse().unwrap(), ready: start.elapsed(), _home: None }
    }

    /// The gateway in front of the engine at `engine`.
    pub fn llmup(binary: &str, engine: u16) -> Process {
        let home = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let start = Instant::now();
        let child = Command::new(binary)
            .args(["start", "mock-model", "--engine-url", &format!("http://127.0.0.1:{engine}")])
            .args(["--port", &port.to_string(), "--api-key", KEY])
            .env("LLMUP_DATA_DIR", home.path().join("data"))
            .env("LLMUP_CONFIG_DIR", home.path().join("config"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while !healthy(port) {
            assert!(start.elapsed() < Duration::from_secs(20), "{binary} does not come up");
            std::thread::sleep(Duration::from_millis(1));
        }
        let ready = start.elapsed();
        Process { child, port, ready, _home: Some(home) }
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// CPU time of all its threads, from the scheduler.
    pub fn cpu_ns(&self) -> u64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("Linux only");
        let time = |task: std::fs::DirEntry| {
            let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<u64>().ok()
        };
        tasks.flatten().filter_map(time).sum()
    }

    /// Resident memory.
    pub fn rss_mb(&self) -> f64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1024.0
    }
}

fn healthy(port: u16) -> bool {
    use std::io::{Read, Write};
    let Ok(mut socket) = std::net::TcpStream::connect(("127.0.0.1", port)) else { return false };
    let mut start = [0; 12];
    socket.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").is_ok()
        && socket.read_exact(&mut start).is_ok()
        && start.ends_with(b"200")
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

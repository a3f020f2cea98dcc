//! The processes that are measured, ended by their own pid.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// nginx as a pass-through with kept connections and without buffers, as one would set it up for streams.
const NGINX: &str = "daemon off; master_process off; pid {home}/pid; error_log /dev/null;
events { worker_connections 4096; }
http {
  access_log off; client_max_body_size 64m; client_body_buffer_size 1m; keepalive_requests 1000000;
  client_body_temp_path {home}/body; proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/fastcgi;
  uwsgi_temp_path {home}/uwsgi; scgi_temp_path {home}/scgi;
  upstream engine { server 127.0.0.1:{engine}; keepalive 2048; keepalive_requests 1000000; }
  server {
    listen 127.0.0.1:{port} backlog=4096;
    location = /health { return 200; }
    location / {
      proxy_pass http://engine; proxy_http_version 1.1; proxy_set_header Connection ''; proxy_buffering off;
      proxy_request_buffering off; proxy_read_timeout 600s;
    }
  }
}
";

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

    /// nginx in front of the engine at `engine`; `None` where it is not installed.
    pub fn nginx(engine: u16) -> Option<Process> {
        let program = [PathBuf::from("nginx"), PathBuf::from("/usr/sbin/nginx")];
        let found = |program: &&PathBuf| Command::new(program).arg("-v").stderr(Stdio::null()).status().is_ok();
        let program = program.iter().find(found)?;
        let (home, port) = (tempfile::tempdir().unwrap(), free_port());
        let config = NGINX.replace("{home}", &home.path().display().to_string());
        let config = config.replace("{port}", &port.to_string()).replace("{engine}", &engine.to_string());
        let path = home.path().join("nginx.conf");
        std::fs::write(&path, config).unwrap();
        let start = Instant::now();
        let mut command = Command::new(program);
        let child = command.arg("-p").arg(home.path()).arg("-c").arg(path).stderr(Stdio::null()).spawn().unwrap();
        Some(Process::up("nginx", child, port, start, home))
    }

    /// Waits until it answers.
    fn up(name: &str, child: Child, port: u16, start: Instant, home: tempfile::TempDir) -> Process {
        while !healthy(port) {
            assert!(start.elapsed() < Duration::from_secs(20), "{name} does not come up");
            std::thread::sleep(Duration::from_millis(1));
        }
        Process { child, port, ready: start.elapsed(), _home: Some(home) }
    }

    /// The gateway in front of the engine at `engine`.
    pub fn llmup(binary: &str, engine: u16) -> Process {
        let (home, port) = (tempfile::tempdir().unwrap(), free_port());
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
        Process::up(binary, child, port, start, home)
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

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
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

//! vLLM on Windows: it runs in WSL, here a fake one.

use std::process::Command;
use std::time::Duration;

use super::{CHAT, KEY, LONG, all_gone, json};
use crate::support::{Home, finish, free_port, http};

/// A Windows on which llmup has installed vLLM in WSL.
struct Windows {
    home: Home,
    port: u16,
}

impl Windows {
    fn new() -> Windows {
        let windows = Windows { home: Home::new(), port: free_port() };
        // Puts the program there.
        windows.home.faked(&["wsl"], &[]);
        let dir = windows.home.data.join("engines").join("vllm-0.32.0-wsl");
        std::fs::create_dir_all(&dir).unwrap();
        let manifest = serde_json::json!({
            "engine": "vllm", "version": "0.32.0", "build": "cpu",
            "program": windows.home.path().join("bin").join("wsl.exe"),
            "prefix_args": ["-d", "Ubuntu", "--exec", "/home/me/.local/share/llmup/engines/vllm-0.32.0/venv/bin/vllm"],
        });
        std::fs::write(dir.join("engine.json"), manifest.to_string()).unwrap();
        windows
    }

    fn start(&self, more: &[&str]) -> Command {
        let port = self.port.to_string();
        let args = ["start", "demo", "--json", "--engine", "vllm", "--port", &port, "--api-key", KEY];
        let mut command = self.home.faked(&["wsl"], &[&args[..], more].concat());
        command.env("FAKE_ARGS", self.home.path().join("args"));
        command
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.home.data.join("logs").join("demo.log")).unwrap()
    }
}

#[test]
fn vllm_in_wsl_is_listed_planned_served_and_ended() {
    let windows = Windows::new();
    let listed = finish(windows.home.faked(&["wsl"], &["engine", "list"]));
    assert!(listed.out.contains("/venv/bin/vllm in WSL, Ubuntu)"), "{}", listed.out);
    let hardware = finish(windows.home.faked(&["wsl"], &["hardware"]));
    assert!(hardware.out.contains("system     Windows, with WSL 2 (Ubuntu)"), "{}", hardware.out);
    let doctor = finish(windows.home.faked(&["wsl"], &["doctor", "--json"]));
    let report = json(&doctor.out);
    assert_eq!(report["findings"][0]["text"], "Windows with WSL 2: vLLM can run in Ubuntu");
    let planned = finish(windows.start(&["--dry-run"]));
    let plan = json(&planned.out);
    assert_eq!((&plan["engine"], &plan["wsl"]), (&"vllm".into(), &"Ubuntu".into()), "{plan}");
    assert_eq!(plan["command"][1], "-d");

    let mut llmup = windows.home.start(windows.start(&[]));
    llmup.ready(LONG);
    let url = format!("http://127.0.0.1:{}", windows.port);
    let (status, body) = http(&url, "POST", "/v1/chat/completions", &[super::AUTH], CHAT);
    assert_eq!(status, 200, "{body}");
    let args = std::fs::read_to_string(windows.home.path().join("args")).unwrap();
    assert!(args.starts_with("serve /drives/"), "a path of Linux, where that distribution has drives: {args}");
    assert!(!windows.log().contains("lost: "), "{}", windows.log());
    let stopped = windows.home.run(&["stop", "--all"]);
    assert_eq!(stopped.code, Some(0), "{}", stopped.err);
    llmup.wait(LONG);
    assert!(windows.log().contains("asked to end"), "{}", windows.log());
    all_gone(&windows.home.pids(), Duration::ZERO);
}

#[test]
fn what_runs_in_wsl_ends_when_it_hears_nothing_and_when_llmup_is_killed() {
    let windows = Windows::new();
    let mut command = windows.start(&[]);
    command.env("FAKE_IGNORE_TERM", "1");
    let mut llmup = windows.home.start(command);
    llmup.ready(LONG);
    assert_eq!(windows.home.run(&["stop", "--all"]).code, Some(0));
    llmup.wait(LONG);
    all_gone(&windows.home.pids(), Duration::ZERO);

    let mut llmup = windows.home.start(windows.start(&[]));
    llmup.ready(LONG);
    llmup.child.kill().unwrap();
    llmup.wait(LONG);
    all_gone(&windows.home.pids(), Duration::from_secs(5));
}

#[test]
fn a_port_that_windows_would_not_reach_is_refused_before_anything_starts() {
    let windows = Windows::new();
    let config = windows.home.path().join(".wslconfig");
    std::fs::write(&config, "[wsl2]\nlocalhostForwarding=false\n").unwrap();
    let refused = finish(windows.start(&[]));
    assert_eq!(refused.code, Some(3), "{}", refused.err);
    assert!(
        refused.err.contains("localhostForwarding=false") && refused.err.contains("`wsl --shutdown`"),
        "{}",
        refused.err
    );
}

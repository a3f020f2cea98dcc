//! Real Claude Code, real engine: `llmup env claude`, then one prompt that ends with a file on disk.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::real_llama::{home_with_engine, start_demo};
use crate::support::skip;

/// The client of that name, where `scripts/test` installed it or on PATH.
fn client(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("LLMUP_TEST_CLIENTS").map(PathBuf::from);
    let installed = folder.map(|f| f.join(name)).filter(|p| p.exists());
    if installed.is_none() {
        skip(&format!("{name} is not installed (LLMUP_TEST_CLIENTS names no folder that holds it)"));
    }
    installed
}

#[test]
fn claude_code_makes_a_file_through_a_tool_call() {
    let (Some(claude), Some(home)) = (client("claude"), home_with_engine()) else { return };
    let (mut llmup, ready) = start_demo(&home, &[]);
    let exports = home.run(&["env", "claude", "--json"]);
    assert_eq!(exports.code, Some(0), "{}", exports.err);
    let exports: Value = serde_json::from_str(&exports.out).unwrap();
    assert_eq!(exports["set"]["ANTHROPIC_BASE_URL"], ready["url"]);

    let work = home.path().join("work");
    std::fs::create_dir(&work).unwrap();
    let mut command = Command::new(claude);
    command
        .args(["-p", "Please make the file.", "--allowedTools", "Bash"])
        .current_dir(&work)
        .env_clear()
        .env("HOME", home.path())
        .env("PATH", std::env::var_os("PATH").unwrap())
        .stdin(Stdio::null());
    for (name, value) in exports["set"].as_object().unwrap() {
        command.env(name, value.as_str().unwrap());
    }
    let mut claude = home.start(command);
    let status = claude.wait(Duration::from_secs(240));
    assert!(status.success(), "{status}\n{}\n{}\n{}", claude.out(), claude.err(), llmup.err());
    let made: Vec<_> = std::fs::read_dir(&work).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(made.iter().any(|n| n == "llmup-demo.txt"), "{made:?}\n{}", claude.out());
    assert!(!claude.out().trim().is_empty());
    let _ = llmup.child.kill();
}

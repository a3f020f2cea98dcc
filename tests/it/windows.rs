//! What only Windows has: the shims that npm makes, and a shell that comes with Git.
#![cfg(windows)]

use std::path::Path;

use serde_json::Value;

use crate::support::{Home, finish};

/// A Git that Claude Code 2.1.329 would not find: on PATH is the program inside, not the one it looks beside.
#[test]
fn claude_code_is_told_where_git_bash_is() {
    if Path::new(r"C:\Program Files\Git\bin\bash.exe").exists() {
        return llmup::output::note("skipped: Git is where Claude Code looks first");
    }
    let home = Home::new();
    let git = home.path().join("Грета's tools (x86)").join("Git");
    let inner = git.join("mingw64").join("bin");
    for (dir, program) in [(inner.clone(), "git.exe"), (git.join("bin"), "bash.exe")] {
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::copy(env!("CARGO_BIN_EXE_llmup"), dir.join(program)).unwrap();
    }
    let named = |path: &Path| {
        let args = ["env", "claude", "--json", "--base-url", "http://127.0.0.1:7777", "--api-key", "k"];
        let mut command = home.llmup(&args);
        command.env("PATH", path);
        let ran = finish(command);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        let said: Value = serde_json::from_str(&ran.out).unwrap();
        said["set"]["CLAUDE_CODE_GIT_BASH_PATH"].as_str().map(str::to_lowercase)
    };
    let bash = git.join("bin").join("bash.exe");
    assert_eq!(named(&inner).as_deref(), Some(bash.to_str().unwrap().to_lowercase().as_str()));
    // Where it looks itself.
    let outer = git.join("cmd");
    std::fs::create_dir_all(&outer).unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_llmup"), outer.join("git.exe")).unwrap();
    assert_eq!(named(&outer), None);
}

/// npm puts a script for POSIX shells, which Windows cannot start, beside the shim that it can.
#[test]
fn a_client_of_npm_is_known_by_its_shim_and_one_of_its_own_by_its_program() {
    let home = Home::new();
    let bin = home.path().join("Грета's tools (x86)");
    let package = bin.join(r"node_modules\@anthropic-ai\claude-code");
    std::fs::create_dir_all(&package).unwrap();
    std::fs::write(bin.join("claude"), "#!/bin/sh\nexit 9\n").unwrap();
    let doctor = || {
        let mut command = home.llmup(&["doctor", "--json"]);
        command.env("PATH", &bin);
        let said: Value = serde_json::from_str(&finish(command).out).unwrap();
        let all = said["findings"].as_array().unwrap().clone();
        let about = |finding: &&Value| finding["text"].as_str().unwrap().starts_with("Claude Code");
        all.iter().find(about).unwrap()["text"].as_str().unwrap().to_owned()
    };
    assert_eq!(doctor(), "Claude Code is not installed", "the script alone is no program");
    std::fs::write(bin.join("claude.cmd"), "@echo 9.9.9 from the shim\r\n").unwrap();
    let said = doctor();
    assert!(said.contains("9.9.9") && said.to_lowercase().contains("claude.cmd"), "asked through cmd: {said}");
    let manifest = r#"{"name":"@anthropic-ai/claude-code","version":"9.8.7","bin":{"claude":"bin/claude.exe"}}"#;
    std::fs::write(package.join("package.json"), manifest).unwrap();
    let said = doctor();
    assert!(said.contains("9.8.7") && said.to_lowercase().contains("claude.cmd"), "read beside the shim: {said}");
}

//! The official SDKs as strict clients of the gateway, in front of a strict engine (`tests/sdks/backend.py`): text,
//! tools there and back, reasoning, structured output, typed errors, streamed and whole. `scripts/sdks` installs them.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use crate::support::{Home, finish, skip};

/// Where `scripts/sdks` put them.
fn installed() -> Option<PathBuf> {
    let found = std::env::var_os("LLMUP_TEST_SDKS").map(PathBuf::from).filter(|dir| dir.is_dir());
    if found.is_none() {
        skip("the SDKs are not installed (scripts/sdks installs them; LLMUP_TEST_SDKS names the folder)");
    }
    found
}

fn programs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdks")
}

fn python(sdks: &Path) -> PathBuf {
    let bin = if cfg!(windows) { "python/Scripts/python.exe" } else { "python/bin/python" };
    sdks.join(bin)
}

/// The scripted engine; it ends when its standard input closes.
struct Engine {
    child: Child,
    input: Option<ChildStdin>,
    port: u16,
}

impl Engine {
    fn start(sdks: &Path) -> Engine {
        let mut child = Command::new(python(sdks))
            .arg(programs().join("backend.py"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Engine { input: child.stdin.take(), child, port: port.trim().parse().unwrap() }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.child.wait();
    }
}

/// Runs one program against llmup; each of its checks must pass.
fn passes(program: &str, args: &[&str]) {
    let Some(sdks) = installed() else { return };
    let in_js = program.ends_with(".mjs");
    let (interpreter, packages) =
        if in_js { (PathBuf::from("node"), sdks.join("js.txt")) } else { (python(&sdks), sdks.join("python.txt")) };
    if !packages.exists() {
        return skip(&format!("{program}: its SDKs are not installed"));
    }
    let engine = Engine::start(&sdks);
    let home = Home::new();
    let url = format!("http://127.0.0.1:{}/v1", engine.port);
    let llmup = ["start", "m", "--engine-url", &url, "--port", "0", "--json", "--api-key", "k"];
    let mut llmup = home.start(home.llmup(&llmup));
    let ready = llmup.ready(Duration::from_secs(30));
    let mut command = Command::new(interpreter);
    command
        .arg(programs().join(program))
        .args(args)
        .current_dir(home.path())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONUTF8", "1")
        .env("LLMUP_TEST_SDKS", &sdks)
        .env("LLMUP_SDK_URL", ready["url"].as_str().unwrap())
        .env("LLMUP_SDK_KEY", "k")
        .stdin(Stdio::null());
    // Windows programs do not start without it.
    if let Some(root) = std::env::var_os("SYSTEMROOT") {
        command.env("SYSTEMROOT", root);
    }
    let ran = finish(command);
    assert_eq!(ran.code, Some(0), "{program}:\n{}\n{}\nllmup: {}", ran.out, ran.err, llmup.err());
    assert!(ran.out.lines().filter(|line| line.starts_with("PASS")).count() >= 4, "{}", ran.out);
    assert!(!llmup.err().contains("panicked"), "{}", llmup.err());
}

#[test]
fn anthropic_for_python() {
    passes("anthropic_messages.py", &[]);
}

#[test]
fn anthropic_for_javascript() {
    passes("anthropic_messages.mjs", &[]);
}

#[test]
fn openai_chat_for_python() {
    passes("openai_chat.py", &[]);
}

#[test]
fn openai_chat_for_javascript() {
    passes("openai_chat.mjs", &[]);
}

#[test]
fn openai_responses_for_python() {
    passes("openai_responses.py", &[]);
}

#[test]
fn openai_responses_for_javascript() {
    passes("openai_responses.mjs", &[]);
}

#[test]
fn google_for_python() {
    passes("google_generate.py", &[]);
}

#[test]
fn google_for_javascript() {
    passes("google_generate.mjs", &[]);
}

#[test]
fn the_ai_sdk_over_chat() {
    passes("ai.mjs", &["openai-chat", "compatible"]);
}

#[test]
fn the_ai_sdk_over_messages() {
    passes("ai.mjs", &["anthropic"]);
}

#[test]
fn the_ai_sdk_over_gemini() {
    passes("ai.mjs", &["google"]);
}

#[test]
fn the_ai_sdk_over_responses() {
    passes("ai.mjs", &["openai-responses"]);
}

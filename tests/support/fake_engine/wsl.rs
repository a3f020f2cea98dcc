//! `wsl.exe` with one distribution of WSL 2, Ubuntu. Of what could run inside it knows the guard with vLLM behind it,
//! which it plays itself: orders on standard input end it, and so does the end of that input.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::process::ExitCode;

use super::{Kind, log, run as run_engine, switch};

/// In the words and the encoding of the real one.
const LIST: &str = "  NAME              STATE           VERSION\r\n\
                    * docker-desktop    Running         2\r\n  Ubuntu            Stopped         2\r\n";

pub(super) fn run(args: &[OsString]) -> ExitCode {
    let words: Vec<String> = args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["--list", "--verbose"] => {
            let bytes: Vec<u8> = LIST.encode_utf16().flat_map(u16::to_le_bytes).collect();
            let _ = std::io::stdout().lock().write_all(&bytes);
            ExitCode::SUCCESS
        }
        ["--status"] => ExitCode::SUCCESS,
        ["-d", "Ubuntu", "--exec", "cat", "/etc/wsl.conf"] => {
            let _ = std::io::stdout().lock().write_all(b"[automount]\nroot = /drives\n");
            ExitCode::SUCCESS
        }
        ["-d", "Ubuntu", "--exec", python, "-I", "-u", "-c", guard, engine, ..]
            if python.ends_with("/python") && guard.contains("LLMUP_WSL_GUARD") && engine.ends_with("/vllm") =>
        {
            only_what_crosses();
            std::thread::spawn(obey);
            run_engine(Kind::Vllm, &args[8..])
        }
        other => {
            log(&format!("wsl.exe: nothing known of {other:?}"));
            ExitCode::from(255)
        }
    }
}

/// The guard's orders.
fn obey() {
    let mut byte = [0];
    while matches!(std::io::stdin().lock().read(&mut byte), Ok(1)) {
        if byte[0] == b't' && switch("FAKE_IGNORE_TERM").is_none() {
            log("asked to end");
            std::process::exit(0);
        }
    }
    std::process::exit(137);
}

/// Says which variables of the engine got lost on the way.
fn only_what_crosses() {
    let crossing = std::env::var("WSLENV").unwrap_or_default();
    for name in ["VLLM_API_KEY", "HF_HUB_OFFLINE", "LLMUP_CHILD"] {
        if !crossing.split(':').any(|entry| entry == format!("{name}/u")) || std::env::var_os(name).is_none() {
            log(&format!("lost: {name}"));
        }
    }
}

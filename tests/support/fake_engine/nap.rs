//! vLLM's sleep mode: three paths without a key, there only with its flag and its development mode.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use crate::http::{Answer, Request};
use crate::switch;

static ASLEEP: AtomicBool = AtomicBool::new(false);

/// The answer to one of its paths; `None` for all others, unless it sleeps.
pub fn to(request: &Request) -> Option<Answer> {
    let enabled = std::env::args().any(|arg| arg == "--enable-sleep-mode") && switch("VLLM_SERVER_DEV_MODE").is_some();
    if !enabled {
        return None;
    }
    let answer = |status, body: serde_json::Value| Some(Answer::Whole(status, "application/json", body.to_string()));
    let refused = |what: &str| switch("FAKE_NAP").is_some_and(|how| how == what);
    match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/sleep" | "/wake_up") => {
            let asleep = request.path == "/sleep";
            if refused(if asleep { "sleepless" } else { "deep" }) {
                return answer(500, json!({"error": "out of memory"}));
            }
            ASLEEP.store(asleep, Ordering::SeqCst);
            if let Some(folder) = switch("FAKE_NAPS") {
                let mark = PathBuf::from(folder).join(std::process::id().to_string());
                let _ = if asleep { std::fs::write(mark, "") } else { std::fs::remove_file(mark) };
            }
            answer(200, json!({"status": if asleep { "sleeping" } else { "awake" }}))
        }
        ("GET", "/is_sleeping") => answer(200, json!({"is_sleeping": ASLEEP.load(Ordering::SeqCst)})),
        // The real one ends for less: its weights are not where it thinks they are.
        ("POST", _) if ASLEEP.load(Ordering::SeqCst) => std::process::exit(1),
        _ => None,
    }
}

//! What is seen of an engine that runs: `top` as text, and what `status` tells of memory and devices.

use super::{Bench, CHAT, LONG, json};
use crate::support::finish;

fn told(bench: &Bench, args: &[&str]) -> String {
    let mut command = bench.home.faked(&["llama-server"], args);
    command.stdin(std::process::Stdio::null());
    let ran = finish(command);
    assert_eq!(ran.code, Some(0), "{args:?}: {}", ran.err);
    ran.out
}

#[test]
fn a_model_that_served_is_shown_with_what_it_served_and_holds() {
    let bench = Bench::new("llama-cpp");
    let mut llmup = bench.start(&[]);
    llmup.ready(LONG);
    assert_eq!(bench.post("/v1/chat/completions", CHAT).0, 200);
    let status = json(&told(&bench, &["status", "--json"]));
    assert!(status["devices"].is_array(), "{status}");
    let memory = &status["running"][0]["memory"];
    assert!(memory["engine_bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{memory}");
    assert!(memory["engine_on_devices"].is_array(), "{memory}");
    // The line of the request is written a moment after its answer.
    let end = std::time::Instant::now() + LONG;
    let frame = loop {
        let frame = told(&bench, &["top", "--once"]);
        if frame.contains(" chat ") || std::time::Instant::now() > end {
            break frame;
        }
    };
    assert!(frame.starts_with("llmup top  1 model, 1 ready"), "{frame}");
    let row = frame.lines().find(|line| line.starts_with("demo ")).unwrap_or_default();
    assert!(row.contains("ready") && row.contains("llama-cpp"), "{frame}");
    assert!(frame.lines().any(|line| line.contains(" chat ") && line.contains(" 200 ")), "{frame}");
    assert!(frame.is_ascii(), "{frame}");
}

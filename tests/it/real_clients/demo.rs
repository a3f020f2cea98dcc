//! In front of a real engine with the demo model, which calls a tool that leaves a file.

use std::path::Path;

use super::clients::{self, Setup};
use super::run::{Gateway, installed, run};
use crate::support::Home;

/// The file.
pub const EVIDENCE: &str = "llmup-demo.txt";

/// One prompt that ends with the demo's file on disk.
pub fn makes_the_file(name: &str, program: &Path, setup: &Setup, home: &Home, gateway: &Gateway) {
    let ended = run(name, program, setup, home);
    gateway.assert_well();
    assert_eq!(ended.failed(), None, "{name}\n{}", ended.said());
    let made = std::fs::read_to_string(home.path().join("work").join(EVIDENCE));
    assert!(
        made.as_ref().is_ok_and(|text| text.starts_with("made-by-llmup-demo")),
        "{name}: {made:?}\n{}",
        ended.said()
    );
}

/// `scripts/real-vllm` calls it: every client against a gateway that runs already, named by LLMUP_TEST_GATEWAY_URL,
/// _KEY and _CONTEXT.
#[test]
#[ignore = "needs a running gateway"]
fn against_a_running_gateway() {
    let var = |name: &str| std::env::var(format!("LLMUP_TEST_GATEWAY_{name}")).unwrap();
    let gateway =
        Gateway { url: var("URL"), key: var("KEY"), model: "demo".into(), context: var("CONTEXT").parse().unwrap() };
    let only = std::env::var("LLMUP_TEST_GATEWAY_CLIENTS").ok();
    let mut failed = Vec::new();
    for client in [
        &clients::CLAUDE,
        &clients::CODEX,
        &clients::GEMINI,
        &clients::OPENCODE,
        &clients::QWEN,
        &clients::CONTINUE,
        &clients::COPILOT,
        &clients::GOOSE,
    ] {
        let wanted = only.as_deref().is_none_or(|names| names.split(',').any(|name| name == client.program));
        let Some(program) = installed(client.program).filter(|_| wanted) else { continue };
        let home = Home::new();
        let ran = std::panic::AssertUnwindSafe(|| {
            let setup = (client.setup)(&home, &gateway);
            makes_the_file(client.name, &program, &setup, &home, &gateway);
        });
        if std::panic::catch_unwind(ran).is_err() {
            failed.push(client.name);
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

//! In front of a real engine with the demo model, which calls a tool that leaves a file.

use super::clients::{self, Client};
use super::run::{Gateway, files, installed, run, turn};
use crate::real_llama::{home_with_engine, start_demo};
use crate::support::Home;

/// One prompt that ends with the demo's file on disk, at most a moment after the client.
fn makes_the_file(client: &Client, program: &std::path::Path, home: &Home, gateway: &Gateway) -> Result<(), String> {
    let ended = run(client, program, home, gateway);
    gateway.assert_well();
    assert_eq!(ended.failed(), None, "{}\n{}", client.name, ended.said());
    for _ in 0..30 {
        if files(home).iter().any(|name| name == "llmup-demo.txt") {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    Err(format!("{}: {:?}\n{}", client.name, files(home), ended.said()))
}

fn on_llama_cpp(client: &Client) {
    let Some(program) = installed(client) else { return };
    // Continue 1.5.47 now and then ends before the command it ran has written anything, though its result came back.
    let tries = if client.name == clients::CONTINUE.name { 4 } else { 1 };
    let mut outcome = Ok(());
    for _ in 0..tries {
        let Some(home) = home_with_engine() else { return };
        let _turn = turn();
        let (_llmup, ready) = start_demo(&home, &[]);
        outcome = makes_the_file(client, &program, &home, &Gateway::of(&ready));
        if outcome.is_ok() {
            return;
        }
        llmup::output::note("no file; once more");
    }
    assert_eq!(outcome, Ok(()));
}

macro_rules! on_llama_cpp {
    ($($test:ident: $client:ident),* $(,)?) => {$(
        #[test]
        fn $test() {
            on_llama_cpp(&clients::$client);
        }
    )*};
}

on_llama_cpp! {
    claude_code: CLAUDE,
    codex: CODEX,
    gemini_cli: GEMINI,
    claude_code_connected: CLAUDE_CONNECTED,
    codex_connected: CODEX_CONNECTED,
    gemini_cli_connected: GEMINI_CONNECTED,
    opencode: OPENCODE,
    qwen_code: QWEN,
    continue_cli: CONTINUE,
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
    for client in
        [&clients::CLAUDE, &clients::CODEX, &clients::GEMINI, &clients::OPENCODE, &clients::QWEN, &clients::CONTINUE]
    {
        let wanted = only.as_deref().is_none_or(|names| names.split(',').any(|name| name == client.program));
        let Some(program) = installed(client).filter(|_| wanted) else { continue };
        let home = Home::new();
        let ran = std::panic::AssertUnwindSafe(|| makes_the_file(client, &program, &home, &gateway));
        if !matches!(std::panic::catch_unwind(ran), Ok(Ok(()))) {
            failed.push(client.name);
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

//! In front of a real engine with the demo model, which calls a tool that leaves a file.

use super::clients::{self, Client};
use super::run::{Gateway, files, installed, run, turn};
use crate::real_llama::{home_with_engine, start_demo};
use crate::support::Home;

/// One prompt that ends with the demo's file on disk.
fn makes_the_file(client: &Client, program: &std::path::Path, home: &Home, gateway: &Gateway) {
    let ended = run(client, program, home, gateway);
    gateway.assert_well();
    assert_eq!(ended.failed(), None, "{}\n{}", client.name, ended.said());
    let mut made = files(home);
    // Seen once, on a machine with nine times more work than processors: the result came back and there was no file.
    // Continue puts commands that take long into the background, and they end with it.
    if made.is_empty() && client.name == clients::CONTINUE.name {
        llmup::output::note("Continue left no file; once more");
        assert_eq!(run(client, program, home, gateway).failed(), None);
        made = files(home);
    }
    assert!(made.iter().any(|name| name == "llmup-demo.txt"), "{}: {made:?}\n{}", client.name, ended.said());
}

fn on_llama_cpp(client: &Client) {
    let (Some(program), Some(home)) = (installed(client), home_with_engine()) else { return };
    let _turn = turn();
    let (_llmup, ready) = start_demo(&home, &[]);
    makes_the_file(client, &program, &home, &Gateway::of(&ready));
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
        if std::panic::catch_unwind(ran).is_err() {
            failed.push(client.name);
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

//! In front of the strict engine.

use super::clients::{self, Client};
use super::run::{in_front_of, installed, run, turn};
use crate::support::Home;
use crate::support::strict::{self, Strict, conversations, evidence};

/// One prompt, a tool call for each step and a last answer: every file is there, no request was refused, and the
/// engine's prefix cache would have worked.
fn through(client: &Client) {
    let Some(program) = installed(client.program) else { return };
    let _turn = turn();
    let home = Home::new();
    let work = home.path().join("work");
    let engine = Strict::start(client.steps, work.clone());
    let (llmup, gateway) = in_front_of(&home, &engine.url, strict::KEY);
    let ended = run(client.name, &program, &(client.setup)(&home, &gateway), &home);
    gateway.assert_well();

    let (requests, refused, said) = (engine.requests(), engine.refused(), ended.said());
    let sizes: Vec<usize> = requests.iter().map(|body| body.to_string().len()).collect();
    llmup::output::note(&format!("{}: bytes to the engine {sizes:?}", client.name));
    keep(client, &requests);
    assert!(refused.is_empty(), "{}\n{said}\n{}", refused.join("\n"), llmup.err());
    assert_eq!(ended.failed(), None, "{}\n{said}", client.name);
    for (file, text) in client.steps.iter().flat_map(|step| evidence(*step)) {
        let made = std::fs::read_to_string(work.join(&file));
        assert_eq!(made.as_deref().map(str::trim_end).ok(), Some(text.as_str()), "{file}\n{said}");
    }
    assert!(said.contains(strict::TEXT), "the last answer is not shown\n{said}");
    let turns = conversations(&requests).unwrap_or_else(|broken| panic!("the prompt's prefix broke: {broken}"));
    let most = turns.iter().max().copied().unwrap_or_default();
    // Without tools it is one request.
    let talks = client.steps.iter().any(|step| *step != strict::Step::Listing);
    let expected = if talks { client.steps.len() + 1 } else { 0 };
    assert_eq!(most, expected, "turns of each conversation: {turns:?}");
}

/// The requests as files, where LLMUP_TEST_KEEP names a folder: to look at what a client really sends.
fn keep(client: &Client, requests: &[serde_json::Value]) {
    let Some(folder) = std::env::var_os("LLMUP_TEST_KEEP").map(std::path::PathBuf::from) else { return };
    std::fs::create_dir_all(&folder).unwrap();
    for (i, request) in requests.iter().enumerate() {
        let file = format!("{}-{i}.json", client.name.replace(' ', "-"));
        std::fs::write(folder.join(file), format!("{request:#}")).unwrap();
    }
}

macro_rules! through {
    ($($test:ident: $client:ident),* $(,)?) => {$(
        #[test]
        fn $test() {
            through(&clients::$client);
        }
    )*};
}

through! {
    claude_code: CLAUDE,
    codex_with_a_freeform_patch: CODEX,
    gemini_cli: GEMINI,
    opencode: OPENCODE,
    opencode_over_responses: OPENCODE_RESPONSES,
    opencode_over_messages: OPENCODE_MESSAGES,
    qwen_code: QWEN,
    qwen_code_over_messages: QWEN_MESSAGES,
    continue_cli: CONTINUE,
    copilot_cli: COPILOT,
    goose: GOOSE,
}

/// `scripts/test-aider` installs it and calls this.
#[test]
#[ignore = "needs aider: scripts/test-aider"]
fn aider() {
    through(&clients::AIDER);
}

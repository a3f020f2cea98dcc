//! A conversation three times as long as the context: Claude Code must compact and go on, again and again.

use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use llmup::model::demo::{self, Scripts};
use serde_json::{Value, json};

use super::clients::{CLAUDE, Client};
use super::run::{Gateway, end_group, installed, prepared, turn};
use crate::real_llama::home_with_engine;
use crate::support::outside::Outside;
use crate::support::{Home, Running, free_port, http};

/// What the engine is started with, tokens.
const CONTEXT: u64 = 32_768;
/// How many words the file has that the model reads in every turn: about 10,000 tokens.
const WORDS: usize = 2600;
/// The longest wait for one answer, compactions included.
const LIMIT: Duration = Duration::from_secs(180);

/// Claude Code in one process for the whole conversation: prompts come as lines of JSON.
const TALKS: Client = Client {
    setup: |home, gateway| {
        let mut setup = (CLAUDE.setup)(home, gateway);
        let stream = ["--input-format", "stream-json", "--output-format", "stream-json", "--verbose"];
        setup.args = ["-p", "--allowedTools", "Bash"].iter().chain(&stream).map(|arg| (*arg).to_owned()).collect();
        setup
    },
    ..CLAUDE
};

/// The `count`-th result that Claude Code tells.
fn result(running: &mut Running, count: usize) -> Value {
    let began = Instant::now();
    loop {
        let out = running.out();
        let results = out.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        if let Some(result) = results.filter(|line| line["type"] == "result").nth(count - 1) {
            return result;
        }
        let ended = running.child.try_wait().unwrap();
        assert!(
            ended.is_none() && began.elapsed() < LIMIT,
            "no answer to prompt {count} ({ended:?})\n{}",
            running.err()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A model that reads the notes when it is told to, and has text for everything else, compactions too.
fn reader(home: &Home) -> PathBuf {
    let read = r#"{"command": "cat notes.txt", "description": "Read the notes"}"#;
    let call = format!("<tool_call>\n{{\"name\": \"Bash\", \"arguments\": {read}}}\n</tool_call>");
    let scripts = Scripts::new("What was said so far: the notes were read.", "It was read.").with("read", &call);
    let path = home.path().join("reader.gguf");
    demo::write_gguf_with(&path, &scripts).unwrap();
    path
}

/// Words in an order of their own.
fn notes() -> String {
    const KNOWN: [&str; 12] = [
        "ridge", "lantern", "copper", "meadow", "signal", "harbour", "velvet", "quartz", "ember", "willow", "cobalt",
        "orchard",
    ];
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let word = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        KNOWN[usize::try_from(state % 12).unwrap()]
    };
    (0..WORDS).map(word).collect::<Vec<_>>().join(" ")
}

fn tokens(gateway: &Gateway, text: &str) -> u64 {
    let body = serde_json::json!({"model": gateway.model, "messages": [{"role": "user", "content": text}]}).to_string();
    let key = format!("Bearer {}", gateway.key);
    let (status, answer) = http(
        &gateway.url,
        "POST",
        "/v1/messages/count_tokens",
        &[("authorization", &key), ("content-type", "application/json")],
        &body,
    );
    assert_eq!(status, 200, "{answer}");
    serde_json::from_str::<Value>(&answer).unwrap()["input_tokens"].as_u64().unwrap()
}

/// How often the conversation was compacted, by what Claude Code wrote down.
fn compactions(home: &Home) -> usize {
    let projects = home.path().join(".claude/projects");
    let folders = std::fs::read_dir(projects).unwrap().map(|entry| entry.unwrap().path());
    let logs = folders.flat_map(|folder| std::fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
    logs.filter(|log| log.extension().is_some_and(|end| end == "jsonl"))
        .map(|log| std::fs::read_to_string(log).unwrap().matches("\"compact_boundary\"").count())
        .sum()
}

#[test]
fn claude_code_outlives_three_times_its_context() {
    let (Some(program), Some(home)) = (installed(CLAUDE.program), home_with_engine()) else { return };
    let _turn = turn();
    let model = reader(&home);
    let (context, model, port) = (CONTEXT.to_string(), model.to_string_lossy().into_owned(), free_port().to_string());
    let mut llmup =
        home.start(home.llmup(&["start", &model, "--json", "--port", &port, "--context", &context, "--yes"]));
    let gateway = Gateway::of(&llmup.ready(Duration::from_secs(120)));
    assert_eq!(gateway.context, CONTEXT);
    let outside = Outside::start();
    let mut command = prepared(&program, &(TALKS.setup)(&home, &gateway), &home, &outside);
    std::fs::write(home.path().join("work/notes.txt"), notes()).unwrap();
    command.stdin(Stdio::piped());
    let mut running = home.start(command);
    let mut stdin = running.child.stdin.take().unwrap();
    let a_turn = tokens(&gateway, &notes());
    let (mut said, mut turns) = (0, 0);
    while said < 3 * CONTEXT {
        turns += 1;
        said += a_turn;
        let content = json!([{"type": "text", "text": format!("[[read]] Turn {turns}: read the notes.")}]);
        writeln!(stdin, "{}", json!({"type": "user", "message": {"role": "user", "content": content}})).unwrap();
        let result = result(&mut running, turns);
        assert_eq!(result["is_error"], false, "turn {turns}, {said} tokens so far: {result}\n{}", running.err());
    }
    drop(stdin);
    end_group(&running);
    gateway.assert_well();
    let compactions = compactions(&home);
    llmup::output::note(&format!("{said} tokens of notes in {turns} turns, compacted {compactions} times"));
    assert!(compactions >= 3, "{compactions} compactions");
}

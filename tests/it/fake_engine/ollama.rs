//! Ollama: one of our own, and one that runs already.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{Bench, KEY, LONG, UNNAMED, json};
use crate::support::{finish, free_port, spawned};

#[test]
fn the_demo_is_created_in_an_ollama_of_our_own_and_removed_in_the_end() {
    let bench = Bench::new("ollama");
    let port = bench.port.to_string();
    let args = ["start", "demo", "--json", "--engine", "ollama", "--port", &port, "--api-key", KEY];
    let mut command = bench.home.faked(&["ollama"], &args);
    // Nothing listens there, so that no Ollama of this machine is used.
    command.env("OLLAMA_HOST", "127.0.0.1:9");
    let mut llmup = bench.home.start(command);
    let ready = llmup.ready(LONG);
    assert_eq!(ready["engine"], "ollama", "{ready}");
    // Without a name of its own a request hears the engine's.
    let (status, answer) = bench.post("/v1/chat/completions", UNNAMED);
    assert_eq!((status, json(&answer)["model"].as_str()), (200, Some("llmup-demo")), "{answer}");
    bench.end(&mut llmup);
    let log = std::fs::read_to_string(bench.home.data.join("logs/demo.log")).unwrap();
    assert!(log.contains("deleted llmup-demo"), "{log}");
    bench.clean(Duration::from_secs(5));
}

#[test]
fn an_ollama_that_runs_already_is_used_given_more_context_and_left_running() {
    let bench = Bench::new("ollama");
    let theirs = free_port();
    bench.home.faked(&["ollama"], &[]);
    let log = bench.home.path().join("theirs.log");
    let file = std::fs::File::create(&log).unwrap();
    let mut ollama = Command::new(bench.home.path().join("bin/ollama"));
    ollama.arg("serve").env("OLLAMA_HOST", format!("127.0.0.1:{theirs}"));
    ollama.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
    let mut ollama = spawned(&mut ollama);
    let end = Instant::now() + LONG;
    while std::net::TcpStream::connect(("127.0.0.1", theirs)).is_err() {
        assert!(Instant::now() < end, "the fake Ollama does not listen");
        std::thread::sleep(Duration::from_millis(10));
    }
    let port = bench.port.to_string();
    let run = |tag: &str| {
        let mut command = bench.home.faked(&[], &["start", tag, "--json", "--port", &port, "--api-key", KEY]);
        command.env("OLLAMA_HOST", format!("127.0.0.1:{theirs}"));
        command
    };
    // A tag no registry has: its own words, and nothing started.
    let nowhere = finish(run("new-nowhere:1b"));
    assert_eq!(nowhere.code, Some(6), "{}", nowhere.err);
    assert!(nowhere.err.contains("file does not exist"), "{}", nowhere.err);

    let mut llmup = bench.home.start(run("new:1b"));
    let ready = llmup.ready(LONG);
    assert_eq!((&ready["engine_port"], &ready["context"]), (&theirs.into(), &65_536.into()));
    // It had loaded the tag with fewer tokens than a coding agent wants, so a variant of ours answers.
    // Without a name of its own a request hears the engine's.
    let (status, answer) = bench.post("/v1/chat/completions", UNNAMED);
    assert_eq!((status, json(&answer)["model"].as_str()), (200, Some("llmup-new-1b")), "{answer}");
    bench.end(&mut llmup);
    assert!(ollama.try_wait().unwrap().is_none(), "their Ollama was ended");
    let said = std::fs::read_to_string(&log).unwrap();
    assert!(said.contains("pulled new:1b") && said.contains("deleted llmup-new-1b"), "{said}");
    ollama.kill().unwrap();
    ollama.wait().unwrap();
}

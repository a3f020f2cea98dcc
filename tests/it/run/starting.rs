//! The model is being started, or starts on the way.

use super::*;
use crate::support::free_port;

fn start_demo(home: &Home, port: &str, start_ms: &str) -> Running {
    let mut start =
        home.faked(&["llama-server"], &["start", "demo", "--json", "--engine", "llama-cpp", "--port", port]);
    start.env("FAKE_START_MS", start_ms);
    home.start(start)
}

/// Until other commands see that something is being started.
fn until_known(home: &Home) {
    let is_state = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.is_ok_and(|e| e.path().extension().is_some_and(|x| x == "json"))
    };
    for _ in 0..6000 {
        if std::fs::read_dir(home.data.join("run")).is_ok_and(|mut all| all.any(is_state)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("nothing is being started");
}

#[test]
fn a_model_that_loads_is_waited_for() {
    let home = home_with(&["claude"]);
    let port = free_port().to_string();
    let mut llmup = start_demo(&home, &port, "1500");
    until_known(&home);
    let ran = finish(with_engine(&home, &["claude", "-p", "hi"]));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let told = told(&ran);
    assert_eq!(told["env"]["ANTHROPIC_BASE_URL"], format!("http://127.0.0.1:{port}"));
    // The engine's own word is known once it is ready, not the plan's.
    let env = home.run(&["env", "claude", "--json"]);
    let exports: Value = serde_json::from_str(&env.out).unwrap_or_else(|_| panic!("{}", env.err));
    let context = "CLAUDE_CODE_MAX_CONTEXT_TOKENS";
    assert_eq!(told["env"][context], exports["set"][context]);
    assert!(ran.err.contains("waiting for demo"), "{}", ran.err);
    llmup.ready(LONG);
    assert_eq!(home.run(&["stop", "--all"]).code, Some(0));
    llmup.wait(LONG);
}

#[test]
fn a_start_that_ends_before_it_is_ready_ends_it_too() {
    let home = home_with(&["claude"]);
    let port = free_port().to_string();
    let mut start = home.faked(&["llama-server"], &["start", "demo", "--engine", "llama-cpp", "--port", &port]);
    start.env("FAKE_START_MS", "60000");
    let mut llmup = home.start(start);
    until_known(&home);
    let mut run = home.start(with_engine(&home, &["claude"]));
    for _ in 0..20 {
        if run.err_with("waiting for demo").contains("waiting for demo") {
            break;
        }
    }
    assert!(run.err().contains("waiting for demo"), "{}", run.err());
    let stop = home.run(&["stop", "--all"]);
    assert_eq!(stop.code, Some(0), "{}{}", stop.err, llmup.err());
    assert_eq!(run.wait(LONG).code(), Some(6), "{}", run.err());
    assert!(run.err().contains("ended before it was ready") && run.out().is_empty(), "{}", run.err());
    llmup.wait(LONG);
}

#[test]
fn a_model_is_started_on_the_way_and_stays() {
    let home = home_with(&["claude"]);
    let start = ["claude", "--start", "demo", "--yes", "-p", "hi"];
    let ran = finish(with_engine(&home, &start));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(own_arguments(&told(&ran), 2), ["-p", "hi"]);
    assert!(ran.err.contains("demo is ready") && !ran.err.contains("Run this next"), "{}", ran.err);
    assert_eq!(home.instances(), 1);
    // The second time it runs already; and it is what would be offered.
    let again = finish(with_engine(&home, &start));
    assert_eq!((again.code, home.instances()), (Some(0), 1), "{}", again.err);
    assert_eq!(home.run(&["stop", "--all"]).code, Some(0));
    let ran = finish(with_engine(&home, &["claude"]));
    assert_eq!(ran.code, Some(4));
    assert!(ran.err.contains("--start demo"), "{}", ran.err);
}

#[test]
fn a_model_that_cannot_be_started_ends_it_with_that_starts_code() {
    let home = home_with(&["claude"]);
    let ran = finish(with_engine(&home, &["claude", "--start", "no-such-model", "--yes"]));
    assert_eq!((ran.code, ran.out.as_str()), (Some(3), ""), "{}", ran.err);
    assert!(ran.err.contains("there is no model named"), "{}", ran.err);
}

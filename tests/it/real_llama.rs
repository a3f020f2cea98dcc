//! The real llama.cpp server with the demo model: start → chat and messages, streamed and not → tool call → stop.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Home, Running, free_port, http, skip};

/// The engine, installed once by llmup itself into a folder that outlives the run.
pub fn engines() -> Option<PathBuf> {
    static INSTALLED: OnceLock<Option<PathBuf>> = OnceLock::new();
    INSTALLED
        .get_or_init(|| {
            let data = std::env::var_os("LLMUP_TEST_DATA")
                .map(PathBuf::from)
                .unwrap_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("data"));
            let home = Home::new();
            let mut install = home.llmup(&["engine", "install", "llama-cpp"]);
            let ran = crate::support::finish({
                install.env("LLMUP_DATA_DIR", &data);
                install
            });
            if ran.code != Some(0) {
                skip(&format!("llama.cpp could not be installed: {}", ran.err));
                return None;
            }
            Some(data.join("engines"))
        })
        .clone()
}

/// A home whose engines are the shared ones.
pub fn home_with_engine() -> Option<Home> {
    let engines = engines()?;
    let home = Home::new();
    std::fs::create_dir_all(&home.data).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(engines, home.data.join("engines")).unwrap();
    #[cfg(windows)]
    std::os::windows::fs::symlink_dir(engines, home.data.join("engines")).unwrap();
    Some(home)
}

/// `llmup start demo --json` and what it said when it was ready.
pub fn start_demo(home: &Home, more: &[&str]) -> (Running, Value) {
    let port = free_port().to_string();
    let mut args = vec!["start", "demo", "--json", "--port", &port];
    args.extend(more);
    let mut running = home.start(home.llmup(&args));
    let ready = running.ready(Duration::from_secs(120));
    (running, ready)
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

fn events(body: &str) -> Vec<Value> {
    body.lines().filter_map(|l| l.strip_prefix("data:")).filter_map(|d| serde_json::from_str(d.trim()).ok()).collect()
}

#[test]
fn the_demo_speaks_both_protocols_calls_tools_and_leaves_nothing() {
    let Some(home) = home_with_engine() else { return };
    let (mut llmup, ready) = start_demo(&home, &[]);
    let (url, key) = (text(&ready, "url"), text(&ready, "key"));
    assert_eq!(ready["context"], 131_072, "the engine's own context");
    let bearer = format!("Bearer {key}");
    let auth = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let anthropic =
        [("x-api-key", key.as_str()), ("anthropic-version", "2023-06-01"), ("content-type", "application/json")];
    let say = |content: &str| json!([{"role": "user", "content": content}]);

    // Chat, whole and streamed, say the same.
    let body = json!({"model": "anything", "messages": say("hello")});
    let (status, answer) = http(&url, "POST", "/v1/chat/completions", &auth, &body.to_string());
    assert_eq!(status, 200, "{answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let whole = answer["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
    assert!(!whole.is_empty());
    let body = json!({"model": "anything", "messages": say("hello"), "stream": true});
    let (_, stream) = http(&url, "POST", "/v1/chat/completions", &auth, &body.to_string());
    let streamed: String = events(&stream)
        .iter()
        .filter_map(|e| e["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(streamed, whole);

    // Messages, whole and streamed, say it too; the text with split characters arrives whole.
    let body = json!({"model": "claude-x", "max_tokens": 200, "messages": say("hello")});
    let (status, answer) = http(&url, "POST", "/v1/messages?beta=true", &anthropic, &body.to_string());
    assert_eq!(status, 200, "{answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["content"][0]["text"].as_str(), Some(whole.as_str()));
    let body = json!({"model": "claude-x", "max_tokens": 200, "messages": say("[[utf8]]"), "stream": true});
    let (_, stream) = http(&url, "POST", "/v1/messages", &anthropic, &body.to_string());
    let streamed: String =
        events(&stream).iter().filter_map(|e| e["delta"]["text"].as_str().map(str::to_owned)).collect();
    assert!(!streamed.is_ascii() && !streamed.contains('\u{fffd}'), "{streamed}");
    assert_eq!(events(&stream).last().unwrap()["type"], "message_stop");

    // A tool that is offered is called, and its result ends the turn.
    let tool = json!({"name": "Bash", "description": "Runs a command.", "input_schema": {
        "type": "object", "properties": {"command": {"type": "string"}, "description": {"type": "string"}}, "required": ["command"]}});
    let body = json!({"model": "m", "max_tokens": 500, "messages": say("make a file"), "tools": [tool]});
    let (status, answer) = http(&url, "POST", "/v1/messages", &anthropic, &body.to_string());
    assert_eq!(status, 200, "{answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["stop_reason"], "tool_use", "{answer}");
    let blocks = answer["content"].as_array().unwrap();
    let call = blocks.iter().find(|b| b["type"] == "tool_use").unwrap();
    assert!(call["input"]["command"].is_string(), "{call}");
    let messages = json!([
        {"role": "user", "content": "make a file"},
        {"role": "assistant", "content": blocks},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call["id"], "content": "ok"}]},
    ]);
    let body = json!({"model": "m", "max_tokens": 500, "messages": messages, "tools": [tool]});
    let (_, answer) = http(&url, "POST", "/v1/messages", &anthropic, &body.to_string());
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["stop_reason"], "end_turn", "{answer}");

    // Counting asks the engine; the second time the same prompt comes from its cache.
    let body = json!({"model": "m", "messages": say("count these words, please")});
    let (status, counted) = http(&url, "POST", "/v1/messages/count_tokens", &anthropic, &body.to_string());
    let counted: Value = serde_json::from_str(&counted).unwrap();
    assert_eq!(status, 200);
    assert!(counted["input_tokens"].as_u64().unwrap() > 4, "{counted}");
    let body = json!({"model": "m", "max_tokens": 50, "messages": say(&"again and again ".repeat(100))});
    let cached = || {
        let (_, answer) = http(&url, "POST", "/v1/messages", &anthropic, &body.to_string());
        let answer: Value = serde_json::from_str(&answer).unwrap();
        answer["usage"]["cache_read_input_tokens"].as_u64().unwrap_or(0)
    };
    cached();
    assert!(cached() > 100, "the second time most of the prompt is cached");

    // What does not belong here is refused, in the caller's own words.
    let (status, refused) = http(&url, "POST", "/v1/messages", &[("anthropic-version", "2023-06-01")], "{}");
    assert_eq!(status, 401);
    assert!(refused.contains(r#""type":"error""#), "{refused}");
    let long = json!({"model": "m", "max_tokens": 50, "messages": say(&"x y z ".repeat(120_000))});
    let (status, refused) = http(&url, "POST", "/v1/messages", &anthropic, &long.to_string());
    assert_eq!(status, 400, "{refused}");
    assert!(refused.contains("prompt is too long"), "{refused}");

    let engine = u16::try_from(ready["engine_port"].as_u64().unwrap()).unwrap();
    #[cfg(unix)]
    {
        llmup.signal(nix::sys::signal::Signal::SIGINT);
        assert_eq!(llmup.wait(Duration::from_secs(30)).code(), Some(130), "{}", llmup.err());
        assert!(std::net::TcpStream::connect(("127.0.0.1", engine)).is_err(), "the engine still listens");
        assert_eq!(std::fs::read_dir(home.data.join("run")).unwrap().count(), 0, "a state file is left");
    }
    #[cfg(windows)]
    {
        llmup.child.kill().unwrap();
        llmup.wait(Duration::from_secs(30));
        let end = std::time::Instant::now() + Duration::from_secs(5);
        while std::net::TcpStream::connect(("127.0.0.1", engine)).is_ok() {
            assert!(std::time::Instant::now() < end, "the engine still listens");
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_killed_llmup_takes_the_real_engine_with_it() {
    let Some(home) = home_with_engine() else { return };
    for _ in 0..3 {
        let (mut llmup, ready) = start_demo(&home, &[]);
        let engine = u16::try_from(ready["engine_port"].as_u64().unwrap()).unwrap();
        assert!(std::net::TcpStream::connect(("127.0.0.1", engine)).is_ok());
        llmup.child.kill().unwrap();
        llmup.child.wait().unwrap();
        let end = std::time::Instant::now() + Duration::from_secs(5);
        while std::net::TcpStream::connect(("127.0.0.1", engine)).is_ok() {
            assert!(std::time::Instant::now() < end, "the engine outlived llmup");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn a_flag_the_engine_does_not_know_is_refused_and_a_bad_value_ends_in_its_own_words() {
    let Some(home) = home_with_engine() else { return };
    let port = free_port().to_string();
    let ran = home.run(&["start", "demo", "--port", &port, "--", "--ctx-sise", "4096"]);
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    assert!(ran.err.contains("does not know --ctx-sise") && ran.err.contains("`--ctx-size`"), "{}", ran.err);
    let ran = home.run(&["start", "demo", "--port", &port, "--", "--ctx-size", "many"]);
    assert_eq!(ran.code, Some(6), "{}", ran.err);
    assert!(ran.err.contains("error while handling argument \"--ctx-size\""), "{}", ran.err);
    assert!(ran.err.contains("demo.log"), "{}", ran.err);
}

/// An engine that speaks Chat only, behind `--engine-url`: Messages are translated, and nothing is lost on the way.
#[test]
fn messages_are_translated_for_an_engine_that_only_speaks_chat() {
    let Some(home) = home_with_engine() else { return };
    let (_engine, behind) = start_demo(&home, &[]);
    let port = free_port().to_string();
    let url = format!("{}/v1/", text(&behind, "url"));
    let key = text(&behind, "key");
    let second = Home::new();
    let mut llmup = second.start(second.llmup(&[
        "start",
        "demo",
        "--json",
        "--port",
        &port,
        "--engine-url",
        &url,
        "--engine-key",
        &key,
    ]));
    let ready = llmup.ready(Duration::from_secs(20));
    assert_eq!(ready["context"], 131_072, "told by the engine's model list");
    let (url, key) = (text(&ready, "url"), text(&ready, "key"));
    let auth = [("x-api-key", key.as_str()), ("anthropic-version", "2023-06-01"), ("content-type", "application/json")];
    let tool = json!({"name": "Bash", "description": "Runs a command.", "input_schema": {
        "type": "object", "properties": {"command": {"type": "string"}, "description": {"type": "string"}}, "required": ["command"]}});
    let body = json!({"model": "m", "max_tokens": 500, "stream": true, "tools": [tool],
        "system": [{"type": "text", "text": "x-anthropic-billing-header: cc_version=1;"}, {"type": "text", "text": "Be brief."}],
        "messages": [{"role": "user", "content": "make a file"}, {"role": "system", "content": "It is day."}]});
    let (status, stream) = http(&url, "POST", "/v1/messages", &auth, &body.to_string());
    assert_eq!(status, 200, "{stream}");
    let events = events(&stream);
    let input: String = events.iter().filter_map(|e| e["delta"]["partial_json"].as_str().map(str::to_owned)).collect();
    let input: Value = serde_json::from_str(&input).unwrap();
    assert!(input["command"].as_str().unwrap().contains("llmup-demo.txt"), "{input}");
    assert!(events.iter().any(|e| e["delta"]["stop_reason"] == "tool_use"), "{stream}");
    assert_eq!(events.last().unwrap()["type"], "message_stop");
    let call = events.iter().find(|e| e["content_block"]["type"] == "tool_use").unwrap();
    let id = call["content_block"]["id"].as_str().unwrap();
    let body = json!({"model": "m", "max_tokens": 500, "tools": [tool], "messages": [
        {"role": "user", "content": "make a file"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": id, "name": "Bash", "input": input}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": id, "content": [{"type": "text", "text": "ok"}]}]},
    ]});
    let (status, answer) = http(&url, "POST", "/v1/messages", &auth, &body.to_string());
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((status, answer["stop_reason"].as_str()), (200, Some("end_turn")), "{answer}");
    assert!(answer["usage"]["output_tokens"].as_u64().unwrap() > 0, "{answer}");
}

#[test]
fn doctor_goes_through_every_step_with_a_real_engine() {
    let Some(home) = home_with_engine() else { return };
    let (_llmup, _) = start_demo(&home, &[]);
    let ran = home.run(&["doctor", "--deep", "--json"]);
    let report: Value = serde_json::from_str(&ran.out).unwrap_or_else(|e| panic!("{e}: {} {}", ran.out, ran.err));
    let all = report["findings"].as_array().unwrap();
    let steps: Vec<&Value> = all.iter().filter(|finding| finding["section"] == "gateway").collect();
    for step in &steps {
        // A busy machine may make the tiny model slow, which is a warning.
        assert!(step["status"] == "ok" || step["code"] == "LLMUP-M022", "{step}");
    }
    let said: String = steps.iter().filter_map(|step| step["text"].as_str()).collect();
    for part in ["Messages", "Responses", "Chat", "Gemini", "131072 tokens", "too long is refused", "from the cache"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(all.iter().any(|f| f["text"].as_str().unwrap().starts_with("its key is accepted")), "{report}");
    assert_eq!(steps.len(), 9, "{report}");
}

/// llama.cpp keeps the prompts of other conversations in main memory, by itself up to 8 GiB of them: it is told how much
/// there is for that, takes it, and stays within it.
#[test]
fn the_prompts_of_other_conversations_stay_within_what_the_plan_gives_them() {
    let Some(home) = home_with_engine() else { return };
    let planned = home.run(&["plan", "demo", "--json"]);
    let planned: Value = serde_json::from_str(&planned.out).unwrap_or_else(|e| panic!("{e}: {}", planned.err));
    let command: Vec<&str> = planned["command"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let flag = command.windows(2).find(|pair| pair[0] == "--cache-ram").unwrap_or_else(|| panic!("{command:?}"));
    assert_eq!(planned["prompt_cache_bytes"].as_u64().unwrap() >> 20, flag[1].parse::<u64>().unwrap());
    let limit = |ready: &Value| {
        let log = std::fs::read_to_string(text(ready, "log")).unwrap();
        let line = log.lines().find(|line| line.contains("prompt cache is")).unwrap_or_else(|| panic!("{log}"));
        line.rsplit_once("prompt cache is ").unwrap().1.to_owned()
    };
    let (mut llmup, ready) = start_demo(&home, &[]);
    match flag[1] {
        "0" => assert!(limit(&ready).starts_with("disabled"), "{}", limit(&ready)),
        mib => assert_eq!(limit(&ready), format!("enabled, size limit: {mib} MiB")),
    }
    llmup.child.kill().unwrap();
    llmup.child.wait().unwrap();

    let (_llmup, ready) = start_demo(&home, &["--", "--cache-ram", "16"]);
    assert_eq!(limit(&ready), "enabled, size limit: 16 MiB");
    let (url, bearer) = (text(&ready, "url"), format!("Bearer {}", text(&ready, "key")));
    let auth = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    // 12,000 tokens of 512 bytes each.
    let converse = |number: usize| {
        let words = format!("word{number} ").repeat(4000);
        let body = json!({"model": "m", "max_tokens": 4, "messages": [{"role": "user", "content": words}]});
        let (status, answer) = http(&url, "POST", "/v1/chat/completions", &auth, &body.to_string());
        assert_eq!(status, 200, "{answer}");
    };
    let held = || {
        let ran = home.run(&["status", "--json"]);
        let status: Value = serde_json::from_str(&ran.out).unwrap_or_else(|e| panic!("{e}: {}", ran.err));
        status["running"][0]["memory"]["engine_bytes"].as_u64().unwrap()
    };
    (10..14).for_each(converse);
    let filled = held();
    (14..26).for_each(converse);
    let grown = held().saturating_sub(filled);
    assert!(grown < 24 << 20, "12 more conversations of 6 MiB each took {} MiB", grown >> 20);
}

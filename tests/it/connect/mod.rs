//! `llmup connect` and `disconnect`: settings files of every shape are edited by the real binary and given back to the
//! byte, whatever happens in between.

mod corpus;
#[cfg(target_os = "linux")]
mod killed;

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::support::{Home, Ran, finish};

const KEY: &str = "llmup-0123456789abcdef0123";
const OLD: &str = "{\n  // mine\n  \"env\": { \"EDITOR\": \"ed\" },\n}\n";

/// llmup against a gateway that is only named, without any client on PATH.
fn connect(home: &Home, port: u16, more: &[&str]) -> Ran {
    let url = format!("http://127.0.0.1:{port}");
    let mut args = vec!["connect"];
    args.extend(more);
    args.extend(["--base-url", &url, "--model", "demo", "--context", "65536", "--api-key", KEY]);
    llmup(home, &args)
}

fn llmup(home: &Home, args: &[&str]) -> Ran {
    let mut command = home.llmup(args);
    command.env("PATH", "").env("APPDATA", home.path().join("roaming"));
    finish(command)
}

fn settings(home: &Home) -> PathBuf {
    home.path().join(".claude/settings.json")
}

fn put(home: &Home, text: &str) {
    std::fs::create_dir_all(settings(home).parent().unwrap()).unwrap();
    std::fs::write(settings(home), text).unwrap();
}

fn now(home: &Home) -> String {
    std::fs::read_to_string(settings(home)).unwrap()
}

#[track_caller]
fn ended(ran: &Ran, code: i32) {
    assert_eq!(ran.code, Some(code), "{}{}", ran.out, ran.err);
}

#[test]
fn it_shows_what_changes_asks_and_never_shows_the_key() {
    let home = Home::new();
    put(&home, OLD);
    let shown = connect(&home, 4321, &["claude", "--dry-run"]);
    ended(&shown, 0);
    assert!(
        shown.err.contains("+     \"ANTHROPIC_BASE_URL\": \"http://127.0.0.1:4321\"")
            || shown.err.contains("127.0.0.1:4321")
    );
    assert!(shown.err.contains("llmup-…") && !shown.err.contains(KEY), "{}", shown.err);
    assert_eq!((shown.out.as_str(), now(&home).as_str()), ("", OLD));
    let asked = connect(&home, 4321, &["claude"]);
    ended(&asked, 2);
    assert!(asked.err.contains("`llmup connect claude --yes`"), "{}", asked.err);
    assert_eq!(now(&home), OLD);
    assert!(!home.data.join("connections").exists());
    let done = connect(&home, 4321, &["claude", "--yes"]);
    ended(&done, 0);
    assert!(done.err.contains("llmup disconnect claude") && !done.err.contains(KEY), "{}", done.err);
    assert!(now(&home).contains(KEY) && now(&home).contains("// mine"), "{}", now(&home));
    let again = connect(&home, 4321, &["claude"]);
    ended(&again, 0);
    assert!(again.err.contains("connected to http://127.0.0.1:4321 already"), "{}", again.err);
    ended(&llmup(&home, &["disconnect", "claude"]), 2);
    ended(&llmup(&home, &["disconnect", "claude", "--yes"]), 0);
    assert_eq!(now(&home), OLD);
    let nothing = llmup(&home, &["disconnect", "--all"]);
    ended(&nothing, 0);
    assert!(nothing.err.contains("connected nothing"), "{}", nothing.err);
}

#[test]
fn connected_anew_the_first_original_comes_back() {
    let home = Home::new();
    put(&home, OLD);
    for port in [4321, 4322] {
        ended(&connect(&home, port, &["claude-code", "--yes"]), 0);
    }
    assert!(now(&home).contains("4322") && !now(&home).contains("4321"));
    ended(&llmup(&home, &["disconnect", "--all", "--yes"]), 0);
    assert_eq!(now(&home), OLD);
}

/// Settings in which something stands that `connect` has to look at: what it does about that must not depend on what it
/// wrote itself the last time.
const TRAPS: &[(&str, &str, &str)] = &[
    ("continue", ".continue/config.yaml", ""),
    ("continue", ".continue/config.yaml", "models: []\n"),
    (
        "opencode",
        ".config/opencode/opencode.json",
        "{\"enabled_providers\": [\"acme\"], \"disabled_providers\": [\"llmup\"], \"agent\": {\"build\": {\"model\": \"acme/x\"}}}",
    ),
    ("goose", ".config/goose/config.yaml", "active_provider: acme\n"),
    ("gemini", ".gemini/.env", "GEMINI_CLI_CUSTOM_HEADERS=x-goog-api-key:theirs\nGEMINI_MODEL=theirs\n"),
];

#[test]
fn every_client_that_is_connected_twice_has_what_it_had_after_the_first_time() {
    let bare = llmup::client::CLIENTS.iter().map(|client| (client.id(), None));
    let all = bare.chain(TRAPS.iter().map(|(id, name, text)| (*id, Some((name, text)))));
    for (id, trap) in all {
        let home = Home::new();
        if let Some((name, text)) = trap {
            let path = home.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let before = corpus::tree(home.path());
        ended(&connect(&home, 4321, &[id, "--yes"]), 0);
        let first = corpus::tree(home.path());
        let again = connect(&home, 4321, &[id, "--yes"]);
        ended(&again, 0);
        assert!(again.err.contains("already"), "{id} {trap:?}: {}", again.err);
        assert_eq!(corpus::tree(home.path()), first, "{id} {trap:?}");
        ended(&connect(&home, 4322, &[id, "--yes"]), 0);
        ended(&connect(&home, 4321, &[id, "--yes"]), 0);
        let is_settings = |path: &PathBuf| !path.starts_with(home.data.join("connections"));
        let settings = |mut tree: BTreeMap<PathBuf, Vec<u8>>| {
            tree.retain(|path, _| is_settings(path));
            tree
        };
        assert_eq!(settings(corpus::tree(home.path())), settings(first), "{id} {trap:?}, there and back again");
        ended(&llmup(&home, &["disconnect", id, "--yes"]), 0);
        assert_eq!(settings(corpus::tree(home.path())), before, "{id} {trap:?}");
    }
}

#[test]
fn the_users_connection_and_a_folders_stand_beside_each_other_in_one_file() {
    for (id, name) in [("qwen", ".qwen/settings.json"), ("gemini", ".gemini/.env")] {
        let home = Home::new();
        let folder = home.path().join("work");
        std::fs::create_dir_all(&folder).unwrap();
        let of_folder = |port: u16| {
            let url = format!("http://127.0.0.1:{port}");
            let args = ["connect", id, "--project", "--yes", "--base-url", &url, "--model", "demo", "--api-key", KEY];
            let mut command = home.llmup(&args);
            command.env("PATH", "").current_dir(&folder);
            finish(command)
        };
        ended(&connect(&home, 4321, &[id, "--yes"]), 0);
        let users = std::fs::read_to_string(home.path().join(name)).unwrap();
        ended(&of_folder(4321), 0);
        let both = std::fs::read_to_string(home.path().join(name)).unwrap();
        let missing: Vec<&str> =
            users.lines().map(|line| line.trim_end_matches(',')).filter(|line| !both.contains(line)).collect();
        assert_eq!(missing, Vec::<&str>::new(), "{id}: {both}");
        ended(&connect(&home, 4322, &[id, "--yes"]), 0);
        let anew = std::fs::read_to_string(home.path().join(name)).unwrap();
        assert!(anew.contains(":4322") && (id != "gemini" || anew.contains("GOOGLE_VERTEX_BASE_URL")), "{id}: {anew}");
        ended(&llmup(&home, &["disconnect", id, "--yes"]), 0);
        assert_eq!(corpus::tree(home.path()).keys().filter(|path| !path.ends_with("lock")).count(), 0, "{id}");
    }
}

#[test]
fn what_somebody_wrote_since_stays_and_is_said() {
    let home = Home::new();
    put(&home, OLD);
    ended(&connect(&home, 4321, &["claude", "--yes"]), 0);
    let theirs = now(&home)
        .replace("// mine", "\"theme\": \"dark\", // mine")
        .replace("http://127.0.0.1:4321", "https://else.example");
    put(&home, &theirs);
    let back = llmup(&home, &["disconnect", "claude", "--yes"]);
    ended(&back, 0);
    assert!(back.err.contains("env.ANTHROPIC_BASE_URL"), "{}", back.err);
    let value = llmup::client::jsonc::read(&now(&home)).unwrap();
    let expected =
        serde_json::json!({"theme": "dark", "env": {"EDITOR": "ed", "ANTHROPIC_BASE_URL": "https://else.example"}});
    assert_eq!(value, expected, "{}", now(&home));
}

#[test]
fn one_folder_only_where_the_client_keeps_a_file_out_of_version_control() {
    let home = Home::new();
    ended(&connect(&home, 4321, &["claude", "--project", "--yes"]), 0);
    let local = home.path().join(".claude/settings.local.json");
    assert!(std::fs::read_to_string(&local).unwrap().contains(KEY) && !settings(&home).exists());
    ended(&llmup(&home, &["disconnect", "claude", "--yes"]), 0);
    assert!(!home.path().join(".claude").exists());
    for client in ["codex", "goose"] {
        let refused = connect(&home, 4321, &[client, "--project", "--yes"]);
        ended(&refused, 2);
        assert!(refused.err.contains(&format!("`llmup connect {client}`")), "{}", refused.err);
    }
}

#[test]
fn what_cannot_be_edited_is_left_alone_with_the_reason() {
    let home = Home::new();
    put(&home, "{\n  \"env\": nope\n}\n");
    let broken = connect(&home, 4321, &["claude", "--yes"]);
    ended(&broken, 8);
    assert!(broken.err.contains("line 2, column 1") && broken.err.contains("settings.json"), "{}", broken.err);
    assert!(broken.err.contains("\"ANTHROPIC_BASE_URL\""), "the lines to put in by hand\n{}", broken.err);
    assert!(!broken.err.contains(KEY) && broken.err.contains("\"ANTHROPIC_AUTH_TOKEN\": \"KEY\""), "{}", broken.err);
    assert_eq!(now(&home), "{\n  \"env\": nope\n}\n");
    put(&home, "{\"env\": 1}");
    ended(&connect(&home, 4321, &["claude", "--yes"]), 8);
    std::fs::remove_file(settings(&home)).unwrap();
    std::fs::create_dir(settings(&home)).unwrap();
    let folder = connect(&home, 4321, &["claude", "--yes"]);
    ended(&folder, 8);
    assert!(folder.err.contains("is a folder"), "{}", folder.err);
    std::fs::remove_dir(settings(&home)).unwrap();
    put(&home, &format!("{{\"x\": \"{}\"}}", "y".repeat(5 << 20)));
    ended(&connect(&home, 4321, &["claude", "--yes"]), 8);
    assert!(!home.data.join("connections").join("lock").exists());
}

#[test]
fn while_another_llmup_writes_it_waits_and_says_so() {
    let home = Home::new();
    let held = llmup::fs::try_lock(&home.data.join("connections/lock")).unwrap();
    ended(&connect(&home, 4321, &["claude", "--yes"]), 7);
    drop(held);
    ended(&connect(&home, 4321, &["claude", "--yes"]), 0);
}

#[test]
fn an_editor_is_connected_by_its_settings_and_told_apart_from_what_llmup_starts() {
    let home = Home::new();
    let done = connect(&home, 4321, &["vscode", "--yes"]);
    ended(&done, 0);
    assert!(done.err.contains("choose demo") && done.err.contains("llmup disconnect vscode"), "{}", done.err);
    assert!(!done.err.contains(KEY) && !done.err.contains("not installed"), "{}", done.err);
    ended(&llmup(&home, &["disconnect", "vscode", "--yes"]), 0);
    let left: Vec<_> = std::fs::read_dir(home.path()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert!(left.iter().all(|name| home.data.starts_with(home.path().join(name))), "{left:?}");
    for command in ["run", "env"] {
        let refused = llmup(&home, &[command, "vscode"]);
        ended(&refused, 2);
        assert!(refused.err.contains("`llmup connect vscode`"), "{}", refused.err);
    }
    ended(&connect(&home, 4321, &["vscode", "--project", "--yes"]), 2);
}

#[test]
fn open_webui_gets_a_snippet_and_nothing_is_written() {
    let home = Home::new();
    let shown = connect(&home, 4321, &["open-webui"]);
    ended(&shown, 0);
    assert!(shown.out.contains("OPENAI_API_BASE_URL: \"http://127.0.0.1:4321/v1\"") && shown.out.contains(KEY));
    assert!(!home.data.join("connections").exists());
}

#[test]
fn doctor_knows_what_connect_wrote_and_that_nothing_runs_there() {
    let home = Home::new();
    for id in ["claude", "gemini", "codex"] {
        ended(&connect(&home, 4321, &[id, "--yes"]), 0);
    }
    let report = llmup(&home, &["doctor", "--json"]);
    ended(&report, 0);
    let report: serde_json::Value = serde_json::from_str(&report.out).unwrap();
    let told: Vec<(&str, &str)> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["section"] == "environment" && finding["status"] != "ok")
        .map(|finding| (finding["client"].as_str().unwrap_or_default(), finding["code"].as_str().unwrap_or_default()))
        .collect();
    assert_eq!(told, [("claude", "LLMUP-C022"), ("codex", "LLMUP-C022"), ("gemini", "LLMUP-C022")], "{report:#}");
}

#[test]
fn open_webui_has_nothing_to_give_back() {
    let home = Home::new();
    let back = llmup(&home, &["disconnect", "open-webui"]);
    ended(&back, 0);
    assert!(back.err.contains("writes nothing for Open WebUI"), "{}", back.err);
}

#[test]
fn without_a_gateway_the_way_to_one_is_told() {
    let home = Home::new();
    let none = llmup(&home, &["connect", "claude"]);
    ended(&none, 4);
    assert!(none.err.contains("`llmup connect claude --base-url"), "{}", none.err);
    let unknown = llmup(&home, &["connect", "cluade"]);
    ended(&unknown, 2);
    assert!(unknown.err.contains("`llmup connect claude`"), "{}", unknown.err);
}

//! Settings files of every shape under `tests/fixtures/settings`: connected and given back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use llmup::client::edit::{self, Change, Format};
use llmup::client::journal::Journal;
use llmup::client::{Scope, SettingsFile};
use serde_json::Value;

use super::{connect, ended, llmup};
use crate::support::Home;

fn corpus(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/settings").join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 7, "{files:?}");
    files
}

/// Every file below a folder, with its bytes.
pub(super) fn tree(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(tree(&entry.path()));
        } else {
            found.insert(entry.path(), std::fs::read(entry.path()).unwrap());
        }
    }
    found
}

fn value(path: &Path, format: Format) -> Value {
    edit::value(&std::fs::read_to_string(path).unwrap(), format).unwrap()
}

/// Connects a client whose `name` in the home is that file, and gives it back.
fn there_and_back(client: &str, name: &str, file: &Path, holds: impl Fn(&Home)) {
    let home = Home::new();
    let place = home.path().join(name);
    std::fs::create_dir_all(place.parent().unwrap()).unwrap();
    std::fs::copy(file, &place).unwrap();
    let before = tree(home.path());
    ended(&connect(&home, 4321, &[client, "--yes"]), 0);
    assert_ne!(tree(home.path()), before, "{}", file.display());
    holds(&home);
    ended(&llmup(&home, &["disconnect", client, "--yes"]), 0);
    let mut after = tree(home.path());
    after.retain(|path, _| !path.ends_with("connections/lock"));
    assert_eq!(after, before, "{}", file.display());
}

#[test]
fn claude_code() {
    for file in corpus("claude") {
        there_and_back("claude", ".claude/settings.json", &file, |home| {
            let settings = value(&home.path().join(".claude/settings.json"), Format::Json);
            assert_eq!(settings["env"]["ANTHROPIC_BASE_URL"], "http://127.0.0.1:4321", "{}", file.display());
            assert_eq!(settings["env"]["CLAUDE_CODE_MAX_CONTEXT_TOKENS"], "65536");
            assert_eq!(settings["env"]["CLAUDE_CODE_USE_BEDROCK"], "");
            assert_eq!(settings.get("apiKeyHelper"), None);
        });
    }
}

#[test]
fn codex() {
    for file in corpus("codex") {
        there_and_back("codex", ".codex/config.toml", &file, |home| {
            let settings = value(&home.path().join(".codex/config.toml"), Format::Toml);
            let provider = &settings["model_providers"]["llmup"];
            assert_eq!(settings["model_provider"], "llmup", "{}", file.display());
            assert_eq!((&provider["base_url"], provider.get("env_key")), (&"http://127.0.0.1:4321/v1".into(), None));
            let catalog = value(Path::new(settings["model_catalog_json"].as_str().unwrap()), Format::Json);
            assert_eq!(catalog["models"][0]["slug"], settings["model"]);
        });
    }
}

#[test]
fn gemini_cli() {
    for file in corpus("gemini") {
        let dotenv = file.extension().is_some_and(|extension| extension == "env");
        let name = if dotenv { ".gemini/.env" } else { ".gemini/settings.json" };
        there_and_back("gemini", name, &file, |home| {
            let settings = value(&home.path().join(".gemini/settings.json"), Format::Json);
            assert_eq!(settings["security"]["auth"]["selectedType"], "gemini-api-key", "{}", file.display());
            let variables = value(&home.path().join(".gemini/.env"), Format::Dotenv);
            assert_eq!(variables["GOOGLE_GEMINI_BASE_URL"], "http://127.0.0.1:4321");
            assert_eq!(variables.get("GEMINI_MODEL"), None);
        });
    }
}

#[test]
fn vs_code() {
    let folder = match std::env::consts::OS {
        "windows" => "roaming",
        "macos" => "Library/Application Support",
        _ => ".config",
    };
    for file in corpus("vscode") {
        let name = format!("{folder}/Code/User/chatLanguageModels.json");
        there_and_back("vscode", &name, &file, |home| {
            let groups = value(&home.path().join(&name), Format::JsonList);
            let groups = groups.as_array().unwrap();
            let ours = groups.iter().find(|group| group["name"] == "llmup").unwrap();
            assert_eq!((&ours["vendor"], &ours["apiType"]), (&"customendpoint".into(), &"chat-completions".into()));
            let model = ours["models"].as_array().unwrap().iter().find(|model| model["id"] == "demo").unwrap();
            assert_eq!(model["url"], "http://127.0.0.1:4321/v1/chat/completions", "{}", file.display());
            assert_eq!((&model["maxInputTokens"], &model["maxOutputTokens"]), (&57_344.into(), &8192.into()));
            assert_eq!(model["requestHeaders"]["x-api-key"], super::KEY);
        });
    }
}

/// By the library: no client that llmup connects so far is written in YAML.
#[test]
fn yaml() {
    for file in corpus("yaml") {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.yaml");
        std::fs::copy(&file, &path).unwrap();
        let journal = Journal::below(&dir.path().join("data"));
        let item = |last: &str| {
            let item = edit::Step::Item { key: "name".into(), is: "llmup".into() };
            vec![edit::Step::Key("endpoints".into()), item, edit::Step::Key(last.into())]
        };
        let changes = vec![
            Change::set(&["llmup", "url"], "http://127.0.0.1:4321"),
            Change { path: item("apiBase"), to: Some("http://127.0.0.1:4321/v1".into()) },
            Change { path: item("roles"), to: Some(serde_json::json!(["chat", "edit"])) },
        ];
        let planned = journal
            .plan("tool", Scope::User, &SettingsFile { path: path.clone(), format: Format::Yaml, changes })
            .unwrap_or_else(|error| panic!("{error:?}: {}", file.display()));
        journal.write(&planned).unwrap();
        assert_eq!(value(&path, Format::Yaml)["endpoints"][0]["roles"][1], "edit", "{}", file.display());
        for entry in journal.entries().unwrap() {
            journal.give_back(&journal.plan_return(entry).unwrap()).unwrap();
        }
        assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(&file).unwrap(), "{}", file.display());
    }
}

#[test]
fn a_huge_file_and_a_link() {
    let lines: String = (0..40_000).map(|n| format!("    \"NAME_{n}\": \"value {n}\", // comment {n}\n")).collect();
    let huge = format!("{{\n  \"env\": {{\n{lines}  }}\n}}\n");
    assert!(huge.len() > 1_500_000);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("huge.json");
    std::fs::write(&file, huge).unwrap();
    there_and_back("claude", ".claude/settings.json", &file, |_| {});
    #[cfg(unix)]
    {
        let home = Home::new();
        let real = dir.path().join("dotfile.json");
        std::fs::write(&real, super::OLD).unwrap();
        std::fs::create_dir(home.path().join(".claude")).unwrap();
        std::os::unix::fs::symlink(&real, super::settings(&home)).unwrap();
        ended(&connect(&home, 4321, &["claude", "--yes"]), 0);
        assert!(std::fs::read_to_string(&real).unwrap().contains("127.0.0.1:4321"));
        ended(&llmup(&home, &["disconnect", "claude", "--yes"]), 0);
        assert_eq!(std::fs::read_to_string(&real).unwrap(), super::OLD);
        assert!(std::fs::symlink_metadata(super::settings(&home)).unwrap().is_symlink());
    }
}

//! `llmup run` in a home whose settings lead elsewhere: each client must still work on the gateway, in front of the real
//! engine.

use super::clients::{Client, PROMPT, Setup};
use super::demo::makes_the_file;
use super::run::{Gateway, installed, turn};
use crate::real_llama::{engines, start_demo};
use crate::support::Home;

/// Nobody listens there.
const DEAD: &str = "http://127.0.0.1:9";

/// `llmup run` as the program that the harness starts.
fn by_llmup(home: &Home, words: &[&str]) -> Setup {
    let mut all = vec!["run"];
    all.extend(words);
    let data = home.data.to_string_lossy().into_owned();
    Setup::new(&all).env("LLMUP_DATA_DIR", data).env("LLMUP_CONFIG_DIR", home.path().join("config").to_string_lossy())
}

const CLAUDE: Client = Client {
    name: "Claude Code by llmup run",
    program: "claude",
    steps: &[],
    setup: |home, _| by_llmup(home, &["claude", "--", "-p", PROMPT, "--allowedTools", "Bash,Write"]),
};

const CODEX: Client = Client {
    name: "Codex by llmup run",
    program: "codex",
    steps: &[],
    setup: |home, _| {
        let own = ["exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", PROMPT];
        by_llmup(home, &[&["codex", "--"], &own[..]].concat())
    },
};

const GEMINI: Client = Client {
    name: "Gemini CLI by llmup run",
    program: "gemini",
    steps: &[],
    setup: |home, _| {
        by_llmup(home, &["gemini", "--", "--yolo", "-p", PROMPT]).env("GEMINI_CLI_TRUST_WORKSPACE", "true")
    },
};

/// With these files in its home, the client makes the demo's file all the same, and leaves the files as they are.
fn wins(client: &Client, files: &[(&str, String)]) {
    if installed(client).is_none() {
        return;
    }
    let Some(engines) = engines() else { return };
    // Not below /tmp: Gemini CLI takes no system settings below a folder that everybody can write.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let home = Home { data: dir.path().join("data"), dir };
    std::fs::create_dir_all(&home.data).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(engines, home.data.join("engines")).unwrap();
    #[cfg(windows)]
    std::os::windows::fs::symlink_dir(engines, home.data.join("engines")).unwrap();
    for (name, text) in files {
        let path = home.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let _turn = turn();
    let (_llmup, ready) = start_demo(&home, &[]);
    let llmup = std::path::Path::new(env!("CARGO_BIN_EXE_llmup"));
    assert_eq!(makes_the_file(client, llmup, &home, &Gateway::of(&ready)), Ok(()));
    for (name, text) in files {
        let now = std::fs::read_to_string(home.path().join(name)).unwrap();
        // Codex notes in its own file which folders it knows; what stood there stays.
        assert!(now.starts_with(text.as_str()), "{name}: {now}");
    }
}

#[test]
fn claude_code_with_settings_that_name_another_service() {
    let env = format!(
        r#"{{"env": {{"ANTHROPIC_BASE_URL": "{DEAD}", "ANTHROPIC_AUTH_TOKEN": "other", "ANTHROPIC_API_KEY": "other",
            "ANTHROPIC_MODEL": "opus", "CLAUDE_CODE_USE_BEDROCK": "1", "ANTHROPIC_CUSTOM_HEADERS": "x-api-key: other"}},
            "apiKeyHelper": "echo other"}}"#
    );
    wins(&CLAUDE, &[(".claude/settings.json", env.clone()), ("work/.claude/settings.local.json", env)]);
}

#[test]
fn codex_with_another_provider() {
    let config = format!(
        "model = \"other\"\nmodel_provider = \"other\"\n\n[model_providers.other]\nname = \"other\"\n\
         base_url = \"{DEAD}/v1\"\nwire_api = \"responses\"\n"
    );
    wins(&CODEX, &[(".codex/config.toml", config)]);
}

/// Gemini CLI 0.61.0 takes no system settings from below a folder that others can write, such as /tmp.
#[cfg(unix)]
fn others_can_write_above(path: &std::path::Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.ancestors().filter_map(|dir| dir.metadata().ok()).any(|dir| dir.permissions().mode() & 0o022 != 0)
}

#[test]
fn gemini_cli_that_signs_in_otherwise() {
    #[cfg(unix)]
    if others_can_write_above(std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))) {
        llmup::output::note("left out: Gemini CLI takes no system settings from below a folder that others can write");
        return;
    }
    let settings = r#"{"security": {"auth": {"selectedType": "oauth-personal"}}, "model": {"name": "other"}}"#;
    let dotenv = format!(
        "GEMINI_API_KEY=other\nGOOGLE_GEMINI_BASE_URL={DEAD}\nGOOGLE_VERTEX_BASE_URL={DEAD}\nGOOGLE_CLOUD_PROJECT=p\n\
         GOOGLE_CLOUD_LOCATION=l\nGEMINI_CLI_CUSTOM_HEADERS=x-goog-api-key:other\n"
    );
    wins(&GEMINI, &[(".gemini/settings.json", settings.to_owned()), (".gemini/.env", dotenv)]);
}

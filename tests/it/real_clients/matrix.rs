//! Every client, by `llmup run` and by `llmup connect`, in front of the real llama.cpp server with the demo model, whose
//! call leaves a file; each in a home whose settings lead to a port where nobody listens.

use std::path::Path;

use super::clients::{PROMPT, Setup};
use super::demo::{EVIDENCE, makes_the_file};
use super::run::{Gateway, installed, turn};
use crate::real_llama::{home_with_engine, start_demo};

/// Nobody listens there.
const DEAD: &str = "http://127.0.0.1:9";

/// One client.
struct Row {
    /// What llmup calls it.
    id: &'static str,
    /// The file in the folder of programs.
    program: &'static str,
    /// What it is started with, by llmup and by itself.
    words: &'static [&'static str],
    /// What a script sets beside that.
    env: &'static [(&'static str, &'static str)],
    /// The user's own settings, `DEAD` in them standing for an address.
    settings: &'static [(&'static str, &'static str)],
    /// Those of them that beat a connection, so that only `run` is tried with them.
    stronger: &'static [&'static str],
}

const CLAUDE_SETTINGS: &str = r#"{"env": {"ANTHROPIC_BASE_URL": "DEAD", "ANTHROPIC_AUTH_TOKEN": "other",
"ANTHROPIC_API_KEY": "other", "ANTHROPIC_MODEL": "opus", "CLAUDE_CODE_USE_BEDROCK": "1",
"ANTHROPIC_CUSTOM_HEADERS": "x-api-key: other"}, "apiKeyHelper": "echo other"}"#;

const CLAUDE: Row = Row {
    id: "claude",
    program: "claude",
    words: &["-p", PROMPT, "--allowedTools", "Bash,Write"],
    env: &[],
    settings: &[(".claude/settings.json", CLAUDE_SETTINGS), ("work/.claude/settings.local.json", CLAUDE_SETTINGS)],
    stronger: &["work/.claude/settings.local.json"],
};

const CODEX: Row = Row {
    id: "codex",
    program: "codex",
    words: &["exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", PROMPT],
    env: &[],
    settings: &[(
        ".codex/config.toml",
        "model = \"other\"\nmodel_provider = \"other\"\n\n[model_providers.other]\nname = \"other\"\n\
         base_url = \"DEAD/v1\"\nwire_api = \"responses\"\n",
    )],
    stronger: &[],
};

const GEMINI: Row = Row {
    id: "gemini",
    program: "gemini",
    words: &["--yolo", "-p", PROMPT],
    // `--yolo` is about tools, not about the folder.
    env: &[("GEMINI_CLI_TRUST_WORKSPACE", "true")],
    settings: &[
        (
            ".gemini/settings.json",
            r#"{"security": {"auth": {"selectedType": "oauth-personal"}}, "model": {"name": "other"}}"#,
        ),
        (
            ".gemini/.env",
            "GEMINI_API_KEY=other\nGOOGLE_GEMINI_BASE_URL=DEAD\nGOOGLE_VERTEX_BASE_URL=DEAD\nGOOGLE_CLOUD_PROJECT=p\n\
             GOOGLE_CLOUD_LOCATION=l\nGEMINI_CLI_CUSTOM_HEADERS=x-goog-api-key:other\n",
        ),
    ],
    stronger: &[],
};

const OPENCODE: Row = Row {
    id: "opencode",
    program: "opencode",
    words: &["run", PROMPT],
    env: &[],
    settings: &[(
        ".config/opencode/opencode.json",
        r#"{"model": "other/x", "small_model": "other/x", "enabled_providers": ["other"], "disabled_providers": ["llmup"],
"agent": {"build": {"model": "other/x"}}, "provider": {"other": {"npm": "@ai-sdk/openai-compatible",
"options": {"baseURL": "DEAD/v1", "apiKey": "other"}, "models": {"x": {}}}}}"#,
    )],
    stronger: &[],
};

const QWEN: Row = Row {
    id: "qwen",
    program: "qwen",
    words: &["--yolo", "-p", PROMPT],
    env: &[],
    settings: &[(
        ".qwen/settings.json",
        r#"{"security": {"auth": {"selectedType": "qwen-oauth"}}, "model": {"name": "demo"}, "env": {"OTHER": "other"},
"modelProviders": {"openai": [{"id": "demo", "name": "other", "envKey": "OTHER", "baseUrl": "DEAD/v1"}]}}"#,
    )],
    stronger: &[],
};

const CONTINUE: Row = Row {
    id: "continue",
    program: "cn",
    words: &["--auto", "-p", PROMPT],
    env: &[],
    settings: &[(
        ".continue/config.yaml",
        "name: mine\nversion: 1.0.0\nschema: v1\nmodels:\n  - name: other\n    provider: openai\n    model: other\n    \
         apiBase: DEAD/v1\n    apiKey: other\n    roles: [chat]\n",
    )],
    // It takes the first model that can chat, and llmup puts its own behind those that are there.
    stronger: &[".continue/config.yaml"],
};

const COPILOT: Row = Row {
    id: "copilot",
    program: "copilot",
    words: &["--allow-all-tools", "-p", PROMPT],
    env: &[],
    settings: &[
        (
            ".copilot/providers.json",
            r#"{"providers": [{"name": "other", "type": "openai", "wireApi": "completions", "baseUrl": "DEAD/v1", "apiKey": "other"}],
"models": [{"id": "demo", "provider": "other", "maxPromptTokens": 28000, "maxOutputTokens": 4096}]}"#,
        ),
        (".copilot/settings.json", r#"{"model": "other/demo"}"#),
    ],
    stronger: &[],
};

const AIDER: Row = Row {
    id: "aider",
    program: "aider",
    // It offers no tools: the demo model answers this word with a file.
    words: &["--message", "[[listing]] Please make the file.", "--yes-always", "--no-git"],
    env: &[],
    settings: &[
        (".aider.conf.yml", "model: openai/other\nopenai-api-base: DEAD/v1\nopenai-api-key: other\n"),
        (".env", "OPENAI_BASE_URL=DEAD/v1\nAIDER_MODEL=openai/other\n"),
    ],
    stronger: &[".env"],
};

const GOOSE: Row = Row {
    id: "goose",
    program: "goose-binary-linux-x64",
    words: &["run", "--no-session", "-t", PROMPT],
    // What it asks the user for otherwise.
    env: &[("GOOSE_MODE", "auto")],
    settings: &[(
        ".config/goose/config.yaml",
        "GOOSE_PROVIDER: openai\nGOOSE_MODEL: other\nOPENAI_HOST: DEAD\nOPENAI_BASE_PATH: v1/responses\n",
    )],
    stronger: &[],
};

impl Row {
    fn setup(&self, words: &[&str]) -> Setup {
        let setup = Setup::new(words);
        self.env.iter().fold(setup, |setup, (name, value)| setup.env(name, *value))
    }

    /// Whether what the user wrote still stands there. Codex notes at the end of its file which folders it knows;
    /// OpenCode adds a line, and Qwen Code writes all of it in its own form.
    fn kept(&self, text: &str, now: &str) -> bool {
        let words = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
        match self.id {
            "opencode" => words(now).contains(&words(text)[1..]),
            "qwen" => text.matches("other").count() == now.matches("other").count() && now.contains(DEAD),
            _ => now.starts_with(text),
        }
    }
}

/// By llmup, as a user types it, then connected and by itself; then the settings are given back.
fn both_ways(row: &Row) {
    let Some(program) = installed(row.program) else { return };
    let Some(home) = home_with_engine() else { return };
    let bin = home.path().join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    #[cfg(unix)]
    if row.id == "goose" {
        // Its package has the system in the program's name.
        std::os::unix::fs::symlink(&program, bin.join("goose")).unwrap();
    }
    let settings = row.settings.iter().map(|(name, text)| (home.path().join(name), text.replace("DEAD", DEAD)));
    let settings: Vec<_> = settings.collect();
    for (path, text) in &settings {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let _turn = turn();
    let (_llmup, ready) = start_demo(&home, &[]);
    let gateway = Gateway::of(&ready);

    let llmup = Path::new(env!("CARGO_BIN_EXE_llmup"));
    let mut setup = row.setup(&[&["run", row.id, "--"], row.words].concat());
    for (name, folder) in [("LLMUP_DATA_DIR", home.data.clone()), ("LLMUP_CONFIG_DIR", home.path().join("config"))] {
        setup = setup.env(name, folder.to_string_lossy());
    }
    makes_the_file(&format!("{} by llmup run", row.id), llmup, &setup, &home, &gateway);
    for (path, text) in &settings {
        let now = std::fs::read_to_string(path).unwrap();
        assert!(row.kept(text, &now), "{}: {now}", path.display());
    }

    std::fs::remove_file(home.path().join("work").join(EVIDENCE)).unwrap();
    for name in row.stronger {
        std::fs::remove_file(home.path().join(name)).unwrap();
    }
    let connected = home.run(&["connect", row.id, "--yes"]);
    assert_eq!(connected.code, Some(0), "{}", connected.err);
    assert!(!connected.err.contains(&gateway.key), "{}", connected.err);
    makes_the_file(&format!("{} connected", row.id), &program, &row.setup(row.words), &home, &gateway);
    let back = home.run(&["disconnect", row.id, "--yes"]);
    assert_eq!(back.code, Some(0), "{}", back.err);
    for (path, text) in settings.iter().filter(|(path, _)| path.exists()) {
        let now = std::fs::read_to_string(path).unwrap();
        assert!(!now.contains(&gateway.key) && !now.contains(&gateway.url), "{}: {now}", path.display());
        assert!(row.kept(text, &now), "{}: {now}", path.display());
    }
}

macro_rules! both_ways {
    ($($(#[$ignored:meta])* $test:ident: $row:ident),* $(,)?) => {$(
        $(#[$ignored])*
        #[test]
        fn $test() {
            both_ways(&$row);
        }
    )*};
}

both_ways! {
    claude_code: CLAUDE,
    codex: CODEX,
    gemini_cli: GEMINI,
    opencode: OPENCODE,
    qwen_code: QWEN,
    continue_cli: CONTINUE,
    copilot_cli: COPILOT,
    goose: GOOSE,
    #[ignore = "needs aider: scripts/test-aider"]
    aider: AIDER,
}

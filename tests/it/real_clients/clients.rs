//! The clients and how each is pointed at a gateway: by what `llmup env` says, or, for the protocols it does not choose
//! there, by the client's own means.

use serde_json::Value;

use super::run::Gateway;
use crate::support::Home;
use crate::support::strict::Step;

/// One client in one way of speaking.
pub struct Client {
    /// For messages.
    pub name: &'static str,
    /// The file in the folder of programs.
    pub program: &'static str,
    /// The tool calls it can be led through, in order.
    pub steps: &'static [Step],
    pub setup: fn(&Home, &Gateway) -> Setup,
}

/// How it is started.
#[derive(Default)]
pub struct Setup {
    pub args: Vec<String>,
    pub env: Vec<(String, String)>,
}

impl Setup {
    pub fn new(args: &[&str]) -> Setup {
        Setup { args: args.iter().map(|a| (*a).to_owned()).collect(), env: Vec::new() }
    }

    pub fn env(mut self, name: &str, value: impl Into<String>) -> Setup {
        self.env.push((name.into(), value.into()));
        self
    }

    /// What `llmup env` says of the gateway that runs in this home.
    fn exports(mut self, home: &Home, client: &str, gateway: &Gateway) -> Setup {
        let context = gateway.context.to_string();
        let ran = home.run(&[
            "env",
            client,
            "--json",
            "--base-url",
            &gateway.url,
            "--api-key",
            &gateway.key,
            "--model",
            &gateway.model,
            "--context",
            &context,
        ]);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        let exports: Value = serde_json::from_str(&ran.out).unwrap();
        for (name, value) in exports["set"].as_object().unwrap() {
            self.env.push((name.clone(), value.as_str().unwrap().into()));
        }
        self
    }
}

pub const PROMPT: &str = "Please make the file.";
const BOTH: &[Step] = &[Step::Shell, Step::Write];
const ALL: &[Step] = &[Step::Shell, Step::ShellTwice, Step::Write];

pub const CLAUDE: Client = Client {
    name: "Claude Code",
    program: "claude",
    steps: ALL,
    setup: |home, gateway| Setup::new(&["-p", PROMPT, "--allowedTools", "Bash,Write"]).exports(home, "claude", gateway),
};

pub const CODEX: Client = Client {
    name: "Codex",
    program: "codex",
    // `llmup env codex` writes a catalogue that offers apply_patch as a freeform tool.
    steps: &[Step::Shell, Step::ShellTwice, Step::Patch],
    setup: |home, gateway| {
        let args = ["exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", PROMPT];
        Setup::new(&args).exports(home, "codex", gateway)
    },
};

pub const GEMINI: Client = Client {
    name: "Gemini CLI",
    program: "gemini",
    steps: ALL,
    setup: |home, gateway| {
        Setup::new(&["--yolo", "-p", PROMPT]).exports(home, "gemini", gateway).env("GEMINI_CLI_TRUST_WORKSPACE", "true")
    },
};

pub const OPENCODE: Client = Client {
    name: "OpenCode over chat",
    program: "opencode",
    steps: ALL,
    setup: |home, gateway| Setup::new(&["run", PROMPT]).exports(home, "opencode", gateway),
};

/// OpenCode with another of the SDKs it carries.
fn opencode(npm: &str, home: &Home, gateway: &Gateway) -> Setup {
    let mut setup = (OPENCODE.setup)(home, gateway);
    let (_, config) = setup.env.iter_mut().find(|(name, _)| name == "OPENCODE_CONFIG_CONTENT").unwrap();
    let mut all: Value = serde_json::from_str(config).unwrap();
    all["provider"]["llmup"]["npm"] = npm.into();
    *config = all.to_string();
    setup
}

pub const OPENCODE_RESPONSES: Client = Client {
    name: "OpenCode over responses",
    program: "opencode",
    steps: ALL,
    setup: |home, gateway| opencode("@ai-sdk/openai", home, gateway),
};

pub const OPENCODE_MESSAGES: Client = Client {
    name: "OpenCode over messages",
    program: "opencode",
    steps: BOTH,
    setup: |home, gateway| opencode("@ai-sdk/anthropic", home, gateway),
};

pub const QWEN: Client = Client {
    name: "Qwen Code over chat",
    program: "qwen",
    steps: BOTH,
    setup: |home, gateway| Setup::new(&["--yolo", "-p", PROMPT]).exports(home, "qwen", gateway),
};

pub const QWEN_MESSAGES: Client = Client {
    name: "Qwen Code over messages",
    program: "qwen",
    steps: BOTH,
    setup: |_, gateway| {
        Setup::new(&["--auth-type", "anthropic", "--yolo", "-p", PROMPT])
            .env("ANTHROPIC_API_KEY", &gateway.key)
            .env("ANTHROPIC_BASE_URL", &gateway.url)
            .env("ANTHROPIC_MODEL", &gateway.model)
    },
};

pub const CONTINUE: Client = Client {
    name: "Continue over chat",
    program: "cn",
    steps: BOTH,
    setup: |home, gateway| Setup::new(&["--auto", "-p", PROMPT]).exports(home, "continue", gateway),
};

pub const COPILOT: Client = Client {
    name: "Copilot CLI over chat",
    program: "copilot",
    steps: ALL,
    setup: |home, gateway| Setup::new(&["--allow-all-tools", "-p", PROMPT]).exports(home, "copilot", gateway),
};

pub const GOOSE: Client = Client {
    name: "goose over chat",
    program: "goose-binary-linux-x64",
    steps: ALL,
    setup: |home, gateway| {
        // What it asks the user for otherwise.
        let setup = Setup::new(&["run", "--no-session", "-t", PROMPT]).env("GOOSE_MODE", "auto");
        setup.exports(home, "goose", gateway)
    },
};

pub const AIDER: Client = Client {
    name: "aider",
    program: "aider",
    steps: &[Step::Listing],
    setup: |home, gateway| {
        Setup::new(&["--message", PROMPT, "--yes-always", "--no-git"]).exports(home, "aider", gateway)
    },
};

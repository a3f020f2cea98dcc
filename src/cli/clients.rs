//! What connects coding clients: `run`, `env`, `connect` and `disconnect`.

use std::ffi::OsString;

use clap::{Args, ValueEnum};

pub(super) const ENV_EXAMPLES: &str = "\
Examples:
  eval \"$(llmup env claude)\"                              bash, zsh
  llmup env claude --shell fish | source                  fish
  llmup env claude --shell powershell | Out-String | iex  PowerShell
  llmup env                                               lists the clients
  llmup env claude --format dotenv > .env                 for docker compose
  llmup env claude --format docker > claude.env           docker run --env-file";

pub(super) const RUN_EXAMPLES: &str = "\
Examples:
  llmup run claude
  llmup run codex -- exec \"explain this folder\"
  llmup run gemini --model qwen3-8b
  llmup run claude --start demo -p \"hello\"
  llmup run claude --install

llmup's own options stand before the client's arguments. From the first word
that is none of them everything goes to the client as it is, and after -- also
what llmup would understand: `llmup run claude -- --help`.
The client's exit code is llmup's.";

pub(super) const CONNECT_EXAMPLES: &str = "\
Examples:
  llmup connect claude --dry-run          show what would change
  llmup connect codex --yes               change it without asking
  llmup connect claude --project          for this folder only
  llmup connect vscode                    VS Code's own chat
  llmup connect open-webui                print what Open WebUI needs";

pub(super) const DISCONNECT_EXAMPLES: &str = "\
Examples:
  llmup disconnect claude                 give its settings back
  llmup disconnect --all --yes            everything, without asking";

/// Which gateway a client is pointed at: the one that runs, unless something else is said.
#[derive(Debug, Clone, Default, Args)]
pub struct GatewayArgs {
    /// A gateway other than the running one (its root, without /v1).
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,
    /// The model's name.
    #[arg(long)]
    pub model: Option<String>,
    /// The model for small side tasks such as titles (the same when not given).
    #[arg(long, value_name = "MODEL")]
    pub small_model: Option<String>,
    /// The model's context in tokens.
    #[arg(long, value_name = "N")]
    pub context: Option<u64>,
    /// The gateway's key.
    #[arg(long, value_name = "KEY", env = "LLMUP_API_KEY", hide_env_values = true)]
    pub api_key: Option<String>,
}

/// `llmup run`.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Which gateway.
    #[command(flatten)]
    pub gateway: GatewayArgs,
    /// Start this model first, unless it runs already.
    #[arg(long, value_name = "MODEL", conflicts_with = "base_url")]
    pub start: Option<String>,
    /// Install the client when it is missing.
    #[arg(long)]
    pub install: bool,
    /// Answer every question with yes.
    #[arg(long, short)]
    pub yes: bool,
    /// The coding client: claude, codex, gemini, … (`llmup env` lists them).
    pub client: String,
    /// The client's own arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    pub arguments: Vec<OsString>,
}

/// How `llmup env` writes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum EnvFormat {
    /// Statements of a shell.
    #[default]
    Shell,
    /// JSON: what to set, what to unset.
    Json,
    /// A `.env` file.
    Dotenv,
    /// A file for `docker run --env-file`.
    Docker,
}

/// `llmup env`.
#[derive(Debug, Clone, Args)]
pub struct EnvArgs {
    /// The coding client: claude, codex, gemini, opencode, qwen, continue, copilot, aider, goose; without one, all are listed.
    pub client: Option<String>,
    /// The shell whose syntax to print: bash, zsh, fish, powershell, cmd, nu (detected when not given).
    #[arg(long)]
    pub shell: Option<String>,
    /// Which gateway.
    #[command(flatten)]
    pub gateway: GatewayArgs,
    /// In which form: shell, json, dotenv or docker (for `docker run --env-file`).
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "shell", hide_possible_values = true)]
    #[arg(hide_default_value = true, conflicts_with = "shell")]
    pub format: EnvFormat,
    /// As JSON; the same as `--format json`.
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
}

/// `llmup connect`.
#[derive(Debug, Clone, Args)]
pub struct ConnectArgs {
    /// The coding client: claude, codex, gemini, …, vscode; or open-webui, for which it only prints.
    pub client: String,
    /// For the folder you are in, not for all you start.
    #[arg(long)]
    pub project: bool,
    /// Show what would change, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask.
    #[arg(long, short)]
    pub yes: bool,
    /// Which gateway.
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

/// `llmup disconnect`.
#[derive(Debug, Clone, Args)]
pub struct DisconnectArgs {
    /// The coding client.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub client: Option<String>,
    /// Every client.
    #[arg(long)]
    pub all: bool,
    /// Show what would change, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask.
    #[arg(long, short)]
    pub yes: bool,
}

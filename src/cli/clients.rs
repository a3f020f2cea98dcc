//! What connects coding clients: `env`, `connect` and `disconnect`.

use clap::Args;

pub(super) const ENV_EXAMPLES: &str = "\
Examples:
  eval \"$(llmup env claude)\"                                  bash, zsh
  llmup env claude --shell fish | source                      fish
  llmup env claude --shell powershell | Invoke-Expression     PowerShell";

pub(super) const CONNECT_EXAMPLES: &str = "\
Examples:
  llmup connect claude --dry-run                              show what would change
  llmup connect codex --yes                                   change it without asking
  llmup connect claude --project                              for this folder only
  llmup connect open-webui                                    print what Open WebUI needs";

pub(super) const DISCONNECT_EXAMPLES: &str = "\
Examples:
  llmup disconnect claude                                     give its settings back
  llmup disconnect --all --yes                                everything, without asking";

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

/// `llmup env`.
#[derive(Debug, Clone, Args)]
pub struct EnvArgs {
    /// The coding client: claude, codex, gemini, opencode, qwen, continue, copilot, aider, goose.
    pub client: String,
    /// The shell whose syntax to print: bash, zsh, fish, powershell, cmd, nu (detected when not given).
    #[arg(long)]
    pub shell: Option<String>,
    /// Which gateway.
    #[command(flatten)]
    pub gateway: GatewayArgs,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// `llmup connect`.
#[derive(Debug, Clone, Args)]
pub struct ConnectArgs {
    /// The coding client: claude, codex, gemini; or open-webui, for which it only prints.
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

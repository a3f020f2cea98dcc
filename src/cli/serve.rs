//! `serve` and `reload`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

pub(super) const SERVE_EXAMPLES: &str = "\
Examples:
  llmup serve --backend http://127.0.0.1:8000/v1 --model glm-4.7
  llmup serve --backend https://models.example/v1 --backend-key KEY --model m
  llmup serve --config litellm_config.yaml --port 4000";

pub(super) const RELOAD_EXAMPLES: &str = "\
Examples:
  llmup reload            the only one that runs
  llmup reload glm-4.7    the one that serves it
  kill -HUP PID           the same, without an answer

Requests on their way end as they began; the next ones get the new models,
aliases and key. A file that cannot be used changes nothing, and is answered
with what is wrong in which line (exit code 3). Variables that the file names
are those the running llmup was started with.";

/// `llmup serve`.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// A server that speaks OpenAI Chat Completions.
    #[arg(long, value_name = "URL", required_unless_present = "config", requires = "model")]
    pub backend: Option<String>,
    /// The model: its name at the backend, and its public one.
    #[arg(long, value_name = "NAME", requires = "backend")]
    pub model: Option<String>,
    /// Models and their backends, in the form of LiteLLM's config.yaml.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["backend", "model", "context"])]
    pub config: Option<PathBuf>,
    /// The backend's key.
    #[arg(long, value_name = "KEY", env = "LLMUP_BACKEND_KEY", hide_env_values = true)]
    pub backend_key: Option<String>,
    /// The model's context in tokens, when the backend does not tell it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(256..))]
    pub context: Option<u64>,
    /// The gateway's port.
    #[arg(long, default_value_t = 4000)]
    pub port: u16,
    /// The gateway's address.
    #[arg(long, default_value = "127.0.0.1")]
    pub host: std::net::IpAddr,
    /// The key clients must show; else the configuration's master_key, else one that is made and kept.
    #[arg(long, value_name = "KEY", env = "LLMUP_API_KEY", hide_env_values = true)]
    pub api_key: Option<String>,
    /// Ask for no key; on a loopback address only. Beats every key.
    #[arg(long)]
    pub no_auth: bool,
    /// Translate every request to the backend's protocol, even where it speaks the caller's (Chat to Chat stays).
    #[arg(long)]
    pub translate: bool,
    /// A line per request on standard error: auto means when it is a terminal.
    #[arg(long, value_enum, default_value = "auto", num_args = 0..=1, default_missing_value = "always", value_name = "WHEN")]
    pub log: LogWhen,
    /// Data as JSON on standard output.
    #[arg(long)]
    pub json: bool,
}

/// When requests are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogWhen {
    /// When standard error is a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// `llmup reload`.
#[derive(Debug, Clone, Args)]
pub struct ReloadArgs {
    /// The first model it serves, or llmup's pid; not needed when only one runs.
    pub name: Option<String>,
}

//! What looks at a running llmup or gives it orders: `status`, `top`, `stop`, `restart`, `logs`.

use clap::Args;

pub(super) const STATUS_EXAMPLES: &str = "\
Examples:
  llmup status
  llmup status --json";

pub(super) const TOP_EXAMPLES: &str = "\
Examples:
  llmup top                   q quits, ? tells the other keys
  llmup top --once            one frame as plain text, for a pipe or a report";

pub(super) const STOP_EXAMPLES: &str = "\
Examples:
  llmup stop                  the only one that runs, also while it is loading
  llmup stop glm-4.7
  llmup stop --all --now";

pub(super) const RESTART_EXAMPLES: &str = "\
Examples:
  llmup restart
  llmup restart glm-4.7";

pub(super) const LOGS_EXAMPLES: &str = "\
Examples:
  llmup logs                  of the engine that runs, or that ran last
  llmup logs -f -n 200
  llmup logs --gateway -f";

/// `llmup status`.
#[derive(Debug, Clone, Args)]
pub struct StatusArgs {
    /// As JSON: every figure, planned, measured, and the deviation as a share.
    #[arg(long)]
    pub json: bool,
}

/// `llmup top`.
#[derive(Debug, Clone, Args)]
pub struct TopArgs {
    /// Print one frame as plain text and end.
    #[arg(long)]
    pub once: bool,
}

/// `llmup stop`.
#[derive(Debug, Clone, Args)]
pub struct StopArgs {
    /// The model, or llmup's pid; not needed when only one runs.
    pub name: Option<String>,
    /// Everything that runs.
    #[arg(long, conflicts_with = "name")]
    pub all: bool,
    /// At once: requests in flight are cut, and nobody is asked.
    #[arg(long)]
    pub now: bool,
}

/// `llmup restart`.
#[derive(Debug, Clone, Args)]
pub struct RestartArgs {
    /// The model, or llmup's pid; not needed when only one runs.
    pub name: Option<String>,
}

/// `llmup logs`.
#[derive(Debug, Clone, Args)]
pub struct LogsArgs {
    /// The model; not needed when only one runs, or for the newest log.
    pub name: Option<String>,
    /// Go on with what comes, until the model ends.
    #[arg(long, short = 'f')]
    pub follow: bool,
    /// The engine's own log (the default).
    #[arg(long, conflicts_with = "gateway")]
    pub engine: bool,
    /// A line per request, of all models.
    #[arg(long)]
    pub gateway: bool,
    /// How many lines of the end.
    #[arg(long, short = 'n', default_value_t = 50, value_name = "N")]
    pub lines: usize,
}

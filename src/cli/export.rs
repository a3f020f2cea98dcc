//! `export`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

pub(super) const EXPORT_EXAMPLES: &str = "\
Examples:
  llmup export systemd glm-4.7 > ~/.config/systemd/user/llmup-glm-4.7.service
  llmup export systemd --system -- serve --config /etc/llmup/models.yaml
  llmup export launchd qwen3-8b > ~/Library/LaunchAgents/llmup-qwen3-8b.plist
  llmup export windows-task glm-4.7 > llmup.xml

How to install it is said on standard error.";

pub(super) const LAUNCHD_EXAMPLES: &str = "\
Examples:
  llmup export launchd qwen3-8b > ~/Library/LaunchAgents/llmup-qwen3-8b.plist
  llmup export launchd -- serve --config models.yaml > models.plist

How to install it is said on standard error.";

pub(super) const TASK_EXAMPLES: &str = "\
Examples:
  llmup export windows-task glm-4.7 > llmup.xml
  llmup export windows-task -- start --config models.yaml > llmup.xml

How to install it is said on standard error.";

/// `llmup export …`.
#[derive(Debug, Subcommand)]
pub enum ExportCommand {
    /// A unit for systemd, ready when the model is.
    #[command(after_help = EXPORT_EXAMPLES)]
    Systemd {
        /// For this user's own manager (the default).
        #[arg(long, conflicts_with = "system")]
        user: bool,
        /// For the system's manager; it runs as the user who calls this.
        #[arg(long)]
        system: bool,
        /// A file with LLMUP_API_KEY=… and other secrets, mode 600.
        #[arg(long, value_name = "FILE")]
        environment_file: Option<PathBuf>,
        /// What to run.
        #[command(flatten)]
        service: ServiceArgs,
    },
    /// A property list for macOS' launchd.
    #[command(after_help = LAUNCHD_EXAMPLES)]
    Launchd {
        /// What to run.
        #[command(flatten)]
        service: ServiceArgs,
    },
    /// A task for Windows' scheduler, started at logon.
    #[command(after_help = TASK_EXAMPLES)]
    WindowsTask {
        /// What to run.
        #[command(flatten)]
        service: ServiceArgs,
    },
}

/// What a service runs.
#[derive(Debug, Clone, Args)]
pub struct ServiceArgs {
    /// A model with the flags of `start`; or behind `--` the whole of a `serve` or `start`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true, value_name = "MODEL")]
    pub words: Vec<String>,
}

//! `config`.

use std::path::PathBuf;

use clap::Subcommand;

pub(super) const CONFIG_EXAMPLES: &str = "\
Examples:
  llmup config check models.yaml
  llmup config check models.yaml --json
  llmup start --config models.yaml --dry-run      and how it would be run

Nothing is started, and nobody is asked. A file that cannot be used is exit
code 3, with what is wrong in which line.";

/// `llmup config …`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Read a configuration file, and show what it would serve and what in it is not used.
    #[command(after_help = CONFIG_EXAMPLES)]
    Check {
        /// The file, in the form of LiteLLM's config.yaml.
        file: PathBuf,
        /// Data as JSON on standard output.
        #[arg(long)]
        json: bool,
    },
}

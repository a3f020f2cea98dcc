//! What is made of the command line itself: `completions`, `man`.

use std::path::PathBuf;

use clap::Args;
use clap_complete::aot::Shell;

pub(super) const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  source <(llmup completions bash)                            bash, this shell
  llmup completions zsh > \"${fpath[1]}/_llmup\"               zsh
  llmup completions fish > ~/.config/fish/completions/llmup.fish
  llmup completions powershell | Out-String | Invoke-Expression";

pub(super) const MAN_EXAMPLES: &str = "\
Examples:
  llmup man | man -l -
  llmup man --dir ~/.local/share/man/man1";

/// `llmup completions`.
#[derive(Debug, Clone, Args)]
pub struct CompletionsArgs {
    /// The shell.
    pub shell: Shell,
}

/// `llmup man`.
#[derive(Debug, Clone, Args)]
pub struct ManArgs {
    /// Write llmup.1 and a page per subcommand into this folder.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

//! `models` and `pull`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::values::name;

pub(super) const MODELS_EXAMPLES: &str = "\
Examples:
  llmup models
  llmup models --fits
  llmup models --fits --json

FIT: fits (with room), tight (only when the engine needs less than usual).
Your own profiles, one YAML file each in the folder profiles of the
configuration folder (LLMUP_CONFIG_DIR), beat built-in ones of the same name.";

pub(super) const PULL_EXAMPLES: &str = "\
Examples:
  llmup pull glm-4.7-flash                    the form that suits this machine
  llmup pull qwen3-coder-30b-a3b --quantization q4_k_m --dry-run
  llmup pull Qwen/Qwen3-8B --source modelscope
  llmup pull hf:unsloth/Qwen3-8B-GGUF --quantization q5_k_m
  llmup pull llama3.1:8b                      through Ollama

From Hugging Face (HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE),
ModelScope (MODELSCOPE_ENDPOINT, MODELSCOPE_API_TOKEN) or Ollama; proxies by
HTTPS_PROXY and NO_PROXY. What broke off goes on where it was, also after
kill -9.";

/// `llmup models`.
#[derive(Debug, Clone, Args)]
pub struct ModelsArgs {
    /// What would run on this machine, in which form and with how much context, the most useful first.
    #[arg(long)]
    pub fits: bool,
    /// As JSON: all facts, and with --fits the reasons.
    #[arg(long)]
    pub json: bool,
}

/// Where weights come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SourceChoice {
    /// Hugging Face, or the mirror in HF_ENDPOINT.
    Hf,
    /// ModelScope.
    Modelscope,
    /// A running Ollama.
    Ollama,
}

/// `llmup pull`.
#[derive(Debug, Clone, Args)]
pub struct PullArgs {
    /// A profile (`glm-4.7`), a repository (`ORG/NAME`, `hf:ORG/NAME`, `ms:ORG/NAME`), or an Ollama tag (`llama3.1:8b`).
    #[arg(value_parser = name)]
    pub model: String,
    /// The form: `fp8`, `q4_k_m`, …; else what suits this machine, or for a repository of GGUF files Q4_K_M.
    #[arg(long, visible_alias = "variant", value_name = "Q")]
    pub quantization: Option<String>,
    /// Where from.
    #[arg(long, value_enum)]
    pub source: Option<SourceChoice>,
    /// A branch, tag or commit of the repository.
    #[arg(long, value_name = "R")]
    pub revision: Option<String>,
    /// Only files like this, once or more; replaces the choice of files.
    #[arg(long, value_name = "GLOB")]
    pub include: Vec<String>,
    /// The folder, instead of llmup's own.
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
    /// Requests at once.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=32))]
    pub connections: u8,
    /// Show what would be downloaded, its size and the room there is; download nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Data as JSON on standard output.
    #[arg(long)]
    pub json: bool,
}

//! Typed access to `profiles/`: facts about models and engines as data, each with its source. The files are embedded
//! in the binary; files of the same name in the user's folder beat them. Nothing here decides.
//!
//! Adding a model is one file in `profiles/models`; the tests of this module check it.

mod accelerator;
mod catalog;
mod engine;
mod error;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use accelerator::{Accelerator, accelerator, accelerators};
pub use catalog::{Found, Origin, all, find, names, nearest};
pub use engine::{EngineProfile, Native, engine};
pub use error::ProfileError;

/// `profiles/models/<name>.yaml`: one model as people ask for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelProfile {
    /// The name people type; equals the file's name.
    pub name: String,
    /// One line for lists.
    pub title: String,
    /// Other names it is known by.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// `architectures[0]` values this profile describes, to check that the weights are what the name says.
    #[serde(default)]
    pub architectures: Vec<String>,
    /// GGUF `general.architecture` values, likewise.
    #[serde(default)]
    pub gguf_architectures: Vec<String>,
    /// The model's own context, tokens.
    pub context_max: Option<u64>,
    /// Whether llmup writes the model itself (only `demo`).
    #[serde(default)]
    pub scripted: bool,
    /// What it can take and do: `tools`, `thinking`, `images`.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// Per engine id (`vllm`, `llama-cpp`, `ollama`): what it needs for this model.
    #[serde(default)]
    pub engines: BTreeMap<String, EngineRecipe>,
    /// Downloads of this model, biggest first.
    #[serde(default)]
    pub variants: Vec<Variant>,
    /// Where the facts come from: URLs or "engine version X, file Y". Built-in profiles must say; users need not.
    #[serde(default)]
    pub sources: Vec<String>,
}

/// What one engine needs for one model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineRecipe {
    /// `--tool-call-parser`.
    pub tool_parser: Option<String>,
    /// `--reasoning-parser`.
    pub reasoning_parser: Option<String>,
    /// Oldest engine version that runs it.
    pub min_version: Option<String>,
    /// Further flags, as argv.
    #[serde(default)]
    pub args: Vec<String>,
    /// Environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

/// One downloadable form of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// `bf16`, `fp8`, `awq`, `nvfp4`, `mxfp4`, `q4_k_m`, …
    pub quantization: String,
    /// `safetensors`, `gguf`, `ollama`.
    pub format: String,
    /// Hugging Face repository.
    pub hugging_face: Option<String>,
    /// ModelScope repository.
    pub model_scope: Option<String>,
    /// Ollama tag.
    pub ollama: Option<String>,
    /// Size of the weights, GB (10^9 bytes), when a source says it.
    pub weights_gb: Option<f64>,
    /// Accelerator memory the publisher asks for, GB, when a source says it.
    pub memory_min_gb: Option<f64>,
    /// Where these facts come from. Built-in profiles must say; users need not.
    #[serde(default)]
    pub source: String,
}

impl Variant {
    /// Quantised safetensors: their kernels are made for GPUs.
    pub fn needs_gpu(&self) -> bool {
        self.format == "safetensors" && !matches!(self.quantization.as_str(), "bf16" | "f16" | "fp16" | "f32")
    }
}

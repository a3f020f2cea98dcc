//! Typed access to `profiles/`: facts about models and engines as data, each with its source. The files are embedded
//! in the binary; files of the same name in the user's folder beat them. Nothing here decides.
//!
//! Adding a model is one file in `profiles/models`; the tests of this module check it.

mod accelerator;
mod catalog;
mod check;
mod engine;
mod error;
mod finding;
mod size;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use accelerator::{Accelerator, Named, accelerator, accelerators};
pub use catalog::{Found, Origin, all, find, list, nearest};
pub use engine::{EngineProfile, Limit, Others, Platform, PromptCache, engine};
pub use error::ProfileError;
pub use finding::{Finding, LETTERS, finding, findings, full_code, nearest as nearest_findings};
pub use size::Size;

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
    /// All its parameters, billions (10^9).
    pub parameters_b: Option<f64>,
    /// The parameters at work on one token, billions; for mixtures of experts.
    pub active_b: Option<f64>,
    /// The numbers memory arithmetic needs, from the published config.json.
    pub shape: Option<ModelShape>,
    /// Whether llmup writes the model itself (only `demo`).
    #[serde(default)]
    pub scripted: bool,
    /// What it can take and do: `tools`, `thinking`, `images`.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// How its makers say to sample.
    pub sampling: Option<Sampling>,
    /// Per engine id (`vllm`, `llama-cpp`, `ollama`): what it needs for this model.
    #[serde(default)]
    pub engines: BTreeMap<String, EngineRecipe>,
    /// Per vendor of accelerators (`amd`, `ascend`, …): what differs there from NVIDIA.
    #[serde(default)]
    pub accelerators: BTreeMap<String, AcceleratorRecipe>,
    /// Downloads of this model, biggest first.
    #[serde(default)]
    pub variants: Vec<Variant>,
    /// Where the facts come from: URLs or "engine version X, file Y". Built-in profiles must say; users need not.
    #[serde(default)]
    pub sources: Vec<String>,
}

/// The shape of a model, per model and not per GPU, as its config.json says it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelShape {
    /// Transformer blocks.
    pub layers: u64,
    /// Hidden size.
    pub hidden: u64,
    /// Attention heads.
    pub heads: u64,
    /// Key/value heads.
    pub kv_heads: u64,
    /// Size of one head.
    pub head_dim: u64,
    /// Vocabulary.
    pub vocab: u64,
    /// MLA: elements kept per layer and token (`kv_lora_rank` + `qk_rope_head_dim`).
    pub mla_kv_dim: Option<u64>,
    /// Layers whose cache grows with the context, when not all do (linear attention, sliding windows). Where those
    /// have heads of their own, `kv_heads` and `head_dim` are theirs.
    pub kv_layers: Option<u64>,
    /// Experts.
    pub experts: Option<u64>,
    /// Intermediate size of one expert.
    pub moe_intermediate: Option<u64>,
    /// Sparse attention that keeps an index key beside MLA.
    #[serde(default)]
    pub indexer: bool,
}

/// Sampling parameters a model was made for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// 0 to 2.
    pub temperature: Option<f64>,
    /// Above 0, at most 1.
    pub top_p: Option<f64>,
    /// Tokens.
    pub top_k: Option<u32>,
    /// Where that comes from. Built-in profiles must say; users need not.
    #[serde(default)]
    pub source: String,
}

/// What a model needs on another vendor's accelerators.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcceleratorRecipe {
    /// Weights made for it, on Hugging Face.
    pub hugging_face: Option<String>,
    /// Weights made for it, on ModelScope.
    pub model_scope: Option<String>,
    /// Their quantisation.
    pub quantization: Option<String>,
    /// The architectures it is for (beginnings); none: all of the vendor.
    #[serde(default)]
    pub architectures: Vec<String>,
    /// Further flags for vLLM, as argv.
    #[serde(default)]
    pub args: Vec<String>,
    /// Environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Where that comes from. Built-in profiles must say; users need not.
    #[serde(default)]
    pub source: String,
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
    /// Side of the blocks its weights are quantised in, which no GPU may have a part of (`weight_block_size` of its
    /// config.json).
    pub quant_block: Option<u64>,
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

//! What is asked for: which files hold the weights and what their headers say. Only headers are read.
//! Nothing here knows engines, hardware or profiles.

use std::path::PathBuf;

use serde::Serialize;

/// How the weights are stored; with the system and the accelerator it decides the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// A model directory: config.json and *.safetensors.
    Safetensors,
    /// A .gguf file, possibly the first of several.
    Gguf,
    /// A tag in an Ollama registry or store.
    OllamaTag,
}

/// The numbers of the architecture that memory arithmetic needs. Counts are per model, not per GPU.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Shape {
    /// Transformer blocks.
    pub layers: u64,
    /// Hidden size.
    pub hidden: u64,
    /// Attention heads.
    pub heads: u64,
    /// Key/value heads (= heads without grouping).
    pub kv_heads: u64,
    /// Size of one head.
    pub head_dim: u64,
    /// Vocabulary.
    pub vocab: u64,
    /// MLA: kv_lora_rank + qk_rope_head_dim elements per layer and token, instead of K and V per head.
    pub mla_kv_dim: Option<u64>,
    /// Experts (MoE) and the intermediate size of one.
    pub experts: Option<u64>,
    /// Intermediate size of one expert.
    pub moe_intermediate: Option<u64>,
}

/// A model that was found on disk (or is named by an Ollama tag), described by its headers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Weights {
    /// How it is stored.
    pub format: Format,
    /// What the engine is given: the directory, the first .gguf; `None` for an Ollama tag.
    pub path: Option<PathBuf>,
    /// The Ollama tag.
    pub tag: Option<String>,
    /// Bytes of all weight files; `None` when unknown (a tag not pulled yet).
    pub bytes: Option<u64>,
    /// `architectures[0]` of config.json or `general.architecture` of GGUF.
    pub architecture: Option<String>,
    /// `fp8`, `awq`, `gptq`, `mxfp4`, …, or the GGUF file type's name; `None` = unquantised.
    pub quantization: Option<String>,
    /// The context the model was made for, tokens.
    pub context_max: Option<u64>,
    /// Shape, when the headers tell it.
    pub shape: Option<Shape>,
    /// Whether a chat template is there (tokenizer_config.json, chat_template.jinja, GGUF metadata).
    pub chat_template: bool,
}

//! What is asked for: which files hold the weights and what their headers say. Only headers are read.
//! Nothing here knows engines, hardware or profiles.

pub mod demo;

mod config;
mod error;
mod gguf;
mod locate;
mod safetensors;

use std::path::PathBuf;

use serde::Serialize;

pub use error::ModelError;
pub use locate::read_path;

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
    /// Layers whose cache grows with the context, when not all do (linear or Mamba hybrids, sliding windows).
    pub kv_layers: Option<u64>,
    /// Sparse attention keeps an index key beside MLA (DeepSeek V3.2, GLM 5).
    pub indexer: bool,
}

/// Bytes the index key of sparse attention takes per layer and token: 128 in fp8 and their scale.
const INDEX_BYTES: u64 = 132;

impl Shape {
    /// Bytes of KV cache one token takes over all layers and heads, on one GPU without tensor parallelism, for cache
    /// elements of `element_bytes` (2 for fp16 and bf16, 1 for fp8). Sliding windows count only their full-attention
    /// layers here: what the windows hold does not grow with the context.
    pub fn kv_bytes_per_token(&self, element_bytes: u64) -> u64 {
        let layers = self.kv_layers.unwrap_or(self.layers);
        let per_layer = match self.mla_kv_dim {
            Some(elements) => {
                let index = if self.indexer { INDEX_BYTES } else { 0 };
                elements.saturating_mul(element_bytes).saturating_add(index)
            }
            None => [2, self.kv_heads, self.head_dim, element_bytes].into_iter().fold(1, u64::saturating_mul),
        };
        layers.saturating_mul(per_layer)
    }
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

/// A model that only an Ollama store or registry knows; nothing is looked up.
pub fn ollama_tag(tag: &str) -> Weights {
    Weights {
        format: Format::OllamaTag,
        path: None,
        tag: Some(tag.to_owned()),
        bytes: None,
        architecture: None,
        quantization: None,
        context_max: None,
        shape: None,
        // Ollama brings a template for everything it serves.
        chat_template: true,
    }
}

#[cfg(test)]
mod tests;

//! What is asked for: which files hold the weights and what their headers say. Only headers are read.
//! Nothing here knows engines, hardware or profiles.

pub mod demo;

mod cache;
mod compressed;
mod config;
mod error;
mod gguf;
mod locate;
mod safetensors;
mod shape;
mod shown;

use std::path::PathBuf;

use serde::Serialize;

pub use cache::{CacheTerms, Layout};
pub use error::ModelError;
pub use locate::read_path;
pub use shape::{Cache, CacheGroup, KvKind, Shape};
pub use shown::shown;

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

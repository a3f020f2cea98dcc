//! The engines llmup knows, by the names people type.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An inference engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum EngineId {
    /// vLLM.
    Vllm,
    /// llama.cpp's `llama-server`, or the same server inside a wheel.
    LlamaCpp,
    /// Ollama.
    Ollama,
}

impl EngineId {
    /// All of them.
    pub const ALL: [EngineId; 3] = [EngineId::Vllm, EngineId::LlamaCpp, EngineId::Ollama];

    /// The name in settings, folders and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            EngineId::Vllm => "vllm",
            EngineId::LlamaCpp => "llama-cpp",
            EngineId::Ollama => "ollama",
        }
    }

    /// The program that runs it, as it is called on PATH.
    pub const fn program(self) -> &'static str {
        match self {
            EngineId::Vllm => "vllm",
            EngineId::LlamaCpp => "llama-server",
            EngineId::Ollama => "ollama",
        }
    }
}

impl fmt::Display for EngineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no engine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no engine called {0:?}; there are vllm, llama-cpp and ollama")]
pub struct UnknownEngine(pub String);

impl FromStr for EngineId {
    type Err = UnknownEngine;

    fn from_str(text: &str) -> Result<Self, UnknownEngine> {
        match text.to_ascii_lowercase().as_str() {
            "vllm" => Ok(EngineId::Vllm),
            "llama-cpp" | "llama.cpp" | "llamacpp" | "llama_cpp" | "llama-server" => Ok(EngineId::LlamaCpp),
            "ollama" => Ok(EngineId::Ollama),
            _ => Err(UnknownEngine(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back_and_is_what_serde_writes() {
        for id in EngineId::ALL {
            assert_eq!(id.name().parse(), Ok(id));
            assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{id}\""));
        }
        assert!("sglang".parse::<EngineId>().is_err());
    }
}

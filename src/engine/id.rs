//! The engines' names, as they are typed, stored and printed.

use serde::{Deserialize, Serialize};

/// An engine llmup can launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum EngineId {
    /// vLLM.
    Vllm,
    /// llama.cpp's server.
    LlamaCpp,
    /// Ollama.
    Ollama,
}

impl EngineId {
    /// The name in commands, files and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            EngineId::Vllm => "vllm",
            EngineId::LlamaCpp => "llama-cpp",
            EngineId::Ollama => "ollama",
        }
    }
}

impl std::fmt::Display for EngineId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for EngineId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "vllm" => Ok(EngineId::Vllm),
            "llama-cpp" | "llama.cpp" | "llamacpp" => Ok(EngineId::LlamaCpp),
            "ollama" => Ok(EngineId::Ollama),
            other => Err(format!("no engine named '{other}'; there are vllm, llama-cpp and ollama")),
        }
    }
}

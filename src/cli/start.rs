//! `start` and `plan`.

use std::path::PathBuf;

use clap::{Args, Parser, ValueEnum};

use super::values::{engine_port, name, share};
use crate::engine::EngineId;

pub(super) const START_EXAMPLES: &str = "\
Examples:
  llmup start demo --yes
  llmup start glm-4.7 --model-dir D:\\models\\glm-4.7
  llmup start ./qwen2.5-coder-7b-q4_k_m.gguf --context 65536
  llmup start llama3.1:8b --engine ollama
  llmup start my-model --engine-url http://127.0.0.1:8000/v1
  llmup start glm-4.7 --model-dir DIR -- --enforce-eager";

pub(super) const PLAN_EXAMPLES: &str = "\
Examples:
  llmup plan glm-4.7 --model-dir DIR
  llmup plan glm-4.7 --model-dir DIR --on 8xH200 --json
  llmup plan glm-4.7-flash --on 2x4090 --context 65536
  llmup plan glm-4.7 --model-dir DIR --machine server.json

server.json: what `llmup hardware --json` prints there, or a folder that
`llmup doctor --record DIR` wrote there.";

/// `auto` or an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EngineChoice {
    /// By the format of the weights, the system and the accelerator.
    Auto,
    /// vLLM.
    Vllm,
    /// llama.cpp's server.
    LlamaCpp,
    /// Ollama.
    Ollama,
}

impl EngineChoice {
    /// The engine, unless it is for llmup to choose.
    pub fn id(self) -> Option<EngineId> {
        match self {
            EngineChoice::Auto => None,
            EngineChoice::Vllm => Some(EngineId::Vllm),
            EngineChoice::LlamaCpp => Some(EngineId::LlamaCpp),
            EngineChoice::Ollama => Some(EngineId::Ollama),
        }
    }
}

/// `llmup start`.
#[derive(Debug, Clone, Args)]
pub struct StartArgs {
    /// A profile (`demo`, `glm-4.7`, …), a path to weights, or an Ollama tag; also the public name of the model.
    #[arg(value_parser = name)]
    pub model: String,
    /// Where the weights are: a folder with config.json and *.safetensors, a .gguf file, or a folder of them.
    #[arg(long, value_name = "DIR")]
    pub model_dir: Option<PathBuf>,
    /// The engine.
    #[arg(long, value_enum, default_value = "auto")]
    pub engine: EngineChoice,
    /// Use an engine that runs already (its OpenAI-compatible URL) and launch none.
    #[arg(long, value_name = "URL", conflicts_with = "model_dir")]
    pub engine_url: Option<String>,
    /// The key of the engine behind `--engine-url`.
    #[arg(long, value_name = "KEY", env = "LLMUP_ENGINE_KEY", hide_env_values = true, requires = "engine_url")]
    pub engine_key: Option<String>,
    /// Context in tokens: obeyed, or refused with what would fit.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(256..))]
    pub context: Option<u64>,
    /// The gateway's port.
    #[arg(long, default_value_t = 4000)]
    pub port: u16,
    /// The gateway's address.
    #[arg(long, default_value = "127.0.0.1")]
    pub host: std::net::IpAddr,
    /// The engine's own port on loopback.
    #[arg(long, value_name = "auto|PORT", default_value = "auto", value_parser = engine_port)]
    pub engine_port: EnginePort,
    /// The key clients must show; made and kept when not given.
    #[arg(long, value_name = "KEY", env = "LLMUP_API_KEY", hide_env_values = true)]
    pub api_key: Option<String>,
    /// vLLM: share of each GPU's memory.
    #[arg(long, value_name = "F", value_parser = share)]
    pub gpu_memory_utilization: Option<f64>,
    /// vLLM: GPUs one copy of the model is spread over.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub tensor_parallel_size: Option<u32>,
    /// Translate every request, even where the engine speaks the caller's protocol itself (Chat to Chat stays).
    #[arg(long)]
    pub translate: bool,
    /// Print the plan, its reasons and the exact command; start nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Data as JSON on standard output.
    #[arg(long)]
    pub json: bool,
    /// Answer yes to every question.
    #[arg(long, short = 'y')]
    pub yes: bool,
    /// Return as soon as it is ready; it runs on by itself until `llmup stop`.
    #[arg(long, short = 'd', conflicts_with = "dry_run")]
    pub detach: bool,
    /// Flags for the engine, as they are.
    #[arg(last = true, value_name = "ENGINE ARGS")]
    pub engine_args: Vec<String>,
}

impl StartArgs {
    /// What `llmup start MODEL` means without any option.
    pub fn of(model: &str) -> Result<StartArgs, clap::Error> {
        #[derive(Parser)]
        struct Only {
            #[command(flatten)]
            start: StartArgs,
        }
        Only::try_parse_from(["start", model]).map(|only| only.start)
    }
}

/// `llmup plan`.
#[derive(Debug, Clone, Args)]
pub struct PlanArgs {
    /// As for `start`.
    #[command(flatten)]
    pub start: StartArgs,
    /// Plan for these GPUs instead of this machine's, under Linux.
    #[arg(long, value_name = "2x4090", conflicts_with = "machine")]
    pub on: Option<String>,
    /// Plan for the machine a JSON file (as of `llmup hardware --json`) or a recorded folder describes.
    #[arg(long, value_name = "FILE")]
    pub machine: Option<PathBuf>,
}

/// `auto` or a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnginePort {
    /// Any free one.
    Auto,
    /// This one.
    Fixed(u16),
}

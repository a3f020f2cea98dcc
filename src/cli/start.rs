//! `start` and `plan`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, ValueEnum};

use super::values::{NOT_NAMED, duration, engine_port, name, name_if_any, share};
use crate::config::{self, Launch, Policy};
use crate::engine::EngineId;

pub(super) const START_EXAMPLES: &str = "\
Examples:
  llmup start demo --yes
  llmup start glm-4.7 --model-dir D:\\models\\glm-4.7
  llmup start ./qwen2.5-coder-7b-q4_k_m.gguf --context 65536
  llmup start llama3.1:8b --engine ollama
  llmup start my-model --engine-url http://127.0.0.1:8000/v1
  llmup start qwen3-coder-30b-a3b qwen3-8b --ttl 30m
  llmup start --config models.yaml
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
    #[value(alias = "llama.cpp")]
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
    // Empty when there is a file instead.
    #[arg(
        value_parser = name_if_any,
        required_unless_present = "config",
        conflicts_with = "config",
        default_value = NOT_NAMED,
        hide_default_value = true
    )]
    pub model: String,
    /// More of them, behind the same gateway: started as far as they fit beside each other, in this order; the others
    /// when they are asked for, in place of those that were used least recently.
    #[arg(value_name = "MORE MODELS", value_parser = name, requires = "model")]
    pub more: Vec<String>,
    /// Models to launch and models of others, in the form of LiteLLM's config.yaml (`model: llmup/NAME` is launched).
    #[arg(long, value_name = "FILE", conflicts_with = "more")]
    pub config: Option<PathBuf>,
    /// Where the weights are: a folder with config.json and *.safetensors, a .gguf file, or a folder of them.
    #[arg(long, value_name = "DIR", conflicts_with_all = SEVERAL)]
    pub model_dir: Option<PathBuf>,
    /// The engine.
    #[arg(long, value_enum, default_value = "auto", conflicts_with_all = ["config", "engine_url"])]
    pub engine: EngineChoice,
    /// Use an engine that runs already (its OpenAI-compatible URL) and launch none.
    #[arg(long, value_name = "URL", conflicts_with = "model_dir", conflicts_with_all = SEVERAL)]
    pub engine_url: Option<String>,
    /// The key of the engine behind `--engine-url`.
    #[arg(long, value_name = "KEY", env = "LLMUP_ENGINE_KEY", hide_env_values = true, requires = "engine_url")]
    pub engine_key: Option<String>,
    /// Context in tokens: obeyed, or refused with what would fit.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(256..), conflicts_with_all = SEVERAL)]
    pub context: Option<u64>,
    /// Never stop a model to make room for another.
    #[arg(long, conflicts_with_all = ["config", "ttl", "engine_url"])]
    pub keep: bool,
    /// Stop an engine that had nothing to do for this long (seconds, or 10m, 1h30m; 0: never). The next request
    /// starts it again.
    #[arg(long, value_name = "TIME", value_parser = duration, conflicts_with_all = ["config", "engine_url"])]
    pub ttl: Option<Duration>,
    /// Start each model at its first request, not at once.
    #[arg(long, conflicts_with_all = ["config", "engine_url"])]
    pub on_demand: bool,
    /// Of several models, vLLM's make room by sleeping in main memory: they are back in seconds instead of minutes. Not
    /// for machines shared with people you do not trust: vLLM then opens paths on its port (loopback) that want no key.
    #[arg(long, conflicts_with_all = ["config", "engine_url"])]
    pub sleep: bool,
    /// The gateway's port.
    #[arg(long, default_value_t = 4000)]
    pub port: u16,
    /// The gateway's address.
    #[arg(long, default_value = "127.0.0.1")]
    pub host: std::net::IpAddr,
    /// The engine's own port on loopback.
    #[arg(long, value_name = "auto|PORT", default_value = "auto", value_parser = engine_port, conflicts_with_all = LAUNCHED)]
    pub engine_port: EnginePort,
    /// The key clients must show; made and kept when not given.
    #[arg(long, value_name = "KEY", env = "LLMUP_API_KEY", hide_env_values = true)]
    pub api_key: Option<String>,
    /// vLLM: share of each GPU's memory.
    #[arg(long, value_name = "F", value_parser = share, conflicts_with_all = LAUNCHED)]
    pub gpu_memory_utilization: Option<f64>,
    /// vLLM: GPUs one copy of the model is spread over.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), conflicts_with_all = LAUNCHED)]
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
    #[arg(last = true, value_name = "ENGINE ARGS", conflicts_with_all = LAUNCHED)]
    pub engine_args: Vec<String>,
}

/// What makes several models of one; flags that are about one model's engine cannot be together with it.
const SEVERAL: [&str; 2] = ["more", "config"];

/// Together with these there is no one engine that llmup launches, so nobody would obey.
const LAUNCHED: [&str; 3] = ["more", "config", "engine_url"];

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

    /// All models that are named, in their order.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.model).chain(&self.more).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// As if one entry of a file were named: what is about the engine is the entry's word, the rest is this one's.
    pub fn launching(&self, launch: &Launch) -> StartArgs {
        let engine = match launch.engine {
            None => EngineChoice::Auto,
            Some(config::Engine::Vllm) => EngineChoice::Vllm,
            Some(config::Engine::LlamaCpp) => EngineChoice::LlamaCpp,
            Some(config::Engine::Ollama) => EngineChoice::Ollama,
        };
        StartArgs {
            model: launch.model.clone(),
            more: Vec::new(),
            config: None,
            model_dir: launch.model_dir.clone(),
            engine,
            context: launch.context,
            gpu_memory_utilization: launch.gpu_memory_utilization,
            tensor_parallel_size: launch.tensor_parallel_size,
            engine_args: launch.engine_args.clone(),
            ..self.clone()
        }
    }

    /// When the named models are started and stopped. What is named is also wanted at once, unlike in a file.
    pub fn policy(&self) -> Policy {
        let ttl = self.ttl.filter(|time| !time.is_zero());
        Policy { keep: self.keep, ttl, preload: !self.on_demand, group: None, sleep: self.sleep }
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

#[cfg(test)]
mod tests {
    use super::super::{Cli, Command};
    use super::*;

    fn start(line: &str) -> Result<StartArgs, String> {
        match Cli::try_parse_from(line.split(' ')).map(|cli| cli.command) {
            Ok(Command::Start(args)) => Ok(args),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn one_model_several_or_a_file() {
        let one = start("llmup start a --context 4096 -- --x y").unwrap();
        assert_eq!((one.model.as_str(), &one.more, &one.config), ("a", &Vec::new(), &None));
        assert_eq!(one.engine_args, ["--x", "y"]);
        assert_eq!(one.policy(), Policy { preload: true, ..Policy::default() });
        let three = start("llmup start a b --ttl 10m c --on-demand --engine vllm").unwrap();
        assert_eq!(three.models().collect::<Vec<_>>(), ["a", "b", "c"]);
        let ttl = Some(Duration::from_secs(600));
        assert_eq!(three.policy(), Policy { ttl, ..Policy::default() });
        assert_eq!(start("llmup start a --ttl 0").unwrap().policy().ttl, None);
        assert!(!three.policy().sleep && start("llmup start a b --sleep").unwrap().policy().sleep);
        let file = start("llmup start --config c.yaml --port 5000").unwrap();
        assert_eq!((file.model.as_str(), file.models().count()), ("", 0));
        assert_eq!(file.config, Some("c.yaml".into()));
    }

    #[test]
    fn an_entry_of_a_file_is_started_as_it_says() {
        let text = "
model_list:
- model_name: a
  litellm_params: {model: llmup/x, model_dir: /m, engine: vllm, context: 4096, engine_args: [--a], gpu_memory_utilization: 0.5, tensor_parallel_size: 2}
- {model_name: b, litellm_params: {model: llmup/y}}
";
        let file = config::parse("c.yaml", text, &|_| None).unwrap();
        let all = start("llmup start --config c.yaml --yes --port 7").unwrap();
        let of = |at: usize| all.launching(file.models[at].launch().unwrap());
        let line = "llmup start x --model-dir /m --engine vllm --context 4096 --gpu-memory-utilization 0.5 \
                    --tensor-parallel-size 2 --yes --port 7 -- --a";
        let alone = |line: &str| format!("{:?}", start(line).unwrap());
        let joined: Vec<&str> = line.split_whitespace().collect();
        if cfg!(unix) {
            assert_eq!(format!("{:?}", of(0)), alone(&joined.join(" ")));
        }
        assert_eq!(format!("{:?}", of(1)), alone("llmup start y --yes --port 7"));
    }

    /// Every engine of the command line has its word in a file.
    #[test]
    fn engines_have_the_same_names_in_a_file() {
        for choice in EngineChoice::value_variants() {
            let named = choice.to_possible_value().unwrap();
            for name in named.get_name_and_aliases() {
                let text =
                    format!("model_list: [{{model_name: a, litellm_params: {{model: llmup/x, engine: {name}}}}}]");
                let file = config::parse("c.yaml", &text, &|_| None).unwrap();
                let args = start("llmup start x").unwrap().launching(file.models[0].launch().unwrap());
                assert_eq!(args.engine, *choice, "{name}");
            }
        }
    }

    #[test]
    fn what_is_about_one_models_engine_needs_one_model() {
        assert!(start("llmup start").unwrap_err().contains("required arguments were not provided"));
        for line in [
            "llmup start",
            "llmup start a --config c.yaml",
            "llmup start a b --config c.yaml",
            "llmup start --config c.yaml --keep",
            "llmup start --config c.yaml --sleep",
            "llmup start a --engine-url http://h:1 --sleep",
            "llmup start --config c.yaml --engine vllm",
            "llmup start a --keep --ttl 10m",
            "llmup start a --ttl soon",
            "llmup start a --engine-url http://h:1 --on-demand",
            "llmup start a ",
        ] {
            let error = start(line).unwrap_err();
            assert!(error.starts_with("error: "), "{line}: {error}");
            assert!(!error.contains('\0'), "{line}: {error}");
        }
        for flag in [
            "--model-dir d",
            "--engine-url http://h:1",
            "--context 4096",
            "--engine-port 5",
            "--gpu-memory-utilization 0.5",
            "--tensor-parallel-size 2",
            "-- --x",
        ] {
            assert!(start(&format!("llmup start a {flag}")).is_ok(), "{flag}");
            for several in ["a b", "--config c.yaml"] {
                let error = start(&format!("llmup start {several} {flag}")).unwrap_err();
                assert!(error.contains("cannot be used with"), "{several} {flag}: {error}");
            }
        }
    }
}

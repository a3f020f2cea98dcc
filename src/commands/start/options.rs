//! Options that are one engine's, said to another: they are refused, because who says one counts on it.

use crate::cli::{EngineChoice, StartArgs};
use crate::engine::{Accelerator, EngineId};
use crate::error::Explain;
use crate::exit::Exit;
use crate::plan::LaunchPlan;

/// An option that the planned engine has nothing for.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.sentence())]
pub struct Misplaced {
    option: &'static str,
    whose: &'static str,
    model: String,
    engine: EngineId,
    on_processor: bool,
    instead: &'static str,
    /// llmup chose the engine.
    chosen: bool,
}

impl Misplaced {
    fn sentence(&self) -> String {
        let Misplaced { option, whose, model, engine, .. } = self;
        if self.on_processor {
            format!("{option} is for {whose}, and {model} runs on {engine} on the processor")
        } else {
            format!("{option} is for {whose}, and {model} runs on {engine}")
        }
    }
}

impl Explain for Misplaced {
    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn hints(&self) -> Vec<String> {
        let mut hints = vec![format!("leave it out: {}", self.instead)];
        if self.chosen && self.whose == VLLM {
            hints.push("or have vLLM run it: add `--engine vllm`".to_owned());
        }
        hints
    }
}

/// Whose the options are that only vLLM has.
const VLLM: &str = "vLLM on accelerators";

/// One option: its name, whether it was said, whose it is, and whether an engine obeys it; else what to do instead.
struct Rule {
    option: &'static str,
    said: fn(&StartArgs) -> bool,
    whose: &'static str,
    instead: fn(EngineId, Accelerator) -> Option<&'static str>,
}

const RULES: [Rule; 3] = [
    Rule {
        option: "--tensor-parallel-size",
        said: |args| args.tensor_parallel_size.is_some(),
        whose: VLLM,
        instead: |engine, accelerator| match (engine, accelerator) {
            (EngineId::Vllm, Accelerator::Cpu) => Some("the processor is one device"),
            (EngineId::Vllm, _) => None,
            (EngineId::LlamaCpp, _) => Some(
                "llama.cpp spreads layers over the GPUs that are needed; in other proportions: `-- --tensor-split 3,1`",
            ),
            (EngineId::Ollama, _) => {
                Some("Ollama spreads a model itself; over all GPUs: `export OLLAMA_SCHED_SPREAD=1`")
            }
        },
    },
    Rule {
        option: "--gpu-memory-utilization",
        said: |args| args.gpu_memory_utilization.is_some(),
        whose: VLLM,
        instead: |engine, accelerator| match (engine, accelerator) {
            (EngineId::Vllm, Accelerator::Cpu) => Some("there the size of the cache is planned in GiB"),
            (EngineId::Vllm, _) => None,
            (EngineId::LlamaCpp, _) => {
                Some("llama.cpp takes what the model needs; fewer layers on the GPU: `-- -ngl 20`")
            }
            (EngineId::Ollama, _) => Some(
                "Ollama takes what the model needs; to keep a GiB of each GPU free: `export OLLAMA_GPU_OVERHEAD=1073741824`",
            ),
        },
    },
    Rule {
        option: "what stands after --",
        said: |args| !args.engine_args.is_empty(),
        whose: "engines with flags",
        instead: |engine, _| match engine {
            EngineId::Vllm | EngineId::LlamaCpp => None,
            EngineId::Ollama => Some("Ollama's settings are variables, such as `export OLLAMA_FLASH_ATTENTION=1`"),
        },
    },
];

/// Refuses what the plan's engine would not obey.
pub fn check(args: &StartArgs, model: &str, plan: &LaunchPlan) -> Result<(), Misplaced> {
    let misplaced = |rule: &Rule| {
        let instead = (rule.instead)(plan.engine, plan.accelerator).filter(|_| (rule.said)(args))?;
        Some(Misplaced {
            option: rule.option,
            whose: rule.whose,
            model: model.to_owned(),
            engine: plan.engine,
            on_processor: plan.engine == EngineId::Vllm,
            instead,
            chosen: args.engine == EngineChoice::Auto && plan.engine != EngineId::Vllm,
        })
    };
    RULES.iter().find_map(misplaced).map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::super::retry::tests::plan;
    use super::*;
    use crate::cli::{Cli, Command};

    const ENGINES: [(EngineId, Accelerator); 6] = [
        (EngineId::Vllm, Accelerator::Cuda),
        (EngineId::Vllm, Accelerator::Cpu),
        (EngineId::LlamaCpp, Accelerator::Vulkan),
        (EngineId::LlamaCpp, Accelerator::Cpu),
        (EngineId::Ollama, Accelerator::Cuda),
        (EngineId::Ollama, Accelerator::Cpu),
    ];

    /// What is about the engine of a model: each said in full, and which of [`ENGINES`] obey it.
    const ABOUT_THE_ENGINE: [(&str, &str, [bool; 6]); 5] = [
        ("tensor_parallel_size", "--tensor-parallel-size 2", [true, false, false, false, false, false]),
        ("gpu_memory_utilization", "--gpu-memory-utilization 0.5", [true, false, false, false, false, false]),
        ("engine_args", "-- --x", [true, true, true, true, false, false]),
        ("context", "--context 4096", [true; 6]),
        ("engine_port", "--engine-port 5000", [true; 6]),
    ];

    /// Every other option means the same for every engine, or is held against it elsewhere: `engine` and `model_dir` by
    /// the format of the weights, `sleep` by `nap`.
    const ABOUT_THE_REST: [&str; 21] = [
        "model",
        "more",
        "config",
        "model_dir",
        "engine",
        "engine_url",
        "engine_key",
        "keep",
        "ttl",
        "on_demand",
        "sleep",
        "port",
        "host",
        "api_key",
        "translate",
        "dry_run",
        "json",
        "yes",
        "detach",
        "help",
        "version",
    ];

    fn args(line: &str) -> StartArgs {
        match Cli::try_parse_from(line.split_whitespace()).unwrap().command {
            Command::Start(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_option_is_obeyed_or_refused_by_every_engine() {
        let command = Cli::command();
        let start = command.find_subcommand("start").unwrap();
        for arg in start.get_arguments() {
            let id = arg.get_id().as_str();
            let known = ABOUT_THE_ENGINE.iter().any(|(name, ..)| *name == id) || ABOUT_THE_REST.contains(&id);
            assert!(known, "{id}: say here which engines obey it, and refuse it to the others above");
        }
        for (option, words, obeyed) in ABOUT_THE_ENGINE {
            let args = args(&format!("llmup start m {words}"));
            for ((engine, accelerator), obeyed) in ENGINES.into_iter().zip(obeyed) {
                let plan = LaunchPlan { engine, accelerator, ..plan() };
                let told = check(&args, "m", &plan);
                assert_eq!(told.is_ok(), obeyed, "{option} with {engine} on {accelerator}: {told:?}");
                let Err(refused) = told else { continue };
                assert_eq!(refused.exit(), Exit::Usage);
                assert!(refused.to_string().contains(&engine.to_string()), "{refused}");
                assert!(refused.hints()[0].starts_with("leave it out: "), "{:?}", refused.hints());
                let other = engine != EngineId::Vllm && option != "engine_args";
                assert_eq!(refused.hints().len(), 1 + usize::from(other), "{:?}", refused.hints());
            }
        }
    }

    /// What an engine that runs already would never hear of is refused beside it.
    #[test]
    fn an_engine_that_runs_is_given_no_options() {
        for (_, words, _) in ABOUT_THE_ENGINE.into_iter().filter(|(name, ..)| *name != "context") {
            let line = format!("llmup start m --engine-url http://h:1 {words}");
            let error = Cli::try_parse_from(line.split_whitespace()).unwrap_err().to_string();
            assert!(error.contains("cannot be used with"), "{words}: {error}");
        }
        args("llmup start m --engine-url http://h:1 --context 4096");
    }
}

//! The command line, as types. No logic.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::engine::EngineId;

/// One command from a bare machine to a coding agent working on your own model.
#[derive(Debug, Parser)]
#[command(name = "llmup", version, about, long_about = None, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  llmup start demo --yes                              try everything with a tiny scripted model
  llmup start glm-4.7 --model-dir /models/glm-4.7     your own weights
  llmup serve --config litellm_config.yaml            engines and providers that run already
  llmup env claude                                    what Claude Code needs to use it
  llmup hardware                                      what this machine has
  llmup doctor                                        what is wrong, and the cure

Exit codes: 0 ok, 1 bug (doctor: a problem), 2 usage, 3 configuration, 4 engine or gateway missing,
5 nothing fits this machine, 6 engine failed, 7 port or lock taken, 8 client settings conflict, 128+n signal";

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a model: plan, install what is missing, launch, serve.
    #[command(after_help = START_EXAMPLES)]
    Start(StartArgs),
    /// Show how a model would be started, here or on other hardware, and start nothing.
    #[command(after_help = PLAN_EXAMPLES)]
    Plan(PlanArgs),
    /// Serve engines and providers that run already, one or those of a LiteLLM configuration.
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(ServeArgs),
    /// Show what runs, and what was planned beside what the engine says it got.
    #[command(after_help = STATUS_EXAMPLES)]
    Status(StatusArgs),
    /// Watch devices, models and requests in the terminal.
    #[command(after_help = TOP_EXAMPLES)]
    Top(TopArgs),
    /// End a running model, its engine and everything it started.
    #[command(after_help = STOP_EXAMPLES)]
    Stop(StopArgs),
    /// Start the engine of a running model anew; the gateway stays, and requests wait.
    #[command(after_help = RESTART_EXAMPLES)]
    Restart(RestartArgs),
    /// Have a running `serve --config FILE` read its file again; no stream is cut.
    #[command(after_help = RELOAD_EXAMPLES)]
    Reload(ReloadArgs),
    /// Show the end of an engine's log, or with --gateway a line per request.
    #[command(after_help = LOGS_EXAMPLES)]
    Logs(LogsArgs),
    /// Print what a coding client needs in its environment.
    #[command(after_help = ENV_EXAMPLES)]
    Env(EnvArgs),
    /// Download the weights of a model, or go on with a download that broke off.
    #[command(after_help = PULL_EXAMPLES)]
    Pull(PullArgs),
    /// List the models llmup knows, or with --fits those that would run on this machine.
    #[command(after_help = MODELS_EXAMPLES)]
    Models(ModelsArgs),
    /// Check the machine, the engines, ports, clients and their settings.
    #[command(after_help = DOCTOR_EXAMPLES)]
    Doctor(DoctorArgs),
    /// Show accelerators, processor and memory, what is wrong with them, and which engine can use what.
    #[command(after_help = HARDWARE_EXAMPLES)]
    Hardware(HardwareArgs),
    /// Install, list or remove engines.
    #[command(subcommand, after_help = ENGINE_EXAMPLES)]
    Engine(EngineCommand),
    /// Print what a service manager needs to run llmup, without any key.
    #[command(subcommand, after_help = EXPORT_EXAMPLES)]
    Export(ExportCommand),
}

const START_EXAMPLES: &str = "\
Examples:
  llmup start demo --yes
  llmup start glm-4.7 --model-dir D:\\models\\glm-4.7
  llmup start ./qwen2.5-coder-7b-q4_k_m.gguf --context 65536
  llmup start llama3.1:8b --engine ollama
  llmup start my-model --engine-url http://127.0.0.1:8000/v1
  llmup start glm-4.7 --model-dir DIR -- --enforce-eager";

const PLAN_EXAMPLES: &str = "\
Examples:
  llmup plan glm-4.7 --model-dir DIR
  llmup plan glm-4.7 --model-dir DIR --on 8xH200 --json
  llmup plan glm-4.7-flash --on 2x4090 --context 65536
  llmup plan glm-4.7 --model-dir DIR --machine server.json

server.json: what `llmup hardware --json` prints there, or a folder that
`llmup doctor --record DIR` wrote there.";

const SERVE_EXAMPLES: &str = "\
Examples:
  llmup serve --backend http://127.0.0.1:8000/v1 --model glm-4.7
  llmup serve --backend https://models.example/v1 --backend-key KEY --model glm-4.7 --host 0.0.0.0
  llmup serve --config litellm_config.yaml --port 4000";

const RELOAD_EXAMPLES: &str = "\
Examples:
  llmup reload                                                the only one that runs
  llmup reload glm-4.7                                        the one that serves it
  kill -HUP PID                                               the same, without an answer

Requests on their way end as they began; the next ones get the new models, aliases and key. A file that cannot be used
changes nothing, and is answered with what is wrong in which line (exit code 3). Variables that the file names are
those the running llmup was started with.";

const EXPORT_EXAMPLES: &str = "\
Examples:
  llmup export systemd glm-4.7 --port 4000 > ~/.config/systemd/user/llmup-glm-4.7.service
  llmup export systemd --system -- serve --config /etc/llmup/models.yaml
  llmup export launchd qwen3-8b > ~/Library/LaunchAgents/llmup-qwen3-8b.plist
  llmup export windows-task glm-4.7 > llmup.xml

How to install it is said on standard error.";

const ENV_EXAMPLES: &str = "\
Examples:
  eval \"$(llmup env claude)\"                                  bash, zsh
  llmup env claude --shell fish | source                      fish
  llmup env claude --shell powershell | Invoke-Expression     PowerShell";

const PULL_EXAMPLES: &str = "\
Examples:
  llmup pull glm-4.7-flash                                    the form that suits this machine
  llmup pull qwen3-coder-30b-a3b --quantization q4_k_m --dry-run
  llmup pull Qwen/Qwen3-8B --source modelscope
  llmup pull hf:unsloth/Qwen3-8B-GGUF --quantization q5_k_m
  llmup pull llama3.1:8b                                      through Ollama

From Hugging Face (HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE),
ModelScope (MODELSCOPE_ENDPOINT, MODELSCOPE_API_TOKEN) or Ollama; proxies by
HTTPS_PROXY and NO_PROXY. What broke off goes on where it was, also after
kill -9.";

const HARDWARE_EXAMPLES: &str = "\
Examples:
  llmup hardware
  llmup hardware --json
  llmup hardware --from nvidia-smi-xml=gpus.xml
  llmup hardware --from kfd-tree=nodes --from meminfo=meminfo.txt
  llmup hardware --from machine

gpus.xml: from `nvidia-smi -q -x > gpus.xml`, on any machine.
machine: a folder that `llmup doctor --record machine` wrote.";

const DOCTOR_EXAMPLES: &str = "\
Examples:
  llmup doctor
  llmup doctor --record machine       what detection reads here, for a report
  llmup hardware --from machine       what it makes of that, here or elsewhere";

const MODELS_EXAMPLES: &str = "\
Examples:
  llmup models
  llmup models --fits
  llmup models --fits --json

FIT: fits (with room), tight (only when the engine needs less than usual).
Your own profiles, one YAML file each in the folder profiles of the
configuration folder (LLMUP_CONFIG_DIR), beat built-in ones of the same name.";

const STATUS_EXAMPLES: &str = "\
Examples:
  llmup status
  llmup status --json";

const TOP_EXAMPLES: &str = "\
Examples:
  llmup top                   q quits, ? tells the other keys
  llmup top --once            one frame as plain text, for a pipe or a report";

const STOP_EXAMPLES: &str = "\
Examples:
  llmup stop                  the only one that runs, also while it is loading
  llmup stop glm-4.7
  llmup stop --all --now";

const RESTART_EXAMPLES: &str = "\
Examples:
  llmup restart
  llmup restart glm-4.7";

const LOGS_EXAMPLES: &str = "\
Examples:
  llmup logs                  of the engine that runs, or that ran last
  llmup logs -f -n 200
  llmup logs --gateway -f";

const ENGINE_EXAMPLES: &str = "\
Examples:
  llmup engine list
  llmup engine install llama-cpp
  llmup engine remove vllm";

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

/// Where weights come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SourceChoice {
    /// Hugging Face, or the mirror in HF_ENDPOINT.
    Hf,
    /// ModelScope.
    Modelscope,
    /// A running Ollama.
    Ollama,
}

/// `llmup pull`.
#[derive(Debug, Clone, Args)]
pub struct PullArgs {
    /// A profile (`glm-4.7`), a repository (`ORG/NAME`, `hf:ORG/NAME`, `ms:ORG/NAME`), or an Ollama tag (`llama3.1:8b`).
    #[arg(value_parser = name)]
    pub model: String,
    /// The form: `fp8`, `q4_k_m`, …; else what suits this machine, or for a repository of GGUF files Q4_K_M.
    #[arg(long, visible_alias = "variant", value_name = "Q")]
    pub quantization: Option<String>,
    /// Where from.
    #[arg(long, value_enum)]
    pub source: Option<SourceChoice>,
    /// A branch, tag or commit of the repository.
    #[arg(long, value_name = "R")]
    pub revision: Option<String>,
    /// Only files like this, once or more; replaces the choice of files.
    #[arg(long, value_name = "GLOB")]
    pub include: Vec<String>,
    /// The folder, instead of llmup's own.
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
    /// Requests at once.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=32))]
    pub connections: u8,
    /// Show what would be downloaded, its size and the room there is; download nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Data as JSON on standard output.
    #[arg(long)]
    pub json: bool,
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

fn engine_port(text: &str) -> Result<EnginePort, String> {
    match text {
        "auto" => Ok(EnginePort::Auto),
        number => match number.parse() {
            Ok(0) | Err(_) => Err("a port from 1 to 65535, or auto".into()),
            Ok(port) => Ok(EnginePort::Fixed(port)),
        },
    }
}

/// No path is longer, and it is shown again in messages.
const LONGEST: usize = 4096;

fn name(text: &str) -> Result<String, String> {
    match text.trim().len() {
        1..=LONGEST => Ok(text.to_owned()),
        0 => Err("it is empty; see the models llmup knows with `llmup models`".into()),
        length => Err(format!("it is longer ({length} bytes) than any name or path")),
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if share > 0.0 && share <= 1.0 => Ok(share),
        _ => Err("a share between 0 and 1, e.g. 0.9".into()),
    }
}

/// `llmup serve`.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// A server that speaks OpenAI Chat Completions.
    #[arg(long, value_name = "URL", required_unless_present = "config", requires = "model")]
    pub backend: Option<String>,
    /// The model: its name at the backend, and its public one.
    #[arg(long, value_name = "NAME", requires = "backend")]
    pub model: Option<String>,
    /// Models and their backends, in the form of LiteLLM's config.yaml.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["backend", "model", "context"])]
    pub config: Option<PathBuf>,
    /// The backend's key.
    #[arg(long, value_name = "KEY", env = "LLMUP_BACKEND_KEY", hide_env_values = true)]
    pub backend_key: Option<String>,
    /// The model's context in tokens, when the backend does not tell it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(256..))]
    pub context: Option<u64>,
    /// The gateway's port.
    #[arg(long, default_value_t = 4000)]
    pub port: u16,
    /// The gateway's address.
    #[arg(long, default_value = "127.0.0.1")]
    pub host: std::net::IpAddr,
    /// The key clients must show; else the configuration's master_key, else one that is made and kept.
    #[arg(long, value_name = "KEY", env = "LLMUP_API_KEY", hide_env_values = true)]
    pub api_key: Option<String>,
    /// Ask for no key; on a loopback address only. Beats every key.
    #[arg(long)]
    pub no_auth: bool,
    /// Translate every request to the backend's protocol, even where it speaks the caller's (Chat to Chat stays).
    #[arg(long)]
    pub translate: bool,
    /// A line per request on standard error: auto means when it is a terminal.
    #[arg(long, value_enum, default_value = "auto", num_args = 0..=1, default_missing_value = "always", value_name = "WHEN")]
    pub log: LogWhen,
    /// Data as JSON on standard output.
    #[arg(long)]
    pub json: bool,
}

/// When requests are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogWhen {
    /// When standard error is a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// `llmup env`.
#[derive(Debug, Clone, Args)]
pub struct EnvArgs {
    /// The coding client: claude, codex, gemini.
    pub client: String,
    /// The shell whose syntax to print: bash, zsh, fish, powershell, cmd, nu (detected when not given).
    #[arg(long)]
    pub shell: Option<String>,
    /// A gateway other than the running one (its root, without /v1).
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,
    /// The model's name.
    #[arg(long)]
    pub model: Option<String>,
    /// The model's context in tokens.
    #[arg(long, value_name = "N")]
    pub context: Option<u64>,
    /// The gateway's key.
    #[arg(long, value_name = "KEY", env = "LLMUP_API_KEY", hide_env_values = true)]
    pub api_key: Option<String>,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// `llmup stop`.
#[derive(Debug, Clone, Args)]
pub struct StopArgs {
    /// The model, or llmup's pid; not needed when only one runs.
    pub name: Option<String>,
    /// Everything that runs.
    #[arg(long, conflicts_with = "name")]
    pub all: bool,
    /// At once: requests in flight are cut, and nobody is asked.
    #[arg(long)]
    pub now: bool,
}

/// `llmup restart`.
#[derive(Debug, Clone, Args)]
pub struct RestartArgs {
    /// The model, or llmup's pid; not needed when only one runs.
    pub name: Option<String>,
}

/// `llmup export …`.
#[derive(Debug, Subcommand)]
pub enum ExportCommand {
    /// A unit for systemd, ready when the model is.
    #[command(after_help = EXPORT_EXAMPLES)]
    Systemd {
        /// For this user's own manager (the default).
        #[arg(long, conflicts_with = "system")]
        user: bool,
        /// For the system's manager; it runs as the user who calls this.
        #[arg(long)]
        system: bool,
        /// A file with LLMUP_API_KEY=… and other secrets, mode 600.
        #[arg(long, value_name = "FILE")]
        environment_file: Option<PathBuf>,
        /// What to run.
        #[command(flatten)]
        service: ServiceArgs,
    },
    /// A property list for macOS' launchd.
    Launchd {
        /// What to run.
        #[command(flatten)]
        service: ServiceArgs,
    },
    /// A task for Windows' scheduler, started at logon.
    WindowsTask {
        /// What to run.
        #[command(flatten)]
        service: ServiceArgs,
    },
}

/// What a service runs.
#[derive(Debug, Clone, Args)]
pub struct ServiceArgs {
    /// A model with the flags of `start`; or behind `--` the whole of a `serve` or `start`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true, value_name = "MODEL")]
    pub words: Vec<String>,
}

/// `llmup reload`.
#[derive(Debug, Clone, Args)]
pub struct ReloadArgs {
    /// The first model it serves, or llmup's pid; not needed when only one runs.
    pub name: Option<String>,
}

/// `llmup logs`.
#[derive(Debug, Clone, Args)]
pub struct LogsArgs {
    /// The model; not needed when only one runs, or for the newest log.
    pub name: Option<String>,
    /// Go on with what comes, until the model ends.
    #[arg(long, short = 'f')]
    pub follow: bool,
    /// The engine's own log (the default).
    #[arg(long, conflicts_with = "gateway")]
    pub engine: bool,
    /// A line per request, of all models.
    #[arg(long)]
    pub gateway: bool,
    /// How many lines of the end.
    #[arg(long, short = 'n', default_value_t = 50, value_name = "N")]
    pub lines: usize,
}

/// `llmup status`.
#[derive(Debug, Clone, Args)]
pub struct StatusArgs {
    /// As JSON: every figure, planned, measured, and the deviation as a share.
    #[arg(long)]
    pub json: bool,
}

/// `llmup top`.
#[derive(Debug, Clone, Args)]
pub struct TopArgs {
    /// Print one frame as plain text and end.
    #[arg(long)]
    pub once: bool,
}

/// `llmup models`.
#[derive(Debug, Clone, Args)]
pub struct ModelsArgs {
    /// What would run on this machine, in which form and with how much context, the most useful first.
    #[arg(long)]
    pub fits: bool,
    /// As JSON: all facts, and with --fits the reasons.
    #[arg(long)]
    pub json: bool,
}

/// `llmup doctor`.
#[derive(Debug, Clone, Args)]
pub struct DoctorArgs {
    /// As JSON.
    #[arg(long)]
    pub json: bool,
    /// Check nothing; write what detection reads on this machine into a new folder, to look at or to send with a
    /// report. Names, ids and serial numbers are taken out.
    #[arg(long, value_name = "DIR")]
    pub record: Option<PathBuf>,
}

/// `llmup hardware`.
#[derive(Debug, Clone, Args)]
pub struct HardwareArgs {
    /// As JSON.
    #[arg(long)]
    pub json: bool,
    /// Read a recording instead of the machine, once or more: recording=DIR, nvidia-smi-xml=FILE, kfd-tree=DIR, … (an
    /// unknown kind is answered with all of them).
    #[arg(long, value_name = "KIND=PATH", value_parser = recording)]
    pub from: Vec<(String, PathBuf)>,
}

fn recording(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((kind, path)) if !kind.is_empty() && !path.is_empty() => Ok((kind.to_owned(), path.into())),
        // The folder of a whole machine needs no word before it.
        None if std::path::Path::new(text).is_dir() => Ok((crate::hardware::WHOLE.to_owned(), text.into())),
        _ => Err("a kind and a path, e.g. nvidia-smi-xml=gpus.xml".into()),
    }
}

/// `llmup engine …`.
#[derive(Debug, Subcommand)]
pub enum EngineCommand {
    /// Install an engine into llmup's own folder.
    Install {
        /// llama-cpp or vllm.
        engine: EngineId,
        /// Build for the processor even when there is a GPU.
        #[arg(long)]
        cpu: bool,
    },
    /// Which engines are there, their versions and where.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Remove an engine llmup installed.
    Remove {
        /// llama-cpp or vllm.
        engine: EngineId,
    },
}

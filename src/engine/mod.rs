//! How each engine is driven: its command line, the phases its log shows, what its failures mean and which protocols
//! it serves itself. Pure: facts in, data out; the supervisor runs what comes out of here. Adding an engine is one
//! file, its `mod` line and its entry in [`ENGINES`]. Finding and installing engines is in [`find`] and [`install`].

use std::path::PathBuf;

use crate::model::Weights;
use crate::profile::EngineRecipe;

mod accelerator;
pub mod ask_ollama;
mod command_line;
pub mod diagnose;
pub mod find;
pub mod id;
pub mod install;
pub mod known_flags;
mod llama_cpp;
mod native;
mod ollama;
mod prompt_cache;
pub mod readback;
mod version;
mod vllm;

pub use accelerator::Accelerator;
pub use command_line::CommandLine;
pub use diagnose::Diagnosis;
pub use id::EngineId;
pub use install::facts::brings;
pub use known_flags::KnownFlags;
pub use prompt_cache::prompt_cache;
pub use readback::Measured;
pub use version::version_at_least;

/// What to launch, decided by `plan`.
#[derive(Debug, Clone)]
pub struct Launch<'a> {
    /// The engine's program, or the name it will have once installed.
    pub program: PathBuf,
    /// Arguments that come before all others (an interpreter's script).
    pub prefix_args: Vec<String>,
    /// The installed build computes on the processor only.
    pub cpu_build: bool,
    /// The weights.
    pub weights: &'a Weights,
    /// The public name of the model.
    pub served_name: &'a str,
    /// Context, tokens.
    pub context: u64,
    /// Loopback port of the engine.
    pub port: u16,
    /// Where it computes.
    pub accelerator: Accelerator,
    /// The devices it may use, as the runtime's variable names them.
    pub visible: &'a [String],
    /// GPUs one copy of the model is spread over.
    pub tensor_parallel: u32,
    /// vLLM: share of each GPU's memory it may take.
    pub utilization: f64,
    /// vLLM on the processor: KV cache, whole GiB.
    pub kv_cache_gib: u64,
    /// What the model's profile asks of this engine.
    pub recipe: &'a EngineRecipe,
    /// The user's own flags, last so that they win.
    pub extra: &'a [String],
    /// A folder the engine may use for its caches.
    pub cache_dir: PathBuf,
    /// The key the engine shall ask for, so that no other local user can reach it.
    pub key: Option<&'a str>,
}

/// Where an engine is on its way to ready.
#[derive(Debug, Clone, PartialEq)]
pub struct Phase {
    /// What it does now.
    pub text: String,
    /// How far this phase is, 0..=1, when the engine says so.
    pub fraction: Option<f64>,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)?;
        self.fraction.map_or(Ok(()), |fraction| write!(f, " {:.0} %", fraction * 100.0))
    }
}

impl Phase {
    fn new(text: impl Into<String>) -> Option<Phase> {
        Some(Phase { text: text.into(), fraction: None })
    }
}

/// Protocols an engine serves itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Serves {
    /// `/v1/messages`.
    pub messages: bool,
    /// `/v1/messages/count_tokens`.
    pub count_tokens: bool,
    /// `/v1/responses`.
    pub responses: bool,
}

/// One engine.
pub trait Engine: Sync {
    /// Its name.
    fn id(&self) -> EngineId;
    /// The exact command.
    fn command(&self, launch: &Launch<'_>) -> CommandLine;
    /// The path that answers 200 when it is ready.
    fn health_path(&self) -> &'static str;
    /// The phase a log line announces.
    fn phase(&self, line: &str) -> Option<Phase>;
    /// What a failed start means, from its log.
    fn diagnose(&self, log: &str) -> Option<Diagnosis>;
    /// What it serves natively in a version (`None`: unknown, assume current).
    fn serves(&self, version: Option<&str>) -> Serves {
        native::serves(self.id(), version)
    }
}

/// The number after the last `mark` in a log; thousands separators are skipped.
fn number_after(log: &str, mark: &str) -> Option<u64> {
    let rest = &log[log.rfind(mark)? + mark.len()..];
    let digits = rest.trim_start().chars().take_while(|c| c.is_ascii_digit() || *c == ',').filter(|c| *c != ',');
    digits.collect::<String>().parse().ok()
}

/// All engines.
pub static ENGINES: &[&dyn Engine] = &[&vllm::Vllm, &llama_cpp::LlamaCpp, &ollama::Ollama];

/// The driver of an engine.
pub fn driver(id: EngineId) -> &'static dyn Engine {
    // The slice names every id; the test below keeps it so.
    ENGINES.iter().copied().find(|engine| engine.id() == id).unwrap_or(&llama_cpp::LlamaCpp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_engine_has_its_driver() {
        for id in [EngineId::Vllm, EngineId::LlamaCpp, EngineId::Ollama] {
            assert_eq!(driver(id).id(), id);
        }
    }
}

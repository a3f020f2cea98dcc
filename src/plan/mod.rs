//! hardware × model × profile × engines → [`LaunchPlan`], with a reason for every choice, or a refusal with numbers.
//! Pure: it asks nothing and starts nothing, and needs no engine installed.
//!
//! [`choose`] decides the engine, [`fit`] the sizes (GPUs, or one pool of memory), [`text`] renders both for people.

use serde::Serialize;

use crate::engine::find::Found;
use crate::engine::{Accelerator, EngineId, prompt_cache};
use crate::hardware::{Device, Hardware, VendorId};
use crate::model::Weights;
use crate::profile::{EngineRecipe, ModelProfile};

pub mod alternatives;
pub mod choose;
mod error;
pub mod fit;
mod flags;
mod gpus;
mod llama_flags;
mod memory;
mod offer;
mod offload;
mod pick;
mod places;
pub mod platform;
mod pool;
mod prompts;
mod recipe;
mod sampling;
mod spread;
pub mod text;
pub mod variant;
mod wsl_memory;

pub use error::PlanError;
pub use offer::{Alternative, Words};
pub use offload::Offload;

/// Contexts below this leave Claude Code little beside its own first prompt (12k–22k tokens).
pub const SMALL_CONTEXT: u64 = 32 * 1024;
/// What is aimed at when nothing was asked: room for long agent sessions without a KV cache nobody fills.
pub const WANTED_CONTEXT: u64 = 128 * 1024;
/// Room enough for a coding agent at work; on GPUs that are short of memory more is not worth slower layers.
pub const AGENT_CONTEXT: u64 = 64 * 1024;
/// Below this no coding client finishes its first turn; a plan with less is a refusal.
pub const LEAST_CONTEXT: u64 = 4 * 1024;

/// What [`Bill::place`] says of main memory.
pub const MEMORY: &str = "memory";

/// What [`Bill::place`] says of a device.
pub fn place(device: &Device) -> String {
    let kind = if device.vendor == VendorId::Ascend { "NPU" } else { "GPU" };
    format!("{kind} {} ({})", device.index, device.name)
}

/// What the user asked for.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// `--engine`, unless auto.
    pub engine: Option<EngineId>,
    /// `--context`, tokens.
    pub context: Option<u64>,
    /// `--gpu-memory-utilization`, 0..=1.
    pub utilization: Option<f64>,
    /// `--tensor-parallel-size`.
    pub tensor_parallel: Option<u32>,
    /// Flags passed on to the engine: those that change its memory are read.
    pub engine_args: Vec<String>,
    /// The plan is for a machine that is not this one: what is installed there is not known.
    pub elsewhere: bool,
}

/// Engines that are there, as far as planning cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Installed {
    /// Which.
    pub engine: EngineId,
    /// Built for the processor only.
    pub cpu_build: bool,
    /// What it was built for, when that is known.
    pub accelerator: Option<Accelerator>,
    /// Its major and minor version, when known.
    pub version: Option<(u32, u32)>,
    /// llama.cpp: this version takes a limit for its cache of prompts.
    pub limits_prompts: bool,
}

impl Installed {
    /// An engine as it was found.
    pub fn of(found: &Found) -> Installed {
        Installed {
            engine: found.engine,
            cpu_build: found.build.as_deref() == Some("cpu"),
            accelerator: found.build.as_deref().and_then(Accelerator::of_build),
            version: found.version.as_deref().and_then(version),
            limits_prompts: prompt_cache(found.engine, found.version.as_deref()).is_some(),
        }
    }
}

/// What must be installed by hand before an engine can start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Needs {
    /// What is missing.
    pub what: String,
    /// How to get it, step by step.
    pub how: Vec<String>,
}

/// Major and minor of a version such as `0.11.2` or `0.29.1rc1`.
pub fn version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.trim().trim_start_matches('v').split('.');
    let digits = |part: &str| part.split(|c: char| !c.is_ascii_digit()).next().and_then(|n| n.parse().ok());
    Some((digits(parts.next()?)?, digits(parts.next()?)?))
}

/// A choice and why it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// What was chosen: `engine: vllm`.
    pub choice: String,
    /// Why.
    pub because: String,
}

/// How well it fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// With room.
    Fits,
    /// Only when the engine needs less than it usually does.
    Tight,
}

/// What one place (a GPU, or main memory) has to hold. Bytes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bill {
    /// `GPU 0 (NVIDIA H200)` or `memory`.
    pub place: String,
    /// Weights.
    pub weights_bytes: u64,
    /// KV cache for one conversation of the planned context.
    pub kv_bytes_needed: u64,
    /// What is left for the KV cache.
    pub kv_bytes_available: u64,
    /// Tokens that holds over all conversations, as vLLM counts them; `None` when the shape is unknown.
    pub kv_tokens: Option<u64>,
    /// The activation peak of a step.
    pub activation_bytes: u64,
    /// CUDA graphs.
    pub graph_bytes: u64,
    /// Activations, graphs and the runtime's own together.
    pub overhead_bytes: u64,
    /// What the engine may use there.
    pub budget_bytes: u64,
    /// All there is.
    pub total_bytes: u64,
}

impl Bill {
    /// All that is needed.
    pub fn needed_bytes(&self) -> u64 {
        self.weights_bytes.saturating_add(self.kv_bytes_needed).saturating_add(self.overhead_bytes)
    }
}

/// How a model will be launched.
#[derive(Debug, Clone, Serialize)]
pub struct LaunchPlan {
    /// Fits or tight.
    pub verdict: Verdict,
    /// The engine.
    pub engine: EngineId,
    /// The engine is not installed yet, or not for this accelerator; llmup can do that.
    pub to_install: bool,
    /// What must be installed by hand first, which llmup cannot.
    pub needs: Option<Needs>,
    /// What it computes on.
    pub accelerator: Accelerator,
    /// Indices of the devices, in their runtime's order (PCI order for NVIDIA).
    pub devices: Vec<u32>,
    /// The same as the runtime's variable names them: numbers, or the id of a MIG instance.
    pub visible: Vec<String>,
    /// GPUs the model is spread over.
    pub tensor_parallel: u32,
    /// Share of GPU memory for vLLM.
    pub utilization: f64,
    /// Context, tokens.
    pub max_model_len: u64,
    /// KV cache, bytes per token and GPU; `None` when the shape is unknown.
    pub kv_bytes_per_token: Option<u64>,
    /// vLLM on the processor: KV cache, whole GiB.
    pub kv_cache_gib: u64,
    /// llama.cpp and Ollama with a GPU: what lies there and what in main memory.
    pub offload: Option<Offload>,
    /// One bill per GPU, or one for main memory.
    pub per_gpu: Vec<Bill>,
    /// llama.cpp: what its cache of other conversations' prompts may grow to in main memory, beside what the bills say;
    /// `None`: it has none, or no limit.
    pub prompt_cache_bytes: Option<u64>,
    /// What the profile asks of this engine.
    #[serde(skip)]
    pub recipe: EngineRecipe,
    /// Why.
    pub reasons: Vec<Reason>,
    /// What will work less well than one may expect.
    pub warnings: Vec<String>,
    /// What else would do, nearest first; see [`alternatives::add`].
    pub alternatives: Vec<Alternative>,
    /// On Windows: the distribution of WSL the engine runs in. `None`: it runs where llmup does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wsl: Option<String>,
}

impl LaunchPlan {
    /// What the engine takes of a place, bytes: vLLM fills its share, the others take what they need.
    pub fn takes(&self, bill: &Bill) -> u64 {
        match (self.engine, self.accelerator) {
            (EngineId::Vllm, Accelerator::Cpu) => {
                let cache = self.kv_cache_gib.saturating_mul(1 << 30).max(bill.kv_bytes_needed);
                bill.weights_bytes.saturating_add(bill.overhead_bytes).saturating_add(cache)
            }
            (EngineId::Vllm, _) => bill.budget_bytes.max(bill.needed_bytes()),
            _ => bill.needed_bytes(),
        }
    }

    /// Where it computes: 2 all on accelerators, 1 a part of it, 0 on the processor.
    pub fn speed(&self) -> u8 {
        match &self.offload {
            Some(offload) if offload.whole() => 2,
            Some(offload) => u8::from(offload.gpu_layers > 0),
            None if self.accelerator == Accelerator::Cpu => 0,
            None => 2,
        }
    }
}

/// Everything a plan is made from.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// What was asked.
    pub request: &'a Request,
    /// The machine.
    pub hardware: &'a Hardware,
    /// The weights.
    pub weights: &'a Weights,
    /// The model's profile, when it has one.
    pub profile: Option<&'a ModelProfile>,
    /// All profiles, for what else would fit.
    pub profiles: &'a [ModelProfile],
    /// Engines that are there.
    pub installed: &'a [Installed],
}

/// Makes the plan.
///
/// # Errors
/// [`PlanError`] with the bill when it does not fit, or when no engine runs this format here.
pub fn plan(facts: Facts<'_>) -> Result<LaunchPlan, PlanError> {
    let inside = platform::inside_wsl(&facts);
    let mut outcome = on(facts, inside.as_ref());
    if let Some(inside) = &inside {
        wsl_memory::tell(facts, inside, &mut outcome);
    }
    outcome
}

/// The plan for the machine, or for what WSL shows of it.
fn on(facts: Facts<'_>, inside: Option<&Hardware>) -> Result<LaunchPlan, PlanError> {
    let mut reasons = Vec::new();
    let facts = Facts { hardware: inside.unwrap_or(facts.hardware), ..facts };
    let choice = choose::engine(&facts)?;
    reasons.push(Reason { choice: format!("engine: {}", choice.engine), because: choice.because.clone() });

    let (mut recipe, because) = recipe::recipe(&facts, choice.engine);
    reasons.extend(because);
    reasons.extend(recipe::for_accelerator(&facts, &choice, &mut recipe));
    recipe.args.extend(choice.args.iter().cloned());
    reasons.extend(choice.reasons.iter().cloned());
    let fitted = fit::fit(&facts, &choice, &recipe)?;
    if let Some((args, because)) = sampling::flags(&facts, choice.engine, &recipe.args) {
        recipe.args.extend(args);
        reasons.push(because);
    }
    recipe::without_tensor_size(&mut recipe.args);
    recipe.args.extend(fitted.args);
    reasons.extend(fitted.reasons);

    let mut builds = facts.installed.iter().filter(|i| i.engine == choice.engine).peekable();
    let other_build = builds.peek().is_some();
    let right = |i: &Installed| i.accelerator.is_none_or(|built| built == choice.accelerator);
    // On the processor any build is tried, and llama.cpp and Ollama are used as they are.
    let any = choice.engine != EngineId::Vllm || choice.accelerator == Accelerator::Cpu;
    let to_install = choice.needs.is_none() && !builds.any(|i| any || right(i));
    if to_install && !facts.request.elsewhere {
        let because = match other_build {
            true => format!("the one that is there is not built for the {}", choice.accelerator.device()),
            false => "it is not on PATH, in a virtual environment or in llmup's own folder".into(),
        };
        reasons.push(Reason { choice: format!("install: {}", choice.engine), because });
    }
    let mut warnings = choice.warnings.clone();
    warnings.extend(fitted.warnings);
    if fitted.context < SMALL_CONTEXT {
        warnings.push(format!(
            "{} tokens of context are few for a coding agent: Claude Code's first prompt alone is 12,000 to 22,000",
            fitted.context
        ));
    }
    if let (Some(version), Some(profile)) = (&recipe.min_version, facts.profile) {
        reasons.push(Reason {
            choice: format!("{} at least {version}", choice.engine),
            because: format!("older versions do not run {}", profile.name),
        });
    }
    Ok(LaunchPlan {
        verdict: fitted.verdict,
        engine: choice.engine,
        to_install,
        needs: choice.needs,
        accelerator: choice.accelerator,
        visible: visible(&choice.devices, &fitted.devices),
        devices: fitted.devices,
        tensor_parallel: fitted.tensor_parallel,
        utilization: fitted.utilization,
        max_model_len: fitted.context,
        kv_bytes_per_token: fitted.kv_bytes_per_token,
        kv_cache_gib: fitted.kv_cache_gib,
        offload: fitted.offload,
        per_gpu: fitted.bills,
        prompt_cache_bytes: fitted.prompt_cache_bytes,
        recipe,
        reasons,
        warnings,
        alternatives: Vec::new(),
        wsl: inside.and_then(|hardware| hardware.wsl.as_ref()?.usable().map(str::to_owned)),
    })
}

/// How the runtime's variable names the devices of these indices: a MIG instance has no number of its own.
fn visible(devices: &[&crate::hardware::Device], indices: &[u32]) -> Vec<String> {
    let name = |index: &u32| {
        let device = devices.iter().find(|d| d.index == *index);
        let instance = device.filter(|d| d.is_instance()).and_then(|d| d.uuid.clone());
        instance.unwrap_or_else(|| index.to_string())
    };
    indices.iter().map(name).collect()
}

#[cfg(test)]
mod accuracy;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_pool;
#[cfg(test)]
mod vendor_pool_tests;
#[cfg(test)]
mod vendor_tests;

//! A profile's downloads on a machine: what one of them weighs and keeps, and which does best there. `start`, `plan`
//! and `models --fits` all ask here, so that they say the same.

use std::borrow::Cow;

use super::{Facts, Installed, LaunchPlan, PlanError, Request, SMALL_CONTEXT, Verdict, plan, platform};
use crate::engine::{Accelerator, EngineId};
use crate::hardware::{Device, Hardware};
use crate::model::{Cache, CacheGroup, Format, Shape, Weights};
use crate::profile::{ModelProfile, ModelShape, Size, Variant};

/// The question: everything but the weights.
#[derive(Debug, Clone, Copy)]
pub struct Machine<'a> {
    /// What was asked.
    pub request: &'a Request,
    /// The machine.
    pub hardware: &'a Hardware,
    /// Engines that are there.
    pub installed: &'a [Installed],
}

/// The variant that does best, or comes nearest.
#[derive(Debug)]
pub struct Judged<'a> {
    /// It.
    pub variant: Cow<'a, Variant>,
    /// As weights.
    pub weights: Weights,
    /// How large its weights are; `None` where nobody says it.
    pub size: Option<Size>,
    /// Its plan, or what is missing.
    pub outcome: Result<LaunchPlan, PlanError>,
}

/// Why no variant was judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unjudged {
    /// None is made for this machine (or for the engine that was asked for).
    NotMadeForIt,
    /// Nobody says how large those are that are.
    NoSize,
}

/// The variant of a profile that does best on a machine; where none fits, the one that misses the least.
///
/// # Errors
/// [`Unjudged`] when there is none to judge.
pub fn best<'a>(profile: &'a ModelProfile, machine: Machine<'_>) -> Result<Judged<'a>, Unjudged> {
    let mut good: Option<((bool, bool, Rank), Judged<'a>)> = None;
    let mut refused: Option<(u64, Judged<'a>)> = None;
    let mut unsized_tag = None;
    let mut why = Unjudged::NotMadeForIt;
    let asked = machine.request.engine;
    let own = platform::own_weights(profile, machine.hardware).map(Cow::Owned);
    let listed = profile.variants.iter().filter(|v| made_for(v, machine.hardware)).map(Cow::Borrowed);
    for variant in own.into_iter().chain(listed).filter(|v| loaded_by(v, asked)) {
        let size = profile.size(&variant);
        if size.is_none() {
            // A variant nobody gives a size for cannot be promised to fit; Ollama at least says so itself.
            why = Unjudged::NoSize;
            if variant.ollama.is_some() {
                unsized_tag.get_or_insert(variant);
            }
            continue;
        }
        let judged = judge(profile, variant, machine);
        match &judged.outcome {
            Ok(plan) => {
                // Weights made for this machine's accelerators go before all others; what those may not load goes last.
                let own = matches!(judged.variant, Cow::Owned(_));
                let sure = own || !judged.variant.needs_gpu() || {
                    platform::loads(machine.hardware, &judged.variant.quantization)
                };
                let rank = (sure, own, rank(plan, &judged.weights, size));
                if good.as_ref().is_none_or(|(best, _)| rank > *best) {
                    good = Some((rank, judged));
                }
            }
            Err(error) => {
                let missing = error.missing_bytes().unwrap_or(u64::MAX);
                if refused.as_ref().is_none_or(|(least, _)| missing < *least) {
                    refused = Some((missing, judged));
                }
            }
        }
    }
    if let Some((_, judged)) = good {
        return Ok(judged);
    }
    match (refused, unsized_tag) {
        (Some((_, judged)), None) => Ok(judged),
        (_, Some(variant)) => Ok(judge(profile, variant, machine)),
        (None, None) => Err(why),
    }
}

/// Plans one variant.
pub fn judge<'a>(profile: &ModelProfile, variant: Cow<'a, Variant>, machine: Machine<'_>) -> Judged<'a> {
    let Machine { request, hardware, installed } = machine;
    let weights = weights(profile, &variant);
    let facts = Facts { request, hardware, weights: &weights, profile: Some(profile), profiles: &[], installed };
    let outcome = plan(facts);
    Judged { size: profile.size(&variant), variant, outcome, weights }
}

/// A variant as weights that need not be here: what its profile says stands for the headers.
pub fn weights(profile: &ModelProfile, variant: &Variant) -> Weights {
    let (format, path) = match variant.format.as_str() {
        "gguf" => (Format::Gguf, Some(PLACEHOLDERS[1])),
        "ollama" => (Format::OllamaTag, None),
        _ => (Format::Safetensors, Some(PLACEHOLDERS[0])),
    };
    let architectures = if format == Format::Gguf { &profile.gguf_architectures } else { &profile.architectures };
    Weights {
        format,
        path: path.map(Into::into),
        tag: variant.ollama.clone(),
        bytes: profile.size(variant).map(|size| size.bytes),
        architecture: architectures.first().cloned(),
        quantization: Some(variant.quantization.clone()),
        context_max: profile.context_max,
        shape: profile.shape.as_ref().map(|own| Shape { quant_block: variant.quant_block, ..shape(own) }),
        chat_template: true,
    }
}

/// The names that stand for a path where the weights are not here.
const PLACEHOLDERS: [&str; 2] = ["DIR", "FILE.gguf"];

/// Whether weights are on this machine.
pub(super) fn is_here(weights: &Weights) -> bool {
    weights.path.as_deref().is_some_and(|path| PLACEHOLDERS.iter().all(|name| path.as_os_str() != *name))
}

/// A profile's shape as the planner takes one from the headers.
pub fn shape(shape: &ModelShape) -> Shape {
    let cache = match shape.mla_kv_dim {
        Some(elements) => Cache::Latent { elements, indexed: shape.indexer },
        None => Cache::Heads { heads: shape.kv_heads, size: shape.head_dim },
    };
    Shape {
        layers: shape.layers,
        hidden: shape.hidden,
        heads: shape.heads,
        kv_heads: shape.kv_heads,
        head_dim: shape.head_dim,
        vocab: shape.vocab,
        experts: shape.experts,
        moe_intermediate: shape.moe_intermediate,
        // Layers whose cache does not grow are as good as none here.
        cache: vec![CacheGroup { layers: shape.kv_layers.unwrap_or(shape.layers), cache, window: None }],
        ..Shape::default()
    }
}

/// Whether the asked engine (or any) loads this variant's format.
pub fn loaded_by(variant: &Variant, engine: Option<EngineId>) -> bool {
    let natural = match variant.format.as_str() {
        "gguf" => EngineId::LlamaCpp,
        "ollama" => EngineId::Ollama,
        _ => EngineId::Vllm,
    };
    engine.is_none_or(|asked| asked == natural)
}

/// Whether a variant is for this machine: quantised safetensors want an accelerator vLLM can compute on, and on NVIDIA
/// GPUs NVFP4 wants one of Blackwell's generation (compute capability 10.0; vLLM's recipes). What other vendors' devices
/// load is judged by the plan.
pub fn made_for(variant: &Variant, hardware: &Hardware) -> bool {
    if !variant.needs_gpu() {
        return true;
    }
    let blackwell = |d: &Device| {
        let architecture = d.architecture.as_deref().unwrap_or_default();
        architecture.split('.').next().and_then(|major| major.parse::<u32>().ok()).is_some_and(|major| major >= 10)
    };
    platform::has_accelerator(hardware)
        && (variant.quantization != "nvfp4" || !hardware.has_nvidia() || hardware.nvidia().any(blackwell))
}

/// Larger is better: certainty, then where it computes, then room for a coding agent, then the engine that is at home
/// there, then precision.
pub(super) type Rank = (bool, u8, bool, u8, u64);

pub(super) fn rank(plan: &LaunchPlan, weights: &Weights, size: Option<Size>) -> Rank {
    // vLLM on the processor is for trying things out.
    let at_home = match (weights.format, plan.accelerator) {
        (Format::Gguf, Accelerator::Cpu) => 2,
        (Format::OllamaTag, Accelerator::Cpu) => 1,
        _ => 0,
    };
    let certain = plan.verdict == Verdict::Fits;
    let bytes = weights.bytes.unwrap_or(0);
    // An estimate is off by some percent, and of the same quantisation the one whose size is known is the better choice.
    let bytes = if size.is_some_and(|size| size.estimated) { bytes / 10 * 9 } else { bytes };
    (certain, plan.speed(), plan.max_model_len >= SMALL_CONTEXT, at_home, bytes)
}

/// On a processor a model with more active parameters than this, in billions, is too slow to work with.
const QUICK_ON_CPU_B: f64 = 8.0;

/// How useful a model would be, larger is better: what fits before what is tight, then models that call tools, then
/// those with room for a coding agent, then those that are quick enough where they compute, then the larger ones.
pub type Merit = (bool, bool, bool, bool, f64);

/// The merit of a model with this plan.
pub fn merit(profile: &ModelProfile, plan: &LaunchPlan) -> Merit {
    let tools = profile.capabilities.iter().any(|can| can == "tools");
    let active = profile.active_b.or(profile.parameters_b);
    let quick = plan.speed() == 2 || active.is_some_and(|b| b <= QUICK_ON_CPU_B);
    let certain = plan.verdict == Verdict::Fits;
    (certain, tools, plan.max_model_len >= SMALL_CONTEXT, quick, profile.parameters_b.unwrap_or(0.0))
}

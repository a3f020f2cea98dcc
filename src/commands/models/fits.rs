//! What of the profiles would run on a machine: every variant whose size is known is planned, and the best is kept.

use std::cmp::Reverse;

use serde::Serialize;

use crate::engine::{Accelerator, EngineId};
use crate::hardware::{Hardware, VendorId};
use crate::model::{Cache, CacheGroup, Format, Shape, Weights};
use crate::plan::{self, Facts, Installed, LEAST_CONTEXT, LaunchPlan, PlanError, Request, SMALL_CONTEXT, Verdict};
use crate::profile::{ModelProfile, ModelShape, Size, Variant};

/// How well a model fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// With room.
    Fits,
    /// Only when the engine needs less than it usually does.
    Tight,
    /// It does not.
    No,
    /// Nobody says how large it is, or none of its forms is for this machine.
    Unknown,
}

impl Fit {
    /// For the table.
    pub fn word(self) -> &'static str {
        match self {
            Fit::Fits => "fits",
            Fit::Tight => "tight",
            Fit::No => "no",
            Fit::Unknown => "unknown",
        }
    }
}

/// A model on this machine, in the form that does best here.
#[derive(Debug, Clone, Serialize)]
pub struct Candidate {
    /// The profile's name.
    pub name: String,
    /// How well it fits.
    pub fit: Fit,
    /// Why not, or what will work less well than one may expect.
    pub notes: Vec<String>,
    /// The form: its quantisation.
    pub quantization: Option<String>,
    /// Where the form is, on Hugging Face.
    pub hugging_face: Option<String>,
    /// On ModelScope.
    pub model_scope: Option<String>,
    /// Ollama's tag.
    pub ollama: Option<String>,
    /// What would run it.
    pub engine: Option<EngineId>,
    /// On what.
    pub accelerator: Option<Accelerator>,
    /// GPUs it would be spread over.
    pub tensor_parallel: Option<u32>,
    /// The context it would get, tokens.
    pub context: Option<u64>,
    /// Size of the weights.
    pub weights_bytes: Option<u64>,
    /// That size is estimated.
    pub weights_estimated: bool,
    /// How much more memory it would need.
    pub missing_bytes: Option<u64>,
    /// What it can take and do.
    pub capabilities: Vec<String>,
    #[serde(skip)]
    parameters_b: f64,
    #[serde(skip)]
    quick: bool,
}

/// On a processor a model with more active parameters than this, in billions, is too slow to work with.
const QUICK_ON_CPU_B: f64 = 8.0;
/// Weights are not all: where the KV cache cannot be priced, a fit is sure only with a seventh of them to spare.
const SPARE: u64 = 7;

/// Every profile on this machine, the most useful first: what fits before what is tight, then models that call tools,
/// then those with room for a coding agent, then those that are quick enough on a processor, then the larger ones.
pub fn ranked<'a>(
    profiles: impl Iterator<Item = &'a ModelProfile>,
    hardware: &Hardware,
    installed: &[Installed],
) -> Vec<Candidate> {
    let mut candidates: Vec<Candidate> =
        profiles.filter(|p| !p.scripted).map(|p| best(p, hardware, installed)).collect();
    candidates.sort_by(|a, b| {
        let key = |c: &Candidate| {
            let tools = c.capabilities.iter().any(|can| can == "tools");
            (c.fit, Reverse(tools), Reverse(c.context >= Some(SMALL_CONTEXT)), Reverse(c.quick))
        };
        key(a).cmp(&key(b)).then(b.parameters_b.total_cmp(&a.parameters_b)).then(a.name.cmp(&b.name))
    });
    candidates
}

/// The form of a model that does best here.
fn best(profile: &ModelProfile, hardware: &Hardware, installed: &[Installed]) -> Candidate {
    let mut good: Option<(Rank, &Variant, Size, LaunchPlan)> = None;
    let mut refused: Option<(u64, &Variant, Option<Size>, PlanError)> = None;
    let mut why = "none of its forms is made for this machine";
    for variant in profile.variants.iter().filter(|v| made_for(v, hardware)) {
        let Some(size) = profile.size(variant) else {
            why = "nobody says how large it is";
            continue;
        };
        match attempt(profile, variant, size, hardware, installed) {
            Ok(plan) => {
                let rank = rank(&plan, variant, size);
                if good.as_ref().is_none_or(|(best, ..)| rank > *best) {
                    good = Some((rank, variant, size, plan));
                }
            }
            Err(error) => {
                let missing = missing(&error);
                if refused.as_ref().is_none_or(|(least, ..)| missing < *least) {
                    refused = Some((missing, variant, Some(size), error));
                }
            }
        }
    }
    match (good, refused) {
        (Some((_, variant, size, plan)), _) => {
            let fit = if plan.verdict == Verdict::Fits { Fit::Fits } else { Fit::Tight };
            let active = profile.active_b.or(profile.parameters_b);
            Candidate {
                quick: plan.accelerator != Accelerator::Cpu || active.is_some_and(|b| b <= QUICK_ON_CPU_B),
                engine: Some(plan.engine),
                accelerator: Some(plan.accelerator),
                tensor_parallel: Some(plan.tensor_parallel),
                context: Some(plan.max_model_len),
                notes: plan.warnings,
                ..candidate(profile, fit, Some((variant, Some(size))))
            }
        }
        (None, Some((missing, variant, size, error))) => Candidate {
            notes: vec![error.to_string()],
            missing_bytes: (missing < u64::MAX).then_some(missing),
            ..candidate(profile, Fit::No, Some((variant, size)))
        },
        (None, None) => Candidate { notes: vec![why.to_owned()], ..candidate(profile, Fit::Unknown, None) },
    }
}

/// What is known without a plan.
fn candidate(profile: &ModelProfile, fit: Fit, form: Option<(&Variant, Option<Size>)>) -> Candidate {
    let variant = form.map(|(variant, _)| variant);
    let size = form.and_then(|(_, size)| size);
    Candidate {
        name: profile.name.clone(),
        fit,
        notes: Vec::new(),
        quantization: variant.map(|v| v.quantization.clone()),
        hugging_face: variant.and_then(|v| v.hugging_face.clone()),
        model_scope: variant.and_then(|v| v.model_scope.clone()),
        ollama: variant.and_then(|v| v.ollama.clone()),
        engine: None,
        accelerator: None,
        tensor_parallel: None,
        context: None,
        weights_bytes: size.map(|s| s.bytes),
        weights_estimated: size.is_some_and(|s| s.estimated),
        missing_bytes: None,
        capabilities: profile.capabilities.clone(),
        parameters_b: profile.parameters_b.unwrap_or(0.0),
        quick: false,
    }
}

/// Whether this form is for this machine: quantised safetensors want an NVIDIA GPU, NVFP4 one of Blackwell's
/// generation (compute capability 10.0; vLLM's recipes).
fn made_for(variant: &Variant, hardware: &Hardware) -> bool {
    if !variant.needs_gpu() {
        return true;
    }
    let mut capable = hardware.devices.iter().filter(|d| d.usable && d.vendor == VendorId::Nvidia).map(|d| {
        let architecture = d.architecture.as_deref().unwrap_or_default();
        architecture.split('.').next().and_then(|major| major.parse::<u32>().ok())
    });
    match variant.quantization.as_str() {
        "nvfp4" => capable.any(|major| major.is_some_and(|major| major >= 10)),
        _ => capable.next().is_some(),
    }
}

/// Larger is better: certainty, then the GPU, then room for a coding agent, then the engine that is at home on this
/// accelerator, then precision.
type Rank = (bool, bool, bool, u8, u64);

fn rank(plan: &LaunchPlan, variant: &Variant, size: Size) -> Rank {
    let on_gpu = plan.accelerator != Accelerator::Cpu;
    // vLLM on the processor is for trying things out.
    let at_home = match (variant.format.as_str(), on_gpu) {
        (_, true) => 0,
        ("gguf", false) => 2,
        ("ollama", false) => 1,
        _ => 0,
    };
    (plan.verdict == Verdict::Fits, on_gpu, plan.max_model_len >= SMALL_CONTEXT, at_home, size.bytes)
}

/// What falls short in the place that falls short most; all there is when it is no matter of memory.
fn missing(error: &PlanError) -> u64 {
    match error {
        PlanError::DoesNotFit { bills, .. } => {
            bills.iter().map(|b| b.needed_bytes().saturating_sub(b.budget_bytes)).sum::<u64>()
        }
        _ => u64::MAX,
    }
}

fn attempt(
    profile: &ModelProfile,
    variant: &Variant,
    size: Size,
    hardware: &Hardware,
    installed: &[Installed],
) -> Result<LaunchPlan, PlanError> {
    let weights = weights(profile, variant, size);
    let request = Request::default();
    // What else would fit is the very question here, so no other profiles are offered.
    plan::plan(Facts {
        request: &request,
        hardware,
        weights: &weights,
        profile: Some(profile),
        profiles: &[],
        installed,
    })
    .and_then(|plan| with_cache(plan, profile))
}

/// `plan` leaves the KV cache to Ollama, which spills or fails when it is too large: here the context is one that fits.
fn with_cache(mut plan: LaunchPlan, profile: &ModelProfile) -> Result<LaunchPlan, PlanError> {
    let Some(bill) = plan.per_gpu.first_mut().filter(|_| plan.engine == EngineId::Ollama) else { return Ok(plan) };
    let room = bill.budget_bytes.saturating_sub(bill.weights_bytes + bill.overhead_bytes);
    let Some(shape) = &profile.shape else {
        if room < bill.weights_bytes / SPARE {
            plan.verdict = Verdict::Tight;
        }
        return Ok(plan);
    };
    let layers = shape.kv_layers.unwrap_or(shape.layers);
    let per_layer = shape.mla_kv_dim.unwrap_or(2 * shape.kv_heads * shape.head_dim);
    let per_token = (2 * layers * per_layer).max(1);
    let longest = room / per_token / 1024 * 1024;
    if longest < LEAST_CONTEXT.min(plan.max_model_len) {
        bill.kv_bytes_needed = per_token * LEAST_CONTEXT;
        return Err(PlanError::DoesNotFit {
            model: profile.name.clone(),
            why: format!("{LEAST_CONTEXT} tokens of context do not fit"),
            bills: plan.per_gpu,
            nearest: Vec::new(),
        });
    }
    plan.max_model_len = plan.max_model_len.min(longest.max(LEAST_CONTEXT));
    bill.kv_bytes_needed = per_token * plan.max_model_len;
    plan.kv_bytes_per_token = Some(per_token);
    Ok(plan)
}

/// The weights of a variant that need not be here: what its profile says stands for the headers.
fn weights(profile: &ModelProfile, variant: &Variant, size: Size) -> Weights {
    let format = match variant.format.as_str() {
        "gguf" => Format::Gguf,
        "ollama" => Format::OllamaTag,
        _ => Format::Safetensors,
    };
    Weights {
        format,
        path: None,
        tag: variant.ollama.clone(),
        bytes: Some(size.bytes),
        architecture: profile.architectures.first().cloned(),
        quantization: Some(variant.quantization.clone()),
        context_max: profile.context_max,
        shape: profile.shape.as_ref().map(shape),
        chat_template: true,
    }
}

fn shape(shape: &ModelShape) -> Shape {
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
        intermediate: None,
        experts: shape.experts,
        experts_per_token: None,
        moe_intermediate: shape.moe_intermediate,
        dense_layers: 0,
        // Layers whose cache does not grow are as good as none here.
        cache: vec![CacheGroup { layers: shape.kv_layers.unwrap_or(shape.layers), cache, window: None }],
        cache_unknown: false,
        draft_layers: 0,
        vision: false,
        kv_fp8: false,
        quant_block: None,
    }
}

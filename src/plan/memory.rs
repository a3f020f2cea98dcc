//! What vLLM needs on one GPU: weights, activations, CUDA graphs, and what that leaves for the KV cache.
//!
//! The budget is vLLM's own (`v1/worker/utils.request_memory`, `gpu_worker.determine_available_memory`, 0.33):
//! share × total − weights − activation peak − runtime − CUDA graphs. The terms below are fitted to what start logs
//! print; each says to which.

use super::flags::Flags;
use crate::hardware::{Device, Memory, VendorId, memory_for_cuda};
use crate::model::{CacheTerms, KvKind, Layout, Shape};

const GIB: u64 = 1 << 30;

/// What a CUDA context takes before vLLM looks (A100: 79.25 GiB in all, 78.84 free at start).
const CONTEXT: u64 = 4 * GIB / 10;

/// What vLLM's own processes hold of main memory (0.32 on Linux: API server 1.0, engine 0.95, worker 2.1 GB).
const PROCESSES: u64 = 4 * GIB;

/// Copies of the float32 logits that sampling holds at its peak (Llama 8B on A100, Qwen2.5 7B on 16 GB: about 5).
const SAMPLER_COPIES: u64 = 5;

/// The image encoder's peak (Gemma 4 31B 0.9 GiB, LLaVA 7B 0.7 GiB).
const ENCODER: u64 = GIB;

/// The runtime's own (0.06 to 0.35 GiB in start logs), and more where ranks talk to each other.
const RUNTIME: u64 = 3 * GIB / 10;

/// With an image encoder this share of the GPU must stay outside vLLM's: a Qwen3-VL 30B with 0.95 of an A100 started
/// and ran out of memory at work, with 0.9 it did not.
pub(super) const ENCODER_OUTSIDE: f64 = 0.0505;

/// One way to run a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spread {
    /// Tensor-parallel size.
    pub tensor: u64,
    /// Pipeline-parallel size.
    pub pipeline: u64,
    /// Data-parallel size.
    pub data: u64,
    /// Experts are kept whole and spread over all GPUs.
    pub expert_parallel: bool,
}

impl Spread {
    /// GPUs it takes.
    pub(super) fn gpus(self) -> u64 {
        self.tensor.saturating_mul(self.pipeline).saturating_mul(self.data)
    }
}

/// The model and how vLLM would be told to run it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Job<'a> {
    pub shape: Option<&'a Shape>,
    pub file_bytes: u64,
    pub quantization: Option<&'a str>,
    pub flags: &'a Flags,
    /// The engine's version, when it is known; else the newest is meant.
    pub version: Option<(u32, u32)>,
    /// The context to aim at.
    pub context: u64,
}

/// The memory of the weakest GPU of those that share the work.
#[derive(Debug, Clone, Copy)]
pub(super) struct Card {
    /// What CUDA sees.
    pub total: u64,
    /// What is free of it now.
    pub free: u64,
    /// The engine's defaults are smaller on A100 and on GPUs that share the system's memory.
    pub small_steps: bool,
}

impl Card {
    pub(super) fn weakest(gpus: &[&Device], main: Memory) -> Card {
        let cuda = |g: &Device| g.vendor == VendorId::Nvidia && !g.unified;
        let seen = |g: &Device| if cuda(g) { memory_for_cuda(g.memory_total_bytes) } else { g.memory_total_bytes };
        let free = |g: &Device| {
            let mut free = g.memory_free_bytes.unwrap_or(g.memory_total_bytes);
            if g.unified {
                // Main memory under another name: what is free of that counts, and the engine's processes need some.
                let available = if main.available_bytes > 0 { main.available_bytes } else { free };
                free = free.min(available.saturating_sub(PROCESSES));
            }
            free.saturating_sub(CONTEXT).min(seen(g))
        };
        Card {
            total: gpus.iter().map(|g| seen(g)).min().unwrap_or(0),
            free: gpus.iter().map(|g| free(g)).min().unwrap_or(0),
            small_steps: gpus.iter().any(|g| g.unified || g.name.to_ascii_uppercase().contains("A100")),
        }
    }
}

/// What one rank takes, the KV cache apart.
#[derive(Debug, Clone)]
pub(super) struct Rank {
    pub weights: u64,
    pub activation: u64,
    pub runtime: u64,
    pub graphs: u64,
    /// What it takes on at once.
    pub takes: Lean,
    /// What it would by itself.
    pub own: Lean,
    pub layout: Option<Layout>,
}

impl Rank {
    /// Prices one rank; `lean`: in place of the engine's own numbers.
    pub(super) fn price(job: &Job<'_>, spread: Spread, card: Card, lean: Option<Lean>) -> Rank {
        let own = defaults(job, card);
        // The first engine could not cut a prompt into steps.
        let lean = lean.filter(|_| job.version.is_none_or(|v| v >= (0, 8))).unwrap_or(own);
        let steps = job.flags.batched_tokens.unwrap_or(lean.steps.min(own.steps));
        // No more sequences can be in a step than tokens.
        let sequences = job.flags.sequences.unwrap_or(lean.sequences.min(own.sequences)).min(steps);
        let weights = weights(job, spread).saturating_sub(job.flags.cpu_offload_gib.saturating_mul(GIB));
        let graphs = if job.flags.eager { 0 } else { job.shape.map_or(GIB / 2, |s| graphs(s, sequences)) };
        let layout = job.shape.map(|shape| {
            shape.layout(&CacheTerms {
                tensor: spread.tensor,
                pipeline: spread.pipeline,
                decode_context: job.flags.decode_context.unwrap_or(1),
                element_bytes: job.flags.element_bytes(shape.kv_fp8),
                batched_tokens: steps,
                speculative: job.flags.speculative,
            })
        });
        Rank {
            weights,
            activation: activation(job, spread, steps, sequences, weights),
            runtime: if spread.gpus() > 1 { RUNTIME + GIB / 4 } else { RUNTIME },
            // Before 0.21 graphs were captured outside the budget.
            graphs: if job.version.is_none_or(|v| v >= (0, 21)) { graphs } else { 0 },
            takes: Lean { steps, sequences },
            own,
            layout,
        }
    }

    /// What is left for the cache of `budget`; `share` of what is only estimated is held against it.
    pub(super) fn cache_room(&self, budget: u64, share: f64) -> u64 {
        let estimated = (self.overhead() as f64 * share) as u64;
        budget.saturating_sub(self.weights).saturating_sub(estimated)
    }

    /// All but weights and cache.
    pub(super) fn overhead(&self) -> u64 {
        self.activation.saturating_add(self.runtime).saturating_add(self.graphs)
    }
}

/// How much vLLM takes on at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lean {
    /// Tokens of one step.
    pub steps: u64,
    /// Sequences at once.
    pub sequences: u64,
}

/// The engine's own on GPUs below 70 GiB.
pub(super) const SMALL: Lean = Lean { steps: 2048, sequences: 256 };

/// What the engine takes on unless flags say (vLLM 0.33 `EngineArgs`, serving; by memory).
fn defaults(job: &Job<'_>, card: Card) -> Lean {
    match (job.version, card.total / GIB) {
        // The first engine took a whole prompt in one step.
        (Some(version), _) if version < (0, 8) => Lean { steps: job.context.max(2048), sequences: 256 },
        (_, 0..70) => SMALL,
        _ if card.small_steps => SMALL,
        (_, 70..160) => Lean { steps: 8192, sequences: 1024 },
        _ => Lean { steps: 16384, sequences: 1024 },
    }
}

/// Weights of one rank, as loaded.
fn weights(job: &Job<'_>, spread: Spread) -> u64 {
    // Loaded over file: Llama 8B 15.0 of 14.96 GiB, Qwen2.5 7B AWQ 5.29 of 5.19, Gemma 4 31B FP8 31.7 of 31.0,
    // gpt-oss 120B 66.0 of 60.8 (MXFP4 is repacked).
    let loaded = match job.quantization {
        None => 1.005,
        Some("mxfp4") => 1.085,
        Some(_) => 1.02,
    };
    let all = job.file_bytes as f64 * loaded;
    let share = job.shape.map_or(0.0, Shape::expert_share);
    // The largest stage counts when layers do not divide evenly.
    let stage = match job.shape.map(|s| s.layers) {
        Some(layers) if layers > 0 => layers.div_ceil(spread.pipeline) as f64 / layers as f64,
        _ => 1.0 / spread.pipeline.max(1) as f64,
    };
    let tensor = spread.tensor.max(1) as f64;
    let copies = if spread.expert_parallel { spread.data.max(1) as f64 } else { 1.0 };
    (all * stage / tensor * ((1.0 - share) + share / copies)) as u64
}

/// The peak of one step: what flows through a block for its tokens, and sampling.
fn activation(job: &Job<'_>, spread: Spread, steps: u64, sequences: u64, weights: u64) -> u64 {
    let Some(shape) = job.shape else { return 3 * GIB / 2 };
    let sum = |parts: &[u64]| parts.iter().fold(0u64, |a, b| a.saturating_add(*b));
    // Gate, up and their product, in 16 bits, beside hidden states: on V0 logs 110 KB per token of a Llama 8B.
    let block = |inner: u64| sum(&[inner.saturating_mul(3) / spread.tensor.max(1), shape.hidden.saturating_mul(3)]);
    let per_token = match (shape.experts, shape.moe_intermediate) {
        (Some(_), Some(inner)) => {
            let cut = if spread.expert_parallel { 1 } else { spread.tensor.max(1) };
            let one = sum(&[inner.saturating_mul(3) / cut, shape.hidden]);
            one.saturating_mul(shape.experts_per_token.unwrap_or(8))
        }
        _ => block(shape.intermediate.unwrap_or(shape.hidden.saturating_mul(4))),
    };
    let flow = steps.saturating_mul(per_token).saturating_mul(2);
    let sampling = [sequences, shape.vocab, 4, SAMPLER_COPIES].into_iter().fold(1u64, u64::saturating_mul);
    let encoder = if shape.vision && !job.flags.language_only { ENCODER } else { 0 };
    // Two H100 logs of gpt-oss 120B show 5 to 6 GiB more than its steps explain: repacking counts into the peak.
    let repacking = if job.quantization == Some("mxfp4") { weights / 1000 * 85 } else { 0 };
    sum(&[flow, sampling, encoder, repacking])
}

/// CUDA graphs for up to `sequences` at once.
fn graphs(shape: &Shape, sequences: u64) -> u64 {
    // Dense: Llama 8B 0.23 GiB. Experts and hybrids: Qwen3 235B 3.45; with few sequences 0.14 to 0.28.
    let rich = shape.experts.is_some() || matches!(shape.kv_kind(), KvKind::Linear | KvKind::Mamba);
    let each = if rich { 9_500 } else { 1_500 };
    let full = shape.layers.saturating_mul(shape.hidden).saturating_mul(each).min(7 * GIB / 2);
    let captured = u128::from(full) * u128::from(sequences.min(256)) / 256;
    GIB / 10 + u64::try_from(captured).unwrap_or(full)
}

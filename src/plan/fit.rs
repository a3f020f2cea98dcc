//! The arithmetic of memory: what the weights, the KV cache and the engine need, and where that fits.
//! Rules and constants: vLLM 0.33 `request_memory` / `determine_available_memory` and published start logs.

use super::choose::Choice;
use super::{Bill, Facts, LEAST_CONTEXT, PlanError, Reason, Verdict, WANTED_CONTEXT, nearest};
use crate::engine::{Accelerator, EngineId};
use crate::hardware::Device;
use crate::model::Shape;
use crate::output::bytes;

const GIB: u64 = 1 << 30;

/// NVML counts about this much more memory than CUDA hands out (24 GB … 141 GB cards: 0.45–0.75 GiB).
const HIDDEN_FROM_CUDA: u64 = 6 * GIB / 10;

/// Loaded weights are a little larger than their files (repacking, padding).
const LOADED_OVER_FILE: f64 = 1.03;

/// vLLM's default share when nothing was asked; its own default moved between 0.9 and 0.92.
const UTILIZATION: f64 = 0.9;

/// What fits, with the choices made on the way.
#[derive(Debug, Clone)]
pub(super) struct Fitted {
    pub verdict: Verdict,
    pub devices: Vec<u32>,
    pub tensor_parallel: u32,
    pub utilization: f64,
    pub context: u64,
    pub kv_bytes_per_token: Option<u64>,
    pub kv_cache_gib: u64,
    pub bills: Vec<Bill>,
    pub reasons: Vec<Reason>,
    pub warnings: Vec<String>,
}

/// Finds sizes that fit, or says by how much they do not.
pub(super) fn fit(facts: &Facts<'_>, choice: &Choice) -> Result<Fitted, PlanError> {
    match (choice.engine, choice.accelerator) {
        (EngineId::Vllm, Accelerator::Cuda) => vllm_on_gpus(facts),
        // Ollama places the model itself; the tag's size is not known before it is pulled.
        (EngineId::Ollama, _) => ollama(facts),
        _ => in_memory(facts, choice),
    }
}

fn reason(choice: impl Into<String>, because: impl Into<String>) -> Reason {
    Reason { choice: choice.into(), because: because.into() }
}

/// The context to aim at, and why.
fn wanted_context(facts: &Facts<'_>) -> Result<(u64, String), PlanError> {
    let own = facts.weights.context_max.or(facts.profile.and_then(|p| p.context_max));
    if let Some(asked) = facts.request.context {
        if let Some(own) = own
            && asked > own
        {
            return Err(PlanError::Impossible(
                format!("a context of {asked} tokens is more than the model was made for ({own})"),
                vec![format!("use `--context {own}` or less")],
            ));
        }
        return Ok((asked, "you asked for it".into()));
    }
    Ok(match own {
        Some(own) if own <= WANTED_CONTEXT => (own, "it is the model's own".into()),
        Some(own) => (
            WANTED_CONTEXT,
            format!("enough for long agent sessions; the model's own is {own}, ask for more with --context"),
        ),
        None => (WANTED_CONTEXT, "the model does not say its own".into()),
    })
}

fn weights_bytes(facts: &Facts<'_>) -> u64 {
    facts.weights.bytes.unwrap_or(0)
}

/// Bytes of KV cache one token takes on one GPU of `tp`, for 16-bit elements.
fn kv_per_token(shape: &Shape, tp: u64) -> u64 {
    match shape.mla_kv_dim {
        // MLA keeps one latent per layer, on every rank.
        Some(latent) => shape.layers * latent * 2,
        // Fewer KV heads than ranks are replicated, never split.
        None => 2 * shape.layers * (shape.kv_heads / tp.max(1)).max(1) * shape.head_dim * 2,
    }
}

/// What vLLM takes besides weights and KV cache, on one GPU.
fn vllm_overhead(shape: Option<&Shape>, total: u64, tp: u64) -> u64 {
    // Batched tokens per step grow with the card (vLLM 0.33 defaults).
    let batched = match total / GIB {
        0..70 => 2048,
        70..160 => 8192,
        _ => 16384,
    };
    let hidden = shape.map_or(4096, |s| s.hidden);
    let graphs = if tp >= 8 { 2 * GIB } else { GIB / 2 };
    3 * GIB / 2 + hidden * batched * 40 + graphs
}

fn vllm_on_gpus(facts: &Facts<'_>) -> Result<Fitted, PlanError> {
    let mut gpus: Vec<&Device> = facts.hardware.nvidia().collect();
    // The emptiest first; a busy GPU is the last choice.
    gpus.sort_by_key(|d| std::cmp::Reverse(d.memory_free_bytes.unwrap_or(d.memory_total_bytes)));
    let shape = facts.weights.shape.as_ref();
    let (wanted, because) = wanted_context(facts)?;

    let sizes = parallel_sizes(facts, gpus.len())?;
    let tries: Vec<Try> = sizes.iter().map(|tp| Try::new(facts, &gpus[..*tp as usize], *tp, wanted)).collect();
    let good = tries.iter().find(|t| t.context >= wanted && t.verdict == Verdict::Fits);
    let best = good.or_else(|| tries.iter().max_by_key(|t| (t.context, std::cmp::Reverse(t.tp))));
    let Some(best) = best else {
        return Err(PlanError::Impossible("there is no usable GPU".into(), vec!["see `llmup doctor`".into()]));
    };
    let enough = if facts.request.context.is_some() { best.context >= wanted } else { best.context >= LEAST_CONTEXT };
    if !enough {
        let budget: u64 = gpus.iter().map(|g| g.memory_total_bytes).sum();
        let mut hints = Vec::new();
        if facts.request.context.is_some() && best.context >= LEAST_CONTEXT {
            hints.push(format!("{} tokens would fit: `--context {}`", best.context, best.context));
        }
        hints.extend(nearest::that_fit(facts, budget));
        let why = if best.context == 0 {
            "the weights leave no room".into()
        } else {
            format!("{wanted} tokens of context do not fit")
        };
        return Err(PlanError::DoesNotFit {
            model: nearest::name(facts),
            why,
            bills: best.bills.clone(),
            nearest: hints,
        });
    }

    let mut reasons = Vec::new();
    let over = if best.tp == 1 { "1 GPU".to_owned() } else { format!("{} GPUs", best.tp) };
    let tp_reason = match (facts.request.tensor_parallel, best.tp) {
        (Some(_), _) => "you asked for it".to_owned(),
        (None, 1) => "the model fits on one".to_owned(),
        (None, n) => format!(
            "the fewest that hold the weights and the context (of {} there are, {n} divides the heads)",
            gpus.len()
        ),
    };
    reasons.push(reason(format!("spread over {over}"), tp_reason));
    let because = if best.context < wanted { format!("the longest that fits; wanted were {wanted}") } else { because };
    reasons.push(reason(format!("context: {}", best.context), because));
    let because = if facts.request.utilization.is_some() {
        "you asked for it".to_owned()
    } else if best.utilization < UTILIZATION {
        "other programs hold memory on the GPU, and vLLM counts its share of all of it".to_owned()
    } else {
        "passed explicitly, because vLLM's own default differs between versions".to_owned()
    };
    reasons.push(reason(format!("GPU memory share: {:.2}", best.utilization), because));

    let mut warnings = Vec::new();
    if best.verdict == Verdict::Tight {
        warnings.push("this is tight: if the engine runs out of memory, lower --context".into());
    }
    if shape.is_none() {
        warnings.push("the model's shape is unknown, so the KV cache is not part of the bill".into());
    }
    Ok(Fitted {
        verdict: best.verdict,
        devices: best.devices.clone(),
        tensor_parallel: best.tp,
        utilization: best.utilization,
        context: best.context.min(wanted),
        kv_bytes_per_token: shape.map(|s| kv_per_token(s, u64::from(best.tp))),
        kv_cache_gib: 0,
        bills: best.bills.clone(),
        reasons,
        warnings,
    })
}

/// One tensor-parallel size, priced.
struct Try {
    tp: u32,
    devices: Vec<u32>,
    utilization: f64,
    /// The longest context that fits, at most what is wanted; 0 when the weights alone do not.
    context: u64,
    verdict: Verdict,
    bills: Vec<Bill>,
}

impl Try {
    fn new(facts: &Facts<'_>, gpus: &[&Device], tp: u32, wanted: u64) -> Try {
        let shape = facts.weights.shape.as_ref();
        let ranks = u64::from(tp);
        let weights = (weights_bytes(facts) as f64 * LOADED_OVER_FILE) as u64 / ranks;
        // The GPU with the least decides: every rank gets the same share.
        let cuda = |g: &Device| g.memory_total_bytes.saturating_sub(HIDDEN_FROM_CUDA);
        let total = gpus.iter().map(|g| cuda(g)).min().unwrap_or(0);
        let free = gpus
            .iter()
            .map(|g| {
                g.memory_free_bytes.unwrap_or(g.memory_total_bytes).saturating_sub(HIDDEN_FROM_CUDA / 2).min(cuda(g))
            })
            .min()
            .unwrap_or(0);
        let utilization = facts.request.utilization.unwrap_or_else(|| {
            let possible = if total == 0 { 0.0 } else { free as f64 / total as f64 };
            // Rounded down to what is passed on the command line.
            (possible.min(UTILIZATION) * 100.0).floor() / 100.0
        });
        let budget = (total as f64 * utilization) as u64;
        let overhead = vllm_overhead(shape, total, ranks);
        let per_token = shape.map_or(0, |s| kv_per_token(s, ranks));
        let longest = |overhead: u64| -> u64 {
            let room = budget.min(free).saturating_sub(weights).saturating_sub(overhead);
            match room.checked_div(per_token) {
                None if room > 0 => wanted,
                None => 0,
                // Whole kibitokens, unless all that is wanted fits.
                Some(tokens) if tokens >= wanted => wanted,
                Some(tokens) => tokens / 1024 * 1024,
            }
        };
        // The overhead is the uncertain part: refuse only when its small end does not fit either.
        let (usual, least) = (longest(overhead), longest(overhead * 6 / 10));
        let (context, verdict) =
            if usual >= LEAST_CONTEXT.min(wanted) { (usual, Verdict::Fits) } else { (least, Verdict::Tight) };
        let bill = |g: &&Device| Bill {
            place: format!("GPU {} ({})", g.index, g.name),
            weights_bytes: weights,
            kv_bytes: per_token * if context == 0 { wanted } else { context },
            overhead_bytes: overhead,
            budget_bytes: budget.min(free),
            total_bytes: g.memory_total_bytes,
        };
        let mut devices: Vec<u32> = gpus.iter().map(|g| g.index).collect();
        devices.sort_unstable();
        Try { tp, devices, utilization, context, verdict, bills: gpus.iter().map(bill).collect() }
    }
}

/// Tensor-parallel sizes that are possible at all, smallest first.
fn parallel_sizes(facts: &Facts<'_>, gpus: usize) -> Result<Vec<u32>, PlanError> {
    let shape = facts.weights.shape.as_ref();
    let divides = |tp: u32| shape.is_none_or(|s| s.heads.is_multiple_of(u64::from(tp)));
    // FP8 block quantisation: each rank's slice of an expert must be whole blocks of 128.
    let block = facts.weights.quantization.as_deref() == Some("fp8");
    let whole = |tp: u32| {
        !block
            || shape
                .and_then(|s| s.moe_intermediate)
                .is_none_or(|inner| inner.is_multiple_of(u64::from(tp)) && (inner / u64::from(tp)).is_multiple_of(128))
    };
    let gpus = u32::try_from(gpus).unwrap_or(u32::MAX);
    if let Some(asked) = facts.request.tensor_parallel {
        if asked == 0 || asked > gpus {
            return Err(PlanError::Impossible(
                format!("a tensor-parallel size of {asked} needs as many usable GPUs; there are {gpus}"),
                vec!["leave out `--tensor-parallel-size`, or see `llmup doctor`".into()],
            ));
        }
        if !divides(asked) {
            let heads = shape.map_or(0, |s| s.heads);
            return Err(PlanError::Impossible(
                format!("a tensor-parallel size of {asked} does not divide the model's {heads} attention heads"),
                (1..=gpus)
                    .rev()
                    .filter(|t| divides(*t))
                    .take(1)
                    .map(|t| format!("use `--tensor-parallel-size {t}`"))
                    .collect(),
            ));
        }
        return Ok(vec![asked]);
    }
    Ok((1..=gpus).filter(|tp| divides(*tp) && whole(*tp)).collect())
}

/// llama.cpp anywhere, and vLLM on the processor: one pool of memory.
fn in_memory(facts: &Facts<'_>, choice: &Choice) -> Result<Fitted, PlanError> {
    let memory = facts.hardware.memory;
    let gpus: Vec<&Device> = match choice.accelerator {
        Accelerator::Cuda => facts.hardware.nvidia().collect(),
        _ => Vec::new(),
    };
    let on_gpu: u64 =
        gpus.iter().map(|g| g.memory_free_bytes.unwrap_or(g.memory_total_bytes).saturating_sub(GIB)).sum();
    // 5 % stay for the rest of the system.
    let in_ram = memory.available_bytes / 20 * 19;
    let budget = on_gpu + in_ram;
    let vllm = choice.engine == EngineId::Vllm;
    let shape = facts.weights.shape.as_ref();
    let weights = weights_bytes(facts);
    // llama.cpp: compute buffers. vLLM on the processor: three Python processes (measured 4 GB together).
    let overhead = if vllm { 4 * GIB } else { GIB / 4 + shape.map_or(0, |s| s.vocab.saturating_mul(4 * 512)) };
    let per_token = shape.map_or(0, |s| kv_per_token(s, 1));
    let (wanted, mut because) = wanted_context(facts)?;

    let room = budget.saturating_sub(weights).saturating_sub(overhead);
    let longest = match room.checked_div(per_token) {
        None if room > 0 => wanted,
        None => 0,
        Some(tokens) if tokens >= wanted => wanted,
        Some(tokens) => tokens / 1024 * 1024,
    };
    let bill = |context: u64| Bill {
        place: if gpus.is_empty() { "memory".into() } else { format!("{} GPU(s) and memory", gpus.len()) },
        weights_bytes: weights,
        kv_bytes: per_token * context,
        overhead_bytes: overhead,
        budget_bytes: budget,
        total_bytes: gpus.iter().map(|g| g.memory_total_bytes).sum::<u64>() + memory.total_bytes,
    };
    let least = if facts.request.context.is_some() { wanted } else { LEAST_CONTEXT.min(wanted) };
    if longest < least {
        let mut hints = Vec::new();
        if longest >= LEAST_CONTEXT {
            hints.push(format!("{longest} tokens would fit: `--context {longest}`"));
        }
        hints.extend(nearest::that_fit(facts, budget));
        let why = if longest == 0 {
            "the weights leave no room".into()
        } else {
            format!("{least} tokens of context do not fit")
        };
        return Err(PlanError::DoesNotFit {
            model: nearest::name(facts),
            why,
            bills: vec![bill(least)],
            nearest: hints,
        });
    }
    if longest < wanted {
        because = format!("the longest that fits; wanted were {wanted}");
    }
    let mut warnings = Vec::new();
    if !gpus.is_empty() && weights > on_gpu {
        warnings.push(format!(
            "{} of weights and {} of GPU memory: part of the model runs on the processor, many times slower",
            bytes(weights),
            bytes(on_gpu)
        ));
    }
    if shape.is_none() {
        warnings.push("the model's shape is unknown, so the KV cache is not part of the bill".into());
    }
    if vllm {
        warnings.push("vLLM on the processor is for trying things out; a GGUF with llama.cpp is faster there".into());
    }
    Ok(Fitted {
        verdict: Verdict::Fits,
        devices: gpus.iter().map(|g| g.index).collect(),
        tensor_parallel: 1,
        utilization: UTILIZATION,
        context: longest,
        kv_bytes_per_token: shape.map(|s| kv_per_token(s, 1)),
        kv_cache_gib: (per_token * longest).div_ceil(GIB).max(1),
        bills: vec![bill(longest)],
        reasons: vec![reason(format!("context: {longest}"), because)],
        warnings,
    })
}

/// Ollama splits a model between GPUs and memory by itself; only their sum can be too small.
fn ollama(facts: &Facts<'_>) -> Result<Fitted, PlanError> {
    let asked = facts.request.context;
    let own = facts.weights.context_max.or(facts.profile.and_then(|p| p.context_max));
    let context = asked.unwrap_or_else(|| own.unwrap_or(u64::MAX).min(64 * 1024));
    let because = if asked.is_some() {
        "you asked for it"
    } else {
        "Ollama's own default can be 4096, less than a coding agent's first prompt"
    };
    let usable = facts.hardware.devices.iter().filter(|d| d.usable && !d.unified);
    let on_gpu: u64 = usable.map(|d| d.memory_free_bytes.unwrap_or(d.memory_total_bytes)).sum();
    let budget = on_gpu + facts.hardware.memory.available_bytes / 20 * 19;
    let mut bills = Vec::new();
    let mut warnings = Vec::new();
    match facts.weights.bytes {
        Some(weights) => bills.push(Bill {
            place: if on_gpu > 0 { "GPUs and memory".into() } else { "memory".into() },
            weights_bytes: weights,
            kv_bytes: 0,
            overhead_bytes: GIB / 2,
            budget_bytes: budget,
            total_bytes: on_gpu + facts.hardware.memory.total_bytes,
        }),
        None => warnings
            .push("the size of this tag is not known before it is pulled; Ollama says if it does not fit".into()),
    }
    if bills.iter().any(|b| b.needed_bytes() > b.budget_bytes) {
        let nearest = nearest::that_fit(facts, budget);
        return Err(PlanError::DoesNotFit {
            model: nearest::name(facts),
            why: "the weights leave no room".into(),
            bills,
            nearest,
        });
    }
    Ok(Fitted {
        verdict: Verdict::Fits,
        devices: Vec::new(),
        tensor_parallel: 1,
        utilization: UTILIZATION,
        context,
        kv_bytes_per_token: None,
        kv_cache_gib: 0,
        bills,
        reasons: vec![reason(format!("context: {context}"), because)],
        warnings,
    })
}

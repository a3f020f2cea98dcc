//! Engines that see one pool of memory: llama.cpp and Ollama spread a model over GPUs and main memory by themselves,
//! vLLM on the processor has main memory only.

use super::budget::Pool;
use super::choose::Choice;
use super::fit::{Fitted, reason, wanted_context};
use super::{Bill, Facts, LEAST_CONTEXT, PlanError, Verdict, nearest};
use crate::engine::EngineId;
use crate::hardware::Device;
use crate::model::{CacheTerms, Layout};
use crate::output::bytes;

const GIB: u64 = 1 << 30;

/// llama.cpp anywhere, and vLLM on the processor: one pool of memory.
pub(super) fn fit(facts: &Facts<'_>, choice: &Choice<'_>) -> Result<Fitted, PlanError> {
    let gpus: &[&Device] = &choice.devices;
    let pool = Pool::of(choice, facts.hardware.memory);
    let (on_gpu, budget) = (pool.on_devices, pool.bytes());
    let vllm = choice.engine == EngineId::Vllm;
    let shape = facts.weights.shape.as_ref();
    let weights = facts.weights.bytes.unwrap_or(0);
    // llama.cpp: compute buffers. vLLM on the processor: three Python processes (measured 4 GB together).
    let overhead =
        if vllm { 4 * GIB } else { (GIB / 4).saturating_add(shape.map_or(0, |s| s.vocab.saturating_mul(4 * 512))) };
    let layout = shape.map(|s| s.layout(&CacheTerms::default()));
    let (wanted, mut because) = wanted_context(facts, facts.request.context)?;

    let room = budget.saturating_sub(weights).saturating_sub(overhead);
    let longest = match &layout {
        None if room > 0 => wanted,
        None => 0,
        Some(layout) => match layout.longest(room, wanted) {
            all if all >= wanted => wanted,
            part => part / 1024 * 1024,
        },
    };
    let needed = |tokens: u64| layout.as_ref().map_or(0, |l| l.needed(tokens));
    let bill = |context: u64| Bill {
        place: if gpus.is_empty() { "memory".into() } else { format!("{} GPU(s) and memory", gpus.len()) },
        weights_bytes: weights,
        kv_bytes_needed: needed(context),
        kv_bytes_available: room,
        kv_tokens: layout.as_ref().map(|l| l.tokens_in(room, context)),
        activation_bytes: overhead,
        graph_bytes: 0,
        overhead_bytes: overhead,
        budget_bytes: budget,
        total_bytes: pool.total,
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
        utilization: 0.0,
        context: longest,
        kv_bytes_per_token: layout.as_ref().map(Layout::bytes_per_token),
        kv_cache_gib: needed(longest).div_ceil(GIB).max(1),
        args: Vec::new(),
        bills: vec![bill(longest)],
        reasons: vec![reason(format!("context: {longest}"), because)],
        warnings,
    })
}

/// Ollama splits a model between GPUs and memory by itself; only their sum can be too small.
pub(super) fn ollama(facts: &Facts<'_>, choice: &Choice<'_>) -> Result<Fitted, PlanError> {
    let asked = facts.request.context;
    let own = facts.weights.context_max.or(facts.profile.and_then(|p| p.context_max));
    let context = asked.unwrap_or_else(|| own.unwrap_or(u64::MAX).min(64 * 1024));
    let because = if asked.is_some() {
        "you asked for it"
    } else {
        "Ollama's own default can be 4096, less than a coding agent's first prompt"
    };
    let pool = Pool::of(choice, facts.hardware.memory);
    let (on_gpu, budget) = (pool.on_devices, pool.bytes());
    let mut bills = Vec::new();
    let mut warnings = Vec::new();
    match facts.weights.bytes {
        Some(weights) => bills.push(Bill {
            place: if on_gpu > 0 { "GPUs and memory".into() } else { "memory".into() },
            weights_bytes: weights,
            kv_bytes_needed: 0,
            kv_bytes_available: budget.saturating_sub(weights),
            kv_tokens: None,
            activation_bytes: GIB / 2,
            graph_bytes: 0,
            overhead_bytes: GIB / 2,
            budget_bytes: budget,
            total_bytes: pool.total,
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
        utilization: 0.0,
        context,
        kv_bytes_per_token: None,
        kv_cache_gib: 0,
        args: Vec::new(),
        bills,
        reasons: vec![reason(format!("context: {context}"), because)],
        warnings,
    })
}

//! Asks a started engine for its own sizes, and puts the plan's beside them.

use std::path::Path;
use std::time::Duration;

use super::backend::Backend;
use super::launch;
use crate::engine::{Accelerator, EngineId, Measured, readback};
use crate::plan::LaunchPlan;
use crate::state::Sizes;

/// How long an engine that has just said it is ready may take to answer.
const LIMIT: Duration = Duration::from_secs(3);
/// Longer answers are not what was asked for.
const LONGEST: usize = 4 << 20;

/// What vLLM or llama.cpp says of itself: its API, and where that is silent its log.
pub async fn engine(engine: EngineId, port: u16, log: &Path, key: &str, model: &str) -> Measured {
    let base = format!("http://{}", launch::address(port));
    let told = match engine {
        EngineId::Vllm => get(&format!("{base}/v1/models"), Some(key)).await.map(|b| readback::vllm_models(&b, model)),
        EngineId::LlamaCpp => get(&format!("{base}/props"), Some(key)).await.map(|b| readback::llama_props(&b)),
        EngineId::Ollama => None,
    };
    let mut logged = readback::log(engine, &launch::read_end(log));
    // Its health answer can overtake its log by a moment.
    for _ in 0..5 {
        if logged.context.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        logged = readback::log(engine, &launch::read_end(log));
    }
    told.unwrap_or_default().or(logged)
}

/// The body of a 200 answer.
pub async fn get(url: &str, key: Option<&str>) -> Option<Vec<u8>> {
    let ask = async {
        let mut request = super::ollama::client().ok()?.get(url);
        if let Some(key) = key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let mut response = request.send().await.ok().filter(|answer| answer.status().is_success())?;
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.ok()? {
            body.extend_from_slice(&piece);
            if body.len() > LONGEST {
                return None;
            }
        }
        Some(body)
    };
    tokio::time::timeout(LIMIT, ask).await.ok().flatten()
}

/// The plan in the terms an engine reports in.
pub fn planned(plan: &LaunchPlan) -> Sizes {
    let bills = &plan.per_gpu;
    let one = plan.engine == EngineId::Vllm;
    let of = |size: fn(&crate::plan::Bill) -> u64| {
        let sizes = bills.iter().map(size);
        if one { sizes.max() } else { sizes.reduce(u64::saturating_add) }
    };
    let kv_bytes = match (plan.engine, plan.accelerator) {
        (EngineId::Vllm, Accelerator::Cpu) => plan.kv_cache_gib.checked_mul(1 << 30),
        // It fills what is left of its share, the least of all GPUs.
        (EngineId::Vllm, _) => bills.iter().map(|bill| bill.kv_bytes_available).min(),
        // These reserve what one conversation needs.
        _ => of(|bill| bill.kv_bytes_needed),
    };
    let kv_tokens = match plan.engine {
        EngineId::Vllm => match (plan.accelerator, kv_bytes, plan.kv_bytes_per_token) {
            (Accelerator::Cpu, Some(bytes), Some(each)) => bytes.checked_div(each),
            _ => bills.iter().filter_map(|bill| bill.kv_tokens).min(),
        },
        EngineId::LlamaCpp => Some(plan.max_model_len),
        EngineId::Ollama => None,
    };
    let some = |bytes: Option<u64>| bytes.filter(|n| *n > 0);
    Sizes {
        context: Some(plan.max_model_len),
        kv_tokens,
        kv_bytes: some(kv_bytes),
        weights_bytes: some(of(|bill| bill.weights_bytes)),
        compute_bytes: some(of(|bill| bill.activation_bytes)),
        graph_bytes: some(of(|bill| bill.graph_bytes)),
        total_bytes: some(of(crate::plan::Bill::needed_bytes)).filter(|_| plan.engine == EngineId::Ollama),
        concurrency: kv_tokens
            .filter(|_| plan.engine == EngineId::Vllm)
            .map(|tokens| tokens as f64 / plan.max_model_len.max(1) as f64),
        on_gpu: None,
    }
}

/// The engine's figures as they are kept.
pub fn sizes(measured: &Measured) -> Sizes {
    let Measured {
        context,
        kv_tokens,
        kv_bytes,
        weights_bytes,
        compute_bytes,
        graph_bytes,
        concurrency,
        total_bytes,
        on_gpu,
    } = *measured;
    Sizes { context, kv_tokens, kv_bytes, weights_bytes, compute_bytes, graph_bytes, total_bytes, concurrency, on_gpu }
}

/// What to say when a part of the model lies beside the GPU, on the processor.
pub(super) fn beside_the_gpu(backend: &Backend, plan: Option<&LaunchPlan>) -> Option<String> {
    let share = backend.measured.on_gpu.filter(|share| *share < 0.999)?;
    let expected = plan.is_some_and(|plan| plan.accelerator != Accelerator::Cpu);
    // Nothing at all on the GPU is no news where there is none.
    if share <= 0.0 && !expected {
        return None;
    }
    let percent = (share * 100.0).round();
    Some(format!(
        "{} keeps {percent:.0} % of the model on the GPU; the rest runs on the processor, many times slower: take a \
         smaller `--context` or a smaller quantisation",
        backend.engine
    ))
}

#[cfg(test)]
#[path = "measure_tests.rs"]
mod tests;

//! What an engine says of itself once it runs: the context it gives a request, what its cache holds, where its memory
//! went. Read from its log and its API, never computed. Each figure is `None` when the engine does not say it.
//!
//! Sources: log calls in vLLM 0.32.0 (`gpu_worker.py`, `gpu_model_runner.py`, `cpu_worker.py`, `kv_cache_utils.py`),
//! llama.cpp builds 11549 and 11669 at `-lv 4`, Ollama 0.33 (`/api/ps`).

use std::collections::BTreeMap;

use serde_json::Value;

use super::EngineId;

const MIB: f64 = (1u64 << 20) as f64;
const GIB: f64 = (1u64 << 30) as f64;

/// An engine's own figures. Sizes in bytes: of one GPU (the fullest, or the one with the least cache) for vLLM, of all
/// places together for llama.cpp and Ollama.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Measured {
    /// The longest conversation one request may have, tokens.
    pub context: Option<u64>,
    /// Tokens the cache holds over all requests.
    pub kv_tokens: Option<u64>,
    /// The KV cache.
    pub kv_bytes: Option<u64>,
    /// The weights (with vLLM from 0.32 on the runtime's own memory is counted in when only its summary tells them).
    pub weights_bytes: Option<u64>,
    /// Activations at their peak, or llama.cpp's compute buffers.
    pub compute_bytes: Option<u64>,
    /// CUDA graphs.
    pub graph_bytes: Option<u64>,
    /// Requests of full length that fit at once.
    pub concurrency: Option<f64>,
    /// The whole model with its cache, where only the sum is told.
    pub total_bytes: Option<u64>,
    /// How much of the model lies on the GPU, 0..=1.
    pub on_gpu: Option<f64>,
}

impl Measured {
    /// These figures, and those of `other` where these are silent.
    #[must_use]
    pub fn or(self, other: Measured) -> Measured {
        Measured {
            context: self.context.or(other.context),
            kv_tokens: self.kv_tokens.or(other.kv_tokens),
            kv_bytes: self.kv_bytes.or(other.kv_bytes),
            weights_bytes: self.weights_bytes.or(other.weights_bytes),
            compute_bytes: self.compute_bytes.or(other.compute_bytes),
            graph_bytes: self.graph_bytes.or(other.graph_bytes),
            concurrency: self.concurrency.or(other.concurrency),
            total_bytes: self.total_bytes.or(other.total_bytes),
            on_gpu: self.on_gpu.or(other.on_gpu),
        }
    }
}

/// What a start's log says.
pub fn log(engine: EngineId, log: &str) -> Measured {
    match engine {
        EngineId::Vllm => vllm_log(log),
        EngineId::LlamaCpp => llama_log(log),
        // One server, many models: asked over its API.
        EngineId::Ollama => Measured::default(),
    }
}

/// vLLM's `GET /v1/models`: the context of `model`, or of the only one.
pub fn vllm_models(body: &[u8], model: &str) -> Measured {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let models = value.get("data").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let named = models.iter().find(|m| m.get("id").and_then(Value::as_str) == Some(model));
    let entry = named.or(if let [only] = models { Some(only) } else { None });
    let context = entry.and_then(|m| m.get("max_model_len")).and_then(Value::as_u64).filter(|n| *n > 0);
    Measured { context, ..Measured::default() }
}

/// llama.cpp's `GET /props`: the context of a slot, which is what one request has.
pub fn llama_props(body: &[u8]) -> Measured {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let slot = value.get("default_generation_settings").and_then(|s| s.get("n_ctx")).and_then(Value::as_u64);
    Measured { context: slot.filter(|n| *n > 0), ..Measured::default() }
}

/// Ollama's `GET /api/ps`: the loaded model `tag`. `size_vram` is left out by servers that have no GPU.
pub fn ollama_ps(body: &[u8], tag: &str) -> Measured {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let models = value.get("models").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let same = |name: &str| name == tag || name.strip_suffix(":latest") == Some(tag);
    let Some(model) = models.iter().find(|m| m.get("name").and_then(Value::as_str).is_some_and(same)) else {
        return Measured::default();
    };
    let number = |key: &str| model.get(key).and_then(Value::as_u64);
    let size = number("size").filter(|n| *n > 0);
    Measured {
        context: number("context_length").filter(|n| *n > 0),
        total_bytes: size,
        on_gpu: size.zip(number("size_vram")).map(|(all, gpu)| (gpu as f64 / all as f64).min(1.0)),
        ..Measured::default()
    }
}

fn vllm_log(log: &str) -> Measured {
    let mut told = Measured::default();
    let mut summed_weights = None;
    for line in log.split(['\n', '\r']) {
        if let Some(n) = after(line, "Using max model len ").and_then(count) {
            told.context = Some(n);
        }
        // Every GPU reports; the one with the least decides for all.
        let cache = after(line, "Available KV cache memory: ").or_else(|| after(line, "KV cache memory in use is "));
        let processor = || after(line, "et (").filter(|_| line.contains("GiB for KV cache on node"));
        if let Some(bytes) = cache.or_else(processor).and_then(gib) {
            told.kv_bytes = Some(told.kv_bytes.map_or(bytes, |least| least.min(bytes)));
        }
        if let Some(tokens) = after(line, "KV cache size: ").and_then(count) {
            told.kv_tokens = Some(told.kv_tokens.map_or(tokens, |least| least.min(tokens)));
        }
        // "Maximum concurrency for 32,768 tokens per request: 64.00x"; two lines before 0.29.
        if let Some(times) = after(line, "Maximum concurrency for ")
            .and_then(|rest| after(rest, "tokens per request: "))
            .and_then(decimal)
        {
            told.concurrency = Some(told.concurrency.map_or(times, |least: f64| least.min(times)));
        }
        largest(&mut told.weights_bytes, after(line, "Model loading took "));
        largest(&mut told.graph_bytes, after(line, "Graph capturing finished in ").and_then(|r| after(r, "took ")));
        if let Some(rest) = after(line, "Actual usage is ") {
            largest(&mut summed_weights, Some(rest));
            let before = |mark: &str| rest.split(mark).next().and_then(|head| head.rsplit(' ').next());
            if rest.contains(" GiB for peak activation") {
                largest(&mut told.compute_bytes, before(" GiB for peak activation"));
            }
        }
    }
    told.weights_bytes = told.weights_bytes.or(summed_weights);
    told
}

fn llama_log(log: &str) -> Measured {
    let mut told = Measured::default();
    // A compute buffer is reserved again when its graph changes: the last word counts.
    let mut compute: BTreeMap<&str, u64> = BTreeMap::new();
    for line in log.lines() {
        if let Some(n) = after(line, "n_ctx_slot = ").and_then(count) {
            told.context = Some(n);
        }
        // Sliding windows have a cache of their own, and a draft model everything: sums.
        add(&mut told.weights_bytes, after(line, " model buffer size ="));
        add(&mut told.kv_bytes, after(line, " KV buffer size =").or_else(|| after(line, " RS buffer size =")));
        if let Some((head, size)) = line.split_once(" compute buffer size =")
            && let (Some(place), Some(bytes)) = (head.rsplit(' ').next(), mib(size))
        {
            compute.insert(place, bytes);
        }
        // "llama_kv_cache: size = 64.00 MiB (131072 cells, 2 layers, 1/1 seqs)"
        if let Some(cells) = after(line, " MiB (").filter(|r| r.contains(" cells,")).and_then(count) {
            told.kv_tokens = Some(told.kv_tokens.map_or(cells, |most| most.max(cells)));
        }
        // "offloaded 33/33 layers to GPU"
        if let Some(rest) = after(line, "offloaded ").filter(|r| r.contains(" layers to GPU"))
            && let Some((some, all)) = rest.split_once('/')
            && let (Some(some), Some(all)) = (count(some), count(all).filter(|n| *n > 0))
        {
            told.on_gpu = Some((some as f64 / all as f64).min(1.0));
        }
    }
    if !compute.is_empty() {
        told.compute_bytes = Some(compute.values().fold(0, |sum: u64, n| sum.saturating_add(*n)));
    }
    told
}

fn after<'a>(line: &'a str, mark: &str) -> Option<&'a str> {
    line.find(mark).map(|at| &line[at + mark.len()..])
}

fn largest(most: &mut Option<u64>, text: Option<&str>) {
    if let Some(bytes) = text.and_then(gib) {
        *most = Some(most.map_or(bytes, |before| before.max(bytes)));
    }
}

fn add(sum: &mut Option<u64>, text: Option<&str>) {
    if let Some(bytes) = text.and_then(mib) {
        *sum = Some(sum.unwrap_or(0).saturating_add(bytes));
    }
}

/// `2,097,152 tokens` → 2097152.
fn count(text: &str) -> Option<u64> {
    let digits = text.trim_start().chars().take_while(|c| c.is_ascii_digit() || *c == ',').filter(|c| *c != ',');
    digits.collect::<String>().parse().ok()
}

fn decimal(text: &str) -> Option<f64> {
    let text = text.trim_start();
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    text[..end].trim_end_matches('.').parse::<f64>().ok().filter(|n| n.is_finite())
}

fn gib(text: &str) -> Option<u64> {
    decimal(text).map(|n| (n * GIB) as u64)
}

fn mib(text: &str) -> Option<u64> {
    decimal(text).map(|n| (n * MIB) as u64)
}

#[cfg(test)]
#[path = "readback_tests.rs"]
mod tests;

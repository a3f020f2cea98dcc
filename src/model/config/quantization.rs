//! How the weights are quantised, by the ways checkpoints say so.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::locate::{names, read_bounded};
use super::Numbers;

/// Descriptions list every tensor: some 100,000 stay below this.
const LIMIT: u64 = 64 << 20;

/// The quantisation that a file of its own tells: older exports of ModelOpt (`hf_quant_config.json`) and those for
/// Ascend (msModelSlim's `quant_model_description.json`, at times with the type in its name).
pub(super) fn beside(dir: &Path) -> Option<Value> {
    #[derive(Deserialize)]
    struct Description {
        model_quant_type: Option<String>,
    }
    #[derive(Deserialize)]
    struct ModelOpt {
        quantization: Option<Value>,
    }
    let holds = names(dir).ok()?;
    let find = |test: &dyn Fn(&str) -> bool| holds.iter().find(|name| test(name)).map(|name| dir.join(name));
    if let Some(path) = find(&|name| name == "hf_quant_config.json") {
        let file: ModelOpt = serde_json::from_slice(&read_bounded(&path, LIMIT).ok()?).ok()?;
        return file.quantization;
    }
    let path = find(&|name| name.starts_with("quant_model_description") && name.ends_with(".json"))?;
    let file: Description = serde_json::from_slice(&read_bounded(&path, LIMIT).ok()?).ok()?;
    Some(json!({ "model_quant_type": file.model_quant_type? }))
}

/// The name profiles use: `fp8`, `awq`, `nvfp4`, `w8a8`, …; else what the checkpoint calls it.
pub(super) fn label(config: &Value) -> Option<String> {
    let text = |key: &str| config.get(key).and_then(Value::as_str).unwrap_or("").to_ascii_lowercase();
    let method = text("quant_method");
    let algorithm = if text("quant_algo").is_empty() { text("quantization_algo") } else { text("quant_algo") };
    let kind = text("model_quant_type");
    let known = match method.as_str() {
        "" if !kind.is_empty() => return ascend_label(&kind),
        "" if algorithm.is_empty() => return None,
        "" | "modelopt" | "modelopt_fp4" | "modelopt_mixed" => model_opt(&algorithm).unwrap_or("modelopt"),
        "bitsandbytes" if config.get("load_in_8bit").and_then(Value::as_bool) == Some(true) => "bitsandbytes-8bit",
        "compressed-tensors" => compressed_tensors(config).unwrap_or("compressed-tensors"),
        // Block and channel FP8 of their makers, and vLLM's own.
        "fbgemm_fp8" | "ptpc_fp8" => "fp8",
        "gptq_marlin" => "gptq",
        "awq_marlin" => "awq",
        other => other,
    };
    Some(known.to_owned())
}

/// `MIXED_PRECISION` has no name of its own: its layers differ.
fn model_opt(algorithm: &str) -> Option<&'static str> {
    let has = |part: &str| algorithm.contains(part);
    match () {
        () if has("nvfp4") || algorithm == "fp4" => Some("nvfp4"),
        () if has("mxfp8") => Some("mxfp8"),
        () if has("awq") => Some("awq"),
        () if algorithm.starts_with("fp8") => Some("fp8"),
        () => None,
    }
}

/// One of the groups decides: the others are exceptions with more bits.
fn compressed_tensors(config: &Value) -> Option<&'static str> {
    let groups =
        || config.get("config_groups").and_then(Value::as_object).into_iter().flat_map(|groups| groups.values());
    let formats = || {
        let inner = groups().map(|group| group.get("format"));
        std::iter::once(config.get("format")).chain(inner).flatten().filter_map(Value::as_str)
    };
    for (format, name) in [("nvfp4", "nvfp4"), ("mxfp4", "mxfp4"), ("mxfp8", "mxfp8")] {
        if formats().any(|f| f.starts_with(format)) {
            return Some(name);
        }
    }
    let bits = |group: &Value, part: &str| {
        let part = group.get(part).filter(|part| part.is_object())?;
        Some((part.get("num_bits")?.as_u64()?, part.get("type").and_then(Value::as_str).unwrap_or("").to_owned()))
    };
    let group = groups().min_by_key(|group| bits(group, "weights").map_or(u64::MAX, |(bits, _)| bits))?;
    let (weights, kind) = bits(group, "weights")?;
    match (weights, kind.as_str(), bits(group, "input_activations")) {
        (8, "float", _) => Some("fp8"),
        (8, "int", Some((8, _))) => Some("w8a8"),
        (8, "int", _) => Some("int8"),
        (4, "int", _) => Some("int4"),
        _ => None,
    }
}

/// Exports for Ascend that say it in config.json: `"quantize": "w8a8"`.
pub(super) fn ascend(n: &Numbers<'_>) -> Option<String> {
    ascend_label(&n.find("quantize")?.as_str()?.to_ascii_lowercase())
}

/// `W8A8_DYNAMIC` → `w8a8`; whether activations are scaled as they come matters to nobody here.
fn ascend_label(kind: &str) -> Option<String> {
    let plain = kind.split('_').next().unwrap_or(kind);
    (plain.starts_with('w') && plain.len() >= 4).then(|| plain.to_owned())
}

/// A checkpoint's own word on the cache: `kv_cache_scheme` (ModelOpt, compressed-tensors) or `kv_cache_quant_algo`.
pub(super) fn cache_is_fp8(config: &Value) -> bool {
    let bits = config.pointer("/kv_cache_scheme/num_bits").and_then(Value::as_u64);
    let algorithm = config.get("kv_cache_quant_algo").and_then(Value::as_str).unwrap_or("");
    bits == Some(8) || algorithm.eq_ignore_ascii_case("fp8")
}

/// What a rank's slice must be a multiple of.
pub(super) fn block(config: &Value) -> Option<u64> {
    let method = config.get("quant_method").and_then(Value::as_str).unwrap_or("").to_ascii_lowercase();
    let group = || config.get("group_size").or_else(|| config.get("q_group_size")).and_then(Value::as_u64);
    let weights = || config.get("config_groups")?.as_object()?.values().next()?.get("weights")?.as_object();
    match method.as_str() {
        "awq" | "awq_marlin" | "gptq" | "gptq_marlin" | "auto-round" => group(),
        "compressed-tensors" => {
            let weights = weights()?;
            match weights.get("strategy").and_then(Value::as_str)? {
                "block" => weights.get("block_structure")?.get(0)?.as_u64(),
                "group" | "tensor_group" => weights.get("group_size")?.as_u64(),
                _ => None,
            }
        }
        // Per-tensor and per-channel FP8 have no such list and can be cut anywhere.
        _ => config.pointer("/weight_block_size/0").and_then(Value::as_u64),
    }
}

//! config.json of a model directory: the numbers memory arithmetic needs, wherever a family keeps them.

use std::path::Path;

use serde_json::Value;

use super::locate::read_bounded;
use super::{ModelError, Shape};

/// config.json larger than this is none.
const LIMIT: u64 = 16 << 20;

/// What config.json says.
#[derive(Debug, Default)]
pub(super) struct Config {
    pub(super) architecture: Option<String>,
    pub(super) quantization: Option<String>,
    pub(super) context_max: Option<u64>,
    pub(super) shape: Option<Shape>,
}

pub(super) fn read(path: &Path) -> Result<Config, ModelError> {
    let json: Value = parse(path, &read_bounded(path, LIMIT)?)?;
    if !json.is_object() {
        return Err(ModelError::Malformed { path: path.to_owned(), why: "expected a JSON object".into() });
    }
    Ok(interpret(&json))
}

/// JSON with the place of the first error.
pub(super) fn parse<'a, T: serde::Deserialize<'a>>(path: &Path, bytes: &'a [u8]) -> Result<T, ModelError> {
    serde_json::from_slice(bytes).map_err(|source| ModelError::Json {
        path: path.to_owned(),
        line: source.line(),
        column: source.column(),
        source,
    })
}

pub(super) fn interpret(json: &Value) -> Config {
    // Multimodal models keep the language model's numbers one level down.
    let text = ["text_config", "llm_config", "language_config"]
        .iter()
        .filter_map(|key| json.get(key))
        .find(|inner| inner.is_object())
        .unwrap_or(json);
    let find = |key: &str| text.get(key).or_else(|| json.get(key));
    let number = |keys: &[&str]| keys.iter().find_map(|key| find(key).and_then(Value::as_u64));
    let shape =
        number(&["num_hidden_layers", "n_layer"]).zip(number(&["hidden_size", "n_embd"])).map(|(layers, hidden)| {
            let heads = number(&["num_attention_heads", "n_head"]).unwrap_or(0);
            let rank = number(&["kv_lora_rank"]).filter(|n| *n > 0);
            Shape {
                layers,
                hidden,
                heads,
                kv_heads: number(&["num_key_value_heads"]).unwrap_or(heads),
                head_dim: number(&["head_dim"]).or_else(|| hidden.checked_div(heads)).unwrap_or(0),
                vocab: number(&["vocab_size"]).unwrap_or(0),
                mla_kv_dim: rank.map(|r| r.saturating_add(number(&["qk_rope_head_dim"]).unwrap_or(0))),
                experts: number(&["num_experts", "n_routed_experts", "num_local_experts"]).filter(|n| *n > 0),
                moe_intermediate: number(&["moe_intermediate_size"]),
                kv_layers: kv_layers(text, layers),
                indexer: rank.is_some() && number(&["index_head_dim"]).is_some(),
            }
        });
    Config {
        architecture: json.pointer("/architectures/0").and_then(Value::as_str).map(str::to_owned),
        quantization: find("quantization_config").or_else(|| find("compression_config")).and_then(quantization),
        context_max: number(&["max_position_embeddings", "max_sequence_length", "n_positions"]),
        shape,
    }
}

/// Layers with full attention where a family mixes kinds, by the three ways families say so.
fn kv_layers(text: &Value, layers: u64) -> Option<u64> {
    if let Some(types) = text.get("layer_types").and_then(Value::as_array) {
        let full = types.iter().filter(|t| matches!(t.as_str(), Some("full_attention" | "attention"))).count() as u64;
        return (full > 0 && full < layers).then_some(full);
    }
    if let Some(pattern) = text.get("hybrid_override_pattern").and_then(Value::as_str) {
        return Some(pattern.bytes().filter(|b| *b == b'*').count() as u64).filter(|n| *n > 0);
    }
    let every = text.get("full_attention_interval").and_then(Value::as_u64).filter(|n| *n > 1)?;
    Some(layers / every).filter(|n| *n > 0)
}

fn quantization(config: &Value) -> Option<String> {
    let method = config.get("quant_method").and_then(Value::as_str).unwrap_or("").to_ascii_lowercase();
    let algorithm =
        config.get("quant_algo").or_else(|| config.get("quantization_algo")).and_then(Value::as_str).unwrap_or("");
    match (method.as_str(), algorithm.to_ascii_lowercase().as_str()) {
        ("modelopt" | "modelopt_fp4" | "", "nvfp4" | "fp4") => Some("nvfp4".into()),
        ("modelopt" | "", "fp8") => Some("fp8".into()),
        ("compressed-tensors", _)
            if config.get("format").and_then(Value::as_str).is_some_and(|f| f.starts_with("nvfp4")) =>
        {
            Some("nvfp4".into())
        }
        ("", _) => None,
        (method, _) => Some(method.to_owned()),
    }
}

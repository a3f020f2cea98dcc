//! config.json of a model directory: the numbers memory arithmetic needs, wherever a family keeps them.

mod layers;
mod quantization;

use std::path::Path;

use serde_json::Value;

use super::locate::{imposter, read_bounded};
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
    let mut json: Value = parse(path, &read_bounded(path, LIMIT)?)?;
    let Some(members) = json.as_object_mut() else {
        return Err(ModelError::Malformed { path: path.to_owned(), why: "expected a JSON object".into() });
    };
    if !members.contains_key("quantization_config")
        && let Some(beside) = path.parent().and_then(quantization::beside)
    {
        members.insert("quantization_config".into(), beside);
    }
    Ok(interpret(&json))
}

/// JSON with the place of the first error.
pub(super) fn parse<'a, T: serde::Deserialize<'a>>(path: &Path, bytes: &'a [u8]) -> Result<T, ModelError> {
    serde_json::from_slice(bytes).map_err(|source| {
        let json = |source: serde_json::Error| ModelError::Json {
            path: path.to_owned(),
            line: source.line(),
            column: source.column(),
            source,
        };
        imposter(path, bytes).unwrap_or_else(|| json(source))
    })
}

/// The language model's part of config.json, with the whole of it behind.
pub(super) struct Numbers<'a> {
    text: &'a Value,
    whole: &'a Value,
}

impl<'a> Numbers<'a> {
    fn find(&self, key: &str) -> Option<&'a Value> {
        self.text.get(key).or_else(|| self.whole.get(key))
    }

    /// The first of `keys` that holds a count.
    fn get(&self, keys: &[&str]) -> Option<u64> {
        keys.iter().find_map(|key| self.find(key).and_then(Value::as_u64))
    }
}

/// What only a model with an encoder for images, sound or video has.
const ENCODERS: &[&str] = &["vision_config", "audio_config", "visual", "vision_tower", "mm_vision_tower"];

pub(super) fn interpret(json: &Value) -> Config {
    // Multimodal models keep the language model's numbers one level down.
    let text = ["text_config", "llm_config", "language_config", "thinker_config"]
        .iter()
        .filter_map(|key| json.get(key))
        .find(|inner| inner.is_object())
        .unwrap_or(json);
    let text = text.get("text_config").filter(|inner| inner.is_object()).unwrap_or(text);
    let numbers = Numbers { text, whole: json };
    let quantized = ["quantization_config", "compression_config"].iter().find_map(|key| numbers.find(key));
    Config {
        architecture: json.pointer("/architectures/0").and_then(Value::as_str).map(str::to_owned),
        quantization: quantized.and_then(quantization::label).or_else(|| quantization::ascend(&numbers)),
        context_max: numbers.get(&["max_position_embeddings", "max_sequence_length", "n_positions", "seq_length"]),
        shape: shape(&numbers, quantized),
    }
}

fn shape(n: &Numbers<'_>, quantized: Option<&Value>) -> Option<Shape> {
    let layers = n.get(&["num_hidden_layers", "n_layer", "num_layers"])?;
    let hidden = n.get(&["hidden_size", "n_embd", "d_model"])?;
    let heads = n.get(&["num_attention_heads", "n_head"]).unwrap_or(0);
    let kv_heads = n.get(&["num_key_value_heads", "multi_query_group_num"]).unwrap_or(heads);
    let head_dim = n.get(&["head_dim", "attention_head_dim"]).or_else(|| hidden.checked_div(heads)).unwrap_or(0);
    let experts = n.get(&["num_experts", "n_routed_experts", "num_local_experts"]).filter(|n| *n > 0);
    let intermediate = n.get(&["intermediate_size", "ffn_hidden_size"]);
    Some(Shape {
        layers,
        hidden,
        heads,
        kv_heads,
        head_dim,
        vocab: n.get(&["vocab_size", "padded_vocab_size"]).unwrap_or(0),
        intermediate,
        experts,
        experts_per_token: n.get(&["num_experts_per_tok", "moe_topk", "num_experts_per_token"]),
        // Mixtral, gpt-oss and MiniMax write the size of an expert where others write the dense one.
        moe_intermediate: n.get(&["moe_intermediate_size"]).or(experts.and(intermediate)),
        dense_layers: n.get(&["first_k_dense_replace"]).unwrap_or(0),
        cache: layers::groups(n, layers, kv_heads, head_dim),
        cache_unknown: cache_unknown(n),
        draft_layers: n
            .get(&["num_nextn_predict_layers", "mtp_num_hidden_layers"])
            .map_or(0, |drafts| drafts.min(layers)),
        vision: ENCODERS.iter().any(|key| n.whole.get(key).is_some_and(|v| !v.is_null())),
        kv_fp8: quantized.is_some_and(quantization::cache_is_fp8),
        quant_block: quantized.and_then(quantization::block),
    })
}

/// DeepSeek V4 compresses its cache (vllm#51041): one start in two agrees with the sizes that are known. MiniMax M3
/// without its list of sparse layers cannot be counted.
fn cache_unknown(n: &Numbers<'_>) -> bool {
    let family = n.text.get("model_type").or_else(|| n.whole.get("model_type")).and_then(Value::as_str);
    n.find("compress_ratios").is_some()
        || family.is_some_and(|f| f.starts_with("deepseek_v4"))
        || (family.is_some_and(|f| f.starts_with("minimax_m3"))
            && n.find("sparse_attention_config").is_none()
            && n.find("sparse_index_dim").is_none())
}

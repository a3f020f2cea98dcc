//! Which layers of a config.json keep which cache, by the ways families say so.

use serde_json::Value;

use super::super::{Cache, CacheGroup};
use super::Numbers;

/// How many layers are of each kind.
#[derive(Default)]
struct Kinds {
    full: u64,
    sliding: u64,
    state: u64,
}

/// The groups; empty when every layer keeps plain keys and values.
pub(super) fn groups(n: &Numbers<'_>, layers: u64, kv_heads: u64, head_dim: u64) -> Vec<CacheGroup> {
    if n.find("compress_ratios").is_some() {
        return compressed(n, layers, head_dim).unwrap_or_default();
    }
    if let Some(groups) = indexed(n, layers, kv_heads, head_dim) {
        return groups;
    }
    let latent = n.get(&["kv_lora_rank"]).filter(|rank| *rank > 0).map(|rank| Cache::Latent {
        elements: rank.saturating_add(n.get(&["qk_rope_head_dim"]).unwrap_or(0)),
        indexed: n.get(&["index_head_dim"]).is_some(),
    });
    let kinds = kinds(n, layers);
    let plain = Cache::Heads { heads: kv_heads, size: head_dim };
    if kinds.sliding == 0 && kinds.state == 0 && kinds.full == layers && latent.is_none() {
        return Vec::new();
    }
    // Gemma 4 gives its global layers heads of their own, MiMo its windows.
    let full = latent.unwrap_or(Cache::Heads {
        heads: n.get(&["num_global_key_value_heads"]).unwrap_or(kv_heads),
        size: n.get(&["global_head_dim"]).unwrap_or(head_dim),
    });
    let sliding = Cache::Heads {
        heads: n.get(&["swa_num_key_value_heads"]).unwrap_or(kv_heads),
        size: n.get(&["swa_head_dim"]).unwrap_or(head_dim),
    };
    let full = if kinds.sliding > 0 || latent.is_some() { full } else { plain };
    let window = n.get(&["sliding_window", "sliding_window_size", "attention_chunk_size"]);
    let group = |layers: u64, cache, window| (layers > 0).then_some(CacheGroup { layers, cache, window });
    [group(kinds.full, full, None), group(kinds.sliding, sliding, window), group(kinds.state, state(n), None)]
        .into_iter()
        .flatten()
        .collect()
}

/// DeepSeek V4: `compress_ratios` has a number for each layer, and one more for each that guesses ahead. Other ratios
/// than 0, 4 and 128 (V4.1) come with rules of their own, which nobody wrote down yet.
fn compressed(n: &Numbers<'_>, layers: u64, size: u64) -> Option<Vec<CacheGroup>> {
    let ratios = n.find("compress_ratios")?.as_array()?;
    let layers = usize::try_from(layers).ok().filter(|layers| *layers > 0 && *layers <= ratios.len())?;
    let window = n.get(&["sliding_window"]).filter(|window| *window > 0)?;
    let rotary = n.get(&["qk_rope_head_dim"])?;
    let ratios: Vec<u64> = ratios.iter().take(layers).map(Value::as_u64).collect::<Option<_>>()?;
    let group = |ratio: u64, index: u64| {
        let layers = ratios.iter().filter(|r| **r == ratio).count() as u64;
        let cache = Cache::Compressed { ratio, size, rotary, index };
        (layers > 0).then_some(CacheGroup { layers, cache, window: Some(window) })
    };
    ratios.iter().all(|ratio| matches!(ratio, 0 | 4 | 128)).then(|| {
        // Only the layers that keep many entries choose among them.
        let groups = [group(0, 0), group(4, n.get(&["index_head_dim"]).unwrap_or(0)), group(128, 0)];
        groups.into_iter().flatten().collect()
    })
}

/// MiniMax M3: the layers marked in `sparse_attention_freq` keep an index key beside keys and values, in the model's own
/// 16 bits (vllm#53448, sglang#36549 make it smaller on request only).
fn indexed(n: &Numbers<'_>, layers: u64, heads: u64, size: u64) -> Option<Vec<CacheGroup>> {
    let nested = n.find("sparse_attention_config").filter(|config| config.is_object());
    let find = |key: &str| nested.and_then(|config| config.get(key)).or_else(|| n.find(key));
    let index = find("sparse_index_dim")?.as_u64()?;
    let marks = find("sparse_attention_freq")?.as_array()?;
    let sparse =
        marks.iter().take(usize::try_from(layers).ok()?).filter(|mark| mark.as_u64() == Some(1)).count() as u64;
    let group = |layers: u64, cache| (layers > 0).then_some(CacheGroup { layers, cache, window: None });
    let plain = group(layers.saturating_sub(sparse), Cache::Heads { heads, size });
    let indexed = group(sparse, Cache::Indexed { heads, size, index });
    Some(plain.into_iter().chain(indexed).collect())
}

fn kinds(n: &Numbers<'_>, layers: u64) -> Kinds {
    // The last layers of Gemma's E models read the cache of earlier ones.
    let own = layers.saturating_sub(n.get(&["num_kv_shared_layers"]).unwrap_or(0));
    let count = |items: &[Value], test: &dyn Fn(&Value) -> bool| {
        items.iter().take(usize::try_from(own).unwrap_or(usize::MAX)).filter(|item| test(item)).count() as u64
    };
    let list = |key: &str| n.text.get(key).and_then(Value::as_array);
    let window = n.get(&["sliding_window", "sliding_window_size"]).is_some_and(|window| window > 0);
    if let Some(types) = list("layer_types").filter(|types| !types.is_empty()) {
        let named = |names: &[&str]| count(types, &|t| t.as_str().is_some_and(|t| names.contains(&t)));
        let state = named(&["linear_attention", "mamba", "recurrent", "conv"]);
        let sliding = named(&["sliding_attention"]);
        let sliding = if window { sliding } else { 0 };
        let named = (types.len() as u64).min(own);
        return Kinds { full: named.saturating_sub(state).saturating_sub(sliding), sliding, state };
    }
    if let Some(pattern) = n.text.get("hybrid_override_pattern").and_then(Value::as_str) {
        let of = |mark: u8| pattern.bytes().filter(|b| *b == mark).count() as u64;
        return Kinds { full: of(b'*'), sliding: 0, state: of(b'M') };
    }
    if let Some(pattern) = list("hybrid_layer_pattern").filter(|_| window) {
        let sliding = count(pattern, &|mark| mark.as_u64() == Some(1));
        return Kinds { full: own.saturating_sub(sliding), sliding, state: 0 };
    }
    if let Some(types) = list("attn_type_list") {
        let state = count(types, &|t| t.as_u64() == Some(0));
        return Kinds { full: own.saturating_sub(state), sliding: 0, state };
    }
    if let Some(linear) = n.text.get("linear_attn_config").and_then(|c| c.get("kda_layers")).and_then(Value::as_array) {
        let state = (linear.len() as u64).min(own);
        return Kinds { full: own - state, sliding: 0, state };
    }
    if let Some(every) = n.get(&["full_attention_interval"]).filter(|every| *every > 1) {
        let full = own / every;
        return Kinds { full, sliding: 0, state: own - full };
    }
    let family = n.text.get("model_type").and_then(Value::as_str).unwrap_or("");
    let every = n.get(&["sliding_window_pattern"]).or((family == "gemma2").then_some(2)).filter(|every| *every > 1);
    if let Some(every) = every.filter(|_| window) {
        let full = own / every;
        return Kinds { full, sliding: own - full, state: 0 };
    }
    // Mistral 7B and its kin: a window in every layer. Qwen writes a window it does not use.
    if window && matches!(family, "mistral" | "mixtral" | "phi3" | "starcoder2") {
        return Kinds { full: 0, sliding: own, state: 0 };
    }
    Kinds { full: own, ..Kinds::default() }
}

/// What a layer of linear attention or Mamba keeps per sequence: the last inputs of its convolution, in 16 bits, and
/// the recurrent state.
fn state(n: &Numbers<'_>) -> Cache {
    let product = |keys: &[&str]| keys.iter().fold(1u64, |p, key| p.saturating_mul(n.get(&[key]).unwrap_or(0)));
    let family = n.text.get("model_type").and_then(Value::as_str).unwrap_or("");
    let said = n.text.get("mamba_ssm_dtype").or_else(|| n.text.get("mamba_ssm_cache_dtype")).and_then(Value::as_str);
    // Qwen3.5 keeps its state in 32 bits (its start logs say so), Qwen3-Next in the model's own 16.
    let wide = said.map_or(family.starts_with("qwen3_5"), |dtype| dtype == "float32");
    let element = if wide { 4 } else { 2 };
    let bytes = |inputs: u64, kernel: u64, state: u64, element: u64| {
        let convolution = kernel.saturating_sub(1).saturating_mul(inputs).saturating_mul(2);
        convolution.saturating_add(state.saturating_mul(element))
    };
    if let Some(heads) = n.get(&["linear_num_value_heads"]) {
        let keys = product(&["linear_num_key_heads", "linear_key_head_dim"]).saturating_mul(2);
        let values = product(&["linear_num_value_heads", "linear_value_head_dim"]);
        let state = product(&["linear_value_head_dim", "linear_key_head_dim"]).saturating_mul(heads);
        let kernel = n.get(&["linear_conv_kernel_dim"]).unwrap_or(4);
        return Cache::State { bytes: bytes(keys.saturating_add(values), kernel, state, element), mamba: false };
    }
    if let Some(config) = n.text.get("linear_attn_config") {
        let get = |key: &str| config.get(key).and_then(Value::as_u64).unwrap_or(0);
        let inner = get("num_heads").saturating_mul(get("head_dim"));
        let kernel = config.get("short_conv_kernel_size").and_then(Value::as_u64).unwrap_or(4);
        let bytes = bytes(inner.saturating_mul(3), kernel, inner.saturating_mul(get("head_dim")), 4);
        return Cache::State { bytes, mamba: false };
    }
    if n.get(&["mamba_num_heads"]).is_some() {
        let inner = product(&["mamba_num_heads", "mamba_head_dim"]);
        let groups = product(&["n_groups", "ssm_state_size"]).saturating_mul(2);
        let state = inner.saturating_mul(n.get(&["ssm_state_size"]).unwrap_or(0));
        let kernel = n.get(&["conv_kernel"]).unwrap_or(4);
        return Cache::State { bytes: bytes(inner.saturating_add(groups), kernel, state, element), mamba: true };
    }
    Cache::State { bytes: 0, mamba: family.contains("mamba") || family.contains("jamba") }
}

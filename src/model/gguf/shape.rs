//! The numbers of the architecture, and which layers keep what, from GGUF metadata. Sizes as llama.cpp keeps them
//! (`llama-hparams.cpp`: `n_embd_r`, `n_embd_s`, `n_layer_kv_from_start`).

use super::super::{Cache, CacheGroup, Shape};
use super::Header;
use super::reader::Value;

/// Families that give every n-th layer full attention and the others a window, without saying so in the file
/// (llama.cpp's `set_swa_pattern` per architecture).
const FULL_EVERY: &[(&str, u64)] = &[("gemma2", 2), ("gemma3", 6), ("gemma3n", 5), ("gpt-oss", 2), ("cohere2", 4)];

/// Families without any attention.
const ONLY_STATES: &[&str] = &["mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"];

/// One architecture's metadata.
struct Keys<'a> {
    header: &'a Header,
    architecture: &'a str,
}

impl Keys<'_> {
    fn value(&self, key: &str) -> Option<&Value> {
        self.header.values.get(&format!("{}.{key}", self.architecture))
    }

    fn number(&self, key: &str) -> Option<u64> {
        self.header.number(&format!("{}.{key}", self.architecture))
    }

    /// A number that is there and not zero.
    fn some(&self, key: &str) -> Option<u64> {
        self.number(key).filter(|n| *n > 0)
    }

    /// Of a list with one number per layer: how many are above zero, when some are not.
    fn above_zero(&self, key: &str) -> Option<u64> {
        match self.value(key) {
            Some(Value::Numbers { positive, count, .. }) if positive < count => Some(*positive),
            _ => None,
        }
    }
}

pub(super) fn shape(header: &Header, architecture: &str) -> Option<Shape> {
    let keys = Keys { header, architecture };
    let number = |key: &str| keys.number(key);
    let (blocks, hidden) = (number("block_count")?, number("embedding_length")?);
    // Layers that guess ahead are counted with the others but keep nothing unless they are used.
    let drafts = number("nextn_predict_layers").unwrap_or(0).min(blocks.saturating_sub(1));
    let layers = blocks - drafts;
    // A list that cannot be seen: which layers keep a cache is not known.
    if matches!(keys.value("attention.head_count_kv"), Some(Value::Long)) {
        return None;
    }
    let heads = number("attention.head_count").unwrap_or(0);
    let kv_heads = number("attention.head_count_kv").unwrap_or(heads);
    let head_dim = number("attention.key_length").or_else(|| hidden.checked_div(heads)).unwrap_or(0);
    Some(Shape {
        layers,
        hidden,
        heads,
        kv_heads,
        head_dim,
        vocab: number("vocab_size").or_else(|| header.number("tokenizer.ggml.tokens")).unwrap_or(0),
        intermediate: number("feed_forward_length"),
        experts: keys.some("expert_count"),
        experts_per_token: number("expert_used_count"),
        moe_intermediate: number("expert_feed_forward_length"),
        dense_layers: number("leading_dense_block_count").unwrap_or(0),
        cache: groups(&keys, layers, Cache::Heads { heads: kv_heads, size: head_dim }, hidden),
        draft_layers: drafts,
        ..Shape::default()
    })
}

/// The groups; empty when every layer keeps plain keys and values.
fn groups(keys: &Keys<'_>, layers: u64, plain: Cache, hidden: u64) -> Vec<CacheGroup> {
    let group = |layers: u64, cache, window| (layers > 0).then_some(CacheGroup { layers, cache, window });
    let some = |all: [Option<CacheGroup>; 2]| all.into_iter().flatten().collect();
    // The last layers of Gemma's E models read the cache of earlier ones.
    let own = layers.saturating_sub(keys.number("attention.shared_kv_layers").unwrap_or(0));
    let latent = keys.some("attention.kv_lora_rank").map(|rank| Cache::Latent {
        elements: rank.saturating_add(keys.number("rope.dimension_count").unwrap_or(0)),
        indexed: keys.number("attention.indexer.key_length").is_some(),
    });
    let full = latent.unwrap_or(plain);
    if let Some((attending, states)) = kinds(keys, layers) {
        let state = Cache::Fixed { bytes: state(keys, hidden), mamba: keys.number("ssm.state_size").is_some() };
        return some([group(attending, full, None), group(states, state, None)]);
    }
    if let (None, Some(window)) = (latent, keys.some("attention.sliding_window")) {
        let windows = match keys.value("attention.sliding_window_pattern") {
            Some(Value::Numbers { positive, .. }) => Some(*positive),
            Some(Value::Number(every)) if *every > 1 => Some(own - own / every),
            _ => {
                let every = FULL_EVERY.iter().find(|(name, _)| *name == keys.architecture);
                every.map(|(_, every)| own - own / every)
            }
        };
        if let Some(windows) = windows.map(|windows| windows.min(own)) {
            return some([group(own - windows, plain, None), group(windows, plain, Some(window))]);
        }
    }
    if latent.is_none() && own == layers { Vec::new() } else { some([group(own, full, None), None]) }
}

/// How many layers attend and how many keep a state, where some do.
fn kinds(keys: &Keys<'_>, layers: u64) -> Option<(u64, u64)> {
    if ONLY_STATES.contains(&keys.architecture) {
        return Some((0, layers));
    }
    if keys.architecture == "falcon-h1" {
        return Some((layers, layers));
    }
    if let Some(every) = keys.number("full_attention_interval").filter(|every| *every > 1) {
        return Some((layers / every, layers - layers / every));
    }
    // Hybrids give a list, one number per layer, 0 where there is no cache.
    let attending = keys.above_zero("attention.head_count_kv")?.min(layers);
    // Nemotron's blocks are one thing each: attention, a state, or a feed-forward layer, which keeps nothing.
    let neither = keys.above_zero("feed_forward_length").unwrap_or(0);
    Some((attending, layers.saturating_sub(attending).saturating_sub(neither)))
}

/// Bytes a layer keeps per sequence whatever its length: the last inputs of its convolution and its state, both in
/// 32 bits.
fn state(keys: &Keys<'_>, hidden: u64) -> u64 {
    let product = |numbers: &[u64]| numbers.iter().fold(1u64, |product, n| product.saturating_mul(*n));
    let number = |key: &str| keys.number(key).unwrap_or(0);
    let elements = if let Some(size) = keys.some("wkv.head_size") {
        let shifts = keys.number("token_shift_count").unwrap_or(2);
        product(&[hidden, shifts]).saturating_add(product(&[hidden, size]))
    } else if let Some(inputs) = keys.some("shortconv.l_cache") {
        product(&[hidden, inputs - 1])
    } else if let Some(size) = keys.some("kda.head_dim") {
        let heads = number("attention.head_count");
        let inputs = keys.some("ssm.conv_kernel").map_or(3, |kernel| kernel - 1);
        product(&[3, inputs, heads, size]).saturating_add(product(&[size, size, heads]))
    } else {
        let (inner, size) = (number("ssm.inner_size"), number("ssm.state_size"));
        let width = inner.saturating_add(product(&[2, number("ssm.group_count"), size]));
        product(&[number("ssm.conv_kernel").saturating_sub(1), width]).saturating_add(product(&[size, inner]))
    };
    elements.saturating_mul(4)
}

//! Against the shapes of published models, where the recordings are at hand.

use std::path::Path;

use serde_json::{Map, Value};

use super::super::{KvKind, Shape, config};

/// The facts of a model, as a config.json would hold them.
fn as_config(facts: &Value) -> Value {
    let mut config = facts.clone();
    let map = config.as_object_mut().unwrap();
    if let Some(quantization) = map.remove("quantization") {
        map.insert("quantization_config".into(), quantization);
    }
    if let Some(counts) = map.remove("layer_types_counts") {
        let counts = counts.as_object().unwrap();
        let named = |(name, n): (&String, &Value)| vec![Value::from(name.clone()); n.as_u64().unwrap() as usize];
        map.insert("layer_types".into(), counts.iter().flat_map(named).collect());
    }
    if let Some(counts) = map.remove("compress_ratio_counts") {
        // One per layer, and at the end those that guess ahead, which have no ratio.
        let mut ratios = Vec::new();
        for (ratio, n) in counts.as_object().unwrap().iter().rev() {
            let ratio: u64 = ratio.parse().unwrap();
            ratios.extend(vec![Value::from(ratio); n.as_u64().unwrap() as usize]);
        }
        map.insert("compress_ratios".into(), Value::Array(ratios));
    }
    config
}

fn kind(shape: &Shape) -> &'static str {
    match shape.kv_kind() {
        KvKind::Heads => "GQA",
        KvKind::Latent => "MLA",
        KvKind::LatentIndexed => "MLA+DSA indexer",
        KvKind::Sliding => "sliding+full",
        KvKind::Linear => "hybrid linear+full",
        KvKind::Mamba => "mamba hybrid",
        // The facts leave out which layers are sparse.
        KvKind::HeadsIndexed | KvKind::Unknown => "not computable",
    }
}

#[test]
fn caches_kinds_and_splits_agree_with_published_models() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/samples/model_facts.json");
    let Ok(text) = std::fs::read(&path) else {
        println!("skipped: no {}", path.display());
        return;
    };
    let all: Map<String, Value> = serde_json::from_slice(&text).unwrap();
    for (name, facts) in &all {
        let shape = config::interpret(&as_config(facts)).shape.unwrap();
        let derived = |key: &str| facts.pointer(&format!("/derived/{key}"));
        let number = |key: &str| derived(key).and_then(Value::as_u64);
        let told = derived("kv_kind").and_then(Value::as_str).unwrap();
        // Its pattern of windows is not among the facts.
        if !told.contains("hybrid_layer_pattern") {
            assert!(told.starts_with(kind(&shape)), "{name}: {told}, not {}", kind(&shape));
        }
        for key in ["kv_bytes_per_token_bf16", "kv_bytes_per_token_bf16_full_layers"] {
            if let Some(bytes) = number(key) {
                assert_eq!(shape.kv_bytes_per_token(2), bytes, "{name}: {key}");
            }
        }
        if let Some(bytes) = number("kv_bytes_per_token_bf16_sliding_layers") {
            assert_eq!(shape.kv_bytes_per_window_token(2), bytes, "{name}");
            assert_eq!(shape.cache_groups().iter().find_map(|g| g.window), number("window"), "{name}");
        }
        if let Some(layers) = number("full_layers") {
            assert_eq!(shape.cache_groups()[0].layers, layers, "{name}");
        }
        let sizes = |test: &dyn Fn(u64) -> bool, most| -> Value {
            [1, 2, 4, 8, 16, 32].into_iter().filter(|tp| *tp <= most && test(*tp)).collect()
        };
        assert_eq!(&sizes(&|tp| shape.splits_into(tp), 32), derived("tp_ok_heads").unwrap(), "{name}");
        if let Some(blocks) = derived("fp8_block_tp_ok_moe") {
            assert_eq!(&sizes(&|tp| shape.blocks_split_into(tp, false), 16), blocks, "{name}");
        }
    }
    assert!(all.len() > 50);
}

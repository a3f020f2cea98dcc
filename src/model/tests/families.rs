//! Where families keep their numbers: configurations of our own in the shape of theirs.

use serde_json::{Value, json};

use super::super::{Cache, CacheTerms, KvKind, Shape, config, read_path};

fn shape(more: Value) -> Shape {
    let mut config = json!({
        "hidden_size": 256, "num_hidden_layers": 12, "num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 32
    });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    config::interpret(&config).shape.unwrap()
}

/// Layers by kind: full, with a window, with a state.
fn layers(shape: &Shape) -> (u64, u64, u64) {
    let groups = shape.cache_groups();
    let sum = |test: &dyn Fn(&Cache, bool) -> bool| {
        groups.iter().filter(|g| test(&g.cache, g.window.is_some())).map(|g| g.layers).sum()
    };
    let state = |c: &Cache| matches!(c, Cache::State { .. });
    (sum(&|c, w| !w && !state(c)), sum(&|_, w| w), sum(&|c, _| state(c)))
}

#[test]
fn layers_are_told_apart_however_a_family_says_it() {
    let types = |n: usize| [vec!["sliding_attention"; n], vec!["full_attention"; 12 - n]].concat();
    for (more, expected) in [
        (json!({}), (12, 0, 0)),
        (json!({"sliding_window": 64, "use_sliding_window": false, "model_type": "qwen2"}), (12, 0, 0)),
        (json!({"sliding_window": 64, "model_type": "mistral"}), (0, 12, 0)),
        (json!({"sliding_window": null, "model_type": "mistral"}), (12, 0, 0)),
        (json!({"sliding_window": 64, "layer_types": types(9)}), (3, 9, 0)),
        // The last four read the cache of earlier layers.
        (json!({"sliding_window": 64, "layer_types": types(6), "num_kv_shared_layers": 4}), (2, 6, 0)),
        (json!({"sliding_window": 64, "sliding_window_pattern": 6}), (2, 10, 0)),
        (json!({"sliding_window": 64, "model_type": "gemma2"}), (6, 6, 0)),
        (json!({"sliding_window": 64, "hybrid_layer_pattern": [0, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 0]}), (3, 9, 0)),
        (json!({"hybrid_override_pattern": "MEM*EMEM*EME"}), (2, 0, 5)),
        (json!({"full_attention_interval": 4}), (3, 0, 9)),
        (json!({"attn_type_list": [1, 1, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1]}), (10, 0, 2)),
        (json!({"linear_attn_config": {"kda_layers": [1, 2, 3], "num_heads": 4, "head_dim": 8}}), (9, 0, 3)),
    ] {
        assert_eq!(layers(&shape(more.clone())), expected, "{more}");
    }
}

#[test]
fn windows_and_global_layers_have_heads_of_their_own() {
    let gemma = shape(json!({
        "sliding_window": 64, "sliding_window_pattern": 6, "num_global_key_value_heads": 1, "global_head_dim": 64
    }));
    assert_eq!(
        (gemma.kv_bytes_per_token(2), gemma.kv_bytes_per_window_token(2)),
        (2 * 2 * 64 * 2, 10 * 2 * 2 * 32 * 2)
    );
    let mimo = shape(json!({
        "sliding_window": 64, "hybrid_layer_pattern": [0, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 0],
        "swa_num_key_value_heads": 4, "swa_head_dim": 16
    }));
    assert_eq!(mimo.kv_bytes_per_window_token(2), 9 * 2 * 4 * 16 * 2);
}

#[test]
fn states_are_as_large_as_their_parts() {
    let state = |shape: Shape| {
        shape
            .cache
            .iter()
            .find_map(|g| if let Cache::State { bytes, mamba } = g.cache { Some((bytes, mamba)) } else { None })
    };
    let linear = json!({
        "full_attention_interval": 4, "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8,
        "linear_value_head_dim": 16, "linear_conv_kernel_dim": 4
    });
    let convolution = 3 * (2 * 2 * 8 + 4 * 16) * 2;
    assert_eq!(state(shape(linear.clone())), Some((convolution + 4 * 16 * 8 * 2, false)));
    let mut wide = linear;
    wide["mamba_ssm_dtype"] = "float32".into();
    assert_eq!(state(shape(wide)), Some((convolution + 4 * 16 * 8 * 4, false)));
    let mamba = shape(json!({
        "hybrid_override_pattern": "MM*M", "mamba_num_heads": 4, "mamba_head_dim": 8, "ssm_state_size": 16, "n_groups": 2
    }));
    assert_eq!(mamba.kv_kind(), KvKind::Mamba);
    assert_eq!(state(mamba), Some((3 * (32 + 2 * 2 * 16) * 2 + 32 * 16 * 2, true)));
}

#[test]
fn quantised_blocks_are_cut_only_where_they_may_be() {
    let block = |config: Value| shape(json!({ "quantization_config": config })).quant_block;
    assert_eq!(block(json!({"quant_method": "fp8", "weight_block_size": [64, 64]})), Some(64));
    assert_eq!(block(json!({"quant_method": "fp8"})), None);
    assert_eq!(block(json!({"quant_method": "awq", "bits": 4, "group_size": 32})), Some(32));
    assert_eq!(block(json!({"quant_method": "gptq", "group_size": -1})), None);
    let group = |weights: Value| {
        block(json!({"quant_method": "compressed-tensors", "config_groups": {"g": {"weights": weights}}}))
    };
    assert_eq!(group(json!({"strategy": "group", "group_size": 16})), Some(16));
    assert_eq!(group(json!({"strategy": "channel"})), None);
    assert_eq!(group(json!({"strategy": "block", "block_structure": [32, 32]})), Some(32));
    let experts = shape(json!({
        "num_experts": 4, "moe_intermediate_size": 192, "intermediate_size": 1024,
        "quantization_config": {"quant_method": "fp8", "weight_block_size": [64, 64]}
    }));
    let sizes: Vec<u64> =
        (1..=8).filter(|tp| experts.splits_into(*tp) && experts.blocks_split_into(*tp, false)).collect();
    assert_eq!(sizes, [1]);
    assert!(experts.blocks_split_into(8, true), "whole experts are not cut");
    assert!(experts.expert_share() > 0.4);
}

#[test]
fn a_checkpoint_says_that_its_cache_has_eight_bits_and_that_it_sees() {
    let scales = json!({"quant_method": "modelopt", "kv_cache_scheme": {"num_bits": 8, "type": "float"}});
    let inner = json!({"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1});
    let whole = json!({"text_config": inner, "vision_config": {"depth": 2}, "quantization_config": scales});
    let shape = config::interpret(&whole).shape.unwrap();
    assert!(shape.kv_fp8 && shape.vision);
    assert!(!config::interpret(&inner).shape.unwrap().vision);
}

/// A GGUF file of nothing but metadata.
fn gguf(pairs: &[(&str, &str, u32)]) -> Vec<u8> {
    let text = |t: &str| [&(t.len() as u64).to_le_bytes()[..], t.as_bytes()].concat();
    let mut file = b"GGUF\x03\0\0\0\0\0\0\0\0\0\0\0".to_vec();
    file.extend((pairs.len() as u64).to_le_bytes());
    for (key, word, number) in pairs {
        file.extend(text(key));
        if word.is_empty() {
            file.extend(4u32.to_le_bytes());
            file.extend(number.to_le_bytes());
        } else {
            file.extend(8u32.to_le_bytes());
            file.extend(text(word));
        }
    }
    file
}

#[test]
fn gguf_files_tell_windows_and_latents() {
    let dir = tempfile::tempdir().unwrap();
    let read = |family: &str, more: &[(&str, u32)]| {
        let path = dir.path().join("x.gguf");
        let key = |name: &str| format!("{family}.{name}");
        let common = [
            ("block_count", 12),
            ("embedding_length", 256),
            ("attention.head_count", 8),
            ("attention.head_count_kv", 2),
        ];
        let named: Vec<(String, u32)> = common.iter().chain(more).map(|(name, n)| (key(name), *n)).collect();
        let mut pairs = vec![("general.architecture", family, 0)];
        pairs.extend(named.iter().map(|(name, n)| (name.as_str(), "", *n)));
        std::fs::write(&path, gguf(&pairs)).unwrap();
        read_path(&path).unwrap().shape.unwrap()
    };
    assert_eq!(layers(&read("gemma3", &[("attention.sliding_window", 64)])), (2, 10, 0));
    assert_eq!(layers(&read("llama", &[("attention.sliding_window", 64)])), (12, 0, 0));
    assert_eq!(layers(&read("qwen35", &[("full_attention_interval", 4)])), (3, 0, 9));
    let latent = read("deepseek2", &[("attention.kv_lora_rank", 64), ("rope.dimension_count", 16)]);
    assert_eq!((latent.kv_kind(), latent.kv_bytes_per_token(2)), (KvKind::Latent, 12 * 80 * 2));
    let layout = latent.layout(&CacheTerms { tensor: 4, ..CacheTerms::default() });
    assert_eq!(layout.bytes_per_token(), 12 * 80 * 2);
}

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
    let state = |c: &Cache| matches!(c, Cache::State { .. } | Cache::Fixed { .. });
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

#[test]
fn layers_that_guess_ahead_keep_a_cache_when_they_are_used() {
    let on = |shape: &Shape, speculative| shape.layout(&CacheTerms { speculative, ..CacheTerms::default() });
    let plain = shape(json!({"num_nextn_predict_layers": 1}));
    assert_eq!(plain.draft_layers, 1);
    assert_eq!(on(&plain, 0).bytes_per_token(), 12 * 2 * 2 * 32 * 2);
    assert_eq!(on(&plain, 3).bytes_per_token(), 13 * 2 * 2 * 32 * 2);
    let latent = shape(json!({"num_nextn_predict_layers": 1, "kv_lora_rank": 64, "qk_rope_head_dim": 16}));
    assert_eq!(on(&latent, 1).bytes_per_token(), 13 * 80 * 2);
    // A draft model of its own is not among these weights.
    assert_eq!(on(&shape(json!({})), 3).bytes_per_token(), 12 * 2 * 2 * 32 * 2);
}

#[test]
fn sparse_attention_keeps_an_index_key_in_its_layers() {
    let marks: Vec<u64> = (0..12).map(|layer| u64::from(layer >= 3)).collect();
    let nested = json!({
        "model_type": "minimax_m3",
        "sparse_attention_config": {"use_sparse_attention": true, "sparse_index_dim": 16, "sparse_attention_freq": marks}
    });
    let flat = json!({"sparse_index_dim": 16, "sparse_attention_freq": marks});
    for config in [nested, flat] {
        let sparse = shape(config);
        assert_eq!((sparse.kv_kind(), sparse.cache_unknown), (KvKind::HeadsIndexed, false));
        assert_eq!(sparse.kv_bytes_per_token(2), 12 * 2 * 2 * 32 * 2 + 9 * 16 * 2);
        // The index is whole on every rank and stays in 16 bits.
        let layout = sparse.layout(&CacheTerms { tensor: 2, element_bytes: 1, ..CacheTerms::default() });
        assert_eq!(layout.bytes_per_token(), 12 * 2 * 32 + 9 * 16 * 2);
    }
    assert_eq!(shape(json!({"model_type": "minimax_m3_vl"})).kv_kind(), KvKind::Unknown);
}

#[test]
fn compressed_caches_are_priced_by_their_ratios() {
    let with = |ratios: Vec<u64>| {
        shape(json!({
            "model_type": "deepseek_v4", "compress_ratios": ratios, "sliding_window": 16, "head_dim": 128,
            "qk_rope_head_dim": 32, "index_head_dim": 64
        }))
    };
    let known = with([vec![0, 0], vec![4; 6], vec![128; 4], vec![0]].concat());
    let layers: Vec<u64> = known.cache.iter().map(|group| group.layers).collect();
    assert_eq!((known.kv_kind(), layers), (KvKind::Unknown, vec![2, 6, 4]));
    let layout = known.layout(&CacheTerms::default());
    let plain = shape(json!({"head_dim": 128})).layout(&CacheTerms::default());
    assert!(layout.needed(1 << 20) < plain.needed(1 << 20) / 10);
    assert!(layout.needed(1 << 20) > 12 * 128 * (1 << 20) / 16);
    // Rules nobody wrote down yet: the uncompressed size.
    assert!(with(vec![2; 12]).cache.is_empty() && with(vec![4; 3]).cache.is_empty());
}

/// Every size that was tried for a family, against the rules of heads and of quantised blocks.
#[test]
fn the_sizes_that_engines_refuse_are_refused() {
    let of = |heads: u64, kv_heads: u64, more: Value| {
        let mut config = json!({"num_attention_heads": heads, "num_key_value_heads": kv_heads});
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let shape = shape(config);
        let fits = move |tp: &u64| shape.splits_into(*tp) && shape.blocks_split_into(*tp, false);
        [1, 2, 3, 4, 5, 6, 7, 8, 16].into_iter().filter(fits).collect::<Vec<u64>>()
    };
    let blocks = |inner: u64| {
        json!({"num_experts": 128, "moe_intermediate_size": inner,
            "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}})
    };
    let latent = json!({"kv_lora_rank": 512, "qk_rope_head_dim": 64});
    // Heads, key/value heads, the rest; sizes that run. GLM-4.7-Flash, MiniMax, Qwen3.5 27B and GLM-4.x by heads alone.
    for (heads, kv_heads, more, sizes) in [
        (20, 20, latent, vec![1, 2, 4, 5]),
        (48, 8, json!({}), vec![1, 2, 4, 8, 16]),
        (24, 4, json!({}), vec![1, 2, 4, 8]),
        (96, 8, json!({}), vec![1, 2, 4, 8, 16]),
        // FP8 in blocks: Qwen3 30B up to 2, 235B and MiniMax-M2 up to 4, without blocks any.
        (32, 4, blocks(768), vec![1, 2]),
        (64, 4, blocks(1536), vec![1, 2, 4]),
        (
            96,
            8,
            json!({"num_experts": 160, "moe_intermediate_size": 1536,
            "quantization_config": {"quant_method": "compressed-tensors", "config_groups": {"g": {"weights":
                {"num_bits": 8, "type": "float", "strategy": "channel"}}}}}),
            vec![1, 2, 4, 8, 16],
        ),
        // AWQ: the inner size in groups.
        (
            40,
            8,
            json!({"intermediate_size": 13824, "quantization_config":
            {"quant_method": "awq", "group_size": 128}}),
            vec![1, 2, 4],
        ),
    ] {
        assert_eq!(of(heads, kv_heads, more.clone()), sizes, "{heads} heads, {more}");
    }
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
    // The layers that guess ahead keep nothing of their own, those of an E model read earlier ones.
    assert_eq!(layers(&read("glm4moe", &[("nextn_predict_layers", 1)])), (11, 0, 0));
    assert_eq!(
        layers(&read("gemma3n", &[("attention.sliding_window", 64), ("attention.shared_kv_layers", 2)])),
        (2, 8, 0)
    );
    let latent = read("deepseek2", &[("attention.kv_lora_rank", 64), ("rope.dimension_count", 16)]);
    assert_eq!((latent.kv_kind(), latent.kv_bytes_per_token(2)), (KvKind::Latent, 12 * 80 * 2));
    let layout = latent.layout(&CacheTerms { tensor: 4, ..CacheTerms::default() });
    assert_eq!(layout.bytes_per_token(), 12 * 80 * 2);
}

/// A GGUF file with one list of numbers more.
fn with_list(pairs: &[(&str, &str, u32)], key: &str, kind: u32, items: &[u8], count: u64) -> Vec<u8> {
    let mut file = gguf(pairs);
    let more = (pairs.len() as u64 + 1).to_le_bytes();
    file[16..24].copy_from_slice(&more);
    file.extend((key.len() as u64).to_le_bytes());
    file.extend(key.as_bytes());
    file.extend([9u32, kind].iter().flat_map(|n| n.to_le_bytes()));
    file.extend(count.to_le_bytes());
    file.extend(items);
    file
}

#[test]
fn gguf_states_have_their_size() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.gguf");
    let read = |family: &str, numbers: &[(&str, u32)], list: Option<(&str, u32, Vec<u8>, u64)>| {
        let named: Vec<(String, u32)> = [("block_count", 8), ("embedding_length", 64), ("attention.head_count", 4)]
            .iter()
            .chain(numbers)
            .map(|(name, n)| (format!("{family}.{name}"), *n))
            .collect();
        let mut pairs = vec![("general.architecture", family, 0)];
        pairs.extend(named.iter().map(|(name, n)| (name.as_str(), "", *n)));
        let file = match list {
            None => gguf(&pairs),
            Some((key, kind, items, count)) => with_list(&pairs, &format!("{family}.{key}"), kind, &items, count),
        };
        std::fs::write(&path, file).unwrap();
        read_path(&path).unwrap().shape.unwrap()
    };
    let ints = |numbers: [i32; 8]| numbers.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>();
    let ssm = [("ssm.conv_kernel", 4), ("ssm.inner_size", 128), ("ssm.state_size", 16), ("ssm.group_count", 2)];
    let one = 4 * (3 * (128 + 2 * 2 * 16) + 128 * 16);
    let state = |shape: &Shape| {
        let layout = shape.layout(&CacheTerms::default());
        (shape.kv_kind(), layout.needed(0), layout.bytes_per_token(), layout.sequences_in(1 << 30))
    };

    let kv = Some(("attention.head_count_kv", 5, ints([0, 2, 0, 0, 0, 2, 0, 0]), 8));
    assert_eq!(state(&read("jamba", &ssm, kv.clone())), (KvKind::Mamba, 6 * one, 2 * 2 * 2 * 16 * 2, None));
    let linear = read(
        "qwen3next",
        &[&ssm[..], &[("full_attention_interval", 4), ("attention.head_count_kv", 1)]].concat(),
        None,
    );
    assert_eq!(state(&linear), (KvKind::Mamba, 6 * one, 2 * 2 * 16 * 2, None));
    assert_eq!(state(&read("mamba2", &ssm, None)), (KvKind::Mamba, 8 * one, 0, None));
    let both = read("falcon-h1", &[&ssm[..], &[("attention.head_count_kv", 1)]].concat(), None);
    assert_eq!(state(&both), (KvKind::Mamba, 8 * one, 8 * 2 * 16 * 2, None));
    // A short convolution is all there is of it.
    assert_eq!(state(&read("lfm2", &[("shortconv.l_cache", 3)], kv)).1, 6 * 64 * 2 * 4);
    assert_eq!(state(&read("rwkv7", &[("wkv.head_size", 16)], None)).1, 8 * 4 * (64 * 2 + 64 * 16));

    // Booleans say which layers have a window.
    let marks = Some(("attention.sliding_window_pattern", 7, vec![1, 1, 1, 0, 1, 1, 1, 0], 8));
    let numbers = [("attention.sliding_window", 32), ("attention.head_count_kv", 2)];
    assert_eq!(layers(&read("gemma4", &numbers, marks)), (2, 6, 0));
}

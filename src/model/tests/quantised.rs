//! How checkpoints say that they are quantised: configurations of our own, each in the shape of one tool's.

use serde_json::{Value, json};

use super::super::{config, read_path};
use super::{CONFIG, weights_file};

fn read(config: Value) -> config::Config {
    let inner = json!({"hidden_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 768});
    let mut whole = inner;
    whole["quantization_config"] = config;
    config::interpret(&whole)
}

/// One group of compressed-tensors.
fn group(bits: u64, kind: &str, strategy: &str, activations: Option<u64>) -> Value {
    let activations = activations.map(|bits| json!({"num_bits": bits, "type": kind, "dynamic": true}));
    json!({
        "quant_method": "compressed-tensors",
        "config_groups": {"group_0": {
            "targets": ["Linear"], "input_activations": activations,
            "weights": {"num_bits": bits, "type": kind, "strategy": strategy, "group_size": 64, "block_structure": [96, 96]}
        }}
    })
}

#[test]
fn each_tools_way_of_saying_it_is_read() {
    let packed = |format: &str, bits: u64| {
        let mut config = group(bits, "float", "tensor_group", None);
        config["format"] = format.into();
        config
    };
    // What it says, its name here, what a rank's slice must be a multiple of.
    for (config, name, block) in [
        (json!({"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [96, 96]}), Some("fp8"), Some(96)),
        (json!({"quant_method": "fp8", "activation_scheme": "static"}), Some("fp8"), None),
        (json!({"quant_method": "fbgemm_fp8", "activation_scale_ub": 900.0}), Some("fp8"), None),
        (json!({"quant_method": "awq", "bits": 4, "group_size": 64, "version": "gemm"}), Some("awq"), Some(64)),
        (json!({"quant_method": "gptq", "bits": 4, "group_size": 32, "desc_act": false}), Some("gptq"), Some(32)),
        (json!({"quant_method": "gptq", "bits": 8, "group_size": -1}), Some("gptq"), None),
        (json!({"quant_method": "auto-round", "bits": 4, "group_size": 64}), Some("auto-round"), Some(64)),
        (json!({"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]}), Some("mxfp4"), None),
        (packed("mxfp4-pack-quantized", 4), Some("mxfp4"), Some(64)),
        (packed("nvfp4-pack-quantized", 4), Some("nvfp4"), Some(64)),
        (json!({"quant_method": "modelopt", "quant_algo": "NVFP4", "group_size": 16}), Some("nvfp4"), None),
        (json!({"quant_method": "modelopt", "quant_algo": "FP8_PB_WO"}), Some("fp8"), None),
        (json!({"quant_method": "modelopt", "quant_algo": "W4A16_AWQ"}), Some("awq"), None),
        (json!({"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION"}), Some("modelopt"), None),
        (group(8, "float", "channel", Some(8)), Some("fp8"), None),
        (group(8, "float", "block", Some(8)), Some("fp8"), Some(96)),
        (group(8, "int", "channel", Some(8)), Some("w8a8"), None),
        (group(8, "int", "channel", None), Some("int8"), None),
        (group(4, "int", "group", None), Some("int4"), Some(64)),
        (json!({"quant_method": "compressed-tensors"}), Some("compressed-tensors"), None),
        (json!({"quant_method": "bitsandbytes", "load_in_4bit": true}), Some("bitsandbytes"), None),
        (json!({"quant_method": "bitsandbytes", "load_in_8bit": true}), Some("bitsandbytes-8bit"), None),
        (json!({"model_quant_type": "W8A8_DYNAMIC"}), Some("w8a8"), None),
        (json!({"bits": 4}), None, None),
        (json!("fp8"), None, None),
        (Value::Null, None, None),
    ] {
        let found = read(config.clone());
        assert_eq!(found.quantization.as_deref(), name, "{config}");
        assert_eq!(found.shape.unwrap().quant_block, block, "{config}");
    }
}

#[test]
fn the_group_with_the_fewest_bits_gives_the_name() {
    let mut mixed = group(8, "float", "channel", Some(8));
    mixed["config_groups"]["group_1"] = group(4, "int", "group", None)["config_groups"]["group_0"].clone();
    assert_eq!(read(mixed).quantization.as_deref(), Some("int4"));
    let mut nested = group(4, "float", "group", None);
    nested["config_groups"]["group_0"]["format"] = "mxfp4-pack-quantized".into();
    assert_eq!(read(nested).quantization.as_deref(), Some("mxfp4"));
}

#[test]
fn what_a_file_of_its_own_says_counts_where_config_json_is_silent() {
    let of = |name: &str, text: &str, config: &str| {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config.json"), config).unwrap();
        std::fs::write(dir.path().join(name), text).unwrap();
        weights_file(&dir.path().join("quant_model_weights-00001-of-00001.safetensors"), 4, 4);
        let weights = read_path(dir.path()).unwrap();
        (weights.quantization, weights.shape.unwrap().kv_fp8)
    };
    let ascend = r#"{"model_quant_type": "W8A8_DYNAMIC", "model.layers.0.mlp.up_proj.weight": "W8A8_DYNAMIC", "n": 3}"#;
    assert_eq!(of("quant_model_description.json", ascend, CONFIG), (Some("w8a8".into()), false));
    let typed = r#"{"model_quant_type": "W4A16"}"#;
    assert_eq!(of("quant_model_description_w4a16.json", typed, CONFIG), (Some("w4a16".into()), false));
    let said = CONFIG.replacen('{', r#"{"quantize": "w8a8", "#, 1);
    assert_eq!(of("readme.txt", "", &said), (Some("w8a8".into()), false));
    let model_opt = r#"{"producer": {}, "quantization": {"quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8"}}"#;
    assert_eq!(of("hf_quant_config.json", model_opt, CONFIG), (Some("nvfp4".into()), true));
    assert_eq!(of("hf_quant_config.json", "{", CONFIG), (None, false));
    let own = CONFIG.replacen('{', r#"{"quantization_config": {"quant_method": "awq"}, "#, 1);
    assert_eq!(of("hf_quant_config.json", model_opt, &own), (Some("awq".into()), false));
}

//! `llmup plan` for machines that are not this one.

use serde_json::Value;

use crate::support::Home;

/// A dense model of 16 GB with 128 KiB of cache per token, without its content.
fn model(home: &Home) -> std::path::PathBuf {
    let dir = home.path().join("some-model");
    std::fs::create_dir_all(&dir).unwrap();
    let config = r#"{"architectures": ["SomeForCausalLM"], "hidden_size": 4096, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128000, "intermediate_size": 14336,
        "max_position_embeddings": 131072}"#;
    std::fs::write(dir.join("config.json"), config).unwrap();
    let header = r#"{"w":{"dtype":"BF16","shape":[8000000000],"data_offsets":[0,16000000000]}}"#;
    let path = dir.join("model.safetensors");
    std::fs::write(&path, [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat()).unwrap();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_len(8 + header.len() as u64 + 16_000_000_000).unwrap();
    dir
}

fn plan(home: &Home, more: &[&str], code: i32) -> Value {
    let dir = model(home);
    let args = [&["plan", "mine", "--json", "--model-dir", dir.to_str().unwrap()], more].concat();
    let ran = home.run(&args);
    assert_eq!(ran.code, Some(code), "{args:?}: {}", ran.err);
    serde_json::from_str(&ran.out).unwrap()
}

#[test]
fn a_plan_for_named_gpus_has_the_whole_bill() {
    let home = Home::new();
    let plan = plan(&home, &["--on", "2x4090"], 0);
    assert_eq!(plan["verdict"], "fits");
    assert_eq!(plan["kv_bytes_per_token"], 65_536);
    assert_eq!(plan["per_gpu"].as_array().unwrap().len(), 2);
    let bill = &plan["per_gpu"][0];
    for part in
        ["weights_bytes", "kv_bytes_available", "kv_bytes_needed", "kv_tokens", "activation_bytes", "graph_bytes"]
    {
        assert!(bill[part].as_u64().unwrap() > 0, "{part}: {bill}");
    }
    assert_eq!(bill["total_bytes"], 24_564u64 << 20);
    let command: Vec<&str> = plan["command"].as_array().unwrap().iter().map(|a| a.as_str().unwrap()).collect();
    assert!(command.windows(2).any(|w| w == ["--tensor-parallel-size", "2"]), "{command:?}");
    assert!(plan["max_concurrency"].as_f64().unwrap() >= 1.0);
    assert!(!plan["reasons"].as_array().unwrap().is_empty());
}

#[test]
fn what_does_not_fit_a_described_machine_is_said_as_data() {
    let home = Home::new();
    let file = home.path().join("server.json");
    let machine = r#"{"os": "linux", "memory_bytes": 68719476736, "devices": [{"vendor": "nvidia", "name": "Some GPU",
        "memory_total_bytes": 17179869184, "memory_free_bytes": 17000000000, "architecture": "8.9"}]}"#;
    std::fs::write(&file, machine).unwrap();
    let refused = plan(&home, &["--machine", file.to_str().unwrap()], 5);
    assert_eq!(refused["verdict"], "does_not_fit");
    assert_eq!(refused["per_gpu"][0]["kv_bytes_available"], 0);
    assert!(!refused["alternatives"].as_array().unwrap().is_empty());
}

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

/// What a plan of a profile whose weights are not here says, and what `models --fits` says of the same.
#[test]
fn plan_and_models_say_the_same_of_a_profile_without_weights() {
    let home = Home::new();
    let ran = home.run(&["models", "--fits", "--json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let models: Vec<Value> = serde_json::from_str(&ran.out).unwrap();
    let mut compared = 0;
    for name in ["qwen3-8b", "llama-3.1-8b", "qwen3-4b", "glm-4.7"] {
        let model = models.iter().find(|m| m["name"] == name).unwrap();
        let ran = home.run(&["plan", name, "--json"]);
        let plan: Value = serde_json::from_str(&ran.out).unwrap();
        if model["fit"] == "no" {
            assert_eq!((ran.code, &plan["verdict"]), (Some(5), &Value::from("does_not_fit")), "{name}");
            continue;
        }
        compared += 1;
        assert_eq!(ran.code, Some(0), "{name}: {}", ran.err);
        assert_eq!((&plan["verdict"], &plan["engine"]), (&model["fit"], &model["engine"]), "{name}");
        assert_eq!(plan["weights"]["bytes"], model["weights_bytes"], "{name}");
        // What is free changes from one run to the next.
        let (a, b) = (plan["max_model_len"].as_u64().unwrap(), model["context"].as_u64().unwrap());
        assert!(a.abs_diff(b) <= a / 2, "{name}: {a} and {b}");
        if !plan["kv_bytes_per_token"].is_null() {
            assert!(plan["per_gpu"][0]["kv_bytes_needed"].as_u64().unwrap() > 0, "{name}");
        }
    }
    assert!(compared > 0 || models.iter().all(|m| m["fit"] != "fits"), "none of them fits this machine");
}

#[test]
fn alternatives_are_data_and_their_commands_work() {
    let home = Home::new();
    let refused = home.run(&["plan", "glm-4.7", "--on", "2x4090", "--json"]);
    assert_eq!(refused.code, Some(5), "{}", refused.err);
    let refused: Value = serde_json::from_str(&refused.out).unwrap();
    let fitting = home.run(&["plan", "qwen3-32b", "--on", "4090", "--json"]);
    assert_eq!(fitting.code, Some(0), "{}", fitting.err);
    let fitting: Value = serde_json::from_str(&fitting.out).unwrap();
    let mut tried = 0;
    for alternative in [&refused, &fitting].iter().flat_map(|v| v["alternatives"].as_array().unwrap()) {
        let Some(command) = alternative["command"].as_str() else { continue };
        let words: Vec<&str> = command.split(' ').skip(1).collect();
        // Flags for the engine stay the last.
        let end = words.iter().position(|w| *w == "--").unwrap_or(words.len());
        let args = [&words[..end], &["--json"], &words[end..]].concat();
        let ran = home.run(&args);
        assert_eq!(ran.code, Some(0), "{command}: {}", ran.err);
        let plan: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!(plan["max_model_len"], alternative["max_model_len"], "{command}");
        assert_eq!(plan["verdict"], alternative["verdict"], "{command}");
        tried += 1;
    }
    assert!(tried >= 2, "{tried}");
    let kinds: Vec<&str> =
        refused["alternatives"].as_array().unwrap().iter().map(|a| a["change"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"sibling") && kinds.contains(&"more_memory"), "{kinds:?}");
}

#[test]
fn a_refusal_is_told_in_lines_that_fit() {
    let home = Home::new();
    let refused = home.run(&["plan", "glm-4.7", "--on", "2x4090"]);
    assert_eq!(refused.code, Some(5));
    assert!(refused.err.contains("each of 2 × "), "{}", refused.err);
    let hints = refused.err.lines().filter(|l| l.starts_with("hint:")).count();
    assert!((1..=4).contains(&hints), "{}", refused.err);
    for line in refused.err.lines().filter(|l| !l.contains('`')) {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn offloading_is_in_the_plan_as_numbers() {
    let home = Home::new();
    let fitting = home.run(&["plan", "qwen3-32b", "--on", "4090", "--json"]);
    let plan: Value = serde_json::from_str(&fitting.out).unwrap();
    let (layers, on_gpu) = (&plan["offload"]["layers"], &plan["offload"]["gpu_layers"]);
    assert_eq!(layers, 64);
    assert!((1..64).contains(&on_gpu.as_u64().unwrap()), "{plan}");
    let places: Vec<&str> = plan["per_gpu"].as_array().unwrap().iter().map(|b| b["place"].as_str().unwrap()).collect();
    assert_eq!(places.len(), 2, "{places:?}");
    assert_eq!(places[1], "memory");
}

#[test]
fn makers_sampling_is_left_to_the_engine_where_the_weights_bring_it() {
    let home = Home::new();
    let dir = model(&home);
    let args = ["plan", "glm-4.6", "--json", "--on", "h100", "--model-dir", dir.to_str().unwrap()];
    let passed = || {
        let ran = home.run(&args);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        let plan: Value = serde_json::from_str(&ran.out).unwrap();
        plan["command"].to_string().contains("--override-generation-config")
    };
    assert!(passed(), "the profile says how to sample");
    std::fs::write(dir.join("generation_config.json"), r#"{"temperature": 1.0, "top_p": 0.9, "top_k": 5}"#).unwrap();
    assert!(!passed());
}

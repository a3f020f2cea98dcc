//! Predicted against recorded: the planner over real vLLM starts, where the recordings are at hand.
//! `scripts/plan-accuracy` prints the table.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use serde_json::{Map, Value, json};

use super::*;
use crate::hardware::{Cpu, Device, Memory, VendorId, memory_for_cuda};
use crate::host::Os;
use crate::model::{self, CacheTerms, KvKind};

const GIB: f64 = (1u64 << 30) as f64;

/// GPUs whose size a record leaves out, GiB as CUDA sees it: GB10 from another record, H20 as a card of 96 GB.
const SIZES: &[(&str, f64)] = &[("H20", 95.1), ("GB10", 121.63)];

fn text<'a>(record: &'a Value, key: &str) -> &'a str {
    record.get(key).and_then(Value::as_str).unwrap_or("")
}

fn number(record: &Value, key: &str) -> Option<f64> {
    record.get(key).and_then(Value::as_f64)
}

/// A config.json with the record's shape: what the record lacks comes from the published model of the same shape.
fn config(record: &Value, facts: &Map<String, Value>) -> Value {
    let shape = record.get("config").unwrap();
    let number = |key: &str| shape.get(key).and_then(Value::as_u64);
    let arch = text(shape, "arch");
    let twin = facts.values().find(|fact| {
        let same = |key: &str, ours: Option<u64>| fact.get(key).and_then(Value::as_u64) == ours;
        same("num_hidden_layers", number("layers"))
            && same("hidden_size", number("hidden"))
            && same("num_attention_heads", number("heads"))
    });
    let mut config = twin.cloned().unwrap_or(json!({}));
    let map = config.as_object_mut().unwrap();
    // A newer release of the same shape may have a longer context than its twin.
    for key in
        ["max_position_embeddings", "derived", "layer_types_counts", "hybrid_override_pattern", "compress_ratio_counts"]
    {
        map.remove(key);
    }
    let quant = text(record, "quant");
    match map.remove("quantization") {
        Some(quantization) if quant.contains("block") => {
            map.insert("quantization_config".into(), quantization);
        }
        _ => {
            let known =
                ["mxfp4", "nvfp4", "awq", "fp8", "int4", "w8a8"].into_iter().find(|known| quant.contains(known));
            if let Some(known) = known {
                map.insert("quantization_config".into(), json!({ "quant_method": known }));
            }
        }
    }
    map.insert("architectures".into(), json!([arch]));
    for (ours, theirs) in [
        ("layers", "num_hidden_layers"),
        ("heads", "num_attention_heads"),
        ("kv_heads", "num_key_value_heads"),
        ("head_dim", "head_dim"),
        ("hidden", "hidden_size"),
        ("vocab", "vocab_size"),
        ("global_kv_heads", "num_global_key_value_heads"),
        ("global_head_dim", "global_head_dim"),
        ("sliding_window", "sliding_window"),
        ("kv_lora_rank", "kv_lora_rank"),
        ("qk_rope_head_dim", "qk_rope_head_dim"),
        ("index_head_dim", "index_head_dim"),
        ("num_experts", "num_experts"),
    ] {
        if let Some(n) = number(ours) {
            map.insert(theirs.into(), n.into());
        }
    }
    let kinds = [
        ("full_layers", "full_attention"),
        ("sliding_layers", "sliding_attention"),
        ("linear_layers", "linear_attention"),
    ];
    let types: Vec<&str> =
        kinds.iter().flat_map(|(key, name)| vec![*name; number(key).unwrap_or(0) as usize]).collect();
    if !types.is_empty() {
        map.insert("layer_types".into(), json!(types));
    }
    if map.get("has_vision") == Some(&true.into()) || text(record, "model").contains("VL") {
        map.insert("vision_config".into(), json!({}));
    }
    config
}

/// Bytes of the weight files: from what was loaded, else from the parameters the name counts and the bits of each.
fn file_bytes(record: &Value) -> Option<u64> {
    let ranks = number(record, "tp").unwrap_or(1.0) * number(record, "pp").unwrap_or(1.0);
    if let Some(bytes) = number(record, "checkpoint_bytes") {
        return Some(bytes as u64);
    }
    let quant = text(record, "quant");
    if let Some(loaded) = number(record, "weights_gib").or_else(|| number(record, "consumed_gib")) {
        let over = if quant.contains("bf16") {
            1.005
        } else if quant.contains("mxfp4") {
            1.085
        } else {
            1.02
        };
        return Some((loaded * ranks * GIB / over) as u64);
    }
    let name = text(record, "model");
    let billions = [
        ("MiniMax-M2", 229.0),
        ("GLM-4.6", 357.0),
        ("Kimi-K2", 1026.0),
        ("Kimi-Linear-48B", 49.0),
        ("gpt-oss-120b", 117.0),
        ("480B", 480.0),
        ("80B", 81.0),
        ("35b", 36.0),
        ("30B", 31.1),
        ("36B", 36.2),
        ("27b", 27.8),
        ("27B", 27.8),
    ];
    let (_, billions) = billions.into_iter().find(|(part, _)| name.contains(part))?;
    // NVFP4: experts are in 4 bits throughout; of a dense model much is not (recipes ask for 27 GB for 27B).
    let bytes = match quant {
        q if q.contains("bf16") => 2.0,
        q if q.contains("fp8") => 1.03,
        q if q.contains("nvfp4") && name.contains("a3b") => 0.6,
        q if q.contains("nvfp4") => 0.8,
        q if q.contains("mxfp4") => 0.558,
        _ => 0.58,
    };
    Some((billions * 1e9 * bytes) as u64)
}

/// The model as a folder: its config.json, and weights of the right length without content.
fn folder(record: &Value, facts: &Map<String, Value>) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("config.json"), config(record, facts).to_string()).unwrap();
    let bytes = file_bytes(record).unwrap_or(1 << 20);
    let header = format!(r#"{{"w":{{"dtype":"U8","shape":[{bytes}],"data_offsets":[0,{bytes}]}}}}"#);
    let mut file = File::create(dir.path().join("model.safetensors")).unwrap();
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    let at = file.seek(SeekFrom::End(0)).unwrap();
    file.set_len(at + bytes).unwrap();
    dir
}

fn machine(record: &Value) -> Option<Hardware> {
    let name = text(record, "gpu").to_owned();
    let gib =
        number(record, "gpu_mem_gib").or_else(|| SIZES.iter().find(|(n, _)| name.contains(n)).map(|(_, gib)| *gib))?;
    let unified = name.contains("GB10") || name.contains("Thor");
    let seen = (gib * GIB) as u64;
    // What the driver says, so that what CUDA sees of it is the recorded size.
    let mut total = seen;
    while !unified && memory_for_cuda(total) < seen {
        total += seen - memory_for_cuda(total);
    }
    let device = |index| Device {
        vendor: VendorId::Nvidia,
        index,
        name: name.clone(),
        uuid: None,
        memory_total_bytes: total,
        memory_free_bytes: None,
        architecture: None,
        unified,
        usable: true,
        problem: None,
    };
    Some(Hardware {
        os: Os::Linux,
        cpu: Cpu::default(),
        memory: Memory { total_bytes: 512 << 30, available_bytes: 500 << 30 },
        devices: (0..number(record, "gpus")? as u32).map(device).collect(),
        versions: Default::default(),
        links: Vec::new(),
        problems: Vec::new(),
        wsl: None,
        wsl_memory_bytes: None,
    })
}

/// The flags of the recorded start; `fp8_e5m2` and its like as they are.
fn flags(record: &Value) -> Vec<String> {
    let mut args = Vec::new();
    let mut flag = |name: &str, value: Option<String>| {
        args.extend(value.map(|value| format!("{name}={value}")));
    };
    let count =
        |key: &str| number(record, key).filter(|n| *n > 1.0 || key.starts_with("max_")).map(|n| (n as u64).to_string());
    flag("--pipeline-parallel-size", count("pp"));
    flag("--data-parallel-size", count("dp"));
    flag("--decode-context-parallel-size", count("dcp"));
    flag("--max-num-seqs", count("max_num_seqs"));
    flag("--max-num-batched-tokens", count("max_num_batched_tokens"));
    let dtype = text(record, "kv_dtype");
    flag("--kv-cache-dtype", (!dtype.starts_with("auto")).then(|| dtype.to_owned()));
    let guessed = text(record, "spec").split(' ').next_back().and_then(|n| n.parse::<u64>().ok());
    flag("--spec-tokens", guessed.map(|n| n.to_string()));
    if record.get("ep") == Some(&Value::Bool(true)) {
        args.push("--enable-expert-parallel".into());
    }
    args.extend(text(record, "flags").split_whitespace().map(str::to_owned));
    args
}

struct Row {
    id: u64,
    high: bool,
    right: bool,
    line: String,
    /// Tokens for the recorded bytes, against the recorded tokens, in per cent; and whether the model is hybrid.
    tokens: Option<(f64, bool)>,
    /// Predicted and recorded room for the cache, GiB.
    room: Option<(f64, f64)>,
}

fn judge(record: &Value, facts: &Map<String, Value>) -> Option<Row> {
    let hardware = machine(record)?;
    let dir = folder(record, facts);
    let weights = model::read_path(dir.path()).unwrap();
    let version = version(text(record, "vllm_version").trim_start_matches("vllm-ascend "));
    let context = number(record, "max_model_len").map(|n| n as u64);
    let usual = if version.is_none_or(|v| v >= (0, 20)) { 0.92 } else { 0.9 };
    let request = Request {
        engine: None,
        context,
        utilization: Some(number(record, "util").unwrap_or(usual)),
        tensor_parallel: number(record, "tp").map(|n| n as u32),
        engine_args: flags(record),
        ..Request::default()
    };
    let installed =
        [Installed { engine: EngineId::Vllm, cpu_build: false, accelerator: None, version, limits_prompts: false }];
    let facts = Facts {
        request: &request,
        hardware: &hardware,
        weights: &weights,
        profile: None,
        profiles: &[],
        installed: &installed,
    };
    let (verdict, why, bills) = match plan(facts) {
        Ok(plan) => (format!("{:?}", plan.verdict).to_lowercase(), String::new(), plan.per_gpu),
        Err(PlanError::DoesNotFit { why, bills, .. }) => ("does_not_fit".into(), why, bills),
        Err(other) => ("does_not_fit".into(), other.to_string(), Vec::new()),
    };
    let outcome = text(record, "outcome");
    let right = (verdict == "does_not_fit") == outcome.starts_with("fail");
    let predicted = bills.first().map(|b| b.kv_bytes_available as f64 / GIB);
    let recorded = number(record, "kv_gib");
    let shape = weights.shape.as_ref();
    let flags = super::flags::Flags::read(&request.engine_args);
    let tokens =
        shape.zip(recorded).zip(context).zip(number(record, "kv_tokens")).map(|(((shape, gib), context), tokens)| {
            let terms = CacheTerms {
                tensor: number(record, "tp").unwrap_or(1.0) as u64,
                pipeline: number(record, "pp").unwrap_or(1.0) as u64,
                decode_context: number(record, "dcp").unwrap_or(1.0) as u64,
                element_bytes: flags.element_bytes(false),
                batched_tokens: flags.batched_tokens.unwrap_or(2048),
                speculative: flags.speculative,
            };
            let ours = shape.layout(&terms).tokens_in((gib * GIB) as u64, context) as f64;
            let hybrid = matches!(shape.kv_kind(), KvKind::Linear | KvKind::Mamba | KvKind::Sliding);
            (100.0 * (ours - tokens) / tokens, hybrid)
        });
    // A room is predicted only where the record says what was loaded and which share was asked for.
    let said =
        record.get("weights_gib").is_some_and(Value::is_number) && record.get("util").is_some_and(Value::is_number);
    // Ascend's own profiling is another engine's arithmetic.
    let cuda = !text(record, "gpu").contains("Ascend");
    let room = predicted.zip(recorded.filter(|gib| said && cuda && *gib > 0.0));
    let id = record.get("id").and_then(Value::as_u64)?;
    let high = text(record, "confidence") == "high";
    let shown = |n: Option<f64>, unit: &str| n.map_or("-".into(), |n| format!("{n:+.2}{unit}"));
    let line = format!(
        "{id:>3} {:<6} {:<44} {:<22} {verdict:<13} {:<5} tokens {:>8}  room {:>7} of {:>6} GiB  {why}",
        text(record, "confidence"),
        text(record, "model").chars().take(44).collect::<String>(),
        outcome,
        if right { "ok" } else { "WRONG" },
        shown(tokens.map(|t| t.0), " %"),
        predicted.map_or("-".into(), |n| format!("{n:.2}")),
        recorded.map_or("-".into(), |n| format!("{n:.2}")),
    );
    Some(Row { id, high, right, line, tokens, room })
}

#[test]
fn verdicts_agree_with_recorded_starts() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/samples");
    let (Ok(records), Ok(facts)) =
        (std::fs::read_to_string(samples.join("vllm_outcomes.jsonl")), std::fs::read(samples.join("model_facts.json")))
    else {
        println!("skipped: no {}", samples.display());
        return;
    };
    let facts: Map<String, Value> = serde_json::from_slice(&facts).unwrap();
    let rows: Vec<Row> = records
        .lines()
        .filter(|line| !line.trim().is_empty())
        .filter_map(|line| judge(&serde_json::from_str(line).unwrap(), &facts))
        .collect();
    for row in &rows {
        println!("{}", row.line);
    }
    let share = |rows: &[&Row]| {
        let right = rows.iter().filter(|r| r.right).count();
        (right, rows.len(), 100.0 * right as f64 / rows.len().max(1) as f64)
    };
    let high = share(&rows.iter().filter(|r| r.high).collect::<Vec<_>>());
    let all = share(&rows.iter().collect::<Vec<_>>());
    println!(
        "verdicts, high confidence: {} of {} ({:.1} %); all: {} of {} ({:.1} %)",
        high.0, high.1, high.2, all.0, all.1, all.2
    );
    let tokens: Vec<(u64, f64)> =
        rows.iter().filter_map(|r| r.tokens.filter(|(_, hybrid)| !hybrid).map(|(off, _)| (r.id, off))).collect();
    let near: Vec<bool> = tokens.iter().map(|(_, off)| off.abs() <= 1.0).collect();
    println!("KV tokens within 1 %, not hybrid: {} of {}", near.iter().filter(|n| **n).count(), near.len());
    let rooms: Vec<(u64, bool)> =
        rows.iter().filter_map(|r| r.room.map(|(p, g)| (r.id, (p - g).abs() <= 1.0_f64.max(0.12 * g)))).collect();
    let good = rooms.iter().filter(|(_, near)| *near).count();
    let off: Vec<u64> = rooms.iter().filter(|(_, near)| !near).map(|(id, _)| *id).collect();
    println!("room for the cache within 12 % or 1 GiB: {good} of {}; off: {off:?}", rooms.len());
    assert!(high.2 >= 95.0, "verdicts: {:.1} %", high.2);
    assert!(near.iter().all(|n| *n), "{tokens:?}");
    assert!(off.is_empty(), "{off:?}");
}

//! What logs of failed starts say.

use super::*;

#[test]
fn the_root_cause_is_taken_not_the_summary_below_it() {
    let log = "(APIServer pid=7) INFO 01-02 03:04:05 [a.py:1] hello\n\
               (EngineCore pid=8) ERROR 01-02 03:04:06 [core.py:9]     raise OddError(\n\
               (EngineCore pid=8) ERROR 01-02 03:04:06 [core.py:9] odd.OddError: the moon is full\n\
               RuntimeError: Engine core initialization failed. See root cause above.\n";
    assert_eq!(vllm(log).unwrap().line, "odd.OddError: the moon is full");
}

fn cure(log: &str) -> Option<Remedy> {
    vllm(log).unwrap().remedy
}

#[test]
fn the_context_that_fits_is_a_whole_number_of_blocks() {
    let log = "ValueError: To serve at least one request … the estimated maximum model length is 19,337. Try …";
    assert_eq!(cure(log), Some(Remedy::Context(19_328)));
    let hybrid = format!("INFO 01-02 03:04:05 [i.py:1] Setting attention block size to 1,000 tokens\n{log}");
    assert_eq!(cure(&hybrid), Some(Remedy::Context(19_000)));
    assert_eq!(cure("ValueError: the estimated maximum model length is 7."), None, "less than a block");
    let old = "ValueError: The model's max seq len (9000) is larger than the maximum number of tokens that can be \
               stored in KV cache (4272). Try …";
    assert_eq!(cure(old), Some(Remedy::Context(4272)));
}

#[test]
fn a_gpu_in_use_tells_the_share_that_is_free() {
    let log = "ValueError: Free memory on device cuda:1 (6.0/24.0 GiB) on startup is less than desired GPU memory \
               utilization (0.92, 22.08 GiB). Decrease …";
    assert_eq!(cure(log), Some(Remedy::FreeShare(0.25)));
    for broken in ["(6.0/0 GiB)", "(x/24.0 GiB)", "(30.0/24.0 GiB)", "6.0"] {
        assert_eq!(cure(&log.replace("(6.0/24.0 GiB)", broken)), None, "{broken}");
    }
}

#[test]
fn a_cache_without_room_tells_how_much_is_missing() {
    let log = "(Worker_TP0 pid=1) INFO 01-02 03:04:05 [g.py:1] Available KV cache memory: -0.5 GiB\n\
               (Worker_TP1 pid=2) INFO 01-02 03:04:05 [g.py:1] Available KV cache memory: -1.25 GiB\n\
               ValueError: No available memory for the cache blocks. Try increasing …";
    assert_eq!(cure(log), Some(Remedy::MoreShare(1.25)));
}

#[test]
fn memory_that_goes_out_while_graphs_are_captured_is_told_apart() {
    let oom = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 512.00 MiB.";
    let capture = "\rCapturing CUDA graphs (decode, FULL):  40%|████      | 4/10 [00:01<00:02]";
    assert_eq!(cure(&format!("{capture}\n{oom}\n")), Some(Remedy::NoGraphs));
    assert_eq!(cure(&format!("{oom}\n")), Some(Remedy::LessMemory));
    let done = "INFO 01-02 03:04:05 [g.py:1] Graph capturing finished in 3 secs, took 0.2 GiB";
    assert_eq!(cure(&format!("{capture}\n{done}\n{oom}\n")), Some(Remedy::LessMemory));
    assert_eq!(cure(&oom.replace("CUDA", "HIP")), Some(Remedy::LessMemory));
}

#[test]
fn a_long_line_is_cut_at_a_character() {
    let log = format!("ValueError: {}", "é".repeat(1000));
    assert!(vllm(&log).unwrap().line.ends_with('…'));
}

/// Recorded logs: the line the user is shown, by a part of it.
#[test]
fn recorded_logs_show_their_telling_line() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/samples/engine_logs");
    if !dir.is_dir() {
        eprintln!("skipped: no recorded engine logs beside this checkout");
        return;
    }
    let expected: &[(&str, &str)] = &[
        ("vllm_bad_tool_parser", "invalid tool call parser: nosuch"),
        ("vllm_bad_reasoning_parser", "Reasoning parser 'nosuch' not found"),
        ("vllm_unknown_flag", "unrecognized arguments: --no-such-flag"),
        ("vllm_truncated_weights", "SafetensorError: Error while deserializing header"),
        ("vllm_kv_too_big", "Available memory on node 0"),
        ("vllm_kv_bytes_too_small", "estimated maximum model length is 19328"),
        ("vllm_maxlen_gt_derived", "greater than the derived max_model_len"),
        ("vllm_tp_not_dividing_heads", "must be divisible by tensor parallel size"),
        ("vllm_unsupported_arch", "are not supported for now"),
        ("vllm_unsupported_model_type", "does not recognize this architecture"),
        ("vllm_missing_dir", "Cannot find an appropriate cached snapshot folder"),
        ("vllm_empty_dir", "ensure the presence of a 'config.json'"),
        ("vllm_port_in_use", "Address already in use"),
        ("llama_badflag", "invalid argument: --nope"),
        ("llama_missing", "failed to load model"),
        ("llama_notgguf", "invalid magic"),
        ("llama_port_in_use", "couldn't bind HTTP server socket"),
    ];
    for (name, part) in expected {
        let log = std::fs::read(dir.join(format!("{name}.log"))).unwrap();
        let log = String::from_utf8_lossy(&log);
        let found = if name.starts_with("vllm") { vllm(&log) } else { llama_cpp(&log) };
        let found = found.unwrap_or_else(|| panic!("{name}: nothing found"));
        assert!(found.line.contains(part), "{name}: {}", found.line);
        assert_eq!(found.port_taken, name.ends_with("port_in_use"), "{name}");
    }
}

/// Every mark's code is in the catalogue, whose own texts have the mark: so `llmup explain` finds it by either.
#[test]
fn every_mark_is_a_finding_that_says_it() {
    for (mark, code, _) in VLLM.iter().chain(LLAMA_CPP).chain(OLLAMA) {
        let finding = crate::profile::finding(code).unwrap().unwrap_or_else(|| panic!("{code} is nowhere"));
        assert!(finding.says.iter().any(|said| said == mark), "{code} does not say {mark}");
    }
    for (said, code) in [("Address already in use", PORT_TAKEN), (SUMMARIES[0], SUMMARY)] {
        let finding = crate::profile::finding(code).unwrap().unwrap();
        assert!(finding.says.iter().any(|known| known.contains(said)), "{code}");
    }
}

#[test]
fn what_is_recognised_has_its_code_and_what_is_not_has_none() {
    let code = |found: Option<Diagnosis>| found.and_then(|found| found.code);
    assert_eq!(code(vllm("OSError: [Errno 98] Address already in use")), Some("LLMUP-E005"));
    assert_eq!(
        code(vllm("RuntimeError: Engine core initialization failed. See root cause above.")),
        Some("LLMUP-E008")
    );
    assert_eq!(code(vllm("odd.OddError: the moon is full")), None);
    assert_eq!(code(llama_cpp("error while handling argument \"--ctx-size\": stoi")), Some("LLMUP-E007"));
    assert_eq!(code(ollama("Error: unsupported architecture \"Qwen3ForCausalLM\"")), Some("LLMUP-E027"));
    assert_eq!(code(ollama("Error: listen tcp 127.0.0.1:1: bind: address already in use")), Some("LLMUP-E005"));
}

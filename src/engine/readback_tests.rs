use super::*;

const GPU_LOG: &str = "\
(APIServer pid=4) INFO 03-04 05:06:07 [model.py:1] Using max model len 48000
(Worker_TP0 pid=5) INFO 03-04 05:06:08 [gpu_model_runner.py:2] Model loading took 14.25 GiB memory and 9.876543 seconds
(Worker_TP1 pid=6) INFO 03-04 05:06:08 [gpu_model_runner.py:2] Model loading took 14.5 GiB memory and 9.9 seconds
(Worker_TP0 pid=5) INFO 03-04 05:06:09 [gpu_worker.py:3] Available KV cache memory: 6.5 GiB
(Worker_TP1 pid=6) INFO 03-04 05:06:09 [gpu_worker.py:3] Available KV cache memory: 5.75 GiB
(EngineCore pid=7) INFO 03-04 05:06:10 [kv_cache_utils.py:4] GPU KV cache size: 96,512 tokens
(EngineCore pid=7) INFO 03-04 05:06:10 [kv_cache_utils.py:5] Maximum concurrency for 48,000 tokens per request: 2.01x
(Worker_TP0 pid=5) INFO 03-04 05:06:11 [gpu_model_runner.py:6] Graph capturing finished in 7 secs, took 0.50 GiB
(Worker_TP0 pid=5) INFO 03-04 05:06:12 [gpu_worker.py:7] Free memory on device (23.0/23.5 GiB) on startup. Desired GPU \
memory utilization is (0.92, 21.62 GiB). Actual usage is 14.75 GiB for consumed memory (weights + non-torch), 1.25 GiB \
for peak activation, and 0.5 GiB for CUDAGraph memory. Replace gpu_memory_utilization config with \
`--kv-cache-memory=5500000000` (5.12 GiB) to fit into requested memory. Current kv cache memory in use is 5.75 GiB.
";

#[test]
fn vllm_on_gpus_tells_all_its_figures_and_the_poorest_gpu_counts() {
    let told = log(EngineId::Vllm, GPU_LOG);
    let gib = |n: f64| Some((n * GIB) as u64);
    let expected = Measured {
        context: Some(48_000),
        kv_tokens: Some(96_512),
        kv_bytes: gib(5.75),
        weights_bytes: gib(14.5),
        compute_bytes: gib(1.25),
        graph_bytes: gib(0.5),
        concurrency: Some(2.01),
        ..Measured::default()
    };
    assert_eq!(told, expected);
}

#[test]
fn vllm_on_the_processor_says_it_in_one_line() {
    let told = log(
        EngineId::Vllm,
        "(Worker pid=1) INFO [cpu_worker.py:9] Auto set (2.5/31.0) GiB for KV cache on node 0, with 3 GiB requested\n\
         (EngineCore pid=2) INFO [k.py:9] CPU KV cache size: 1,024,000 tokens, Maximum concurrency for 8,192 tokens per \
         request: 125.00x\n",
    );
    let bytes = Some((2.5 * GIB) as u64);
    assert_eq!((told.kv_bytes, told.kv_tokens, told.concurrency), (bytes, Some(1_024_000), Some(125.0)));
}

#[test]
fn llama_cpp_tells_its_buffers_per_place() {
    let told = log(
        EngineId::LlamaCpp,
        "0.01 I load_tensors: offloaded 20/41 layers to GPU\n\
         0.01 I load_tensors:   CPU_Mapped model buffer size =   512.00 MiB\n\
         0.01 I load_tensors:        CUDA0 model buffer size =  1536.00 MiB\n\
         0.02 I llama_kv_cache:      CUDA0 KV buffer size =   100.00 MiB\n\
         0.02 I llama_kv_cache: size =  100.00 MiB ( 40960 cells,  5 layers,  1/1 seqs), K (f16): 50.00 MiB\n\
         0.02 I llama_kv_cache:      CUDA0 KV buffer size =    20.00 MiB\n\
         0.02 I llama_kv_cache: size =   20.00 MiB (  1536 cells, 25 layers,  1/1 seqs), K (f16): 10.00 MiB\n\
         0.03 I sched_reserve:      CUDA0 compute buffer size =   300.00 MiB\n\
         0.03 I sched_reserve:        CPU compute buffer size =    10.00 MiB\n\
         0.04 I sched_reserve:      CUDA0 compute buffer size =   200.00 MiB\n\
         0.05 I srv    load_model: initializing, n_slots = 1, n_ctx_slot = 40960, kv_unified = 'false'\n",
    );
    let mib = |n: u64| Some(n << 20);
    assert_eq!(
        told,
        Measured {
            context: Some(40_960),
            kv_tokens: Some(40_960),
            kv_bytes: mib(120),
            weights_bytes: mib(2048),
            compute_bytes: mib(210),
            on_gpu: Some(20.0 / 41.0),
            ..Measured::default()
        }
    );
}

#[test]
fn apis_are_asked_for_the_model_that_was_started() {
    let body = br#"{"data":[{"id":"a","max_model_len":1024},{"id":"b","max_model_len":2048}]}"#;
    assert_eq!(vllm_models(body, "b").context, Some(2048));
    assert_eq!(vllm_models(body, "c").context, None, "two models, neither is meant");
    assert_eq!(vllm_models(br#"{"data":[{"id":"a","max_model_len":1024}]}"#, "c").context, Some(1024));
    assert_eq!(llama_props(br#"{"default_generation_settings":{"n_ctx":4096},"n_ctx":8192}"#).context, Some(4096));
    let body = br#"{"models":[{"name":"m:latest","size":4000,"size_vram":1000,"context_length":8192}]}"#;
    let told = ollama_ps(body, "m");
    assert_eq!((told.context, told.total_bytes, told.on_gpu), (Some(8192), Some(4000), Some(0.25)));
    assert_eq!(ollama_ps(body, "n"), Measured::default());
}

#[test]
fn nonsense_is_no_figure() {
    for text in
        ["", "KV cache size: many tokens", "Available KV cache memory: -3.2 GiB", "model buffer size =", "\u{fffd}"]
    {
        for engine in EngineId::ALL {
            assert_eq!(log(engine, text), Measured::default(), "{text}");
        }
    }
    for body in [&b""[..], b"[]", b"{\"data\":1}", b"{\"models\":[{\"name\":\"m\",\"size\":0,\"size_vram\":5}]}"] {
        assert_eq!(vllm_models(body, "m"), Measured::default());
        assert_eq!(llama_props(body), Measured::default());
        assert_eq!(ollama_ps(body, "m"), Measured::default());
    }
}

/// Recorded starts, where the checkout has them beside it.
#[test]
fn recorded_starts_are_read_back() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/samples");
    let Ok(read) = std::fs::read_to_string(dir.join("engine_logs/vllm_start_ok_compile.log")) else {
        eprintln!("skipped: no recorded engine logs beside this checkout");
        return;
    };
    let told = log(EngineId::Vllm, &read);
    assert_eq!((told.context, told.kv_tokens, told.concurrency), (Some(32_768), Some(2_097_152), Some(64.0)));
    assert_eq!(told.kv_bytes, Some(1 << 30));
    let read = std::fs::read_to_string(dir.join("engine_logs/llama_server_start.log")).unwrap();
    assert_eq!(log(EngineId::LlamaCpp, &read).context, Some(16_384));
    let body = |file: &str, request: &str| {
        let text = std::fs::read_to_string(dir.join("engine_api").join(file)).unwrap();
        let mut lines = text.lines().skip_while(|l| !l.contains(request)).skip(1);
        let found =
            lines.find(|l| l.trim_start().starts_with('{') && l.contains("n_ctx") | l.contains("context_length"));
        found.unwrap_or_default().trim().to_owned()
    };
    let told = ollama_ps(body("ollama_native_api.txt", "/api/ps").as_bytes(), "tiny");
    assert_eq!((told.context, told.on_gpu), (Some(65_536), Some(0.0)));
}

/// Marks of all the lines that are read, with anything between them.
fn hostile() -> impl proptest::strategy::Strategy<Value = String> {
    use proptest::prelude::*;
    const MARKS: &[&str] = &[
        "Using max model len ",
        "Available KV cache memory: ",
        "KV cache size: ",
        "Maximum concurrency for ",
        "tokens per request: ",
        "Model loading took ",
        "Actual usage is ",
        " GiB for peak activation",
        "et (",
        "GiB for KV cache on node",
        " KV buffer size =",
        " compute buffer size =",
        " MiB (",
        " cells,",
        "offloaded ",
        " layers to GPU",
        "/",
        "9",
        "99999999999999999999",
        "1e309",
        ".",
        ",",
        "-",
        "\n",
        "\r",
        "é",
        "estimated maximum model length is ",
        "Setting attention block size to ",
        "Free memory on device",
        "(",
        " GiB)",
        "is less than desired GPU memory utilization",
        "No available memory for the cache blocks",
        "out of memory. Tried to allocate",
        "Capturing CUDA graph",
        "Graph capturing finished",
        "Error: ",
    ];
    let piece = prop_oneof![4 => proptest::sample::select(MARKS).prop_map(str::to_owned), 1 => ".{0,4}"];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest::proptest! {
    #[test]
    fn no_log_breaks_the_readers(text in hostile()) {
        for engine in EngineId::ALL {
            let told = log(engine, &text);
            proptest::prop_assert!(told.on_gpu.is_none_or(|share| (0.0..=1.0).contains(&share)));
            proptest::prop_assert!(told.concurrency.is_none_or(f64::is_finite));
            let _ = crate::engine::driver(engine).diagnose(&text);
        }
    }
}

use super::*;
use crate::plan::Bill;

fn bill(kv: u64) -> Bill {
    Bill {
        place: "GPU".into(),
        weights_bytes: 1000,
        kv_bytes_needed: 50,
        kv_bytes_available: kv,
        kv_tokens: Some(kv * 10),
        activation_bytes: 7,
        graph_bytes: 0,
        overhead_bytes: 9,
        budget_bytes: 2000,
        total_bytes: 3000,
    }
}

fn plan(engine: EngineId, accelerator: Accelerator) -> LaunchPlan {
    LaunchPlan {
        engine,
        accelerator,
        max_model_len: 4000,
        kv_bytes_per_token: Some(1 << 20),
        kv_cache_gib: 4,
        per_gpu: vec![bill(800), bill(600)],
        ..super::super::retry::tests::plan()
    }
}

#[test]
fn a_plan_is_told_in_the_terms_its_engine_reports_in() {
    let gpus = planned(&plan(EngineId::Vllm, Accelerator::Cuda));
    let expected = Sizes {
        context: Some(4000),
        kv_tokens: Some(6000),
        kv_bytes: Some(600),
        weights_bytes: Some(1000),
        compute_bytes: Some(7),
        concurrency: Some(1.5),
        ..Sizes::default()
    };
    assert_eq!(gpus, expected, "of one GPU, the one with the least cache");
    let processor = planned(&plan(EngineId::Vllm, Accelerator::Cpu));
    assert_eq!((processor.kv_bytes, processor.kv_tokens), (Some(4 << 30), Some(4096)));
    let llama = planned(&plan(EngineId::LlamaCpp, Accelerator::Cuda));
    assert_eq!((llama.kv_bytes, llama.kv_tokens, llama.weights_bytes), (Some(100), Some(4000), Some(2000)));
    assert_eq!((llama.concurrency, llama.total_bytes), (None, None));
    let ollama = planned(&plan(EngineId::Ollama, Accelerator::Cuda));
    assert_eq!(ollama.total_bytes, Some(2 * (1000 + 50 + 9)));
}

use std::path::PathBuf;

use super::*;
use crate::error::Explain;
use crate::hardware::{Cpu, Device, Memory, VendorId};
use crate::host::Os;
use crate::model::{Cache, CacheGroup, Format, Shape};
use crate::wsl::Standing;

pub(super) const GIB: u64 = 1 << 30;

pub(super) fn machine(gpus: u32, gib_each: u64) -> Hardware {
    let device = |index| Device {
        vendor: VendorId::Nvidia,
        index,
        name: "Test GPU".into(),
        uuid: None,
        memory_total_bytes: gib_each * GIB,
        memory_free_bytes: Some(gib_each * GIB - GIB / 4),
        architecture: Some("9.0".into()),
        unified: false,
        usable: true,
        problem: None,
    };
    Hardware {
        os: Os::Linux,
        cpu: Cpu::default(),
        memory: Memory { total_bytes: 64 * GIB, available_bytes: 60 * GIB },
        devices: (0..gpus).map(device).collect(),
        links: Vec::new(),
        versions: Default::default(),
        problems: Vec::new(),
        wsl: None,
        wsl_memory_bytes: None,
    }
}

/// 32 layers of 8 KV heads of 128: 128 KiB of KV cache per token.
pub(super) fn weights(format: Format, gib: u64) -> Weights {
    Weights {
        format,
        path: Some(PathBuf::from("/models/some-model")),
        tag: None,
        bytes: Some(gib * GIB),
        architecture: Some("SomeForCausalLM".into()),
        quantization: None,
        context_max: Some(131_072),
        shape: Some(Shape {
            layers: 32,
            hidden: 4096,
            heads: 32,
            kv_heads: 8,
            head_dim: 128,
            vocab: 128_256,
            ..Shape::default()
        }),
        chat_template: true,
    }
}

pub(super) fn make(request: &Request, hardware: &Hardware, weights: &Weights) -> Result<LaunchPlan, PlanError> {
    plan(Facts { request, hardware, weights, profile: None, profiles: &[], installed: &[] })
}

/// The same with what else would do.
pub(super) fn told(request: &Request, hardware: &Hardware, weights: &Weights) -> Result<LaunchPlan, PlanError> {
    let facts = Facts { request, hardware, weights, profile: None, profiles: &[], installed: &[] };
    let words =
        Words { verb: "plan", model: "mine".into(), weights: vec!["--model-dir".into(), "D".into()], machine: vec![] };
    let mut outcome = plan(facts);
    alternatives::add(&facts, &words, &mut outcome);
    outcome
}

#[test]
fn safetensors_on_nvidia_under_linux_go_to_vllm_on_one_gpu() {
    let plan = make(&Request::default(), &machine(4, 80), &weights(Format::Safetensors, 15)).unwrap();
    assert_eq!((plan.engine, plan.tensor_parallel, plan.max_model_len), (EngineId::Vllm, 1, 131_072));
    assert_eq!(plan.utilization, 0.92);
    assert!(plan.to_install);
}

#[test]
fn a_model_too_large_for_one_gpu_is_spread_over_the_fewest_that_hold_it() {
    let plan = make(&Request::default(), &machine(4, 80), &weights(Format::Safetensors, 100)).unwrap();
    assert_eq!(plan.tensor_parallel, 2);
    assert_eq!(plan.devices.len(), 2);
}

#[test]
fn the_context_shrinks_to_what_fits_and_the_reason_says_so() {
    let plan = make(&Request::default(), &machine(1, 24), &weights(Format::Safetensors, 15)).unwrap();
    assert!(plan.max_model_len < 131_072 && plan.max_model_len >= LEAST_CONTEXT, "{}", plan.max_model_len);
    assert!(plan.reasons.iter().any(|r| r.because.contains("the longest that fits")), "{:?}", plan.reasons);
}

#[test]
fn an_asked_context_that_does_not_fit_is_refused_with_the_one_that_does() {
    let request = Request { context: Some(131_072), ..Request::default() };
    let error = told(&request, &machine(1, 24), &weights(Format::Safetensors, 15)).unwrap_err();
    assert!(matches!(error, PlanError::DoesNotFit { .. }));
    assert!(error.hints().iter().any(|h| h.contains("--context")), "{:?}", error.hints());
    assert!(error.evidence()[1].contains("weights 15"), "{:?}", error.evidence());
}

#[test]
fn weights_larger_than_all_gpus_are_refused() {
    let error = make(&Request::default(), &machine(2, 24), &weights(Format::Safetensors, 200)).unwrap_err();
    assert_eq!(error.exit(), crate::exit::Exit::DoesNotFit);
}

#[test]
fn a_tensor_parallel_size_must_divide_the_heads() {
    let request = Request { tensor_parallel: Some(3), ..Request::default() };
    let error = make(&request, &machine(4, 80), &weights(Format::Safetensors, 15)).unwrap_err();
    assert!(error.to_string().contains("32 attention heads"), "{error}");
    assert_eq!(error.hints(), ["use `--tensor-parallel-size 4`"]);
}

#[test]
fn fp8_experts_are_split_in_whole_blocks_only() {
    let mut weights = weights(Format::Safetensors, 60);
    weights.quantization = Some("fp8".into());
    if let Some(shape) = weights.shape.as_mut() {
        shape.moe_intermediate = Some(768);
        shape.quant_block = Some(128);
    }
    // 768 / 4 = 192 is not a multiple of 128; 60 GiB over 2 × 48 fit.
    let plan = make(&Request::default(), &machine(4, 48), &weights).unwrap();
    assert_eq!(plan.tensor_parallel, 2);
}

#[test]
fn a_busy_gpu_lowers_the_share_instead_of_failing_at_start() {
    let mut hardware = machine(1, 80);
    hardware.devices[0].memory_free_bytes = Some(40 * GIB);
    let plan = make(&Request::default(), &hardware, &weights(Format::Safetensors, 15)).unwrap();
    assert!(plan.utilization < 0.51, "{}", plan.utilization);
}

#[test]
fn gguf_goes_to_llama_cpp_and_safetensors_on_windows_nowhere() {
    let mut hardware = machine(0, 0);
    let plan = make(&Request::default(), &hardware, &weights(Format::Gguf, 5)).unwrap();
    assert_eq!((plan.engine, plan.accelerator), (EngineId::LlamaCpp, Accelerator::Cpu));
    hardware.os = Os::Windows;
    let error = make(&Request::default(), &hardware, &weights(Format::Safetensors, 5)).unwrap_err();
    assert!(error.to_string().contains("native Windows"));
    assert!(error.hints()[0].contains("WSL2"));
}

#[test]
fn on_windows_safetensors_run_in_wsl_where_there_is_one() {
    let windows = |standing| Hardware { os: Os::Windows, wsl: Some(standing), ..machine(1, 80) };
    let ubuntu = windows(Standing::Usable("Ubuntu".into()));
    let mut own = weights(Format::Safetensors, 15);
    let plan = make(&Request::default(), &ubuntu, &own).unwrap();
    assert_eq!(
        (plan.engine, plan.accelerator, plan.wsl.as_deref()),
        (EngineId::Vllm, Accelerator::Cuda, Some("Ubuntu"))
    );
    assert!(plan.reasons.iter().any(|r| r.choice == "runs in: WSL 2 (Ubuntu)"), "{:?}", plan.reasons);
    assert!(!plan.warnings.iter().any(|w| w.contains("slowly")), "{:?}", plan.warnings);
    own.path = Some(r"D:\models\some".into());
    let slow = make(&Request::default(), &ubuntu, &own).unwrap();
    assert!(slow.warnings.iter().any(|w| w.contains(r"`\\wsl$\Ubuntu\home`")), "{:?}", slow.warnings);
    // The same as under Linux, but for the words.
    let linux = make(&Request::default(), &machine(1, 80), &own).unwrap();
    assert_eq!((linux.max_model_len, linux.utilization), (plan.max_model_len, plan.utilization));
    assert_eq!(linux.wsl, None);
    // GGUF needs none of it.
    let gguf = make(&Request::default(), &ubuntu, &weights(Format::Gguf, 5)).unwrap();
    assert_eq!((gguf.engine, gguf.wsl), (EngineId::LlamaCpp, None));
    // Half of the main memory is there.
    let processor = Hardware { devices: Vec::new(), ..ubuntu };
    let most = make(&Request::default(), &processor, &weights(Format::Safetensors, 40)).unwrap_err();
    assert!(matches!(most, PlanError::DoesNotFit { .. }), "{most}");
    assert!(make(&Request::default(), &machine(0, 0), &weights(Format::Safetensors, 40)).is_ok());
    for (standing, cure) in [
        (Standing::NotInstalled, "`wsl --install`"),
        (Standing::NoDistribution, "`wsl --install -d Ubuntu`"),
        (Standing::Version1("Ubuntu".into()), "`wsl --set-version Ubuntu 2`"),
    ] {
        let error = make(&Request::default(), &windows(standing), &own).unwrap_err();
        assert!(error.to_string().contains("in WSL 2 it does, but"), "{error}");
        assert!(error.hints()[0].ends_with(cure) && error.hints()[1].contains("GGUF"), "{:?}", error.hints());
    }
}

#[test]
fn an_ollama_tag_of_a_known_size_is_refused_where_it_cannot_fit() {
    let mut tag = weights(Format::OllamaTag, 200);
    tag.path = None;
    tag.tag = Some("huge:1t".into());
    let error = make(&Request::default(), &machine(1, 24), &tag).unwrap_err();
    assert!(matches!(error, PlanError::DoesNotFit { .. }), "{error}");
    // 13.6 GiB of 24 are left for 128 KiB a token; without a shape no more is asked for than agents need.
    tag.bytes = Some(10 * GIB);
    let context = |tag: &Weights| make(&Request::default(), &machine(1, 24), tag).unwrap().max_model_len;
    assert!((98_304..110_000).contains(&context(&tag)), "{}", context(&tag));
    tag.shape = None;
    assert_eq!(context(&tag), 65_536);
}

#[test]
fn an_engine_that_cannot_load_the_format_is_refused() {
    let request = Request { engine: Some(EngineId::Vllm), ..Request::default() };
    let error = make(&request, &machine(1, 80), &weights(Format::Gguf, 5)).unwrap_err();
    assert!(error.to_string().contains("vllm does not load GGUF"), "{error}");
}

#[test]
fn latent_attention_is_priced_by_its_latent_not_by_heads() {
    let mut model = weights(Format::Safetensors, 15);
    if let Some(shape) = model.shape.as_mut() {
        let cache = Cache::Latent { elements: 576, indexed: false };
        shape.cache = vec![CacheGroup { layers: 32, cache, window: None }];
    }
    let plan = make(&Request::default(), &machine(1, 80), &model).unwrap();
    assert_eq!(plan.kv_bytes_per_token, Some(32 * 576 * 2));
}

proptest::proptest! {
    /// More memory never turns a plan into a refusal, and no plan exceeds its budget.
    #[test]
    fn more_memory_never_hurts(gpus in 1u32..9, gib in 8u64..200, more in 0u64..100, size in 1u64..600) {
        let model = weights(Format::Safetensors, size);
        let small = make(&Request::default(), &machine(gpus, gib), &model);
        let large = make(&Request::default(), &machine(gpus, gib + more), &model);
        if let Ok(plan) = &small {
            proptest::prop_assert!(large.is_ok());
            if plan.verdict == Verdict::Fits {
                for bill in &plan.per_gpu {
                    proptest::prop_assert!(bill.needed_bytes() <= bill.budget_bytes, "{bill:?}");
                }
            }
        }
    }
}

#[test]
fn a_model_without_a_profile_gets_the_parser_of_its_architecture() {
    let mut weights = weights(Format::Safetensors, 8);
    weights.architecture = Some("Qwen3ForCausalLM".into());
    let plan = make(&Request::default(), &machine(1, 80), &weights).unwrap();
    assert_eq!(plan.recipe.tool_parser.as_deref(), Some("hermes"));
    weights.architecture = Some("SomeForCausalLM".into());
    let plan = make(&Request::default(), &machine(1, 80), &weights).unwrap();
    assert_eq!(plan.recipe.tool_parser, None, "a wrong parser is worse than none");
}

/// A hybrid: 16 layers with keys and values, 48 with a state of 3 MB per sequence.
fn hybrid(gib: u64) -> Weights {
    let mut model = weights(Format::Safetensors, gib);
    if let Some(shape) = model.shape.as_mut() {
        let heads = Cache::Heads { heads: 4, size: 256 };
        let state = Cache::State { bytes: 3_200_000, mamba: false };
        shape.cache = vec![
            CacheGroup { layers: 16, cache: heads, window: None },
            CacheGroup { layers: 48, cache: state, window: None },
        ];
    }
    model
}

#[test]
fn a_hybrid_serves_fewer_at_once_where_the_states_of_many_do_not_fit() {
    let plan = make(&Request::default(), &machine(1, 32), &hybrid(23)).unwrap();
    assert_eq!(plan.recipe.args[0], "--max-num-seqs", "{:?}", plan.recipe.args);
    // An asked context is judged by the engine's own numbers: it would refuse.
    let asked = Request { context: Some(16_384), ..Request::default() };
    let error = make(&asked, &machine(1, 32), &hybrid(23)).unwrap_err();
    assert!(error.to_string().contains("states of"), "{error}");
    assert!(error.hints()[0].contains("--max-num-seqs"), "{:?}", error.hints());
    let eager = Request { engine_args: vec!["--enforce-eager".into()], ..asked };
    assert_eq!(make(&eager, &machine(1, 32), &hybrid(23)).unwrap().max_model_len, 16_384);
}

#[test]
fn an_eight_bit_cache_holds_twice_the_context() {
    let asked = Request { context: Some(60_000), ..Request::default() };
    assert!(make(&asked, &machine(1, 24), &weights(Format::Safetensors, 15)).is_err());
    let half = Request { engine_args: vec!["--kv-cache-dtype".into(), "fp8".into()], ..asked };
    let plan = make(&half, &machine(1, 24), &weights(Format::Safetensors, 15)).unwrap();
    assert_eq!(plan.kv_bytes_per_token, Some(65_536));
}

#[test]
fn three_gpus_are_used_in_stages_when_heads_do_not_divide() {
    let plan = make(&Request::default(), &machine(3, 48), &weights(Format::Safetensors, 100)).unwrap();
    assert_eq!((plan.tensor_parallel, plan.devices.len()), (1, 3));
    assert_eq!(plan.recipe.args, ["--pipeline-parallel-size", "3"]);
}

#[test]
fn a_share_that_is_not_free_is_refused_as_the_engine_would() {
    let mut hardware = machine(1, 80);
    hardware.devices[0].memory_free_bytes = Some(40 * GIB);
    let request = Request { utilization: Some(0.9), ..Request::default() };
    let error = make(&request, &hardware, &weights(Format::Safetensors, 15)).unwrap_err();
    assert!(error.to_string().contains("is free"), "{error}");
    assert!(error.hints()[0].contains("--gpu-memory-utilization 0.4"), "{:?}", error.hints());
}

#[test]
fn a_plan_takes_milliseconds() {
    let (hardware, model) = (machine(8, 80), hybrid(600));
    let start = std::time::Instant::now();
    let _ = make(&Request::default(), &hardware, &model);
    let took = start.elapsed();
    println!("a plan over eight GPUs: {took:?}");
    assert!(took.as_millis() < 50, "{took:?}");
}

proptest::proptest! {
    /// The same with every choice asked for, across the sizes at which the engine's own numbers grow.
    #[test]
    fn more_memory_never_hurts_an_asked_context(
        gib in 16u64..200, more in 0u64..100, size in 1u64..160, context in 1u64..131_072, seqs in 1u64..1024, mixed in proptest::prelude::any::<bool>()
    ) {
        let model = if mixed { hybrid(size) } else { weights(Format::Safetensors, size) };
        for engine_args in [vec![], vec!["--max-num-seqs".to_owned(), seqs.to_string()]] {
            let request = Request { context: Some(context), engine_args, ..Request::default() };
            let small = make(&request, &machine(2, gib), &model);
            if let Ok(plan) = &small {
                proptest::prop_assert!(make(&request, &machine(2, gib + more), &model).is_ok(), "{plan:?}");
                for bill in &plan.per_gpu {
                    proptest::prop_assert!(bill.weights_bytes + bill.kv_bytes_needed <= bill.total_bytes, "{bill:?}");
                    proptest::prop_assert!(bill.budget_bytes <= bill.total_bytes, "{bill:?}");
                }
            }
        }
    }
}

proptest::proptest! {
    /// A config.json may say anything.
    #[test]
    fn hostile_shapes_never_panic(numbers in proptest::collection::vec(proptest::prelude::any::<u64>(), 14), gguf in proptest::prelude::any::<bool>()) {
        let n = |i: usize| numbers[i];
        let mut model = weights(if gguf { Format::Gguf } else { Format::Safetensors }, 10);
        model.bytes = Some(n(0));
        let heads = Cache::Heads { heads: n(1), size: n(2) };
        let cache = [
            CacheGroup { layers: n(3), cache: heads, window: Some(n(4)) },
            CacheGroup { layers: n(5), cache: Cache::State { bytes: n(6), mamba: true }, window: None },
            CacheGroup { layers: n(7), cache: heads, window: None },
        ];
        model.shape = Some(Shape {
            layers: n(3), hidden: n(4), heads: n(8) % 64, kv_heads: n(9), vocab: n(10), intermediate: Some(n(11)),
            experts: Some(n(12)), moe_intermediate: Some(n(13)), cache: cache.to_vec(), vision: true, ..Shape::default()
        });
        let args = ["--max-num-seqs", "--max-num-batched-tokens", "-pp", "-dp", "-dcp", "--spec-tokens"];
        let engine_args = args.iter().enumerate().map(|(i, arg)| format!("{arg}={}", n(i))).collect();
        let _ = make(&Request { engine_args, ..Request::default() }, &machine(4, 80), &model);
        let _ = make(&Request { context: Some(n(5)), ..Request::default() }, &machine(4, 80), &model);
    }
}

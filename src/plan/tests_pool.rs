//! llama.cpp and Ollama over GPUs and main memory, and what else is offered.

use super::offer::Change;
use super::tests::{GIB, machine, told, weights};
use super::*;
use crate::model::Format;
use crate::profile::{EngineRecipe, ModelProfile};

const CUDA: [Installed; 1] = [Installed {
    engine: EngineId::LlamaCpp,
    cpu_build: false,
    accelerator: Some(Accelerator::Cuda),
    version: None,
    // Its flag would be in every command line here; `prompts` has tests of its own.
    limits_prompts: false,
}];

fn request(context: Option<u64>, args: &str) -> Request {
    Request { context, engine_args: args.split_whitespace().map(str::to_owned).collect(), ..Request::default() }
}

/// With a llama.cpp that computes on GPUs.
fn make(request: &Request, hardware: &Hardware, weights: &Weights) -> Result<LaunchPlan, PlanError> {
    plan(Facts { request, hardware, weights, profile: None, profiles: &[], installed: &CUDA })
}

fn gguf(gib: u64) -> Weights {
    Weights { quantization: Some("q4_k_m".into()), ..weights(Format::Gguf, gib) }
}

/// The same size with nearly all of it in experts.
fn mixture(gib: u64) -> Weights {
    let mut model = gguf(gib);
    if let Some(shape) = model.shape.as_mut() {
        (shape.experts, shape.moe_intermediate) = (Some(128), Some(1024));
    }
    model
}

fn offload(plan: &LaunchPlan) -> &Offload {
    plan.offload.as_ref().unwrap()
}

#[test]
fn a_model_that_fits_stays_on_the_gpu_with_the_context_that_leaves_it_there() {
    let plan = make(&request(None, ""), &machine(1, 24), &gguf(8)).unwrap();
    assert!(offload(&plan).whole(), "{plan:?}");
    assert_eq!((plan.speed(), plan.recipe.args.as_slice()), (2, &["-ngl".to_owned(), "999".to_owned()][..]));
    // 128 KiB a token: 14.2 of 24 GiB are left.
    assert!((112_000..120_000).contains(&plan.max_model_len), "{}", plan.max_model_len);
    assert!(plan.reasons.iter().any(|r| r.because.contains("everything on the GPU; wanted")), "{:?}", plan.reasons);
    assert_eq!(plan.per_gpu.len(), 1);
}

#[test]
fn a_dense_model_that_does_not_leaves_layers_in_memory_and_says_what_that_costs() {
    let plan = make(&request(None, ""), &machine(1, 24), &gguf(30)).unwrap();
    let Offload { layers, gpu_layers, cpu_expert_layers, .. } = offload(&plan).clone();
    assert!(layers == 32 && (10..24).contains(&gpu_layers) && cpu_expert_layers == 0, "{plan:?}");
    assert_eq!(plan.recipe.args, ["-ngl".to_owned(), (gpu_layers + 1).to_string()]);
    assert_eq!(plan.max_model_len, AGENT_CONTEXT, "more would push more layers out");
    let places: Vec<&str> = plan.per_gpu.iter().map(|b| b.place.as_str()).collect();
    assert_eq!(places, ["GPU 0 (Test GPU)", "memory"]);
    assert_eq!(plan.per_gpu.iter().map(|b| b.weights_bytes).sum::<u64>(), 30 * GIB);
    assert_eq!(plan.per_gpu.iter().map(|b| b.kv_bytes_needed).sum::<u64>(), 8 * GIB);
    assert!(plan.warnings[0].contains("computed by the processor"), "{:?}", plan.warnings);
    assert_eq!(plan.speed(), 1);
}

#[test]
fn of_a_mixture_the_experts_stay_in_memory() {
    let plan = make(&request(None, ""), &machine(1, 24), &mixture(40)).unwrap();
    let placed = offload(&plan);
    assert!(placed.gpu_layers == 32 && placed.cpu_expert_layers > 8, "{placed:?}");
    let experts = placed.cpu_expert_layers.to_string();
    assert_eq!(plan.recipe.args, ["-ngl", "999", "--n-cpu-moe", experts.as_str()]);
    let two = make(&request(None, ""), &machine(2, 24), &mixture(60)).unwrap();
    assert_eq!(two.recipe.args[4], "--tensor-split", "{:?}", two.recipe.args);
    assert_eq!(two.per_gpu.len(), 3);
}

#[test]
fn an_asked_context_is_obeyed_even_where_it_costs_layers() {
    let long = make(&request(Some(131_072), ""), &machine(1, 24), &gguf(12)).unwrap();
    assert!(!offload(&long).whole() && long.max_model_len == 131_072);
    let short = make(&request(Some(8192), ""), &machine(1, 24), &gguf(12)).unwrap();
    assert!(offload(&short).whole());
    let error = told(&request(Some(131_072), ""), &machine(0, 0), &gguf(45)).unwrap_err();
    let shorter = &error.alternatives()[0];
    assert_eq!(shorter.change, Change::Context);
    let command = shorter.command.as_deref().unwrap();
    assert!(command.starts_with("llmup plan mine --model-dir D --context "), "{command}");
    let fits = Request { context: shorter.max_model_len, ..Request::default() };
    assert!(told(&fits, &machine(0, 0), &gguf(45)).is_ok(), "what is offered fits");
}

#[test]
fn the_users_own_flags_are_read_and_not_said_again() {
    let plan = make(&request(None, "-c 65536 -np 2"), &machine(1, 24), &gguf(8)).unwrap();
    assert_eq!(plan.max_model_len, 32_768, "each of two");
    assert_eq!(plan.per_gpu[0].kv_bytes_needed, 8 * GIB, "the cache of both");
    let small = make(&request(Some(65_536), "-ctk q8_0 -ctv q8_0"), &machine(1, 24), &gguf(8)).unwrap();
    assert_eq!(small.per_gpu[0].kv_bytes_needed, 8 * GIB / 64 * 34);
    assert_eq!(small.kv_bytes_per_token, Some(131_072 / 64 * 34));
    let few = make(&request(Some(4096), "-ngl 11"), &machine(1, 24), &gguf(8)).unwrap();
    assert_eq!((offload(&few).gpu_layers, few.recipe.args.as_slice()), (10, &[][..]));
    let error = make(&request(None, "-ngl 99"), &machine(1, 24), &gguf(30)).unwrap_err();
    assert!(crate::error::Explain::hints(&error)[0].contains("leave out `-ngl`"), "{error:?}");
}

#[test]
fn the_fewest_gpus_that_hold_it_are_used() {
    let plan = make(&request(Some(8192), ""), &machine(4, 24), &gguf(30)).unwrap();
    assert_eq!((plan.devices.len(), plan.per_gpu.len()), (2, 2));
    assert!(plan.per_gpu.iter().all(|b| b.weights_bytes > 12 * GIB), "{:?}", plan.per_gpu);
}

#[test]
fn memory_shared_with_the_gpu_is_counted_once() {
    let mut hardware = machine(1, 60);
    hardware.devices[0].unified = true;
    // 60 GiB are available in all.
    assert!(make(&request(None, ""), &hardware, &gguf(40)).is_ok());
    assert!(make(&request(None, ""), &hardware, &gguf(70)).is_err());
}

#[test]
fn ollama_is_priced_with_its_cache_for_all_it_serves_at_once() {
    let mut tag = weights(Format::OllamaTag, 20);
    (tag.path, tag.tag) = (None, Some("some:20b".into()));
    let mut profile: ModelProfile = serde_yaml::from_str("{name: m, title: t}").unwrap();
    let needed = |profile: &ModelProfile| {
        let request = request(Some(32_768), "");
        let hardware = machine(1, 24);
        let facts = Facts { weights: &tag, profile: Some(profile), ..facts(&request, &hardware, &tag) };
        plan(facts).unwrap().per_gpu.iter().map(|b| b.kv_bytes_needed).sum::<u64>()
    };
    assert_eq!(needed(&profile), 4 * GIB);
    let env = [("OLLAMA_NUM_PARALLEL", "3"), ("OLLAMA_KV_CACHE_TYPE", "q8_0")];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    profile.engines.insert("ollama".into(), EngineRecipe { env, ..EngineRecipe::default() });
    assert_eq!(needed(&profile), 3 * 4 * GIB / 64 * 34);
}

fn facts<'a>(request: &'a Request, hardware: &'a Hardware, weights: &'a Weights) -> Facts<'a> {
    Facts { request, hardware, weights, profile: None, profiles: &[], installed: &CUDA }
}

#[test]
fn makers_sampling_is_passed_on_unless_it_is_said_already() {
    let profile: ModelProfile =
        serde_yaml::from_str("{name: m, title: t, sampling: {temperature: 0.7, top_k: 20}}").unwrap();
    let args = |args: &str, weights: &Weights| {
        let (request, hardware) = (request(Some(8192), args), machine(1, 24));
        let plan = plan(Facts { profile: Some(&profile), ..facts(&request, &hardware, weights) }).unwrap();
        plan.recipe.args
    };
    assert_eq!(args("", &gguf(8)), ["--temp", "0.7", "--top-k", "20", "-ngl", "999"]);
    assert_eq!(args("--temp 1", &gguf(8)), ["--top-k", "20", "-ngl", "999"]);
    let safetensors = weights(Format::Safetensors, 8);
    let json = r#"{"temperature":0.7,"top_k":20}"#;
    assert_eq!(args("", &safetensors)[..2], ["--override-generation-config", json]);
    assert!(args("--override-generation-config.top_k=5", &safetensors).is_empty());
    // Of weights that are not here, their own generation_config.json is not known.
    let away = Weights { path: Some("DIR".into()), ..safetensors };
    assert!(args("", &away).is_empty());
}

#[test]
fn a_longer_context_an_eight_bit_cache_and_offloading_are_offered_as_planned() {
    let of = |change, outcome: &Result<LaunchPlan, PlanError>| {
        let all = match outcome {
            Ok(plan) => plan.alternatives.clone(),
            Err(error) => error.alternatives().to_vec(),
        };
        all.into_iter().find(|a| a.change == change)
    };
    let model = weights(Format::Safetensors, 15);
    let plan = told(&Request::default(), &machine(1, 24), &model);
    let fp8 = of(Change::KvDtype, &plan).unwrap();
    assert!(fp8.max_model_len > plan.as_ref().ok().map(|p| p.max_model_len), "{fp8:?}");
    assert!(fp8.command.unwrap().ends_with("-- --kv-cache-dtype fp8"));
    let mut old = machine(1, 24);
    old.devices[0].architecture = Some("8.6".into());
    assert!(of(Change::KvDtype, &told(&Request::default(), &old, &model)).is_none(), "not on Ampere");

    let refused = told(&Request::default(), &machine(1, 24), &weights(Format::Safetensors, 30));
    let offload = of(Change::Offload, &refused).unwrap();
    assert!(offload.command.as_deref().unwrap().contains("--cpu-offload-gb"), "{offload:?}");
    assert!(of(Change::MoreMemory, &refused).unwrap().what.contains("more memory on the GPU"));
    assert!(of(Change::TwoMachines, &refused).is_some());
    let huge = told(&Request::default(), &machine(1, 24), &weights(Format::Safetensors, 300));
    assert!(of(Change::TwoMachines, &huge).is_none(), "two would not do either");
    assert!(of(Change::Offload, &huge).is_none());
}

proptest::proptest! {
    /// More memory, of either kind, never turns a plan into a refusal, and no place is overfilled.
    #[test]
    fn more_memory_never_hurts_llama_cpp(
        gpus in 0u32..4, gib in 2u64..60, more in 0u64..40, ram in 0u64..40, size in 1u64..150, experts in proptest::prelude::any::<bool>(), context in proptest::option::of(256u64..131_072)
    ) {
        let model = if experts { mixture(size) } else { gguf(size) };
        let request = request(context, "");
        let small = machine(gpus, gib);
        let mut large = machine(gpus, gib + more);
        large.memory.available_bytes += ram * GIB;
        if let Ok(plan) = make(&request, &small, &model) {
            for bill in &plan.per_gpu {
                proptest::prop_assert!(bill.needed_bytes() <= bill.budget_bytes && bill.budget_bytes <= bill.total_bytes, "{bill:?}");
            }
            proptest::prop_assert!(context.is_none_or(|asked| asked == plan.max_model_len));
            let better = make(&request, &large, &model);
            proptest::prop_assert!(better.is_ok(), "{plan:?}\n{better:?}");
            proptest::prop_assert!(better.unwrap().speed() >= plan.speed());
        }
    }
}

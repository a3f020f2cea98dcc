//! Plans for every vendor's accelerators.

use std::collections::BTreeMap;

use super::*;
use crate::error::Explain;
use crate::hardware::{Cpu, Device, Link, LinkKind, Memory, VendorId};
use crate::host::Os;
use crate::model::Format;
use crate::profile::{AcceleratorRecipe, ModelProfile};

const GIB: u64 = 1 << 30;

fn device(vendor: VendorId, index: u32, name: &str, architecture: Option<&str>, gib: u64) -> Device {
    Device {
        vendor,
        index,
        name: name.into(),
        uuid: None,
        memory_total_bytes: gib * GIB,
        memory_free_bytes: None,
        architecture: architecture.map(str::to_owned),
        unified: false,
        usable: true,
        problem: None,
    }
}

fn machine(devices: Vec<Device>) -> Hardware {
    let apple = devices.iter().any(|d| d.vendor == VendorId::Apple);
    Hardware {
        os: if apple { Os::Macos } else { Os::Linux },
        cpu: Cpu::default(),
        memory: Memory { total_bytes: 128 * GIB, available_bytes: 120 * GIB },
        devices,
        links: Vec::new(),
        versions: BTreeMap::new(),
        problems: Vec::new(),
        wsl: None,
        wsl_memory_bytes: None,
    }
}

fn several(count: u32, vendor: VendorId, name: &str, architecture: Option<&str>, gib: u64) -> Hardware {
    machine((0..count).map(|index| device(vendor, index, name, architecture, gib)).collect())
}

/// 32 layers of 8 KV heads of 128: 128 KiB of KV cache per token.
fn weights(format: Format, gib: u64, quantization: Option<&str>) -> Weights {
    Weights { quantization: quantization.map(str::to_owned), ..tests::weights(format, gib) }
}

fn built(engine: EngineId, accelerator: Accelerator) -> Installed {
    Installed {
        engine,
        cpu_build: accelerator == Accelerator::Cpu,
        accelerator: Some(accelerator),
        version: None,
        limits_prompts: false,
    }
}

fn make(hardware: &Hardware, weights: &Weights, installed: &[Installed]) -> Result<LaunchPlan, PlanError> {
    plan(Facts { request: &Request::default(), hardware, weights, profile: None, profiles: &[], installed })
}

fn elsewhere(hardware: &Hardware, weights: &Weights) -> Result<LaunchPlan, PlanError> {
    let request = Request { elsewhere: true, ..Request::default() };
    plan(Facts { request: &request, hardware, weights, profile: None, profiles: &[], installed: &[] })
}

/// A vendor with the accelerator, and a device vLLM is made for there.
const VLLM: [(VendorId, &str, Option<&str>, Accelerator); 7] = [
    (VendorId::Amd, "AMD Instinct MI300X", Some("gfx942"), Accelerator::Rocm),
    (VendorId::Ascend, "910B3", Some("A2"), Accelerator::Ascend),
    (VendorId::Intel, "Intel Arc Pro B60", Some("0xe211"), Accelerator::Xpu),
    (VendorId::MooreThreads, "MTT S5000", None, Accelerator::Musa),
    (VendorId::MetaX, "MXC500", None, Accelerator::Maca),
    (VendorId::Cambricon, "MLU590", None, Accelerator::Mlu),
    (VendorId::Hygon, "DCU K100", None, Accelerator::Dcu),
];

#[test]
fn vllm_is_planned_on_every_vendors_accelerators() {
    for (vendor, name, architecture, accelerator) in VLLM {
        let hardware = several(4, vendor, name, architecture, 80);
        let model = weights(Format::Safetensors, 100, None);
        // Nothing installed: the plan is there, and it says what is needed.
        let plan = make(&hardware, &model, &[]).unwrap();
        assert_eq!((plan.engine, plan.accelerator), (EngineId::Vllm, accelerator), "{name}");
        assert_eq!((plan.devices.as_slice(), plan.tensor_parallel), (&[0, 1][..], 2), "{name}");
        assert_eq!(plan.visible, ["0", "1"]);
        assert!(!plan.to_install, "llmup cannot install it");
        let needs = plan.needs.as_ref().unwrap();
        assert!(needs.what.contains("no vLLM is installed"), "{}", needs.what);
        assert!(needs.how.iter().any(|how| how.contains("https://")), "{:?}", needs.how);
        assert!(needs.how.iter().any(|how| how.contains("`export LLMUP_VLLM_VENV=")), "{:?}", needs.how);
        // The wrong one installed: likewise.
        let plan = make(&hardware, &model, &[built(EngineId::Vllm, Accelerator::Cpu)]).unwrap();
        assert!(plan.needs.unwrap().what.contains("built for the processor"), "{name}");
        // The right one: it can start.
        let plan = make(&hardware, &model, &[built(EngineId::Vllm, accelerator)]).unwrap();
        assert_eq!((plan.needs, plan.to_install), (None, false), "{name}");
        // Another machine: nothing is refused, and the reason says what is needed there.
        let plan = elsewhere(&hardware, &model).unwrap();
        assert_eq!(plan.needs, None);
        assert!(plan.reasons.iter().any(|r| r.because.contains("https://")), "{:?}", plan.reasons);
    }
}

#[test]
fn a_build_that_is_installed_decides_between_vendors_and_nvidia_comes_first_else() {
    let amd = device(VendorId::Amd, 0, "AMD Instinct MI300X", Some("gfx942"), 192);
    let hardware = machine(vec![device(VendorId::Nvidia, 0, "NVIDIA L4", Some("8.9"), 24), amd]);
    let model = weights(Format::Safetensors, 8, None);
    assert_eq!(make(&hardware, &model, &[]).unwrap().accelerator, Accelerator::Cuda);
    let plan = make(&hardware, &model, &[built(EngineId::Vllm, Accelerator::Rocm)]).unwrap();
    assert_eq!(plan.accelerator, Accelerator::Rocm);
    assert!(plan.reasons[0].because.contains("1 × NVIDIA L4 stays unused"), "{}", plan.reasons[0].because);
}

#[test]
fn the_processors_vllm_does_not_stand_in_for_nvidias() {
    let hardware = several(1, VendorId::Nvidia, "NVIDIA L4", Some("8.9"), 24);
    let plan =
        make(&hardware, &weights(Format::Safetensors, 8, None), &[built(EngineId::Vllm, Accelerator::Cpu)]).unwrap();
    assert_eq!((plan.accelerator, plan.to_install, plan.needs), (Accelerator::Cuda, true, None));
    assert!(plan.reasons.iter().any(|r| r.because.contains("not built for the NVIDIA GPU")), "{:?}", plan.reasons);
}

#[test]
fn cards_vllm_is_not_made_for_leave_it_to_the_processor_and_say_so() {
    for (vendor, name, architecture) in [
        (VendorId::Amd, "AMD Radeon RX 6700 XT", "gfx1031"),
        (VendorId::Nvidia, "Tesla P40", "6.1"),
        (VendorId::Ascend, "910A", "910A"),
    ] {
        let hardware = several(1, vendor, name, Some(architecture), 24);
        let plan = make(&hardware, &weights(Format::Safetensors, 8, None), &[]).unwrap();
        assert_eq!(plan.accelerator, Accelerator::Cpu, "{name}");
        let said = &plan.reasons[0].because;
        assert!(said.contains(&format!("vLLM is not made for 1 × {name} ({architecture})")), "{said}");
        assert!(!said.contains("stays unused"), "said once: {said}");
    }
}

#[test]
fn weights_that_a_platform_does_not_load_are_refused_or_doubted() {
    let npus = several(8, VendorId::Ascend, "910B3", Some("A2"), 64);
    for quantization in ["fp8", "nvfp4", "awq"] {
        let error = elsewhere(&npus, &weights(Format::Safetensors, 60, Some(quantization))).unwrap_err();
        assert!(error.to_string().contains("on Ascend NPUs"), "{error}");
        assert!(error.hints().iter().any(|h| h.contains("BF16, W8A8")), "{:?}", error.hints());
    }
    assert!(elsewhere(&npus, &weights(Format::Safetensors, 60, Some("w8a8"))).is_ok());
    assert!(elsewhere(&npus, &weights(Format::Safetensors, 60, Some("bf16"))).is_ok());
    let warned = |architecture: &str, vendor, quantization: &str| {
        let hardware = several(2, vendor, "Card", Some(architecture), 80);
        elsewhere(&hardware, &weights(Format::Safetensors, 40, Some(quantization))).map(|plan| plan.warnings.join(" "))
    };
    assert!(warned("gfx942", VendorId::Amd, "awq").unwrap().contains("may fail to load"));
    assert!(warned("gfx90a", VendorId::Amd, "fp8").unwrap().contains("gfx94x, gfx95x and gfx12x only"));
    assert_eq!(warned("gfx942", VendorId::Amd, "fp8").unwrap(), "");
    // NVIDIA's generations.
    assert!(warned("8.6", VendorId::Nvidia, "fp8").unwrap().contains("in 16 bits"));
    assert_eq!(warned("9.0", VendorId::Nvidia, "fp8").unwrap(), "");
    assert!(warned("9.0", VendorId::Nvidia, "nvfp4").unwrap().contains("Blackwell"));
    assert_eq!(warned("12.0", VendorId::Nvidia, "nvfp4").unwrap(), "");
    assert!(warned("7.0", VendorId::Nvidia, "fp8").unwrap_err().to_string().contains("7.5"));
    assert!(warned("7.5", VendorId::Nvidia, "awq").is_ok());
}

#[test]
fn what_surely_loads_is_known_before_a_plan_is_made() {
    let of = |vendor, architecture: &str| several(1, vendor, "Card", Some(architecture), 64);
    let loads = |hardware: &Hardware, quantization: &str| platform::loads(hardware, quantization);
    let npu = of(VendorId::Ascend, "A3");
    assert!(loads(&npu, "bf16") && loads(&npu, "w8a8") && !loads(&npu, "fp8"));
    assert!(loads(&of(VendorId::Amd, "gfx950"), "fp8") && !loads(&of(VendorId::Amd, "gfx1100"), "fp8"));
    assert!(loads(&of(VendorId::Nvidia, "8.6"), "fp8") && !loads(&of(VendorId::Nvidia, "7.0"), "fp8"));
    assert!(!loads(&machine(Vec::new()), "fp8") && loads(&machine(Vec::new()), "bf16"));
}

#[test]
fn the_310p_gets_its_type_and_its_short_context() {
    let hardware = several(2, VendorId::Ascend, "310P3", Some("310P"), 43);
    let plan = elsewhere(&hardware, &weights(Format::Safetensors, 15, None)).unwrap();
    assert_eq!((plan.recipe.args.as_slice(), plan.max_model_len), (&["--dtype".into(), "float16".into()][..], 16_384));
    let asked = Request { context: Some(32_768), elsewhere: true, ..Request::default() };
    let model = weights(Format::Safetensors, 15, None);
    let facts =
        Facts { request: &asked, hardware: &hardware, weights: &model, profile: None, profiles: &[], installed: &[] };
    let plan = super::plan(facts).unwrap();
    assert_eq!(plan.max_model_len, 32_768, "who asks for more gets it, with the warning");
    assert!(plan.warnings.iter().any(|w| w.contains("16384")), "{:?}", plan.warnings);
}

fn profile_with_ascend(args: &str) -> ModelProfile {
    let text = "name: some\ntitle: t\nparameters_b: 100\n";
    let mut profile: ModelProfile = serde_yaml::from_str(text).unwrap();
    let own = AcceleratorRecipe {
        hugging_face: None,
        model_scope: Some("Some/Model-W8A8".into()),
        quantization: Some("w8a8".into()),
        architectures: Vec::new(),
        args: args.split(' ').map(str::to_owned).collect(),
        env: BTreeMap::from([("HCCL_OP_EXPANSION_MODE".to_owned(), "AIV".to_owned())]),
        source: "a tutorial".into(),
    };
    profile.accelerators.insert("ascend".into(), own);
    profile
}

#[test]
fn a_profiles_recipe_for_npus_applies_to_the_weights_it_is_for() {
    let profile =
        profile_with_ascend("--quantization ascend --data-parallel-size 2 --tensor-parallel-size 8 --max-num-seqs 16");
    let request = Request { elsewhere: true, ..Request::default() };
    let with = |hardware: &Hardware, weights: &Weights| {
        let profile = Some(&profile);
        plan(Facts { request: &request, hardware, weights, profile, profiles: &[], installed: &[] }).unwrap()
    };
    let model = weights(Format::Safetensors, 100, Some("w8a8"));
    let sixteen = several(16, VendorId::Ascend, "Ascend910", Some("A3"), 64);
    let plan = with(&sixteen, &model);
    assert_eq!((plan.tensor_parallel, plan.devices.len(), plan.utilization), (8, 16, 0.9));
    let args = plan.recipe.args.join(" ");
    assert_eq!(args, "--quantization ascend --data-parallel-size 2 --max-num-seqs 16", "the size is said once");
    assert_eq!(plan.recipe.env["HCCL_OP_EXPANSION_MODE"], "AIV");
    // Sizes for more devices than there are give way to the plan's.
    let eight = several(8, VendorId::Ascend, "910B3", Some("A2"), 64);
    let plan = with(&eight, &model);
    assert_eq!(plan.recipe.args.join(" "), "--quantization ascend --max-num-seqs 16");
    assert_eq!(plan.tensor_parallel, 4);
    // Other weights, and other vendors: nothing of it.
    assert!(with(&eight, &weights(Format::Safetensors, 100, None)).recipe.args.is_empty());
    let cards = several(8, VendorId::Nvidia, "NVIDIA H100", Some("9.0"), 80);
    assert!(with(&cards, &weights(Format::Safetensors, 100, None)).recipe.env.is_empty());
    let own = platform::own_weights(&profile, &eight).unwrap();
    assert_eq!((own.model_scope.as_deref(), own.weights_gb), (Some("Some/Model-W8A8"), Some(105.0)));
    assert_eq!(platform::own_weights(&profile, &cards), None);
}

#[test]
fn llama_cpp_computes_on_what_its_build_is_for() {
    let model = weights(Format::Gguf, 10, Some("q4_k_m"));
    let amd = several(1, VendorId::Amd, "AMD Radeon RX 7900 XTX", Some("gfx1100"), 24);
    let on = |hardware: &Hardware, accelerator| {
        let plan = make(hardware, &model, &[built(EngineId::LlamaCpp, accelerator)]).unwrap();
        (plan.accelerator, plan.devices.len())
    };
    assert_eq!(on(&amd, Accelerator::Rocm), (Accelerator::Rocm, 1));
    assert_eq!(on(&amd, Accelerator::Vulkan), (Accelerator::Vulkan, 1));
    assert_eq!(on(&amd, Accelerator::Cuda), (Accelerator::Cpu, 0), "a CUDA build sees nothing here");
    assert_eq!(on(&amd, Accelerator::Cpu), (Accelerator::Cpu, 0));
    // Beside a build that leaves it alone, the one that uses it is taken.
    let both = [built(EngineId::LlamaCpp, Accelerator::Cpu), built(EngineId::LlamaCpp, Accelerator::Vulkan)];
    assert_eq!(make(&amd, &model, &both).unwrap().accelerator, Accelerator::Vulkan);
    // What llmup would install is Vulkan's where that is pinned; the processor's stays one step away from it.
    let with = |arch: &str, installed: &[Installed]| {
        let mut amd = amd.clone();
        amd.cpu.architecture = arch.into();
        make(&amd, &model, installed).unwrap()
    };
    let plan = with("x86_64", &[]);
    assert_eq!((plan.accelerator, plan.to_install), (Accelerator::Vulkan, true));
    let plan = with("x86_64", &[built(EngineId::LlamaCpp, Accelerator::Cpu)]);
    assert!(plan.reasons[0].because.contains("`llmup engine install llama-cpp`"), "{:?}", plan.reasons);
    // Where none is, the reason says how to get more.
    let plan = with("aarch64", &[]);
    assert_eq!(plan.accelerator, Accelerator::Cpu);
    assert!(
        plan.reasons[0].because.contains("put a HIP (ROCm) or Vulkan `llama-server` on PATH"),
        "{:?}",
        plan.reasons
    );
    // Of another machine the right one is assumed, and said.
    let plan = elsewhere(&amd, &model).unwrap();
    assert_eq!(plan.accelerator, Accelerator::Rocm);
    assert!(plan.reasons[0].because.contains("which is assumed"), "{:?}", plan.reasons);
    for (vendor, accelerator) in [
        (VendorId::Intel, Accelerator::Xpu),
        (VendorId::MooreThreads, Accelerator::Musa),
        (VendorId::Ascend, Accelerator::Ascend),
        (VendorId::Nvidia, Accelerator::Cuda),
    ] {
        assert_eq!(elsewhere(&several(1, vendor, "Card", None, 24), &model).unwrap().accelerator, accelerator);
    }
    let mlu = several(1, VendorId::Cambricon, "MLU370-X8", None, 24);
    let plan = elsewhere(&mlu, &model).unwrap();
    assert_eq!(plan.accelerator, Accelerator::Cpu);
    assert!(plan.reasons[0].because.contains("nothing for a Cambricon MLU"), "{:?}", plan.reasons);
}

/// A machine whose GPU shares main memory.
fn shared(vendor: VendorId, name: &str, architecture: &str, gib: u64, main: Memory) -> Hardware {
    let mut gpu = device(vendor, 0, name, Some(architecture), gib);
    gpu.unified = true;
    Hardware { memory: main, ..machine(vec![gpu]) }
}

#[test]
fn memory_that_is_shared_is_counted_once() {
    let main = Memory { total_bytes: 64 * GIB, available_bytes: 60 * GIB };
    let mac = shared(VendorId::Apple, "Apple M3 Max", "M3 Max", 48, main);
    let plan = make(&mac, &weights(Format::Gguf, 20, Some("q4_k_m")), &[]).unwrap();
    assert_eq!((plan.accelerator, plan.to_install), (Accelerator::Metal, true), "llmup's own is Metal's on a Mac");
    assert_eq!((plan.per_gpu[0].budget_bytes, plan.per_gpu[0].total_bytes), (48 * GIB, 48 * GIB));
    assert!(make(&mac, &weights(Format::Gguf, 50, None), &[]).is_err(), "48 GiB for the GPU, not 48 and 64");
    // What is free of main memory is the limit, too.
    let busy = Memory { available_bytes: 20 * GIB, ..main };
    let mac = shared(VendorId::Apple, "Apple M3 Max", "M3 Max", 48, busy);
    assert_eq!(make(&mac, &weights(Format::Gguf, 8, None), &[]).unwrap().per_gpu[0].budget_bytes, 20 * GIB / 20 * 19);
    // An APU.
    let main = Memory { total_bytes: 128 * GIB, available_bytes: 120 * GIB };
    let halo = shared(VendorId::Amd, "AMD Radeon 8060S", "gfx1151", 96, main);
    let rocm = [built(EngineId::LlamaCpp, Accelerator::Rocm)];
    let plan = make(&halo, &weights(Format::Gguf, 60, None), &rocm).unwrap();
    assert_eq!((plan.accelerator, plan.per_gpu[0].budget_bytes), (Accelerator::Rocm, 96 * GIB));
    assert!(make(&halo, &weights(Format::Gguf, 100, None), &rocm).is_err());
    // GB10 with vLLM: the share is one of main memory, and what is not free of it is not planned with.
    let gb10 = |free: u64| {
        let main = Memory { total_bytes: 122 * GIB, available_bytes: free * GIB };
        shared(VendorId::Nvidia, "NVIDIA GB10", "12.1", 122, main)
    };
    let plan = make(&gb10(110), &weights(Format::Safetensors, 60, None), &[]).unwrap();
    assert!(plan.utilization <= (110.0 - 4.0) / 122.0, "{}", plan.utilization);
    assert!(plan.per_gpu[0].budget_bytes <= 106 * GIB, "{:?}", plan.per_gpu[0]);
    assert!(make(&gb10(40), &weights(Format::Safetensors, 60, None), &[]).is_err());
}

#[test]
fn a_mig_instance_is_named_by_its_id_and_stands_alone() {
    let mut slice = device(VendorId::Nvidia, 0, "NVIDIA H100 80GB HBM3 MIG 3g.40gb", Some("9.0"), 40);
    slice.uuid = Some("MIG-11111111-2222-3333-4444-555555555555".into());
    let second = Device { uuid: Some("MIG-99999999-2222-3333-4444-555555555555".into()), ..slice.clone() };
    let mut card = device(VendorId::Nvidia, 0, "NVIDIA H100 80GB HBM3", Some("9.0"), 80);
    card.usable = false;
    let hardware = machine(vec![card, slice, second]);
    let plan = make(&hardware, &weights(Format::Safetensors, 15, None), &[]).unwrap();
    assert_eq!(
        (plan.visible.as_slice(), plan.tensor_parallel),
        (&["MIG-11111111-2222-3333-4444-555555555555".to_owned()][..], 1)
    );
    let two = Request { tensor_parallel: Some(2), ..Request::default() };
    let model = weights(Format::Safetensors, 15, None);
    let facts =
        Facts { request: &two, hardware: &hardware, weights: &model, profile: None, profiles: &[], installed: &[] };
    let error = super::plan(facts).unwrap_err();
    assert!(error.to_string().contains("one MIG instance at most"), "{error}");
}

#[test]
fn a_missing_link_is_a_reason_and_an_unknown_one_is_none() {
    let mut hardware = several(2, VendorId::Nvidia, "NVIDIA L40S", Some("8.9"), 45);
    let model = weights(Format::Safetensors, 60, None);
    let said = |hardware: &Hardware| {
        let plan = make(hardware, &model, &[]).unwrap();
        assert_eq!(plan.tensor_parallel, 2);
        plan.reasons.iter().any(|r| r.because.contains("no direct link"))
    };
    assert!(!said(&hardware), "nothing is known");
    let link = |kind| vec![Link { vendor: VendorId::Nvidia, devices: (0, 1), kind, name: "X".into() }];
    hardware.links = link(LinkKind::Pcie);
    assert!(said(&hardware));
    hardware.links = link(LinkKind::Nvlink);
    assert!(!said(&hardware));
}

#[test]
fn a_small_card_is_not_mixed_with_a_large_one_that_does_alone() {
    let large = device(VendorId::Nvidia, 1, "NVIDIA GeForce RTX 3090", Some("8.6"), 24);
    let hardware = machine(vec![device(VendorId::Nvidia, 0, "NVIDIA GeForce RTX 3070", Some("8.6"), 8), large]);
    let plan = make(&hardware, &weights(Format::Safetensors, 8, None), &[]).unwrap();
    assert_eq!((plan.devices.as_slice(), plan.tensor_parallel), (&[1][..], 1));
}

#[test]
fn ollama_gets_the_memory_its_own_back_ends_see() {
    let mut tag = weights(Format::OllamaTag, 30, None);
    (tag.path, tag.tag) = (None, Some("some:30b".into()));
    let halo = {
        let main = Memory { total_bytes: 128 * GIB, available_bytes: 100 * GIB };
        shared(VendorId::Amd, "AMD Radeon 8060S", "gfx1151", 96, main)
    };
    let plan = make(&halo, &tag, &[]).unwrap();
    assert_eq!((plan.accelerator, plan.per_gpu[0].budget_bytes), (Accelerator::Rocm, 100 * GIB / 20 * 19));
    let npus = several(2, VendorId::Ascend, "910B3", Some("A2"), 64);
    assert_eq!(make(&npus, &tag, &[]).unwrap().accelerator, Accelerator::Cpu, "Ollama has nothing for NPUs");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    /// On every vendor's devices: more memory never makes a fitting plan unfit, and no plan exceeds a device.
    #[test]
    fn more_memory_never_hurts_anywhere(
        which in 0..VLLM.len(), count in 1u32..9, gib in 8u64..200, more in 0u64..100, size in 1u64..600
    ) {
        let (vendor, name, architecture, _) = VLLM[which];
        let model = weights(Format::Safetensors, size, None);
        let small = elsewhere(&several(count, vendor, name, architecture, gib), &model);
        if let Ok(plan) = &small {
            let large = elsewhere(&several(count, vendor, name, architecture, gib + more), &model);
            proptest::prop_assert!(large.is_ok(), "{plan:?}");
            for bill in &plan.per_gpu {
                proptest::prop_assert!(bill.budget_bytes <= bill.total_bytes, "{bill:?}");
                proptest::prop_assert!(bill.weights_bytes + bill.kv_bytes_needed <= bill.total_bytes, "{bill:?}");
            }
            proptest::prop_assert_eq!(plan.devices.len(), plan.visible.len());
        }
    }

    /// The same where memory is shared, for llama.cpp and for vLLM.
    #[test]
    fn more_shared_memory_never_hurts(
        apple: bool, gib in 8u64..500, free in 4u64..500, more in 0u64..200, size in 1u64..400
    ) {
        let (vendor, name, architecture) = if apple {
            (VendorId::Apple, "Apple M3 Ultra", "M3 Ultra")
        } else {
            (VendorId::Amd, "AMD Radeon 8060S", "gfx1151")
        };
        let machine = |gib: u64, free: u64| {
            let main = Memory { total_bytes: gib * GIB, available_bytes: free.min(gib) * GIB };
            shared(vendor, name, architecture, gib * 3 / 4, main)
        };
        let mut formats = vec![Format::Gguf];
        if !apple {
            formats.push(Format::Safetensors);
        }
        for format in formats {
            let model = weights(format, size, None);
            if let Ok(plan) = elsewhere(&machine(gib, free), &model) {
                proptest::prop_assert!(elsewhere(&machine(gib + more, free + more), &model).is_ok(), "{plan:?}");
                for bill in &plan.per_gpu {
                    proptest::prop_assert!(bill.budget_bytes <= gib * 3 / 4 * GIB, "{bill:?}");
                    proptest::prop_assert!(bill.budget_bytes <= free.min(gib) * GIB, "{bill:?}");
                    proptest::prop_assert!(bill.weights_bytes + bill.kv_bytes_needed <= bill.budget_bytes, "{bill:?}");
                }
            }
        }
    }
}

#[test]
fn on_a_mac_vllm_is_taken_where_it_is_installed_for_its_gpu() {
    let mut mac = machine(vec![device(VendorId::Apple, 0, "Apple M3 Max", None, 48)]);
    mac.devices[0].unified = true;
    mac.memory = Memory { total_bytes: 64 * GIB, available_bytes: 60 * GIB };
    let weights = weights(Format::Safetensors, 8, None);
    let refused = make(&mac, &weights, &[]).unwrap_err();
    assert!(refused.hints().iter().any(|hint| hint.contains("vllm-metal")), "{:?}", refused.hints());
    let for_the_processor = built(EngineId::Vllm, Accelerator::Cpu);
    assert!(make(&mac, &weights, &[for_the_processor]).is_err());
    let plan = make(&mac, &weights, &[built(EngineId::Vllm, Accelerator::Metal)]).unwrap();
    assert_eq!((plan.engine, plan.accelerator, plan.devices.len()), (EngineId::Vllm, Accelerator::Metal, 1));
    assert!(plan.needs.is_none() && plan.max_model_len >= SMALL_CONTEXT, "{plan:?}");
    assert!(plan.per_gpu.iter().all(|bill| bill.needed_bytes() <= bill.budget_bytes), "{plan:?}");
    assert!(plan.reasons[0].because.contains("vllm-metal"), "{:?}", plan.reasons[0]);
}

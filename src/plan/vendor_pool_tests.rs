//! What llama.cpp and Ollama compute on, maker by maker, and memory that GPU and processor share.

use super::vendor_tests::{GIB, built, device, elsewhere, machine, make, several, weights};
use super::*;
use crate::hardware::Memory;
use crate::model::Format;

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

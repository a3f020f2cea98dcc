//! Which engine, and what it computes on: format × system × devices × what is installed.

use super::{Facts, Installed, Needs, PlanError, Reason, platform};
use crate::engine::{Accelerator, EngineId, brings};
use crate::hardware::{Device, Hardware, VendorId};
use crate::host::Os;
use crate::model::Format;

/// The engine, what it computes on, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice<'a> {
    /// The engine.
    pub engine: EngineId,
    /// What it computes on.
    pub accelerator: Accelerator,
    /// The devices it may use, in their runtime's order; none when it computes on the processor.
    pub devices: Vec<&'a Device>,
    /// The installed build (or the one that would be installed) computes on the processor only.
    pub cpu_build: bool,
    /// Why.
    pub because: String,
    /// What must be installed by hand before it can start.
    pub needs: Option<Needs>,
    /// vLLM: flags that these devices need, as argv.
    pub args: Vec<String>,
    /// vLLM: the context not to exceed unless more is asked for, and why.
    pub context: Option<(u64, String)>,
    /// vLLM: the share of the memory that is advised there.
    pub utilization: Option<f64>,
    /// Further reasons.
    pub reasons: Vec<Reason>,
    /// What will work less well than one may expect.
    pub warnings: Vec<String>,
}

impl<'a> Choice<'a> {
    pub(super) fn new(engine: EngineId, accelerator: Accelerator, devices: Vec<&'a Device>) -> Choice<'a> {
        Choice {
            engine,
            accelerator,
            devices,
            cpu_build: accelerator == Accelerator::Cpu,
            because: String::new(),
            needs: None,
            args: Vec::new(),
            context: None,
            utilization: None,
            reasons: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

/// Decides the engine.
pub fn engine<'a>(facts: &Facts<'a>) -> Result<Choice<'a>, PlanError> {
    let format = facts.weights.format;
    let natural = match format {
        Format::Safetensors => EngineId::Vllm,
        Format::Gguf => EngineId::LlamaCpp,
        Format::OllamaTag => EngineId::Ollama,
    };
    if let Some(asked) = facts.request.engine
        && asked != natural
    {
        return Err(PlanError::NoEngine {
            what: format!("{asked} does not load {}; {natural} does", words(format)),
            instead: vec![format!("leave out `--engine`, or say `--engine {natural}`"), other_format(asked).to_owned()],
        });
    }
    let asked = if facts.request.engine.is_some() { ", as you asked" } else { "" };
    let mut choice = match natural {
        EngineId::Vllm => platform::vllm(facts, asked)?,
        EngineId::LlamaCpp => llama_cpp(facts, asked),
        EngineId::Ollama => ollama(facts, asked),
    };
    choice.because += &unused(&facts.hardware.devices, &choice);
    Ok(choice)
}

/// What llmup installs of llama.cpp on this machine: the build for its accelerators where one is pinned (Apple's own,
/// Vulkan for the GPUs of others), else the processor's.
pub fn installs_llama_cpp(hardware: &Hardware) -> Accelerator {
    let natural = best_vendor(hardware).map_or(Accelerator::Cpu, Accelerator::of);
    let arch = match hardware.cpu.architecture.as_str() {
        "" => std::env::consts::ARCH,
        known => known,
    };
    let pinned = |accelerator: Accelerator| brings(EngineId::LlamaCpp, accelerator, hardware.os, arch);
    let sees = |accelerator: Accelerator| !seen_by_llama_cpp(hardware, accelerator).is_empty();
    let suits = |accelerator: &Accelerator| pinned(*accelerator) && sees(*accelerator);
    // Whoever makes the accelerator, Vulkan does for those it sees; it never stands in for what it does not.
    let vulkan = natural.vendor().filter(|vendor| VULKAN.contains(vendor)).map(|_| Accelerator::Vulkan);
    std::iter::once(natural).chain(vulkan).find(suits).unwrap_or(match hardware.os {
        // The same wheel computes on the processor.
        Os::Macos => Accelerator::Metal,
        _ => Accelerator::Cpu,
    })
}

/// llama.cpp computes on what its build is for. Of another machine the right build is assumed.
fn llama_cpp<'a>(facts: &Facts<'a>, asked: &str) -> Choice<'a> {
    let hardware = facts.hardware;
    let mut builds = facts.installed.iter().filter(|i| i.engine == EngineId::LlamaCpp);
    // The first that is found, unless that one leaves accelerators alone which another one uses.
    let uses = |i: &&Installed| i.accelerator.is_some_and(|built| !seen_by_llama_cpp(hardware, built).is_empty());
    let installed = builds.clone().find(uses).or_else(|| builds.next());
    let natural = best_vendor(hardware).map_or(Accelerator::Cpu, Accelerator::of);
    let own = installs_llama_cpp(hardware);
    let (accelerator, told) = match installed {
        Some(build) if build.cpu_build => (Accelerator::Cpu, true),
        Some(build) => match build.accelerator {
            Some(accelerator) => (accelerator, true),
            // A build that does not tell is taken at its best for NVIDIA and Apple, the common ones.
            None if matches!(natural, Accelerator::Cuda | Accelerator::Metal) => (natural, false),
            None => (Accelerator::Cpu, false),
        },
        None if facts.request.elsewhere => (natural, false),
        None if outgrows(facts, own) => (Accelerator::Cpu, true),
        None => (own, true),
    };
    let devices = seen_by_llama_cpp(hardware, accelerator);
    let accelerator = if devices.is_empty() { Accelerator::Cpu } else { accelerator };
    let mut choice = Choice::new(EngineId::LlamaCpp, accelerator, devices);
    choice.cpu_build = match installed {
        Some(build) => build.cpu_build,
        None => accelerator == Accelerator::Cpu,
    };
    let place = match (accelerator, natural) {
        (Accelerator::Cpu, Accelerator::Cpu) => "the processor".to_owned(),
        (Accelerator::Cpu, natural) => match build_for(natural) {
            Some(_) if installed.is_some() && own != Accelerator::Cpu => format!(
                "the processor (the llama.cpp that is there has nothing for the {}; one that does: `llmup engine install llama-cpp`)",
                natural.device()
            ),
            Some(name) => {
                let why = if told {
                    "this build of llama.cpp has"
                } else {
                    "its build is not told, so it counts as one with"
                };
                format!(
                    "the processor ({why} no {name}: put a {name} `llama-server` on PATH to use the {})",
                    natural.device()
                )
            }
            None => format!("the processor (llama.cpp has nothing for a {})", natural.device()),
        },
        _ => {
            let name = build_for(accelerator).unwrap_or("GPU");
            let assumed = if facts.request.elsewhere && installed.is_none() {
                format!(" (with a {name} build of llama.cpp, which is assumed)")
            } else {
                format!(" ({name})")
            };
            format!("{}{assumed}", counted(&choice.devices, accelerator))
        }
    };
    choice.because =
        format!("the weights are GGUF, which llama.cpp loads on any system{asked}; it computes on {place}");
    if accelerator == Accelerator::Ascend {
        choice.warnings.push(
            "llama.cpp's CANN build computes F16, Q8_0 and Q4_0 on the NPU; other quantisations run on the processor"
                .into(),
        );
    }
    choice
}

/// Whether the weights are too large for a GPU that only has a part of main memory (an APU's share is about half):
/// then the processor, which has all of it, does better than a refusal. On a Mac one build does both.
fn outgrows(facts: &Facts<'_>, accelerator: Accelerator) -> bool {
    let devices = seen_by_llama_cpp(facts.hardware, accelerator);
    let most = devices.iter().filter(|d| d.unified).map(|d| d.memory_total_bytes).max();
    let weights = facts.weights.bytes.unwrap_or(0);
    accelerator == Accelerator::Vulkan && most.is_some_and(|most| weights > most / 10 * 9)
}

/// What llama.cpp calls its build for an accelerator (docs/build.md and docs/backend of its repository).
fn build_for(accelerator: Accelerator) -> Option<&'static str> {
    match accelerator {
        Accelerator::Cuda => Some("CUDA"),
        Accelerator::Rocm | Accelerator::Dcu => Some("HIP (ROCm) or Vulkan"),
        Accelerator::Metal => Some("Metal"),
        Accelerator::Vulkan => Some("Vulkan"),
        Accelerator::Xpu => Some("SYCL or Vulkan"),
        Accelerator::Musa => Some("MUSA"),
        Accelerator::Ascend => Some("CANN"),
        Accelerator::Maca | Accelerator::Mlu | Accelerator::Cpu => None,
    }
}

/// Makers with drivers for Vulkan.
const VULKAN: [VendorId; 4] = [VendorId::Nvidia, VendorId::Amd, VendorId::Intel, VendorId::MooreThreads];

/// Vulkan sees the GPUs of every vendor that makes drivers for it; cards with memory of their own go before those of the
/// processor.
fn seen_by_llama_cpp(hardware: &Hardware, accelerator: Accelerator) -> Vec<&Device> {
    if build_for(accelerator).is_none() {
        return Vec::new();
    }
    if let Some(vendor) = accelerator.vendor() {
        return discrete_first(hardware.usable(vendor));
    }
    discrete_first(VULKAN.into_iter().flat_map(|vendor| hardware.usable(vendor)).collect())
}

fn discrete_first(devices: Vec<&Device>) -> Vec<&Device> {
    let own = devices.iter().any(|d| !d.unified);
    devices.into_iter().filter(|d| d.unified != own).collect()
}

/// Whose devices count most: those with memory of their own, then the largest; NVIDIA's before others.
fn best_vendor(hardware: &Hardware) -> Option<VendorId> {
    let size = |vendor: VendorId| {
        let devices = hardware.usable(vendor);
        let own = devices.iter().any(|d| !d.unified);
        let total: u64 =
            devices.iter().filter(|d| d.unified != own).fold(0, |sum, d| sum.saturating_add(d.memory_total_bytes));
        // The GPU in an Intel processor is slower than the processor at this.
        let counts = total > 0 && (own || vendor != VendorId::Intel);
        counts.then_some((own && vendor == VendorId::Nvidia, own, total))
    };
    let mut vendors: Vec<VendorId> = hardware.devices.iter().map(|d| d.vendor).collect();
    vendors.dedup();
    vendors.into_iter().filter_map(|vendor| Some((size(vendor)?, vendor))).max_by_key(|(size, _)| *size).map(|(_, v)| v)
}

fn ollamas(vendor: Option<VendorId>) -> Option<Accelerator> {
    match vendor? {
        VendorId::Nvidia => Some(Accelerator::Cuda),
        VendorId::Amd => Some(Accelerator::Rocm),
        VendorId::Apple => Some(Accelerator::Metal),
        VendorId::Intel => Some(Accelerator::Vulkan),
        _ => None,
    }
}

/// Ollama brings its own back ends: CUDA, ROCm, Metal, and Vulkan for the rest (docs.ollama.com/gpu).
fn ollama<'a>(facts: &Facts<'a>, asked: &str) -> Choice<'a> {
    let accelerator = ollamas(best_vendor(facts.hardware)).unwrap_or(Accelerator::Cpu);
    let devices = seen_by_llama_cpp(facts.hardware, accelerator);
    let mut choice = Choice::new(EngineId::Ollama, accelerator, devices);
    choice.cpu_build = false;
    let place = match accelerator {
        Accelerator::Cpu => "the processor".to_owned(),
        _ => format!("{} ({})", counted(&choice.devices, accelerator), own_name(accelerator)),
    };
    choice.because = format!("the model is an Ollama tag{asked}; it computes on {place}");
    choice
}

/// How people call what Ollama brings for an accelerator.
fn own_name(accelerator: Accelerator) -> &'static str {
    match accelerator {
        Accelerator::Cuda => "CUDA",
        Accelerator::Rocm => "ROCm",
        Accelerator::Metal => "Metal",
        _ => "Vulkan",
    }
}

/// What llama.cpp and Ollama can compute on in this machine, and the build of llama.cpp that is needed for it.
pub fn natural(hardware: &Hardware) -> (Option<(Accelerator, &'static str)>, Option<Accelerator>) {
    let vendor = best_vendor(hardware);
    let llama = vendor.map(Accelerator::of).and_then(|a| Some((a, build_for(a)?)));
    (llama, ollamas(vendor))
}

/// `2 × AMD Instinct MI300X`; `the processor` for none.
pub(super) fn counted(devices: &[&Device], accelerator: Accelerator) -> String {
    let mut kinds: Vec<(&str, usize)> = Vec::new();
    for device in devices {
        match kinds.iter_mut().find(|(name, _)| *name == device.name) {
            Some((_, count)) => *count += 1,
            None => kinds.push((&device.name, 1)),
        }
    }
    if kinds.is_empty() {
        return format!("the {}", accelerator.device());
    }
    kinds.into_iter().map(|(name, count)| format!("{count} × {name}")).collect::<Vec<_>>().join(" and ")
}

/// The accelerators that this plan leaves alone, in words. A GPU that only shares the processor's memory is not worth
/// the words, and neither is what the reason says already.
fn unused(devices: &[Device], choice: &Choice<'_>) -> String {
    let used = |d: &Device| choice.devices.iter().any(|own| std::ptr::eq(*own, d));
    let vendor_used = |vendor: VendorId| choice.devices.iter().any(|d| d.vendor == vendor);
    // The other GPUs of the same vendor are a matter of sizes, not of vendors.
    let idle: Vec<&Device> = devices
        .iter()
        .filter(|d| d.usable && !d.unified && !d.is_instance() && !used(d) && !vendor_used(d.vendor))
        .collect();
    if idle.is_empty() || choice.because.contains('(') && choice.devices.is_empty() {
        return String::new();
    }
    format!("; {} stays unused", counted(&idle, choice.accelerator))
}

fn words(format: Format) -> &'static str {
    match format {
        Format::Safetensors => "safetensors",
        Format::Gguf => "GGUF files",
        Format::OllamaTag => "Ollama tags",
    }
}

fn other_format(engine: EngineId) -> &'static str {
    match engine {
        EngineId::Vllm => "for vLLM, pass a model directory with config.json and *.safetensors",
        EngineId::LlamaCpp => "for llama.cpp, pass a .gguf file",
        EngineId::Ollama => "for Ollama, name a tag such as `llama3.1:8b`",
    }
}

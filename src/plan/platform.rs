//! What vLLM computes on: it has a build or a plug-in for every vendor, and each has its own needs and limits, which
//! are data (`platforms` of `profiles/engines/vllm.yaml`).

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::choose::{Choice, counted};
use super::recipe::of_vendor;
use super::{Facts, Installed, Needs, PlanError, Reason};
use crate::engine::{Accelerator, EngineId};
use crate::hardware::{Device, Hardware, VendorId};
use crate::host::Os;
use crate::model::Format;
use crate::profile::{self, Limit, ModelProfile, Others, Platform, Variant};
use crate::wsl::Standing;
use crate::wsl::path::{self, Kind, WindowsPath};

/// Vendors whose accelerators vLLM can compute on, the best first where two are equally large.
const VENDORS: [VendorId; 8] = [
    VendorId::Nvidia,
    VendorId::Amd,
    VendorId::Ascend,
    VendorId::Intel,
    VendorId::MooreThreads,
    VendorId::MetaX,
    VendorId::Cambricon,
    VendorId::Hygon,
];

/// Weights that are not quantised.
const PLAIN: [&str; 5] = ["bf16", "f16", "fp16", "f32", "fp32"];

/// One kind of accelerator in the machine, with the devices vLLM's build for it can use.
struct Candidate<'a> {
    accelerator: Accelerator,
    devices: Vec<&'a Device>,
}

type Platforms = BTreeMap<String, Platform>;

/// vLLM's table, read once: a list of models makes hundreds of plans. Empty when it is broken, which a test rules out.
fn platforms() -> &'static Platforms {
    static TABLE: OnceLock<Platforms> = OnceLock::new();
    TABLE.get_or_init(|| {
        profile::engine(EngineId::Vllm.name()).ok().flatten().map(|profile| profile.platforms).unwrap_or_default()
    })
}

/// The distribution of WSL that vLLM runs in on a Windows machine.
fn distribution(hardware: &Hardware) -> Option<&str> {
    hardware.wsl.as_ref().filter(|_| hardware.os == Os::Windows)?.usable()
}

/// Whether vLLM runs on this machine by itself, or in its WSL.
pub fn runs(hardware: &Hardware) -> bool {
    hardware.os == Os::Linux || distribution(hardware).is_some()
}

/// A Windows machine as vLLM in its WSL 2 sees it, for weights that are vLLM's. `None`: nothing to be seen so.
///
/// The machine of WSL 2 gets half of the main memory unless `memory` in `.wslconfig` says otherwise
/// (learn.microsoft.com/windows/wsl/wsl-config); of accelerators, the wheels that llmup installs can use NVIDIA's there
/// (docs.nvidia.com/cuda/wsl-user-guide).
pub(super) fn inside_wsl(facts: &Facts<'_>) -> Option<Hardware> {
    let hardware = facts.hardware;
    if facts.weights.format != Format::Safetensors {
        return None;
    }
    distribution(hardware)?;
    let mut inside = hardware.clone();
    let half = hardware.memory.total_bytes / 2;
    inside.memory.total_bytes = hardware.wsl_memory_bytes.unwrap_or(half).min(hardware.memory.total_bytes);
    inside.memory.available_bytes = inside.memory.available_bytes.min(inside.memory.total_bytes);
    inside.devices.retain(|device| device.vendor == VendorId::Nvidia);
    inside.links.retain(|link| link.vendor == VendorId::Nvidia);
    Some(inside)
}

/// Whether vLLM has anything but the processor to compute on here: then quantised safetensors have their kernels.
pub fn has_accelerator(hardware: &Hardware) -> bool {
    runs(hardware) && !candidates(hardware).is_empty()
}

/// What vLLM computes on here, and what must be installed for it; `None` is the processor.
pub fn computes_on(hardware: &Hardware) -> Option<(Accelerator, &'static str)> {
    let accelerator = best(hardware, &[]).filter(|_| runs(hardware))?.accelerator;
    Some((accelerator, platforms().get(accelerator.name())?.needs.as_str()))
}

/// What must be installed by hand before vLLM computes on the accelerators of this machine.
pub fn needs(hardware: &Hardware, installed: &[Installed]) -> Option<Needs> {
    let candidate = best(hardware, installed).filter(|_| runs(hardware))?;
    missing(candidate.accelerator, platforms().get(candidate.accelerator.name())?, installed)
}

/// Whether vLLM surely loads safetensors of this quantisation on the accelerators of this machine; without any, only
/// weights that are not quantised.
pub fn loads(hardware: &Hardware, quantization: &str) -> bool {
    if PLAIN.contains(&quantization) {
        return true;
    }
    let Some(candidate) = best(hardware, &[]) else { return false };
    let Some(platform) = platforms().get(candidate.accelerator.name()) else { return false };
    let architecture = candidate.devices.first().and_then(|d| d.architecture.as_deref());
    let limited = |l: &Limit| (l.refused || l.doubtful) && l.holds(Some(quantization), architecture);
    platform.loading(quantization) == Others::Unknown && !platform.limits.iter().any(limited)
}

/// The weights that a profile names for the accelerators of this machine, in the form of its other downloads.
pub fn own_weights(profile: &ModelProfile, hardware: &Hardware) -> Option<Variant> {
    let vendor = best(hardware, &[])?.accelerator.vendor()?;
    let own = profile.accelerators.get(vendor.name())?;
    let mut variant = Variant {
        quantization: own.quantization.clone()?,
        format: "safetensors".into(),
        hugging_face: own.hugging_face.clone(),
        model_scope: own.model_scope.clone(),
        ollama: None,
        weights_gb: None,
        memory_min_gb: None,
        quant_block: None,
        source: own.source.clone(),
    };
    variant.weights_gb = profile.size(&variant).map(|size| size.bytes as f64 / 1e9);
    Some(variant)
}

/// The accelerator to take: one that the installed vLLM is built for, then what llmup can install it for, then the
/// largest.
fn best<'a>(hardware: &'a Hardware, installed: &[Installed]) -> Option<Candidate<'a>> {
    let built_for = |accelerator: Accelerator| {
        installed.iter().any(|i| i.engine == EngineId::Vllm && i.accelerator == Some(accelerator))
    };
    let memory = |c: &Candidate<'_>| c.devices.iter().fold(0u64, |sum, d| sum.saturating_add(d.memory_total_bytes));
    candidates(hardware)
        .into_iter()
        .rev()
        .max_by_key(|c| (built_for(c.accelerator), c.accelerator == Accelerator::Cuda, memory(c)))
}

fn candidates(hardware: &Hardware) -> Vec<Candidate<'_>> {
    let of = |vendor: VendorId| {
        // In WSL, see `inside_wsl`.
        let accelerator =
            Some(Accelerator::of(vendor)).filter(|a| hardware.os != Os::Windows || *a == Accelerator::Cuda)?;
        let platform = platforms().get(accelerator.name())?;
        let mut devices = hardware.usable(vendor);
        devices.retain(|d| platform.made_for(d.architecture.as_deref()));
        // The graphics of an Intel processor are nothing vLLM is made for.
        devices.retain(|d| !(d.unified && vendor == VendorId::Intel));
        (!devices.is_empty()).then_some(Candidate { accelerator, devices })
    };
    VENDORS.into_iter().filter_map(of).collect()
}

/// Decides what vLLM computes on.
pub(super) fn vllm<'a>(facts: &Facts<'a>, asked: &str) -> Result<Choice<'a>, PlanError> {
    match facts.hardware.os {
        Os::Linux => {}
        Os::Windows if distribution(facts.hardware).is_some() => {}
        Os::Windows => return Err(without_wsl(facts)),
        Os::Macos => {
            if let Some(choice) = metal(facts, asked)? {
                return Ok(choice);
            }
            return Err(PlanError::NoEngine {
                what: "safetensors need vLLM, and vLLM has no GPU support of its own on macOS".into(),
                instead: vec![
                    "use a GGUF of the model: `llmup start MODEL --model-dir FILE.gguf`".into(),
                    "or install vLLM with the plug-in vllm-metal and put it on PATH: https://docs.vllm.ai/projects/vllm-metal"
                        .into(),
                ],
            });
        }
    }
    let Some(Candidate { accelerator, devices }) = best(facts.hardware, facts.installed) else {
        let mut choice = processor(facts, asked);
        in_wsl(facts, &mut choice);
        return Ok(choice);
    };
    let platform = platforms().get(accelerator.name());
    let mut choice = Choice::new(EngineId::Vllm, accelerator, devices);
    choice.because = match accelerator {
        Accelerator::Cuda if facts.hardware.os == Os::Linux => {
            format!("the weights are safetensors and there is an NVIDIA GPU under Linux{asked}")
        }
        _ => {
            format!("the weights are safetensors{asked}; vLLM can compute on {}", counted(&choice.devices, accelerator))
        }
    };
    if let Some(platform) = platform {
        suits(facts, platform, &mut choice)?;
        choice.utilization = platform.utilization;
        required(facts, platform, &mut choice);
    }
    in_wsl(facts, &mut choice);
    Ok(choice)
}

/// Why there is no vLLM on this Windows, and what else does.
fn without_wsl(facts: &Facts<'_>) -> PlanError {
    let gguf = "or use a GGUF of the model, which llama.cpp runs here: `llmup start MODEL --model-dir FILE.gguf`";
    let what = "safetensors need vLLM, and vLLM does not run on native Windows";
    match facts.hardware.wsl.as_ref().and_then(Standing::missing) {
        Some((why, cure)) => PlanError::NoEngine {
            what: format!("{what}; in WSL 2 it does, but {why}"),
            instead: vec![cure, gguf.into()],
        },
        None => PlanError::NoEngine {
            what: what.into(),
            instead: vec!["run llmup inside WSL2: `wsl llmup start MODEL --model-dir /mnt/d/…`".into(), gguf.into()],
        },
    }
}

/// Says where it runs, when that is not where llmup does.
fn in_wsl(facts: &Facts<'_>, choice: &mut Choice<'_>) {
    let Some(name) = distribution(facts.hardware) else { return };
    choice.reasons.push(Reason {
        choice: format!("runs in: WSL 2 ({name})"),
        because: "vLLM does not run on native Windows; the GPUs and drives of Windows are there too".into(),
    });
    // Files of Windows come through a file server there (learn.microsoft.com/windows/wsl/filesystems).
    let path = facts.weights.path.as_deref().and_then(|path| path.to_str()).unwrap_or_default();
    if matches!(path::kind(path), Kind::Whole(WindowsPath::Drive { .. })) {
        choice.warnings.push(format!(
            r"weights on a drive of Windows load slowly in WSL; below `\\wsl$\{name}\home` they load at full speed"
        ));
    }
}

/// vLLM on a Mac, where somebody has installed it with its plug-in for Apple's GPUs.
fn metal<'a>(facts: &Facts<'a>, asked: &str) -> Result<Option<Choice<'a>>, PlanError> {
    let there = |i: &Installed| i.engine == EngineId::Vllm && i.accelerator == Some(Accelerator::Metal);
    let devices = facts.hardware.usable(VendorId::Apple);
    let platform = platforms().get(Accelerator::Metal.name());
    let Some(platform) = platform.filter(|_| !devices.is_empty() && facts.installed.iter().any(there)) else {
        return Ok(None);
    };
    let mut choice = Choice::new(EngineId::Vllm, Accelerator::Metal, devices);
    let devices = counted(&choice.devices, Accelerator::Metal);
    choice.because =
        format!("the weights are safetensors{asked}; this vLLM has the plug-in vllm-metal and computes on {devices}");
    suits(facts, platform, &mut choice)?;
    Ok(Some(choice))
}

/// No accelerator it could use: the processor, with the reason why what is there does not count.
fn processor<'a>(facts: &Facts<'a>, asked: &str) -> Choice<'a> {
    let mut choice = Choice::new(EngineId::Vllm, Accelerator::Cpu, Vec::new());
    let unfit = VENDORS.into_iter().find_map(|vendor| {
        let platform = platforms().get(Accelerator::of(vendor).name())?;
        let devices: Vec<&Device> = facts.hardware.usable(vendor).into_iter().filter(|d| !d.unified).collect();
        let first = devices.first()?;
        (!platform.made_for(first.architecture.as_deref())).then(|| {
            let which = first.architecture.as_deref().unwrap_or("its architecture");
            format!("vLLM is not made for {} ({which})", counted(&devices, Accelerator::of(vendor)))
        })
    });
    let why = unfit.unwrap_or_else(|| "there is no usable GPU or NPU".to_owned());
    choice.because = format!("the weights are safetensors{asked}; {why}, so vLLM computes on the processor");
    choice
}

/// Whether the weights run on these devices, and what has to be done for that.
fn suits(facts: &Facts<'_>, platform: &Platform, choice: &mut Choice<'_>) -> Result<(), PlanError> {
    let device = format!("{}s", choice.accelerator.device());
    let quantization = facts.weights.quantization.as_deref().filter(|q| !PLAIN.contains(q));
    if let Some(quantization) = quantization {
        match platform.loading(quantization) {
            Others::Unknown => {}
            Others::Doubtful => choice.warnings.push(format!(
                "vLLM's table of supported hardware does not list {} for {device}: it may fail to load",
                quantization.to_uppercase()
            )),
            Others::Refused => {
                return Err(PlanError::NoEngine {
                    what: format!("vLLM does not load {} weights on {device}", quantization.to_uppercase()),
                    instead: other_weights(facts, platform, choice),
                });
            }
        }
    }
    let architectures: Vec<Option<&str>> = choice.devices.iter().map(|d| d.architecture.as_deref()).collect();
    for limit in &platform.limits {
        let Some(at) = architectures.iter().position(|a| limit.holds(quantization, *a)) else { continue };
        let name = choice.devices.get(at).map_or(device.as_str(), |d| d.name.as_str()).to_owned();
        if limit.refused {
            return Err(PlanError::NoEngine {
                what: format!("these weights do not run on {name}: {}", limit.note),
                instead: other_weights(facts, platform, choice),
            });
        }
        choice.args.extend(limit.args.iter().cloned());
        let asked = facts.request.context;
        match limit.context {
            // The reason for the context says it then.
            Some(context) if asked.is_none_or(|asked| asked <= context) => {
                choice.context = Some((context, limit.note.clone()));
            }
            _ => choice.warnings.push(format!("{name}: {}", limit.note)),
        }
    }
    Ok(())
}

/// Weights of the same model that would do.
fn other_weights(facts: &Facts<'_>, platform: &Platform, choice: &Choice<'_>) -> Vec<String> {
    let mut instead = Vec::new();
    let name = super::alternatives::name(facts);
    if let Some(own) = facts.profile.and_then(|p| of_vendor(p, choice)) {
        let made = "take the weights that are made for it";
        if let Some(repo) = &own.model_scope {
            instead.push(format!("{made}: `modelscope download {repo} --local_dir {name}`"));
        } else if let Some(repo) = &own.hugging_face {
            instead.push(format!("{made}: `hf download {repo} --local-dir {name}`"));
        }
    }
    // The names of file formats say nothing to people.
    let known = |q: &&str| !["ascend", "inc", "quark", "compressed-tensors"].contains(q);
    let loads = std::iter::once("bf16").chain(platform.loads.iter().map(String::as_str).filter(known));
    instead.push(format!("it loads {}", loads.collect::<Vec<_>>().join(", ").to_uppercase()));
    instead.push("or use a GGUF of the model, which llama.cpp runs: `llmup start MODEL --model-dir FILE.gguf`".into());
    instead
}

/// Says what this accelerator needs: nothing more on NVIDIA, where llmup installs it; elsewhere it is done by hand.
fn required(facts: &Facts<'_>, platform: &Platform, choice: &mut Choice<'_>) {
    if choice.accelerator == Accelerator::Cuda {
        return;
    }
    let needs = missing(choice.accelerator, platform, facts.installed);
    let what = match (platform.pairs.first(), &platform.plugin) {
        (Some(pair), Some(plugin)) => {
            format!("{}: {plugin} {} with vLLM {} and {}", platform.needs, pair.plugin, pair.vllm, pair.beside)
        }
        _ => platform.needs.clone(),
    };
    if facts.request.elsewhere {
        let because = format!("{what}; see {}", platform.guide);
        choice.reasons.push(Reason { choice: "needed there".into(), because });
    } else if let Some(needs) = needs {
        choice.reasons.push(Reason { choice: "needed first".into(), because: what });
        choice.warnings.push(format!("this cannot be started yet: {}", needs.what));
        choice.needs = Some(needs);
    }
}

/// What is missing for an accelerator that llmup installs nothing for.
fn missing(accelerator: Accelerator, platform: &Platform, installed: &[Installed]) -> Option<Needs> {
    let installed: Vec<&Installed> = installed.iter().filter(|i| i.engine == EngineId::Vllm).collect();
    let fits = |i: &Installed| i.accelerator.is_none_or(|built| built == accelerator);
    if accelerator == Accelerator::Cuda || installed.iter().any(|i| fits(i)) {
        return None;
    }
    let missing = match installed.first().and_then(|i| i.accelerator) {
        Some(built) => format!("the vLLM that is installed is built for {}", build_name(built)),
        None => "no vLLM is installed".to_owned(),
    };
    let into = "into a virtual environment of its own";
    let first = match (platform.pairs.first(), &platform.plugin) {
        (Some(pair), Some(plugin)) => format!(
            "install vLLM {} and {plugin} {} {into}; they want {}: {}",
            pair.vllm, pair.plugin, pair.beside, platform.guide
        ),
        _ => format!("install it {into}, as its makers say: {}", platform.guide),
    };
    Some(Needs {
        what: format!("{} is needed for the {}, and {missing}", platform.needs, accelerator.device()),
        how: vec![
            first,
            "then tell llmup where it is: `export LLMUP_VLLM_VENV=/path/to/venv`".into(),
            "if it runs in a container, start it there and put llmup in front: `llmup start MODEL --engine-url http://127.0.0.1:8000/v1`"
                .into(),
            "or use a GGUF of the model with llama.cpp: `llmup start MODEL --engine llama-cpp`".into(),
        ],
    })
}

fn build_name(accelerator: Accelerator) -> String {
    match accelerator {
        Accelerator::Cpu => "the processor".into(),
        Accelerator::Cuda => "CUDA".into(),
        Accelerator::Rocm => "ROCm".into(),
        other => other.device().to_owned() + "s",
    }
}

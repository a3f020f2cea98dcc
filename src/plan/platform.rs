//! What vLLM computes on: it has a build or a plug-in for every vendor, and each has its own needs and limits, which
//! are data (`platforms` of `profiles/engines/vllm.yaml`).

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::choose::{Choice, counted};
use super::recipe::of_vendor;
use super::{Facts, Needs, PlanError, Reason};
use crate::engine::{Accelerator, EngineId};
use crate::hardware::{Device, Hardware, VendorId};
use crate::host::Os;
use crate::profile::{self, Others, Platform};

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

/// Whether vLLM has anything but the processor to compute on here: then quantised safetensors have their kernels.
pub fn has_accelerator(hardware: &Hardware) -> bool {
    hardware.os == Os::Linux && !candidates(hardware).is_empty()
}

fn candidates(hardware: &Hardware) -> Vec<Candidate<'_>> {
    let of = |vendor: VendorId| {
        let accelerator = Accelerator::of(vendor);
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
        Os::Windows => {
            return Err(PlanError::NoEngine {
                what: "safetensors need vLLM, and vLLM does not run on native Windows".into(),
                instead: vec![
                    "run llmup inside WSL2: `wsl llmup start MODEL --model-dir /mnt/d/…`".into(),
                    "or use a GGUF of the model, which llama.cpp runs here: `llmup start MODEL --model-dir FILE.gguf`"
                        .into(),
                ],
            });
        }
        Os::Macos => {
            return Err(PlanError::NoEngine {
                what: "safetensors need vLLM, and vLLM has no GPU support of its own on macOS".into(),
                instead: vec!["use a GGUF of the model: `llmup start MODEL --model-dir FILE.gguf`".into()],
            });
        }
    }
    let built_for = |accelerator: Accelerator| {
        facts.installed.iter().any(|i| i.engine == EngineId::Vllm && i.accelerator == Some(accelerator))
    };
    let memory = |c: &Candidate<'_>| c.devices.iter().fold(0u64, |sum, d| sum.saturating_add(d.memory_total_bytes));
    let best = candidates(facts.hardware).into_iter().rev().max_by_key(|c| {
        // What is installed, then what llmup can install, then the largest.
        (built_for(c.accelerator), c.accelerator == Accelerator::Cuda, memory(c))
    });
    let Some(Candidate { accelerator, devices }) = best else { return Ok(processor(facts, asked)) };
    let platform = platforms().get(accelerator.name());
    let mut choice = Choice::new(EngineId::Vllm, accelerator, devices);
    choice.because = match accelerator {
        Accelerator::Cuda => format!("the weights are safetensors and there is an NVIDIA GPU under Linux{asked}"),
        _ => {
            format!("the weights are safetensors{asked}; vLLM can compute on {}", counted(&choice.devices, accelerator))
        }
    };
    if let Some(platform) = platform {
        suits(facts, platform, &mut choice)?;
        choice.utilization = platform.utilization;
        required(facts, platform, &mut choice);
    }
    Ok(choice)
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
    let device = choice.accelerator.device();
    if let Some(quantization) = facts.weights.quantization.as_deref() {
        match platform.loading(quantization) {
            Others::Unknown => {}
            Others::Doubtful => choice.warnings.push(format!(
                "vLLM's table of supported hardware does not list {} for a {device}: it may fail to load",
                quantization.to_uppercase()
            )),
            Others::Refused => {
                return Err(PlanError::NoEngine {
                    what: format!("vLLM does not load {} weights on a {device}", quantization.to_uppercase()),
                    instead: other_weights(facts, platform, choice),
                });
            }
        }
    }
    let architectures: Vec<Option<&str>> = choice.devices.iter().map(|d| d.architecture.as_deref()).collect();
    for limit in &platform.limits {
        let quantization = facts.weights.quantization.as_deref();
        let Some(at) = architectures.iter().position(|a| limit.holds(quantization, *a)) else { continue };
        let name = choice.devices.get(at).map_or(device, |d| d.name.as_str()).to_owned();
        if limit.refused {
            return Err(PlanError::NoEngine {
                what: format!("these weights do not run on a {name}: {}", limit.note),
                instead: other_weights(facts, platform, choice),
            });
        }
        choice.args.extend(limit.args.iter().cloned());
        choice.warnings.push(format!("{name}: {}", limit.note));
        if let Some(context) = limit.context {
            choice.context = Some((context, limit.note.clone()));
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
    let mut loads = vec!["BF16"];
    loads.extend(platform.loads.iter().map(String::as_str));
    instead.push(format!("it loads {}", loads.join(", ").to_uppercase()));
    instead.push("or use a GGUF of the model, which llama.cpp runs: `llmup start MODEL --model-dir FILE.gguf`".into());
    instead
}

/// What must be installed for this accelerator: nothing more on NVIDIA, where llmup installs it; elsewhere by hand.
fn required(facts: &Facts<'_>, platform: &Platform, choice: &mut Choice<'_>) {
    if choice.accelerator == Accelerator::Cuda {
        return;
    }
    let pair = platform.pairs.first();
    let versions = pair.map_or_else(String::new, |pair| match &platform.plugin {
        Some(plugin) => format!(": {plugin} {} with vLLM {} and {}", pair.plugin, pair.vllm, pair.beside),
        None => format!(": {} and {}", pair.vllm, pair.beside),
    });
    let what = format!("{}{versions}", platform.needs);
    let installed: Vec<_> = facts.installed.iter().filter(|i| i.engine == EngineId::Vllm).collect();
    let fits = |i: &&super::Installed| i.accelerator.is_none_or(|built| built == choice.accelerator);
    if installed.iter().copied().any(|i| fits(&i)) {
        return;
    }
    let reason = |because: String| Reason { choice: "needed there".into(), because };
    if facts.request.elsewhere {
        choice.reasons.push(reason(format!("{what}; see {}", platform.guide)));
        return;
    }
    let missing = match installed.first().and_then(|i| i.accelerator) {
        Some(built) => format!("the vLLM that is installed is built for {}", build_name(built)),
        None => "no vLLM is installed".to_owned(),
    };
    choice.reasons.push(Reason { choice: "needed first".into(), because: format!("{what}; {missing}") });
    choice.needs = Some(Needs {
        what: format!("{} is needed for the {}, and {missing}", platform.needs, choice.accelerator.device()),
        how: vec![
            match pair {
                Some(pair) if platform.plugin.is_some() => format!(
                    "install vLLM {} and its plug-in {}, which want {}, into a virtual environment: {}",
                    pair.vllm, pair.plugin, pair.beside, platform.guide
                ),
                _ => format!("install it into a virtual environment, as its makers say: {}", platform.guide),
            },
            "then tell llmup where it is: `export LLMUP_VLLM_VENV=/path/to/venv`".into(),
            "if it runs in a container, start it there and put llmup in front: `llmup start MODEL --engine-url http://127.0.0.1:8000`"
                .into(),
        ],
    });
}

fn build_name(accelerator: Accelerator) -> String {
    match accelerator {
        Accelerator::Cpu => "the processor".into(),
        Accelerator::Cuda => "CUDA".into(),
        Accelerator::Rocm => "ROCm".into(),
        other => other.device().to_owned() + "s",
    }
}

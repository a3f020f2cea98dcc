//! Which engine: format × system × accelerator × what is installed.

use super::{Facts, PlanError, Reason};
use crate::engine::{Accelerator, EngineId};
use crate::hardware::{Device, Hardware, VendorId};
use crate::host::Os;
use crate::model::Format;
use crate::profile::EngineRecipe;

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
    let nvidia = facts.hardware.has_nvidia();
    let asked = if facts.request.engine.is_some() { ", as you asked" } else { "" };
    match natural {
        EngineId::Vllm => vllm(facts, nvidia, asked),
        EngineId::LlamaCpp => {
            let build = facts.installed.iter().find(|i| i.engine == EngineId::LlamaCpp);
            // What llmup installs itself is the processor build.
            let cpu_build = build.is_none_or(|b| b.cpu_build);
            let accelerator = match facts.hardware.os {
                Os::Macos if !cpu_build => Accelerator::Metal,
                _ if nvidia && !cpu_build => Accelerator::Cuda,
                _ => Accelerator::Cpu,
            };
            let place = match accelerator {
                Accelerator::Cuda => "the GPU",
                Accelerator::Metal => "Apple's GPU",
                Accelerator::Cpu if nvidia => {
                    "the processor (this build of llama.cpp has no CUDA: put a CUDA `llama-server` on PATH to use the GPU)"
                }
                _ => "the processor",
            };
            let unused = unused(&facts.hardware.devices, accelerator);
            let because = format!(
                "the weights are GGUF, which llama.cpp loads on any system{asked}; it computes on {place}{unused}"
            );
            let devices = devices(facts.hardware, accelerator);
            Ok(Choice { engine: EngineId::LlamaCpp, accelerator, devices, cpu_build, because })
        }
        EngineId::Ollama => {
            let accelerator = if nvidia { Accelerator::Cuda } else { Accelerator::Cpu };
            let because = format!("the model is an Ollama tag{asked}");
            let devices = devices(facts.hardware, accelerator);
            Ok(Choice { engine: EngineId::Ollama, accelerator, devices, cpu_build: false, because })
        }
    }
}

fn vllm<'a>(facts: &Facts<'a>, nvidia: bool, asked: &str) -> Result<Choice<'a>, PlanError> {
    let choice = |accelerator, because: String| {
        let devices = devices(facts.hardware, accelerator);
        Ok(Choice { engine: EngineId::Vllm, accelerator, devices, cpu_build: accelerator == Accelerator::Cpu, because })
    };
    match (facts.hardware.os, nvidia) {
        (Os::Linux, true) => choice(
            Accelerator::Cuda,
            format!("the weights are safetensors and there is an NVIDIA GPU under Linux{asked}"),
        ),
        (Os::Linux, false) => choice(
            Accelerator::Cpu,
            format!(
                "the weights are safetensors{asked}; there is no usable NVIDIA GPU, so vLLM computes on the processor{}",
                unused(&facts.hardware.devices, Accelerator::Cpu)
            ),
        ),
        (Os::Windows, _) => Err(PlanError::NoEngine {
            what: "safetensors need vLLM, and vLLM does not run on native Windows".into(),
            instead: vec![
                "run llmup inside WSL2: `wsl llmup start MODEL --model-dir /mnt/d/…`".into(),
                "or use a GGUF of the model, which llama.cpp runs here: `llmup start MODEL --model-dir FILE.gguf`"
                    .into(),
            ],
        }),
        (Os::Macos, _) => Err(PlanError::NoEngine {
            what: "safetensors need vLLM, and vLLM has no GPU support on macOS".into(),
            instead: vec!["use a GGUF of the model: `llmup start MODEL --model-dir FILE.gguf`".into()],
        }),
    }
}

/// The devices an accelerator's runtime sees.
fn devices(hardware: &Hardware, accelerator: Accelerator) -> Vec<&Device> {
    accelerator.vendor().map(|vendor| hardware.usable(vendor)).unwrap_or_default()
}

/// The accelerators that this plan leaves alone, in words, because nothing is planned for their vendor. A GPU that only
/// shares the processor's memory is not worth the words.
fn unused(devices: &[Device], accelerator: Accelerator) -> String {
    let mut said = String::new();
    let planned = |vendor: VendorId| match vendor {
        VendorId::Nvidia => true,
        VendorId::Apple => accelerator == Accelerator::Metal,
        _ => false,
    };
    let idle = || devices.iter().filter(|d| d.usable && !d.unified && !planned(d.vendor));
    let mut told = Vec::new();
    for device in idle() {
        if !told.contains(&device.vendor) {
            told.push(device.vendor);
            let count = idle().filter(|d| d.vendor == device.vendor).count();
            said +=
                &format!("; {count} × {} stays unused: llmup does not plan for {:?} yet", device.name, device.vendor);
        }
    }
    said
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

/// The profile's recipe for this engine; for weights without a profile of their own, that of a profile with the same
/// architecture.
pub fn recipe(facts: &Facts<'_>, engine: EngineId) -> (EngineRecipe, Option<Reason>) {
    let of = |profile: &crate::profile::ModelProfile| profile.engines.get(engine.name()).cloned();
    if let Some(profile) = facts.profile {
        let recipe = of(profile).unwrap_or_default();
        let said = describe(&recipe);
        let reason = (!said.is_empty())
            .then(|| Reason { choice: said, because: format!("the profile {} says so for {engine}", profile.name) });
        return (recipe, reason);
    }
    let architecture = facts.weights.architecture.as_deref();
    if let Some((architecture, recipe)) = architecture.and_then(|a| Some((a, by_architecture(engine, a)?))) {
        let because = format!("there is no profile for this model, but its architecture {architecture} is known");
        let said = describe(&recipe);
        return (recipe, (!said.is_empty()).then_some(Reason { choice: said, because }));
    }
    let mut twins = facts.profiles.iter().filter_map(|p| {
        let same = |x: &String| architecture.is_some_and(|a| a == x);
        let twin = !p.scripted && p.architectures.iter().chain(&p.gguf_architectures).any(same);
        twin.then(|| of(p)).flatten().map(|recipe| (p, recipe))
    });
    // Families with different parsers share architectures, and a wrong parser is worse than none.
    let agreed = twins.next().filter(|(_, first)| {
        twins.all(|(_, r)| r.tool_parser == first.tool_parser && r.reasoning_parser == first.reasoning_parser)
    });
    match agreed {
        Some((profile, mut recipe)) => {
            // Parsers belong to the architecture; versions and extra flags to the very model.
            recipe.min_version = None;
            recipe.args.clear();
            let said = describe(&recipe);
            let because = format!("there is no profile for this model, but {} has the same architecture", profile.name);
            (recipe, (!said.is_empty()).then_some(Reason { choice: said, because }))
        }
        None => (EngineRecipe::default(), None),
    }
}

/// What the engine's own table says about an architecture. The versions in it belong to the first model of the family.
fn by_architecture(engine: EngineId, architecture: &str) -> Option<EngineRecipe> {
    let profile = crate::profile::engine(engine.name()).ok().flatten()?;
    profile.architectures.get(architecture).cloned().map(|recipe| EngineRecipe { min_version: None, ..recipe })
}

fn describe(recipe: &EngineRecipe) -> String {
    let mut said = Vec::new();
    if let Some(parser) = &recipe.tool_parser {
        said.push(format!("tool parser: {parser}"));
    }
    if let Some(parser) = &recipe.reasoning_parser {
        said.push(format!("reasoning parser: {parser}"));
    }
    if !recipe.args.is_empty() {
        said.push(recipe.args.join(" "));
    }
    said.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accelerators_that_no_plan_uses_are_named() {
        let device = |vendor, index, unified| Device {
            vendor,
            index,
            name: "910B3".into(),
            uuid: None,
            memory_total_bytes: 64 << 30,
            memory_free_bytes: None,
            architecture: None,
            unified,
            usable: true,
            problem: None,
        };
        let npus: Vec<Device> = (0..8).map(|index| device(VendorId::Ascend, index, false)).collect();
        assert_eq!(unused(&npus, Accelerator::Cpu), "; 8 × 910B3 stays unused: llmup does not plan for Ascend yet");
        let broken = Device { usable: false, ..device(VendorId::Ascend, 0, false) };
        let others = [device(VendorId::Nvidia, 0, false), device(VendorId::Intel, 0, true), broken];
        assert_eq!(unused(&others, Accelerator::Cpu), "");
    }
}

//! `llmup hardware`: what the machine has, or what recordings tell of another one. It changes nothing.

use std::io::IsTerminal;

use serde::Serialize;

use crate::cli::HardwareArgs;
use crate::engine::{Accelerator, EngineId};
use crate::error::Result;
use crate::exit::Exit;
use crate::hardware::{self, Cpu, Device, Hardware, Link, LinkKind, Memory, VendorId};
use crate::host::{Host, Os};
use crate::output::{self, Style, bytes, paint};
use crate::plan;
use crate::wsl::Standing;

/// Looks, prints, and ends with 0: problems are data here (`llmup doctor` is what fails on them).
pub fn run(args: &HardwareArgs, host: &dyn Host) -> Result<u8> {
    // Of a whole machine everything is known that is known of this one.
    let recorded = !args.from.is_empty() && !args.from.iter().any(|(kind, _)| kind == hardware::WHOLE);
    let found = if args.from.is_empty() { hardware::detect(host) } else { hardware::replay(&args.from)? };
    if args.json {
        output::json(&Report::of(&found, recorded));
    } else {
        output::data(&render(&found, recorded, std::io::stdout().is_terminal()));
    }
    Ok(Exit::Ok.code())
}

/// The JSON of a machine of which everything is known, as `llmup hardware --json` prints it.
pub(super) fn json(found: &Hardware) -> serde_json::Result<String> {
    Ok(serde_json::to_string_pretty(&Report::of(found, false))? + "\n")
}

/// The JSON. Of a recorded machine only what the recordings tell is known; the rest is `null`.
#[derive(Serialize)]
struct Report<'a> {
    devices: &'a [Device],
    problems: &'a [String],
    links: &'a [Link],
    versions: &'a std::collections::BTreeMap<String, String>,
    cpu: Option<&'a Cpu>,
    memory: Option<&'a Memory>,
    os: Option<Os>,
    engines: Vec<Use>,
}

impl Report<'_> {
    fn of(found: &Hardware, recorded: bool) -> Report<'_> {
        Report {
            devices: &found.devices,
            problems: &found.problems,
            links: &found.links,
            versions: &found.versions,
            cpu: (!recorded || found.cpu != Cpu::default()).then_some(&found.cpu),
            memory: (found.memory.total_bytes > 0).then_some(&found.memory),
            os: (!recorded).then_some(found.os),
            engines: if recorded { Vec::new() } else { uses(found) },
        }
    }
}

/// What an engine that llmup starts would compute on here.
#[derive(Debug, PartialEq, Serialize)]
struct Use {
    engine: EngineId,
    on: String,
}

/// The same decision as the planner's.
fn uses(found: &Hardware) -> Vec<Use> {
    let vllm = match plan::platform::computes_on(found) {
        _ if !plan::platform::runs(found) => without_vllm(found),
        Some((Accelerator::Cuda, _)) => "NVIDIA GPUs".to_owned(),
        Some((accelerator, needs)) => format!("{}s, with {needs}", accelerator.device()),
        None => "the processor".to_owned(),
    };
    let vllm = match found.wsl.as_ref().and_then(Standing::usable) {
        Some(name) => format!("{vllm}, in WSL 2 ({name})"),
        None => vllm,
    };
    let (llama, ollama) = plan::choose::natural(found);
    let others = match llama {
        Some((Accelerator::Metal, _)) => "Apple's GPU, or the processor".to_owned(),
        Some((accelerator, build)) => format!("{}s with a {build} build, or the processor", accelerator.device()),
        None => "the processor".to_owned(),
    };
    let ollama = match ollama {
        Some(Accelerator::Metal) => "Apple's GPU, or the processor".to_owned(),
        Some(Accelerator::Vulkan) => "Intel GPUs through Vulkan, or the processor".to_owned(),
        Some(accelerator) => format!("{}s, or the processor", accelerator.device()),
        None => "the processor".to_owned(),
    };
    vec![
        Use { engine: EngineId::Vllm, on: vllm },
        Use { engine: EngineId::LlamaCpp, on: others },
        Use { engine: EngineId::Ollama, on: ollama },
    ]
}

fn without_vllm(found: &Hardware) -> String {
    match found.wsl.as_ref().and_then(Standing::missing) {
        Some((why, _)) => format!("nothing (it needs WSL 2 here, and {why})"),
        None => "nothing (it needs Linux)".to_owned(),
    }
}

fn render(found: &Hardware, recorded: bool, terminal: bool) -> String {
    let mut text = String::new();
    if !recorded || found.cpu != Cpu::default() {
        text.push_str(&processor(&found.cpu));
    }
    let memory = found.memory;
    if memory.total_bytes > 0 {
        let (total, free) = (bytes(memory.total_bytes), bytes(memory.available_bytes));
        text.push_str(&format!("memory     {total}, {free} free\n"));
    } else if !recorded {
        text.push_str("memory     unknown\n");
    }
    if let Some(system) = system(found) {
        text.push_str(&format!("system     {system}\n"));
    }
    if !text.is_empty() {
        text.push('\n');
    }
    if found.devices.is_empty() {
        text.push_str("no accelerator\n");
    } else {
        text.push_str(&paint(
            Style::Strong,
            &format!("{:<9}{:>9} {:>9}  {}", "device", "memory", "free", "name"),
            terminal,
        ));
        text.push('\n');
        for device in &found.devices {
            text.push_str(&row(device, terminal));
        }
    }
    let versions = found.versions.iter().filter(|(name, _)| *name != hardware::WSL);
    let versions: Vec<String> = versions.map(|(name, version)| format!("{name} {version}")).collect();
    if !versions.is_empty() {
        text.push_str(&format!("\nversions   {}\n", versions.join(", ")));
    }
    for line in links(&found.links) {
        text.push_str(&format!("links      {line}\n"));
    }
    if !recorded {
        text.push('\n');
        for Use { engine, on } in uses(found) {
            text.push_str(&format!("{:<10} can use {on}\n", engine.name()));
        }
    }
    for problem in &found.problems {
        text.push_str(&format!("\n{} {problem}\n", paint(Style::Warn, "problem:", terminal)));
    }
    text
}

/// Where Windows and Linux meet: which side of WSL this is, and what is found on the other one.
fn system(found: &Hardware) -> Option<String> {
    if let Some(inside) = found.versions.get(hardware::WSL) {
        return Some(format!("Linux in WSL {inside}"));
    }
    let standing = found.wsl.as_ref()?;
    Some(match (standing.usable(), standing.missing()) {
        (Some(name), _) => format!("Windows, with WSL 2 ({name})"),
        (None, Some((why, cure))) => format!("Windows; {why}: {cure}"),
        (None, None) => return None,
    })
}

fn processor(cpu: &Cpu) -> String {
    let name = if cpu.name.is_empty() { &cpu.architecture } else { &cpu.name };
    let mut text = format!("processor  {}", if name.is_empty() { "unknown" } else { name });
    if cpu.threads > 0 {
        text.push_str(&format!(", {} thread{}", cpu.threads, if cpu.threads == 1 { "" } else { "s" }));
    }
    if let Some(nodes) = cpu.numa_nodes.filter(|nodes| *nodes > 1) {
        text.push_str(&format!(", {nodes} memory nodes"));
    }
    text.push('\n');
    // Only what changes which kernels run; the long list is in the JSON.
    let told = ["avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_int8", "neon", "bf16", "i8mm", "sve"];
    let told: Vec<&str> = told.into_iter().filter(|name| cpu.features.iter().any(|has| has == name)).collect();
    if !told.is_empty() {
        text.push_str(&format!("           {}\n", told.join(" ")));
    }
    text
}

/// One line that fits 60 columns with usual names, and below it what is in the way.
fn row(device: &Device, terminal: bool) -> String {
    let total = known(device.memory_total_bytes);
    let free = device.memory_free_bytes.map_or("unknown".to_owned(), bytes);
    let word = vendor(device.vendor);
    let place = format!("{word} {}", device.index);
    let name = match &device.architecture {
        Some(architecture) if !device.name.contains(architecture.as_str()) => {
            format!("{} ({architecture})", device.name)
        }
        _ => device.name.clone(),
    };
    let shared = if device.unified { ", shares main memory" } else { "" };
    let mut text = format!("{place:<9}{total:>9} {free:>9}  {name}{shared}\n");
    if let Some(problem) = &device.problem {
        let label = if device.usable {
            paint(Style::Warn, "note:", terminal)
        } else {
            paint(Style::Bad, "not usable:", terminal)
        };
        text.push_str(&format!("         {label} {problem}\n"));
    }
    text
}

fn known(size: u64) -> String {
    if size == 0 { "unknown".to_owned() } else { bytes(size) }
}

fn vendor(id: VendorId) -> &'static str {
    match id {
        VendorId::Nvidia => "nvidia",
        VendorId::Amd => "amd",
        VendorId::Ascend => "ascend",
        VendorId::Apple => "apple",
        VendorId::Intel => "intel",
        VendorId::MooreThreads => "mthreads",
        VendorId::MetaX => "metax",
        VendorId::Cambricon => "cambricon",
        VendorId::Hygon => "hygon",
    }
}

/// The pairs, summed up by what lies between: eight cards have 28 of them.
fn links(links: &[Link]) -> Vec<String> {
    let mut groups: Vec<(&Link, Vec<(u32, u32)>)> = Vec::new();
    for link in links {
        match groups.iter_mut().find(|(first, _)| first.vendor == link.vendor && first.name == link.name) {
            Some((_, pairs)) => pairs.push(link.devices),
            None => groups.push((link, vec![link.devices])),
        }
    }
    let describe = |(first, pairs): (&Link, Vec<(u32, u32)>)| {
        let what = match first.kind {
            LinkKind::Nvlink => "NVLink",
            LinkKind::Xgmi => "Infinity Fabric",
            LinkKind::Pcie => "PCIe",
        };
        let all = links.iter().filter(|link| link.vendor == first.vendor).count() == pairs.len();
        let which = if all && pairs.len() > 1 {
            "all pairs".to_owned()
        } else if pairs.len() > 8 {
            format!("{} pairs", pairs.len())
        } else {
            pairs.iter().map(|(a, b)| format!("{a}-{b}")).collect::<Vec<_>>().join(" ")
        };
        format!("{}: {which} {what} ({})", vendor(first.vendor), first.name)
    };
    groups.into_iter().map(describe).collect()
}

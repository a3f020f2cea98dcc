//! The machine's side of the chain: hardware, engines.

use super::{Check, Finding, Scene, Section, Status};
use crate::engine::find::{Found, Origin};
use crate::hardware::{Device, Hardware, WSL};
use crate::output::bytes;
use crate::wsl::Standing;

/// Less memory than this runs the demo model only.
const LITTLE_MEMORY_BYTES: u64 = 4 << 30;

/// What the vendors found.
pub(super) struct HardwareCheck;

impl Check for HardwareCheck {
    fn section(&self) -> Section {
        Section::Hardware
    }

    fn look(&self, scene: &Scene) -> Vec<Finding> {
        let section = Section::Hardware;
        let Some(hardware) = &scene.inputs.hardware else {
            let text = "the hardware could not be read";
            return vec![Finding::warning("LLMUP-H001", section, text, "see `llmup hardware`")];
        };
        let cpu = &hardware.cpu;
        let name = if cpu.name.is_empty() { &cpu.architecture } else { &cpu.name };
        let mut findings: Vec<Finding> = system(hardware).into_iter().collect();
        findings.push(Finding::ok(section, format!("{name}, {} threads", cpu.threads)));
        let memory = hardware.memory;
        let text = format!("{} memory, {} free", bytes(memory.total_bytes), bytes(memory.available_bytes));
        findings.push(if memory.total_bytes == 0 {
            let cure = "see whether `free` shows it; nothing can be planned without";
            Finding::warning("LLMUP-H002", section, "how much memory there is is unknown", cure)
        } else if memory.available_bytes < LITTLE_MEMORY_BYTES {
            let cure = "close programs, or choose a small model: `llmup start demo`";
            Finding::warning("LLMUP-H003", section, text, cure)
        } else {
            Finding::ok(section, text)
        });
        let some = hardware.devices.iter().any(|device| device.usable);
        for device in &hardware.devices {
            let total = device.memory_total_bytes;
            let size = if total == 0 { "memory unknown".to_owned() } else { bytes(total) };
            let what = format!("{} ({size})", device.name);
            findings.push(match (&device.problem, device.usable) {
                (None, true) => {
                    let free =
                        device.memory_free_bytes.map(|free| format!(", {} free", bytes(free))).unwrap_or_default();
                    Finding::ok(section, what + &free)
                }
                (problem, usable) => {
                    let meant = is_meant(device);
                    let text = format!("{what}: {}", problem.as_deref().unwrap_or("cannot be used"));
                    let code = if meant { "LLMUP-H005" } else { "LLMUP-H004" };
                    let status = if usable || (some && meant) { Status::Warning } else { Status::Problem };
                    Finding { status, ..Finding::problem(code, section, text, "see `llmup hardware`") }
                }
            });
        }
        if hardware.devices.is_empty() {
            findings.push(Finding::ok(section, "no accelerator: models run on the processor"));
        }
        let versions = hardware.versions.iter().filter(|(name, _)| *name != WSL);
        findings.extend(versions.map(|(name, version)| Finding::ok(section, format!("{name} {version}"))));
        let trouble = |text: &String| Finding { cure: None, ..Finding::warning("LLMUP-H006", section, text, "") };
        findings.extend(hardware.problems.iter().map(trouble));
        findings
    }
}

/// Which side of WSL this is, and what there is on the other one; nothing where there is no WSL to speak of.
fn system(hardware: &Hardware) -> Option<Finding> {
    let section = Section::Hardware;
    if let Some(inside) = hardware.versions.get(WSL) {
        let finding = Finding::ok(section, format!("this Linux runs in WSL {inside}"));
        // The cure is for Windows: inside, nothing can be done about it.
        let name = inside.strip_prefix("1 (").and_then(|name| name.strip_suffix(')'));
        let cure = name.map(|name| {
            format!("WSL 1 has no GPU; convert it, in a PowerShell of Windows: `wsl --set-version {name} 2`")
        });
        return Some(Finding { cure, ..finding });
    }
    let standing = hardware.wsl.as_ref()?;
    if let Some(name) = standing.usable() {
        return Some(Finding::ok(section, format!("Windows with WSL 2: vLLM can run in {name}")));
    }
    let (why, cure) = standing.missing()?;
    if matches!(standing, Standing::Unknown(_)) {
        return Some(Finding::warning("LLMUP-E031", section, why, cure));
    }
    // Nobody needs it for anything else.
    let text = format!("{why}, which only vLLM needs here");
    Some(Finding { cure: Some(cure), ..Finding::ok(section, text) })
}

/// Left out on purpose, or by nature: with another device to use, nothing is wrong.
fn is_meant(device: &Device) -> bool {
    const SAID: [&str; 3] = ["hidden by ", "in MIG mode", "graphics of the processor"];
    device.problem.as_deref().is_some_and(|problem| SAID.iter().any(|start| problem.starts_with(start)))
}

/// Engines that were found.
pub(super) struct EnginesCheck;

impl Check for EnginesCheck {
    fn section(&self) -> Section {
        Section::Engines
    }

    fn look(&self, scene: &Scene) -> Vec<Finding> {
        let (section, engines) = (Section::Engines, &scene.inputs.engines);
        if engines.is_empty() {
            let cure = "`llmup start MODEL` installs the one it needs; one now: `llmup engine install llama-cpp`";
            return vec![Finding::warning("LLMUP-E001", section, "no engine is installed", cure)];
        }
        let mut findings: Vec<Finding> = engines.iter().map(told).collect();
        let devices = scene.inputs.hardware.iter().flat_map(|hardware| &hardware.devices);
        let usable: Vec<&str> = devices.filter(|d| d.usable).map(|device| device.name.as_str()).collect();
        let for_processor = |engine: &Found| engine.build.as_deref() == Some("cpu");
        if let Some(first) = usable.first().filter(|_| engines.iter().all(for_processor)) {
            findings.push(
                Finding::warning(
                    "LLMUP-E003",
                    section,
                    format!("no engine here can use {first}: all are built for the processor"),
                    "see which one could, and how it comes here: `llmup hardware`",
                )
                .because(engines.iter().map(|e| format!("{}: build cpu", e.place())).collect()),
            );
        }
        findings
    }
}

fn told(engine: &Found) -> Finding {
    let origin = match engine.origin {
        Origin::Managed => "installed by llmup",
        Origin::Path => "on PATH",
        Origin::Venv => "virtual environment",
    };
    let Some(version) = &engine.version else {
        let text = format!("{} at {} does not say its version", engine.engine, engine.place());
        let cure = format!("see whether `{} --version` works", engine.engine.program());
        return Finding::warning("LLMUP-E002", Section::Engines, text, cure);
    };
    let build = engine.build.as_ref().map(|build| format!(" for {build}")).unwrap_or_default();
    Finding::ok(Section::Engines, format!("{} {version}{build}, {origin}, {}", engine.engine, engine.place()))
}

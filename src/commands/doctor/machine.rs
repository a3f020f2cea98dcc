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
        findings.extend(wsl_memory(hardware));
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

/// vLLM alone takes 4 GiB of main memory, and loads its weights through it.
const LITTLE_IN_WSL: u64 = 16 << 30;

/// The machine of WSL 2 has a part of the memory only, which its user may not know: seen from Windows, and from inside.
fn wsl_memory(hardware: &Hardware) -> Option<Finding> {
    let total = hardware.memory.total_bytes;
    let text = match hardware.wsl_memory_bytes {
        Some(inside) if inside < LITTLE_IN_WSL && inside < total / 8 * 7 => {
            format!("WSL 2, where vLLM runs, has {} of {} memory", bytes(inside), bytes(total))
        }
        None if total > 0 && total < LITTLE_IN_WSL && hardware.versions.contains_key(WSL) => {
            format!("this Linux runs in WSL, which has {} of the machine's memory", bytes(total))
        }
        _ => return None,
    };
    let more = match hardware.wsl_memory_bytes {
        Some(_) => ((total / 4 * 3) >> 30).max(1),
        None => LITTLE_IN_WSL >> 30,
    };
    let cure = format!(
        r"in Windows: `memory={more}GB` below `[wsl2]` in %UserProfile%\.wslconfig gives it more, then `wsl --shutdown`"
    );
    Some(Finding::warning("LLMUP-H014", Section::Hardware, text, cure))
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
    let build = engine.build.as_ref().map(|build| format!(", for {build}")).unwrap_or_default();
    Finding::ok(Section::Engines, format!("{} {version}{build}, {origin}, {}", engine.engine, engine.place()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hardware::Memory;
    use crate::hardware::described::Machine;

    #[test]
    fn a_small_machine_of_wsl_is_told_from_both_sides() {
        let told = |total: u64, inside: Option<u64>, in_wsl: bool| {
            let memory = Memory { total_bytes: total << 30, available_bytes: total << 30 };
            let wsl_memory_bytes = inside.map(|gib| gib << 30);
            let mut hardware = Hardware { memory, wsl_memory_bytes, ..Machine::default().hardware() };
            hardware.versions.extend(in_wsl.then(|| (WSL.to_owned(), "2 (Ubuntu)".to_owned())));
            let found = wsl_memory(&hardware)?;
            assert_eq!(found.code, Some("LLMUP-H014"));
            found.cure
        };
        let cure = told(24, Some(12), false).unwrap();
        assert!(cure.contains("`memory=18GB`") && cure.contains("`wsl --shutdown`"), "{cure}");
        assert_eq!(told(64, Some(32), false), None, "enough");
        assert_eq!(told(16, Some(15), false), None, "there is no more to give");
        assert!(told(8, None, true).unwrap().contains("`memory=16GB`"));
        assert_eq!(told(32, None, true), None);
        assert_eq!(told(8, None, false), None, "a small Linux of its own");
    }
}

//! `llmup plan`: how a model would be started, here or on a machine that is only described. Starts nothing.

use std::path::Path;

use serde::Deserialize;

use super::start;
use crate::cli::PlanArgs;
use crate::error::{Error, Plain, Result};
use crate::exit::Exit;
use crate::hardware::{Cpu, Device, Hardware, Memory, VendorId};
use crate::host::Os;
use crate::output;
use crate::paths::Paths;
use crate::profile;

/// Memory of a machine of which only the GPUs are named. A plan that needs some of it says that it counts on it.
const ASSUMED_MEMORY: u64 = 64 << 30;

/// No machine has more memory in one place, or more accelerators; a file may say anything.
const MOST_MEMORY: u64 = 1 << 50;
const MOST_DEVICES: usize = 1024;

/// A machine as a file describes it.
#[derive(Debug, Deserialize)]
struct Machine {
    os: Option<Os>,
    memory_bytes: Option<u64>,
    #[serde(default)]
    devices: Vec<Described>,
}

#[derive(Debug, Deserialize)]
struct Described {
    vendor: VendorId,
    name: String,
    memory_total_bytes: u64,
    memory_free_bytes: Option<u64>,
    architecture: Option<String>,
    #[serde(default)]
    unified: bool,
}

/// Plans and prints.
pub fn run(args: PlanArgs, paths: &Paths) -> Result<u8> {
    let hardware = match (&args.on, &args.machine) {
        (Some(list), _) => Some((named(list)?, vec!["--on".to_owned(), list.clone()])),
        (None, Some(file)) => Some((read(file)?, vec!["--machine".to_owned(), file.to_string_lossy().into_owned()])),
        (None, None) => None,
    };
    start::plan(args.start, hardware, paths)
}

/// `2x4090`, `h100`, `2x4090,3090`.
fn named(list: &str) -> Result<Hardware> {
    let mut devices = Vec::new();
    for item in list.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        let (count, name) = match item.split_once(['x', 'X', '*']) {
            Some((count, name)) if count.trim().parse::<u32>().is_ok() => (count.trim().parse().unwrap_or(1), name),
            _ => (1u32, item),
        };
        let Some(found) = profile::accelerator(name)? else {
            let known = profile::accelerators()?.into_iter().filter_map(|a| a.aliases.into_iter().next());
            let message =
                format!("no accelerator is called {name:?}; known are {}", known.collect::<Vec<_>>().join(", "));
            return Err(usage(message, "describe the machine in a file instead: `--machine FILE`"));
        };
        if !(1..=64).contains(&count) {
            return Err(usage(format!("{count} accelerators in one machine"), "name 1 to 64, as in `--on 2x4090`"));
        }
        devices.extend((0..count).map(|_| Described {
            vendor: VendorId::Nvidia,
            name: found.name.clone(),
            memory_total_bytes: found.memory_mib << 20,
            memory_free_bytes: None,
            architecture: Some(found.architecture.clone()),
            unified: false,
        }));
    }
    if devices.is_empty() {
        return Err(usage("no accelerator is named".into(), "name some, as in `--on 2x4090`"));
    }
    Ok(hardware(Machine { os: Some(Os::Linux), memory_bytes: None, devices }))
}

fn read(file: &Path) -> Result<Hardware> {
    let text = std::fs::read(file).map_err(|e| crate::fs::FileError::new("read", file, e))?;
    let machine: Machine = serde_json::from_slice(&text).map_err(|e| {
        let hint = "expected {\"os\", \"memory_bytes\", \"devices\": [{\"vendor\", \"name\", \"memory_total_bytes\", \"memory_free_bytes\", \"architecture\"}]}";
        Error::from(Plain::new(Exit::Config, format!("{}: {e}", file.display()), hint))
    })?;
    Ok(hardware(machine))
}

fn usage(message: String, hint: &str) -> Error {
    Plain::new(Exit::Usage, message, hint).into()
}

fn hardware(machine: Machine) -> Hardware {
    let memory = machine.memory_bytes.unwrap_or(ASSUMED_MEMORY).min(MOST_MEMORY);
    let device = |(index, d): (usize, Described)| Device {
        vendor: d.vendor,
        index: u32::try_from(index).unwrap_or(u32::MAX),
        name: d.name,
        uuid: None,
        memory_total_bytes: d.memory_total_bytes.min(MOST_MEMORY),
        memory_free_bytes: d.memory_free_bytes.map(|free| free.min(MOST_MEMORY)),
        architecture: d.architecture,
        unified: d.unified,
        usable: true,
        problem: None,
    };
    Hardware {
        os: machine.os.unwrap_or(Os::Linux),
        cpu: Cpu::default(),
        memory: Memory { total_bytes: memory, available_bytes: memory },
        devices: machine.devices.into_iter().take(MOST_DEVICES).enumerate().map(device).collect(),
        versions: std::collections::BTreeMap::default(),
        links: Vec::new(),
        problems: Vec::new(),
    }
}

/// A refusal as data: the same fields as a plan.
pub(super) fn refusal(model: &str, error: &crate::plan::PlanError) -> serde_json::Value {
    use crate::error::Explain;
    let bills = match error {
        crate::plan::PlanError::DoesNotFit { bills, .. } => bills.as_slice(),
        _ => &[],
    };
    serde_json::json!({
        "verdict": "does_not_fit",
        "model": model,
        "engine": null,
        "command": [],
        "env": {},
        "max_model_len": null,
        "per_gpu": bills,
        "kv_bytes_per_token": null,
        "max_concurrency": null,
        "reasons": [{ "choice": "does not fit", "because": error.to_string() }],
        "hints": error.hints(),
        "alternatives": error.alternatives(),
    })
}

/// Prints it.
pub(super) fn refuse(model: &str, error: &crate::plan::PlanError) -> u8 {
    output::json(&refusal(model, error));
    Exit::DoesNotFit.code()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_named_or_described() {
        let two = named("2x4090, rtx 3090").unwrap();
        let sizes: Vec<u64> = two.devices.iter().map(|d| d.memory_total_bytes >> 20).collect();
        assert_eq!(sizes, [24_564, 24_564, 24_576]);
        assert_eq!(two.devices[2].index, 2);
        for wrong in ["2xno-such", "0x4090", "99x4090", ""] {
            assert_eq!(named(wrong).unwrap_err().exit(), Exit::Usage, "{wrong}");
        }
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("machine.json");
        std::fs::write(&file, r#"{"os": "linux", "memory_bytes": 1000, "devices": [{"vendor": "nvidia", "name": "X", "memory_total_bytes": 77}]}"#).unwrap();
        let read_back = read(&file).unwrap();
        assert_eq!((read_back.memory.total_bytes, read_back.devices[0].memory_total_bytes), (1000, 77));
        std::fs::write(&file, "{\"devices\": 1}").unwrap();
        assert_eq!(read(&file).unwrap_err().exit(), Exit::Config);
    }
}

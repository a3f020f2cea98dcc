//! `llmup plan`: how a model would be started, here or on a machine that is only described. Starts nothing.

use std::io::Read;
use std::path::Path;

use super::start;
use crate::cli::PlanArgs;
use crate::error::{Error, Plain, Result};
use crate::exit::Exit;
use crate::hardware::described::{Described, FORM, Machine};
use crate::hardware::{Hardware, VendorId, WHOLE, memory_for_metal, replay};
use crate::host::Os;
use crate::output;
use crate::paths::Paths;
use crate::profile;

/// Bytes of a description.
const MOST_TEXT: u64 = 4 << 20;

/// Plans and prints.
pub fn run(args: PlanArgs, paths: &Paths) -> Result<u8> {
    let hardware = match (&args.on, &args.machine) {
        (Some(list), _) => Some((named(list)?, vec!["--on".to_owned(), list.clone()])),
        (None, Some(file)) => Some((read(file)?, vec!["--machine".to_owned(), file.to_string_lossy().into_owned()])),
        (None, None) => None,
    };
    start::plan(args.start, hardware, paths)
}

/// `2x4090`, `h100`, `2x4090,3090`, `m3max-64`.
pub(super) fn named(list: &str) -> Result<Hardware> {
    let mut devices = Vec::new();
    let mut system = 0;
    for item in list.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        // The x of `7900xtx` counts nothing.
        let whole = profile::accelerator(item)?.is_some();
        let (count, name) = match item.split_once(['x', 'X', '*', '×']) {
            Some((count, name)) if !whole && count.trim().parse::<u32>().is_ok() => {
                (count.trim().parse().unwrap_or(1), name)
            }
            _ => (1u32, item),
        };
        let Some(found) = profile::accelerator(name)? else { return Err(unknown(item)?) };
        if !(1..=64).contains(&count) {
            return Err(usage(format!("{count} accelerators in one machine"), "name 1 to 64, as in `--on 2x4090`"));
        }
        let (described, memory) = described(found)?;
        if described.unified && (count > 1 || system > 0) {
            let hint = format!("name it once: `--on {}`", name.trim());
            return Err(usage(format!("a machine has one {}, which shares its main memory", described.name), &hint));
        }
        system = system.max(memory);
        devices.extend(std::iter::repeat_n(described, count as usize));
    }
    if devices.is_empty() {
        return Err(usage("no accelerator is named".into(), "name some, as in `--on 2x4090`"));
    }
    let os = if devices.iter().any(|d| d.vendor == VendorId::Apple) { Os::Macos } else { Os::Linux };
    let memory_bytes = Some(system).filter(|bytes| *bytes > 0);
    let mut hardware = Machine { os: Some(os), memory_bytes, memory: None, devices }.hardware();
    if system == 0 {
        hardware.problems.push(format!(
            "{} of main memory are assumed there; describe the machine with `--machine FILE` to plan with its own",
            output::bytes(hardware.memory.total_bytes)
        ));
    }
    Ok(hardware)
}

fn unknown(name: &str) -> Result<Error> {
    let known = profile::accelerators()?;
    let mut vendors: Vec<(String, Vec<String>)> = Vec::new();
    for accelerator in known {
        let Some(alias) = accelerator.aliases.into_iter().next() else { continue };
        match vendors.iter_mut().find(|(vendor, _)| *vendor == accelerator.vendor) {
            Some((_, names)) => names.push(alias),
            None => vendors.push((accelerator.vendor, vec![alias])),
        }
    }
    let mut hints: Vec<String> =
        vendors.into_iter().map(|(vendor, names)| format!("{vendor}: {}", names.join(", "))).collect();
    hints.push("or describe the machine in a file: `--machine FILE`".to_owned());
    Ok(Plain { message: format!("no accelerator is called {name:?}; known are"), exit: Exit::Usage, hints }.into())
}

/// A device of the table, and the main memory that is known with it (0: none is).
fn described(named: profile::Named) -> Result<(Described, u64)> {
    let profile::Named { accelerator: found, system_bytes } = named;
    let alias = found.aliases.first().cloned().unwrap_or_default();
    let vendor: VendorId = serde_json::from_value(found.vendor.clone().into()).map_err(|_| {
        usage(format!("{} is no vendor", found.vendor), "describe the machine in a file: `--machine FILE`")
    })?;
    let system = system_bytes.or(found.system_memory_mib.map(|mib| mib << 20));
    let own = found.memory_mib.map(|mib| mib << 20);
    let memory = match (vendor, system_bytes) {
        (VendorId::Apple, Some(system)) => Some(memory_for_metal(system)),
        // The table's share, of a machine of that size; of another as much of it.
        (_, Some(system)) => own.zip(found.system_memory_mib).map(|(own, of)| {
            let share = own as f64 / (of << 20).max(1) as f64;
            (system as f64 * share) as u64
        }),
        _ => own,
    };
    let Some(memory) = memory else {
        let hint = format!("say how much memory the machine has, in GB: `--on {alias}-64`");
        return Err(usage(format!("{} comes with memory of many sizes", found.name), &hint));
    };
    let described = Described {
        vendor,
        name: found.name,
        memory_total_bytes: memory,
        memory_free_bytes: None,
        architecture: found.architecture,
        unified: found.unified,
        usable: None,
    };
    Ok((described, system.unwrap_or(0)))
}

fn read(file: &Path) -> Result<Hardware> {
    if file.is_dir() {
        return Ok(replay(&[(WHOLE.to_owned(), file.to_owned())])?);
    }
    let text = head(file).map_err(|e| crate::fs::FileError::new("read", file, e))?;
    let machine = Machine::read(&text).map_err(|e| {
        Error::from(Plain::new(Exit::Config, format!("{}: {e}", file.display()), format!("expected {FORM}")))
    })?;
    let silent = machine.memory.is_none() && machine.memory_bytes.is_none();
    let mut hardware = machine.hardware();
    if silent {
        hardware.problems.push(format!(
            "{} of main memory are assumed there; say how much in `memory_bytes`",
            output::bytes(hardware.memory.total_bytes)
        ));
    }
    Ok(hardware)
}

/// No more than a description has: a file may also be a device that never ends.
fn head(file: &Path) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    std::fs::File::open(file)?.take(MOST_TEXT + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MOST_TEXT {
        Err(std::io::Error::other("it is no description of a machine: too long"))
    } else {
        Ok(text)
    }
}

fn usage(message: String, hint: &str) -> Error {
    Plain::new(Exit::Usage, message, hint).into()
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
        let eight = named("8x910b").unwrap();
        assert!(eight.devices.iter().all(|d| d.vendor == VendorId::Ascend && d.memory_total_bytes == 64 << 30));
        for (name, mib) in
            [("b200", 183_359), ("a100-40g", 40_960), ("A100", 81_920), ("L4", 23_034), ("h100-nvl", 95_830)]
        {
            assert_eq!(named(name).unwrap().devices[0].memory_total_bytes, mib << 20, "{name}");
        }
        let mac = named("m3max-64").unwrap();
        assert_eq!(
            (mac.os, mac.memory.total_bytes, mac.devices[0].memory_total_bytes),
            (Os::Macos, 64 << 30, 48 << 30)
        );
        let halo = named("strixhalo").unwrap();
        assert_eq!((halo.memory.total_bytes >> 30, halo.devices[0].memory_total_bytes >> 30), (128, 96));
        assert_eq!(named("strixhalo-64").unwrap().devices[0].memory_total_bytes >> 30, 48);
        let two = named("4090,7900xtx,4090").unwrap();
        let indices: Vec<u32> = two.devices.iter().map(|d| d.index).collect();
        assert_eq!(indices, [0, 0, 1], "each runtime counts its own");
        for wrong in ["m3max", "2xm3max-64", "m3max-64,gb10"] {
            assert_eq!(named(wrong).unwrap_err().exit(), Exit::Usage, "{wrong}");
        }
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("machine.json");
        std::fs::write(&file, r#"{"os": "linux", "memory_bytes": 1000, "devices": [{"vendor": "nvidia", "name": "X", "memory_total_bytes": 77}]}"#).unwrap();
        let read_back = read(&file).unwrap();
        assert_eq!((read_back.memory.total_bytes, read_back.devices[0].memory_total_bytes), (1000, 77));
        assert!(read_back.problems.is_empty());
        std::fs::write(&file, "{\"devices\": 1}").unwrap();
        assert_eq!(read(&file).unwrap_err().exit(), Exit::Config);
        std::fs::write(&file, "{}").unwrap();
        let bare = read(&file).unwrap();
        assert!(bare.memory.total_bytes == 64 << 30 && bare.problems.len() == 1, "{bare:?}");
        std::fs::write(&file, vec![b' '; MOST_TEXT as usize + 1]).unwrap();
        assert_eq!(read(&file).unwrap_err().exit(), Exit::Config);
    }

    #[test]
    fn what_hardware_prints_describes_its_machine() {
        let mut own = named("2x4090").unwrap();
        own.memory = crate::hardware::Memory { total_bytes: 48 << 30, available_bytes: 40 << 30 };
        own.devices[1].usable = false;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("machine.json");
        std::fs::write(&file, crate::commands::hardware::json(&own).unwrap()).unwrap();
        let told = read(&file).unwrap();
        assert_eq!((told.os, &told.memory, &told.devices), (own.os, &own.memory, &own.devices));
        assert!(told.problems.is_empty(), "{:?}", told.problems);
    }
}

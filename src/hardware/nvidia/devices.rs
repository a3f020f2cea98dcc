//! From what the driver said to devices: which have memory of their own, which are hidden or cut up. Asks nothing.

use super::visible::{Selection, select};
use super::{Amount, Gpu, Reading};
use crate::hardware::{Device, Memory, Probe, VendorId};

/// Makes devices. `visible` is `CUDA_VISIBLE_DEVICES`, `by_bus` whether `CUDA_DEVICE_ORDER` is `PCI_BUS_ID`; `system`
/// is asked for main memory only when a card shares it.
pub(super) fn devices(reading: &Reading, visible: Option<&str>, by_bus: bool, system: &dyn Fn() -> Memory) -> Probe {
    let mut probe = Probe::default();
    for (name, version) in [("nvidia driver", &reading.driver), ("cuda", &reading.cuda)] {
        probe.versions.extend(version.clone().map(|version| (name.to_owned(), version)));
    }
    if reading.gpus.is_empty() {
        probe.problems.push(
            "the NVIDIA driver is here but shows no card; in a container start it with `docker run --gpus all`"
                .to_owned(),
        );
    }
    let selection = visible.map(|spec| select(spec, &reading.gpus));
    for (at, gpu) in reading.gpus.iter().enumerate() {
        probe.devices.push(device(at, gpu, visible, selection.as_ref(), system));
    }
    if let Some(selection) = &selection {
        let spec = visible.unwrap_or_default();
        if let Some(token) = &selection.invalid {
            probe.problems.push(format!(
                "CUDA_VISIBLE_DEVICES={spec} names {token}, which is no card here; it and what follows are hidden; \
                 `nvidia-smi -L` lists the cards"
            ));
        }
        if selection.by_number && !by_bus && mixed(&reading.gpus) {
            probe.problems.push(format!(
                "CUDA_VISIBLE_DEVICES={spec} counts the fastest card first unless told otherwise; llmup counts as \
                 nvidia-smi does: `export CUDA_DEVICE_ORDER=PCI_BUS_ID`"
            ));
        }
    }
    probe
}

fn device(
    at: usize,
    gpu: &Gpu,
    visible: Option<&str>,
    selection: Option<&Selection>,
    system: &dyn Fn() -> Memory,
) -> Device {
    let name = gpu.name.clone().unwrap_or_else(|| "NVIDIA GPU".to_owned());
    let mut device = Device {
        vendor: VendorId::Nvidia,
        index: gpu.index,
        uuid: gpu.uuid.clone(),
        memory_total_bytes: 0,
        memory_free_bytes: None,
        architecture: gpu.capability.clone(),
        unified: false,
        usable: true,
        problem: None,
        name,
    };
    let mut problem = fill(&mut device, &gpu.memory, shares_memory(gpu), system);
    let instance = selection.and_then(|s| s.instance).filter(|(card, _)| *card == at);
    if let Some(instance) = instance.and_then(|(_, i)| gpu.mig.as_ref()?.get(i)) {
        device.name = format!("{} (MIG instance)", device.name);
        device.uuid = Some(instance.uuid.clone());
        problem = fill(&mut device, &instance.memory, false, system);
    } else if selection.is_some_and(|selection| !selection.gpus.contains(&at)) {
        problem = Some(format!("hidden by CUDA_VISIBLE_DEVICES={}", visible.unwrap_or_default()));
    } else if let Some(instances) = &gpu.mig {
        let choose = instances.first().map_or_else(
            || format!("see them with `nvidia-smi -L -i {}`", gpu.index),
            |first| format!("choose one with `export CUDA_VISIBLE_DEVICES={}`", first.uuid),
        );
        problem = Some(format!(
            "in MIG mode, so CUDA sees its instances only; {choose}, or end MIG mode with `sudo nvidia-smi -i {} -mig 0`",
            gpu.index
        ));
    }
    device.usable = problem.is_none();
    device.problem = problem;
    device
}

/// Sets the memory; what is in the way of knowing it.
fn fill(device: &mut Device, memory: &Amount, shared: bool, system: &dyn Fn() -> Memory) -> Option<String> {
    let known_free = match memory {
        Amount::Known { total, free } if !shared => {
            device.memory_total_bytes = *total;
            device.memory_free_bytes = *free;
            return None;
        }
        Amount::Unreadable(why) => {
            return Some(format!("the driver cannot read it ({why}); look at `nvidia-smi`, and reboot if it stays so"));
        }
        Amount::Known { free, .. } => *free,
        Amount::NotSupported => None,
    };
    // What such a chip reports as its total is wrong or missing; its memory is the system's.
    let main = system();
    device.unified = true;
    device.memory_total_bytes = main.total_bytes;
    let free = known_free.map_or(main.available_bytes, |free| free.min(main.available_bytes));
    device.memory_free_bytes = Some(free);
    (main.total_bytes == 0).then(|| "it shares the system's memory, whose size is unknown".to_owned())
}

/// Chips without memory of their own: those that cannot say how much they have, and those known to say it wrongly
/// (GB10 with compute capability 12.1, N1X, the Jetson family).
fn shares_memory(gpu: &Gpu) -> bool {
    let by_name = gpu.name.as_deref().is_some_and(|name| {
        name.split(|c: char| !c.is_alphanumeric())
            .any(|word| ["GB10", "N1X", "Tegra", "Xavier", "Orin", "Thor"].contains(&word))
    });
    gpu.memory == Amount::NotSupported || gpu.capability.as_deref() == Some("12.1") || by_name
}

fn mixed(gpus: &[Gpu]) -> bool {
    gpus.windows(2).any(|pair| pair[0].name != pair[1].name)
}

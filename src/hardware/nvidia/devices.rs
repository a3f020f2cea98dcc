//! From what the driver said to devices: which have memory of their own, which are hidden or cut up. Asks nothing.

use super::failure::no_devices;
use super::visible::{Selection, select};
use super::{Amount, Gpu, Instance, Process, Reading, topology};
use crate::hardware::holders::{self, Holder};
use crate::hardware::{Device, Link, LinkKind, Memory, Probe, VendorId};

/// Makes devices. `visible` is `CUDA_VISIBLE_DEVICES`, `by_bus` whether `CUDA_DEVICE_ORDER` is `PCI_BUS_ID`; `system`
/// is asked for main memory only when a card shares it.
pub(super) fn devices(reading: &Reading, visible: Option<&str>, by_bus: bool, system: &dyn Fn() -> Memory) -> Probe {
    let mut probe = Probe::default();
    for (name, version) in [("nvidia driver", &reading.driver), ("cuda", &reading.cuda)] {
        probe.versions.extend(version.clone().map(|version| (name.to_owned(), version)));
    }
    if reading.gpus.is_empty() {
        probe.problems.push(no_devices());
    }
    let selection = visible.map(|spec| select(spec, &reading.gpus));
    let view = View { visible: visible.unwrap_or_default(), selection: selection.as_ref(), system };
    for (at, gpu) in reading.gpus.iter().enumerate() {
        probe.devices.push(card(at, gpu, &view));
        for (nth, instance) in gpu.mig.iter().flatten().enumerate() {
            probe.devices.push(slice((at, nth), gpu, instance, &view));
        }
    }
    if reading.without_cuda {
        let why = "this driver has no CUDA: it is that of a host that lends its cards to virtual machines (vGPU); use \
                   the cards inside of one, or install the ordinary data-centre driver";
        probe.problems.push(why.to_owned());
        for device in &mut probe.devices {
            device.usable = false;
            device
                .problem
                .get_or_insert_with(|| "the driver has no CUDA (`nvidia-smi` says `CUDA Version: N/A`)".into());
        }
    }
    probe.links = reading.links.iter().map(link).collect();
    probe.problems.extend(selection.iter().flat_map(|selection| complaints(selection, &view, reading, by_bus)));
    probe
}

/// What decides which cards a program would see.
struct View<'a> {
    visible: &'a str,
    selection: Option<&'a Selection>,
    system: &'a dyn Fn() -> Memory,
}

fn complaints(selection: &Selection, view: &View<'_>, reading: &Reading, by_bus: bool) -> Vec<String> {
    let spec = view.visible;
    let mut problems = Vec::new();
    if let Some(token) = &selection.invalid {
        problems.push(format!(
            "CUDA_VISIBLE_DEVICES={spec} names {token}, which is no card here; it and what follows are hidden; \
             `nvidia-smi -L` lists the cards"
        ));
    }
    if selection.by_number && !by_bus && mixed(&reading.gpus) {
        problems.push(format!(
            "CUDA_VISIBLE_DEVICES={spec} counts the fastest card first unless told otherwise; llmup counts as \
             nvidia-smi does: `export CUDA_DEVICE_ORDER=PCI_BUS_ID`"
        ));
    }
    problems
}

fn link((a, b, name): &(u32, u32, String)) -> Link {
    let kind = if topology::is_direct(name) { LinkKind::Nvlink } else { LinkKind::Pcie };
    Link { vendor: VendorId::Nvidia, devices: (*a.min(b), *a.max(b)), kind, name: name.clone() }
}

fn card(at: usize, gpu: &Gpu, view: &View<'_>) -> Device {
    let mut device = blank(gpu);
    let mut problem = fill(&mut device, &gpu.memory, shares_memory(gpu), view.system);
    if let Some(instances) = &gpu.mig {
        let choose = match instances.iter().find_map(|instance| instance.uuid.as_deref()) {
            Some(first) => format!("choose one with `export CUDA_VISIBLE_DEVICES={first}`"),
            None if instances.is_empty() => format!(
                "none is shown; `sudo nvidia-smi mig -i {0} -lgip` lists what it can be cut into, and `sudo nvidia-smi \
                 mig -i {0} -cgi PROFILE -C` makes one",
                gpu.index
            ),
            None => format!("see them with `nvidia-smi -L -i {}`", gpu.index),
        };
        problem = Some(format!(
            "in MIG mode, so CUDA sees its instances only; {choose}, or end MIG mode with `sudo nvidia-smi -i {} -mig 0`",
            gpu.index
        ));
    } else if view.selection.is_some_and(|selection| !selection.gpus.contains(&at)) {
        problem = Some(hidden(view));
    }
    device.usable = problem.is_none();
    device.problem = problem.or_else(|| busy(&gpu.processes));
    device
}

fn hidden(view: &View<'_>) -> String {
    const NAME: &str = "CUDA_VISIBLE_DEVICES";
    format!("hidden by {}; to use it: `unset {NAME}`", holders::setting(NAME, view.visible))
}

/// A MIG instance, a device of its own with its card's index.
fn slice(place: (usize, usize), gpu: &Gpu, instance: &Instance, view: &View<'_>) -> Device {
    let mut device = blank(gpu);
    let which = instance.profile.clone().unwrap_or_else(|| format!("instance {}", place.1));
    device.name = format!("{} MIG {which}", device.name);
    device.uuid = instance.uuid.clone();
    let mut problem = fill(&mut device, &instance.memory, false, view.system);
    if view.selection.is_some_and(|selection| selection.instance != Some(place)) {
        problem = Some(hidden(view));
    }
    device.usable = problem.is_none();
    device.problem = problem;
    device
}

fn blank(gpu: &Gpu) -> Device {
    Device {
        vendor: VendorId::Nvidia,
        index: gpu.index,
        name: gpu.name.clone().unwrap_or_else(|| "NVIDIA GPU".to_owned()),
        uuid: gpu.uuid.clone(),
        memory_total_bytes: 0,
        memory_free_bytes: None,
        architecture: gpu.capability.clone(),
        unified: false,
        usable: true,
        problem: None,
    }
}

fn busy(processes: &[Process]) -> Option<String> {
    let mut holding = Vec::with_capacity(processes.len());
    for Process { pid, name, bytes } in processes {
        holding.push(Holder { pid: *pid, name: name.as_deref(), bytes: *bytes });
    }
    holders::busy(&holding)
}

/// Sets the memory; what is in the way of knowing it.
fn fill(device: &mut Device, memory: &Amount, shared: bool, system: &dyn Fn() -> Memory) -> Option<String> {
    let known_free = match memory {
        Amount::Known { total, free } if !shared && *total > 0 => {
            device.memory_total_bytes = *total;
            device.memory_free_bytes = *free;
            return None;
        }
        Amount::Unreadable(why) => {
            return Some(format!("the driver cannot read it ({why}); look at `nvidia-smi`, and reboot if it stays so"));
        }
        Amount::Unknown | Amount::Known { .. } if !shared => {
            return Some("how much memory it has is not told; see `nvidia-smi -q -x`".to_owned());
        }
        Amount::Known { free, .. } => *free,
        Amount::NotSupported | Amount::Unknown => None,
    };
    // What such a chip reports as its total is wrong or missing; its memory is the system's.
    device.unified = true;
    let main = system();
    if main.total_bytes == 0 {
        return Some("it shares the system's memory, whose size is unknown".to_owned());
    }
    device.memory_total_bytes = main.total_bytes;
    let free = known_free.map_or(main.available_bytes, |free| free.min(main.available_bytes));
    device.memory_free_bytes = Some(free);
    None
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

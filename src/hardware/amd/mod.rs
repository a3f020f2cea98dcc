//! AMD: the kernel's own files (KFD's topology, joined with DRM's), which need no tool and no rights; `amd-smi` or
//! `rocm-smi` where those files are not there; the registry on Windows. What they tell becomes [`Card`]s; [`devices`]
//! makes devices of them, without asking anything.

mod chip;
mod devices;
mod drm;
mod kfd;
mod load;
mod reach;
mod registry;
mod smi;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_recordings;
mod visible;

use std::path::Path;
use std::time::Duration;

use super::load::Load;
use super::{Kind, Memory, Probe, Vendor, VendorId, memory, replay};
use crate::host::{Host, Os, RealHost};

/// What is known of a card, whoever told it.
#[derive(Debug, Clone, Default, PartialEq)]
struct Card {
    /// In the order ROCm counts.
    index: u32,
    name: Option<String>,
    /// `GPU-` and 16 hexadecimal digits, as ROCR_VISIBLE_DEVICES takes it.
    uuid: Option<String>,
    /// "gfx942".
    gfx: Option<String>,
    /// `domain:bus:device.function`.
    pci: Option<String>,
    /// Its own memory; on an APU what the firmware cut off main memory.
    vram: Option<u64>,
    vram_used: Option<u64>,
    /// Main memory it may map.
    gtt: Option<u64>,
    gtt_used: Option<u64>,
    /// Part of a processor.
    integrated: bool,
    /// Cards of one hive have direct links.
    hive: Option<u64>,
    /// Which part of how many, where a card is cut up (MI300 in CPX mode).
    partition: Option<(u32, u32)>,
    /// KFD's number of it.
    gpu_id: Option<u64>,
    /// Which `/dev/dri/renderD…`.
    render: Option<u64>,
    /// Why it cannot be used.
    problem: Option<String>,
    /// What disturbs although it can be used.
    disturbance: Option<String>,
}

/// A tool answers at once; a wedged driver never does.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// Detection of AMD's cards.
pub(super) struct Amd;

impl Vendor for Amd {
    fn id(&self) -> VendorId {
        VendorId::Amd
    }

    fn probe(&self, host: &dyn Host) -> Probe {
        match host.os() {
            Os::Linux => linux(host),
            Os::Windows => windows(host),
            Os::Macos => Probe::default(),
        }
    }

    fn load(&self, host: &dyn Host) -> Vec<Load> {
        if host.os() == Os::Linux { load::read(host, Path::new("/")) } else { Vec::new() }
    }

    fn kinds(&self) -> &'static [Kind] {
        KINDS
    }
}

/// One reader for all that the two tools print: what is in a file shows which of their forms it is.
const KINDS: &[Kind] = &[
    Kind { name: "rocm-smi-json", read: |path| replay::of_text(path, recorded) },
    Kind { name: "rocm-smi-csv", read: |path| replay::of_text(path, recorded) },
    Kind { name: "amd-smi-json", read: |path| replay::of_text(path, recorded) },
    Kind { name: "kfd-tree", read: |path| of_tree(path, kfd::cards(&RealHost, path, None), "KFD nodes with a GPU") },
    Kind { name: "drm-tree", read: |path| of_tree(path, drm::cards(&RealHost, path), "AMD card") },
    Kind { name: "win32-video", read: |path| replay::of_text(path, registry::adapters) },
];

fn recorded(text: &str) -> Probe {
    let answer = smi::parse(text);
    let mut probe = devices::devices(answer.cards, &devices::Surroundings::default());
    probe.versions.extend(answer.versions);
    probe.problems.extend(answer.problems);
    if probe.devices.is_empty() && probe.problems.is_empty() {
        let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("nothing");
        let line: String = line.chars().take(60).collect();
        probe.problems.push(format!("no card is in this recording of amd-smi or rocm-smi; it starts with: {line}"));
    }
    probe
}

fn of_tree(path: &Path, cards: Vec<Card>, what: &str) -> Probe {
    let mut probe = devices::devices(cards, &devices::Surroundings::default());
    if probe.devices.is_empty() {
        probe.problems.push(format!("{} has no {what}", path.display()));
    }
    probe
}

fn linux(host: &dyn Host) -> Probe {
    const DRM: &str = "/sys/class/drm";
    let mut problems = Vec::new();
    let mut versions = Vec::new();
    let mut cards = kfd::cards(host, Path::new("/sys/class/kfd/kfd/topology"), Some(Path::new(DRM)));
    if cards.is_empty() {
        cards = drm::cards(host, Path::new(DRM));
        let blocked = "ROCm cannot reach it: the kernel has no KFD for it; install the amdgpu driver, or in a container \
                       start it with `docker run --device /dev/kfd --device /dev/dri`";
        cards.iter_mut().for_each(|card| card.problem = Some(blocked.to_owned()));
    } else {
        reach::check(host, &mut cards);
    }
    if cards.is_empty() {
        let answer = smi::read(host);
        (cards, problems, versions) = (answer.cards, answer.problems, answer.versions);
    }
    if cards.is_empty() && problems.is_empty() {
        return Probe::default();
    }
    for (name, path) in [("rocm", "/opt/rocm/.info/version"), ("amdgpu driver", "/sys/module/amdgpu/version")] {
        versions.extend(line(host, Path::new(path)).map(|version| (name.to_owned(), version)));
    }
    let surroundings = devices::Surroundings {
        rocr: host.env("ROCR_VISIBLE_DEVICES"),
        hip: host.env("HIP_VISIBLE_DEVICES"),
        cuda: host.env("CUDA_VISIBLE_DEVICES"),
        main: Some(memory::of_system(host)).filter(|memory| *memory != Memory::default()),
        kernel: line(host, Path::new("/proc/sys/kernel/osrelease")),
    };
    let mut probe = devices::devices(cards, &surroundings);
    probe.versions.extend(versions);
    probe.problems.extend(problems);
    probe
}

fn windows(host: &dyn Host) -> Probe {
    let surroundings = devices::Surroundings {
        hip: host.env("HIP_VISIBLE_DEVICES"),
        main: Some(memory::of_system(host)),
        ..devices::Surroundings::default()
    };
    devices::devices(registry::read(host), &surroundings)
}

/// The first line of a small file.
fn line(host: &dyn Host, path: &Path) -> Option<String> {
    let bytes = host.read(path).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    text.lines().next().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned)
}

fn number(host: &dyn Host, path: &Path) -> Option<u64> {
    line(host, path)?.parse().ok()
}

/// A unique id as ROCm's runtime names the card. Tools print the number in hexadecimal, KFD in decimal.
fn uuid(unique: u64) -> Option<String> {
    (unique > 0).then(|| format!("GPU-{unique:016x}"))
}

//! What the machine has. Each vendor is one file behind [`Vendor`]: it asks the [`Host`] (or its library) and hands
//! the answer to a pure function. Adding a vendor is one file, its `mod` line and its entry in [`VENDORS`].
//! Nothing here decides what to run; `plan` does.

mod apple;
mod ascend;
mod cambricon;
mod card;
mod cgroup;
mod cpu;
mod hygon;
mod intel;
mod memory;
mod metax;
mod mthreads;
mod nvidia;
#[cfg(test)]
mod recorded;
mod rows;
#[cfg(test)]
mod sampled;
#[cfg(test)]
mod tests;
mod tool;

use serde::{Deserialize, Serialize};

use crate::host::{Host, Os};

/// Who made an accelerator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VendorId {
    /// NVIDIA.
    Nvidia,
    /// AMD.
    Amd,
    /// Huawei Ascend.
    Ascend,
    /// Apple silicon.
    Apple,
    /// Intel.
    Intel,
    /// Moore Threads.
    MooreThreads,
    /// MetaX.
    MetaX,
    /// Cambricon.
    Cambricon,
    /// Hygon.
    Hygon,
}

/// One accelerator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Device {
    /// Who made it.
    pub vendor: VendorId,
    /// Its index in the order its runtime counts (PCI order for NVIDIA).
    pub index: u32,
    /// Marketing name, e.g. "NVIDIA H200".
    pub name: String,
    /// The vendor's unique id.
    pub uuid: Option<String>,
    /// All of its memory, bytes.
    pub memory_total_bytes: u64,
    /// Free now, bytes.
    pub memory_free_bytes: Option<u64>,
    /// Compute capability ("9.0"), gfx name or chip.
    pub architecture: Option<String>,
    /// Shares the system's memory.
    pub unified: bool,
    /// Can be used now.
    pub usable: bool,
    /// Why not, with the cure.
    pub problem: Option<String>,
}

/// The processor.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Cpu {
    /// Its brand string.
    pub name: String,
    /// Logical processors this process may use (cgroup quota and affinity respected).
    pub threads: u32,
    /// `x86_64`, `aarch64`.
    pub architecture: String,
}

/// Main memory, with the limits of the container respected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// Bytes this process may use in all.
    pub total_bytes: u64,
    /// Bytes free for new work now.
    pub available_bytes: u64,
}

/// Everything that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hardware {
    /// The operating system.
    pub os: Os,
    /// The processor.
    pub cpu: Cpu,
    /// Main memory.
    pub memory: Memory,
    /// Accelerators, usable or not.
    pub devices: Vec<Device>,
    /// Driver versions and the like, by name (`nvidia driver`: `570.86`).
    #[serde(default)]
    pub versions: std::collections::BTreeMap<String, String>,
    /// What is wrong with the machine, with cures.
    pub problems: Vec<String>,
}

/// The vendors that are asked, in the order their devices are listed.
pub const VENDORS: &[&dyn Vendor] = &[
    &nvidia::Nvidia::SYSTEM,
    &ascend::Ascend,
    &apple::Apple,
    &intel::Intel,
    &mthreads::MooreThreads,
    &metax::MetaX,
    &cambricon::Cambricon,
    &hygon::Hygon,
];

/// Looks at the machine: a few files and every vendor's library, all vendors at once. Tens of milliseconds at most
/// where no driver hangs.
pub fn detect(host: &dyn Host) -> Hardware {
    detect_with(host, VENDORS)
}

fn detect_with(host: &dyn Host, vendors: &[&dyn Vendor]) -> Hardware {
    std::thread::scope(|scope| {
        let probes: Vec<_> =
            vendors.iter().map(|vendor| (vendor.id(), scope.spawn(move || vendor.probe(host)))).collect();
        let mut found = Hardware {
            os: host.os(),
            cpu: cpu::read(host),
            memory: memory::read(host),
            devices: Vec::new(),
            versions: std::collections::BTreeMap::new(),
            problems: Vec::new(),
        };
        for (vendor, probe) in probes {
            match probe.join() {
                Ok(probe) => {
                    found.devices.extend(probe.devices);
                    found.versions.extend(probe.versions);
                    found.problems.extend(probe.problems);
                }
                Err(_) => found.problems.push(format!("looking for {vendor:?} devices failed; this is a bug in llmup")),
            }
        }
        found
    })
}

/// What CUDA sees of a card whose driver reports `total_bytes`: less, because the driver keeps some for itself.
/// Measured in start logs (driver's MiB → CUDA's GiB): T4 15360 → 14.56, RTX 3090 24576 → 23.56, RTX 5090 32607 →
/// 31.36, L40S 46068 → 44.42, H100 81559 → 79.1, A100 81920 → 79.25, H200 143771 → 139.8. This line (0.45 GiB and
/// 0.38 %) is below all of them and at most 0.4 GiB too low, so a plan made with it is never too big for that reason.
/// For devices that are not [`Device::unified`].
pub fn memory_for_cuda(total_bytes: u64) -> u64 {
    const FIXED: u64 = 483_183_821;
    total_bytes.saturating_sub(FIXED + total_bytes / 1000 * 38 / 10)
}

impl Hardware {
    /// The NVIDIA GPUs that can be used now.
    pub fn nvidia(&self) -> impl Iterator<Item = &Device> {
        self.devices.iter().filter(|d| d.vendor == VendorId::Nvidia && d.usable)
    }

    /// Whether there is one.
    pub fn has_nvidia(&self) -> bool {
        self.nvidia().next().is_some()
    }
}

/// What one vendor's probe found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Probe {
    /// Devices.
    pub devices: Vec<Device>,
    /// Versions by name.
    pub versions: Vec<(String, String)>,
    /// Problems.
    pub problems: Vec<String>,
}

/// One vendor's detection.
pub trait Vendor: Send + Sync {
    /// Which vendor.
    fn id(&self) -> VendorId;
    /// Looks for devices. An absent vendor is an empty probe, never an error. It must end by itself: whatever can
    /// hang (a driver's library, its tool) is asked under a time limit, and an overrun is a problem.
    fn probe(&self, host: &dyn Host) -> Probe;
    /// The recordings it can read instead of the machine (`llmup hardware --from KIND=PATH`).
    fn kinds(&self) -> &'static [Kind] {
        &[]
    }
}

/// A kind of recording: what a tool printed, or a copied tree of files.
pub struct Kind {
    /// Its name on the command line, such as `npu-smi`.
    pub name: &'static str,
    /// Reads the file (or folder) at a path. What cannot be read is a problem in the probe, never a panic; a part that
    /// is missing is `None` in the device, never a zero.
    pub read: fn(&std::path::Path) -> Probe,
}

//! What the machine has. Each vendor is one file behind [`Vendor`]: it asks the [`Host`] (or its library) and hands
//! the answer to a pure function. Adding a vendor is one file, its `mod` line and its entry in [`VENDORS`].
//! Nothing here decides what to run; `plan` does.

mod amd;
mod apple;
mod ascend;
mod cambricon;
mod card;
mod cgroup;
mod cpu;
pub mod described;
mod holders;
mod hygon;
mod intel;
mod link;
pub mod load;
mod memory;
mod metax;
mod mthreads;
mod nvidia;
pub mod record;
#[cfg(test)]
mod recorded;
mod replay;
mod rows;
#[cfg(test)]
mod sampled;
#[cfg(test)]
mod tests;
mod tool;

use serde::{Deserialize, Serialize};

pub use self::link::{Link, LinkKind};
pub use self::replay::{WHOLE, kinds, replay};
use crate::host::{Host, Os};
use crate::wsl::{self, Standing};

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

impl VendorId {
    /// The name in profiles and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            VendorId::Nvidia => "nvidia",
            VendorId::Amd => "amd",
            VendorId::Ascend => "ascend",
            VendorId::Apple => "apple",
            VendorId::Intel => "intel",
            VendorId::MooreThreads => "moorethreads",
            VendorId::MetaX => "metax",
            VendorId::Cambricon => "cambricon",
            VendorId::Hygon => "hygon",
        }
    }
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
    /// All of its memory, bytes; 0 where nobody says it (`null` in JSON).
    #[serde(with = "unknown_is_null")]
    pub memory_total_bytes: u64,
    /// Free now, bytes.
    pub memory_free_bytes: Option<u64>,
    /// Compute capability ("9.0"), gfx name or chip.
    pub architecture: Option<String>,
    /// Shares the system's memory.
    pub unified: bool,
    /// Can be used now.
    pub usable: bool,
    /// Why not, with the cure; on a usable device what disturbs (programs that hold its memory).
    pub problem: Option<String>,
}

/// A size of 0 means that it is not known, which JSON says with `null`.
mod unknown_is_null {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &u64, to: S) -> Result<S::Ok, S::Error> {
        (*bytes > 0).then_some(*bytes).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        Ok(Option::<u64>::deserialize(from)?.unwrap_or(0))
    }
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
    /// What it can compute with, of the instructions engines ask for: `avx2`, `avx512_bf16`, `amx_tile`, `neon`, …,
    /// named as Linux names them (`neon` for `asimd`).
    #[serde(default)]
    pub features: Vec<String>,
    /// Memory nodes; `None` where the system does not say.
    #[serde(default)]
    pub numa_nodes: Option<u32>,
}

/// Main memory, with the limits of the container respected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// Bytes this process may use in all.
    pub total_bytes: u64,
    /// Bytes free for new work now.
    pub available_bytes: u64,
}

/// The name in [`Hardware::versions`] of the WSL that this Linux runs in.
pub const WSL: &str = "WSL";

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
    /// How devices of one vendor reach each other, each pair once; empty where it is not known.
    #[serde(default)]
    pub links: Vec<Link>,
    /// Driver versions and the like, by name (`nvidia driver`: `570.86`, [`WSL`]: `2 (Ubuntu)`).
    #[serde(default)]
    pub versions: std::collections::BTreeMap<String, String>,
    /// What is wrong with the machine, with cures.
    pub problems: Vec<String>,
    /// On Windows: whether programs of Linux can run there. `None` elsewhere, and where nobody asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wsl: Option<Standing>,
    /// On Windows with WSL 2: what its machine has of the main memory, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wsl_memory_bytes: Option<u64>,
}

/// The vendors that are asked, in the order their devices are listed.
pub const VENDORS: &[&dyn Vendor] = &[
    &nvidia::Nvidia::SYSTEM,
    &amd::Amd,
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

/// Main memory now, as far as this process may use it; no device is asked.
pub fn main_memory(host: &dyn Host) -> Memory {
    memory::read(host)
}

fn detect_with(host: &dyn Host, vendors: &[&dyn Vendor]) -> Hardware {
    std::thread::scope(|scope| {
        let probes: Vec<_> =
            vendors.iter().map(|vendor| (vendor.id(), scope.spawn(move || vendor.probe(host)))).collect();
        let wsl = scope.spawn(|| wsl::standing(host));
        let mut found = Hardware {
            os: host.os(),
            cpu: cpu::read(host),
            memory: memory::read(host),
            devices: Vec::new(),
            links: Vec::new(),
            versions: wsl::inside::here(host).map(|here| (WSL.to_owned(), here.to_string())).into_iter().collect(),
            problems: Vec::new(),
            wsl: wsl.join().unwrap_or_default(),
            wsl_memory_bytes: None,
        };
        if found.wsl.as_ref().is_some_and(|wsl| wsl.usable().is_some()) {
            let settings = wsl::settings::of_user(host);
            found.wsl_memory_bytes = Some(wsl::settings::machine_memory(&settings, found.memory.total_bytes));
        }
        for (vendor, probe) in probes {
            match probe.join() {
                Ok(probe) => {
                    found.add(probe);
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

/// What the GPU of a Mac with this much main memory may use of it, unless its owner set another limit. Bytes.
pub fn memory_for_metal(total_bytes: u64) -> u64 {
    apple::share(total_bytes)
}

impl Hardware {
    /// The NVIDIA GPUs that one process can use now: whole cards, or where there are none the first MIG instance,
    /// because a process sees one instance at most.
    pub fn nvidia(&self) -> impl Iterator<Item = &Device> {
        let usable = || self.devices.iter().filter(|d| d.vendor == VendorId::Nvidia && d.usable);
        let whole = usable().any(|d| !d.is_instance());
        let most = if whole { usize::MAX } else { 1 };
        usable().filter(move |d| d.is_instance() != whole).take(most)
    }

    /// The devices of a vendor that one process can use now, in its runtime's order; see [`Hardware::nvidia`] for MIG.
    pub fn usable(&self, vendor: VendorId) -> Vec<&Device> {
        match vendor {
            VendorId::Nvidia => self.nvidia().collect(),
            _ => self.devices.iter().filter(|d| d.vendor == vendor && d.usable).collect(),
        }
    }

    /// Whether there is one.
    pub fn has_nvidia(&self) -> bool {
        self.nvidia().next().is_some()
    }
}

impl Device {
    /// Whether this is a MIG instance, a slice of a card: it cannot be joined with any other device. NVIDIA's own
    /// names for them have the word in them ("NVIDIA A100-SXM4-80GB MIG 1g.10gb").
    pub fn is_instance(&self) -> bool {
        self.vendor == VendorId::Nvidia
            && (self.name.contains(" MIG ") || self.uuid.as_deref().is_some_and(|uuid| uuid.starts_with("MIG-")))
    }
}

/// What one vendor's probe found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Probe {
    /// Devices.
    pub devices: Vec<Device>,
    /// How they reach each other.
    pub links: Vec<Link>,
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
    /// How busy its devices are now; nothing where nobody tells it. It must end by itself, too.
    fn load(&self, _host: &dyn Host) -> Vec<load::Load> {
        Vec::new()
    }
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

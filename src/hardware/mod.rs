//! What the machine has. Each vendor is one file behind [`Vendor`]: it asks the [`Host`] (or its library) and hands
//! the answer to a pure `parse_*`. Adding a vendor is one file, its `mod` line and its entry in [`VENDORS`].
//! Nothing here decides what to run; `plan` does.

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
    /// Looks for devices. An absent vendor is an empty probe, never an error; must end within 3 s.
    fn probe(&self, host: &dyn Host) -> Probe;
}

//! NVIDIA: the driver's library when it can be loaded, else its `nvidia-smi`, else the PCI bus to say that a card is
//! there without a driver. What they answer becomes a [`Reading`]; [`devices`] makes devices of it, without asking
//! anything.

mod csv;
mod devices;
mod failure;
mod kernel;
mod library;
mod listing;
mod load;
mod recording;
mod smi;
mod table;
mod tegra;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_recordings;
#[cfg(test)]
mod tests_traps;
mod topology;
mod visible;
mod xml;

use serde::{Deserialize, Serialize};

use super::load::Load;
use super::{Kind, Probe, Vendor, VendorId, memory, replay};
use crate::host::{Host, Os, told};

const MIB: u64 = 1024 * 1024;

/// What the driver says, whoever asked it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Reading {
    driver: Option<String>,
    /// The newest CUDA the driver supports.
    cuda: Option<String>,
    /// The driver says that it has no CUDA (that of a host that lends its cards to virtual machines).
    without_cuda: bool,
    gpus: Vec<Gpu>,
    /// Index, index, the tool's word for what is between.
    links: Vec<(u32, u32, String)>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Gpu {
    /// In PCI order.
    index: u32,
    name: Option<String>,
    uuid: Option<String>,
    memory: Amount,
    /// "9.0".
    capability: Option<String>,
    /// `Some` while the card is in MIG mode: its instances, as far as they are known.
    mig: Option<Vec<Instance>>,
    /// Programs that compute on it.
    processes: Vec<Process>,
}

/// A MIG instance: a slice of a card, with memory of its own.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Instance {
    /// "1g.10gb".
    profile: Option<String>,
    uuid: Option<String>,
    memory: Amount,
}

/// A program that holds memory of a card.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Process {
    pid: u32,
    name: Option<String>,
    bytes: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
enum Amount {
    Known {
        total: u64,
        free: Option<u64>,
    },
    /// The card has no memory of its own (GB10, Jetson).
    #[default]
    NotSupported,
    /// The driver could not say: the reason.
    Unreadable(String),
    /// Nobody was asked: a recording without it.
    Unknown,
}

/// Why there is no reading.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Failure {
    /// Nothing of NVIDIA's is installed here.
    Absent,
    /// It is there but of no use to us; another way may do better.
    Unsuitable(String),
    /// It is there and broken: what is wrong and the cure.
    Broken(String),
}

/// Detection of NVIDIA's cards.
pub(super) struct Nvidia {
    library: fn(Os) -> Result<Reading, Failure>,
}

impl Nvidia {
    /// The one that asks this machine.
    pub(super) const SYSTEM: Nvidia = Nvidia { library: library::read };
}

impl Vendor for Nvidia {
    fn id(&self) -> VendorId {
        VendorId::Nvidia
    }

    fn probe(&self, host: &dyn Host) -> Probe {
        let asked = told(host, "nvml", || (self.library)(host.os())).unwrap_or(Err(Failure::Absent));
        let reading = match asked {
            Err(Failure::Absent) => smi::read(host),
            Err(Failure::Unsuitable(why)) => smi::read(host).map_err(|failure| match failure {
                Failure::Broken(_) => failure,
                _ => Failure::Broken(format!("the NVIDIA driver's library does not answer: {why}")),
            }),
            other => other,
        };
        let reading = match reading {
            // A board that has neither library nor tool may still say what it is.
            Err(Failure::Absent) => tegra::read(host).ok_or(Failure::Absent),
            other => other,
        };
        let problem = match reading {
            Ok(mut reading) => {
                if reading.gpus.len() > 1 && reading.links.is_empty() {
                    reading.links = smi::links(host);
                }
                let visible = host.env("CUDA_VISIBLE_DEVICES");
                let by_bus = host.env("CUDA_DEVICE_ORDER").is_some_and(|order| order == "PCI_BUS_ID");
                let mut probe = devices::devices(&reading, visible.as_deref(), by_bus, &|| memory::of_system(host));
                if let Some(denied) = failure::denied(host) {
                    for device in probe.devices.iter_mut().filter(|device| device.usable) {
                        (device.usable, device.problem) = (false, Some(denied.clone()));
                    }
                }
                return probe;
            }
            Err(Failure::Absent) => failure::card_without_driver(host),
            Err(Failure::Unsuitable(why) | Failure::Broken(why)) => Some(kernel::without_files(host).unwrap_or(why)),
        };
        let Some(problem) = problem else { return Probe::default() };
        match kernel::cards(host, &problem) {
            cards if cards.is_empty() => Probe { problems: vec![problem], ..Probe::default() },
            devices => Probe { devices, ..Probe::default() },
        }
    }

    fn load(&self, host: &dyn Host) -> Vec<Load> {
        load::read(host)
    }

    fn kinds(&self) -> &'static [Kind] {
        KINDS
    }
}

/// One reader for all that `nvidia-smi` prints: what is in a file shows which of its forms it is.
const KINDS: &[Kind] = &[
    Kind { name: "nvidia-smi-xml", read: |path| replay::of_text(path, recording::read) },
    Kind { name: "nvidia-smi-csv", read: |path| replay::of_text(path, recording::read) },
    Kind { name: "nvidia-smi", read: |path| replay::of_text(path, recording::read) },
];

/// A healthy driver answers at once, or after some seconds when it has to wake eight cards first (no persistence mode).
const TIME_LIMIT: std::time::Duration = std::time::Duration::from_secs(10);

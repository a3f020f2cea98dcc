//! NVIDIA: the driver's library when it can be loaded, else its `nvidia-smi`, else the PCI bus to say that a card is
//! there without a driver. What they answer becomes a [`Reading`]; [`devices`] makes devices of it, without asking
//! anything.

mod devices;
mod library;
mod smi;
#[cfg(test)]
mod tests;
mod visible;

use std::path::Path;

use super::{Probe, Vendor, VendorId, memory};
use crate::host::{Host, Os};

/// What the driver says, whoever asked it.
#[derive(Debug, Clone, Default, PartialEq)]
struct Reading {
    driver: Option<String>,
    /// The newest CUDA the driver supports.
    cuda: Option<String>,
    gpus: Vec<Gpu>,
}

#[derive(Debug, Clone, PartialEq)]
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
}

/// A MIG instance: a slice of a card, with memory of its own.
#[derive(Debug, Clone, PartialEq)]
struct Instance {
    uuid: String,
    memory: Amount,
}

#[derive(Debug, Clone, PartialEq)]
enum Amount {
    Known {
        total: u64,
        free: Option<u64>,
    },
    /// The card has no memory of its own (GB10, Jetson).
    NotSupported,
    /// The driver could not say: the reason.
    Unreadable(String),
}

/// Why there is no reading.
#[derive(Debug, Clone, PartialEq, Eq)]
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
        let reading = match (self.library)(host.os()) {
            Err(Failure::Absent) => smi::read(host),
            Err(Failure::Unsuitable(why)) => smi::read(host).map_err(|failure| match failure {
                Failure::Broken(_) => failure,
                _ => Failure::Broken(format!("the NVIDIA driver's library does not answer: {why}")),
            }),
            other => other,
        };
        let problem = match reading {
            Ok(reading) => {
                let visible = host.env("CUDA_VISIBLE_DEVICES");
                let by_bus = host.env("CUDA_DEVICE_ORDER").is_some_and(|order| order == "PCI_BUS_ID");
                return devices::devices(&reading, visible.as_deref(), by_bus, &|| memory::of_system(host));
            }
            Err(Failure::Absent) => card_without_driver(host),
            Err(Failure::Unsuitable(why) | Failure::Broken(why)) => Some(why),
        };
        Probe { problems: problem.into_iter().collect(), ..Probe::default() }
    }
}

/// A card on the PCI bus with nothing that could drive it: a missing driver, or a container that was not given it.
fn card_without_driver(host: &dyn Host) -> Option<String> {
    if host.os() != Os::Linux {
        return None;
    }
    let is = |path: &Path, start: &str| host.read(path).is_ok_and(|bytes| bytes.starts_with(start.as_bytes()));
    let card = host
        .entries(Path::new("/sys/bus/pci/devices"))
        .ok()?
        .into_iter()
        // 0x10de is NVIDIA, class 3 a display or 3D controller.
        .find(|dir| is(&dir.join("vendor"), "0x10de") && is(&dir.join("class"), "0x03"))?;
    let slot = card.file_name()?.to_string_lossy().into_owned();
    Some(format!(
        "an NVIDIA card is on the PCI bus ({slot}) but its driver is not here; install it (on Ubuntu: `sudo \
         ubuntu-drivers install`), or in a container start it with `docker run --gpus all`"
    ))
}

/// The cure for a kernel module and a library of different versions.
fn mismatch() -> String {
    "the NVIDIA driver was updated but the old kernel module is still loaded (driver/library version mismatch); \
     reboot: `sudo reboot`"
        .to_owned()
}

fn not_loaded() -> String {
    "the NVIDIA driver is installed but not loaded; load it: `sudo modprobe nvidia` (if that fails, install the driver \
     again for the running kernel)"
        .to_owned()
}

fn overrun() -> String {
    format!(
        "the NVIDIA driver did not answer within {} s; look for `Xid` in `sudo dmesg`, and reboot if it stays so",
        TIME_LIMIT.as_secs()
    )
}

/// A healthy driver answers at once, or after some seconds when it has to wake eight cards first (no persistence mode).
const TIME_LIMIT: std::time::Duration = std::time::Duration::from_secs(10);

//! What is wrong when there is no answer, with the cure. The numbers are `nvidia-smi`'s exit codes, from its manual;
//! its words count more, because wrappers change codes and recordings have none.

use std::path::Path;

use super::{Failure, TIME_LIMIT, kernel};
use crate::hardware::holders::is_denied;
use crate::host::{Host, Os, Ran};

/// What a run of `nvidia-smi` that failed means.
pub(super) fn explain(ran: &Ran) -> Failure {
    let said = format!("{}\n{}", ran.stdout, ran.stderr);
    Failure::Broken(known(&said, ran.code).unwrap_or_else(|| {
        let line = said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it said nothing");
        let code = ran.code.map_or("a signal".to_owned(), |code| format!("exit code {code}"));
        format!("`nvidia-smi` failed with {code}: {line}")
    }))
}

/// The failures that have a cure.
pub(super) fn known(said: &str, code: Option<i32>) -> Option<String> {
    let says = |words: &str| said.contains(words);
    if says("version mismatch") {
        Some(mismatch())
    } else if says("couldn't communicate with the NVIDIA driver") || says("Driver Not Loaded") {
        Some(not_loaded())
    } else if says("couldn't find libnvidia-ml") {
        Some(no_library())
    } else if says("No devices were found") {
        Some(no_devices())
    } else if says("Unable to determine the device handle") || says("GPU is lost") {
        Some(lost())
    } else if says("Failed to initialize NVML: Unknown Error") {
        Some(unreachable())
    } else if says("Insufficient Permissions") {
        Some(no_permission())
    } else {
        match code? {
            18 => Some(mismatch()),
            9 => Some(not_loaded()),
            12 => Some(no_library()),
            6 => Some(no_devices()),
            4 => Some(no_permission()),
            _ => None,
        }
    }
}

/// A kernel module and a library of different versions.
pub(super) fn mismatch() -> String {
    "the NVIDIA driver was updated but the old kernel module is still loaded (driver/library version mismatch); \
     reboot: `sudo reboot`"
        .to_owned()
}

pub(super) fn not_loaded() -> String {
    "the NVIDIA driver is installed but not loaded; load it: `sudo modprobe nvidia` (if that fails, install the driver \
     again for the running kernel)"
        .to_owned()
}

pub(super) fn no_permission() -> String {
    "no permission to ask the NVIDIA driver; look at `ls -l /dev/nvidia*`, it must be readable for you".to_owned()
}

fn no_library() -> String {
    "`nvidia-smi` is here but the driver's library libnvidia-ml is not; install the driver again (on Ubuntu: `sudo \
     ubuntu-drivers install`), or in a container start it with `docker run --gpus all`"
        .to_owned()
}

pub(super) fn no_devices() -> String {
    "the NVIDIA driver is here but shows no card; in a container start it with `docker run --gpus all`".to_owned()
}

pub(super) fn overrun() -> String {
    format!(
        "the NVIDIA driver did not answer within {} s; look for `Xid` in `sudo dmesg`, and reboot if it stays so",
        TIME_LIMIT.as_secs()
    )
}

pub(super) fn lost() -> String {
    "the NVIDIA driver has lost a card; look for `Xid` in `sudo dmesg`, and reboot: `sudo reboot`".to_owned()
}

/// Containers lose their devices when systemd reloads its units.
pub(super) fn unreachable() -> String {
    "the NVIDIA driver cannot be reached any more (Failed to initialize NVML: Unknown Error); in a container, restart \
     it: `docker restart CONTAINER`; elsewhere look at `sudo dmesg`"
        .to_owned()
}

/// A device file that this user may not open: NVML tells the cards anyway, and CUDA then fails.
pub(super) fn denied(host: &dyn Host) -> Option<String> {
    if host.os() != Os::Linux {
        return None;
    }
    let denied = |path: &&str| is_denied(host, Path::new(path));
    let path = ["/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia0"].into_iter().find(denied)?;
    Some(format!(
        "you may not open {path}, so CUDA cannot start; `ls -l {path}` shows whose it is: join that group (`sudo \
         usermod -aG video $USER` where it is video), then log in again"
    ))
}

/// A card with nothing here that could drive it: a driver that is missing, one of somebody else, or a container that
/// was not given it.
pub(super) fn card_without_driver(host: &dyn Host) -> Option<String> {
    if host.os() != Os::Linux {
        return None;
    }
    // The kernel is the host's also in a container, the library is not.
    if let Some(version) = kernel::version(host) {
        return Some(format!(
            "the NVIDIA driver {version} is loaded but its library is not here; in a container start it with `docker run \
             --gpus all` (the host needs the NVIDIA Container Toolkit), elsewhere install the rest of the driver (on \
             Ubuntu: `sudo ubuntu-drivers install`)"
        ));
    }
    let is = |path: &Path, start: &str| host.read(path).is_ok_and(|bytes| bytes.starts_with(start.as_bytes()));
    let card = host
        .entries(Path::new("/sys/bus/pci/devices"))
        .ok()?
        .into_iter()
        // 0x10de is NVIDIA, class 3 a display or 3D controller.
        .find(|dir| is(&dir.join("vendor"), "0x10de") && is(&dir.join("class"), "0x03"))?;
    let slot = card.file_name()?.to_string_lossy().into_owned();
    let events = host.read(&card.join("uevent")).unwrap_or_default();
    let events = String::from_utf8_lossy(&events);
    Some(match events.lines().find_map(|line| line.strip_prefix("DRIVER=")) {
        Some("vfio-pci") => format!(
            "an NVIDIA card is on the PCI bus ({slot}) but is lent to a virtual machine (vfio-pci); use it there, or \
             take it back: see `lspci -nnk -s {slot}`"
        ),
        Some("nouveau") => format!(
            "an NVIDIA card is on the PCI bus ({slot}) but nouveau drives it, which has no CUDA; install NVIDIA's driver \
             (on Ubuntu: `sudo ubuntu-drivers install`) and reboot"
        ),
        _ => format!(
            "an NVIDIA card is on the PCI bus ({slot}) but its driver is not here; install it (on Ubuntu: `sudo \
             ubuntu-drivers install`), or in a container start it with `docker run --gpus all`"
        ),
    })
}

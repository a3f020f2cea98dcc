//! What is wrong when there is no answer, with the cure. The numbers are `nvidia-smi`'s exit codes, from its manual;
//! its words count more, because wrappers change codes and recordings have none.

use std::path::Path;

use super::{Failure, TIME_LIMIT};
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
        Some("the NVIDIA driver has lost a card; look for `Xid` in `sudo dmesg`, and reboot: `sudo reboot`".to_owned())
    } else if says("Failed to initialize NVML: Unknown Error") {
        // Containers lose their devices when systemd reloads its units.
        Some(
            "the NVIDIA driver cannot be reached any more (Failed to initialize NVML: Unknown Error); in a container, \
             restart it: `docker restart CONTAINER`; elsewhere look at `sudo dmesg`"
                .to_owned(),
        )
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

/// A card on the PCI bus with nothing that could drive it: a missing driver, or a container that was not given it.
pub(super) fn card_without_driver(host: &dyn Host) -> Option<String> {
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

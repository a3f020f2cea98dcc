//! What NVIDIA's kernel module tells in `/proc/driver/nvidia`, without library and tool: which cards it has. They are
//! listed with what is wrong when nobody else can tell them.

use std::path::Path;

use crate::hardware::holders::is_absent;
use crate::hardware::{Device, VendorId};
use crate::host::{Host, Os};

const HOME: &str = "/proc/driver/nvidia";

/// `NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.15  …`, or `… Open Kernel Module for x86_64  570.86.15 …`.
pub(super) fn version(host: &dyn Host) -> Option<String> {
    if host.os() != Os::Linux {
        return None;
    }
    let bytes = host.read(&Path::new(HOME).join("version")).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let dotted = |word: &&str| {
        word.contains('.') && word.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
    };
    text.lines().next()?.split_whitespace().find(dotted).map(str::to_owned)
}

/// The cards, in PCI order, none of them usable because of `problem`.
pub(super) fn cards(host: &dyn Host, problem: &str) -> Vec<Device> {
    if host.os() != Os::Linux {
        return Vec::new();
    }
    let folders = host.entries(&Path::new(HOME).join("gpus")).unwrap_or_default();
    let texts = folders.iter().filter_map(|dir| host.read(&dir.join("information")).ok());
    let device = |(index, bytes): (u32, Vec<u8>)| {
        let text = String::from_utf8_lossy(&bytes);
        let said = |label: &str| {
            let (_, value) =
                text.lines().filter_map(|line| line.split_once(':')).find(|(name, _)| name.trim() == label)?;
            // A card that nobody has woken says `GPU-????????-…`, or Unknown.
            Some(value.trim().to_owned())
                .filter(|value| !value.is_empty() && !value.contains('?') && value != "Unknown")
        };
        Device {
            vendor: VendorId::Nvidia,
            index,
            name: said("Model").unwrap_or_else(|| "NVIDIA GPU".to_owned()),
            uuid: said("GPU UUID"),
            memory_total_bytes: 0,
            memory_free_bytes: None,
            architecture: None,
            unified: false,
            usable: false,
            problem: Some(problem.to_owned()),
        }
    };
    (0..).zip(texts).map(device).collect()
}

/// A better reason where the module is loaded and its device files are not here: then every way to ask fails, each
/// with other words.
pub(super) fn without_files(host: &dyn Host) -> Option<String> {
    let version = version(host).filter(|_| is_absent(host, Path::new("/dev/nvidiactl")))?;
    Some(format!(
        "the NVIDIA driver {version} is loaded but /dev/nvidiactl is not here; in a container start it with `docker run \
         --gpus all` (the host needs the NVIDIA Container Toolkit), elsewhere make it with `sudo nvidia-modprobe -u -c=0`"
    ))
}

//! What the Linux kernel says about Intel's GPUs, without any tool.

use std::path::{Path, PathBuf};

use crate::host::Host;

/// One GPU.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Which `/dev/dri/cardN`.
    pub(super) card: u32,
    /// `0000:03:00.0`.
    pub(super) bus: Option<String>,
    /// The PCI device id, `0xe211`.
    pub(super) id: Option<String>,
    pub(super) integrated: bool,
    /// Bytes of its own memory, where the driver says.
    pub(super) total: Option<u64>,
    /// `/dev/dri/renderD128`, what programs open.
    pub(super) render: Option<String>,
}

/// Looks through `/sys/class/drm`, in the order of the card numbers.
pub(super) fn scan(host: &dyn Host) -> Vec<Found> {
    let entries = host.entries(Path::new("/sys/class/drm")).unwrap_or_default();
    let mut found: Vec<Found> = entries.iter().filter_map(|path| look(host, path)).collect();
    found.sort_by_key(|gpu| gpu.card);
    found
}

fn look(host: &dyn Host, path: &Path) -> Option<Found> {
    // card0-DP-1 is a connector.
    let card = path.file_name()?.to_str()?.strip_prefix("card")?.parse().ok()?;
    let device = path.join("device");
    if text(host, &device.join("vendor"))? != "0x8086" {
        return None;
    }
    let events = text(host, &device.join("uevent")).unwrap_or_default();
    let bus = events.lines().find_map(|line| line.strip_prefix("PCI_SLOT_NAME=")).map(str::to_owned);
    let total = own_memory(host, path, &device);
    // Intel puts the integrated one at 00:02.0, always.
    let integrated = match &bus {
        Some(bus) => bus.ends_with(":00:02.0"),
        None => total.is_none(),
    };
    let total = total.filter(|_| !integrated);
    let nodes = host.entries(&device.join("drm")).unwrap_or_default();
    let mut names = nodes.iter().filter_map(|path| path.file_name()?.to_str());
    let render = names.find(|name| name.starts_with("renderD")).map(|name| format!("/dev/dri/{name}"));
    Some(Found { card, bus, id: text(host, &device.join("device")), integrated, total, render })
}

/// `xe` has a file per tile. Its number contains what the firmware keeps, so it is a little too big. Mainline `i915`
/// says nothing; Intel's own builds of it have `lmem_total_bytes`, and some kernels `mem_info_vram_total`.
fn own_memory(host: &dyn Host, card: &Path, device: &Path) -> Option<u64> {
    let number = |path: PathBuf| text(host, &path)?.parse::<u64>().ok().filter(|bytes| *bytes > 0);
    // PVC has two tiles, each with memory of its own.
    let tiles: u64 = (0..8).map_while(|tile| number(device.join(format!("tile{tile}/physical_vram_size_bytes")))).sum();
    (tiles > 0).then_some(tiles).or_else(|| {
        let elsewhere = ["tile0/vram0/total_bytes", "mem_info_vram_total", "lmem_total_bytes"];
        elsewhere.iter().find_map(|name| number(device.join(name))).or_else(|| number(card.join("lmem_total_bytes")))
    })
}

fn text(host: &dyn Host, path: &Path) -> Option<String> {
    let bytes = host.read(path).ok()?;
    Some(String::from_utf8_lossy(&bytes).trim().to_owned())
}

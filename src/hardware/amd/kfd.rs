//! KFD's topology, `/sys/class/kfd/kfd/topology`: one folder per processor, GPU or part of a GPU. It is the only source
//! that tells each partition's own share; the tools print the whole card for each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Card, chip, drm, number, uuid};
use crate::host::Host;

/// Hygon's PCI vendor, 0x1d94: its driver is made of AMD's and fills the same files.
pub(super) const HYGON: u64 = 0x1d94;

/// The GPUs below `root`: the topology's folder or its `nodes`. `drm` is where DRM's devices are, for what KFD does not
/// tell.
pub(super) fn cards(host: &dyn Host, root: &Path, drm: Option<&Path>) -> Vec<Card> {
    let nodes = ["nodes", "topology/nodes", "kfd/topology/nodes", "."].iter().map(|below| root.join(below));
    let mut nodes = nodes.map(|dir| numbered(host, &dir)).find(|nodes| !nodes.is_empty()).unwrap_or_default();
    nodes.sort_by_key(|(number, _)| *number);
    let mut cards = Vec::new();
    // Where a card is: parts of one card share bus and device.
    let mut places: Vec<(u64, u64)> = Vec::new();
    for (_, dir) in nodes {
        let Ok(bytes) = host.read(&dir.join("properties")) else { continue };
        let text = String::from_utf8_lossy(&bytes);
        let properties = properties(&text);
        let value = |name: &str| properties.get(name).copied().unwrap_or(0);
        if value("simd_count") == 0 || value("vendor_id") == HYGON {
            continue;
        }
        let gfx = chip::gfx(value("gfx_target_version"));
        let mut card = Card {
            index: u32::try_from(cards.len()).unwrap_or(u32::MAX),
            uuid: uuid(value("unique_id")),
            pci: pci(value("domain"), value("location_id")),
            integrated: gfx.as_deref().is_some_and(chip::is_integrated) || value("cpu_cores_count") > 0,
            hive: Some(value("hive_id")).filter(|hive| *hive > 0),
            gpu_id: number(host, &dir.join("gpu_id")).filter(|id| *id > 0),
            render: Some(value("drm_render_minor")).filter(|minor| *minor > 0),
            gfx,
            ..Card::default()
        };
        memory(host, &dir.join("mem_banks"), &mut card);
        if let Some(drm) = drm {
            let device = drm.join(format!("renderD{}/device", value("drm_render_minor")));
            drm::complete(host, &device, &mut card);
        }
        cards.push(card);
        places.push((value("domain"), value("location_id") >> 3));
    }
    number_parts(&mut cards, &places);
    cards
}

fn number_parts(cards: &mut [Card], places: &[(u64, u64)]) {
    let mut parts: BTreeMap<(u64, u64), u32> = BTreeMap::new();
    for place in places {
        *parts.entry(*place).or_default() += 1;
    }
    let mut seen: BTreeMap<(u64, u64), u32> = BTreeMap::new();
    for (card, place) in cards.iter_mut().zip(places) {
        let nth = seen.entry(*place).or_default();
        // A tree without locations has all of them at nought.
        if let Some(of) = parts.get(place).filter(|of| **of > 1 && place.1 > 0) {
            card.partition = Some((*nth, *of));
        }
        *nth += 1;
    }
}

/// The folders whose names are numbers, with their numbers.
fn numbered(host: &dyn Host, dir: &Path) -> Vec<(u64, PathBuf)> {
    let entries = host.entries(dir).unwrap_or_default();
    entries.into_iter().filter_map(|path| Some((path.file_name()?.to_str()?.parse().ok()?, path))).collect()
}

/// `name value`, one a line.
pub(super) fn properties(text: &str) -> BTreeMap<&str, u64> {
    let pair = |line| {
        let (name, value) = str::trim(line).split_once(char::is_whitespace)?;
        Some((name, value.trim().parse().ok()?))
    };
    text.lines().filter_map(pair).collect()
}

fn memory(host: &dyn Host, banks: &Path, card: &mut Card) {
    for (_, bank) in numbered(host, banks) {
        let Ok(bytes) = host.read(&bank.join("properties")) else { continue };
        let text = String::from_utf8_lossy(&bytes);
        let properties = properties(&text);
        // 1 and 2 are the card's own memory, visible to the processor or not; 0 is main memory.
        let size = properties.get("size_in_bytes").filter(|_| matches!(properties.get("heap_type"), Some(1 | 2)));
        if let Some(size) = size {
            card.vram = Some(card.vram.unwrap_or(0).saturating_add(*size));
            if let Some(used) = number(host, &bank.join("used_memory")) {
                card.vram_used = Some(card.vram_used.unwrap_or(0).saturating_add(used));
            }
        }
    }
}

fn pci(domain: u64, location: u64) -> Option<String> {
    let (bus, device, function) = (location >> 8 & 0xff, location >> 3 & 0x1f, location & 7);
    (location > 0).then(|| format!("{domain:04x}:{bus:02x}:{device:02x}.{function}"))
}

//! DRM's devices, `/sys/class/drm/card*/device`: names and how much memory is used, for every card with the amdgpu
//! driver.

use std::path::{Path, PathBuf};

use super::{Card, chip, line, number, uuid};
use crate::host::Host;

/// AMD's cards below `root`, by their numbers (`card10` after `card2`).
pub(super) fn cards(host: &dyn Host, root: &Path) -> Vec<Card> {
    folders(host, root).into_iter().map(|(card, _)| card).collect()
}

/// Like [`cards`], each with the folder of its device.
pub(super) fn folders(host: &dyn Host, root: &Path) -> Vec<(Card, PathBuf)> {
    let root = if host.exists(&root.join("class/drm")) { root.join("class/drm") } else { root.to_owned() };
    let mut found: Vec<(u32, PathBuf)> = host
        .entries(&root)
        .unwrap_or_default()
        .into_iter()
        // `card0-DP-1` is a connector.
        .filter_map(|path| Some((path.file_name()?.to_str()?.strip_prefix("card")?.parse().ok()?, path)))
        .collect();
    found.sort_by_key(|(number, _)| *number);
    let mut cards = Vec::new();
    for (_, path) in found {
        let device = path.join("device");
        let mut card = Card { index: u32::try_from(cards.len()).unwrap_or(u32::MAX), ..Card::default() };
        if complete(host, &device, &mut card) {
            cards.push((card, device));
        }
    }
    cards
}

/// Adds what the folder of a device tells; false when it is not AMD's.
pub(super) fn complete(host: &dyn Host, device: &Path, card: &mut Card) -> bool {
    if line(host, &device.join("vendor")).as_deref() != Some("0x1002") {
        return false;
    }
    let value = |name: &str| number(host, &device.join(name));
    // A partition's own share is KFD's to tell; for whole cards both say the same.
    let vram = value("mem_info_vram_total").filter(|bytes| *bytes > 0);
    if card.vram.is_none() {
        card.vram = vram;
    }
    if card.vram_used.is_none() && card.vram == vram {
        card.vram_used = value("mem_info_vram_used");
    }
    card.gtt = value("mem_info_gtt_total").filter(|bytes| *bytes > 0);
    card.gtt_used = value("mem_info_gtt_used");
    let id = line(host, &device.join("device"));
    card.integrated |= match &id {
        Some(id) => chip::is_integrated_id(id),
        None => card.gfx.is_none() && looks_cut_off(card),
    };
    let product = line(host, &device.join("product_name"));
    card.name = card.name.take().or(product).or_else(|| {
        let revision = line(host, &device.join("revision"))?;
        marketing_name(host, &id?, &revision)
    });
    card.uuid = card.uuid.take().or_else(|| uuid(chip::hex(&line(host, &device.join("unique_id"))?)?));
    true
}

/// Where neither ISA nor device id is told: firmware cuts whole half gibibytes off main memory, and what can be mapped
/// is many times that. Cards with memory of their own keep some for themselves, so their sizes are odd.
fn looks_cut_off(card: &Card) -> bool {
    const HALF_GIB: u64 = 1 << 29;
    let (Some(vram), Some(gtt)) = (card.vram, card.gtt) else { return false };
    vram.is_multiple_of(HALF_GIB) && gtt / 4 >= vram
}

/// The name in libdrm's list: `744C, C8, AMD Radeon RX 7900 XTX`.
fn marketing_name(host: &dyn Host, id: &str, revision: &str) -> Option<String> {
    let places = ["/usr/share/libdrm/amdgpu.ids", "/opt/amdgpu/share/libdrm/amdgpu.ids"];
    let bytes = places.iter().find_map(|place| host.read(Path::new(place)).ok())?;
    let (id, revision) = (chip::hex(id)?, chip::hex(revision)?);
    String::from_utf8_lossy(&bytes).lines().find_map(|line| {
        let mut cells = line.splitn(3, ',');
        let same = chip::hex(cells.next()?) == Some(id) && chip::hex(cells.next()?) == Some(revision);
        same.then(|| cells.next().map(|name| name.trim().to_owned()))?
    })
}

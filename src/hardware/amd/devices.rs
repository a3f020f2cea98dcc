//! From cards to devices: which memory counts, which cards are hidden or not worth using. Asks nothing.

use super::{Card, chip, visible};
use crate::hardware::{Device, Link, LinkKind, Memory, Probe, VendorId};

/// What around the cards decides about them; nothing of it is known of a recording.
#[derive(Debug, Default)]
pub(super) struct Surroundings {
    /// ROCR_VISIBLE_DEVICES.
    pub(super) rocr: Option<String>,
    /// HIP_VISIBLE_DEVICES.
    pub(super) hip: Option<String>,
    /// CUDA_VISIBLE_DEVICES.
    pub(super) cuda: Option<String>,
    /// Main memory.
    pub(super) main: Option<Memory>,
    /// The kernel's release, "6.14.0-37-generic".
    pub(super) kernel: Option<String>,
}

/// Makes devices.
pub(super) fn devices(cards: Vec<Card>, surroundings: &Surroundings) -> Probe {
    let visible = visible::apply(&cards, surroundings);
    let discrete: Vec<String> =
        cards.iter().filter(|card| !card.integrated).map(|card| card.index.to_string()).collect();
    let links = links(&cards);
    let mut devices = Vec::new();
    for (card, hidden) in cards.into_iter().zip(visible.hidden) {
        let integrated = card.integrated;
        let mut device = device(card, surroundings);
        if let Some(hidden) = hidden {
            (device.usable, device.problem) = (false, Some(hidden));
        } else if integrated && !discrete.is_empty() {
            device.usable = false;
            device.problem = Some(format!(
                "graphics of the processor beside a card, too small and slow to share a model with it; programs leave \
                 it out with `export HIP_VISIBLE_DEVICES={}`",
                discrete.join(",")
            ));
        }
        devices.push(device);
    }
    Probe { devices, links, problems: visible.problems, ..Probe::default() }
}

fn device(card: Card, surroundings: &Surroundings) -> Device {
    let name = card.name.unwrap_or_else(|| match &card.gfx {
        Some(gfx) => format!("AMD GPU ({gfx})"),
        None => "AMD GPU".to_owned(),
    });
    let mut device = Device {
        vendor: VendorId::Amd,
        index: card.index,
        name: match card.partition {
            Some((nth, of)) => format!("{name}, part {} of {of}", nth + 1),
            None => name,
        },
        uuid: card.uuid,
        memory_total_bytes: card.vram.unwrap_or(0),
        memory_free_bytes: free(card.vram, card.vram_used),
        architecture: card.gfx,
        unified: false,
        usable: true,
        problem: None,
    };
    if card.integrated && card.gtt > card.vram {
        // ROCm takes main memory here, up to the GTT's ceiling; the firmware's share does not count.
        device.unified = true;
        device.memory_total_bytes = card.gtt.unwrap_or(0);
        device.memory_free_bytes = free(card.gtt, card.gtt_used);
        if let Some(main) = surroundings.main {
            let free = device.memory_free_bytes.unwrap_or(device.memory_total_bytes);
            device.memory_free_bytes = Some(free.min(main.available_bytes));
        }
    }
    let mut problem = card.problem;
    if problem.is_none() && device.memory_total_bytes == 0 {
        problem = Some("how much memory it has is not told; see `rocm-smi --showmeminfo vram`".to_owned());
    }
    device.usable = problem.is_none();
    device.problem =
        problem.or_else(|| limited_by_kernel(&mut device, surroundings.kernel.as_deref())).or(card.disturbance);
    device
}

fn free(total: Option<u64>, used: Option<u64>) -> Option<u64> {
    Some(total?.saturating_sub(used?))
}

/// Kernels before 6.16.9 give ROCm 15.5 GB on Strix Halo, whatever it has (ROCm issue 5444).
fn limited_by_kernel(device: &mut Device, kernel: Option<&str>) -> Option<String> {
    const LIMIT: u64 = 15_500_000_000;
    const FIXED: [u32; 3] = [6, 16, 9];
    let strix_halo = device.architecture.as_deref() == chip::gfx(110_501).as_deref();
    let kernel = kernel.filter(|_| strix_halo && device.memory_total_bytes > LIMIT)?;
    let numbers: Vec<u32> = kernel.split(['.', '-', '+', '_']).map_while(|part| part.parse().ok()).take(3).collect();
    if numbers.len() < 2 || numbers.as_slice() >= FIXED.as_slice() {
        return None;
    }
    device.memory_total_bytes = LIMIT;
    device.memory_free_bytes = device.memory_free_bytes.map(|free| free.min(LIMIT));
    Some(format!(
        "Linux {kernel} gives ROCm 15.5 GB of it only; install Linux 6.16.9 or newer (`uname -r` shows yours)"
    ))
}

/// Cards of one hive have direct links. Other sources than KFD do not tell hives, so nothing is known there.
fn links(cards: &[Card]) -> Vec<Link> {
    let mut links = Vec::new();
    if cards.iter().all(|card| card.hive.is_none()) {
        return links;
    }
    for (at, a) in cards.iter().enumerate() {
        for b in &cards[at + 1..] {
            let direct = a.hive.is_some() && a.hive == b.hive;
            let (kind, name) = if direct { (LinkKind::Xgmi, "XGMI") } else { (LinkKind::Pcie, "PCIe") };
            let devices = (a.index.min(b.index), a.index.max(b.index));
            links.push(Link { vendor: VendorId::Amd, devices, kind, name: name.to_owned() });
        }
    }
    links
}

//! What `xpu-smi discovery` says: JSON whose numbers are texts, or a table of `Key: value` cells.

use serde_json::{Map, Value};

use super::sysfs::Found;
use crate::hardware::card::Card;
use crate::hardware::rows::{cells, said};

/// One device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Xpu {
    pub(super) card: Card,
    /// Which `/dev/dri/cardN`.
    pub(super) drm: Option<u32>,
    /// `0x7d55`.
    pub(super) id: Option<String>,
}

impl Xpu {
    /// Whether this is the GPU that the kernel showed.
    pub(super) fn is(&self, gpu: &Found) -> bool {
        match (&self.card.bus, &gpu.bus) {
            (Some(mine), Some(other)) => mine.eq_ignore_ascii_case(other),
            _ => self.drm == Some(gpu.card),
        }
    }
}

/// Reads either form.
pub(super) fn parse_discovery(text: &str) -> Vec<Xpu> {
    let listed = |list: &[Value]| {
        let objects = list.iter().filter_map(Value::as_object);
        objects.enumerate().map(|(at, device)| by_json(at, device)).collect()
    };
    match serde_json::from_str::<Value>(text.trim_start_matches('\u{feff}')) {
        Ok(Value::Array(list)) => listed(&list),
        Ok(Value::Object(report)) => match report.get("device_list") {
            Some(Value::Array(list)) => listed(list),
            // `-d 0` prints the device itself.
            _ if report.contains_key("device_name") || report.contains_key("device_id") => vec![by_json(0, &report)],
            _ => Vec::new(),
        },
        _ => by_table(text),
    }
}

fn by_json(at: usize, device: &Map<String, Value>) -> Xpu {
    let field = |name: &str| match device.get(name)? {
        Value::String(text) => said(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let bytes = |name: &str| field(name)?.parse::<u64>().ok();
    let name = field("device_name");
    let id = field("pci_device_id").or_else(|| in_brackets(name.as_deref()?));
    finish(Xpu {
        drm: field("drm_device").and_then(|path| drm(&path)),
        card: Card {
            index: field("device_id").and_then(|id| id.parse().ok()).unwrap_or_else(|| number(at)),
            uuid: field("uuid"),
            bus: field("pci_bdf_address"),
            total: bytes("memory_physical_size_byte").filter(|total| *total > 0),
            free: bytes("memory_free_size_byte"),
            name,
            ..Card::default()
        },
        id,
    })
}

fn by_table(text: &str) -> Vec<Xpu> {
    let mut found: Vec<Xpu> = Vec::new();
    for line in text.lines() {
        let Some(cells) = cells(line) else { continue };
        let [first, fact, ..] = cells.as_slice() else { continue };
        if let Ok(index) = first.parse() {
            found.push(Xpu { card: Card { index, ..Card::default() }, ..Xpu::default() });
        }
        let (Some(xpu), Some((key, value))) = (found.last_mut(), fact.split_once(':')) else { continue };
        let value = said(value);
        match key.trim() {
            "Device Name" => xpu.card.name = value,
            "PCI Device ID" => xpu.id = value,
            "UUID" | "SOC UUID" => xpu.card.uuid = value,
            "PCI BDF Address" => xpu.card.bus = value,
            "DRM Device" => xpu.drm = value.and_then(|path| drm(&path)),
            "Memory Physical Size" => xpu.card.total = value.and_then(|size| mebibytes(&size)),
            _ => {}
        }
    }
    found.into_iter().map(finish).collect()
}

fn finish(mut xpu: Xpu) -> Xpu {
    let shares = match &xpu.card.bus {
        Some(bus) => bus.ends_with(":00:02.0"),
        None => xpu.card.total.is_none() && xpu.id.as_deref().is_some_and(|id| !has_own_memory(id)),
    };
    if shares {
        // What it says then is a share of the system's memory.
        (xpu.card.unified, xpu.card.total, xpu.card.free) = (true, None, None);
    }
    xpu.card.architecture.clone_from(&xpu.id);
    xpu
}

/// The families with memory of their own: DG1, DG2 and Flex, Ponte Vecchio, Battlemage (the kernel's list of PCI ids).
pub(super) fn has_own_memory(id: &str) -> bool {
    let id = id.trim_start_matches("0x").to_ascii_lowercase();
    ["49", "56", "0b", "e2"].iter().any(|family| id.len() == 4 && id.starts_with(family))
}

/// "Intel(R) Graphics [0xe211]".
fn in_brackets(name: &str) -> Option<String> {
    let (_, id) = name.split_once("[0x")?;
    let id = id.strip_suffix(']').filter(|id| id.chars().all(|c| c.is_ascii_hexdigit()))?;
    Some(format!("0x{id}"))
}

fn drm(path: &str) -> Option<u32> {
    path.strip_prefix("/dev/dri/card")?.parse().ok()
}

/// `24480.00 MiB`.
fn mebibytes(size: &str) -> Option<u64> {
    let number = size.strip_suffix("MiB")?.trim();
    number.split('.').next()?.parse::<u64>().ok().filter(|mib| *mib > 0)?.checked_mul(1 << 20)
}

fn number(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

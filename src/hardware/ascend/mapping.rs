//! What `npu-smi info -m` says: which number the runtime has for each chip of each card. And `-t usages`, the memory of
//! one card.

use crate::hardware::rows::said;

/// One chip of the mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mapped {
    pub(super) npu: u32,
    pub(super) chip: u32,
    /// The runtime's number.
    pub(super) logic: u32,
    pub(super) name: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Column {
    Npu,
    Chip,
    Logic,
    Physical,
    Other,
    Name,
}

/// Columns come and go with the version: 25 has `Chip Phy-ID` besides, 950 has that instead of `Chip Logic ID`.
const COLUMNS: [(&str, Column); 7] = [
    ("NPU ID", Column::Npu),
    ("Slot ID", Column::Other),
    ("Chip ID", Column::Chip),
    ("Chip Logic ID", Column::Logic),
    ("Chip Phy-ID", Column::Physical),
    ("Device ID", Column::Other),
    ("Chip Name", Column::Name),
];

/// Reads the mapping. Rows without a logic id are control units (Mcu), no devices.
pub(super) fn parse_mapping(text: &str) -> Vec<Mapped> {
    let mut columns = vec![Column::Npu, Column::Chip, Column::Logic, Column::Name];
    let mut found = Vec::new();
    for line in text.lines() {
        if line.contains("NPU ID") {
            let mut at: Vec<(usize, Column)> =
                COLUMNS.iter().filter_map(|(label, column)| Some((line.find(label)?, *column))).collect();
            at.sort_by_key(|(at, _)| *at);
            columns = at.into_iter().map(|(_, column)| column).collect();
        } else {
            found.extend(row(line, &columns));
        }
    }
    found
}

fn row(line: &str, columns: &[Column]) -> Option<Mapped> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let number = |column: Column| {
        let at = columns.iter().position(|c| *c == column)?;
        words.get(at)?.parse::<u32>().ok()
    };
    let logic = if columns.contains(&Column::Logic) { Column::Logic } else { Column::Physical };
    let name = columns.iter().position(|column| *column == Column::Name);
    Some(Mapped {
        npu: number(Column::Npu)?,
        chip: number(Column::Chip)?,
        logic: number(logic)?,
        name: name.and_then(|at| said(&words.get(at..)?.join(" "))),
    })
}

/// One chip of `npu-smi info -t usages`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) npu: u32,
    pub(super) chip: u32,
    /// Bytes.
    pub(super) total: Option<u64>,
    /// Bytes, as a percentage tells it.
    pub(super) used: Option<u64>,
}

/// Reads it. The chip's number comes after its numbers here, and before them in `-t common`.
pub(super) fn parse_usages(text: &str) -> Vec<Usage> {
    let mut found = Vec::new();
    let (mut npu, mut chip) = (None, None);
    let (mut hbm, mut ddr) = (Capacity::default(), Capacity::default());
    for line in text.lines() {
        let Some((key, value)) = line.split_once(':') else { continue };
        let (key, value) = (key.trim(), value.trim());
        let number = value.parse::<u64>().ok();
        match key {
            "HBM Capacity(MB)" => hbm.mib = number,
            "HBM Usage Rate(%)" => hbm.percent = number,
            "DDR Capacity(MB)" => ddr.mib = number,
            "DDR Usage Rate(%)" => ddr.percent = number,
            "NPU ID" | "Chip ID" => {
                let this = value.parse::<u32>().ok();
                let before = chip.or(if key == "Chip ID" { this } else { Some(0) });
                let told = hbm.mib.is_some() || ddr.mib.is_some();
                if let (true, Some(npu), Some(chip)) = (told, npu, before) {
                    found.push(usage(npu, chip, hbm, ddr));
                    (hbm, ddr) = Default::default();
                }
                let waits = !told || chip.is_some();
                chip = this.filter(|_| key == "Chip ID" && waits);
                if key == "NPU ID" {
                    (npu, hbm, ddr) = (this, Capacity::default(), Capacity::default());
                }
            }
            _ => {}
        }
    }
    if let (Some(npu), true) = (npu, hbm.mib.is_some() || ddr.mib.is_some()) {
        found.push(usage(npu, chip.unwrap_or(0), hbm, ddr));
    }
    found
}

#[derive(Clone, Copy, Default)]
struct Capacity {
    mib: Option<u64>,
    percent: Option<u64>,
}

fn usage(npu: u32, chip: u32, hbm: Capacity, ddr: Capacity) -> Usage {
    // A chip with HBM keeps the DDR for its control processors.
    let memory = if hbm.mib.is_some() { hbm } else { ddr };
    let total = memory.mib.filter(|mib| *mib > 0).and_then(|mib| mib.checked_mul(1 << 20));
    let share = |total: u64| Some(total / 100 * memory.percent?.min(100));
    Usage { npu, chip, total, used: total.and_then(share) }
}

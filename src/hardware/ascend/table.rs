//! The table that `npu-smi info` draws: two rows a chip, then a table of processes. Separators, widths, indents and
//! blanks differ between versions (24.1 to 26 were seen), so it goes by cells and headers.

use crate::hardware::load::Gauge;
use crate::hardware::rows::{after, amount, cells, is_bus, numbered, pairs, said};

/// What the table says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) version: Option<String>,
    pub(super) chips: Vec<Chip>,
    pub(super) holders: Vec<Holder>,
    /// The header has a `Phy-ID` column: cards of two dies (A3).
    pub(super) two_dies: bool,
}

/// One chip (on A3: one die).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Chip {
    /// The card's number as printed; it has gaps and may be 224 or 32768.
    pub(super) npu: u32,
    /// Which chip of the card.
    pub(super) chip: Option<u32>,
    /// The `Device` or `Phy-ID` column, where there is one.
    pub(super) device: Option<u32>,
    pub(super) name: Option<String>,
    pub(super) health: Option<String>,
    pub(super) bus: Option<String>,
    /// Bytes.
    pub(super) total: Option<u64>,
    /// Bytes.
    pub(super) used: Option<u64>,
    /// The power, temperature and AICore columns.
    pub(super) gauge: Gauge,
}

/// A process that holds memory of a chip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) npu: u32,
    pub(super) chip: u32,
    pub(super) pid: u32,
    pub(super) name: String,
    pub(super) bytes: Option<u64>,
}

/// Where the memory of a chip is told.
#[derive(Default, Clone, Copy)]
struct Columns {
    ddr: bool,
    hbm: bool,
}

/// Reads the table. A chip whose second row is missing stays, without memory.
pub(super) fn parse_table(text: &str) -> Table {
    let mut table = Table::default();
    let mut columns = Columns::default();
    let mut half: Option<Chip> = None;
    let mut in_processes = false;
    for line in text.lines() {
        let Some(cells) = cells(line) else { continue };
        let (Some(first), second) = (cells.first().copied(), cells.get(1).copied().unwrap_or_default()) else {
            continue;
        };
        if table.version.is_none() && first.starts_with("npu-smi") {
            table.version = after(first, "Version:").map(str::to_owned);
        } else if line.contains("Process id") {
            in_processes = true;
        } else if first.starts_with("Chip") {
            columns = Columns { ddr: line.contains("Memory-Usage"), hbm: line.contains("HBM-Usage") };
            table.two_dies |= first.contains("Phy-ID");
        } else if in_processes {
            table.holders.extend(holder(&cells));
        } else if let Some((number, rest)) = numbered(first) {
            match half.take() {
                // Two first rows in a row: the second row of the chip before was lost.
                Some(chip) if is_health(second) => {
                    table.chips.push(chip);
                    half = Some(started(number, rest, &cells));
                }
                Some(chip) => table.chips.push(finished(chip, number, rest, &cells, columns)),
                None if is_bus(second) => {}
                None => half = Some(started(number, rest, &cells)),
            }
        }
    }
    table.chips.extend(half);
    table
}

fn is_health(cell: &str) -> bool {
    ["OK", "Warning", "Alarm", "Critical", "UNKNOWN"].iter().any(|word| cell.eq_ignore_ascii_case(word))
}

fn started(npu: u32, name: &str, cells: &[&str]) -> Chip {
    let health = cells.get(1).and_then(|health| said(health));
    // `162.8   37   0 / 0`: watts, degrees, pages.
    let mut told = cells.get(2).copied().unwrap_or_default().split_whitespace();
    let watts = told.next().and_then(|word| Gauge::number(word, 'W'));
    let celsius = told.next().and_then(|word| Gauge::number(word, 'C'));
    Chip { npu, name: said(name), health, gauge: Gauge { watts, celsius, ..Gauge::default() }, ..Chip::default() }
}

fn finished(chip: Chip, number: u32, rest: &str, cells: &[&str], columns: Columns) -> Chip {
    let told = cells.get(2..).unwrap_or_default().join(" ");
    let (used, total) = memory(&pairs(&told), columns, chip.name.as_deref()).unwrap_or((None, None));
    let busy_percent = told.split_whitespace().next().and_then(Gauge::percent);
    Chip {
        chip: Some(number),
        gauge: Gauge { busy_percent, ..chip.gauge },
        device: rest.split_whitespace().next().and_then(|word| word.parse().ok()),
        bus: cells.get(1).and_then(|cell| said(cell)),
        used: total.and(used),
        total,
        ..chip
    }
}

type Pair = (Option<u64>, Option<u64>);

/// The pair that is the chip's memory. Next to HBM, the DDR belongs to the control processors, and must not be taken
/// for it when HBM is not told; 310 and 310P have DDR only.
fn memory(pairs: &[Pair], columns: Columns, name: Option<&str>) -> Option<Pair> {
    let known = |pair: &&Pair| pair.1.is_some_and(|total| total > 0);
    if columns.hbm && columns.ddr {
        let hbm = pairs.get(1).filter(known);
        let ddr_only = name.is_some_and(|name| name.trim_start_matches("Ascend").trim().starts_with("310"));
        return hbm.or_else(|| pairs.first().filter(known).filter(|_| ddr_only)).copied();
    }
    pairs.last().filter(known).copied()
}

/// A row of the table of processes: `NPU Chip | pid | name | MB`.
fn holder(cells: &[&str]) -> Option<Holder> {
    let [ids, pid, name, memory, ..] = cells else { return None };
    let (npu, chip) = numbered(ids)?;
    Some(Holder {
        npu,
        chip: chip.parse().ok()?,
        pid: pid.parse().ok()?,
        name: (*name).to_owned(),
        bytes: amount(memory),
    })
}

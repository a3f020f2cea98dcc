//! A recording of `nvidia-smi` in any of its forms.

use super::{Amount, Gpu, Reading, csv, devices, failure, listing, table, topology, xml};
use crate::hardware::{Memory, Probe};

/// Reads it. The machine's environment and its memory do not count: the recording may be another machine's.
pub(super) fn read(text: &str) -> Probe {
    let reading = reading(text);
    if reading.gpus.is_empty() {
        let problem = failure::known(text, None).unwrap_or_else(|| {
            let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("nothing");
            let line: String = line.chars().take(60).collect();
            format!("no card is in this recording of nvidia-smi; it starts with: {line}")
        });
        return Probe { problems: vec![problem], ..Probe::default() };
    }
    devices::devices(&reading, None, true, &Memory::default)
}

fn reading(text: &str) -> Reading {
    if text.contains("<nvidia_smi_log") {
        return xml::parse(text);
    }
    if text.contains("NVIDIA-SMI") && text.contains('|') {
        return table::parse(text);
    }
    if text.contains("(UUID:") {
        return listing::parse(text);
    }
    if let Some(matrix) = topology::parse(text) {
        let gpu = |index: &u32| Gpu { index: *index, memory: Amount::Unknown, ..Gpu::default() };
        return Reading { gpus: matrix.cards.iter().map(gpu).collect(), links: matrix.links, ..Reading::default() };
    }
    if failure::known(text, None).is_some() { Reading::default() } else { csv::parse_unknown(text) }
}

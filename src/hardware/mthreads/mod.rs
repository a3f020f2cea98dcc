//! Moore Threads: the table of `mthreads-gmi`.

#[cfg(test)]
mod tests;

use std::path::Path;

use super::card::{Card, Reading};
use super::load::{Gauge, Load};
use super::rows::{after, amount, is_bus, numbered, said};
use super::tool::{ByTool, Tool, device_files};
use super::{Kind, Probe, Vendor, VendorId};
use crate::host::Host;

/// Detection of Moore Threads GPUs.
pub(super) struct MooreThreads;

const ASKED: ByTool = ByTool {
    vendor: VendorId::MooreThreads,
    called: "Moore Threads GPU",
    tool: Tool { name: "mthreads-gmi", elsewhere: &["/usr/bin/mthreads-gmi", "/usr/local/bin/mthreads-gmi"] },
    args: &[],
    parse: parse_gmi,
    visible: "MUSA_VISIBLE_DEVICES",
    present: |host: &dyn Host| Some(device_files(host, "mtgpu.")).filter(|found| !found.is_empty()),
    files: &["mtgpu."],
    install: "install the Moore Threads driver, which brings it, or in a container add `-v \
              /usr/bin/mthreads-gmi:/usr/bin/mthreads-gmi` to `docker run`",
};

impl Vendor for MooreThreads {
    fn id(&self) -> VendorId {
        VendorId::MooreThreads
    }

    fn probe(&self, host: &dyn Host) -> Probe {
        ASKED.probe(host)
    }

    fn load(&self, host: &dyn Host) -> Vec<Load> {
        ASKED.load(host)
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind { name: "mthreads-gmi", read: |path: &Path| ASKED.recording(path) }]
    }
}

/// Reads the table. A card's first row is its number and name, its bus, its load and `used(total)`; the rows that go on
/// with it have no number.
fn parse_gmi(text: &str) -> Reading {
    let mut reading = Reading::default();
    let mut driver = None;
    for line in text.lines() {
        if line.trim_start().starts_with("Processes") {
            break;
        }
        driver = driver.or_else(|| after(line, "Driver Version").and_then(said));
        let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
        let Some((index, name)) = cells.first().and_then(|cell| numbered(cell)) else {
            // The second row of a card has its temperature.
            if let (Some(card), Some(told)) = (reading.cards.last_mut(), cells.get(2)) {
                card.gauge.celsius = card.gauge.celsius.or_else(|| Gauge::before(told, 'C'));
            }
            continue;
        };
        // "16x(16x)" stands in a row that goes on with a card.
        if cells.len() < 2 || name.is_empty() {
            continue;
        }
        let told = cells.get(1..).unwrap_or_default();
        let memory = told.iter().rev().find_map(|cell| cell.split_whitespace().rev().find_map(used_of_total));
        reading.cards.push(Card {
            index,
            name: said(name),
            bus: told.iter().find(|cell| is_bus(cell)).map(|cell| (*cell).to_owned()),
            used: memory.and_then(|(used, _)| used),
            total: memory.map(|(_, total)| total),
            gauge: Gauge {
                busy_percent: told
                    .iter()
                    .find_map(|cell| Gauge::percent(cell.split_whitespace().next()?.strip_suffix('%')?)),
                ..Gauge::default()
            },
            ..Card::default()
        });
    }
    reading.version("moore threads driver", driver);
    reading
}

/// `662MiB(16384MiB)`.
fn used_of_total(word: &str) -> Option<(Option<u64>, u64)> {
    let (used, total) = word.strip_suffix(')')?.split_once('(')?;
    let total = amount(total).filter(|total| *total > 0 && word.contains("MiB"))?;
    Some((amount(used), total))
}

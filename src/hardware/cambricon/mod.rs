//! Cambricon: the table of `cnmon`.

#[cfg(test)]
mod tests;

use std::path::Path;

use super::card::{Card, Reading};
use super::load::{Gauge, Load};
use super::rows::{cells, is_bus, numbered, pairs, said};
use super::tool::{ByTool, Tool, device_files};
use super::{Kind, Probe, Vendor, VendorId};
use crate::host::Host;

/// Detection of Cambricon MLUs.
pub(super) struct Cambricon;

const ASKED: ByTool = ByTool {
    vendor: VendorId::Cambricon,
    called: "Cambricon MLU",
    tool: Tool { name: "cnmon", elsewhere: &["/usr/bin/cnmon", "/usr/local/neuware/bin/cnmon"] },
    args: &[],
    parse: parse_cnmon,
    visible: "MLU_VISIBLE_DEVICES",
    present: |host: &dyn Host| Some(device_files(host, "cambricon_dev")).filter(|found| !found.is_empty()),
    files: &["cambricon_dev"],
    install: "install the Cambricon driver, which brings it, or in a container add `-v /usr/bin/cnmon:/usr/bin/cnmon` \
              to `docker run`",
};

impl Vendor for Cambricon {
    fn id(&self) -> VendorId {
        VendorId::Cambricon
    }

    fn probe(&self, host: &dyn Host) -> Probe {
        ASKED.probe(host)
    }

    fn load(&self, host: &dyn Host) -> Vec<Load> {
        ASKED.load(host)
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind { name: "cnmon", read: |path: &Path| ASKED.recording(path) }]
    }
}

/// Reads the table: a row with number, name, firmware and bus, then one whose second cell is `used MiB/ total MiB`. The
/// power in its first cell looks the same, and version 4 has virtual memory in its third.
fn parse_cnmon(text: &str) -> Reading {
    let mut reading = Reading::default();
    let mut driver = None;
    let mut open: Option<Card> = None;
    for line in text.lines() {
        let Some(cells) = cells(line) else { continue };
        let (Some(first), second) = (cells.first().copied(), cells.get(1).copied().unwrap_or_default()) else {
            continue;
        };
        if first.starts_with("Process") {
            break;
        }
        driver = driver.or_else(|| version_after_driver(line));
        let started = numbered(first).filter(|(_, rest)| !rest.is_empty() && cells.len() > 2);
        if let Some((index, rest)) = started {
            reading.cards.extend(open.take());
            driver = driver.or_else(|| second.split_whitespace().find_map(version));
            let bus = is_bus(second).then(|| second.to_owned());
            let busy = cells.get(2).and_then(|cell| Gauge::percent(cell.split_whitespace().next()?));
            let gauge = Gauge { busy_percent: busy, ..Gauge::default() };
            open = Some(Card { index, name: name(rest), bus, gauge, ..Card::default() });
        } else if let Some(card) = &mut open
            && let Some((used, total)) = pairs(second).pop()
        {
            card.total = total.filter(|total| *total > 0);
            card.used = card.total.and(used);
            (card.gauge.celsius, card.gauge.watts) = (Gauge::before(first, 'C'), Gauge::before(first, 'W'));
            reading.cards.extend(open.take());
        }
    }
    reading.cards.extend(open);
    reading.version("cambricon driver", driver);
    reading
}

/// What follows the number: the virtual function (`/`: none), the name, the firmware.
fn name(rest: &str) -> Option<String> {
    let mut words = rest.split_whitespace().filter(|word| *word != "/" && version(word).is_none());
    let named = words.clone().find(|word| word.starts_with("MLU"));
    said(named.or_else(|| words.next())?)
}

/// The header has `CNMON v5.10.13   Driver v5.10.13`.
fn version_after_driver(line: &str) -> Option<String> {
    line.split("Driver").nth(1)?.split_whitespace().next().and_then(version)
}

fn version(word: &str) -> Option<String> {
    let number = word.strip_prefix('v')?;
    number.starts_with(|c: char| c.is_ascii_digit()).then(|| number.to_owned())
}

//! MetaX: the table of `mx-smi`, or the list of `mx-smi -L`.

#[cfg(test)]
mod tests;

use std::path::Path;

use super::card::{Card, Reading};
use super::load::{Gauge, Load};
use super::rows::{after, cells, is_bus, numbered, pairs, said};
use super::tool::{ByTool, Tool};
use super::{Kind, Probe, Vendor, VendorId};
use crate::host::Host;

/// Detection of MetaX GPUs.
pub(super) struct MetaX;

const ASKED: ByTool = ByTool {
    vendor: VendorId::MetaX,
    called: "MetaX GPU",
    tool: Tool { name: "mx-smi", elsewhere: &["/opt/mxdriver/bin/mx-smi", "/opt/maca/bin/mx-smi"] },
    args: &[],
    parse: parse_mx_smi,
    // Its runtime passes for CUDA.
    visible: "CUDA_VISIBLE_DEVICES",
    // The control file does not say how many there are.
    present: |host: &dyn Host| host.exists(Path::new("/dev/mxcd")).then(Vec::new),
    files: &["mxcd"],
    install: "install the MetaX driver, which brings it (into /opt/mxdriver), or in a container add `-v \
              /opt/mxdriver:/opt/mxdriver` to `docker run`",
};

impl Vendor for MetaX {
    fn id(&self) -> VendorId {
        VendorId::MetaX
    }

    fn probe(&self, host: &dyn Host) -> Probe {
        ASKED.probe(host)
    }

    fn load(&self, host: &dyn Host) -> Vec<Load> {
        ASKED.load(host)
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind { name: "mx-smi", read: |path: &Path| ASKED.recording(path) }]
    }
}

/// Reads the table: a row with number, name and bus, then one with `used/total MiB`. Since 2.2.9 the first number is
/// the board's, and the GPU's stands in the second cell.
fn parse_mx_smi(text: &str) -> Reading {
    let mut reading = Reading::default();
    let mut versions = [("metax driver", "Kernel Mode Driver Version", None), ("maca", "MACA Version", None)];
    let mut attached = None;
    // The card whose second row is awaited.
    let mut open: Option<Card> = None;
    let mut by_board = false;
    for line in text.lines() {
        for (_, label, version) in &mut versions {
            *version = version.take().or_else(|| after(line, label).and_then(said));
        }
        if line.trim_start().starts_with("Attached GPUs") {
            attached = line.rsplit(':').next().and_then(|count| count.trim().parse::<usize>().ok());
        }
        reading.cards.extend(listed(line));
        let Some(cells) = cells(line) else { continue };
        if cells.first().is_some_and(|cell| cell.starts_with("Process")) {
            break;
        }
        let second = cells.get(1).copied().unwrap_or_default();
        by_board |= cells.first().is_some_and(|cell| cell.starts_with("Board")) && second.starts_with("GPU");
        let bus = cells.iter().find(|cell| is_bus(cell));
        let first = cells.first().and_then(|cell| numbered(cell)).filter(|(_, name)| !name.is_empty());
        if let (Some((index, name)), Some(bus)) = (first, bus) {
            reading.cards.extend(open.take());
            let index = numbered(second).map(|(gpu, _)| gpu).filter(|_| by_board).unwrap_or(index);
            let busy_percent = cells
                .iter()
                .skip(2)
                .find_map(|cell| Gauge::percent(cell.split_whitespace().next()?.strip_suffix('%')?));
            let gauge = Gauge { busy_percent, ..Gauge::default() };
            open = Some(Card { index, name: said(name), bus: Some((*bus).to_owned()), gauge, ..Card::default() });
        } else if let Some(mut card) = open.take() {
            // The power in the first cell is a pair, too.
            let (used, total) = cells.iter().skip(1).find_map(|cell| pairs(cell).pop()).unwrap_or_default();
            card.total = total.filter(|total| *total > 0);
            card.used = card.total.and(used);
            let sensors = cells.first().copied().unwrap_or_default();
            (card.gauge.celsius, card.gauge.watts) = (Gauge::before(sensors, 'C'), Gauge::before(sensors, 'W'));
            card.problem = cells.iter().any(|cell| is_lost(cell)).then(lost);
            reading.cards.push(card);
        }
    }
    reading.cards.extend(open);
    for (name, _, version) in versions {
        reading.version(name, version);
    }
    if let Some(attached) = attached.filter(|attached| *attached != reading.cards.len()) {
        reading.problems.push(format!(
            "`mx-smi` counts {attached} GPUs and shows {}; a lost card is in `sudo dmesg`",
            reading.cards.len()
        ));
    }
    reading
}

/// A line of `mx-smi -L`: `GPU#0  MXC500  0000:06:00.0  Available (UUID: GPU-…)`.
fn listed(line: &str) -> Option<Card> {
    let mut words = line.trim().strip_prefix("GPU#")?.split_whitespace();
    let index = words.next()?.parse().ok()?;
    let words: Vec<&str> = words.collect();
    let bus = words.iter().position(|word| is_bus(word))?;
    let name = words.get(..bus)?.join(" ");
    let uuid = after(line, "UUID").map(|uuid| uuid.trim_end_matches(')').to_owned());
    let problem = words.get(bus + 1).is_some_and(|state| is_lost(state)).then(lost);
    Some(Card {
        index,
        name: said(&name),
        bus: words.get(bus).map(|bus| (*bus).to_owned()),
        uuid,
        problem,
        ..Card::default()
    })
}

fn is_lost(state: &str) -> bool {
    state.eq_ignore_ascii_case("unavailable")
}

fn lost() -> String {
    "`mx-smi` calls it unavailable; see `sudo dmesg`, and reboot if it stays so".to_owned()
}

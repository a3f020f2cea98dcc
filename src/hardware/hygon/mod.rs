//! Hygon DCU: `hy-smi`, AMD's `rocm-smi` under another name and with other words.

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use super::card::{Card, Reading};
use super::holders::{is_denied, join_its_group};
use super::load::{Gauge, Load};
use super::rows::said;
use super::tool::{ByTool, Tool};
use super::{Kind, Probe, Vendor, VendorId};
use crate::host::{Host, Os};

/// Detection of Hygon DCUs.
pub(super) struct Hygon;

const ASKED: ByTool = ByTool {
    vendor: VendorId::Hygon,
    called: "Hygon DCU",
    tool: Tool { name: "hy-smi", elsewhere: &["/opt/hyhal/bin/hy-smi", "/usr/local/hyhal/bin/hy-smi"] },
    args: &["--showmeminfo", "vram", "--showproductname", "--json"],
    parse: parse_hy_smi,
    visible: "HIP_VISIBLE_DEVICES",
    present,
    // Looked at apart: they are no files per card.
    files: &[],
    install: "install Hygon's driver and DTK, which bring it, or in a container add `-v /opt/hyhal:/opt/hyhal` to \
              `docker run`",
};

/// Older releases name the tool as AMD does.
const BY_ITS_OLD_NAME: ByTool =
    ByTool { tool: Tool { name: "rocm-smi", elsewhere: &["/opt/dtk/bin/rocm-smi"] }, ..ASKED };

/// The numbers of the DCUs that the kernel shows, as AMD's driver shows cards; where it shows none, /dev/mkfd (next to
/// /dev/kfd, which AMD's cards have too) says that there are some.
fn present(host: &dyn Host) -> Option<Vec<u32>> {
    let shown = kfd_count(host);
    if shown > 0 {
        return Some((0..shown).collect());
    }
    host.exists(Path::new("/dev/mkfd")).then(Vec::new)
}

fn kfd_count(host: &dyn Host) -> u32 {
    let nodes = host.entries(Path::new("/sys/class/kfd/kfd/topology/nodes")).unwrap_or_default();
    let dcu = |dir: &PathBuf| {
        let text = host.read(&dir.join("properties")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let value =
            |name: &str| text.lines().find_map(|line| line.trim().strip_prefix(name)?.trim().parse::<u64>().ok());
        value("vendor_id ") == Some(0x1d94) && value("simd_count ") > Some(0)
    };
    u32::try_from(nodes.iter().filter(|dir| dcu(dir)).count()).unwrap_or(u32::MAX)
}

impl Vendor for Hygon {
    fn id(&self) -> VendorId {
        VendorId::Hygon
    }

    fn probe(&self, host: &dyn Host) -> Probe {
        if host.os() != Os::Linux {
            return Probe::default();
        }
        let renamed =
            ASKED.tool.find(host).is_none() && present(host).is_some() && BY_ITS_OLD_NAME.tool.find(host).is_some();
        let mut probe = if renamed { BY_ITS_OLD_NAME.probe(host) } else { ASKED.probe(host) };
        let denied = ["/dev/kfd", "/dev/mkfd"].into_iter().find(|path| is_denied(host, Path::new(path)));
        if let Some(path) = denied {
            for device in probe.devices.iter_mut().filter(|device| device.usable) {
                device.usable = false;
                device.problem = Some(join_its_group(path));
            }
        }
        probe
    }

    fn load(&self, host: &dyn Host) -> Vec<Load> {
        let loads = ASKED.load(host);
        if loads.is_empty() && present(host).is_some() { BY_ITS_OLD_NAME.load(host) } else { loads }
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind { name: "hy-smi", read: |path: &Path| ASKED.recording(path) }]
    }
}

/// Reads the JSON, or the lines that come without `--json` (`HCU[0] : vram Total Memory (MiB): 65520`), or the table
/// that comes without any argument and says the memory in percent only. All may come after warnings.
fn parse_hy_smi(text: &str) -> Reading {
    let mut cards: Vec<Card> = Vec::new();
    let mut driver = None;
    for fact in text.find('{').map(|at| facts(&text[at..])).unwrap_or_default() {
        match fact.of.strip_prefix("card").and_then(|number| number.parse::<u32>().ok()) {
            Some(index) => tell(&mut cards, index, fact.key, fact.value),
            None if fact.key.eq_ignore_ascii_case("driver version") => driver = said(fact.value),
            None => {}
        }
    }
    if cards.is_empty() {
        let mut in_table = false;
        for line in text.lines() {
            let word = line.split_whitespace().next().unwrap_or_default();
            in_table |= line.contains("VRAM%") && ["HCU", "DCU"].contains(&word);
            if let (true, Ok(index)) = (in_table, word.parse()) {
                tell(&mut cards, index, "", "");
            }
            let Some((what, value)) = line.rsplit_once(':') else { continue };
            if let Some((index, key)) = line_of_card(what) {
                tell(&mut cards, index, key, value);
            } else if what.trim().eq_ignore_ascii_case("driver version") {
                driver = said(value);
            }
        }
    }
    cards.sort_by_key(|card| card.index);
    let mut reading = Reading { cards, ..Reading::default() };
    reading.version("hygon driver", driver);
    reading
}

/// One fact of the JSON: of which object, its name, its value.
struct Fact<'a> {
    of: &'a str,
    key: &'a str,
    value: &'a str,
}

/// Reads `{"card0": {"key": "value" …} …}`. Recent versions leave out commas between facts and name several the empty
/// name, so it is not quite JSON, and only texts in quotes count. An object without facts has one without name.
fn facts(text: &str) -> Vec<Fact<'_>> {
    let mut found = Vec::new();
    let (mut of, mut key, mut last) = ("", None, "");
    // Between quotes is text, outside of them is structure. Nothing is escaped in what the tool prints.
    for (at, part) in text.split('"').enumerate() {
        if at % 2 == 1 {
            match key.take() {
                Some(key) => found.push(Fact { of, key, value: part }),
                None => last = part,
            }
            continue;
        }
        for mark in part.chars() {
            match mark {
                ':' => key = Some(last),
                '{' if key.take().is_some() => {
                    of = last;
                    found.push(Fact { of, key: "", value: "" });
                }
                ',' => key = None,
                '}' => (of, key) = ("", None),
                _ => {}
            }
        }
    }
    found
}

/// `HCU[0]   : vram Total Memory (MiB)`.
fn line_of_card(what: &str) -> Option<(u32, &str)> {
    let (card, key) = what.split_once(':')?;
    let (kind, number) = card.trim().strip_suffix(']')?.split_once('[')?;
    let known = ["HCU", "DCU", "GPU"].contains(&kind.trim());
    Some((number.trim().parse().ok().filter(|_| known)?, key.trim()))
}

/// Notes one fact about a card. Versions differ in capitals, and in bytes or MiB.
fn tell(cards: &mut Vec<Card>, index: u32, key: &str, value: &str) {
    let key = key.trim().to_ascii_lowercase();
    let bytes = || {
        let unit = if key.ends_with("(mib)") { 1 << 20 } else { 1 };
        value.trim().parse::<u64>().ok()?.checked_mul(unit)
    };
    let at = cards.iter().position(|card| card.index == index).unwrap_or(cards.len());
    if at == cards.len() {
        cards.push(Card { index, ..Card::default() });
    }
    let Some(card) = cards.get_mut(at) else { return };
    if key.starts_with("vram total memory (") {
        card.total = bytes().filter(|total| *total > 0);
    } else if key.starts_with("vram total used memory (") || key.starts_with("vram used memory (") {
        card.used = bytes();
    } else if key == "dcu use (%)" || key == "hcu use (%)" {
        card.gauge.busy_percent = Gauge::percent(value);
    } else if key == "temperature (sensor edge) (c)" {
        card.gauge.celsius = Gauge::number(value, 'C');
    } else if key == "average graphics package power (w)" {
        card.gauge.watts = Gauge::number(value, 'W');
    } else if key == "card series" {
        card.name = said(value);
    } else if key == "unique id" {
        card.uuid = said(value);
    }
}

//! Windows: adapters in the registry. What WMI calls AdapterRAM is a 32-bit number that stops below 4 GiB; the driver
//! writes the whole number into `HardwareInformation.qwMemorySize`.

use std::path::Path;

use super::{Card, TIME_LIMIT};
use crate::hardware::{Device, Probe, VendorId};
use crate::host::Host;

/// The class of display adapters.
const CLASS: &str = r"HKLM\SYSTEM\CurrentControlSet\Control\Class\{4d36e968-e325-11ce-bfc1-08002be10318}";

/// AMD's adapters.
pub(super) fn read(host: &dyn Host) -> Vec<Card> {
    let ask = |value: &str| {
        // It ends with an error when one of the keys may not be read; what it printed counts.
        let ran = host.run(Path::new("reg"), &["query", CLASS, "/s", "/v", value], TIME_LIMIT);
        ran.map(|ran| ran.stdout).unwrap_or_default()
    };
    let names = ask("DriverDesc");
    let sizes = ask("HardwareInformation.qwMemorySize");
    let sizes = values(&sizes);
    let mut cards = Vec::new();
    for (key, name) in values(&names) {
        if vendor(name) != Some(VendorId::Amd) {
            continue;
        }
        let size = sizes.iter().find(|(other, _)| *other == key).and_then(|(_, size)| super::chip::hex(size));
        cards.push(Card {
            index: u32::try_from(cards.len()).unwrap_or(u32::MAX),
            name: Some(name.to_owned()),
            vram: size.filter(|bytes| *bytes > 0),
            integrated: is_integrated(name),
            ..Card::default()
        });
    }
    cards
}

/// `reg query` prints a key on a line of its own, and below it `    NAME    TYPE    VALUE`.
fn values(text: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut key = "";
    for line in text.lines() {
        if line.starts_with("HKEY_") {
            key = line.trim();
        } else if let Some((_, typed)) = line.split_once("    REG_")
            && let Some((_, value)) = typed.split_once("    ")
        {
            found.push((key, value.trim()));
        }
    }
    found
}

/// `name|bytes`, a line per adapter, as a script over `Win32_VideoController` prints it.
pub(super) fn adapters(text: &str) -> Probe {
    /// 4 GiB less 1 MiB: the most that AdapterRAM says.
    const CAP: u64 = 0xFFF0_0000;
    let mut probe = Probe::default();
    for line in text.lines() {
        let (name, size) = line.split_once('|').unwrap_or((line, ""));
        let Some(vendor) = vendor(name) else { continue };
        let total = size.trim().parse::<u64>().ok().filter(|bytes| *bytes != CAP && *bytes > 0);
        probe.devices.push(Device {
            vendor,
            index: u32::try_from(probe.devices.len()).unwrap_or(u32::MAX),
            name: name.trim().to_owned(),
            uuid: None,
            memory_total_bytes: total.unwrap_or(0),
            memory_free_bytes: None,
            architecture: None,
            unified: is_integrated(name),
            usable: total.is_some(),
            problem: total
                .is_none()
                .then(|| "how much memory it has is not told (AdapterRAM stops below 4 GiB); see `dxdiag`".to_owned()),
        });
    }
    if probe.devices.is_empty() {
        probe.problems.push("no adapter is in this recording; its lines are NAME|BYTES".to_owned());
    }
    probe
}

fn vendor(name: &str) -> Option<VendorId> {
    let has = |word: &str| name.to_ascii_lowercase().contains(word);
    if has("nvidia") || has("geforce") {
        Some(VendorId::Nvidia)
    } else if has("amd ") || has("radeon") {
        Some(VendorId::Amd)
    } else {
        None
    }
}

/// AMD names a processor's graphics "… Graphics", and no card so.
fn is_integrated(name: &str) -> bool {
    vendor(name) == Some(VendorId::Amd) && name.trim_end().ends_with("Graphics")
}

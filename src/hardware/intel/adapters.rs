//! What Windows says about display adapters: the registry, where drivers write the size of their memory, or where that
//! cannot be read WMI, whose number ends at 4 GiB.

use std::path::Path;
use std::time::Duration;

use super::xpu_smi::has_own_memory;
use super::{CALLED, share};
use crate::hardware::card::{Card, Reading};
use crate::hardware::rows::said;
use crate::hardware::{Probe, VendorId};
use crate::host::Host;

/// The class of display adapters.
const CLASS: &str = r"HKLM\SYSTEM\CurrentControlSet\Control\Class\{4d36e968-e325-11ce-bfc1-08002be10318}";
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// `AdapterRAM` has 32 bits; drivers write this for anything bigger.
const CAP: u64 = 0xFFF0_0000;

/// One adapter, of any vendor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Adapter {
    pub(super) name: Option<String>,
    /// `PCI\VEN_8086&DEV_56A0`.
    pub(super) matching: Option<String>,
    /// Bytes.
    pub(super) total: Option<u64>,
}

/// Intel's adapters.
pub(super) fn probe(host: &dyn Host) -> Probe {
    let registry = host.run(Path::new("reg"), &["query", CLASS, "/s"], TIME_LIMIT);
    let mut adapters = registry.map(|ran| parse_registry(&ran.stdout)).unwrap_or_default();
    if adapters.is_empty() {
        let script = "Get-CimInstance Win32_VideoController | ForEach-Object { \"$($_.Name)|$($_.AdapterRAM)\" }";
        let listed = host.run(Path::new("powershell"), &["-NoProfile", "-Command", script], TIME_LIMIT);
        adapters = listed.map(|ran| parse_list(&ran.stdout)).unwrap_or_default();
    }
    let mut cards: Vec<Card> =
        adapters.iter().filter(|adapter| adapter.is_intel()).map(|adapter| card(adapter, host)).collect();
    // The runtime counts cards with memory of their own first.
    cards.sort_by_key(|card| card.unified);
    for (index, card) in (0..).zip(&mut cards) {
        card.index = index;
    }
    Reading { cards, ..Reading::default() }.probe(VendorId::Intel, CALLED, "install Intel's graphics driver again")
}

impl Adapter {
    fn is_intel(&self) -> bool {
        match &self.matching {
            Some(matching) => matching.to_ascii_uppercase().contains("VEN_8086"),
            None => self.name.as_deref().is_some_and(|name| name.starts_with("Intel")),
        }
    }

    /// `0x56a0`.
    fn id(&self) -> Option<String> {
        let matching = self.matching.as_deref()?.to_ascii_uppercase();
        let (_, id) = matching.split_once("DEV_")?;
        let id = id.get(..4).filter(|id| id.chars().all(|c| c.is_ascii_hexdigit()))?;
        Some(format!("0x{}", id.to_ascii_lowercase()))
    }
}

fn card(adapter: &Adapter, host: &dyn Host) -> Card {
    let id = adapter.id();
    let mut card =
        Card { name: adapter.name.clone(), total: adapter.total, architecture: id.clone(), ..Card::default() };
    if id.is_some_and(|id| !has_own_memory(&id)) {
        share(&mut card, host);
    }
    card
}

/// Reads `reg query CLASS /s`: a line with the key, then lines of name, type and value.
pub(super) fn parse_registry(text: &str) -> Vec<Adapter> {
    let mut found: Vec<Adapter> = Vec::new();
    let mut in_adapter = false;
    for line in text.lines() {
        if line.starts_with("HKEY_") {
            // Adapters are 0000, 0001, …; below them and beside them is something else.
            let key = line.trim_end().rsplit('\\').next().unwrap_or_default();
            in_adapter = key.len() == 4 && key.chars().all(|c| c.is_ascii_digit());
            found.extend(in_adapter.then(Adapter::default));
            continue;
        }
        let (true, Some(adapter)) = (in_adapter, found.last_mut()) else { continue };
        let Some((name, (_, value))) = line.trim().split_once("  ").map(|(name, rest)| {
            (name.trim(), rest.trim().split_once(char::is_whitespace).unwrap_or((rest.trim(), "")))
        }) else {
            continue;
        };
        match name {
            "DriverDesc" => adapter.name = said(value),
            "MatchingDeviceId" => adapter.matching = said(value),
            "HardwareInformation.qwMemorySize" => adapter.total = hexadecimal(value),
            _ => {}
        }
    }
    found.retain(|adapter| adapter.name.is_some());
    found
}

fn hexadecimal(value: &str) -> Option<u64> {
    let digits = value.trim().strip_prefix("0x")?;
    u64::from_str_radix(digits, 16).ok().filter(|bytes| *bytes > 0)
}

/// Reads lines of name and `AdapterRAM` with a bar between. A line that has something else there is no adapter.
pub(super) fn parse_list(text: &str) -> Vec<Adapter> {
    let adapter = |line: &str| {
        let (name, memory) = line.rsplit_once('|')?;
        let memory = memory.trim();
        let bytes = if memory.is_empty() { None } else { Some(memory.parse::<u64>().ok()?) };
        Some(Adapter {
            name: Some(said(name)?),
            matching: None,
            total: bytes.filter(|bytes| *bytes > 0 && *bytes != CAP),
        })
    };
    text.lines().filter_map(adapter).collect()
}

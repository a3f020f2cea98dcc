//! Apple silicon: the GPU shares the system's memory and may use part of it. `sysctl` says how much there is, the I/O
//! registry how many cores. A Mac with an Intel processor has nothing here that an engine would use.

#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::card::{Card, Reading};
use super::load::{Gauge, Load};
use super::tool::recording;
use super::{Kind, Probe, Vendor, VendorId, memory};
use crate::host::{Host, Os};

/// Detection of Apple silicon.
pub(super) struct Apple;

const CALLED: &str = "Apple GPU";
const CURE: &str = "look at `sysctl hw.memsize`";
const TIME_LIMIT: Duration = Duration::from_secs(5);
const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

/// What `sysctl` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Sysctl {
    /// Main memory, bytes.
    memory: Option<u64>,
    /// "Apple M3 Max".
    chip: Option<String>,
    /// An ARM processor, which on a Mac is Apple's.
    arm: bool,
    /// What the user lets the GPU have, MiB; 0: the system decides.
    wired_limit_mib: Option<u64>,
}

impl Vendor for Apple {
    fn id(&self) -> VendorId {
        VendorId::Apple
    }

    fn probe(&self, host: &dyn Host) -> Probe {
        if host.os() != Os::Macos {
            return Probe::default();
        }
        let names = [
            "hw.memsize",
            "machdep.cpu.brand_string",
            "hw.optional.arm64",
            "iogpu.wired_limit_mb",
            "debug.iogpu.wired_limit",
        ];
        // Names this macOS does not know make it fail, after it printed the others.
        let said = match host.run(Path::new("/usr/sbin/sysctl"), &names, TIME_LIMIT) {
            Ok(ran) => ran.stdout,
            Err(error) => {
                let problem = format!("`sysctl` cannot be run: {error}; try `/usr/sbin/sysctl hw.memsize`");
                return Probe { problems: vec![problem], ..Probe::default() };
            }
        };
        let Some(mut card) = card(&parse_sysctl(&said)) else { return Probe::default() };
        let available = memory::of_system(host).available_bytes;
        card.free = card.total.filter(|_| available > 0).map(|total| total.min(available));
        let mut reading = Reading { cards: vec![card], ..Reading::default() };
        // system_profiler knows it too, and takes seconds.
        let registry = host.run(Path::new("/usr/sbin/ioreg"), &["-rc", "AGXAccelerator"], TIME_LIMIT);
        reading.version("apple gpu cores", registry.ok().and_then(|ran| parse_registry(&ran.stdout)));
        reading.probe(VendorId::Apple, CALLED, CURE)
    }

    fn load(&self, host: &dyn Host) -> Vec<Load> {
        if host.os() != Os::Macos {
            return Vec::new();
        }
        let asked = ["-r", "-d", "1", "-w", "0", "-c", "IOAccelerator"];
        let said = host.run(Path::new("/usr/sbin/ioreg"), &asked, TIME_LIMIT);
        said.ok().and_then(|ran| parse_statistics(&ran.stdout)).into_iter().collect()
    }

    fn kinds(&self) -> &'static [Kind] {
        &[
            Kind {
                name: "sysctl",
                read: |path| {
                    recording(path, |text| {
                        let sysctl = parse_sysctl(text);
                        let mut reading = Reading { cards: card(&sysctl).into_iter().collect(), ..Reading::default() };
                        if sysctl == Sysctl::default() {
                            reading
                                .problems
                                .push("this is no answer of `sysctl hw.memsize machdep.cpu.brand_string`".to_owned());
                        }
                        reading.probe(VendorId::Apple, CALLED, CURE)
                    })
                },
            },
            Kind {
                name: "system-profiler-json",
                read: |path| {
                    recording(path, |text| {
                        parse_displays(text).probe(
                            VendorId::Apple,
                            CALLED,
                            "add what `sysctl hw.memsize machdep.cpu.brand_string` says",
                        )
                    })
                },
            },
        ]
    }
}

/// The accelerator's `PerformanceStatistics` in the I/O registry, as tools that watch a Mac's GPU without root read it.
fn parse_statistics(text: &str) -> Option<Load> {
    let value = |name: &str| {
        let rest = text.split_once(&format!("\"{name}\"="))?.1;
        rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())].parse::<u64>().ok()
    };
    let busy_percent = value("Device Utilization %").and_then(|busy| u8::try_from(busy).ok());
    let used_bytes = value("In use system memory");
    (busy_percent.is_some() || used_bytes.is_some()).then(|| Load {
        vendor: VendorId::Apple,
        index: 0,
        uuid: None,
        total_bytes: None,
        used_bytes,
        gauge: Gauge { busy_percent, ..Gauge::default() },
    })
}

/// Reads `name: value` lines; a bare number is `sysctl -n hw.memsize`.
fn parse_sysctl(text: &str) -> Sysctl {
    let mut found = Sysctl::default();
    let (mut limit, mut old_limit) = (None, None);
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let Some((name, value)) = line.split_once([':', '=']) else {
            if line.starts_with("Apple ") {
                found.chip = Some(line.to_owned());
            } else {
                found.memory = found.memory.or_else(|| line.parse().ok());
            }
            continue;
        };
        let value = value.trim();
        match name.trim() {
            "hw.memsize" => found.memory = value.parse().ok(),
            "machdep.cpu.brand_string" => found.chip = Some(value.to_owned()).filter(|chip| !chip.is_empty()),
            "hw.optional.arm64" => found.arm = value == "1",
            "iogpu.wired_limit_mb" => limit = value.parse().ok(),
            // Before macOS 14, and there in bytes or MiB depending on the version: only told apart by size.
            "debug.iogpu.wired_limit" => {
                old_limit = value.parse::<u64>().ok().map(|n| if n > GIB { n / MIB } else { n })
            }
            _ => {}
        }
    }
    found.memory = found.memory.filter(|bytes| *bytes > 0);
    found.wired_limit_mib = limit.or(old_limit);
    found
}

/// The GPU of an Apple chip.
fn card(sysctl: &Sysctl) -> Option<Card> {
    let name = sysctl.chip.clone().filter(|chip| chip.starts_with("Apple "));
    if name.is_none() && !sysctl.arm {
        return None;
    }
    let architecture = name.as_deref().and_then(|name| name.strip_prefix("Apple ")).map(str::to_owned);
    let total = sysctl.memory.map(|memory| usable(memory, sysctl.wired_limit_mib));
    Some(Card { name, architecture, total, unified: true, ..Card::default() })
}

/// What the GPU of a Mac with `memory` bytes may use, unless its owner says otherwise.
pub(in crate::hardware) fn share(memory: u64) -> u64 {
    usable(memory, None)
}

/// What the GPU may use of `memory` bytes: the limit the user set, else two thirds up to 36 GB and three quarters
/// above, which is what Metal recommends as the largest working set on such machines (a rule of the community; Metal
/// itself is not asked).
fn usable(memory: u64, wired_limit_mib: Option<u64>) -> u64 {
    match wired_limit_mib.filter(|mib| *mib > 0) {
        Some(mib) => mib.saturating_mul(MIB).min(memory),
        None if memory <= 36 * GIB => memory / 3 * 2,
        None => memory / 4 * 3,
    }
}

/// `"gpu-core-count" = 14`.
fn parse_registry(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.contains("\"gpu-core-count\""))?;
    let cores: u32 = line.rsplit('=').next()?.trim().parse().ok()?;
    Some(cores.to_string())
}

/// Reads `system_profiler SPDisplaysDataType -json`: name and cores of Apple's GPU. It does not say the memory.
fn parse_displays(text: &str) -> Reading {
    let mut reading = Reading::default();
    let Ok(Value::Object(report)) = serde_json::from_str::<Value>(text.trim_start_matches('\u{feff}')) else {
        reading.problems.push("this is no answer of `system_profiler SPDisplaysDataType -json`".to_owned());
        return reading;
    };
    for display in report.get("SPDisplaysDataType").and_then(Value::as_array).into_iter().flatten() {
        let field = |name: &str| display.get(name).and_then(Value::as_str);
        let name = field("sppci_model").or_else(|| field("_name"));
        let by_vendor = field("spdisplays_vendor").is_some_and(|vendor| vendor.ends_with("vendor_Apple"));
        if !by_vendor && !name.is_some_and(|name| name.starts_with("Apple ")) {
            continue;
        }
        let cores = display.get("sppci_cores");
        let cores = cores.and_then(|cores| cores.as_u64().or_else(|| cores.as_str()?.trim().parse().ok()));
        reading.version("apple gpu cores", cores.map(|cores| cores.to_string()));
        reading.cards.push(Card {
            index: u32::try_from(reading.cards.len()).unwrap_or(u32::MAX),
            name: name.map(str::to_owned),
            architecture: name.and_then(|name| name.strip_prefix("Apple ")).map(str::to_owned),
            unified: true,
            ..Card::default()
        });
    }
    reading
}

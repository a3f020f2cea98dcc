//! Huawei Ascend: the device files say that there are NPUs, `npu-smi` says the rest, files say the versions of driver
//! and CANN. The rules are proved by recorded outputs of npu-smi 24.1 to 25.5.

mod mapping;
mod table;
#[cfg(test)]
mod tests;
mod trouble;

use std::path::Path;

use self::mapping::{Mapped, Usage, parse_mapping, parse_usages};
use self::table::{Chip, Holder, Table, parse_table};
use super::card::{Card, Reading};
use super::load::{Gauge, Held, Load};
use super::tool::{Tool, Trouble, device_files, recording};
use super::{Kind, Probe, Vendor, VendorId};
use crate::host::{Host, Os};

/// Detection of Ascend NPUs.
pub(super) struct Ascend;

const TOOL: Tool = Tool { name: "npu-smi", elsewhere: &["/usr/local/sbin/npu-smi", "/usr/local/bin/npu-smi"] };
const CALLED: &str = "Ascend NPU";
const VISIBLE: &str = "ASCEND_RT_VISIBLE_DEVICES";
const CURE: &str = "look at `npu-smi info`";
/// Where driver and CANN are installed.
const HOME: &str = "/usr/local/Ascend";

impl Vendor for Ascend {
    fn id(&self) -> VendorId {
        VendorId::Ascend
    }

    fn probe(&self, host: &dyn Host) -> Probe {
        if host.os() != Os::Linux {
            return Probe::default();
        }
        let files = device_files(host, "davinci");
        let program = TOOL.find(host);
        if files.is_empty() && program.is_none() {
            return without_driver(host);
        }
        let asked = match program {
            None => {
                Err("NPUs are here but `npu-smi` is not; it comes with the driver: install that, or in a container \
                         add `-v /usr/local/bin/npu-smi:/usr/local/bin/npu-smi -v /usr/local/dcmi:/usr/local/dcmi` to \
                         `docker run`"
                    .to_owned())
            }
            Some(program) => ask(host, &program),
        };
        let mut reading = asked.unwrap_or_else(|problem| Reading {
            // /dev/davinciN is numbered by the physical id; the order is the runtime's.
            cards: (0..).zip(&files).map(|(index, _)| Card { index, ..Card::default() }).collect(),
            problems: vec![problem],
            ..Reading::default()
        });
        // The table tells the chips also to who may not use them. Files and rows are both in the order of the chips.
        if reading.cards.len() == files.len() {
            for (card, file) in reading.cards.iter_mut().zip(&files) {
                card.problem = card.problem.take().or_else(|| trouble::held_back(host, *file));
            }
        }
        reading.version("ascend driver", driver(host));
        reading.version("cann", cann(host));
        reading.hide(VISIBLE, host.env(VISIBLE).as_deref());
        reading.probe(VendorId::Ascend, CALLED, CURE)
    }

    fn load(&self, host: &dyn Host) -> Vec<Load> {
        let program = if host.os() == Os::Linux { TOOL.find(host) } else { None };
        let asked = program.and_then(|program| ask(host, &program).ok());
        asked.map(|reading| reading.loads(VendorId::Ascend)).unwrap_or_default()
    }

    fn kinds(&self) -> &'static [Kind] {
        &[
            Kind { name: "npu-smi", read: |path| recording(path, read_info) },
            Kind { name: "npu-smi-mapping", read: |path| recording(path, read_mapping) },
        ]
    }
}

/// Asks the tool; the problem when it has no answer.
fn ask(host: &dyn Host, program: &Path) -> Result<Reading, String> {
    let said = match TOOL.ask(host, program, &["info"]) {
        Ok(text) | Err(Trouble::Refused(_, _, text)) => text,
        Err(trouble) => return Err(trouble.to_string()),
    };
    let table = parse_table(&said);
    if table.chips.is_empty() {
        return Err(trouble::explain(&said));
    }
    // Where the table numbers the chips 0, 1, 2, … there is nothing left to ask.
    let numbered = (0..).zip(&table.chips).all(|(at, chip)| chip.device == Some(at));
    let mapping = if numbered || table.chips.len() == 1 {
        Vec::new()
    } else {
        TOOL.ask(host, program, &["info", "-m"]).map(|text| parse_mapping(&text)).unwrap_or_default()
    };
    Ok(reading(&table, &mapping))
}

/// Makes one reading of the table and the mapping (which may be empty).
fn reading(table: &Table, mapping: &[Mapped]) -> Reading {
    let indices = indices(table, mapping);
    let cards = table.chips.iter().zip(indices).map(|(chip, index)| {
        let mapped = mapping.iter().find(|mapped| mapped.npu == chip.npu && Some(mapped.chip) == chip.chip);
        let by = |name: Option<&str>| generation(name?, table.two_dies);
        Card {
            index,
            name: chip.name.clone(),
            bus: chip.bus.clone(),
            total: chip.total,
            used: chip.used,
            architecture: by(chip.name.as_deref()).or_else(|| by(mapped?.name.as_deref())).map(str::to_owned),
            problem: trouble::unfit(chip.health.as_deref(), chip.npu),
            disturbance: trouble::disturbance(chip, &table.holders),
            gauge: Gauge { holders: holders(chip, &table.holders), ..chip.gauge.clone() },
            ..Card::default()
        }
    });
    let mut reading = Reading { cards: cards.collect(), ..Reading::default() };
    reading.version("npu-smi", table.version.clone());
    reading
}

/// The processes that the table names for a chip.
fn holders(chip: &Chip, holders: &[Holder]) -> Vec<Held> {
    let its = holders.iter().filter(|holder| holder.npu == chip.npu && Some(holder.chip) == chip.chip);
    its.map(|holder| Held { pid: holder.pid, bytes: holder.bytes }).collect()
}

/// The runtime's numbers: the mapping's logic ids, else the table's own column, else the order of the rows. A source
/// that leaves one out, or names one twice, is not believed.
fn indices(table: &Table, mapping: &[Mapped]) -> Vec<u32> {
    let by_mapping = table.chips.iter().map(|chip| {
        mapping
            .iter()
            .find(|mapped| mapped.npu == chip.npu && Some(mapped.chip) == chip.chip)
            .map(|mapped| mapped.logic)
    });
    let by_column = table.chips.iter().map(|chip| chip.device);
    let whole = |indices: Option<Vec<u32>>| {
        let mut sorted = indices.clone()?;
        sorted.sort_unstable();
        sorted.dedup();
        indices.filter(|indices| indices.len() == sorted.len())
    };
    let by_order = || (0..).take(table.chips.len()).collect();
    whole(by_mapping.collect()).or_else(|| whole(by_column.collect())).unwrap_or_else(by_order)
}

/// The chip's generation. A3 (910C) calls itself "Ascend910" and has two dies a card; 910B1 to 910B4 are A2; the first
/// 910 (32 GB, no bf16) is 910A or 910ProA.
fn generation(name: &str, two_dies: bool) -> Option<&'static str> {
    let chip = name.trim().strip_prefix("Ascend").unwrap_or(name).trim_start_matches([' ', '-', '_']);
    let starts = |what: &str| chip.get(..what.len()).is_some_and(|start| start.eq_ignore_ascii_case(what));
    if starts("910B") {
        Some("A2")
    } else if starts("910C") || (chip == "910" && two_dies) || starts("910_93") {
        Some("A3")
    } else if starts("910A") || starts("910Pro") {
        Some("910A")
    } else if starts("310P") {
        Some("310P")
    } else {
        None
    }
}

/// A recording of `npu-smi info`, or of `-t usages`.
fn read_info(text: &str) -> Probe {
    let table = parse_table(text);
    let mut found = reading(&table, &[]);
    if table.chips.is_empty() {
        let usages = parse_usages(text);
        found.cards = (0..).zip(&usages).map(|(index, usage)| by_usage(index, usage)).collect();
        if usages.is_empty() {
            found.problems.push(if trouble::is_failure(text) {
                trouble::explain(text)
            } else {
                "this is no answer of `npu-smi info`".to_owned()
            });
        }
    }
    found.probe(VendorId::Ascend, CALLED, CURE)
}

fn by_usage(index: u32, usage: &Usage) -> Card {
    Card { index, total: usage.total, used: usage.used, ..Card::default() }
}

/// A recording of `npu-smi info -m`: devices without their memory.
fn read_mapping(text: &str) -> Probe {
    let mapping = parse_mapping(text);
    // Two numbered chips on one card, called plainly 910, are the dies of an A3.
    let two_dies = |npu: u32| mapping.iter().filter(|mapped| mapped.npu == npu).count() > 1;
    let card = |mapped: &Mapped| Card {
        index: mapped.logic,
        name: mapped.name.clone(),
        architecture: mapped.name.as_deref().and_then(|name| generation(name, two_dies(mapped.npu))).map(str::to_owned),
        ..Card::default()
    };
    let mut found = Reading { cards: mapping.iter().map(card).collect(), ..Reading::default() };
    if mapping.is_empty() {
        found.problems.push("this is no answer of `npu-smi info -m`".to_owned());
    }
    found.probe(VendorId::Ascend, CALLED, "add what `npu-smi info` says")
}

/// A card on the PCI bus that nothing drives. Huawei also makes display and network chips; accelerators are class 12.
fn without_driver(host: &dyn Host) -> Probe {
    let is = |path: &Path, start: &str| host.read(path).is_ok_and(|bytes| bytes.starts_with(start.as_bytes()));
    let entries = host.entries(Path::new("/sys/bus/pci/devices")).unwrap_or_default();
    let cards =
        entries.iter().filter(|dir| is(&dir.join("vendor"), "0x19e5") && is(&dir.join("class"), "0x12")).count();
    let problem = (cards > 0).then(|| {
        format!(
            "{cards} Ascend cards are on the PCI bus but no driver has them; install the Ascend HDK driver (see `lspci \
             -d 19e5:`), or in a container pass the devices: `docker run --device /dev/davinci0 --device \
             /dev/davinci_manager --device /dev/devmm_svm --device /dev/hisi_hdc …`"
        )
    });
    Probe { problems: problem.into_iter().collect(), ..Probe::default() }
}

fn text(host: &dyn Host, path: &Path) -> Option<String> {
    host.read(path).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn driver(host: &dyn Host) -> Option<String> {
    parse_version(&text(host, &Path::new(HOME).join("driver/version.info"))?)
}

/// CANN says its version in a file of its toolkit, in one of several places.
fn cann(host: &dyn Host) -> Option<String> {
    let named = ["ASCEND_TOOLKIT_HOME", "ASCEND_HOME_PATH"].into_iter().filter_map(|name| host.env(name));
    let mut places: Vec<_> = named.map(std::path::PathBuf::from).collect();
    places.push(Path::new(HOME).join("ascend-toolkit/latest"));
    let installed = host.entries(Path::new(HOME)).unwrap_or_default();
    let is_cann = |dir: &Path| dir.file_name().is_some_and(|name| name.to_string_lossy().starts_with("cann"));
    // The newest is the last by name.
    places.extend(installed.into_iter().rev().filter(|dir| is_cann(dir)));
    places.iter().find_map(|place| {
        ["aarch64-linux", "x86_64-linux"]
            .iter()
            .find_map(|system| parse_version(&text(host, &place.join(system).join("ascend_toolkit_install.info"))?))
    })
}

/// The version in a file of `name=value` lines; the driver writes `Version=`, CANN `version=`.
fn parse_version(text: &str) -> Option<String> {
    let mut lines = text.lines().filter_map(|line| line.split_once('='));
    let (_, version) = lines.find(|(name, _)| name.trim().eq_ignore_ascii_case("version"))?;
    Some(version.trim().to_owned()).filter(|version| !version.is_empty())
}

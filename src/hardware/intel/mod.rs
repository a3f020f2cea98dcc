//! Intel GPUs: the kernel says which there are (`xe` also how much memory), `xpu-smi` what the kernel does not say.
//! Integrated ones share the system's memory.

mod adapters;
mod sysfs;
#[cfg(test)]
mod tests;
mod xpu_smi;

use std::path::Path;

use self::sysfs::Found;
use self::xpu_smi::{Xpu, parse_discovery};
use super::card::{Card, Reading};
use super::holders::{is_absent, is_denied};
use super::tool::{Tool, recording};
use super::{Kind, Probe, Vendor, VendorId, memory};
use crate::host::{Host, Os};

/// Detection of Intel GPUs.
pub(super) struct Intel;

const TOOL: Tool = Tool { name: "xpu-smi", elsewhere: &["/usr/bin/xpu-smi"] };
const CALLED: &str = "Intel GPU";
const CURE: &str = "install Intel's `xpu-smi`, which knows it, or a kernel whose driver for it is `xe`; look at `lspci -nnk -d 8086::0300`";

impl Vendor for Intel {
    fn id(&self) -> VendorId {
        VendorId::Intel
    }

    fn probe(&self, host: &dyn Host) -> Probe {
        match host.os() {
            Os::Linux => on_linux(host),
            Os::Windows => adapters::probe(host),
            Os::Macos => Probe::default(),
        }
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind { name: "xpu-smi-json", read: |path| recording(path, read_discovery) }]
    }
}

fn on_linux(host: &dyn Host) -> Probe {
    let found = sysfs::scan(host);
    if found.is_empty() {
        return Probe::default();
    }
    let mut problems = Vec::new();
    let missing = found.iter().any(|gpu| !gpu.integrated && gpu.total.is_none());
    let told = if missing { ask(host, &mut problems) } else { Vec::new() };
    // The runtime counts cards with memory of their own first.
    let (shared, own): (Vec<&Found>, Vec<&Found>) = found.iter().partition(|gpu| gpu.integrated);
    let cards = (0..).zip(own.into_iter().chain(shared)).map(|(index, gpu)| {
        let mut card = Card { index, ..join(gpu, told.iter().find(|xpu| xpu.is(gpu))) };
        if gpu.integrated {
            share(&mut card, host);
        }
        card.problem = gpu.render.as_deref().and_then(|node| held_back(host, node));
        card
    });
    let cards = cards.collect();
    let mut reading = Reading { cards, problems, ..Reading::default() };
    // Empty is unset; `0.1` is a tile of card 0.
    let mask = host.env("ZE_AFFINITY_MASK").filter(|mask| !mask.is_empty());
    let cards = |mask: &str| {
        let cards: Vec<&str> = mask.split(',').map(|tile| tile.split('.').next().unwrap_or(tile)).collect();
        cards.join(",")
    };
    reading.hide("ZE_AFFINITY_MASK", mask.as_deref().map(cards).as_deref());
    let selector = host.env("ONEAPI_DEVICE_SELECTOR").filter(|selector| !selector.is_empty());
    if let Some(hidden) = selector.as_deref().and_then(selected) {
        reading.hide("ONEAPI_DEVICE_SELECTOR", Some(&hidden));
    }
    reading.probe(VendorId::Intel, CALLED, CURE)
}

/// Why programs cannot open the GPU's device file.
fn held_back(host: &dyn Host, node: &str) -> Option<String> {
    if is_denied(host, Path::new(node)) {
        return Some(format!(
            "you may not open {node}; join its group: `sudo usermod -aG render $USER` (see `ls -l {node}`), then log in \
             again"
        ));
    }
    is_absent(host, Path::new(node))
        .then(|| format!("{node} is not here; in a container start it with `docker run --device /dev/dri`"))
}

/// The numbers that `ONEAPI_DEVICE_SELECTOR` leaves of Level Zero's devices (`level_zero:0,1;opencl:cpu`); `None`: all.
fn selected(selector: &str) -> Option<String> {
    let mut numbers = Vec::new();
    for term in selector.split(';').map(str::trim) {
        let Some((backend, devices)) = term.split_once(':') else { continue };
        // A term with a mark before it takes away what others gave.
        if backend.starts_with('!') {
            return None;
        }
        if !["level_zero", "*"].contains(&backend.trim().to_ascii_lowercase().as_str()) {
            continue;
        }
        for device in devices.split(',').map(str::trim) {
            if device == "*" || device.eq_ignore_ascii_case("gpu") {
                return None;
            }
            // `0.1` is a part of device 0.
            let number = device.split('.').next().unwrap_or(device);
            if number.parse::<u32>().is_ok() {
                numbers.push(number);
            }
        }
    }
    Some(numbers.join(","))
}

/// Asks `xpu-smi` when it is there.
fn ask(host: &dyn Host, problems: &mut Vec<String>) -> Vec<Xpu> {
    let Some(program) = TOOL.find(host) else { return Vec::new() };
    let mut told = match TOOL.ask(host, &program, &["discovery", "-j"]) {
        Ok(text) => parse_discovery(&text),
        Err(trouble) => {
            problems.push(trouble.to_string());
            return Vec::new();
        }
    };
    // The list leaves the memory out; one device's own page has it.
    for xpu in told.iter_mut().filter(|xpu| xpu.card.total.is_none()) {
        let id = xpu.card.index.to_string();
        if let Ok(text) = TOOL.ask(host, &program, &["discovery", "-d", &id, "-j"])
            && let Some(more) = parse_discovery(&text).pop()
        {
            xpu.card.total = more.card.total;
            xpu.card.free = more.card.free;
        }
    }
    told
}

fn join(gpu: &Found, told: Option<&Xpu>) -> Card {
    let told = told.map(|xpu| xpu.card.clone()).unwrap_or_default();
    Card {
        name: told.name.or_else(|| Some(format!("{CALLED} [{}]", gpu.id.as_deref()?))),
        uuid: told.uuid,
        bus: gpu.bus.clone(),
        total: gpu.total.or(told.total),
        free: told.free,
        architecture: gpu.id.clone(),
        ..Card::default()
    }
}

/// An integrated GPU has the system's memory.
fn share(card: &mut Card, host: &dyn Host) {
    let main = memory::of_system(host);
    card.unified = true;
    card.total = Some(main.total_bytes).filter(|total| *total > 0);
    card.free = card.total.and(Some(main.available_bytes));
    card.used = None;
}

/// A recording of `xpu-smi discovery`, with `-j` or without.
fn read_discovery(text: &str) -> Probe {
    let told = parse_discovery(text);
    let mut reading = Reading::default();
    if told.is_empty() {
        reading.problems.push("this is no answer of `xpu-smi discovery -j`".to_owned());
    }
    reading.cards = told.into_iter().map(|xpu| xpu.card).collect();
    reading.probe(VendorId::Intel, CALLED, "record it with `sudo xpu-smi discovery -d 0 -j`, which shows the memory")
}

/// How many adapters either reader of Windows' answers finds, for tests that any text is survived.
#[cfg(test)]
pub(super) fn parse_windows(text: &str) -> usize {
    adapters::parse_registry(text).len().max(adapters::parse_list(text).len())
}

//! What a running engine holds: main memory of its whole process tree, and memory of each device. For `status` and
//! `top`.

use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::hardware::VendorId;
use crate::hardware::load::{self, Load};
use crate::host::RealHost;
use crate::output;
use crate::supervisor::process;

/// Libraries and the kernel answer in milliseconds, some makers' tools only after a second or two: whoever only wants to
/// know what runs does not wait for those longer than this.
const SOON: Duration = Duration::from_secs(1);

/// Memory of one engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    /// Main memory, bytes.
    pub main: Option<u64>,
    /// On each device that tells of it: which, bytes.
    pub devices: Vec<(String, u64)>,
}

/// What the trees below these processes hold, in their order. One look at the machine serves all of them.
pub fn by_engines(engines: &[Option<u32>], loads: &[Load]) -> Vec<Held> {
    let known: Vec<u32> = engines.iter().copied().flatten().collect();
    let mut trees = process::trees(&known).into_iter();
    let held = |engine: &Option<u32>| {
        engine.and_then(|_| trees.next()).map_or_else(Held::default, |tree| Held {
            main: process::memory(&tree),
            devices: loads
                .iter()
                .filter_map(|load| Some((label(load.vendor, load.index), load.held_by(&tree)?)))
                .collect(),
        })
    };
    engines.iter().map(held).collect()
}

/// A question to the devices that is on its way.
pub struct Asked(mpsc::Receiver<Vec<Load>>);

/// Asks how busy the devices are, beside whatever else is done.
pub fn ask() -> Asked {
    let (answer, asked) = mpsc::sync_channel(1);
    std::thread::spawn(move || answer.send(load::loads(&RealHost)));
    Asked(asked)
}

impl Asked {
    /// The answer; nothing when it does not come soon.
    pub fn soon(self) -> Vec<Load> {
        self.0.recv_timeout(SOON).unwrap_or_default()
    }
}

impl Held {
    /// `[{"device": "GPU 0", "bytes": 123}]`.
    pub fn json(&self) -> Value {
        self.devices.iter().map(|(device, bytes)| json!({"device": device, "bytes": bytes})).collect()
    }

    /// `GPU 0 22.1 GiB, GPU 1 22.0 GiB`; `None` when no device tells.
    pub fn text(&self) -> Option<String> {
        let told = |(device, bytes): &(String, u64)| format!("{device} {}", output::bytes(*bytes));
        let told: Vec<String> = self.devices.iter().map(told).collect();
        (!told.is_empty()).then(|| told.join(", "))
    }
}

/// `GPU 0  43 % busy, 60.1 GiB of 80.0 GiB, 54 C, 312 W`, as far as it is told.
pub fn device_text(load: &Load) -> String {
    let memory = load.used_bytes.map(|used| {
        let total = load.total_bytes.map(|total| format!(" of {}", output::bytes(total))).unwrap_or_default();
        format!("{}{total}", output::bytes(used))
    });
    let figures = [
        load.gauge.busy_percent.map(|busy| format!("{busy} % busy")),
        memory,
        load.gauge.celsius.map(|celsius| format!("{celsius} C")),
        load.gauge.watts.map(|watts| format!("{watts} W")),
    ];
    let figures: Vec<String> = figures.into_iter().flatten().collect();
    format!("{}  {}", label(load.vendor, load.index), figures.join(", "))
}

/// A device's short name: `GPU 0`, `NPU 3`.
pub fn label(vendor: VendorId, index: u32) -> String {
    let kind = match vendor {
        VendorId::Ascend => "NPU",
        VendorId::Cambricon => "MLU",
        VendorId::Hygon => "DCU",
        _ => "GPU",
    };
    format!("{kind} {index}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hardware::load::{Gauge, Held as OnDevice};

    #[test]
    fn each_engine_gets_its_own_and_nothing_is_made_up() {
        let me = std::process::id();
        let load = |index, pid, bytes| Load {
            vendor: VendorId::Nvidia,
            index,
            uuid: None,
            total_bytes: None,
            used_bytes: None,
            gauge: Gauge { holders: vec![OnDevice { pid, bytes: Some(bytes) }], ..Gauge::default() },
        };
        let loads = [load(0, me, 7), load(1, u32::MAX - 3, 9)];
        let held = by_engines(&[None, Some(me), Some(u32::MAX - 7)], &loads);
        assert_eq!(held[0], Held::default());
        assert_eq!(held[1].devices, [("GPU 0".to_owned(), 7)]);
        assert!(held[1].main > Some(1 << 20));
        assert_eq!(held[2], Held::default(), "nobody has this number");
        assert_eq!((held[1].text().as_deref(), held[0].text()), (Some("GPU 0 7 B"), None));
        assert_eq!(held[1].json(), json!([{"device": "GPU 0", "bytes": 7}]));
    }

    #[test]
    fn a_device_tells_what_it_knows() {
        let gauge = Gauge { busy_percent: Some(43), celsius: Some(54), watts: Some(312), ..Gauge::default() };
        let mut load = Load {
            vendor: VendorId::Ascend,
            index: 3,
            uuid: None,
            total_bytes: Some(64 << 30),
            used_bytes: Some(3 << 30),
            gauge,
        };
        assert_eq!(device_text(&load), "NPU 3  43 % busy, 3.0 GiB of 64.0 GiB, 54 C, 312 W");
        load = Load { gauge: Gauge::default(), total_bytes: None, ..load };
        assert_eq!(device_text(&load), "NPU 3  3.0 GiB");
    }
}

//! Makes a [`View`] of what is known now and what was known before. Asking takes as long as it takes; whoever watches
//! keys is another thread.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::feed::{self, Known};
use super::requests::Requests;
use super::view::{DeviceRow, Machine, ModelRow, Rates, View, Which};
use crate::commands::held;
use crate::commands::request_log::REQUESTS;
use crate::gateway::Counts;
use crate::hardware::load::{self, Load, Processor};
use crate::hardware::{self, Device, Hardware, VendorId};
use crate::host::RealHost;
use crate::paths::Paths;
use crate::protocol::ids;

/// Rates are those of this long. Tokens are counted when an answer ends, so a shorter time would show bursts.
const WINDOW: Duration = Duration::from_secs(10);

/// Between two looks at the devices; where asking takes long, four times as long as it took.
const DEVICES: Duration = Duration::from_secs(1);

/// What is known of the devices, as far as they have answered.
#[derive(Debug, Default)]
struct Devices {
    hardware: Option<Hardware>,
    loads: Vec<Load>,
}

/// Asks, and remembers what rates need.
pub struct Sampler {
    paths: Paths,
    began: Instant,
    rated: Rated,
    requests: Requests,
    processor: Processor,
    devices: Arc<Mutex<Devices>>,
}

impl Sampler {
    /// Begins to watch. With `keep` devices are asked again and again by a thread of its own; without, once, and this
    /// returns when they have answered.
    pub fn new(paths: &Paths, keep: bool) -> Sampler {
        let devices = Arc::new(Mutex::new(Devices::default()));
        let seen = Arc::clone(&devices);
        let look = move || {
            let hardware = hardware::detect(&RealHost);
            let mut makers: Vec<VendorId> = hardware.devices.iter().map(|device| device.vendor).collect();
            makers.dedup();
            lock(&seen).hardware = Some(hardware);
            while !makers.is_empty() {
                let began = Instant::now();
                let loads = load::loads_of(&RealHost, &makers);
                lock(&seen).loads = loads;
                if !keep {
                    return;
                }
                std::thread::sleep(DEVICES.max(began.elapsed() * 4));
            }
        };
        if keep {
            std::thread::spawn(look);
        } else {
            look();
        }
        Sampler {
            paths: paths.clone(),
            began: Instant::now(),
            rated: Rated::default(),
            requests: Requests::of(&paths.logs().join(REQUESTS)),
            processor: Processor::watch(),
            devices,
        }
    }

    /// How it is now.
    pub fn view(&mut self) -> View {
        let (known, problem) = match feed::ask(&self.paths) {
            Ok(known) => (known, None),
            Err(error) => (Vec::new(), Some(error.to_string())),
        };
        let memory = load::main_memory(&RealHost);
        let machine = Machine {
            busy: self.processor.busy(),
            threads: None,
            used: memory.total_bytes.checked_sub(memory.available_bytes),
            total: Some(memory.total_bytes).filter(|total| *total > 0),
        };
        let requests = self.requests.read(ids::now());
        let at = self.began.elapsed();
        let devices = lock(&self.devices);
        let threads = devices.hardware.as_ref().map(|hardware| hardware.cpu.threads);
        View {
            models: models(known, &mut self.rated, at, &devices.loads),
            devices: rows(devices.hardware.as_ref().map_or(&[][..], |hardware| &hardware.devices), &devices.loads),
            machine: Machine { threads, ..machine },
            requests,
            problem,
        }
    }
}

fn lock(devices: &Mutex<Devices>) -> std::sync::MutexGuard<'_, Devices> {
    devices.lock().unwrap_or_else(PoisonError::into_inner)
}

fn models(known: Vec<Known>, rated: &mut Rated, at: Duration, loads: &[Load]) -> Vec<ModelRow> {
    let engines: Vec<Option<u32>> = known.iter().map(|known| known.row.pid).collect();
    let held = held::by_engines(&engines, loads);
    rated.keep(|which| known.iter().any(|known| known.row.which == *which));
    let row = |(known, held): (Known, held::Held)| ModelRow {
        rates: known.counts.and_then(|counts| rated.rate(&known.row.which, at, &counts)),
        memory: held.main,
        on_devices: held.devices,
        ..known.row
    };
    known.into_iter().zip(held).map(row).collect()
}

/// What was found at first, with what it does now. A MIG instance is part of a card that tells for all of them.
fn rows(devices: &[Device], loads: &[Load]) -> Vec<DeviceRow> {
    let whole = devices.iter().filter(|device| !device.is_instance());
    let row = |device: &Device| {
        let load = loads.iter().find(|load| load.vendor == device.vendor && load.index == device.index);
        let total = load.and_then(|load| load.total_bytes).or(Some(device.memory_total_bytes).filter(|n| *n > 0));
        // What detection saw may be hours old: it is better than nothing only while nothing is told anew.
        let free = if load.is_none() { device.memory_free_bytes } else { None };
        let used = load.and_then(|load| load.used_bytes).or_else(|| total?.checked_sub(free?));
        let gauge = load.map(|load| load.gauge.clone()).unwrap_or_default();
        DeviceRow {
            label: held::label(device.vendor, device.index),
            name: device.name.clone(),
            busy: gauge.busy_percent,
            used,
            total,
            celsius: gauge.celsius,
            watts: gauge.watts,
        }
    };
    whole.map(row).collect()
}

/// When, tokens of prompts, tokens of answers.
type Reading = (Duration, u64, u64);

/// Counters of the last seconds, by model.
#[derive(Debug, Default)]
struct Rated(HashMap<(u32, String), VecDeque<Reading>>);

impl Rated {
    fn keep(&mut self, lives: impl Fn(&Which) -> bool) {
        self.0.retain(|(llmup, model), _| lives(&Which { llmup: *llmup, model: model.clone() }));
    }

    /// Tokens a second from the oldest reading in the window to this one; `None` while there is only one.
    fn rate(&mut self, which: &Which, at: Duration, counts: &Counts) -> Option<Rates> {
        let readings = self.0.entry((which.llmup, which.model.clone())).or_default();
        readings.push_back((at, counts.prompt_tokens, counts.output_tokens));
        // The one just outside of the window stays: from it on the window is whole.
        while readings.get(1).is_some_and(|(second, ..)| at.saturating_sub(*second) >= WINDOW) {
            readings.pop_front();
        }
        let (then, prompt, output) = *readings.front()?;
        let seconds = at.saturating_sub(then).as_secs_f64();
        let rate = |before: u64, now: u64| now.saturating_sub(before) as f64 / seconds;
        (seconds > 0.1)
            .then(|| Rates { prompt: rate(prompt, counts.prompt_tokens), output: rate(output, counts.output_tokens) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hardware::load::Gauge;

    fn counts(prompt_tokens: u64, output_tokens: u64) -> Counts {
        Counts { prompt_tokens, output_tokens, ..Counts::default() }
    }

    #[test]
    fn rates_are_those_of_the_window() {
        let (mut rated, which) = (Rated::default(), Which { llmup: 1, model: "m".into() });
        let second = Duration::from_secs;
        assert_eq!(rated.rate(&which, second(0), &counts(1000, 10)), None, "one reading is none");
        assert_eq!(rated.rate(&which, second(2), &counts(1400, 30)), Some(Rates { prompt: 200.0, output: 10.0 }));
        for at in 3..12 {
            rated.rate(&which, second(at), &counts(1400, 30));
        }
        // What came before the window no longer counts.
        assert_eq!(rated.rate(&which, second(12), &counts(1400, 130)), Some(Rates { prompt: 0.0, output: 10.0 }));
        // Another llmup of the same name begins anew, and so does one that was forgotten.
        let other = Which { llmup: 2, ..which.clone() };
        assert_eq!(rated.rate(&other, second(12), &counts(5, 5)), None);
        rated.keep(|which| which.llmup == 2);
        assert_eq!(rated.rate(&which, second(13), &counts(1400, 130)), None);
        // Counters never go back; a reading that does is no negative rate.
        rated.rate(&which, second(14), &counts(100, 10));
        assert_eq!(rated.rate(&which, second(15), &counts(90, 5)).map(|r| r.output), Some(0.0));
    }

    #[test]
    fn a_device_keeps_its_name_and_gets_its_load() {
        let device = |index, name: &str, uuid: Option<&str>| Device {
            vendor: VendorId::Nvidia,
            index,
            name: name.to_owned(),
            uuid: uuid.map(str::to_owned),
            memory_total_bytes: 100,
            memory_free_bytes: Some(60),
            architecture: None,
            unified: false,
            usable: true,
            problem: None,
        };
        let devices = [device(0, "A", None), device(0, "A MIG 1g", Some("MIG-1")), device(1, "B", None)];
        let gauge = Gauge { busy_percent: Some(7), celsius: Some(50), ..Gauge::default() };
        let load =
            Load { vendor: VendorId::Nvidia, index: 1, uuid: None, total_bytes: None, used_bytes: Some(30), gauge };
        let rows = rows(&devices, &[load]);
        let told: Vec<_> = rows.iter().map(|r| (r.name.as_str(), r.busy, r.used, r.total)).collect();
        assert_eq!(told, [("A", None, Some(40), Some(100)), ("B", Some(7), Some(30), Some(100))]);
        assert_eq!((rows[1].label.as_str(), rows[1].celsius, rows[1].watts), ("GPU 1", Some(50), None));
    }
}

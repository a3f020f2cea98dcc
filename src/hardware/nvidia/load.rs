//! How busy NVIDIA's cards are: the driver's library, kept open because opening it takes longer than all questions
//! together; else two questions to `nvidia-smi`.

use std::ffi::OsStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{OnceLock, mpsc};
use std::time::Duration;

use nvml_wrapper::enum_wrappers::device::TemperatureSensor;
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::{Device, Nvml};

use super::csv::{absent, mebibytes};
use super::{library, smi};
use crate::hardware::VendorId;
use crate::hardware::load::{Gauge, Held, Load};
use crate::host::{Host, Os};

/// A healthy driver answers in milliseconds, the tool in less than a second.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// What the library says, else what the tool says.
pub(super) fn read(host: &dyn Host) -> Vec<Load> {
    match by_library(host.os()) {
        Some(loads) => loads,
        None => by_tool(host).unwrap_or_default(),
    }
}

/// `None`: there is no library. A wedged driver can hold a call for ever, so it is made on a thread that is given up,
/// and while one is out no other follows it.
fn by_library(os: Os) -> Option<Vec<Load>> {
    static OPEN: OnceLock<Option<Nvml>> = OnceLock::new();
    static ASKING: AtomicBool = AtomicBool::new(false);
    if OPEN.get().is_some_and(Option::is_none) {
        return None;
    }
    if ASKING.swap(true, Ordering::SeqCst) {
        return Some(Vec::new());
    }
    let (answer, question) = mpsc::sync_channel(1);
    let asking = move || {
        let nvml = OPEN.get_or_init(|| {
            let open = |place: &&str| Nvml::builder().lib_path(OsStr::new(*place)).init().ok();
            library::places(os).iter().find_map(open)
        });
        let loads = nvml.as_ref().map(loads);
        ASKING.store(false, Ordering::SeqCst);
        let _ = answer.send(loads);
    };
    if std::thread::Builder::new().name("nvml".to_owned()).spawn(asking).is_err() {
        ASKING.store(false, Ordering::SeqCst);
        return None;
    }
    question.recv_timeout(TIME_LIMIT).unwrap_or_else(|_| Some(Vec::new()))
}

fn loads(nvml: &Nvml) -> Vec<Load> {
    let count = nvml.device_count().unwrap_or(0);
    (0..count).filter_map(|index| Some(load(index, &nvml.device_by_index(index).ok()?))).collect()
}

fn load(index: u32, device: &Device<'_>) -> Load {
    let memory = device.memory_info().ok().filter(|memory| memory.total > 0);
    let mut holders = holders(device);
    // A card in MIG mode tells the processes of its instances only through these.
    for instance in 0..device.mig_device_count().unwrap_or(0) {
        holders.extend(device.mig_device_by_index(instance).iter().flat_map(self::holders));
    }
    Load {
        vendor: VendorId::Nvidia,
        index,
        uuid: device.uuid().ok(),
        total_bytes: memory.as_ref().map(|memory| memory.total),
        used_bytes: memory.as_ref().map(|memory| memory.used),
        gauge: Gauge {
            busy_percent: device.utilization_rates().ok().and_then(|rates| u8::try_from(rates.gpu).ok()),
            celsius: device.temperature(TemperatureSensor::Gpu).ok(),
            // Milliwatts.
            watts: device.power_usage().ok().map(|power| power.saturating_add(500) / 1000),
            holders,
        },
    }
}

fn holders(device: &Device<'_>) -> Vec<Held> {
    let running = device.running_compute_processes().unwrap_or_default();
    let held = running.into_iter().map(|process| Held {
        pid: process.pid,
        bytes: match process.used_gpu_memory {
            UsedGpuMemory::Used(bytes) => Some(bytes),
            UsedGpuMemory::Unavailable => None,
        },
    });
    held.collect()
}

/// Names that `nvidia-smi --help-query-gpu` and `--help-query-compute-apps` list.
const GPUS: &str = "--query-gpu=index,uuid,utilization.gpu,memory.used,memory.total,temperature.gpu,power.draw";
const PROGRAMS: &str = "--query-compute-apps=gpu_uuid,pid,used_gpu_memory";
const FORM: &str = "--format=csv,noheader,nounits";

fn by_tool(host: &dyn Host) -> Option<Vec<Load>> {
    let program = smi::find(host)?;
    let ask = |question| {
        let ran = host.run(&program, &[question, FORM], TIME_LIMIT).ok()?;
        (ran.code == Some(0)).then_some(ran.stdout)
    };
    let gpus = ask(GPUS)?;
    Some(parse(&gpus, &ask(PROGRAMS).unwrap_or_default()))
}

/// Reads the two answers.
fn parse(gpus: &str, programs: &str) -> Vec<Load> {
    let cells = |line: &str| line.split(',').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let known = |cell: &String| (!absent(cell)).then(|| cell.clone());
    let held: Vec<(String, Held)> = programs
        .lines()
        .filter_map(|line| match &cells(line)[..] {
            [uuid, pid, bytes] => Some((uuid.clone(), Held { pid: pid.parse().ok()?, bytes: mebibytes(bytes) })),
            _ => None,
        })
        .collect();
    let load = |line: &str| {
        let cells = cells(line);
        let [index, uuid, busy, used, total, celsius, watts] = &cells[..] else { return None };
        let holders = held.iter().filter(|(of, _)| of == uuid).map(|(_, held)| *held).collect();
        let gauge = Gauge {
            busy_percent: Gauge::percent(busy),
            celsius: Gauge::number(celsius, 'C'),
            watts: Gauge::number(watts, 'W'),
            holders,
        };
        Some(Load {
            vendor: VendorId::Nvidia,
            index: index.parse().ok()?,
            uuid: known(uuid),
            total_bytes: mebibytes(total).filter(|total| *total > 0),
            used_bytes: mebibytes(used),
            gauge,
        })
    };
    gpus.lines().filter_map(load).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tool_s_two_answers_become_one() {
        let gpus =
            "0, GPU-aa, 87, 20000, 24576, 61, 312.40\n1, GPU-bb, [N/A], [N/A], [N/A], 40, [Not Supported]\nrubbish\n";
        let programs = "GPU-aa, 4321, 18000\nGPU-aa, 4400, [N/A]\nGPU-cc, 1, 5\nno, process\n";
        let loads = parse(gpus, programs);
        assert_eq!(loads.len(), 2);
        let mib = |n: u64| Some(n << 20);
        assert_eq!((loads[0].used_bytes, loads[0].total_bytes), (mib(20000), mib(24576)));
        let gauge = &loads[0].gauge;
        assert_eq!((gauge.busy_percent, gauge.celsius, gauge.watts), (Some(87), Some(61), Some(312)));
        assert_eq!(loads[0].held_by(&[4321, 4400]), mib(18000));
        // A GB10 tells neither memory nor load.
        assert_eq!((loads[1].total_bytes, loads[1].gauge.busy_percent, loads[1].gauge.watts), (None, None, None));
        assert_eq!((loads[1].gauge.celsius, loads[1].held_by(&[1])), (Some(40), None));
    }
}

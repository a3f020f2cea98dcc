//! How busy the machine is now: what each device computes, holds and draws, and which processes hold its memory. Unlike
//! detection this is asked again and again, so nothing here explains what is wrong: a device that cannot be read is not
//! in the list. Each vendor answers for its own (`Vendor::load`).

use serde::{Deserialize, Serialize};

use super::{Memory, VENDORS, Vendor, VendorId, memory};
use crate::host::Host;

/// One device now. `None`: its vendor does not tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// Who made it.
    pub vendor: VendorId,
    /// Its index, as `Device::index` counts.
    pub index: u32,
    /// The vendor's unique id.
    pub uuid: Option<String>,
    /// All of its memory, bytes.
    pub total_bytes: Option<u64>,
    /// What of it is used, bytes.
    pub used_bytes: Option<u64>,
    /// The rest.
    #[serde(flatten)]
    pub gauge: Gauge,
}

/// What devices show besides their memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gauge {
    /// How much of the time it computed, percent.
    pub busy_percent: Option<u8>,
    /// Degrees Celsius.
    pub celsius: Option<u32>,
    /// Watts.
    pub watts: Option<u32>,
    /// Processes that hold its memory.
    #[serde(skip)]
    pub holders: Vec<Held>,
}

/// What one process holds of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// The process, as the system outside of containers numbers it.
    pub pid: u32,
    /// Bytes.
    pub bytes: Option<u64>,
}

impl Load {
    /// What these processes hold of it together; `None` when it tells of none of them.
    pub fn held_by(&self, pids: &[u32]) -> Option<u64> {
        let theirs = self.gauge.holders.iter().filter(|held| pids.contains(&held.pid));
        theirs.filter_map(|held| held.bytes).fold(None, |sum, bytes| Some(sum.unwrap_or(0_u64).saturating_add(bytes)))
    }
}

impl Gauge {
    /// `43%`, `43 %` or `43`.
    pub(super) fn percent(text: &str) -> Option<u8> {
        text.trim()
            .trim_end_matches('%')
            .trim()
            .parse::<f64>()
            .ok()
            .filter(|p| (0.0..=100.0).contains(p))
            .map(|p| p as u8)
    }

    /// `54C`, `312 W`, `162.8`: the number in front of its unit.
    pub(super) fn number(text: &str, unit: char) -> Option<u32> {
        let number = text.trim().trim_end_matches(unit).trim().parse::<f64>().ok()?;
        (0.0..100_000.0).contains(&number).then(|| number.round() as u32)
    }

    /// The number in front of a unit, in a cell with several: `0%   32C        106 W/ 250 W`.
    pub(super) fn before(text: &str, unit: char) -> Option<u32> {
        Gauge::number(text.split_once(unit)?.0.split_whitespace().last()?, unit)
    }
}

/// Asks all vendors at once. Milliseconds where a library or the kernel answers; as long as its tool takes otherwise.
pub fn loads(host: &dyn Host) -> Vec<Load> {
    of(host, VENDORS)
}

/// Like [`loads`], of these makers only.
pub fn loads_of(host: &dyn Host, makers: &[VendorId]) -> Vec<Load> {
    let asked: Vec<&dyn Vendor> = VENDORS.iter().copied().filter(|vendor| makers.contains(&vendor.id())).collect();
    of(host, &asked)
}

fn of(host: &dyn Host, vendors: &[&dyn Vendor]) -> Vec<Load> {
    std::thread::scope(|scope| {
        let asked: Vec<_> = vendors.iter().map(|vendor| scope.spawn(move || vendor.load(host))).collect();
        asked.into_iter().filter_map(|answer| answer.join().ok()).flatten().collect()
    })
}

/// Main memory now, with the limits of the container respected.
pub fn main_memory(host: &dyn Host) -> Memory {
    memory::read(host)
}

/// The processor's time, from one look to the next.
pub struct Processor(Option<sysinfo::System>);

impl Processor {
    /// The first look.
    pub fn watch() -> Processor {
        let mut processor = Processor(sysinfo::System::new().ok());
        processor.busy();
        processor
    }

    /// How much of it was used since the last look, percent.
    pub fn busy(&mut self) -> Option<u8> {
        let system = self.0.as_mut()?;
        system.refresh_cpu_usage();
        let usage = system.global_cpu_usage();
        usage.is_finite().then(|| usage.clamp(0.0, 100.0).round() as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hardware::recorded::Recorded;
    use crate::hardware::sampled::sample;

    #[test]
    fn figures_are_read_with_their_units_or_not_at_all() {
        assert_eq!(
            [" 95%", "0", "7 %", "N/A", "101%", "-3"].map(Gauge::percent),
            [Some(95), Some(0), Some(7), None, None, None]
        );
        assert_eq!(
            ["54C", "54", "-", "NA", "1e99"].map(|t| Gauge::number(t, 'C')),
            [Some(54), Some(54), None, None, None]
        );
        assert_eq!(Gauge::number("162.8", 'W'), Some(163));
        let cell = "0%   32C        106 W/ 250 W";
        assert_eq!((Gauge::before(cell, 'C'), Gauge::before(cell, 'W')), (Some(32), Some(106)));
        assert_eq!(Gauge::before("51C         71W", 'W'), Some(71));
        assert_eq!((Gauge::before("0%   N/A", 'C'), Gauge::before("Temp  MPC Capable", 'C')), (None, None));
    }

    #[test]
    fn what_a_tree_holds_is_counted_and_what_is_not_told_is_unknown() {
        let held = |pid, bytes| Held { pid, bytes };
        let holders = vec![held(1, Some(5)), held(2, Some(7)), held(3, None), held(9, Some(100))];
        let gauge = Gauge { holders, ..Gauge::default() };
        let load = Load { vendor: VendorId::Nvidia, index: 0, uuid: None, total_bytes: None, used_bytes: None, gauge };
        assert_eq!(load.held_by(&[1, 2, 3]), Some(12));
        assert_eq!(load.held_by(&[3]), None);
        assert_eq!(load.held_by(&[4]), None);
    }

    #[test]
    fn the_processor_is_between_idle_and_busy() {
        let mut processor = Processor::watch();
        assert!(processor.busy().is_none_or(|busy| busy <= 100));
    }

    const CNMON: &str = "\
| Card  VF  Name       Firmware |               Bus-Id | Util        Ecc-Error |
| Fan   Temp      Pwr:Usage/Cap |         Memory-Usage | SR-IOV   Compute-Mode |
| 3     /   MLU370-S4    v1.1.6 |         0000:3A:00.0 | 63%               N/A |
|  0%   48C         71 W/ 100 W |  9000 MiB/ 23000 MiB | N/A           Default |
";
    const MX_SMI: &str = "\
| GPU         NAME | Persistence-M   | Bus-id              | GPU-Util      sGPU-M |
| 5     MetaX C550 | Off             | 0000:16:00.0        | 88%         Disabled |
| 45C        255W / 350W          P0 | 1010/65536 MiB      | Available            |
";
    const GMI: &str = "\
ID   Name           |PCIe                |%GPU  Mem
     Device Type    |Pcie Lane Width     |Temp  MPC Capable
0    MTT S4000      |00000000:0E:00.0    |17%   1201MiB(49152MiB)
     Physical       |16x(16x)            |38C   YES
";
    const NPU_SMI: &str = "\
| npu-smi 25.1                     Version: 25.1                                                 |
| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|
| Chip  Phy-ID              | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |
| 4     Ascend910           | OK            | 171.6       44                0    / 0             |
| 0     0                   | 0000:9C:00.0  | 29          0    / 0          3133 / 65536         |
| 4     Ascend910           | OK            | -           43                0    / 0             |
| 1     1                   | 0000:9E:00.0  | 0           0    / 0          2876 / 65536         |
| NPU     Chip              | Process id    | Process name             | Process memory(MB)      |
| 4       1                 | 7001          | python                   | 2500                    |
";

    #[test]
    fn tools_tell_it_in_the_table_that_detection_reads() {
        let host = Recorded::default()
            .program("cnmon", "", 0, CNMON)
            .program("mx-smi", "", 0, MX_SMI)
            .program("mthreads-gmi", "", 0, GMI)
            .program("npu-smi", "info", 0, NPU_SMI);
        let mut loads = loads(&host);
        loads.retain(|load| load.vendor != VendorId::Nvidia);
        loads.sort_by_key(|load| (load.vendor.name(), load.index));
        let told: Vec<_> = loads
            .iter()
            .map(|l| (l.vendor, l.index, l.gauge.busy_percent, l.gauge.celsius, l.gauge.watts, l.used_bytes))
            .collect();
        let mib = |n: u64| Some(n << 20);
        let expected = [
            (VendorId::Ascend, 0, Some(29), Some(44), Some(172), mib(3133)),
            (VendorId::Ascend, 1, Some(0), Some(43), None, mib(2876)),
            (VendorId::Cambricon, 3, Some(63), Some(48), Some(71), mib(9000)),
            (VendorId::MetaX, 5, Some(88), Some(45), Some(255), mib(1010)),
            (VendorId::MooreThreads, 0, Some(17), Some(38), None, mib(1201)),
        ];
        assert_eq!(told, expected);
        let only = super::loads_of(&host, &[VendorId::MetaX]);
        assert!(only.len() == 1 && only[0].vendor == VendorId::MetaX, "{only:?}");
        assert_eq!((loads[0].held_by(&[7001]), loads[1].held_by(&[7001])), (None, mib(2500)));
    }

    #[test]
    fn recordings_of_real_tools_tell_it_too() {
        let cases = [
            ("cambricon", "cnmon_mlu370-x8.txt", "cnmon", (Some(0), Some(32), Some(106))),
            ("metax", "mx-smi_4xC500.txt", "mx-smi", (Some(0), Some(51), Some(71))),
            ("mthreads", "mthreads-gmi_s80_busy.txt", "mthreads-gmi", (Some(0), Some(41), None)),
            ("ascend", "npu-smi-info_310P3_duo_2cards_busy.txt", "npu-smi", (Some(0), Some(62), None)),
            ("ascend", "npu-smi-info_A3_2cards_4dies_phyid.txt", "npu-smi", (Some(0), Some(37), Some(163))),
            ("hygon", "rocm-smi-json_hygon-24.04.3.json", "hy-smi", (Some(0), Some(41), Some(80))),
        ];
        for (vendor, name, tool, expected) in cases {
            let Some((text, _)) = sample(vendor, name) else { return };
            let loads = loads(&Recorded::default().program(tool, "", 0, &text));
            let load = loads.iter().find(|load| load.vendor != VendorId::Nvidia).unwrap();
            let Gauge { busy_percent, celsius, watts, .. } = load.gauge;
            assert_eq!((busy_percent, celsius, watts), expected, "{name}");
            assert!(load.used_bytes.is_some(), "{name}");
        }
    }
}

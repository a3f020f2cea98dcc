use super::*;
use crate::hardware::recorded::Recorded;

const TWO: &str = "\
Mon Jan  5 10:00:00 2026
---------------------------------------------------------------
    mthreads-gmi:2.2.1           Driver Version:3.3.1
---------------------------------------------------------------
ID   Name           |PCIe                |%GPU  Mem
     Device Type    |Pcie Lane Width     |Temp  MPC Capable
+-------------------------------------------------------------+
0    MTT S4000      |00000000:0E:00.0    |0%    1201MiB(49152MiB)
     Physical       |16x(16x)            |38C   YES
+-------------------------------------------------------------+
11   MTT S4000      |00000000:0F:00.0    |0%    N/A
     Physical       |8x(16x)             |38C   YES
---------------------------------------------------------------

Processes:
ID   PID       Process name                         GPU Memory
0    4242      python                               |  600MiB(700MiB)
";

#[test]
fn cards_are_read_and_processes_are_not() {
    let reading = parse_gmi(TWO);
    assert_eq!(reading.cards.len(), 2);
    let first = &reading.cards[0];
    assert_eq!((first.index, first.name.as_deref()), (0, Some("MTT S4000")));
    assert_eq!((first.used, first.total), (Some(1201 << 20), Some(48 << 30)));
    assert_eq!(first.bus.as_deref(), Some("00000000:0E:00.0"));
    assert_eq!((reading.cards[1].index, reading.cards[1].total), (11, None), "unknown, and still there");
    assert_eq!(reading.versions, [("moore threads driver".to_owned(), "3.3.1".to_owned())]);
}

#[test]
fn a_probe_hides_what_the_variable_hides() {
    let host = Recorded::default().program("mthreads-gmi", "", 0, TWO).var("MUSA_VISIBLE_DEVICES", "11");
    let probe = MooreThreads.probe(&host);
    assert!(probe.devices[0].problem.as_deref().unwrap().contains("`unset MUSA_VISIBLE_DEVICES`"));
    assert!(probe.devices[1].problem.as_deref().unwrap().contains("memory"));
}

#[test]
fn device_files_without_the_tool_are_devices_with_a_cure() {
    assert_eq!(MooreThreads.probe(&Recorded::default()), Probe::default());
    let probe = MooreThreads.probe(&Recorded::default().file("/dev/mtgpu.0", "").file("/dev/mtgpu.1", ""));
    assert_eq!((probe.devices.len(), probe.problems.len()), (2, 1));
    assert!(probe.devices.iter().all(|device| !device.usable && device.memory_total_bytes == 0));
}

#[test]
fn a_device_file_that_is_held_back_leaves_that_card_out() {
    let two = TWO.replace("N/A", "0MiB(49152MiB)");
    let host =
        Recorded::default().program("mthreads-gmi", "", 0, &two).denied("/dev/mtgpu.11").file("/dev/mtgpu.0", "");
    let probe = MooreThreads.probe(&host);
    assert!(probe.devices[0].usable && !probe.devices[1].usable, "{probe:?}");
    // Windows has another separator, and no such card.
    assert!(probe.devices[1].problem.as_deref().unwrap().replace('\\', "/").contains("`ls -l /dev/mtgpu.11`"));
}

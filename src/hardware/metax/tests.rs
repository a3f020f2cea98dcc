use super::*;
use crate::hardware::recorded::Recorded;

const TWO: &str = "\
Attached GPUs                                     : 2
+---------------------------------------------------------------------------------+
| MX-SMI 2.2.9                        Kernel Mode Driver Version: 3.1.7           |
| MACA Version: 3.2.1.4               BIOS Version: 1.27.5.0                      |
|------------------+-----------------+---------------------+----------------------|
| GPU         NAME | Persistence-M   | Bus-id              | GPU-Util      sGPU-M |
| Temp    Pwr:Usage/Cap       Perf   | Memory-Usage        | GPU-State            |
|==================+=================+=====================+======================|
| 0     MetaX C500 | Off             | 0000:16:00.0        | 0%          Disabled |
| 41C         55W / 350W          P9 | 1010/65536 MiB      | Available            |
+------------------+-----------------+---------------------+----------------------+
| 3     MetaX C500 | Off             | 0000:17:00.0        | 0%          Disabled |
| 41C         N/A                    | N/A                 | Unavailable          |
+---------------------------------------------------------------------------------+
| Process:                                                                        |
|  GPU                    PID         Process Name                 GPU Memory     |
|  0                     1234         python                       900/1000 MiB   |
+---------------------------------------------------------------------------------+
";

#[test]
fn cards_are_read_and_power_and_processes_are_not() {
    let reading = parse_mx_smi(TWO);
    let told: Vec<_> = reading.cards.iter().map(|card| (card.index, card.used, card.total)).collect();
    assert_eq!(told, [(0, Some(1010 << 20), Some(64 << 30)), (3, None, None)]);
    assert_eq!(reading.cards[0].name.as_deref(), Some("MetaX C500"));
    let versions: Vec<&str> = reading.versions.iter().map(|(_, version)| version.as_str()).collect();
    assert_eq!(versions, ["3.1.7", "3.2.1.4"]);
    assert!(reading.problems.is_empty(), "{:?}", reading.problems);
    let lost: Vec<bool> = reading.cards.iter().map(|card| card.problem.is_some()).collect();
    assert_eq!(lost, [false, true]);
}

#[test]
fn boards_and_gpus_are_not_the_same_numbers() {
    let text = "\
| Board       Name | GPU   Persist-M | Bus-id              | GPU-Util      sGPU-M |
| Pwr:Usage/Cap    | Temp       Perf | Memory-Usage        | GPU-State            |
| 0     MetaX C588 | 0           Off | 0000:21:00.0        | 0%          Disabled |
| 61W / 700W       | 40C          P0 | 900/65536 MiB       | Available            |
| 0     MetaX C588 | 1           Off | 0000:22:00.0        | 0%          Disabled |
| 61 / 700         | 40C          P0 | 901/65536 MiB       | Available            |
";
    let cards = parse_mx_smi(text).cards;
    let told: Vec<_> = cards.iter().map(|card| (card.index, card.used, card.total)).collect();
    assert_eq!(told, [(0, Some(900 << 20), Some(64 << 30)), (1, Some(901 << 20), Some(64 << 30))]);
}

#[test]
fn the_list_is_read_too() {
    let text = "mx-smi  version: 2.2.9\n\
                GPU#0    MXC600-X    0000:06:00.0    Available (UUID: GPU-aa-11)\n\
                GPU#1    MXC600-X    0000:07:00.0    Unavailable (UUID: GPU-aa-22)\n";
    let cards = parse_mx_smi(text).cards;
    assert_eq!((cards.len(), cards[0].uuid.as_deref()), (2, Some("GPU-aa-11")));
    assert_eq!((cards[0].problem.is_none(), cards[1].problem.is_some()), (true, true));
}

#[test]
fn a_card_that_is_counted_and_not_shown_is_told() {
    let problems = parse_mx_smi(&TWO.replacen(": 2", ": 4", 1)).problems;
    assert!(problems[0].contains("counts 4 GPUs and shows 2"), "{problems:?}");
}

#[test]
fn the_control_file_without_the_tool_is_a_problem() {
    assert_eq!(MetaX.probe(&Recorded::default()), Probe::default());
    let probe = MetaX.probe(&Recorded::default().file("/dev/mxcd", ""));
    assert!(probe.devices.is_empty() && probe.problems[0].contains("mx-smi"), "{:?}", probe.problems);
}

#[test]
fn the_control_file_that_is_held_back_leaves_no_card() {
    let probe = MetaX.probe(&Recorded::default().program("mx-smi", "", 0, TWO).denied("/dev/mxcd"));
    assert!(probe.devices.iter().all(|device| !device.usable));
    // Windows has another separator, and no such card.
    assert!(probe.devices[0].problem.as_deref().unwrap().replace('\\', "/").contains("`ls -l /dev/mxcd`"));
}

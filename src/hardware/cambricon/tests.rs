use super::*;
use crate::hardware::recorded::Recorded;

#[test]
fn neither_power_nor_virtual_memory_is_the_cards_memory() {
    let text = "\
| CNMON v4.11.2                                                                |
+-------------------------------+----------------------+-----------------------+
| Card  VF  Name       Firmware | Inited        Driver | Util        Ecc-Error |
| Fan   Temp      Pwr:Usage/Cap |         Memory-Usage |         vMemory-Usage |
|===============================+======================+=======================|
| 0     /   MLU290     v1.1.6   | On           v4.11.2 | 0%                N/A |
|  0%   36C         40 W/ 350 W |    77 MiB/ 30000 MiB | 90000 MiB/1048576 MiB |
+-------------------------------+----------------------+-----------------------+
| 9     2   MLU290     v1.1.6   | On           v4.11.2 | 0%                N/A |
|  0%   36C         40 W/ 350 W |                  N/A | 90000 MiB/1048576 MiB |
+-------------------------------+----------------------+-----------------------+
| Processes:                                                                   |
|  Card  VF  PID    Command Line                                               |
|  0     /   999 | x | 5 MiB/ 6 MiB                                            |
";
    let reading = parse_cnmon(text);
    let told: Vec<_> = reading.cards.iter().map(|c| (c.index, c.name.as_deref(), c.used, c.total)).collect();
    assert_eq!(told, [(0, Some("MLU290"), Some(77 << 20), Some(30000 << 20)), (9, Some("MLU290"), None, None)]);
    assert_eq!(reading.versions, [("cambricon driver".to_owned(), "4.11.2".to_owned())]);
}

#[test]
fn a_tool_that_fails_leaves_the_cards_of_the_device_files() {
    let host = Recorded::default()
        .file("/dev/cambricon_ctl", "")
        .file("/dev/cambricon_dev10", "")
        .file("/dev/cambricon_dev2", "")
        .program("cnmon", "", 1, "cndev init failed\n");
    let probe = Cambricon.probe(&host);
    let indices: Vec<u32> = probe.devices.iter().map(|device| device.index).collect();
    assert_eq!(indices, [2, 10]);
    assert!(probe.problems[0].contains("exit code 1: cndev init failed"), "{:?}", probe.problems);
    assert_eq!(Cambricon.probe(&Recorded::default()), Probe::default());
}

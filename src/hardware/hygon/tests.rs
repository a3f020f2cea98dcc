use super::*;
use crate::hardware::recorded::Recorded;

#[test]
fn cards_come_in_the_order_of_their_numbers_and_unknown_ones_stay() {
    let text = "WARNING: card is in a low power state\n\
        {\"card10\": {\"Card Series\": \"K100_AI\", \"vram Total Memory (MiB)\": \"65520\", \"vram Total Used Memory (MiB)\": \"20\"},\n\
         \"card2\": {\"Card series\": \"N/A\", \"VRAM Total Memory (B)\": \"17163091968\", \"VRAM Total Used Memory (B)\": \"0\"},\n\
         \"card3\": {}, \"card4\": {\"vram Total Memory (MiB)\": \"N/A\"}, \"system\": {\"Driver version\": \"6.3.8\"}} done\n";
    let reading = parse_hy_smi(text);
    let told: Vec<_> = reading.cards.iter().map(|c| (c.index, c.name.as_deref(), c.used, c.total)).collect();
    assert_eq!(
        told,
        [
            (2, None, Some(0), Some(17_163_091_968)),
            (3, None, None, None),
            (4, None, None, None),
            (10, Some("K100_AI"), Some(20 << 20), Some(65520 << 20)),
        ]
    );
    assert_eq!(reading.versions, [("hygon driver".to_owned(), "6.3.8".to_owned())]);
}

#[test]
fn lines_are_read_under_any_of_their_names() {
    let text = "DCU[0]  : Card Series:   Z100\nHCU[1] : vram Total Memory (MiB): 16368\n\
                GPU[0]\t: vram Total Memory (MiB): 16368\nHCU[0] : vram Total Used Memory (MiB): 8\n\
                NPU[7] : vram Total Memory (MiB): 1\nDriver Version: 6.2.30\n";
    let reading = parse_hy_smi(text);
    let told: Vec<_> = reading.cards.iter().map(|c| (c.index, c.used, c.total)).collect();
    assert_eq!(told, [(0, Some(8 << 20), Some(16368 << 20)), (1, None, Some(16368 << 20))]);
}

#[test]
fn amds_device_file_alone_is_not_hygons() {
    assert_eq!(Hygon.probe(&Recorded::default().file("/dev/kfd", "")), Probe::default());
    let probe = Hygon.probe(&Recorded::default().file("/dev/kfd", "").file("/dev/mkfd", ""));
    assert!(probe.problems[0].contains("hy-smi"), "{:?}", probe.problems);
    let told = "{\"card0\": {\"vram Total Memory (MiB)\": \"16368\", \"vram Total Used Memory (MiB)\": \"8\"}}";
    let probe = Hygon.probe(&Recorded::default().program("hy-smi", "--json", 0, told));
    assert!(probe.devices[0].usable && probe.problems.is_empty());
}

#[test]
fn json_without_its_commas_is_read() {
    let text = "{\"card0\": {\"Card Series\": \"BW1000\", \"Average Graphics Package Power (W)\": \"90.0\"\
                \"Average GFX Core Power (W)\": \"21.0\", \"\": \"\", \"\": \"\", \"vram Total Memory (MiB)\": \"65520\", \
                \"vram Total Used Memory (MiB)\": \"100\"}, \"card1\": {\"Unique ID\": \"77\", \"odd\": 5, \"Card Series\": \"BW1000\"}}";
    let told: Vec<_> = parse_hy_smi(text).cards.into_iter().map(|c| (c.index, c.name, c.uuid, c.total)).collect();
    let name = Some("BW1000".to_owned());
    assert_eq!(told, [(0, name.clone(), None, Some(65520 << 20)), (1, name, Some("77".to_owned()), None)]);
}

#[test]
fn the_table_without_arguments_says_which_there_are() {
    let text = "==== System Management Interface ====\n=====================================\n\
                HCU     Temp     AvgPwr     Perf     PwrCap     VRAM%      HCU%      Mode\n\
                0       40.0C    100.0W     auto     500.0W     12%        0.0%      Normal\n\
                1       41.0C    101.0W     auto     500.0W     0%         0.0%      Normal\n\
                =====================================\n==== End of SMI Log ====\n";
    let probe = parse_hy_smi(text).probe(VendorId::Hygon, "Hygon DCU", &ASKED.cure());
    assert_eq!((probe.devices.len(), probe.devices[1].memory_total_bytes), (2, 0));
    let problem = probe.devices[0].problem.as_deref().unwrap();
    assert!(problem.contains("`hy-smi --showmeminfo vram --showproductname --json`"), "{problem}");
}

fn dcu(host: Recorded, number: u32) -> Recorded {
    let path = format!("/sys/class/kfd/kfd/topology/nodes/{number}/properties");
    host.file(&path, "simd_count 240\nvendor_id 7572\ngfx_target_version 90600\n")
}

#[test]
fn the_kernel_says_how_many_there_are_when_the_tool_is_missing() {
    let amd = "/sys/class/kfd/kfd/topology/nodes/9/properties";
    let host = dcu(dcu(Recorded::default(), 1), 2).file(amd, "simd_count 304\nvendor_id 4098\n").file("/dev/kfd", "");
    let probe = Hygon.probe(&host);
    assert_eq!((probe.devices.len(), probe.problems.len()), (2, 1), "{probe:?}");
    assert!(probe.problems[0].contains("`hy-smi` is not"), "{:?}", probe.problems);
}

#[test]
fn the_tool_is_asked_under_its_old_name_where_the_cards_are_hygons() {
    let told = "{\"card0\": {\"Card Series\": \"Z200\", \"vram Total Memory (MiB)\": \"32752\"}}";
    let asked = |host: Recorded| Hygon.probe(&host.program("rocm-smi", "--json", 0, told));
    let probe = asked(dcu(Recorded::default().file("/dev/kfd", ""), 1));
    assert_eq!((probe.devices.len(), probe.devices[0].usable), (1, true), "{probe:?}");
    assert_eq!(asked(Recorded::default().file("/dev/kfd", "")), Probe::default(), "AMD's own");
    let probe = asked(dcu(Recorded::default().denied("/dev/kfd"), 1));
    assert!(!probe.devices[0].usable && probe.devices[0].problem.as_deref().unwrap().contains("`ls -l /dev/kfd`"));
}

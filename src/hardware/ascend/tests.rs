use super::trouble::explain;
use super::*;
use crate::hardware::recorded::Recorded;
use crate::hardware::sampled::sample;

const GIB: u64 = 1 << 30;

const EIGHT: &str = "\
+-----------------------------------------------------------------------------+
| npu-smi 25.3.1               Version: 25.3.1                                |
+-------------------+-----------+---------------------------------------------+
| NPU   Name        | Health    | Power(W)  Temp(C)      Hugepages-Usage(page)|
| Chip              | Bus-Id    | AICore(%) Memory-Usage(MB)  HBM-Usage(MB)   |
+===================+===========+=============================================+
";

/// A table of our own: cards with the given numbers, in that order.
fn table_of(npus: &[u32], name: &str) -> String {
    let mut text = EIGHT.to_owned();
    for npu in npus {
        text += &format!("| {npu}  {name} | OK | 90.1  41   0 / 0 |\n");
        text += &format!("| 0   | 0000:{npu:02X}:00.0 | 0   0 / 0    3000/ 65536 |\n");
    }
    text
}

const NPUS: [u32; 8] = [0, 1, 2, 3, 4, 5, 6, 7];

fn machine() -> Recorded {
    let mut host = Recorded::default()
        .file("/dev/davinci_manager", "")
        .file("/dev/devmm_svm", "")
        .file("/usr/local/Ascend/driver/version.info", "Version=25.3.1\nascendhal_version=7.35.23\n")
        .file(
            "/usr/local/Ascend/ascend-toolkit/latest/aarch64-linux/ascend_toolkit_install.info",
            "package_name=Ascend-cann-toolkit\nversion=8.3.RC1\ninnerversion=V1\n",
        );
    for npu in NPUS {
        host = host.file(&format!("/dev/davinci{npu}"), "");
    }
    host
}

fn usable(probe: &Probe) -> Vec<u32> {
    probe.devices.iter().filter(|device| device.usable).map(|device| device.index).collect()
}

#[test]
fn eight_cards_in_a_room_without_a_network() {
    let host = machine().program("npu-smi", "info", 0, &table_of(&NPUS, "910B2"));
    let probe = Ascend.probe(&host);
    assert_eq!(usable(&probe), NPUS);
    for device in &probe.devices {
        assert_eq!((device.memory_total_bytes, device.memory_free_bytes), (64 * GIB, Some(62536 << 20)));
        assert_eq!((device.name.as_str(), device.architecture.as_deref()), ("910B2", Some("A2")));
        assert_eq!((device.problem.as_deref(), device.unified), (None, false));
    }
    assert!(probe.problems.is_empty(), "{:?}", probe.problems);
    let version = |name: &str| probe.versions.iter().find(|(n, _)| n == name).map(|(_, version)| version.as_str());
    assert_eq!(
        (version("ascend driver"), version("cann"), version("npu-smi")),
        (Some("25.3.1"), Some("8.3.RC1"), Some("25.3.1"))
    );
}

#[test]
fn a_machine_without_ascend_is_an_empty_probe() {
    assert_eq!(Ascend.probe(&Recorded::default()), Probe::default());
    let other = Recorded::default()
        .file("/dev/davinci_something", "")
        // Huawei's display chip for remote hands is no accelerator.
        .file("/sys/bus/pci/devices/0000:05:00.0/vendor", "0x19e5\n")
        .file("/sys/bus/pci/devices/0000:05:00.0/class", "0x030000\n");
    assert_eq!(Ascend.probe(&other), Probe::default());
}

#[test]
fn cards_without_a_driver_are_told() {
    let host = Recorded::default()
        .file("/sys/bus/pci/devices/0000:c1:00.0/vendor", "0x19e5\n")
        .file("/sys/bus/pci/devices/0000:c1:00.0/class", "0x120000\n");
    let probe = Ascend.probe(&host);
    assert!(probe.problems[0].starts_with("1 Ascend card") && probe.problems[0].contains('`'), "{:?}", probe.problems);
}

#[test]
fn the_mapping_gives_the_runtimes_numbers_where_the_table_has_none() {
    let map = "NPU ID     Chip ID     Chip Logic ID     Chip Name\n\
               5          0           1                 Ascend 910B3\n\
               5          1           -                 Mcu\n\
               1          0           0                 Ascend 910B3\n";
    let host = machine().program("npu-smi", "-m", 0, map).program("npu-smi", "info", 0, &table_of(&[5, 1], "xxx"));
    let probe = Ascend.probe(&host);
    assert_eq!(usable(&probe), [1, 0]);
    assert_eq!(probe.devices[0].architecture.as_deref(), Some("A2"), "the mapping knows the name");
    // Without it, or when it contradicts itself, the order counts.
    for map in ["", "NPU ID Chip ID Chip Logic ID Chip Name\n5 0 1 X\n1 0 1 X\n", "5 0 1 X\n"] {
        let host =
            machine().program("npu-smi", "-m", 0, map).program("npu-smi", "info", 0, &table_of(&[5, 1], "910B3"));
        assert_eq!(usable(&Ascend.probe(&host)), [0, 1], "{map}");
    }
}

#[test]
fn columns_of_the_mapping_come_and_go() {
    let physical_only = "NPU ID  Slot ID  Chip ID  Chip Phy-ID  Chip Name\n7  1  0  3  Ascend950PR\n";
    let mapped = Mapped { npu: 7, chip: 0, logic: 3, name: Some("Ascend950PR".to_owned()) };
    assert_eq!(parse_mapping(physical_only), [mapped]);
    let both =
        "  NPU ID  Chip ID  Chip Logic ID  Chip Phy-ID  Chip Name\n  2  1  5  13  Ascend910\n  2  2  -  -  Mcu\n";
    let mapped = Mapped { npu: 2, chip: 1, logic: 5, name: Some("Ascend910".to_owned()) };
    assert_eq!(parse_mapping(both), [mapped]);
}

#[test]
fn the_dies_of_an_a3_are_devices() {
    let text = "| NPU Name | Health | Power(W) Temp(C) Hugepages-Usage(page) |\n\
                | Chip Phy-ID | Bus-Id | AICore(%) Memory-Usage(MB) HBM-Usage(MB) |\n\
                | 0 Ascend910 | OK | 150.2 40 0 / 0 |\n| 0 0 | 0000:11:00.0 | 0 0 / 0 3000 / 65536 |\n\
                +---------+\n\
                | 0 Ascend910 | OK | - 40 0 / 0 |\n| 1 1 | 0000:12:00.0 | 0 0 / 0 3000 / 65536 |\n";
    let host = machine().program("npu-smi", "info", 0, text);
    let probe = Ascend.probe(&host);
    assert_eq!(usable(&probe), [0, 1]);
    assert!(probe.devices.iter().all(|device| device.architecture.as_deref() == Some("A3")));
}

#[test]
fn generations_are_told_apart() {
    for (name, two_dies, generation_is) in [
        ("910B4-1", false, Some("A2")),
        ("Ascend 910B3", false, Some("A2")),
        ("Ascend910", true, Some("A3")),
        ("Ascend910", false, None),
        ("Ascend 910A", false, Some("910A")),
        ("910ProA", false, Some("910A")),
        ("310P3", false, Some("310P")),
        ("310", false, None),
        ("xxx", false, None),
        ("", false, None),
    ] {
        assert_eq!(generation(name, two_dies), generation_is, "{name}");
    }
}

#[test]
fn the_memory_of_the_control_processors_is_never_taken_for_the_chips() {
    let chip = |name: &str, told: &str| {
        let text = format!("{EIGHT}| 0 {name} | OK | 90 40 0 / 0 |\n| 0 | 0000:01:00.0 | 0 {told} |\n");
        parse_table(&text).chips.remove(0)
    };
    assert_eq!(chip("910A", "4000 / 15137   500 / 32768").total, Some(32 * GIB));
    // HBM untold: unknown, and the chip stays.
    for told in ["4000 / 15137   NA / NA", "4000 / 15137   0 / 0", "4000 / 15137", "", "0 / 0"] {
        let chip = chip("910A", told);
        assert_eq!((chip.total, chip.used, chip.chip), (None, None, Some(0)), "{told}");
    }
    assert_eq!(chip("310P3", "4000 / 43693   0 / 0").total, Some(43693 << 20));
    assert_eq!(chip("910A", "4000 / 15137   - / 32768").used, None);
}

#[test]
fn lost_rows_lose_no_card() {
    let text = table_of(&[0, 1, 2], "910B3");
    // The second row of card 1 is missing, and the table ends in the middle of card 2.
    let lines: Vec<&str> = text.lines().enumerate().filter(|(at, _)| *at != 9).map(|(_, line)| line).collect();
    let table = parse_table(&lines[..lines.len() - 1].join("\n"));
    let totals: Vec<Option<u64>> = table.chips.iter().map(|chip| chip.total).collect();
    assert_eq!(totals, [Some(64 * GIB), None, None]);
    // A second row without a first belongs to nobody.
    assert!(parse_table("| 0 | 0000:01:00.0 | 0 0 / 0 1 / 65536 |\n").chips.is_empty());
}

#[test]
fn programs_that_hold_memory_are_named_and_end_nothing() {
    let mut text = table_of(&[0, 1], "910B3");
    text += "| NPU  Chip | Process id | Process name | Process memory(MB) |\n| No running processes found in NPU 0 |\n";
    for pid in 0..5 {
        text += &format!("| 1  0 | 40{pid} | python3.11 | 600 |\n");
    }
    let probe = Ascend.probe(&machine().program("npu-smi", "info", 0, &text));
    assert_eq!(usable(&probe), [0, 1]);
    assert_eq!(probe.devices[0].problem, None);
    let problem = probe.devices[1].problem.as_deref().unwrap();
    assert!(problem.contains("python3.11 (pid 400) 600 MiB") && problem.contains("and 2 more"), "{problem}");
}

#[test]
fn health_decides_when_it_is_critical_and_warns_before() {
    let text = table_of(&[0, 1, 2], "910B3").replacen("| OK |", "| Warning |", 1).replacen("| OK |", "| Critical |", 1);
    let probe = Ascend.probe(&machine().program("npu-smi", "info", 0, &text));
    assert_eq!(usable(&probe), [0, 2]);
    assert!(probe.devices[0].problem.as_deref().unwrap().contains("`npu-smi info -t health -i 0`"));
    assert!(probe.devices[1].problem.as_deref().unwrap().contains("Critical"));
}

#[test]
fn the_runtimes_variable_hides_cards() {
    let host = machine().program("npu-smi", "info", 0, &table_of(&NPUS, "910B3"));
    for (spec, left) in [("4,5,6,7", vec![4, 5, 6, 7]), ("0-2,7", vec![0, 1, 2, 7]), ("", vec![])] {
        let probe = Ascend.probe(&machine().var("ASCEND_RT_VISIBLE_DEVICES", spec).program(
            "npu-smi",
            "info",
            0,
            &table_of(&NPUS, "910B3"),
        ));
        assert_eq!(usable(&probe), left, "{spec}");
        assert_eq!(probe.devices.len(), 8);
    }
    assert_eq!(usable(&Ascend.probe(&host)).len(), 8);
}

#[test]
fn without_the_tool_the_cards_are_there_and_their_memory_is_unknown() {
    let probe = Ascend.probe(&machine());
    assert_eq!(probe.devices.len(), 8);
    assert!(probe.devices.iter().all(|d| !d.usable && d.memory_total_bytes == 0 && d.memory_free_bytes.is_none()));
    assert!(probe.problems[0].contains("`-v /usr/local/bin/npu-smi:/usr/local/bin/npu-smi"), "{:?}", probe.problems);
    assert!(probe.versions.iter().any(|(name, _)| name == "cann"));
}

#[test]
fn each_failure_has_its_cure() {
    for (said, cure) in [
        (
            "DrvMngGetConsoleLogLevel failed.\ndcmi module initialize failed. ret is -8005\n",
            "--device /dev/davinci_manager",
        ),
        ("dcmi model initialized failed, because the device is used. ret is -8020\n", "/proc/uda/namespace_node"),
        ("npu-smi: error while loading shared libraries: libdrvdsmi_host.so: cannot open\n", "LD_LIBRARY_PATH"),
        ("noise\ndcmi something else. ret is -8255\n", "ret is -8255"),
        ("", "it said nothing"),
    ] {
        // Some versions end well all the same.
        for code in [0, 255] {
            let probe = Ascend.probe(&machine().program("npu-smi", "info", code, said));
            assert_eq!((probe.devices.len(), usable(&probe).len()), (8, 0), "{said}");
            assert!(probe.problems[0].contains(cure) && probe.problems[0].contains('`'), "{:?}", probe.problems);
        }
    }
}

#[test]
fn cann_is_found_where_it_was_installed() {
    let info = "version=9.1.0\n";
    let newer = Recorded::default()
        .file("/usr/local/Ascend/cann-9.0.0/x86_64-linux/ascend_toolkit_install.info", "version=9.0.0\n")
        .file("/usr/local/Ascend/cann-9.1.0/x86_64-linux/ascend_toolkit_install.info", info);
    assert_eq!(cann(&newer).as_deref(), Some("9.1.0"));
    let home = Recorded::default()
        .var("ASCEND_HOME_PATH", "/home/me/cann")
        .file("/home/me/cann/aarch64-linux/ascend_toolkit_install.info", info);
    assert_eq!(cann(&home).as_deref(), Some("9.1.0"));
    assert_eq!(cann(&Recorded::default()), None);
    assert_eq!(parse_version("innerversion=V1\nnonsense\n"), None);
}

/// The facts of the samples that a [`super::super::Device`] has no place for.
#[test]
fn recorded_tables_are_read_whole() {
    for name in [
        "npu-smi-info_310P3_duo_2cards_busy.txt",
        "npu-smi-info_910B4-1_x2_cut_off.txt",
        "npu-smi-info_910B4_single_npu_id_5.txt",
        "npu-smi-info_910B4_x8_trailing_blanks.txt",
        "npu-smi-info_A3_2cards_4dies_phyid.txt",
        "npu-smi-info_atlas-800-training-server_model-9010_version-24.1.RC2.txt",
    ] {
        let Some((text, expected)) = sample("ascend", name) else { return };
        let table = parse_table(&text);
        for (chip, wanted) in table.chips.iter().zip(expected["devices"].as_array().unwrap()) {
            let number = |key: &str| wanted[key].as_u64().and_then(|n| u32::try_from(n).ok());
            assert_eq!((Some(chip.npu), chip.chip), (number("npu_id"), number("chip_id")), "{name}");
            assert_eq!(chip.device, number("device_id"), "{name}");
            assert_eq!(chip.health.as_deref(), wanted["health"].as_str(), "{name}");
            assert_eq!(chip.bus.as_deref(), wanted["bus_id"].as_str(), "{name}");
            assert_eq!(chip.used, wanted["memory_used_bytes"].as_u64(), "{name}");
            let Some(processes) = wanted["processes"].as_array() else { continue };
            let mut holders = table.holders.iter().filter(|h| h.npu == chip.npu && Some(h.chip) == chip.chip);
            for process in processes {
                let holder = holders.next().unwrap();
                assert_eq!(Some(u64::from(holder.pid)), process["pid"].as_u64(), "{name}");
                assert_eq!(Some(holder.name.as_str()), process["name"].as_str(), "{name}");
                assert_eq!(holder.bytes, process["memory_bytes"].as_u64(), "{name}");
            }
            assert!(holders.next().is_none(), "{name}");
        }
    }
    let Some((text, expected)) = sample("ascend", "cann_version_info.txt") else { return };
    assert_eq!(parse_version(&text).as_deref(), expected["cann_version"].as_str());
    let Some((text, _)) = sample("ascend", "npu-smi-info_error_8005.txt") else { return };
    assert!(explain(&text).contains("-8005"));
}

#[test]
fn device_files_that_are_held_back_or_missing_leave_no_chip_to_use() {
    let told = |host: Recorded| Ascend.probe(&host.program("npu-smi", "info", 0, &table_of(&NPUS, "910B2")));
    let probe = told(machine().denied("/dev/davinci5"));
    assert_eq!(usable(&probe), [0, 1, 2, 3, 4, 6, 7]);
    let problem = probe.devices[5].problem.as_deref().unwrap();
    assert!(problem.contains("`sudo usermod -aG HwHiAiUser $USER`"), "{problem}");
    assert_eq!(usable(&told(machine().denied("/dev/davinci_manager"))), [] as [u32; 0]);
    assert_eq!(usable(&told(machine().denied("/dev/hisi_hdc"))), [] as [u32; 0]);
    let mut container = machine();
    container.files.remove(Path::new("/dev/devmm_svm"));
    let probe = told(container);
    let problem = probe.devices[0].problem.as_deref().unwrap();
    assert!(problem.contains("`docker run --device /dev/devmm_svm …`"), "{problem}");
}

use super::adapters::{parse_list, parse_registry};
use super::*;
use crate::hardware::recorded::Recorded;
use crate::hardware::sampled::sample;

const GIB: u64 = 1 << 30;

fn gpu(host: Recorded, card: u32, bus: &str, id: &str) -> Recorded {
    let device = format!("/sys/class/drm/card{card}/device");
    host.file(&format!("{device}/vendor"), "0x8086\n")
        .file(&format!("{device}/device"), &format!("{id}\n"))
        .file(&format!("{device}/uevent"), &format!("DRIVER=xe\nPCI_CLASS=30000\nPCI_SLOT_NAME={bus}\n"))
}

fn meminfo(host: Recorded) -> Recorded {
    host.file("/proc/meminfo", "MemTotal: 33554432 kB\nMemAvailable: 16777216 kB\n")
}

#[test]
fn the_kernel_tells_cards_apart_and_how_much_memory_they_have() {
    let host = meminfo(gpu(
        gpu(gpu(Recorded::default(), 0, "0000:00:02.0", "0x7d55"), 10, "0000:04:00.0", "0xe20b"),
        2,
        "0000:03:00.0",
        "0xe211",
    ))
    .file("/sys/class/drm/card10/device/tile0/physical_vram_size_bytes", "12868124672\n")
    .file("/sys/class/drm/card2/device/tile0/physical_vram_size_bytes", "12884901888\n")
    .file("/sys/class/drm/card2/device/tile1/physical_vram_size_bytes", "12884901888\n")
    // A connector, and somebody else's card.
    .file("/sys/class/drm/card2-DP-1/device/vendor", "0x8086\n")
    .file("/sys/class/drm/card3/device/vendor", "0x1002\n");
    let probe = Intel.probe(&host);
    let told: Vec<_> = probe.devices.iter().map(|d| (d.index, d.memory_total_bytes, d.unified)).collect();
    assert_eq!(told, [(0, 24 * GIB, false), (1, 12_868_124_672, false), (2, 32 * GIB, true)]);
    assert_eq!(probe.devices[0].architecture.as_deref(), Some("0xe211"));
    assert_eq!((probe.devices[0].memory_free_bytes, probe.devices[2].memory_free_bytes), (None, Some(16 * GIB)));
    assert!(probe.devices.iter().all(|device| device.usable) && probe.problems.is_empty());
}

#[test]
fn what_the_kernel_does_not_say_the_tool_says() {
    let host = gpu(Recorded::default(), 1, "0000:03:00.0", "0x56a0");
    let list = "{\"device_list\":[{\"device_id\":0,\"device_name\":\"Intel(R) Arc(TM) A770 Graphics\",\
                \"pci_bdf_address\":\"0000:03:00.0\",\"uuid\":\"0001\",\"pci_device_id\":\"0x56a0\"}]}";
    let one = "{\"device_id\":0,\"device_name\":\"Intel(R) Arc(TM) A770 Graphics\",\"pci_bdf_address\":\"0000:03:00.0\",\
               \"memory_physical_size_byte\":\"16225243136\",\"memory_free_size_byte\":\"15000000000\"}";
    let asked = host.program("xpu-smi", "-d 0", 0, one).program("xpu-smi", "discovery -j", 0, list);
    let device = Intel.probe(&asked).devices.remove(0);
    assert_eq!(device.name, "Intel(R) Arc(TM) A770 Graphics");
    assert_eq!((device.memory_total_bytes, device.memory_free_bytes), (16_225_243_136, Some(15_000_000_000)));
    assert!(device.usable);
    // Without rights it answers N/A; without it, there is a cure.
    let denied = one.replace("16225243136", "N/A").replace("15000000000", "N/A");
    let host = || gpu(Recorded::default(), 1, "0000:03:00.0", "0x56a0");
    for host in [host().program("xpu-smi", "-d 0", 0, &denied).program("xpu-smi", "discovery -j", 0, list), host()] {
        let device = Intel.probe(&host).devices.remove(0);
        assert_eq!((device.memory_total_bytes, device.memory_free_bytes, device.usable), (0, None, false));
        assert!(device.problem.as_deref().unwrap().contains("`xpu-smi`"));
    }
}

#[test]
fn the_runtimes_mask_hides_cards_and_an_empty_one_does_not() {
    let host = || {
        gpu(gpu(Recorded::default(), 0, "0000:03:00.0", "0xe211"), 1, "0000:04:00.0", "0xe211")
            .file("/sys/class/drm/card0/device/tile0/physical_vram_size_bytes", "25669140480")
            .file("/sys/class/drm/card1/lmem_total_bytes", "25669140480")
    };
    let usable = |host: Recorded| Intel.probe(&host).devices.iter().filter(|device| device.usable).count();
    assert_eq!(usable(host()), 2);
    assert_eq!(usable(host().var("ZE_AFFINITY_MASK", "1")), 1);
    assert_eq!(usable(host().var("ZE_AFFINITY_MASK", "1.0,1.1")), 1);
    assert_eq!(usable(host().var("ZE_AFFINITY_MASK", "")), 2);
    assert_eq!(Intel.probe(&Recorded::default()), Probe::default());
}

#[test]
fn tables_and_odd_numbers_are_read() {
    let text = "| 0 | Device Type: GPU |\n|   | Device Name: Intel(R) Arc(TM) Pro B60 Graphics |\n|   | PCI BDF Address: 0000:83:00.0 |\n\
                |   | DRM Device: /dev/dri/card2 |\n|   | Memory Physical Size: 24480.00 MiB |\n| 1 | Device Type: GPU |\n\
                |   | PCI Device ID: 0xe211 |\n|   | Memory Physical Size: N/A |\n";
    let told = parse_discovery(text);
    assert_eq!((told.len(), told[0].drm, told[0].card.total), (2, Some(2), Some(24480 << 20)));
    assert_eq!((told[1].card.total, told[1].card.unified), (None, false), "a card with memory of its own");
    // An integrated one may tell a part of the main memory as its own.
    let shared = "{\"device_list\":[{\"device_id\":\"0\",\"pci_bdf_address\":\"0000:00:02.0\",\"memory_physical_size_byte\":30000000000}]}";
    let told = parse_discovery(shared);
    assert_eq!((told[0].card.unified, told[0].card.total), (true, None));
    assert!(parse_discovery("{\"error\":\"no device\"}").is_empty());
}

#[test]
fn windows_registry_has_the_size_that_wmi_cuts_off() {
    let text = "\r\nHKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Control\\Class\\{4d36e968-e325-11ce-bfc1-08002be10318}\\0000\r\n\
        \x20   DriverDesc    REG_SZ    Intel(R) Arc(TM) B580 Graphics\r\n\
        \x20   MatchingDeviceId    REG_SZ    PCI\\VEN_8086&DEV_E20B&SUBSYS_00000000\r\n\
        \x20   HardwareInformation.qwMemorySize    REG_QWORD    0x2f8000000\r\n\
        HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Control\\Class\\{4d36e968-e325-11ce-bfc1-08002be10318}\\0000\\Settings\r\n\
        \x20   DriverDesc    REG_SZ    not this\r\n\
        HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Control\\Class\\{4d36e968-e325-11ce-bfc1-08002be10318}\\0001\r\n\
        \x20   DriverDesc    REG_SZ    Some Other Card\r\n\
        HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Control\\Class\\{4d36e968-e325-11ce-bfc1-08002be10318}\\0002\r\n";
    let adapters = parse_registry(text);
    let names: Vec<_> = adapters.iter().map(|adapter| (adapter.name.as_deref().unwrap(), adapter.total)).collect();
    assert_eq!(names, [("Intel(R) Arc(TM) B580 Graphics", Some(0x2_f800_0000)), ("Some Other Card", None)]);
    // Asked on Windows, only Intel's is Intel's.
    let host = Recorded::default().program("reg", "query", 0, text);
    let probe = adapters::probe(&host);
    assert_eq!((probe.devices.len(), probe.devices[0].architecture.as_deref()), (1, Some("0xe20b")));
    assert!(probe.devices[0].usable && !probe.devices[0].unified);
}

#[test]
fn recorded_adapters_are_read_as_expected() {
    let Some((text, expected)) = sample("windows", "win32_videocontroller_adapterram_cap.txt") else { return };
    let adapters = parse_list(&text);
    let wanted = expected["devices"].as_array().unwrap();
    assert_eq!(adapters.len(), wanted.len());
    for (adapter, wanted) in adapters.iter().zip(wanted) {
        assert_eq!(adapter.name.as_deref(), wanted["name"].as_str());
        assert_eq!(adapter.total, wanted["memory_total_bytes"].as_u64());
    }
}

fn two_cards() -> Recorded {
    let host = gpu(gpu(Recorded::default(), 0, "0000:03:00.0", "0xe211"), 1, "0000:04:00.0", "0xe211");
    host.file("/sys/class/drm/card0/device/tile0/physical_vram_size_bytes", "25669140480\n")
        .file("/sys/class/drm/card1/device/tile0/vram0/total_bytes", "25669140480\n")
        .file("/sys/class/drm/card0/device/drm/card0/dev", "226:0\n")
        .file("/sys/class/drm/card0/device/drm/renderD128/dev", "226:128\n")
        .file("/sys/class/drm/card1/device/drm/renderD129/dev", "226:129\n")
        .file("/dev/dri/renderD128", "")
        .file("/dev/dri/renderD129", "")
}

fn usable(host: &Recorded) -> Vec<u32> {
    Intel.probe(host).devices.iter().filter(|device| device.usable).map(|device| device.index).collect()
}

#[test]
fn device_files_that_are_held_back_or_missing_leave_that_card_out() {
    assert_eq!(usable(&two_cards()), [0, 1]);
    let denied = two_cards().denied("/dev/dri/renderD129");
    assert_eq!(usable(&denied), [0]);
    let problem = Intel.probe(&denied).devices[1].problem.clone().unwrap();
    assert!(problem.contains("`sudo usermod -aG render $USER`"), "{problem}");
    let mut container = two_cards();
    container.files.remove(std::path::Path::new("/dev/dri/renderD128"));
    assert_eq!(usable(&container), [1]);
    let problem = Intel.probe(&container).devices[0].problem.clone().unwrap();
    assert!(problem.contains("`docker run --device /dev/dri`"), "{problem}");
}

#[test]
fn both_variables_of_the_runtime_hide_cards() {
    for (name, value, left) in [
        ("ZE_AFFINITY_MASK", "1", vec![1]),
        ("ZE_AFFINITY_MASK", "0.0", vec![0]),
        ("ZE_AFFINITY_MASK", "", vec![0, 1]),
        ("ONEAPI_DEVICE_SELECTOR", "level_zero:1", vec![1]),
        ("ONEAPI_DEVICE_SELECTOR", "*:gpu", vec![0, 1]),
        ("ONEAPI_DEVICE_SELECTOR", "level_zero:*", vec![0, 1]),
        ("ONEAPI_DEVICE_SELECTOR", "opencl:0;level_zero:0", vec![0]),
        ("ONEAPI_DEVICE_SELECTOR", "opencl:cpu", vec![]),
        ("ONEAPI_DEVICE_SELECTOR", "!opencl:*", vec![0, 1]),
        ("ONEAPI_DEVICE_SELECTOR", "", vec![0, 1]),
    ] {
        assert_eq!(usable(&two_cards().var(name, value)), left, "{name}={value}");
    }
}

use super::devices::Surroundings;
use super::*;
use crate::hardware::recorded::Recorded;
use crate::hardware::{Device, LinkKind};

const GIB: u64 = 1 << 30;

fn node(host: Recorded, number: u32, properties: &str, bank: Option<&str>) -> Recorded {
    let dir = format!("/sys/class/kfd/kfd/topology/nodes/{number}");
    let host = host.file(&format!("{dir}/properties"), properties);
    match bank {
        Some(bank) => host.file(&format!("{dir}/mem_banks/0/properties"), bank),
        None => host,
    }
}

/// A processor, and two cards with direct links.
fn two_cards() -> Recorded {
    let card = |bus: u32, minor: u32| {
        format!(
            "cpu_cores_count 0\nsimd_count 304\ngfx_target_version 90402\nlocation_id {}\ndomain 0\n\
             drm_render_minor {minor}\nhive_id 77\nunique_id {}\n",
            bus << 8,
            0xab00 + bus
        )
    };
    let bank = "heap_type 1\nsize_in_bytes 206158430208\n";
    let host = Recorded::default().file("/sys/devices/x", "");
    let host = node(host, 0, "cpu_cores_count 96\nsimd_count 0\n", Some("heap_type 0\nsize_in_bytes 999\n"));
    let host = node(host, 2, &card(5, 128), Some(bank));
    let host = node(host, 10, &card(0x83, 129), Some(bank));
    let host = host.file("/dev/kfd", "").file("/dev/dri/renderD128", "").file("/dev/dri/renderD129", "");
    host.file("/sys/class/drm/renderD128/device/vendor", "0x1002\n")
        .file("/sys/class/drm/renderD128/device/device", "0x74a1\n")
        .file("/sys/class/drm/renderD128/device/mem_info_vram_total", "206158430208\n")
        .file("/sys/class/drm/renderD128/device/mem_info_vram_used", "6158430208\n")
        .file("/sys/class/drm/renderD128/device/product_name", "Some Instinct OAM\n")
        .file("/opt/rocm/.info/version", "6.4.1-83\n")
        .file("/sys/module/amdgpu/version", "6.12.12\n")
}

#[test]
fn the_kernels_files_tell_cards_versions_and_links() {
    let probe = Amd.probe(&two_cards());
    let [first, second] = &probe.devices[..] else { panic!("{probe:?}") };
    assert_eq!(
        *first,
        Device {
            vendor: VendorId::Amd,
            index: 0,
            name: "Some Instinct OAM".to_owned(),
            uuid: Some("GPU-000000000000ab05".to_owned()),
            memory_total_bytes: 206_158_430_208,
            memory_free_bytes: Some(200_000_000_000),
            architecture: Some("gfx942".to_owned()),
            unified: false,
            usable: true,
            problem: None,
        }
    );
    assert_eq!((second.index, second.name.as_str(), second.memory_free_bytes), (1, "AMD GPU (gfx942)", None));
    assert_eq!((probe.links[0].devices, probe.links[0].kind), ((0, 1), LinkKind::Xgmi));
    assert_eq!(
        probe.versions,
        [("rocm".to_owned(), "6.4.1-83".to_owned()), ("amdgpu driver".to_owned(), "6.12.12".to_owned())]
    );
    assert_eq!(probe.problems, [] as [String; 0]);
}

#[test]
fn a_machine_without_amd_is_silent() {
    assert_eq!(
        Amd.probe(&Recorded::default().file("/sys/class/drm/card0/device/vendor", "0x8086\n")),
        Probe::default()
    );
}

fn visible(probe: &Probe) -> Vec<u32> {
    probe.devices.iter().filter(|device| device.usable).map(|device| device.index).collect()
}

#[test]
fn the_runtimes_variable_counts_first_and_hip_counts_what_it_leaves() {
    for (rocr, hip, cuda, left, problems) in [
        (None, None, None, vec![0, 1], 0),
        (Some("1"), None, None, vec![1], 0),
        (Some("1"), Some("0"), None, vec![1], 0),
        (Some("1"), Some("1"), None, vec![], 1),
        (Some("GPU-000000000000ab83"), None, None, vec![1], 0),
        (None, Some("1,0"), None, vec![0, 1], 0),
        (None, Some("-1"), None, vec![], 0),
        (None, Some(""), None, vec![], 0),
        (None, Some("0,9,1"), None, vec![0], 1),
        (None, None, Some("1"), vec![1], 0),
        (None, Some("0"), Some("1"), vec![0], 1),
        (None, Some("0"), Some("0"), vec![0], 0),
    ] {
        let mut host = two_cards();
        for (name, value) in
            [("ROCR_VISIBLE_DEVICES", rocr), ("HIP_VISIBLE_DEVICES", hip), ("CUDA_VISIBLE_DEVICES", cuda)]
        {
            if let Some(value) = value {
                host = host.var(name, value);
            }
        }
        let probe = Amd.probe(&host);
        assert_eq!(visible(&probe), left, "{rocr:?} {hip:?} {cuda:?}");
        assert_eq!(probe.problems.len(), problems, "{rocr:?} {hip:?} {cuda:?}: {:?}", probe.problems);
    }
}

#[test]
fn graphics_of_the_processor_beside_a_card_are_kept_but_not_used() {
    let card = Card { gfx: Some("gfx1100".into()), vram: Some(24 * GIB), ..Card::default() };
    let graphics = Card {
        index: 1,
        gfx: Some("gfx1036".into()),
        vram: Some(GIB / 2),
        gtt: Some(32 * GIB),
        integrated: true,
        ..Card::default()
    };
    let probe = devices::devices(vec![card, graphics.clone()], &Surroundings::default());
    assert_eq!(visible(&probe), [0]);
    let problem = probe.devices[1].problem.as_deref().unwrap();
    assert!(problem.contains("`export HIP_VISIBLE_DEVICES=0`"), "{problem}");
    let alone = devices::devices(vec![graphics], &Surroundings::default());
    assert_eq!(visible(&alone), [1], "alone they are all there is");
}

fn strix_halo(vram: u64, gtt: u64) -> Card {
    Card {
        gfx: Some("gfx1151".into()),
        integrated: true,
        vram: Some(vram),
        gtt: Some(gtt),
        gtt_used: Some(2 * GIB),
        vram_used: Some(GIB),
        ..Card::default()
    }
}

#[test]
fn an_apu_uses_what_it_may_map_or_what_was_cut_off_for_it() {
    let main = Memory { total_bytes: 124 * GIB, available_bytes: 60 * GIB };
    let new = Surroundings { main: Some(main), kernel: Some("6.17.0".into()), ..Surroundings::default() };
    let device = devices::devices(vec![strix_halo(4 * GIB, 96 * GIB)], &new).devices.remove(0);
    assert!(device.unified && device.usable, "{device:?}");
    assert_eq!((device.memory_total_bytes, device.memory_free_bytes), (96 * GIB, Some(60 * GIB)));
    let device = devices::devices(vec![strix_halo(96 * GIB, 16 * GIB)], &new).devices.remove(0);
    assert!(!device.unified, "what was cut off is its own");
    assert_eq!((device.memory_total_bytes, device.memory_free_bytes), (96 * GIB, Some(95 * GIB)));
}

#[test]
fn older_kernels_limit_strix_halo() {
    for (kernel, limited) in [
        ("6.14.0-37-generic", true),
        ("6.16.8", true),
        ("6.16.9-arch1", false),
        ("6.17.0", false),
        ("7.1", false),
        ("?", false),
    ] {
        let around = Surroundings { kernel: Some(kernel.into()), ..Surroundings::default() };
        let device = devices::devices(vec![strix_halo(96 * GIB, 16 * GIB)], &around).devices.remove(0);
        assert_eq!(device.memory_total_bytes == 15_500_000_000, limited, "{kernel}");
        assert_eq!(device.problem.is_some_and(|why| why.contains("6.16.9")), limited, "{kernel}");
        assert!(device.usable);
    }
}

#[test]
fn cards_that_rocm_cannot_reach_say_why() {
    let host = Recorded::default()
        .file("/sys/class/drm/card10/device/vendor", "0x1002\n")
        .file("/sys/class/drm/card10/device/mem_info_vram_total", "17163091968\n")
        .file("/sys/class/drm/card2/device/vendor", "0x1002\n")
        .file("/sys/class/drm/card2/device/device", "0x7550\n")
        .file("/sys/class/drm/card2/device/revision", "0xc0\n")
        .file("/sys/class/drm/card2-DP-1/status", "connected\n")
        .file("/usr/share/libdrm/amdgpu.ids", "1.0.0\n7550,\tC0,\tAMD Radeon Something\n");
    let probe = Amd.probe(&host);
    assert_eq!(probe.devices.len(), 2);
    assert_eq!(probe.devices[0].name, "AMD Radeon Something", "card2 comes before card10");
    assert_eq!(probe.devices[1].memory_total_bytes, 17_163_091_968);
    for device in &probe.devices {
        assert!(!device.usable && device.problem.as_deref().unwrap().contains("--device /dev/kfd"), "{device:?}");
    }
}

#[test]
fn the_tools_are_asked_where_the_kernels_files_are_not() {
    let host = Recorded::default()
        .program("amd-smi", "static", 0, "WARNING: User is missing the following required groups: [render]\n[{\"gpu\": 0, \"asic\": {\"market_name\": \"Radeon X\", \"target_graphics_version\": \"gfx1200\"}, \"vram\": {\"size\": {\"value\": 16304, \"unit\": \"MB\"}}}]")
        .program("amd-smi", "metric", 0, "{\"gpu_data\": [{\"gpu\": 0, \"mem_usage\": {\"total_vram\": {\"value\": 16304, \"unit\": \"MB\"}, \"used_vram\": {\"value\": 304, \"unit\": \"MB\"}}}]}");
    let device = Amd.probe(&host).devices.remove(0);
    assert_eq!((device.name.as_str(), device.architecture.as_deref()), ("Radeon X", Some("gfx1200")));
    assert_eq!((device.memory_total_bytes, device.memory_free_bytes), (16304 << 20, Some(16000 << 20)));

    let host = Recorded::default().program("amd-smi", "", 255, "").program(
        "rocm-smi",
        "--json",
        0,
        "{\"card0\": {\"VRAM Total Memory (B)\": \"8573157376\", \"Card series\": \"Radeon Y\"}}",
    );
    assert_eq!(Amd.probe(&host).devices[0].memory_total_bytes, 8_573_157_376);
    let host = Recorded::default().program(
        "rocm-smi",
        "",
        1,
        "ERROR:root:Driver not initialized (amdgpu not found in modules)",
    );
    let problems = Amd.probe(&host).problems;
    assert!(problems[0].contains("`sudo modprobe amdgpu`"), "{problems:?}");
}

#[test]
fn the_tools_whole_card_is_shared_by_its_partitions() {
    let text = "{\"card0\": {\"PCI Bus\": \"0000:05:00.0\", \"VRAM Total Memory (B)\": \"1000\", \"VRAM Total Used Memory (B)\": \"9\"},\
                 \"card1\": {\"PCI Bus\": \"0000:05:00.1\", \"VRAM Total Memory (B)\": \"1000\"},\
                 \"card2\": {\"PCI Bus\": \"0000:06:00.0\", \"VRAM Total Memory (B)\": \"1000\", \"VRAM Total Used Memory (B)\": \"9\"}}";
    let devices = recorded(text).devices;
    let told: Vec<_> = devices.iter().map(|d| (d.memory_total_bytes, d.memory_free_bytes)).collect();
    assert_eq!(told, [(500, None), (500, None), (1000, Some(991))]);
    assert_eq!(devices[1].name, "AMD GPU, part 2 of 2");
}

#[test]
fn isa_numbers_become_names() {
    for (number, name) in
        [(90402, "gfx942"), (90010, "gfx90a"), (110_501, "gfx1151"), (100_300, "gfx1030"), (120_001, "gfx1201")]
    {
        assert_eq!(chip::gfx(number).as_deref(), Some(name));
    }
    assert_eq!(chip::gfx(0), None);
    assert_eq!(chip::gfx(u64::MAX), None);
}

#[test]
fn windows_tells_the_whole_size_in_its_registry() {
    let key = "HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Control\\Class\\{4d36e968-e325-11ce-bfc1-08002be10318}";
    let names = format!(
        "\r\n{key}\\0000\r\n    DriverDesc    REG_SZ    AMD Radeon RX 9090\r\n\r\n{key}\\0001\r\n    DriverDesc    REG_SZ    AMD Radeon(TM) Graphics\r\n\r\n\
         {key}\\0002\r\n    DriverDesc    REG_SZ    NVIDIA GeForce RTX 1\r\n\r\nEnd of search: 3 match(es) found.\r\n"
    );
    let sizes = format!(
        "\r\n{key}\\0000\r\n    HardwareInformation.qwMemorySize    REG_QWORD    0x5fe000000\r\n\r\n{key}\\0001\r\n    \
         HardwareInformation.qwMemorySize    REG_QWORD    0x20000000\r\n"
    );
    let host = Recorded::default().program("reg", "DriverDesc", 0, &names).program("reg", "qwMemorySize", 1, &sizes);
    let cards = registry::read(&host);
    assert_eq!(cards.len(), 2);
    assert_eq!((cards[0].name.as_deref(), cards[0].vram), (Some("AMD Radeon RX 9090"), Some(0x5_fe00_0000)));
    assert!(cards[1].integrated && !cards[0].integrated);
}

#[test]
fn device_files_that_are_held_back_or_missing_leave_no_card_to_use() {
    for path in ["/dev/kfd", "/dev/dri/renderD128"] {
        let probe = Amd.probe(&two_cards().denied(path));
        let problem = probe.devices[0].problem.as_deref().unwrap();
        assert!(problem.contains(path) && problem.contains("`sudo usermod -aG render,video $USER`"), "{problem}");
        let mut without = two_cards();
        without.files.remove(Path::new(path));
        let probe = Amd.probe(&without);
        let problem = probe.devices[0].problem.as_deref().unwrap();
        assert!(problem.contains(path) && problem.contains("`docker run --device /dev/kfd"), "{problem}");
        let left = if path == "/dev/kfd" { vec![] } else { vec![1] };
        assert_eq!(visible(&probe), left);
    }
}

#[test]
fn programs_that_hold_a_cards_memory_are_named() {
    let host = two_cards()
        .file("/sys/class/kfd/kfd/topology/nodes/2/gpu_id", "41001\n")
        .file("/sys/class/kfd/kfd/topology/nodes/10/gpu_id", "41002\n")
        .file("/sys/class/kfd/kfd/proc/812/vram_41001", "21474836480\n")
        .file("/sys/class/kfd/kfd/proc/812/vram_41002", "4096\n")
        .file("/sys/class/kfd/kfd/proc/812/pasid", "32770\n")
        .file("/sys/class/kfd/kfd/proc/97/vram_41001", "1073741824\n")
        .file("/proc/812/comm", "llama-server\n");
    let probe = Amd.probe(&host);
    let said = "busy: 21.0 GiB held by llama-server (pid 812) and 1 more";
    assert_eq!(probe.devices[0].problem.as_deref(), Some(said));
    assert_eq!(probe.devices[1].problem, None, "a few kilobytes disturb nobody");
    assert_eq!(visible(&probe), [0, 1]);
}

#[test]
fn hygons_cards_are_not_amds() {
    let node = "vendor_id 7572\nsimd_count 256\ngfx_target_version 90600\nlocation_id 1024\n";
    let host = super::tests::node(Recorded::default(), 1, node, Some("heap_type 1\nsize_in_bytes 68702699520\n"));
    let clone = "{\"card0\": {\"Card Series\": \"K200\", \"Card Vendor\": \"Chengdu Haiguang IC Design\", \
                 \"vram Total Memory (MiB)\": \"65520\"}, \"card1\": {\"HCU use (%)\": \"0\", \"Device ID\": \"0x6320\"}}";
    let probe = Amd.probe(&host.file("/dev/kfd", "").program("rocm-smi", "", 0, clone));
    assert_eq!(probe, Probe::default());
}

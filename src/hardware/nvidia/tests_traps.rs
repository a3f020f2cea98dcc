//! Cards that are there and out of reach, and what is said of them.

use super::tests::{GIB, NO_LIBRARY, shown, two, usable};
use super::*;
use crate::hardware::recorded::Recorded;
use crate::host::Ran;

#[test]
fn mig_mode_without_an_instance_says_how_to_make_one() {
    let mut reading = two();
    reading.gpus[1].mig = Some(Vec::new());
    let probe = shown(&reading, None);
    assert_eq!((usable(&probe), probe.devices.len()), (vec![0], 2));
    let problem = probe.devices[1].problem.as_deref().unwrap();
    assert!(problem.contains("`sudo nvidia-smi mig -i 1 -cgi PROFILE -C`"), "{problem}");
    assert!(problem.contains("`sudo nvidia-smi -i 1 -mig 0`"), "{problem}");
}

#[test]
fn device_files_that_may_not_be_opened_leave_no_card_to_use() {
    let csv = "0, GPU-aa, NVIDIA L4, 23034, 22000, 580.65.06, 8.9, [N/A]\n";
    let host = || Recorded::default().program("nvidia-smi", "", 0, csv).file("/dev/nvidiactl", "");
    assert_eq!(usable(&NO_LIBRARY.probe(&host().file("/dev/nvidia-uvm", ""))), [0]);
    // It is made when CUDA first needs it.
    assert_eq!(usable(&NO_LIBRARY.probe(&host())), [0]);
    let probe = NO_LIBRARY.probe(&host().denied("/dev/nvidia-uvm"));
    assert_eq!(usable(&probe), [] as [u32; 0]);
    let problem = probe.devices[0].problem.as_deref().unwrap();
    assert!(problem.contains("`ls -l /dev/nvidia-uvm`") && problem.contains("usermod -aG"), "{problem}");
}

#[test]
fn a_container_without_the_library_of_a_loaded_driver_is_told_so() {
    for line in [
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  571.20.03  Tue Jan  7 20:00:00 UTC 2025\nGCC version:\n",
        "NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  571.20.03  Release Build  (builder@host)\n",
    ] {
        let problems = NO_LIBRARY.probe(&Recorded::default().file("/proc/driver/nvidia/version", line)).problems;
        let told =
            problems[0].contains("driver 571.20.03 is loaded") && problems[0].contains("`docker run --gpus all`");
        assert!(told, "{problems:?}");
    }
}

#[test]
fn a_card_that_another_driver_has_is_told_apart() {
    for (driver, word) in
        [("vfio-pci", "virtual machine"), ("nouveau", "nouveau drives it"), ("", "its driver is not here")]
    {
        let slot = "/sys/bus/pci/devices/0000:0b:00.0";
        let host = Recorded::default()
            .file(&format!("{slot}/vendor"), "0x10de\n")
            .file(&format!("{slot}/class"), "0x030000\n")
            .file(&format!("{slot}/uevent"), &format!("PCI_CLASS=30000\nDRIVER={driver}\n"));
        let problems = NO_LIBRARY.probe(&host).problems;
        assert!(problems[0].contains(word) && problems[0].contains("0000:0b:00.0"), "{driver}: {problems:?}");
    }
}

#[test]
fn a_jetson_without_library_and_tool_has_main_memory() {
    let host = Recorded::default()
        .file("/proc/meminfo", "MemTotal: 65011712 kB\nMemAvailable: 50331648 kB\n")
        .file("/etc/nv_tegra_release", "# R35 (release), REVISION: 4.1, GCID: 1, BOARD: t186ref\n")
        .file("/proc/device-tree/model", "NVIDIA Jetson Test Developer Kit\0");
    let probe = NO_LIBRARY.probe(&host);
    let device = &probe.devices[0];
    assert_eq!(device.name, "NVIDIA Jetson Test Developer Kit");
    assert_eq!((device.unified, device.usable, device.memory_total_bytes), (true, true, 62 * GIB));
    assert_eq!(probe.versions, [("nvidia driver".to_owned(), "L4T 35.4.1".to_owned())]);
    // Other boards have a device tree, too.
    let other = Recorded::default().file("/proc/device-tree/model", "Some Pi\0");
    assert_eq!(NO_LIBRARY.probe(&other), Probe::default());
}

#[test]
fn a_driver_that_hangs_is_a_problem_with_its_cure() {
    struct Hangs;
    impl crate::host::StandIn for Hangs {
        fn run(&self, _: &std::path::Path, _: &[&str], limit: std::time::Duration) -> std::io::Result<Ran> {
            assert!(limit <= TIME_LIMIT);
            Err(std::io::ErrorKind::TimedOut.into())
        }
        fn which(&self, name: &str) -> Option<std::path::PathBuf> {
            Some(name.into())
        }
    }
    let problems = NO_LIBRARY.probe(&Hangs).problems;
    assert!(problems[0].contains("did not answer within 10 s"), "{problems:?}");
}

/// Two cards as the kernel module tells them.
fn kernel(host: Recorded) -> Recorded {
    let information = |model: &str, uuid: &str| {
        format!("Model: \t\t {model}\nIRQ:   \t\t 99\nGPU UUID: \t {uuid}\nDevice Minor: \t 0\nGPU Excluded:\t No\n")
    };
    host.file("/proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX x86_64 Kernel Module  571.20.03  Tue\n")
        .file("/proc/driver/nvidia/gpus/0000:21:00.0/information", &information("NVIDIA L4", "GPU-71aa-bb"))
        .file("/proc/driver/nvidia/gpus/0000:61:00.0/information", &information("Unknown", "GPU-????????-????"))
}

#[test]
fn cards_of_a_broken_driver_are_listed_with_the_cure() {
    let said = "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 571.30\n";
    let host = kernel(Recorded::default()).file("/dev/nvidiactl", "").program("nvidia-smi", "", 18, said);
    let probe = NO_LIBRARY.probe(&host);
    let told: Vec<_> = probe.devices.iter().map(|d| (d.index, d.name.as_str(), d.uuid.as_deref(), d.usable)).collect();
    assert_eq!(told, [(0, "NVIDIA L4", Some("GPU-71aa-bb"), false), (1, "NVIDIA GPU", None, false)]);
    assert!(probe.devices.iter().all(|device| device.problem.as_deref().unwrap().contains("`sudo reboot`")));
    assert!(probe.problems.is_empty(), "said once: {:?}", probe.problems);
}

#[test]
fn a_container_that_was_not_given_the_cards_lists_them() {
    let said = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n";
    // With the tool in the image and without.
    for host in [kernel(Recorded::default()).program("nvidia-smi", "", 9, said), kernel(Recorded::default())] {
        let probe = NO_LIBRARY.probe(&host);
        let problem = probe.devices[1].problem.as_deref().unwrap();
        assert!(problem.contains("571.20.03 is loaded") && problem.contains("`docker run --gpus all`"), "{problem}");
    }
}

#[test]
fn a_chip_that_says_a_wrong_number_is_known_by_its_name() {
    for name in ["NVIDIA GB10", "NVIDIA N1X", "Orin (nvgpu)", "NVIDIA Thor"] {
        let mut reading = two();
        reading.gpus.truncate(1);
        reading.gpus[0].name = Some(name.to_owned());
        reading.gpus[0].memory = Amount::Known { total: 8128 << 20, free: Some(8000 << 20) };
        let device = shown(&reading, None).devices.remove(0);
        assert!(device.unified, "{name}");
        assert_eq!((device.memory_total_bytes, device.memory_free_bytes), (120 * GIB, Some(8000 << 20)), "{name}");
    }
}

#[test]
fn wsls_library_is_looked_for_where_wsl_keeps_it() {
    assert!(library::places(Os::Linux).contains(&"/usr/lib/wsl/lib/libnvidia-ml.so.1"));
    assert!(library::places(Os::Windows).iter().any(|place| place.contains("NVSMI")));
    assert!(library::places(Os::Macos).is_empty());
}

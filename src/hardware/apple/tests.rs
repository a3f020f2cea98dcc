use super::*;
use crate::hardware::recorded::Recorded;
use crate::hardware::sampled::sample;

/// The same recordings, on a Mac.
struct Mac(Recorded);

impl crate::host::StandIn for Mac {
    fn base(&self) -> &dyn Host {
        &self.0
    }
    fn os(&self) -> Os {
        Os::Macos
    }
}

const MAX: &str = "hw.memsize: 68719476736\nmachdep.cpu.brand_string: Apple M4 Max\niogpu.wired_limit_mb: 0\n";

#[test]
fn the_gpu_has_its_share_of_the_memory() {
    for (memory_gib, limit, mib) in [
        (64, None, 48 * 1024),
        (64, Some(0), 48 * 1024),
        (64, Some(57344), 57344),
        (36, None, 24 * 1024),
        (48, None, 36 * 1024),
        // More than there is cannot be used.
        (16, Some(999_999), 16 * 1024),
        (16, Some(u64::MAX), 16 * 1024),
    ] {
        assert_eq!(usable(memory_gib * GIB, limit) / MIB, mib, "{memory_gib} GiB, {limit:?}");
    }
}

#[test]
fn a_mac_with_apple_silicon_is_one_device() {
    let registry = "  | {\n  |   \"model\" = \"Apple M4 Max\"\n  |   \"gpu-core-count\" = 40\n  | }\n";
    // The name of another macOS makes sysctl fail after it said the rest.
    let host = Recorded::default().program("sysctl", "hw.memsize", 1, MAX).program("ioreg", "AGX", 0, registry);
    let probe = Apple.probe(&Mac(host));
    let device = &probe.devices[0];
    assert_eq!((device.name.as_str(), device.architecture.as_deref()), ("Apple M4 Max", Some("M4 Max")));
    assert!(device.unified && device.usable);
    assert_eq!(device.memory_total_bytes, 48 * GIB);
    assert!(device.memory_free_bytes.is_some_and(|free| free <= 48 * GIB));
    assert_eq!(probe.versions, [("apple gpu cores".to_owned(), "40".to_owned())]);
}

#[test]
fn other_machines_are_empty_probes() {
    assert_eq!(Apple.probe(&Recorded::default().program("sysctl", "", 0, MAX)), Probe::default(), "not on Linux");
    let intel = "hw.memsize: 34359738368\nmachdep.cpu.brand_string: Intel(R) Core(TM) i9-9980HK CPU @ 2.40GHz\n";
    assert_eq!(Apple.probe(&Mac(Recorded::default().program("sysctl", "", 0, intel))), Probe::default());
    let probe = Apple.probe(&Mac(Recorded::default()));
    assert!(probe.devices.is_empty() && probe.problems[0].contains("`/usr/sbin/sysctl hw.memsize`"));
}

#[test]
fn sysctl_in_every_spelling() {
    let chip = Some("Apple M2".to_owned());
    let limit = |text: &str| parse_sysctl(text).wired_limit_mib;
    assert_eq!(
        parse_sysctl("17179869184\nApple M2\n"),
        Sysctl { memory: Some(16 * GIB), chip: chip.clone(), ..Sysctl::default() }
    );
    assert_eq!(parse_sysctl("hw.memsize=17179869184\nmachdep.cpu.brand_string=Apple M2").chip, chip);
    assert_eq!(limit("debug.iogpu.wired_limit: 12884901888\n"), Some(12288));
    assert_eq!(limit("debug.iogpu.wired_limit: 12288\n"), Some(12288));
    assert_eq!(limit("iogpu.wired_limit_mb: 9000\ndebug.iogpu.wired_limit: 12288\n"), Some(9000));
    assert_eq!(parse_sysctl("hw.memsize: 0\n"), Sysctl::default());
    let unnamed = card(&parse_sysctl("hw.memsize: 17179869184\nhw.optional.arm64: 1\n")).unwrap();
    assert_eq!((unnamed.name, unnamed.total.is_some()), (None, true));
    assert_eq!(card(&parse_sysctl("hw.memsize: 17179869184\nhw.optional.arm64: 0\n")), None);
    // Without its size the device stays.
    assert_eq!(card(&parse_sysctl("Apple M2\n")).unwrap().total, None);
}

#[test]
fn recorded_facts_that_are_no_device() {
    let Some((text, expected)) = sample("apple", "sysctl_memsize_16g.txt") else { return };
    assert_eq!(parse_sysctl(&text).memory, expected["memory_total_bytes"].as_u64());
    let Some((text, expected)) = sample("apple", "sp_displays_m3pro.json") else { return };
    let cores = expected["devices"][0]["gpu_cores"].to_string();
    assert_eq!(parse_displays(&text).versions, [("apple gpu cores".to_owned(), cores)]);
}

#[test]
fn the_registry_says_how_busy_the_gpu_is() {
    let text = "+-o AGXAcceleratorG15X  <class AGXAcceleratorG15X>\n  \"PerformanceStatistics\" = {\"In use system memory \
                (driver)\"=5,\"Device Utilization %\"=37,\"In use system memory\"=3000000000,\"recoveryCount\"=0}\n";
    let host = Mac(Recorded::default().program("ioreg", "IOAccelerator", 0, text));
    let loads = Apple.load(&host);
    assert_eq!((loads.len(), loads[0].gauge.busy_percent, loads[0].used_bytes), (1, Some(37), Some(3_000_000_000)));
    let silent = Mac(Recorded::default().program("ioreg", "IOAccelerator", 0, "+-o Root\n"));
    assert!(Apple.load(&silent).is_empty());
}

//! What real tools and kernels told, with the facts a right reading has, where the collection is at hand; and any
//! bytes at all.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::hardware::Device;

fn samples(vendor: &str) -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/samples/hardware").join(vendor);
    if !dir.is_dir() {
        eprintln!("skipped: {} is not here", dir.display());
    }
    dir.is_dir().then_some(dir)
}

fn kind_of(sample: &str) -> &'static str {
    let kinds = [
        ("amd-smi", "amd-smi-json"),
        ("kfd", "kfd-tree"),
        ("sysfs_drm", "drm-tree"),
        ("rocm-smi-csv", "rocm-smi-csv"),
        ("rocm-smi", "rocm-smi-json"),
        ("win32", "win32-video"),
    ];
    kinds.iter().find(|(start, _)| sample.starts_with(start)).unwrap().1
}

fn same(device: &Device, wanted: &Value, place: &str) {
    assert_eq!(Some(u64::from(device.index)), wanted["index"].as_u64(), "{place}");
    if let Some(name) = wanted["name"].as_str() {
        assert_eq!(device.name, name, "{place}");
    } else {
        assert!(device.name.starts_with("AMD GPU"), "{place}: {}", device.name);
    }
    // An APU's carve-out is told apart from what can be used.
    let total = wanted["usable_bytes"].as_u64().or(wanted["memory_total_bytes"].as_u64());
    assert_eq!((device.memory_total_bytes > 0).then_some(device.memory_total_bytes), total, "{place}");
    assert_eq!(device.memory_free_bytes, wanted["memory_free_bytes"].as_u64(), "{place}");
    assert_eq!(device.architecture.as_deref(), wanted["gfx"].as_str(), "{place}");
    if let Some(unique) = wanted["unique_id"].as_str() {
        let number = match unique.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).ok(),
            None => unique.parse().ok(),
        };
        let uuid = match number {
            Some(number) => uuid(number),
            None => Some(unique.to_owned()).filter(|unique| unique != "N/A"),
        };
        assert_eq!(device.uuid, uuid, "{place}");
    }
    if let Some(unified) = wanted["unified_memory"].as_bool() {
        assert_eq!(device.unified, unified, "{place}");
    }
}

#[test]
fn every_sample_is_read_as_expected() {
    let mut read = 0;
    for dir in ["amd", "windows"].into_iter().filter_map(samples) {
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if name.ends_with(".expected.json") {
                continue;
            }
            let expected = std::fs::read_to_string(dir.join(format!("{name}.expected.json"))).unwrap();
            let expected: Value = serde_json::from_str(&expected).unwrap();
            let kind = KINDS.iter().find(|kind| kind.name == kind_of(&name)).unwrap();
            let probe = (kind.read)(&path);
            assert_eq!(Some(probe.devices.len() as u64), expected["device_count"].as_u64(), "{name}: {probe:?}");
            for (device, wanted) in probe.devices.iter().zip(expected["devices"].as_array().unwrap()) {
                same(device, wanted, &name);
            }
            if let Some(usable) = expected["usable_indices"].as_array() {
                let ours: Vec<u64> =
                    probe.devices.iter().filter(|device| device.usable).map(|device| device.index.into()).collect();
                assert_eq!(ours, usable.iter().filter_map(Value::as_u64).collect::<Vec<_>>(), "{name}");
            }
            let driver = probe.versions.iter().find(|(name, _)| name == "amdgpu driver").map(|(_, v)| v.as_str());
            assert_eq!(driver, expected["driver_version"].as_str(), "{name}");
            match expected["error"]["kind"].as_str() {
                None => assert_eq!(probe.problems, [] as [String; 0], "{name}"),
                Some("partial") => {
                    assert!(probe.problems.len() == 2 && probe.devices.iter().all(|device| !device.usable), "{name}");
                }
                Some(other) => panic!("{name}: {other} is not compared yet"),
            }
            read += 1;
        }
    }
    if samples("amd").is_some() {
        assert!(read > 9, "{read}");
    }
}

/// Texts of the tools' words in any order, which reach deeper than noise does.
fn words() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"card0\"",
        "\"gpu_data\"",
        "\"gpu\"",
        "\"vram\"",
        "\"size\"",
        "\"value\"",
        "1",
        "\"unit\"",
        "\"MB\"",
        "\"VRAM Total Memory (B)\"",
        "\"18446744073709551615\"",
        "\"PCI Bus\"",
        "\"a:b.c\"",
        "device,VRAM Total Memory (B)\n",
        "card0,12\n",
        "card9",
        "GPU[0]",
        " : ",
        "ERROR: ",
        "\n",
        "Unable to",
        "|",
        "AMD Radeon",
        "4293918720",
        "é",
    ]);
    prop::collection::vec(word, 0..60).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let text = replay::decode(&bytes);
        let _ = (recorded(&text), registry::adapters(&text), kfd::properties(&text));
    }

    #[test]
    fn any_words_are_survived(text in words()) {
        let probe = recorded(&text);
        prop_assert!(!probe.devices.is_empty() || !probe.problems.is_empty());
        let _ = registry::adapters(&text);
    }

    #[test]
    fn any_tree_is_survived(
        name in "[a-z0-9]{1,8}",
        properties in "(simd_count|location_id|domain|gfx_target_version|heap_type|size_in_bytes|[a-z]{3}) [0-9]{0,20}\n?",
        other in "[ -~\n]{0,80}",
    ) {
        let dir = tempfile::tempdir().unwrap();
        let node = dir.path().join("nodes/1/mem_banks/0");
        std::fs::create_dir_all(&node).unwrap();
        std::fs::write(dir.path().join("nodes/1/properties"), format!("simd_count 4\n{properties}\n{other}")).unwrap();
        std::fs::write(node.join("properties"), format!("heap_type 1\nsize_in_bytes 5\n{properties}\n{other}")).unwrap();
        std::fs::create_dir_all(dir.path().join("card0/device")).unwrap();
        std::fs::write(dir.path().join("card0/device/vendor"), "0x1002\n").unwrap();
        std::fs::write(dir.path().join("card0/device").join(name), &other).unwrap();
        for kind in KINDS {
            let _ = (kind.read)(dir.path());
        }
    }
}

//! What real tools printed, against what a right reading of it is; and that no text, right or wrong or nearly right,
//! breaks a reader. Both go through the kinds that vendors name, so that a new one is tested without asking.

use std::io::Write;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// The collection of recordings, where it is at hand.
pub(super) fn collection() -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/samples/hardware");
    if !dir.is_dir() {
        eprintln!("skipped: {} is not here", dir.display());
        return None;
    }
    Some(dir)
}

/// A sample's text and the facts of a right reading.
pub(super) fn sample(vendor: &str, name: &str) -> Option<(String, Value)> {
    let path = collection()?.join(vendor).join(name);
    let expected = std::fs::read(path.with_file_name(format!("{name}.expected.json"))).unwrap();
    let text = String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
    Some((text, serde_json::from_slice(&expected).unwrap()))
}

/// The kind that reads a sample, by the beginning of the sample's name.
const READ_BY: &[(&str, &str, &str)] = &[
    ("ascend", "npu-smi-info", "npu-smi"),
    ("ascend", "npu-smi-usages", "npu-smi"),
    ("ascend", "npu-smi-m_", "npu-smi-mapping"),
    ("intel", "xpu-smi-discovery", "xpu-smi-json"),
    ("apple", "sp_displays", "system-profiler-json"),
    ("apple", "sysctl", "sysctl"),
    ("mthreads", "mthreads-gmi", "mthreads-gmi"),
    ("metax", "mx-smi", "mx-smi"),
    ("cambricon", "cnmon", "cnmon"),
    ("hygon", "rocm-smi-json", "hy-smi"),
];

fn kind(name: &str) -> &'static Kind {
    VENDORS.iter().flat_map(|vendor| vendor.kinds()).find(|kind| kind.name == name).unwrap()
}

#[test]
fn recordings_are_read_as_expected() {
    let Some(dir) = collection() else { return };
    let mut read = 0;
    for (vendor, start, name) in READ_BY {
        for path in std::fs::read_dir(dir.join(vendor)).unwrap().map(|entry| entry.unwrap().path()) {
            let file = path.file_name().unwrap().to_str().unwrap().to_owned();
            if file.ends_with(".expected.json") || !file.starts_with(start) {
                continue;
            }
            let (_, expected) = sample(vendor, &file).unwrap();
            let probe = (kind(name).read)(&path);
            let wanted: Vec<&Value> = expected["devices"].as_array().unwrap().iter().collect();
            // On a Mac with an Intel processor no engine would use what is there.
            let wanted: Vec<_> = wanted.into_iter().filter(|device| device["apple_silicon"] != false).collect();
            assert_eq!(probe.devices.len(), wanted.len(), "{file}: {probe:#?}");
            for (device, wanted) in probe.devices.iter().zip(wanted) {
                same(&file, device, wanted);
            }
            assert_eq!(probe.problems.is_empty(), expected["error"].is_null() && file != "mx-smi_4xC500.txt", "{file}");
            for version in ["tool_version", "driver_version"] {
                let Some(wanted) = expected[version].as_str() else { continue };
                assert!(probe.versions.iter().any(|(_, version)| version == wanted), "{file}: {:?}", probe.versions);
            }
            read += 1;
        }
    }
    assert!(read >= 18, "{read}");
}

fn same(file: &str, device: &Device, wanted: &Value) {
    assert_eq!(Some(u64::from(device.index)), wanted["index"].as_u64(), "{file}");
    if let Some(name) = wanted["name"].as_str() {
        assert_eq!(device.name, name, "{file}");
    }
    assert_eq!(device.memory_total_bytes, wanted["memory_total_bytes"].as_u64().unwrap_or(0), "{file}");
    assert_eq!(device.memory_free_bytes, wanted["memory_free_bytes"].as_u64(), "{file}");
    assert_eq!(device.usable, device.memory_total_bytes > 0, "{file}: {:?}", device.problem);
    let unified = wanted["integrated"] == true || wanted["unified_memory"] == true;
    assert_eq!(device.unified, unified, "{file}");
    if let Some(id) = wanted["unique_id"].as_str() {
        assert_eq!(device.uuid.as_deref(), Some(id), "{file}");
    }
    if let Some(id) = wanted["pci_device_id"].as_str() {
        assert_eq!(device.architecture.as_deref(), Some(id), "{file}");
    }
}

/// What the tools print, for texts that are nearly right.
const NEARLY: &[&str] = &[
    "| NPU   Name | Health | Power(W) Temp(C) Hugepages-Usage(page)|\n\
     | Chip  Phy-ID | Bus-Id | AICore(%) Memory-Usage(MB) HBM-Usage(MB) |\n\
     | 3     Ascend910 | OK | 100.5 30 0 / 0 |\n| 0     6 | 0000:0A:00.0 | 0 0 / 0 4000 / 65536 |\n\
     | NPU Chip | Process id | Process name | Process memory(MB) |\n| 3 0 | 77 | python3 | 4000 |\n",
    "NPU ID   Chip ID   Chip Logic ID   Chip Phy-ID   Chip Name\n3  0  6  6  Ascend910\n3  2  -  -  Mcu\n",
    "NPU ID : 1\nDDR Capacity(MB) : 44280\nDDR Usage Rate(%) : 7\nChip ID : 0\nChip ID : 1\nHBM Capacity(MB) : 9\n",
    "{\"device_list\":[{\"device_id\":1,\"device_name\":\"Some [0xe20b]\",\"memory_physical_size_byte\":\"12000000000\"}]}",
    "| 0 | Device Type: GPU |\n|   | PCI BDF Address: 0000:04:00.0 |\n|   | Memory Physical Size: 12000.00 MiB |\n",
    "hw.memsize: 68719476736\nmachdep.cpu.brand_string: Apple M9 Max\niogpu.wired_limit_mb: 0\n",
    "{\"SPDisplaysDataType\":[{\"sppci_model\":\"Apple M9 Max\",\"sppci_cores\":\"40\"}]}",
    "Driver Version:9.9.9\n2    MTT S90  |00000000:05:00.0 |3%  100MiB(24576MiB)\n     Physical |16x(16x) |50C YES\n",
    "Attached GPUs : 2\n| 1  MXC600 | 0000:07:00.0 | 0% |\n| 40C 60W | 900/65536 MiB | |\nGPU#1  MXC600  0000:07:00.0  Available (UUID: GPU-9)\n",
    "| CNMON v6.0.1   Driver v6.0.1 |\n| 1 / MLU590 v1.2.3 | 0000:41:00.0 | 0% N/A |\n| 0% 40C 90 W/ 350 W | 5 MiB/ 80000 MiB | N/A Default |\n",
    "{\"card10\":{\"Card series\":\"BW\",\"vram Total Memory (MiB)\":\"65520\",\"vram Total Used Memory (MiB)\":\"9\"}}",
    "HCU[3]   : vram Total Memory (MiB): 65520\nHCU[3]   : Card series:   K100\nDriver Version: 6.1.2\n",
];

/// Reads a text with every kind; whatever it is, it gives devices that make sense.
fn read_with_all(text: &[u8]) -> Result<(), TestCaseError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text).unwrap();
    for vendor in VENDORS {
        for kind in vendor.kinds() {
            let probe = (kind.read)(file.path());
            prop_assert!(probe.devices.len() <= text.len(), "{}", kind.name);
            for device in &probe.devices {
                prop_assert_eq!(device.vendor, vendor.id());
                prop_assert!(device.usable || device.problem.is_some(), "{}: {:?}", kind.name, device);
                // Main memory, which a recording of its own tells, is what some share.
                let known = device.memory_total_bytes > 0 || device.unified;
                prop_assert!(!device.usable || known, "{}: {:?}", kind.name, device);
                prop_assert!(!device.name.is_empty());
            }
        }
    }
    let adapters = intel::parse_windows(&String::from_utf8_lossy(text));
    prop_assert!(adapters <= text.len());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        read_with_all(&bytes)?;
    }

    #[test]
    fn any_text_of_the_tools_letters_is_survived(text in "[-0-9aMiBG| /:.()%\n\\[\\]{}\",=]{0,400}") {
        read_with_all(text.as_bytes())?;
    }

    #[test]
    fn tables_that_are_nearly_right_are_survived(
        which in 0..NEARLY.len(),
        edits in proptest::collection::vec((any::<proptest::sample::Index>(), 0..5_u8, any::<char>()), 1..12),
    ) {
        let mut text: Vec<char> = NEARLY[which].chars().collect();
        for (at, what, letter) in edits {
            let at = at.index(text.len() + 1).min(text.len().saturating_sub(1));
            match what {
                0 if !text.is_empty() => { text.remove(at); }
                1 => text.insert(at, letter),
                2 => text.insert(at, '9'),
                3 => text.truncate(at),
                _ => { let end = (at + 30).min(text.len()); text.extend_from_within(at..end); }
            }
        }
        read_with_all(text.iter().collect::<String>().as_bytes())?;
    }
}

#[test]
fn each_of_the_nearly_right_texts_is_read_by_the_kind_it_is_for() {
    for text in NEARLY {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let kinds = VENDORS.iter().flat_map(|vendor| vendor.kinds());
        let readers = kinds.filter(|kind| !(kind.read)(file.path()).devices.is_empty()).count();
        assert!(readers > 0, "{text}");
    }
}

#[test]
fn every_kind_reads_what_powershell_and_windows_write() {
    let mut texts: Vec<String> = NEARLY.iter().map(|text| (*text).to_owned()).collect();
    texts.push("0, GPU-77, NVIDIA Ω, 24576, 24000, 590.1, 8.6, [N/A]\n".to_owned());
    texts.push("\tGPU0\tGPU1\nGPU0\t X \tNV2\nGPU1\tNV2\t X \n".to_owned());
    texts.push("GPU[0]\t\t: VRAM Total Memory (B): 17163091968\nGPU[0]\t\t: Card Series: Radeon Q\n".to_owned());
    texts.push("device,Card Series,VRAM Total Memory (B)\ncard0,Radeon Q,17163091968\n".to_owned());
    texts.push("<nvidia_smi_log>\n<gpu>\n<product_name>Q\n</product_name>\n</gpu>\n</nvidia_smi_log>\n".to_owned());
    texts.push("AMD Radeon Q|17163091968\n".to_owned());
    if let Some(dir) = collection() {
        for (vendor, start, _) in READ_BY {
            let files = std::fs::read_dir(dir.join(vendor)).unwrap().map(|entry| entry.unwrap().path());
            let named = files.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(start));
            texts.extend(named.map(|path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned()));
        }
    }
    let mut file = tempfile::NamedTempFile::new().unwrap();
    // One name for all, because problems repeat it.
    let mut read = |bytes: &[u8], kind: &Kind| {
        file.as_file_mut().set_len(0).unwrap();
        std::io::Seek::rewind(file.as_file_mut()).unwrap();
        file.write_all(bytes).unwrap();
        (kind.read)(file.path())
    };
    let mut found = 0;
    for text in texts {
        let windows = text.replace('\n', "\r\n");
        let wide: Vec<u8> = [0xfeff].into_iter().chain(windows.encode_utf16()).flat_map(u16::to_le_bytes).collect();
        let marked = format!("\u{feff}{windows}");
        for kind in VENDORS.iter().flat_map(|vendor| vendor.kinds()) {
            let plain = read(text.as_bytes(), kind);
            found += plain.devices.len();
            for other in [windows.as_bytes(), wide.as_slice(), marked.as_bytes()] {
                assert_eq!(read(other, kind), plain, "{}: {text}", kind.name);
            }
        }
    }
    assert!(found > 20, "{found}");
}

#[test]
fn a_recording_that_is_not_there_is_a_problem() {
    for kind in VENDORS.iter().flat_map(|vendor| vendor.kinds()) {
        let probe = (kind.read)(Path::new("no/such/recording"));
        assert!(probe.devices.is_empty() && !probe.problems.is_empty(), "{}", kind.name);
    }
}

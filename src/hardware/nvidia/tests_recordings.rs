//! What real tools printed, with the facts a right reading has, where the collection is at hand; our own texts in the
//! same shapes; and any bytes at all.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::hardware::{Device, LinkKind};

fn samples() -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/samples/hardware/nvidia");
    if !dir.is_dir() {
        eprintln!("skipped: {} is not here", dir.display());
    }
    dir.is_dir().then_some(dir)
}

/// Compares what both know: a fact that is `null` must not be known to us either.
fn same(device: &Device, wanted: &Value, place: &str) {
    assert_eq!(Some(u64::from(device.index)), wanted["index"].as_u64(), "{place}");
    if let Some(name) = wanted["name"].as_str() {
        assert_eq!(device.name, name, "{place}");
    }
    assert_eq!(device.uuid.as_deref(), wanted["uuid"].as_str(), "{place}");
    let total = (device.memory_total_bytes > 0).then_some(device.memory_total_bytes);
    assert_eq!(total, wanted["memory_total_bytes"].as_u64(), "{place}");
    assert_eq!(device.memory_free_bytes, wanted["memory_free_bytes"].as_u64(), "{place}");
}

#[test]
fn every_sample_is_read_as_expected() {
    let Some(dir) = samples() else { return };
    let mut read = 0;
    for entry in std::fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.ends_with(".expected.json") || name == "proc_meminfo_gb10.txt" {
            continue;
        }
        let expected = std::fs::read_to_string(dir.join(format!("{name}.expected.json"))).unwrap();
        let expected: Value = serde_json::from_str(&expected).unwrap();
        for kind in KINDS {
            let probe = (kind.read)(&path);
            let cards: Vec<&Device> = probe.devices.iter().filter(|device| !device.is_instance()).collect();
            assert_eq!(Some(cards.len() as u64), expected["device_count"].as_u64(), "{name}: {probe:?}");
            for (device, wanted) in cards.iter().zip(expected["devices"].as_array().unwrap()) {
                same(device, wanted, &name);
                let slices: Vec<&Device> =
                    probe.devices.iter().filter(|slice| slice.is_instance() && slice.index == device.index).collect();
                let instances = wanted["mig_devices"].as_array().map(Vec::as_slice).unwrap_or_default();
                assert_eq!(slices.len(), instances.len(), "{name}");
                for (slice, wanted) in slices.iter().zip(instances) {
                    assert_eq!(slice.uuid.as_deref(), wanted["uuid"].as_str(), "{name}");
                    let total = wanted["memory_total_bytes"].as_u64().unwrap_or(0);
                    assert_eq!(slice.memory_total_bytes, total, "{name}");
                    assert!(wanted["profile"].as_str().is_none_or(|profile| slice.name.ends_with(profile)), "{name}");
                }
                assert_eq!(device.unified, wanted["unified_memory"] == true, "{name}");
            }
            let version = |name: &str| probe.versions.iter().find(|(key, _)| key == name).map(|(_, v)| v.as_str());
            assert_eq!(version("nvidia driver"), expected["driver_version"].as_str(), "{name}");
            assert_eq!(version("cuda"), expected["cuda_version"].as_str(), "{name}");
            match expected["error"]["kind"].as_str() {
                None => assert_eq!(probe.problems, [] as [String; 0], "{name}"),
                Some("driver_library_mismatch") => assert!(probe.problems[0].contains("mismatch"), "{name}"),
                Some("driver_not_loaded") => assert!(probe.problems[0].contains("not loaded"), "{name}"),
                Some(other) => panic!("{name}: {other} is not compared yet"),
            }
            if let Some(direct) = expected["all_pairs_nvlink"].as_bool() {
                assert_eq!(probe.links.iter().all(|link| link.kind == LinkKind::Nvlink), direct, "{name}");
                assert_eq!(Some(probe.links[0].name.as_str()), expected["link"].as_str(), "{name}");
            }
            read += 1;
        }
    }
    assert!(read > 9, "{read}");
}

#[test]
fn a_chip_without_memory_of_its_own_takes_the_recorded_machines() {
    let Some(dir) = samples() else { return };
    let from = |kind: &str, name: &str| (kind.to_owned(), dir.join(name));
    let found = crate::hardware::replay(&[
        from("nvidia-smi-csv", "smi_csv_gb10_na.csv"),
        from("meminfo", "proc_meminfo_gb10.txt"),
    ])
    .unwrap();
    let expected = std::fs::read_to_string(dir.join("smi_csv_gb10_na.csv.expected.json")).unwrap();
    let expected: Value = serde_json::from_str(&expected).unwrap();
    let (device, wanted) = (&found.devices[0], &expected["devices"][0]);
    assert!(device.unified && device.usable, "{device:?}");
    assert_eq!(Some(device.memory_total_bytes), wanted["fallback_total_bytes"].as_u64());
    assert_eq!(device.memory_free_bytes, wanted["fallback_free_bytes"].as_u64());
}

const XML: &str = r#"<?xml version="1.0" ?>
<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">
<nvidia_smi_log>
  <driver_version>550.7</driver_version>
  <cuda_version>12.4</cuda_version>
  <gpu id="00000000:3B:00.0">
    <product_name>NVIDIA L4 &amp; friends</product_name>
    <mig_mode><current_mig>N/A</current_mig></mig_mode>
    <mig_devices>None</mig_devices>
    <uuid>GPU-0a1b</uuid>
    <fb_memory_usage><total>23034 MiB</total><reserved>400 MiB</reserved><used>2000 MiB</used><free>20634 MiB</free></fb_memory_usage>
    <bar1_memory_usage><total>32768 MiB</total><used>1 MiB</used><free>32767 MiB</free></bar1_memory_usage>
    <processes><process_info><pid>42</pid><type>C</type><process_name>/usr/bin/ollama runner</process_name><used_memory>1900 MiB</used_memory></process_info></processes>
  </gpu>
  <gpu id="00000000:AF:00.0">
    <product_name>NVIDIA GB10</product_name>
    <uuid>GPU-2c3d</uuid>
    <fb_memory_usage><total>N/A</total><used>[Not Supported]</used><free>N/A</free></fb_memory_usage>
  </gpu>
</nvidia_smi_log>
"#;

#[test]
fn the_xml_is_read_by_names_and_a_cut_one_as_far_as_it_goes() {
    let probe = recording::read(XML);
    let first = &probe.devices[0];
    assert_eq!(first.name, "NVIDIA L4 & friends");
    // Not the window on the bus, and without what the driver reserved.
    assert_eq!((first.memory_total_bytes, first.memory_free_bytes), (23034 << 20, Some(20634 << 20)));
    assert_eq!(first.problem.as_deref(), Some("busy: 1.9 GiB held by ollama (pid 42)"));
    assert!(probe.devices[1].unified && probe.devices[1].memory_total_bytes == 0);
    let cut = &XML[..XML.find("<gpu id=\"00000000:AF").unwrap() + 60];
    let probe = recording::read(cut);
    assert_eq!(probe.devices.len(), 2);
    assert_eq!(probe.devices[0], *first);
    let host = recording::read(&XML.replace("12.4", "N/A"));
    assert!(host.devices.iter().all(|device| !device.usable), "{host:?}");
}

#[test]
fn columns_show_what_they_are() {
    let full =
        "1, GPU-77, 00000000:41:00.0, NVIDIA RTX 6000 Ada Generation, 49140, 10240, 38360, 8.9, 560.35.03, [N/A]\n";
    let probe = recording::read(full);
    let device = &probe.devices[0];
    assert_eq!((device.index, device.name.as_str()), (1, "NVIDIA RTX 6000 Ada Generation"));
    assert_eq!((device.memory_total_bytes, device.memory_free_bytes), (49140 << 20, Some(38360 << 20)));
    assert_eq!((device.uuid.as_deref(), device.architecture.as_deref()), (Some("GPU-77"), Some("8.9")));
    assert_eq!(probe.versions[0].1, "560.35.03");
    let units = "name, memory.total [MiB], memory.free [MiB]\nTesla V100, 16384 MiB, 16000 MiB\n";
    let device = &recording::read(units).devices[0];
    assert_eq!((device.memory_total_bytes, device.memory_free_bytes), (16384 << 20, Some(16000 << 20)));
    let problems = recording::read("hello\n").problems;
    assert!(problems.is_empty() || problems[0].contains("hello"), "{problems:?}");
}

#[test]
fn the_table_for_people_is_read_whatever_its_widths() {
    let text = "+---------+\n\
        | NVIDIA-SMI 512.15 Driver Version: 512.15 CUDA Version: 11.6 |\n\
        | GPU  Name            TCC/WDDM | Bus-Id        Disp.A | Volatile Uncorr. ECC |\n\
        | Fan  Temp  Perf  Pwr:Usage/Cap|         Memory-Usage | GPU-Util  Compute M. |\n\
        |===============================+======================+======================|\n\
        |   0  NVIDIA GeForce ... WDDM  | 00000000:0B:00.0  On |                  N/A |\n\
        |  0%   45C    P8    20W / 170W |   1024MiB / 12288MiB |      3%      Default |\n\
        |   1  NVIDIA Orin        Off   | 00000000:0C:00.0 Off |                  N/A |\n\
        | N/A   N/A  N/A    N/A /  N/A  | Not Supported        |     N/A          N/A |\n\
        | Processes:                                                                  |\n\
        |    0   N/A  N/A     31337    C+G   C:\\apps\\chat.exe                 N/A      |\n";
    let probe = recording::read(text);
    assert_eq!(probe.devices.len(), 2, "{probe:?}");
    assert_eq!(probe.devices[0].name, "NVIDIA GeForce ...");
    assert_eq!(probe.devices[0].memory_free_bytes, Some(11264 << 20));
    assert!(probe.devices[1].unified, "{:?}", probe.devices[1]);
}

#[test]
fn links_of_a_matrix_with_network_cards_and_underlines() {
    let text = "\t\u{1b}[4mGPU0\tGPU1\tGPU2\tNIC0\tCPU Affinity\u{1b}[0m\n\
        GPU0\t X \tNV18\tSYS\tPIX\t0-47\nGPU1\tNV18\t X \tPHB\tPXB\t0-47\nGPU2\tSYS\tPHB\t X \tSYS\t48-95\n\
        NIC0\tPIX\tPXB\tSYS\t X \t\n\nLegend:\n  X    = Self\n  SYS  = far\n";
    let probe = recording::read(text);
    let links: Vec<_> = probe.links.iter().map(|link| (link.devices, link.kind, link.name.as_str())).collect();
    assert_eq!(
        links,
        [((0, 1), LinkKind::Nvlink, "NV18"), ((0, 2), LinkKind::Pcie, "SYS"), ((1, 2), LinkKind::Pcie, "PHB")]
    );
    assert_eq!(probe.devices.len(), 3);
}

/// Texts of the tool's words in any order, which reach deeper than noise does.
fn words() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "<nvidia_smi_log>",
        "<gpu id=\"0\">",
        "</gpu>",
        "<fb_memory_usage>",
        "<total>",
        "</total>",
        "16384 MiB",
        "<mig_devices>",
        "<mig_device>",
        "</mig_device>",
        "<processes>",
        "<process_info>",
        "</process_info>",
        "<pid>",
        "&amp;",
        "<![CDATA[",
        "]]>",
        "<!--",
        "NVIDIA-SMI",
        "|",
        "\n",
        "0  ",
        "1MiB / 2MiB",
        "00000000:0B:00.0",
        "GPU 0: ",
        "(UUID: GPU-1)",
        "MIG 1g ",
        "GPU0",
        "\t",
        "NV4",
        "X",
        "index",
        ", ",
        "memory.total",
        "[N/A]",
        "8.9",
        "Enabled",
        "18446744073709551615",
        "Processes:",
        "C",
        "é",
    ]);
    prop::collection::vec(word, 0..60).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let text = crate::hardware::replay::decode(&bytes);
        let _ = recording::read(&text);
        let _ = csv::parse(&text, csv::FIELDS);
        let _ = (xml::parse(&text), table::parse(&text), listing::parse(&text), topology::parse(&text));
    }

    #[test]
    fn any_words_are_survived(text in words()) {
        let probe = recording::read(&text);
        prop_assert!(!probe.devices.is_empty() || !probe.problems.is_empty());
        let _ = (xml::parse(&text), table::parse(&text), listing::parse(&text), topology::parse(&text));
    }

    #[test]
    fn any_variable_is_survived(spec in "[-0-9,GPUMIga ]{0,40}") {
        let reading = Reading { gpus: vec![Gpu::default(), Gpu { index: 1, ..Gpu::default() }], ..Reading::default() };
        let _ = devices::devices(&reading, Some(&spec), false, &Default::default);
    }
}

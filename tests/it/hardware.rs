//! `llmup hardware`: the machine, recordings of others, and what is wrong with either.

use serde_json::Value;

use crate::support::{Home, Ran};

const CSV: &str = "0, GPU-5a5a, 00000000:41:00.0, NVIDIA Test 48GB, 49152, 1152, 48000, 8.9, 560.35.03, Disabled\n\
                   1, GPU-6b6b, 00000000:61:00.0, NVIDIA Test 48GB, [N/A], [N/A], [N/A], 8.9, 560.35.03, Disabled\n";

#[test]
fn a_recording_that_powershell_wrote_is_read() {
    let home = Home::new();
    let windows = CSV.replace('\n', "\r\n");
    let wide = std::iter::once(0xfeff).chain(windows.encode_utf16()).flat_map(u16::to_le_bytes);
    std::fs::write(home.path().join("wide.csv"), wide.collect::<Vec<u8>>()).unwrap();
    let plain = from(&home, "nvidia-smi-csv", "plain.csv", CSV);
    let read = |from: &str| json(&home.run(&["hardware", "--json", "--from", from]));
    assert_eq!(read("nvidia-smi-csv=wide.csv"), read(&plain));
}

fn json(ran: &Ran) -> Value {
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(ran.err, "");
    serde_json::from_str(&ran.out).unwrap()
}

#[test]
#[cfg(target_os = "linux")]
fn in_wsl_hardware_and_doctor_say_so() {
    let home = Home::new();
    let inside = |args: &[&str]| {
        let mut command = home.llmup(args);
        command.env("WSL_DISTRO_NAME", "Ubuntu-24.04");
        crate::support::finish(command)
    };
    let shown = inside(&["hardware"]);
    assert!(shown.out.contains("\nsystem     Linux in WSL 2 (Ubuntu-24.04)\n"), "{}", shown.out);
    assert_eq!(json(&inside(&["hardware", "--json"]))["versions"]["WSL"], "2 (Ubuntu-24.04)");
    let doctor = inside(&["doctor"]);
    assert!(doctor.out.contains("this Linux runs in WSL 2 (Ubuntu-24.04)\n"), "{}", doctor.out);
}

fn from(home: &Home, kind: &str, name: &str, text: &str) -> String {
    std::fs::write(home.path().join(name), text).unwrap();
    format!("{kind}={name}")
}

#[test]
fn this_machine_is_shown_for_people_and_as_json() {
    let home = Home::new();
    let ran = home.run(&["hardware"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    assert!(ran.out.starts_with("processor  ") && ran.out.contains("\nmemory     "), "{}", ran.out);
    assert!(ran.out.contains("llama-cpp  can use "), "{}", ran.out);
    assert!(!ran.out.contains('\u{1b}'), "no colour in a pipe: {:?}", ran.out);
    let found = json(&home.run(&["hardware", "--json"]));
    assert!(found["memory"]["total_bytes"].as_u64().unwrap() > 0);
    assert!(found["cpu"]["threads"].as_u64().unwrap() > 0);
    assert!(found["cpu"]["features"].is_array() && found["problems"].is_array() && found["devices"].is_array());
}

#[test]
fn a_recording_is_shown_instead_of_the_machine() {
    let home = Home::new();
    let csv = from(&home, "nvidia-smi-csv", "gpus.csv", CSV);
    let found = json(&home.run(&["hardware", "--json", "--from", &csv]));
    let devices = found["devices"].as_array().unwrap();
    assert_eq!(devices.len(), 2);
    assert_eq!(devices[0]["vendor"], "nvidia");
    assert_eq!(devices[0]["uuid"], "GPU-5a5a");
    assert_eq!(devices[0]["memory_total_bytes"], 49152_u64 << 20);
    assert_eq!(devices[0]["memory_free_bytes"], 48000_u64 << 20);
    assert_eq!((&devices[0]["usable"], &devices[0]["problem"]), (&Value::Bool(true), &Value::Null));
    assert_eq!(devices[1]["memory_total_bytes"], Value::Null);
    assert_eq!(found["versions"]["nvidia driver"], "560.35.03");
    assert_eq!((&found["cpu"], &found["memory"]), (&Value::Null, &Value::Null), "not this machine's");

    let meminfo = from(&home, "meminfo", "meminfo", "MemTotal: 1048576 kB\nMemAvailable: 524288 kB\n");
    let found = json(&home.run(&["hardware", "--json", "--from", &csv, "--from", &meminfo]));
    assert_eq!(found["devices"][1]["memory_total_bytes"], 1_u64 << 30);

    let ran = home.run(&["hardware", "--from", &csv]);
    let row = ran.out.lines().find(|line| line.starts_with("nvidia 0")).unwrap();
    assert_eq!(row, "nvidia 0  48.0 GiB  46.9 GiB  NVIDIA Test 48GB (8.9)");
    assert!(ran.out.contains("not usable: it shares the system's memory"), "{}", ran.out);
    assert!(ran.out.contains("nvidia 1   unknown   unknown  NVIDIA Test 48GB"), "{}", ran.out);
}

#[test]
fn a_recorded_failure_is_a_problem_with_its_cure() {
    let home = Home::new();
    let said = "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 1.2\n";
    for kind in ["nvidia-smi-xml", "nvidia-smi-csv"] {
        let recording = from(&home, kind, "said.txt", said);
        let found = json(&home.run(&["hardware", "--json", "--from", &recording]));
        assert_eq!(found["devices"], Value::Array(Vec::new()));
        assert!(found["problems"][0].as_str().unwrap().contains("`sudo reboot`"), "{found}");
        let ran = home.run(&["hardware", "--from", &recording]);
        assert!(ran.out.contains("no accelerator") && ran.out.contains("problem: the NVIDIA driver"), "{}", ran.out);
    }
    let recording = from(&home, "rocm-smi-json", "said.txt", "no such thing\n");
    let found = json(&home.run(&["hardware", "--json", "--from", &recording]));
    assert!(found["problems"][0].as_str().unwrap().contains("no such thing"), "{found}");
}

#[test]
fn a_kind_or_a_path_that_is_not_there_is_refused() {
    let home = Home::new();
    let ran = home.run(&["hardware", "--from", "crystal-ball=x"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""));
    for kind in ["nvidia-smi-xml", "nvidia-smi-csv", "rocm-smi-json", "amd-smi-json", "kfd-tree", "drm-tree"] {
        assert!(ran.err.contains(kind), "{kind}: {}", ran.err);
    }
    assert_eq!(home.run(&["hardware", "--from", "nonsense"]).code, Some(2));
    for kind in ["kfd-tree", "nvidia-smi-xml"] {
        let ran = home.run(&["hardware", "--json", "--from", &format!("{kind}=not/there")]);
        assert_eq!((ran.code, ran.out.as_str()), (Some(3), ""));
        assert!(ran.err.contains("not/there") && ran.err.starts_with("error: "), "{}", ran.err);
    }
}

#[test]
fn two_recordings_of_one_card_are_one_card() {
    let home = Home::new();
    let csv = from(&home, "nvidia-smi-csv", "gpus.csv", CSV);
    let matrix =
        from(&home, "nvidia-smi", "topo.txt", "\tGPU0\tGPU1\tCPU Affinity\nGPU0\t X \tNV4\t0-7\nGPU1\tNV4\t X \t0-7\n");
    let found = json(&home.run(&["hardware", "--json", "--from", &csv, "--from", &matrix]));
    assert_eq!(found["devices"][0]["uuid"], "GPU-5a5a");
    assert_eq!(
        (&found["links"][0]["kind"], &found["links"][0]["devices"]),
        (&"nvlink".into(), &serde_json::json!([0, 1]))
    );
    let shown = home.run(&["hardware", "--from", &csv, "--from", &matrix]).out;
    assert!(shown.contains("links      nvidia: 0-1 NVLink (NV4)"), "{shown}");
}

#[test]
fn two_trees_of_another_machine_are_one_picture() {
    let home = Home::new();
    let node = home.path().join("topology/nodes/3");
    std::fs::create_dir_all(node.join("mem_banks/0")).unwrap();
    std::fs::write(node.join("properties"), "simd_count 192\ngfx_target_version 110000\nlocation_id 768\n").unwrap();
    std::fs::write(node.join("mem_banks/0/properties"), "heap_type 1\nsize_in_bytes 25753026560\n").unwrap();
    let csv = from(&home, "nvidia-smi-csv", "gpus.csv", CSV);
    let found = json(&home.run(&["hardware", "--json", "--from", "kfd-tree=topology", "--from", &csv]));
    let devices = found["devices"].as_array().unwrap();
    let told: Vec<_> = devices.iter().map(|device| (device["vendor"].as_str().unwrap(), &device["index"])).collect();
    assert_eq!(told, [("amd", &0.into()), ("nvidia", &0.into()), ("nvidia", &1.into())]);
    assert_eq!(devices[0]["architecture"], "gfx1100");
    assert_eq!(devices[0]["memory_total_bytes"], 25_753_026_560_u64);
}

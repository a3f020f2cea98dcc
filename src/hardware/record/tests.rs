use proptest::prelude::*;

use super::*;
use crate::hardware::recorded::Recorded;
use crate::hardware::{Hardware, VENDORS, detect_with};
use crate::host::Host;

const ID: &str = "0fe1d2c3-1111-2222-3333-44445555aaaa";
const OTHER: &str = "9ae1d2c3-1111-2222-3333-44445555bbbb";

fn personal() -> Personal {
    Personal {
        home: Some("/home/wendelin".to_owned()),
        users: vec!["wendelin".to_owned()],
        hosts: vec!["rechenknecht.lab.example".to_owned(), "rechenknecht".to_owned()],
    }
}

/// Detection without the library of the machine that runs this test.
fn look(host: &dyn Host) -> Hardware {
    detect_with(host, &VENDORS[1..])
}

/// A recording of that machine, through the folder and back, and what detection concluded on the machine itself.
fn through_a_folder(machine: &dyn Host) -> (Recording, String) {
    let recorder = Recorder::new(machine);
    let found = look(&recorder);
    ask_tools(&recorder);
    let mut scrubber = Scrubber::new(&personal());
    let scrubbed = scrubber.recording(&recorder.finish());
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &scrubbed).unwrap();
    let loaded = load(dir.path()).unwrap();
    assert_eq!(loaded, scrubbed, "the folder keeps everything");
    (loaded, scrubber.text(&serde_json::to_string(&found).unwrap()))
}

fn machine() -> Recorded {
    Recorded::default()
        .file("/proc/meminfo", "MemTotal: 1048576 kB\nMemAvailable: 524288 kB\n")
        .file("/proc/cpuinfo", "model name : Some CPU\nflags : avx2\nSerial : 10000000deadbeef\n")
        .file("/proc/self/cgroup", &format!("0::/user.slice/{}.scope\n", "ab".repeat(32)))
        .file("/sys/class/kfd/kfd/topology/nodes/1/properties", "simd_count 304\ngfx_target_version 90402\nunique_id 8141234567890123456\nlocation_id 1280\ndrm_render_minor 128\n")
        .file("/sys/class/kfd/kfd/topology/nodes/1/mem_banks/0/properties", "heap_type 1\nsize_in_bytes 206158430208\n")
        .file("/sys/class/drm/renderD128/device/vendor", "0x1002\n")
        .file("/dev/kfd", "")
        .file("/dev/davinci0", "")
        .program("npu-smi", "info", 0, "| NPU Name | Health | Power |\n| Chip | Bus-Id | HBM-Usage(MB) |\n| 0  910B3 | OK | 90 |\n| 0  | 0000:C1:00.0 | 0  100 / 65536 |\n| NPU Chip | Process id | Process name | Process memory(MB) |\n| 0 0 | 77 | /home/wendelin/bin/python | 90 |\n")
        .program("mthreads-gmi", "", 0, "0    MTT S4000      |00000000:0E:00.0    |0%    1201MiB(49152MiB)\nProcesses:\n0 4242 python --key hf_abcdefghijklmnopqrst\n")
        .program("mx-smi", "", 0, &format!("GPU#0    MXC600-X    0000:06:00.0    Available (UUID: GPU-{ID})\n"))
        .var("ROCR_VISIBLE_DEVICES", &format!("GPU-{:016x}", 8_141_234_567_890_123_456_u64))
        .var("CUDA_VISIBLE_DEVICES", "GPU-0fe1d2")
}

#[test]
fn the_same_detection_runs_on_a_recording_and_finds_the_same() {
    let (loaded, found) = through_a_folder(&machine());
    let replayed = look(&Replayer(loaded));
    assert_eq!(serde_json::to_string(&replayed).unwrap(), found);
    assert!(replayed.devices.len() > 3, "{replayed:#?}");
}

#[test]
fn nothing_personal_stays_and_links_still_fit() {
    let (loaded, _) = through_a_folder(&machine());
    let all = format!("{loaded:?}")
        + &loaded.files.values().flatten().map(|b| String::from_utf8_lossy(b).into_owned()).collect::<String>();
    for own in ["wendelin", ID, "deadbeef", "hf_abc", "8141234567890123456", "abababab", "0fe1d2", "--key"] {
        assert!(!all.contains(own), "{own}: {all}");
    }
    let found = look(&Replayer(loaded));
    let amd = &found.devices[0];
    assert_eq!(amd.uuid.as_deref(), Some("GPU-5000000000000001"));
    assert_eq!(found.problems.len(), 1, "the variable names a card that is here: {:?}", found.problems);
    assert!(found.problems[0].starts_with("CUDA_VISIBLE_DEVICES=GPU-00000001 names GPU-00000001, which is no card"));
}

#[test]
fn names_ids_and_addresses_are_replaced_the_same_way_everywhere() {
    let mut scrubber = Scrubber::new(&personal());
    let first = scrubber.text(&format!("GPU-{ID} GPU-{OTHER} {}", ID.to_uppercase()));
    assert_eq!(
        first,
        "GPU-00000001-0000-4000-8000-000000000000 GPU-00000002-0000-4000-8000-000000000000 \
         00000001-0000-4000-8000-000000000000"
    );
    assert_eq!(
        scrubber.text("/home/wendelin/x /home/wendeline wendelin@rechenknecht.lab.example:~"),
        "/home/llmup-user/x /home/wendeline llmup-user@llmup-host:~"
    );
    assert_eq!(scrubber.text("at 3c:fd:fe:00:11:22"), "at 00:00:00:00:00:00");
    // A user called as the tools speak would make everything unreadable.
    let mut common = Scrubber::new(&Personal { users: vec!["nvidia".to_owned()], ..Personal::default() });
    assert_eq!(common.text("/sys/module/nvidia/version"), "/sys/module/nvidia/version");
}

#[test]
fn a_variable_that_names_the_beginning_of_an_id_still_does() {
    let mut recording = Recording::new(Os::Linux);
    let told =
        serde_json::json!({"gpus": [{"uuid": format!("GPU-{ID}"), "processes": [{"name": "/home/x/python a b"}]}]});
    recording.told.insert("nvml".to_owned(), told);
    recording.env.insert("CUDA_VISIBLE_DEVICES".to_owned(), Some("0, GPU-0FE1".to_owned()));
    recording.env.insert("LLMUP_PLACE".to_owned(), Some("https://ida:pw@lab.example".to_owned()));
    let left = Scrubber::new(&personal()).recording(&recording);
    assert_eq!(left.env["CUDA_VISIBLE_DEVICES"].as_deref(), Some("0, GPU-00000001"));
    assert_eq!(left.env["LLMUP_PLACE"].as_deref(), Some("removed"));
    assert_eq!(left.told["nvml"]["gpus"][0]["processes"][0]["name"], "python");
}

#[test]
fn answers_to_like_questions_are_files_of_their_own() {
    let mut recording = Recording::new(Os::Linux);
    for (args, stdout) in [(vec!["--a"], "1"), (vec!["-a"], "2"), (vec!["-A"], "3")] {
        let args = args.into_iter().map(str::to_owned).collect();
        let ran = Ran { code: Some(0), stdout: stdout.to_owned(), stderr: String::new() };
        recording.runs.insert(("/usr/bin/tool".to_owned(), args), Ok(ran));
    }
    let dir = tempfile::tempdir().unwrap();
    let written = write(dir.path(), &recording).unwrap();
    let names: Vec<&str> = written.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(names, ["tools/tool-a.txt", "tools/tool-A-2.txt", "tools/tool-a-3.txt", "recording.json"]);
    assert_eq!(load(dir.path()).unwrap(), recording);
}

#[test]
fn only_telling_variables_are_read() {
    let machine = Recorded::default();
    let recorder = Recorder::new(&machine);
    let names = [
        "CUDA_VISIBLE_DEVICES",
        "HSA_OVERRIDE_GFX_VERSION",
        "LLMUP_API_KEY",
        "LLMUP_ENGINE_URL",
        "HF_TOKEN",
        "PATH",
        "ONEAPI_DEVICE_SELECTOR",
    ];
    ask_variables(&recorder, names.iter().map(|name| (*name).to_owned()));
    let asked: Vec<String> = recorder.finish().env.into_keys().collect();
    assert_eq!(asked, ["CUDA_VISIBLE_DEVICES", "HSA_OVERRIDE_GFX_VERSION", "ONEAPI_DEVICE_SELECTOR"]);
}

#[test]
fn a_question_asked_twice_has_one_answer() {
    use std::path::Path;
    let machine = Recorded::default().file("/x/y", "1");
    let recorder = Recorder::new(&machine);
    assert!(recorder.exists(Path::new("/x/y")) && recorder.read(Path::new("/x/z")).is_err());
    assert_eq!(recorder.entries(Path::new("/x")).unwrap(), [Path::new("/x/y")]);
    let replayer = Replayer(recorder.finish());
    assert!(replayer.exists(Path::new("/x/y")) && replayer.access(Path::new("/x/y")).is_err());
    assert_eq!(replayer.entries(Path::new("/x")).unwrap(), [Path::new("/x/y")]);
    assert_eq!(replayer.read(Path::new("/x/z")).unwrap_err().kind(), std::io::ErrorKind::NotFound);
    assert_eq!(replayer.told("never asked", &|| Value::Bool(true)), Value::Null);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_text_is_survived_and_stays_a_text_of_its_size(text in any::<String>(), more in "[-0-9a-f:\"<>{}|/. \\n_=GPUserial]{0,300}") {
        let mut scrubber = Scrubber::new(&personal());
        for text in [&text, &more] {
            let once = scrubber.text(text);
            prop_assert!(once.len() <= text.len() * 12 + 64, "{text:?} {once:?}");
            for tool in ["nvidia-smi", "npu-smi", "cnmon", "ioreg", "reg", "system_profiler"] {
                reduce::reduce(tool, text);
            }
        }
    }

    #[test]
    fn any_index_is_survived(text in "[\\[\\]{}\":,a-z0-9 ]{0,200}", part in "(files|folders|runs|told|env|access|exists)", value in "[\\[\\]{}\":,a-z0-9/.]{0,60}") {
        let dir = tempfile::tempdir().unwrap();
        let nearly = format!("{{\"format\": 1, \"llmup\": \"0\", \"os\": \"linux\", \"{part}\": {value}}}");
        for text in [&text, &nearly] {
            std::fs::write(dir.path().join("recording.json"), text).unwrap();
            if let Ok(recording) = load(dir.path()) {
                look(&Replayer(recording));
            }
        }
    }
}

//! `llmup doctor --record DIR`: what detection read, for others to detect the same from it.

use serde_json::Value;

#[cfg(unix)]
use crate::support::finish;
use crate::support::{Home, Ran};

fn read(home: &Home, file: &str) -> String {
    std::fs::read_to_string(home.path().join(file)).unwrap()
}

fn ok(ran: Ran) -> String {
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    ran.out
}

#[test]
fn a_recording_detects_what_it_was_made_of() {
    let home = Home::new();
    let shown = ok(home.run(&["doctor", "--record", "machine"]));
    assert!(shown.starts_with("recorded in machine: ") && !shown.contains('\u{1b}'), "{shown}");
    assert!(shown.contains("llmup hardware --from recording=machine"), "{shown}");
    assert!(!shown.contains("note:"), "nothing that was taken out mattered: {shown}");
    let concluded = read(&home, "machine/hardware.json");
    for from in ["recording=machine", "machine"] {
        assert_eq!(ok(home.run(&["hardware", "--json", "--from", from])), concluded);
    }
    // The machine itself says the same, but for what changes by itself.
    let steady = |text: &str| {
        let mut value: Value = serde_json::from_str(text).unwrap();
        value["memory"]["available_bytes"] = Value::Null;
        for device in value["devices"].as_array_mut().unwrap() {
            (device["memory_free_bytes"], device["uuid"]) = (Value::Null, Value::Null);
        }
        value
    };
    let live = ok(home.run(&["hardware", "--json"]));
    assert_eq!(steady(&live), steady(&concluded));
    let people = ok(home.run(&["hardware", "--from", "machine"]));
    assert!(people.contains("processor  ") && people.contains("llama-cpp  can use "), "{people}");
}

#[test]
fn the_files_are_listed_and_the_readme_names_them() {
    let home = Home::new();
    let report: Value = serde_json::from_str(&ok(home.run(&["doctor", "--record", "box", "--json"]))).unwrap();
    assert_eq!((&report["same"], report["folder"].as_str()), (&Value::Bool(true), Some("box")));
    let readme = read(&home, "box/README");
    let files = report["files"].as_array().unwrap();
    assert!(files.len() >= 4);
    for file in files {
        let path = file["path"].as_str().unwrap();
        let size = std::fs::metadata(home.path().join("box").join(path)).unwrap().len();
        assert_eq!(file["bytes"].as_u64(), Some(size), "{path}");
        assert!(path == "README" || readme.contains(path), "{path}: {readme}");
    }
}

#[test]
fn a_folder_with_something_in_it_is_left_alone() {
    let home = Home::new();
    std::fs::create_dir(home.path().join("full")).unwrap();
    std::fs::write(home.path().join("full/mine"), "x").unwrap();
    let ran = home.run(&["doctor", "--record", "full"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(3), ""));
    assert!(ran.err.contains("full is not empty") && ran.err.contains("`llmup doctor --record "), "{}", ran.err);
    assert_eq!(std::fs::read_dir(home.path().join("full")).unwrap().count(), 1);
    for from in ["recording=full", "recording=not/there", "full"] {
        let ran = home.run(&["hardware", "--from", from]);
        assert_eq!(ran.code, Some(3), "{}", ran.err);
    }
}

/// A machine with a tool of a vendor and with things of its user's.
#[test]
#[cfg(unix)]
fn what_tools_say_is_kept_without_what_is_personal() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    let own = home.path().join("wendelin");
    let tools = own.join("bin");
    std::fs::create_dir_all(&tools).unwrap();
    let tool = tools.join("mx-smi");
    let id = "1fe1d2c3-1111-2222-3333-44445555aaaa";
    let script = format!(
        "#!/bin/sh\ncat <<'EOF'\nGPU#0    MXC600-X    0000:06:00.0    Available (UUID: GPU-{id})\n\
         | 0     MetaX C600 | Off | 0000:06:00.0 | 0% |\n| 41C 55W | 1010/65536 MiB | Available |\n\
         Serial Number: QX1234567\n| Process: |\n| 0 77 {}/run.py --key abc |\nEOF\n",
        own.display()
    );
    std::fs::write(&tool, script).unwrap();
    std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = home.llmup(&["doctor", "--record", "box"]);
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    command.env("PATH", path).env("HOME", &own).env("USER", "wendelin");
    command.env("LLMUP_API_KEY", "sk-secret-secret-secret").env("CUDA_VISIBLE_DEVICES", "0");
    ok(finish(command));
    let mut all = String::new();
    visit(&home.path().join("box"), &mut |path| {
        all += &path.display().to_string();
        all += &String::from_utf8_lossy(&std::fs::read(path).unwrap());
    });
    for personal in ["wendelin", id, "QX1234567", "--key", "sk-secret", "LLMUP_API_KEY"] {
        assert!(!all.contains(personal), "{personal} is still there");
    }
    let found: Value = serde_json::from_str(&ok(home.run(&["hardware", "--json", "--from", "box"]))).unwrap();
    let card = found["devices"].as_array().unwrap().iter().find(|device| device["vendor"] == "metax").unwrap();
    assert_eq!(card["uuid"], "GPU-00000001-0000-4000-8000-000000000000");
    let one = ok(home.run(&["hardware", "--json", "--from", "mx-smi=box/tools/mx-smi.txt"]));
    assert!(one.contains("MXC600-X"), "{one}");
}

#[cfg(unix)]
fn visit(dir: &std::path::Path, each: &mut dyn FnMut(&std::path::Path)) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            visit(&path, each);
        } else {
            each(&path);
        }
    }
}

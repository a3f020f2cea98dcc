//! Requests and what becomes of them, as files: `golden/<case>.<in>.json` is a request in protocol `in`, and
//! `golden/<case>.<in>-<out>.json` what a backend that speaks `out` is sent. With `LLMUP_BLESS=1` the latter are
//! written anew: read the difference before it is committed.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::protocol::{Id, Target, Vendor, protocol};

const NAMES: [(&str, Id); 5] = [
    ("messages", Id::Messages),
    ("chat", Id::Chat),
    ("responses", Id::Responses),
    ("gemini", Id::Gemini),
    ("ollama", Id::Ollama),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/protocol/tests/golden")
}

fn id(name: &str) -> Id {
    NAMES.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("no protocol is called {name}")).1
}

fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn every_case_is_translated_as_written() {
    let bless = std::env::var_os("LLMUP_BLESS").is_some();
    let (mut cases, mut wrong) = (0, Vec::new());
    for file in std::fs::read_dir(folder()).unwrap().map(|file| file.unwrap().path()) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let [case, way, "json"] = name.split('.').collect::<Vec<_>>()[..] else { panic!("{name}: not a golden file") };
        let Some((from, to)) = way.split_once('-') else {
            assert!(protocol(id(way)).inbound().is_some(), "{name}: requests of {way} are not read");
            continue;
        };
        let text = read(&folder().join(format!("{case}.{from}.json"))).to_string();
        let request = protocol(id(from)).inbound().unwrap().decode_request(text.as_bytes()).unwrap();
        let target = Target { model: "the-model", vendor: Vendor::Unknown, context: 0 };
        let body = protocol(id(to)).outbound().unwrap().encode_request(&request, &target);
        let body: Value = serde_json::from_slice(&body).unwrap();
        if bless {
            std::fs::write(&file, serde_json::to_string_pretty(&body).unwrap() + "\n").unwrap();
        } else if body != read(&file) {
            wrong.push(format!("{name}:\n{}", serde_json::to_string_pretty(&body).unwrap()));
        }
        cases += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(cases >= 6, "only {cases} cases were found");
}

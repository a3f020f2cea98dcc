//! Requests and what becomes of them, as files: `golden/<case>.<in>.json` is a request in protocol `in`, and
//! `golden/<case>.<in>-<out>.json` what a backend that speaks `out` is sent, with what was lost on the way under
//! `(lost)`. With `LLMUP_BLESS=1` the latter are written anew: read the difference before it is committed.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::protocol::accepts::{self, Accepts};
use crate::protocol::names::Names;
use crate::protocol::{Id, PROTOCOLS, Target, Vendor, losses, protocol};

pub(super) const NAMES: [(&str, Id); 5] = [
    ("messages", Id::Messages),
    ("chat", Id::Chat),
    ("responses", Id::Responses),
    ("gemini", Id::Gemini),
    ("ollama", Id::Ollama),
];

pub(super) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/protocol/tests/golden")
}

pub(super) fn id(name: &str) -> Id {
    NAMES.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("no protocol is called {name}")).1
}

fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// What a backend of protocol `to` is sent, the way the gateway does it.
fn translated(from: Id, to: Id, text: &str) -> Value {
    let mut request = protocol(from).inbound().unwrap().decode_request(text.as_bytes()).unwrap();
    accepts::apply(&mut request, Accepts::default()).unwrap();
    let outbound = protocol(to).outbound().unwrap();
    let _ = Names::apply(&mut request, outbound.names());
    let vendor = if to == Id::Gemini { Vendor::Google } else { Vendor::Unknown };
    let target = Target { model: "the-model", vendor, context: 0 };
    let mut body: Value = serde_json::from_slice(&outbound.encode_request(&request, &target)).unwrap();
    let mut lost = request.dropped.clone();
    lost.extend(losses::of(&request, to, &target));
    if !lost.is_empty() {
        body["(lost)"] = lost.into();
    }
    body
}

#[test]
fn every_case_is_translated_as_written() {
    let bless = std::env::var_os("LLMUP_BLESS").is_some();
    let (mut cases, mut wrong) = (0, Vec::new());
    for file in std::fs::read_dir(folder()).unwrap().map(|file| file.unwrap().path()) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let [case, from, "json"] = name.split('.').collect::<Vec<_>>()[..] else { continue };
        if from.contains('-') {
            continue;
        }
        let text = read(&file).to_string();
        for to in PROTOCOLS.iter().filter(|to| to.outbound().is_some()).map(|to| to.id()) {
            let out = NAMES.iter().find(|(_, id)| *id == to).unwrap().0;
            let expected = folder().join(format!("{case}.{from}-{out}.json"));
            let body = translated(id(from), to, &text);
            let pretty = serde_json::to_string_pretty(&body).unwrap() + "\n";
            if bless {
                std::fs::write(&expected, pretty).unwrap();
            } else if body != read(&expected) {
                wrong.push(format!("{case}.{from}-{out}:\n{pretty}"));
            }
            cases += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(cases >= 100, "only {cases} cases were found");
}

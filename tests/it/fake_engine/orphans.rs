//! The matrix of ends once, on the fake engine, where python3 is: five seconds after any of them nothing is left.
//! `scripts/orphans` has more runs and the real engines.
#![cfg(target_os = "linux")]

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{fake, skip};

#[test]
fn nothing_outlives_llmup_however_it_ends() {
    let there = |program: &str| {
        let mut asked = Command::new(program);
        asked.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
    };
    if !there("python3") || !there("setsid") {
        return skip("there is no python3 or no setsid");
    }
    assert!(fake::program().exists());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ran = Command::new("python3")
        .arg(root.join("scripts/orphans"))
        .args(["--runs", "1", "--jobs", "6", "--llmup", env!("CARGO_BIN_EXE_llmup")])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{said}\n{}", String::from_utf8_lossy(&ran.stderr));
    assert!(said.contains("45 runs") && said.contains(" 0 left something behind"), "{said}");
}

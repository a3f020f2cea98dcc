use std::path::PathBuf;

use super::*;
use crate::error::Explain;
use crate::exit::Exit;
use crate::host::RealHost;

fn paths(dir: &Path) -> Paths {
    Paths { data: dir.to_owned(), config: dir.join("config") }
}

/// The real machine with a PATH of its own.
struct Machine {
    programs: Vec<(&'static str, PathBuf)>,
}

impl crate::host::StandIn for Machine {
    fn base(&self) -> &dyn Host {
        &RealHost
    }
    fn which(&self, name: &str) -> Option<PathBuf> {
        self.programs.iter().find(|(n, _)| *n == name).map(|(_, p)| p.clone())
    }
    fn env(&self, _: &str) -> Option<String> {
        None
    }
}

#[cfg(unix)]
fn script(dir: &Path, name: &str, text: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = dir.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn two_installations_do_not_collide() {
    let dir = tempfile::tempdir().unwrap();
    let paths = paths(dir.path());
    let held = lock(EngineId::LlamaCpp, &paths).unwrap();
    let machine = Machine { programs: Vec::new() };
    let error =
        install(EngineId::LlamaCpp, Aim::Best(Accelerator::Cpu), &machine, &paths, &Progress::silent()).unwrap_err();
    assert_eq!(error.exit(), Exit::Taken);
    drop(held);
    assert_eq!(remove(EngineId::LlamaCpp, &paths).unwrap(), 0);
}

#[test]
#[cfg(target_os = "linux")]
fn without_a_fitting_python_vllm_says_which_it_needs() {
    let dir = tempfile::tempdir().unwrap();
    let old = script(dir.path(), "python3", "echo 3.8");
    let machine = Machine { programs: vec![("python3", old)] };
    let error =
        install(EngineId::Vllm, Aim::Best(Accelerator::Cuda), &machine, &paths(dir.path()), &Progress::silent())
            .unwrap_err();
    // A disk too small for vLLM is said first.
    if matches!(error, InstallError::Space { .. }) {
        return;
    }
    assert_eq!(error.to_string(), "vllm needs Python 3.11 to 3.14, and none was found (found: 3.8)");
    assert_eq!(error.exit(), Exit::Missing);
}

#[test]
#[cfg(unix)]
fn a_tool_that_fails_is_quoted_and_the_next_run_starts_over() {
    let dir = tempfile::tempdir().unwrap();
    let uv = script(
        dir.path(),
        "uv",
        "echo 'Using CPython 3.12'; echo 'error: Failed to fetch: connection refused' >&2; exit 2",
    );
    let machine = Machine { programs: vec![("uv", uv)] };
    let paths = paths(dir.path());
    let error =
        install(EngineId::LlamaCpp, Aim::Best(Accelerator::Cpu), &machine, &paths, &Progress::silent()).unwrap_err();
    assert_eq!(error.exit(), Exit::Missing);
    assert_eq!(error.evidence(), ["error: Failed to fetch: connection refused"]);
    assert!(error.hints()[0].contains("PIP_INDEX_URL"), "{:?}", error.hints());
    assert_eq!(find::managed(&RealHost, &paths), []);
}

#[test]
fn what_cannot_be_installed_says_where_to_get_it() {
    let dir = tempfile::tempdir().unwrap();
    let error =
        install(EngineId::Ollama, Aim::Best(Accelerator::Cpu), &RealHost, &paths(dir.path()), &Progress::silent())
            .unwrap_err();
    assert_eq!(error.exit(), Exit::Missing);
    assert!(error.hints().iter().all(|hint| hint.contains('`')), "{:?}", error.hints());
}

#[test]
fn removing_takes_only_that_engine() {
    let dir = tempfile::tempdir().unwrap();
    let paths = paths(dir.path());
    for name in ["llama-cpp-1", "llama-cpp-b2-cpu", "vllm-1"] {
        std::fs::create_dir_all(paths.engines().join(name).join("venv")).unwrap();
    }
    assert_eq!(remove(EngineId::LlamaCpp, &paths).unwrap(), 2);
    assert!(paths.engines().join("vllm-1").is_dir());
}

/// Installs from the real package index, so only on request:
/// `LLMUP_TEST_INSTALL=/tmp/data cargo test --lib real_install -- --ignored --nocapture`, with
/// `LLMUP_TEST_ENGINE=vllm` for the large one.
#[test]
#[ignore = "downloads from the package index"]
fn real_install_and_real_failures_of_the_launcher() {
    let temp = tempfile::tempdir().unwrap();
    let data = std::env::var_os("LLMUP_TEST_INSTALL").map_or_else(|| temp.path().to_owned(), PathBuf::from);
    let engine = std::env::var("LLMUP_TEST_ENGINE").map_or(EngineId::LlamaCpp, |name| name.parse().unwrap());
    let start = Instant::now();
    let found = install(engine, Aim::Best(Accelerator::Cpu), &RealHost, &paths(&data), &Progress::new()).unwrap();
    println!("installed in {:?}: {found:?}", start.elapsed());
    let start = Instant::now();
    assert_eq!(
        install(engine, Aim::Best(Accelerator::Cpu), &RealHost, &paths(&data), &Progress::new()).unwrap(),
        found
    );
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert!(find::find(&RealHost, &paths(&data)).contains(&found));
    if engine != EngineId::LlamaCpp {
        return;
    }
    let run = |args: &[&str]| {
        let mut all: Vec<&str> = found.prefix_args.iter().map(String::as_str).collect();
        all.extend(args);
        RealHost.run(&found.program, &all, Duration::from_secs(20)).unwrap()
    };
    let version = run(&["--version"]);
    assert_eq!(version.code, Some(0));
    assert!(version.stderr.starts_with("version: 2026.10.11549"), "{}", version.stderr);
    let unknown = run(&["--nope"]);
    assert_eq!(unknown.code, Some(1));
    assert_eq!(unknown.stderr.trim(), "error: invalid argument: --nope");
    let bad = run(&["-m", "nope.gguf", "--port", "0", "-c", "4096", "-np", "2"]);
    assert_eq!(bad.code, Some(1), "{}", bad.stderr);
    assert!(bad.stderr.contains("failed to load model 'nope.gguf'"), "{}", bad.stderr);
}

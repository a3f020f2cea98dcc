//! The command line of every profile on machines of ten kinds, as it is in `tests/snapshots/plan`. Who changes a profile
//! or the planner sees there what becomes of every plan: `LLMUP_UPDATE_SNAPSHOTS=1 cargo test --lib snapshots` writes
//! them anew.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::decide::{planned, request};
use super::{Choice, launch, target};
use crate::cli::StartArgs;
use crate::commands::plan::named;
use crate::engine::CommandLine;
use crate::hardware::Hardware;
use crate::hardware::described::Machine;
use crate::paths::Paths;
use crate::plan::{LaunchPlan, Verdict};
use crate::profile::{self, ModelProfile};

/// What stands above a block, and the machine as `--on` names it; the last has no accelerator.
const MACHINES: [(&str, &str); 10] = [
    ("1 x RTX 4090, 24 GB", "4090"),
    ("2 x RTX 4090, 24 GB", "2x4090"),
    ("1 x H100, 80 GB", "h100"),
    ("4 x H100, 80 GB", "4xh100"),
    ("8 x H100, 80 GB", "8xh100"),
    ("8 x H200, 141 GB", "8xh200"),
    ("8 x Ascend 910B, 64 GB", "8x910b"),
    ("Strix Halo, 128 GB", "strixhalo-128"),
    ("M3 Max, 64 GB", "m3max-64"),
    ("processor, 64 GB", ""),
];

fn machine(name: &str) -> Hardware {
    match name {
        "" => Machine { memory_bytes: Some(64 << 30), ..Machine::default() }.hardware(),
        name => named(name).unwrap(),
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots/plan")
}

/// One profile on all machines.
fn snapshot(profile: &ModelProfile, machines: &[(&str, Hardware)]) -> String {
    // No folder of this machine is in it.
    let paths = Paths { data: "DATA".into(), config: "CONFIG".into() };
    let args = StartArgs::of(&profile.name).unwrap();
    let mut text = String::new();
    for (head, hardware) in machines {
        text.push_str(&format!("== {head}\n"));
        let mut target = target::from_profile(profile.clone(), None, &paths, Vec::new()).unwrap();
        match planned(&mut target, &request(&args, true), hardware, &[]) {
            Err(error) => text.push_str(&format!("no plan: {error}\n")),
            Ok(Err(error)) => text.push_str(&format!("refused: {error}\n")),
            Ok(Ok(plan)) => {
                let source = target.missing.as_ref().and_then(|v| {
                    let source = v.ollama.as_ref().or(v.hugging_face.as_ref()).or(v.model_scope.as_ref());
                    source.map(|source| format!("{} of {source}", v.quantization))
                });
                let choice = Choice { args: &args, target: &target, plan: &plan, engine: None, known: None };
                let command = launch::command(choice, &paths, 4001, None);
                let source = source.unwrap_or_else(|| "written by llmup".into());
                text.push_str(&format!("{}\n{source}\n{}", first_line(&plan, &command), lines(&command)));
                plan.warnings.iter().for_each(|warning| text.push_str(&format!("note: {warning}\n")));
            }
        }
    }
    // Only the demo's weights and the caches lie in a folder of llmup's own.
    text.replace('\\', "/")
}

/// `fits: vllm on cuda, 131072 tokens, TP 2 PP 1 DP 1, EP`.
fn first_line(plan: &LaunchPlan, command: &CommandLine) -> String {
    let args: Vec<String> = command.args.iter().map(|a| a.to_string_lossy().into_owned()).collect();
    let value = |flag: &str| args.iter().skip_while(|a| *a != flag).nth(1).cloned().unwrap_or_else(|| "1".into());
    let verdict = if plan.verdict == Verdict::Fits { "fits" } else { "tight" };
    let mut line = format!("{verdict}: {} on {}, {} tokens", plan.engine, plan.accelerator.name(), plan.max_model_len);
    if plan.engine == crate::engine::EngineId::Vllm {
        let parts = ["--tensor-parallel-size", "--pipeline-parallel-size", "--data-parallel-size"].map(value);
        line += &format!(", TP {} PP {} DP {}", parts[0], parts[1], parts[2]);
        line += if args.iter().any(|a| a == "--enable-expert-parallel") { " EP" } else { "" };
    }
    if let Some(offload) = plan.offload.as_ref().filter(|o| !o.whole()) {
        line += &format!(", {} of {} layers on GPUs", offload.gpu_layers, offload.layers);
        if offload.cpu_expert_layers > 0 {
            line += &format!(", the experts of {} in memory", offload.cpu_expert_layers);
        }
    }
    line
}

/// The variables, then the program, each flag with its value in a line of its own.
fn lines(command: &CommandLine) -> String {
    // As on Linux: a path of Windows would be put in quotes.
    let shown = |word: &std::ffi::OsStr| crate::error::paste::posix_word(&word.to_string_lossy().replace('\\', "/"));
    let mut text = String::new();
    for (name, value) in &command.env {
        text.push_str(&format!("  {name}={}\n", shown(value)));
    }
    text.push_str(&format!("  {}", shown(command.program.as_os_str())));
    for arg in &command.args {
        let before = if arg.to_string_lossy().starts_with('-') { "\n    " } else { " " };
        text.push_str(&format!("{before}{}", shown(arg)));
    }
    text + "\n"
}

#[test]
fn every_profile_has_the_command_lines_it_had() {
    let update = std::env::var_os("LLMUP_UPDATE_SNAPSHOTS").is_some_and(|v| v != "0");
    let machines: Vec<(&str, Hardware)> = MACHINES.iter().map(|(head, name)| (*head, machine(name))).collect();
    let profiles = profile::all(Path::new("no/such/folder")).unwrap();
    let mut left: BTreeSet<String> = std::fs::read_dir(folder())
        .map(|dir| dir.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
        .unwrap_or_default();
    let mut changed = Vec::new();
    for profile in &profiles {
        let name = format!("{}.txt", profile.name);
        let (path, now) = (folder().join(&name), snapshot(profile, &machines));
        left.remove(&name);
        let before = std::fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n");
        if before != now {
            changed.push(format!("{name}: {}", difference(&before, &now)));
            if update {
                std::fs::create_dir_all(folder()).unwrap();
                std::fs::write(&path, now).unwrap();
            }
        }
    }
    for name in left {
        changed.push(format!("{name}: there is no such profile"));
        if update {
            std::fs::remove_file(folder().join(name)).unwrap();
        }
    }
    assert!(
        changed.is_empty() || update,
        "plans changed; if they are better now, write them anew with \
         `LLMUP_UPDATE_SNAPSHOTS=1 cargo test --lib snapshots`\n{}",
        changed.join("\n")
    );
}

/// The first line that differs, and below which machine.
fn difference(before: &str, now: &str) -> String {
    let (mut old, mut head) = (before.lines(), "");
    for line in now.lines() {
        if line.starts_with("==") {
            head = line;
        }
        let was = old.next();
        if was != Some(line) {
            return format!("{head}: was {:?}, is {line:?}", was.unwrap_or_default());
        }
    }
    format!("{head}: more lines were there")
}

/// What an engine's help lists: the words that begin a flag, and not those inside a sentence's compounds.
fn listed(help: &str) -> BTreeSet<&str> {
    let flag = |word: &&str| word.len() > 1 && word.starts_with('-') && !word.starts_with("---");
    help.split(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c))).filter(flag).collect()
}

#[test]
fn every_flag_is_in_the_engines_help() {
    let help = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/samples/engine_help").join(name);
        std::fs::read_to_string(path)
    };
    let (Ok(vllm), Ok(llama)) = (help("vllm_serve_help.txt"), help("llama_server_help.txt")) else {
        return eprintln!("skipped: the recorded help texts are not at hand");
    };
    let (vllm, llama) = (listed(&vllm), listed(&llama));
    let mut unknown = BTreeSet::new();
    let mut seen = 0;
    for entry in std::fs::read_dir(folder()).unwrap().flatten() {
        let text = std::fs::read_to_string(entry.path()).unwrap();
        for block in text.split("== ").filter(|block| !block.is_empty()) {
            let known = if block.contains(": vllm on ") { &vllm } else { &llama };
            let flags = block.lines().filter_map(|line| line.strip_prefix("    ")).filter(|line| line.starts_with('-'));
            for flag in flags.filter_map(|line| line.split([' ', '=']).next()) {
                seen += 1;
                if !known.contains(flag) {
                    unknown.insert(format!("{}: {flag}", entry.file_name().to_string_lossy()));
                }
            }
        }
    }
    assert!(unknown.is_empty() && seen > 1000, "{seen} flags, not in the help: {unknown:#?}");
}

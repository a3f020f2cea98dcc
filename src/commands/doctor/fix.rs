//! `doctor --fix`: what can be put in order without taking anything from the user. Each is asked for. What would change
//! a file of the user's or end a program of others is only said, as a command.

use clap::CommandFactory;
use serde::Serialize;

use super::{Finding, Scene, Section};
use crate::cli::{Cli, DoctorArgs};
use crate::commands::{engine, running};
use crate::engine::install::Aim;
use crate::engine::{Accelerator, EngineId};
use crate::hardware::Hardware;
use crate::host::Os;
use crate::output::{self, Style, on_stderr};
use crate::paths::Paths;
use crate::plan::{choose, platform};

/// Something that was put in order, or how it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Fix {
    /// The finding it is for.
    pub(super) code: &'static str,
    /// What is to be done.
    pub(super) what: String,
    /// It was done now.
    pub(super) done: bool,
    /// What came of it, or the command that does it.
    pub(super) said: String,
}

/// A step, before anybody agreed to it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// End what crashed ones left, and forget them.
    Reap(usize),
    /// Install an engine.
    Install(EngineId, Accelerator),
    /// Nothing llmup does by itself: the command.
    Tell { code: &'static str, what: String, command: String },
}

/// Does what the findings call for, and says what it did on standard error.
pub(super) fn run(args: &DoctorArgs, findings: &[Finding], scene: &Scene, paths: &Paths) -> Vec<Fix> {
    let steps = steps(findings, scene);
    if steps.is_empty() {
        output::note("nothing here is for --fix to put in order");
    }
    let fixes: Vec<Fix> = steps.into_iter().map(|step| step.taken(args, scene, paths)).collect();
    for fix in &fixes {
        let sign = if fix.done { on_stderr(Style::Good, "fixed ") } else { on_stderr(Style::Strong, "to do ") };
        output::note(&format!("{sign} {}: {}", fix.what, fix.said));
    }
    fixes
}

fn steps(findings: &[Finding], scene: &Scene) -> Vec<Step> {
    let mut steps = Vec::new();
    let has = |code: &str| findings.iter().find(|finding| finding.code == Some(code));
    if has("LLMUP-G014").is_some() {
        steps.push(Step::Reap(scene.inputs.crashed.len()));
    }
    if has("LLMUP-E001").is_some() {
        let (engine, accelerator) = suitable(scene.inputs.hardware.as_ref(), scene.host.os());
        steps.push(Step::Install(engine, accelerator));
    }
    for finding in findings.iter().filter(|finding| finding.section == Section::Environment) {
        let Some(code @ ("LLMUP-C005" | "LLMUP-C006")) = finding.code else { continue };
        let connects = Cli::command().find_subcommand("connect").is_some();
        let client = client_of(&finding.text);
        let command = match (connects, client) {
            (true, Some(client)) => format!("`llmup connect {client}`"),
            _ => finding.cure.clone().unwrap_or_default(),
        };
        // The summary of a client and the lines below it are about one thing.
        let told = Step::Tell { code, what: finding.text.clone(), command };
        let summary = finding.text.contains("win over");
        if !summary {
            steps.push(told);
        }
    }
    for code in ["LLMUP-G001", "LLMUP-G002"] {
        if let Some(finding) = has(code) {
            let command = finding.cure.clone().unwrap_or_default();
            steps.push(Step::Tell { code, what: finding.text.clone(), command });
        }
    }
    steps
}

/// Whose setting a line is about, by its product's or its folder's name.
fn client_of(text: &str) -> Option<&'static str> {
    let known = |client: &&&dyn crate::client::Client| {
        text.contains(client.title()) || text.contains(&format!(".{}/", client.id()))
    };
    crate::client::CLIENTS.iter().find(known).map(|client| client.id())
}

/// The engine for this machine that llmup can install: vLLM for NVIDIA's cards under Linux, else llama.cpp.
fn suitable(hardware: Option<&Hardware>, os: Os) -> (EngineId, Accelerator) {
    let computes = hardware.and_then(platform::computes_on);
    match computes {
        Some((Accelerator::Cuda, _)) if os == Os::Linux => (EngineId::Vllm, Accelerator::Cuda),
        _ => (EngineId::LlamaCpp, hardware.map_or(Accelerator::Cpu, choose::installs_llama_cpp)),
    }
}

impl Step {
    fn code(&self) -> &'static str {
        match self {
            Step::Reap(_) => "LLMUP-G014",
            Step::Install(..) => "LLMUP-E001",
            Step::Tell { code, .. } => code,
        }
    }

    fn what(&self) -> String {
        match self {
            Step::Reap(1) => "end what a crashed llmup left, and remove its state file".to_owned(),
            Step::Reap(count) => format!("end what {count} crashed llmups left, and remove their state files"),
            Step::Install(engine, _) => format!("install {engine}"),
            Step::Tell { what, .. } => what.clone(),
        }
    }

    /// The command that does it elsewhere.
    fn command(&self) -> String {
        match self {
            Step::Reap(_) => "`llmup doctor --fix --yes`".to_owned(),
            Step::Install(engine, _) => format!("`llmup engine install {engine}`"),
            Step::Tell { command, .. } => command.clone(),
        }
    }

    fn taken(self, args: &DoctorArgs, scene: &Scene, paths: &Paths) -> Fix {
        let (code, what, command) = (self.code(), self.what(), self.command());
        let left = |said: String| Fix { code, what: what.clone(), done: false, said };
        if args.dry_run || matches!(self, Step::Tell { .. }) {
            return left(command);
        }
        if !args.yes {
            if !output::interactive() {
                return left(format!("{command} (add `--yes` to do it without asking)"));
            }
            let question = format!("{}?", capital(&what));
            let agreed = dialoguer::Confirm::new().with_prompt(question).default(true).interact().unwrap_or(false);
            if !agreed {
                return left(format!("left as it is; later: {command}"));
            }
        }
        match self.does(scene, paths) {
            Ok(said) => Fix { code, what, done: true, said },
            Err(why) => left(format!("that failed: {why}; by hand: {command}")),
        }
    }

    fn does(&self, scene: &Scene, paths: &Paths) -> Result<String, String> {
        match self {
            Step::Reap(_) => {
                // Looking for what runs puts in order what does not.
                running::all(paths).map_err(|error| error.to_string())?;
                Ok("done, its processes are gone".to_owned())
            }
            Step::Install(engine, accelerator) => {
                let found = engine::install_with_bar(*engine, Aim::Best(*accelerator), &*scene.host, paths);
                found.map(|found| engine::describe(&found)).map_err(|error| error.to_string())
            }
            Step::Tell { command, .. } => Ok(command.clone()),
        }
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::tests::Recorded;
    use crate::commands::doctor::{Inputs, Places};
    use std::sync::Arc;

    fn scene() -> Scene {
        let inputs = Inputs {
            hardware: None,
            engines: Vec::new(),
            models: "/no".into(),
            running: None,
            crashed: Vec::new(),
            gateway_port: 1,
        };
        let places = Places { home: "/home/u".into(), project: "/p".into() };
        Scene { inputs, host: Arc::new(Recorded::new(Os::Linux)), places }
    }

    fn args(dry_run: bool) -> DoctorArgs {
        let mut args = DoctorArgs { fix: true, yes: true, ..DoctorArgs::default() };
        args.dry_run = dry_run;
        args
    }

    /// What is installed is what the planner then finds, and plans for.
    #[test]
    fn the_engine_that_suits_is_the_one_that_a_plan_installs() {
        use crate::commands::plan::named;
        let of = |name: &str, arch: &str, os: Os| {
            let mut hardware = named(name).unwrap();
            hardware.cpu.architecture = arch.to_owned();
            hardware.os = os;
            suitable(Some(&hardware), os)
        };
        let vulkan = (EngineId::LlamaCpp, Accelerator::Vulkan);
        assert_eq!(of("7900xtx", "x86_64", Os::Linux), vulkan);
        assert_eq!(of("strixhalo", "x86_64", Os::Linux), vulkan);
        assert_eq!(of("4090", "x86_64", Os::Windows), vulkan);
        assert_eq!(of("4090", "x86_64", Os::Linux), (EngineId::Vllm, Accelerator::Cuda));
        assert_eq!(of("7900xtx", "aarch64", Os::Linux), (EngineId::LlamaCpp, Accelerator::Cpu), "nothing is pinned");
        assert_eq!(of("m3max-64", "aarch64", Os::Macos), (EngineId::LlamaCpp, Accelerator::Metal));
        assert_eq!(suitable(None, Os::Linux), (EngineId::LlamaCpp, Accelerator::Cpu));
    }

    #[test]
    fn only_what_is_safe_is_done_and_the_rest_is_a_command() {
        let findings = [
            Finding::warning("LLMUP-E001", Section::Engines, "no engine is installed", ""),
            Finding::problem("LLMUP-C005", Section::Environment, "/home/u/.claude/settings.json sets X", "remove X"),
            Finding::problem("LLMUP-G001", Section::Ports, "port 1 is taken", "`llmup start MODEL --port 2`"),
            Finding::warning("LLMUP-C004", Section::Ports, "a proxy", "no"),
        ];
        let steps = steps(&findings, &scene());
        assert_eq!(steps[0], Step::Install(EngineId::LlamaCpp, Accelerator::Cpu));
        assert_eq!(steps.iter().map(Step::code).collect::<Vec<_>>(), ["LLMUP-E001", "LLMUP-C005", "LLMUP-G001"]);
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths { data: folder.path().into(), config: folder.path().into() };
        for (step, done) in steps.into_iter().zip([false, false, false]) {
            let fix = step.taken(&args(true), &scene(), &paths);
            assert!(fix.done == done && fix.said.contains(['`', 'r']), "{fix:?}");
        }
        assert_eq!(client_of("/home/u/.claude/settings.json sets X"), Some("claude"));
        assert_eq!(client_of("OPENAI_BASE_URL: Codex CLI started without llmup follows it"), Some("codex"));
        assert_eq!(client_of("nobody's"), None);
    }
}

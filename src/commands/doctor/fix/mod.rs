//! `doctor --fix`: what can be put in order without taking anything from the user. Each is asked for, and what is
//! written into a client's settings is shown first and can be given back by `llmup disconnect`. What only the user can
//! change (his shell, the machine's settings, programs of others) is said, as a command.

use std::sync::Arc;

use serde::Serialize;

use super::ports::Holder;
use super::{Finding, Scene, report};
use crate::cli::DoctorArgs;
use crate::commands::connect::Connection;
use crate::commands::{engine, question, running};
use crate::engine::install::Aim;
use crate::engine::{Accelerator, EngineId};
use crate::error::{Plain, Result};
use crate::exit::Exit;
use crate::hardware::Hardware;
use crate::host::Os;
use crate::output;
use crate::paths::Paths;
use crate::plan::{choose, platform};
use crate::state::{self, Process};
use crate::supervisor::{self, Remains, process};
use crate::words::{self, Language};

mod clients;
mod environment;
#[cfg(test)]
mod tests;

/// Something that was put in order, or how it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Fix {
    /// The finding it is for.
    pub(super) code: &'static str,
    /// The client it is about.
    pub(super) client: Option<&'static str>,
    /// What is to be done.
    pub(super) what: String,
    /// It was done now.
    pub(super) done: bool,
    /// What came of it, or the command that does it.
    pub(super) said: String,
}

/// A step, before anybody agreed to it.
enum Step<'s> {
    /// End what crashed ones left, and forget them.
    Reap(usize),
    /// End what holds the gateway's port: an engine whose llmup and guard are gone.
    EndOrphan { process: Process, mark: String },
    /// End what holds it: a llmup that this one cannot give orders.
    EndOther(Process),
    /// Install an engine.
    Install(EngineId, Accelerator),
    /// Write the gateway into a client's own settings.
    Connect { code: &'static str, connection: Connection<'s> },
    /// Nothing llmup does by itself: what the user does.
    Tell { code: &'static str, client: Option<&'static str>, what: String, how: String },
}

/// Does what the findings call for, and says what it did on standard error.
pub(super) fn run(args: &DoctorArgs, findings: &[Finding], scene: &Scene, paths: &Paths) -> Result<Vec<Fix>> {
    let steps = steps(findings, scene, paths);
    if steps.is_empty() {
        output::note("nothing here is for --fix to put in order");
    }
    let mut fixes = Vec::new();
    for step in steps {
        let fix = step.taken(args, scene, paths)?;
        output::note(&report::fixed(&fix, report::Look::of_stderr()));
        fixes.push(fix);
    }
    Ok(fixes)
}

fn steps<'s>(findings: &[Finding], scene: &'s Scene, paths: &Paths) -> Vec<Step<'s>> {
    let mut steps = Vec::new();
    let has = |code: &str| findings.iter().find(|finding| finding.code == Some(code));
    if has("LLMUP-G014").is_some() {
        steps.push(Step::Reap(scene.inputs.crashed.len()));
    }
    if let Some(finding) = has("LLMUP-G001") {
        steps.push(match Holder::of(scene.inputs.gateway_port, &scene.inputs) {
            Holder::Orphan { process, mark } => Step::EndOrphan { process, mark },
            Holder::OtherVersion(process) => Step::EndOther(process),
            Holder::Own(_) | Holder::Stranger(_) | Holder::Unknown => told("LLMUP-G001", finding),
        });
    }
    steps.extend(has("LLMUP-G002").map(|finding| told("LLMUP-G002", finding)));
    if has("LLMUP-E001").is_some() {
        let (engine, accelerator) = suitable(scene.inputs.hardware.as_ref(), scene.host.os());
        steps.push(Step::Install(engine, accelerator));
    }
    steps.extend(clients::steps(findings, scene, paths));
    steps.extend(environment::steps(findings, scene));
    steps
}

/// A finding with its cure.
fn told<'s>(code: &'static str, finding: &Finding) -> Step<'s> {
    let (what, how) = (finding.text.clone(), finding.cure.clone().unwrap_or_default());
    Step::Tell { code, client: finding.client, what, how }
}

/// The engine for this machine that llmup can install: vLLM for NVIDIA's cards under Linux, else llama.cpp.
fn suitable(hardware: Option<&Hardware>, os: Os) -> (EngineId, Accelerator) {
    let computes = hardware.and_then(platform::computes_on);
    match computes {
        Some((Accelerator::Cuda, _)) if os == Os::Linux => (EngineId::Vllm, Accelerator::Cuda),
        _ => (EngineId::LlamaCpp, hardware.map_or(Accelerator::Cpu, choose::installs_llama_cpp)),
    }
}

impl Step<'_> {
    fn code(&self) -> &'static str {
        match self {
            Step::Reap(_) => "LLMUP-G014",
            Step::EndOrphan { .. } | Step::EndOther(_) => "LLMUP-G001",
            Step::Install(..) => "LLMUP-E001",
            Step::Connect { code, .. } | Step::Tell { code, .. } => code,
        }
    }

    fn client(&self) -> Option<&'static str> {
        match self {
            Step::Connect { connection, .. } => Some(connection.client.id()),
            Step::Tell { client, .. } => *client,
            _ => None,
        }
    }

    fn what(&self) -> String {
        match self {
            Step::Reap(1) => "end what a crashed llmup left, and remove its state file".to_owned(),
            Step::Reap(count) => format!("end what {count} crashed llmups left, and remove their state files"),
            Step::EndOrphan { process, .. } => {
                format!("end the engine that a crashed llmup left at the gateway's port (pid {})", process.pid)
            }
            Step::EndOther(process) => {
                format!("end the llmup of another version at the gateway's port (pid {})", process.pid)
            }
            Step::Install(engine, _) => format!("install {engine}"),
            Step::Connect { connection, .. } => {
                format!("connect {} to the gateway by its own settings", connection.client.title())
            }
            Step::Tell { what, .. } => what.clone(),
        }
    }

    /// What does it elsewhere, or at another time.
    fn how(&self) -> String {
        match self {
            Step::Reap(_) | Step::EndOrphan { .. } => "`llmup doctor --fix --yes`".to_owned(),
            Step::EndOther(_) => "end it where it was started, or by `llmup doctor --fix` in a terminal".to_owned(),
            Step::Install(engine, _) => format!("`llmup engine install {engine}`"),
            Step::Connect { connection, .. } => format!("`llmup {}`", connection.command()),
            Step::Tell { how, .. } => how.clone(),
        }
    }

    fn taken(self, args: &DoctorArgs, scene: &Scene, paths: &Paths) -> Result<Fix> {
        let (code, client, what, how) = (self.code(), self.client(), self.what(), self.how());
        let left = |said: String| Fix { code, client, what: what.clone(), done: false, said };
        if let Step::Connect { connection, .. } = &self {
            connection.show();
        }
        if args.dry_run || matches!(self, Step::Tell { .. }) {
            return Ok(left(how));
        }
        // It may be at work for somebody: whoever says yes beforehand did not mean that.
        let must_ask = matches!(self, Step::EndOther(_));
        if !args.yes || must_ask {
            if !output::interactive() {
                return Ok(left(if must_ask { how } else { format!("{how} (add `--yes` to do it without asking)") }));
            }
            // The sentence first: with a capital it is another one.
            let mark = if words::language() == Language::Chinese { "？" } else { "?" };
            let question = format!("{}{mark}", capital(&words::say(&what)));
            let agreed = if must_ask { question::insisted(&question)? } else { question::agreed(&question)? };
            if !agreed {
                return Ok(left(format!("left as it is; later: {how}")));
            }
        }
        match self.does(scene, paths) {
            Ok(said) => Ok(Fix { code, client, what, done: true, said }),
            Err(error) if error.ended_by_user().is_some() => Err(error),
            Err(error) => {
                let why = causes(&error);
                Ok(left(format!("that failed: {why}; by hand: {how}")))
            }
        }
    }

    fn does(&self, scene: &Scene, paths: &Paths) -> Result<String> {
        match self {
            Step::Reap(_) => {
                // Looking for what runs puts in order what does not.
                running::all(paths)?;
                Ok("done, its processes are gone".to_owned())
            }
            Step::EndOrphan { process, mark } => end(process, Some(mark)),
            Step::EndOther(process) => {
                let ended = end(process, None)?;
                // Its file is nothing this version could read.
                state::remove(&paths.state(), process.pid)?;
                Ok(ended)
            }
            Step::Install(engine, accelerator) => {
                let found = engine::install_with_bar(*engine, Aim::Best(*accelerator), Arc::clone(&scene.host), paths)?;
                Ok(engine::describe(&found))
            }
            Step::Connect { connection, .. } => {
                connection.make()?;
                let id = connection.client.id();
                Ok(format!("connected; `llmup disconnect {id}` gives everything back"))
            }
            Step::Tell { how, .. } => Ok(how.clone()),
        }
    }
}

/// An error with what it comes from, on one line.
fn causes(error: &crate::error::Error) -> String {
    let said = error.lines().into_iter().filter(|(label, _)| matches!(*label, "error" | "cause"));
    said.map(|(_, text)| text).collect::<Vec<_>>().join(": ")
}

fn end(of: &Process, mark: Option<&String>) -> Result<String> {
    supervisor::reap(Remains { pid: of.pid, birth: &of.birth, mark: mark.map(String::as_str) });
    if process::alive(of.pid, &of.birth) {
        let hint = "`llmup doctor` tells who it is";
        return Err(Plain::new(Exit::EngineFailed, format!("pid {} still lives", of.pid), hint).into());
    }
    Ok("done, its processes are gone".to_owned())
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

//! `llmup doctor`: looks at the whole chain and says what is wrong, with the cure. It changes nothing. Every check runs
//! on its own thread under a time limit, so that one hanging driver or disk cannot hide what the others found.

use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::client::{Places, Session};
use crate::exit::Exit;
use crate::hardware::Hardware;
use crate::host::Host;
use crate::output;

mod clients;
mod machine;
pub mod record;
mod report;
mod surroundings;
#[cfg(test)]
mod tests;

pub use surroundings::{loopback_is_direct, proxied};

/// Longest time one check may take.
const LIMIT: Duration = Duration::from_secs(3);

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Ok,
    /// May disturb.
    Warning,
    /// Something will not work.
    Problem,
}

/// The parts of the chain, in the order they are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Section {
    /// Processor, memory, accelerators.
    Hardware,
    /// Installed engines.
    Engines,
    /// The gateway's port.
    Ports,
    /// Variables and settings files that lead clients elsewhere.
    Environment,
    /// Installed clients and their versions.
    Clients,
    /// What runs now.
    Running,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Where in the chain.
    pub section: Section,
    /// How bad.
    pub status: Status,
    /// What was found.
    pub text: String,
    /// What to do; commands in backquotes.
    pub cure: Option<String>,
}

impl Finding {
    fn ok(section: Section, text: impl Into<String>) -> Finding {
        Finding { section, status: Status::Ok, text: text.into(), cure: None }
    }

    fn warning(section: Section, text: impl Into<String>, cure: impl Into<String>) -> Finding {
        Finding { section, status: Status::Warning, text: text.into(), cure: Some(cure.into()) }
    }

    fn problem(section: Section, text: impl Into<String>, cure: impl Into<String>) -> Finding {
        Finding { section, status: Status::Problem, text: text.into(), cure: Some(cure.into()) }
    }
}

/// An engine somebody found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineFound {
    /// Its name.
    pub name: String,
    /// Its version, when it says it.
    pub version: Option<String>,
    /// Where it is: a path, `managed`, an address.
    pub place: String,
}

/// What the state files say about a running instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// The gateway as clients see it.
    pub session: Session,
    /// The engine behind it.
    pub engine: String,
}

/// What others detected, given to the checks.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// The machine; `None` when detection failed.
    pub hardware: Option<Hardware>,
    /// Engines found.
    pub engines: Vec<EngineFound>,
    /// A running instance.
    pub running: Option<Running>,
    /// The port the gateway uses or would use.
    pub gateway_port: u16,
}

/// Everything a check may look at.
pub struct Scene {
    inputs: Inputs,
    host: Arc<dyn Host>,
    places: Places,
}

/// One check.
pub trait Check: Sync {
    /// The part of the chain it belongs to.
    fn section(&self) -> Section;
    /// Looks. Missing things are findings, never failures.
    fn look(&self, scene: &Scene) -> Vec<Finding>;
}

/// All checks, in the order their findings are shown.
pub const CHECKS: &[&dyn Check] = &[
    &machine::HardwareCheck,
    &machine::EnginesCheck,
    &machine::PortsCheck,
    &surroundings::ProxyCheck,
    &surroundings::ConflictsCheck,
    &clients::ClientCheck(0),
    &clients::ClientCheck(1),
    &clients::ClientCheck(2),
    &clients::ClientCheck(3),
    &clients::ClientCheck(4),
    &clients::ClientCheck(5),
    &clients::ClientCheck(6),
    &clients::ClientCheck(7),
    &clients::ClientCheck(8),
    &machine::RunningCheck,
];

/// Runs every check, prints the report and says how to exit: 0, or 1 when there is a problem.
pub fn run(json: bool, inputs: Inputs, host: Arc<dyn Host>) -> Exit {
    let home = directories::BaseDirs::new().map_or_else(PathBuf::new, |dirs| dirs.home_dir().to_owned());
    let project = std::env::current_dir().unwrap_or_default();
    let findings = examine(CHECKS, Scene { inputs, host, places: Places { home, project } }, LIMIT);
    let problems = findings.iter().filter(|finding| finding.status == Status::Problem).count();
    if json {
        output::json(&serde_json::json!({ "findings": findings, "problems": problems }));
    } else {
        output::data(&report::render(&findings, report::Look::of_stdout()));
    }
    if problems == 0 { Exit::Ok } else { Exit::Bug }
}

/// What every check finds, each within `limit`, in the order of `checks`.
fn examine(checks: &'static [&'static dyn Check], scene: Scene, limit: Duration) -> Vec<Finding> {
    let scene = Arc::new(scene);
    let start = Instant::now();
    let waiting: Vec<_> = checks
        .iter()
        .map(|check| {
            let (found, answer) = mpsc::channel();
            let scene = Arc::clone(&scene);
            // Not joined: a check that hangs in the system is left behind and ends with the process.
            std::thread::spawn(move || {
                let _ = found.send(check.look(&scene));
            });
            (check.section(), answer)
        })
        .collect();
    let mut findings = Vec::new();
    for (section, answer) in waiting {
        match answer.recv_timeout(limit.saturating_sub(start.elapsed())) {
            Ok(found) => findings.extend(found),
            Err(mpsc::RecvTimeoutError::Timeout) => findings.push(Finding::warning(
                section,
                format!("this check was given up: no result within {} s", limit.as_secs_f32()),
                "run `llmup doctor` again when the machine is less busy; if it stays, a driver or a network disk hangs",
            )),
            Err(mpsc::RecvTimeoutError::Disconnected) => findings.push(Finding::warning(
                section,
                "this check failed in itself",
                "please report it with the output of `llmup doctor --json`",
            )),
        }
    }
    findings
}

//! `llmup doctor`: looks at the whole chain and says what is wrong, with the code of the finding and the cure. Every
//! check runs on its own thread under a time limit, so that one hanging driver or disk cannot hide what the others
//! found. `deep` sends requests through the running gateway; `fix` puts in order what is safe to.

use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::cli::DoctorArgs;
use crate::client::{Client, Origin, Places, Session};
use crate::commands::connect::Connected;
use crate::engine::find::Found;
use crate::error::Result;
use crate::exit::Exit;
use crate::hardware::Hardware;
use crate::host::Host;
use crate::output;
use crate::paths::Paths;
use crate::progress::Progress;
use crate::state::{Instance, Process};

mod ask;
mod clients;
mod deep;
mod fix;
mod machine;
mod models;
mod network;
mod ports;
pub mod record;
mod report;
mod running;
mod surroundings;
#[cfg(test)]
mod tests;

pub use network::{loopback_is_direct, proxied};

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
    /// Weights that are here, and what would become of them.
    Models,
    /// The gateway's port, proxies and firewalls.
    Ports,
    /// What runs now, and whether its key is accepted.
    Running,
    /// Installed clients and their versions.
    Clients,
    /// Variables and settings files that lead clients elsewhere.
    Environment,
    /// What requests through the gateway bring.
    Gateway,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which it is of those in `profiles/findings/`; nothing where all is well.
    pub code: Option<&'static str>,
    /// Where in the chain.
    pub section: Section,
    /// Whose settings or program it is about, as one types it; `None`: no single client's.
    pub client: Option<&'static str>,
    /// Where that which disturbs the client stands.
    #[serde(skip)]
    pub origin: Option<Origin>,
    /// How bad.
    pub status: Status,
    /// What was found.
    pub text: String,
    /// What that was concluded from, a line each.
    pub evidence: Vec<String>,
    /// What to do; commands in backquotes.
    pub cure: Option<String>,
}

impl Finding {
    fn ok(section: Section, text: impl Into<String>) -> Finding {
        Finding {
            code: None,
            section,
            client: None,
            origin: None,
            status: Status::Ok,
            text: text.into(),
            evidence: Vec::new(),
            cure: None,
        }
    }

    fn warning(code: &'static str, section: Section, text: impl Into<String>, cure: impl Into<String>) -> Finding {
        let (code, cure) = (Some(code), Some(cure.into()));
        Finding { code, status: Status::Warning, cure, ..Finding::ok(section, text) }
    }

    fn problem(code: &'static str, section: Section, text: impl Into<String>, cure: impl Into<String>) -> Finding {
        Finding { status: Status::Problem, ..Finding::warning(code, section, text, cure) }
    }

    fn because(self, evidence: Vec<String>) -> Finding {
        Finding { evidence, ..self }
    }

    fn of(self, client: &dyn Client) -> Finding {
        Finding { client: Some(client.id()), ..self }
    }
}

/// What the state files and the control endpoint say about a running instance.
#[derive(Debug, Clone, PartialEq)]
pub struct Running {
    /// The gateway as clients see it.
    pub session: Session,
    /// The engine behind it.
    pub engine: String,
    /// The context the engine itself named, tokens.
    pub confirmed: Option<u64>,
    /// How much of the model lies on the accelerator, 0..=1.
    pub on_gpu: Option<f64>,
    /// Size of the weights, bytes.
    pub weights_bytes: Option<u64>,
    /// `ready`, `loading`, …; `None` when it does not say.
    pub state: Option<String>,
    /// Why it is not ready.
    pub because: Option<String>,
    /// How often its engine was started anew.
    pub restarts: u32,
    /// Why, the last time.
    pub last_crash: Option<String>,
}

impl Running {
    /// One of which nothing more is known.
    pub fn of(session: Session, engine: &str) -> Running {
        Running {
            session,
            engine: engine.to_owned(),
            confirmed: None,
            on_gpu: None,
            weights_bytes: None,
            state: None,
            because: None,
            restarts: 0,
            last_crash: None,
        }
    }
}

/// What others detected, given to the checks.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// The machine; `None` when detection failed.
    pub hardware: Option<Hardware>,
    /// Engines found.
    pub engines: Vec<Found>,
    /// The folder of pulled models.
    pub models: PathBuf,
    /// A running instance.
    pub running: Option<Running>,
    /// Every llmup that runs, ready or not.
    pub instances: Vec<Instance>,
    /// Those whose files only another version reads.
    pub other_versions: Vec<Process>,
    /// What `connect` wrote for clients, and how it stands to what runs.
    pub connected: Vec<Connected>,
    /// Instances that ended without removing their file.
    pub crashed: Vec<Instance>,
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

/// All checks, in the order their findings are shown; one for each client besides ([`checks`]).
const BEFORE: &[&dyn Check] = &[
    &machine::HardwareCheck,
    &machine::EnginesCheck,
    &models::ModelsCheck,
    &ports::PortsCheck,
    &network::ProxyCheck,
    &network::FirewallCheck,
    &running::RunningCheck,
    &running::KeyCheck,
];

/// Every check, in the order of the chain.
fn checks() -> Vec<&'static dyn Check> {
    let each = clients::EACH.iter().map(|check| check as &dyn Check);
    BEFORE.iter().copied().chain(each).chain([&surroundings::ConflictsCheck as &dyn Check]).collect()
}

/// Runs every check, prints the report and says how to exit: 0, or 1 when there is a problem. `inputs` detects; it is
/// asked again when something was put in order.
pub fn run(args: &DoctorArgs, inputs: impl Fn(&Places) -> Inputs, host: Arc<dyn Host>, paths: &Paths) -> Result<Exit> {
    // As the clients ask for it: on Windows by USERPROFILE, not by the account.
    let home = std::env::home_dir().filter(|home| home.is_absolute()).unwrap_or_default();
    let project = std::env::current_dir().unwrap_or_default();
    let places = Places { home, project };
    let look = || {
        let scene = Arc::new(Scene { inputs: inputs(&places), host: Arc::clone(&host), places: places.clone() });
        let findings = examine(&checks(), &scene, LIMIT);
        (scene, findings)
    };
    let (scene, mut findings) = look();
    if args.deep {
        findings.extend(deep::examine(&scene, &Progress::new()));
    }
    let problems = count(&findings, Status::Problem);
    if !args.json {
        output::data(&report::render(&findings, report::Look::of_stdout()));
    }
    let fixes = if args.fix { fix::run(args, &findings, &scene, paths)? } else { Vec::new() };
    // What was put in order is no problem any more; nor did it change what --deep asked.
    let left = if fixes.iter().any(|fix| fix.done) {
        let deep = findings.iter().filter(|finding| finding.section == Section::Gateway);
        let now: Vec<Finding> = look().1.into_iter().chain(deep.cloned()).collect();
        output::note(&format!("looked again: {}", report::counted(&now)));
        count(&now, Status::Problem)
    } else {
        problems
    };
    if args.json {
        let mut report = serde_json::json!({ "findings": findings, "problems": problems });
        if args.fix {
            report["fixes"] = serde_json::json!(fixes);
            report["problems_left"] = serde_json::json!(left);
        }
        output::json(&report);
    }
    Ok(if left == 0 { Exit::Ok } else { Exit::Bug })
}

fn count(findings: &[Finding], status: Status) -> usize {
    findings.iter().filter(|finding| finding.status == status).count()
}

/// What every check finds, each within `limit`, in the order of `checks`.
fn examine(checks: &[&'static dyn Check], scene: &Arc<Scene>, limit: Duration) -> Vec<Finding> {
    let start = Instant::now();
    let waiting: Vec<_> = checks
        .iter()
        .map(|check| {
            let (found, answer) = mpsc::channel();
            let (check, scene) = (*check, Arc::clone(scene));
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
                "LLMUP-H011",
                section,
                format!("this check was given up: no result within {} s", limit.as_secs_f32()),
                "run `llmup doctor` again when the machine is less busy; if it stays, a driver or a network disk hangs",
            )),
            Err(mpsc::RecvTimeoutError::Disconnected) => findings.push(Finding::warning(
                "LLMUP-H012",
                section,
                "this check failed in itself",
                "please report it with the output of `llmup doctor --json`",
            )),
        }
    }
    findings
}

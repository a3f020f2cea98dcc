//! The backend behind the gateway: installed when missing, launched, waited for, and in the end surely gone.

use std::net::IpAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::decide::{facts, request};
use super::entry::Entry;
use super::launch::{self, GRACE};
use super::target::Target;
use super::{Choice, measure, ollama, retry};
use crate::cli::{EnginePort, StartArgs};
use crate::commands::log_files::{self, Limit};
use crate::commands::{engine as engines, question};
use crate::engine::find::Found;
use crate::engine::install::Aim;
use crate::engine::{Accelerator, EngineId, KnownFlags, Measured, Serves, driver};
use crate::error::{Error, Plain, Result};
use crate::exit::Exit;
use crate::fs;
use crate::gateway::{Options, Ready};
use crate::hardware::Hardware;
use crate::host::{Os, RealHost};
use crate::output;
use crate::paths::Paths;
use crate::plan::{self, Installed, LaunchPlan, PlanError};
use crate::progress::Progress;
use crate::protocol::accepts::Accepts;
use crate::protocol::{Id, Vendor};
use crate::supervisor::{Child, ExitStatus, port};

/// What a backend turned out to be, once it answers.
pub(super) struct Backend {
    /// The child, unless it ran before us.
    pub child: Option<Child>,
    pub engine: EngineId,
    pub port: u16,
    pub log: Option<PathBuf>,
    /// How the gateway reaches it.
    pub ready: Ready,
    /// The engine's own words on its sizes.
    pub measured: Measured,
    /// A model of ours in somebody's running Ollama, to be removed in the end.
    pub derived: Option<ollama::Derived>,
}

/// The protocols an engine is passed requests in as they are.
pub(super) fn native(serves: Serves) -> Vec<Id> {
    let served = [(Id::Chat, true), (Id::Messages, serves.messages), (Id::Responses, serves.responses)];
    served.into_iter().filter(|(_, served)| *served).map(|(id, _)| id).collect()
}

/// An engine as protocols know it.
pub(super) fn vendor(engine: EngineId) -> Vendor {
    match engine {
        EngineId::Vllm => Vendor::Vllm,
        EngineId::LlamaCpp => Vendor::LlamaCpp,
        EngineId::Ollama => Vendor::Ollama,
    }
}

/// What the launched model can read. llama.cpp b11669 answers 500 to pictures and sounds unless it has a projector,
/// and takes no documents at all; vLLM says itself what its model cannot read (400).
fn accepts(engine: EngineId, engine_args: &[String]) -> Accepts {
    if engine != EngineId::LlamaCpp {
        return Accepts::default();
    }
    let projector = engine_args.iter().any(|arg| arg.starts_with("--mmproj") || arg == "-mm");
    let seen = if projector { None } else { Some(false) };
    Accepts { images: seen, audio: seen, documents: Some(false), ..Accepts::default() }
}

/// Installs what is missing, when the user agrees.
pub fn install(args: &StartArgs, paths: &Paths, plan: &LaunchPlan) -> Result<Found> {
    let engine = plan.engine;
    if engine == EngineId::Ollama {
        return Err(Plain::new(
            Exit::Missing,
            "Ollama is not installed and none is running",
            "install it from its own site (ollama.com), then run this again",
        )
        .into());
    }
    if !args.yes {
        let missing = || {
            let message = format!("{engine} is not installed");
            let hints = vec![
                format!("install it: `llmup engine install {engine}`"),
                "or let start do it: add `--yes`".to_owned(),
            ];
            Error::from(Plain { message, exit: Exit::Missing, hints })
        };
        if !output::interactive() {
            return Err(missing());
        }
        let size = match (engine, plan.accelerator) {
            (EngineId::Vllm, _) => "a download of about 3 GB",
            (_, Accelerator::Cpu | Accelerator::Metal) => "a download of about 35 MB",
            // How large that one is, is known only when the release is asked.
            _ => "a release archive, up to 600 MB of disk",
        };
        let question = format!("{engine} is not installed. Install it into {} ({size})?", paths.engines().display());
        if !question::agreed(&question)? {
            return Err(missing());
        }
    }
    // Ways that compute on the processor are the same for every machine.
    engines::install_with_bar(engine, Aim::Best(plan.accelerator), Arc::new(RealHost), paths)
}

/// Tells when the child that is being launched, and all it started, is gone: an interrupt drops the launch, and with
/// it the child, but nobody may leave before the tree has.
#[derive(Clone, Default)]
pub(super) struct LastChild(Arc<Mutex<Option<Gone>>>);

type Gone = Pin<Box<dyn Future<Output = ExitStatus> + Send>>;

impl LastChild {
    pub fn set(&self, child: &Child) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::pin(child.gone()));
    }

    pub async fn gone(&self) {
        let gone = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(gone) = gone {
            let _ = tokio::time::timeout(GRACE, gone).await;
        }
    }
}

/// Where the backend of a run comes from.
pub(super) enum Source {
    /// llmup launches it, and anew when it dies.
    Launched(Box<Launcher>),
    /// It runs already; what reaches it. Once.
    Attached(Option<Pin<Box<dyn Future<Output = Result<Backend>> + Send>>>),
}

impl Source {
    /// Brings it up. Dropping the future ends what was launched.
    pub async fn bring(&mut self) -> Result<Backend> {
        match self {
            Source::Launched(launcher) => launcher.launch().await,
            Source::Attached(attaching) => match attaching.take() {
                Some(attaching) => attaching.await,
                None => Err(Plain::new(Exit::Missing, "the engine is gone", "start it, then run this again").into()),
            },
        }
    }

    /// Whether it is started anew when it dies.
    pub fn heals(&self) -> bool {
        matches!(self, Source::Launched(launcher) if launcher.reuse.is_none())
    }

    /// The plan it was brought up by, if it was planned.
    pub fn plan(&self) -> Option<&LaunchPlan> {
        match self {
            Source::Launched(launcher) => Some(&launcher.plan),
            Source::Attached(_) => None,
        }
    }

    /// The plan of a model that can sleep in main memory ([`super::nap`]).
    pub fn naps(&self) -> Option<&LaunchPlan> {
        match self {
            Source::Launched(launcher) if launcher.model.args.sleep => Some(&launcher.plan),
            _ => None,
        }
    }

    /// The next start is by this plan.
    pub fn use_plan(&mut self, plan: Option<Box<LaunchPlan>>) {
        if let (Source::Launched(launcher), Some(plan)) = (self, plan) {
            (launcher.plan, launcher.changed) = (*plan, false);
        }
    }

    /// Makes the next start a smaller one when the engine died for memory; what is said about that. Once.
    pub fn leaner(&mut self, failure: &launch::LaunchError) -> Option<String> {
        match self {
            Source::Launched(launcher) => launcher.leaner(failure),
            Source::Attached(_) => None,
        }
    }
}

/// A model that is to be started, with all that was found out about it.
pub(super) struct Prepared {
    pub args: StartArgs,
    /// What its requests carry besides.
    pub options: Arc<Options>,
    /// What it can read, as far as the user says.
    pub accepts: Accepts,
    pub paths: Paths,
    pub target: Target,
    pub engine: Option<Found>,
    pub known: Option<KnownFlags>,
}

impl Prepared {
    /// Its plan for the machine as it is, with the engine it has.
    pub fn plan(&self, hardware: &Hardware) -> std::result::Result<LaunchPlan, PlanError> {
        let installed: Vec<Installed> = self.engine.iter().map(Installed::of).collect();
        plan::plan(facts(&self.target, &request(&self.args, false), hardware, &installed))
    }
}

/// The facts of a launch.
pub(super) struct Launcher {
    pub model: Arc<Prepared>,
    pub entry: Arc<Entry>,
    /// Its place among the models.
    pub at: usize,
    /// What is launched; a start that fails for memory changes it, once.
    pub plan: LaunchPlan,
    /// It was changed.
    pub changed: bool,
    /// An Ollama that runs already.
    pub reuse: Option<ollama::Server>,
    /// The key only the gateway and the engine know.
    pub key: String,
    pub last: LastChild,
}

impl Launcher {
    fn leaner(&mut self, failure: &launch::LaunchError) -> Option<String> {
        let again = retry::again(&self.model.args, &self.plan, failure.remedy()?).filter(|_| !self.changed)?;
        self.changed = true;
        self.plan = again.plan;
        Some(again.said)
    }

    /// Launches the engine and waits until it answers. Dropping the future ends it.
    async fn launch(&mut self) -> Result<Backend> {
        let progress = Progress::new();
        let model = Arc::clone(&self.model);
        let Prepared { args, options, accepts: said, paths, target, engine, known } = &*model;
        let (engine, known) = (engine.as_ref(), known.as_ref());
        if let Some(server) = &self.reuse {
            return ollama::attach(server.clone(), target, &self.plan, &progress).await;
        }
        let engine_driver = driver(self.plan.engine);
        // Of one alone nobody has to be told which is meant.
        let id = engine_driver.id();
        let who = if self.entry.alone() { id.to_string() } else { format!("{} ({id})", target.name) };
        let who = who.as_str();
        let log = launch::log(paths, &target.name);
        fs::create_dir(&paths.logs())?;
        loop {
            let port = engine_port(args)?;
            let choice = Choice { args, target, plan: &self.plan, engine, known };
            let command = launch::command(choice, paths, port, Some(&self.key));
            log_files::put_aside(&log, Limit::of_user());
            let child = launch::spawn(command, log.clone()).await?;
            self.last.set(&child);
            self.entry.launched(self.at, self.plan.engine.name(), &child, port, &log);
            if let Err(status) = launch::wait_ready((engine_driver, who), &child, port, &log, &progress).await {
                // What it started may hold the accelerator's memory for a moment longer.
                child.stop(Duration::ZERO).await;
                let failure = launch::ended(engine_driver, status, log.clone());
                // Once: a second failure is told.
                if let Some(said) = self.leaner(&failure) {
                    progress.note(&output::warned(said));
                    continue;
                }
                let Some(remedy) = failure.remedy() else { return Err(failure.into()) };
                let argv: Vec<String> = std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect();
                return Err(failure.advised(retry::advice(&argv, args, &self.plan, remedy)).into());
            }
            if self.plan.engine == EngineId::Ollama {
                let server = ollama::Server::at(launch::address(port));
                let mut backend = ollama::attach(server, target, &self.plan, &progress).await?;
                backend.child = Some(child);
                backend.log = Some(log);
                return Ok(backend);
            }
            progress.finish();
            let measured = measure::engine(self.plan.engine, port, &log, &self.key, &target.name).await;
            let serves = engine_driver.serves(engine.and_then(|e| e.version.as_deref()));
            return Ok(Backend {
                child: Some(child),
                engine: self.plan.engine,
                port,
                log: Some(log),
                ready: Ready {
                    context: measured.context.unwrap_or(self.plan.max_model_len),
                    native: native(serves),
                    vendor: vendor(self.plan.engine),
                    api_key: Some(self.key.clone()),
                    accepts: said.or(accepts(self.plan.engine, &args.engine_args)),
                    options: Arc::clone(options),
                    ..Ready::chat(format!("http://{}", launch::address(port)), &target.name)
                },
                measured,
                derived: None,
            });
        }
    }
}

fn engine_port(args: &StartArgs) -> Result<u16> {
    let loopback = IpAddr::from([127, 0, 0, 1]);
    match args.engine_port {
        EnginePort::Fixed(wanted) => {
            let Some(error) = port::refusal(loopback, wanted) else { return Ok(wanted) };
            let message = if port::kept_back(Os::current(), &error) {
                format!("Windows keeps the engine's port {wanted} back")
            } else {
                let holder = port::holder(wanted)
                    .map_or_else(|| "another program".into(), |h| format!("{} (pid {})", h.name, h.pid));
                format!("the engine's port {wanted} is taken by {holder}")
            };
            Err(Plain::new(Exit::Taken, message, "leave out `--engine-port`, then any free one is taken").into())
        }
        EnginePort::Auto => port::free_port(loopback)
            .map_err(|e| Plain::new(Exit::Taken, format!("no free port: {e}"), "see `llmup doctor`").into()),
    }
}

/// A model's name as a file name.
pub fn file_name(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() || "._-".contains(c) { c } else { '_' }).collect()
}

//! The running part of `start`: the gateway answers from the first moment (503 while loading), the engine is launched
//! behind it, and whatever ends the run ends everything.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};

use super::launch::{self, GRACE};
use super::target::Target;
use super::{ollama, ready};
use crate::cli::{EnginePort, StartArgs};
use crate::client::shell;
use crate::commands::engine as engines;
use crate::engine::find::Found;
use crate::engine::{Engine, EngineId, driver};
use crate::error::{Error, Plain, Result};
use crate::exit::Exit;
use crate::fs::{self, FileError};
use crate::gateway::{BackendState, Gateway, Ready, Serves, Settings};
use crate::hardware::Hardware;
use crate::host::RealHost;
use crate::model::demo;
use crate::output::{self, Style, on_stderr};
use crate::paths::Paths;
use crate::plan::LaunchPlan;
use crate::progress::Progress;
use crate::state::{self, Instance};
use crate::supervisor::signal::{Interrupt, Interrupts, interrupts};
use crate::supervisor::{Child, ExitStatus, Stopped, port, process};

/// How long requests in flight may go on after the first Ctrl-C.
const DRAIN: Duration = Duration::from_secs(5);

/// What a backend turned out to be, once it answers.
pub(super) struct Backend {
    /// The child, unless it ran before us.
    pub child: Option<Child>,
    pub engine: EngineId,
    pub port: u16,
    pub log: Option<PathBuf>,
    /// How the gateway reaches it.
    pub ready: Ready,
    /// The context is the engine's own word.
    pub confirmed: bool,
    /// A model of ours in somebody's running Ollama, to be removed in the end.
    pub derived: Option<ollama::Derived>,
}

/// Launches and serves until something ends it; gives the exit code.
pub fn run(
    args: &StartArgs,
    paths: &Paths,
    target: Target,
    mut plan: LaunchPlan,
    engine: Option<Found>,
    hardware: &Hardware,
) -> Result<u8> {
    let reuse = (plan.engine == EngineId::Ollama).then(ollama::running).flatten();
    // What an earlier, killed llmup left is ended first: it may hold the memory the plan counts on.
    crate::commands::running::newest(paths)?;
    // What can fail cheaply fails before anything is installed.
    let gateway = bind(args.host, args.port, paths)?;
    let engine = match engine {
        Some(found) => Some(found),
        None if reuse.is_some() => None,
        None => Some(install(args, paths, &plan, hardware)?),
    };
    plan.to_install = false;
    if let Some(kind) = target.demo {
        let began = Instant::now();
        demo::ensure(&paths.models(), kind)?;
        if began.elapsed() > Duration::from_millis(100) {
            output::note(&format!("{} the demo model", on_stderr(Style::Good, "wrote ")));
        }
    }
    runtime()?.block_on(async {
        let mut session = Session::open(args, paths, gateway, &target.name)?;
        let launched = {
            let key = session.engine_key.clone();
            let last = session.last_child.clone();
            let start = launch_backend(args, paths, &target, &plan, engine.as_ref(), reuse, &key, &last);
            session.or_interrupt(start).await
        };
        session.serve_until_end(launched, &target.name, args, paths).await
    })
}

/// The runtime of gateway and supervisor: two threads are enough for one machine's clients.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(|e| {
        Plain::new(
            Exit::Bug,
            format!("cannot start the runtime: {e}"),
            "see how many processes you may start: `ulimit -u`",
        )
        .into()
    })
}

/// Takes the gateway's port, or says who has it.
pub(super) fn bind(host: IpAddr, wanted: u16, paths: &Paths) -> Result<std::net::TcpListener> {
    let error = match std::net::TcpListener::bind((host, wanted)) {
        Ok(listener) => {
            let ready = listener.set_nonblocking(true);
            return ready.map(|()| listener).map_err(|e| Plain::new(Exit::Bug, e.to_string(), "try again").into());
        }
        Err(error) => error,
    };
    if error.kind() != std::io::ErrorKind::AddrInUse {
        let hint =
            "choose another with `--port N` (below 1024 needs privileges) and an address of this machine with `--host`";
        return Err(Plain::new(Exit::Taken, format!("cannot listen on {host}:{wanted}: {error}"), hint).into());
    }
    let ours = crate::commands::running::newest(paths)?.filter(|i| i.url.ends_with(&format!(":{wanted}")));
    let holder = match (&ours, port::holder(wanted)) {
        (Some(ours), _) => format!("llmup itself, serving {} (pid {})", ours.model, ours.process.pid),
        (None, Some(holder)) => format!("{} (pid {})", holder.name, holder.pid),
        (None, None) => "another program".to_owned(),
    };
    let mut hints = Vec::new();
    if let Some(free) = port::next_free(host, wanted.saturating_add(1)) {
        hints.push(format!("the next free one: `--port {free}`"));
    }
    if ours.is_some() {
        hints.push("or use the one that runs: `llmup env claude`".to_owned());
    }
    let message = format!("port {wanted} is taken by {holder}");
    Err(Plain { message, exit: Exit::Taken, hints }.into())
}

/// Installs what is missing, when the user agrees.
fn install(args: &StartArgs, paths: &Paths, plan: &LaunchPlan, hardware: &Hardware) -> Result<Found> {
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
        let size = if engine == EngineId::Vllm { "a download of about 3 GB" } else { "a download of about 35 MB" };
        let question = format!("{engine} is not installed. Install it into {} ({size})?", paths.engines().display());
        let agreed = dialoguer::Confirm::new().with_prompt(question).default(true).interact().unwrap_or(false);
        if !agreed {
            return Err(missing());
        }
    }
    engines::install_with_bar(engine, engines::accelerator(engine, hardware), &RealHost, paths)
}

/// The gateway and everything that can end it.
pub(super) struct Session {
    url: String,
    key: String,
    /// The key only the gateway and the engine know.
    pub engine_key: String,
    last_child: LastChild,
    state: watch::Sender<BackendState>,
    interrupts: Interrupts,
    shutdown: Option<oneshot::Sender<()>>,
    gateway: tokio::task::JoinHandle<()>,
}

/// Tells when the child that is being launched, and all it started, is gone: an interrupt drops the launch, and with
/// it the child, but nobody may leave before the tree has.
#[derive(Clone, Default)]
pub(super) struct LastChild(Arc<Mutex<Option<Gone>>>);

type Gone = Pin<Box<dyn Future<Output = ExitStatus> + Send>>;

impl LastChild {
    fn is(&self, child: &Child) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::pin(child.gone()));
    }

    async fn gone(&self) {
        let gone = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(gone) = gone {
            let _ = tokio::time::timeout(GRACE, gone).await;
        }
    }
}

/// How waiting for the backend ended.
pub(super) enum Launched {
    Backend(Box<Backend>),
    Failed(Error),
    Interrupted(Interrupt),
}

impl Session {
    /// Opens the gateway; it answers 503 until the backend is ready.
    pub fn open(args: &StartArgs, paths: &Paths, listener: std::net::TcpListener, model: &str) -> Result<Session> {
        let bug = |e: std::io::Error| Error::from(Plain::new(Exit::Bug, e.to_string(), "run `llmup doctor`"));
        let listener = TcpListener::from_std(listener).map_err(bug)?;
        let address = listener.local_addr().map_err(bug)?;
        let key = match &args.api_key {
            Some(key) => key.clone(),
            None => kept_key(paths)?,
        };
        let loopback = address.ip().is_loopback();
        if !loopback {
            output::note(&format!(
                "{} everyone who reaches {address} and knows the key can use the model",
                on_stderr(Style::Warn, "note  ")
            ));
        }
        let (state, backend) = watch::channel(BackendState::Loading { since: Instant::now(), retry_after: 2 });
        let (shutdown, ended) = oneshot::channel::<()>();
        let settings =
            Settings { key: Some(key.clone()), served_model: model.to_owned(), backend, loopback, grace: DRAIN };
        let gateway = tokio::spawn(async move {
            let ended = async {
                let _ = ended.await;
            };
            Gateway::new(settings).serve(listener, ended).await;
        });
        // Clients on this machine cannot dial 0.0.0.0 everywhere.
        let shown = match address.ip() {
            ip if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
            ip => ip,
        };
        let url = format!("http://{}", std::net::SocketAddr::new(shown, address.port()));
        let interrupts = interrupts().map_err(bug)?;
        Ok(Session {
            last_child: LastChild::default(),
            url,
            key,
            engine_key: random_key()?,
            state,
            interrupts,
            shutdown: Some(shutdown),
            gateway,
        })
    }

    /// Waits for the backend, unless the user ends it first.
    pub async fn or_interrupt(&mut self, start: impl Future<Output = Result<Backend>>) -> Launched {
        tokio::select! {
            started = start => match started {
                Ok(backend) => Launched::Backend(Box::new(backend)),
                Err(error) => Launched::Failed(error),
            },
            interrupt = self.interrupts.next() => Launched::Interrupted(interrupt),
        }
    }

    /// Serves until Ctrl-C or the engine's end, then takes everything down in order.
    pub async fn serve_until_end(
        mut self,
        launched: Launched,
        model: &str,
        args: &StartArgs,
        paths: &Paths,
    ) -> Result<u8> {
        let backend = match launched {
            Launched::Backend(backend) => *backend,
            Launched::Failed(error) => {
                self.state.send_replace(BackendState::Gone { reason: error.to_string() });
                self.close().await;
                self.last_child.gone().await;
                return Err(error);
            }
            Launched::Interrupted(interrupt) => {
                self.close().await;
                self.last_child.gone().await;
                return Ok(Exit::signal(interrupt.number()));
            }
        };
        self.state.send_replace(BackendState::Ready(backend.ready.clone()));
        let instance = instance(&self, &backend, model);
        state::write(&paths.state(), &instance)?;
        if args.json {
            output::json(&serde_json::json!({
                "status": "ready", "url": instance.url, "key": instance.key, "model": instance.model,
                "context": instance.context, "engine": instance.engine.name, "engine_port": instance.engine.port,
                "log": instance.engine.log, "pid": instance.process.pid,
            }));
        }
        ready::show(&instance, backend.confirmed, shell::detect(&RealHost, &shell::ancestors()));

        let ended = async {
            match &backend.child {
                Some(child) => child.exited().await,
                None => std::future::pending().await,
            }
        };
        let outcome = tokio::select! {
            status = ended => Err(status),
            interrupt = self.interrupts.next() => Ok(interrupt),
        };
        let result = match outcome {
            Ok(interrupt) => {
                self.stop(&backend).await;
                Ok(Exit::signal(interrupt.number()))
            }
            Err(status) => {
                self.state.send_replace(BackendState::Gone { reason: status.to_string() });
                self.close().await;
                self.last_child.gone().await;
                let log = backend.log.clone().unwrap_or_default();
                Err(launch::ended(driver(backend.engine), status, log).while_serving().into())
            }
        };
        let _ = state::remove(&paths.state(), instance.process.pid);
        result
    }

    /// In order: no new requests, those in flight drain, the engine is asked, then made to end. A second Ctrl-C
    /// skips to the end.
    async fn stop(&mut self, backend: &Backend) {
        output::note("stopping (Ctrl-C again ends at once)");
        let _ = self.shutdown.take().map(|s| s.send(()));
        let orderly = async {
            let _ = (&mut self.gateway).await;
            if let Some(derived) = &backend.derived {
                derived.remove().await;
            }
            match &backend.child {
                Some(child) => Some(child.stop(GRACE).await),
                None => None,
            }
        };
        let stopped = tokio::select! {
            stopped = orderly => stopped,
            _ = self.interrupts.next() => match &backend.child {
                Some(child) => Some(child.stop(Duration::ZERO).await),
                None => None,
            },
        };
        match stopped {
            Some(Stopped::Stuck(pids)) => output::note(&format!("these processes could not be ended: {pids:?}")),
            _ => output::note("stopped; nothing is left running"),
        }
    }

    async fn close(&mut self) {
        let _ = self.shutdown.take().map(|s| s.send(()));
        let _ = tokio::time::timeout(Duration::from_secs(1), &mut self.gateway).await;
    }
}

fn instance(session: &Session, backend: &Backend, model: &str) -> Instance {
    let of = |pid: u32| state::Process { pid, birth: process::birth(pid).unwrap_or_default() };
    Instance {
        version: state::VERSION,
        process: of(std::process::id()),
        url: session.url.clone(),
        key: session.key.clone(),
        model: model.to_owned(),
        context: backend.ready.context,
        engine: state::Engine {
            name: backend.engine.name().to_owned(),
            process: backend.child.as_ref().map(|c| of(c.pid())),
            pgid: backend.child.as_ref().map(Child::pgid),
            mark: backend.child.as_ref().map(|c| c.mark().to_owned()),
            port: backend.port,
            log: backend.log.clone(),
        },
        started_at: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()),
    }
}

/// Launches the engine and waits until it answers. Dropping the future ends it.
#[allow(clippy::too_many_arguments)] // the facts of one launch, used once
async fn launch_backend(
    args: &StartArgs,
    paths: &Paths,
    target: &Target,
    plan: &LaunchPlan,
    engine: Option<&Found>,
    reuse: Option<ollama::Server>,
    key: &str,
    last: &LastChild,
) -> Result<Backend> {
    let progress = Progress::new();
    if let Some(server) = reuse {
        return ollama::attach(server, target, plan, &progress).await;
    }
    let engine_driver = driver(plan.engine);
    let log = paths.logs().join(format!("{}.log", file_name(&target.name)));
    fs::create_dir(&paths.logs())?;
    let mut context = plan.max_model_len;
    loop {
        let port = engine_port(args)?;
        let command = launch::command(args, target, plan, engine, paths, port, context, Some(key));
        let child = launch::spawn(command, log.clone()).await?;
        last.is(&child);
        if let Err(status) = launch::wait_ready(engine_driver, &child, port, &log, &progress).await {
            // What it started may hold the accelerator's memory for a moment longer.
            child.stop(Duration::ZERO).await;
            let failure = launch::ended(engine_driver, status, log.clone());
            // vLLM names the longest context that fits: once, and never against an asked one.
            match failure.retry_context() {
                Some(smaller) if args.context.is_none() && context == plan.max_model_len && smaller < context => {
                    progress.note(&format!(
                        "{} only {smaller} of {context} tokens fit; starting again with those",
                        on_stderr(Style::Warn, "note  ")
                    ));
                    context = smaller;
                    continue;
                }
                _ => return Err(failure.into()),
            }
        }
        if plan.engine == EngineId::Ollama {
            let server = ollama::Server::at(launch::address(port));
            let mut backend = ollama::attach(server, target, plan, &progress).await?;
            backend.child = Some(child);
            backend.log = Some(log);
            return Ok(backend);
        }
        progress.finish();
        let confirmed = confirmed_context(engine_driver, &log).await;
        let serves = engine_driver.serves(engine.and_then(|e| e.version.as_deref()));
        return Ok(Backend {
            child: Some(child),
            engine: plan.engine,
            port,
            log: Some(log),
            ready: Ready {
                base_url: format!("http://{}", launch::address(port)),
                model: target.name.clone(),
                context: confirmed.unwrap_or(context),
                serves: Serves { chat: true, messages: serves.messages, responses: serves.responses },
                api_key: Some(key.to_owned()),
            },
            confirmed: confirmed.is_some(),
            derived: None,
        });
    }
}

/// The engine's own word on its context. Its health answer can overtake its log by a moment.
async fn confirmed_context(engine: &'static dyn Engine, log: &Path) -> Option<u64> {
    for _ in 0..5 {
        if let Some(tokens) = engine.confirmed_context(&launch::read_end(log)) {
            return Some(tokens);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    None
}

fn engine_port(args: &StartArgs) -> Result<u16> {
    let loopback = IpAddr::from([127, 0, 0, 1]);
    match args.engine_port {
        EnginePort::Fixed(wanted) if !port::is_free(loopback, wanted) => {
            let holder = port::holder(wanted)
                .map_or_else(|| "another program".into(), |h| format!("{} (pid {})", h.name, h.pid));
            let message = format!("the engine's port {wanted} is taken by {holder}");
            Err(Plain::new(Exit::Taken, message, "leave out `--engine-port`, then any free one is taken").into())
        }
        EnginePort::Fixed(wanted) => Ok(wanted),
        EnginePort::Auto => port::free_port(loopback)
            .map_err(|e| Plain::new(Exit::Taken, format!("no free port: {e}"), "see `llmup doctor`").into()),
    }
}

/// A model's name as a file name.
fn file_name(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() || "._-".contains(c) { c } else { '_' }).collect()
}

/// The user's key: made once, so that clients stay connected over restarts.
fn kept_key(paths: &Paths) -> Result<String> {
    let path = paths.data.join("key");
    match std::fs::read_to_string(&path) {
        Ok(key) if !key.trim().is_empty() => Ok(key.trim().to_owned()),
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(FileError::new("read", &path, e).into()),
        _ => {
            let key = random_key()?;
            fs::write_private(&path, format!("{key}\n").as_bytes())?;
            Ok(key)
        }
    }
}

/// 192 random bits, as text.
fn random_key() -> Result<String> {
    let mut bytes = [0u8; 24];
    getrandom::fill(&mut bytes).map_err(|e| {
        Error::from(Plain::new(
            Exit::Bug,
            format!("the system gives no random numbers: {e}"),
            "pass a key with `--api-key`",
        ))
    })?;
    Ok(bytes.iter().fold(String::from("llmup-"), |text, byte| text + &format!("{byte:02x}")))
}

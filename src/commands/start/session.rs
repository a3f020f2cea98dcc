//! One run of `start`: the gateway in front, the backend behind it as it comes, dies and comes anew, and everything
//! that can end it. Read [`Session::run`] first.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};

use super::backend::{Backend, LastChild, Source};
use super::entry::{self, Entry};
use super::heal::Crashes;
use super::launch::{self, GRACE};
use super::serve::{given, kept_key};
use super::watchdog::{End, Hung, Watchdog};
use super::{detach, measure, ready};
use crate::cli::StartArgs;
use crate::client::shell;
use crate::commands::log_files::{self, Limit};
use crate::commands::request_log::{REQUESTS, RequestLog};
use crate::commands::running::Live;
use crate::commands::{reach, service};
use crate::control::{self, Order};
use crate::engine::driver;
use crate::error::{Error, Plain, Result};
use crate::exit::Exit;
use crate::gateway::{BackendState, Catalog, Counters, Gateway, Limits, Settings};
use crate::host::RealHost;
use crate::output::{self, Style, on_stderr};
use crate::paths::Paths;
use crate::plan::LaunchPlan;
use crate::protocol::Id;
use crate::state::{Engine, Phase};
use crate::supervisor::signal::{Interrupt, Interrupts, interrupts};
use crate::supervisor::{ExitStatus, Stopped};

/// How long requests in flight may go on after the first Ctrl-C.
const DRAIN: Duration = Duration::from_millis(2000);

/// When the engine is made to end, after the first Ctrl-C: five seconds after it nothing may be left, and the system
/// needs some of them to remove processes.
const ENDS: Duration = Duration::from_millis(3600);

/// A running Ollama gets this long to forget a model of ours.
const FORGETS: Duration = Duration::from_secs(1);

/// How long requests wait for an engine that is started anew: a large model takes minutes to load, and most clients
/// wait for five.
const HOLD: Duration = Duration::from_secs(240);

/// The gateway and everything that can end it.
pub(super) struct Session<'a> {
    args: &'a StartArgs,
    entry: &'a Entry,
    model: String,
    last_child: LastChild,
    state: watch::Sender<BackendState>,
    interrupts: Interrupts,
    control: control::Opened,
    shutdown: Option<oneshot::Sender<()>>,
    gateway: tokio::task::JoinHandle<()>,
    log: RequestLog,
    /// Keeps the logs small that others write.
    watching: tokio::task::JoinHandle<()>,
    about: Arc<Mutex<About>>,
    counters: Arc<Counters>,
}

/// What the control endpoint tells about the session.
#[derive(Default)]
struct About {
    restarts: u32,
    /// The last crash, in the engine's words.
    crash: Option<String>,
}

/// What the session is told from outside.
#[derive(Debug, Clone, Copy)]
enum Told {
    Interrupt(Interrupt),
    Order(Order),
}

impl Told {
    /// The exit code of a session that ends for it.
    fn exit(self) -> u8 {
        match self {
            Told::Interrupt(interrupt) => Exit::signal(interrupt.number()),
            Told::Order(_) => Exit::Ok.code(),
        }
    }
}

/// Which of two came first.
enum First<T> {
    Done(T),
    Told(Told),
}

impl<'a> Session<'a> {
    /// Opens the gateway; it answers 503 until the backend is ready.
    pub async fn open(
        args: &'a StartArgs,
        paths: &'a Paths,
        entry: &'a Entry,
        listener: std::net::TcpListener,
        model: &str,
    ) -> Result<Session<'a>> {
        let bug = |e: std::io::Error| Error::from(Plain::new(Exit::Bug, e.to_string(), "run `llmup doctor`"));
        let listener = TcpListener::from_std(listener).map_err(bug)?;
        let address = listener.local_addr().map_err(bug)?;
        let key = match given(args.api_key.as_deref()) {
            Some(key) => key,
            None => kept_key(paths)?,
        };
        let loopback = address.ip().is_loopback();
        if !loopback {
            let told = reach::told(address, "the model");
            output::note(&format!("{} {told}", on_stderr(Style::Warn, "note  ")));
        }
        let loading = BackendState::Loading { since: Instant::now(), retry_after: 2, hold: Duration::ZERO };
        let (state, backend) = watch::channel(loading);
        let limit = Limit::of_user();
        let log = RequestLog::to_file(&paths.logs().join(REQUESTS), limit)?;
        let others = vec![launch::log(paths, model), detach::log(&args.model, paths)];
        let watching = tokio::spawn(log_files::watch(others, limit));
        let (shutdown, ended) = oneshot::channel::<()>();
        let settings = Settings {
            key: Some(key.clone()),
            catalog: Catalog::single(model, backend.clone()),
            loopback,
            grace: DRAIN,
            limits: Limits::default(),
            log: Some(log.access_log()),
        };
        let gateway = Gateway::new(settings);
        let about = Arc::<Mutex<About>>::default();
        let counters = gateway.counters();
        let control = control::open(status(Arc::clone(&counters), backend, Arc::clone(&about))).await.map_err(bug)?;
        let gateway = tokio::spawn(async move {
            let ended = async {
                let _ = ended.await;
            };
            gateway.serve(listener, ended).await;
        });
        // Clients on this machine cannot dial 0.0.0.0 everywhere.
        let shown = match address.ip() {
            ip if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
            ip => ip,
        };
        entry.change(|instance| {
            instance.model = model.to_owned();
            instance.url = format!("http://{}", SocketAddr::new(shown, address.port()));
            instance.key = key;
            instance.control = Some(control.endpoint.clone());
        });
        Ok(Session {
            args,
            entry,
            model: model.to_owned(),
            last_child: LastChild::default(),
            state,
            interrupts: interrupts().map_err(bug)?,
            control,
            shutdown: Some(shutdown),
            gateway,
            log,
            watching,
            about,
            counters,
        })
    }

    /// Knows of the last child that was launched.
    pub fn last_child(&self) -> LastChild {
        self.last_child.clone()
    }

    /// Brings the backend up and serves, over its crashes, until something ends the run; then takes everything down in
    /// order. Gives the exit code.
    pub async fn run(mut self, mut source: Source<'_>) -> Result<u8> {
        let mut crashes = Crashes::default();
        let result = loop {
            let backend = match self.or_told(source.bring()).await {
                First::Done(Ok(backend)) => backend,
                // The first start fails for good: nothing has changed since it was asked for.
                First::Done(Err(error)) if self.restarts() == 0 => break self.failed(error).await,
                First::Done(Err(error)) => match self.pause(&mut crashes, &error.to_string()).await {
                    Some(None) => continue,
                    Some(Some(told)) => break self.left(told).await,
                    None => break self.given_up(&crashes, error).await,
                },
                First::Told(Told::Order(Order::Restart)) => {
                    // The one that was being started holds memory until it is gone.
                    self.last_child.gone().await;
                    continue;
                }
                First::Told(told) => break self.left(told).await,
            };
            self.ready(&backend, source.plan());
            let slow = source.plan().is_some_and(|plan| plan.speed() < 2);
            let watch = Watchdog::new(&backend, source.heals(), slow, &self.counters);
            let end = loop {
                match self.or_told(watch.end_of(backend.child.as_ref())).await {
                    // Nothing of ours to start anew.
                    First::Told(Told::Order(Order::Restart)) if !source.heals() => {}
                    end => break end,
                }
            };
            match end {
                First::Done(end) => {
                    let failure = match end {
                        End::Exited(status) => self.crashed(&backend, status, &mut source).await,
                        End::Hung(hung) => self.hung(&backend, hung).await,
                    };
                    if !source.heals() {
                        break self.failed(failure).await;
                    }
                    match self.pause(&mut crashes, &failure.to_string()).await {
                        Some(None) => {}
                        Some(Some(told)) => break self.left(told).await,
                        None => break self.given_up(&crashes, failure).await,
                    }
                }
                First::Told(Told::Order(Order::Restart)) => {
                    output::note("restarting the engine; requests wait for it");
                    self.hold();
                    self.stop_backend(&backend, GRACE).await;
                    self.about().restarts += 1;
                }
                First::Told(told) => break self.stop(&backend, told).await,
            }
        };
        self.watching.abort();
        self.log.flush();
        result
    }

    /// Waits for `work`, unless something is told meanwhile.
    async fn or_told<T>(&mut self, work: impl Future<Output = T>) -> First<T> {
        tokio::select! {
            done = work => First::Done(done),
            told = self.told() => First::Told(told),
        }
    }

    async fn told(&mut self) -> Told {
        loop {
            tokio::select! {
                interrupt = self.interrupts.next() => return Told::Interrupt(interrupt),
                Some(order) = self.control.orders.recv() => return Told::Order(order),
                Some(wish) = self.control.reloads.recv() => wish.answer(control::Told::Done(vec![format!(
                    "{} was started by flags: there is no configuration to read again",
                    self.model
                )])),
            }
        }
    }

    /// The backend answers: requests go to it, and who looks sees it.
    fn ready(&mut self, backend: &Backend, plan: Option<&LaunchPlan>) {
        let mut ready = backend.ready.clone();
        ready.heals = backend.child.is_some();
        if self.args.translate {
            ready.native.retain(|id| *id == Id::Chat);
        }
        self.state.send_replace(BackendState::Ready(ready));
        // What clients need stands in the file before anybody is told; that it is ready, after: who waits for that finds
        // everything said.
        let instance = self.entry.change(|instance| {
            instance.context = backend.ready.context;
            instance.engine = Engine {
                port: backend.port,
                log: backend.log.clone(),
                ..entry::of_child(backend.engine.name(), backend.child.as_ref())
            };
            instance.planned = plan.map(measure::planned);
            instance.measured = Some(measure::sizes(&backend.measured));
        });
        if let Some(warning) = measure::beside_the_gpu(backend, plan) {
            output::note(&format!("{} {warning}", on_stderr(Style::Warn, "note  ")));
        }
        if self.restarts() > 0 {
            output::note(&format!("{} is ready again", self.model));
        } else {
            ready::show(&instance, shell::detect(&RealHost, &shell::ancestors()));
        }
        self.entry.change(|instance| instance.phase = Phase::Ready);
        if self.restarts() == 0 && self.args.json {
            output::json(&ready::as_json(&instance));
        }
        service::ready(&format!("{} is ready", self.model));
    }

    /// From now on requests wait for the next backend.
    fn hold(&self) {
        self.state.send_replace(BackendState::Loading { since: Instant::now(), retry_after: 5, hold: HOLD });
    }

    /// The engine died. All of its tree is gone when this returns.
    async fn crashed(&mut self, backend: &Backend, status: ExitStatus, source: &mut Source<'_>) -> Error {
        if source.heals() {
            self.hold();
        } else {
            self.state.send_replace(BackendState::Gone { reason: status.to_string() });
        }
        self.last_child.gone().await;
        let log = backend.log.clone().unwrap_or_default();
        let failure = launch::ended(driver(backend.engine), status, log).while_serving();
        if let Some(said) = source.leaner(&failure) {
            output::note(&format!("{} {said}", on_stderr(Style::Warn, "note  ")));
        }
        failure.into()
    }

    /// The engine hangs. All of its tree is gone when this returns: it would not hear a request to end.
    async fn hung(&mut self, backend: &Backend, hung: Hung) -> Error {
        self.hold();
        self.stop_backend(backend, Duration::ZERO).await;
        hung.into()
    }

    /// Waits before the next start. `None`: there shall be none; else what was told meanwhile.
    async fn pause(&mut self, crashes: &mut Crashes, why: &str) -> Option<Option<Told>> {
        let pause = crashes.one(Instant::now())?;
        {
            let mut about = self.about();
            about.restarts += 1;
            about.crash = Some(why.to_owned());
        }
        let when = if pause.is_zero() { "now".to_owned() } else { format!("in {} s", pause.as_secs()) };
        output::note(&format!("{} {why}; starting it anew {when}", on_stderr(Style::Warn, "note  ")));
        match self.or_told(tokio::time::sleep(pause)).await {
            First::Done(()) | First::Told(Told::Order(Order::Restart)) => Some(None),
            First::Told(told) => Some(Some(told)),
        }
    }

    /// The run is over because the engine keeps crashing.
    async fn given_up(&mut self, crashes: &Crashes, error: Error) -> Result<u8> {
        output::note(&format!("it crashed {} times in a few minutes and is not started again", crashes.count()));
        self.failed(error).await
    }

    /// The run is over because the backend cannot be had.
    async fn failed(&mut self, error: Error) -> Result<u8> {
        self.state.send_replace(BackendState::Gone { reason: error.to_string() });
        self.close().await;
        self.last_child.gone().await;
        Err(error)
    }

    /// The run is over before there was a backend.
    async fn left(&mut self, told: Told) -> Result<u8> {
        self.close().await;
        self.last_child.gone().await;
        Ok(told.exit())
    }

    /// In order: no new requests, those in flight drain, the engine is asked, then made to end. A second Ctrl-C, or
    /// the order to end at once, skips to the end.
    async fn stop(&mut self, backend: &Backend, told: Told) -> Result<u8> {
        let at_once = matches!(told, Told::Order(Order::Kill));
        service::stopping();
        output::note(if at_once { "stopping at once" } else { "stopping (Ctrl-C again ends at once)" });
        let began = Instant::now();
        let _ = self.shutdown.take().map(|s| s.send(()));
        let (gateway, interrupts, orders) = (&mut self.gateway, &mut self.interrupts, &mut self.control.orders);
        let orderly = async {
            if !at_once {
                let _ = tokio::time::timeout(DRAIN, gateway).await;
            }
            if let Some(derived) = &backend.derived {
                let _ = tokio::time::timeout(FORGETS, derived.remove()).await;
            }
            stop_child(backend, if at_once { Duration::ZERO } else { ENDS.saturating_sub(began.elapsed()) }).await
        };
        let now = async {
            tokio::select! {
                _ = interrupts.next() => {}
                () = async { while orders.recv().await != Some(Order::Kill) {} } => {}
            }
        };
        let stopped = tokio::select! {
            stopped = orderly => stopped,
            () = now => stop_child(backend, Duration::ZERO).await,
        };
        match stopped {
            Some(Stopped::Stuck(pids)) => output::note(&format!("these processes could not be ended: {pids:?}")),
            _ => output::note("stopped; nothing is left running"),
        }
        Ok(told.exit())
    }

    async fn stop_backend(&mut self, backend: &Backend, grace: Duration) {
        stop_child(backend, grace).await;
        self.last_child.gone().await;
    }

    async fn close(&mut self) {
        let _ = self.shutdown.take().map(|s| s.send(()));
        let _ = tokio::time::timeout(Duration::from_secs(1), &mut self.gateway).await;
    }

    fn about(&self) -> std::sync::MutexGuard<'_, About> {
        self.about.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn restarts(&self) -> u32 {
        self.about().restarts
    }
}

async fn stop_child(backend: &Backend, grace: Duration) -> Option<Stopped> {
    match &backend.child {
        Some(child) => Some(child.stop(grace).await),
        None => None,
    }
}

/// What the control endpoint answers.
fn status(
    counters: Arc<Counters>,
    backend: watch::Receiver<BackendState>,
    about: Arc<Mutex<About>>,
) -> control::Status {
    Arc::new(move || {
        let state = match &*backend.borrow() {
            BackendState::Loading { .. } => "loading",
            BackendState::Ready(_) => "ready",
            BackendState::Gone { .. } => "gone",
        };
        let about = about.lock().unwrap_or_else(PoisonError::into_inner);
        let (restarts, last_crash) = (about.restarts, about.crash.clone());
        Live { restarts, last_crash, counts: counters.read(), ..Live::new(state) }.json()
    })
}

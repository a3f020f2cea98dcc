//! The running part of `start`: the gateway answers from the first moment (503 while loading), the engine is launched
//! behind it, and whatever ends the run ends everything.

use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};

use super::backend::{Backend, LastChild, install, launch_backend};
use super::launch::{self, GRACE};
use super::target::Target;
use super::{ollama, ready};
use crate::cli::StartArgs;
use crate::client::shell;
use crate::commands::request_log::RequestLog;
use crate::engine::find::Found;
use crate::engine::{EngineId, driver};
use crate::error::{Error, Plain, Result};
use crate::exit::Exit;
use crate::fs::{self, FileError};
use crate::gateway::{BackendState, Catalog, Gateway, Limits, Settings};
use crate::hardware::Hardware;
use crate::host::{Os, RealHost};
use crate::model::demo;
use crate::output::{self, Style, on_stderr};
use crate::paths::Paths;
use crate::plan::LaunchPlan;
use crate::protocol::Id;
use crate::state::{self, Instance};
use crate::supervisor::signal::{Interrupt, Interrupts, interrupts};
use crate::supervisor::{Child, Stopped, port, process};

/// The file in the logs folder with a line per request.
const REQUESTS: &str = "requests.log";

/// How long requests in flight may go on after the first Ctrl-C.
const DRAIN: Duration = Duration::from_secs(5);

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
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    crate::allocator::tune();
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
pub fn bind(host: IpAddr, wanted: u16, paths: &Paths) -> Result<std::net::TcpListener> {
    let error = match std::net::TcpListener::bind((host, wanted)) {
        Ok(listener) => {
            let ready = listener.set_nonblocking(true);
            return ready.map(|()| listener).map_err(|e| Plain::new(Exit::Bug, e.to_string(), "try again").into());
        }
        Err(error) => error,
    };
    if port::kept_back(Os::current(), &error) {
        return Err(kept_back(wanted, port::next_free(host, wanted.saturating_add(1))).into());
    }
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

/// A port that Windows gives to nobody.
pub(super) fn kept_back(wanted: u16, free: Option<u16>) -> Plain {
    let message = format!("Windows keeps port {wanted} back: Hyper-V, WSL and Docker reserve ranges of ports");
    let free = free.map(|free| format!("the next free one: `--port {free}`"));
    let hints = free.into_iter().chain([format!("see which ranges: `{}`", port::EXCLUDED)]).collect();
    Plain { message, exit: Exit::Taken, hints }
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
    log: RequestLog,
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
        let log = RequestLog::to_file(&paths.logs().join(REQUESTS))?;
        let (shutdown, ended) = oneshot::channel::<()>();
        let settings = Settings {
            key: Some(key.clone()),
            catalog: Catalog::single(model, backend),
            loopback,
            grace: DRAIN,
            limits: Limits::default(),
            log: Some(log.access_log()),
        };
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
            log,
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
        let mut backend = match launched {
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
        if args.translate {
            backend.ready.native.retain(|id| *id == Id::Chat);
        }
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
        self.log.flush();
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

/// The user's key: made once, so that clients stay connected over restarts.
pub fn kept_key(paths: &Paths) -> Result<String> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Explain;

    #[test]
    fn a_port_of_a_reserved_range_names_the_next_one_and_how_to_see_the_ranges() {
        let refused = kept_back(8000, Some(8101));
        assert_eq!(refused.exit(), Exit::Taken);
        assert!(refused.to_string().contains("port 8000") && refused.hints()[0].ends_with("`--port 8101`"));
        assert!(kept_back(8000, None).hints()[0].contains("`netsh "));
    }
}

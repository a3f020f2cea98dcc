//! `llmup serve`: the gateway in front of engines and providers that run already, one or those of a LiteLLM
//! configuration. Nothing is launched, so nothing is ended but the gateway.

pub mod probe;
mod ready;
mod reload;
pub mod target;
pub mod watch;

use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::oneshot;

use self::target::Target;
use super::request_log::RequestLog;
use super::running;
use super::start::{bind, given, kept_key, runtime};
use super::{reach, service};
use crate::cli::{LogWhen, ServeArgs};
use crate::client::shell;
use crate::config::{self, Backend, Model};
use crate::control::{self, Order};
use crate::error::{Error, Plain, Result, paste};
use crate::exit::Exit;
use crate::gateway::{Catalog, Counters, Gateway, Limits, Ready, Settings, Terms};
use crate::host::RealHost;
use crate::output;
use crate::paths::Paths;
use crate::protocol::{Id, ids};
use crate::state::{self, Instance};
use crate::supervisor::process;
use crate::supervisor::signal::{Interrupts, Word, interrupts};

/// How long requests in flight may go on after the first Ctrl-C.
const DRAIN: std::time::Duration = std::time::Duration::from_secs(5);

/// What clients are told of a backend that does not tell its context, tokens.
pub const ASSUMED_CONTEXT: u64 = 32 * 1024;

/// What stands for a key where none is asked for: clients want to have one.
const NO_KEY: &str = "no-key";

/// What to serve.
struct Wanted {
    targets: Vec<Target>,
    aliases: Vec<(String, String)>,
    /// The key callers must show, when the configuration says one.
    key: Option<String>,
    /// What the user should know about it.
    warnings: Vec<String>,
}

/// Runs the subcommand; gives the exit code.
pub fn run(args: &ServeArgs, paths: &Paths) -> Result<u8> {
    if args.no_auth && !args.host.is_loopback() {
        let message = format!("--no-auth on {} would let everybody in who reaches it", args.host);
        let hint = "leave out `--no-auth`, then a key is made; or serve this machine only: `--host 127.0.0.1`";
        return Err(Plain::new(Exit::Usage, message, hint).into());
    }
    let mut wanted = wanted(args)?;
    for warning in wanted.warnings.drain(..) {
        output::warning(warning);
    }
    let key = key_for(args, wanted.key.take(), paths)?;
    let listener = bind(args.host, args.port, paths)?;
    runtime()?.block_on(serve(args, paths, wanted, key, listener))
}

/// The key callers must show: the flag's, the configuration's, the kept one; `None` only for `--no-auth`.
fn key_for(args: &ServeArgs, configured: Option<String>, paths: &Paths) -> Result<Option<String>> {
    match (args.no_auth, given(args.api_key.as_deref()), configured) {
        (true, ..) => Ok(None),
        (_, Some(key), _) => Ok(Some(key)),
        (_, None, Some(key)) => Ok(Some(key)),
        (_, None, None) => kept_key(paths).map(Some),
    }
}

/// What is to be served, by the flags or the file.
fn wanted(args: &ServeArgs) -> Result<Wanted> {
    let mut wanted = named(args)?;
    if args.translate {
        for target in &mut wanted.targets {
            target.ready.native.retain(|id| *id == Id::Chat);
        }
    }
    Ok(wanted)
}

fn named(args: &ServeArgs) -> Result<Wanted> {
    if let Some(file) = &args.config {
        let config = config::read(file, &config::variable)?;
        let targets = targets(&config.models, file)?;
        return Ok(Wanted { targets, aliases: config.aliases, key: config.master_key, warnings: config.warnings });
    }
    let (url, model) = (args.backend.as_deref().unwrap_or_default(), args.model.as_deref().unwrap_or_default());
    let Some((base_url, prefix)) = target::address(url, Id::Chat) else {
        let message = format!("{url:?} is not the URL of a backend");
        return Err(Plain::new(Exit::Usage, message, "give it as `--backend http://127.0.0.1:8000/v1`").into());
    };
    let ready = Ready {
        prefix,
        context: args.context.unwrap_or(0),
        api_key: args.backend_key.clone(),
        ..Ready::chat(base_url, model)
    };
    let target = Target { name: model.to_owned(), ready, context_given: args.context.is_some(), ask: true };
    Ok(Wanted { targets: vec![target], aliases: Vec::new(), key: None, warnings: Vec::new() })
}

/// The backends of a file's models. It may name none that llmup would have to launch.
fn targets(models: &[Model], file: &Path) -> Result<Vec<Target>> {
    let target = |model: &Model| match &model.backend {
        Backend::Remote(remote) => target::of_remote(model, remote),
        Backend::Launched(launch) => {
            let place = model.place.as_deref().unwrap_or_default();
            let message = format!(
                "{place}: {} is a model that llmup launches (llmup/{}), and serve launches none",
                model.name, launch.model
            );
            let hint =
                format!("launch it, and serve the others beside it: `llmup start --config {}`", paste::path(file));
            Err(Plain::new(Exit::Config, message, hint).into())
        }
    };
    models.iter().map(target).collect()
}

async fn serve(
    args: &ServeArgs,
    paths: &Paths,
    wanted: Wanted,
    key: Option<String>,
    listener: std::net::TcpListener,
) -> Result<u8> {
    let bug = |e: std::io::Error| Error::from(Plain::new(Exit::Bug, e.to_string(), "run `llmup doctor`"));
    let listener = TcpListener::from_std(listener).map_err(bug)?;
    let address = listener.local_addr().map_err(bug)?;
    let mut interrupts = interrupts().map_err(bug)?;
    let loopback = address.ip().is_loopback();
    if !loopback {
        output::warning(reach::told(address, "the models"));
    }
    let models = reload::Models::of(&wanted.targets, &wanted.aliases);
    let asked = watch::Backends::ask(wanted.targets);
    let (served, backends, silent) = tokio::select! {
        asked = asked => asked,
        interrupt = interrupts.next() => return Ok(Exit::signal(interrupt.number())),
    };
    silent.iter().for_each(output::warning);
    let catalog = Catalog::new(served, wanted.aliases);
    let log = match args.log {
        LogWhen::Always => Some(RequestLog::to_stderr()),
        LogWhen::Auto if output::watched() => Some(RequestLog::to_stderr()),
        LogWhen::Auto | LogWhen::Never => None,
    };
    let (shutdown, ended) = oneshot::channel::<()>();
    let settings = Settings {
        key: key.clone(),
        catalog: catalog.clone(),
        loopback,
        grace: DRAIN,
        limits: Limits::default(),
        log: log.as_ref().map(RequestLog::access_log),
    };
    let gateway = Gateway::new(settings);
    let terms = gateway.terms();
    let mut control = control::open(status(gateway.counters(), terms.clone())).await.map_err(bug)?;
    let mut gateway = tokio::spawn(async move {
        let ended = async {
            let _ = ended.await;
        };
        gateway.serve(listener, ended).await;
    });
    let following = tokio::spawn(backends.follow());

    let url = reach::url(address);
    let instance = Instance { control: Some(control.endpoint.clone()), ..instance(&catalog, url, key) };
    state::write(&paths.state(), &instance)?;
    if args.json {
        output::json(&serde_json::json!({
            "status": "ready", "url": instance.url, "key": instance.key, "model": instance.model.name,
            "models": catalog.names().into_iter().map(|(name, _)| name).collect::<Vec<_>>(),
            "context": instance.model.context, "pid": instance.process.pid,
        }));
    }
    ready::show(&instance, &catalog, args.no_auth, shell::detect(&RealHost, &shell::ancestors()));
    service::ready("the gateway is ready");

    let pid = instance.process.pid;
    let mut reloader = reload::Reloader { args, paths, terms, instance, models, following };
    let control::Opened { orders, reloads, .. } = &mut control;
    // What is meant for an engine is not for the backends of others.
    let ordered = async { while !matches!(orders.recv().await, None | Some(Order::Stop | Order::Kill)) {} };
    tokio::pin!(ordered);
    let (mut waiting, mut again) = (None, false);
    let code = 'serving: loop {
        if !std::mem::take(&mut again) {
            tokio::select! {
                word = heard(&mut interrupts, args) => match word {
                    Word::End(interrupt) => break Exit::signal(interrupt.number()),
                    Word::Reload => {}
                },
                Some(wish) = reloads.recv() => waiting = Some(wish),
                () = &mut ordered => break Exit::Ok.code(),
                _ = &mut gateway => break Exit::Bug.code(),
            }
        }
        let reading = reloader.again();
        tokio::pin!(reading);
        let told = loop {
            tokio::select! {
                told = &mut reading => break told,
                word = heard(&mut interrupts, args) => match word {
                    Word::End(interrupt) => break 'serving Exit::signal(interrupt.number()),
                    // The file may have been changed behind the reader's back.
                    Word::Reload => again = true,
                },
                () = &mut ordered => break 'serving Exit::Ok.code(),
            }
        };
        reload::note(&told);
        if let Some(wish) = waiting.take() {
            wish.answer(told);
        }
    };
    service::stopping();
    reloader.following.abort();
    output::note("stopping (Ctrl-C again ends at once)");
    let _ = shutdown.send(());
    tokio::select! {
        _ = &mut gateway => {}
        _ = interrupts.next() => gateway.abort(),
    }
    if let Some(log) = log {
        log.flush();
    }
    let _ = state::remove(&paths.state(), pid);
    output::note("stopped; the backends run on");
    Ok(code)
}

/// The next signal. Without a file there is nothing to read again, and every signal means the end.
async fn heard(interrupts: &mut Interrupts, args: &ServeArgs) -> Word {
    if args.config.is_some() { interrupts.word().await } else { Word::End(interrupts.next().await) }
}

/// What the control endpoint answers.
fn status(counters: Arc<Counters>, terms: Terms) -> control::Status {
    Arc::new(move || running::Live::told(counters.read(), Vec::new(), &terms.catalog()).json())
}

/// What `env` and `doctor` find: the first model stands for all.
fn instance(catalog: &Catalog, url: String, key: Option<String>) -> Instance {
    let names = catalog.names();
    let first = catalog.served().first();
    let (model, chosen) = match names.into_iter().next() {
        Some((name, chosen)) => (name, Some(chosen)),
        // Only names with a `*`, and nobody told what stands behind them.
        None => (first.map(|served| served.name.clone()).unwrap_or_default(), None),
    };
    let served = chosen.as_ref().map(|chosen| chosen.served).or(first);
    let mut backend = served.and_then(|served| served.backend.borrow().ready().ok().cloned());
    if let (Some(chosen), Some(backend)) = (&chosen, &mut backend) {
        chosen.fit(backend);
    }
    let context = backend.as_ref().map(|backend| backend.context).filter(|context| *context > 0);
    let base = backend.map(|backend| backend.base_url.clone()).unwrap_or_default();
    let birth = process::birth(std::process::id()).unwrap_or_default();
    Instance {
        version: state::VERSION,
        phase: state::Phase::Ready,
        process: state::Process { pid: std::process::id(), birth },
        url,
        key: key.unwrap_or_else(|| NO_KEY.to_owned()),
        control: None,
        model: state::Model {
            name: model,
            phase: state::Phase::Ready,
            context: context.unwrap_or(ASSUMED_CONTEXT),
            engine: state::Engine { name: running::BACKEND.to_owned(), port: port(&base), ..state::Engine::default() },
            planned: None,
            measured: None,
        },
        others: Vec::new(),
        started_at: ids::now(),
    }
}

/// The port of `scheme://host[:port]`.
pub fn port(base_url: &str) -> u16 {
    let told = base_url.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    told.unwrap_or(if base_url.starts_with("https:") { 443 } else { 80 })
}

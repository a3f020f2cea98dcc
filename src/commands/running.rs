//! What commands know of a running instance, and the two that are about nothing else: `env` and `doctor`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::doctor::{Inputs, Running};
use crate::cli::{DoctorArgs, EnvArgs, EnvFormat};
use crate::client::shell::Shell;
use crate::client::{Places, Session};
use crate::control;
use crate::error::{Plain, Result};
use crate::exit::Exit;
use crate::gateway::{BackendState, Catalog, Counts, Served};
use crate::host::RealHost;
use crate::paths::Paths;
use crate::state::{Engine, Instance, Model, Phase, Process};
use crate::supervisor::{self, process};
use crate::{client, engine, hardware, state};

/// What a running llmup says about itself over its control endpoint.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Live {
    /// The gateway's counters.
    #[serde(flatten)]
    pub counts: Counts,
    /// Each model by itself; those it runs first, then those it only reaches.
    pub models: Vec<LiveModel>,
    /// Other names of models, each with the model's own.
    pub aliases: BTreeMap<String, String>,
}

/// One model of a running llmup.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LiveModel {
    /// Its name.
    pub name: String,
    /// `asleep`, `waiting` (somebody asked for it, and there is no room yet), `loading`, `ready` or `gone`.
    pub state: String,
    /// What it waits for, or why it is gone.
    pub because: Option<String>,
    /// How often its engine was started anew.
    pub restarts: u32,
    /// Why, the last time it was a crash.
    pub last_crash: Option<String>,
    /// For how long nobody has used it; `None` while somebody does.
    pub idle_seconds: Option<u64>,
    /// The context its backend told, tokens; `None` when it told none, or does not run.
    pub context: Option<u64>,
    /// Where its backend is: host and port.
    pub at: Option<String>,
    /// What it has done.
    #[serde(flatten)]
    pub counts: Counts,
}

impl LiveModel {
    /// A model as the gateway sees it.
    pub fn of(served: &Served) -> LiveModel {
        let (state, because) = match &*served.backend.borrow() {
            BackendState::Asleep { waits_for: None, .. } => ("asleep", None),
            BackendState::Asleep { waits_for: Some(why), .. } => ("waiting", Some(why.to_string())),
            BackendState::Loading { .. } => ("loading", None),
            BackendState::Ready(_) => ("ready", None),
            BackendState::Gone { reason } => ("gone", Some(reason.clone())),
        };
        let ready = served.backend.borrow().ready().ok().cloned();
        LiveModel {
            name: served.name.clone(),
            state: state.to_owned(),
            because,
            idle_seconds: served.counters.idle().map(|idle| idle.as_secs()),
            context: ready.as_ref().map(|ready| ready.context).filter(|context| *context > 0),
            at: ready.as_ref().map(|ready| place(&ready.base_url)),
            counts: served.counters.read(),
            ..LiveModel::default()
        }
    }

    /// One that is only reached, as a file would have it.
    pub fn as_reached(&self) -> Model {
        let port = self.at.as_ref().and_then(|at| at.rsplit_once(':')?.1.parse().ok()).unwrap_or(0);
        let engine = Engine { name: BACKEND.to_owned(), port, ..Engine::default() };
        Model { context: self.context.unwrap_or(0), engine, phase: Phase::Ready, ..Model::loading(&self.name) }
    }
}

/// What the state file calls an engine that llmup only reaches.
pub const BACKEND: &str = "backend";

/// Host and port of a URL, without what else may stand in it, such as a password.
fn place(base_url: &str) -> String {
    let rest = base_url.split_once("://").map_or(base_url, |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or_default();
    host.rsplit_once('@').map_or(host, |(_, host)| host).to_owned()
}

impl Live {
    /// What is told of the models in this catalog. `run` are those among them that llmup runs itself.
    pub fn told(counts: Counts, run: Vec<LiveModel>, catalog: &Catalog) -> Live {
        let reached = catalog.served().iter().filter(|served| run.iter().all(|live| live.name != served.name));
        let reached: Vec<LiveModel> = reached.map(LiveModel::of).collect();
        let aliases = catalog.aliases().map(|(alias, name)| (alias.to_owned(), name.to_owned())).collect();
        Live { counts, models: run.into_iter().chain(reached).collect(), aliases }
    }

    /// As the endpoint tells it.
    pub fn json(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// What is said of this model of the instance. An instance whose file has one model is spoken of by the first: a
    /// served name with a `*` is another one in the file.
    pub fn of_model(&self, instance: &Instance, model: &Model) -> Option<&LiveModel> {
        let named = self.models.iter().find(|live| live.name == model.name);
        named.or(self.models.first().filter(|_| instance.others.is_empty()))
    }

    /// The models that the instance's file does not have: it only reaches them.
    pub fn reached(&self, instance: &Instance) -> impl Iterator<Item = &LiveModel> {
        let has = |live: &LiveModel| instance.models().any(|model| model.name == live.name);
        let first = instance.models().filter_map(|model| self.of_model(instance, model)).map(|live| live.name.clone());
        let shown: Vec<String> = first.collect();
        self.models.iter().filter(move |live| !has(live) && !shown.contains(&live.name))
    }

    /// What an instance says now; `None` when it does not.
    pub fn of(instance: &Instance) -> Option<Live> {
        serde_json::from_value(control::ask(instance.control.as_ref()?).ok()?).ok()
    }
}

/// The newest instance that clients can be told of, else the newest that is only being started. What crashed ones left
/// behind is ended on the way.
pub fn newest(paths: &Paths) -> Result<Option<Instance>> {
    let mut all = all(paths)?;
    let at = all.iter().position(Instance::was_ready).unwrap_or(0);
    Ok((at < all.len()).then(|| all.swap_remove(at)))
}

/// The one to point a client at that asks for this model: the newest that serves it, ready or still loading; else, and
/// without a name, [`newest`]. Who serves whatever is asked for has no names in its file.
pub fn serving(named: Option<&str>, paths: &Paths) -> Result<Option<Instance>> {
    let Some(name) = named else { return newest(paths) };
    let mut serve = all(paths)?;
    serve.retain(|instance| instance.models().any(|model| model.name == name));
    let at = serve.iter().position(Instance::was_ready).unwrap_or(0);
    if at < serve.len() { Ok(Some(serve.swap_remove(at))) } else { newest(paths) }
}

/// All running instances, the newest first. What crashed ones left behind is ended on the way.
pub fn all(paths: &Paths) -> Result<Vec<Instance>> {
    let found = state::heal(&paths.state(), process::alive, |crashed| {
        for engine in crashed.models().map(|model| &model.engine) {
            if let Some(process) = &engine.process {
                let Process { pid, birth } = process;
                supervisor::reap(supervisor::Remains { pid: *pid, birth, mark: engine.mark.as_deref() });
            }
        }
        true
    })?;
    Ok(found.running)
}

/// Whom a name that no file has means: another name of a model, or a model that a running llmup only reaches. Its
/// own name, and the llmup.
pub fn known_to_one(name: &str, running: &[Instance]) -> Option<(String, Instance)> {
    running.iter().find_map(|instance| {
        let live = Live::of(instance)?;
        let own = live.aliases.get(name).map_or(name, String::as_str);
        let there = live.models.iter().any(|live| live.name == own);
        (own != name || there).then(|| (own.to_owned(), instance.clone()))
    })
}

/// An instance as clients see it: its model of that name, or else the first.
pub fn session(instance: &Instance, named: Option<&str>) -> Session {
    let model = named.and_then(|name| instance.models().find(|model| model.name == name)).unwrap_or(&instance.model);
    Session {
        base_url: instance.url.clone(),
        key: instance.key.clone(),
        model: model.name.clone(),
        small: None,
        context: model.context,
        max_output: client::output_limit(model.context),
    }
}

/// `llmup env`.
pub fn env(args: EnvArgs, paths: &Paths) -> Result<u8> {
    let shell = match &args.shell {
        None => None,
        Some(name) => Some(Shell::of_program(name).ok_or_else(|| {
            Plain::new(
                Exit::Usage,
                format!("no shell named {name:?}"),
                "one of bash, zsh, fish, powershell, cmd, nu, e.g. `llmup env claude --shell fish`",
            )
        })?),
    };
    let format = if args.json { EnvFormat::Json } else { args.format };
    let Some(client) = args.client else {
        super::env::list(&RealHost, format == EnvFormat::Json);
        return Ok(Exit::Ok.code());
    };
    let newest = serving(args.gateway.model.as_deref(), paths)?;
    if let Some(loading) = newest.as_ref().filter(|i| !i.was_ready() && args.gateway.base_url.is_none()) {
        let message = format!("{} is still being started: its context is not known yet", loading.model.name);
        let hints = vec![format!("once `llmup status` says ready: `llmup env {client}`")];
        return Err(Plain { message, exit: Exit::Missing, hints }.into());
    }
    let named = args.gateway.model.as_deref();
    let running = newest.as_ref().filter(|i| i.was_ready()).map(|i| session(i, named));
    let asked = super::env::EnvArgs { client, shell, gateway: args.gateway, format };
    super::env::run(asked, running, paths, &RealHost)?;
    Ok(Exit::Ok.code())
}

/// `llmup doctor`. Unlike other commands it leaves what crashed ones left where it is, to tell of it.
pub fn doctor(args: &DoctorArgs, paths: &Paths) -> Result<Exit> {
    super::doctor::run(args, |places| inputs(args, places, paths), Arc::new(RealHost), paths)
}

fn inputs(args: &DoctorArgs, places: &Places, paths: &Paths) -> Inputs {
    let found = state::list(&paths.state(), process::alive).unwrap_or_default();
    let mut ready = found.running.iter().filter(|instance| instance.was_ready());
    let named = args.model.as_deref();
    let serves = |instance: &&Instance| instance.models().any(|model| Some(model.name.as_str()) == named);
    let running = match named {
        Some(_) => ready.clone().find(serves).or_else(|| ready.next()),
        None => ready.next(),
    };
    Inputs {
        hardware: Some(hardware::detect(&RealHost)),
        engines: engine::find::find(&RealHost, paths),
        models: paths.models(),
        gateway_port: super::start::DEFAULT_PORT,
        running: running.map(|instance| known(instance, named)),
        other_versions: state::of_other_versions(&paths.state(), process::alive),
        connected: super::connect::connected(&found.running, &RealHost, places, paths),
        instances: found.running,
        crashed: found.crashed,
    }
}

/// What is known of a running instance: its file, and what it says of itself.
fn known(instance: &Instance, named: Option<&str>) -> Running {
    let session = session(instance, named);
    let model = instance.models().find(|model| model.name == session.model).unwrap_or(&instance.model);
    let live = Live::of(instance).and_then(|live| live.of_model(instance, model).cloned());
    let sizes = model.measured.as_ref();
    let planned = model.planned.as_ref();
    let mut running = Running::of(session, &model.engine.name);
    running.confirmed = sizes.and_then(|sizes| sizes.context);
    running.on_gpu = sizes.and_then(|sizes| sizes.on_gpu);
    running.weights_bytes = sizes.and_then(|s| s.weights_bytes).or(planned.and_then(|s| s.weights_bytes));
    if let Some(live) = live {
        running.state = Some(live.state);
        running.because = live.because;
        running.restarts = live.restarts;
        running.last_crash = live.last_crash;
    }
    running
}

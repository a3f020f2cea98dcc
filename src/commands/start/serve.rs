//! The running part of `start`: what a run needs is taken or installed here, then [`super::session`] has it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::backend::{Launcher, Prepared, Source, install};
use super::entry::Entry;
use super::member::Planner;
use super::post::{Place, Post};
use super::recruit::Recruiter;
use super::room::{self, Bytes};
use super::session::{Offer, Session};
use super::wanted::Wanted;
use super::{Chosen, decide, ollama};
use crate::cli::{EnginePort, StartArgs};
use crate::commands::serve::watch;
use crate::engine::find::Found;
use crate::engine::{Accelerator, EngineId};
use crate::error::{Error, Plain, Result, meaning};
use crate::exit::Exit;
use crate::fs::{self, FileError};
use crate::hardware::Hardware;
use crate::host::Os;
use crate::model::demo;
use crate::output::{self, Style, on_stderr};
use crate::paths::Paths;
use crate::plan::{self, Installed};
use crate::state::{Instance, Phase};
use crate::supervisor::port;

/// Launches and serves until something ends it; gives the exit code.
pub(super) fn run(
    args: &StartArgs,
    paths: &Paths,
    entry: &Arc<Entry>,
    models: Vec<Chosen>,
    (wanted, hardware): (Wanted, Hardware),
) -> Result<u8> {
    let ollama = models.iter().any(|model| model.plan.engine == EngineId::Ollama);
    let reuse = ollama.then(ollama::running).flatten();
    // What an earlier, killed llmup left is ended first: it may hold the memory the plan counts on.
    crate::commands::running::newest(paths)?;
    // What can fail cheaply fails before anything is installed.
    let gateway = bind(args.host, args.port, paths)?;
    let (mut installed, mut posts) = (Vec::new(), Vec::new());
    for mut model in models {
        let reuse = reuse.clone().filter(|_| model.plan.engine == EngineId::Ollama);
        equip(&mut model, reuse.is_some(), &mut installed, (&hardware, paths))?;
        posts.push(post(model, reuse, paths, random_key()?));
    }
    entry.change_all(|instance| {
        for (at, post) in posts.iter().enumerate() {
            if let Some(model) = instance.model_mut(at) {
                model.context = post.context;
                if !post.policy.preload {
                    model.phase = Phase::Asleep;
                }
            }
        }
    });
    let args = match (&args.api_key, wanted.key) {
        (None, Some(key)) => &StartArgs { api_key: Some(key), ..args.clone() },
        _ => args,
    };
    runtime()?.block_on(async {
        let (reached, backends, silent) = watch::Backends::ask(wanted.reached).await;
        for silent in silent {
            output::warning(silent);
        }
        let following = tokio::spawn(backends.follow());
        let recruiter = Recruiter { args: args.clone(), paths: paths.clone(), hardware };
        let offer = Offer { posts, reached, aliases: wanted.aliases, recruiter: Some(recruiter) };
        let code = Session::open(args, paths, entry, gateway, offer).await?.run().await;
        following.abort();
        code
    })
}

/// Gives a model its engine, installed where there is none, and the demo its weights. `installed` is what was brought
/// for others; `reused`: an engine that runs already serves it.
pub(super) fn equip(
    model: &mut Chosen,
    reused: bool,
    installed: &mut Vec<Found>,
    (hardware, paths): (&Hardware, &Paths),
) -> Result<()> {
    if model.engine.is_none() && !reused {
        // Of two that need the same one, the first has brought it.
        let brought = installed.iter().find(|found| found.engine == model.plan.engine).cloned();
        let engine = match brought {
            Some(found) => found,
            None => install(&model.one.args, paths, &model.plan)?,
        };
        // Another build than was hoped for computes elsewhere, so it gets another plan.
        let built = Installed::of(&engine);
        let hoped = model.plan.accelerator;
        if hoped != Accelerator::Cpu && built.accelerator.is_some_and(|built| built != hoped) {
            let (one, target) = (&model.one, &model.target);
            let request = decide::request(&one.args, false);
            let warnings = std::mem::take(&mut model.plan.warnings);
            model.plan = plan::plan(decide::facts(target, &request, hardware, &[built]))?;
            let new = model.plan.warnings.iter().filter(|warning| !warnings.contains(warning));
            new.for_each(output::warning);
            let on = model.plan.accelerator.device();
            output::note(&format!("{} is planned anew: {} computes on the {on}", target.name, engine.engine));
        }
        let warned = model.plan.warnings.len();
        model.known = decide::known_flags(&model.one.args, &model.target, &mut model.plan, Some(&engine), paths)?;
        for warning in model.plan.warnings.iter().skip(warned) {
            output::warning(warning);
        }
        installed.push(engine.clone());
        model.engine = Some(engine);
    }
    if reused && matches!(model.one.args.engine_port, EnginePort::Fixed(_)) {
        output::warning("Ollama runs already and keeps its port: --engine-port changes nothing");
    }
    model.plan.to_install = false;
    if let Some(kind) = model.target.demo {
        let began = Instant::now();
        demo::ensure(&paths.models(), kind)?;
        if began.elapsed() > Duration::from_millis(100) {
            output::note(&format!("{} the demo model", on_stderr(Style::Good, "wrote ")));
        }
    }
    Ok(())
}

/// A model as the session has it; `key` is the one that only gateway and engine know.
pub(super) fn post(model: Chosen, reuse: Option<ollama::Server>, paths: &Paths, key: String) -> Post {
    let Chosen { one, target, plan, engine, known } = model;
    let (name, policy, context) = (target.name.clone(), one.policy.clone(), plan.max_model_len);
    // What somebody else's Ollama holds is not ours to count.
    let needs = if reuse.is_some() { Bytes::new() } else { room::needs(&plan) };
    let nap = policy.sleep.then(|| room::nap(&plan));
    let (options, accepts, paths) = (one.options, one.accepts, paths.clone());
    let translate = one.args.translate;
    let prepared = Arc::new(Prepared { args: one.args, options, accepts, paths, target, engine, known });
    let planner = {
        let model = Arc::clone(&prepared);
        Box::new(move |hardware: &Hardware| model.plan(hardware)) as Planner
    };
    let source = move |place: Place| {
        let Place { at, entry, last } = place;
        Source::Launched(Box::new(Launcher { model: prepared, entry, at, plan, changed: false, reuse, key, last }))
    };
    Post { name, source: Box::new(source), policy, translate, needs, nap, planner: Some(planner), context }
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
    let ours = crate::commands::running::all(paths)?.into_iter().find(|i| i.url.ends_with(&format!(":{wanted}")));
    let holder = match (&ours, port::holder(wanted)) {
        (Some(ours), _) => format!("llmup itself, serving {} (pid {})", ours.model.name, ours.process.pid),
        (None, Some(holder)) => format!("{} (pid {})", holder.name, holder.pid),
        (None, None) => "another program".to_owned(),
    };
    let mut hints = Vec::new();
    let ready = ours.as_ref().is_some_and(Instance::was_ready);
    if let Some(free) = port::next_free(host, wanted.saturating_add(1)) {
        hints.push(at_port(free));
    }
    if ready {
        hints.push("or use the one that runs: `llmup env claude`".to_owned());
    }
    if let Some(launched) = ours.as_ref().filter(|ours| ours.model.engine.name != "backend") {
        let names: Vec<&str> = launched.models().map(|model| model.name.as_str()).collect();
        let names = names.join(" ");
        hints.push(format!("or let them share one llmup: `llmup stop --all`, then `llmup start {names} MODEL`"));
    }
    hints.push(meaning("LLMUP-G001"));
    let message = format!("port {wanted} is taken by {holder}");
    Err(Plain { message, exit: Exit::Taken, hints }.into())
}

/// What was typed, at another port.
fn at_port(free: u16) -> String {
    let typed: Vec<String> = std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect();
    format!("the next free one: `{}`", super::retry::with(&typed, &[("--port", Some(free.to_string()))]))
}

/// A port that Windows gives to nobody.
pub(super) fn kept_back(wanted: u16, free: Option<u16>) -> Plain {
    let message = format!("Windows keeps port {wanted} back: Hyper-V, WSL and Docker reserve ranges of ports");
    let ranges = format!("see which ranges: `{}`", port::EXCLUDED);
    let hints = free.map(at_port).into_iter().chain([ranges, meaning("LLMUP-G002")]).collect();
    Plain { message, exit: Exit::Taken, hints }
}

/// A key that is one: an empty one would be shown by everybody who shows none.
pub fn given(key: Option<&str>) -> Option<String> {
    key.map(str::trim).filter(|key| !key.is_empty()).map(str::to_owned)
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
pub(super) fn random_key() -> Result<String> {
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
        assert!(refused.to_string().contains("port 8000") && refused.hints()[0].ends_with(" --port 8101`"));
        assert!(kept_back(8000, None).hints()[0].contains("`netsh "));
    }
}

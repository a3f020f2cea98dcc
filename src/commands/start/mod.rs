//! `llmup start`, read top to bottom: detect, resolve, plan, install, launch, serve, stop.

mod backend;
mod beside;
mod decide;
mod detach;
mod entry;
mod existing;
mod flags;
mod fleet;
mod heal;
mod in_wsl;
mod join;
mod launch;
mod measure;
mod member;
mod nap;
pub(super) mod ollama;
mod options;
mod post;
mod pulled;
mod ready;
mod recruit;
mod retry;
mod room;
mod runner;
mod serve;
mod session;
mod shown;
#[cfg(test)]
mod snapshots;
mod standstill;
mod target;
mod wanted;
mod watchdog;

pub(super) use backend::file_name;
pub(super) use pulled::{best_variant, here as weights_here};
pub(super) use ready::{FOR_A_CLIENT, box_of, next_commands, shown_key};
pub(super) use serve::{bind, given, kept_key, runtime};
pub(super) use shown::plan;

use crate::cli::StartArgs;
use crate::engine::find::{self, Found};
use crate::engine::{EngineId, KnownFlags};
use crate::error::{Plain, Result};
use crate::exit::Exit;
use crate::hardware::{self, Hardware};
use crate::host::RealHost;
use crate::output;
use crate::paths::Paths;
use crate::plan::LaunchPlan;
use crate::state::Instance;

use entry::{Claim, Entry};
use join::Running;
use target::Target;
use wanted::{One, Wanted};

/// The gateway's port unless another is asked for.
pub const DEFAULT_PORT: u16 = 4000;

/// A model on its way to be started.
struct Chosen {
    one: One,
    target: Target,
    plan: LaunchPlan,
    engine: Option<Found>,
    known: Option<KnownFlags>,
}

impl Chosen {
    fn choice(&self) -> Choice<'_> {
        let Chosen { one, target, plan, engine, known } = self;
        Choice { args: &one.args, target, plan, engine: engine.as_ref(), known: known.as_ref() }
    }
}

/// All that an engine's command line follows from: lent by a [`Chosen`] and, with the plan it has by then, by a launcher.
#[derive(Clone, Copy)]
struct Choice<'a> {
    args: &'a StartArgs,
    target: &'a Target,
    plan: &'a LaunchPlan,
    /// `None` before it is installed, and in a plan for another machine.
    engine: Option<&'a Found>,
    known: Option<&'a KnownFlags>,
}

/// Runs the subcommand; gives the exit code.
pub fn run(args: StartArgs, paths: &Paths) -> Result<u8> {
    let mut wanted = Wanted::of(&args)?;
    if detach::detached() {
        crate::supervisor::leave_terminal();
    } else if args.detach && Running::find(&args, paths)?.is_none() {
        // Who joins another llmup is in nobody's way.
        return detach::run(&args, wanted, paths);
    }
    for warning in wanted.warnings.drain(..) {
        output::warning(warning);
    }
    let names = wanted.names();
    let entry = match args.dry_run {
        true => None,
        false => match Entry::claim(&names, paths)? {
            Claim::Ours(entry) => Some(entry),
            Claim::Theirs(instance) => return runs_already(&args, &names, *instance, paths),
        },
    };
    if let Some(url) = &args.engine_url {
        return existing::run(&args, url, paths, entry.as_ref());
    }
    let running = Running::find(&args, paths)?;
    running.as_ref().map_or(Ok(()), |running| running.check(&args))?;
    let (hardware, found) = look(running.as_ref(), paths);
    let mut models = Vec::new();
    for one in std::mem::take(&mut wanted.models) {
        let (target, plan) = match decide::choose(&one, &hardware, &found, paths)? {
            (target, Err(error)) if args.dry_run && args.json => {
                return Ok(crate::commands::plan::refuse(&target.name, &error));
            }
            (target, plan) => (target, plan?),
        };
        models.push(decide::with_engine(one, target, plan, &found, paths)?);
    }
    let several = models.len() > 1 || running.is_some();
    let Some(entry) = entry else {
        beside::plan(&mut models, &hardware, &found);
        nap::settle(&mut models, &hardware, several);
        shown::show_all(&args, &models, paths);
        return Ok(Exit::Ok.code());
    };
    let mut ready = Vec::new();
    for model in models {
        ready.push(with_weights(model, &hardware, &found, paths)?);
    }
    beside::plan(&mut ready, &hardware, &found);
    nap::settle(&mut ready, &hardware, several);
    shown::say(&ready, &hardware);
    match running {
        Some(running) => running.hand_over(&args, (ready, &names), paths, entry),
        None => serve::run(&args, paths, &entry, ready, (wanted, hardware)),
    }
}

/// The machine, as a llmup that runs saw it before its engines ran, or else as it is; and the engines on it.
fn look(running: Option<&Running>, paths: &Paths) -> (Hardware, Vec<Found>) {
    // Both look at the machine for tens of milliseconds and do not need each other.
    std::thread::scope(|scope| {
        let found = scope.spawn(|| find::find(&RealHost, paths));
        let hardware = running.map(|running| running.told.hardware.clone());
        let hardware = hardware.unwrap_or_else(|| hardware::detect(&RealHost));
        (hardware, in_wsl::counts(found.join().unwrap_or_default()))
    })
}

/// The same model with its weights, fetched where they are not here and planned anew by their headers, which tell what
/// the profile only said.
fn with_weights(mut model: Chosen, hardware: &Hardware, found: &[Found], paths: &Paths) -> Result<Chosen> {
    if let Some(needs) = model.plan.needs {
        return Err(Plain { message: needs.what, exit: Exit::Missing, hints: needs.how }.into());
    }
    if let Some(variant) = model.target.missing.take()
        && model.plan.engine != EngineId::Ollama
    {
        pulled::fetch(&model.one.args, &mut model.target, variant, paths)?;
        let plan = decide::decide(&model.one.args, &mut model.target, hardware, None, found)??;
        model = decide::with_engine(model.one, model.target, plan, found, paths)?;
    }
    Ok(model)
}

/// Asks what has to be asked and brings what is missing, for a start that will have no terminal.
fn bring(models: Vec<One>, paths: &Paths) -> Result<()> {
    let (hardware, found) = look(None, paths);
    let mut installed = Vec::new();
    for one in models {
        let (target, plan) = decide::choose(&one, &hardware, &found, paths)?;
        let model = decide::with_engine(one, target, plan?, &found, paths)?;
        let mut model = with_weights(model, &hardware, &found, paths)?;
        let reused = model.plan.engine == EngineId::Ollama && ollama::running().is_some();
        serve::equip(&mut model, reused, &mut installed, (&hardware, paths))?;
    }
    Ok(())
}

/// The same model a second time: the first one is shown, once it is ready.
fn runs_already(args: &StartArgs, models: &[String], instance: Instance, paths: &Paths) -> Result<u8> {
    if args.config.is_none() && !args.on_demand {
        join::wake(&instance, models);
    }
    let now = super::running::all(paths)?.into_iter().find(|now| now.process == instance.process);
    let instance = now.unwrap_or(instance);
    if let Some(model) = entry::loading(&instance, models) {
        let pid = instance.process.pid;
        output::note(&format!("{model} is being started already (pid {pid}); waiting until it is ready"));
    }
    let instance = entry::wait(instance, models, paths)?;
    let (names, pid) = (models.join(", "), instance.process.pid);
    output::note(&match models {
        [_, _, ..] => format!("{names} run already (pid {pid})"),
        _ => format!("{names} runs already (pid {pid})"),
    });
    let unheard: Vec<&str> = models.iter().flat_map(|name| unheard(args, name, &instance)).collect();
    if let Some(first) = unheard.first() {
        let model = models.first().map_or("MODEL", String::as_str);
        output::warning(format_args!("it runs as it was started before; {first} is not what it has"));
        output::note(&format!("hint: to have it so: `llmup stop {model}`, then start it again"));
    }
    show_other(args, models, &instance, paths)?;
    Ok(Exit::Ok.code())
}

/// Options that a model which runs already was not started with.
fn unheard(args: &StartArgs, name: &str, instance: &Instance) -> Vec<&'static str> {
    let Some(model) = instance.models().find(|model| model.name == name) else { return Vec::new() };
    let measured = model.measured.as_ref().and_then(|sizes| sizes.context);
    let context = measured.or(model.planned.as_ref().and_then(|sizes| sizes.context));
    let engine = Some(model.engine.name.as_str()).filter(|name| !name.is_empty());
    let port = instance.url.rsplit(':').next().and_then(|port| port.parse::<u16>().ok());
    let said = [
        ("--context", args.context.is_some_and(|asked| context.is_some_and(|context| context != asked))),
        ("--engine", args.engine.id().is_some_and(|asked| engine.is_some_and(|engine| engine != asked.name()))),
        ("--port", ![0, DEFAULT_PORT].contains(&args.port) && port.is_some_and(|port| port != args.port)),
    ];
    said.into_iter().filter(|(_, differs)| *differs).map(|(option, _)| option).collect()
}

/// What another llmup serves, as if this one had started it.
fn show_other(args: &StartArgs, models: &[String], instance: &Instance, paths: &Paths) -> Result<()> {
    let name = models.first().map(String::as_str);
    if args.json {
        output::json(&ready::as_json(instance, name));
    }
    let shell = crate::client::shell::detect(&RealHost, &crate::client::shell::ancestors());
    let name = name.unwrap_or(&instance.model.name);
    let first = super::running::newest(paths)?;
    let to_be_named = first.is_some_and(|first| first.process != instance.process || first.model.name != name);
    ready::show(instance, shell, Some(ready::Elsewhere { name, to_be_named }));
    Ok(())
}

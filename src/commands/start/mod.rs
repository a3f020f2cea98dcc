//! `llmup start`, read top to bottom: detect, resolve, plan, install, launch, serve, stop.

mod backend;
mod beside;
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

use crate::cli::StartArgs;
use crate::engine::find::{self, Found};
use crate::engine::{Accelerator, EngineId, KnownFlags, driver};
use crate::error::{Error, Plain, Result};
use crate::exit::Exit;
use crate::hardware::{self, Hardware};
use crate::host::RealHost;
use crate::output::{self, Style, on_stderr};
use crate::paths::Paths;
use crate::plan::variant::{self, Machine, Unjudged};
use crate::plan::{self, Facts, Installed, LaunchPlan, PlanError, Request, Words};
use crate::state::Instance;
use crate::words;

use entry::{Claim, Entry};
use join::Host;
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

/// Runs the subcommand; gives the exit code.
pub fn run(args: StartArgs, paths: &Paths) -> Result<u8> {
    let mut wanted = Wanted::of(&args)?;
    if detach::detached() {
        crate::supervisor::leave_terminal();
    } else if args.detach {
        // Who joins another llmup is in nobody's way.
        if Host::find(&args, paths)?.is_none() {
            return detach::run(&args, &wanted.names(), paths);
        }
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
    let host = Host::find(&args, paths)?;
    host.as_ref().map_or(Ok(()), |host| host.check(&args))?;
    // Both look at the machine for tens of milliseconds and do not need each other.
    let (hardware, found) = std::thread::scope(|scope| {
        let found = scope.spawn(|| find::find(&RealHost, paths));
        let hardware = host.as_ref().map(|host| host.told.hardware.clone());
        let hardware = hardware.unwrap_or_else(|| hardware::detect(&RealHost));
        (hardware, in_wsl::counts(found.join().unwrap_or_default()))
    });
    let mut models = Vec::new();
    for one in std::mem::take(&mut wanted.models) {
        let (target, plan) = match choose(&one, &hardware, &found, paths)? {
            (target, Err(error)) if args.dry_run && args.json => return Ok(super::plan::refuse(&target.name, &error)),
            (target, plan) => (target, plan?),
        };
        models.push(known(one, target, plan, &found, paths)?);
    }
    let several = models.len() > 1 || host.is_some();
    let Some(entry) = entry else {
        beside::plan(&mut models, &hardware, &found);
        nap::settle(&mut models, &hardware, several);
        show_all(&args, &models, paths);
        return Ok(Exit::Ok.code());
    };
    let mut ready = Vec::new();
    for mut model in models {
        if let Some(needs) = model.plan.needs {
            return Err(Plain { message: needs.what, exit: Exit::Missing, hints: needs.how }.into());
        }
        if let Some(variant) = model.target.missing.take()
            && model.plan.engine != EngineId::Ollama
        {
            if let Some(ended) = pulled::fetch(&model.one.args, &mut model.target, variant, paths)? {
                return Ok(ended);
            }
            // Now the headers tell what the profile only said.
            let plan = decide(&model.one.args, &mut model.target, &hardware, None, &found)??;
            model = known(model.one, model.target, plan, &found, paths)?;
        }
        ready.push(model);
    }
    beside::plan(&mut ready, &hardware, &found);
    nap::settle(&mut ready, &hardware, several);
    say(&ready, &hardware);
    match host {
        Some(host) => host.hand_over(&args, (ready, &names), paths, entry),
        None => serve::run(&args, paths, &entry, ready, (wanted, hardware)),
    }
}

/// What a model means, and its plan on this machine.
#[allow(clippy::type_complexity)] // a target is needed also where there is no plan
fn choose(
    one: &One,
    hardware: &Hardware,
    found: &[Found],
    paths: &Paths,
) -> Result<(Target, std::result::Result<LaunchPlan, PlanError>)> {
    let mut target = target::resolve(&one.args, paths)?;
    if let Some(name) = &one.name {
        target.name.clone_from(name);
    }
    let here = pulled::plan(&one.args, &mut target, paths, |args, target| decide(args, target, hardware, None, found))?;
    let decided = match here {
        Some(plan) => Ok(plan),
        None => decide(&one.args, &mut target, hardware, None, found)?,
    };
    Ok((target, decided))
}

/// With the engine that will run it, and the flags that one takes.
fn known(one: One, target: Target, mut plan: LaunchPlan, found: &[Found], paths: &Paths) -> Result<Chosen> {
    options::check(&one.args, &target.name, &plan)?;
    let engine = engine_for(&plan, found);
    in_wsl::check(&plan, engine.as_ref(), &target, one.args.dry_run, &RealHost)?;
    let known = known_flags(&one.args, &target, &mut plan, engine.as_ref(), paths)?;
    Ok(Chosen { one, target, plan, engine, known })
}

/// The flags the installed engine takes. The user's are refused when it does not know them, ours become a warning.
fn known_flags(
    args: &StartArgs,
    target: &Target,
    plan: &mut LaunchPlan,
    engine: Option<&Found>,
    paths: &Paths,
) -> Result<Option<KnownFlags>> {
    let Some(engine) = engine else { return Ok(None) };
    let known = flags::check(&args.engine_args, engine, &RealHost, paths)?;
    let left_out = launch::left_out(target, plan, engine, known.as_ref(), paths);
    if !left_out.is_empty() {
        plan.warnings.push(flags::left_out(&left_out, engine));
    }
    Ok(known)
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
    show_other(args, models, &instance);
    Ok(Exit::Ok.code())
}

/// What another llmup serves, as if this one had started it.
fn show_other(args: &StartArgs, models: &[String], instance: &Instance) {
    let name = models.first().map(String::as_str);
    if args.json {
        output::json(&ready::as_json(instance, name));
    }
    let shell = crate::client::shell::detect(&RealHost, &crate::client::shell::ancestors());
    ready::show(instance, shell, Some(name.unwrap_or(&instance.model.name)));
}

/// The engine to start: the first that is built for what the plan computes on, where builds differ.
fn engine_for(plan: &LaunchPlan, found: &[Found]) -> Option<Found> {
    if plan.to_install || plan.needs.is_some() {
        return None;
    }
    let mut same = found.iter().filter(|f| f.engine == plan.engine);
    let built = |f: &&Found| f.build.as_deref().and_then(Accelerator::of_build) == Some(plan.accelerator);
    same.clone().find(built).or_else(|| same.next()).cloned()
}

/// Shows how a model would be started, here or on `other` hardware (with the words that name it), and starts nothing.
pub fn plan(args: StartArgs, other: Option<(Hardware, Vec<String>)>, paths: &Paths) -> Result<u8> {
    let args = StartArgs { dry_run: true, ..args };
    let Some((hardware, words)) = other else { return run(args, paths) };
    let mut target = target::resolve(&args, paths)?;
    // What is installed there is not known.
    match decide(&args, &mut target, &hardware, Some(&words), &[])? {
        Ok(mut plan) => {
            options::check(&args, &target.name, &plan)?;
            // What is only assumed about main memory matters where the plan puts something there.
            if plan.per_gpu.iter().any(|bill| bill.place == plan::MEMORY) {
                plan.warnings.extend(hardware.problems.iter().cloned());
            }
            if let Some(value) = show(&args, &target, &plan, None, None, paths) {
                output::json(&value);
            }
        }
        Err(error) if args.json => return Ok(super::plan::refuse(&target.name, &error)),
        Err(error) => return Err(error.into()),
    }
    Ok(Exit::Ok.code())
}

/// Plans the weights that are there, or of a profile's variants the one that does best. With `other`, the words that
/// name the machine it is for. What else would do is looked for where it will be shown.
fn decide(
    args: &StartArgs,
    target: &mut Target,
    hardware: &Hardware,
    other: Option<&[String]>,
    found: &[Found],
) -> Result<std::result::Result<LaunchPlan, PlanError>> {
    let request = request(args, other.is_some());
    let mut installed: Vec<Installed> = Vec::new();
    for engine in found {
        // The first of each build: what is found first is used.
        let built = Installed::of(engine);
        if !installed.iter().any(|i| (i.engine, i.accelerator) == (built.engine, built.accelerator)) {
            installed.push(built);
        }
    }
    let mut outcome = planned(target, &request, hardware, &installed)?;
    if args.dry_run || outcome.is_err() {
        let dir = args.model_dir.as_ref().map(|dir| dir.to_string_lossy().into_owned());
        let words = Words {
            verb: if args.dry_run { "plan" } else { "start" },
            model: args.model.clone(),
            weights: dir.into_iter().flat_map(|dir| ["--model-dir".to_owned(), dir]).collect(),
            machine: other.map(<[String]>::to_vec).unwrap_or_default(),
        };
        plan::alternatives::add(&facts(target, &request, hardware, &installed), &words, &mut outcome);
    }
    Ok(outcome)
}

fn request(args: &StartArgs, elsewhere: bool) -> Request {
    Request {
        engine: args.engine.id(),
        context: args.context,
        utilization: args.gpu_memory_utilization,
        tensor_parallel: args.tensor_parallel_size,
        engine_args: args.engine_args.clone(),
        elsewhere,
    }
}

fn facts<'a>(
    target: &'a Target,
    request: &'a Request,
    hardware: &'a Hardware,
    installed: &'a [Installed],
) -> Facts<'a> {
    let Target { weights, profiles, .. } = target;
    Facts { request, hardware, weights, profile: target.profile.as_ref(), profiles, installed }
}

/// The plan alone. Where a variant is picked, the target gets its weights.
fn planned(
    target: &mut Target,
    request: &Request,
    hardware: &Hardware,
    installed: &[Installed],
) -> Result<std::result::Result<LaunchPlan, PlanError>> {
    let Some(profile) = target.profile.as_ref().filter(|_| target.missing.is_some()) else {
        return Ok(plan::plan(facts(target, request, hardware, installed)));
    };
    let none = |why| {
        let message = match why {
            Unjudged::NotMadeForIt => {
                format!("none of the downloads that the profile {} lists is for this machine", target.name)
            }
            Unjudged::NoSize => {
                format!("nobody says how large the weights of {} are, so nothing is planned", target.name)
            }
        };
        let hint = format!("pass weights of your own: `llmup start {} --model-dir DIR`", target.name);
        Error::from(Plain::new(Exit::Config, message, hint))
    };
    let judged = variant::best(profile, Machine { request, hardware, installed }).map_err(none)?;
    let (variant, weights, outcome) = (judged.variant.into_owned(), judged.weights, judged.outcome);
    target.missing = Some(variant);
    target.weights = weights;
    Ok(outcome)
}

/// The dry run.
fn show_all(args: &StartArgs, models: &[Chosen], paths: &Paths) {
    let values: Vec<serde_json::Value> = models
        .iter()
        .enumerate()
        .filter_map(|(at, model)| {
            let Chosen { one, target, plan, engine, known } = model;
            if at > 0 && !args.json {
                output::line("");
            }
            show(&one.args, target, plan, engine.as_ref(), known.as_ref(), paths)
        })
        .collect();
    match &values[..] {
        [] => {}
        [one] => output::json(one),
        several => output::json(&serde_json::Value::from(several)),
    }
}

/// One plan; as data, where that is wanted.
fn show(
    args: &StartArgs,
    target: &Target,
    plan: &LaunchPlan,
    engine: Option<&Found>,
    known: Option<&KnownFlags>,
    paths: &Paths,
) -> Option<serde_json::Value> {
    let port = match args.engine_port {
        crate::cli::EnginePort::Fixed(port) => port,
        // Any free one is taken at the start; this one stands for it.
        crate::cli::EnginePort::Auto => DEFAULT_PORT + 1,
    };
    let command = launch::command(args, target, plan, engine, known, paths, port, None);
    if args.json {
        let mut value = serde_json::to_value(plan).unwrap_or_default();
        if let Some(map) = value.as_object_mut() {
            let argv = std::iter::once(command.program.to_string_lossy().into_owned())
                .chain(command.args.iter().map(|a| a.to_string_lossy().into_owned()));
            let env = command.env.iter().map(|(k, v)| (k.clone(), v.to_string_lossy().into_owned().into()));
            map.insert("model".into(), target.name.clone().into());
            map.insert("command".into(), argv.collect::<Vec<_>>().into());
            map.insert("env".into(), serde_json::Value::Object(env.collect()));
            let tokens = plan.per_gpu.iter().filter_map(|bill| bill.kv_tokens).min();
            let at_once = tokens.map(|tokens| tokens as f64 / plan.max_model_len.max(1) as f64);
            map.insert("max_concurrency".into(), at_once.into());
            map.insert("weights".into(), serde_json::to_value(&target.weights).unwrap_or_default());
        }
        return Some(value);
    }
    output::data(&plan::text::render(plan, &target.name, &command.shown(), ready::width()));
    if let Some(variant) = &target.missing {
        let source = match (&variant.hugging_face, &variant.model_scope) {
            (Some(repo), _) => repo.clone(),
            (None, Some(repo)) => format!("{repo} on ModelScope"),
            _ => variant.ollama.clone().unwrap_or_else(|| "elsewhere".into()),
        };
        let told =
            format!("weights\n  not on this machine; this is the plan for the {} of {source}", variant.quantization);
        output::line(&words::say(&told));
    }
    None
}

/// What was found and chosen, before anything happens.
fn say(models: &[Chosen], hardware: &Hardware) {
    let gpus: Vec<&str> = hardware.devices.iter().filter(|d| d.usable).map(|d| d.name.as_str()).collect();
    let gpus = if gpus.is_empty() { "no usable GPU".to_owned() } else { gpus.join(", ") };
    let head = |text: &str| on_stderr(Style::Strong, text);
    output::note(&format!(
        "{} {}, {} threads, {} of memory; {gpus}",
        head("found "),
        hardware.cpu.name.trim(),
        hardware.cpu.threads,
        output::bytes(hardware.memory.total_bytes)
    ));
    for Chosen { target, plan, .. } in models {
        let engine = plan.reasons.first().map(|r| r.because.as_str()).unwrap_or_default();
        output::note(&format!("{} {} for {}: {engine}", head("chosen"), driver(plan.engine).id(), target.name));
        output::note(&format!("       context of {} tokens", plan.max_model_len));
        for warning in &plan.warnings {
            output::warning(warning);
        }
    }
}

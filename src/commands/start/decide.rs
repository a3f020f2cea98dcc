//! What a model means here, and how it would run: its target, its plan, and the engine that takes it.

use super::target::{self, Target};
use super::wanted::One;
use super::{Choice, Chosen, flags, in_wsl, launch, options, pulled};
use crate::cli::StartArgs;
use crate::engine::find::Found;
use crate::engine::{Accelerator, KnownFlags};
use crate::error::{Error, Plain, Result};
use crate::exit::Exit;
use crate::hardware::Hardware;
use crate::host::RealHost;
use crate::paths::Paths;
use crate::plan::variant::{self, Machine, Unjudged};
use crate::plan::{self, Facts, Installed, LaunchPlan, PlanError, Request, Words};

/// What a model means, and its plan on this machine.
#[allow(clippy::type_complexity)] // a target is needed also where there is no plan
pub(super) fn choose(
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

/// The model with the engine that will run it, and the flags that one takes.
pub(super) fn with_engine(
    one: One,
    target: Target,
    mut plan: LaunchPlan,
    found: &[Found],
    paths: &Paths,
) -> Result<Chosen> {
    options::check(&one.args, &target.name, &plan)?;
    let engine = engine_for(&plan, found);
    let choice = Choice { args: &one.args, target: &target, plan: &plan, engine: engine.as_ref(), known: None };
    in_wsl::check(choice, &RealHost)?;
    let known = known_flags(&one.args, &target, &mut plan, engine.as_ref(), paths)?;
    Ok(Chosen { one, target, plan, engine, known })
}

/// The flags the installed engine takes. The user's are refused when it does not know them, ours become a warning.
pub(super) fn known_flags(
    args: &StartArgs,
    target: &Target,
    plan: &mut LaunchPlan,
    engine: Option<&Found>,
    paths: &Paths,
) -> Result<Option<KnownFlags>> {
    let Some(engine) = engine else { return Ok(None) };
    let known = flags::check(&args.engine_args, engine, &RealHost, paths)?;
    let choice = Choice { args, target, plan, engine: Some(engine), known: known.as_ref() };
    let left_out = launch::left_out(choice, paths);
    if !left_out.is_empty() {
        plan.warnings.push(flags::left_out(&left_out, engine));
    }
    Ok(known)
}

/// The engine to start: the first that is built for what the plan computes on, where builds differ.
pub(super) fn engine_for(plan: &LaunchPlan, found: &[Found]) -> Option<Found> {
    if plan.to_install || plan.needs.is_some() {
        return None;
    }
    let mut same = found.iter().filter(|f| f.engine == plan.engine);
    let built = |f: &&Found| f.build.as_deref().and_then(Accelerator::of_build) == Some(plan.accelerator);
    same.clone().find(built).or_else(|| same.next()).cloned()
}

/// Plans the weights that are there, or of a profile's variants the one that does best. With `other`, the words that
/// name the machine it is for. What else would do is looked for where it will be shown.
pub(super) fn decide(
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

pub(super) fn request(args: &StartArgs, elsewhere: bool) -> Request {
    Request {
        engine: args.engine.id(),
        context: args.context,
        utilization: args.gpu_memory_utilization,
        tensor_parallel: args.tensor_parallel_size,
        engine_args: args.engine_args.clone(),
        elsewhere,
    }
}

pub(super) fn facts<'a>(
    target: &'a Target,
    request: &'a Request,
    hardware: &'a Hardware,
    installed: &'a [Installed],
) -> Facts<'a> {
    let Target { weights, profiles, .. } = target;
    Facts { request, hardware, weights, profile: target.profile.as_ref(), profiles, installed }
}

/// The plan alone. Where a variant is picked, the target gets its weights.
pub(super) fn planned(
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

//! Weights that `pull` brought, or another program left in Hugging Face's cache: found, or fetched when the user agrees.

use super::target::{self, Target, TargetError};
use crate::cli::StartArgs;
use crate::commands::pull::{self as pulls, Ended};
use crate::commands::question;
use crate::engine::find;
use crate::error::{Plain, Result};
use crate::exit::Exit;
use crate::hardware;
use crate::host::{Host, RealHost};
use crate::model::{self, Weights};
use crate::output;
use crate::paths::Paths;
use crate::plan::{LaunchPlan, PlanError, variant};
use crate::profile::Variant;
use crate::pull::Manifest;

/// The plan of the best variant that is here, when the profile's weights would otherwise have to be downloaded. What
/// is here but does not fit is passed over.
pub(super) fn plan(
    args: &StartArgs,
    target: &mut Target,
    paths: &Paths,
    decide: impl Fn(&StartArgs, &mut Target) -> Result<std::result::Result<LaunchPlan, PlanError>>,
) -> Result<Option<LaunchPlan>> {
    let (Some(_), Some(profile)) = (&target.missing, &target.profile) else { return Ok(None) };
    let variants = profile.variants.iter().filter(|v| variant::loaded_by(v, args.engine.id()));
    let all: Vec<Weights> = variants.filter_map(|v| here(&profile.name, v, paths, &RealHost)).collect();
    let unknown = (target.weights.clone(), target.missing.take());
    for weights in all {
        target.weights = weights;
        if let Ok(Ok(plan)) = decide(args, target) {
            return Ok(Some(plan));
        }
    }
    (target.weights, target.missing) = unknown;
    Ok(None)
}

/// The weights of a variant, when they are here and whole.
pub fn here(name: &str, variant: &Variant, paths: &Paths, host: &dyn Host) -> Option<Weights> {
    let dir = pulls::variant_dir(name, variant, paths);
    if let Some(manifest) = Manifest::read(&dir) {
        return model::read_path(&manifest.weights(&dir)).ok();
    }
    let repo = variant.hugging_face.as_deref()?;
    let cached = crate::pull::cache::offline(host, repo, "main", &pulls::pick(variant, &[]))?;
    model::read_path(&cached.weights(&dir)).ok()
}

/// Fetches a variant's weights, when the user agrees, and puts them into the target.
pub(super) fn fetch(args: &StartArgs, target: &mut Target, variant: Variant, paths: &Paths) -> Result<()> {
    let missing = |variant: Variant| TargetError::NoWeights { name: target.name.clone(), variant: Box::new(variant) };
    if !args.yes && !output::interactive() {
        return Err(missing(variant).into());
    }
    let name = target.profile.as_ref().map_or(target.name.as_str(), |profile| profile.name.as_str());
    let agree = |question: &str| {
        if args.yes { Ok(true) } else { question::agreed(question) }
    };
    match pulls::variant(name, &variant, paths, agree)? {
        Ended::Whole(path) => target.weights = model::read_path(&path)?,
        Ended::Refused => return Err(missing(variant).into()),
    }
    Ok(())
}

/// The variant of a profile that `start` would take on this machine.
pub fn best_variant(name: &str, paths: &Paths) -> Result<Variant> {
    let bad = |e: clap::Error| Plain::new(Exit::Usage, e.to_string(), "see `llmup pull --help`");
    let args = StartArgs::of(name).map_err(bad)?;
    let (hardware, found) = (hardware::detect(&RealHost), find::find(&RealHost, paths));
    let mut target = target::resolve(&args, paths)?;
    match super::decide::decide(&args, &mut target, &hardware, None, &found)? {
        Ok(_) => {}
        Err(error) => return Err(error.into()),
    }
    target.missing.ok_or_else(|| {
        let message = format!("{name} needs no download: llmup writes it itself");
        Plain::new(Exit::Usage, message, format!("start it: `llmup start {name}`")).into()
    })
}

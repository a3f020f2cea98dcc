//! What the engine is told about a model beyond sizes: parsers, flags and environment, from the model's profile, from
//! another of the same architecture, and from what the profile says about the accelerator.

use super::choose::Choice;
use super::flags::Flags;
use super::{Facts, Reason};
use crate::engine::EngineId;
use crate::profile::{AcceleratorRecipe, EngineRecipe, ModelProfile};

/// The profile's recipe for this engine; for weights without a profile of their own, that of a profile with the same
/// architecture.
pub(super) fn recipe(facts: &Facts<'_>, engine: EngineId) -> (EngineRecipe, Option<Reason>) {
    let of = |profile: &crate::profile::ModelProfile| profile.engines.get(engine.name()).cloned();
    if let Some(profile) = facts.profile {
        let recipe = of(profile).unwrap_or_default();
        let said = describe(&recipe);
        let reason = (!said.is_empty())
            .then(|| Reason { choice: said, because: format!("the profile {} says so for {engine}", profile.name) });
        return (recipe, reason);
    }
    let architecture = facts.weights.architecture.as_deref();
    if let Some((architecture, recipe)) = architecture.and_then(|a| Some((a, by_architecture(engine, a)?))) {
        let because = format!("there is no profile for this model, but its architecture {architecture} is known");
        let said = describe(&recipe);
        return (recipe, (!said.is_empty()).then_some(Reason { choice: said, because }));
    }
    let mut twins = facts.profiles.iter().filter_map(|p| {
        let same = |x: &String| architecture.is_some_and(|a| a == x);
        let twin = !p.scripted && p.architectures.iter().chain(&p.gguf_architectures).any(same);
        twin.then(|| of(p)).flatten().map(|recipe| (p, recipe))
    });
    // Families with different parsers share architectures, and a wrong parser is worse than none.
    let agreed = twins.next().filter(|(_, first)| {
        twins.all(|(_, r)| r.tool_parser == first.tool_parser && r.reasoning_parser == first.reasoning_parser)
    });
    match agreed {
        Some((profile, mut recipe)) => {
            // Parsers belong to the architecture; versions and extra flags to the very model.
            recipe.min_version = None;
            recipe.args.clear();
            let said = describe(&recipe);
            let because = format!("there is no profile for this model, but {} has the same architecture", profile.name);
            (recipe, (!said.is_empty()).then_some(Reason { choice: said, because }))
        }
        None => (EngineRecipe::default(), None),
    }
}

/// What the engine's own table says about an architecture. The versions in it belong to the first model of the family.
fn by_architecture(engine: EngineId, architecture: &str) -> Option<EngineRecipe> {
    let profile = crate::profile::engine(engine.name()).ok().flatten()?;
    profile.architectures.get(architecture).cloned().map(|recipe| EngineRecipe { min_version: None, ..recipe })
}

fn describe(recipe: &EngineRecipe) -> String {
    let mut said = Vec::new();
    if let Some(parser) = &recipe.tool_parser {
        said.push(format!("tool parser: {parser}"));
    }
    if let Some(parser) = &recipe.reasoning_parser {
        said.push(format!("reasoning parser: {parser}"));
    }
    if !recipe.args.is_empty() {
        said.push(recipe.args.join(" "));
    }
    said.join(", ")
}

/// What a profile says about weights made for a vendor's accelerators.
pub(super) fn of_vendor<'p>(profile: &'p ModelProfile, choice: &Choice<'_>) -> Option<&'p AcceleratorRecipe> {
    profile.accelerators.get(choice.accelerator.vendor()?.name())
}

/// Adds what the profile says for this accelerator. Flags for weights of another quantisation would be wrong, and sizes
/// for more devices than there are impossible.
pub(super) fn for_accelerator(facts: &Facts<'_>, choice: &Choice<'_>, recipe: &mut EngineRecipe) -> Option<Reason> {
    let profile = facts.profile.filter(|_| choice.engine == EngineId::Vllm)?;
    let own = of_vendor(profile, choice)?;
    if own.quantization.is_some() && own.quantization != facts.weights.quantization {
        return None;
    }
    let made_for = |architecture: &str| own.architectures.iter().any(|start| architecture.starts_with(start.as_str()));
    let known = |d: &&crate::hardware::Device| d.architecture.as_deref().is_some_and(made_for);
    if !own.architectures.is_empty() && !choice.devices.iter().all(known) {
        return None;
    }
    let sizes = Flags::read(&own.args);
    let devices = [sizes.tensor, sizes.pipeline, sizes.data].into_iter().flatten().fold(1u64, u64::saturating_mul);
    let too_many = devices > choice.devices.len() as u64;
    let mut args = own.args.iter().peekable();
    let mut added = Vec::new();
    while let Some(arg) = args.next() {
        let value = args.next_if(|next| !next.starts_with("--"));
        let size =
            ["--tensor-parallel-size", "--pipeline-parallel-size", "--data-parallel-size"].contains(&arg.as_str());
        if size && too_many {
            continue;
        }
        match recipe.args.iter().position(|said| said == arg) {
            // What is said for these devices goes before what is said for all.
            Some(at) if value.is_some() && recipe.args.get(at + 1) != value => drop(recipe.args.drain(at..at + 2)),
            Some(_) => continue,
            None => {}
        }
        added.push(arg.clone());
        added.extend(value.cloned());
    }
    let env = own.env.iter().map(|(name, value)| format!("{name}={value}"));
    let said = env.chain(added.iter().cloned()).collect::<Vec<_>>().join(" ");
    recipe.env.extend(own.env.clone());
    recipe.args.extend(added);
    let choice = format!("made for {}s", choice.accelerator.device());
    let because = format!("the profile {} asks for {said} ({})", profile.name, own.source);
    (!said.is_empty()).then_some(Reason { choice, because })
}

/// Takes `--tensor-parallel-size` out of a recipe: the plan has the size now, and the engine is told it once.
pub(super) fn without_tensor_size(args: &mut Vec<String>) {
    if let Some(at) = args.iter().position(|arg| arg == "--tensor-parallel-size" || arg == "-tp") {
        args.drain(at..(at + 2).min(args.len()));
    }
}

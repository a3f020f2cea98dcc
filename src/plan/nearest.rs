//! What would fit instead: another quantisation of the same model first, then smaller models from the profiles.

use super::Facts;
use crate::profile::{ModelProfile, Variant};

/// Weights are not all: context and engine need this much more, at the very least.
const ROOM: f64 = 1.15;

/// What to call the model in a message.
pub(super) fn name(facts: &Facts<'_>) -> String {
    let path = facts.weights.path.as_deref().and_then(|p| p.file_name()).map(|n| n.to_string_lossy().into_owned());
    facts.profile.map(|p| p.name.clone()).or(path).or(facts.weights.tag.clone()).unwrap_or_else(|| "the model".into())
}

/// Up to three things that fit into `budget` bytes, best first, each with the words to get it.
pub(super) fn that_fit(facts: &Facts<'_>, budget: u64) -> Vec<String> {
    let fits = |v: &&Variant| {
        let needed = v.memory_min_gb.or(v.weights_gb.map(|gb| gb * ROOM));
        needed.is_some_and(|gb| gb * 1e9 <= budget as f64)
    };
    let gpu = super::platform::has_accelerator(facts.hardware);
    let fits =
        |v: &&Variant| (!v.needs_gpu() || (gpu && super::platform::loads(facts.hardware, &v.quantization))) && fits(v);
    let mut found = Vec::new();
    if let Some(profile) = facts.profile {
        let best = profile.variants.iter().filter(fits).max_by(|a, b| size(a).total_cmp(&size(b)));
        found.extend(best.map(|v| said(profile, v)));
    }
    let mut siblings: Vec<(&ModelProfile, &Variant)> = facts
        .profiles
        .iter()
        .filter(|p| !p.scripted && facts.profile.is_none_or(|own| own.name != p.name))
        .filter_map(|p| p.variants.iter().filter(fits).max_by(|a, b| size(a).total_cmp(&size(b))).map(|v| (p, v)))
        .collect();
    siblings.sort_by(|a, b| size(b.1).total_cmp(&size(a.1)));
    found.extend(siblings.into_iter().take(3 - found.len().min(3)).map(|(p, v)| said(p, v)));
    if found.is_empty() {
        found.push("no profile fits this machine; `llmup start demo --yes` always does".into());
    }
    found
}

fn size(variant: &Variant) -> f64 {
    variant.weights_gb.or(variant.memory_min_gb).unwrap_or(0.0)
}

fn said(profile: &ModelProfile, variant: &Variant) -> String {
    let size = variant.weights_gb.map(|gb| format!(", {gb:.0} GB of weights")).unwrap_or_default();
    let source = match (&variant.hugging_face, &variant.ollama) {
        (_, Some(tag)) => format!(": `llmup start {tag}`"),
        (Some(repo), _) => format!(": {repo}, then `llmup start {} --model-dir DIR`", profile.name),
        _ => String::new(),
    };
    format!("{} as {}{size} would fit{source}", profile.name, variant.quantization)
}

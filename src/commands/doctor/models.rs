//! Weights on this machine: whole or not, and whether they would start here.

use std::path::{Path, PathBuf};

use super::{Check, Finding, Scene, Section};
use crate::error::Explain;
use crate::model::{self, ModelError, Weights};
use crate::output::bytes;
use crate::plan::{self, Facts, Installed, Request};
use crate::profile::{self, ModelProfile};
use crate::pull::Manifest;

/// Models that were pulled, and the plan of each.
pub(super) struct ModelsCheck;

impl Check for ModelsCheck {
    fn section(&self) -> Section {
        Section::Models
    }

    fn look(&self, scene: &Scene) -> Vec<Finding> {
        let section = Section::Models;
        let pulled = pulled(&scene.inputs.models);
        if pulled.is_empty() {
            let cure =
                Some("what fits this machine: `llmup models --fits`; to try all of it: `llmup start demo`".into());
            return vec![Finding { cure, ..Finding::ok(section, "no model has been pulled") }];
        }
        pulled.iter().map(|(name, dir)| of_model(scene, name, dir)).collect()
    }
}

/// Every folder of a pull, whole or not, with its model's and its form's name.
fn pulled(models: &Path) -> Vec<(String, PathBuf)> {
    let below = |dir: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        let mut all: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
        all.sort();
        all
    };
    let name = |dir: &Path| dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut found = Vec::new();
    for model in below(models) {
        for form in below(&model) {
            if Manifest::read_wanted(&form).is_some() {
                found.push((format!("{} {}", name(&model), name(&form)), form));
            }
        }
    }
    found
}

fn of_model(scene: &Scene, name: &str, dir: &Path) -> Finding {
    let section = Section::Models;
    let model = name.split(' ').next().unwrap_or(name);
    let again = format!("go on with it: `llmup pull {model}`");
    let Some(manifest) = Manifest::read(dir) else {
        let missing: Vec<String> = Manifest::read_wanted(dir)
            .map(|wanted| wanted.missing(dir).iter().map(|held| format!("missing: {}", held.path)).take(5).collect())
            .unwrap_or_default();
        let text = format!("{name} is not whole: its pull has not ended, or files are gone");
        return Finding::warning("LLMUP-M006", section, text, again).because(missing);
    };
    let weights = match model::read_path(&manifest.weights(dir)) {
        Ok(weights) => weights,
        Err(error) => {
            let cure = error.hints().into_iter().next().unwrap_or(again);
            return Finding::problem(code_of(&error), section, format!("{name}: {error}"), cure);
        }
    };
    let whole = format!("{name}, {}, is whole", bytes(manifest.bytes()));
    // What runs holds memory that a plan would count as missing.
    if scene.inputs.running.is_some() {
        return Finding::ok(section, whole);
    }
    planned(scene, model, &weights, whole)
}

/// What would become of it on this machine, as it is now.
fn planned(scene: &Scene, model: &str, weights: &Weights, whole: String) -> Finding {
    let section = Section::Models;
    let Some(hardware) = &scene.inputs.hardware else { return Finding::ok(section, whole) };
    let profile = profile_of(model);
    let installed: Vec<Installed> = scene.inputs.engines.iter().map(Installed::of).collect();
    let request = Request::default();
    let facts =
        Facts { request: &request, hardware, weights, profile: profile.as_ref(), profiles: &[], installed: &installed };
    match plan::plan(facts) {
        Ok(plan) => Finding::ok(
            section,
            format!("{whole}; it would start on {} with a context of {} tokens", plan.engine, plan.max_model_len),
        ),
        Err(error) => {
            let cure = format!("the arithmetic, and what would do: `llmup plan {model}`");
            Finding::warning("LLMUP-M008", section, format!("{whole}, but would not start: {error}"), cure)
        }
    }
}

/// The built-in profile of that name.
pub(super) fn profile_of(name: &str) -> Option<ModelProfile> {
    profile::find(name, Path::new("")).ok().map(|found| found.profile)
}

/// Which finding an unreadable model is.
fn code_of(error: &ModelError) -> &'static str {
    match error {
        ModelError::Missing { .. } => "LLMUP-M001",
        ModelError::NoConfig { .. } => "LLMUP-M002",
        ModelError::NotGguf { .. } | ModelError::UnknownFile { .. } => "LLMUP-M004",
        ModelError::NoWeights { .. } => "LLMUP-M006",
        ModelError::ShardsMissing { .. } | ModelError::TensorMissing { .. } | ModelError::Several { .. } => {
            "LLMUP-M007"
        }
        _ => "LLMUP-M003",
    }
}

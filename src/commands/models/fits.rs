//! What of the profiles would run on a machine: every variant whose size is known is planned, and the best is kept.

use std::cmp::Ordering;
use std::path::PathBuf;

use serde::Serialize;

use crate::engine::{Accelerator, EngineId};
use crate::hardware::Hardware;
use crate::plan::variant::{self, Machine, Merit, Unjudged};
use crate::plan::{Installed, Request, Verdict};
use crate::profile::{ModelProfile, Size, Variant};

/// How well a model fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// With room.
    Fits,
    /// Only when the engine needs less than it usually does.
    Tight,
    /// It does not.
    No,
    /// Nobody says how large it is, or none of its forms is for this machine.
    Unknown,
}

impl Fit {
    /// For the table.
    pub fn word(self) -> &'static str {
        match self {
            Fit::Fits => "fits",
            Fit::Tight => "tight",
            Fit::No => "no",
            Fit::Unknown => "unknown",
        }
    }
}

/// A model on this machine, in the form that does best here.
#[derive(Debug, Clone, Serialize)]
pub struct Candidate {
    /// The profile's name.
    pub name: String,
    /// How well it fits.
    pub fit: Fit,
    /// Why not, or what will work less well than one may expect.
    pub notes: Vec<String>,
    /// The form: its quantisation.
    pub quantization: Option<String>,
    /// Where the form is, on Hugging Face.
    pub hugging_face: Option<String>,
    /// On ModelScope.
    pub model_scope: Option<String>,
    /// Ollama's tag.
    pub ollama: Option<String>,
    /// What would run it.
    pub engine: Option<EngineId>,
    /// On what.
    pub accelerator: Option<Accelerator>,
    /// GPUs it would be spread over.
    pub tensor_parallel: Option<u32>,
    /// The context it would get, tokens.
    pub context: Option<u64>,
    /// Size of the weights.
    pub weights_bytes: Option<u64>,
    /// That size is estimated.
    pub weights_estimated: bool,
    /// How much more memory it would need.
    pub missing_bytes: Option<u64>,
    /// What it can take and do.
    pub capabilities: Vec<String>,
    /// Part of it stays in main memory.
    pub offloaded: bool,
    /// Where weights of it are, when some are on this machine already.
    pub here: Option<PathBuf>,
    /// In which forms.
    #[serde(skip)]
    pub here_as: Vec<String>,
    #[serde(skip)]
    pub gpus: usize,
    #[serde(skip)]
    merit: Merit,
}

/// Every profile on this machine, the most useful first: what fits before what is tight and what does not, then as
/// [`Merit`] says.
pub fn ranked<'a>(
    profiles: impl Iterator<Item = &'a ModelProfile>,
    hardware: &Hardware,
    installed: &[Installed],
) -> Vec<Candidate> {
    let request = Request::default();
    let machine = Machine { request: &request, hardware, installed };
    let mut candidates: Vec<Candidate> = profiles.filter(|p| !p.scripted).map(|p| judged(p, machine)).collect();
    candidates.sort_by(|a, b| {
        let by_merit = b.merit.partial_cmp(&a.merit).unwrap_or(Ordering::Equal);
        a.fit.cmp(&b.fit).then(by_merit).then(a.name.cmp(&b.name))
    });
    candidates
}

/// The form of a model that does best here.
fn judged(profile: &ModelProfile, machine: Machine<'_>) -> Candidate {
    let judged = match variant::best(profile, machine) {
        Ok(judged) => judged,
        Err(why) => {
            let why = match why {
                Unjudged::NotMadeForIt => "none of its forms is made for this machine",
                Unjudged::NoSize => "nobody says how large it is",
            };
            return Candidate { notes: vec![why.to_owned()], ..candidate(profile, Fit::Unknown, None) };
        }
    };
    let variant = judged.variant;
    let form = Some((&*variant, judged.size));
    match judged.outcome {
        Ok(plan) => {
            let fit = match (judged.size, plan.verdict) {
                (None, _) => Fit::Unknown,
                (_, Verdict::Fits) => Fit::Fits,
                (_, Verdict::Tight) => Fit::Tight,
            };
            let known = candidate(profile, fit, form);
            if fit == Fit::Unknown {
                return Candidate { notes: plan.warnings, ..known };
            }
            Candidate {
                merit: variant::merit(profile, &plan),
                engine: Some(plan.engine),
                accelerator: Some(plan.accelerator),
                offloaded: plan.speed() == 1,
                gpus: plan.devices.len(),
                tensor_parallel: Some(plan.tensor_parallel),
                context: Some(plan.max_model_len),
                notes: plan.warnings,
                ..known
            }
        }
        Err(error) => Candidate {
            notes: vec![error.to_string()],
            missing_bytes: error.missing_bytes(),
            ..candidate(profile, Fit::No, form)
        },
    }
}

/// What is known without a plan.
fn candidate(profile: &ModelProfile, fit: Fit, form: Option<(&Variant, Option<Size>)>) -> Candidate {
    let variant = form.map(|(variant, _)| variant);
    let size = form.and_then(|(_, size)| size);
    Candidate {
        name: profile.name.clone(),
        fit,
        notes: Vec::new(),
        quantization: variant.map(|v| v.quantization.clone()),
        hugging_face: variant.and_then(|v| v.hugging_face.clone()),
        model_scope: variant.and_then(|v| v.model_scope.clone()),
        ollama: variant.and_then(|v| v.ollama.clone()),
        engine: None,
        accelerator: None,
        tensor_parallel: None,
        context: None,
        weights_bytes: size.map(|s| s.bytes),
        weights_estimated: size.is_some_and(|s| s.estimated),
        missing_bytes: None,
        capabilities: profile.capabilities.clone(),
        offloaded: false,
        here: None,
        here_as: Vec::new(),
        gpus: 0,
        merit: (false, false, false, false, profile.parameters_b.unwrap_or(0.0)),
    }
}

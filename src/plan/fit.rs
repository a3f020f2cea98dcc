//! What fits: the sizes of a launch, by where the engine keeps the model.

use super::choose::Choice;
use super::{Bill, Facts, Offload, PlanError, Reason, Verdict, WANTED_CONTEXT, gpus, pool};
use crate::engine::{Accelerator, EngineId};
use crate::profile::EngineRecipe;

/// What fits, with the choices made on the way.
#[derive(Debug, Clone)]
pub(super) struct Fitted {
    pub verdict: Verdict,
    pub devices: Vec<u32>,
    pub tensor_parallel: u32,
    pub utilization: f64,
    pub context: u64,
    pub kv_bytes_per_token: Option<u64>,
    pub kv_cache_gib: u64,
    /// Flags the plan adds.
    pub args: Vec<String>,
    pub bills: Vec<Bill>,
    pub reasons: Vec<Reason>,
    pub warnings: Vec<String>,
    /// What of the model lies where, on engines that can use several places.
    pub offload: Option<Offload>,
    /// What llama.cpp's cache of prompts may grow to, bytes.
    pub prompt_cache_bytes: Option<u64>,
}

/// Finds sizes that fit, or says by how much they do not.
pub(super) fn fit(facts: &Facts<'_>, choice: &Choice<'_>, recipe: &EngineRecipe) -> Result<Fitted, PlanError> {
    match (choice.engine, choice.accelerator) {
        (EngineId::Vllm, Accelerator::Cpu) => pool::processor(facts, recipe),
        (EngineId::Vllm, _) => gpus::fit(facts, choice, recipe),
        (EngineId::LlamaCpp, _) => pool::llama_cpp(facts, choice, recipe),
        (EngineId::Ollama, _) => pool::ollama(facts, choice, recipe),
    }
}

pub(super) fn reason(choice: impl Into<String>, because: impl Into<String>) -> Reason {
    Reason { choice: choice.into(), because: because.into() }
}

/// The context to aim at, and why.
pub(super) fn wanted_context(facts: &Facts<'_>, asked: Option<u64>) -> Result<(u64, String), PlanError> {
    let own = facts.weights.context_max.or(facts.profile.and_then(|p| p.context_max));
    if let Some(asked) = asked {
        if let Some(own) = own
            && asked > own
        {
            return Err(PlanError::Impossible(
                format!("a context of {asked} tokens is more than the model was made for ({own})"),
                vec![format!("use `--context {own}` or less")],
            ));
        }
        return Ok((asked, "you asked for it".into()));
    }
    Ok(match own {
        Some(own) if own <= WANTED_CONTEXT => (own, "it is the model's own".into()),
        Some(own) => (
            WANTED_CONTEXT,
            format!("enough for long agent sessions; the model's own is {own}, ask for more with --context"),
        ),
        None => (WANTED_CONTEXT, "the model does not say its own".into()),
    })
}

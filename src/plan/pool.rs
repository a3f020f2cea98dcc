//! Engines that see GPUs and main memory as one: llama.cpp is told how to lay a model out over both, Ollama does so by
//! itself. vLLM on the processor has main memory only.

use super::choose::Choice;
use super::fit::{Fitted, reason, wanted_context};
use super::flags::Flags;
use super::llama_flags::LlamaFlags;
use super::offload::Offload;
use super::places::{Places, Pool, least, longest, main_memory, refusal};
use super::prompts::Prompts;
use super::{AGENT_CONTEXT, Bill, Facts, MEMORY, PlanError, Verdict};
use crate::model::{CacheTerms, Format};
use crate::output::bytes;
use crate::profile::EngineRecipe;

const GIB: u64 = 1 << 30;

/// Where the KV cache cannot be priced, a fit is sure only with a seventh of the weights to spare.
const SPARE: u64 = 7;

/// vLLM on the processor.
pub(super) fn processor(facts: &Facts<'_>, recipe: &EngineRecipe) -> Result<Fitted, PlanError> {
    let flags = Flags::read(recipe.args.iter().chain(&facts.request.engine_args));
    let asked = flags.context.or(facts.request.context);
    let (wanted, because) = wanted_context(facts, asked)?;
    let shape = facts.weights.shape.as_ref();
    let terms = CacheTerms { element_bytes: flags.element_bytes(false), ..CacheTerms::default() };
    let layout = shape.map(|s| s.layout(&terms));
    let weights = facts.weights.bytes.unwrap_or(0);
    // Three Python processes (measured 4 GB together).
    let overhead = 4 * GIB;
    let budget = main_memory(facts);
    // The cache is told in whole GiB.
    let room = budget.saturating_sub(weights).saturating_sub(overhead) / GIB * GIB;
    let needed = |tokens: u64| layout.as_ref().map_or(0, |l| l.needed(tokens));
    let longest = longest(wanted, |tokens| room > 0 && needed(tokens) <= room);
    let bill = |context: u64| Bill {
        place: MEMORY.into(),
        weights_bytes: weights,
        kv_bytes_needed: needed(context).div_ceil(GIB).saturating_mul(GIB),
        kv_bytes_available: room,
        kv_tokens: layout.as_ref().map(|l| l.tokens_in(room, context)),
        activation_bytes: overhead,
        graph_bytes: 0,
        overhead_bytes: overhead,
        budget_bytes: budget,
        total_bytes: facts.hardware.memory.total_bytes,
    };
    let least = least(asked, wanted);
    if longest < least {
        return Err(refusal(facts, longest, least, vec![bill(least)], Vec::new()));
    }
    let mut warnings = unpriced(facts);
    warnings.push("vLLM on the processor is for trying things out; a GGUF with llama.cpp is faster there".into());
    Ok(Fitted {
        verdict: Verdict::Fits,
        devices: Vec::new(),
        tensor_parallel: 1,
        utilization: 0.0,
        context: longest,
        kv_bytes_per_token: layout.as_ref().map(crate::model::Layout::bytes_per_token),
        kv_cache_gib: needed(longest).div_ceil(GIB).max(1),
        args: Vec::new(),
        bills: vec![bill(longest)],
        reasons: vec![reason(format!("context: {longest}"), shortened(longest, wanted, because))],
        warnings,
        offload: None,
        prompt_cache_bytes: None,
    })
}

/// llama.cpp, on GPUs, in memory or both.
pub(super) fn llama_cpp<'a>(
    facts: &Facts<'a>,
    choice: &Choice<'a>,
    recipe: &EngineRecipe,
) -> Result<Fitted, PlanError> {
    let flags = LlamaFlags::read(recipe.args.iter().chain(&facts.request.engine_args));
    let own = facts.weights.context_max.or(facts.profile.and_then(|p| p.context_max));
    let asked = flags.context_of_one(own).or(facts.request.context);
    let (wanted, because) = wanted_context(facts, asked)?;
    let pool = Pool::new(facts, choice.devices.clone(), flags);
    let chosen = pool.choose(asked, wanted);
    let Some((context, places)) = chosen else { return Err(pool.refusal(asked, wanted)) };
    let mut reasons = Vec::new();
    let mut warnings = Vec::new();
    let mut args = Vec::new();
    if !pool.gpus.is_empty() {
        pool.explain(&places, &mut reasons, &mut warnings);
        // Without a shape the numbers would be guesses: llama.cpp then fits the model itself.
        if facts.weights.shape.is_some() || places.layout.offload.whole() {
            args = pool.args(&places.layout.offload);
        }
    }
    if pool.flags.slots.is_some_and(|n| n > 1) && !pool.flags.shared {
        let slots = pool.flags.slots.unwrap_or(1);
        reasons.push(reason(format!("{slots} requests at once"), format!("each with {context} tokens of its own")));
    }
    let because = pool.because(context, wanted, asked, &places, because);
    reasons.push(reason(format!("context: {context}"), because));
    let prompts = Prompts::new(facts, choice, &pool, &places);
    reasons.extend(prompts.reason);
    args.extend(prompts.args);
    warnings.extend(prompts.warning);
    warnings.extend(unpriced(facts));
    let mut fitted = pool.fitted(context, places, args, reasons, warnings);
    fitted.prompt_cache_bytes = prompts.bytes;
    Ok(fitted)
}

/// Ollama lays a model out itself; what it does is foretold by the same rules, because it runs llama.cpp.
pub(super) fn ollama<'a>(facts: &Facts<'a>, choice: &Choice<'a>, recipe: &EngineRecipe) -> Result<Fitted, PlanError> {
    let own = facts.weights.context_max.or(facts.profile.and_then(|p| p.context_max));
    let asked = facts.request.context;
    let env = |name: &str| recipe.env.get(name).cloned();
    let kind = env("OLLAMA_KV_CACHE_TYPE");
    let flags = LlamaFlags {
        // It gives llama.cpp the context of one times OLLAMA_NUM_PARALLEL, which llmup sets to 1.
        slots: env("OLLAMA_NUM_PARALLEL").and_then(|n| n.parse().ok()).filter(|n| *n > 0),
        keys: kind.clone(),
        values: kind,
        ..LlamaFlags::default()
    };
    let told = "Ollama's own default can be 4096, less than a coding agent's first prompt";
    if facts.weights.bytes.is_none() {
        // Whether more would fit is not known, so no more is asked for than agents need.
        let (context, because) = match asked {
            Some(_) => wanted_context(facts, asked)?,
            None => (own.unwrap_or(u64::MAX).min(AGENT_CONTEXT), told.into()),
        };
        return Ok(Fitted {
            verdict: Verdict::Fits,
            devices: Vec::new(),
            tensor_parallel: 1,
            utilization: 0.0,
            context,
            kv_bytes_per_token: None,
            kv_cache_gib: 0,
            args: Vec::new(),
            bills: Vec::new(),
            reasons: vec![reason(format!("context: {context}"), because)],
            warnings: vec![
                "the size of this tag is not known before it is pulled; Ollama says if it does not fit".into(),
            ],
            offload: None,
            prompt_cache_bytes: None,
        });
    }
    let (wanted, because) = match (asked, &facts.weights.shape) {
        // What the cache takes is not known either.
        (None, None) => (own.unwrap_or(u64::MAX).min(AGENT_CONTEXT), told.to_owned()),
        _ => wanted_context(facts, asked)?,
    };
    let pool = Pool::new(facts, choice.devices.clone(), flags);
    let Some((context, places)) = pool.choose(asked, wanted) else { return Err(pool.refusal(asked, wanted)) };
    let (mut reasons, mut warnings) = (Vec::new(), Vec::new());
    if !pool.gpus.is_empty() {
        pool.explain(&places, &mut reasons, &mut warnings);
        if let Some(first) = reasons.first_mut() {
            first.because += "; Ollama decides this itself";
        }
    }
    let because = pool.because(context, wanted, asked, &places, because);
    reasons.push(reason(format!("context: {context}"), because));
    warnings.extend(unpriced(facts));
    let mut fitted = pool.fitted(context, places, Vec::new(), reasons, warnings);
    // It sees them all.
    fitted.devices = Vec::new();
    Ok(fitted)
}

fn shortened(context: u64, wanted: u64, because: String) -> String {
    if context < wanted { format!("the longest that fits; wanted were {wanted}") } else { because }
}

fn unpriced(facts: &Facts<'_>) -> Vec<String> {
    let none = facts.weights.shape.is_none();
    let said = "the model's shape is unknown, so the KV cache is not part of the bill";
    none.then(|| said.to_owned()).into_iter().collect()
}

impl<'a> Pool<'a> {
    /// The flags that say the layout, where the user's do not.
    fn args(&self, offload: &Offload) -> Vec<String> {
        let mut args = Vec::new();
        let mut flag = |name: &str, value: String| args.extend([name.to_owned(), value]);
        if self.flags.by_hand {
            return args;
        }
        if self.flags.gpu_layers.is_none() {
            // 999 is "all" in every version; the words came later.
            let all = offload.gpu_layers == offload.layers;
            let blocks = if offload.gpu_layers == 0 { 0 } else { offload.gpu_layers + 1 };
            flag("-ngl", if all { "999".into() } else { blocks.to_string() });
        }
        if offload.cpu_expert_layers > 0 && self.flags.cpu_expert_layers.is_none() {
            flag("--n-cpu-moe", offload.cpu_expert_layers.to_string());
        }
        if !offload.tensor_split.is_empty() && !self.flags.split {
            let split: Vec<String> = offload.tensor_split.iter().map(u64::to_string).collect();
            flag("--tensor-split", split.join(","));
        }
        args
    }

    /// Says where the model goes, and what that costs.
    fn explain(&self, places: &Places<'a>, reasons: &mut Vec<super::Reason>, warnings: &mut Vec<String>) {
        let offload = &places.layout.offload;
        let (layers, on_gpus) = (offload.layers, offload.gpu_layers);
        let gpus = match places.gpus.len() {
            1 => "the GPU".to_owned(),
            n => format!("{n} GPUs"),
        };
        let held = places.layout.gpus.iter().map(|h| h.weights.saturating_add(h.cache)).fold(0, u64::saturating_add);
        let left = bytes(places.layout.memory.weights);
        let known = self.facts.weights.shape.is_some();
        let (choice, because) = match () {
            () if offload.whole() => (
                "everything on the GPU".to_owned(),
                format!(
                    "{gpus} hold{s} weights and context, {size}",
                    s = if places.gpus.len() == 1 { "s" } else { "" },
                    size = bytes(held)
                ),
            ),
            () if on_gpus == 0 => {
                ("nothing on the GPU".to_owned(), "not even one layer and its context fit there".to_owned())
            }
            () if !known => {
                ("part on the GPU".to_owned(), format!("{gpus} cannot hold it all; {left} of weights stay in memory"))
            }
            () if on_gpus == layers => (
                format!("experts of {} of {layers} layers in memory", offload.cpu_expert_layers),
                format!("{gpus} cannot hold all experts; {left} of them stay in memory, everything else is on the GPU"),
            ),
            () => (
                format!("{on_gpus} of {layers} layers on the GPU"),
                match offload.cpu_expert_layers {
                    0 => format!("{gpus} cannot hold them all; {left} of weights stay in memory"),
                    _ => format!("{gpus} cannot hold them all; {left} of weights, all experts, stay in memory"),
                },
            ),
        };
        let because = if self.flags.gpu_layers.is_some() || self.flags.cpu_expert_layers.is_some() {
            format!("you asked for it; {left} of weights stay in memory")
        } else {
            because
        };
        reasons.push(reason(choice, because));
        let told = self.facts.weights.format == Format::Gguf;
        if told && !offload.tensor_split.is_empty() && !self.flags.split {
            let split: Vec<String> = offload.tensor_split.iter().map(u64::to_string).collect();
            let why = "llama.cpp's own proportions would overfill one of them";
            reasons.push(reason(format!("layers per GPU: {}", split.join(", ")), why));
        }
        if self.flags.by_hand {
            warnings.push("with `--override-tensor` tensors are placed by hand; the bill does not know where".into());
        }
        if offload.whole() {
            return;
        }
        warnings.push(match on_gpus == layers {
            true => format!(
                "{left} of experts are computed by the processor: expect a fraction of the speed of a GPU that holds it all"
            ),
            false => format!(
                "{left} of weights are computed by the processor: many times slower than a GPU that holds it all"
            ),
        });
    }

    fn because(&self, context: u64, wanted: u64, asked: Option<u64>, places: &Places<'a>, because: String) -> String {
        if context >= wanted || asked.is_some() {
            return because;
        }
        if !self.gpus.is_empty() && places.layout.offload.whole() {
            return format!("the longest with everything on the GPU; wanted were {wanted}");
        }
        if context == AGENT_CONTEXT && self.places(wanted).is_some() {
            return "what agents need; more would move more of the model off the GPU".into();
        }
        format!("the longest that fits; wanted were {wanted}")
    }

    fn fitted(
        &self,
        context: u64,
        places: Places<'a>,
        args: Vec<String>,
        reasons: Vec<super::Reason>,
        warnings: Vec<String>,
    ) -> Fitted {
        let bills = self.bills(&places, context);
        let spare = bills.iter().map(|b| b.budget_bytes.saturating_sub(b.needed_bytes())).fold(0, u64::saturating_add);
        let shape = self.facts.weights.shape.as_ref();
        let unsure = shape.is_none() && spare < self.parts.weights / SPARE;
        Fitted {
            verdict: if unsure { Verdict::Tight } else { Verdict::Fits },
            devices: places.gpus.iter().map(|g| g.index).collect(),
            tensor_parallel: 1,
            utilization: 0.0,
            context,
            kv_bytes_per_token: shape.map(|s| self.flags.token_bytes(s)),
            kv_cache_gib: 0,
            args,
            bills,
            reasons,
            warnings,
            offload: (!self.gpus.is_empty()).then_some(places.layout.offload),
            prompt_cache_bytes: None,
        }
    }
}

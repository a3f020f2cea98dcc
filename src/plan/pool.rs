//! Engines that see GPUs and main memory as one: llama.cpp is told how to lay a model out over both, Ollama does so by
//! itself. vLLM on the processor has main memory only.

use super::choose::Choice;
use super::fit::{Fitted, reason, wanted_context};
use super::flags::Flags;
use super::llama_flags::{Layers, LlamaFlags};
use super::offload::{Fixed, Held, Layout, Offload, Parts, Room, lay_out};
use super::{AGENT_CONTEXT, Bill, Facts, LEAST_CONTEXT, PlanError, SMALL_CONTEXT, Verdict, alternatives};
use crate::hardware::Device;
use crate::model::{CacheTerms, Format};
use crate::output::bytes;
use crate::profile::EngineRecipe;

const GIB: u64 = 1 << 30;

/// What stays free on each GPU: llama.cpp's own margin (`--fit-target`, 1024 MiB).
const MARGIN: u64 = GIB;

/// More than these a ggml back end does not take (`GGML_CUDA_MAX_DEVICES`).
const MOST_GPUS: usize = 16;

/// Where the KV cache cannot be priced, a fit is sure only with a seventh of the weights to spare.
const SPARE: u64 = 7;

/// What is left of main memory for an engine: 5 % stay for the rest of the system.
fn main_memory(facts: &Facts<'_>) -> u64 {
    facts.hardware.memory.available_bytes / 20 * 19
}

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
        place: "memory".into(),
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
    warnings.extend(unpriced(facts));
    Ok(pool.fitted(context, places, args, reasons, warnings))
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

/// The longest context up to `wanted` that is possible: all of it, or whole kibitokens.
fn longest(wanted: u64, possible: impl Fn(u64) -> bool) -> u64 {
    if possible(wanted) {
        return wanted;
    }
    let (mut fits, mut over) = (0, wanted.div_ceil(1024));
    while over - fits > 1 {
        let middle = fits + (over - fits) / 2;
        if possible(middle * 1024) { fits = middle } else { over = middle }
    }
    fits * 1024
}

/// What a plan must have: all that was asked for, else what a client can work with at all.
fn least(asked: Option<u64>, wanted: u64) -> u64 {
    if asked.is_some() { wanted } else { LEAST_CONTEXT.min(wanted) }
}

fn shortened(context: u64, wanted: u64, because: String) -> String {
    if context < wanted { format!("the longest that fits; wanted were {wanted}") } else { because }
}

fn unpriced(facts: &Facts<'_>) -> Vec<String> {
    let none = facts.weights.shape.is_none();
    let said = "the model's shape is unknown, so the KV cache is not part of the bill";
    none.then(|| said.to_owned()).into_iter().collect()
}

fn refusal(facts: &Facts<'_>, longest: u64, least: u64, bills: Vec<Bill>, nearest: Vec<String>) -> PlanError {
    let why = match longest {
        0 => "the weights leave no room".into(),
        _ => format!("{least} tokens of context do not fit"),
    };
    PlanError::DoesNotFit { model: alternatives::refused_name(facts), why, bills, nearest, alternatives: Vec::new() }
}

/// A model and the places for it.
struct Pool<'a> {
    facts: &'a Facts<'a>,
    /// The freest first.
    gpus: Vec<&'a Device>,
    /// In the order in which the engine is shown them.
    shown: Vec<&'a Device>,
    flags: LlamaFlags,
    parts: Parts,
    /// Compute buffers, on each GPU that is used or in main memory.
    overhead: u64,
}

/// A layout on chosen GPUs.
struct Places<'a> {
    gpus: Vec<&'a Device>,
    layout: Layout,
}

impl<'a> Pool<'a> {
    fn new(facts: &'a Facts<'a>, shown: Vec<&'a Device>, flags: LlamaFlags) -> Pool<'a> {
        let mut gpus: Vec<&Device> = shown.iter().copied().filter(|d| d.memory_total_bytes > 0).collect();
        gpus.sort_by_key(|d| (std::cmp::Reverse(budget(facts, d)), d.index));
        gpus.truncate(MOST_GPUS);
        let logits = |vocab: u64| vocab.saturating_mul(4).saturating_mul(flags.step.unwrap_or(512));
        let vocab = facts.weights.shape.as_ref().map_or(0, |s| s.vocab);
        let overhead = (GIB / 4).saturating_add(logits(vocab));
        Pool { facts, gpus, shown, parts: Parts::new(facts.weights), flags, overhead }
    }

    fn cache(&self, tokens: u64) -> u64 {
        self.facts.weights.shape.as_ref().map_or(0, |s| self.flags.cache_bytes(s, tokens))
    }

    /// What main memory has beside GPUs that share it.
    fn memory_budget(&self, used: &[&Device]) -> u64 {
        let shared = used.iter().filter(|d| d.unified).map(|d| budget(self.facts, d)).fold(0, u64::saturating_add);
        main_memory(self.facts).saturating_sub(shared)
    }

    /// The layout for a context: on the fewest GPUs of those that hold the most.
    fn places(&self, tokens: u64) -> Option<Places<'a>> {
        let cache = self.cache(tokens);
        let layers = match self.flags.gpu_layers {
            Some(Layers::Some(layers)) => Some(layers),
            Some(Layers::All) => Some(u64::MAX),
            None => None,
        };
        let fixed = Fixed { gpu_layers: layers, cpu_experts: self.flags.cpu_expert_layers };
        let mut best: Option<Places<'a>> = None;
        for count in 0..=self.gpus.len() {
            let freest = || self.gpus.iter().take(count);
            let chosen = |d: &&&Device| freest().any(|own| std::ptr::eq(*own, **d));
            let gpus: Vec<&Device> = self.shown.iter().filter(chosen).copied().collect();
            let rooms: Vec<Room> = gpus
                .iter()
                .map(|d| {
                    let budget = budget(self.facts, d);
                    Room { room: budget.saturating_sub(self.overhead), free: budget.saturating_add(MARGIN) }
                })
                .collect();
            let Some(layout) = lay_out(&self.parts, &rooms, cache, fixed) else { continue };
            let memory = layout.memory.weights.saturating_add(layout.memory.cache);
            let overhead = if layout.offload.gpu_layers == 0 { self.overhead } else { 0 };
            if memory > 0 && memory.saturating_add(overhead) > self.memory_budget(&gpus) {
                continue;
            }
            let size = |o: &Offload| (o.gpu_layers, o.layers - o.cpu_expert_layers.min(o.layers));
            if best.as_ref().is_none_or(|b| size(&layout.offload) > size(&b.layout.offload)) {
                best = Some(Places { gpus, layout });
            }
            if best.as_ref().is_some_and(|b| b.layout.offload.whole()) {
                break;
            }
        }
        best.map(|mut best| {
            if best.layout.offload.gpu_layers == 0 {
                best.gpus.clear();
                best.layout.gpus.clear();
            }
            best
        })
    }

    /// The context and where everything goes. What was asked for is obeyed. Else a context that lets the whole model
    /// stay on the GPUs is worth more than a longer one, as long as an agent can work with it.
    fn choose(&self, asked: Option<u64>, wanted: u64) -> Option<(u64, Places<'a>)> {
        let least = least(asked, wanted);
        if asked.is_some() {
            return self.places(wanted).map(|places| (wanted, places));
        }
        if self.gpus.is_empty() {
            let context = longest(wanted, |tokens| self.places(tokens).is_some());
            return (context >= least).then(|| self.places(context).map(|p| (context, p))).flatten();
        }
        let whole = |tokens: u64| self.places(tokens).is_some_and(|p| p.layout.offload.whole());
        let on_gpus = longest(wanted, whole);
        if on_gpus >= SMALL_CONTEXT.min(wanted) {
            return self.places(on_gpus).map(|p| (on_gpus, p));
        }
        // More than agents need only where it costs the GPUs next to nothing.
        let more = self.cache(wanted).saturating_sub(self.cache(AGENT_CONTEXT));
        let wanted = if more <= self.parts.weights / 16 { wanted } else { wanted.min(AGENT_CONTEXT) };
        let context = longest(wanted, |tokens| self.places(tokens).is_some());
        (context >= least).then(|| self.places(context).map(|p| (context, p))).flatten()
    }

    /// Why nothing fits: the bill of the least that would do, everything that GPUs cannot hold in main memory.
    fn refusal(&self, asked: Option<u64>, wanted: u64) -> PlanError {
        let least = least(asked, wanted);
        let longest = longest(wanted, |tokens| self.places(tokens).is_some());
        let mut nearest = Vec::new();
        if self.flags.gpu_layers.is_some() || self.flags.cpu_expert_layers.is_some() {
            let flags = LlamaFlags { gpu_layers: None, cpu_expert_layers: None, ..self.flags.clone() };
            if Pool::new(self.facts, self.shown.clone(), flags).places(least).is_some() {
                nearest.push("leave out `-ngl` and `--n-cpu-moe`: llmup chooses numbers that fit".into());
            }
        }
        let cache = self.cache(least);
        let rooms: Vec<Room> = self
            .gpus
            .iter()
            .map(|d| Room { room: budget(self.facts, d).saturating_sub(self.overhead), free: budget(self.facts, d) })
            .collect();
        let layout = lay_out(&self.parts, &rooms, cache, Fixed::default());
        let bills = match layout {
            Some(layout) => self.bills(&Places { gpus: self.gpus.clone(), layout }, least),
            None => Vec::new(),
        };
        refusal(self.facts, longest, least, bills, nearest)
    }

    /// One bill per place that holds something.
    fn bills(&self, places: &Places<'a>, context: u64) -> Vec<Bill> {
        let rate = self.facts.weights.shape.as_ref().map(|s| self.flags.token_bytes(s)).filter(|rate| *rate > 0);
        let bill = |place: String, held: &Held, overhead: u64, budget: u64, total: u64| {
            let room = budget.saturating_sub(held.weights).saturating_sub(overhead);
            // Of the whole cache this place holds a part; its room is worth so many tokens of that part.
            let tokens = |_| u128::from(room).saturating_mul(u128::from(context)) / u128::from(held.cache.max(1));
            let tokens = rate.filter(|_| held.cache > 0).map(tokens);
            Bill {
                place,
                weights_bytes: held.weights,
                kv_bytes_needed: held.cache,
                kv_bytes_available: room,
                kv_tokens: tokens.map(|n| u64::try_from(n).unwrap_or(u64::MAX)),
                activation_bytes: overhead,
                graph_bytes: 0,
                overhead_bytes: overhead,
                budget_bytes: budget,
                total_bytes: total,
            }
        };
        let mut bills: Vec<Bill> = Vec::new();
        for (gpu, held) in places.gpus.iter().zip(&places.layout.gpus) {
            if held.weights > 0 {
                let place = format!("GPU {} ({})", gpu.index, gpu.name);
                bills.push(bill(place, held, self.overhead, budget(self.facts, gpu), gpu.memory_total_bytes));
            }
        }
        let memory = &places.layout.memory;
        if memory.weights > 0 || memory.cache > 0 || bills.is_empty() {
            let overhead = if bills.is_empty() { self.overhead } else { 0 };
            let budget = self.memory_budget(&places.gpus);
            bills.push(bill("memory".into(), memory, overhead, budget, self.facts.hardware.memory.total_bytes));
        }
        bills
    }

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
        if self.facts.request.elsewhere {
            let memory = bytes(self.facts.hardware.memory.total_bytes);
            warnings
                .push(format!("this counts on {memory} of main memory there; `--machine FILE` can say another size"));
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
        }
    }
}

/// What an engine may take of a GPU.
fn budget(facts: &Facts<'_>, gpu: &Device) -> u64 {
    let free = gpu.memory_free_bytes.unwrap_or(gpu.memory_total_bytes).min(gpu.memory_total_bytes);
    // What shares main memory has no more of it than is free there, where that is known.
    let shared = gpu.unified && facts.hardware.memory.available_bytes > 0;
    let free = if shared { free.min(main_memory(facts)) } else { free };
    free.saturating_sub(MARGIN)
}

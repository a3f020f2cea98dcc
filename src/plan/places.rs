//! A model over the GPUs and main memory of a machine: which layout a context leads to, which context to choose, and
//! the bill of each place.

use super::llama_flags::{Layers, LlamaFlags};
use super::offload::{Fixed, Held, Layout, Offload, Parts, Room, lay_out};
use super::{AGENT_CONTEXT, Bill, Facts, LEAST_CONTEXT, MEMORY, PlanError, SMALL_CONTEXT, alternatives};
use crate::hardware::Device;

const GIB: u64 = 1 << 30;

/// What stays free on each GPU: llama.cpp's own margin (`--fit-target`, 1024 MiB).
const MARGIN: u64 = GIB;

/// More than these a ggml back end does not take (`GGML_CUDA_MAX_DEVICES`).
const MOST_GPUS: usize = 16;

/// What is left of main memory for an engine: 5 % stay for the rest of the system.
pub(super) fn main_memory(facts: &Facts<'_>) -> u64 {
    facts.hardware.memory.available_bytes / 20 * 19
}

/// The longest context up to `wanted` that is possible: all of it, or whole kibitokens.
pub(super) fn longest(wanted: u64, possible: impl Fn(u64) -> bool) -> u64 {
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
pub(super) fn least(asked: Option<u64>, wanted: u64) -> u64 {
    if asked.is_some() { wanted } else { LEAST_CONTEXT.min(wanted) }
}

/// Why there is no plan: what falls short, and the bill of it.
pub(super) fn refusal(
    facts: &Facts<'_>,
    longest: u64,
    least: u64,
    bills: Vec<Bill>,
    nearest: Vec<String>,
) -> PlanError {
    let why = match longest {
        0 => "the weights leave no room".into(),
        _ => format!("{least} tokens of context do not fit"),
    };
    PlanError::DoesNotFit { model: alternatives::refused_name(facts), why, bills, nearest, alternatives: Vec::new() }
}

/// A model and the places for it.
pub(super) struct Pool<'a> {
    pub facts: &'a Facts<'a>,
    /// The freest first.
    pub gpus: Vec<&'a Device>,
    /// In the order in which the engine is shown them.
    pub shown: Vec<&'a Device>,
    pub flags: LlamaFlags,
    pub parts: Parts,
    /// Compute buffers, on each GPU that is used or in main memory.
    pub overhead: u64,
}

/// A layout on chosen GPUs.
pub(super) struct Places<'a> {
    pub gpus: Vec<&'a Device>,
    pub layout: Layout,
}

impl<'a> Pool<'a> {
    pub(super) fn new(facts: &'a Facts<'a>, shown: Vec<&'a Device>, flags: LlamaFlags) -> Pool<'a> {
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

    /// What main memory has beside the GPUs. Where they share it there is nothing beside: what they may use of it is all
    /// that counts, unless the user's flags divide it.
    fn memory_budget(&self, used: &[&Device]) -> u64 {
        let divided = self.flags.gpu_layers.is_some() || self.flags.cpu_expert_layers.is_some();
        if !divided && self.gpus.iter().any(|d| d.unified) {
            return 0;
        }
        let shared = used.iter().filter(|d| d.unified).map(|d| budget(self.facts, d)).fold(0, u64::saturating_add);
        main_memory(self.facts).saturating_sub(shared)
    }

    /// The layout for a context: on the fewest GPUs of those that hold the most.
    pub(super) fn places(&self, tokens: u64) -> Option<Places<'a>> {
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
    pub(super) fn choose(&self, asked: Option<u64>, wanted: u64) -> Option<(u64, Places<'a>)> {
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
    pub(super) fn refusal(&self, asked: Option<u64>, wanted: u64) -> PlanError {
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
    pub(super) fn bills(&self, places: &Places<'a>, context: u64) -> Vec<Bill> {
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
                let place = super::place(gpu);
                bills.push(bill(place, held, self.overhead, budget(self.facts, gpu), gpu.memory_total_bytes));
            }
        }
        let memory = &places.layout.memory;
        if memory.weights > 0 || memory.cache > 0 || bills.is_empty() {
            let overhead = if bills.is_empty() { self.overhead } else { 0 };
            let budget = self.memory_budget(&places.gpus);
            bills.push(bill(MEMORY.into(), memory, overhead, budget, self.facts.hardware.memory.total_bytes));
        }
        bills
    }
}

/// What an engine may take of a GPU.
fn budget(facts: &Facts<'_>, gpu: &Device) -> u64 {
    let free = gpu.memory_free_bytes.unwrap_or(gpu.memory_total_bytes).min(gpu.memory_total_bytes);
    // What shares main memory has no more of it than is free there, where that is known.
    let shared = gpu.unified && facts.hardware.memory.available_bytes > 0;
    let free = if shared { free.min(main_memory(facts)) } else { free };
    // Of memory that is shared the rest of the system has its part already.
    if shared { free } else { free.saturating_sub(MARGIN) }
}

//! What else would do: beside a plan what is better in some way, beside a refusal what fits. Each is planned before it
//! is offered.

use super::offer::{Alternative, Change, Words};
use super::variant::{self, Machine, best};
use super::{Bill, Facts, LEAST_CONTEXT, LaunchPlan, MEMORY, PlanError, Request, WANTED_CONTEXT, plan, platform};
use crate::engine::EngineId;
use crate::hardware::Hardware;
use crate::host::Os;
use crate::model::{Format, Weights};
use crate::output::bytes;
use crate::profile::ModelProfile;

const GIB: u64 = 1 << 30;

/// What to call the model.
pub(super) fn name(facts: &Facts<'_>) -> String {
    let path = facts.weights.path.as_deref().and_then(|p| p.file_name()).map(|n| n.to_string_lossy().into_owned());
    facts.profile.map(|p| p.name.clone()).or(path).or(facts.weights.tag.clone()).unwrap_or_else(|| "the model".into())
}

/// The same in a refusal: of weights that are not here yet it matters which ones are meant.
pub(super) fn refused_name(facts: &Facts<'_>) -> String {
    match &facts.weights.quantization {
        Some(form) if facts.profile.is_some_and(|p| !p.scripted) && !variant::is_here(facts.weights) => {
            format!("{} as {form}", name(facts))
        }
        _ => name(facts),
    }
}

/// Adds what else would do to an outcome, nearest first.
pub fn add(facts: &Facts<'_>, words: &Words, outcome: &mut Result<LaunchPlan, PlanError>) {
    let search = Search { facts, words };
    match outcome {
        Ok(made) => made.alternatives = search.beside(made),
        Err(PlanError::DoesNotFit { bills, alternatives, .. }) => *alternatives = search.instead(bills),
        Err(_) => {}
    }
}

/// A plan of the same model.
struct Found {
    plan: LaunchPlan,
    /// The quantisation, when it is another.
    as_form: Option<String>,
    weights_bytes: Option<u64>,
}

struct Search<'a> {
    facts: &'a Facts<'a>,
    words: &'a Words,
}

impl Search<'_> {
    /// Beside a plan: more context, then what the profile has that is better.
    fn beside(&self, made: &LaunchPlan) -> Vec<Alternative> {
        let mut found = Vec::new();
        let own = self.facts.weights.context_max.or(self.facts.profile.and_then(|p| p.context_max));
        if self.facts.request.context.is_none()
            && let Some(own) = own.filter(|own| *own > made.max_model_len)
        {
            found.extend(self.longer(made, own));
        }
        if made.speed() == 1 {
            found.extend(self.whole(made));
        }
        if made.max_model_len < own.unwrap_or(WANTED_CONTEXT).min(WANTED_CONTEXT) {
            found.extend(self.smaller_cache().filter(|a| a.max_model_len > Some(made.max_model_len)));
        }
        found.extend(self.other_form(Some(made)));
        if made.speed() == 1
            && let Some(own) = self.facts.profile
        {
            let faster = self.fitting(|p| family(&p.name) == family(&own.name), |plan| plan.speed() == 2);
            found.extend(faster.into_iter().map(|a| Alternative { change: Change::Sibling, ..a }));
        }
        found
    }

    /// The longest context there can be when it is asked for, if it is clearly longer.
    fn longer(&self, made: &LaunchPlan, own: u64) -> Option<Alternative> {
        let longest = self.longest(made.max_model_len, own, self.facts.request, |_| true);
        let clearly = |plan: &LaunchPlan| plan.max_model_len / 5 >= made.max_model_len / 4;
        let (found, request) = longest.filter(|(found, _)| clearly(&found.plan))?;
        let mut what = format!("{} tokens of context", found.plan.max_model_len);
        if found.plan.speed() < made.speed() {
            what += ", with less of the model on the GPU";
        }
        if found.plan.devices.len() > made.devices.len() {
            what += &format!(", on {} GPUs", found.plan.devices.len());
        }
        Some(self.same_model(Change::Context, what, found, &request))
    }

    /// The longest context that lets everything stay on the GPU, where the plan does not.
    fn whole(&self, made: &LaunchPlan) -> Option<Alternative> {
        let (least, most) = (LEAST_CONTEXT - 1024, made.max_model_len);
        let (found, request) = self.longest(least, most, self.facts.request, |found| found.plan.speed() == 2)?;
        let what = format!("{} tokens of context, everything on the GPU", found.plan.max_model_len);
        Some(self.same_model(Change::Context, what, found, &request))
    }

    /// Instead of a plan: from what changes least to what changes most.
    fn instead(&self, bills: &[Bill]) -> Vec<Alternative> {
        let mut found = Vec::new();
        found.extend(self.shorter());
        found.extend(self.smaller_cache());
        found.extend(self.other_form(None));
        found.extend(self.processor_holds(bills));
        found.extend(self.other_models());
        found.extend(self.more_memory(bills));
        found.extend(self.two_machines(bills));
        found
    }

    /// Fewer tokens than were asked for: as many as could be asked for, or clearly more when none are, because then the
    /// engine may be told to serve fewer at once.
    fn shorter(&self) -> Vec<Alternative> {
        let names = ["--max-model-len", "-c", "--ctx-size"];
        let engine_args = without(&self.facts.request.engine_args, &names);
        let free = Request { context: None, engine_args, ..self.facts.request.clone() };
        let changed = self.facts.request.context.is_some() || free.engine_args != self.facts.request.engine_args;
        let Some(longest) = self.planned(&free).filter(|_| changed) else { return Vec::new() };
        let most = longest.plan.max_model_len;
        let said = |tokens: u64| format!("{tokens} tokens of context");
        let mut found = Vec::new();
        let asked = self.longest(LEAST_CONTEXT.saturating_sub(1024), most, &free, |_| true);
        let asked_most = asked.as_ref().map_or(0, |(found, _)| found.plan.max_model_len);
        if let Some((plan, request)) = asked {
            found.push(self.same_model(Change::Context, said(asked_most), plan, &request));
        }
        if asked_most < most / 4 * 3 {
            let what = said(most) + ", fewer requests at once";
            found.push(self.same_model(Change::Context, what, longest, &free));
        }
        found
    }

    /// The longest context above `fits` and up to `most` that can be asked for; all of it, or whole kibitokens.
    fn longest(
        &self,
        fits: u64,
        most: u64,
        request: &Request,
        good: impl Fn(&Found) -> bool,
    ) -> Option<(Found, Request)> {
        let at = |tokens: u64| {
            let request = Request { context: Some(tokens), ..request.clone() };
            self.planned(&request).filter(&good).map(|found| (found, request))
        };
        let mut longest = at(most);
        let (mut fits, mut over) = (fits / 1024, most / 1024);
        while longest.as_ref().is_none_or(|(_, request)| request.context != Some(most)) && over.saturating_sub(fits) > 1
        {
            let middle = fits + (over - fits) / 2;
            match at(middle * 1024) {
                Some(found) => (fits, longest) = (middle, Some(found)),
                None => over = middle,
            }
        }
        longest
    }

    /// A KV cache of 8 bits.
    fn smaller_cache(&self) -> Option<Alternative> {
        let request = self.facts.request;
        let has = |name: &str| request.engine_args.iter().any(|arg| arg.split('=').next() == Some(name));
        let shape = self.facts.weights.shape.as_ref()?;
        let (engine, what, args): (_, _, &[&str]) = match self.facts.weights.format {
            Format::Safetensors if !has("--kv-cache-dtype") && !shape.kv_fp8 && self.computes_in_fp8() => {
                (EngineId::Vllm, "an FP8 KV cache", &["--kv-cache-dtype", "fp8"])
            }
            Format::Gguf if !["-ctk", "--cache-type-k", "-ctv", "--cache-type-v"].into_iter().any(has) => {
                (EngineId::LlamaCpp, "a Q8 KV cache", &["--cache-type-k", "q8_0", "--cache-type-v", "q8_0"])
            }
            _ => return None,
        };
        let engine_args = request.engine_args.iter().cloned().chain(args.iter().map(|a| (*a).to_owned())).collect();
        let request = Request { engine_args, ..request.clone() };
        let found = self.planned(&request).filter(|found| found.plan.engine == engine)?;
        let what = format!("{} tokens of context with {what}", found.plan.max_model_len);
        Some(self.same_model(Change::KvDtype, what, found, &request))
    }

    /// FP8 caches work on sm_89 and newer only: on Ampere some back ends refuse them.
    fn computes_in_fp8(&self) -> bool {
        let mut gpus = self.facts.hardware.nvidia().peekable();
        let capable = |architecture: Option<&str>| architecture.and_then(|a| a.parse::<f64>().ok()) >= Some(8.9);
        gpus.peek().is_some() && gpus.all(|d| capable(d.architecture.as_deref()))
    }

    /// Another download of the same model: beside a plan only when it is better, in the order in which one would be
    /// picked.
    fn other_form(&self, made: Option<&LaunchPlan>) -> Option<Alternative> {
        let profile = self.facts.profile?;
        // Flags belong to an engine, and another form may need another engine.
        let request = Request { engine: None, engine_args: Vec::new(), ..self.facts.request.clone() };
        let judged = best(profile, self.on(&request)).ok()?;
        let plan = judged.outcome.ok()?;
        let same = judged.weights.format == self.facts.weights.format
            && judged.weights.bytes == self.facts.weights.bytes
            && judged.weights.quantization == self.facts.weights.quantization;
        let better = |made: &LaunchPlan| {
            let size = |bytes: Option<u64>| bytes.unwrap_or(0) / 16 * 17;
            variant::rank(&plan, &judged.weights, judged.size) > variant::rank(made, self.facts.weights, None)
                && (judged.weights.bytes > Some(size(self.facts.weights.bytes)) || plan.speed() > made.speed())
        };
        if same || !made.is_none_or(better) {
            return None;
        }
        let source = judged.variant.ollama.as_deref().or(judged.variant.hugging_face.as_deref()).unwrap_or_default();
        let size = judged.weights.bytes.map(bytes).unwrap_or_default();
        let what = format!("{} of {size} ({source}), {} tokens", judged.variant.quantization, plan.max_model_len);
        Some(Alternative {
            command: self.words.command(Some(&profile.name), &request),
            weights_bytes: judged.weights.bytes,
            ..alternative(Change::Quantization, what, &plan)
        })
    }

    /// vLLM keeps part of the weights in main memory and fetches it at every step.
    fn processor_holds(&self, bills: &[Bill]) -> Option<Alternative> {
        let Facts { weights, hardware, request, .. } = *self.facts;
        if weights.format != Format::Safetensors || !hardware.has_nvidia() {
            return None;
        }
        let short = bills.iter().map(|b| b.needed_bytes().saturating_sub(b.budget_bytes)).max()?;
        let gpus = u64::try_from(bills.len()).unwrap_or(u64::MAX);
        let all = hardware.memory.available_bytes / 20 * 19 / gpus.max(1) / GIB;
        // The bill may be of more GPUs than the plan takes then; a little more than it says is enough in the end.
        let least = short.div_ceil(GIB).max(1);
        for each in [least, least.saturating_add(2), least.saturating_mul(2)] {
            if each > all {
                return None;
            }
            let mut engine_args = request.engine_args.clone();
            engine_args.extend(["--cpu-offload-gb".to_owned(), each.to_string()]);
            let request = Request { engine_args, ..request.clone() };
            let enough = |found: &Found| (found.plan.devices.len() as u64).saturating_mul(each) <= all * gpus;
            if let Some(found) = self.planned(&request).filter(enough) {
                let what = format!("{each} GiB per GPU kept in main memory, many times slower");
                return Some(self.same_model(Change::Offload, what, found, &request));
            }
        }
        None
    }

    /// Up to two other models, those of the same family before all others.
    fn other_models(&self) -> Vec<Alternative> {
        let own = self.facts.profile;
        let of_family =
            own.map(|own| self.fitting(|p| family(&p.name) == family(&own.name), |_| true)).unwrap_or_default();
        if !of_family.is_empty() {
            return of_family.into_iter().map(|a| Alternative { change: Change::Sibling, ..a }).collect();
        }
        self.fitting(|_| true, |_| true)
    }

    fn fitting(&self, which: impl Fn(&ModelProfile) -> bool, good: impl Fn(&LaunchPlan) -> bool) -> Vec<Alternative> {
        let own = self.facts.profile;
        let others = self.facts.profiles.iter().filter(|p| !p.scripted && own.is_none_or(|own| own.name != p.name));
        let mut fitting = Vec::new();
        for profile in others.filter(|p| which(p)) {
            let context = self.facts.request.context.filter(|c| profile.context_max.is_none_or(|own| *c <= own));
            let request = Request { context, elsewhere: self.facts.request.elsewhere, ..Request::default() };
            let Ok(judged) = best(profile, self.on(&request)) else { continue };
            let (Ok(plan), Some(size)) = (judged.outcome, judged.size) else { continue };
            if !good(&plan) {
                continue;
            }
            let what = format!(
                "{} as {}, {}, {} tokens",
                profile.name,
                judged.variant.quantization,
                bytes(size.bytes),
                plan.max_model_len
            );
            let found = Alternative {
                command: self.words.command(Some(&profile.name), &request),
                weights_bytes: Some(size.bytes),
                ..alternative(Change::OtherModel, what, &plan)
            };
            fitting.push((variant::merit(profile, &plan), found));
        }
        fitting.sort_by(|(a, _), (b, _)| b.partial_cmp(a).unwrap_or(std::cmp::Ordering::Equal));
        fitting.into_iter().take(2).map(|(_, found)| found).collect()
    }

    fn more_memory(&self, bills: &[Bill]) -> Option<Alternative> {
        let short = |b: &Bill| b.needed_bytes().saturating_sub(b.budget_bytes);
        let worst = bills.iter().max_by_key(|b| short(b)).filter(|b| short(b) > 0)?;
        let each = bills.iter().filter(|b| short(b) > 0).count();
        let place = match (worst.place.as_str(), each) {
            (MEMORY, _) => "main memory".to_owned(),
            (_, 1) => "memory on the GPU".to_owned(),
            (_, n) => format!("memory on each of {n} GPUs"),
        };
        Some(Alternative {
            change: Change::MoreMemory,
            what: format!("{} more {place} would be enough", bytes(short(worst))),
            command: None,
            max_model_len: None,
            weights_bytes: self.facts.weights.bytes,
            verdict: None,
        })
    }

    /// The same machine twice, the model in two stages (vLLM's own multi-node mode, 0.33). Not from within WSL, whose
    /// network other machines do not reach by themselves.
    fn two_machines(&self, bills: &[Bill]) -> Option<Alternative> {
        let Facts { weights, hardware, request, .. } = *self.facts;
        if weights.format != Format::Safetensors
            || hardware.os != Os::Linux
            || !platform::has_accelerator(hardware)
            || bills.is_empty()
        {
            return None;
        }
        let count = u32::try_from(hardware.devices.len()).unwrap_or(u32::MAX);
        let second = hardware.devices.iter().map(|d| {
            let index = d.index.saturating_add(count);
            crate::hardware::Device { index, ..d.clone() }
        });
        let devices = hardware.devices.iter().cloned().chain(second).collect();
        let hardware = Hardware { devices, ..hardware.clone() };
        let mut engine_args = request.engine_args.clone();
        engine_args.extend(["--pipeline-parallel-size".to_owned(), "2".to_owned()]);
        let request = Request { engine_args, ..request.clone() };
        let plan = plan(Facts { request: &request, hardware: &hardware, ..*self.facts }).ok()?;
        let what = "two such machines: vLLM with `--pipeline-parallel-size 2 --nnodes 2` on both, `--node-rank` 0 and 1, \
                    `--master-addr` the first, `--headless` on the second";
        Some(Alternative { weights_bytes: weights.bytes, ..alternative(Change::TwoMachines, what.into(), &plan) })
    }

    fn on<'b>(&'b self, request: &'b Request) -> Machine<'b> {
        Machine { request, hardware: self.facts.hardware, installed: self.facts.installed }
    }

    /// The plan of the same model under another request: of the same weights when they are here, else of whatever of
    /// its downloads is best then.
    fn planned(&self, request: &Request) -> Option<Found> {
        let here = !self.words.weights.is_empty();
        match self.facts.profile.filter(|p| !here && !p.scripted && !p.variants.is_empty()) {
            Some(profile) => {
                let judged = best(profile, self.on(request)).ok()?;
                let Weights { format, bytes, quantization, .. } = self.facts.weights;
                let other = judged.weights.format != *format || judged.weights.quantization != *quantization;
                let as_form = other.then(|| judged.variant.quantization.clone());
                let weights_bytes = judged.weights.bytes.or(*bytes);
                Some(Found { plan: judged.outcome.ok()?, as_form, weights_bytes })
            }
            None => {
                let plan = plan(Facts { request, ..*self.facts }).ok()?;
                Some(Found { plan, as_form: None, weights_bytes: self.facts.weights.bytes })
            }
        }
    }

    fn same_model(&self, change: Change, mut what: String, found: Found, request: &Request) -> Alternative {
        if let Some(form) = found.as_form {
            what += &format!(", as {form} with {}", found.plan.engine);
        }
        Alternative {
            command: self.words.command(None, request),
            weights_bytes: found.weights_bytes,
            ..alternative(change, what, &found.plan)
        }
    }
}

fn alternative(change: Change, mut what: String, plan: &LaunchPlan) -> Alternative {
    if matches!(change, Change::Quantization | Change::Sibling | Change::OtherModel) {
        what += match plan.speed() {
            0 => ", on the processor",
            1 => ", in part on the processor",
            _ => "",
        };
    }
    Alternative {
        change,
        what,
        command: None,
        max_model_len: Some(plan.max_model_len),
        weights_bytes: None,
        verdict: Some(plan.verdict),
    }
}

/// `qwen` of `qwen3-coder-next`: what siblings have in common.
fn family(name: &str) -> &str {
    name.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or(name)
}

/// Arguments without some flags and their values.
fn without(args: &[String], names: &[&str]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        match arg.split_once('=') {
            Some((name, _)) if names.contains(&name) => {}
            _ if names.contains(&arg.as_str()) => {
                rest.next();
            }
            _ => kept.push(arg.clone()),
        }
    }
    kept
}

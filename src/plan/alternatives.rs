//! What else would do: beside a plan what is better in some way, beside a refusal what fits. Each is planned before it
//! is offered.

mod instead;

use super::offer::{Alternative, Change, Words};
use super::variant::{self, Machine, best};
use super::{Facts, LEAST_CONTEXT, LaunchPlan, PlanError, Request, WANTED_CONTEXT, plan};
use crate::engine::EngineId;
use crate::model::{Format, Weights};
use crate::output::bytes;
use crate::profile::ModelProfile;

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

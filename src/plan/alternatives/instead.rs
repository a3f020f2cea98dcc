//! What would do instead of a plan that is refused.

use super::super::offer::{Alternative, Change};
use super::super::{Bill, Facts, LEAST_CONTEXT, MEMORY, Request, plan, platform};
use super::{Found, Search, alternative, family};
use crate::hardware::Hardware;
use crate::host::Os;
use crate::model::Format;
use crate::output::bytes;

const GIB: u64 = 1 << 30;

impl Search<'_> {
    /// Instead of a plan: from what changes least to what changes most.
    pub(super) fn instead(&self, bills: &[Bill]) -> Vec<Alternative> {
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

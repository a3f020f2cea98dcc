//! Plans for machines that a file describes (`llmup plan --machine FILE`). `control` says which model, and what was
//! asked.

use std::path::Path;
use std::sync::OnceLock;

use crate::engine::EngineId;
use crate::error::Explain;
use crate::hardware::Hardware;
use crate::hardware::described::Machine;
use crate::heap::bounded;
use crate::plan::variant::{self, best};
use crate::plan::{self, Facts, LEAST_CONTEXT, LaunchPlan, PlanError, Request, Verdict, Words};
use crate::profile::{self, ModelProfile};

fn profiles() -> &'static [ModelProfile] {
    static ALL: OnceLock<Vec<ModelProfile>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut all = profile::all(Path::new("no/such/folder")).expect("the built-in profiles");
        all.retain(|profile| !profile.scripted);
        all
    })
}

/// Reads the machine, plans one model on it, and holds the plan against what every plan promises.
pub fn machine(body: &[u8], control: &[u8]) {
    let Ok(machine) = bounded(body.len(), || Machine::read(body)) else { return };
    let hardware = machine.hardware();
    let knob = |at: usize| control.get(at).copied().unwrap_or(0);
    let profile = &profiles()[usize::from(knob(0)) % profiles().len()];
    let request = request(knob);
    let machine = variant::Machine { request: &request, hardware: &hardware, installed: &[] };
    let Ok(judged) = best(profile, machine) else { return };
    let facts = Facts {
        request: &request,
        hardware: &hardware,
        weights: &judged.weights,
        profile: Some(profile),
        // All of them take 20 ms.
        profiles: &profiles()[..4],
        installed: &[],
    };
    let mut outcome = judged.outcome;
    if knob(1) & 3 == 1 {
        let words = Words { verb: "plan", model: profile.name.clone(), weights: Vec::new(), machine: Vec::new() };
        plan::alternatives::add(&facts, &words, &mut outcome);
    }
    match &outcome {
        Ok(made) => promised(made, &hardware, &request),
        Err(error) => refused(error),
    }
}

/// From nothing asked to everything at once.
fn request(knob: impl Fn(usize) -> u8) -> Request {
    let asked = |at: usize, bit: u8| knob(2) >> bit & 1 == 1 && knob(at) != 0;
    let flags: &[&[&str]] = &[
        &[],
        &["--kv-cache-dtype", "fp8"],
        &["--max-num-seqs", "3"],
        &["-dp", "2"],
        &["--pipeline-parallel-size", "2"],
        &["--enable-expert-parallel", "--enforce-eager"],
        &["-c", "0", "-np", "4"],
        &["-ngl", "7", "-ncmoe", "3"],
        &["--decode-context-parallel-size", "2", "--cpu-offload-gb", "9"],
        &["--max-model-len", "18446744073709551615"],
    ];
    Request {
        engine: asked(3, 0).then(|| [EngineId::Vllm, EngineId::LlamaCpp, EngineId::Ollama][usize::from(knob(3)) % 3]),
        context: asked(4, 1).then(|| 1u64.checked_shl(u32::from(knob(4))).unwrap_or(u64::MAX).wrapping_sub(1)),
        utilization: asked(5, 2).then(|| f64::from(knob(5)) / 255.0),
        tensor_parallel: asked(6, 3).then(|| u32::from(knob(6))),
        engine_args: flags[usize::from(knob(7)) % flags.len()].iter().map(|word| (*word).to_owned()).collect(),
        elsewhere: knob(2) >> 4 & 1 == 0,
    }
}

fn promised(made: &LaunchPlan, hardware: &Hardware, request: &Request) {
    let told = serde_json::to_string(made).expect("a plan is told as JSON");
    assert!(made.max_model_len > 0, "{told}");
    if request.context.is_none() && request.engine_args.is_empty() {
        assert!(made.max_model_len >= LEAST_CONTEXT, "{told}");
    }
    assert!((0.0..=1.0).contains(&made.utilization), "{told}");
    let vendor = made.accelerator.vendor();
    let mut seen = Vec::new();
    for index in &made.devices {
        let known = |d: &&crate::hardware::Device| d.index == *index && vendor.is_none_or(|own| own == d.vendor);
        assert!(hardware.devices.iter().any(|d| known(&d)), "{told}");
        // Vulkan counts those of all vendors.
        assert!(vendor.is_none() || !seen.contains(index), "{told}");
        seen.push(*index);
    }
    assert!(!made.reasons.is_empty() && made.tensor_parallel > 0, "{told}");
    for bill in &made.per_gpu {
        let within = bill.needed_bytes() <= bill.budget_bytes;
        assert!(within || made.verdict == Verdict::Tight || made.engine != EngineId::Vllm, "{told}");
    }
    for width in [0, 40, 80] {
        assert!(plan::text::render(made, "m", "command", width).contains("command"));
    }
}

fn refused(error: &PlanError) {
    assert!(!error.to_string().is_empty() && !error.hints().is_empty(), "{error:?}");
    let _ = (error.evidence(), error.exit(), error.missing_bytes());
    let _ = serde_json::to_vec(error.alternatives()).expect("alternatives are told as JSON");
}

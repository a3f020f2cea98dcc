//! A first answer: how soon it begins and how fast it flows, against what this hardware gives.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::ask::Answer;
use super::super::models::profile_of;
use super::{Finding, Probe, Section, failed};
use crate::profile;

/// Fewer tokens tell no speed.
const LEAST_TOKENS: u64 = 12;
/// Fewer tokens a second and an agent's turn of a few hundred takes minutes.
const LEAST_SPEED: f64 = 5.0;
/// The share of what reading the weights allows that engines reach or come near; a third of it is no accident.
const LEAST_SHARE: f64 = 1.0 / 3.0;
/// Above this many tokens a second it is not the memory that bounds a small model.
const MOST_BOUND: f64 = 300.0;

pub(super) fn look(probe: &Probe<'_>) -> Vec<Finding> {
    let body = json!({
        "model": probe.model(), "max_tokens": 160, "stream": true, "stream_options": {"include_usage": true},
        "messages": [{"role": "user", "content": "Count from one to forty in words, one after the other."}],
    });
    let answer = match probe.post("/v1/chat/completions", &body) {
        Ok(answer) if answer.status == 200 => answer,
        Ok(answer) => return vec![failed("a first answer", &answer.complaint(), Some(answer.status))],
        Err(why) => return vec![failed("a first answer", &why, None)],
    };
    let error = answer.events.iter().find_map(|(_, event)| event.pointer("/error/message")?.as_str());
    if let Some(error) = error {
        return vec![failed("a first answer", error, Some(200))];
    }
    let Some(flow) = Flow::of(&answer) else {
        return vec![failed("a first answer", "the stream ended without a word", Some(200))];
    };
    vec![judged(&flow, expected(probe))]
}

/// How an answer came.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Flow {
    /// Until the first word.
    pub(super) first: Duration,
    /// Tokens a second from there on; `None`: too few to tell.
    pub(super) speed: Option<f64>,
}

impl Flow {
    /// From the moments at which a Chat stream's pieces came, and its usage.
    pub(super) fn of(answer: &Answer) -> Option<Flow> {
        let has = |event: &Value| {
            let delta = &event["choices"][0]["delta"];
            ["content", "reasoning_content", "reasoning"]
                .iter()
                .any(|key| delta[key].as_str().is_some_and(|t| !t.is_empty()))
        };
        let times: Vec<Duration> = answer.events.iter().filter(|(_, event)| has(event)).map(|(at, _)| *at).collect();
        let (first, last) = (*times.first()?, *times.last()?);
        let told = answer.events.iter().rev().find_map(|(_, event)| event["usage"]["completion_tokens"].as_u64());
        let tokens = told.unwrap_or(times.len() as u64);
        let seconds = last.saturating_sub(first).as_secs_f64();
        // What comes in one piece was held back somewhere: its time says nothing.
        let tells = tokens >= LEAST_TOKENS && times.len() > 2 && seconds > 0.0;
        Some(Flow { first, speed: tells.then(|| (tokens - 1) as f64 / seconds) })
    }
}

/// What reading the weights once per token allows, tokens a second, and on what; `None` where a number is not known.
fn expected(probe: &Probe<'_>) -> Option<(f64, String)> {
    let running = probe.running;
    if running.on_gpu.is_some_and(|share| share < 0.999) {
        return None;
    }
    let device = probe.scene.inputs.hardware.as_ref()?.devices.iter().find(|device| device.usable)?;
    let bandwidth = profile::accelerator(&device.name).ok()??.accelerator.bandwidth_gbs?;
    let bytes = running.weights_bytes? as f64;
    // Of a mixture only some experts are read for one token.
    let model = profile_of(probe.model());
    let share = model.and_then(|model| Some((model.active_b? / model.parameters_b?).clamp(0.0, 1.0))).unwrap_or(1.0);
    let speed = bandwidth * 1e9 / (bytes * share).max(1.0);
    (speed <= MOST_BOUND).then(|| (speed, device.name.clone()))
}

pub(super) fn judged(flow: &Flow, expected: Option<(f64, String)>) -> Finding {
    let section = Section::Gateway;
    let first = flow.first.as_secs_f64();
    let Some(speed) = flow.speed else {
        return Finding::ok(section, format!("it answers: the first word after {first:.2} s"));
    };
    let figures = format!("the first word after {first:.2} s, then {speed:.1} tokens a second");
    let evidence = expected.as_ref().map(|(bound, device)| {
        format!("reading the weights once per token would allow {bound:.0} tokens a second on {device}")
    });
    let evidence: Vec<String> = evidence.into_iter().collect();
    let slow = expected.is_some_and(|(bound, _)| speed < bound * LEAST_SHARE);
    if slow {
        let cure = "see where the model lies and what else runs: `llmup status`, `llmup top`";
        let text = format!("slower than this hardware gives: {figures}");
        return Finding::warning("LLMUP-M018", section, text, cure).because(evidence);
    }
    if speed < LEAST_SPEED {
        let cure = "a smaller model or quantisation: `llmup models --fits`";
        let text = format!("too slow for a coding agent: {figures}");
        return Finding::warning("LLMUP-M022", section, text, cure).because(evidence);
    }
    Finding::ok(section, format!("it answers: {figures}")).because(evidence)
}

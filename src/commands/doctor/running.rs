//! What runs: whether it answers and is well, and whether its key is the one that opens it.

use std::time::Duration;

use super::ask::{Answer, Asker};
use super::{Check, Finding, Running, Scene, Section};
use crate::client::LEAN_BELOW;
use crate::commands::stop::end_by_hand;

/// Longest wait for a gateway on this machine to say how it is.
const SOON: Duration = Duration::from_secs(2);
/// Below this share of the model on the accelerator something is beside it.
const ALL_OF_IT: f64 = 0.999;

/// Whether what the state files call running is well.
pub(super) struct RunningCheck;

impl Check for RunningCheck {
    fn section(&self) -> Section {
        Section::Running
    }

    fn look(&self, scene: &Scene) -> Vec<Finding> {
        let section = Section::Running;
        let mut findings: Vec<Finding> = scene
            .inputs
            .crashed
            .iter()
            .map(|crashed| {
                let text = format!(
                    "{} on {} ended without putting its things in order; its engine may still hold memory",
                    crashed.model.name, crashed.model.engine.name
                );
                let pids = crashed.models().filter_map(|model| model.engine.process.as_ref());
                let pids = pids.map(|process| format!("its engine was pid {}", process.pid)).collect();
                Finding::warning("LLMUP-G014", section, text, "put it in order: `llmup doctor --fix`").because(pids)
            })
            .collect();
        findings.extend(scene.inputs.other_versions.iter().map(|other| {
            let text = format!("a llmup of another version runs (pid {}), of which this one knows no more", other.pid);
            Finding { cure: Some(end_by_hand(other.pid)), ..Finding::ok(section, text) }
        }));
        let Some(running) = &scene.inputs.running else {
            let cure = Some("start one: `llmup start demo --yes`".into());
            findings.push(Finding { cure, ..Finding::ok(section, "nothing runs") });
            return findings;
        };
        findings.push(health(running));
        findings.extend(how_it_stands(scene, running));
        findings
    }
}

fn health(running: &Running) -> Finding {
    let (section, session) = (Section::Running, &running.session);
    let what =
        format!("{} on {}, context {} tokens, at {}", session.model, running.engine, session.context, session.base_url);
    let again = "`llmup stop`, then `llmup start` again; the reason is in `llmup logs`";
    let answer = match Asker::of(&session.base_url).map_err(|error| error.to_string()) {
        Ok(asker) => asker.get("/health", None, SOON),
        Err(error) => Err(error),
    };
    match answer {
        Err(why) => {
            Finding::problem("LLMUP-G004", section, format!("{what}: it does not answer"), again).because(vec![why])
        }
        Ok(Answer { status: 200, .. }) => Finding::ok(section, what),
        Ok(answer) => {
            let said = answer.json();
            let evidence =
                vec![format!("GET /health answers {}: {}", answer.status, super::ask::shortened(&answer.text))];
            let finding = match said["status"].as_str() {
                Some("loading") => {
                    let text = format!("{what}: it is still loading");
                    Finding::warning("LLMUP-G010", section, text, "watch it: `llmup status`")
                }
                Some("gone") => {
                    let why = said["reason"].as_str().unwrap_or("it does not say why");
                    Finding::problem("LLMUP-E004", section, format!("{what}: its engine is gone: {why}"), again)
                }
                _ => Finding::problem("LLMUP-G004", section, format!("{what}: what answers there is not well"), again),
            };
            finding.because(evidence)
        }
    }
}

/// What llmup itself knows of its engine.
fn how_it_stands(scene: &Scene, running: &Running) -> Vec<Finding> {
    let section = Section::Running;
    let mut findings = Vec::new();
    if let (Some("waiting"), because) = (running.state.as_deref(), &running.because) {
        let text = format!("it waits for memory: {}", because.as_deref().unwrap_or("others are in use"));
        findings.push(Finding::warning("LLMUP-G016", section, text, "see who waits for what: `llmup status`"));
    }
    if running.restarts > 0 {
        let times = if running.restarts == 1 { "once".to_owned() } else { format!("{} times", running.restarts) };
        let text = format!("its engine was started anew {times}");
        let why = running.last_crash.clone().into_iter().collect();
        findings.push(Finding::warning("LLMUP-E032", section, text, "read why: `llmup logs`").because(why));
    }
    let accelerated = scene.inputs.hardware.iter().flat_map(|h| &h.devices).any(|device| device.usable);
    if let Some(share) = running.on_gpu.filter(|share| *share < ALL_OF_IT && (accelerated || *share > 0.0)) {
        let text = format!(
            "{:.0} % of the model lie on the accelerator; the rest is computed by the processor",
            share * 100.0
        );
        let cure = "a smaller context: `llmup start MODEL --context 32768`; what fits whole: `llmup models --fits`";
        findings.push(Finding::warning("LLMUP-M021", section, text, cure));
    }
    let context = running.session.context;
    if (1..LEAN_BELOW).contains(&context) {
        let text =
            format!("a context of {context} tokens is short for coding tools, whose prompts begin at 8,000 to 19,000");
        let cure = "a longer one: `llmup start MODEL --context 65536`; what fits: `llmup models --fits`";
        findings.push(Finding::warning("LLMUP-M019", section, text, cure));
    }
    findings
}

/// Whether the key of the state file opens the gateway, and no other one does.
pub(super) struct KeyCheck;

/// Nobody's key.
const WRONG: &str = "llmup-doctor-asks-with-a-wrong-key";

impl Check for KeyCheck {
    fn section(&self) -> Section {
        Section::Running
    }

    fn look(&self, scene: &Scene) -> Vec<Finding> {
        let Some(running) = &scene.inputs.running else { return Vec::new() };
        let Ok(asker) = Asker::of(&running.session.base_url) else { return Vec::new() };
        let ask = |key: &str| asker.get("/v1/models", Some(key), SOON).ok().map(|answer| answer.status);
        // One that does not answer was told of already.
        let (Some(right), Some(wrong)) = (ask(&running.session.key), ask(WRONG)) else { return Vec::new() };
        vec![verdict(right, wrong)]
    }
}

fn verdict(right: u16, wrong: u16) -> Finding {
    let section = Section::Running;
    let evidence = vec![format!("GET /v1/models answers {right} to its key and {wrong} to a wrong one")];
    match (right, wrong) {
        (200, 401) => Finding::ok(section, "its key is accepted, and a wrong one is refused"),
        (200, _) => Finding::problem(
            "LLMUP-G006",
            section,
            "a wrong key is accepted: whoever reaches the port can use the model",
            "see who listens there; start anew with `llmup stop` and `llmup start MODEL`",
        )
        .because(evidence),
        _ => Finding::problem(
            "LLMUP-G005",
            section,
            "the key that its state file names is refused",
            "another program may have its port: `llmup stop --all`, then start again",
        )
        .because(evidence),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::Status;

    #[test]
    fn keys_are_judged_by_both_answers() {
        assert_eq!(verdict(200, 401).status, Status::Ok);
        assert_eq!(verdict(200, 200).code, Some("LLMUP-G006"));
        assert_eq!(verdict(401, 401).code, Some("LLMUP-G005"));
        assert_eq!(verdict(404, 404).code, Some("LLMUP-G005"));
    }
}

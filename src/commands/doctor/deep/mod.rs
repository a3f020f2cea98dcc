//! `doctor --deep`: requests through the running gateway, as clients send them, each judged with what it was judged by.
//! Nothing is written; the model works for a few short answers. A step that cannot be told from another's failure is
//! left out rather than guessed.

use std::time::Duration;

use super::ask::{Answer, Asker, TIMED_OUT};
use super::{Finding, Running, Scene, Section};
use crate::progress::Progress;

mod basics;
mod cache;
mod context;
mod speed;
mod talk;
mod tools;

/// Longest time one request may take: a small model on a processor reads a prompt of a thousand tokens in a minute, and
/// a model that sleeps is started first.
const LIMIT: Duration = Duration::from_secs(300);

/// What every step needs.
struct Probe<'a> {
    asker: &'a Asker,
    running: &'a Running,
    scene: &'a Scene,
    progress: &'a Progress,
}

impl Probe<'_> {
    fn model(&self) -> &str {
        &self.running.session.model
    }

    fn post(&self, path: &str, body: &serde_json::Value) -> Result<Answer, String> {
        self.asker.post(path, &self.running.session.key, body, LIMIT)
    }
}

/// Every step, in the order of the chain; those after one without which they mean nothing are left out.
pub(super) fn examine(scene: &Scene, progress: &Progress) -> Vec<Finding> {
    let section = Section::Gateway;
    let Some(running) = &scene.inputs.running else {
        let cure = "start one: `llmup start demo --yes --detach`, then `llmup doctor --deep` again";
        let text = "nothing runs, and --deep asks a running gateway";
        return vec![Finding::problem("LLMUP-G003", section, text, cure)];
    };
    let asker = match Asker::of(&running.session.base_url) {
        Ok(asker) => asker,
        Err(error) => {
            return vec![Finding::problem("LLMUP-G004", section, error.to_string(), "see `llmup status`")];
        }
    };
    let probe = Probe { asker: &asker, running, scene, progress };
    let mut findings = Vec::new();
    progress.step("asking for a first answer");
    let first = speed::look(&probe);
    let answered =
        first.iter().all(|finding| !matches!(finding.code, Some("LLMUP-G009" | "LLMUP-G012" | "LLMUP-G010")));
    findings.extend(first);
    if answered {
        progress.step("does the chat template take system messages and tools?");
        let (template, takes_tools) = basics::template(&probe);
        findings.extend(template);
        if takes_tools {
            findings.extend(tools::look(&probe));
        }
        findings.extend(context::look(&probe));
        progress.step("is a second turn read from the cache?");
        findings.extend(cache::look(&probe));
    }
    progress.finish();
    findings
}

/// A request that brought no answer at all, or an error: which finding that is.
fn failed(what: &str, why: &str, status: Option<u16>) -> Finding {
    let (section, evidence) = (Section::Gateway, vec![why.to_owned()]);
    let finding = match status {
        None if why.starts_with(TIMED_OUT) => {
            let cure = "what the engine does: `llmup top`; its log: `llmup logs`";
            Finding::problem("LLMUP-G012", section, format!("{what}: {why}"), cure)
        }
        Some(503) => {
            let cure = "watch it: `llmup status`, then `llmup doctor --deep` again";
            Finding::problem("LLMUP-G010", section, format!("{what}: the model is not ready"), cure)
        }
        _ => {
            let cure =
                "the engine's own words: `llmup logs`; let llmup translate everything: `llmup start MODEL --translate`";
            Finding::problem("LLMUP-G009", section, format!("{what}: an error instead of an answer"), cure)
        }
    };
    finding.because(evidence)
}

#[cfg(test)]
mod tests;

//! A conversation's second turn: how much of its prompt came from the engine's cache.

use serde_json::{Value, json};

use super::{Finding, Probe, Section, failed};

/// Sentences of the prompt, about 15 tokens each: more than the longest block of a cache holds (1,056 tokens with
/// hybrid models in vLLM).
const SENTENCES: u32 = 110;
/// Contexts below this have no room for it.
const LEAST_CONTEXT: u64 = 8192;
/// Less than this share of a second turn's prompt from the cache: it is as good as computed anew.
const LEAST_SHARE: f64 = 0.5;

pub(super) fn look(probe: &Probe<'_>) -> Vec<Finding> {
    let section = Section::Gateway;
    if probe.running.session.context < LEAST_CONTEXT {
        return vec![Finding::ok(section, "the context is too short to measure a cache hit")];
    }
    let first = json!({"role": "user", "content": prompt()});
    let ask = |messages: Value| {
        let body = json!({"model": probe.model(), "messages": messages, "max_tokens": 16});
        match probe.post("/v1/chat/completions", &body) {
            Ok(answer) if answer.status == 200 => Ok(answer),
            Ok(answer) => Err(failed("a longer prompt", &answer.complaint(), Some(answer.status))),
            Err(why) => Err(failed("a longer prompt", &why, None)),
        }
    };
    let cold = match ask(json!([first])) {
        Ok(answer) => answer,
        Err(finding) => return vec![finding],
    };
    let said = cold.json()["choices"][0]["message"]["content"].as_str().unwrap_or("ok").to_owned();
    let turns = json!([first, {"role": "assistant", "content": said}, {"role": "user", "content": "Say done."}]);
    let warm = match ask(turns) {
        Ok(answer) => answer,
        Err(finding) => return vec![finding],
    };
    let seconds = [cold.took, warm.took].map(|took| took.as_secs_f64());
    vec![judged(Usage::of(&cold.json()), Usage::of(&warm.json()), seconds)]
}

/// A prompt's tokens, and those of them from the cache.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Usage {
    pub(super) prompt: u64,
    /// `None`: this engine does not tell.
    pub(super) cached: Option<u64>,
}

impl Usage {
    fn of(answer: &Value) -> Option<Usage> {
        let usage = &answer["usage"];
        let cached = usage["prompt_tokens_details"]["cached_tokens"].as_u64();
        Some(Usage { prompt: usage["prompt_tokens"].as_u64()?, cached })
    }
}

pub(super) fn judged(cold: Option<Usage>, warm: Option<Usage>, [first, second]: [f64; 2]) -> Finding {
    let section = Section::Gateway;
    let times = format!("the first turn took {first:.1} s, the second {second:.1} s");
    let (Some(cold), Some(warm)) = (cold, warm) else {
        return Finding::ok(section, format!("the engine tells no usage: no cache hit can be shown; {times}"));
    };
    let Some(cached) = warm.cached else {
        return Finding::ok(section, format!("the engine does not tell what came from its cache; {times}"));
    };
    let share = cached as f64 / warm.prompt.max(1) as f64;
    let evidence = vec![
        format!("first turn: {} tokens, {} of them from the cache", cold.prompt, cold.cached.unwrap_or(0)),
        format!("second turn: {} tokens, {cached} of them from the cache", warm.prompt),
        times,
    ];
    let percent = share * 100.0;
    if share >= LEAST_SHARE {
        let text =
            format!("on the second turn {cached} of {} tokens came from the cache ({percent:.0} %)", warm.prompt);
        return Finding::ok(section, text).because(evidence);
    }
    let text =
        format!("on the second turn only {cached} of {} tokens came from the cache ({percent:.0} %)", warm.prompt);
    let cure = "with vLLM leave prefix caching on; more room for the cache: `--gpu-memory-utilization 0.95`; each request's share: `llmup logs --gateway`";
    Finding::warning("LLMUP-G008", section, text, cure).because(evidence)
}

/// The same length every time, and another beginning, so that the first turn is never from the cache.
fn prompt() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos();
    let mut text = format!("Notes number {now}.\n");
    for line in 1..=SENTENCES {
        text.push_str(&format!("Line {line}: the quick brown fox number {line} jumps over the lazy dog.\n"));
    }
    text + "Read these lines and answer with the single word ok."
}

//! A tool-call round trip in each protocol: the tool is offered, called with the argument that was asked for, its
//! result goes back, and the final answer arrives.

use std::time::Duration;

use serde_json::Value;

use super::super::ask::{Answer, shortened};
use super::talk::{CITY, Call, Dialect, TOOL, Turn};
use super::{Finding, Probe, Section, failed};

pub(super) fn look(probe: &Probe<'_>) -> Vec<Finding> {
    Dialect::ALL
        .into_iter()
        .map(|dialect| {
            probe.progress.step(&format!("a tool call by {}", dialect.title()));
            let path = dialect.path(probe.model());
            round_trip(dialect, probe.model(), |body| probe.post(&path, body))
        })
        .collect()
}

/// Both requests, judged.
pub(super) fn round_trip(
    dialect: Dialect,
    model: &str,
    mut post: impl FnMut(&Value) -> Result<Answer, String>,
) -> Finding {
    let body = dialect.first(model);
    let (turn, first) = match said(dialect, post(&body)) {
        Ok(said) => said,
        Err(finding) => return *finding,
    };
    let call = match judged(dialect, &turn) {
        Ok(call) => call,
        Err(finding) => return *finding,
    };
    let (last, second) = match said(dialect, post(&dialect.second(body, call))) {
        Ok(said) => said,
        Err(finding) => return *finding,
    };
    let called = format!("called {} with {}", call.name, call.arguments);
    if last.calls.is_empty() && !last.text.trim().is_empty() {
        let took = (first + second).as_secs_f64();
        let text = format!("{}: tool called as asked, result taken, final answer, {took:.1} s", dialect.title());
        let answered = format!("answered: {}", shortened(last.text.trim()));
        return Finding::ok(Section::Gateway, text).because(vec![called, answered]);
    }
    let text = format!("{}: no final answer after the tool's result", dialect.title());
    let cure = "see what came: `llmup doctor --deep --json`; a model made for agents: `llmup models`";
    Finding::problem("LLMUP-M015", Section::Gateway, text, cure).because(vec![called, described(&last)])
}

/// What the model said, and how long that took.
fn said(dialect: Dialect, answer: Result<Answer, String>) -> Result<(Turn, Duration), Box<Finding>> {
    let answer = answer.map_err(|why| failed(dialect.title(), &why, None))?;
    if answer.status != 200 {
        return Err(Box::new(failed(dialect.title(), &answer.complaint(), Some(answer.status))));
    }
    let turn = dialect.read(&answer);
    match &turn.error {
        Some(error) => Err(Box::new(failed(dialect.title(), &shortened(error), Some(200)))),
        None => Ok((turn, answer.took)),
    }
}

/// The call that was asked for, or which finding it is that there is none.
fn judged(dialect: Dialect, turn: &Turn) -> Result<&Call, Box<Finding>> {
    let (section, title) = (Section::Gateway, dialect.title());
    let wrong = |code, what: &str, cure: &str| {
        let finding = Finding::problem(code, section, format!("{title}: {what}"), cure);
        Err(Box::new(finding.because(vec![described(turn)])))
    };
    let parser = "start it by its profile's name, so that the right parser is chosen: `llmup start MODEL`";
    if let Some(call) = turn.calls.iter().find(|call| call.name == TOOL) {
        let arguments: Value = serde_json::from_str(&call.arguments).unwrap_or_default();
        let city = arguments["city"].as_str().unwrap_or_default();
        if city.to_lowercase().contains(&CITY.to_lowercase()) {
            return Ok(call);
        }
        return wrong("LLMUP-M013", "the tool was called with other arguments than were asked for", parser);
    }
    if !turn.calls.is_empty() {
        return wrong("LLMUP-M013", "another tool was called than the one that was offered", parser);
    }
    if is_raw_call(&turn.text) {
        return wrong("LLMUP-M014", "the tool call stays in the answer as raw text", parser);
    }
    if turn.text.trim().is_empty() && !turn.thinking.trim().is_empty() {
        let cure =
            "no thinking: `-- --default-chat-template-kwargs '{\"enable_thinking\":false}'` behind `llmup start MODEL`";
        return wrong("LLMUP-M017", "the answer is thinking only, without text or call", cure);
    }
    let cure = "a model made for agents: `llmup models`; a finer quantisation: `llmup models --fits`";
    wrong("LLMUP-M012", "the model answers in text instead of calling the tool", cure)
}

/// Forms in which models write calls that a parser has missed: Hermes and Qwen, Llama and Mistral, GLM, DeepSeek, gpt-oss.
fn is_raw_call(text: &str) -> bool {
    const MARKS: [&str; 8] = [
        "<tool_call",
        "<function",
        "\"arguments\"",
        "\"parameters\"",
        "[TOOL_CALLS]",
        "<|tool",
        "<|python_tag|>",
        "to=functions.",
    ];
    text.contains(TOOL) && MARKS.iter().any(|mark| text.contains(mark))
}

fn described(turn: &Turn) -> String {
    let call = turn.calls.first().map(|call| format!("call of {} with {}", call.name, shortened(&call.arguments)));
    let text = Some(turn.text.trim()).filter(|text| !text.is_empty()).map(|text| format!("text: {}", shortened(text)));
    let thought = (!turn.thinking.is_empty()).then(|| format!("thinking: {}", shortened(turn.thinking.trim())));
    let parts: Vec<String> = [call, text, thought].into_iter().flatten().collect();
    if parts.is_empty() { "nothing came".to_owned() } else { parts.join("; ") }
}

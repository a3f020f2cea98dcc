//! One number for the context: what the engine confirmed, what the gateway says, what each client would be told, and
//! what the engine says when a prompt is too long for it.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::ask::Answer;
use super::{Finding, Probe, Section};
use crate::client::{CLIENTS, Client, Export, LEAN_BELOW, Session};
use crate::protocol::overflow;

/// Longest wait for a model list.
const SOON: Duration = Duration::from_secs(5);
/// An engine refuses a prompt that is too long before it computes: this long it may take to count it.
const COUNTED: Duration = Duration::from_secs(60);
/// A longer context is not filled up to see what happens.
const MOST: u64 = 300_000;
/// Characters of the text that is too long for each token of the context. Its words of four characters, of which a
/// letter stands between two digits, are two tokens or more in every tokenizer there is a profile for.
const CHARACTERS: u64 = 3;

pub(super) fn look(probe: &Probe<'_>) -> Vec<Finding> {
    probe.progress.step("do engine, gateway and clients agree about the context?");
    let mut told = vec![("llmup tells clients".to_owned(), probe.running.session.context)];
    told.extend(probe.running.confirmed.map(|context| ("the engine confirmed".to_owned(), context)));
    told.extend(listed(probe).map(|context| ("the gateway's model list has".to_owned(), context)));
    told.extend(CLIENTS.iter().filter_map(|client| {
        Some((format!("{} would be told", client.title()), to_client(*client, &probe.running.session)?))
    }));
    let mut findings = vec![agreed(&told)];
    // Ollama cuts a prompt instead of refusing it, and would compute all of it.
    if probe.running.engine != "ollama" && probe.running.session.context <= MOST {
        probe.progress.step("what is said of a prompt that is too long?");
        let context = probe.running.session.context;
        let body = json!({
            "model": probe.model(), "max_tokens": 1,
            "messages": [{"role": "user", "content": too_long(context)}],
        });
        let answer = probe.asker.post("/v1/chat/completions", &probe.running.session.key, &body, COUNTED);
        findings.extend(refused(answer, context));
    }
    findings
}

/// What the gateway's model list says.
fn listed(probe: &Probe<'_>) -> Option<u64> {
    let answer = probe.asker.get("/v1/models", Some(&probe.running.session.key), SOON).ok()?.json();
    let named = |entry: &&Value| entry["id"] == probe.model();
    answer["data"].as_array()?.iter().find(named)?["max_model_len"].as_u64()
}

/// The context a client would get from `llmup env`: from its variables, or the files that are written for it.
pub(super) fn to_client(client: &dyn Client, session: &Session) -> Option<u64> {
    const KEYS: [&str; 8] = [
        "model_context_window",
        "\"context_window\"",
        "\"contextWindowSize\"",
        "\"contextLength\"",
        "\"maxContextWindowTokens\"",
        "\"max_input_tokens\"",
        "\"context_limit\"",
        "\"context\"",
    ];
    const VARIABLES: [&str; 2] = ["_CONTEXT_TOKENS", "_CONTEXT_LIMIT"];
    // A short context it is told longer on purpose, by what it was measured to keep free.
    if client.id() == "claude" && session.context < LEAN_BELOW {
        return None;
    }
    let own = Path::new("");
    let variable = client.session(session, own).into_iter().find_map(|export| match export {
        Export::Set { name, value } if VARIABLES.iter().any(|end| name.ends_with(end)) => value.parse().ok(),
        Export::Set { value, .. } => KEYS.iter().find_map(|key| number_behind(&value, key)),
        _ => None,
    });
    let texts = || client.files(session, own, &|_| None).into_iter().map(|file| file.text);
    variable.or_else(|| texts().find_map(|text| KEYS.iter().find_map(|key| number_behind(&text, key))))
}

/// `key = 65536`, `"key": 65536`.
fn number_behind(text: &str, key: &str) -> Option<u64> {
    let rest = text.split_once(key)?.1.trim_start_matches([' ', '=', ':']);
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

pub(super) fn agreed(told: &[(String, u64)]) -> Finding {
    let section = Section::Gateway;
    let evidence: Vec<String> = told.iter().map(|(who, context)| format!("{who} {context} tokens")).collect();
    let first = told.first().map_or(0, |(_, context)| *context);
    if told.iter().all(|(_, context)| *context == first) {
        let text = format!("engine, gateway and clients agree: a context of {first} tokens");
        return Finding::ok(section, text).because(evidence);
    }
    let text = "engine, gateway and clients disagree about the context";
    let cure = "start the engine anew: `llmup restart`; give clients the number anew: `llmup env CLIENT`";
    Finding::problem("LLMUP-G007", section, text, cure).because(evidence)
}

/// A text of more tokens than the context has, of words no tokenizer knows.
fn too_long(context: u64) -> String {
    let length = (context * CHARACTERS) as usize;
    let mut text = String::with_capacity(length + 4);
    let mut seed: u32 = 20_261_120;
    while text.len() < length {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let letter = char::from(b'a' + (seed >> 16) as u8 % 26);
        text.push_str(&format!("{}{letter}{} ", (seed >> 8) % 10, (seed >> 24) % 10));
    }
    text
}

/// What the answer to such a text says of the context.
pub(super) fn refused(answer: Result<Answer, String>, context: u64) -> Option<Finding> {
    let section = Section::Gateway;
    let answer = match answer {
        Ok(answer) => answer,
        // It computes: so it took the prompt, or it is slow to count. Neither is certain.
        Err(_) => return None,
    };
    if answer.status == 200 {
        let text =
            format!("a prompt longer than {context} tokens is taken without a word: clients never learn to compact");
        let cure = "see which context the engine has: `llmup status`; fix it: `llmup start MODEL --context N`";
        return Some(Finding::warning("LLMUP-G015", section, text, cure));
    }
    let said = answer.complaint();
    let evidence = vec![said.clone()];
    Some(match overflow::numbers(&said) {
        Some((_, most)) if most == context => {
            let text = "a prompt that is too long is refused with the same number, in words clients compact on";
            Finding::ok(section, text).because(evidence)
        }
        Some((_, most)) => {
            let text = format!("the engine has a context of {most} tokens, and clients are told {context}");
            let cure = "start the engine anew: `llmup restart`; give clients the number anew: `llmup env CLIENT`";
            Finding::problem("LLMUP-G007", section, text, cure).because(evidence)
        }
        None => {
            let text = "a prompt that is too long is refused in words without numbers: clients may not compact on it";
            Finding::warning("LLMUP-G009", section, text, "the engine's own words: `llmup logs`").because(evidence)
        }
    })
}

//! A generateContent request, read.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::lenient::{Text, integer, plain_number};
use super::schema;
use super::turns::Turns;
use super::wire::{Body, Calling, Config, Content, Tool as WireTool};
use crate::protocol::ir::{Choice, Format, Request, Tool};
use crate::protocol::{Id, Problem, ProblemKind, pull};

pub(super) fn decode(body: &[u8]) -> Result<Request<'_>, Problem> {
    let mut wire: Body<'_> = pull::from_slice(body).map_err(|e| invalid(format!("the request does not parse: {e}")))?;
    if let Some(wrapped) = wire.wrapped.take() {
        wire = *wrapped;
    }
    let mut request = Request { from: Some(Id::Gemini), wants_usage: true, ..Request::default() };
    // None is shown unless it is asked for.
    request.reasoning.show = Some(false);
    for content in wire.system.0 {
        system(content, &mut request);
    }
    if wire.contents.0.is_empty() {
        return Err(invalid("contents is empty: there is nothing to answer".to_owned()));
    }
    let mut turns = Turns::default();
    for content in wire.contents.0 {
        turns.content(content, &mut request.dropped)?;
    }
    request.turns = turns.finish();
    tools(wire.tools.0, &mut request);
    if let Some(calling) = wire.tool_config.and_then(|config| config.calling) {
        choice(calling, &mut request)?;
    }
    if let Some(config) = wire.config {
        settings(config, &mut request);
    }
    for (name, there) in [
        ("safetySettings", wire.safety.is_some()),
        ("labels", wire.labels.is_some()),
        ("cachedContent", wire.cached.is_some()),
    ] {
        if there {
            request.dropped.push(name.to_owned());
        }
    }
    Ok(request)
}

pub(super) fn invalid(message: String) -> Problem {
    Problem::new(ProblemKind::Invalid, message)
}

fn system<'a>(content: Content<'a>, request: &mut Request<'a>) {
    let texts = content.text.map(|text| text.0.into()).into_iter();
    for text in texts.chain(content.parts.0.into_iter().filter_map(|part| {
        if part.text.is_none() {
            request.dropped.push("part of systemInstruction".to_owned());
        }
        part.text
    })) {
        if !text.is_empty() {
            request.system.push(text);
        }
    }
}

fn tools<'a>(wire: Vec<WireTool<'a>>, request: &mut Request<'a>) {
    for tool in wire {
        // They run at Google; the model here knows none of them.
        request.dropped.extend(tool.others.iter().map(|name| format!("tool {name}")));
        for function in tool.functions {
            let Some(Text(name)) = function.name.filter(|name| !name.0.is_empty()) else {
                request.dropped.push("tool without a name".to_owned());
                continue;
            };
            let plain = function.json_schema.map(schema::json_schema);
            request.tools.push(Tool {
                name,
                namespace: None,
                description: function.description,
                schema: plain.or_else(|| function.parameters.filter(|raw| raw.get() != "null").map(schema::normal)),
                strict: None,
                freeform: None,
            });
        }
    }
}

fn choice<'a>(calling: Calling<'a>, request: &mut Request<'a>) -> Result<(), Problem> {
    let mut allowed: Vec<Cow<'a, str>> = calling.allowed.unwrap_or_default().into_iter().map(|name| name.0).collect();
    let mode = calling.mode.map(|mode| mode.0.to_ascii_uppercase());
    request.choice = match mode.as_deref() {
        Some("ANY") => Choice::Any,
        Some("NONE") => Choice::None,
        // VALIDATED: text or a call, and the call keeps to its schema.
        Some("AUTO" | "VALIDATED") => Choice::Auto,
        _ => Choice::Unset,
    };
    // Google reads the names in these two modes only.
    if allowed.is_empty() || !matches!(mode.as_deref(), Some("ANY" | "VALIDATED")) {
        return Ok(());
    }
    if !request.tools.iter().any(|tool| allowed.contains(&tool.name)) {
        let message = format!("allowedFunctionNames names no function on offer: {}", allowed.join(", "));
        return Err(invalid(message));
    }
    if request.choice == Choice::Any && allowed.len() == 1 {
        request.choice = Choice::Named(allowed.remove(0));
    } else {
        request.tools.retain(|tool| allowed.contains(&tool.name));
    }
    Ok(())
}

fn settings<'a>(config: Config<'a>, request: &mut Request<'a>) {
    for (name, value) in [
        ("temperature", config.temperature),
        ("top_p", config.top_p),
        ("top_k", config.top_k),
        ("seed", config.seed),
        ("presence_penalty", config.presence),
        ("frequency_penalty", config.frequency),
    ] {
        if let Some(number) = value.and_then(plain_number) {
            request.sampling.push((name, number));
        }
    }
    request.max_tokens = count(config.max_tokens);
    request.stop = config.stop.unwrap_or_default().into_iter().map(|text| text.0).collect();
    let dropped = &mut request.dropped;
    if count(config.candidates).is_some_and(|n| n > 1) {
        dropped.push("candidateCount".to_owned());
    }
    if config.logprobs == Some(true) {
        dropped.push("responseLogprobs".to_owned());
    }
    if config.speech.is_some() {
        dropped.push("speechConfig".to_owned());
    }
    for other in config.modalities.unwrap_or_default().into_iter().filter(|kind| !kind.eq_ignore_ascii_case("text")) {
        dropped.push(format!("responseModalities {other}"));
    }
    let own = |raw: &&RawValue| raw.get() != "null";
    let schema = config.json_schema.map(schema::json_schema).or_else(|| config.schema.filter(own).map(schema::normal));
    request.format = match schema {
        Some(schema) => Format::Schema { name: None, schema, strict: None },
        None if config.mime.is_some_and(|mime| mime.0 == "application/json") => Format::Json,
        None => Format::Text,
    };
    let Some(thinking) = config.thinking else { return };
    request.reasoning.show = Some(thinking.show == Some(true));
    match thinking.budget.and_then(integer) {
        Some(0) => request.reasoning.enabled = Some(false),
        Some(budget) if budget > 0 => {
            request.reasoning.enabled = Some(true);
            request.reasoning.budget = u64::try_from(budget).ok();
        }
        // -1: as much as the model likes.
        _ => {}
    }
    request.reasoning.effort = thinking.level.and_then(|level| {
        let level = level.0.to_ascii_lowercase();
        matches!(level.as_str(), "minimal" | "low" | "medium" | "high").then(|| Cow::Owned(level))
    });
}

fn count(raw: Option<&RawValue>) -> Option<u64> {
    // From 2^53 on numbers are not counted one by one any more: nobody means them.
    integer(raw?).and_then(|n| u64::try_from(n).ok()).filter(|n| (1..1 << 53).contains(n))
}

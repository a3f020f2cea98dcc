//! A Responses request for a backend that speaks it: stateless, always a stream.

mod input;

use super::object::Object;
use crate::protocol::ir::{Choice, Format, Request, Tool};
use crate::protocol::{Id, Target, Vendor, effort};

pub(super) fn encode(request: &Request<'_>, target: &Target<'_>) -> Vec<u8> {
    let mut body = Object::new(Vec::with_capacity(4096));
    body.text("model", target.model);
    if !request.system.is_empty() {
        body.text("instructions", &request.system.join("\n\n"));
    }
    body.raw("input", &input::encode(&request.turns, target.vendor));
    body.raw("stream", b"true");
    // Whatever is to be kept is kept by us or by the caller.
    body.raw("store", b"false");
    if let Some(limit) = request.max_tokens {
        // OpenAI refuses less than 16.
        let limit = if target.vendor == Vendor::OpenAi { limit.max(16) } else { limit };
        body.raw("max_output_tokens", limit.to_string().as_bytes());
    }
    let openai = target.vendor == Vendor::OpenAi;
    let reasons = reasons(target);
    for (name, value) in &request.sampling {
        // OpenAI knows two of them, and its reasoning models refuse those too.
        if !openai || (!reasons && matches!(*name, "temperature" | "top_p")) {
            body.raw(name, value.get().as_bytes());
        }
    }
    if !request.tools.is_empty() {
        tools(request, &mut body);
    }
    format(request, &mut body);
    let asked = &request.reasoning;
    let budget = asked.budget.map(|budget| effort::of_three(effort::of_budget(budget)));
    let effort = asked.effort.as_deref().or(budget).map(|effort| if effort == "max" { "xhigh" } else { effort });
    // OpenAI's older models have no word for none; engines would reason all the same if it were left out.
    let effort = match asked.enabled {
        Some(false) if openai => None,
        Some(false) => Some("none"),
        _ => effort,
    };
    let show = asked.show == Some(true) || (asked.show.is_none() && asked.enabled == Some(true));
    if (effort.is_some() || show) && (!openai || reasons) {
        let mut reasoning = Object::new(Vec::new());
        if let Some(effort) = effort {
            reasoning.text("effort", effort);
        }
        if show {
            reasoning.text("summary", "auto");
        }
        body.raw("reasoning", &reasoning.end());
    }
    if reasons {
        // Models that do not reason refuse this.
        body.raw("include", br#"["reasoning.encrypted_content"]"#);
    }
    if let Some(key) = &request.cache_key {
        body.text("prompt_cache_key", key);
    }
    // Longer ones are refused.
    if let Some(user) = request.user.as_deref().filter(|user| user.len() <= 64) {
        body.text(if openai { "safety_identifier" } else { "user" }, user);
    }
    if request.from == Some(Id::Responses) {
        for (name, value) in &request.extras {
            if matches!(name.as_ref(), "metadata" | "truncation" | "top_logprobs") {
                body.raw(name, value.get().as_bytes());
            }
        }
    }
    body.end()
}

/// Whether the model reasons, as far as its name tells: only OpenAI's own names do.
fn reasons(target: &Target<'_>) -> bool {
    let name = target.model.rsplit('/').next().unwrap_or(target.model);
    target.vendor == Vendor::OpenAi && !["gpt-3", "gpt-4", "chatgpt"].iter().any(|old| name.starts_with(old))
}

fn format(request: &Request<'_>, body: &mut Object) {
    let mut text = Object::new(Vec::new());
    match &request.format {
        Format::Text => {}
        Format::Json => text.raw("format", br#"{"type":"json_object"}"#),
        Format::Schema { name, schema, strict } => {
            let mut format = Object::new(Vec::new());
            format.text("type", "json_schema");
            format.text("name", name.as_deref().unwrap_or("answer"));
            format.raw("schema", schema.get().as_bytes());
            if let Some(strict) = strict {
                format.raw("strict", if *strict { b"true" } else { b"false" });
            }
            text.raw("format", &format.end());
        }
    }
    if let Some(verbosity) = &request.verbosity {
        text.text("verbosity", verbosity);
    }
    if !text.empty() {
        body.raw("text", &text.end());
    }
}

fn tools(request: &Request<'_>, body: &mut Object) {
    let mut list = Vec::from(b"[");
    for tool in &request.tools {
        if list.len() > 1 {
            list.push(b',');
        }
        list.extend_from_slice(&self::tool(tool));
    }
    list.push(b']');
    body.raw("tools", &list);
    let word: &[u8] = match &request.choice {
        Choice::Unset => b"",
        Choice::Auto => b"\"auto\"",
        Choice::Any => b"\"required\"",
        Choice::None => b"\"none\"",
        Choice::Named(name) => {
            let freeform = request.tools.iter().any(|tool| tool.name == *name && tool.freeform.is_some());
            let mut choice = Object::new(Vec::new());
            choice.text("type", if freeform { "custom" } else { "function" });
            choice.text("name", name);
            &choice.end()
        }
    };
    if !word.is_empty() {
        body.raw("tool_choice", word);
    }
    if let Some(parallel) = request.parallel {
        body.raw("parallel_tool_calls", if parallel { b"true" } else { b"false" });
    }
}

fn tool(tool: &Tool<'_>) -> Vec<u8> {
    let mut object = Object::new(Vec::new());
    object.text("type", if tool.freeform.is_some() { "custom" } else { "function" });
    object.text("name", &tool.name);
    if let Some(description) = &tool.description {
        object.text("description", description);
    }
    match tool.freeform {
        Some(format) => {
            if let Some(format) = format {
                object.raw("format", &flat(format.get()));
            }
        }
        None => {
            let empty = r#"{"type":"object","properties":{}}"#;
            let schema = tool.schema.as_ref().map_or(empty, |schema| schema.get());
            object.raw("parameters", if schema == "null" { empty } else { schema }.as_bytes());
            // Left out it means true here, and OpenAI rewrites the schema then.
            object.raw("strict", if tool.strict == Some(true) { b"true" } else { b"false" });
        }
    }
    object.end()
}

/// A freeform tool's format. Chat puts the grammar into an object of its own; here it is flat.
fn flat(format: &str) -> Vec<u8> {
    #[derive(serde::Deserialize)]
    struct Nested<'a> {
        #[serde(borrow)]
        grammar: &'a serde_json::value::RawValue,
    }
    let inner = serde_json::from_str::<Nested<'_>>(format).ok().map(|nested| nested.grammar.get().trim());
    match inner.and_then(|inner| inner.strip_prefix('{')?.strip_suffix('}')) {
        Some(members) if !members.trim().is_empty() => format!(r#"{{"type":"grammar",{members}}}"#).into_bytes(),
        _ => format.as_bytes().to_vec(),
    }
}

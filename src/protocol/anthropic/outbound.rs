//! A request for a backend that speaks Messages: Anthropic itself, or an engine or service that took over its form.
//!
//! Prompt caching is asked for at the last system block, the last tool and the last user turn. Settings that a
//! version of Claude refuses are left out, see [`super::claude`].

use super::claude::{self, Form};
use super::turns::{self, Message};
use crate::protocol::ir::{Choice, Format, Request};
use crate::protocol::{Target, Vendor, quote, scan};

const CACHE: &str = ",\"cache_control\":{\"type\":\"ephemeral\"}}";

/// Longest `metadata.user_id`.
const USER_LIMIT: usize = 256;

pub(super) fn encode(request: &Request<'_>, target: &Target<'_>) -> Vec<u8> {
    let version = claude::version(target.model);
    let limit = request.max_tokens.unwrap_or_else(|| claude::limit(version, target.context));
    // Engines and their like take reasoning back without a proof; Anthropic refuses it.
    let unsigned = version.is_none()
        && matches!(target.vendor, Vendor::Vllm | Vendor::LlamaCpp | Vendor::Ollama | Vendor::DeepSeek);
    let mut messages = turns::messages(request, unsigned);
    let rests = claude::can_rest(target.model);
    let thinking = Thinking::of(request, claude::form(version), limit, turns::may_think(&messages), rests);
    if matches!(thinking, Thinking::Off { .. }) && !unsigned {
        turns::drop_thinking(&mut messages);
    }

    let mut out = Vec::with_capacity(4096);
    quote::raw(&mut out, "{\"model\":");
    quote::string(&mut out, target.model);
    quote::key(&mut out, "max_tokens");
    quote::json(&mut out, &limit);
    quote::raw(&mut out, ",\"stream\":true");
    thinking.write(&mut out);
    config(request, version, &thinking, &mut out);
    sampling(request, version, &thinking, &mut out);
    // A sequence of nothing but space is refused.
    let stop: Vec<&str> = request.stop.iter().map(AsRef::as_ref).filter(|text| !text.trim().is_empty()).collect();
    if !stop.is_empty() {
        quote::key(&mut out, "stop_sequences");
        quote::json(&mut out, &stop);
    }
    if let Some(user) = request.user.as_deref().filter(|user| !user.is_empty() && user.len() <= USER_LIMIT) {
        quote::raw(&mut out, ",\"metadata\":{\"user_id\":");
        quote::string(&mut out, user);
        out.push(b'}');
    }
    tools(request, &mut out);
    system(request, &mut out);
    write(&messages, &mut out);
    out.push(b'}');
    out
}

/// What is said about reasoning.
enum Thinking {
    /// Nothing, or that there shall be none.
    Off {
        said: bool,
    },
    /// None was asked for, of a model that always reasons: the least of it.
    Least,
    Budget(u64),
    Adaptive {
        show: bool,
    },
}

impl Thinking {
    fn of(request: &Request<'_>, form: Form, limit: u64, may: bool, rests: bool) -> Thinking {
        let reasoning = &request.reasoning;
        let effort = reasoning.effort.as_deref();
        let asked = match reasoning.enabled {
            Some(enabled) => enabled,
            None => effort.is_some_and(|effort| effort != "none") || reasoning.budget.is_some(),
        };
        let silenced = reasoning.enabled == Some(false) || effort == Some("none");
        // A forced tool and reasoning exclude each other, and the caller relies on the tool.
        let forced = !request.tools.is_empty() && matches!(request.choice, Choice::Any | Choice::Named(_));
        let said = (silenced || (asked && forced)) && form != Form::Never;
        if said && !rests {
            return Thinking::Least;
        }
        let off = Thinking::Off { said };
        if !asked || silenced || forced {
            return off;
        }
        match form {
            Form::Never => off,
            Form::Adaptive => Thinking::Adaptive { show: reasoning.show != Some(false) },
            // In a tool loop the turn must have begun with reasoning whose proof we hold.
            Form::Budget if !may => off,
            Form::Budget => claude::budget(effort, reasoning.budget, limit).map_or(off, Thinking::Budget),
        }
    }

    fn on(&self) -> bool {
        !matches!(self, Thinking::Off { .. })
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Thinking::Off { said: false } | Thinking::Least => {}
            Thinking::Off { said: true } => quote::raw(out, ",\"thinking\":{\"type\":\"disabled\"}"),
            Thinking::Budget(budget) => {
                quote::raw(out, ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":");
                quote::json(out, budget);
                out.push(b'}');
            }
            Thinking::Adaptive { show } => {
                quote::raw(out, ",\"thinking\":{\"type\":\"adaptive\",\"display\":\"");
                quote::raw(out, if *show { "summarized" } else { "omitted" });
                quote::raw(out, "\"}");
            }
        }
    }
}

/// `output_config`: the effort where it is known, and the form of the answer.
fn config(request: &Request<'_>, version: Option<claude::Version>, thinking: &Thinking, out: &mut Vec<u8>) {
    let effort = match thinking {
        Thinking::Adaptive { .. } => {
            let asked = request.reasoning.effort.as_deref().map(|effort| claude::effort(version, effort));
            asked.or(request.reasoning.budget.map(claude::effort_of))
        }
        Thinking::Least => Some("low"),
        Thinking::Off { .. } | Thinking::Budget(_) => None,
    };
    let schema = match &request.format {
        Format::Schema { schema, .. } => Some(schema.get()),
        Format::Text | Format::Json => None,
    };
    if effort.is_none() && schema.is_none() {
        return;
    }
    quote::raw(out, ",\"output_config\":{");
    if let Some(effort) = effort {
        quote::raw(out, "\"effort\":\"");
        quote::raw(out, effort);
        out.push(b'"');
    }
    if let Some(schema) = schema {
        quote::comma(out);
        quote::raw(out, "\"format\":{\"type\":\"json_schema\",\"schema\":");
        quote::raw(out, schema);
        out.push(b'}');
    }
    out.push(b'}');
}

fn sampling(request: &Request<'_>, version: Option<claude::Version>, thinking: &Thinking, out: &mut Vec<u8>) {
    // Reasoning wants the defaults.
    if thinking.on() {
        return;
    }
    let value = |name: &str| request.sampling.iter().find(|(known, _)| *known == name).map(|(_, value)| value.get());
    let warm = value("temperature").is_some();
    for name in ["temperature", "top_p", "top_k"] {
        let Some(text) = value(name).filter(|_| claude::samples(version, name, warm)) else { continue };
        quote::key(out, name);
        // Others go up to 2.
        let hot = name == "temperature" && text.parse::<f64>().is_ok_and(|heat| heat > 1.0);
        quote::raw(out, if hot { "1" } else { text });
    }
}

fn tools(request: &Request<'_>, out: &mut Vec<u8>) {
    let Some(last) = request.tools.len().checked_sub(1) else { return };
    quote::raw(out, ",\"tools\":[");
    for (at, tool) in request.tools.iter().enumerate() {
        quote::comma(out);
        quote::raw(out, "{\"name\":");
        quote::string(out, &tool.name);
        if let Some(description) = tool.description.as_ref().filter(|text| !text.is_empty()) {
            quote::key(out, "description");
            description.write(out);
        }
        quote::key(out, "input_schema");
        schema(tool.schema.as_deref().map_or("", |schema| schema.get()), out);
        if tool.strict == Some(true) {
            quote::raw(out, ",\"strict\":true");
        }
        quote::raw(out, if at == last { CACHE } else { "}" });
    }
    out.push(b']');
    let kind = match &request.choice {
        Choice::Unset if request.parallel != Some(false) => return,
        Choice::Unset | Choice::Auto => "auto",
        Choice::Any => "any",
        Choice::None => "none",
        Choice::Named(_) => "tool",
    };
    quote::raw(out, ",\"tool_choice\":{\"type\":\"");
    quote::raw(out, kind);
    out.push(b'"');
    if let Choice::Named(name) = &request.choice {
        quote::member(out, "name", name);
    }
    if request.parallel == Some(false) && request.choice != Choice::None {
        quote::raw(out, ",\"disable_parallel_tool_use\":true");
    }
    out.push(b'}');
}

/// The schema must say `"type":"object"` at its top.
fn schema(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    match scan::members(bytes, 0..bytes.len()) {
        None => quote::raw(out, "{\"type\":\"object\",\"properties\":{}}"),
        Some(members) if members.is_empty() => quote::raw(out, "{\"type\":\"object\",\"properties\":{}}"),
        Some(members) if members.iter().any(|(key, _)| scan::key_is(bytes, key.clone(), "type")) => {
            quote::raw(out, text);
        }
        Some(_) => {
            quote::raw(out, "{\"type\":\"object\",");
            quote::raw(out, text.trim_start().get(1..).unwrap_or("}"));
        }
    }
}

fn system(request: &Request<'_>, out: &mut Vec<u8>) {
    let mut texts: Vec<&str> =
        request.system.iter().map(AsRef::as_ref).filter(|text: &&str| !text.trim().is_empty()).collect();
    if matches!(request.format, Format::Json) {
        // Messages knows JSON only with a schema.
        texts.push("Answer with one JSON object and nothing else.");
    }
    let Some(last) = texts.len().checked_sub(1) else { return };
    quote::raw(out, ",\"system\":[");
    for (at, text) in texts.iter().enumerate() {
        quote::comma(out);
        quote::raw(out, "{\"type\":\"text\"");
        quote::member(out, "text", text);
        quote::raw(out, if at == last { CACHE } else { "}" });
    }
    out.push(b']');
}

fn write(messages: &[Message], out: &mut Vec<u8>) {
    let marked = messages.iter().rposition(Message::is_user);
    quote::raw(out, ",\"messages\":[");
    for (at, message) in messages.iter().enumerate() {
        quote::comma(out);
        quote::raw(out, if message.is_user() { "{\"role\":\"user\"" } else { "{\"role\":\"assistant\"" });
        quote::raw(out, ",\"content\":[");
        for (n, block) in message.blocks.iter().enumerate() {
            quote::comma(out);
            let end = block.json.len().saturating_sub(1);
            out.extend_from_slice(&block.json[..end]);
            quote::raw(out, if marked == Some(at) && n + 1 == message.blocks.len() { CACHE } else { "}" });
        }
        quote::raw(out, "]}");
    }
    out.push(b']');
}

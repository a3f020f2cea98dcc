//! A chat request, written. What is the same in every turn of a conversation stands first (model, tools, messages), so
//! that the bytes of one turn begin with those of the turn before; what may change stands behind.

use super::{messages, reasoning, write};
use crate::protocol::ir::{Choice, Format, Part, Request, Tool};
use crate::protocol::text::Text;
use crate::protocol::{Id, Target, Vendor};

pub(super) fn encode(request: &Request<'_>, target: &Target<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(size(request));
    out.push(b'{');
    write::member(&mut out, "model", target.model);
    out.extend_from_slice(br#","stream":true,"stream_options":{"include_usage":true}"#);
    if !request.tools.is_empty() {
        write::key(&mut out, "tools");
        out.push(b'[');
        request.tools.iter().for_each(|tool| offer(&mut out, tool));
        out.push(b']');
    }
    messages::write(&mut out, request, target.vendor);
    if !request.tools.is_empty() {
        choice(&mut out, request);
    }
    format(&mut out, request);
    if let Some(limit) = request.max_tokens {
        // OpenAI's reasoning models refuse the old name; everyone else knows it.
        let name = if target.vendor == Vendor::OpenAi { "max_completion_tokens" } else { "max_tokens" };
        write::key(&mut out, name);
        write::number(&mut out, limit);
    }
    for (name, value) in &request.sampling {
        if let Some(name) = sampling(name, target.vendor) {
            write::raw(&mut out, name, value.get());
        }
    }
    stop(&mut out, request, target.vendor);
    reasoning::write(&mut out, request, target);
    if let Some(words) = request.verbosity.as_deref().filter(|_| target.vendor == Vendor::OpenAi)
        && !repeats(request, "verbosity")
    {
        write::member(&mut out, "verbosity", words);
    }
    if matches!(target.vendor, Vendor::OpenAi | Vendor::OpenRouter) {
        identity(&mut out, request);
    }
    if request.from == Some(Id::Chat) {
        for (name, value) in request.extras.iter().filter(|(name, _)| !LEGACY.contains(&name.as_ref())) {
            write::comma(&mut out);
            write::string(&mut out, name);
            out.push(b':');
            out.extend_from_slice(value.get().as_bytes());
        }
    }
    out.push(b'}');
    out
}

/// The first form of tools: offered under `tools` instead.
pub(super) const LEGACY: [&str; 2] = ["functions", "function_call"];

/// Whether the caller's own `name` goes along as it stands.
pub(super) fn repeats(request: &Request<'_>, name: &str) -> bool {
    request.from == Some(Id::Chat) && request.extras.iter().any(|(extra, _)| extra == name)
}

/// About how long the request becomes.
fn size(request: &Request<'_>) -> usize {
    fn parts(list: &[Part<'_>]) -> usize {
        let one = |part: &Part<'_>| match part {
            Part::Text(text) => text.about() + 32,
            Part::Thinking { text, signature } => text.len() + signature.as_deref().map_or(0, str::len) + 32,
            Part::Media(media) => match &media.source {
                crate::protocol::ir::Source::Base64 { data, .. } => data.len() + 128,
                _ => 256,
            },
            // Arguments are JSON inside JSON: their quotes are escaped.
            Part::ToolUse(call) => call.input.len() * 5 / 4 + call.id.len() * 2 + call.name.len() + 160,
            Part::ToolResult { parts: inner, .. } => parts(inner) + 64,
        };
        list.iter().map(one).sum()
    }
    let tools: usize = request
        .tools
        .iter()
        .map(|tool| {
            let schema = tool.schema.as_ref().map_or(0, |schema| schema.get().len());
            tool.name.len() + tool.description.as_ref().map_or(0, Text::about) + schema + 96
        })
        .sum();
    let system: usize = request.system.iter().map(|text| text.about() + 2).sum();
    let turns: usize = request.turns.iter().map(|turn| parts(&turn.parts) + 48).sum();
    let all = tools + system + turns;
    // Line ends and quotes of program text are escaped.
    all + all / 12 + 384
}

fn offer(out: &mut Vec<u8>, tool: &Tool<'_>) {
    write::comma(out);
    out.extend_from_slice(br#"{"type":"function","function":{"#);
    write::member(out, "name", &tool.name);
    if let Some(description) = &tool.description {
        write::key(out, "description");
        description.write(out);
    }
    // Servers refuse a schema that is no object (vLLM 0.32: "Input should be a valid dictionary").
    let schema = tool.schema.as_deref().map(|schema| schema.get()).filter(|schema| schema.starts_with('{'));
    let schema = schema.unwrap_or(match tool.freeform {
        None => r#"{"type":"object","properties":{}}"#,
        Some(_) => r#"{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}"#,
    });
    write::raw(out, "parameters", schema);
    if let Some(strict) = tool.strict {
        write::raw(out, "strict", if strict { "true" } else { "false" });
    }
    out.extend_from_slice(b"}}");
}

fn choice(out: &mut Vec<u8>, request: &Request<'_>) {
    match &request.choice {
        Choice::Unset => {}
        Choice::Auto => write::raw(out, "tool_choice", r#""auto""#),
        Choice::Any => write::raw(out, "tool_choice", r#""required""#),
        Choice::None => write::raw(out, "tool_choice", r#""none""#),
        Choice::Named(name) => {
            write::raw(out, "tool_choice", r#"{"type":"function","function":{"#);
            write::member(out, "name", name);
            out.extend_from_slice(b"}}");
        }
    }
    if let Some(parallel) = request.parallel {
        write::raw(out, "parallel_tool_calls", if parallel { "true" } else { "false" });
    }
}

fn format(out: &mut Vec<u8>, request: &Request<'_>) {
    match &request.format {
        Format::Text => {}
        Format::Json => write::raw(out, "response_format", r#"{"type":"json_object"}"#),
        Format::Schema { name, schema, strict } => {
            write::raw(out, "response_format", r#"{"type":"json_schema","json_schema":{"#);
            write::member(out, "name", name.as_deref().unwrap_or("answer"));
            write::raw(out, "schema", schema.get());
            // In Messages a schema is always binding and cannot say so.
            if let Some(strict) = strict.or((request.from == Some(Id::Messages)).then_some(true)) {
                write::raw(out, "strict", if strict { "true" } else { "false" });
            }
            out.extend_from_slice(b"}}");
        }
    }
}

/// The vendor's name for a sampling setting; `None` where it would be refused.
fn sampling(name: &'static str, vendor: Vendor) -> Option<&'static str> {
    const PLAIN: [&str; 5] = ["temperature", "top_p", "seed", "presence_penalty", "frequency_penalty"];
    match vendor {
        // "Unknown parameter" is an error there.
        Vendor::OpenAi | Vendor::Google => PLAIN.contains(&name).then_some(name),
        Vendor::LlamaCpp if name == "repetition_penalty" => Some("repeat_penalty"),
        _ => Some(name),
    }
}

fn stop(out: &mut Vec<u8>, request: &Request<'_>, vendor: Vendor) {
    if request.stop.is_empty() {
        return;
    }
    // OpenAI takes no more than four.
    let most = if vendor == Vendor::OpenAi { 4 } else { usize::MAX };
    write::key(out, "stop");
    out.push(b'[');
    for text in request.stop.iter().take(most) {
        write::comma(out);
        write::string(out, text);
    }
    out.push(b']');
}

/// Who asks, for servers that route by it: requests with one key find their prompt's prefix cached.
fn identity(out: &mut Vec<u8>, request: &Request<'_>) {
    if let Some(key) = request.cache_key.as_deref().or(request.user.as_deref()) {
        write::member(out, "prompt_cache_key", &short(key));
    }
    if let Some(user) = request.user.as_deref() {
        write::member(out, "user", &short(user));
    }
}

/// OpenAI refuses identifiers of more than 64 characters; Claude Code's is longer. The same text gives the same one.
fn short(text: &str) -> std::borrow::Cow<'_, str> {
    if text.len() <= 64 {
        return text.into();
    }
    let fnv = |seed: u64| text.bytes().fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{:016x}{:016x}", fnv(0xcbf2_9ce4_8422_2325), fnv(0x9ae1_6a3b_2f90_404f)).into()
}

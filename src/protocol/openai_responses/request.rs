//! A Responses request, read. What only an answer repeats (metadata and the like) goes along in the extras.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::wire::{Body, Format as WireFormat, Reasoning, TextConfig, read, string};
use super::{content, items, tools};
use crate::protocol::ir::{Choice, Format, Framing, Request};
use crate::protocol::limit::Limit;
use crate::protocol::{Id, Problem, ProblemKind, pull};

pub(super) fn decode(body: &[u8]) -> Result<Request<'_>, Problem> {
    let wire: Body<'_> = pull::from_slice(body).map_err(|e| invalid(format!("the request does not parse: {e}")))?;
    refuse(&wire)?;
    let mut request = Request {
        model: wire.model.clone().unwrap_or_default(),
        from: Some(Id::Responses),
        framing: if wire.stream == Some(true) { Framing::Events } else { Framing::Whole },
        wants_usage: true,
        max_tokens: read(wire.max_output_tokens).and_then(|Limit(limit)| limit),
        parallel: read(wire.parallel_tool_calls),
        cache_key: string(wire.prompt_cache_key),
        user: string(wire.safety_identifier).or(string(wire.user)),
        extras: extras(&wire),
        ..Request::default()
    };
    if let Some(instructions) = wire.instructions {
        // Answers that were fetched repeat them as a list.
        let parts = match string(Some(instructions)) {
            Some(_) => content::parts(Some(instructions), &mut request.dropped)?,
            None => items::instructions(instructions, &mut request.dropped)?,
        };
        request.system = content::only_texts(parts, &mut request.dropped);
    }
    let mut late = Vec::new();
    tools::add(wire.tools, &mut request, &mut late);
    items::add(wire.input, &mut request, &mut late)?;
    request.tools.append(&mut late);
    if request.tools.is_empty() {
        request.choice = Choice::Unset;
    } else {
        tools::choose(wire.tool_choice, &mut request)?;
    }
    let sampling = [
        ("temperature", wire.temperature),
        ("top_p", wire.top_p),
        ("top_k", wire.top_k),
        ("min_p", wire.min_p),
        ("seed", wire.seed),
        ("presence_penalty", wire.presence_penalty),
        ("frequency_penalty", wire.frequency_penalty),
        ("repetition_penalty", wire.repetition_penalty),
    ];
    for (name, value) in sampling {
        request.sampling.extend(value.map(|value| (name, value)));
    }
    // No member of the protocol, but harmless where somebody sends it.
    request.stop = match string(wire.stop) {
        Some(stop) => vec![stop],
        None => read(wire.stop).unwrap_or_default(),
    };
    let text: Option<TextConfig<'_>> = read(wire.text);
    if let Some(format) = text.as_ref().and_then(|text| read::<WireFormat<'_>>(text.format)) {
        request.format = match (format.kind.as_ref(), format.schema) {
            ("json_schema", Some(schema)) => {
                Format::Schema { name: format.name, schema: Cow::Borrowed(schema), strict: format.strict }
            }
            ("json_schema", None) => return Err(invalid("text.format of type json_schema needs a schema")),
            ("json_object", _) => Format::Json,
            _ => Format::Text,
        };
    }
    request.verbosity = text.and_then(|text| string(text.verbosity));
    let reasoning: Option<Reasoning<'_>> = read(wire.reasoning);
    if let Some(reasoning) = reasoning {
        match string(reasoning.effort) {
            Some(effort) if effort == "none" => request.reasoning.enabled = Some(false),
            effort => request.reasoning.effort = effort,
        }
        request.reasoning.show = reasoning.summary.map(|_| true);
    }
    Ok(request)
}

fn invalid(message: impl Into<String>) -> Problem {
    Problem::new(ProblemKind::Invalid, message)
}

/// What would change the answer if it were left out in silence.
fn refuse(wire: &Body<'_>) -> Result<(), Problem> {
    if read(wire.background) == Some(true) {
        return Err(invalid("background responses are not served here: leave out background and wait for the answer"));
    }
    if wire.conversation.is_some() && wire.previous_response_id.is_some() {
        return Err(invalid("conversation and previous_response_id exclude each other"));
    }
    if wire.conversation.is_some() {
        return Err(invalid("conversations are not kept here: use previous_response_id, or send the whole input"));
    }
    if wire.prompt.is_some() {
        return Err(invalid("prompt templates are not kept here: send instructions and input"));
    }
    Ok(())
}

/// The members an answer repeats, and those only the same protocol can use.
fn extras<'a>(wire: &Body<'a>) -> Vec<(Cow<'a, str>, &'a RawValue)> {
    let members = [
        ("instructions", wire.instructions),
        ("tools", wire.tools),
        ("tool_choice", wire.tool_choice),
        ("parallel_tool_calls", wire.parallel_tool_calls),
        ("max_output_tokens", wire.max_output_tokens),
        ("max_tool_calls", wire.max_tool_calls),
        ("temperature", wire.temperature),
        ("top_p", wire.top_p),
        ("top_logprobs", wire.top_logprobs),
        ("presence_penalty", wire.presence_penalty),
        ("frequency_penalty", wire.frequency_penalty),
        ("text", wire.text),
        ("reasoning", wire.reasoning),
        ("include", wire.include),
        ("store", wire.store),
        ("metadata", wire.metadata),
        ("prompt_cache_key", wire.prompt_cache_key),
        ("safety_identifier", wire.safety_identifier),
        ("user", wire.user),
        ("previous_response_id", wire.previous_response_id),
        ("truncation", wire.truncation),
    ];
    members.into_iter().filter_map(|(name, value)| Some((Cow::Borrowed(name), value?))).collect()
}

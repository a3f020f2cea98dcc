//! A caller's chat request, read.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::body::{self, Body};
use super::turns;
use super::wire::{Count, Either, Text};
use crate::protocol::ir::{Choice, Format, Framing, Request, Tool};
use crate::protocol::limit::Limit;
use crate::protocol::{Id, Problem, ProblemKind, pull};

pub(super) fn decode(bytes: &[u8]) -> Result<Request<'_>, Problem> {
    let body: Body<'_> = pull::from_slice(bytes).map_err(|e| invalid(format!("the request does not parse: {e}")))?;
    let mut request = Request {
        from: Some(Id::Chat),
        model: body.model.map(|model| model.0).unwrap_or_default(),
        framing: if body.stream == Some(true) { Framing::Events } else { Framing::Whole },
        wants_usage: body.stream_options.is_some_and(|options| options.include_usage == Some(true)),
        parallel: body.parallel_tool_calls,
        max_tokens: body.max_completion_tokens.or(body.max_tokens).and_then(|Limit(limit)| limit),
        sampling: body.sampling,
        cache_key: body.prompt_cache_key.map(|key| key.0),
        user: body.user.map(|user| user.0),
        ..Request::default()
    };
    if body.n.is_some_and(|Count(n)| n > 1) {
        request.dropped.push("n".to_owned());
    }
    turns::read(body.messages, &mut request)?;
    tools(body.tools.unwrap_or_default(), &mut request);
    if body.functions.is_some() && request.tools.is_empty() {
        // The first form of tools has a place for one call.
        request.parallel = Some(false);
    }
    for function in body.functions.unwrap_or_default() {
        offer(&mut request, function, None);
    }
    choice(body.tool_choice, body.function_call, &mut request)?;
    request.stop = match body.stop {
        Some(Either::Text(text)) => vec![text],
        Some(Either::Other(list)) => list.into_iter().map(|text| text.0).collect(),
        None => Vec::new(),
    };
    request.stop.retain(|text| !text.is_empty());
    request.format = format(body.response_format)?;
    for (name, value) in &body.extras {
        reasoning(name, value, &mut request);
    }
    request.extras = body.extras;
    Ok(request)
}

pub(super) fn invalid(message: impl Into<String>) -> Problem {
    Problem::new(ProblemKind::Invalid, message)
}

fn tools<'a>(tools: Vec<body::Tool<'a>>, request: &mut Request<'a>) {
    for tool in tools {
        let kind = tool.kind.as_deref().unwrap_or("function");
        let flat = body::Signature {
            name: tool.name.unwrap_or_default(),
            description: tool.description,
            parameters: tool.parameters,
            strict: tool.strict,
            format: tool.format,
        };
        match kind {
            "function" => offer(request, tool.function.unwrap_or(flat), None),
            "custom" => {
                let custom = tool.custom.unwrap_or(flat);
                let format = custom.format;
                offer(request, custom, Some(format));
            }
            // Tools of a provider's own: the model behind knows none of them, and engines refuse what they do not know.
            other => request.dropped.push(format!("tool {other}")),
        }
    }
}

fn offer<'a>(request: &mut Request<'a>, tool: body::Signature<'a>, freeform: Option<Option<&'a RawValue>>) {
    if tool.name.is_empty() {
        return request.dropped.push("tool without a name".to_owned());
    }
    request.tools.push(Tool {
        name: tool.name.0,
        namespace: None,
        description: tool.description.map(|text| text.0.into()),
        schema: tool.parameters.filter(|_| freeform.is_none()).map(Cow::Borrowed),
        strict: tool.strict,
        freeform,
    });
}

fn choice<'a>(
    tool: Option<Either<'a, body::ToolChoice<'a>>>,
    function: Option<Either<'a, body::Named<'a>>>,
    request: &mut Request<'a>,
) -> Result<(), Problem> {
    request.choice = match (tool, function) {
        (Some(Either::Text(mode)), _) | (None, Some(Either::Text(mode))) => mode_of(&mode)?,
        (Some(Either::Other(choice)), _) => object(choice, request)?,
        (None, Some(Either::Other(function))) => Choice::Named(function.name.0),
        (None, None) => Choice::Unset,
    };
    Ok(())
}

fn mode_of(mode: &str) -> Result<Choice<'static>, Problem> {
    match mode {
        "auto" => Ok(Choice::Auto),
        "none" => Ok(Choice::None),
        "required" | "any" => Ok(Choice::Any),
        other => Err(invalid(format!("there is no tool_choice {other:?}"))),
    }
}

fn name_of<'a>(choice: body::ToolChoice<'a>) -> Option<Cow<'a, str>> {
    let nested = choice.function.or(choice.custom).map(|named| named.name);
    nested.or(choice.name).map(|name| name.0).filter(|name| !name.is_empty())
}

fn object<'a>(choice: body::ToolChoice<'a>, request: &mut Request<'a>) -> Result<Choice<'a>, Problem> {
    if choice.kind.as_ref() as &str != "allowed_tools" {
        // Anthropic's modes as objects reach chat servers too.
        if matches!(choice.kind.as_ref() as &str, "auto" | "none" | "required" | "any") {
            return mode_of(&choice.kind);
        }
        return name_of(choice).map(Choice::Named).ok_or_else(|| invalid("tool_choice names no tool"));
    }
    let (mode, tools) = match choice.allowed_tools {
        Some(allowed) => (allowed.mode, allowed.tools),
        None => (choice.mode, choice.tools.unwrap_or_default()),
    };
    let allowed: Vec<Cow<'a, str>> = tools.into_iter().filter_map(name_of).collect();
    request.tools.retain(|tool| allowed.contains(&tool.name));
    mode.map_or(Ok(Choice::Auto), |mode| mode_of(&mode))
}

fn format(format: Option<body::ResponseFormat<'_>>) -> Result<Format<'_>, Problem> {
    let Some(format) = format else { return Ok(Format::Text) };
    match format.kind.as_ref() as &str {
        "json_object" => Ok(Format::Json),
        "json_schema" => {
            let schema = format.json_schema.ok_or_else(|| invalid("response_format has no json_schema"))?;
            Ok(Format::Schema {
                name: schema.name.map(|name| name.0),
                schema: Cow::Borrowed(schema.schema.ok_or_else(|| invalid("response_format has no schema"))?),
                strict: schema.strict,
            })
        }
        "text" | "" => Ok(Format::Text),
        other => Err(invalid(format!("there is no response_format of type {other:?}"))),
    }
}

/// Callers say in many ways how much to reason, and how much to say. What does not parse is no reason to refuse: it stays in the extras.
fn reasoning<'a>(name: &str, value: &'a RawValue, request: &mut Request<'a>) {
    if name == "verbosity" {
        request.verbosity = serde_json::from_str::<Text<'a>>(value.get()).ok().map(|text| text.0);
    }
    let said = &mut request.reasoning;
    let object = || serde_json::from_str::<body::Reasoning<'a>>(value.get()).unwrap_or_default();
    match name {
        "reasoning_effort" => said.effort = serde_json::from_str::<Text<'a>>(value.get()).ok().map(|text| text.0),
        "reasoning" => {
            let object = object();
            said.effort = object.effort.map(|effort| effort.0).or(said.effort.take());
            said.budget = object.max_tokens.map(|Count(budget)| budget).or(said.budget);
            said.enabled = object.enabled.or(said.enabled);
            said.show = object.exclude.map(|exclude| !exclude).or(said.show);
        }
        "chat_template_kwargs" => {
            let object = object();
            let thinking = object.thinking.and_then(|raw| raw.get().parse().ok());
            said.enabled = object.enable_thinking.or(thinking).or(said.enabled);
        }
        "thinking" => {
            let object = object();
            said.budget = object.budget_tokens.map(|Count(budget)| budget).or(said.budget);
            said.enabled = match object.kind.as_deref() {
                Some("enabled") => Some(true),
                Some("disabled") => Some(false),
                _ => said.enabled,
            };
        }
        "enable_thinking" => said.enabled = value.get().parse().ok().or(said.enabled),
        "include_reasoning" => said.show = value.get().parse().ok().or(said.show),
        _ => {}
    }
    if said.effort.as_deref() == Some("none") {
        said.effort = None;
        said.enabled = Some(false);
    }
}

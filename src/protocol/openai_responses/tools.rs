//! Tools on offer, and which of them to use. Codex gets new kinds of tools every month: what is unknown is dropped by
//! name and the functions stay.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::special::{self, Special};
use super::wire::{self, read};
use crate::protocol::ir::{Choice, Request, Tool};
use crate::protocol::{Problem, ProblemKind};

/// The mark of a special tool in [`Request::extras`], for the encoder.
pub(super) const SPECIAL: &str = "tool:";

/// Reads a list of tools. Deferred ones go to `late`, and so does everything that comes inside the input.
pub(super) fn add<'a>(list: Option<&'a RawValue>, request: &mut Request<'a>, late: &mut Vec<Tool<'a>>) {
    for raw in read::<Vec<&RawValue>>(list).unwrap_or_default() {
        match read::<wire::Tool<'a>>(Some(raw)) {
            Some(tool) => one(tool, raw, None, request, late),
            None => request.dropped.push("a tool that does not parse".to_owned()),
        }
    }
}

fn one<'a>(
    mut tool: wire::Tool<'a>,
    raw: &'a RawValue,
    group: Option<&Cow<'a, str>>,
    request: &mut Request<'a>,
    late: &mut Vec<Tool<'a>>,
) {
    let kind = tool.kind.clone();
    // The nested form of Chat.
    let nested = if kind == "custom" { tool.custom } else { tool.function };
    if tool.name.is_none()
        && let Some(inner) = read::<wire::Tool<'a>>(nested)
    {
        tool = inner;
    }
    match (kind.as_ref(), tool.name) {
        ("function" | "custom", Some(name)) if !name.is_empty() => {
            let freeform = kind == "custom" || is_disguised(&name, tool.description.as_deref(), tool.parameters);
            let made = Tool {
                name,
                namespace: group.cloned(),
                description: tool.description.filter(|text| !text.is_empty()),
                schema: if freeform { None } else { tool.parameters.map(Cow::Borrowed) },
                strict: tool.strict,
                freeform: freeform.then_some(tool.format.filter(|_| kind == "custom")),
            };
            push(made, tool.defer_loading == Some(true), request, late);
        }
        ("namespace", Some(name)) if group.is_none() => {
            let mut description = tool.description.filter(|text| !text.is_empty());
            for raw in read::<Vec<&RawValue>>(tool.tools).unwrap_or_default() {
                let Some(mut inner) = read::<wire::Tool<'a>>(Some(raw)) else {
                    request.dropped.push("a tool that does not parse".to_owned());
                    continue;
                };
                // What is said of the whole group stands once, with its first tool.
                if let Some(about) = description.take() {
                    let own = inner.description.take().unwrap_or_default();
                    inner.description = Some(format!("[{name}: {about}]\n{own}").into());
                }
                one(inner, raw, Some(&name), request, late);
            }
        }
        (kind, name) => {
            tool.name = name;
            tool.kind = kind.to_owned().into();
            match special::function(&tool) {
                Some(made) if !request.tools.iter().any(|known| known.name == made.name) => {
                    request.extras.push((format!("{SPECIAL}{}", made.name).into(), raw));
                    push(made, false, request, late);
                }
                _ => request.dropped.push(format!("tool {kind}")),
            }
        }
    }
}

/// Whether a function is a freeform tool all the same. Some builds of Codex offer `apply_patch` as a function with one
/// member `patch`, say in its description that it is a FREEFORM tool, and refuse a `function_call` of it as an
/// "incompatible payload". Relays that turn the tool into a function themselves name its member `input`, and want the
/// call as they know it.
fn is_disguised(name: &str, description: Option<&str>, schema: Option<&RawValue>) -> bool {
    #[derive(serde::Deserialize)]
    struct Schema<'a> {
        #[serde(borrow)]
        properties: Option<std::collections::HashMap<Cow<'a, str>, serde::de::IgnoredAny>>,
    }
    let only = |properties: std::collections::HashMap<Cow<'_, str>, serde::de::IgnoredAny>| {
        properties.len() == 1 && properties.contains_key("patch")
    };
    name == "apply_patch"
        && description.is_some_and(|words| words.contains("FREEFORM"))
        && read::<Schema<'_>>(schema).and_then(|schema| schema.properties).is_some_and(only)
}

fn push<'a>(tool: Tool<'a>, deferred: bool, request: &mut Request<'a>, late: &mut Vec<Tool<'a>>) {
    let same = |known: &Tool<'_>| known.name == tool.name && known.namespace == tool.namespace;
    // Searched for again, or searched for and now on offer anyway: the first one stays where it is.
    if !request.tools.iter().any(same) && !late.iter().any(same) {
        if deferred { late.push(tool) } else { request.tools.push(tool) }
    }
}

/// Tools that came inside the input: they stand behind all others, so that the prompt's prefix stays.
pub(super) fn add_late<'a>(
    list: Option<&'a RawValue>,
    request: &mut Request<'a>,
    late: &mut Vec<Tool<'a>>,
) -> Vec<String> {
    let tools = std::mem::take(&mut request.tools);
    // Only names count for what is there already.
    let mut added = Vec::new();
    add(list, request, &mut added);
    let mut fresh = std::mem::replace(&mut request.tools, tools);
    fresh.append(&mut added);
    // As most backends will get to see them.
    let shown = |tool: &Tool<'_>| match &tool.namespace {
        Some(group) => format!("{}__{}", group.trim_end_matches("__"), tool.name),
        None => tool.name.clone().into_owned(),
    };
    let names = fresh.iter().map(shown).collect();
    for tool in fresh {
        push(tool, true, request, late);
    }
    names
}

/// Reads `tool_choice`. `allowed_tools` narrows the tools themselves.
pub(super) fn choose<'a>(raw: Option<&'a RawValue>, request: &mut Request<'a>) -> Result<(), Problem> {
    let Some(raw) = raw else { return Ok(()) };
    if let Some(mode) = wire::string(Some(raw)) {
        request.choice = mode_of(&mode)?;
        return Ok(());
    }
    let Some(mut choice) = read::<wire::ToolChoice<'a>>(Some(raw)) else {
        return Err(Problem::new(ProblemKind::Invalid, "tool_choice is neither a word nor an object"));
    };
    match choice.kind.as_ref() {
        "function" | "custom" => {
            let nested = read::<wire::ToolChoice<'a>>(choice.function.or(choice.custom)).and_then(|inner| inner.name);
            let name = choice.name.or(nested);
            let name = name.ok_or_else(|| Problem::new(ProblemKind::Invalid, "this tool_choice needs a name"))?;
            request.choice = Choice::Named(name);
        }
        "allowed_tools" => {
            if let Some(inner) = read::<wire::ToolChoice<'a>>(choice.allowed_tools) {
                choice = inner;
            }
            let allowed: Vec<wire::ToolChoice<'_>> = read(choice.tools).unwrap_or_default();
            let named = |tool: &Tool<'_>| {
                allowed.iter().any(|one| {
                    let nested = read::<wire::ToolChoice<'_>>(one.function.or(one.custom)).and_then(|inner| inner.name);
                    let name = one.name.as_ref().or(nested.as_ref());
                    match name {
                        Some(name) => {
                            *name == tool.name || (one.kind == "namespace" && Some(name) == tool.namespace.as_ref())
                        }
                        None => one.kind == tool.name,
                    }
                })
            };
            request.tools.retain(named);
            request.choice = mode_of(choice.mode.as_deref().unwrap_or("auto"))?;
        }
        kind if Special::by_name(kind).is_some() && request.tools.iter().any(|tool| tool.name == kind) => {
            request.choice = Choice::Named(choice.kind);
        }
        // A tool of OpenAI's servers, which was dropped.
        kind => {
            request.dropped.push(format!("tool_choice {kind}"));
            request.choice = Choice::Auto;
        }
    }
    Ok(())
}

fn mode_of(mode: &str) -> Result<Choice<'static>, Problem> {
    match mode {
        "auto" => Ok(Choice::Auto),
        "none" => Ok(Choice::None),
        "required" | "any" => Ok(Choice::Any),
        other => Err(Problem::new(ProblemKind::Invalid, format!("there is no tool_choice {other:?}"))),
    }
}

//! A Messages request, read.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::tidy::BILLING;
use super::wire::{Block, Body, Source};
use crate::protocol::ir::{
    Choice, Format, Framing, Media, MediaKind, Part, Request, Role, Source as Place, Tool, ToolUse, Turn,
};
use crate::protocol::{Id, Problem, ProblemKind};

pub(super) fn decode(body: &[u8]) -> Result<Request<'_>, Problem> {
    let wire: Body<'_> =
        serde_json::from_slice(body).map_err(|e| invalid(format!("the request does not parse: {e}")))?;
    let mut request = Request {
        model: wire.model,
        from: Some(Id::Messages),
        framing: if wire.stream == Some(true) { Framing::Events } else { Framing::Whole },
        wants_usage: true,
        max_tokens: wire.max_tokens,
        stop: wire.stop_sequences.unwrap_or_default(),
        ..Request::default()
    };
    let dropped = &mut request.dropped;
    if let Some(system) = wire.system {
        let texts = texts(system, dropped)?;
        request.system.extend(texts.into_iter().filter(|text| !text.starts_with(BILLING)));
    }
    for message in wire.messages {
        let Some(content) = message.content else { continue };
        match message.role.as_ref() {
            "system" | "developer" => {
                let texts = texts(content, dropped)?;
                // What stands before the first answer is the same in every conversation of a kind: at the head it
                // shares a cached prefix. Later ones stay in place, as words of the user's side, because templates
                // refuse a system message that does not come first.
                if request.turns.iter().all(|turn| turn.role == Role::User) {
                    request.system.extend(texts);
                } else {
                    push(&mut request.turns, Role::User, texts.into_iter().map(Part::Text).collect());
                }
            }
            "assistant" => push(&mut request.turns, Role::Assistant, parts(content, dropped)?),
            "user" => push(&mut request.turns, Role::User, parts(content, dropped)?),
            other => return Err(invalid(format!("messages have no role {other:?}"))),
        }
    }
    let mut late = Vec::new();
    for tool in wire.tools.unwrap_or_default() {
        // Anthropic's own tools run on their servers or have no schema: the model here knows none of them.
        let own = tool.kind.as_deref().is_some_and(|kind| kind != "custom");
        if (own && tool.input_schema.is_none()) || tool.name.is_empty() {
            dropped.push(format!("tool {}", tool.kind.as_deref().unwrap_or("without a name")));
            continue;
        }
        let list = if tool.defer_loading == Some(true) { &mut late } else { &mut request.tools };
        list.push(Tool {
            name: tool.name,
            namespace: None,
            description: tool.description,
            schema: tool.input_schema.map(Cow::Borrowed),
            strict: tool.strict,
            freeform: None,
        });
    }
    request.tools.append(&mut late);
    if let Some(choice) = wire.tool_choice {
        request.parallel = choice.disable_parallel_tool_use.map(|disabled| !disabled);
        request.choice = match (choice.kind.as_ref(), choice.name) {
            ("any", _) => Choice::Any,
            ("none", _) => Choice::None,
            ("tool", Some(name)) => Choice::Named(name),
            ("tool", None) => return Err(invalid("tool_choice of type tool needs a name".to_owned())),
            _ => Choice::Auto,
        };
    }
    for (name, value) in [("temperature", wire.temperature), ("top_p", wire.top_p), ("top_k", wire.top_k)] {
        request.sampling.extend(value.map(|value| (name, value)));
    }
    let mut schema = None;
    if let Some(config) = wire.output_config {
        request.reasoning.effort = config.effort;
        schema = config.format.and_then(|format| format.schema);
    }
    if let Some(schema) = schema.or(wire.output_format.and_then(|format| format.schema)) {
        request.format = Format::Schema { name: None, schema: Cow::Borrowed(schema), strict: None };
    }
    request.reasoning.enabled = wire.thinking.and_then(|thinking| match thinking.kind.as_ref() {
        "enabled" => Some(true),
        "disabled" => Some(false),
        // Adaptive: the model's own default.
        _ => None,
    });
    Ok(request)
}

fn invalid(message: String) -> Problem {
    Problem::new(ProblemKind::Invalid, message)
}

fn push<'a>(turns: &mut Vec<Turn<'a>>, role: Role, parts: Vec<Part<'a>>) {
    match turns.last_mut() {
        Some(last) if last.role == role => last.parts.extend(parts),
        _ => turns.push(Turn { role, parts }),
    }
}

/// A string, or its blocks.
fn blocks(content: &RawValue) -> Result<Vec<Block<'_>>, Problem> {
    let text = content.get();
    let unreadable = |e: serde_json::Error| invalid(format!("a content does not parse: {e}"));
    match text.as_bytes().first() {
        Some(b'"') => {
            let text = string(text).map_err(unreadable)?;
            Ok(vec![Block { kind: "text".into(), text: Some(text), ..empty_block() }])
        }
        Some(b'n') => Ok(Vec::new()),
        _ => serde_json::from_str(text).map_err(unreadable),
    }
}

fn string(text: &str) -> Result<Cow<'_, str>, serde_json::Error> {
    #[derive(serde::Deserialize)]
    #[serde(transparent)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::from_str(text).map(|Text(text)| text)
}

fn empty_block<'a>() -> Block<'a> {
    Block {
        kind: Cow::Borrowed(""),
        text: None,
        thinking: None,
        id: None,
        name: None,
        input: None,
        tool_use_id: None,
        content: None,
        is_error: None,
        source: None,
        tool_name: None,
        signature: None,
    }
}

fn texts<'a>(content: &'a RawValue, dropped: &mut Vec<String>) -> Result<Vec<Cow<'a, str>>, Problem> {
    let mut found = Vec::new();
    for block in blocks(content)? {
        match block.text {
            Some(text) if !text.is_empty() => found.push(text),
            Some(_) => {}
            None => dropped.push(format!("system block {}", block.kind)),
        }
    }
    Ok(found)
}

fn parts<'a>(content: &'a RawValue, dropped: &mut Vec<String>) -> Result<Vec<Part<'a>>, Problem> {
    let mut found = Vec::new();
    for block in blocks(content)? {
        match block.kind.as_ref() {
            "text" => found.extend(block.text.filter(|text| !text.is_empty()).map(Part::Text)),
            "thinking" => found.extend(
                block
                    .thinking
                    .filter(|text| !text.is_empty())
                    .map(|text| Part::Thinking { text, signature: block.signature.filter(|s| !s.is_empty()) }),
            ),
            "tool_use" => found.push(Part::ToolUse(ToolUse {
                id: block.id.unwrap_or_default(),
                name: block.name.unwrap_or_default(),
                namespace: None,
                input: Cow::Borrowed(block.input.map_or("{}", RawValue::get)),
                freeform: false,
                signature: None,
            })),
            "tool_result" => found.push(Part::ToolResult {
                id: block.tool_use_id.unwrap_or_default(),
                parts: match block.content {
                    Some(content) => parts(content, dropped)?,
                    None => Vec::new(),
                },
                is_error: block.is_error == Some(true),
            }),
            "tool_reference" => {
                let name = block.tool_name.unwrap_or_default();
                found.push(Part::Text(format!("The tool {name} is available now.").into()));
            }
            "image" => match image(block.source) {
                Some(source) => {
                    found.push(Part::Media(Media { kind: MediaKind::Image, source, name: None, detail: None }))
                }
                None => return Err(invalid("this image source is not supported here: use base64 or url".to_owned())),
            },
            "document" => match document(block.source) {
                Some(text) => found.push(Part::Text(text)),
                // Losing a file in silence is worse than saying so.
                None => {
                    let message = "this model reads no such documents: send their text instead";
                    return Err(invalid(message.to_owned()));
                }
            },
            other => dropped.push(format!("block {other}")),
        }
    }
    Ok(found)
}

fn source(source: Option<&RawValue>) -> Option<Source<'_>> {
    serde_json::from_str(source?.get()).ok()
}

fn image(raw: Option<&RawValue>) -> Option<Place<'_>> {
    let source = source(raw)?;
    match source.kind.as_ref() {
        "base64" => {
            let media = source.media_type.unwrap_or(Cow::Borrowed("image/png"));
            Some(Place::Base64 { media_type: media, data: source.data? })
        }
        "url" => source.url.map(crate::protocol::media::from_url),
        _ => None,
    }
}

fn document(raw: Option<&RawValue>) -> Option<Cow<'_, str>> {
    let source = source(raw)?;
    if source.kind == "text" { source.data } else { None }
}

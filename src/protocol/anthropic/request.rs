//! A Messages request, read.

use std::borrow::Cow;

use super::content::Reader;
use super::tidy::BILLING;
use super::tools;
use super::wire::{Body, Format as WireFormat, Text, Thinking, ToolChoice, without_place};
use crate::protocol::ir::{Choice, Format, Framing, Part, Reasoning, Request, Role, Tool, Turn};
use crate::protocol::limit::Limit;
use crate::protocol::text::Text as PromptText;
use crate::protocol::{Id, Problem, ProblemKind, pull, scan};

pub(super) fn decode(body: &[u8]) -> Result<Request<'_>, Problem> {
    let wire: Body<'_> = pull::from_slice(body).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => invalid(without_place(&error.to_string()).to_owned()),
        _ => invalid(format!("the request body is not JSON: {error}")),
    })?;
    let messages = wire.messages.ok_or_else(|| invalid("messages: field required".to_owned()))?;
    // There is no word for no limit here: Anthropic refuses these too.
    if let Some(Limit(None | Some(0))) = wire.max_tokens {
        return Err(invalid("max_tokens: must be at least 1, and a number that can be".to_owned()));
    }
    let limit = wire.max_tokens.and_then(|Limit(limit)| limit);
    let mut request = Request {
        model: wire.model.0,
        from: Some(Id::Messages),
        framing: if wire.stream == Some(true) { Framing::Events } else { Framing::Whole },
        wants_usage: true,
        max_tokens: limit,
        stop: wire.stop_sequences.unwrap_or_default().into_iter().map(|Text(text)| text).collect(),
        dropped: wire.unknown.iter().map(|key| format!("member {key}")).collect(),
        ..Request::default()
    };
    let mut reader = Reader::default();
    if let Some(system) = wire.system {
        let texts = reader.texts(system, &|| "system".to_owned())?;
        request.system.extend(texts.into_iter().filter_map(without_billing));
    }
    for (at, message) in messages.into_iter().enumerate() {
        // Said only where something is wrong.
        let at = || format!("messages.{at}");
        let content = message.content.ok_or_else(|| invalid(format!("{}.content: field required", at())))?;
        match message.role.as_ref() {
            "system" | "developer" => {
                let texts = reader.texts(content, &at)?;
                // What stands before the first answer is the same in every conversation of a kind: at the head it
                // shares a cached prefix. Later ones stay in place, as words of the user's side, because templates
                // refuse a system message that does not come first.
                if request.turns.iter().all(|turn| turn.role == Role::User) {
                    request.system.extend(texts);
                } else {
                    push(&mut request.turns, Role::User, texts.into_iter().map(Part::Text).collect());
                }
            }
            "assistant" => push(&mut request.turns, Role::Assistant, reader.parts(content, &at)?),
            "user" => push(&mut request.turns, Role::User, reader.parts(content, &at)?),
            other => return Err(invalid(format!("{}.role: {other:?} is neither user, assistant nor system", at()))),
        }
    }
    request.dropped.append(&mut reader.dropped);
    request.tools = tools::decode(wire.tools.unwrap_or_default(), &reader.found_tools, &mut request.dropped)?;
    if let Some(choice) = wire.tool_choice {
        request.parallel = choice.disable_parallel_tool_use.map(|disabled| !disabled);
        request.choice = self::choice(choice, &request.tools, &mut request.dropped)?;
    }
    for (name, value) in [("temperature", wire.temperature), ("top_p", wire.top_p), ("top_k", wire.top_k)] {
        let Some(value) = value else { continue };
        if value.get().parse::<f64>().is_err() {
            return Err(invalid(format!("{name}: must be a number")));
        }
        request.sampling.push((name, value));
    }
    let mut wanted = wire.output_format;
    if let Some(config) = wire.output_config {
        request.reasoning.effort = config.effort;
        wanted = config.format.or(wanted);
    }
    if let Some(wanted) = wanted {
        request.format = format(wanted)?;
    }
    if let Some(thinking) = wire.thinking {
        reasoning(&thinking, &mut request.reasoning);
    }
    if let Some(user) = wire.metadata.and_then(|metadata| metadata.user_id) {
        request.cache_key = session(&user).map(Cow::Owned);
        request.user = Some(user);
    }
    Ok(request)
}

pub(super) fn invalid(message: String) -> Problem {
    Problem::new(ProblemKind::Invalid, message)
}

fn push<'a>(turns: &mut Vec<Turn<'a>>, role: Role, parts: Vec<Part<'a>>) {
    match turns.last_mut() {
        Some(last) if last.role == role => last.parts.extend(parts),
        _ => turns.push(Turn { role, parts }),
    }
}

/// A system text without the client's billing line: the block goes, of one long string its first line (as in
/// [`super::tidy`]).
fn without_billing(text: PromptText<'_>) -> Option<PromptText<'_>> {
    if !text.starts_with(BILLING) {
        return Some(text);
    }
    let rest = text.split_once('\n')?.1.to_owned();
    (!rest.is_empty()).then(|| rest.into())
}

fn choice<'a>(wire: ToolChoice<'a>, tools: &[Tool<'_>], dropped: &mut Vec<String>) -> Result<Choice<'a>, Problem> {
    Ok(match (wire.kind.as_ref(), wire.name) {
        ("auto", _) => Choice::Auto,
        ("any", _) => Choice::Any,
        ("none", _) => Choice::None,
        ("tool", Some(name)) if tools.iter().any(|tool| tool.name == name) => Choice::Named(name),
        // It names a server tool that was left out (Claude Code's web search does): the model answers by itself.
        ("tool", Some(name)) => {
            dropped.push(format!("tool_choice {name}"));
            Choice::Auto
        }
        ("tool", None) => return Err(invalid("tool_choice.name: field required".to_owned())),
        (other, _) => {
            return Err(invalid(format!("tool_choice.type: {other:?} is neither auto, any, tool nor none")));
        }
    })
}

fn format(wire: WireFormat<'_>) -> Result<Format<'_>, Problem> {
    match (wire.kind.as_ref(), wire.schema) {
        (_, Some(schema)) => Ok(Format::Schema { name: None, schema: Cow::Borrowed(schema), strict: None }),
        ("json_schema", None) => Err(invalid("output_config.format.schema: field required".to_owned())),
        ("json_object", None) => Ok(Format::Json),
        _ => Ok(Format::Text),
    }
}

fn reasoning(thinking: &Thinking<'_>, reasoning: &mut Reasoning<'_>) {
    reasoning.enabled = match thinking.kind.as_ref() {
        "enabled" | "between_tools" => Some(true),
        "disabled" => Some(false),
        // Adaptive: the model's own default.
        _ => None,
    };
    reasoning.budget = thinking.budget_tokens.filter(|_| reasoning.enabled == Some(true));
    reasoning.show = match thinking.display.as_deref() {
        Some("omitted") => Some(false),
        Some(_) => Some(true),
        None if reasoning.enabled == Some(false) => Some(false),
        None => None,
    };
}

/// Claude Code's session out of its `user_id`: JSON text with `session_id` since 2.1, `…_session_<id>` before.
fn session(user: &str) -> Option<String> {
    let text = user.as_bytes();
    match scan::member(text, 0..text.len(), "session_id") {
        Some(span) => scan::string(text, span),
        None => user.rsplit_once("_session_").map(|(_, id)| id.to_owned()),
    }
    .filter(|id| !id.is_empty())
}

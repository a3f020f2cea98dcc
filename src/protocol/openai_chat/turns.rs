//! A caller's messages, read into turns.

use std::borrow::Cow;

use super::body::{self, Message};
use super::chunk::Function;
use super::decode::invalid;
use super::details;
use super::wire::{self, Either, Text};
use crate::protocol::carrier::{self, Maker};
use crate::protocol::ir::{Media, MediaKind, Part, Request, Role, Source, ToolUse, Turn};
use crate::protocol::pull::Words;
use crate::protocol::{Problem, media};

/// Calls without an id get one, the results behind them likewise.
#[derive(Default)]
struct Unnamed {
    made: usize,
    /// Ids of the last assistant message's calls that have no result yet.
    open: Vec<String>,
}

impl Unnamed {
    /// The id of a call.
    fn call<'a>(&mut self, id: Option<Text<'a>>) -> Cow<'a, str> {
        let id = id.map(|id| id.0).filter(|id| !id.is_empty()).unwrap_or_else(|| {
            self.made += 1;
            format!("call_{}", self.made).into()
        });
        self.open.push(id.as_ref().to_owned());
        id
    }

    /// The id of a result.
    fn result<'a>(&mut self, id: Option<Text<'a>>) -> Cow<'a, str> {
        match id.map(|id| id.0).filter(|id| !id.is_empty()) {
            Some(id) => {
                self.open.retain(|open| *open != id);
                id
            }
            None if self.open.is_empty() => Cow::Borrowed(""),
            None => self.open.remove(0).into(),
        }
    }
}

pub(super) fn read<'a>(messages: Vec<Message<'a>>, request: &mut Request<'a>) -> Result<(), Problem> {
    let mut ids = Unnamed::default();
    for message in messages {
        let role: &str = &message.role;
        // Who of several speaks: no other protocol tells. A function's result is told by its call.
        if message.name.is_some() && role != "function" && role != "tool" {
            dropped(request, "name of a message");
        }
        if message.audio.is_some() {
            dropped(request, "audio of an answer");
        }
        match role {
            "system" | "developer" => {
                let mut texts = Vec::new();
                for part in parts(message.content, &mut request.dropped)? {
                    match part {
                        Part::Text(text) => texts.push(text),
                        _ => request.dropped.push("media in a system message".to_owned()),
                    }
                }
                // What stands before the first answer is the same in every conversation of a kind: at the head it
                // shares a cached prefix. Later ones stay in place, as words of the user's side, because templates
                // refuse a system message that does not come first.
                if request.turns.iter().all(|turn| turn.role == Role::User) {
                    request.system.extend(texts);
                } else {
                    let texts = texts.into_iter().map(Part::Text).collect();
                    push(&mut request.turns, Role::User, texts);
                }
            }
            "user" => {
                let parts = parts(message.content, &mut request.dropped)?;
                push(&mut request.turns, Role::User, parts);
            }
            "assistant" => {
                ids.open.clear();
                let parts = assistant(message, &mut ids, &mut request.dropped)?;
                push(&mut request.turns, Role::Assistant, parts);
            }
            "tool" | "function" => {
                let id = ids.result(message.tool_call_id);
                let parts = parts(message.content, &mut request.dropped)?;
                push(&mut request.turns, Role::User, vec![Part::ToolResult { id, parts, is_error: false }]);
            }
            other => return Err(invalid(format!("messages have no role {other:?}"))),
        }
    }
    Ok(())
}

/// Once, however often it occurs.
fn dropped(request: &mut Request<'_>, what: &str) {
    if !request.dropped.iter().any(|known| known == what) {
        request.dropped.push(what.to_owned());
    }
}

fn push<'a>(turns: &mut Vec<Turn<'a>>, role: Role, parts: Vec<Part<'a>>) {
    match turns.last_mut() {
        Some(last) if last.role == role => last.parts.extend(parts),
        _ => turns.push(Turn { role, parts }),
    }
}

fn assistant<'a>(message: Message<'a>, ids: &mut Unnamed, dropped: &mut Vec<String>) -> Result<Vec<Part<'a>>, Problem> {
    let mut found = Vec::new();
    let mut text = wire::reasoning([message.reasoning_content, message.reasoning]);
    let mut proofs = Vec::new();
    if let Some(raw) = message.reasoning_details.filter(|raw| raw.get() != "null" && raw.get() != "[]") {
        if text.is_none() {
            text = Some(details::words(raw).into()).filter(|words: &Cow<'_, str>| !words.is_empty());
        }
        proofs = details::sealed(raw);
        if proofs.is_empty() {
            proofs.push(carrier::seal(Maker::Details, raw.get()));
        }
    }
    let mut proofs = proofs.into_iter();
    let first = proofs.next();
    if text.is_some() || first.is_some() {
        found.push(Part::Thinking { text: text.unwrap_or_default(), signature: first.map(Cow::Owned) });
    }
    // More than one: there were more blocks, whose words the protocol has joined.
    found.extend(proofs.map(|proof| Part::Thinking { text: Cow::Borrowed(""), signature: Some(proof.into()) }));
    found.extend(parts(message.content, dropped)?);
    found.extend(message.refusal.filter(|text| !text.is_empty()).map(|text| Part::Text(text.0.into())));
    for call in message.tool_calls.unwrap_or_default() {
        let google = call.extra_content.and_then(|extra| extra.google);
        let signature =
            google.and_then(|google| google.thought_signature).map(|proof| match carrier::is_sealed(&proof) {
                true => proof.0,
                false => carrier::seal(Maker::Gemini, &proof).into(),
            });
        let (name, input, freeform) = match (call.function, call.custom) {
            (Some(function), _) => function_of(function),
            (None, Some(custom)) => {
                let name = custom.name.map(|name| name.0).unwrap_or_default();
                (name, custom.input.map(|input| input.0).unwrap_or_default(), true)
            }
            (None, None) => return Err(invalid("a tool call has neither a function nor a custom member")),
        };
        let id = ids.call(call.id);
        found.push(Part::ToolUse(ToolUse { id, name, namespace: None, input, freeform, signature }));
    }
    if let Some(function) = message.function_call {
        let (name, input, freeform) = function_of(function);
        let id = ids.call(None);
        found.push(Part::ToolUse(ToolUse { id, name, namespace: None, input, freeform, signature: None }));
    }
    Ok(found)
}

fn function_of(function: Function<'_>) -> (Cow<'_, str>, Cow<'_, str>, bool) {
    let input = function.arguments.map(wire::arguments).filter(|input| !input.trim().is_empty());
    (function.name.map(|name| name.0).unwrap_or_default(), input.unwrap_or(Cow::Borrowed("{}")), false)
}

fn parts<'a>(
    content: Option<Words<'a, Vec<body::Part<'a>>>>,
    dropped: &mut Vec<String>,
) -> Result<Vec<Part<'a>>, Problem> {
    let list = match content {
        None => return Ok(Vec::new()),
        Some(Words::Text(text)) if text.is_empty() => return Ok(Vec::new()),
        Some(Words::Text(text)) => return Ok(vec![Part::Text(text)]),
        Some(Words::Other(list)) => list,
    };
    let mut found = Vec::with_capacity(list.len());
    for part in list {
        let kind = part.kind;
        let text = part.text.or(part.refusal);
        let read = match (part.image_url, part.input_audio, part.audio_url, part.file) {
            (Some(image), ..) => Some(url(image, MediaKind::Image)),
            (_, Some(audio), ..) => Some(sound(audio)),
            (_, _, Some(audio), _) => Some(url(audio, MediaKind::Audio)),
            (.., Some(file)) => Some(document(file)?),
            _ => None,
        };
        match (read, text) {
            (Some(media), _) => found.push(Part::Media(media)),
            (None, Some(text)) => found.extend((!text.is_empty()).then_some(Part::Text(text.0.into()))),
            // The model at least learns that there was something.
            (None, None) => {
                found.push(Part::Text(format!("[{}: not readable here]", kind.0).into()));
                dropped.push(format!("part {}", kind.0));
            }
        }
    }
    Ok(found)
}

fn url<'a>(place: Either<'a, body::Image<'a>>, kind: MediaKind) -> Media<'a> {
    let (url, detail) = match place {
        Either::Text(url) => (url, None),
        Either::Other(image) => (image.url.0, image.detail.map(|detail| detail.0)),
    };
    Media { kind, source: media::from_url(url), name: None, detail }
}

fn sound(audio: body::Audio<'_>) -> Media<'_> {
    let media_type = match audio.format.as_deref().unwrap_or("wav") {
        "mp3" => Cow::Borrowed("audio/mpeg"),
        "wav" => Cow::Borrowed("audio/wav"),
        other => Cow::Owned(format!("audio/{other}")),
    };
    let source = Source::Base64 { media_type, data: audio.data.0 };
    Media { kind: MediaKind::Audio, source, name: None, detail: None }
}

fn document(file: body::File<'_>) -> Result<Media<'_>, Problem> {
    let source = match (file.file_data, file.file_id) {
        (Some(Text(data)), _) => match media::from_url(data) {
            // Bare base64, which SDKs of other languages send; or a place on the web (OpenRouter).
            Source::Url(data) if !data.contains("://") => {
                Source::Base64 { media_type: Cow::Borrowed("application/pdf"), data }
            }
            source => source,
        },
        (None, Some(Text(id))) => Source::File(id),
        (None, None) => return Err(invalid("a file part has neither file_data nor file_id")),
    };
    let kind = match &source {
        Source::Base64 { media_type, .. } if media_type.starts_with("image/") => MediaKind::Image,
        Source::Base64 { media_type, .. } if media_type.starts_with("audio/") => MediaKind::Audio,
        _ => MediaKind::Document,
    };
    Ok(Media { kind, source, name: file.filename.map(|name| name.0), detail: None })
}

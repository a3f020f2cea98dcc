//! Contents become turns: roles merged, calls paired with their results (by id, else by name and order), results
//! first in their turn.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::lenient::Text;
use super::request::invalid;
use super::thoughts::Signature;
use super::wire::{Blob, Call, Content, FileData, Part as WirePart, Response};
use crate::protocol::carrier::{self, Maker};
use crate::protocol::ir::{Media, MediaKind, Part, Role, Source, ToolUse, Turn};
use crate::protocol::text::Text as PromptText;
use crate::protocol::{Problem, media, pull};

/// What clients put where a signature is missing; no proof of anything.
const DUMMIES: [&str; 2] = [super::SKIP, "context_engineering_is_the_way_to_go"];

/// Whether a signature is one of those.
pub(super) fn is_dummy(signature: &str) -> bool {
    DUMMIES.contains(&signature)
}

#[derive(Default)]
pub(super) struct Turns<'a> {
    turns: Vec<Turn<'a>>,
    /// Calls of the last turn of the model that have no result yet.
    open: Vec<Open<'a>>,
    /// Calls so far, for the ids we make: the history only grows at its end, so they stay the same.
    calls: usize,
}

struct Open<'a> {
    /// The id in the request, if it has one.
    given: Option<Cow<'a, str>>,
    name: Cow<'a, str>,
    id: Cow<'a, str>,
}

impl<'a> Turns<'a> {
    pub(super) fn content(&mut self, content: Content<'a>, dropped: &mut Vec<String>) -> Result<(), Problem> {
        let role = match content.role.as_ref().map(|role| role.0.as_ref()) {
            Some("model" | "assistant") => Role::Assistant,
            None | Some("" | "user" | "function" | "tool") => Role::User,
            Some(other) => return Err(invalid(format!("contents have no role {other:?}: it is user or model"))),
        };
        if self.turns.last().is_none_or(|turn| turn.role != role) {
            self.turns.push(Turn { role, parts: Vec::new() });
            if role == Role::Assistant {
                self.open.clear();
            }
        }
        let mut parts = self.turns.last_mut().map(|turn| std::mem::take(&mut turn.parts)).unwrap_or_default();
        if let Some(Text(text)) = content.text.filter(|text| !text.0.is_empty()) {
            parts.push(Part::Text(text.into()));
        }
        for part in content.parts.0 {
            self.part(part, role, &mut parts, dropped)?;
        }
        if let Some(turn) = self.turns.last_mut() {
            turn.parts = parts;
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Vec<Turn<'a>> {
        for turn in &mut self.turns {
            // Stable: the order within both kinds stays.
            turn.parts.sort_by_key(|part| !matches!(part, Part::ToolResult { .. }));
        }
        self.turns.retain(|turn| !turn.parts.is_empty());
        self.turns
    }

    fn part(
        &mut self,
        part: WirePart<'a>,
        role: Role,
        parts: &mut Vec<Part<'a>>,
        dropped: &mut Vec<String>,
    ) -> Result<(), Problem> {
        let proof = match Signature::of(part.signature.filter(|_| role == Role::Assistant)) {
            Signature::None => None,
            Signature::Own(proof) => Some(proof),
            Signature::Others(mut reasoning) => {
                // Callers that keep thoughts send the same words once more, unsigned.
                while matches!(parts.last(), Some(Part::Thinking { signature: None, .. })) {
                    parts.pop();
                }
                parts.append(&mut reasoning);
                None
            }
        };
        let sealed = |maker| proof.as_deref().map(|proof| Cow::Owned(carrier::seal(maker, proof)));
        if let Some(call) = part.call {
            // Only the model calls; a call in the user's turn would be answered by nobody.
            if role == Role::Assistant {
                parts.push(Part::ToolUse(self.call(call, sealed(Maker::Gemini))));
            } else {
                dropped.push("functionCall of the user".to_owned());
            }
        } else if let Some(response) = part.response {
            if role == Role::User {
                parts.push(self.response(response, dropped)?);
            } else {
                dropped.push("functionResponse of the model".to_owned());
            }
        } else if let Some(text) = part.text {
            if part.thought {
                if !text.is_empty() || proof.is_some() {
                    parts.push(Part::Thinking { text: text.into_cow(), signature: sealed(Maker::Gemini) });
                }
                return Ok(());
            }
            if !text.is_empty() {
                parts.push(Part::Text(text));
            }
            if proof.is_some() {
                parts.push(Part::Thinking { text: "".into(), signature: sealed(Maker::GeminiText) });
            }
        } else if let Some(blob) = part.inline {
            parts.extend(inline(blob)?);
        } else if let Some(file) = part.file {
            parts.push(Part::Media(elsewhere(file)?));
        } else if let Some(code) = part.code {
            let language = code.language.map(|text| text.0.to_ascii_lowercase()).unwrap_or_default();
            let code = code.code.unwrap_or_default().0;
            parts.push(Part::Text(format!("```{language}\n{code}\n```").into()));
        } else if let Some(result) = part.result {
            let output = result.output.unwrap_or_default().0;
            parts.push(Part::Text(format!("```\n{output}\n```").into()));
        } else if let Some((other, _)) = part.others.first() {
            dropped.push(format!("part {other}"));
        }
        Ok(())
    }

    fn call(&mut self, call: Call<'a>, signature: Option<Cow<'a, str>>) -> ToolUse<'a> {
        let given = call.id.map(|id| id.0).filter(|id| !id.is_empty());
        let name = call.name.unwrap_or_default().0;
        // Some senders make ids of names, so that two calls of one turn share one.
        let fresh = given.clone().filter(|id| !self.open.iter().any(|open| open.id == *id));
        let id = fresh.unwrap_or_else(|| format!("gemini_call_{}", self.calls).into());
        self.calls += 1;
        self.open.push(Open { given, name: name.clone(), id: id.clone() });
        let args = call.args.map(RawValue::get).filter(|args| args.starts_with('{'));
        ToolUse { id, name, namespace: None, input: Cow::Borrowed(args.unwrap_or("{}")), freeform: false, signature }
    }

    fn response(&mut self, wire: Response<'a>, dropped: &mut Vec<String>) -> Result<Part<'a>, Problem> {
        let given = wire.id.map(|id| id.0).filter(|id| !id.is_empty());
        let name = wire.name.unwrap_or_default().0;
        let by_id = given.as_ref().and_then(|id| self.open.iter().position(|open| open.given.as_ref() == Some(id)));
        let at = by_id.or_else(|| {
            let alike = |open: &Open<'_>| open.name == name && (given.is_none() || open.given.is_none());
            self.open.iter().position(alike)
        });
        let id = match at {
            Some(at) => self.open.remove(at).id,
            // The call was cut out of the history.
            None => given.unwrap_or_else(|| format!("gemini_result_{name}").into()),
        };
        let (text, is_error) = wire.response.map_or((PromptText::default(), false), result);
        let mut parts = Vec::new();
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        for part in wire.parts.0 {
            match (part.text, part.inline, part.file) {
                (Some(text), ..) if !text.is_empty() => parts.push(Part::Text(text)),
                (_, Some(blob), _) => parts.extend(inline(blob)?),
                (_, _, Some(file)) => parts.push(Part::Media(elsewhere(file)?)),
                _ => dropped.push("part of functionResponse".to_owned()),
            }
        }
        Ok(Part::ToolResult { id, parts, is_error })
    }
}

/// The words of a result, and whether it failed: Google's convention is one member `output` or `error`.
fn result(raw: &RawValue) -> (PromptText<'_>, bool) {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wrapper<'a> {
        #[serde(borrow)]
        output: Option<&'a RawValue>,
        #[serde(borrow)]
        result: Option<&'a RawValue>,
        #[serde(borrow)]
        error: Option<&'a RawValue>,
    }
    match pull::from_str::<Wrapper<'_>>(raw.get()) {
        Ok(Wrapper { output: Some(only), result: None, error: None })
        | Ok(Wrapper { output: None, result: Some(only), error: None }) => (words(only), false),
        Ok(Wrapper { output: None, result: None, error: Some(only) }) => (words(only), true),
        _ if raw.get() == "null" => (PromptText::default(), false),
        _ => (words(raw), false),
    }
}

fn words(raw: &RawValue) -> PromptText<'_> {
    PromptText::of(raw).unwrap_or_else(|| raw.get().into())
}

fn kind(mime: &str) -> MediaKind {
    match mime.split('/').next() {
        Some("image") => MediaKind::Image,
        Some("audio") => MediaKind::Audio,
        _ => MediaKind::Document,
    }
}

fn inline<'a>(blob: Blob<'a>) -> Result<Option<Part<'a>>, Problem> {
    let Some(Text(data)) = blob.data.filter(|data| !data.0.is_empty()) else { return Ok(None) };
    let Some(Text(mime)) = blob.mime.filter(|mime| !mime.0.is_empty()) else {
        return Err(invalid("inlineData needs a mimeType".to_owned()));
    };
    // Plain text needs no model that reads documents.
    let textual = mime.starts_with("text/") || matches!(mime.as_ref(), "application/json" | "application/xml");
    if textual && let Some(text) = media::text(&data) {
        return Ok((!text.is_empty()).then(|| Part::Text(text.into())));
    }
    // Proto3 JSON writes bytes in either alphabet; data URLs know only the first one.
    let data = if data.contains(['-', '_']) { data.replace('-', "+").replace('_', "/").into() } else { data };
    Ok(Some(Part::Media(Media {
        kind: kind(&mime),
        source: Source::Base64 { media_type: mime, data },
        name: blob.name.map(|name| name.0),
        detail: None,
    })))
}

fn elsewhere<'a>(file: FileData<'a>) -> Result<Media<'a>, Problem> {
    let Some(Text(uri)) = file.uri.filter(|uri| !uri.0.is_empty()) else {
        return Err(invalid("fileData needs a fileUri".to_owned()));
    };
    let ending = uri.rsplit('.').next().unwrap_or_default();
    let guess = if matches!(ending, "png" | "jpg" | "jpeg" | "webp" | "gif") { "image/*" } else { "" };
    let mime = file.mime.map_or(Cow::Borrowed(guess), |mime| mime.0);
    // What was uploaded to Google's Files API is there and nowhere else.
    let uploaded = uri.starts_with("files/") || uri.contains("/v1beta/files/") || uri.contains("/v1/files/");
    let source = if uploaded { Source::File(uri) } else { media::from_url(uri) };
    Ok(Media { kind: kind(&mime), source, name: file.name.map(|name| name.0), detail: None })
}

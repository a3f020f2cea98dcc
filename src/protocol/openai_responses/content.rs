//! What a message or a tool's output holds.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::wire::{self, read, string};
use crate::protocol::ir::{Media, MediaKind, Part, Source};
use crate::protocol::text::Text as PromptText;
use crate::protocol::{Problem, ProblemKind, media, pull};

/// A string, or parts.
pub(super) fn parts<'a>(content: Option<&'a RawValue>, dropped: &mut Vec<String>) -> Result<Vec<Part<'a>>, Problem> {
    let Some(content) = content else { return Ok(Vec::new()) };
    if let Some(text) = PromptText::of(content) {
        return Ok(texts(Some(text)).collect());
    }
    let list: Vec<&RawValue> = match content.get().as_bytes().first() {
        Some(b'[') => pull::from_str(content.get()).map_err(unreadable)?,
        _ => vec![content],
    };
    let mut found = Vec::with_capacity(list.len());
    for raw in list {
        // A list of plain strings is no form of the protocol, but clear enough.
        if let Some(text) = PromptText::of(raw) {
            found.extend(texts(Some(text)));
            continue;
        }
        found.extend(part(pull::from_str(raw.get()).map_err(unreadable)?, dropped));
    }
    Ok(found)
}

fn unreadable(error: serde_json::Error) -> Problem {
    Problem::new(ProblemKind::Invalid, format!("a content does not parse: {error}"))
}

fn texts(text: Option<PromptText<'_>>) -> impl Iterator<Item = Part<'_>> {
    text.filter(|text| !text.is_empty()).map(Part::Text).into_iter()
}

fn part<'a>(part: wire::Part<'a>, dropped: &mut Vec<String>) -> Option<Part<'a>> {
    let media = |kind, source, name, detail| Some(Part::Media(Media { kind, source, name, detail }));
    match part.kind.as_ref() {
        "input_text" | "output_text" | "text" | "summary_text" | "reasoning_text" => texts(part.text).next(),
        "refusal" => texts(part.refusal.map(PromptText::from)).next(),
        "input_image" | "image_url" | "image" => {
            let nested: Option<wire::ImageUrl<'a>> = read(part.image_url);
            let (url, detail) = match nested {
                Some(nested) => (Some(nested.url), nested.detail.or(part.detail)),
                None => (string(part.image_url), part.detail),
            };
            let source = url.map(media::from_url).or(part.file_id.map(Source::File));
            let Some(source) = source else {
                dropped.push("an image without a source".to_owned());
                return None;
            };
            media(MediaKind::Image, source, None, detail)
        }
        "input_file" | "file" => {
            let inline =
                part.file_data.filter(|data| !data.is_empty()).map(|data| file(data, part.filename.as_deref()));
            let source = inline.or(part.file_url.map(media::from_url)).or(part.file_id.map(Source::File));
            let Some(source) = source else {
                dropped.push("a file without a source".to_owned());
                return None;
            };
            media(MediaKind::Document, source, part.filename, None)
        }
        "input_audio" => {
            let Some(audio) = read::<wire::Audio<'a>>(part.input_audio) else {
                dropped.push("a sound without data".to_owned());
                return None;
            };
            let media_type = match audio.format.as_deref() {
                Some("mp3") => "audio/mpeg".into(),
                Some(format) => format!("audio/{format}").into(),
                None => Cow::Borrowed("audio/wav"),
            };
            media(MediaKind::Audio, Source::Base64 { media_type, data: audio.data }, None, None)
        }
        other => {
            dropped.push(format!("part {other}"));
            None
        }
    }
}

/// A data URL, or bare base64 whose type the name tells.
fn file<'a>(data: Cow<'a, str>, name: Option<&str>) -> Source<'a> {
    match media::from_url(data) {
        Source::Url(data) => {
            let extension = name.and_then(|name| name.rsplit_once('.')).map_or("", |(_, extension)| extension);
            let media_type = match extension.to_ascii_lowercase().as_str() {
                "txt" | "md" | "csv" | "log" => "text/plain",
                "json" => "application/json",
                "html" | "htm" => "text/html",
                _ => "application/pdf",
            };
            Source::Base64 { media_type: media_type.into(), data }
        }
        source => source,
    }
}

/// The texts among the parts, one by one.
pub(super) fn only_texts<'a>(parts: Vec<Part<'a>>, dropped: &mut Vec<String>) -> Vec<PromptText<'a>> {
    let mut texts = Vec::with_capacity(parts.len());
    for part in parts {
        match part {
            Part::Text(text) => texts.push(text),
            _ => dropped.push("media in a system message".to_owned()),
        }
    }
    texts
}

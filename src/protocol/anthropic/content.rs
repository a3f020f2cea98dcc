//! The content of a message, read into parts.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::request::invalid;
use super::wire::{Block, Content, Found, Source, without_place};
use crate::protocol::carrier::{self, Maker};
use crate::protocol::ir::{self, Media, MediaKind, Part, ToolUse};
use crate::protocol::pull::{self, Loose, Words};
use crate::protocol::text::{Text as PromptText, string};
use crate::protocol::{Problem, media};

/// Says where in the request something stands, for who has to hear that it is wrong.
type Place<'p> = &'p dyn Fn() -> String;

/// What reading the messages one after the other needs to remember.
#[derive(Default)]
pub(super) struct Reader<'a> {
    /// Short names of what had no place.
    pub(super) dropped: Vec<String>,
    /// Tools that became known in the course of the conversation (`tool_reference`), in the order they did.
    pub(super) found_tools: Vec<Cow<'a, str>>,
    /// Calls without a result so far.
    unanswered: Vec<Cow<'a, str>>,
    /// How many ids were made.
    made: usize,
}

impl<'a> Reader<'a> {
    /// The texts of a system content.
    pub(super) fn texts(&mut self, content: Content<'a>, at: Place<'_>) -> Result<Vec<PromptText<'a>>, Problem> {
        let blocks = match said(content, at)? {
            Words::Text(text) => return Ok(if text.is_empty() { Vec::new() } else { vec![text] }),
            Words::Other(blocks) => blocks,
        };
        let mut found = Vec::with_capacity(blocks.len());
        for block in blocks {
            match block.text {
                Some(text) if !text.is_empty() => found.push(text),
                Some(_) => {}
                None => self.dropped.push(format!("system block {}", block.kind)),
            }
        }
        Ok(found)
    }

    /// The parts of a message's content.
    pub(super) fn parts(&mut self, content: Content<'a>, at: Place<'_>) -> Result<Vec<Part<'a>>, Problem> {
        let blocks = match said(content, at)? {
            Words::Text(text) => return Ok(if text.is_empty() { Vec::new() } else { vec![Part::Text(text)] }),
            Words::Other(blocks) => blocks,
        };
        let mut found = Vec::with_capacity(blocks.len());
        for (n, block) in blocks.into_iter().enumerate() {
            self.block(block, &|| format!("{}.content.{n}", at()), &mut found)?;
        }
        Ok(found)
    }

    fn block(&mut self, block: Block<'a>, at: Place<'_>, found: &mut Vec<Part<'a>>) -> Result<(), Problem> {
        match block.kind.as_ref() {
            "text" => found.extend(block.text.filter(|text| !text.is_empty()).map(Part::Text)),
            "thinking" => found.extend(thinking(block)),
            "redacted_thinking" => {
                let proof = block.data.filter(|data| !data.is_empty());
                found.extend(proof.map(|proof| Part::Thinking { text: "".into(), signature: Some(proof) }));
            }
            "tool_use" => {
                let name = block.name.filter(|name| !name.is_empty());
                let name = name.ok_or_else(|| invalid(format!("{}.name: field required", at())))?;
                let id = block.id.filter(|id| !id.is_empty()).unwrap_or_else(|| {
                    // Counted, not random: the next turn must get the same prompt.
                    self.made += 1;
                    format!("toolu_{}", self.made).into()
                });
                self.unanswered.push(id.clone());
                found.push(Part::ToolUse(ToolUse {
                    id,
                    name,
                    namespace: None,
                    input: self.input(block.input),
                    freeform: false,
                    signature: None,
                }));
            }
            "tool_result" => {
                let id = self.answered(block.tool_use_id);
                let parts = match block.content {
                    Some(content) => self.parts(content.into(), at)?,
                    None => Vec::new(),
                };
                found.push(Part::ToolResult { id, parts, is_error: block.is_error == Some(true) });
            }
            "tool_reference" => {
                let name = block.tool_name.unwrap_or_default();
                found.push(Part::Text(format!("The tool {name} is available now.").into()));
                if !self.found_tools.contains(&name) {
                    self.found_tools.push(name);
                }
            }
            "image" => {
                let source = source(block.source, at)?;
                let source = place(source, "image/png")
                    .ok_or_else(|| invalid(format!("{}.source: an image comes as base64, url or file", at())))?;
                found.push(Part::Media(Media { kind: MediaKind::Image, source, name: None, detail: None }));
            }
            "document" => self.document(block, at, found)?,
            "search_result" => {
                let title = block.title.unwrap_or_default();
                let source = block.source.and_then(string).unwrap_or_default();
                let mut words = format!("[search result] {title} ({source})");
                for text in block.content.map(|content| self.texts(content.into(), at)).transpose()?.unwrap_or_default()
                {
                    words.push('\n');
                    words.push_str(&text);
                }
                found.push(Part::Text(words.into()));
            }
            // What Anthropic's own servers ran and found out: the words in it are part of the conversation.
            kind if kind.ends_with("_tool_result") => {
                let mut words = String::new();
                match block.content {
                    Some(Loose::Text(text)) => words.push_str(&text),
                    Some(Loose::Raw(content)) => gather(content, &mut words, 0),
                    None => {}
                }
                if words.is_empty() {
                    self.dropped.push(format!("block {kind}"));
                } else {
                    let kind = kind.trim_end_matches("_tool_result").replace('_', " ");
                    found.push(Part::Text(format!("[{kind} result] {words}").into()));
                }
            }
            other => self.dropped.push(format!("block {other}")),
        }
        Ok(())
    }

    /// A call's arguments: an object, whatever stands there (clients have sent them as a string).
    fn input(&mut self, input: Option<&'a RawValue>) -> Cow<'a, str> {
        let Some(input) = input else { return Cow::Borrowed("{}") };
        if input.get().starts_with('{') {
            return Cow::Borrowed(input.get());
        }
        let inner = string(input).filter(|text| {
            text.trim_start().starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
        });
        inner.unwrap_or_else(|| {
            self.dropped.push("input that is no object".to_owned());
            Cow::Borrowed("{}")
        })
    }

    /// The call a result belongs to; without an id the oldest one that waits.
    fn answered(&mut self, id: Option<Cow<'a, str>>) -> Cow<'a, str> {
        match id.filter(|id| !id.is_empty()) {
            Some(id) => {
                self.unanswered.retain(|waiting| *waiting != id);
                id
            }
            None if self.unanswered.is_empty() => Cow::Borrowed("toolu_0"),
            None => self.unanswered.remove(0),
        }
    }

    fn document(&mut self, block: Block<'a>, at: Place<'_>, found: &mut Vec<Part<'a>>) -> Result<(), Problem> {
        let source = source(block.source, at)?;
        let lead = [block.title.as_deref(), block.context.as_deref()];
        let lead: Vec<&str> = lead.into_iter().flatten().filter(|words| !words.is_empty()).collect();
        let lead = (!lead.is_empty()).then(|| format!("[document] {}", lead.join("\n")));
        match source.kind.as_ref() {
            "text" => {
                let data = source.data.unwrap_or_default();
                let words = lead.map_or(data.clone(), |lead| format!("{lead}\n{data}").into());
                found.extend((!words.is_empty()).then_some(Part::Text(words.into())));
            }
            "content" => {
                found.extend(lead.map(|lead| Part::Text(lead.into())));
                if let Some(content) = source.content {
                    found.extend(self.parts(Content::Raw(content), at)?);
                }
            }
            _ => {
                let source = place(source, "application/pdf").ok_or_else(|| {
                    invalid(format!("{}.source: a document comes as base64, text, content, url or file", at()))
                })?;
                let context = block.context.filter(|context| !context.is_empty());
                found.extend(context.map(|context| Part::Text(format!("[document] {context}").into())));
                found.push(Part::Media(Media { kind: MediaKind::Document, source, name: block.title, detail: None }));
            }
        }
        Ok(())
    }
}

/// A content: one text or blocks.
fn said<'a>(content: Content<'a>, at: Place<'_>) -> Result<Words<'a, Vec<Block<'a>>>, Problem> {
    let raw = match content {
        Content::Read(read) => return Ok(read),
        Content::Raw(raw) => raw,
    };
    if let Some(text) = PromptText::of(raw) {
        return Ok(Words::Text(text));
    }
    let read = match raw.get().as_bytes().first() {
        Some(b'[') => pull::from_str(raw.get()),
        _ => return Err(invalid(format!("{}.content: must be a string or a list of blocks", at()))),
    };
    let read = read.map_err(|error| invalid(format!("{}.content: {}", at(), without_place(&error.to_string()))))?;
    Ok(Words::Other(read))
}

fn thinking(block: Block<'_>) -> Option<Part<'_>> {
    let signature = block.signature.filter(|signature| !signature.is_empty());
    let text = block.thinking.unwrap_or_default();
    // Reasoning the caller did not want to see comes back inside its proof.
    if let Some(hidden) = signature.as_deref().and_then(|sealed| carrier::open(Maker::Text, sealed)) {
        let text = if text.is_empty() { Cow::Owned(hidden.to_owned()) } else { text };
        return Some(Part::Thinking { text, signature: None });
    }
    (!text.is_empty() || signature.is_some()).then_some(Part::Thinking { text, signature })
}

fn source<'a>(raw: Option<&'a RawValue>, at: Place<'_>) -> Result<Source<'a>, Problem> {
    let raw = raw.ok_or_else(|| invalid(format!("{}.source: field required", at())))?;
    serde_json::from_str(raw.get())
        .map_err(|error| invalid(format!("{}.source: {}", at(), without_place(&error.to_string()))))
}

fn place<'a>(source: Source<'a>, otherwise: &'static str) -> Option<ir::Source<'a>> {
    match source.kind.as_ref() {
        "base64" => {
            let media_type = source.media_type.unwrap_or(Cow::Borrowed(otherwise));
            Some(ir::Source::Base64 { media_type, data: source.data? })
        }
        "url" => source.url.map(media::from_url),
        "file" => source.file_id.map(ir::Source::File),
        _ => None,
    }
}

/// Whatever is text in the result of a server tool.
fn gather(raw: &RawValue, words: &mut String, depth: u8) {
    let mut add = |text: &str| {
        if !text.is_empty() {
            words.push_str(if words.is_empty() { "" } else { "\n" });
            words.push_str(text);
        }
    };
    match raw.get().as_bytes().first() {
        Some(b'"') => add(&string(raw).unwrap_or_default()),
        _ if depth > 4 => {}
        Some(b'[') => {
            let list: Vec<&RawValue> = serde_json::from_str(raw.get()).unwrap_or_default();
            list.into_iter().for_each(|raw| gather(raw, words, depth + 1));
        }
        Some(b'{') => {
            let found: Found<'_> = serde_json::from_str(raw.get()).unwrap_or_default();
            let plain = found.media_type.as_deref().is_none_or(|kind| kind.starts_with("text/"));
            let data = found.data.filter(|_| plain && found.media_type.is_some());
            for text in [found.title, found.url, found.text, found.stdout, found.stderr, found.error_code, data] {
                add(text.as_deref().unwrap_or_default());
            }
            for raw in [found.source, found.content].into_iter().flatten() {
                gather(raw, words, depth + 1);
            }
        }
        _ => {}
    }
}

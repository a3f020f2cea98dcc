//! The conversation as Messages wants it: roles alternate, the user begins, each call is answered at the head of the
//! next user message, ids are plain, reasoning only with its own proof.

use std::borrow::Cow;

use crate::protocol::carrier::{self, Maker};
use crate::protocol::ir::{Media, MediaKind, Part, Request, Role, Source, ToolUse};
use crate::protocol::quote;
use crate::protocol::text::Text;

/// One message.
pub(super) struct Message {
    role: Role,
    pub(super) blocks: Vec<Block>,
}

/// One block of it.
pub(super) struct Block {
    kind: Kind,
    /// A JSON object.
    pub(super) json: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Thinking,
    ToolUse,
    ToolResult,
    Other,
}

impl Message {
    pub(super) fn is_user(&self) -> bool {
        self.role == Role::User
    }
}

/// The conversation of `request`; with `unsigned`, reasoning goes along without a proof, too.
pub(super) fn messages(request: &Request<'_>, unsigned: bool) -> Vec<Message> {
    let mut found: Vec<Message> = Vec::new();
    let mut open: Vec<String> = Vec::new();
    for group in request.turns.chunk_by(|a, b| a.role == b.role) {
        let parts = || group.iter().flat_map(|turn| &turn.parts);
        let role = group[0].role;
        let blocks = match role {
            Role::Assistant => assistant(parts(), unsigned, &mut open),
            Role::User => user(parts(), &mut open),
        };
        // An answer of which nothing can be said leaves two user turns beside each other.
        match found.last_mut().filter(|last| last.role == role) {
            Some(last) => last.blocks.extend(blocks),
            None if blocks.is_empty() => {}
            None => found.push(Message { role, blocks }),
        }
    }
    if !open.is_empty() {
        found.push(Message { role: Role::User, blocks: user([].iter(), &mut open) });
    }
    if found.first().is_some_and(|first| !first.is_user()) {
        let blocks = vec![text("[the conversation began earlier]")];
        found.insert(0, Message { role: Role::User, blocks });
    }
    found
}

/// Whether the older form of reasoning is possible: in a tool loop the model's turn began with it, and the answer is
/// not begun already.
pub(super) fn may_think(messages: &[Message]) -> bool {
    let Some((last, before)) = messages.split_last() else { return true };
    if !last.is_user() {
        return false;
    }
    let first = |message: &Message| message.blocks.first().map(|block| block.kind);
    first(last) != Some(Kind::ToolResult) || before.last().and_then(first) == Some(Kind::Thinking)
}

/// Takes the reasoning out: without reasoning in the answer nobody reads it.
pub(super) fn drop_thinking(messages: &mut Vec<Message>) {
    for message in messages.iter_mut() {
        message.blocks.retain(|block| block.kind != Kind::Thinking);
    }
    let mut kept: Vec<Message> = Vec::with_capacity(messages.len());
    for message in messages.drain(..).filter(|message| !message.blocks.is_empty()) {
        match kept.last_mut().filter(|last| last.role == message.role) {
            Some(last) => last.blocks.extend(message.blocks),
            None => kept.push(message),
        }
    }
    *messages = kept;
}

fn assistant<'a>(parts: impl Iterator<Item = &'a Part<'a>>, unsigned: bool, open: &mut Vec<String>) -> Vec<Block> {
    let (mut blocks, mut calls) = (Vec::new(), Vec::new());
    for part in parts {
        match part {
            // Nothing but space is refused.
            Part::Text(words) => blocks.extend((!words.trim().is_empty()).then(|| text_of(words))),
            Part::Thinking { text, signature } => blocks.extend(thinking(text, signature.as_deref(), unsigned)),
            Part::ToolUse(call) => {
                open.push(plain(&call.id).into_owned());
                calls.push(tool_use(call));
            }
            Part::Media(media) => blocks.push(text(&media.left_out(UNREADABLE))),
            Part::ToolResult { .. } => {}
        }
    }
    blocks.append(&mut calls);
    blocks
}

fn user<'a>(parts: impl Iterator<Item = &'a Part<'a>>, open: &mut Vec<String>) -> Vec<Block> {
    let (mut results, mut rest) = (Vec::new(), Vec::new());
    for part in parts {
        match part {
            Part::Text(words) => rest.extend((!words.trim().is_empty()).then(|| text_of(words))),
            Part::Media(item) => rest.push(media(item)),
            Part::ToolResult { id, parts, is_error } => {
                let id = plain(id);
                let content = parts.iter().filter_map(|part| match part {
                    Part::Text(words) if !words.trim().is_empty() => Some(text_of(words)),
                    Part::Media(item) => Some(media(item)),
                    _ => None,
                });
                match open.iter().position(|open| *open == id) {
                    Some(at) => {
                        open.remove(at);
                        results.push(tool_result(&id, content, *is_error));
                    }
                    // The call was cut out of the history: its result is only something to know.
                    None => {
                        rest.push(text("[tool result]"));
                        rest.extend(content);
                    }
                }
            }
            Part::Thinking { .. } | Part::ToolUse(_) => {}
        }
    }
    for id in open.drain(..) {
        results.push(tool_result(&id, [text("[no result: the call was interrupted]")].into_iter(), true));
    }
    results.append(&mut rest);
    results
}

fn block(kind: Kind, json: Vec<u8>) -> Block {
    Block { kind, json }
}

fn text(words: &str) -> Block {
    let mut json = b"{\"type\":\"text\"".to_vec();
    quote::member(&mut json, "text", words);
    json.push(b'}');
    block(Kind::Other, json)
}

fn text_of(words: &Text<'_>) -> Block {
    let mut json = b"{\"type\":\"text\",\"text\":".to_vec();
    words.write(&mut json);
    json.push(b'}');
    block(Kind::Other, json)
}

fn thinking(text: &str, signature: Option<&str>, unsigned: bool) -> Option<Block> {
    let mut json = Vec::new();
    let sealed = signature.unwrap_or_default();
    if let Some(data) = carrier::open(Maker::AnthropicRedacted, sealed) {
        quote::raw(&mut json, "{\"type\":\"redacted_thinking\"");
        quote::member(&mut json, "data", data);
    } else {
        let proof = carrier::open(Maker::Anthropic, sealed);
        if proof.is_none() && (!unsigned || text.is_empty()) {
            return None;
        }
        quote::raw(&mut json, "{\"type\":\"thinking\"");
        quote::member(&mut json, "thinking", text);
        quote::member(&mut json, "signature", proof.unwrap_or_default());
    }
    json.push(b'}');
    Some(block(Kind::Thinking, json))
}

fn tool_use(call: &ToolUse<'_>) -> Block {
    let mut json = b"{\"type\":\"tool_use\"".to_vec();
    quote::member(&mut json, "id", &plain(&call.id));
    quote::member(&mut json, "name", &call.name);
    quote::key(&mut json, "input");
    quote::raw(&mut json, &call.object());
    json.push(b'}');
    block(Kind::ToolUse, json)
}

fn tool_result(id: &str, content: impl Iterator<Item = Block>, is_error: bool) -> Block {
    let mut json = b"{\"type\":\"tool_result\"".to_vec();
    quote::member(&mut json, "tool_use_id", id);
    quote::raw(&mut json, ",\"content\":[");
    for block in content {
        quote::comma(&mut json);
        json.extend_from_slice(&block.json);
    }
    quote::raw(&mut json, if is_error { "],\"is_error\":true}" } else { "]}" });
    block(Kind::ToolResult, json)
}

/// Ids are `^[a-zA-Z0-9_-]+$` there.
fn plain(id: &str) -> Cow<'_, str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if id.chars().all(fits) && !id.is_empty() {
        return Cow::Borrowed(id);
    }
    let id: String = id.chars().map(|c| if fits(c) { c } else { '_' }).collect();
    Cow::Owned(if id.is_empty() { "toolu_0".to_owned() } else { id })
}

/// Why media cannot go along.
const UNREADABLE: &str = "this model cannot read it";

fn media(media: &Media<'_>) -> Block {
    let kind = match media.kind {
        MediaKind::Image => "image",
        MediaKind::Document => "document",
        MediaKind::Audio => return text(&media.left_out(UNREADABLE)),
    };
    let mut json = Vec::new();
    quote::raw(&mut json, "{\"type\":\"");
    quote::raw(&mut json, kind);
    quote::raw(&mut json, "\",\"source\":{\"type\":");
    match &media.source {
        Source::Url(url) => {
            quote::raw(&mut json, "\"url\"");
            quote::member(&mut json, "url", url);
        }
        // Documents in base64 are PDF there and nothing else.
        Source::Base64 { media_type, data } if kind == "image" || media_type == "application/pdf" => {
            quote::raw(&mut json, "\"base64\"");
            quote::member(&mut json, "media_type", media_type);
            quote::member(&mut json, "data", data);
        }
        Source::Base64 { .. } | Source::File(_) => return text(&media.left_out(UNREADABLE)),
    }
    json.push(b'}');
    if let Some(name) = media.name.as_deref().filter(|name| kind == "document" && !name.is_empty()) {
        quote::member(&mut json, "title", name);
    }
    json.push(b'}');
    block(Kind::Other, json)
}

//! The conversation of a Responses request, item by item.

use super::super::object::Object;
use crate::protocol::ir::{Media, MediaKind, Part, Role, Source, ToolUse, Turn};
use crate::protocol::{Vendor, carrier, media, quote};

/// The list of items.
pub(super) fn encode(turns: &[Turn<'_>], vendor: Vendor) -> Vec<u8> {
    let mut input = Input { out: Vec::from(b"["), open: Vec::new(), vendor };
    turns.iter().for_each(|turn| input.turn(turn));
    input.flush();
    input.out.push(b']');
    input.out
}

struct Input {
    out: Vec<u8>,
    /// Calls without an output so far, and whether they were freeform.
    open: Vec<(String, bool)>,
    vendor: Vendor,
}

impl Input {
    fn item(&mut self, item: Object) {
        if self.out.len() > 1 {
            self.out.push(b',');
        }
        self.out.extend_from_slice(&item.end());
    }

    fn turn(&mut self, turn: &Turn<'_>) {
        match turn.role {
            Role::Assistant => {
                self.flush();
                self.assistant(&turn.parts);
            }
            Role::User => self.user(&turn.parts),
        }
    }

    /// A call without an output makes OpenAI refuse the request.
    fn flush(&mut self) {
        for (id, freeform) in std::mem::take(&mut self.open) {
            let mut text = Vec::new();
            quote::string(&mut text, "[no result: the call was interrupted]");
            self.output(&id, freeform, &text);
        }
    }

    fn output(&mut self, id: &str, freeform: bool, output: &[u8]) {
        let mut item = Object::new(Vec::new());
        item.text("type", if freeform { "custom_tool_call_output" } else { "function_call_output" });
        item.text("call_id", id);
        item.raw("output", output);
        self.item(item);
    }

    fn assistant(&mut self, parts: &[Part<'_>]) {
        for (at, part) in parts.iter().enumerate() {
            match part {
                Part::Text(text) => {
                    let mut item = Object::new(Vec::new());
                    item.text("type", "message");
                    item.text("role", "assistant");
                    let mut content = Object::new(Vec::from(b"["));
                    content.text("type", "output_text");
                    content.text("text", text);
                    let mut content = content.end();
                    content.push(b']');
                    item.raw("content", &content);
                    self.item(item);
                }
                // OpenAI refuses reasoning without the item it led to.
                Part::Thinking { text, signature } if parts[at + 1..].iter().any(leads) => {
                    let proof = signature.as_deref().and_then(|s| carrier::open(carrier::Maker::Responses, s));
                    self.reasoning(text, proof);
                }
                Part::ToolUse(call) => {
                    let ToolUse { id, name, namespace, input, freeform, .. } = call;
                    self.open.push((id.as_ref().to_owned(), *freeform));
                    let mut item = Object::new(Vec::new());
                    item.text("type", if *freeform { "custom_tool_call" } else { "function_call" });
                    item.text("call_id", id);
                    item.text("name", name);
                    if let Some(namespace) = namespace {
                        item.text("namespace", namespace);
                    }
                    match freeform {
                        true => item.text("input", input),
                        false => item.text("arguments", &call.object()),
                    }
                    self.item(item);
                }
                Part::Thinking { .. } | Part::Media(_) | Part::ToolResult { .. } => {}
            }
        }
    }

    fn reasoning(&mut self, text: &str, proof: Option<&str>) {
        let texts = |kind: &str| {
            let mut list = Vec::from(b"[");
            if !text.is_empty() {
                let mut part = Object::new(list);
                part.text("type", kind);
                part.text("text", text);
                list = part.end();
            }
            list.push(b']');
            list
        };
        let mut item = Object::new(Vec::new());
        item.text("type", "reasoning");
        match proof {
            Some(proof) => {
                item.raw("summary", &texts("summary_text"));
                item.text("encrypted_content", proof);
            }
            // OpenAI takes nothing it did not make; engines want the text.
            None if self.vendor == Vendor::OpenAi || text.is_empty() => return,
            None => {
                item.raw("summary", b"[]");
                item.raw("content", &texts("reasoning_text"));
            }
        }
        self.item(item);
    }

    fn user(&mut self, parts: &[Part<'_>]) {
        let mut rest = Vec::from(b"[");
        for part in parts {
            let Part::ToolResult { id, parts, is_error } = part else {
                content(part, &mut rest);
                continue;
            };
            match self.open.iter().position(|(open, _)| open == id.as_ref()) {
                Some(at) => {
                    let (_, freeform) = self.open.remove(at);
                    self.output(id, freeform, &result(parts, *is_error));
                }
                // The call was cut out of the history: its result is only something to know.
                None => {
                    content(&Part::Text("[tool result]".into()), &mut rest);
                    parts.iter().for_each(|part| content(part, &mut rest));
                }
            }
        }
        self.flush();
        if rest.len() > 1 {
            rest.push(b']');
            let mut item = Object::new(Vec::new());
            item.text("type", "message");
            item.text("role", "user");
            item.raw("content", &rest);
            self.item(item);
        }
    }
}

/// Whether the part becomes an item that reasoning can lead to.
fn leads(part: &Part<'_>) -> bool {
    matches!(part, Part::Text(_) | Part::ToolUse(_))
}

/// A tool's output: text, or parts where there is more than text.
fn result(parts: &[Part<'_>], is_error: bool) -> Vec<u8> {
    let mark = if is_error { "[tool error] " } else { "" };
    let texts: Vec<&str> = parts
        .iter()
        .filter_map(|part| match part {
            Part::Text(text) => Some(text.as_ref()),
            _ => None,
        })
        .collect();
    let mut out = Vec::new();
    if texts.len() == parts.len() {
        quote::string(&mut out, &format!("{mark}{}", texts.join("\n")));
        return out;
    }
    out.push(b'[');
    if is_error {
        content(&Part::Text(mark.into()), &mut out);
    }
    parts.iter().for_each(|part| content(part, &mut out));
    out.push(b']');
    out
}

/// Appends the part to a list of content.
fn content(part: &Part<'_>, list: &mut Vec<u8>) {
    let mut object = Object::new(Vec::new());
    match part {
        Part::Text(text) => {
            object.text("type", "input_text");
            object.text("text", text);
        }
        Part::Media(media) => self::media(media, &mut object),
        Part::Thinking { .. } | Part::ToolUse(_) | Part::ToolResult { .. } => return,
    }
    if list.len() > 1 {
        list.push(b',');
    }
    list.extend_from_slice(&object.end());
}

fn media(media: &Media<'_>, object: &mut Object) {
    let file = match &media.source {
        Source::File(id) => Some(id),
        _ => None,
    };
    let url = media::to_url(&media.source).unwrap_or_default();
    match media.kind {
        MediaKind::Image => {
            object.text("type", "input_image");
            match file {
                Some(id) => object.text("file_id", id),
                None => object.text("image_url", &url),
            }
            object.text("detail", media.detail.as_deref().unwrap_or("auto"));
        }
        MediaKind::Document => {
            object.text("type", "input_file");
            match (file, &media.source) {
                (Some(id), _) => object.text("file_id", id),
                (None, Source::Url(url)) => object.text("file_url", url),
                _ => {
                    // A file without a name is refused.
                    object.text("filename", media.name.as_deref().unwrap_or("document.pdf"));
                    object.text("file_data", &url);
                }
            }
        }
        MediaKind::Audio => {
            object.text("type", "input_audio");
            let mut audio = Object::new(Vec::new());
            if let Source::Base64 { media_type, data } = &media.source {
                audio.text("data", data);
                audio.text("format", if media_type.ends_with("mpeg") { "mp3" } else { "wav" });
            }
            object.raw("input_audio", &audio.end());
        }
    }
}

//! A request, written for Google's servers: roles alternate, every call has its result in the turn behind it, results
//! come first and carry the function's name.

use std::borrow::Cow;
use std::collections::HashMap;

use super::SKIP;
use super::proofs::Proofs;
use super::thoughts::Own;
use super::write::member;
use crate::protocol::ir::{Choice, Format, Media, MediaKind, Part, Reasoning, Request, Role, Source, ToolUse};
use crate::protocol::{Target, effort, ir, quote};

pub(super) fn encode(request: &Request<'_>, target: &Target<'_>) -> Vec<u8> {
    let mut contents = Contents::default();
    request.turns.iter().for_each(|turn| contents.turn(turn));
    let mut out = b"{\"contents\":[".to_vec();
    contents.write(&mut out);
    out.push(b']');
    if !request.system.is_empty() {
        out.extend_from_slice(b",\"systemInstruction\":{\"parts\":[");
        for (at, text) in request.system.iter().enumerate() {
            out.extend_from_slice(if at == 0 { b"{\"text\":" } else { b",{\"text\":" });
            quote::string(&mut out, text);
            out.push(b'}');
        }
        out.extend_from_slice(b"]}");
    }
    if !request.tools.is_empty() {
        tools(request, &mut out);
    }
    out.extend_from_slice(b",\"generationConfig\":{");
    settings(request, target.model, &mut out);
    out.extend_from_slice(b"}}");
    out
}

fn tools(request: &Request<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"tools\":[{\"functionDeclarations\":[");
    for (at, tool) in request.tools.iter().enumerate() {
        out.extend_from_slice(if at == 0 { b"{\"name\":" } else { b",{\"name\":" });
        quote::string(out, &tool.name);
        if let Some(description) = &tool.description {
            out.extend_from_slice(b",\"description\":");
            description.write(out);
        }
        if let Some(schema) = &tool.schema {
            out.extend_from_slice(b",\"parametersJsonSchema\":");
            out.extend_from_slice(schema.get().as_bytes());
        }
        out.push(b'}');
    }
    out.extend_from_slice(b"]}]");
    let mode = match &request.choice {
        Choice::Unset => return,
        Choice::Auto => "AUTO",
        Choice::Any | Choice::Named(_) => "ANY",
        Choice::None => "NONE",
    };
    out.extend_from_slice(format!(",\"toolConfig\":{{\"functionCallingConfig\":{{\"mode\":\"{mode}\"").as_bytes());
    if let Choice::Named(name) = &request.choice {
        out.extend_from_slice(b",\"allowedFunctionNames\":[");
        quote::string(out, name);
        out.push(b']');
    }
    out.extend_from_slice(b"}}");
}

/// The names Gemini has for sampling settings; it knows no others.
const SAMPLING: [(&str, &str); 6] = [
    ("temperature", "temperature"),
    ("top_p", "topP"),
    ("top_k", "topK"),
    ("seed", "seed"),
    ("presence_penalty", "presencePenalty"),
    ("frequency_penalty", "frequencyPenalty"),
];

/// Google takes no more stop sequences.
const STOPS: usize = 5;

/// Most tokens of thoughts every model of the 2.5 series takes.
const MOST_THOUGHTS: u64 = 24_576;

fn settings(request: &Request<'_>, model: &str, out: &mut Vec<u8>) {
    let mut first = true;
    let mut key = |name: &str, out: &mut Vec<u8>| {
        let comma = if std::mem::take(&mut first) { "" } else { "," };
        out.extend_from_slice(format!("{comma}\"{name}\":").as_bytes());
    };
    for (name, value) in &request.sampling {
        if let Some((_, theirs)) = SAMPLING.iter().find(|(ours, _)| ours == name) {
            key(theirs, out);
            out.extend_from_slice(value.get().as_bytes());
        }
    }
    if let Some(limit) = request.max_tokens {
        key("maxOutputTokens", out);
        out.extend_from_slice(limit.to_string().as_bytes());
    }
    if !request.stop.is_empty() {
        key("stopSequences", out);
        for (at, text) in request.stop.iter().take(STOPS).enumerate() {
            out.push(if at == 0 { b'[' } else { b',' });
            quote::string(out, text);
        }
        out.push(b']');
    }
    match &request.format {
        Format::Text => {}
        Format::Json => {
            key("responseMimeType", out);
            out.extend_from_slice(b"\"application/json\"");
        }
        Format::Schema { schema, .. } => {
            key("responseMimeType", out);
            out.extend_from_slice(b"\"application/json\",\"responseJsonSchema\":");
            out.extend_from_slice(schema.get().as_bytes());
        }
    }
    if let Some(thinking) = thinking(&request.reasoning, model) {
        key("thinkingConfig", out);
        out.extend_from_slice(thinking.as_bytes());
    }
}

/// The thinking settings; `None` where the model has none or the caller said nothing.
fn thinking(reasoning: &Reasoning<'_>, model: &str) -> Option<String> {
    // They answer 400 "thinking is not enabled for this model".
    if ["gemini-1", "gemini-2.0", "gemma"].iter().any(|old| model.contains(old)) {
        return None;
    }
    // From Gemini 3 on it is a level; before, a number of tokens.
    let levels = !model.contains("gemini-2.5");
    let mut members = Vec::new();
    let off = reasoning.enabled == Some(false);
    if reasoning.show == Some(true) || (reasoning.show.is_none() && reasoning.enabled == Some(true)) {
        members.push("\"includeThoughts\":true".to_owned());
    }
    let effort = reasoning.effort.as_deref().filter(|effort| !off && *effort != "none");
    match (off, reasoning.budget, effort, levels) {
        // Gemini 3 and 2.5 Pro cannot be kept from thinking altogether.
        (true, _, _, true) => members.push("\"thinkingLevel\":\"low\"".to_owned()),
        (true, _, _, false) => {
            let least = if model.contains("pro") { 128 } else { 0 };
            members.push(format!("\"thinkingBudget\":{least}"));
        }
        (false, Some(budget), None, _) | (false, Some(budget), Some(_), false) => {
            members.push(format!("\"thinkingBudget\":{}", budget.min(MOST_THOUGHTS)));
        }
        (false, _, Some(effort), true) => {
            members.push(format!("\"thinkingLevel\":\"{}\"", effort::of_three(effort)));
        }
        (false, None, Some(effort), false) => {
            members.push(format!("\"thinkingBudget\":{}", effort::budget(effort).min(MOST_THOUGHTS)));
        }
        (false, None, None, _) => {}
    }
    (!members.is_empty()).then(|| format!("{{{}}}", members.join(",")))
}

/// One content while it grows.
struct Content {
    role: Role,
    /// Results, commas between them; they come first.
    results: Vec<u8>,
    /// The media of results: beside them, in front of what the user says next.
    shown: Vec<u8>,
    /// Everything else, commas between them.
    parts: Vec<u8>,
    /// Whether a call stands in it: only the first one of a step needs a signature.
    called: bool,
}

#[derive(Default)]
struct Contents<'a> {
    list: Vec<Content>,
    /// Names by call id: results do not tell them.
    names: HashMap<&'a str, &'a str>,
    /// Calls without a result so far.
    open: Vec<&'a str>,
}

impl<'a> Contents<'a> {
    fn turn(&mut self, turn: &'a ir::Turn<'_>) {
        match turn.role {
            Role::Assistant => self.model(&turn.parts),
            Role::User => self.user(&turn.parts),
        }
    }

    /// The content of that role to write into: the last one, or a new one.
    fn at(&mut self, role: Role) -> &mut Content {
        if self.list.last().is_none_or(|last| last.role != role) {
            if role == Role::Assistant {
                self.flush();
                if self.list.is_empty() {
                    // A conversation begins with the user.
                    let parts = b"{\"text\":\"(the conversation begins with the model)\"}".to_vec();
                    self.list.push(Content {
                        role: Role::User,
                        results: Vec::new(),
                        shown: Vec::new(),
                        parts,
                        called: false,
                    });
                }
            }
            self.list.push(Content { role, results: Vec::new(), shown: Vec::new(), parts: Vec::new(), called: false });
        }
        let last = self.list.len() - 1;
        &mut self.list[last]
    }

    /// Google refuses a call without a result: one that never came is said so.
    fn flush(&mut self) {
        for id in std::mem::take(&mut self.open) {
            let name = self.names.get(id).copied().unwrap_or_default();
            let user = self.at(Role::User);
            result(id, name, "no result: the call was interrupted", true, &mut user.results);
        }
    }

    fn model(&mut self, parts: &'a [Part<'_>]) {
        let mut proofs = Proofs::default();
        for part in parts {
            match part {
                Part::Text(text) if !text.is_empty() => {
                    proofs.text(text, &mut self.at(Role::Assistant).parts);
                }
                // Thoughts without a proof are not sent back: only that is of use.
                Part::Thinking { text, signature } => {
                    if let Some(own) = signature.as_deref().and_then(Own::of) {
                        proofs.add(text, own, &mut self.at(Role::Assistant).parts);
                    }
                }
                Part::ToolUse(call) => {
                    self.names.insert(&call.id, &call.name);
                    let content = self.at(Role::Assistant);
                    let known = proofs.call(call, &mut content.parts);
                    let first = !std::mem::replace(&mut content.called, true);
                    function_call(call, known.or(first.then_some(SKIP)), &mut content.parts);
                    self.open.push(&call.id);
                }
                Part::Text(_) | Part::Media(_) | Part::ToolResult { .. } => {}
            }
        }
        if !proofs.is_empty() {
            proofs.rest(&mut self.at(Role::Assistant).parts);
        }
    }

    fn user(&mut self, parts: &'a [Part<'_>]) {
        for part in parts {
            match part {
                Part::Text(text) if !text.is_empty() => {
                    let content = self.at(Role::User);
                    member(&mut content.parts, b"{\"text\":");
                    quote::string(&mut content.parts, text);
                    content.parts.push(b'}');
                }
                Part::Media(one) => media(one, &mut self.at(Role::User).parts),
                Part::ToolResult { id, parts, is_error } => {
                    let texts: Vec<&str> = parts
                        .iter()
                        .filter_map(|part| match part {
                            Part::Text(text) => Some(text.as_ref()),
                            _ => None,
                        })
                        .collect();
                    let text = texts.join("\n");
                    let open = self.open.iter().position(|open| open == id).map(|at| self.open.remove(at));
                    let name = self.names.get(id.as_ref()).copied().unwrap_or_default();
                    let content = self.at(Role::User);
                    if open.is_some() {
                        result(id, name, &text, *is_error, &mut content.results);
                    } else {
                        // The call was cut out of the history: its result is only something to know.
                        member(&mut content.parts, b"{\"text\":");
                        quote::string(&mut content.parts, &format!("[tool result] {text}"));
                        content.parts.push(b'}');
                    }
                    // Beside the result, not in it: models before Gemini 3 refuse media there.
                    let beside = if open.is_some() { &mut content.shown } else { &mut content.parts };
                    for part in parts {
                        if let Part::Media(one) = part {
                            media(one, beside);
                        }
                    }
                }
                Part::Text(_) | Part::Thinking { .. } | Part::ToolUse(_) => {}
            }
        }
    }

    fn write(mut self, out: &mut Vec<u8>) {
        self.flush();
        for (at, content) in self.list.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            let role = if content.role == Role::User { "user" } else { "model" };
            out.extend_from_slice(format!("{{\"role\":\"{role}\",\"parts\":[").as_bytes());
            let mut first = true;
            for list in [&content.results, &content.shown, &content.parts] {
                if !list.is_empty() && !std::mem::take(&mut first) {
                    out.push(b',');
                }
                out.extend_from_slice(list);
            }
            out.extend_from_slice(b"]}");
        }
    }
}

fn function_call(call: &ToolUse<'_>, signature: Option<&str>, out: &mut Vec<u8>) {
    member(out, b"{\"functionCall\":{\"id\":");
    quote::string(out, &call.id);
    out.extend_from_slice(b",\"name\":");
    quote::string(out, &call.name);
    out.extend_from_slice(b",\"args\":");
    out.extend_from_slice(call.object().as_bytes());
    out.push(b'}');
    if let Some(signature) = signature {
        out.extend_from_slice(b",\"thoughtSignature\":");
        quote::string(out, signature);
    }
    out.push(b'}');
}

fn result(id: &str, name: &str, text: &str, is_error: bool, out: &mut Vec<u8>) {
    member(out, b"{\"functionResponse\":{\"id\":");
    quote::string(out, id);
    out.extend_from_slice(b",\"name\":");
    quote::string(out, name);
    out.extend_from_slice(if is_error { b",\"response\":{\"error\":" } else { b",\"response\":{\"output\":" });
    quote::string(out, text);
    out.extend_from_slice(b"}}}");
}

fn media(media: &Media<'_>, out: &mut Vec<u8>) {
    let (kind, mime, place) = match &media.source {
        Source::Base64 { media_type, data } => ("inlineData", Cow::Borrowed(media_type.as_ref()), ("data", data)),
        Source::Url(uri) | Source::File(uri) => {
            let mime = match (media.kind, uri.rsplit('.').next()) {
                (MediaKind::Image, Some("png")) => "image/png",
                (MediaKind::Image, Some("webp")) => "image/webp",
                (MediaKind::Image, _) => "image/jpeg",
                (MediaKind::Document, _) => "application/pdf",
                (MediaKind::Audio, Some("wav")) => "audio/wav",
                (MediaKind::Audio, _) => "audio/mpeg",
            };
            ("fileData", Cow::Borrowed(mime), ("fileUri", uri))
        }
    };
    member(out, format!("{{\"{kind}\":{{\"mimeType\":").as_bytes());
    quote::string(out, &mime);
    out.extend_from_slice(format!(",\"{}\":", place.0).as_bytes());
    quote::string(out, place.1);
    out.extend_from_slice(b"}}");
}

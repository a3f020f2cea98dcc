//! The conversation, written so that strict templates take it: one system message and it comes first, roles merged,
//! every tool call followed by its results and nothing between.

use std::collections::HashMap;

use super::{parts, write};
use crate::protocol::Vendor;
use crate::protocol::carrier::{self, Maker, OfCalls};
use crate::protocol::ir::{Media, MediaKind, Part, Request, Role, ToolUse};
use crate::protocol::text::Text;

/// Templates and servers refuse a call without a result: one that never came is said so.
const MISSING: &str = "[no result: the call was interrupted]";

/// Appends the member `messages`.
pub(super) fn write(out: &mut Vec<u8>, request: &Request<'_>, vendor: Vendor) {
    write::key(out, "messages");
    out.push(b'[');
    if request.system.iter().any(|text| !text.is_empty()) {
        out.extend_from_slice(br#"{"role":"system","content":""#);
        joined(out, request.system.iter().filter(|text| !text.is_empty()).map(Words::Text), "\n\n");
        out.extend_from_slice(b"\"}");
    }
    let pairs = Pairs::find(request);
    let mut writer = Writer {
        out,
        vendor,
        texts: Vec::new(),
        thoughts: Vec::new(),
        proofs: Vec::new(),
        proofs_of_calls: OfCalls::default(),
        calls: Vec::new(),
        said: false,
        content: Vec::new(),
    };
    let (mut calls, mut results) = (pairs.answers.iter(), pairs.orphans.iter());
    for turn in &request.turns {
        match turn.role {
            Role::Assistant => writer.assistant(&turn.parts, &mut || calls.next().copied().flatten()),
            Role::User => writer.user(&turn.parts, &mut || results.next().copied().unwrap_or(true)),
        }
    }
    writer.flush_assistant();
    writer.flush_user();
    out.push(b']');
}

/// Which result answers which call. A result belongs to the last call before it that has its id and no result yet,
/// however late it comes; one without such a call is only something to know.
#[derive(Default)]
struct Pairs<'r, 'a> {
    /// For each call, in order.
    answers: Vec<Option<&'r Part<'a>>>,
    /// For each result, in order: whether no call asked for it.
    orphans: Vec<bool>,
}

impl<'r, 'a> Pairs<'r, 'a> {
    fn find(request: &'r Request<'a>) -> Self {
        let mut pairs = Pairs::default();
        let mut open: HashMap<&str, usize> = HashMap::new();
        for turn in &request.turns {
            for part in &turn.parts {
                match (turn.role, part) {
                    (Role::Assistant, Part::ToolUse(call)) => {
                        open.insert(&call.id, pairs.answers.len());
                        pairs.answers.push(None);
                    }
                    (Role::User, Part::ToolResult { id, .. }) => {
                        let call = open.remove(id.as_ref());
                        pairs.orphans.push(call.is_none());
                        if let Some(answer) = call.and_then(|call| pairs.answers.get_mut(call)) {
                            *answer = Some(part);
                        }
                    }
                    _ => {}
                }
            }
        }
        pairs
    }
}

/// Words of the caller's, or ours.
#[derive(Clone, Copy)]
enum Words<'r> {
    Text(&'r Text<'r>),
    Plain(&'r str),
}

impl Words<'_> {
    fn write(self, out: &mut Vec<u8>) {
        match self {
            Words::Text(text) => text.write_inner(out),
            Words::Plain(text) => write::inner(out, text),
        }
    }
}

/// What goes into a user message.
enum Content<'r> {
    Text(&'r Text<'r>),
    /// A result nobody asked for, written as the inside of a string.
    Written(Vec<u8>),
    Media(&'r Media<'r>),
}

impl Content<'_> {
    /// The words, as the inside of a string.
    fn write_inner(&self, out: &mut Vec<u8>) {
        match self {
            Content::Text(text) => text.write_inner(out),
            Content::Written(inner) => out.extend_from_slice(inner),
            Content::Media(_) => {}
        }
    }
}

/// Collects one message at a time: either the assistant's or the user's fields are in use.
struct Writer<'o, 'r> {
    out: &'o mut Vec<u8>,
    vendor: Vendor,
    texts: Vec<Words<'r>>,
    thoughts: Vec<&'r str>,
    proofs: Vec<&'r str>,
    proofs_of_calls: OfCalls<'r>,
    /// Each with its proof, where the server is Google's, and its result.
    calls: Vec<(&'r ToolUse<'r>, Option<&'r str>, Option<&'r Part<'r>>)>,
    /// The assistant had a part at all.
    said: bool,
    content: Vec<Content<'r>>,
}

impl<'r> Writer<'_, 'r> {
    fn assistant(&mut self, parts: &'r [Part<'r>], answer: &mut dyn FnMut() -> Option<&'r Part<'r>>) {
        if parts.is_empty() {
            return;
        }
        self.flush_user();
        if !self.texts.is_empty() {
            self.texts.push(Words::Plain("\n"));
        }
        self.said = true;
        for part in parts {
            match part {
                Part::Text(text) => self.texts.push(Words::Text(text)),
                Part::Thinking { text, signature } => {
                    if !text.is_empty() {
                        self.thoughts.push(text);
                    }
                    let proof = signature.as_deref().and_then(|sealed| carrier::open(Maker::Details, sealed));
                    self.proofs.extend(proof);
                    if let Some(proof) =
                        signature.as_deref().and_then(|sealed| carrier::open(Maker::GeminiCall, sealed))
                    {
                        self.proofs_of_calls.add(proof);
                    }
                }
                Part::ToolUse(call) => {
                    let proof = self.proofs_of_calls.next(call.signature.as_deref());
                    self.calls.push((call, proof.filter(|_| self.vendor == Vendor::Google), answer()));
                }
                // The protocol has no place for what a model drew.
                Part::Media(media) => self.texts.push(Words::Plain(parts::placeholder(media.kind))),
                Part::ToolResult { .. } => {}
            }
        }
    }

    fn user(&mut self, parts: &'r [Part<'r>], orphan: &mut dyn FnMut() -> bool) {
        for part in parts {
            match part {
                Part::Text(text) if text.is_empty() => {}
                Part::Text(text) => self.say(Content::Text(text)),
                Part::Media(media) => self.say(Content::Media(media)),
                Part::ToolResult { parts, is_error, .. } => {
                    if !orphan() {
                        // It is written behind its call; what the model says next is another message.
                        if !self.calls.is_empty() {
                            self.flush_assistant();
                        }
                        continue;
                    }
                    let mut text = b"[tool result] ".to_vec();
                    result(&mut text, parts, *is_error);
                    self.say(Content::Written(text));
                    for part in parts {
                        if let Part::Media(media) = part {
                            self.say(Content::Media(media));
                        }
                    }
                }
                Part::Thinking { .. } | Part::ToolUse(_) => {}
            }
        }
    }

    fn say(&mut self, content: Content<'r>) {
        self.flush_assistant();
        self.content.push(content);
    }

    /// Writes the assistant's message and the results of its calls. Media in results wait for the next user message:
    /// a tool message holds text only.
    fn flush_assistant(&mut self) {
        if !std::mem::take(&mut self.said) {
            return;
        }
        let out = &mut *self.out;
        write::comma(out);
        // Never without content: some servers refuse an assistant message that only thought.
        out.extend_from_slice(br#"{"role":"assistant","content":""#);
        joined(out, self.texts.iter().copied(), "");
        out.push(b'"');
        thoughts(out, self.vendor, &self.thoughts, &self.proofs);
        if !self.calls.is_empty() {
            write::key(out, "tool_calls");
            out.push(b'[');
            for (call, proof, _) in &self.calls {
                write::comma(out);
                out.push(b'{');
                write::member(out, "id", &call.id);
                out.extend_from_slice(br#","type":"function","function":{"#);
                write::member(out, "name", &call.name);
                write::member(out, "arguments", &call.object());
                out.push(b'}');
                if let Some(proof) = proof {
                    // Where Google's chat endpoint keeps it.
                    write::raw(out, "extra_content", r#"{"google":{"#);
                    write::member(out, "thought_signature", proof);
                    out.extend_from_slice(b"}}");
                }
                out.push(b'}');
            }
            out.push(b']');
        }
        out.push(b'}');
        for (call, _, answer) in self.calls.drain(..) {
            out.extend_from_slice(br#",{"role":"tool","#);
            write::member(out, "tool_call_id", &call.id);
            out.extend_from_slice(br#","content":""#);
            match answer {
                Some(Part::ToolResult { parts, is_error, .. }) => {
                    result(out, parts, *is_error);
                    let media = parts.iter().filter_map(|part| match part {
                        Part::Media(media) => Some(Content::Media(media)),
                        _ => None,
                    });
                    self.content.extend(media);
                }
                _ => write::inner(out, MISSING),
            }
            out.extend_from_slice(b"\"}");
        }
        self.texts.clear();
        self.thoughts.clear();
        self.proofs.clear();
        self.proofs_of_calls = OfCalls::default();
    }

    /// Writes the user's message, if there is anything in it.
    fn flush_user(&mut self) {
        if self.content.is_empty() {
            return;
        }
        let out = &mut *self.out;
        write::comma(out);
        out.extend_from_slice(br#"{"role":"user","content":"#);
        if !self.content.iter().any(|content| matches!(content, Content::Media(_))) {
            // Plain text where it can be: not every template knows lists.
            out.push(b'"');
            for (at, content) in self.content.iter().enumerate() {
                if at > 0 {
                    out.extend_from_slice(b"\\n");
                }
                content.write_inner(out);
            }
            out.push(b'"');
        } else {
            out.push(b'[');
            for content in &self.content {
                write::comma(out);
                match content {
                    Content::Media(media) => parts::media(out, media, self.vendor),
                    words => {
                        out.extend_from_slice(br#"{"type":"text","text":""#);
                        words.write_inner(out);
                        out.extend_from_slice(b"\"}");
                    }
                }
            }
            out.push(b']');
        }
        out.push(b'}');
        self.content.clear();
    }
}

/// The inside of a string: `texts` with `between` them.
fn joined<'t>(out: &mut Vec<u8>, texts: impl Iterator<Item = Words<'t>>, between: &str) {
    for (at, text) in texts.enumerate() {
        if at > 0 {
            write::inner(out, between);
        }
        text.write(out);
    }
}

/// What a tool said, as the inside of a string. The protocol has no mark for failure, so words say it.
fn result(out: &mut Vec<u8>, parts: &[Part<'_>], is_error: bool) {
    if is_error {
        out.extend_from_slice(b"[tool error] ");
    }
    let mut first = true;
    for part in parts {
        let text = match part {
            Part::Text(text) if !text.is_empty() => Words::Text(text),
            Part::Media(media) => Words::Plain(match media.kind {
                MediaKind::Image => "[image: see the next user message]",
                MediaKind::Document => "[document: see the next user message]",
                MediaKind::Audio => "[audio: see the next user message]",
            }),
            _ => continue,
        };
        if !std::mem::take(&mut first) {
            out.extend_from_slice(b"\\n");
        }
        text.write(out);
    }
}

/// Reasoning, where the server reads it back. DeepSeek, Kimi and MiniMax refuse tool loops without it. vLLM's field
/// is `reasoning` (0.32; it used to be `reasoning_content`), Ollama's and OpenRouter's too; llama.cpp, SGLang and
/// DeepSeek read `reasoning_content`. OpenAI and Google keep reasoning to themselves and refuse unknown fields.
fn thoughts(out: &mut Vec<u8>, vendor: Vendor, texts: &[&str], proofs: &[&str]) {
    let names: &[&str] = match vendor {
        Vendor::OpenAi | Vendor::Google | Vendor::Anthropic => &[],
        Vendor::Vllm => &["reasoning", "reasoning_content"],
        Vendor::Ollama => &["reasoning"],
        Vendor::OpenRouter => {
            // Its own list says all and must come back as it was.
            let lists: Vec<&str> = proofs.iter().filter_map(|proof| elements(proof)).collect();
            if !lists.is_empty() {
                write::key(out, "reasoning_details");
                out.push(b'[');
                for list in lists {
                    write::comma(out);
                    out.extend_from_slice(list.as_bytes());
                }
                out.push(b']');
                return;
            }
            &["reasoning"]
        }
        Vendor::Unknown | Vendor::LlamaCpp | Vendor::DeepSeek | Vendor::Volcengine => &["reasoning_content"],
    };
    if texts.is_empty() {
        return;
    }
    for name in names {
        write::key(out, name);
        out.push(b'"');
        joined(out, texts.iter().copied().map(Words::Plain), "\n\n");
        out.push(b'"');
    }
}

/// The inside of a JSON list that is one and is not empty. A proof went through the caller's hands.
fn elements(list: &str) -> Option<&str> {
    let list = list.trim();
    serde_json::from_str::<Vec<serde::de::IgnoredAny>>(list).ok().filter(|list| !list.is_empty())?;
    list.strip_prefix('[')?.strip_suffix(']')
}

//! Events, written as a chat stream.

use super::request::LEGACY;
use super::{details, error_value, write};
use crate::protocol::event::{Block, Event, Stop, Usage};
use crate::protocol::ir::Request;
use crate::protocol::{EventEncoder, ids};

/// What the open block is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Text,
    Thinking,
    Function,
    Custom,
    /// `function_call`, for callers that offered `functions`.
    Legacy,
    /// A second call for such a caller: there is no place for it.
    Nowhere,
}

pub(super) struct Encoder {
    model: String,
    wants_usage: bool,
    legacy: bool,
    /// A chunk up to its delta: the same in each.
    head: Vec<u8>,
    /// A chunk behind its delta, unless it is the last one.
    foot: &'static [u8],
    open: Open,
    calls: u64,
    proofs: usize,
    /// The open call got arguments.
    filled: bool,
}

/// Whether the caller offers tools in their first form and waits for answers in it.
pub(super) fn legacy(request: &Request<'_>) -> bool {
    request.extras.iter().any(|(name, _)| name == LEGACY[0])
}

/// An id in the protocol's form.
pub(super) fn answer_id(id: &str) -> String {
    match id {
        "" => ids::new("chatcmpl-"),
        id if id.starts_with("chatcmpl-") => id.to_owned(),
        id => format!("chatcmpl-{id}"),
    }
}

/// The reason to end in the protocol's words.
pub(super) fn reason(stop: &Stop, legacy: bool) -> &'static str {
    match stop {
        Stop::EndTurn | Stop::Sequence(_) => "stop",
        Stop::MaxTokens | Stop::ContextFull => "length",
        Stop::ToolUse if legacy => "function_call",
        Stop::ToolUse => "tool_calls",
        Stop::Refusal => "content_filter",
    }
}

/// Appends the value of `usage`.
pub(super) fn usage(out: &mut Vec<u8>, usage: Usage) {
    let Usage { prompt, cached, cache_write, output, reasoning } = usage;
    let total = prompt.saturating_add(output);
    let text = format!(
        "{{\"prompt_tokens\":{prompt},\"completion_tokens\":{output},\"total_tokens\":{total},\
         \"prompt_tokens_details\":{{\"cached_tokens\":{cached},\"cache_write_tokens\":{cache_write}}},\
         \"completion_tokens_details\":{{\"reasoning_tokens\":{reasoning}}}}}"
    );
    out.extend_from_slice(text.as_bytes());
}

impl Encoder {
    pub(super) fn new(request: &Request<'_>) -> Self {
        Encoder {
            model: request.model.as_ref().to_owned(),
            wants_usage: request.wants_usage,
            legacy: legacy(request),
            head: Vec::new(),
            // Who asks for usage gets the member in every chunk.
            foot: match request.wants_usage {
                true => b",\"finish_reason\":null}],\"usage\":null}\n\n",
                false => b",\"finish_reason\":null}]}\n\n",
            },
            open: Open::Text,
            calls: 0,
            proofs: 0,
            filled: false,
        }
    }

    /// What all chunks have in common, once the id is known.
    fn begin(&mut self, id: &str) {
        let head = &mut self.head;
        head.extend_from_slice(b"data: {");
        write::member(head, "id", &answer_id(id));
        head.extend_from_slice(br#","object":"chat.completion.chunk""#);
        write::key(head, "created");
        write::number(head, ids::now());
        write::member(head, "model", &self.model);
        head.extend_from_slice(br#","choices":["#);
    }

    /// A chunk whose delta has the members that `delta` appends.
    fn chunk(&mut self, out: &mut Vec<u8>, delta: impl FnOnce(&mut Vec<u8>)) {
        if self.head.is_empty() {
            self.begin("");
        }
        out.extend_from_slice(&self.head);
        out.extend_from_slice(br#"{"index":0,"delta":{"#);
        delta(out);
        out.push(b'}');
        out.extend_from_slice(self.foot);
    }

    /// A chunk with a piece of the open call.
    fn call(&mut self, out: &mut Vec<u8>, text: &str) {
        let index = self.calls.saturating_sub(1);
        let (before, after): (&str, &str) = match self.open {
            Open::Function => (r#","function":{"arguments":"#, "}}]"),
            Open::Custom => (r#","custom":{"input":"#, "}}]"),
            Open::Legacy => (r#""function_call":{"arguments":"#, "}"),
            Open::Text | Open::Thinking | Open::Nowhere => return,
        };
        let numbered = self.open != Open::Legacy;
        self.filled = true;
        self.chunk(out, |out| {
            if numbered {
                out.extend_from_slice(br#""tool_calls":[{"index":"#);
                write::number(out, index);
            }
            out.extend_from_slice(before.as_bytes());
            write::string(out, text);
            out.extend_from_slice(after.as_bytes());
        });
    }

    fn block(&mut self, block: &Block<'_>, out: &mut Vec<u8>) {
        self.filled = false;
        let (id, name, freeform) = match block {
            Block::Text => return self.open = Open::Text,
            Block::Thinking => return self.open = Open::Thinking,
            Block::ToolUse { id, name, freeform, .. } => (id, name, *freeform),
        };
        let index = self.calls;
        self.calls += 1;
        self.open = match (self.legacy, index, freeform) {
            (true, 0, _) => Open::Legacy,
            (true, ..) => return self.open = Open::Nowhere,
            (false, _, true) => Open::Custom,
            (false, _, false) => Open::Function,
        };
        if self.open == Open::Legacy {
            return self.chunk(out, |out| {
                out.extend_from_slice(br#""function_call":{"#);
                write::member(out, "name", name);
                out.extend_from_slice(br#","arguments":""}"#);
            });
        }
        let (kind, empty) = if freeform { ("custom", "input") } else { ("function", "arguments") };
        self.chunk(out, |out| {
            out.extend_from_slice(br#""tool_calls":[{"index":"#);
            write::number(out, index);
            write::member(out, "id", id);
            write::member(out, "type", kind);
            write::raw(out, kind, "{");
            write::member(out, "name", name);
            write::raw(out, empty, "\"\"}}]");
        });
    }

    fn proof(&mut self, sealed: &str, out: &mut Vec<u8>) {
        match self.open {
            Open::Text | Open::Thinking => {
                let entries = details::entries(sealed, self.proofs);
                self.proofs += 1;
                self.chunk(out, |out| {
                    write::raw(out, "reasoning_details", "[");
                    out.extend_from_slice(entries.as_bytes());
                    out.push(b']');
                });
            }
            Open::Function | Open::Custom => {
                let index = self.calls.saturating_sub(1);
                self.chunk(out, |out| {
                    out.extend_from_slice(br#""tool_calls":[{"index":"#);
                    write::number(out, index);
                    write::raw(out, "extra_content", r#"{"google":{"#);
                    write::member(out, "thought_signature", sealed);
                    out.extend_from_slice(b"}}}]");
                });
            }
            Open::Legacy | Open::Nowhere => {}
        }
    }

    fn finish(&mut self, stop: &Stop, spent: Usage, out: &mut Vec<u8>) {
        if self.head.is_empty() {
            self.begin("");
        }
        out.extend_from_slice(&self.head);
        out.extend_from_slice(br#"{"index":0,"delta":{}"#);
        write::member(out, "finish_reason", reason(stop, self.legacy));
        if let Stop::Sequence(text) = stop {
            // As vLLM says it.
            write::member(out, "stop_reason", text);
        }
        out.extend_from_slice(b"}]");
        if self.wants_usage {
            write::raw(out, "usage", "null");
        }
        out.extend_from_slice(b"}\n\n");
        if self.wants_usage {
            out.extend_from_slice(&self.head);
            out.push(b']');
            write::key(out, "usage");
            usage(out, spent);
            out.extend_from_slice(b"}\n\n");
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }
}

impl EventEncoder for Encoder {
    fn encode(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        match event {
            Event::Start { id } => {
                self.head.clear();
                self.begin(id);
                self.chunk(out, |out| out.extend_from_slice(br#""role":"assistant","content":"""#));
            }
            Event::BlockStart(block) => self.block(block, out),
            Event::Delta(text) if text.is_empty() => {}
            Event::Delta(text) => match self.open {
                Open::Text => self.chunk(out, |out| write::member(out, "content", text)),
                Open::Thinking => self.chunk(out, |out| write::member(out, "reasoning_content", text)),
                _ => self.call(out, text),
            },
            Event::Signature(sealed) => self.proof(sealed, out),
            Event::BlockEnd => {
                // Arguments are JSON text, and nothing is none.
                if !self.filled && matches!(self.open, Open::Function | Open::Legacy) {
                    self.call(out, "{}");
                }
                self.open = Open::Text;
            }
            Event::Finish { stop, usage } => self.finish(stop, *usage, out),
            Event::Error(problem) => {
                out.extend_from_slice(b"data: ");
                out.extend_from_slice(error_value(problem).to_string().as_bytes());
                out.extend_from_slice(b"\n\n");
            }
        }
    }
}

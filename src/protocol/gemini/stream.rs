//! Events, written as a Gemini stream: one response object per chunk, either as event-stream data or as elements of a
//! growing array. No event names, comments or `[DONE]`: the SDK in Gemini CLI 0.61 parses every line as JSON.

use super::thoughts::{Own, Waiting};
use super::write::{Call, ending, identity, text_part};
use super::{Gemini, error_bytes};
use crate::protocol::event::{Block, Event};
use crate::protocol::ir::Framing;
use crate::protocol::{EventEncoder, Protocol};

pub(super) struct Encoder {
    model: String,
    framing: Framing,
    /// Whether the caller wants to see thoughts.
    show: bool,
    /// What every chunk ends with.
    identity: Vec<u8>,
    open: Open,
    /// What the open thought holds, for a caller that drops it.
    thought: String,
    waiting: Waiting,
    /// The first call whose arguments are no object.
    malformed: Option<String>,
    begun: bool,
    ended: bool,
}

enum Open {
    Nothing,
    Text,
    Thinking { proven: bool },
    Call(Call),
}

const BEFORE: &[u8] = b"{\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[";

impl Encoder {
    pub(super) fn new(model: &str, framing: Framing, show: bool) -> Self {
        Encoder {
            model: model.to_owned(),
            framing,
            show,
            identity: identity(model, ""),
            open: Open::Nothing,
            thought: String::new(),
            waiting: Waiting::default(),
            malformed: None,
            begun: false,
            ended: false,
        }
    }

    /// What stands before a chunk.
    fn begin(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(match (self.framing, self.begun) {
            (Framing::Array, false) => b"[",
            (Framing::Array, true) => b",\r\n",
            _ => b"data: ",
        });
        self.begun = true;
    }

    /// What stands behind it.
    fn complete(&self, out: &mut Vec<u8>) {
        if self.framing != Framing::Array {
            out.extend_from_slice(b"\n\n");
        }
    }

    /// A chunk of one part.
    fn chunk(&mut self, out: &mut Vec<u8>, part: impl FnOnce(&mut Vec<u8>)) {
        self.begin(out);
        out.extend_from_slice(BEFORE);
        part(out);
        out.extend_from_slice(b"]},\"index\":0}]");
        out.extend_from_slice(&self.identity);
        self.complete(out);
    }
}

impl EventEncoder for Encoder {
    fn encode(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        match event {
            Event::Start { id } => self.identity = identity(&self.model, id),
            Event::BlockStart(block) => {
                self.open = match block {
                    Block::Text => Open::Text,
                    Block::Thinking => {
                        self.thought.clear();
                        Open::Thinking { proven: false }
                    }
                    Block::ToolUse { id, name, .. } => {
                        Open::Call(Call { id: id.to_string(), name: name.to_string(), ..Call::default() })
                    }
                };
            }
            Event::Delta(text) => match &mut self.open {
                Open::Call(call) => call.arguments.push_str(text),
                Open::Text if text.is_empty() => {}
                Open::Text => {
                    let signature = self.waiting.take();
                    self.chunk(out, |out| text_part(text, false, signature.as_deref(), out));
                }
                Open::Thinking { .. } => {
                    self.thought.push_str(text);
                    if self.show {
                        self.chunk(out, |out| text_part(text, true, None, out));
                    }
                }
                Open::Nothing => {}
            },
            Event::Signature(sealed) => match &mut self.open {
                Open::Call(call) => call.signature = Some(sealed.to_string()),
                Open::Thinking { proven } => {
                    *proven = true;
                    match Own::of(sealed) {
                        // Behind its text, in a part of its own, as Gemini itself streams it.
                        Some(Own::Text(proof)) => self.chunk(out, |out| text_part("", false, Some(proof), out)),
                        Some(Own::Thought(proof)) if self.show => {
                            self.chunk(out, |out| text_part("", true, Some(proof), out));
                        }
                        Some(Own::Part(json)) => self.chunk(out, |out| out.extend_from_slice(json.as_bytes())),
                        Some(Own::Thought(_) | Own::Call(_)) => {}
                        None => self.waiting.add(&self.thought, Some(sealed)),
                    }
                }
                _ => {}
            },
            Event::BlockEnd => match std::mem::replace(&mut self.open, Open::Nothing) {
                Open::Thinking { proven: false } => self.waiting.add(&self.thought, None),
                Open::Call(call) => {
                    let mut part = Vec::new();
                    if call.part(&mut self.waiting, &mut part) {
                        self.chunk(out, |out| out.append(&mut part));
                    } else {
                        self.malformed.get_or_insert(call.name);
                    }
                }
                _ => {}
            },
            Event::Finish { stop, usage } => {
                self.ended = true;
                self.begin(out);
                out.extend_from_slice(BEFORE);
                text_part("", false, self.waiting.take().as_deref(), out);
                out.extend_from_slice(b"]}");
                ending(stop, self.malformed.as_deref(), *usage, out);
                out.extend_from_slice(&self.identity);
                self.complete(out);
                if self.framing == Framing::Array {
                    out.push(b']');
                }
            }
            Event::Error(problem) => {
                self.ended = true;
                if self.framing == Framing::Array {
                    self.begin(out);
                    out.extend(error_bytes(problem));
                    out.push(b']');
                } else {
                    out.extend(Gemini.encode_stream_error(problem));
                }
            }
        }
    }
}
